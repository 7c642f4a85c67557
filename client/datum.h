/* Energy and time per datum of a run of the built-in trainer; a datum is one training row in one epoch.
 * The joules are the daemon's (docs/protocol.md, `j_per_datum`): exact is phase `train` without the tests
 * inside it over the rows really seen, study is as BUTTER-E counted. Pure. */
#ifndef CLIENT_DATUM_H
#define CLIENT_DATUM_H

#include "common/wire.h"

struct datum {
    double rows; /* training rows x epochs done; NAN = not known, as are all below */
    double exact_j;
    double
        exact_lo_j; /* from the counter bounds of phase train; only when no test lies inside of it */
    double exact_hi_j;
    double study_j;
    double run_j;       /* the whole run, start-up included: never shown as exact */
    double train_s;     /* seconds of training per datum */
    bool estimated;     /* the joules are an estimate */
    bool tested_in;     /* test passes lie inside of phase train: epochs are very short */
    const char *reason; /* why exact_j is not known; NULL */
};
void datum_init(struct datum *d, const struct wire_val *run);

/* A number a run said about itself: in `summary`, in `info`, or as its newest metric. NAN = nowhere. */
double datum_number(const struct wire_val *run, const char *key);

#endif
