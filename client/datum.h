/* Energy and time per datum of a run of the built-in trainer; a datum is one training row in one epoch.
 * exact: phase `train`, rows really trained on. Short epochs keep their test pass inside that phase
 *        (docs/trainer.md); tested_in says so.
 * study: as BUTTER-E has it: the whole run, the last partial batch counted as full, test rows not counted.
 *        source: study NB3, section "units derived". Pure. */
#ifndef CLIENT_DATUM_H
#define CLIENT_DATUM_H

#include "common/wire.h"

struct datum {
    double rows;       /* training rows x epochs done; NAN = not known */
    double exact_j;    /* NAN = not known, as are all below */
    double exact_lo_j; /* from the counter bounds of phase train */
    double exact_hi_j;
    double study_j;
    double train_s; /* seconds of training per datum */
    bool estimated; /* the joules are an estimate */
    bool whole_run; /* phase train has no figure: exact_* are of the whole run, setup included */
    bool tested_in; /* the test passes lie inside of phase train */
};
void datum_init(struct datum *d, const struct wire_val *run);

/* A number a run said about itself, wherever the daemon put it: in info, in its part `summary`, or as the
 * newest metric. NAN = nowhere. */
double datum_number(const struct wire_val *run, const char *key);

#endif
