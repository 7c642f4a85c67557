#include "daemon/model/fit_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/opcount.h"
#include "daemon/model/workset.h"

/* ---- which runs are repeats of one point --------------------------------------------------------- */

static int by_int(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_point(const void *va, const void *vb)
{
    const struct study_run *a = *(const struct study_run *const *)va;
    const struct study_run *b = *(const struct study_run *const *)vb;
    int c = strcmp(a->dataset, b->dataset);
    c = c ? c : strcmp(a->shape, b->shape);
    c = c ? c : by_int(a->size, b->size);
    c = c ? c : by_int(a->net.depth, b->net.depth);
    c = c ? c : by_int(a->net.inputs, b->net.inputs);
    for (int i = 0; c == 0 && i < a->net.depth; i++)
        c = by_int(a->net.widths[i], b->net.widths[i]);
    c = c ? c : by_int(a->rows_train, b->rows_train);
    c = c ? c : by_int(a->batch, b->batch);
    c = c ? c : by_int(a->threads, b->threads);
    return c ? c : by_int(a->number_bytes, b->number_bytes);
}

static int by_point_then_run(const void *va, const void *vb)
{
    const struct study_run *a = *(const struct study_run *const *)va;
    const struct study_run *b = *(const struct study_run *const *)vb;
    int c = by_point(va, vb);
    c = c ? c : by_int(a->run, b->run);
    return c ? c : (a < b ? -1 : a > b);
}

/* ---- what keeps a run out, beside its own flags -------------------------------------------------- */

static const char *refusal(const struct study_run *r)
{
    if (!(study_step_s(r) > 0))
        return "it has no time per step";
    if (r->net.depth < 1 || r->net.depth > NET_DEPTH_MAX || r->net.inputs < 1)
        return "its network is not known";
    if (r->rows_train < 1 || r->batch < 1 || r->number_bytes < 1)
        return "its rows or its batch are not known";
    for (int i = 0; i < r->net.depth; i++)
        if (r->net.widths[i] < 1)
            return "its network is not known";
    return NULL;
}

static bool joules_usable(const struct study_run *r)
{
    return !(r->excluded & STUDY_X_JOULES) && r->train_j > 0 &&
           (r->quality == STUDY_MEASURED || r->quality == STUDY_MODELLED);
}

/* Joules of one scope and quality only: what a package counter sees is not what a wall meter sees. */
static bool same_meter(const struct study_run *a, const struct study_run *b)
{
    return a->quality == b->quality && strcmp(a->scope, b->scope) == 0;
}

static const struct study_run *commonest_meter(const struct fit_data *d)
{
    const struct study_run *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < d->nrows; i++) {
        const struct study_run *r = &d->runs[d->row[i].index];
        if (!joules_usable(r) || (best && same_meter(r, best)))
            continue;
        size_t n = 0;
        for (size_t k = 0; k < d->nrows; k++) {
            const struct study_run *other = &d->runs[d->row[k].index];
            n += joules_usable(other) && same_meter(other, r);
        }
        if (n > most) {
            most = n;
            best = r;
        }
    }
    return best;
}

/* Joules of too few networks are no law: none of them is used then, and it is said why. */
static void drop_joules(struct fit_data *d, size_t points)
{
    size_t estimated = 0;
    size_t measured = 0;
    for (size_t i = 0; i < d->nrows; i++) {
        estimated += d->runs[d->row[i].index].quality == STUDY_ESTIMATED;
        measured += d->runs[d->row[i].index].quality == STUDY_MEASURED ||
                    d->runs[d->row[i].index].quality == STUDY_MODELLED;
        d->row[i].power_w = d->row[i].idle_w = (double)NAN;
    }
    d->energy_rows = 0;
    if (measured == 0 && estimated > 0)
        snprintf(d->no_energy, sizeof(d->no_energy),
                 "the joules of these runs are estimates, which teach nothing about energy");
    else if (measured == 0)
        snprintf(d->no_energy, sizeof(d->no_energy), "these runs have no joules");
    else
        snprintf(d->no_energy, sizeof(d->no_energy),
                 "%zu networks have joules that a fit may use, %d are needed", points,
                 FIT_POINTS_MIN);
}

static void add_joules(struct fit_data *d)
{
    const struct study_run *meter = commonest_meter(d);
    size_t points = 0;
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < d->nrows; i++) {
        struct fit_row *row = &d->row[i];
        const struct study_run *r = &d->runs[row->index];
        if (!joules_usable(r))
            continue;
        if (!same_meter(r, meter)) {
            d->refused[row->index] = "its joules are another meter's scope";
        } else if (isnan(r->idle_w)) {
            d->refused[row->index] = "no idle power is known for it";
        } else {
            row->power_w = r->train_j / r->train_s;
            row->idle_w = r->idle_w;
            d->energy_rows++;
            points += row->point != last;
            last = row->point;
        }
    }
    d->has_energy = points >= FIT_POINTS_MIN;
    if (!d->has_energy)
        drop_joules(d, points);
}

/* ---- groups to leave out ------------------------------------------------------------------------- */

/* Half octaves: sizes of a grid of powers of two stay apart, neighbours of one network do not. */
static int64_t size_key(const struct study_run *r)
{
    double size = (double)(r->size > 0 ? r->size : r->net.params);
    return llround(2 * log2(size > 0 ? size : 1));
}

static bool same_group(enum fit_fold fold, const struct study_run *a, const struct study_run *b)
{
    if (fold == FIT_BY_SIZE)
        return size_key(a) == size_key(b);
    return strcmp(fold == FIT_BY_DATASET ? a->dataset : a->shape,
                  fold == FIT_BY_DATASET ? b->dataset : b->shape) == 0;
}

static void number_groups(struct fit_data *d, enum fit_fold fold)
{
    size_t *first = base_alloc(d->npoints * sizeof(*first)); /* a point of each group */
    size_t n = 0;
    for (size_t i = 0; i < d->npoints; i++) {
        size_t g = 0;
        while (g < n && !same_group(fold, d->point[first[g]].like, d->point[i].like))
            g++;
        if (g == n)
            first[n++] = i;
        d->point[i].group[fold] = g;
    }
    d->groups[fold] = n;
    free(first);
}

/* ---- putting it together ------------------------------------------------------------------------- */

static void add_row(struct fit_data *d, const struct study_run *r)
{
    struct fit_point *p = &d->point[d->npoints - 1];
    double s = study_step_s(r);
    d->row[d->nrows++] = (struct fit_row){.index = (size_t)(r - d->runs),
                                          .point = d->npoints - 1,
                                          .step_s = s,
                                          .power_w = (double)NAN,
                                          .idle_w = (double)NAN};
    p->n += 1;
    p->w += 1 / s;
    p->ww += 1 / (s * s);
}

static int check_mixture(const struct study_run *a, const struct study_run *b, struct err *e)
{
    if (strcmp(a->machine, b->machine) != 0) {
        err_set(e, WATTQ_E_INVALID, "these runs are of two machines, %.60s and %.60s", a->machine,
                b->machine);
        return err_next(e, "choose the runs of one of them");
    }
    if (strcmp(a->backend, b->backend) != 0) {
        err_set(e, WATTQ_E_INVALID, "these runs are of two backends, '%s' and '%s'", a->backend,
                b->backend);
        return err_next(e, "choose one with --backend '%s'", a->backend);
    }
    return 0;
}

static int too_few(const struct fit_data *d, struct err *e)
{
    if (d->npoints >= FIT_POINTS_MIN)
        return 0;
    err_set(e, WATTQ_E_INVALID,
            "a model needs at least %d different networks that may enter it; there are %zu",
            FIT_POINTS_MIN, d->npoints);
    return err_next(e, "wattq sweep train --dataset D,D --size 2^8..2^20 queues more");
}

int fit_data_make(struct fit_data *d, const struct study_run *runs, size_t n, struct err *e)
{
    *d = (struct fit_data){.runs = runs, .nruns = n};
    const struct study_run **use = base_alloc((n + 1) * sizeof(struct study_run *));
    d->refused = base_alloc((n + 1) * sizeof(const char *));
    d->point = base_alloc((n + 1) * sizeof(*d->point));
    d->row = base_alloc((n + 1) * sizeof(*d->row));
    size_t used = 0;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (runs[i].excluded & STUDY_X_TIME)
            continue;
        d->refused[i] = refusal(&runs[i]);
        if (d->refused[i])
            continue;
        rc = used > 0 ? check_mixture(use[0], &runs[i], e) : 0;
        use[used++] = &runs[i];
    }
    qsort(use, used, sizeof(struct study_run *), by_point_then_run);
    for (size_t i = 0; i < used; i++) {
        if (i == 0 || by_point(&use[i - 1], &use[i]) != 0)
            d->point[d->npoints++] =
                (struct fit_point){.like = use[i], .params = (double)net_params(&use[i]->net)};
        add_row(d, use[i]);
    }
    free(use);
    rc = rc < 0 ? rc : too_few(d, e);
    if (rc < 0) {
        fit_data_free(d);
        return rc;
    }
    for (int fold = 0; fold < FIT_FOLDS; fold++)
        number_groups(d, (enum fit_fold)fold);
    add_joules(d);
    return 0;
}

void fit_data_free(struct fit_data *d)
{
    free(d->refused);
    free(d->point);
    free(d->row);
    *d = (struct fit_data){0};
}

/* ---- features ------------------------------------------------------------------------------------ */

static void scale(struct caches *c, double factor)
{
    for (size_t k = 0; k + 1 < c->n; k++) /* the last is memory, which is no cache */
        c->level[k].bytes = (int64_t)((double)c->level[k].bytes * factor);
}

/* One set at its level: a copy of r for every unit, q split among them. */
static void move(struct fit_features *f, const struct caches *m, int index, double r, double q)
{
    size_t k = index < 0 ? m->n - 1 : (size_t)index; /* too large for all: it comes from the last */
    f->unit[k] += r + q / m->level[k].units;
    f->moved[k] += r * m->level[k].units + q;
}

/* The level an inter-layer set finds room in when it stands alone. */
static int home_of_layer(const struct caches *m, double bytes)
{
    double capacity = 0;
    for (size_t k = 0; k < m->n; k++) {
        capacity += (double)m->level[k].bytes;
        if (bytes / m->level[k].units <= capacity)
            return (int)k;
    }
    return -1;
}

static void move_layers(struct fit_features *f, const struct caches *m,
                        const struct fit_network *net, double rows)
{
    double in = (double)net->net->inputs;
    for (int i = 0; i < net->net->depth; i++) {
        double row = (double)net->number_bytes * (in + (double)net->net->widths[i]);
        move(f, m, home_of_layer(m, row * (double)net->batch), 0, row * rows);
        in = (double)net->net->widths[i];
    }
}

void fit_features_make(struct fit_features *out, const struct fit_network *net, bool gpu,
                       const struct caches *caches, double factor)
{
    struct caches used = *caches;
    int threads = gpu || net->threads < 1 ? 1 : net->threads;
    if (!gpu)
        caches_use(&used, caches, threads);
    scale(&used, factor);
    double batches = ceil((double)net->rows_train / (double)net->batch);
    double rows = (double)net->rows_train / batches; /* of a step; the last one is short */
    int64_t targets = net->net->widths[net->net->depth - 1];
    struct opcount ops;
    opcount_compute(&ops, &(struct opcount_case){.net = net->net, .batch = rows});
    struct workset ws;
    workset_compute(&ws,
                    &(struct workset_case){.net = net->net,
                                           .rows = net->rows_train + net->rows_test,
                                           .features = net->net->inputs,
                                           .targets = targets,
                                           .batch = net->batch,
                                           .number_bytes = net->number_bytes,
                                           .adam = true},
                    &used);
    *out = (struct fit_features){.layers = net->net->depth,
                                 .ops = ops.forward + ops.backward,
                                 .ops_thread = (ops.forward + ops.backward) / threads};
    for (int k = 0; k < WORKSET_KINDS; k++)
        out->home[k] = ws.place[k].index;
    double weights = (double)net->number_bytes * (double)ws.params;
    move_layers(out, &used, net, rows);
    move(out, &used, ws.place[WORKSET_F].index, weights, 0);
    move(out, &used, ws.place[WORKSET_B].index, 2 * weights,
         (double)ws.place[WORKSET_B].bytes - 2 * weights);
}

struct fit_features *fit_features_all(const struct fit_data *d, const struct caches *caches,
                                      bool gpu, double factor)
{
    struct fit_features *f = base_alloc(d->npoints * sizeof(*f));
    for (size_t i = 0; i < d->npoints; i++) {
        const struct study_run *r = d->point[i].like;
        struct fit_network net = {.net = &r->net,
                                  .rows_train = r->rows_train,
                                  .rows_test = r->rows_test,
                                  .batch = r->batch,
                                  .threads = r->threads,
                                  .number_bytes = r->number_bytes};
        fit_features_make(&f[i], &net, gpu, caches, factor);
    }
    return f;
}

struct fit_features *fit_features_merged(const struct fit_data *d, const struct fit_features *f)
{
    struct fit_features *one = base_alloc(d->npoints * sizeof(*one));
    for (size_t i = 0; i < d->npoints; i++) {
        one[i] = f[i];
        for (int k = 1; k < d->levels; k++) {
            one[i].unit[0] += f[i].unit[k];
            one[i].moved[0] += f[i].moved[k];
            one[i].unit[k] = one[i].moved[k] = 0;
        }
    }
    return one;
}
