#include "daemon/queue/sweep_budget.h"

/* The user's, or that which loses least by being another's: the one that is full first. */
static struct sweep_bucket *find(struct sweep_budget *b, int64_t uid)
{
    size_t least = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->at[i].uid == uid)
            return &b->at[i];
        least = b->at[i].full_ns < b->at[least].full_ns ? i : least;
    }
    struct sweep_bucket *x = b->n < SWEEP_BUDGET_UIDS ? &b->at[b->n++] : &b->at[least];
    *x = (struct sweep_bucket){.uid = uid};
    return x;
}

bool sweep_budget_take(struct sweep_budget *b, int64_t uid, int64_t now_ns)
{
    struct sweep_bucket *x = find(b, uid);
    int64_t from = x->full_ns > now_ns ? x->full_ns : now_ns;
    if (from - now_ns > (SWEEP_BUDGET_BURST - 1) * SWEEP_BUDGET_NS)
        return false;
    x->full_ns = from + SWEEP_BUDGET_NS;
    return true;
}
