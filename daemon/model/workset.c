#include "daemon/model/workset.h"

/* One set of the study: what every unit copies and what they split. */
struct part {
    double replicated;
    double distributed;
};

/* Where the walk over the levels stands. Doubles, because Q / units is not cut off in between. */
struct mark {
    double occupied;
    double total;
    double effective;
};

const char *workset_kind_name(enum workset_kind k)
{
    static const char *const names[WORKSET_KINDS] = {"inter-layer", "forward", "backward",
                                                     "data set"};
    return (unsigned)k < WORKSET_KINDS ? names[k] : "?";
}

/* Put one set on top of what stands at *at. A level counts from the bottom: its capacity is that of all
 * levels down to it, since a set that spills uses the nearer caches too. Returns the level, or -1. */
static int place(struct mark *at, struct part p, const struct caches *m)
{
    double capacity = 0;
    double whole = 0;
    for (size_t k = 0; k < m->n; k++) {
        double units = m->level[k].units;
        capacity += (double)m->level[k].bytes;
        whole += units * (double)m->level[k].bytes;
        if (capacity <= at->occupied)
            continue;
        double share = p.replicated + p.distributed / units;
        if (at->occupied + share <= capacity) {
            at->occupied += share;
            at->effective += share;
            at->total += p.replicated + p.distributed;
            return (int)k;
        }
        at->occupied = capacity;
        at->total = whole;
    }
    return -1;
}

/* The study truncates to whole bytes after each set, and so must we to meet its figures. */
static void settle(struct workset_place *out, struct mark *at, int index, struct part p)
{
    out->index = index;
    out->bytes = (int64_t)(p.replicated + p.distributed);
    out->occupied = (int64_t)at->occupied;
    out->total = (int64_t)at->total;
    out->effective = (int64_t)at->effective;
    *at = (struct mark){(double)out->occupied, (double)out->total, (double)out->effective};
}

static void keep_larger(struct mark *max, const struct mark *m)
{
    if (m->occupied > max->occupied)
        max->occupied = m->occupied;
    if (m->total > max->total)
        max->total = m->total;
    if (m->effective > max->effective)
        max->effective = m->effective;
}

/* l: each layer from an empty machine, the maximum column by column; *largest is the largest Q. */
static void place_layers(struct workset_place *out, struct mark *at, const struct workset_case *c,
                         const struct caches *m, double *largest)
{
    struct mark max = {0};
    int deepest = 0;
    bool fits = true;
    double in = (double)c->net->inputs;
    *largest = 0;
    for (int i = 0; i < c->net->depth; i++) {
        double width = (double)c->net->widths[i];
        struct part p = {0, (double)c->number_bytes * (double)c->batch * (in + width)};
        struct mark own = {0};
        int index = place(&own, p, m);
        fits = fits && index >= 0;
        deepest = index > deepest ? index : deepest;
        *largest = p.distributed > *largest ? p.distributed : *largest;
        keep_larger(&max, &own);
        in = width;
    }
    *at = max;
    settle(out, at, fits ? deepest : -1, (struct part){0, *largest});
}

static double sum_widths(const struct net *n)
{
    double sum = (double)n->inputs;
    for (int i = 0; i < n->depth; i++)
        sum += (double)n->widths[i];
    return sum;
}

void workset_compute(struct workset *out, const struct workset_case *c, const struct caches *m)
{
    *out = (struct workset){.params = net_params(c->net)};
    double weights = (double)c->number_bytes * (double)out->params;
    struct mark at;
    double largest;
    place_layers(&out->place[WORKSET_L], &at, c, m, &largest);

    struct mark forward = at; /* f and b both stand on l, not on each other */
    struct part f = {weights, 0};
    int f_index = place(&forward, f, m);
    settle(&out->place[WORKSET_F], &forward, f_index, f);

    struct part b = {2 * weights,
                     (double)c->number_bytes * (double)c->batch * sum_widths(c->net) - largest};
    if (c->adam)
        b.distributed += 2 * weights;
    int b_index = place(&at, b, m);
    settle(&out->place[WORKSET_B], &at, b_index, b);

    struct workset_place *d = &out->place[WORKSET_D];
    *d = (struct workset_place){.index = -1};
    if (c->rows > 0) {
        struct part data = {0, (double)c->rows * (double)c->number_bytes *
                                   (double)(c->features + c->targets)};
        int d_index = place(&at, data, m);
        settle(d, &at, d_index, data);
    }
}

const struct caches_level *workset_home(const struct net *net, enum workset_kind k, int threads,
                                        const struct caches *machine)
{
    if (machine->cores == 0 || (k != WORKSET_F && k != WORKSET_B && k != WORKSET_L))
        return NULL;
    struct caches used;
    caches_use(&used, machine, threads);
    struct workset_case c = {.net = net, .batch = 256, .number_bytes = 4, .adam = true};
    struct workset ws;
    workset_compute(&ws, &c, &used);
    int index = ws.place[k].index;
    return index < 0 ? NULL : &machine->level[index];
}
