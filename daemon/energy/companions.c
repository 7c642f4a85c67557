#include "daemon/energy/companions.h"

#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/meter/throttle.h"
#include "daemon/store/curve.h"

#define NO_TIME INT64_MIN

/* ---- arithmetic ---------------------------------------------------------------------------------- */

enum companion_kind companion_kind_of(const char *unit)
{
    if (strcmp(unit, "mask") == 0)
        return COMPANION_MASK;
    return strcmp(unit, "n") == 0 || strcmp(unit, "ms") == 0 ? COMPANION_COUNT : COMPANION_LEVEL;
}

void companion_begin(struct companion_sum *x, const char *unit, int64_t t0_ns, int64_t t1_ns,
                     int64_t stall_ns)
{
    *x = (struct companion_sum){.kind = companion_kind_of(unit),
                                .in_ms = strcmp(unit, "ms") == 0,
                                .t0_ns = t0_ns,
                                .t1_ns = t1_ns,
                                .stall_ns = stall_ns,
                                .prev_ns = NO_TIME};
}

/* A value that held inside, or was read there. */
static void see(struct companion_sum *x, int64_t value)
{
    struct companion *c = &x->c;
    if (!x->any) {
        c->first = c->min = c->max = value;
        x->any = true;
    }
    c->last = value;
    c->min = value < c->min ? value : c->min;
    c->max = value > c->max ? value : c->max;
    c->bits |= value;
}

/* The newest reading held until `to`. */
static void hold(struct companion_sum *x, int64_t to_ns)
{
    int64_t a = x->prev_ns > x->t0_ns ? x->prev_ns : x->t0_ns;
    int64_t b = to_ns < x->t1_ns ? to_ns : x->t1_ns;
    if (b <= a)
        return;
    see(x, x->prev_value);
    x->c.known_ns += b - a;
    x->sum += (companion_wide)x->prev_value * (b - a);
    x->c.limited_ns += x->prev_value & THROTTLE_LIMITED ? b - a : 0;
    x->c.capped_ns += x->prev_value & THROTTLE_POWER_CAP ? b - a : 0;
}

static bool holds(const struct companion_sum *x, int64_t to_ns, bool failed)
{
    return x->prev_ns != NO_TIME && !failed && to_ns - x->prev_ns <= x->stall_ns;
}

void companion_take(struct companion_sum *x, int64_t t_ns, int64_t value, bool failed)
{
    bool inside = t_ns >= x->t0_ns && t_ns < x->t1_ns;
    bool joined = holds(x, t_ns, failed);
    if (joined)
        hold(x, t_ns);
    /* A count goes on over a gap, but what it gained in one that began before the window is not the window's. */
    bool from_inside = x->prev_ns != NO_TIME && (joined || x->prev_ns >= x->t0_ns);
    if (inside && from_inside && value > x->prev_value)
        x->c.gained += value - x->prev_value;
    if (inside) {
        see(x, value);
        x->c.samples++;
    }
    x->prev_ns = t_ns;
    x->prev_value = value;
}

static int64_t mean_of(const struct companion_sum *x)
{
    companion_wide twice = 2 * x->sum + x->c.known_ns;
    companion_wide by = 2 * (companion_wide)x->c.known_ns;
    companion_wide q = twice / by;
    return (int64_t)(twice % by < 0 ? q - 1 : q);
}

static int64_t ms_to_ns(int64_t ms)
{
    return ms > INT64_MAX / NS_PER_MS ? INT64_MAX : ms * NS_PER_MS;
}

bool companion_end(struct companion_sum *x, bool failed, struct companion *out)
{
    struct companion *c = &x->c;
    if (holds(x, x->t1_ns, failed))
        hold(x, x->t1_ns);
    if (!x->any)
        return false;
    c->mean = c->known_ns > 0 ? mean_of(x) : COMPANION_NONE;
    if (x->kind != COMPANION_LEVEL)
        c->min = c->mean = c->max = COMPANION_NONE;
    if (x->kind != COMPANION_COUNT)
        c->gained = COMPANION_NONE;
    if (x->kind != COMPANION_MASK)
        c->bits = c->limited_ns = c->capped_ns = COMPANION_NONE;
    if (x->in_ms)
        c->limited_ns = ms_to_ns(c->gained);
    *out = *c;
    return true;
}

/* ---- reading ------------------------------------------------------------------------------------- */

/* Samples that may still be walked, over all channels. */
struct walk_budget {
    int64_t left;
};

/* One epoch from where the cursor stands. 1 = the budget is spent. */
static int sum_epoch(struct companion_sum *x, struct curve *c, bool *failed,
                     struct walk_budget *budget, struct err *e)
{
    if (x->prev_ns == NO_TIME || c->state.last_ns > x->prev_ns)
        companion_take(x, c->state.last_ns, c->state.last_value, false);
    while (x->prev_ns < x->t1_ns) {
        struct walk_piece p[2];
        int n;
        bool before = c->state.failed;
        int rc = curve_next(c, p, &n, e);
        if (rc <= 0)
            return rc;
        if (budget->left-- <= 0)
            return 1;
        if (c->state.last_ns > x->prev_ns)
            companion_take(x, c->state.last_ns, c->state.last_value, before);
        *failed = c->state.failed;
    }
    return 0;
}

/* 0; 1 = the budget is spent; < 0. */
static int sum_all(struct companion_sum *x, struct store *s, int64_t channel, int64_t boot,
                   bool *failed, struct walk_budget *budget, struct err *e)
{
    struct curve c CLEANUP(curve_close) = {0};
    struct rows_begin next;
    int64_t from = x->t0_ns;
    int rc = rows_begin_at(s, channel, boot, from, &next, e);
    if (rc == 1)
        rc = rows_begin_after(s, channel, boot, from, &next, e);
    while (rc == 0 && next.state.last_ns < x->t1_ns) {
        if (next.state.last_ns > from)
            from = next.state.last_ns;
        x->stall_ns = next.rule.stall_ns;
        curve_close(&c);
        rc = curve_open(&c, s, channel, boot, from, e);
        if (rc == 0)
            rc = sum_epoch(x, &c, failed, budget, e);
        if (rc > 0)
            return 1;
        if (rc == 0)
            rc = rows_begin_after(s, channel, boot, c.state.last_ns, &next, e);
    }
    if (rc == 0 && x->prev_ns != NO_TIME &&
        x->prev_ns < x->t1_ns) /* the next one, in a later epoch */
        companion_take(x, next.state.last_ns, next.state.last_value, false);
    return rc < 0 ? rc : 0;
}

static bool explains(const struct channel_row *ch)
{
    return ch->kind == CHANNEL_COMPANION && strcmp(ch->unit, "uJ") != 0;
}

static int add_one(struct store *s, const struct energy_window *w, const struct channel_row *ch,
                   struct companions *out, struct walk_budget *budget, struct err *e)
{
    struct companion_sum x;
    bool failed = false;
    companion_begin(&x, ch->unit, w->t0_ns, w->t1_ns, 0);
    int rc = sum_all(&x, s, ch->id, w->boot, &failed, budget, e);
    if (rc == WATTQ_E_CORRUPT)
        return 0; /* a damaged block: what is known of it would be a part only */
    if (rc < 0)
        return rc;
    if (rc > 0)
        out->skipped++;
    else if (companion_end(&x, failed, &out->at[out->n]))
        out->channels[out->n++] = *ch;
    return 0;
}

int companions_of_window(struct store *s, const struct energy_window *w, struct companions *out,
                         struct err *e)
{
    struct channel_row *all CLEANUP(base_freep) = NULL;
    struct walk_budget budget = {.left = COMPANIONS_SAMPLES_MAX};
    size_t n = 0;
    *out = (struct companions){0};
    int rc = samples_channels(s, &all, &n, e);
    if (rc < 0)
        return rc;
    out->channels = base_alloc((n + 1) * sizeof(*out->channels));
    out->at = base_alloc((n + 1) * sizeof(*out->at));
    for (int levels = 0; levels < 2; levels++)
        for (size_t i = 0; rc == 0 && i < n; i++)
            if (explains(&all[i]) && levels == (companion_kind_of(all[i].unit) == COMPANION_LEVEL))
                rc = add_one(s, w, &all[i], out, &budget, e);
    return rc;
}

void companions_fini(struct companions *c)
{
    free(c->channels);
    free(c->at);
    *c = (struct companions){0};
}

/* ---- flags --------------------------------------------------------------------------------------- */

/* More than the share that is worth a flag. */
static bool notable(int64_t part_ns, int64_t known_ns)
{
    return part_ns > units_muldiv_floor(known_ns, COMPANION_SHARE_PPM, 1000000);
}

static bool same_device(const struct channel_row *a, const struct channel_row *b)
{
    return a->device[0] && strcmp(a->device, b->device) == 0;
}

/* Do both uids name one thing, but for their last part? */
static bool same_stem(const struct channel_row *a, const struct channel_row *b)
{
    const char *slash = strrchr(a->uid, '/');
    size_t n = slash ? (size_t)(slash - a->uid) + 1 : 0;
    return n > 0 && strncmp(a->uid, b->uid, n) == 0 && !strchr(b->uid + n, '/');
}

/* Another channel of the device of i, with that unit; NULL = there is none. */
static const struct companion *beside(const struct companions *c, size_t i, const char *unit)
{
    for (size_t k = 0; k < c->n; k++)
        if (k != i && strcmp(c->channels[k].unit, unit) == 0 &&
            same_device(&c->channels[k], &c->channels[i]))
            return &c->at[k];
    return NULL;
}

bool companions_throttled(const struct companions *c, size_t i)
{
    const struct companion *x = &c->at[i];
    if (x->limited_ns != COMPANION_NONE)
        return notable(x->limited_ns, x->known_ns);
    if (strcmp(c->channels[i].unit, "n") != 0 || x->gained <= 0)
        return false;
    for (size_t k = 0; k < c->n; k++)
        if (strcmp(c->channels[k].unit, "ms") == 0 && same_stem(&c->channels[i], &c->channels[k]))
            return c->at[k].gained == 0;
    return true;
}

bool companions_capped(const struct companions *c, size_t i)
{
    const struct companion *x = &c->at[i];
    const struct channel_row *ch = &c->channels[i];
    if (x->capped_ns != COMPANION_NONE)
        return notable(x->capped_ns, x->known_ns);
    if (strcmp(ch->unit, "uW") != 0 || beside(c, i, "mask"))
        return false;
    bool below = ch->pmax_uw > 0 && x->min < ch->pmax_uw - ch->pmax_uw / 100;
    return below || x->min != x->max;
}

static void flag_device(const struct companions *c, size_t i, struct energy_set *set,
                        const char *word)
{
    energy_flag(&set->total, word);
    for (size_t k = 0; k < set->n; k++)
        if (same_device(&set->channels[k], &c->channels[i]))
            energy_flag(&set->figures[k], word);
}

void companions_flag(const struct companions *c, struct energy_set *set)
{
    for (size_t i = 0; i < c->n; i++) {
        if (companions_throttled(c, i))
            flag_device(c, i, set, "throttled");
        if (companions_capped(c, i))
            flag_device(c, i, set, "power_capped");
    }
}
