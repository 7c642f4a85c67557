/* What explains a run's power, a line for the CPUs and one for each GPU: temperature, clock, for how long
 * it was held back, a limit below its default. Nothing where nothing is known. */
#ifndef CLIENT_SHOW_BESIDE_H
#define CLIENT_SHOW_BESIDE_H

#include "client/cmd.h"

/* run: the answer to `show`. */
void show_beside(const struct app *app, const struct wire_val *run);

#endif
