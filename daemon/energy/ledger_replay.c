/* The ledger again, from what is stored. Any connection, best inside one snapshot. */
#include <stdio.h>
#include <string.h>

#include "common/units.h"
#include "daemon/energy/ledger_internal.h"

int64_t ledger_between(int64_t ta, int64_t va, int64_t tb, int64_t vb, int64_t t)
{
    return tb > ta ? va + units_muldiv_floor(vb - va, t - ta, tb - ta) : va;
}

int ledger_owner(struct store *s, const struct channel_row *meter, int64_t boot, int64_t t0_ns,
                 bool usage, int *owner, struct err *e)
{
    unsigned slot = 0;
    *owner = usage ? LEDGER_BY_CPU : LEDGER_NOBODY;
    if (meter->scope != SCOPE_GPU && meter->scope != SCOPE_MODULE)
        return 0;
    int rc = accounts_device_slot(s, meter->id, boot, t0_ns, &slot, e);
    *owner = rc == 0 && slot < SLOTS_MAX ? (int)slot : LEDGER_NOBODY;
    return rc < 0 ? rc : 0;
}

int ledger_usage_channel(struct store *s, int slot, int64_t *id, struct err *e)
{
    char uid[32];
    if (slot < 0)
        snprintf(uid, sizeof(uid), "slots/machine");
    else
        snprintf(uid, sizeof(uid), "slots/%d", slot);
    return accounts_channel(s, uid, id, e);
}

/* CPU time at t. 0; 1 = no reading of this epoch, or none yet after t. */
static int usage_at(struct store *s, int64_t channel, int64_t boot, int64_t epoch_ns, int64_t t_ns,
                    int64_t *us, struct err *e)
{
    struct sample a, b;
    int rc = samples_at(s, channel, boot, t_ns, &a, e);
    if (rc == 0 && a.t_ns < epoch_ns)
        rc = 1;
    if (rc == 0 && a.t_ns == t_ns) {
        *us = a.value;
        return 0;
    }
    if (rc == 0)
        rc = samples_from(s, channel, boot, t_ns, &b, e);
    if (rc == 0)
        *us = ledger_between(a.t_ns, a.value, b.t_ns, b.value, t_ns);
    return rc;
}

struct stretch {
    int64_t boot, t0_ns, t1_ns;
    int64_t epoch_ns; /* begin of the epoch that both ends lie in */
};

static int used_in(struct store *s, int64_t channel, const struct stretch *w, int64_t *us,
                   struct err *e)
{
    int64_t before = 0, after = 0;
    int rc = usage_at(s, channel, w->boot, w->epoch_ns, w->t0_ns, &before, e);
    if (rc == 0)
        rc = usage_at(s, channel, w->boot, w->epoch_ns, w->t1_ns, &after, e);
    if (rc == 1 && before == 0 && after == 0) { /* behind the newest sweep: up to that one */
        struct sample last;
        rc = usage_at(s, channel, w->boot, w->epoch_ns, w->t0_ns, &before, e);
        if (rc == 0)
            rc = samples_at(s, channel, w->boot, w->t1_ns, &last, e);
        after = rc == 0 ? last.value : 0;
    }
    *us = rc == 0 ? after - before : 0;
    return rc;
}

/* A slot that is not sampled in this epoch was sat in by nobody. */
static int fill_usage(struct store *s, const struct stretch *w, struct ledger_span *x,
                      struct err *e)
{
    int64_t id = 0;
    int rc = ledger_usage_channel(s, -1, &id, e);
    if (rc == 0)
        rc = used_in(s, id, w, &x->busy_us, e);
    if (rc)
        return rc;
    for (x->slots = 0; x->slots < SLOTS_MAX; x->slots++) {
        rc = ledger_usage_channel(s, (int)x->slots, &id, e);
        if (rc == 0)
            rc = used_in(s, id, w, &x->used_us[x->slots], e);
        else if (rc == 1)
            break;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int ledger_replay(struct store *s, const struct channel_row *meter, int64_t boot, int64_t t0_ns,
                  int64_t t1_ns, struct ledger_parts *out, struct err *e)
{
    struct ledger_span x = {0};
    struct curve_point a, b;
    struct stretch w = {.boot = boot, .t0_ns = t0_ns, .t1_ns = t1_ns};
    int64_t id0 = 0, id1 = 0, baseline = 0, begin = 0;
    int rc = samples_curve(s, meter->id, boot, t0_ns, &a, e);
    if (rc >= 0)
        rc = samples_curve(s, meter->id, boot, t1_ns, &b, e);
    if (rc >= 0)
        rc = accounts_basis_at(s, meter->id, boot, t0_ns, &baseline, &x.baseline_uw, e);
    if (rc >= 0)
        rc = accounts_epoch_at(s, boot, t0_ns, &id0, &begin, e);
    if (rc >= 0)
        rc = accounts_epoch_at(s, boot, t1_ns, &id1, &w.epoch_ns, e);
    if (rc < 0)
        return rc;
    x.de_uj = b.e_uj - a.e_uj;
    x.known_ns = t1_ns - t0_ns - (b.unknown_ns - a.unknown_ns);
    rc = ledger_owner(s, meter, boot, t0_ns, id0 == id1, &x.owner, e);
    if (rc == 0 && x.owner >= 0)
        rc = accounts_intruder_at(s, meter->id, boot, t0_ns, &x.others_ppm, e);
    if (rc == 0 && x.owner == LEDGER_BY_CPU)
        rc = fill_usage(s, &w, &x, e);
    if (rc)
        return rc;
    ledger_split(&x, out);
    return 0;
}
