/* A run as this user would start it now: the command line, and cwd, environment, umask and code of the
 * moment. Used by submit, train, sweep and exec. */
#ifndef CLIENT_JOB_H
#define CLIENT_JOB_H

#include "client/opt.h"
#include "common/spec.h"
#include "daemon/launch/provenance.h"

struct job {
    struct spec spec;
    bool template; /* argv is that of a sweep: {key} and {{ are yet to be replaced */
    struct provenance code;
};

/* Fill from options and surroundings. argv is copied. For SPEC_COMMAND and SPEC_EXEC the program must be
 * there now (WATTQ_E_NOT_FOUND); WATTQ_E_USAGE for options that make no sense. params says whether -p are
 * parameters of this run (a sweep reads them as axes). */
int job_init(struct job *j, enum spec_kind kind, const struct args *a, bool params,
             char *const *argv, size_t argc, struct err *e) MUST_USE;
void job_fini(struct job *j);
/* Do the options make sense, each for itself and together? Nothing is looked at but files they name. */
int job_check(const struct args *a, struct err *e) MUST_USE;
/* What it does not say and depends on whom it is sent to, by wattqd's `hello`: in system mode a command that does not
 * ask for the machine is shared. Training runs are exclusive everywhere: their figure is the machine's. */
void job_settle(struct job *j, const struct args *a, const struct wire_val *hello);
/* What the queue says a foreground run is given (GPUs, CPUs), into its environment; an OMP_NUM_THREADS of its own
 * stays, and a CUDA_VISIBLE_DEVICES where it is exclusive and asked for no number. */
void job_take_env(struct job *j, const struct wire_val *env);
/* The `run` map of a request, `code` included. */
void job_put(const struct job *j, struct wire_out *o);
/* Find what code it is (runs git; up to 2 s). */
void job_find_code(struct job *j);

#endif
