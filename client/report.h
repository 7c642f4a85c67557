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
#include "client/study_loss.h"
#include "client/svg.h"
#include "daemon/model/claims.h"
#include "daemon/model/fit.h"
#include "daemon/model/qc.h"

struct report_model {
    struct fit fit; /* valid when made */
    bool made;
    char why[560]; /* why there is none, and what to do */
};

/* Iso-loss lines of one data set on one hardware class: its runs with their curves, and what came of them. */
struct report_loss {
    enum points_class hardware;
    const char *dataset;
    struct study_run *runs;
    struct isoloss_curve *curves;
    size_t n;
    struct isoloss iso;
    struct isoloss_series *series;
    size_t nseries;
};

struct report {
    char *title;
    char *selection; /* "" = every run that is done */
    struct study study;
    struct points points;
    struct study_loss losses; /* test losses over the epochs; curves NULL = not loaded */
    struct report_loss *loss;
    size_t nloss;
    bool loss_joules;          /* lines are in joules, else in seconds: all of one kind */
    struct claims_line *lines; /* one per series, in the order of loss and series */
    size_t nlines;
    double *line_data; /* what they point to */
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
/* Points, lines, models, verdicts and charts from r->study and r->losses: pure. */
void report_compute(struct report *r, void (*say)(void *arg, const char *what), void *arg);

/* report_loss.c: r->loss from r->losses and r->points, then r->lines from r->loss. */
void report_loss_make(struct report *r);
void report_loss_lines(struct report *r);
void report_loss_free(struct report *r);

void report_page(struct html *h, const struct report *r);
json_t *report_json(const struct report *r); /* "wattq.report/1" */

/* ---- sections, in the order of the page ----------------------------------------------------------- */

void report_verdicts(struct html *h, const struct report *r);
void report_costs(struct html *h, const struct report *r);
void report_losses(struct html *h, const struct report *r);
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

/* Marker lines where a level of the caches and all before it are full. */
struct report_boundaries {
    struct svg_marker at[CACHES_LEVELS_MAX];
    char label[CACHES_LEVELS_MAX][40];
    size_t n;
};
void report_boundaries(struct report_boundaries *b, const struct caches *c);

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
