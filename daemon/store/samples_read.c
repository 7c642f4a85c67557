#include <stdlib.h>
#include <string.h>

#include "daemon/store/blocks.h"
#include "daemon/store/opinions.h"
#include "daemon/store/rows.h"
#include "daemon/store/samples_internal.h"
#include "daemon/store/stmt.h"
#include "daemon/store/thin.h"

/* ---- channels ----------------------------------------------------------------------------------- */

/* The value whose name this is; -1 = none of them. */
static int parse_name(const char *name, const char *(*name_of)(int), int count)
{
    for (int i = 0; i < count; i++)
        if (name && strcmp(name, name_of(i)) == 0)
            return i;
    return -1;
}

static const char *kind_name(int i)
{
    return channel_kind_name((enum channel_kind)i);
}

static const char *quality_name(int i)
{
    return channel_quality_name((enum channel_quality)i);
}

static const char *scope_name(int i)
{
    return channel_scope_name((enum channel_scope)i);
}

static int64_t or_zero(sqlite3_stmt *st, int col)
{
    return stmt_is_null(st, col) ? 0 : stmt_int(st, col);
}

static void copy_text(char *dst, size_t cap, sqlite3_stmt *st, int col)
{
    const char *s = stmt_text(st, col);
    base_strcpy(dst, cap, s ? s : "");
}

static int read_channel(sqlite3_stmt *st, struct channel_row *c, struct err *e)
{
    memset(c, 0, sizeof(*c));
    c->id = stmt_int(st, 0);
    copy_text(c->uid, sizeof(c->uid), st, 1);
    copy_text(c->label, sizeof(c->label), st, 2);
    copy_text(c->unit, sizeof(c->unit), st, 3);
    copy_text(c->source, sizeof(c->source), st, 4);
    copy_text(c->covers, sizeof(c->covers), st, 5);
    int kind = parse_name(stmt_text(st, 6), kind_name, CHANNEL_CPU_TIME + 1);
    int quality = parse_name(stmt_text(st, 7), quality_name, QUALITY_NONE + 1);
    int scope = parse_name(stmt_text(st, 8), scope_name, SCOPE_OTHER + 1);
    if (kind < 0 || quality < 0 || scope < 0)
        return err_set(e, WATTQ_E_CORRUPT, "channel '%s' has an unknown kind, quality or scope",
                       c->label);
    c->kind = (enum channel_kind)kind;
    c->quality = (enum channel_quality)quality;
    c->scope = (enum channel_scope)scope;
    c->quantum = stmt_int(st, 9);
    c->wrap_uj = or_zero(st, 10);
    c->period_ns = stmt_int(st, 11);
    c->period_learned_ns = or_zero(st, 12);
    c->period_declared = stmt_int(st, 13) != 0;
    c->lag_ns = stmt_int(st, 14);
    c->box_ns = stmt_int(st, 15);
    c->pmax_uw = or_zero(st, 16);
    c->accuracy_ppm = or_zero(st, 17);
    c->parent = or_zero(st, 18);
    c->mirror_of = or_zero(st, 19);
    copy_text(c->device, sizeof(c->device), st, 20);
    copy_text(c->driver, sizeof(c->driver), st, 21);
    copy_text(c->firmware, sizeof(c->firmware), st, 22);
    c->quantum_learned = or_zero(st, 23);
    c->lag_learned_ns = stmt_is_null(st, 24) ? -1 : stmt_int(st, 24);
    return 0;
}

int samples_channels(struct store *s, struct channel_row **out, size_t *n, struct err *e)
{
    struct channel_row *rows = NULL;
    size_t cap = 0;
    int rc;
    *out = NULL;
    *n = 0;
    STMT_USE(st, s, CHANNEL_ALL);
    while ((rc = stmt_step(st, e)) > 0) {
        if (*n == cap) {
            cap = cap ? cap * 2 : 32;
            struct channel_row *more = reallocarray(rows, cap, sizeof(*rows));
            if (!more) {
                rc = err_set(e, WATTQ_E_STORAGE, "no memory for the list of channels");
                break;
            }
            rows = more;
        }
        rc = read_channel(st, &rows[*n], e);
        if (rc)
            break;
        (*n)++;
    }
    if (rc < 0) {
        free(rows);
        *n = 0;
        return rc;
    }
    *out = rows;
    return 0;
}

int samples_channel(struct store *s, int64_t id, struct channel_row *out, struct err *e)
{
    STMT_USE(st, s, CHANNEL_GET);
    stmt_bind_int(st, 1, id);
    int rc = stmt_step(st, e);
    if (rc == 0)
        return err_set(e, WATTQ_E_NOT_FOUND, "there is no channel %lld", (long long)id);
    return rc < 0 ? rc : read_channel(st, out, e);
}

int samples_learned(struct store *s, int64_t channel, const struct samples_learned *x,
                    struct err *e)
{
    STMT_USE(st, s, CHANNEL_LEARNED);
    stmt_bind_int(st, 1, channel);
    stmt_bind_opt(st, 2, x->period_ns > 0 ? x->period_ns : STMT_NULL);
    stmt_bind_opt(st, 3, x->quantum > 0 ? x->quantum : STMT_NULL);
    stmt_bind_opt(st, 4, x->lag_ns >= 0 ? x->lag_ns : STMT_NULL);
    return stmt_run(st, e);
}

int samples_doubt(struct store *s, int64_t channel, int64_t t_ns, const char *kind,
                  const char *text, struct err *e)
{
    return opinions_note(s, channel, t_ns, kind, text, 0, e);
}

/* What it was, into old; 0. */
static int read_driver(struct store *s, int64_t channel, struct channel_desc *old, struct err *e)
{
    STMT_USE(st, s, CHANNEL_DRIVER);
    stmt_bind_int(st, 1, channel);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : err_set(e, WATTQ_E_INTERNAL, "a channel has no row");
    copy_text(old->driver, sizeof(old->driver), st, 0);
    copy_text(old->firmware, sizeof(old->firmware), st, 1);
    return 0;
}

int samples_identity(struct store *s, int64_t channel, int64_t t_ns, const struct channel_desc *d,
                     struct err *e)
{
    struct channel_desc old = {.driver = ""};
    int rc = read_driver(s, channel, &old, e);
    if (rc || (!strcmp(old.driver, d->driver) && !strcmp(old.firmware, d->firmware)))
        return rc;
    bool known = old.driver[0] || old.firmware[0]; /* told for the first time: nothing changed */
    if (known) {
        char text[320];
        snprintf(text, sizeof(text), "was '%s' '%s', is '%s' '%s'", old.driver, old.firmware,
                 d->driver, d->firmware);
        rc = samples_doubt(s, channel, t_ns, "identity", text, e);
    }
    if (rc)
        return rc;
    STMT_USE(st, s, CHANNEL_SET_DRIVER);
    stmt_bind_int(st, 1, channel);
    stmt_bind_text(st, 2, d->driver);
    stmt_bind_text(st, 3, d->firmware);
    return stmt_run(st, e);
}

/* ---- gaps, steps -------------------------------------------------------------------------------- */

int samples_gaps(struct store *s, int64_t channel, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                 int (*fn)(void *arg, const struct sample_gap *g), void *arg, struct err *e)
{
    STMT_USE(st, s, GAP_BEFORE);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t1_ns);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct sample_gap g = {stmt_int(st, 0), stmt_int(st, 1), stmt_text(st, 2)};
        if (g.t1_ns <=
            t0_ns) /* gaps of a channel do not overlap: the older ones end earlier still */
            return 0;
        rc = g.kind ? fn(arg, &g) : 0;
        if (rc)
            return rc;
    }
    return rc;
}

int samples_clock_stepped(struct store *s, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                          struct err *e)
{
    STMT_USE(st, s, ANCHOR_STEPPED);
    stmt_bind_int(st, 1, boot);
    stmt_bind_int(st, 2, t0_ns);
    stmt_bind_int(st, 3, t1_ns);
    int rc = stmt_step(st, e);
    return rc > 0 ? stmt_int(st, 0) != 0 : rc;
}

int samples_seen(struct store *s, int64_t channel, int64_t boot, int64_t t_ns, struct err *e)
{
    struct rows_begin b;
    int rc = rows_begin_at(s, channel, boot, t_ns, &b, e);
    return rc < 0 ? rc : rc == 0;
}

/* ---- single samples ----------------------------------------------------------------------------- */

static struct sample sample_of(struct codec_view *v, uint32_t i, int64_t value, uint8_t state)
{
    return (struct sample){
        .t_ns = codec_time(v, i),
        .before_ns = codec_before(v, i),
        .after_ns = codec_after(v, i),
        .value = value,
        .state = (enum reading_state)(state & TICK_STATE_MASK),
    };
}

/* The next tick of a column: a sample, and whether it is one. */
static bool take(const struct rows_begin *b, struct codec_view *v, struct codec_cursor *col,
                 uint32_t i, struct sample *out)
{
    struct walk_sample x = {.t_ns = codec_time(v, i)};
    x.value = codec_cursor_next(col, &x.state);
    *out = sample_of(v, i, x.value, x.state);
    return thin_is(v) ? walk_kept_valid(&x) : walk_valid(&b->rule, &x);
}

/* Of a gauge a thinned block has the integral, not what it showed. */
static bool has_samples(const struct rows_begin *b, const struct codec_view *v)
{
    bool gauge = channel_kind_integrates(b->rule.kind);
    return b->slot < thin_channels(v) && !(thin_is(v) && gauge);
}

/* Which stamp of a sweep is compared. */
typedef int64_t stamp_of(struct codec_view *v, uint32_t i);

/* What is looked for: the nearest valid sample whose stamp is on the right side of t. */
struct want {
    int64_t t_ns;
    stamp_of *stamp;
};

/* Stand behind the last mark before t whose stamp is not after it. False: at the beginning, or there are no marks. */
static bool begin_at_mark(struct codec_view *v, struct codec_cursor *col, const struct want *q,
                          struct codec_mark *mark)
{
    uint32_t k = codec_mark_before(v, q->t_ns);
    while (k > 0 && q->stamp(v, k << v->shift) > q->t_ns)
        k--;
    return k > 0 && codec_cursor_skip(col, k, mark);
}

/* On to a tick, whatever is before it. */
static void run_to(struct codec_cursor *col, uint32_t tick)
{
    const int64_t *values;
    uint8_t state;
    while (col->at < tick) {
        uint32_t n = codec_cursor_ready(col, &values), left = tick - col->at;
        if (n > 0)
            codec_cursor_drop(col, n < left ? n : left);
        else
            (void)codec_cursor_next(col, &state);
    }
}

/* The newest tick from the cursor's on with stamp <= t; where there is none, the cursor's. */
static uint32_t newest_tick(struct codec_view *v, const struct codec_cursor *col,
                            const struct want *q)
{
    uint32_t newest = col->at;
    for (uint32_t i = col->at; i < v->n && codec_time(v, i) <= q->t_ns; i++)
        if (q->stamp(v, i) <= q->t_ns)
            newest = i;
    return newest;
}

/* Newest valid sample of a block, of tick `from` on, with stamp <= t, a stamp that is not before the sweep's middle. */
static bool scan_from(const struct rows_begin *b, struct codec_view *v, struct codec_cursor *col,
                      uint32_t from, const struct want *q, struct sample *out)
{
    struct sample x;
    bool found = false;
    run_to(col, from);
    for (uint32_t i = col->at; i < v->n && codec_time(v, i) <= q->t_ns; i++) {
        if (!take(b, v, col, i, &x) || q->stamp(v, i) > q->t_ns)
            continue;
        *out = x;
        found = true;
    }
    return found;
}

/* Where the newest tick has no valid sample, all of them have to be looked at. */
static bool scan_back(const struct rows_begin *b, struct codec_view *v, const struct want *q,
                      struct sample *out)
{
    struct codec_cursor col;
    struct codec_mark mark;
    if (!has_samples(b, v))
        return false;
    codec_cursor_open(&col, v, b->slot);
    bool at_mark = begin_at_mark(v, &col, q, &mark);
    struct codec_cursor again = col;
    if (scan_from(b, v, &col, newest_tick(v, &col, q), q, out) ||
        scan_from(b, v, &again, again.at, q, out))
        return true;
    if (at_mark)
        *out = sample_of(v, mark.tick, mark.value, READING_OK);
    return at_mark;
}

/* Oldest valid sample of a block with stamp >= t. */
static bool scan_on(const struct rows_begin *b, struct codec_view *v, const struct want *q,
                    struct sample *out)
{
    struct codec_cursor col;
    struct codec_mark mark;
    if (!has_samples(b, v))
        return false;
    codec_cursor_open(&col, v, b->slot);
    (void)begin_at_mark(v, &col, q, &mark); /* no stamp of a tick before t's is as late as t */
    uint32_t first = col.at;
    while (first < v->n && q->stamp(v, first) < q->t_ns)
        first++;
    run_to(&col, first);
    for (uint32_t i = first; i < v->n; i++)
        if (take(b, v, &col, i, out) && q->stamp(v, i) >= q->t_ns)
            return true;
    return false;
}

/* 0; 1 = none in the tail. */
static int before_in_tail(struct store *s, const struct rows_begin *b, const struct want *q,
                          struct sample *out, struct err *e)
{
    struct blocks_row *rows CLEANUP(base_freep) = NULL;
    size_t n = 0;
    int rc = blocks_tail(s, b->grp, b->epoch, &rows, &n, e);
    for (size_t i = n; rc == 0 && i-- > 0;) {
        struct codec_view *v;
        if (rows[i].t0_ns > q->t_ns)
            continue;
        rc = blocks_tail_row(s, &rows[i], &v, e);
        if (rc == 0 && scan_back(b, v, q, out))
            return 0;
    }
    return rc ? rc : 1;
}

#define GONE 2 /* all older samples were thinned out */

/* 0; 1 = none in the chunks of this epoch; GONE. Follows `last_ns` of the heads over stretches without any. */
static int before_in_chunks(struct store *s, const struct rows_begin *b, const struct want *q,
                            struct sample *out, struct err *e)
{
    struct rows_head h;
    int64_t at = q->t_ns;
    for (;;) {
        int rc = rows_head_in(s, b, at, &h, e);
        if (rc)
            return rc;
        struct codec_view *v;
        rc = blocks_chunk(s, h.chunk, h.t0_ns, b->slot, &v, e);
        if (rc)
            return rc;
        if (scan_back(b, v, q, out))
            return 0;
        if (!has_samples(b, v))
            return GONE;
        if (!h.begun)
            return 1;
        at = h.state.last_ns < h.t0_ns ? h.state.last_ns : h.t0_ns - 1;
    }
}

static int find_before(struct store *s, int64_t channel, int64_t boot, const struct want *q,
                       struct sample *out, struct err *e)
{
    int64_t at = q->t_ns;
    for (;;) {
        struct rows_begin b;
        int rc = rows_begin_at(s, channel, boot, at, &b, e);
        if (rc == 0)
            rc = before_in_tail(s, &b, q, out, e);
        else
            return rc;
        if (rc == 1)
            rc = before_in_chunks(s, &b, q, out, e);
        if (rc != 1)
            return rc < 0 ? rc : rc == GONE;
        at = b.state.last_ns - 1; /* the epoch before */
    }
}

int samples_before(struct store *s, int64_t channel, int64_t boot, int64_t t_ns, struct sample *out,
                   struct err *e)
{
    const struct want q = {t_ns, codec_after};
    return find_before(s, channel, boot, &q, out, e);
}

int samples_at(struct store *s, int64_t channel, int64_t boot, int64_t t_ns, struct sample *out,
               struct err *e)
{
    const struct want q = {t_ns, codec_time};
    return find_before(s, channel, boot, &q, out, e);
}

/* 0; 1 = none after t in this epoch. */
static int after_in_epoch(struct store *s, const struct rows_begin *b, const struct want *q,
                          struct sample *out, struct err *e)
{
    int64_t t_ns = q->t_ns;
    struct rows_head h;
    struct codec_view *v;
    int rc = rows_head_in(s, b, t_ns, &h, e);
    if (rc == 1) /* t before this epoch's first chunk */
        rc = rows_head_after(s, b->channel, b->boot, t_ns, &h, e);
    while (rc == 0 && h.epoch == b->epoch) {
        rc = blocks_chunk(s, h.chunk, h.t0_ns, b->slot, &v, e);
        if (rc)
            return rc;
        if (scan_on(b, v, q, out))
            return 0;
        rc = rows_head_valid(s, b->channel, b->boot, h.t0_ns, &h, e);
    }
    if (rc < 0)
        return rc;
    struct blocks_row *rows CLEANUP(base_freep) = NULL;
    size_t n = 0;
    rc = blocks_tail(s, b->grp, b->epoch, &rows, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (rows[i].t1_ns < t_ns)
            continue;
        rc = blocks_tail_row(s, &rows[i], &v, e);
        if (rc == 0 && scan_on(b, v, q, out))
            return 0;
    }
    return rc ? rc : 1;
}

static int find_after(struct store *s, int64_t channel, int64_t boot, const struct want *q,
                      struct sample *out, struct err *e)
{
    int64_t t_ns = q->t_ns;
    struct rows_begin b;
    int rc = rows_begin_at(s, channel, boot, t_ns, &b, e);
    if (rc == 1)
        rc = rows_begin_after(s, channel, boot, t_ns, &b, e);
    while (rc == 0) {
        rc = after_in_epoch(s, &b, q, out, e);
        if (rc <= 0)
            return rc;
        rc = rows_begin_after(s, channel, boot, b.state.last_ns, &b, e);
    }
    return rc;
}

int samples_after(struct store *s, int64_t channel, int64_t boot, int64_t t_ns, struct sample *out,
                  struct err *e)
{
    const struct want q = {t_ns, codec_before};
    return find_after(s, channel, boot, &q, out, e);
}

int samples_from(struct store *s, int64_t channel, int64_t boot, int64_t t_ns, struct sample *out,
                 struct err *e)
{
    const struct want q = {t_ns, codec_time};
    return find_after(s, channel, boot, &q, out, e);
}
