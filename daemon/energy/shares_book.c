/* Where the accounts of a meter stand at an instant. */
#include <stdlib.h>
#include <string.h>

#include "daemon/energy/ledger.h"
#include "daemon/energy/shares.h"

int shares_book_open(struct store *s, const struct channel_row *meter, int64_t boot,
                     struct share_book *b, struct err *e)
{
    *b = (struct share_book){.meter = meter, .boot = boot};
    int rc = accounts_of(s, meter->id, &b->accounts, &b->n, e);
    return rc < 0 ? rc : b->n == 0;
}

void shares_book_close(struct share_book *b)
{
    free(b->accounts);
    *b = (struct share_book){0};
}

/* Where an account stood at the end of the boot before; 0 = it was not there yet. */
static int carried(struct store *s, int64_t channel, int64_t boot, int64_t *value, struct err *e)
{
    struct sample last;
    int64_t earlier = 0;
    *value = 0;
    int rc = accounts_boot_before(s, channel, boot, &earlier, e);
    if (rc == 0)
        rc = samples_at(s, channel, earlier, INT64_MAX, &last, e);
    if (rc == 0)
        *value = last.value;
    return rc < 0 ? rc : 0;
}

int shares_book_ticks(struct store *s, const struct share_book *b, int64_t t_ns, int64_t *t0_ns,
                      int64_t *v0, int64_t *t1_ns, int64_t *v1, struct err *e)
{
    struct sample x;
    int64_t *next_ns CLEANUP(base_freep) = base_alloc((b->n + 1) * sizeof(*next_ns));
    *t0_ns = INT64_MIN;
    *t1_ns = INT64_MAX;
    for (size_t i = 0; i < b->n; i++) {
        int64_t channel = b->accounts[i].channel;
        int rc = samples_at(s, channel, b->boot, t_ns, &x, e);
        if (rc == 0) {
            v0[i] = x.value;
            *t0_ns = x.t_ns > *t0_ns ? x.t_ns : *t0_ns;
        } else if (rc > 0) {
            rc = carried(s, channel, b->boot, &v0[i], e);
        }
        if (rc == 0)
            rc = samples_from(s, channel, b->boot, t_ns, &x, e);
        if (rc < 0)
            return rc;
        next_ns[i] = rc == 0 ? x.t_ns : INT64_MAX;
        v1[i] = rc == 0 ? x.value : v0[i];
        *t1_ns = next_ns[i] < *t1_ns ? next_ns[i] : *t1_ns;
    }
    for (size_t i = 0; i < b->n; i++)
        if (next_ns[i] != *t1_ns)
            v1[i] = v0[i];
    return 0;
}

static size_t system_of(const struct share_book *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->accounts[i].kind == ACCOUNT_SYSTEM)
            return i;
    return 0;
}

static int64_t part_of(const struct ledger_parts *p, const struct account *a)
{
    switch (a->kind) {
    case ACCOUNT_IDLE:
        return p->idle_uj;
    case ACCOUNT_SYSTEM:
        return p->system_uj;
    case ACCOUNT_FOREIGN:
        return p->foreign_uj;
    case ACCOUNT_SLOT:
        return a->slot < SLOTS_MAX ? p->slot_uj[a->slot] : 0;
    }
    return 0;
}

/* Behind the newest tick: the ledger's own arithmetic, up to here. May still move. */
static int grow_on(struct store *s, const struct share_book *b, int64_t t0_ns, int64_t t_ns,
                   int64_t x_uj, int64_t *values, struct err *e)
{
    struct ledger_parts p;
    int64_t given = 0;
    int rc = ledger_replay(s, b->meter, b->boot, t0_ns, t_ns, &p, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < b->n; i++) {
        values[i] += part_of(&p, &b->accounts[i]);
        given += part_of(&p, &b->accounts[i]);
    }
    /* What has no account yet, or could not be told apart, is the machine's own for now. */
    values[system_of(b)] += x_uj - given;
    return 0;
}

int shares_book_at(struct store *s, const struct share_book *b, int64_t t_ns, int64_t *values,
                   struct err *e)
{
    int64_t *v1 CLEANUP(base_freep) = base_alloc((b->n + 1) * sizeof(*v1));
    int64_t *parts CLEANUP(base_freep) = base_alloc((b->n + 1) * sizeof(*parts));
    int64_t t0_ns = 0, t1_ns = 0;
    struct curve_point p = {0};
    int rc = shares_book_ticks(s, b, t_ns, &t0_ns, values, &t1_ns, v1, e);
    if (rc == 0)
        rc = samples_curve(s, b->meter->id, b->boot, t_ns, &p, e);
    if (rc < 0)
        return rc;
    int64_t x_uj = p.e_uj;
    for (size_t i = 0; i < b->n; i++) {
        x_uj -= values[i];
        v1[i] -= values[i];
    }
    if (x_uj == 0 || t0_ns == t_ns)
        return 0;
    if (t0_ns == INT64_MIN) { /* before the ledger began in this boot */
        values[system_of(b)] += x_uj;
        return 0;
    }
    if (t1_ns == INT64_MAX)
        return grow_on(s, b, t0_ns, t_ns, x_uj, values, e);
    ledger_share(x_uj, v1, b->n, system_of(b), parts);
    for (size_t i = 0; i < b->n; i++)
        values[i] += parts[i];
    return 0;
}
