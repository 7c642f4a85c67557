#include "daemon/model/qc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"

/* ---- the study's filters -------------------------------------------------------------------------- */

static bool same_group(const struct study_run *a, const struct study_run *b)
{
    return a->size == b->size && a->gpu == b->gpu && strcmp(a->hardware, b->hardware) == 0 &&
           strcmp(a->dataset, b->dataset) == 0;
}

static bool has_time(const struct study_run *r)
{
    return r->role == STUDY_NETWORK && r->run_s > 0;
}

static int by_group(const void *a, const void *b)
{
    const struct study_run *x = *(const struct study_run *const *)a;
    const struct study_run *y = *(const struct study_run *const *)b;
    int c = strcmp(x->hardware, y->hardware);
    if (c == 0)
        c = (int)x->gpu - (int)y->gpu;
    if (c == 0)
        c = strcmp(x->dataset, y->dataset);
    if (c == 0)
        c = (x->size > y->size) - (x->size < y->size);
    return c;
}

static void group_stdevs(double *z, const struct study_run *runs,
                         const struct study_run *const *group, size_t n)
{
    double mean = 0;
    double square = 0;
    for (size_t i = 0; i < n; i++)
        mean += log(group[i]->run_s) / (double)n;
    for (size_t i = 0; i < n; i++)
        square += pow(log(group[i]->run_s) - mean, 2) / (double)n;
    double sd = sqrt(square);
    for (size_t i = 0; n > 1 && sd > 0 && i < n; i++)
        z[group[i] - runs] = fabs(log(group[i]->run_s) - mean) / sd;
}

void qc_stdevs(double *z, const struct study_run *runs, size_t n)
{
    const struct study_run **at CLEANUP(base_freep) = base_alloc((n + 1) * sizeof(void *));
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        z[i] = NAN;
        if (has_time(&runs[i]))
            at[m++] = &runs[i];
    }
    qsort(at, m, sizeof(void *), by_group);
    for (size_t from = 0, to = 0; from < m; from = to) {
        while (to < m && same_group(at[from], at[to]))
            to++;
        group_stdevs(z, runs, at + from, to - from);
    }
}

static void filter_outliers(struct study_run *runs, size_t n)
{
    double *z CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *z);
    qc_stdevs(z, runs, n);
    for (size_t i = 0; i < n; i++)
        if (z[i] > QC_OUTLIER_SD)
            runs[i].excluded |= STUDY_X(OUTLIER);
}

/* ---- ours ----------------------------------------------------------------------------------------- */

/* A whole word of a space separated list. */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += len)
        if ((p == list || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
            return true;
    return false;
}

/* A bridged gap costs coverage too: inside of it the joules are spread evenly, whatever the phases did. */
static bool uncovered(const struct study_run *r)
{
    static const char *const words[] = {"unknown", "reset", "suspend", "bridged", "provisional"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (has_word(r->flags, words[i]))
            return true;
    return r->unknown_s > 0;
}

static uint32_t facts_of(const struct study_run *r)
{
    uint32_t x = 0;
    x |= r->role == STUDY_WARMUP ? STUDY_X(WARMUP) : 0;
    x |= r->role == STUDY_CANARY ? STUDY_X(CANARY) : 0;
    x |= r->train_s > 0 && r->rows_seen > 0 ? 0 : STUDY_X(NO_TIME);
    x |= r->standin ? STUDY_X(STANDIN_LOSS) : 0;
    x |= r->run_s > QC_SLOW_S ? STUDY_X(SLOW) : 0;
    x |= r->run_j == 0 ? STUDY_X(ZERO) : 0;
    x |= uncovered(r) ? STUDY_X(COVERAGE) : 0;
    x |= has_word(r->flags, "overlap") ? STUDY_X(OVERLAP) : 0;
    x |= has_word(r->flags, "below_resolution") || has_word(r->flags, "coarse")
             ? STUDY_X(RESOLUTION)
             : 0;
    x |= r->stopped ? STUDY_X(STOPPED) : 0;
    x |= has_word(r->flags, "disturbed") ? STUDY_X(DISTURBED) : 0;
    x |= has_word(r->flags, "throttled") ? STUDY_X(THROTTLED) : 0;
    x |= r->quality == STUDY_ESTIMATED ? STUDY_X(ESTIMATE) : 0;
    x |= r->quality == STUDY_NO_ENERGY || isnan(r->run_j) ? STUDY_X(NO_ENERGY) : 0;
    return x;
}

static bool in_block(const struct study_run *r, const struct qc_chart *c, int64_t block)
{
    return block > 0 && r->block == block && r->sweep == c->sweep &&
           strcmp(r->machine, c->machine) == 0 && strcmp(r->backend, c->backend) == 0;
}

static void flag_blocks(struct study_run *runs, size_t n)
{
    struct qc_chart *charts;
    size_t ncharts = qc_charts(&charts, runs, n);
    for (size_t k = 0; k < ncharts; k++)
        for (size_t p = 0; p < charts[k].n; p++)
            for (size_t i = 0; charts[k].points[p].failing && i < n; i++)
                if (in_block(&runs[i], &charts[k], charts[k].points[p].block))
                    runs[i].excluded |= STUDY_X(BLOCK);
    qc_charts_free(charts, ncharts);
}

/* ---- steps ---------------------------------------------------------------------------------------- */

void qc_undo(struct study_run *runs, size_t n, uint32_t steps)
{
    for (size_t i = 0; i < n; i++)
        runs[i].excluded &= ~steps;
}

void qc_apply(struct study_run *runs, size_t n, uint32_t steps)
{
    qc_undo(runs, n, steps);
    for (size_t i = 0; i < n; i++)
        runs[i].excluded |= facts_of(&runs[i]) & steps;
    if (steps & STUDY_X(OUTLIER))
        filter_outliers(runs, n);
    if (steps & STUDY_X(BLOCK))
        flag_blocks(runs, n);
}

uint32_t qc_step_bit(const char *name)
{
    for (unsigned x = 0; x < STUDY_X_COUNT; x++)
        if (strcmp(study_exclusion_name((enum study_exclusion)x), name) == 0)
            return UINT32_C(1) << x;
    return 0;
}

size_t qc_count(const struct study_run *runs, size_t n, uint32_t bits)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (runs[i].excluded & bits) != 0;
    return count;
}
