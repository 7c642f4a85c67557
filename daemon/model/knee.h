/* The knee of a cost curve: the size from which a datum costs more than the smaller networks foretell, and
 * whether an intervention moved it. Pure arithmetic; any thread; same seed, same result.
 *
 * Within a cache level a datum costs a + b x: what the layers cost whatever their width, and so much per
 * parameter. Beyond the knee k each further parameter costs c more:
 *   y = a + b x + c (x - k)+,   a, b, c >= 0
 * fitted by least squares of the relative error (y spans decades: this is a fit in the logarithms, but with
 * costs that add up, so that the bend from overhead to arithmetic, which no cache makes, is not taken for a
 * knee). k is searched on a grid between the second size and the last but one.
 *
 * Intervals: 95 %, bootstrap of the fit's relative residuals, KNEE_BOOTSTRAPS times; repeats of one size are
 * points of their own. A knee is seen where (b + c) / b stays above KNEE_STEEPER in all but 2.5 % of them. */
#ifndef DAEMON_MODEL_KNEE_H
#define DAEMON_MODEL_KNEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KNEE_SIZES_MIN  6 /* different x */
#define KNEE_BOOTSTRAPS 400
#define KNEE_STEEPER    1.1

struct knee_point {
    double x; /* parameters, or bytes of a working set */
    double y; /* cost of a datum */
};

struct knee {
    size_t n;     /* points */
    size_t sizes; /* different x */
    bool fitted;  /* there were enough sizes */
    bool seen;
    double at; /* NAN where it is not seen, as lo and hi */
    double lo;
    double hi;
    double a; /* of the fit, whether a knee is seen or not */
    double b;
    double steeper; /* (b + c) / b */
    double error;   /* mean |relative residual| */
    double boot
        [KNEE_BOOTSTRAPS]; /* k of each replicate; NAN where it bent by less than KNEE_STEEPER */
};

void knee_fit(struct knee *out, const struct knee_point *p, size_t n, uint64_t seed);

enum knee_verdict {
    KNEE_MOVED,    /* the interval of the ratio is clear of 1, on the predicted side */
    KNEE_AGAINST,  /* clear of 1, on the other side */
    KNEE_STAYED,   /* holds 1, and not the prediction */
    KNEE_UNDECIDED /* no knee in one of them, or an interval that holds both */
};

struct knee_move {
    double ratio; /* k of the variant / k of the base; NAN = not known */
    double lo;
    double hi;
    double predicted;
    enum knee_verdict verdict;
};

/* predicted: the ratio the working sets foretell; 1 = it should stay, and KNEE_STAYED is then the verdict
 * where the interval holds 1. */
void knee_compare(struct knee_move *out, const struct knee *base, const struct knee *variant,
                  double predicted);
const char *knee_verdict_name(enum knee_verdict v); /* "moved", "moved the other way", ... */

#endif
