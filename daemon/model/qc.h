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
/* How many standard deviations ln T of each run is from its group's mean, as filter_3 counts them; NAN
 * where it is in no group, or alone in it. z: n of them. */
void qc_stdevs(double *z, const struct study_run *runs, size_t n);
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

/* ---- standardisation ------------------------------------------------------------------------------ */

/* Values derived from a run beside what was measured, which stays as it is. Steps, each of which may be
 * left out (source: BUTTER-E analysis, notebook 3; the joules stay whole-machine ones, idle inside):
 *   QC_STD_OFFSET   node offset: P = E/T, P_std = P + (M_reference - M_hardware), E_std = P_std T, with M
 *                   the idle power of a class of hardware. For machines that differ in what they draw for
 *                   nothing.
 *   QC_STD_STARTUP  what a run costs before and beside its epochs is taken off: E_net = E_std - overhead,
 *                   T_net = T - overhead; a run with nothing left (<= 0) is `dropped`.
 * The start-up is had in one of two ways:
 *   QC_STARTUP_MARKED      the run's own marks: all of its window that is neither training nor testing (its
 *                          setup phase, its end). Used wherever the trainer marks its phases.
 *   QC_STARTUP_SMALLEST    the study's: per hardware the 5th percentile, of time and of energy, over the
 *                          calibration runs, those of the smallest data set up to 1,024 parameters. It
 *                          holds that data set's epochs as well (3000 of one batch in the study), so all
 *                          runs should have as many epochs. For runs without marks. */
enum qc_std_step { QC_STD_OFFSET = 1, QC_STD_STARTUP = 2 };
enum qc_startup { QC_STARTUP_MARKED, QC_STARTUP_SMALLEST };

struct qc_idle {
    const char *hardware;
    double w;
};
/* The study's node types: 2nd percentile of each node's power, median over nodes. */
extern const struct qc_idle qc_idle_study[];
extern const size_t qc_idle_study_count;

struct qc_options {
    unsigned steps; /* enum qc_std_step */
    enum qc_startup startup;
    const char
        *reference[2]; /* hardware all others are brought to: of CPU and of GPU runs; NULL = none */
    const struct qc_idle *idle; /* NULL = the median of the runs' own idle_w */
    size_t nidle;
    const char *calibration;  /* data set; NULL = that with fewest training rows */
    int64_t calibration_size; /* 0 = 1,024 */
};

/* Per batch, datum and epoch; NAN where something is not known. */
struct qc_units {
    double batch_j, datum_j, epoch_j;
    double batch_s, datum_s, epoch_s;
};

struct qc_standard {
    double power_w; /* E/T as measured */
    double offset_w;
    double std_j;
    double overhead_j;
    double overhead_s;
    double net_j;
    double net_s;
    bool dropped; /* nothing is left beside the start-up */
    /* E_net over epochs x ceil(0.8 rows / batch) batches of a full batch each; tests in the numerator,
     * not in the denominator. source: notebook 4 */
    struct qc_units study;
    /* Joules and seconds of the training steps alone, over the batches and rows there really were. */
    struct qc_units exact;
};
/* out: n of them, in the order of the runs. */
void qc_standardise(struct qc_standard *out, const struct study_run *runs, size_t n,
                    const struct qc_options *o);

/* All runs of one network on one hardware and data set with the same batch: what repeats are. (Their
 * epochs may differ, where the trainer was told to choose them; then only the units compare.) */
struct qc_config {
    size_t first; /* into the runs: stands for all of them */
    size_t n;     /* that entered */
    double net_j; /* medians over them */
    double net_s;
    struct qc_units study;
    struct qc_units exact;
};
/* Medians over repeats of the runs without any of `without`, by first; caller frees. */
size_t qc_medians(struct qc_config **out, const struct study_run *runs,
                  const struct qc_standard *std, size_t n, uint32_t without);
bool qc_same_network(const struct study_run *a, const struct study_run *b);

#endif
