#include "client/model_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/chart.h"
#include "client/table.h"

#define BAR         30
#define REASONS_MAX 64
#define STUDY_GPU   0.055 /* mean absolute relative error of the study's own model */
#define STUDY_CPU   0.211

static void head(const struct print *p, const char *title)
{
    (void)fprintf(p->out, "\n%s%s%s\n", print_tone_on(p, TONE_BOLD), title,
                  print_tone_off(p, TONE_BOLD));
}

static void put_percent(struct table *t, double v)
{
    if (isnan(v))
        table_put(t, "-");
    else
        table_put(t, "%.1f %%", 100 * v);
}

/* ---- coefficients -------------------------------------------------------------------------------- */

static void put_value(struct table *t, double v)
{
    if (isnan(v))
        table_put(t, "-");
    else
        table_put(t, "%.3g", v);
}

static void show_law(const struct print *p, const struct fit_law *law)
{
    static const char *const heads[] = {"TERM", ">VALUE", ">LO", ">HI", "UNIT", "MEANING"};
    struct table t;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t j = 0; j < law->n; j++) {
        const struct fit_term *c = &law->term[j];
        if (!c->used)
            continue;
        table_put(&t, "%s", c->name);
        put_value(&t, c->value);
        put_value(&t, c->lo);
        put_value(&t, c->hi);
        table_put(&t, "%s", c->unit);
        table_put(&t, "%s", c->meaning);
    }
    table_print(&t, p);
    table_fini(&t);
}

const char *model_law_text(char *buf, size_t cap, const struct fit *f)
{
    (void)snprintf(buf, cap,
                   f->form == FIT_SUM
                       ? "step + layer x depth + op x operations + bytes x their level"
                       : "step + layer x depth + the larger of op x operations and "
                         "bytes x their level");
    return buf;
}

static void show_laws(const struct print *p, const struct fit *f)
{
    char law[160];
    head(p, "Seconds of a training step");
    (void)fprintf(p->out, "= %s\n", model_law_text(law, sizeof law, f));
    show_law(p, &f->time);
    enum fit_form other = f->form == FIT_SUM ? FIT_MAX : FIT_SUM;
    (void)fprintf(
        p->out,
        "error left out by size: %.1f %%; with computing and moving %s it would be %.1f %%\n",
        100 * f->form_cv[f->form], other == FIT_SUM ? "one after the other" : "at once",
        100 * f->form_cv[other]);
    if (f->has != FIT_ENERGY)
        return;
    head(p, "Joules of a training step");
    (void)fprintf(
        p->out,
        "= (idle + active) x seconds + op x operations + bytes x their level; idle %.4g W\n",
        f->idle_w);
    show_law(p, &f->power);
}

/* ---- errors -------------------------------------------------------------------------------------- */

static void put_error(struct table *t, const char *what, const char *how, const struct fit_error *v,
                      double noise)
{
    if (v->n == 0)
        return;
    table_put(t, "%s", what);
    table_put(t, "%s", how);
    put_percent(t, v->mean_abs);
    put_percent(t, v->median_abs);
    put_percent(t, v->p90_abs);
    table_put(t, "%.0f %%", 100 * v->within10);
    table_put(t, "%.0f %%", 100 * v->within20);
    table_put(t, "%.3f", v->mean_ratio);
    put_percent(t, noise);
    if (isnan(noise) || noise <= 0)
        table_put(t, "-");
    else
        table_put(t, "%.2f", v->mean_abs / noise);
}

static void put_errors(struct table *t, const char *how, const struct fit *f,
                       const struct fit_errors *e)
{
    put_error(t, "time", how, &e->time, f->noise.time);
    put_error(t, "power", how, &e->power, f->noise.power);
    put_error(t, "above idle", how, &e->dynamic, NAN);
    put_error(t, "energy", how, &e->energy, f->noise.energy);
}

static void show_errors(const struct print *p, const struct fit *f)
{
    static const char *const heads[] = {"OF",       "NETWORKS",      ">MEAN |E|",    ">MEDIAN",
                                        ">90 %",    ">WITHIN 10 %",  ">WITHIN 20 %", ">PRED./MEAS.",
                                        ">REPEATS", ">ERROR/REPEATS"};
    static const char *const folds[] = {"left out by size", "left out by data set",
                                        "left out by shape"};
    struct table t;
    head(p, "Relative error, predicted against measured");
    table_init(&t, heads, ARRAY_LEN(heads));
    for (int k = 0; k < FIT_FOLDS; k++)
        put_errors(&t, folds[k], f, &f->cv[k].error);
    put_errors(&t, "that were fitted", f, &f->inside);
    table_print(&t, p);
    table_fini(&t);
    for (int k = 0; k < FIT_FOLDS; k++)
        if (f->cv[k].folds == 0)
            (void)fprintf(p->out, "not %s: fewer than %d of them\n", folds[k], FIT_GROUPS_MIN);
    if (isnan(f->noise.time))
        (void)fprintf(p->out, "no network ran twice: how well a model could do is not known\n");
    (void)fprintf(p->out, "the study's own model: %.1f %% on its %s nodes\n",
                  100 * (f->gpu ? STUDY_GPU : STUDY_CPU), f->gpu ? "GPU" : "CPU");
}

/* ---- rivals -------------------------------------------------------------------------------------- */

static void put_ways(struct table *t, const char *name, const struct fit_cv *cv, bool energy)
{
    table_put(t, "%s", name);
    for (int k = 0; k < FIT_FOLDS; k++)
        put_percent(t, cv[k].error.time.mean_abs);
    for (int k = 0; k < FIT_FOLDS && energy; k++)
        put_percent(t, cv[k].error.energy.mean_abs);
}

static void show_rivals(const struct print *p, const struct fit *f)
{
    static const char *const heads[] = {"MEAN |ERROR|, LEFT OUT BY",
                                        ">TIME: SIZE",
                                        ">DATA SET",
                                        ">SHAPE",
                                        ">ENERGY: SIZE",
                                        ">DATA SET",
                                        ">SHAPE"};
    bool energy = f->has == FIT_ENERGY;
    struct table t;
    head(p, "Against simpler ways, on the same networks");
    table_init(&t, heads, energy ? ARRAY_LEN(heads) : 4);
    put_ways(&t, "this model", f->cv, energy);
    for (int r = 0; r < FIT_RIVAL_COUNT; r++)
        if (f->rival[r][FIT_BY_SIZE].error.time.n + f->rival[r][FIT_BY_SIZE].error.energy.n > 0)
            put_ways(&t, fit_rival_text((enum fit_rival)r), f->rival[r], energy);
    table_print(&t, p);
    table_fini(&t);
}

/* ---- placebo, residuals -------------------------------------------------------------------------- */

static void show_placebo(const struct print *p, const struct fit_placebo *s)
{
    double most = 0;
    head(p, "If the caches were of another size (error of time left out by size)");
    for (size_t i = 0; i < s->n; i++)
        most = s->error[i] > most ? s->error[i] : most;
    for (size_t i = 0; i < s->n; i++) {
        char bar[CHART_TEXT];
        bool one = fabs(log(s->factor[i])) < 0.01;
        (void)fprintf(p->out, "%7.3g x %6.1f %%  %s%s\n", s->factor[i], 100 * s->error[i],
                      chart_bar(bar, sizeof bar, s->error[i], most, BAR, p->unicode),
                      one ? "  <- as they are" : "");
    }
    (void)fprintf(p->out, "%s\n", s->sentence);
}

static void show_left(const struct print *p, const struct fit *f)
{
    head(p, "What is left");
    (void)fprintf(p->out, "%s\n", f->left_time.sentence);
    if (!isnan(f->left_time.misfit))
        (void)fprintf(p->out, "its residuals are %.2f x what the repeats alone would leave\n",
                      f->left_time.misfit);
    if (f->has == FIT_ENERGY)
        (void)fprintf(p->out, "%s\n", f->left_power.sentence);
}

/* ---- what did not count -------------------------------------------------------------------------- */

struct reason {
    const char *text;
    bool used;
    size_t n;
    int64_t first;
};

static size_t tally(struct reason *to, const struct model *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->nleft; i++) {
        size_t k = 0;
        while (k < n && strcmp(to[k].text, m->left[i].reason) != 0)
            k++;
        if (k == REASONS_MAX)
            continue;
        if (k == n)
            to[n++] = (struct reason){m->left[i].reason, m->left[i].used, 0, m->left[i].run};
        to[k].n++;
    }
    return n;
}

/* "filter_3, overlap" in sentences. */
static void explain(FILE *out, const char *text)
{
    for (int x = 0; x < STUDY_X_COUNT; x++) {
        const char *name = study_exclusion_name((enum study_exclusion)x);
        const char *at = strstr(text, name);
        char next = at ? at[strlen(name)] : 'x';
        if (at && (at == text || at[-1] == ' ') && (next == '\0' || next == ','))
            (void)fprintf(out, "; %s", study_exclusion_text((enum study_exclusion)x));
    }
}

static void show_left_out(const struct print *p, const struct model *m)
{
    struct reason reasons[REASONS_MAX];
    size_t n = tally(reasons, m);
    head(p, "Runs that were left out");
    if (n == 0)
        (void)fprintf(p->out, "none\n");
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(p->out, "%5zu  %s%s", reasons[i].n, reasons[i].text,
                      reasons[i].used ? " (its time counted)" : "");
        explain(p->out, reasons[i].text);
        (void)fprintf(p->out, " (run %lld%s)\n", (long long)reasons[i].first,
                      reasons[i].n > 1 ? ", .." : "");
    }
}

static void show_head(const struct print *p, const struct model *m)
{
    const struct fit *f = &m->fit;
    char ago[64];
    char caches[240];
    (void)fprintf(p->out, "model %lld  %s  %s  %s, by uid %lld\n", (long long)m->id, f->machine,
                  f->backend, print_ago(ago, sizeof ago, m->created_utc_ns), (long long)m->uid);
    (void)fprintf(p->out, "from %zu runs of %zu networks%s%s\n", f->time_runs, f->time_points,
                  *m->selection ? ", chosen as " : ", all that were done",
                  *m->selection ? m->selection : "");
    (void)fprintf(p->out, "%lld .. %lld parameters, depth %d .. %d; caches %s\n",
                  (long long)f->params_min, (long long)f->params_max, f->depth_min, f->depth_max,
                  caches_show(caches, sizeof caches, &f->caches));
    if (f->has == FIT_ENERGY)
        (void)fprintf(p->out, "joules: %s, of %zu runs\n", study_quality_name(f->quality),
                      f->energy_runs);
    else
        (void)fprintf(p->out, "%stime only%s: %s\n", print_tone_on(p, TONE_WARN),
                      print_tone_off(p, TONE_WARN), f->no_energy);
}

void model_page(const struct print *p, const struct model *m)
{
    show_head(p, m);
    show_laws(p, &m->fit);
    show_errors(p, &m->fit);
    show_rivals(p, &m->fit);
    show_placebo(p, &m->fit.placebo);
    show_left(p, &m->fit);
    show_left_out(p, m);
}
