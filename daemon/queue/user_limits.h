/* What each user may have on a machine that many share: defaults of what a run does not say, and maxima of what it
 * says and of how many there are. The same for everybody, admins included, but for users who are named with limits of
 * their own; configured (wattqd(8)), never stored.
 * Pure; the queue counts. A refusal is one sentence with what to do: WATTQ_E_USAGE of one run, WATTQ_E_LIMIT of
 * their number. */
#ifndef DAEMON_QUEUE_USER_LIMITS_H
#define DAEMON_QUEUE_USER_LIMITS_H

#include "common/spec.h"

struct user_limits { /* 0 = none, of each */
    /* of a run that is not exclusive; others do not say and have all there is */
    int64_t default_mem_bytes;
    int64_t max_mem_bytes;   /* of one run */
    int64_t default_time_ns; /* of any run that does not say */
    int64_t max_time_ns;     /* of one run */
    int64_t max_log_bytes;   /* of one run's log; less where a run has the usual cap */
    int64_t max_queued;      /* runs of a user that wait, held ones too */
    int64_t max_running;     /* runs of a user at once */
};

/* Whole: what a user has no limit of his own of is as each has it. */
struct user_limits_of {
    int64_t uid;
    struct user_limits limits;
};
struct user_limits_table {
    struct user_limits each;
    struct user_limits_of *of; /* not owned here */
    size_t n;
};
const struct user_limits *user_limits_find(const struct user_limits_table *t, int64_t uid);

/* Memory that it does not say: the default, else the maximum; never more than the machine has. */
void user_limits_settle(const struct user_limits *l, int64_t machine_mem_bytes, struct spec *s);
/* Settled otherwise, with the default time. A time that nobody said is the maximum, and a log's cap that is the usual
 * one at most that. */
int user_limits_check(const struct user_limits *l, struct spec *s, struct err *e) MUST_USE;
/* May `more` runs join the `waiting` ones of their user? */
int user_limits_room(const struct user_limits *l, int64_t waiting, int64_t more,
                     struct err *e) MUST_USE;
/* May a run of one start who has so many going? */
bool user_limits_may_start(const struct user_limits *l, int64_t running);

#endif
