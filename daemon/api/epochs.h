/* Per-epoch numbers and energies of a run, computed when somebody asks. Pool thread. */
#ifndef DAEMON_API_EPOCHS_H
#define DAEMON_API_EPOCHS_H

#include "daemon/api/encode.h"

#define EPOCHS_MAX 1000 /* newest ones */

/* Array `per_epoch` into the open map: epoch, t_ns, values, energy_uj (or reason). The energy of a line is
 * what the total's channels counted since the line before (or the start of its phase), to whole seconds where
 * the peer's rights say so. */
int epochs_put(struct store *s, const struct rights *as, struct wire_out *o,
               const struct run_row *row, struct err *e) MUST_USE;

#endif
