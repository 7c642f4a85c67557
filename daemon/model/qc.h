/* Quality control and standardisation of a study's runs: named steps that can be taken back. Pure; any
 * thread. A step sets one bit of `excluded` and nothing else: the run stays, with its reasons.
 *
 * The steps are the names of STUDY_EXCLUSIONS (study.h). Three are the published study's own, exactly as
 * its code does them; source: BUTTER-E analysis, notebook 2:
 *   filter_1  run time > 75,000 s
 *   filter_2  energy = 0
 *   filter_3  |ln T - mean ln T| > 4 sd(ln T) within (hardware, data set, size), T the run time, sd that
 *             of the population; a group of one flags nothing. (No group of fewer than 18 runs can: a
 *             deviation is at most sqrt(n - 1) sd.) Only points of the grid are in a group: warm-up and
 *             control runs, which the study had none of, are all the same network.
 * The others are ours, read from the flags and facts that came with the run. A control run that is out of
 * its limits (qc_charts) takes the runs of its block with it. */
#ifndef DAEMON_MODEL_QC_H
#define DAEMON_MODEL_QC_H

#include "daemon/model/study.h"

#define QC_SLOW_S     75000.0
#define QC_OUTLIER_SD 4.0
#define QC_ALL        ((UINT32_C(1) << STUDY_X_COUNT) - 1)

/* Take the steps named by STUDY_X() bits: their bits are computed anew, the others stay as they are. */
void qc_apply(struct study_run *runs, size_t n, uint32_t steps);
/* Take them back. */
void qc_undo(struct study_run *runs, size_t n, uint32_t steps);
/* "filter_3" -> its bit; 0 = no step of that name. */
uint32_t qc_step_bit(const char *name);
size_t qc_count(const struct study_run *runs, size_t n, uint32_t bits); /* runs with any of them */

/* ---- control chart -------------------------------------------------------------------------------- */

/* The control runs of one sweep, machine and network, in the order they ran. Centre: their median. Limits:
 * centre +- QC_CHART_SIGMAS robust standard deviations (1.4826 median absolute deviations), but never
 * nearer than QC_CHART_FLOOR of the centre, so that a quiet machine is not failed for a deviation that no
 * comparison would see. Fewer than QC_CHART_LEAST points make no limits, and nothing fails. */
#define QC_CHART_SIGMAS 3.0
#define QC_CHART_FLOOR  0.02
#define QC_CHART_LEAST  5

enum qc_quantity { QC_TIME, QC_ENERGY }; /* training time, joules per datum */

struct qc_point {
    size_t at; /* into the runs */
    int64_t run;
    int64_t block;
    int64_t started_utc_ns;
    double value; /* s or J per datum */
    bool failing;
};

struct qc_chart {
    int64_t sweep;
    char machine[64];
    char backend[24];
    char network[96]; /* "banana rectangle depth 3, 1,024 parameters" */
    enum qc_quantity quantity;
    struct qc_point *points;
    size_t n;
    size_t failing;
    double centre; /* NAN with no point */
    double mean;
    double sigma; /* robust; NAN with fewer than QC_CHART_LEAST */
    double lo;
    double hi;
};

/* One chart per sweep, machine, backend and control network and quantity; a control run
 * without the quantity is no point; estimated joules make no chart. Caller frees with qc_charts_free. */
size_t qc_charts(struct qc_chart **out, const struct study_run *runs, size_t n);
void qc_charts_free(struct qc_chart *charts, size_t n);
/* Centre and limits from the points' values; marks the failing ones. */
void qc_chart_limits(struct qc_chart *c);

/* ---- order statistics ----------------------------------------------------------------------------- */

/* Linear between order statistics, as numpy's percentile; q in 0..1; sorts v. NAN for n = 0. */
double qc_quantile(double *v, size_t n, double q);
double qc_median(double *v, size_t n);

#endif
