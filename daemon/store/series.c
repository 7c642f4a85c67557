#include <string.h>

#include "common/units.h"
#include "daemon/store/curve.h"
#include "daemon/store/stmt.h"
#include "daemon/store/tiers.h"

/* Pixels being filled while the curve is walked once from left to right. */
struct canvas {
    struct series_pixel *px;
    size_t n;
    int64_t t0_ns, t1_ns;
    double scale;   /* stored unit -> shown unit */
    int64_t *known; /* ns per pixel about which something is known */
    size_t at;      /* the pixel painted last */
};

static size_t pixel_of(const struct canvas *v, int64_t t_ns)
{
    if (t_ns <= v->t0_ns)
        return 0;
    size_t i = (size_t)units_muldiv_floor(t_ns - v->t0_ns, (int64_t)v->n, v->t1_ns - v->t0_ns);
    return i < v->n ? i : v->n - 1;
}

static void init_pixels(struct canvas *v)
{
    int64_t span = v->t1_ns - v->t0_ns;
    for (size_t i = 0; i < v->n; i++)
        v->px[i] = (struct series_pixel){
            .t0_ns = v->t0_ns + units_muldiv_floor(span, (int64_t)i, (int64_t)v->n),
            .t1_ns = v->t0_ns + units_muldiv_floor(span, (int64_t)i + 1, (int64_t)v->n),
        };
}

static void extend(struct series_pixel *p, double lo, double hi)
{
    if (!p->valid || lo < p->min_w)
        p->min_w = lo;
    if (!p->valid || hi > p->max_w)
        p->max_w = hi;
    p->valid = true;
}

static bool is_between(const struct canvas *v, const struct series_pixel *px,
                       const struct walk_piece *p)
{
    return px->valid && p->shape == WALK_LINEAR &&
           walk_within(p->e1_uj - p->e0_uj, p->t1_ns - p->t0_ns, px->min_w / v->scale,
                       px->max_w / v->scale);
}

/* ns of a piece in one pixel: its energy to the mean, its power to the extremes. */
static void paint_part(struct canvas *v, size_t i, const struct walk_piece *p, int64_t rise_uj,
                       int64_t ns)
{
    struct series_pixel *px = &v->px[i];
    int64_t lo = 0, hi = 0;
    double w_ns = (double)rise_uj * 1e9 * v->scale;
    if (!is_between(v, px, p)) {
        if (walk_power(p, &lo, &hi))
            extend(px, (double)lo * v->scale, (double)hi * v->scale);
        else
            extend(px, w_ns / (double)ns, w_ns / (double)ns);
    }
    px->mean_w += w_ns; /* divided by `known` at the end */
    v->known[i] += ns;
}

static void paint_across(struct canvas *v, size_t i, const struct walk_piece *p)
{
    const struct series_pixel *px = &v->px[i];
    int64_t a = p->t0_ns > px->t0_ns ? p->t0_ns : px->t0_ns;
    int64_t b = p->t1_ns < px->t1_ns ? p->t1_ns : px->t1_ns;
    struct curve_point pa, pb;
    if (b <= a)
        return;
    walk_at(p, a, &pa);
    walk_at(p, b, &pb);
    paint_part(v, i, p, pb.e_uj - pa.e_uj, b - a);
}

/* Where there are more samples than pixels most pieces lie inside one. */
static void paint(struct canvas *v, const struct walk_piece *p)
{
    const struct series_pixel *px = &v->px[v->at];
    if (p->t1_ns <= v->t0_ns || p->t0_ns >= v->t1_ns || p->t1_ns <= p->t0_ns ||
        p->shape == WALK_UNKNOWN)
        return;
    if (p->t0_ns >= px->t0_ns && p->t1_ns <= px->t1_ns) {
        paint_part(v, v->at, p, p->e1_uj - p->e0_uj, p->t1_ns - p->t0_ns);
        return;
    }
    size_t last = pixel_of(v, p->t1_ns - 1);
    for (size_t i = pixel_of(v, p->t0_ns); i <= last && i < v->n; i++)
        paint_across(v, i, p);
    v->at = last;
}

/* The newest sample of a companion; a kept one stands for those since the one before it. */
static void paint_sample(struct canvas *v, const struct curve *c)
{
    int64_t t_ns = c->state.last_ns, lo = c->state.last_value, hi = lo;
    if (t_ns < v->t0_ns || t_ns >= v->t1_ns)
        return;
    if (c->thinned && c->kept.powered) {
        lo = c->kept.lo;
        hi = c->kept.hi;
    }
    size_t i = pixel_of(v, t_ns);
    extend(&v->px[i], (double)lo * v->scale, (double)hi * v->scale);
    v->px[i].mean_w += (double)c->state.last_value * v->scale;
    v->known[i]++; /* companions: a count of samples */
}

static void finish(struct canvas *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->known[i] > 0)
            v->px[i].mean_w /= (double)v->known[i];
}

/* One epoch from where the cursor stands. 0, < 0. Damaged blocks leave their pixels empty. */
static int paint_epoch(struct canvas *v, struct curve *c, struct err *e)
{
    bool companion = c->begin.rule.kind == CHANNEL_COMPANION;
    int64_t seen = WALK_NONE, damaged_ns = WALK_NONE;
    for (;;) {
        struct walk_piece p[2];
        int n;
        int rc = curve_next(c, p, &n, e);
        if (rc == WATTQ_E_CORRUPT && c->it.row.t0_ns != damaged_ns) {
            damaged_ns =
                c->it.row.t0_ns; /* the same block twice would be the file, not the block */
            continue;
        }
        if (rc <= 0)
            return rc;
        for (int i = 0; i < n && !companion; i++)
            paint(v, &p[i]);
        if (companion && c->state.last_ns != seen) {
            seen = c->state.last_ns;
            paint_sample(v, c);
        }
        if (c->state.knot_ns > v->t1_ns)
            return 0;
    }
}

/* What follows the epoch's newest change: polls without one, then the gap to the next epoch. */
static int paint_end(struct canvas *v, const struct curve *c, struct rows_begin *next,
                     struct err *e)
{
    struct walk_piece flat = {
        .shape = WALK_FLAT,
        .t0_ns = c->state.knot_ns,
        .t1_ns = c->state.last_ns,
        .e0_uj = c->state.e_uj,
        .e1_uj = c->state.e_uj,
    };
    paint(v, &flat);
    int rc = rows_begin_after(c->store, c->begin.channel, c->begin.boot, c->state.last_ns, next, e);
    if (rc == 0 && c->begin.rule.kind != CHANNEL_COMPANION) {
        struct walk_piece gap = walk_between(&c->state, next->state.last_ns, &next->state);
        paint(v, &gap);
    }
    return rc;
}

static int paint_all(struct canvas *v, struct store *s, int64_t channel, int64_t boot,
                     struct err *e)
{
    struct curve c CLEANUP(curve_close) = {0};
    struct rows_begin next;
    int64_t from = v->t0_ns;
    int rc = rows_begin_at(s, channel, boot, from, &next, e);
    if (rc == 1)
        rc = rows_begin_after(s, channel, boot, from, &next, e);
    while (rc == 0 && next.state.last_ns < v->t1_ns) {
        if (next.state.last_ns > from)
            from = next.state.last_ns;
        curve_close(&c);
        rc = curve_open(&c, s, channel, boot, from, e);
        curve_prefer(&c, tiers_for((v->t1_ns - v->t0_ns) / (int64_t)v->n));
        if (rc == 0)
            rc = paint_epoch(v, &c, e);
        if (rc == 0)
            rc = paint_end(v, &c, &next, e);
    }
    return rc < 0 ? rc : 0;
}

/* Stored units to what a plot shows: watts; companions as they are. */
static double scale_of(enum channel_kind k)
{
    return k == CHANNEL_COMPANION ? 1.0 : 1e-6;
}

int samples_series(struct store *s, int64_t channel, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                   struct series_pixel *px, size_t n, struct err *e)
{
    struct channel_row row;
    if (n == 0 || n > SERIES_PIXELS_MAX || t1_ns <= t0_ns || t0_ns < 0)
        return err_set(e, WATTQ_E_USAGE, "a series needs 1 to %d pixels and an end after its start",
                       SERIES_PIXELS_MAX);
    int rc = samples_channel(s, channel, &row, e);
    if (rc)
        return rc;
    int64_t *known CLEANUP(base_freep) = base_alloc(n * sizeof(*known));
    struct canvas v = {px, n, t0_ns, t1_ns, scale_of(row.kind), known, 0};
    init_pixels(&v);
    rc = paint_all(&v, s, channel, boot, e);
    finish(&v);
    return rc;
}
