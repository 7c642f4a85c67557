/* The energy model: how long is a fit of 2,000 runs, with everything that judges it?
 * Prints ours, the target and the ratio; never fails for being slow. */
#include <stdio.h>
#include <time.h>

#include "tests/unit/model_law.h"

#define TARGET_S 3.0

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void one(const char *name, const struct law *l)
{
    struct law_runs r = law_sweep(l, 667, 3, 1);
    struct fit_options o = {.caches = l->caches, .bootstraps = 500, .seed = 1};
    struct fit f;
    struct err e = {0};
    double t = now_s();
    if (fit_make(&f, r.run, r.n < 2000 ? r.n : 2000, &o, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    t = now_s() - t;
    printf("%-28s %zu runs, %zu networks, form %s: %.3f s  (target %.0f s, ratio %.3f)  error left "
           "out by "
           "size %.2f %% time, %.2f %% energy, repeats %.2f %%\n",
           name, f.time_runs, f.time_points, fit_form_name(f.form), t, TARGET_S, t / TARGET_S,
           100 * f.cv[FIT_BY_SIZE].error.time.mean_abs,
           100 * f.cv[FIT_BY_SIZE].error.energy.mean_abs, 100 * f.noise.energy);
    fit_free(&f);
    free(r.run);
}

int main(void)
{
    struct law study = law_study();
    struct law small = law_small();
    struct law max = law_small();
    max.form = FIT_MAX;
    for (int k = 0; k < CACHES_LEVELS_MAX; k++)
        max.time[FIT_LEVEL + k] *= 8;
    one("study's CPU node", &study);
    one("two cores", &small);
    one("two cores, larger of two", &max);
    return 0;
}
