/* `wattq show --energy`: the record of a run's energy, as a reviewer would want it read out. */
#ifndef CLIENT_SHOW_ENERGY_H
#define CLIENT_SHOW_ENERGY_H

#include "client/cmd.h"

void show_energy(const struct app *app, const struct wire_val *run);

#endif
