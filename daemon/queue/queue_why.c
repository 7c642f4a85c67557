/* Why a run waits, and when it is likely to start: what the forecast is handed. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/queue/forecast.h"
#include "daemon/queue/queue_private.h"

#define NAMED 5 /* runs in one sentence */

/* ---- in words ----------------------------------------------------------------------------------- */

struct teller {
    void (*fn)(void *arg, const char *text);
    void *arg;
};

static void tell(struct teller *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct teller *t, const char *format, ...)
{
    char text[QUEUE_REASON_MAX];
    va_list args;
    va_start(args, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    t->fn(t->arg, text);
}

/* "run 3, run 4 and 7 more" */
static const char *names_of(const struct items *l, char buf[160])
{
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < l->n && i < NAMED; i++)
        used += (size_t)snprintf(buf + used, 160 - used, "%srun %" PRId64, i ? ", " : "",
                                 l->at[i]->row.id);
    if (l->n > NAMED)
        (void)snprintf(buf + used, 160 - used, " and %zu more", l->n - NAMED);
    return buf;
}

static void tell_sweep(struct teller *t, struct queue *q, const struct queue_item *r)
{
    const struct queue_sweep_state *sw = queue_sweep_find(q, r->row.sweep);
    if (sw && sw->held)
        tell(t, "its sweep is held: %s; wattq release sweep:%" PRId64, sw->reason, sw->id);
    else if (sw && queue_sweep_full(q, sw))
        tell(t, "%" PRId64 " runs of its sweep are on, as many as it may have at a time",
             sw->max_running);
}

/* Who is on the machine and keeps it out, beside what they hold of what can be counted. */
static void tell_others(struct teller *t, struct queue *q, struct queue_item *r)
{
    char names[160];
    for (size_t i = 0; i < q->active.n; i++)
        if (queue_item_exclusive(q->active.at[i])) {
            tell(t, "run %" PRId64 " has the machine to itself", q->active.at[i]->row.id);
            return;
        }
    if (queue_on_end_run(q) && queue_item_exclusive(r))
        tell(t,
             "it is to have the machine to itself, and what run %" PRId64
             " wants run after it (--on-end) has not ended",
             queue_on_end_run(q));
    if (q->active.n > 0 && queue_item_exclusive(r))
        tell(t, "it is to have the machine to itself, and there is still %s",
             names_of(&q->active, names));
    else if (q->cfg.parallel > 0 && (int64_t)q->active.n >= q->cfg.parallel)
        tell(t, "%zu runs are on, and wattqd lets %" PRId64 " go on at once (--parallel): %s",
             q->active.n, q->cfg.parallel, names_of(&q->active, names));
}

/* Each of these writes its sentence, or is false: that is not what it waits for. */
static bool say_calm(struct queue *q, int64_t run, char *out, size_t cap)
{
    struct queue_calm w;
    char need[40];
    char now[48] = "nobody has looked yet";
    if (!queue_waits_calm(q, run, &w))
        return false;
    if (w.share_ppm >= 0)
        (void)snprintf(now, sizeof(now), "now %.1f %%, so for %.0f s", (double)w.share_ppm / 1e4,
                       (double)(w.calm_ns > 0 ? w.calm_ns : 0) / 1e9);
    (void)snprintf(out, cap, "others to use at most %.1f %% of the CPUs for %s: %s",
                   (double)w.need_ppm / 1e4, units_show_duration(need, sizeof(need), w.need_ns),
                   now);
    return true;
}

static bool say_idle(struct queue *q, char *out, size_t cap)
{
    int64_t left_ns = 0;
    if (queue_idle_state(q, &left_ns) == QUEUE_IDLE_NONE)
        return false;
    (void)snprintf(out, cap,
                   "idle power is being measured (wattq idle measure): %.1f s are left of it",
                   (double)left_ns / 1e9);
    return true;
}

static bool say_own(struct queue *q, int64_t run, char *out, size_t cap)
{
    int64_t own = queue_waits_own(q, run);
    if (own > 0)
        (void)snprintf(out, cap, "another run of its user to end: %" PRId64 " may go on at once",
                       own);
    return own > 0;
}

static bool say_pause(struct queue *q, int64_t run, char *out, size_t cap)
{
    int64_t left_ns = queue_pause_left_ns(q, run);
    if (left_ns > 0)
        (void)snprintf(out, cap,
                       "the idle pause before it, so that idle power is known: %.1f s are left",
                       (double)left_ns / 1e9);
    return left_ns > 0;
}

const char *queue_waiting_for(struct queue *q, int64_t run, char *buf, size_t cap)
{
    const struct queue_item *r = queue_item_find(q, run);
    if (!r || r->next != RUN_QUEUED)
        return NULL;
    if (say_calm(q, run, buf, cap) || say_idle(q, buf, cap) || say_own(q, run, buf, cap) ||
        queue_waits_resources(q, run, buf, cap) || say_pause(q, run, buf, cap))
        return buf;
    return queue_sweep_reason(q, r->row.sweep);
}

void queue_reasons(struct queue *q, int64_t run, void (*fn)(void *arg, const char *text), void *arg)
{
    struct teller t = {fn, arg};
    struct queue_item *r = queue_item_find(q, run);
    char text[QUEUE_REASON_MAX];
    if (!r)
        return;
    if (r->next == RUN_HELD)
        tell(&t, "it is held: wattq release %" PRId64, run);
    if (r->next != RUN_QUEUED)
        return;
    tell_sweep(&t, q, r);
    if (say_idle(q, text, sizeof(text)))
        tell(&t, "%s", text);
    if (say_own(q, run, text, sizeof(text)))
        tell(&t, "%s", text);
    tell_others(&t, q, r);
    if (queue_waits_resources(q, run, text, sizeof(text)))
        tell(&t, "%s", text);
    if (say_pause(q, run, text, sizeof(text)))
        tell(&t, "%s", text);
    if (say_calm(q, run, text, sizeof(text)))
        tell(&t, "%s", text);
    const struct turns_key key = queue_item_key(r);
    size_t position = turns_position(&q->line, &key);
    if (position > 1)
        tell(&t, "%zu run%s before it in turn", position - 1, position == 2 ? " comes" : "s come");
}

size_t queue_before(struct queue *q, int64_t run, int64_t *ids, size_t cap)
{
    struct turns_walk w;
    const struct queue_item *r;
    size_t n = 0;
    turns_walk_begin(&w, &q->line);
    while ((r = turns_walk_next(&w)) != NULL && r->row.id != run) {
        if (n < cap)
            ids[n] = r->row.id;
        n++;
    }
    turns_walk_end(&w);
    return r ? n : 0;
}

/* ---- for the forecast --------------------------------------------------------------------------- */

static void describe(struct queue *q, struct queue_item *r, struct forecast_run *out)
{
    struct err e;
    int64_t now_ns = clock_boot_ns();
    const struct queue_sweep_state *sw = queue_sweep_find(q, r->row.sweep);
    *out = (struct forecast_run){
        .id = r->row.id,
        .uid = r->row.uid,
        .priority = r->row.priority,
        .sweep = r->row.sweep,
        .sweep_most = sw ? sw->max_running : 0,
        .user_most = user_limits_find(&q->cfg.limits, r->row.uid)->max_running,
        .elapsed_ns = -1,
        .share = r->share,
        .gpu_wait_ns = r->gpu_wait_ns ? r->gpu_wait_ns - now_ns : FORECAST_NOT};
    (void)queue_gpus_want(q, r, &out->want);
    base_strcpy(out->label, sizeof(out->label), r->row.label ? r->row.label : "");
    if (queue_item_spec(r, &e) < 0)
        return;
    const struct spec *s = r->spec;
    out->limit_ns = s->time_limit_ns;
    out->pause_ns = s->pause_ns > s->bracket_ns ? s->pause_ns : s->bracket_ns;
    out->argv_hash = forecast_argv(s->argv, s->argc);
}

static bool never_up(struct queue *q, struct queue_item *r)
{
    struct resources_want want;
    gpu_set ignored;
    const struct queue_sweep_state *sw = queue_sweep_find(q, r->row.sweep);
    return (sw && sw->held) || !queue_gpus_want(q, r, &want) ||
           resources_choose(&q->resources, &want, NULL, &ignored) == RESOURCES_GONE;
}

static int refuse(const char *why, struct err *e)
{
    return err_set(e, WATTQ_E_CONFLICT, "%s", why);
}

/* Those that wait, in their order, as far as the forecast goes. */
static int take_line(struct queue *q, int64_t run, struct forecast *f, struct err *e)
{
    struct turns_walk w;
    struct queue_item *r;
    bool found = false;
    size_t n = 0;
    turns_walk_begin(&w, &q->line);
    for (; n < FORECAST_RUNS && (r = turns_walk_next(&w)) != NULL; n++) {
        if (never_up(q, r))
            continue;
        describe(q, r, &f->runs[f->n++]);
        found = found || r->row.id == run;
    }
    turns_walk_end(&w);
    if (found)
        return 0;
    return refuse(
        n == FORECAST_RUNS ? "too many runs come before it" : "as things are it never comes up", e);
}

int queue_forecast(struct queue *q, int64_t run, struct forecast **out, struct err *e)
{
    const struct queue_item *target = queue_item_find(q, run);
    if (!target || target->next != RUN_QUEUED)
        return refuse(target && target->next == RUN_HELD ? "it is held" : "it does not wait", e);
    struct forecast *f = base_alloc(sizeof(*f));
    size_t waiting = q->line.n < FORECAST_RUNS ? q->line.n : FORECAST_RUNS;
    f->runs = base_alloc((q->active.n + waiting + 1) * sizeof(*f->runs));
    for (size_t i = 0; i < q->active.n; i++) {
        struct queue_item *r = q->active.at[i];
        int64_t t0_ns = r->row.t0_ns;
        describe(q, r, &f->runs[f->n]);
        f->runs[f->n++].elapsed_ns = t0_ns != RUN_NONE && t0_ns > 0 ? clock_boot_ns() - t0_ns : 0;
    }
    f->resources = q->resources;
    f->target = run;
    f->parallel = q->cfg.parallel;
    f->idle_ns = clock_boot_ns() - q->idle_since_ns;
    f->pass_ns = QUEUE_PASS_NS;
    turns_remember(&f->line, &q->line);
    int rc = take_line(q, run, f, e);
    if (rc < 0)
        forecast_free(f);
    else
        *out = f;
    return rc;
}
