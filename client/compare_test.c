/* From two groups of runs to a verdict about one quantity. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/compare.h"
#include "common/base.h"

#define SEED      UINT64_C(20403) /* of the bootstrap: the same answer every time */
#define PAIRS_MIN 2

const char *compare_verdict_name(enum compare_verdict v)
{
    static const char *const names[] = {"none", "differs", "equivalent", "undecided"};
    return names[v];
}

/* Values of one quantity in two groups, and where they can be, in pairs. */
struct sample {
    const struct compare_run **a; /* of the group */
    const struct compare_run **b; /* of the reference */
    size_t na, nb;
    const char *matched;
};

static void collect(const struct compare *c, size_t group, size_t quantity,
                    const struct compare_run **out, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < c->nruns; i++)
        if (c->runs[i].group == group && !isnan(c->runs[i].values[quantity]))
            out[(*n)++] = &c->runs[i];
}

/* ---- pairs ---------------------------------------------------------------------------------------- */

static const char *param(const struct compare_run *r, const char *key)
{
    for (size_t i = 0; i < r->nparams; i++)
        if (strcmp(r->params[i].key, key) == 0)
            return r->params[i].value;
    return "";
}

/* Does the value of key tell the groups apart: one in each, and not the same? */
static bool is_contrast(const struct sample *s, const char *key)
{
    for (size_t i = 1; i < s->na; i++)
        if (strcmp(param(s->a[i], key), param(s->a[0], key)) != 0)
            return false;
    for (size_t i = 1; i < s->nb; i++)
        if (strcmp(param(s->b[i], key), param(s->b[0], key)) != 0)
            return false;
    return strcmp(param(s->a[0], key), param(s->b[0], key)) != 0;
}

/* What a run is but for the contrast and the key to leave out; NULL = it has no parameter that varies. */
static char *point_of(const struct sample *s, const struct compare_run *r, const char *but)
{
    char *text = NULL;
    for (size_t i = 0; i < r->nparams; i++) {
        const struct compare_param *p = &r->params[i];
        if ((but && strcmp(p->key, but) == 0) || is_contrast(s, p->key))
            continue;
        char *longer = base_printf("%s%s=%s\n", text ? text : "", p->key, p->value);
        free(text);
        text = longer;
    }
    return text;
}

struct point {
    char *name;
    const struct compare_run *run;
};

static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct point *)x)->name, ((const struct point *)y)->name);
}

static void points_free(struct point *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(p[i].name);
    free(p);
}

/* Sorted by name; NULL when a run has none or two have the same. */
static struct point *points_of(const struct sample *s, const struct compare_run *const *runs,
                               size_t n, const char *but)
{
    struct point *p = base_alloc((n + 1) * sizeof *p);
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        char *name = point_of(s, runs[i], but);
        good = good && name;
        p[i] = (struct point){name ? name : base_strdup(""), runs[i]};
    }
    if (n > 1)
        qsort(p, n, sizeof *p, by_name);
    for (size_t i = 1; i < n; i++)
        good = good && strcmp(p[i].name, p[i - 1].name) != 0;
    if (good)
        return p;
    points_free(p, n);
    return NULL;
}

/* Runs of both groups in pairs, those without a partner left out: at least half of each group must have
 * one. false: no such pairs, nothing changed. */
static bool match(struct sample *s, const char *but)
{
    struct point *a = points_of(s, s->a, s->na, but);
    struct point *b = points_of(s, s->b, s->nb, but);
    size_t n = 0;
    for (size_t i = 0, k = 0; a && b && i < s->na && k < s->nb;) {
        int order = strcmp(a[i].name, b[k].name);
        if (order == 0) {
            a[n].run = a[i].run; /* n <= i, k */
            b[n++].run = b[k].run;
        }
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    bool good = n >= PAIRS_MIN && 2 * n >= s->na && 2 * n >= s->nb;
    for (size_t i = 0; good && i < n; i++) {
        s->a[i] = a[i].run;
        s->b[i] = b[i].run;
    }
    if (a)
        points_free(a, s->na);
    if (b)
        points_free(b, s->nb);
    if (good)
        s->na = s->nb = n;
    return good;
}

/* Does any run have this parameter? */
static bool has_param(const struct sample *s, const char *key)
{
    return s->na > 0 && param(s->a[0], key)[0] != '\0';
}

/* A block is a stretch of time between two control runs: where the order was random the two runs of a
 * pair need not lie in the same one, but a repeat is a pass over the whole grid. */
static void pair_up(struct sample *s)
{
    if (s->na < PAIRS_MIN || s->nb < PAIRS_MIN)
        return;
    if (has_param(s, "block") && match(s, NULL))
        s->matched = "block";
    else if (match(s, "block"))
        s->matched = has_param(s, "repeat") ? "repeat" : "point";
}

/* ---- meters --------------------------------------------------------------------------------------- */

struct meters {
    bool same; /* every run on the same meter */
    bool same_scope;
    bool estimated;
    double gain; /* largest of either side added up; NAN = not stated */
};

static double widest_gain(const struct compare_run *const *r, size_t n)
{
    double gain = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(r[i]->gain))
            return NAN;
        gain = fmax(gain, r[i]->gain);
    }
    return gain;
}

static void look_at_meters(struct meters *m, const struct sample *s)
{
    *m = (struct meters){.same = true, .same_scope = true};
    for (size_t i = 0; i < s->na + s->nb; i++) {
        const struct compare_run *r = i < s->na ? s->a[i] : s->b[i - s->na];
        m->same = m->same && strcmp(r->meter, s->a[0]->meter) == 0;
        m->same_scope = m->same_scope && strcmp(r->scope, s->a[0]->scope) == 0;
        m->estimated = m->estimated || r->estimated;
    }
    m->gain = widest_gain(s->a, s->na) + widest_gain(s->b, s->nb);
}

/* Why joules of these runs cannot be judged; else what their meters add to the interval. */
static const char *meter_trouble(const struct sample *s, double *gain)
{
    struct meters m;
    *gain = 0;
    if (s->na == 0 || s->nb == 0)
        return NULL;
    look_at_meters(&m, s);
    if (m.estimated)
        return "the joules are estimates: compare the time";
    if (m.same)
        return NULL;
    if (!m.same_scope)
        return "the meters cover different things";
    if (isnan(m.gain))
        return "the meters differ, and one states no accuracy";
    *gain = m.gain;
    return NULL;
}

/* ---- one comparison ------------------------------------------------------------------------------- */

/* A comparison before it is known how many others there are. */
struct work {
    struct stats_contrast c;
    double margin; /* on the scale of c */
    double slack;
    double reference; /* mean of the reference */
};

static bool all_positive(const struct sample *s, size_t quantity)
{
    for (size_t i = 0; i < s->na; i++)
        if (!(s->a[i]->values[quantity] > 0))
            return false;
    for (size_t i = 0; i < s->nb; i++)
        if (!(s->b[i]->values[quantity] > 0))
            return false;
    return s->na > 0 && s->nb > 0;
}

static double *values_of(const struct compare_run *const *r, size_t n, size_t quantity, bool ratio)
{
    double *v = base_alloc((n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = ratio ? log(r[i]->values[quantity]) : r[i]->values[quantity];
    return v;
}

static void contrast(struct work *w, struct compare_result *r, const struct sample *s)
{
    double *a CLEANUP(base_freep) = values_of(s->a, s->na, r->quantity, r->ratio);
    double *b CLEANUP(base_freep) = values_of(s->b, s->nb, r->quantity, r->ratio);
    if (s->matched)
        stats_paired(&w->c, a, b, s->na);
    else
        stats_unpaired(&w->c, a, s->na, b, s->nb, SEED);
    r->test = w->c.method;
    r->n = s->na;
    r->nref = s->nb;
    w->reference = stats_mean(b, s->nb);
}

static double shown(const struct compare_result *r, double x)
{
    return r->ratio ? expm1(x) : x;
}

static void measure(struct work *w, struct compare_result *r, double within, double gain)
{
    double lo;
    double hi;
    w->margin = r->ratio ? log1p(within) : within * fabs(w->reference);
    w->slack = r->ratio ? -log1p(-fmin(gain, 0.99)) : 0;
    stats_contrast_interval(&w->c, COMPARE_LEVEL, w->slack, &lo, &hi);
    r->effect = shown(r, w->c.diff);
    r->lo = shown(r, lo);
    r->hi = shown(r, hi);
    r->slack = shown(r, w->slack);
    r->p = stats_contrast_p(&w->c, w->slack);
    r->equivalence =
        w->margin > 0 ? stats_contrast_equivalence(&w->c, w->margin, w->slack) : (double)NAN;
    r->detectable =
        shown(r, stats_contrast_detectable(&w->c, COMPARE_LEVEL, COMPARE_POWER) + w->slack);
}

static void compare_one(const struct compare *c, struct work *w, struct compare_result *r)
{
    struct sample s = {.a = base_alloc((c->nruns + 1) * sizeof(void *)),
                       .b = base_alloc((c->nruns + 1) * sizeof(void *))};
    double gain = 0;
    collect(c, r->group, r->quantity, s.a, &s.na);
    collect(c, 0, r->quantity, s.b, &s.nb);
    pair_up(&s);
    r->matched = s.matched;
    r->ratio = all_positive(&s, r->quantity);
    if (r->quantity == COMPARE_ENERGY || r->quantity == COMPARE_MEAN_POWER)
        r->reason = meter_trouble(&s, &gain);
    contrast(w, r, &s);
    if (s.na == 0 || s.nb == 0)
        r->reason = "no value is known on one side";
    else if (!r->reason && (s.na < 2 || s.nb < 2))
        r->reason = "one run is no group: repeat it";
    else if (!r->reason && w->c.method == STATS_NONE)
        r->reason = "the values do not spread at all";
    measure(w, r, c->within, gain);
    if (r->reason) /* nothing that looks like a verdict */
        r->p = r->equivalence = r->lo = r->hi = r->detectable = NAN;
    free(s.a);
    free(s.b);
}

/* Repeats cannot average the meters' accuracies away: what is to be shown must be shown beyond them. */
static long missing(const struct work *w)
{
    struct stats_contrast c = w->c;
    double diff = fabs(c.diff);
    double margin = w->margin - w->slack - (diff < w->slack ? diff : w->slack);
    c.diff = fmax(0, diff - w->slack);
    return stats_contrast_missing(&c, margin, COMPARE_LEVEL, COMPARE_POWER);
}

static void decide(struct compare_result *r, const struct work *w)
{
    double alpha = 1 - COMPARE_LEVEL;
    if (r->reason)
        return;
    if (r->p < alpha)
        r->verdict = COMPARE_DIFFERS;
    else if (r->equivalence < alpha)
        r->verdict = COMPARE_EQUIVALENT;
    else
        r->verdict = COMPARE_UNDECIDED;
    if (r->verdict == COMPARE_UNDECIDED)
        r->more = missing(w);
}

static void adjust(struct compare_result *r, size_t n)
{
    double *p CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *p);
    double *q CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *q);
    for (size_t i = 0; i < n; i++) {
        p[i] = r[i].p;
        q[i] = r[i].equivalence;
    }
    stats_holm(p, n);
    stats_holm(q, n);
    for (size_t i = 0; i < n; i++) {
        r[i].p = p[i];
        r[i].equivalence = q[i];
    }
}

struct compare_result *compare_results(const struct compare *c, size_t *n)
{
    size_t others = c->ngroups > 0 ? c->ngroups - 1 : 0;
    *n = c->nquantities * others;
    struct compare_result *r = base_alloc((*n + 1) * sizeof *r);
    struct work *w CLEANUP(base_freep) = base_alloc((*n + 1) * sizeof *w);
    for (size_t i = 0; i < *n; i++) {
        r[i] = (struct compare_result){.quantity = i / others, .group = i % others + 1};
        compare_one(c, &w[i], &r[i]);
    }
    adjust(r, *n);
    for (size_t i = 0; i < *n; i++) {
        decide(&r[i], &w[i]);
        stats_contrast_free(&w[i].c);
    }
    return r;
}
