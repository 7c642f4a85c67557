/* When a run that waits is likely to start: the queue's own rules (turns_pick), played forward on copies until it
 * does. Pure; any thread.
 *
 * An estimate. A run is taken to last as long as the median of runs like it that ended well, but no longer than its
 * time limit; where none like it has ended, or it has lasted longer than these already, as long as its limit. Where
 * there is neither, nobody can tell, and where the run asked for waits for such a one, the answer is a reason. Runs that
 * are submitted meanwhile, an idle measurement, and others that use the CPUs are not foreseen. */
#ifndef DAEMON_QUEUE_FORECAST_H
#define DAEMON_QUEUE_FORECAST_H

#include "daemon/queue/turns.h"

#define FORECAST_RUNS 1000 /* of those that wait, in their order */
#define FORECAST_NOT  INT64_MAX
#define FORECAST_PAST 20 /* newest runs like it */

enum forecast_basis { FORECAST_UNKNOWN, FORECAST_LIMIT, FORECAST_PASTS };

struct forecast_run {
    int64_t id, uid, priority;
    int64_t limit_ns;          /* 0 = none */
    int64_t pause_ns;          /* it starts only after so long without any run */
    int64_t sweep, sweep_most; /* so many of its sweep at once; 0 = any number */
    int64_t user_most;         /* of its user's at once; 0 = any number */
    struct resources_want want;
    int64_t elapsed_ns;           /* since it began; -1 = it waits */
    struct resources_count share; /* what it has of what is counted, while it goes on */
    /* since when it could start but for GPUs, from now; FORECAST_NOT = it has not waited so */
    int64_t gpu_wait_ns;
    uint64_t argv_hash; /* forecast_argv */
    char label[SPEC_LABEL_MAX + 1];
    /* of runs like it */
    int64_t past_ns; /* median */
    size_t npast;    /* 0 = none */
    /* inside */
    int64_t end_ns;
    enum forecast_basis basis;
};
struct forecast {
    struct forecast_run *runs; /* on the machine first, then in their order */
    size_t n;
    struct resources resources; /* with what those on the machine have */
    struct turns line;          /* empty; who was served when */
    int64_t target;             /* id; among the runs */
    int64_t parallel;           /* shared runs at once; 0 = what resources allow */
    int64_t idle_ns;            /* so long nothing has been on */
    int64_t pass_ns;            /* a first one that waits for GPUs is passed for so long */
};
void forecast_free(struct forecast *f);
uint64_t forecast_argv(char *const *argv, size_t argc);

/* One that ended well, newest first. */
struct forecast_past {
    int64_t uid, sweep, length_ns;
    uint64_t argv_hash;
    char *label;
};
/* Which of these are like each run: of the same user and command; where there are none, of the same sweep; else of the
 * same user and label. */
void forecast_learn(struct forecast *f, const struct forecast_past *past, size_t n);

struct forecast_answer {
    int64_t in_ns;        /* from now; -1 = not known, see reason */
    size_t starts;        /* of others before it */
    size_t limits, pasts; /* of so many runs that end before, the length was taken so */
    char reason[256];
};
/* Once: the forecast is used up. */
void forecast_play(struct forecast *f, struct forecast_answer *out);

#endif
