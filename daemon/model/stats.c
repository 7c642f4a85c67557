/* Location, spread, distributions, multiplicity. Resampling: stats_boot.c; contrasts: stats_contrast.c. */
#include "daemon/model/stats.h"

#include <math.h>
#include <stdlib.h>

#include "common/base.h"

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *v, size_t n)
{
    if (n > 1)
        qsort(v, n, sizeof *v, compare);
}

double stats_median(double *v, size_t n)
{
    if (n == 0)
        return NAN;
    stats_sort(v, n);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double stats_mean(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return n > 0 ? sum / (double)n : (double)NAN;
}

double stats_sd(const double *v, size_t n)
{
    double mean = stats_mean(v, n);
    double sum = 0;
    if (n < 2)
        return NAN;
    for (size_t i = 0; i < n; i++)
        sum += (v[i] - mean) * (v[i] - mean);
    return sqrt(sum / (double)(n - 1));
}

double stats_quantile(const double *sorted, size_t n, double p)
{
    if (n == 0)
        return NAN;
    double at = p * (double)(n - 1);
    size_t i = at <= 0 ? 0 : (size_t)at;
    if (i + 1 >= n)
        return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

/* ---- distributions -------------------------------------------------------------------------------- */

static double nonzero(double x)
{
    return fabs(x) < 1e-300 ? 1e-300 : x;
}

/* The continued fraction by Lentz's method; converges fast for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b)
{
    double c = 1;
    double d = 1 / nonzero(1 - (a + b) * x / (a + 1));
    double h = d;
    for (int m = 1; m <= 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 / nonzero(1 + even * d);
        c = nonzero(1 + even / c);
        h *= d * c;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / nonzero(1 + odd * d);
        c = nonzero(1 + odd / c);
        h *= d * c;
        if (fabs(d * c - 1) < 1e-15)
            break;
    }
    return h;
}

double stats_beta(double x, double a, double b)
{
    if (isnan(x) || !(a > 0) || !(b > 0))
        return NAN;
    if (x <= 0)
        return 0;
    if (x >= 1)
        return 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(1 - x, b, a) / b;
}

double stats_normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

double stats_normal_quantile(double p)
{
    if (!(p > 0) || !(p < 1))
        return p == 0 ? -(double)INFINITY : p == 1 ? (double)INFINITY : (double)NAN;
    if (p > 0.5)
        return -stats_normal_quantile(1 - p);
    double t = sqrt(-2 * log(p));
    double z = -(t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                         (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
    for (int i = 0; i < 3; i++) {
        double e = (stats_normal_cdf(z) - p) * sqrt(2 * M_PI) * exp(z * z / 2);
        z -= e / (1 + z * e / 2);
    }
    return z;
}

double stats_t_cdf(double t, double df)
{
    if (isnan(t) || !(df > 0))
        return NAN;
    if (isinf(df) || isinf(t))
        return stats_normal_cdf(t);
    double tail = 0.5 * stats_beta(df / (df + t * t), df / 2, 0.5);
    return t > 0 ? 1 - tail : tail;
}

static double t_density(double t, double df)
{
    return exp(lgamma((df + 1) / 2) - lgamma(df / 2) - (df + 1) / 2 * log1p(t * t / df)) /
           sqrt(df * M_PI);
}

/* Newton's steps inside a bracket that shrinks: where a step leaves it, the middle. */
double stats_t_quantile(double p, double df)
{
    if (isnan(p) || !(df > 0) || p < 0 || p > 1)
        return NAN;
    if (isinf(df) || p == 0 || p == 1)
        return stats_normal_quantile(p);
    if (p > 0.5)
        return -stats_t_quantile(1 - p, df);
    double lo = -1;
    double hi = 0;
    while (stats_t_cdf(lo, df) > p)
        lo *= 2;
    double t = fmin(hi, fmax(lo, stats_normal_quantile(p)));
    for (int i = 0; i < 200 && hi - lo > 1e-15 * fabs(t); i++) {
        double over = stats_t_cdf(t, df) - p;
        if (over < 0)
            lo = t;
        else
            hi = t;
        double next = t - over / t_density(t, df);
        bool inside = next > lo && next < hi;
        double step = next - t;
        t = inside ? next : lo + (hi - lo) / 2;
        if (inside && fabs(step) < 1e-14 * fabs(t))
            break;
    }
    return t;
}

/* ---- Shapiro-Wilk --------------------------------------------------------------------------------- */

static double poly(const double *c, int n, double x)
{
    double y = 0;
    for (int i = n; i-- > 0;)
        y = y * x + c[i];
    return y;
}

/* The weights of the upper half of the order statistics, a[0] for the largest. */
static void shapiro_weights(double *a, size_t n)
{
    static const double c1[] = {0, 0.221157, -0.147981, -2.07119, 4.434685, -2.706056};
    static const double c2[] = {0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633};
    size_t half = n / 2;
    double sum = 0;
    if (n == 3) {
        a[0] = sqrt(0.5);
        return;
    }
    for (size_t i = 0; i < half; i++) {
        a[i] = -stats_normal_quantile(((double)i + 0.625) / ((double)n + 0.25));
        sum += 2 * a[i] * a[i];
    }
    double r = 1 / sqrt((double)n);
    double first = a[0];
    double second = a[1];
    double w0 = poly(c1, 6, r) + first / sqrt(sum);
    double w1 = poly(c2, 6, r) + second / sqrt(sum);
    bool two = n > 5;
    double scale =
        two ? (sum - 2 * first * first - 2 * second * second) / (1 - 2 * w0 * w0 - 2 * w1 * w1)
            : (sum - 2 * first * first) / (1 - 2 * w0 * w0);
    for (size_t i = 0; i < half; i++)
        a[i] /= sqrt(scale);
    a[0] = w0;
    if (two)
        a[1] = w1;
}

static double shapiro_p(double w, double n)
{
    static const double c3[] = {0.5440, -0.39978, 0.025054, -6.714e-4};
    static const double c4[] = {1.3822, -0.77857, 0.062767, -0.0020322};
    static const double c5[] = {-1.5861, -0.31082, -0.083751, 0.0038915};
    static const double c6[] = {-0.4803, -0.082676, 0.0030302};
    if (n == 3)
        return fmax(0, 6 / M_PI * (asin(sqrt(w)) - asin(sqrt(0.75))));
    double y = log(1 - w);
    if (n > 11)
        return stats_normal_cdf(-(y - poly(c5, 4, log(n))) / exp(poly(c6, 3, log(n))));
    double gamma = -2.273 + 0.459 * n;
    if (y >= gamma)
        return 0;
    return stats_normal_cdf(-(-log(gamma - y) - poly(c3, 4, n)) / exp(poly(c4, 4, n)));
}

double stats_shapiro(const double *sorted, size_t n, double *w_out)
{
    double sd = n >= 3 && n <= 5000 ? stats_sd(sorted, n) : (double)NAN;
    if (w_out)
        *w_out = NAN;
    if (!(sd > 0))
        return NAN;
    double *a CLEANUP(base_freep) = base_alloc((n / 2 + 1) * sizeof *a);
    double sum = 0;
    shapiro_weights(a, n);
    for (size_t i = 0; i < n / 2; i++)
        sum += a[i] * (sorted[n - 1 - i] - sorted[i]);
    double w = fmin(1, sum * sum / (sd * sd * (double)(n - 1)));
    if (w_out)
        *w_out = w;
    return shapiro_p(w, (double)n);
}

/* ---- multiplicity --------------------------------------------------------------------------------- */

struct ranked {
    double p;
    size_t at;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    return x->p != y->p ? (x->p > y->p) - (x->p < y->p) : (x->at > y->at) - (x->at < y->at);
}

void stats_holm(double *p, size_t n)
{
    struct ranked *r CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *r);
    size_t m = 0;
    double worst = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(p[i]))
            r[m++] = (struct ranked){p[i], i};
    qsort(r, m, sizeof *r, compare_ranked);
    for (size_t i = 0; i < m; i++) {
        worst = fmax(worst, fmin(1, (double)(m - i) * r[i].p));
        p[r[i].at] = worst;
    }
}
