/* Waiting for runs in front of a person: progress on stderr while it takes longer than 2 s (one line that
 * is rewritten on a terminal, one every 30 s elsewhere), then the cost line of each. */
#ifndef CLIENT_FOLLOW_H
#define CLIENT_FOLLOW_H

#include "client/cmd.h"
#include "client/sel.h"

#define FOLLOW_FOREVER INT64_MAX

struct follow {
    const struct app *app;
    int64_t timeout_ns; /* FOLLOW_FOREVER */
    const char *until;  /* "ended" or "started" */
    /* Each run as it gets there; borrowed. */
    void (*on_run)(void *arg, const struct wire_val *run);
    void *arg;
};

/* 0 all got there; 1 the time is up; < 0 failed. Ctrl-C ends us, not the runs. */
int follow_runs(const struct follow *f, const struct sel *runs, struct err *e) MUST_USE;
/* cmd_whole_run on a connection of its own, where `run` is not whole; else NULL. */
struct wire_msg *follow_whole(const struct app *app, const struct wire_val *run);
/* The last line of a run on out: its cost line, coloured by its state. */
void follow_print_end(const struct app *app, FILE *out, const struct wire_val *run);

#endif
