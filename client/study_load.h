/* The study's data as the daemon has them: a selection of runs becomes an array of struct study_run, with
 * the quality filters applied (daemon/model/qc.h), and what became of their losses over the epochs.
 *
 * A finished run of the built-in trainer is a row; so is a finished command whose `info` names a backend
 * that begins with "torch" and tells the same keys as wattq-train (the control), and an imported run that
 * tells them. Everything else goes to `left`, with the reason. Pages of the operation `runs`: 500 runs a
 * request. */
#ifndef CLIENT_STUDY_LOAD_H
#define CLIENT_STUDY_LOAD_H

#include "client/conn.h"
#include "daemon/model/caches.h"
#include "daemon/model/study.h"

struct study_left {
    int64_t run;
    char *what;   /* "run 17 banana rectangle depth 3 size 1024" */
    char *reason; /* "failed: exit 3" */
};

struct study {
    struct study_run *runs; /* by id; each once */
    size_t n;
    struct study_left *left;
    size_t nleft;
    struct caches caches; /* of this machine; n = 0: it describes none */
    /* Of the card that its runs on a GPU name; n = 0: they name none, or cards that differ. */
    struct caches card;
    bool cards_differ;
    char covers[240]; /* what the meter of the newest run measured here covers; "" = not known */
};
void study_init(struct study *s);
void study_fini(struct study *s);

/* The runs with these ids (any order, any number); s is filled and must be finished in any case.
 * WATTQ_E_NOT_FOUND when there is no run of an id. */
int study_load(struct study *s, struct conn *c, const int64_t *ids, size_t n,
               struct err *e) MUST_USE;
/* What people name: words of client/sel.h; no word at all = every run that is done. selection (NULL is
 * allowed) gets new memory: the words as they were asked for, "" for all. */
int study_load_words(struct study *s, struct conn *c, char *const *words, size_t n,
                     char **selection, struct err *e) MUST_USE;
/* One run as `runs` answers it with energy and params; for tests and for files. */
void study_add(struct study *s, const struct wire_val *run);

/* ---- curves --------------------------------------------------------------------------------------- */

struct study_point {
    double epoch;
    double value;
    int64_t t_ns;
    double energy_j; /* of the machine since the first batch, tests included; NAN = not known */
};
struct study_curve {
    int64_t run;
    struct study_point *at; /* by epoch */
    size_t n;
};
struct study_curves {
    struct study_curve *at; /* one per run that has the metric, by run */
    size_t n;
};
enum study_curve_kind {
    STUDY_EVERY,  /* the metric as it was told */
    STUDY_RECORDS /* only values below all before them: the best so far */
};
/* The metric `key` ("test_loss") of every run of s, thinned to `points` (2..5000) each. */
int study_load_curves(struct study_curves *out, struct conn *c, const struct study *s,
                      const char *key, size_t points, enum study_curve_kind kind,
                      struct err *e) MUST_USE;
const struct study_curve *study_curve_of(const struct study_curves *c, int64_t run); /* NULL */
void study_curves_fini(struct study_curves *c);

#endif
