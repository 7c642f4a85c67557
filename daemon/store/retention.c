#include "daemon/store/retention.h"

#include <stdlib.h>

#include "daemon/store/backup.h"
#include "daemon/store/stmt.h"
#include "daemon/store/tiers.h"

#define SAMPLES_KEPT (INT64_C(1) << 25) /* periods */
#define DAY_NS       (INT64_C(86400) * NS_PER_S)
#define TIER1_KEPT   (30 * DAY_NS)
#define TIER2_KEPT   (5 * 365 * DAY_NS)
#define YOUNG_NS     (3600 * NS_PER_S)
#define AROUND_NS    (60 * NS_PER_S) /* of a run's window: samples that its bounds were made of */
#define VACUUM_PAGES 64

/* A stretch of which the finer chunks may go, because chunk `keeper` stands for them. */
struct span {
    int64_t grp, epoch, boot;
    int finer, coarser; /* tiers */
    int64_t keeper, t0_ns, t1_ns;
    double age; /* as a part of what is kept; > 1: it is old enough */
};

static int64_t kept_ns(int64_t period_ns, int tier)
{
    if (tier == 0)
        return period_ns < INT64_MAX / SAMPLES_KEPT ? period_ns * SAMPLES_KEPT : INT64_MAX;
    return tier == 1 ? TIER1_KEPT : TIER2_KEPT;
}

/* ---- which stretch ------------------------------------------------------------------------------- */

struct chunk_at {
    int64_t epoch, t0_ns, t1_ns, boot;
    bool open; /* its epoch goes on */
};

/* The oldest chunk of that tier from (epoch, t0) on. 1, 0, < 0. */
static int oldest(struct store *s, int64_t grp, int tier, int64_t epoch, int64_t t0_ns,
                  struct chunk_at *out, struct err *e)
{
    STMT_USE(st, s, SPAN_OLDEST);
    stmt_bind_int(st, 1, grp);
    stmt_bind_int(st, 2, tier);
    stmt_bind_int(st, 3, epoch);
    stmt_bind_int(st, 4, t0_ns);
    int rc = stmt_step(st, e);
    if (rc > 0)
        *out = (struct chunk_at){stmt_int(st, 0), stmt_int(st, 1), stmt_int(st, 2), stmt_int(st, 3),
                                 stmt_is_null(st, 4)};
    return rc;
}

/* The coarser chunk over it, into x. 1 = there is one. */
static int cover(struct store *s, const struct chunk_at *c, struct span *x, struct err *e)
{
    STMT_USE(st, s, SPAN_COVER);
    stmt_bind_int(st, 1, x->grp);
    stmt_bind_int(st, 2, x->coarser);
    stmt_bind_int(st, 3, c->epoch);
    stmt_bind_int(st, 4, c->t0_ns);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc;
    x->epoch = c->epoch;
    x->boot = c->boot;
    x->keeper = stmt_int(st, 0);
    x->t0_ns = stmt_int(st, 1);
    x->t1_ns = stmt_int(st, 2);
    return x->t1_ns >= c->t1_ns;
}

static int goes_on(struct store *s, const struct span *x, struct err *e)
{
    STMT_USE(st, s, SPAN_GOES_ON);
    stmt_bind_int(st, 1, x->grp);
    stmt_bind_int(st, 2, x->epoch);
    stmt_bind_int(st, 3, x->t1_ns);
    return stmt_step(st, e);
}

/* The finer chunks of a stretch: ?1 .. ?5 of the SPAN_ statements about them. */
static void bind_span(sqlite3_stmt *st, const struct span *x)
{
    stmt_bind_int(st, 1, x->grp);
    stmt_bind_int(st, 2, x->finer);
    stmt_bind_int(st, 3, x->epoch);
    stmt_bind_int(st, 4, x->t0_ns);
    stmt_bind_int(st, 5, x->t1_ns);
}

/* Does something finer still stand for a part of it? */
static int has_finer(struct store *s, const struct span *x, struct err *e)
{
    STMT_USE(st, s, SPAN_FINER);
    bind_span(st, x);
    return stmt_step(st, e);
}

static int is_wanted(struct store *s, const struct span *x, struct err *e)
{
    STMT_USE(st, s, SPAN_WANTED);
    stmt_bind_int(st, 1, x->boot);
    stmt_bind_int(st, 2, x->t0_ns - AROUND_NS);
    stmt_bind_int(st, 3, x->t1_ns + AROUND_NS);
    int rc = stmt_step(st, e);
    return rc > 0 ? stmt_int(st, 0) != 0 : rc;
}

/* May this stretch go? 1, 0, < 0. */
static int may_go(struct store *s, const struct chunk_at *c, const struct span *x, struct err *e)
{
    int rc = is_wanted(s, x, e);
    if (rc == 0)
        rc = has_finer(s, x, e);
    if (rc)
        return rc < 0 ? rc : 0;
    return c->open ? goes_on(s, x, e) : 1;
}

/* The oldest stretch of one group and tier that may go. 1 = x is it; 0 = there is none. */
static int find_in(struct store *s, struct span *x, struct err *e)
{
    int64_t epoch = -1, t0_ns = -1;
    for (;;) {
        struct chunk_at c;
        int rc = oldest(s, x->grp, x->finer, epoch, t0_ns, &c, e);
        if (rc <= 0)
            return rc;
        int covered = cover(s, &c, x, e);
        rc = covered > 0 ? may_go(s, &c, x, e) : covered;
        if (rc)
            return rc;
        epoch = c.epoch;
        t0_ns = covered ? x->t1_ns : c.t0_ns + 1;
        if (t0_ns <= c.t0_ns)
            t0_ns = c.t0_ns + 1;
    }
}

/* -1 = too young, or nobody knows how old. */
static double age_of(struct store *s, const struct span *x, int64_t period_ns, int64_t utc_ns)
{
    int64_t then = store_utc_of(s, x->boot, x->t1_ns);
    if (then < 0 || utc_ns - then < YOUNG_NS)
        return -1;
    return (double)(utc_ns - then) / (double)kept_ns(period_ns, x->finer);
}

static int find(struct store *s, const struct retention_ask *ask, struct span *out, struct err *e)
{
    struct tiers_group *groups CLEANUP(base_freep) = NULL;
    size_t n = 0;
    int rc = tiers_groups(s, &groups, &n, e);
    out->age = -1;
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        int coarser, finer = 0;
        for (; rc >= 0 && (coarser = tiers_coarser(groups[i].period_ns, finer)); finer = coarser) {
            struct span x = {.grp = groups[i].id, .finer = finer, .coarser = coarser};
            rc = find_in(s, &x, e);
            if (rc > 0)
                x.age = age_of(s, &x, groups[i].period_ns, ask->utc_ns);
            if (rc > 0 && x.age > out->age)
                *out = x;
        }
    }
    return rc < 0 ? rc : out->age >= 0;
}

/* ---- its end ------------------------------------------------------------------------------------- */

/* The heads of one channel become one. */
struct merged {
    int64_t channel, t0_ns, e1_uj, valid, min, max;
};

static void take_head(struct merged *m, sqlite3_stmt *st)
{
    int64_t min = stmt_opt(st, 4), max = stmt_opt(st, 5);
    m->e1_uj = stmt_int(st, 2);
    m->valid += stmt_int(st, 3);
    if (min != STMT_NULL && (m->min == STMT_NULL || min < m->min))
        m->min = min;
    if (max != STMT_NULL && (m->max == STMT_NULL || max > m->max))
        m->max = max;
}

static int read_heads(struct store *s, const struct span *x, struct merged **out, size_t *n,
                      struct err *e)
{
    struct merged *all = NULL;
    size_t cap = 0;
    int rc;
    *n = 0;
    STMT_USE(st, s, SPAN_HEADS);
    bind_span(st, x);
    while ((rc = stmt_step(st, e)) > 0) {
        int64_t channel = stmt_int(st, 0);
        if (*n == 0 || all[*n - 1].channel != channel) {
            if (*n == cap) {
                cap = cap ? cap * 2 : 32;
                struct merged *more = reallocarray(all, cap, sizeof(*all));
                if (!more) {
                    rc = err_set(e, WATTQ_E_STORAGE, "no memory for thinning samples");
                    break;
                }
                all = more;
            }
            all[(*n)++] = (struct merged){
                .channel = channel, .t0_ns = stmt_int(st, 1), .min = STMT_NULL, .max = STMT_NULL};
        }
        take_head(&all[*n - 1], st);
    }
    *out = all;
    return rc;
}

static int write_head(struct store *s, const struct span *x, const struct merged *m, struct err *e)
{
    STMT_USE(st, s, HEAD_MERGE);
    stmt_bind_int(st, 1, m->channel);
    stmt_bind_int(st, 2, x->boot);
    stmt_bind_int(st, 3, m->t0_ns);
    stmt_bind_int(st, 4, x->t0_ns);
    stmt_bind_int(st, 5, x->t1_ns);
    stmt_bind_int(st, 6, x->keeper);
    stmt_bind_int(st, 7, m->e1_uj);
    stmt_bind_int(st, 8, m->valid);
    stmt_bind_opt(st, 9, m->min);
    stmt_bind_opt(st, 10, m->max);
    return stmt_run(st, e);
}

/* The other heads go with their chunks. */
static int delete_finer(struct store *s, const struct span *x, struct err *e)
{
    STMT_USE(st, s, SPAN_DELETE);
    bind_span(st, x);
    return stmt_run(st, e);
}

/* Where the clocks ran alike one pair of them says it all; a millisecond is less than they say. */
static int thin_anchors(struct store *s, const struct span *x, struct err *e)
{
    STMT_USE(st, s, ANCHOR_THIN);
    stmt_bind_int(st, 1, x->boot);
    stmt_bind_int(st, 2, x->t0_ns);
    stmt_bind_int(st, 3, x->t1_ns);
    return stmt_run(st, e);
}

static int replace(struct store *s, const struct span *x, struct err *e)
{
    struct merged *heads CLEANUP(base_freep) = NULL;
    size_t n = 0;
    int rc = read_heads(s, x, &heads, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = write_head(s, x, &heads[i], e);
    if (rc == 0)
        rc = delete_finer(s, x, e);
    return rc ? rc : thin_anchors(s, x, e);
}

/* ---- a step -------------------------------------------------------------------------------------- */

static int measure(struct store *s, struct retention_state *out, struct err *e)
{
    int64_t pages = 0, empty = 0;
    int rc = stmt_ask_int(s, "PRAGMA page_count", &pages, e);
    if (rc == 0)
        rc = stmt_ask_int(s, "PRAGMA freelist_count", &empty, e);
    *out = (struct retention_state){.used_bytes = (pages - empty) * STORE_PAGE_BYTES,
                                    .file_bytes = pages * STORE_PAGE_BYTES};
    return rc;
}

static int end_transaction(struct store *s, int rc, struct err *e)
{
    if (rc >= 0) {
        int committed = store_commit(s, e);
        rc = committed ? committed : rc;
    }
    if (rc < 0)
        store_rollback(s);
    return rc;
}

static int thin_out(struct store *s, const struct span *x, struct err *e)
{
    int rc = store_begin(s, false, e);
    return rc ? rc : end_transaction(s, replace(s, x, e), e);
}

static int give_back(struct store *s, struct err *e)
{
    int rc = store_begin(s, false, e);
    return rc ? rc : end_transaction(s, compact_step(s, VACUUM_PAGES, e), e);
}

int retention_step(struct store *s, const struct retention_ask *ask, struct retention_state *out,
                   struct err *e)
{
    struct span x = {.age = -1};
    int rc = measure(s, out, e);
    if (rc == 0)
        rc = find(s, ask, &x, e);
    if (rc < 0)
        return rc;
    bool full = ask->budget_bytes > 0 && out->used_bytes > ask->budget_bytes / 100 * 97;
    if (rc > 0 && (full || x.age > 1)) {
        rc = thin_out(s, &x, e);
        return rc < 0 ? rc : 1;
    }
    out->over = full && out->used_bytes > ask->budget_bytes;
    if (ask->budget_bytes > 0 && out->file_bytes > ask->budget_bytes &&
        out->used_bytes < out->file_bytes)
        return give_back(s, e);
    return 0;
}
