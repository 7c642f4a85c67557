/* States of a run and the one table of moves. */
#include <string.h>

#include "daemon/store/runs.h"

static const char *const names[RUN_STATES] = {
    [RUN_HELD] = "held",         [RUN_QUEUED] = "queued",
    [RUN_STARTING] = "starting", [RUN_RUNNING] = "running",
    [RUN_PAUSED] = "paused",     [RUN_STOPPING] = "stopping",
    [RUN_DONE] = "done",         [RUN_FAILED] = "failed",
    [RUN_TIMEOUT] = "timeout",   [RUN_ENERGY_LIMIT] = "energy_limit",
    [RUN_OOM] = "oom",           [RUN_CANCELLED] = "cancelled",
    [RUN_SKIPPED] = "skipped",   [RUN_LOST] = "lost",
};

#define TO(state) (1u << RUN_##state)

/* From a state to a set of states. An ended run has no way back: a retry is a new run.
 *  starting -> queued   its shepherd never opened the gate, so nothing of it has run
 *  starting -> failed   no shepherd could be started, or the program could not be executed
 *  stopping -> done ... what the result file says; `running` always passes through `stopping` */
static const unsigned moves[RUN_STATES] = {
    [RUN_HELD] = TO(QUEUED) | TO(CANCELLED) | TO(SKIPPED),
    [RUN_QUEUED] = TO(HELD) | TO(STARTING) | TO(CANCELLED) | TO(SKIPPED),
    [RUN_STARTING] = TO(QUEUED) | TO(RUNNING) | TO(FAILED) | TO(CANCELLED) | TO(LOST),
    [RUN_RUNNING] = TO(PAUSED) | TO(STOPPING) | TO(LOST),
    [RUN_PAUSED] = TO(RUNNING) | TO(STOPPING) | TO(LOST),
    [RUN_STOPPING] =
        TO(DONE) | TO(FAILED) | TO(TIMEOUT) | TO(ENERGY_LIMIT) | TO(OOM) | TO(CANCELLED) | TO(LOST),
};

const char *run_state_name(enum run_state s)
{
    return (unsigned)s < RUN_STATES ? names[s] : "unknown";
}

int run_state_parse(const char *s, enum run_state *out)
{
    for (unsigned i = 0; i < RUN_STATES; i++) {
        if (strcmp(names[i], s) == 0) {
            *out = (enum run_state)i;
            return 0;
        }
    }
    return 1;
}

bool run_state_ended(enum run_state s)
{
    return s >= RUN_DONE && s < RUN_STATES;
}

bool run_move_allowed(enum run_state from, enum run_state to)
{
    return (unsigned)from < RUN_STATES && (unsigned)to < RUN_STATES && (moves[from] & (1u << to));
}
