#include "daemon/energy/phases.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/store/runs.h"

/* ---- sets --------------------------------------------------------------------------------------- */

void phases_set_unknown(struct energy_figure *f, const char *reason)
{
    f->known = f->bounded = false;
    base_strcpy(f->reason, sizeof(f->reason), reason);
    if (!f->bound_basis[0])
        base_strcpy(f->bound_basis, sizeof(f->bound_basis), "none: unknown");
}

void phases_window(struct store *s, const struct energy_window *w, struct energy_set *out)
{
    struct err e = {0};
    *out = (struct energy_set){0};
    if (energy_of_window(s, w, out, &e) < 0) {
        *out = (struct energy_set){0};
        energy_figure_init(&out->total);
        phases_set_unknown(&out->total, e.text);
    }
}

static void add_figure(struct energy_figure *a, const struct energy_figure *b)
{
    if (!b || !b->known)
        phases_set_unknown(a, b && b->reason[0] ? b->reason : "not measured all the time");
    a->energy_uj += b ? b->energy_uj : 0;
    a->bounded = a->bounded && b && b->bounded;
    a->lo_uj += b ? b->lo_uj : 0;
    a->hi_uj += b ? b->hi_uj : 0;
    a->covered_ns += b ? b->covered_ns : 0;
    a->bridged_uj += b ? b->bridged_uj : 0;
    a->unknown_ns += b ? b->unknown_ns : 0;
    if (b && !b->bounded && !a->bounded && strncmp(b->bound_basis, "none", 4) == 0)
        memcpy(a->bound_basis, b->bound_basis, sizeof(a->bound_basis));
    /* Errors of the stamps of separate intervals are independent; adding them is the safe side. */
    a->random_uj = a->random_uj < 0 || !b || b->random_uj < 0 ? -1 : a->random_uj + b->random_uj;
}

static const struct energy_figure *find_figure(const struct energy_set *set, int64_t channel)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->figures[i].channel == channel)
            return &set->figures[i];
    return NULL;
}

/* acc += more, channel by channel; the first interval's channels are the set's. */
static void add_set(struct energy_set *acc, const struct energy_set *more)
{
    add_figure(&acc->total, &more->total);
    for (size_t i = 0; i < acc->n; i++)
        add_figure(&acc->figures[i], find_figure(more, acc->figures[i].channel));
}

/* ---- intervals ---------------------------------------------------------------------------------- */

static int take_phase(void *arg, const struct run_phase *p)
{
    struct phases *l = arg;
    if (l->n == PHASES_MAX) {
        l->cut = true;
        return 1;
    }
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 32;
        l->at = realloc(l->at, l->cap * sizeof(*l->at));
        if (!l->at)
            abort();
    }
    struct phase_span *x = &l->at[l->n];
    base_strcpy(x->name, sizeof(x->name), p->name);
    x->t0_ns = p->t0_ns < l->begin_ns ? l->begin_ns : p->t0_ns;
    x->t1_ns = p->t1_ns == RUN_NONE || p->t1_ns > l->end_ns ? l->end_ns : p->t1_ns;
    if (x->t1_ns > x->t0_ns)
        l->n++;
    return 0;
}

int phases_load(struct store *s, int64_t run, int64_t begin_ns, int64_t end_ns, struct phases *out,
                struct err *e)
{
    *out = (struct phases){.begin_ns = begin_ns, .end_ns = end_ns};
    int rc = runs_phases(s, run, take_phase, out, e);
    return rc > 0 ? 0 : rc;
}

void phases_fini(struct phases *p)
{
    free(p->at);
    *p = (struct phases){0};
}

bool phases_first(const struct phases *p, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(p->at[k].name, p->at[i].name) == 0)
            return false;
    return true;
}

void phases_energy(struct store *s, const struct phases *p, size_t first, int64_t boot,
                   struct energy_set *out)
{
    bool any = false;
    *out = (struct energy_set){0};
    for (size_t i = first; i < p->n; i++) {
        if (strcmp(p->at[i].name, p->at[first].name) != 0)
            continue;
        const struct energy_window w = {boot, p->at[i].t0_ns, p->at[i].t1_ns};
        struct energy_set one;
        phases_window(s, &w, any ? &one : out);
        if (any) {
            add_set(out, &one);
            energy_set_fini(&one);
        }
        any = true;
    }
}
