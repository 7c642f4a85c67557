#include "client/curve.h"

#include "common/units.h"

static int64_t middle(const struct curve_sample *s)
{
    return s->before_ns + (s->after_ns - s->before_ns) / 2;
}

/* Newest valid sample wholly before t; NULL. */
static const struct curve_sample *last_before(const struct curve_sample *s, size_t n, int64_t t_ns)
{
    for (size_t i = n; i-- > 0;)
        if (s[i].valid && s[i].after_ns <= t_ns)
            return &s[i];
    return NULL;
}

/* Oldest valid sample begun at or after t; NULL. */
static const struct curve_sample *first_after(const struct curve_sample *s, size_t n, int64_t t_ns)
{
    for (size_t i = 0; i < n; i++)
        if (s[i].valid && s[i].before_ns >= t_ns)
            return &s[i];
    return NULL;
}

/* Counter at t, on the straight line between the samples around it. */
static bool counter_at(const struct curve_sample *s, size_t n, int64_t t_ns, int64_t *out)
{
    const struct curve_sample *a = NULL;
    const struct curve_sample *b = NULL;
    for (size_t i = 0; i < n; i++) {
        if (s[i].valid && middle(&s[i]) <= t_ns)
            a = &s[i];
        if (s[i].valid && middle(&s[i]) >= t_ns && !b)
            b = &s[i];
    }
    if (!a || !b)
        return false;
    int64_t span = middle(b) - middle(a);
    *out = a->value;
    if (span > 0)
        *out += units_muldiv_floor(b->value - a->value, t_ns - middle(a), span);
    return true;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void bound(struct curve_figure *f, const struct channel_desc *d,
                  const struct curve_sample *s, size_t n, const int64_t window[2])
{
    int64_t delay = d->period_ns + d->lag_ns;
    const struct curve_sample *open = last_before(s, n, window[0]);
    const struct curve_sample *settle = first_after(s, n, window[0] + delay);
    const struct curve_sample *before = last_before(s, n, window[1]);
    const struct curve_sample *close = first_after(s, n, window[1]);
    const struct curve_sample *late = first_after(s, n, window[1] + delay);
    if (!open || !late) {
        f->basis = "none: a sample at an edge of the run is missing";
        return;
    }
    f->bounded = true;
    f->hi_uj = late->value - open->value + d->quantum;
    f->lo_uj = 0;
    f->basis = "monotone";
    if (settle && before)
        f->lo_uj = larger(0, before->value - settle->value - d->quantum);
    if (settle && close && d->pmax_uw > 0) {
        int64_t most = units_muldiv_ceil(d->pmax_uw, close->after_ns - window[1], NS_PER_S);
        int64_t lo = close->value - most - settle->value - d->quantum;
        if (lo > f->lo_uj) {
            f->lo_uj = lo;
            f->basis = "monotone+pmax";
        }
    }
    if (!d->period_declared)
        f->basis = "soft: the update period is not stated by the maker";
}

static void of_counter(struct curve_figure *f, const struct channel_desc *d,
                       const struct curve_sample *s, size_t n, const int64_t window[2])
{
    int64_t a;
    int64_t b;
    f->method = "counter";
    if (!counter_at(s, n, window[0], &a) || !counter_at(s, n, window[1], &b)) {
        f->reason = "the counter could not be read around the run";
        return;
    }
    f->known = true;
    f->energy_uj = b - a;
    bound(f, d, s, n, window);
    if (f->bounded && f->energy_uj < f->lo_uj)
        f->energy_uj = f->lo_uj;
    if (f->bounded && f->energy_uj > f->hi_uj)
        f->energy_uj = f->hi_uj;
}

static int64_t clip(int64_t t, const int64_t window[2])
{
    return t < window[0] ? window[0] : t > window[1] ? window[1] : t;
}

/* Trapezoids between neighbouring samples, clipped to the window with the mean power of the pair. */
static void of_gauge(struct curve_figure *f, const struct curve_sample *s, size_t n,
                     const int64_t window[2])
{
    const struct curve_sample *last = NULL;
    int64_t covered = 0;
    f->method = "integral";
    f->basis = "none: an integral of momentary power has no hard bound";
    for (size_t i = 0; i < n; i++) {
        if (!s[i].valid)
            continue;
        if (last) {
            int64_t span = clip(middle(&s[i]), window) - clip(middle(last), window);
            covered += span;
            f->energy_uj += units_muldiv_floor(last->value / 2 + s[i].value / 2, span, NS_PER_S);
        }
        last = &s[i];
    }
    f->known = covered > 0 && covered >= window[1] - window[0] - NS_PER_MS;
    if (!f->known)
        f->reason = "the meter did not answer during all of the run";
}

void curve_figure(struct curve_figure *f, const struct channel_desc *d,
                  const struct curve_sample *s, size_t n, int64_t t0_ns, int64_t t1_ns)
{
    const int64_t window[2] = {t0_ns, t1_ns};
    *f = (struct curve_figure){.basis = "none: not known", .method = "counter"};
    if (d->kind == CHANNEL_COUNTER)
        of_counter(f, d, s, n, window);
    else
        of_gauge(f, s, n, window);
    if (d->quality == QUALITY_ESTIMATED) {
        f->method = "estimate";
        f->bounded = false;
        f->basis = "none: an estimate";
    }
}
