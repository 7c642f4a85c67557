/* Findings about reaching a loss (iso-loss lines), and about models. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/claims_private.h"

#define MINIMUM_NEAR 2 /* factors of 2 between a minimum and the place it is said to have */

/* ---- lines --------------------------------------------------------------------------------------- */

static size_t least_of(const double *v, size_t n)
{
    size_t at = SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        if (v[i] > 0 && (at == SIZE_MAX || v[i] < v[at]))
            at = i;
    return at;
}

static bool usable(const struct claims_line *l)
{
    return !l->standin && l->ordered && l->n >= 3 &&
           l->size[l->n - 1] / l->size[0] >= CLAIMS_SPAN && least_of(l->cost, l->n) != SIZE_MAX;
}

/* Values of all usable lines by fn (NAN = this line has none). Fewer than CLAIMS_LINES: untestable. */
static bool gather(struct claim *c, const struct claims_input *in,
                   double (*fn)(const struct claims_line *l, const struct claims_input *in),
                   struct claims_figure *f)
{
    double *v CLEANUP(base_freep) = base_alloc((in->nlines + 1) * sizeof *v);
    size_t n = 0;
    size_t standin = 0;
    size_t unordered = 0;
    c->time = !in->lines_joules;
    for (size_t i = 0; i < in->nlines; i++) {
        const struct claims_line *l = &in->lines[i];
        double x = usable(l) ? fn(l, in) : (double)NAN;
        standin += l->standin;
        unordered += !l->standin && !l->ordered;
        if (isfinite(x))
            v[n++] = x;
    }
    if (n < CLAIMS_LINES) {
        claims_untestable(
            c,
            "%zu of %zu iso-loss lines (data set, shape, depth) tell it; at least %d that "
            "span a factor of %d in size are needed%s%s",
            n, in->nlines, CLAIMS_LINES, CLAIMS_SPAN,
            standin ? ", and the loss of a stand-in data set means nothing" : "",
            unordered ? "; where the larger network does not need fewer epochs, the runs "
                        "did not go on long enough"
                      : "");
        return false;
    }
    claims_median(f, v, n);
    return true;
}

/* ---- row 11 -------------------------------------------------------------------------------------- */

static double tiny_over_least(const struct claims_line *l, const struct claims_input *in)
{
    (void)in;
    return log(l->cost[0] / l->cost[least_of(l->cost, l->n)]);
}

static double large_over_least(const struct claims_line *l, const struct claims_input *in)
{
    (void)in;
    return log(l->cost[l->n - 1] / l->cost[least_of(l->cost, l->n)]);
}

void claims_tiny(struct claim *c, const struct claims_input *in)
{
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(2 * sizeof *f);
    c->study_value = 300;
    if (!gather(c, in, tiny_over_least, &f[0]) || !gather(c, in, large_over_least, &f[1]))
        return;
    claims_exp(&f[0]);
    claims_exp(&f[1]);
    bool fell = f[0].lo >= 10;
    bool rises = f[1].lo > 1;
    claims_decide(c, &f[0], fell && rises,
                  "the smallest network needs %.3g times the least to reach the loss, the largest "
                  "%.3g times%s",
                  f[0].value, f[1].value,
                  fell && !rises ? ": no rise behind the minimum within these sizes" : "");
}

/* ---- row 12 -------------------------------------------------------------------------------------- */

/* Where the minimum lies, as log2 of its forward set over the last cache before memory. A minimum at the
 * edge of the sizes that were run is none. */
static double minimum_to_cache(const struct claims_line *l, const struct claims_input *in)
{
    const struct caches *c = &in->points->set[l->gpu ? POINTS_GPU : POINTS_CPU].caches;
    size_t at = least_of(l->cost, l->n);
    if (c->n < 2 || at == 0 || at + 1 == l->n || !(l->f[at] > 0))
        return NAN;
    return log2(l->f[at] / points_boundary(c, c->n - 2));
}

static bool beyond_last_cache(const struct claims_input *in)
{
    for (size_t i = 0; i < in->nlines; i++) {
        const struct claims_line *l = &in->lines[i];
        const struct caches *c = &in->points->set[l->gpu ? POINTS_GPU : POINTS_CPU].caches;
        if (l->n > 0 && c->n > 1 && l->f[l->n - 1] > points_boundary(c, c->n - 2))
            return true;
    }
    return false;
}

void claims_minima(struct claim *c, const struct claims_input *in)
{
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(sizeof *f);
    c->study_value = 0.44;
    if (!gather(c, in, minimum_to_cache, f))
        return;
    bool beyond = beyond_last_cache(in);
    bool near = f->lo >= -2 * MINIMUM_NEAR && f->hi <= MINIMUM_NEAR;
    claims_exp2(f);
    if (!beyond)
        claims_untestable(
            c,
            "no network was larger than the last cache, so the rise behind it was not "
            "looked at (the minima lie at %.3g of it)",
            f->value);
    else
        claims_decide(c, f, near,
                      "the forward set of the cheapest network is %.3g of the last cache",
                      f->value);
}

/* ---- row 13 -------------------------------------------------------------------------------------- */

static const struct {
    const char *dataset, *shape;
    int depth;
    bool gpu;
    double log2_size;
} examples[] = {
    {"connect_4", "trapezoid", 4, false, 18}, {"connect_4", "trapezoid", 4, true, 21},
    {"mnist", "rectangle", 6, false, 20.5},   {"mnist", "rectangle", 6, true, 21},
    {"201_pol", "rectangle", 2, false, 19},   {"201_pol", "rectangle", 2, true, 21},
    {"sleep", "exponential", 8, false, 20},   {"sleep", "exponential", 8, true, 20.5},
};

static double example_off(const struct claims_line *l)
{
    for (size_t i = 0; i < ARRAY_LEN(examples); i++)
        if (examples[i].gpu == l->gpu && examples[i].depth == l->depth &&
            strcmp(examples[i].dataset, l->dataset) == 0 &&
            strcmp(examples[i].shape, l->shape) == 0)
            return log2((double)l->size[least_of(l->cost, l->n)]) - examples[i].log2_size;
    return NAN;
}

void claims_examples(struct claim *c, const struct claims_input *in)
{
    size_t n = 0;
    size_t near = 0;
    char found[160] = "";
    c->time = !in->lines_joules;
    for (size_t i = 0; i < in->nlines; i++) {
        const struct claims_line *l = &in->lines[i];
        double off = usable(l) ? example_off(l) : (double)NAN;
        if (isnan(off))
            continue;
        size_t used = strlen(found);
        n++;
        near += fabs(off) <= 2;
        (void)snprintf(found + used, sizeof found - used, "%s%s 2^%.0f", used ? ", " : "",
                       l->dataset, log2((double)l->size[least_of(l->cost, l->n)]));
    }
    if (n == 0) {
        claims_untestable(c,
                          "none of the four networks was run at enough sizes: connect_4 trapezoid "
                          "depth 4, mnist rectangle depth 6, 201_pol rectangle depth 2, sleep "
                          "exponential depth 8");
        return;
    }
    struct claims_figure f = {.value = (double)near, .lo = NAN, .hi = NAN, .n = n};
    claims_decide(c, &f, near == n,
                  "%zu of %zu minima lie within a factor of 4 of the study's size: %s", near, n,
                  found);
}

/* ---- row 14 -------------------------------------------------------------------------------------- */

static double ops_minimum_before(const struct claims_line *l, const struct claims_input *in)
{
    (void)in;
    size_t by_ops = least_of(l->ops, l->n);
    if (by_ops == SIZE_MAX)
        return NAN;
    return log2((double)l->size[least_of(l->cost, l->n)] / (double)l->size[by_ops]);
}

void claims_flops(struct claim *c, const struct claims_input *in)
{
    struct claims_figure *f CLEANUP(base_freep) = base_alloc(sizeof *f);
    c->study_value = exp2(21 - 11.5);
    if (!gather(c, in, ops_minimum_before, f))
        return;
    bool smaller = f->lo >= 1;
    claims_exp2(f);
    claims_decide(
        c, f, smaller,
        "the network with the least cost has %.3g times the parameters of the one with the "
        "fewest operations",
        f->value);
}

/* ---- rows 15, 16 --------------------------------------------------------------------------------- */

void claims_predictors(struct claim *c, const struct claims_input *in)
{
    const struct claims_model *m = &in->model[POINTS_CPU];
    if (m->networks == 0)
        m = &in->model[POINTS_GPU];
    c->time = true;
    if (m->networks == 0 || isnan(m->time) || (isnan(m->ops) && isnan(m->params))) {
        claims_untestable(c, "no model could be fitted to these runs, or no size left out");
        return;
    }
    double rival = fmin(m->ops, m->params);
    struct claims_figure f = {.value = rival / m->time, .lo = NAN, .hi = NAN, .n = m->networks};
    claims_decide(
        c, &f, f.value >= 1.5,
        "left out by size, the error of time is %.1f %% with the working sets, %.1f %% with "
        "operations alone, %.1f %% with parameters and depth alone",
        100 * m->time, 100 * m->ops, 100 * m->params);
}

static void model(struct claim *c, const struct claims_input *in, enum points_class k, double study)
{
    const struct claims_model *m = &in->model[k];
    c->study_value = study;
    c->time = isnan(m->energy);
    double error = c->time ? m->time : m->energy;
    if (m->networks == 0 || isnan(error)) {
        claims_untestable(c, "no model could be fitted to these runs, or no size left out");
        return;
    }
    struct claims_figure f = {.value = error, .lo = NAN, .hi = NAN, .n = m->networks};
    claims_decide(
        c, &f, error <= study,
        "mean relative error of %s of networks whose size the fit had not seen; the study "
        "tells the error of those it fitted",
        c->time ? "the time" : "the energy");
}

void claims_model_cpu(struct claim *c, const struct claims_input *in)
{
    model(c, in, POINTS_CPU, 0.211);
}

void claims_model_gpu(struct claim *c, const struct claims_input *in)
{
    model(c, in, POINTS_GPU, 0.055);
}
