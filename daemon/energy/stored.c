#include "daemon/energy/stored.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/energy/energy_internal.h"
#include "daemon/store/runs.h"

struct taking {
    struct store *s;
    struct energy_set *set;
    struct err *e;
};

static bool is_machines(const struct run_energy *r)
{
    return strcmp(r->figure, "machine") == 0 && strcmp(r->part, "window") == 0;
}

static enum channel_quality quality_of(const char *name)
{
    int q = QUALITY_MEASURED;
    while (q < QUALITY_NONE && strcmp(channel_quality_name((enum channel_quality)q), name) != 0)
        q++;
    return (enum channel_quality)q;
}

static enum energy_method method_of(const char *name)
{
    int m = ENERGY_COUNTER;
    while (m < ENERGY_SHARE && strcmp(energy_method_name((enum energy_method)m), name) != 0)
        m++;
    return (enum energy_method)m;
}

static int64_t or_else(int64_t v, int64_t unknown)
{
    return v == RUN_NONE ? unknown : v;
}

static void copy_words(const struct run_energy *r, struct energy_figure *f)
{
    base_strcpy(f->bound_basis, sizeof(f->bound_basis), r->bound_basis);
    base_strcpy(f->flags, sizeof(f->flags), r->flags);
    base_strcpy(f->reason, sizeof(f->reason), r->reason ? r->reason : "");
    base_strcpy(f->lag_basis, sizeof(f->lag_basis), r->lag_basis ? r->lag_basis : "");
}

void energy_of_row(const struct run_energy *r, struct energy_figure *f)
{
    energy_figure_init(f);
    f->channel = r->channel;
    f->known = r->energy_uj != RUN_NONE;
    f->energy_uj = or_else(r->energy_uj, 0);
    f->bounded = r->lo_uj != RUN_NONE && r->hi_uj != RUN_NONE;
    f->lo_uj = or_else(r->lo_uj, 0);
    f->hi_uj = or_else(r->hi_uj, 0);
    f->covered_ns = r->covered_ns;
    f->bridged_uj = r->bridged_uj;
    f->unknown_ns = r->unknown_ns;
    f->random_uj = or_else(r->random_uj, -1);
    f->gain_ppm = or_else(r->gain_ppm, 0);
    f->method = method_of(r->method);
    f->quality = quality_of(r->quality);
    f->has_idle = r->idle_uj != RUN_NONE;
    f->idle_uj = or_else(r->idle_uj, 0);
    f->baseline = or_else(r->baseline, 0);
    f->samples = or_else(r->samples, -1);
    f->max_gap_ns = or_else(r->max_gap_ns, -1);
    f->sampling_uj = or_else(r->sampling_uj, -1);
    f->sampled_ppm = or_else(r->sampled_ppm, 0);
    f->lag_ns = or_else(r->lag_ns, -1);
    copy_words(r, f);
}

static void grow(struct energy_set *x)
{
    if ((x->n & (x->n - 1)) != 0)
        return;
    size_t cap = x->n ? 2 * x->n : 1;
    x->channels = reallocarray(x->channels, cap, sizeof(*x->channels));
    x->figures = reallocarray(x->figures, cap, sizeof(*x->figures));
    x->in_total = reallocarray(x->in_total, cap, 1);
    if (!x->channels || !x->figures || !x->in_total)
        abort();
}

static int take(void *arg, const struct run_energy *r)
{
    struct taking *t = arg;
    struct energy_set *x = t->set;
    if (!is_machines(r))
        return 0;
    if (r->channel == 0) {
        energy_of_row(r, &x->total);
        x->has_uncovered = r->uncovered_uj != RUN_NONE;
        x->uncovered_uj = or_else(r->uncovered_uj, 0);
        base_strcpy(x->inner, sizeof(x->inner), r->uncovered_beyond ? r->uncovered_beyond : "");
        return 0;
    }
    grow(x);
    int rc = samples_channel(t->s, r->channel, &x->channels[x->n], t->e);
    if (rc < 0)
        return rc;
    energy_of_row(r, &x->figures[x->n]);
    x->in_total[x->n++] = r->in_total;
    return 0;
}

int energy_stored(struct store *s, int64_t run, struct energy_set *out, struct err *e)
{
    struct taking t = {s, out, e};
    *out = (struct energy_set){0};
    energy_figure_init(&out->total);
    base_strcpy(out->total.reason, sizeof(out->total.reason), "no figure is stored");
    int rc = runs_energy(s, run, take, &t, e);
    if (rc < 0) {
        energy_set_fini(out);
        return rc;
    }
    energy_set_name(out);
    return 0;
}

static int take_total(void *arg, const struct run_energy *r)
{
    struct energy_figure *f = arg;
    if (r->channel == 0 && is_machines(r)) {
        energy_of_row(r, f);
        return 1;
    }
    return 0;
}

int energy_stored_total(struct store *s, int64_t run, struct energy_figure *out, struct err *e)
{
    int rc = runs_energy(s, run, take_total, out, e);
    return rc < 0 ? rc : rc == 0;
}
