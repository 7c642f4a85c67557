#include "daemon/queue/user_limits.h"

#include <inttypes.h>

#include "common/units.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

const struct user_limits *user_limits_find(const struct user_limits_table *t, int64_t uid)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->of[i].uid == uid)
            return &t->of[i].limits;
    return &t->each;
}

void user_limits_settle(const struct user_limits *l, int64_t machine_mem_bytes, struct spec *s)
{
    if (s->mem_bytes > 0)
        return;
    int64_t mem = l->max_mem_bytes;
    if (!s->exclusive && l->default_mem_bytes > 0)
        mem = l->default_mem_bytes;
    s->mem_bytes = machine_mem_bytes > 0 ? least(mem, machine_mem_bytes) : mem;
}

/* The log of a foreground run is its terminal. */
static int check_log(const struct user_limits *l, struct spec *s, struct err *e)
{
    char most[40], asked[40];
    int64_t cap = s->log_cap_bytes;
    if (l->max_log_bytes == 0 || s->kind == SPEC_EXEC || (cap > 0 && cap <= l->max_log_bytes))
        return 0;
    if (cap == SPEC_LOG_CAP) {
        s->log_cap_bytes = l->max_log_bytes;
        return 0;
    }
    units_show_size(most, sizeof(most), l->max_log_bytes);
    err_set(e, WATTQ_E_USAGE, "the log of a run may keep %s at most here, and %s asked for", most,
            cap == 0 ? "no cap was" : units_show_size(asked, sizeof(asked), cap));
    return err_next(e, "ask for less with --log-cap; its head and its tail are kept");
}

int user_limits_check(const struct user_limits *l, struct spec *s, struct err *e)
{
    char most[40], asked[40];
    if (s->time_limit_ns == 0)
        s->time_limit_ns = l->max_time_ns;
    if (l->max_time_ns > 0 && s->time_limit_ns > l->max_time_ns) {
        units_show_duration(most, sizeof(most), l->max_time_ns);
        err_set(e, WATTQ_E_USAGE, "a run may take %s at most here, and %s were asked for", most,
                units_show_duration(asked, sizeof(asked), s->time_limit_ns));
        return err_next(
            e, "ask for less with --time, and let it go on from where it was in another run");
    }
    if (l->max_mem_bytes > 0 && s->mem_bytes > l->max_mem_bytes) {
        units_show_size(most, sizeof(most), l->max_mem_bytes);
        err_set(e, WATTQ_E_USAGE, "a run may have %s of memory at most here, and %s were asked for",
                most, units_show_size(asked, sizeof(asked), s->mem_bytes));
        return err_next(e, "ask for less with --mem");
    }
    return check_log(l, s, e);
}

int user_limits_room(const struct user_limits *l, int64_t waiting, int64_t more, struct err *e)
{
    if (l->max_queued == 0 || waiting + more <= l->max_queued)
        return 0;
    err_set(e, WATTQ_E_LIMIT,
            "you may have %" PRId64 " runs waiting here: there are %" PRId64
            " and would be %" PRId64,
            l->max_queued, waiting, waiting + more);
    return err_next(e, "submit fewer, or wait until some have started: wattq queue");
}

bool user_limits_may_start(const struct user_limits *l, int64_t running)
{
    return l->max_running == 0 || running < l->max_running;
}
