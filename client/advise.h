/* Which network to train on a data set: computed from finished runs, per machine and backend. Pure, after
 * the runs and their losses are loaded. docs/model.md, "Advice", says what each rule is for. */
#ifndef CLIENT_ADVISE_H
#define CLIENT_ADVISE_H

#include <jansson.h>

#include "client/study_loss.h"

#define ADVISE_NETWORKS 3 /* fewer that reach the loss are no advice */

/* One network of a group, as it stands to the loss asked for. */
struct advise_net {
    size_t config;            /* into iso.config */
    bool reaches;             /* the loss */
    bool at_once;             /* it was better than that at the first epoch it was looked at */
    struct isoloss_cost cost; /* to get there */
};

/* The runs of one machine and backend on the data set. */
struct advise_group {
    struct study_run *runs;
    struct isoloss_curve *curves;
    size_t n;
    size_t excluded[STUDY_X_COUNT]; /* runs each step kept out of what is compared */
    size_t used;                    /* runs that were compared */
    enum isoloss_quantity by;
    char why_time[200]; /* why it goes by time; "" = by energy */
    struct isoloss iso;
    struct advise_net *nets; /* by shape, depth, size; iso.n of them */
    struct isoloss_step frontier[ISOLOSS_LEVELS];
    size_t nfrontier;
    struct isoloss_series *series;
    size_t nseries;
    double loss; /* the one compared at; NAN with no network at all */
    size_t reached;
    int best;            /* into nets; -1 = nobody reaches the loss */
    int smaller, larger; /* its neighbours in shape and depth; -1 = there is none */
    bool enough;         /* the choice is bracketed, and not one of a handful */
    char missing[160];   /* what is missing, in words; "" = enough */
    char command[400];   /* that queues it */
};

struct advise {
    char dataset[64];
    double asked; /* loss; NAN = none was asked for */
    struct caches caches;
    struct advise_group *group;
    size_t n;
    size_t standins; /* runs on generated data, left out */
};

/* Runs of s on that data set (and backend, unless NULL), the losses of all of s. WATTQ_E_NOT_FOUND: no
 * such run; WATTQ_E_INVALID: only stand-ins, whose loss means nothing. */
int advise_make(struct advise *out, const struct study *s, const struct study_loss *loss,
                const char *dataset, const char *backend, double asked, struct err *e) MUST_USE;
void advise_fini(struct advise *a);

/* Level in which a network lives while it trains, or computes; "RAM"; "-" = not known. */
const char *advise_home(const struct advise *a, const struct study_run *r, bool training);
const struct study_run *advise_run(const struct advise_group *g, int net); /* of nets[net] */
json_t *advise_json(const struct advise *a);                               /* wattq.advice/1 */

#endif
