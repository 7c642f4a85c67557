/* Resampling: indexes, percentile and BCa intervals. */
#include <math.h>

#include "common/random.h"
#include "daemon/model/stats.h"

void stats_resample(size_t *index, size_t n, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        index[i] = random_below(seed, n);
}

/* Sorted, the NAN ones gone; how many are left. */
static size_t keep_numbers(double *v, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(v[i]))
            v[kept++] = v[i];
    stats_sort(v, kept);
    return kept;
}

void stats_interval(double *replicates, size_t n, double level, double *lo, double *hi)
{
    size_t kept = keep_numbers(replicates, n);
    *lo = stats_quantile(replicates, kept, (1 - level) / 2);
    *hi = stats_quantile(replicates, kept, (1 + level) / 2);
}

/* Ties count half, so that a statistic with few values is not called biased. */
static double bias_of(const double *sorted, size_t n, double estimate)
{
    double below = 0;
    for (size_t i = 0; i < n; i++)
        below += sorted[i] < estimate ? 1 : sorted[i] > estimate ? 0 : 0.5;
    return stats_normal_quantile((below + 0.5) / ((double)n + 1));
}

static double acceleration_of(const double *jack, size_t n)
{
    double mean = stats_mean(jack, n);
    double squares = 0;
    double cubes = 0;
    for (size_t i = 0; i < n; i++) {
        double d = mean - jack[i];
        squares += d * d;
        cubes += d * d * d;
    }
    return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : 0;
}

void stats_bca(double *replicates, size_t n, double estimate, const double *jack, size_t njack,
               double level, double *lo, double *hi)
{
    size_t kept = keep_numbers(replicates, n);
    double *end[] = {lo, hi};
    double z0 = bias_of(replicates, kept, estimate);
    double a = acceleration_of(jack, njack);
    for (int i = 0; i < 2; i++) {
        double z = z0 + stats_normal_quantile(i == 0 ? (1 - level) / 2 : (1 + level) / 2);
        *end[i] = stats_quantile(replicates, kept, stats_normal_cdf(z0 + z / (1 - a * z)));
    }
}
