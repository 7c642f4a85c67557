/* What submit, train and sweep share: the arguments that belong to wattq-train, and the talk around a
 * submission. */
#ifndef CLIENT_SUBMIT_H
#define CLIENT_SUBMIT_H

#include "client/cmd.h"
#include "client/job.h"

/* Send the job, print its id; with --wait follow it and return its exit code. */
int submit_job(struct app *app, struct job *j, struct err *e);
/* The same for a command line. */
int submit_command(struct app *app, char *const *argv, size_t argc, struct err *e);
/* cmd_script.c: queue what a script file holds now, by the options that stand in it (client/script.h); those
 * of app go before. */
int submit_script(struct app *app, const char *path, char *const *rest, size_t nrest,
                  struct err *e);
/* Is that a script with such options in it? */
bool submit_is_script(const char *path);
/* A program that cannot be started, for a command that passes exit codes on: says why and returns 127 or
 * 126; any other failure comes back as it is. */
int submit_not_startable(const struct app *app, int rc, struct err *e);

/* The command line of wattq-train, with paths made absolute: it will run elsewhere and later. */
struct train_args {
    char **argv; /* NULL-terminated, owned */
    size_t n;
};
/* From the arguments behind `first`, and --data-dir. WATTQ_E_NOT_FOUND for a data set that is not there. */
int train_args_init(struct train_args *t, const struct args *a, size_t first,
                    struct err *e) MUST_USE;
void train_args_finip(struct train_args *t);
const char *train_args_get(const struct train_args *t, const char *option); /* NULL = not given */
void train_args_drop(struct train_args *t, const char *option);             /* with its value */
void train_args_set(struct train_args *t, const char *option, const char *value);
/* One data set's name or path as the trainer is to get it, in new memory; checks that it can be found. */
int train_dataset(char **out, const struct train_args *t, const char *dataset,
                  struct err *e) MUST_USE;
/* What was asked of the network as parameters of the run: dataset, shape, depth, size, epochs. */
int train_params(struct spec *s, const struct train_args *t, struct err *e) MUST_USE;
/* Let wattq-train itself look at its arguments and its data (--describe). 0, or its exit code after it
 * has said why; what cannot be checked here is left to the run. */
int train_check(const char *program, const struct train_args *t);

#endif
