#include "daemon/energy/calibrate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/model/stats.h"

#define VARIATION 0.05 /* of the median: less is one point and no line */

static double median_copy(const double *v, size_t n)
{
    double *copy CLEANUP(base_freep) = base_alloc((n + 1) * sizeof(*copy));
    memcpy(copy, v, n * sizeof(*copy));
    return stats_median(copy, n);
}

/* Pairs that lie closer than a hundredth of the range say nothing of the slope. */
static double slope(const double *x, const double *y, size_t n, double range)
{
    double *all CLEANUP(base_freep) = base_alloc(n * n / 2 * sizeof(*all) + sizeof(*all));
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            if (fabs(x[j] - x[i]) > range / 100)
                all[k++] = (y[j] - y[i]) / (x[j] - x[i]);
    return k ? stats_median(all, k) : (double)NAN;
}

static int no_line(struct err *e, const char *why)
{
    err_set(e, WATTQ_E_CONFLICT, "no calibration: %s", why);
    return err_next(e, "let the machine idle and work in turn for ten minutes, then try again");
}

static void find_range(const double *v, size_t n, double *lo, double *hi)
{
    *lo = *hi = v[0];
    for (size_t i = 1; i < n; i++) {
        *lo = fmin(*lo, v[i]);
        *hi = fmax(*hi, v[i]);
    }
}

int calibrate_fit(const double *meter_w, const double *better_w, size_t n, struct calibration *out,
                  struct err *e)
{
    double lo, hi;
    if (n < CALIBRATE_LEAST || n > CALIBRATE_MOST)
        return no_line(e, "too few windows in which both meters have samples");
    find_range(meter_w, n, &lo, &hi);
    if (hi - lo < VARIATION * fabs(median_copy(meter_w, n)))
        return no_line(e, "its power hardly moved in that time");
    double b = slope(meter_w, better_w, n, hi - lo);
    double *left CLEANUP(base_freep) = base_alloc(n * sizeof(*left));
    for (size_t i = 0; i < n; i++)
        left[i] = better_w[i] - b * meter_w[i];
    double a = median_copy(left, n);
    for (size_t i = 0; i < n; i++)
        left[i] = fabs(left[i] - a);
    if (!isfinite(b) || b < 0.01 || b > 100)
        return no_line(e, "the two do not move together");
    out->n = (int64_t)n;
    out->gain_ppm = llround((b - 1) * 1e6);
    out->offset_uw = llround(-a / b * 1e6);
    out->residual_uw = llround(1.4826e6 * median_copy(left, n));
    out->lo_uw = (int64_t)floor(lo * 1e6);
    out->hi_uw = (int64_t)ceil(hi * 1e6);
    return 0;
}

/* ---- from samples ------------------------------------------------------------------------------- */

static int64_t period_of(const struct channel_row *c)
{
    int64_t p = c->period_learned_ns > 0 ? c->period_learned_ns : c->period_ns;
    return p > c->box_ns ? p : c->box_ns;
}

/* 0; 1 = not known all through. */
static int mean_power(struct store *s, const struct channel_row *c, int64_t boot, int64_t t0,
                      int64_t t1, double *w, struct err *e)
{
    struct curve_point a, b;
    int rc = samples_curve(s, c->id, boot, t0 + c->lag_ns, &a, e);
    if (rc == 0)
        rc = samples_curve(s, c->id, boot, t1 + c->lag_ns, &b, e);
    if (rc != 0)
        return rc;
    if (a.unknown_ns != b.unknown_ns || a.bridged_ns != b.bridged_ns)
        return 1;
    *w = (double)(b.e_uj - a.e_uj) * 1e3 / (double)(t1 - t0);
    return 0;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The part for which both have samples. */
static void clamp_to_samples(struct store *s, const struct channel_row *c, struct energy_window *w)
{
    struct sample at;
    struct err e;
    if (samples_after(s, c->id, w->boot, w->t0_ns, &at, &e) == 0 && at.t_ns - c->lag_ns > w->t0_ns)
        w->t0_ns = at.t_ns - c->lag_ns;
    if (samples_before(s, c->id, w->boot, w->t1_ns, &at, &e) == 0 && at.t_ns - c->lag_ns < w->t1_ns)
        w->t1_ns = at.t_ns - c->lag_ns;
}

int calibrate_over(struct store *s, const struct channel_row *meter,
                   const struct channel_row *better, const struct energy_window *asked,
                   struct calibration *out, struct err *e)
{
    double x[CALIBRATE_MOST], y[CALIBRATE_MOST];
    size_t n = 0;
    struct energy_window common = *asked;
    const struct energy_window *w = &common;
    clamp_to_samples(s, meter, &common);
    clamp_to_samples(s, better, &common);
    int64_t step = larger(NS_PER_S, 4 * larger(period_of(meter), period_of(better)));
    step = larger(step, (w->t1_ns - w->t0_ns) / CALIBRATE_MOST + 1);
    for (int64_t t = w->t0_ns; t + step <= w->t1_ns && n < CALIBRATE_MOST; t += step) {
        int rc = mean_power(s, meter, w->boot, t, t + step, &x[n], e);
        if (rc == 0)
            rc = mean_power(s, better, w->boot, t, t + step, &y[n], e);
        if (rc < 0)
            return rc;
        n += rc == 0;
    }
    *out = (struct calibration){.channel = meter->id,
                                .against = better->id,
                                .boot = w->boot,
                                .t0_ns = w->t0_ns,
                                .t1_ns = w->t1_ns};
    return calibrate_fit(x, y, n, out, e);
}

/* ---- applied ------------------------------------------------------------------------------------ */

int calibrate_apply(const struct calibration *c, const struct energy_figure *f, int64_t *energy_uj,
                    int64_t *residual_uj)
{
    if (!f->known || f->covered_ns <= 0)
        return 1;
    int64_t power_uw = units_muldiv_floor(f->energy_uj, NS_PER_S, f->covered_ns);
    int64_t edge_uw = (c->hi_uw - c->lo_uw) / 50;
    if (power_uw < c->lo_uw - edge_uw || power_uw > c->hi_uw + edge_uw)
        return 1;
    int64_t offset_uj = units_muldiv_floor(c->offset_uw, f->covered_ns, NS_PER_S);
    *energy_uj = units_muldiv_floor(f->energy_uj - offset_uj, 1000000 + c->gain_ppm, 1000000);
    *residual_uj = units_muldiv_floor(c->residual_uw, f->covered_ns, NS_PER_S);
    return 0;
}

int64_t calibrate_gain_ppm(const struct calibration *c)
{
    double mid = (double)(c->lo_uw + c->hi_uw) / 2;
    double fitted = (mid - (double)c->offset_uw) * (1 + (double)c->gain_ppm / 1e6);
    double off = fabs(fitted - mid) + (double)c->residual_uw;
    return mid > 0 ? (int64_t)fmin(fmax(ceil(off / mid * 1e6), 1), 1e9) : 1;
}

/* ---- the estimate beside a real meter ----------------------------------------------------------- */

#define FIT_NS  (600 * NS_PER_S)
#define BACK_NS (3600 * NS_PER_S)

static bool is_package_meter(const struct channel_row *c)
{
    return c->scope == SCOPE_PACKAGE && c->quality <= QUALITY_MODELLED && c->mirror_of == 0 &&
           c->kind == CHANNEL_COUNTER;
}

/* The estimate and the one package meter; false when there is no such pair with samples. */
static bool find_pair(struct store *s, const struct channel_row *list, size_t n,
                      const struct energy_window *w, const struct channel_row **guess,
                      const struct channel_row **meter)
{
    size_t packages = 0;
    *guess = *meter = NULL;
    for (size_t i = 0; i < n; i++) {
        struct sample at;
        struct err e;
        if (samples_after(s, list[i].id, w->boot, w->t0_ns, &at, &e) != 0)
            continue;
        if (list[i].quality == QUALITY_ESTIMATED && list[i].scope == SCOPE_CPU)
            *guess = &list[i];
        if (is_package_meter(&list[i])) {
            *meter = &list[i];
            packages++;
        }
    }
    return *guess && packages == 1;
}

static int keep(struct store *s, struct calibration *c, const char *against, int64_t now_ns,
                struct err *e)
{
    char text[160];
    c->actor_uid = INT64_MIN;
    c->created_utc_ns = clock_utc_ns();
    snprintf(text, sizeof(text), "fitted to %.40s over %" PRId64 " windows: off by %.1f %%",
             against, c->n, (double)calibrate_gain_ppm(c) / 1e4);
    int rc = calibrations_put(s, c, &c->id, e);
    return rc < 0 ? rc : calibrations_note(s, c->channel, c->boot, now_ns, text, e);
}

int calibrate_estimate(struct store *s, int64_t now_ns, struct err *e)
{
    struct channel_row *list CLEANUP(base_freep) = NULL;
    const struct channel_row *guess, *meter;
    struct calibration c;
    size_t n = 0;
    struct energy_window w = {store_boot(s), now_ns > BACK_NS ? now_ns - BACK_NS : 0, now_ns};
    int rc = samples_channels(s, &list, &n, e);
    if (rc < 0 || !find_pair(s, list, n, &w, &guess, &meter))
        return rc < 0 ? rc : 0;
    rc = calibrations_newest(s, guess->id, &c, e);
    if (rc <= 0)
        return rc; /* fitted already */
    clamp_to_samples(s, guess, &w);
    clamp_to_samples(s, meter, &w);
    if (w.t1_ns - w.t0_ns < FIT_NS)
        return 0;
    rc = calibrate_over(s, guess, meter, &w, &c, e);
    if (rc < 0)
        return rc == WATTQ_E_CONFLICT ? 0 : rc; /* nothing to be drawn a line through yet */
    rc = keep(s, &c, meter->label, now_ns, e);
    return rc < 0 ? rc : 1;
}
