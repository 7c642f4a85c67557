/* Fitted energy models: rows of model, model_term and model_run. A model is written once, whole, and never
 * changed. models_put runs on the storage thread inside a transaction; the readers on any connection.
 * Unknown numbers are NAN here and NULL in the table. */
#ifndef DAEMON_STORE_MODELS_H
#define DAEMON_STORE_MODELS_H

#include "daemon/store/store.h"

#define MODELS_TERMS_MAX  64
#define MODELS_REPORT_MAX (256u << 10) /* bytes of JSON */
#define MODELS_CACHES_MAX (8u << 10)

struct model_term_row {
    const char *part; /* "time" or "power" */
    const char *name;
    const char *unit;
    const char *meaning;
    double value;
    double lo; /* NAN = no interval could be had */
    double hi;
};
struct model_run_row {
    int64_t run;
    bool used;
    const char *reason; /* why not, or why its joules did not count; NULL = nothing to say */
};
struct model_row {
    int64_t id;
    int64_t created_utc_ns;
    int64_t uid;
    const char *machine;
    const char *backend;
    const char *selection;
    const char *energy; /* "measured" or "none" */
    const char *version;
    const char *caches; /* JSON; NULL in a list */
    const char *report; /* JSON; NULL in a list */
    int64_t used;       /* runs; of a row that was read */
    int64_t left_out;
};

/* The model, its terms and its runs; m->id is ignored, *id gets the new one. WATTQ_E_NOT_FOUND naming a run
 * that does not exist; a term or run named twice is WATTQ_E_CONFLICT. */
int models_put(struct store *s, const struct model_row *m, const struct model_term_row *terms,
               size_t nterms, const struct model_run_row *runs, size_t nruns, int64_t *id,
               struct err *e) MUST_USE;

/* Visitors: 0 to go on, anything else stops and is returned. Rows are theirs only during the call. */
typedef int (*model_visit)(void *arg, const struct model_row *m);
/* Newest first, at most 1000, without caches and report; id: only that one, MODELS_ALL = all. */
#define MODELS_ALL INT64_MIN
int models_list(struct store *s, int64_t id, model_visit fn, void *arg, struct err *e) MUST_USE;
/* Both texts in new memory. 0; 1 = there is no such model. */
int models_texts(struct store *s, int64_t id, char **caches, char **report, struct err *e) MUST_USE;
int models_terms(struct store *s, int64_t id, int (*fn)(void *, const struct model_term_row *),
                 void *arg, struct err *e) MUST_USE;
int models_runs(struct store *s, int64_t id, int (*fn)(void *, const struct model_run_row *),
                void *arg, struct err *e) MUST_USE;

#endif
