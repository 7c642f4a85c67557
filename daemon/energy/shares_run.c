/* A run's share as a set of figures. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/energy/energy_internal.h"
#include "daemon/energy/shares.h"

static void unknown(struct energy_figure *f, const char *why)
{
    f->known = false;
    f->bounded = false;
    f->energy_uj = 0;
    base_strcpy(f->reason, sizeof(f->reason), why);
    base_strcpy(f->bound_basis, sizeof(f->bound_basis), "none: the share is not known");
}

static const struct share_run *find(const struct shares *x, int64_t run)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->runs[i].run == run)
            return &x->runs[i];
    return NULL;
}

/* Only the meter's own edges are uncertain; how it is shared out is a choice, not an error. */
static void put_share(struct energy_figure *f, const struct share_run *r, enum share_policy policy)
{
    char basis[sizeof(f->bound_basis)];
    int64_t share = r->dyn_uj + r->idle_uj[policy];
    f->lo_uj += share - f->energy_uj;
    f->hi_uj += share - f->energy_uj;
    f->energy_uj = share;
    f->method = ENERGY_SHARE;
    f->random_uj = -1;
    f->lag_ns = f->lag_ns < 0 ? -1 : 0; /* accounts are kept on the curve as it stands */
    f->lag_basis[0] = '\0';
    if (f->bounded) {
        base_strcpy(basis, sizeof(basis), f->bound_basis);
        snprintf(f->bound_basis, sizeof(f->bound_basis), "soft: given the policy; %.60s", basis);
    }
}

static const char *why_not(int rc, const struct share_run *r, int64_t present_ns)
{
    if (rc < 0)
        return "the accounts of this meter cannot be read";
    if (rc > 0)
        return "no accounts were kept of this meter";
    if (!r)
        return "the run was not present in this window";
    if (r->seated_ns == 0)
        return "its CPU time was not followed: all run slots were taken, or it was not sampled";
    /* What it used meanwhile is with system and foreign: the rest of it is not its share. */
    return r->seated_ns < present_ns / 2
               ? "its CPU time was followed for less than half of its time: no run slot was left"
                 " for it, or the daemon was away"
               : NULL;
}

static void add_rest(struct shares_rest *rest, const struct shares *x, const struct share_run *r,
                     enum share_policy policy)
{
    rest->system_uj += x->system_uj;
    rest->foreign_uj += x->foreign_uj;
    rest->idle_uj += x->idle_left[policy];
    rest->others_uj += x->total_uj - x->system_uj - x->foreign_uj - x->idle_left[policy] -
                       r->dyn_uj - r->idle_uj[policy];
}

/* One meter's figure; sums[] gets what each policy would give. */
static void share_figure(struct store *s, int64_t run, const struct energy_window *w,
                         enum share_policy policy, struct energy_set *out, size_t i,
                         struct shares_rest *rest, int64_t *sums)
{
    struct shares x CLEANUP(shares_fini) = {0};
    struct energy_figure *f = &out->figures[i];
    struct err e = {0};
    if (!f->known)
        return;
    int rc = shares_of_window(s, &out->channels[i], w, &x, &e);
    const struct share_run *r = rc == 0 ? find(&x, run) : NULL;
    int64_t t0 = r && r->t0_ns > w->t0_ns ? r->t0_ns : w->t0_ns;
    int64_t t1 = r && r->t1_ns < w->t1_ns ? r->t1_ns : w->t1_ns;
    const char *why = why_not(rc, r, t1 - t0);
    if (why) {
        unknown(f, why);
        rest->known &= !out->in_total[i];
        return;
    }
    assert(r); /* else there would be a reason */
    if (out->in_total[i])
        rest->moved_uj += f->energy_uj - x.total_uj;
    put_share(f, r, policy);
    energy_flag(f, "overlap");
    if (!x.baseline)
        energy_flag(f, "no_baseline");
    if (r->seated_ns < t1 - t0)
        energy_flag(f, "usage_gap");
    if (!out->in_total[i])
        return;
    add_rest(rest, &x, r, policy);
    for (int p = 0; p < SHARE_POLICIES; p++)
        sums[p] += r->dyn_uj + r->idle_uj[p];
}

static void *copy(const void *from, size_t bytes)
{
    void *to = base_alloc(bytes + 1);
    memcpy(to, from, bytes);
    return to;
}

static void copy_set(const struct energy_set *from, struct energy_set *to)
{
    *to = *from;
    to->channels = copy(from->channels, from->n * sizeof(*from->channels));
    to->figures = copy(from->figures, from->n * sizeof(*from->figures));
    to->in_total = copy(from->in_total, from->n);
}

static void no_total(struct energy_set *out)
{
    for (size_t i = 0; i < out->n; i++) {
        if (!out->in_total[i] || out->figures[i].known)
            continue;
        unknown(&out->total, out->figures[i].reason);
        return;
    }
}

int shares_of_run(struct store *s, int64_t run, const struct energy_window *w,
                  enum share_policy policy, const struct energy_set *machine,
                  struct energy_set *out, struct shares_rest *rest, struct err *e)
{
    int64_t sums[SHARE_POLICIES] = {0};
    (void)e;
    memset(rest, 0, sizeof(*rest));
    copy_set(machine, out);
    rest->known = machine->total.known;
    for (size_t i = 0; i < out->n; i++)
        share_figure(s, run, w, policy, out, i, rest, sums);
    energy_set_sum(out);
    out->total.method = ENERGY_SHARE;
    energy_flag(&out->total, "overlap");
    if (!rest->known)
        no_total(out);
    rest->range_lo_uj = rest->range_hi_uj = sums[0];
    for (int p = 1; p < SHARE_POLICIES; p++) {
        rest->range_lo_uj = sums[p] < rest->range_lo_uj ? sums[p] : rest->range_lo_uj;
        rest->range_hi_uj = sums[p] > rest->range_hi_uj ? sums[p] : rest->range_hi_uj;
    }
    return 0;
}
