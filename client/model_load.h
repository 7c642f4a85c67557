/* Models between the client and the daemon: stored after a fit, read back to predict, advise and report. */
#ifndef CLIENT_MODEL_LOAD_H
#define CLIENT_MODEL_LOAD_H

#include "client/conn.h"
#include "daemon/model/fit.h"

/* A model as it is stored. fit.run is NULL: the runs are in `left` where they say something. */
struct model_left {
    int64_t run;
    bool used; /* it entered the time law all the same */
    char *reason;
};
struct model {
    int64_t id;
    int64_t created_utc_ns;
    int64_t uid;
    char *selection; /* as it was asked for; "" = every run that is done */
    char version[32];
    struct fit fit;
    struct model_left *left; /* runs with a reason */
    size_t nleft;
};
void model_fini(struct model *m);
void model_finip(struct model **m); /* for CLEANUP(); also frees */

/* Model `id`; 0 = the newest one of that machine and backend (NULL or "" = any; "openblas" also means
 * "openblas f32"). New memory in *out. WATTQ_E_NOT_FOUND with how to make one. */
int model_load(struct model **out, struct conn *c, int64_t id, const char *machine,
               const char *backend, struct err *e) MUST_USE;

/* What the fit did not see at all: runs that are no rows of a study. */
struct model_other {
    int64_t run;
    const char *reason;
};
/* Stores f; *id is the new model's. */
int model_store(int64_t *id, struct conn *c, const struct fit *f, const char *selection,
                const struct model_other *other, size_t nother, struct err *e) MUST_USE;

bool model_backend_is(const char *have, const char *asked); /* "openblas f32" is "openblas" */
/* Why a run was left out, or its joules were, in new memory; NULL = it counted in full. */
char *model_reason(const struct fit *f, const struct fit_run *r);

#endif
