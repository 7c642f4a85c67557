/* What a sweep of networks shows. Rows are read from the daemon; everything after that is arithmetic on
 * them (finding_stats.c, pure). */
#ifndef CLIENT_FINDING_H
#define CLIENT_FINDING_H

#include <jansson.h>

#include "client/conn.h"
#include "daemon/model/caches.h"

#define FINDING_LEVELS CACHES_LEVELS_MAX

/* One finished training run. */
struct finding_row {
    int64_t run;
    char dataset[64];
    char shape[24];
    int depth;
    int64_t size;   /* parameters asked for */
    int64_t params; /* parameters it has */
    int64_t repeat; /* of the sweep; 0 = none */
    bool standin;
    int home; /* index into caches.level: where it lives while it trains; -1 = not known */
    double test_loss;
    double elapsed_s;
    double energy_j; /* whole run; NAN = not known, as are all below */
    double lo_j;
    double hi_j;
    double j_per_datum; /* phase train, real rows (datum.h) */
    double s_per_datum;
    bool estimated; /* the joules are an estimate */
    bool whole_run; /* j_per_datum is of the whole run: phase train has no figure */
    char quality[16];
    char meter[96];
};

struct finding_skipped {
    char *what;
    char *reason;
};

struct finding {
    struct finding_row *rows; /* by data set, shape, depth, size, run */
    size_t n;
    struct finding_skipped *skipped;
    size_t nskipped;
    int64_t *controls; /* runs that are no points of the grid: canaries */
    size_t ncontrols;
    size_t warmups;       /* and runs that were to be thrown away */
    struct caches caches; /* n = 0: the machine describes none */
    char covers[240];
    char idle[160]; /* what the machine drew without a run, in words; "" = not known */
    double idle_w;  /* NAN = not known */
    double load_w;  /* median over runs of energy / time */
    bool measured;  /* at least one row has joules that are no estimate */
};

void finding_init(struct finding *f);
void finding_fini(struct finding *f);
/* Read the runs; what is not a finished training run goes to `skipped` with the reason. */
int finding_read(struct finding *f, struct conn *c, const int64_t *runs, size_t n,
                 struct err *e) MUST_USE;
/* One run as `show` answers it. */
void finding_add(struct finding *f, const struct wire_val *run);
void finding_skip(struct finding *f, char *what, char *reason); /* takes both */

/* ---- finding_stats.c ------------------------------------------------------------------------------ */

void finding_sort(struct finding *f);
/* Points of the runs' own grid that no run stands for, because no network of that size exists. */
void finding_gaps(struct finding *f);

/* Medians over all rows of one size. */
struct finding_size {
    int64_t size;
    size_t n;
    double s_per_datum;
    double j_per_datum; /* NAN unless every row has one */
    bool estimated;
    int home_lo; /* levels its networks live in, -1 = not known */
    int home_hi;
};
/* At most cap sizes, rising; returns how many there are. */
size_t finding_by_size(const struct finding *f, struct finding_size *out, size_t cap);

/* How much dearer a datum is beyond a cache level than the networks within it foretell.
 * A series is one data set, shape and depth. In it log(cost) is fitted against log(parameters) over the
 * sizes within the level (at least 2), and extended to the sizes in the next level (at least 2); the
 * series' factor is the geometric mean of what was seen over what was foretold. Repeats count once, by
 * their mean. The data support a factor when at least 3 series have one and their mean logarithm is more
 * than two standard errors from 0. */
struct finding_crossing {
    int level;     /* boundary behind caches.level[level] */
    size_t series; /* that have 2 sizes on both sides */
    bool supported;
    double factor; /* geometric mean; NAN with no series */
    double lo;     /* smallest and largest series */
    double hi;
    double noise; /* relative spread of repeats; NAN = nothing was repeated */
};
enum finding_cost { FINDING_TIME, FINDING_ENERGY };
void finding_cross(struct finding_crossing *out, const struct finding *f, int level,
                   enum finding_cost cost);

json_t *finding_json(const struct finding *f);

#endif
