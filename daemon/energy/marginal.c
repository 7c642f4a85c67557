#include "daemon/energy/marginal.h"

#include <math.h>
#include <string.h>

#include "common/units.h"
#include "daemon/energy/energy_internal.h"

#define IQR_PER_SD 1.349 /* of a normal distribution */

static void unknown(struct energy_figure *f, const char *why)
{
    f->known = f->bounded = false;
    f->has_idle = false;
    f->baseline = 0;
    f->random_uj = -1;
    base_strcpy(f->reason, sizeof(f->reason), why);
    base_strcpy(f->bound_basis, sizeof(f->bound_basis), "none: the energy is not known");
}

void marginal_of_channel(const struct energy_figure *attributed, const struct baseline *b,
                         struct energy_figure *out)
{
    *out = *attributed;
    out->bounded = false;
    if (!attributed->known)
        return;
    if (!b) {
        unknown(out, "no idle power is known for it: wattq idle measure");
        return;
    }
    out->baseline = b->id;
    out->has_idle = true;
    out->idle_uj = baseline_energy_uj(b, attributed->covered_ns);
    out->energy_uj = attributed->energy_uj - out->idle_uj;
    base_strcpy(out->bound_basis, sizeof(out->bound_basis), "none: idle power is a median");
    double idle_uj = (double)b->spread_uw / IQR_PER_SD * (double)attributed->covered_ns / 1e9;
    if (attributed->random_uj >= 0)
        out->random_uj = (int64_t)ceil(hypot((double)attributed->random_uj, idle_uj));
}

/* The parts add up; so do the squares of their errors. */
static void sum(struct energy_set *x, const struct energy_figure *attributed)
{
    struct energy_figure *t = &x->total;
    double squares = 0;
    bool stated = true;
    *t = *attributed;
    if (!t->known)
        return;
    t->bounded = false;
    t->energy_uj = t->idle_uj = 0;
    t->has_idle = true;
    base_strcpy(t->bound_basis, sizeof(t->bound_basis), "none: idle power is a median");
    for (size_t i = 0; i < x->n; i++) {
        const struct energy_figure *f = &x->figures[i];
        if (!x->in_total[i])
            continue;
        if (!f->known) {
            char why[sizeof(t->reason)];
            snprintf(why, sizeof(why), "%.40s: %.110s", x->channels[i].label, f->reason);
            unknown(t, why);
            return;
        }
        t->energy_uj += f->energy_uj;
        t->idle_uj += f->idle_uj;
        stated = stated && f->random_uj >= 0;
        squares += (double)f->random_uj * (double)f->random_uj;
    }
    t->random_uj = stated ? (int64_t)ceil(sqrt(squares)) : -1;
}

int marginal_of_set(struct store *s, const struct energy_set *attributed, int64_t utc_ns,
                    int64_t run, struct energy_set *out, struct err *e)
{
    *out = *attributed;
    out->channels = base_alloc((out->n + 1) * sizeof(*out->channels));
    out->figures = base_alloc((out->n + 1) * sizeof(*out->figures));
    out->in_total = base_alloc(out->n + 1);
    for (size_t i = 0; i < out->n; i++) {
        struct baseline b;
        int rc = baseline_find(s, attributed->figures[i].channel, utc_ns, run, &b, e);
        if (rc < 0) {
            energy_set_fini(out);
            return rc;
        }
        out->channels[i] = attributed->channels[i];
        out->in_total[i] = attributed->in_total[i];
        marginal_of_channel(&attributed->figures[i], rc == 0 ? &b : NULL, &out->figures[i]);
    }
    sum(out, &attributed->total);
    return 0;
}
