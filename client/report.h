/* wattq report: what a selection of training runs shows, gathered once (report_load.c), then written as a
 * page (report_page.c and the report_*.c it calls) or as data (report_json.c). The page needs nothing but
 * itself: style and charts are inside, nothing is fetched.
 *
 * Rules of all sections: a number that is not known is "-" and never 0; estimated joules carry a tilde and
 * the word and are in no chart, model or verdict: those are then about time; what is compared lies in one
 * setting (daemon/model/points.h). */
#ifndef CLIENT_REPORT_H
#define CLIENT_REPORT_H

#include <jansson.h>

#include "client/html.h"
#include "client/study_load.h"
#include "client/svg.h"
#include "daemon/model/claims.h"
#include "daemon/model/fit.h"
#include "daemon/model/qc.h"

struct report_model {
    struct fit fit; /* valid when made */
    bool made;
    char why[560]; /* why there is none, and what to do */
};

struct report {
    char *title;
    char *selection; /* "" = every run that is done */
    struct study study;
    struct points points;
    struct report_model model[POINTS_CLASSES];
    struct claim claims[CLAIMS_MAX];
    size_t nclaims;
    struct qc_chart *charts;
    size_t ncharts;
    struct wire_msg *meters; /* answers of the daemon; NULL = not to be had */
    struct wire_msg *info;
    char host[64];
    char cpu[96];    /* model name; "" = not known */
    char kernel[96]; /* system and release */
    int64_t made_utc_ns;
    size_t measured;  /* runs with measured or modelled joules */
    size_t estimated; /* runs whose joules are an estimate */
};
void report_init(struct report *r);
void report_fini(struct report *r);
void report_finip(struct report *r);

/* Everything but title. say (may be NULL) is told what is being done, for whoever waits. */
int report_load(struct report *r, struct conn *c, char *const *words, size_t n,
                void (*say)(void *arg, const char *what), void *arg, struct err *e) MUST_USE;
/* Points, models, verdicts and charts from r->study: pure but for the clock of the fit's progress. */
void report_compute(struct report *r, void (*say)(void *arg, const char *what), void *arg);

void report_page(struct html *h, const struct report *r);
json_t *report_json(const struct report *r); /* "wattq.report/1" */

/* ---- sections, in the order of the page ----------------------------------------------------------- */

void report_verdicts(struct html *h, const struct report *r);
void report_costs(struct html *h, const struct report *r);
void report_models(struct html *h, const struct report *r);
void report_method(struct html *h, const struct report *r); /* meters, control chart, windows */
void report_runs(struct html *h, const struct report *r);   /* excluded ones, all of them */
void report_machine(struct html *h, const struct report *r);

/* ---- what they share (report_figure.c) ------------------------------------------------------------- */

/* A chart with its caption in a box that scrolls on a narrow screen. id: letters, digits, '-'. */
void report_figure(struct html *h, const char *id, const struct svg_chart *c, const char *fmt, ...)
    PRINTF(4, 5);
/* "12.3 mJ", "-" */
const char *report_cost(char *buf, size_t cap, const struct points_set *s, double v);
/* What costs are called on axes: "energy per datum (J)", "time per datum (s)". */
const char *report_axis(const struct points_set *s, bool epoch);
const char *report_unit(const struct points_set *s); /* "J" or "s" */
/* "CPU: native f32, 2 threads, on host" */
const char *report_setting(char *buf, size_t cap, const struct points_set *s);

/* Medians of y over bins of x (in units of `bin` of log2 x; 0 = equal x), rising; with quartiles. Memory of
 * all four is one block: free x. */
struct report_curve {
    double *x, *y, *lo, *hi;
    size_t n;
};
void report_median(struct report_curve *out, const double *x, const double *y, size_t n,
                   double bin);
void report_curve_finip(struct report_curve *c);

#endif
