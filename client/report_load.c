#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "client/report.h"
#include "common/units.h"

#define FIT_BOOTSTRAPS 200
#define CPUINFO_BYTES  (1 << 20)

void report_init(struct report *r)
{
    *r = (struct report){.made_utc_ns = clock_utc_ns()};
    study_init(&r->study);
}

void report_fini(struct report *r)
{
    for (size_t k = 0; k < POINTS_CLASSES; k++)
        if (r->model[k].made)
            fit_free(&r->model[k].fit);
    qc_charts_free(r->charts, r->ncharts);
    report_loss_free(r);
    study_loss_fini(&r->losses);
    free(r->lines);
    free(r->line_data);
    points_free(&r->points);
    study_fini(&r->study);
    wire_msg_free(r->meters);
    wire_msg_free(r->info);
    free(r->title);
    free(r->selection);
    *r = (struct report){0};
}

void report_finip(struct report *r)
{
    report_fini(r);
}

/* ---- the machine --------------------------------------------------------------------------------- */

/* "model name : Xeon" of /proc/cpuinfo; other architectures may have no such line. */
static void read_cpu(struct report *r)
{
    char *text CLEANUP(base_freep) = base_alloc(CPUINFO_BYTES);
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return;
    size_t n = fread(text, 1, CPUINFO_BYTES - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    const char *line = strstr(text, "model name");
    const char *colon = line ? strchr(line, ':') : NULL;
    if (!colon)
        return;
    colon += 1 + strspn(colon + 1, " \t");
    (void)snprintf(r->cpu, sizeof r->cpu, "%.*s", (int)strcspn(colon, "\n"), colon);
}

static void read_machine(struct report *r)
{
    struct utsname u;
    if (gethostname(r->host, sizeof r->host - 1) != 0)
        r->host[0] = '\0';
    if (uname(&u) == 0)
        (void)snprintf(r->kernel, sizeof r->kernel, "%.30s %.40s %.20s", u.sysname, u.release,
                       u.machine);
    read_cpu(r);
}

/* What a page can do without: NULL when the daemon does not answer it. */
static struct wire_msg *ask(struct conn *c, const char *op)
{
    struct wire_msg *m = NULL;
    (void)conn_begin(c, op);
    return conn_call(c, &m, NULL) < 0 ? NULL : m;
}

/* ---- arithmetic ---------------------------------------------------------------------------------- */

struct progress {
    void (*say)(void *arg, const char *what);
    void *arg;
};

static void tell(void *arg, const char *doing, double share)
{
    const struct progress *p = arg;
    char text[120];
    (void)snprintf(text, sizeof text, "%.80s, %.0f %%", doing, share * 100);
    if (p->say)
        p->say(p->arg, text);
}

/* The runs of one setting, excluded ones too: the fit lists those. */
static void make_model(struct report *r, enum points_class k, struct progress *p)
{
    const struct points_set *s = &r->points.set[k];
    struct report_model *m = &r->model[k];
    struct err e = {0};
    if (!s->setting) {
        (void)snprintf(m->why, sizeof m->why, "there is no usable run");
        return;
    }
    if (s->caches.n == 0) {
        (void)snprintf(m->why, sizeof m->why,
                       k == POINTS_GPU ? "the runs on %s name no card, or cards that differ"
                                       : "the caches of %s are not known on this machine; make the "
                                         "report there",
                       s->setting->machine);
        return;
    }
    struct study_run *runs CLEANUP(base_freep) = base_alloc((r->study.n + 1) * sizeof *runs);
    size_t n = 0;
    for (size_t i = 0; i < r->study.n; i++)
        if (points_same_setting(&r->study.runs[i], s->setting))
            runs[n++] = r->study.runs[i];
    struct fit_options o = {.caches = k == POINTS_CPU ? &r->study.caches : &s->caches,
                            .bootstraps = FIT_BOOTSTRAPS,
                            .seed = 1,
                            .progress = tell,
                            .arg = p};
    m->made = fit_make(&m->fit, runs, n, &o, &e) == 0;
    if (!m->made)
        (void)snprintf(m->why, sizeof m->why, "%s%s%s", e.text, e.next[0] ? "; " : "", e.next);
}

static void model_figures(struct claims_model *out, const struct report_model *m)
{
    *out = (struct claims_model){(double)NAN, (double)NAN, (double)NAN, (double)NAN, 0};
    if (!m->made)
        return;
    const struct fit *f = &m->fit;
    out->networks = f->time_points;
    out->time = f->cv[FIT_BY_SIZE].error.time.mean_abs;
    out->energy = f->has == FIT_ENERGY ? f->cv[FIT_BY_SIZE].error.energy.mean_abs : (double)NAN;
    out->ops = f->rival[FIT_RIVAL_OPS][FIT_BY_SIZE].error.time.mean_abs;
    out->params = f->rival[FIT_RIVAL_SPLINE][FIT_BY_SIZE].error.time.mean_abs;
}

static void count_quality(struct report *r)
{
    for (size_t i = 0; i < r->study.n; i++) {
        enum study_quality q = r->study.runs[i].quality;
        r->measured += q == STUDY_MEASURED || q == STUDY_MODELLED;
        r->estimated += q == STUDY_ESTIMATED;
    }
}

void report_compute(struct report *r, void (*say)(void *arg, const char *what), void *arg)
{
    struct progress p = {say, arg};
    const struct caches *cpu = r->study.caches.n > 0 ? &r->study.caches : NULL;
    const struct caches *gpu = r->study.card.n > 0 ? &r->study.card : NULL;
    count_quality(r);
    points_make(&r->points, r->study.runs, r->study.n, cpu, gpu, r->host);
    r->ncharts = qc_charts(&r->charts, r->study.runs, r->study.n);
    report_loss_make(r);
    report_loss_lines(r);
    struct claims_input in = {.points = &r->points,
                              .lines = r->lines,
                              .nlines = r->nlines,
                              .lines_joules = r->loss_joules};
    for (int k = 0; k < POINTS_CLASSES; k++) {
        make_model(r, (enum points_class)k, &p);
        model_figures(&in.model[k], &r->model[k]);
    }
    r->nclaims = claims_judge(r->claims, &in);
}

int report_load(struct report *r, struct conn *c, char *const *words, size_t n,
                void (*say)(void *arg, const char *what), void *arg, struct err *e)
{
    if (say)
        say(arg, "reading the runs");
    study_fini(&r->study);
    int rc = study_load_words(&r->study, c, words, n, &r->selection, e);
    if (rc < 0)
        return rc;
    if (say)
        say(arg, "reading their losses");
    rc = study_loss_load(&r->losses, c, &r->study, e);
    if (rc < 0)
        return rc;
    r->meters = ask(c, "meters");
    r->info = ask(c, "info");
    read_machine(r);
    report_compute(r, say, arg);
    return 0;
}
