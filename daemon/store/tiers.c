#include "daemon/store/tiers.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/store/rows.h"
#include "daemon/store/stmt.h"
#include "daemon/store/thin.h"

#define INTERVALS_MIN 128 /* of a chunk: its heads take as much as 30 intervals */
#define DENSITY_MIN   16  /* ticks of an interval: with fewer, thinning saves too little */
#define SPAN_MAX      64  /* chunks that become one */

static const int64_t interval_ns[TIERS + 1] = {0, NS_PER_S, 60 * NS_PER_S, 3600 * NS_PER_S};

int64_t tiers_interval_ns(int tier)
{
    return interval_ns[tier];
}

bool tiers_has(int64_t period_ns, int tier)
{
    return period_ns > 0 && period_ns <= interval_ns[tier] / DENSITY_MIN;
}

int tiers_finer(int64_t period_ns, int tier)
{
    do
        tier--;
    while (tier > 0 && !tiers_has(period_ns, tier));
    return tier;
}

int tiers_coarser(int64_t period_ns, int tier)
{
    do
        tier++;
    while (tier <= TIERS && !tiers_has(period_ns, tier));
    return tier <= TIERS ? tier : 0;
}

int tiers_for(int64_t pixel_ns)
{
    int tier = TIERS;
    while (tier > 0 && interval_ns[tier] > pixel_ns)
        tier--;
    return tier;
}

int tiers_groups(struct store *s, struct tiers_group **out, size_t *n, struct err *e)
{
    struct tiers_group *rows = NULL;
    size_t cap = 0;
    int rc;
    *n = 0;
    STMT_USE(st, s, TIER_GROUPS);
    while ((rc = stmt_step(st, e)) > 0) {
        if (*n == cap) {
            cap = cap ? cap * 2 : 16;
            struct tiers_group *more = reallocarray(rows, cap, sizeof(*rows));
            if (!more) {
                rc = err_set(e, WATTQ_E_STORAGE, "no memory for the list of groups");
                break;
            }
            rows = more;
        }
        rows[(*n)++] =
            (struct tiers_group){stmt_int(st, 0), stmt_int(st, 1), (uint32_t)stmt_int(st, 2)};
    }
    if (rc < 0) {
        free(rows);
        rows = NULL;
        *n = 0;
    }
    *out = rows;
    return rc;
}

/* ---- what becomes one chunk ---------------------------------------------------------------------- */

struct span {
    struct store *store;
    const struct tiers_group *group;
    int tier;
    int64_t epoch, boot;
    bool over; /* nothing comes to this epoch any more */
    int64_t t0_ns, t1_ns;
    struct codec_view view[SPAN_MAX];
    uint8_t *data[SPAN_MAX];
    size_t n;
    uint32_t ticks;
};

static void span_fini(struct span *x)
{
    for (size_t i = 0; i < x->n; i++) {
        codec_close(&x->view[i]);
        free(x->data[i]);
    }
    x->n = 0;
}

struct source {
    int64_t id, epoch, t0_ns, t1_ns, ticks, boot;
    bool open; /* the epoch goes on */
};

static int next_source(struct span *x, int from_tier, int64_t epoch, int64_t t0_ns, int64_t t1_ns,
                       struct source *out, struct err *e)
{
    STMT_USE(st, x->store, TIER_SOURCE);
    stmt_bind_int(st, 1, x->group->id);
    stmt_bind_int(st, 2, from_tier);
    stmt_bind_int(st, 3, epoch);
    stmt_bind_int(st, 4, t0_ns);
    stmt_bind_int(st, 5, t1_ns);
    int rc = stmt_step(st, e);
    if (rc > 0)
        *out =
            (struct source){stmt_int(st, 0), stmt_int(st, 1), stmt_int(st, 2),    stmt_int(st, 3),
                            stmt_int(st, 4), stmt_int(st, 5), stmt_is_null(st, 6)};
    return rc;
}

/* A copy of one blob: several are open at once, and a reader's cache is not for this. */
static int open_source(struct span *x, const struct source *c, struct err *e)
{
    size_t bytes = 0;
    STMT_USE(st, x->store, CHUNK_BLOB);
    stmt_bind_int(st, 1, c->id);
    int rc = stmt_step(st, e);
    if (rc < 0)
        return rc;
    const void *blob = rc > 0 ? stmt_blob(st, 0, &bytes) : NULL;
    if (!blob)
        return err_set(e, WATTQ_E_CORRUPT, "a chunk of samples is empty");
    struct codec_view *v = &x->view[x->n];
    uint8_t *copy = malloc(bytes);
    if (!copy)
        return err_set(e, WATTQ_E_STORAGE, "no memory for thinning samples");
    memcpy(copy, blob, bytes);
    rc = codec_open(v, copy, bytes, e);
    if (rc == 0 && (v->n != c->ticks || thin_channels(v) != x->group->channels ||
                    codec_time(v, 0) != c->t0_ns || codec_time(v, v->n - 1) != c->t1_ns ||
                    !codec_is_sound(v))) {
        codec_close(v);
        rc = err_set(e, WATTQ_E_CORRUPT, "a chunk of samples is not that of its row");
    }
    if (rc) {
        free(copy);
        return rc;
    }
    x->data[x->n++] = copy;
    return 0;
}

static bool is_enough(const struct span *x)
{
    return x->t1_ns - x->t0_ns >= INTERVALS_MIN * interval_ns[x->tier];
}

/* May this one be joined to those before it? A damaged one between them stays a hole in all tiers. */
static bool fits(const struct span *x, const struct source *c)
{
    return x->n == 0 || (c->epoch == x->epoch && c->t0_ns == x->t1_ns && x->n < SPAN_MAX &&
                         x->ticks + (uint32_t)c->ticks <= CODEC_TICKS_MAX);
}

static int join(struct span *x, const struct source *c, struct err *e)
{
    int rc = open_source(x, c, e);
    if (rc)
        return rc;
    if (x->n == 1) {
        x->epoch = c->epoch;
        x->boot = c->boot;
        x->t0_ns = c->t0_ns;
    }
    x->t1_ns = c->t1_ns;
    x->ticks += (uint32_t)c->ticks;
    return 0;
}

/* The chunks behind (epoch, t_ns) that become the next one. 1 = there is one to make; 0 = not yet. A damaged chunk
 * is left as it is, and what is kept of others ends before it. */
static int gather(struct span *x, int64_t epoch, int64_t t_ns, struct err *e)
{
    int from_tier = tiers_finer(x->group->period_ns, x->tier);
    int64_t after_t0 = t_ns, after_t1 = t_ns;
    while (!is_enough(x)) {
        struct source c;
        int rc = next_source(x, from_tier, epoch, after_t0, after_t1, &c, e);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return x->n > 0 && x->over;
        if (!fits(x, &c))
            return 1;
        struct err why = {0};
        rc = join(x, &c, &why);
        if (rc == WATTQ_E_CORRUPT && x->n > 0)
            return 1;
        if (rc < 0 && rc != WATTQ_E_CORRUPT) {
            *e = why;
            return rc;
        }
        epoch = c.epoch;
        after_t0 = c.t0_ns + 1;
        after_t1 = c.t1_ns;
        x->over = !c.open;
    }
    return 1;
}

/* ---- the chunk ----------------------------------------------------------------------------------- */

/* Where a channel's curve stands at the first tick, or at its first sample after that. */
static int start_of(const struct span *x, int64_t channel, struct walk_rule *rule,
                    struct walk_state *start, struct err *e)
{
    struct rows_begin b;
    struct rows_head h;
    *start = (struct walk_state){.last_ns = WALK_NONE};
    int rc = rows_begin_at(x->store, channel, x->boot, x->t1_ns, &b, e);
    if (rc || b.epoch != x->epoch)
        return rc < 0 ? rc : 0;
    *rule = b.rule;
    *start = b.state;
    rc = rows_head_in(x->store, &b, x->t0_ns, &h, e);
    if (rc == 0 && h.t0_ns == x->t0_ns && h.begun) {
        if (!rows_state_ok(rule, &h.state))
            return err_set(e, WATTQ_E_CORRUPT, "a row of the table 'head' is damaged");
        *start = h.state;
    }
    return rc < 0 ? rc : 0;
}

/* Channels of the group by slot, with their rules and states. */
static int find_starts(const struct span *x, struct walk_rule *rules, struct walk_state *starts,
                       struct err *e)
{
    int64_t *ids CLEANUP(base_freep) = base_alloc(x->group->channels * sizeof(*ids));
    {
        int rc;
        STMT_USE(st, x->store, GRP_SLOTS);
        stmt_bind_int(st, 1, x->group->id);
        while ((rc = stmt_step(st, e)) > 0) {
            int64_t slot = stmt_int(st, 0);
            enum channel_kind kind;
            if (slot < 0 || slot >= x->group->channels || !rows_kind(stmt_text(st, 2), &kind))
                return err_set(e, WATTQ_E_CORRUPT, "a row of the table 'grp_slot' is damaged");
            ids[slot] = stmt_int(st, 1);
            rules[slot] = (struct walk_rule){kind, walk_stall_ns(x->group->period_ns)};
        }
        if (rc < 0)
            return rc;
    }
    for (uint32_t slot = 0; slot < x->group->channels; slot++) {
        int rc = start_of(x, ids[slot], &rules[slot], &starts[slot], e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int insert(const struct span *x, const void *blob, size_t bytes, struct err *e)
{
    struct codec_view v CLEANUP(codec_close) = {0};
    int rc = codec_open(&v, blob, bytes, e);
    if (rc == 0)
        rc = store_begin(x->store, false, e);
    if (rc)
        return rc;
    {
        STMT_USE(st, x->store, CHUNK_INSERT);
        stmt_bind_int(st, 1, x->group->id);
        stmt_bind_int(st, 2, x->epoch);
        stmt_bind_int(st, 3, x->t0_ns);
        stmt_bind_int(st, 4, x->t1_ns);
        stmt_bind_int(st, 5, v.n);
        stmt_bind_blob(st, 6, blob, bytes);
        stmt_bind_int(st, 7, x->tier);
        rc = stmt_run(st, e);
    }
    if (rc == 0)
        rc = store_commit(x->store, e);
    if (rc)
        store_rollback(x->store);
    return rc;
}

static int make_chunk(struct span *x, struct err *e)
{
    uint8_t *blob CLEANUP(base_freep) = NULL;
    size_t bytes = 0;
    uint32_t n = x->group->channels;
    struct walk_rule *rules CLEANUP(base_freep) = base_alloc(n * sizeof(*rules));
    struct walk_state *starts CLEANUP(base_freep) = base_alloc(n * sizeof(*starts));
    int rc = find_starts(x, rules, starts, e);
    if (rc)
        return rc;
    const struct thin_job job = {.blocks = x->view,
                                 .n = x->n,
                                 .interval_ns = interval_ns[x->tier],
                                 .channels = n,
                                 .rules = rules,
                                 .starts = starts};
    rc = thin_build(&job, &blob, &bytes, e);
    return rc ? rc : insert(x, blob, bytes, e);
}

/* ---- which is due -------------------------------------------------------------------------------- */

/* Up to where that tier has been made. */
static int made_until(struct store *s, const struct tiers_group *g, int tier, int64_t *epoch,
                      int64_t *t_ns, struct err *e)
{
    STMT_USE(st, s, TIER_LAST);
    stmt_bind_int(st, 1, g->id);
    stmt_bind_int(st, 2, tier);
    int rc = stmt_step(st, e);
    *epoch = rc > 0 ? stmt_int(st, 0) : -1;
    *t_ns = rc > 0 ? stmt_int(st, 1) : -1;
    return rc < 0 ? rc : 0;
}

/* 1 = made one. */
static int build_one(struct store *s, const struct tiers_group *g, int tier, struct err *e)
{
    int64_t epoch, t_ns;
    int rc = made_until(s, g, tier, &epoch, &t_ns, e);
    if (rc)
        return rc;
    struct span *x = base_alloc(sizeof(*x));
    *x = (struct span){.store = s, .group = g, .tier = tier};
    rc = gather(x, epoch, t_ns, e);
    if (rc > 0) {
        rc = make_chunk(x, e);
        rc = rc ? rc : 1;
    }
    span_fini(x);
    free(x);
    return rc;
}

int tiers_build(struct store *s, const struct tiers_group *g, bool (*more)(void *arg), void *arg,
                struct err *e)
{
    if (g->channels == 0 || g->channels > CODEC_CHANNELS_MAX / 3)
        return 0;
    for (int tier = 1; tier <= TIERS; tier++) {
        int rc = tiers_has(g->period_ns, tier) ? 1 : 0;
        while (rc > 0 && (rc = build_one(s, g, tier, e)) > 0)
            if (!more(arg))
                return 1;
        if (rc < 0)
            return rc;
    }
    return 0;
}
