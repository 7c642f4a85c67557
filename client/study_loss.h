/* What losses cost, run by run: the daemon's curves of `test_loss` as iso-loss analysis takes them. */
#ifndef CLIENT_STUDY_LOSS_H
#define CLIENT_STUDY_LOSS_H

#include "client/study_load.h"
#include "daemon/model/isoloss.h"

#define STUDY_LOSS_POINTS 256 /* of one run's curve */

struct study_loss {
    struct isoloss_curve *curves; /* one per run of the study; n = 0 for a run without losses */
    struct isoloss_point *points; /* of all of them */
};
/* Joules are those the daemon counted up to each epoch; where it has none, the run's own training and test
 * joules are spread evenly over its epochs and the curve says so. Seconds likewise. */
int study_loss_load(struct study_loss *out, struct conn *c, const struct study *s,
                    struct err *e) MUST_USE;
void study_loss_fini(struct study_loss *l);

#endif
