/* The study's findings, one by one, against one's own runs: what it found, what these runs show with an
 * interval, and the verdict. Pure arithmetic, any thread; the same input gives the same output.
 *
 * source: BUTTER-E (arXiv 2403.08151) and its published analysis: medians read from its notebooks and
 * figures. Rows are numbered as in docs/report.md, which also gives for each: what is computed, and when it
 * counts as reproduced. The rules of all:
 *
 *   - A configuration is one network on one data set, the median over its repeats (points.h). Runs of a
 *     setting other than the one most runs have are left out.
 *   - Costs are J per datum where joules are measured, else s per datum: then the verdict is about time,
 *     and says so. An estimate of joules decides nothing.
 *   - What the study's node wall meter and another meter read is not comparable in absolute joules: they
 *     cover different parts of the machine, and idle power differs. Verdicts rest on slopes, ratios, signs
 *     and places of minima. An absolute figure is only told beside them.
 *   - A slope is that of ln(cost) within groups (every group its own level: a regression with fixed
 *     effects), so that it does not matter which data sets a size was trained on.
 *   - Intervals: 95 %, percentile bootstrap, 1000 replicates: over configurations for slopes, over the
 *     groups compared for medians. "Above 0" means that the interval is.
 *   - Not testable: the runs lack what the finding is about (a GPU, sizes, depths, enough groups). The
 *     sentence says what would have to be run. */
#ifndef DAEMON_MODEL_CLAIMS_H
#define DAEMON_MODEL_CLAIMS_H

#include "daemon/model/points.h"

#define CLAIMS_LEAST 8  /* configurations on each side of a comparison */
#define CLAIMS_LINES 5  /* iso-loss lines */
#define CLAIMS_SPAN  64 /* largest over smallest size of a line, of "the whole range" */

enum claim_verdict { CLAIM_REPRODUCED, CLAIM_NOT, CLAIM_UNTESTABLE };
enum claim_hardware { CLAIM_CPU, CLAIM_GPU, CLAIM_BOTH };

/* One iso-loss line: what it costs networks of one data set, shape and depth to reach one loss. */
struct claims_line {
    const char *dataset;
    const char *shape;
    int depth;
    bool gpu;
    bool standin; /* its loss means nothing: the line is not used */
    bool
        ordered; /* the larger the network the fewer epochs, as the study asks of its lines; else the
                     loss is one that all reach at once, and the line is not used */
    size_t n;    /* sizes, rising */
    const int64_t *size;
    const double *cost; /* J or s, all of one kind */
    const double *ops;  /* operations until the loss; NAN = not known */
    const double *f;    /* forward working set, bytes; NAN = not known */
};

/* What is known of a fitted model: errors left out by size, mean |relative error|; NAN = not known. */
struct claims_model {
    double energy;
    double time;
    double ops;      /* rival: operations only, error of time */
    double params;   /* rival: a spline in the parameters, error of time */
    size_t networks; /* 0 = no model */
};

struct claims_input {
    const struct points *points;
    const struct claims_line *lines;
    size_t nlines;
    bool lines_joules; /* their cost is measured joules */
    struct claims_model model[POINTS_CLASSES];
};

struct claim {
    int row;
    enum claim_hardware hardware;
    const char *finding;
    const char *study; /* its figure, in words */
    const char *rule;  /* how mine is computed, and when it counts as reproduced */
    enum claim_verdict verdict;
    bool time;          /* judged by seconds: the joules are not measured */
    double study_value; /* the study's figure as computed like mine; NAN = it has none */
    double value;       /* NAN = could not be computed, as lo and hi */
    double lo;
    double hi;
    const char *unit; /* of value; "" = a plain number */
    size_t n;         /* configurations, groups or lines it rests on */
    char why[320];    /* one sentence, or two */
};

#define CLAIMS_MAX 24
/* Returns how many claims are in out. */
size_t claims_judge(struct claim out[CLAIMS_MAX], const struct claims_input *in);

const char *claim_verdict_name(enum claim_verdict v);   /* "reproduced", "not reproduced", ... */
const char *claim_hardware_name(enum claim_hardware h); /* "CPU", "GPU", "both" */

#endif
