/* The study's encoding of a table: which columns become what, then one pass per column. */
#include "daemon/trainer/dataset.h"
#include "daemon/trainer/table.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

enum kind { DROPPED, TWO_VALUED, ONE_HOT, MIN_MAX, BY_255 };

struct plan {
    enum kind kind;
    int64_t offset; /* first encoded column */
    int64_t width;
    double *category; /* sorted distinct values, for ONE_HOT */
    double first;     /* TWO_VALUED: the value that becomes 1 */
    double half_min;  /* MIN_MAX; halves, so that max - min cannot overflow */
    double half_range;
};

static int by_value(const void *pa, const void *pb)
{
    double a = *(const double *)pa;
    double b = *(const double *)pb;
    return (a > b) - (a < b);
}

/* Up to `most` distinct values, sorted, into out; most + 1 when there are more. */
static int64_t distinct(const double *v, int64_t rows, double *out, int64_t most)
{
    int64_t n = 0;
    int64_t last = -1; /* runs of one value are common */
    for (int64_t r = 0; r < rows; r++) {
        if (last >= 0 && out[last] == v[r])
            continue;
        for (last = 0; last < n && out[last] != v[r]; last++)
            ;
        if (last < n)
            continue;
        if (n == most)
            return most + 1;
        out[n++] = v[r];
    }
    qsort(out, (size_t)n, sizeof(*out), by_value);
    return n;
}

/* Texts are ranks 0..k-1 with every rank taken. */
static int64_t distinct_texts(const struct table_column *c, int64_t rows, double *out)
{
    double most = 0;
    for (int64_t r = 0; r < rows; r++)
        most = c->value[r] > most ? c->value[r] : most;
    for (int64_t i = 0; i <= (int64_t)most; i++)
        out[i] = (double)i;
    return (int64_t)most + 1;
}

static void plan_min_max(struct plan *p, const double *v, int64_t rows)
{
    double min = v[0];
    double max = v[0];
    for (int64_t r = 1; r < rows; r++) {
        min = v[r] < min ? v[r] : min;
        max = v[r] > max ? v[r] : max;
    }
    double range = max / 2 - min / 2;
    *p = (struct plan){.kind = MIN_MAX,
                       .width = 1,
                       .half_min = min / 2,
                       .half_range = range > DBL_MIN ? range : DBL_MIN};
}

/* scratch holds TABLE_TEXTS_MAX values. Returns the number of distinct values, or DATASET_ONE_HOT + 1. */
static int64_t plan_column(struct plan *p, const struct table_column *c, int64_t rows,
                           double *scratch)
{
    int64_t k = c->text ? distinct_texts(c, rows, scratch)
                        : distinct(c->value, rows, scratch, DATASET_ONE_HOT);
    if (k <= 1) {
        *p = (struct plan){.kind = DROPPED};
    } else if (k == 2) {
        *p = (struct plan){.kind = TWO_VALUED, .width = 1, .first = c->value[0]};
    } else if (k <= DATASET_ONE_HOT || c->text) {
        *p = (struct plan){.kind = ONE_HOT, .width = k};
        p->category = base_alloc((size_t)k * sizeof(double));
        memcpy(p->category, scratch, (size_t)k * sizeof(double));
    } else {
        plan_min_max(p, c->value, rows);
    }
    return k;
}

static int64_t category_of(const struct plan *p, double v)
{
    int64_t lo = 0;
    int64_t hi = p->width - 1;
    while (lo < hi) {
        int64_t mid = (lo + hi) / 2;
        if (p->category[mid] < v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* out: first encoded row; ld: encoded columns per row. It arrives zeroed. */
static void encode_column(const struct plan *p, const double *v, int64_t rows,
                          const uint32_t *position, float *out, int64_t ld)
{
    for (int64_t r = 0; r < rows; r++) {
        float *to = out + (int64_t)position[r] * ld + p->offset;
        switch (p->kind) {
        case DROPPED:
            return;
        case TWO_VALUED:
            *to = v[r] == p->first ? 1.0F : 0.0F;
            break;
        case ONE_HOT:
            to[category_of(p, v[r])] = 1.0F;
            break;
        case MIN_MAX:
            *to = (float)((v[r] / 2 - p->half_min) / p->half_range);
            break;
        case BY_255:
            *to = (float)(v[r] / 255.0);
            break;
        }
    }
}

static int check_target(const struct dataset *d, const struct table_column *c, int64_t k,
                        struct err *e)
{
    if (c->odd_row > 0) {
        double v;
        bool number = table_number(c->odd_sample, strlen(c->odd_sample), &v);
        err_set(e, WATTQ_E_INVALID, "%.60s: row %lld: the target '%.40s' is '%.40s', %s", d->name,
                (long long)c->odd_row, c->name, c->odd_sample,
                number ? "a number below texts" : "not a number as in the rows above");
        return err_next(e, "make the column all numbers or all texts, or drop that row");
    }
    if (k <= 1) {
        err_set(e, WATTQ_E_INVALID,
                "%.60s: the target '%.40s' has one value in all rows: there is "
                "nothing to learn",
                d->name, c->name);
        return err_next(e, "name another column with --target, or add rows of another class");
    }
    return 0;
}

/* What is trained on it. The study's own sets are taken as it took them, also where that was odd. */
static void choose_loss(struct dataset *d, const struct plan *target, int64_t k)
{
    d->outputs = target->width;
    d->classes = target->kind == MIN_MAX ? 0 : k;
    switch (target->kind) {
    case TWO_VALUED:
        d->loss = NET_LOSS_BCE;
        break;
    case ONE_HOT:
        d->loss = NET_LOSS_CCE;
        break;
    case MIN_MAX:
    case DROPPED:
    case BY_255:
        d->loss = NET_LOSS_MSE;
        break;
    }
    const struct net_dataset *study = net_dataset_find(d->name);
    if (study && study->outputs == d->outputs && study->inputs == d->inputs)
        d->loss = study->loss;
}

/* Plans for all columns; sets raw_features, inputs, outputs, classes and loss. */
static int plan_all(struct dataset *d, const struct table *t, int64_t target, struct plan *plan,
                    struct err *e)
{
    double *scratch CLEANUP(base_freep) = base_alloc(TABLE_TEXTS_MAX * sizeof(double));
    bool images =
        strcmp(d->name, "mnist") == 0; /* the study scaled these by 255 and dropped nothing */
    d->raw_features = t->cols - 1;
    for (int64_t c = 0; c < t->cols; c++) {
        if (c == target)
            continue;
        if (images)
            plan[c] = (struct plan){.kind = BY_255, .width = 1};
        else
            plan_column(&plan[c], &t->column[c], t->rows, scratch);
        plan[c].offset = d->inputs;
        d->inputs += plan[c].width;
    }
    int64_t k = plan_column(&plan[target], &t->column[target], t->rows, scratch);
    int rc = check_target(d, &t->column[target], k, e);
    if (rc < 0)
        return rc;
    if (d->inputs == 0) {
        err_set(e, WATTQ_E_INVALID, "%.60s has no feature column with more than one value",
                d->name);
        return err_next(e, "a data set needs at least one column beside its target that varies");
    }
    choose_loss(d, &plan[target], k);
    return 0;
}

static void encode_target(struct dataset *d, const struct plan *p, const double *v,
                          const uint32_t *position)
{
    if (!d->label) {
        encode_column(p, v, d->rows, position, d->target, d->outputs);
        return;
    }
    for (int64_t r = 0; r < d->rows; r++)
        d->label[position[r]] = (int32_t)category_of(p, v[r]);
}

static int encode_planned(struct dataset *d, const struct table *t, int64_t target, uint64_t seed,
                          struct plan *plan, struct err *e)
{
    uint32_t *position CLEANUP(base_freep) = NULL;
    int rc = plan_all(d, t, target, plan, e);
    if (rc == 0)
        rc = dataset_allocate(d, seed, &position, e);
    if (rc < 0)
        return rc;
    for (int64_t c = 0; c < t->cols; c++)
        if (c != target)
            encode_column(&plan[c], t->column[c].value, d->rows, position, d->x, d->inputs);
    encode_target(d, &plan[target], t->column[target].value, position);
    return 0;
}

int encode_table(struct dataset *d, const struct table *t, int64_t target, uint64_t seed,
                 struct err *e)
{
    struct plan *plan CLEANUP(base_freep) = base_alloc((size_t)t->cols * sizeof(*plan));
    d->rows = t->rows;
    int rc = encode_planned(d, t, target, seed, plan, e);
    for (int64_t c = 0; c < t->cols; c++)
        free(plan[c].category);
    return rc;
}
