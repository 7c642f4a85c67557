/* `wattq show --energy`: the record of a run's energy, as a reviewer would want it read out. */
#ifndef CLIENT_SHOW_ENERGY_H
#define CLIENT_SHOW_ENERGY_H

#include "client/cmd.h"

/* run: the answer to `show`. Of a run that is still on, what is known so far is asked for over c. */
void show_energy(const struct app *app, struct conn *c, const struct wire_val *run);

#endif
