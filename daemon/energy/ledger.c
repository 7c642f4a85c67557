#include "daemon/energy/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/energy/baseline.h"
#include "daemon/energy/energy.h"

__extension__ typedef __int128 wide;

/* ---- one span ----------------------------------------------------------------------------------- */

static void split_by_cpu(const struct ledger_span *x, int64_t dyn_uj, struct ledger_parts *out)
{
    int64_t weights[SLOTS_MAX + 1];
    int64_t parts[SLOTS_MAX + 1];
    int64_t used = 0;
    for (size_t i = 0; i < x->slots; i++) {
        weights[i] = x->used_us[i] > 0 ? x->used_us[i] : 0;
        used += weights[i];
    }
    /* /proc/stat moves in ticks of 10 ms, cpu.stat in ms: a little less than the slots is none. */
    weights[x->slots] = x->busy_us > used ? x->busy_us - used : 0;
    if (used + weights[x->slots] == 0)
        weights[x->slots] = 1; /* nobody ran: what it took beyond idling is the machine's own */
    energy_split(dyn_uj, weights, x->slots + 1, parts);
    memcpy(out->slot_uj, parts, x->slots * sizeof(*parts));
    out->system_uj = parts[x->slots];
}

static void split_with_others(const struct ledger_span *x, int64_t dyn_uj, struct ledger_parts *out)
{
    const int64_t weights[] = {1000000 - x->others_ppm, x->others_ppm};
    int64_t parts[2];
    energy_split(dyn_uj, weights, 2, parts);
    out->slot_uj[x->owner] = parts[0];
    out->foreign_uj = parts[1];
}

void ledger_split(const struct ledger_span *x, struct ledger_parts *out)
{
    const struct baseline b = {.power_uw = x->baseline_uw};
    memset(out, 0, sizeof(*out));
    if (x->baseline_uw >= 0 && x->known_ns > 0)
        out->idle_uj = baseline_energy_uj(&b, x->known_ns);
    int64_t dyn_uj = x->de_uj - out->idle_uj;
    if (x->owner == LEDGER_BY_CPU)
        split_by_cpu(x, dyn_uj, out);
    else if (x->owner == LEDGER_MACHINE)
        out->system_uj = dyn_uj;
    else if (x->owner >= 0 && (size_t)x->owner < SLOTS_MAX)
        split_with_others(x, dyn_uj, out);
    else
        out->foreign_uj = dyn_uj;
}

/* ---- inside a span ------------------------------------------------------------------------------ */

static wide floor_div(wide a, wide b, wide *left)
{
    wide q = a / b;
    if (a % b < 0)
        q--;
    *left = a - q * b;
    return q;
}

struct remainder {
    wide left;
    size_t i;
};

static int larger_first(const void *pa, const void *pb)
{
    const struct remainder *a = pa;
    const struct remainder *b = pb;
    if (a->left != b->left)
        return a->left > b->left ? -1 : 1;
    return a->i < b->i ? -1 : 1;
}

void ledger_share(int64_t x_uj, const int64_t *grown, size_t n, size_t rest, int64_t *parts)
{
    wide sum = 0, given = 0;
    for (size_t i = 0; i < n; i++) {
        sum += grown[i];
        parts[i] = 0;
    }
    if (sum == 0) {
        parts[rest] = x_uj;
        return;
    }
    wide sign = sum < 0 ? -1 : 1;
    struct remainder *left = base_alloc((n + 1) * sizeof(*left));
    for (size_t i = 0; i < n; i++) {
        left[i].i = i;
        parts[i] = (int64_t)floor_div((wide)x_uj * grown[i] * sign, sum * sign, &left[i].left);
        given += parts[i];
    }
    qsort(left, n, sizeof(*left), larger_first);
    int64_t more = (int64_t)(x_uj - given); /* 0 .. n - 1 */
    for (size_t i = 0; i < n && (int64_t)i < more; i++)
        parts[left[i].i]++;
    free(left);
}

/* ---- which meters ------------------------------------------------------------------------------- */

/* A part of a package is never in a total beside it; what shows another's register never either. */
bool ledger_keeps(const struct channel_row *m)
{
    bool inner = m->scope == SCOPE_CORE || m->scope == SCOPE_UNCORE;
    bool power =
        m->kind == CHANNEL_COUNTER || m->kind == CHANNEL_GAUGE || m->kind == CHANNEL_AVERAGE;
    return power && m->quality != QUALITY_NONE && m->mirror_of == 0 && !(inner && m->parent > 0);
}
