#include "daemon/energy/audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/energy/ledger.h"
#include "daemon/energy/shares.h"

struct work {
    struct store *s;
    const struct audit_plan *p;
    struct audit_result *out;
    int64_t end_mono_ns;
    uint64_t random;
    struct share_book book;
};

static bool over(struct work *k)
{
    if (k->p->budget_ns > 0 && clock_mono_ns() > k->end_mono_ns)
        k->out->cut = true;
    return k->out->cut;
}

/* One more check. False where it failed: say what. */
static bool holds(struct work *k, bool good)
{
    k->out->checks++;
    k->out->failures += !good;
    return good;
}

PRINTF(2, 3) static void say(struct work *k, const char *fmt, ...)
{
    char text[sizeof(k->out->text[0])];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (k->out->failures >= 1 && k->out->failures <= AUDIT_TEXTS)
        base_strcpy(k->out->text[k->out->failures - 1], sizeof(text), text);
}

/* An instant as people have it; boottime where no anchor is. */
static const char *when(struct work *k, int64_t t_ns, char *text, size_t cap)
{
    int64_t utc_ns = store_utc_of(k->s, k->p->boot, t_ns);
    char utc[48];
    if (utc_ns >= 0)
        snprintf(text, cap, "%s", units_show_utc(utc, sizeof(utc), utc_ns));
    else
        snprintf(text, cap, "boot + %" PRId64 " ns", t_ns);
    return text;
}

/* ---- ticks -------------------------------------------------------------------------------------- */

static int64_t sum(const int64_t *values, size_t n)
{
    int64_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += values[i];
    return total;
}

static int check_sum(struct work *k, int64_t t_ns, const int64_t *values, struct err *e)
{
    struct curve_point p = {0};
    char text[64];
    int rc = samples_curve(k->s, k->book.meter->id, k->p->boot, t_ns, &p, e);
    if (rc < 0)
        return rc;
    int64_t have = sum(values, k->book.n);
    if (!holds(k, have == p.e_uj))
        say(k, "%s at %s: the accounts add up to %" PRId64 " uJ, the meter to %" PRId64 " uJ",
            k->book.meter->label, when(k, t_ns, text, sizeof(text)), have, p.e_uj);
    return 0;
}

static int64_t part_of(const struct ledger_parts *p, const struct account *a)
{
    const int64_t fixed[] = {p->idle_uj, p->system_uj, p->foreign_uj};
    return a->kind != ACCOUNT_SLOT ? fixed[a->kind] : p->slot_uj[a->slot % SLOTS_MAX];
}

static int check_span(struct work *k, int64_t t0_ns, const int64_t *v0, int64_t t1_ns,
                      const int64_t *v1, struct err *e)
{
    struct ledger_parts p;
    char text[64];
    int rc = ledger_replay(k->s, k->book.meter, k->p->boot, t0_ns, t1_ns, &p, e);
    if (rc)
        return rc < 0 ? rc : 0; /* the samples are gone */
    k->out->replayed++;
    for (size_t i = 0; i < k->book.n; i++) {
        const struct account *a = &k->book.accounts[i];
        int64_t again = part_of(&p, a);
        if (!holds(k, v1[i] - v0[i] == again))
            say(k,
                "%s, account %s%.0u, second before %s: stored %" PRId64
                " uJ, from the samples %" PRId64 " uJ",
                k->book.meter->label, account_kind_name(a->kind),
                a->kind == ACCOUNT_SLOT ? a->slot : 0, when(k, t1_ns, text, sizeof(text)),
                v1[i] - v0[i], again);
    }
    return 0;
}

/* Each meter's ticks from the newest back. */
static int check_ticks(struct work *k, struct err *e)
{
    size_t n = k->book.n;
    int64_t *mem CLEANUP(base_freep) = base_alloc((3 * n + 1) * sizeof(*mem));
    int64_t *now = mem, *before = mem + n, *unused = mem + 2 * n;
    int64_t t_ns = INT64_MIN, next_ns = 0, t0_ns = INT64_MIN;
    int rc = shares_book_ticks(k->s, &k->book, k->p->t1_ns, &t_ns, now, &next_ns, unused, e);
    while (rc == 0 && t_ns >= k->p->t0_ns && t_ns != INT64_MIN && !over(k)) {
        k->out->ticks++;
        rc = check_sum(k, t_ns, now, e);
        if (rc == 0)
            rc = shares_book_ticks(k->s, &k->book, t_ns - 1, &t0_ns, before, &next_ns, unused, e);
        if (rc == 0 && t0_ns != INT64_MIN)
            rc = check_span(k, t0_ns, before, t_ns, now, e);
        memcpy(now, before, n * sizeof(*now));
        t_ns = t0_ns;
    }
    return rc;
}

/* ---- windows ------------------------------------------------------------------------------------ */

static int check_window(struct work *k, int64_t t0_ns, int64_t t1_ns, struct err *e)
{
    const struct energy_window w = {k->p->boot, t0_ns, t1_ns};
    struct shares x CLEANUP(shares_fini) = {0};
    struct curve_point a = {0}, b = {0};
    char text[64];
    int rc = shares_of_window(k->s, k->book.meter, &w, &x, e);
    if (rc == 0)
        rc = samples_curve(k->s, k->book.meter->id, w.boot, t0_ns, &a, e);
    if (rc >= 0)
        rc = samples_curve(k->s, k->book.meter->id, w.boot, t1_ns, &b, e);
    if (rc < 0)
        return rc;
    k->out->windows++;
    for (int p = 0; p < SHARE_POLICIES; p++) {
        int64_t have = x.system_uj + x.foreign_uj + x.idle_left[p];
        for (size_t i = 0; i < x.n; i++)
            have += x.runs[i].dyn_uj + x.runs[i].idle_uj[p];
        if (!holds(k, have == b.e_uj - a.e_uj))
            say(k,
                "%s, %" PRId64 " ms from %s, policy %s: shares, system, foreign and idle add up to"
                " %" PRId64 " uJ, the meter to %" PRId64 " uJ",
                k->book.meter->label, (t1_ns - t0_ns) / NS_PER_MS,
                when(k, t0_ns, text, sizeof(text)), share_policy_name((enum share_policy)p), have,
                b.e_uj - a.e_uj);
    }
    return 0;
}

/* splitmix64. source: Steele, Lea, Flood 2014. */
static uint64_t next_random(struct work *k)
{
    uint64_t z = (k->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct run_windows {
    int64_t (*at)[2];
    size_t n;
};

static int take_window(void *arg, const struct presence *p)
{
    struct run_windows *l = arg;
    if (p->t1_ns == ACCOUNTS_OPEN || l->n == SHARES_RUNS_MAX)
        return 0;
    if (l->n % 32 == 0) {
        l->at = reallocarray(l->at, l->n + 32, sizeof(*l->at));
        if (!l->at)
            abort();
    }
    l->at[l->n][0] = p->t0_ns;
    l->at[l->n++][1] = p->t1_ns;
    return 0;
}

static int check_runs(struct work *k, struct err *e)
{
    struct run_windows l = {0};
    int rc = accounts_present(k->s, k->p->boot, k->p->t0_ns, k->p->t1_ns, take_window, &l, e);
    for (size_t i = 0; rc == 0 && i < l.n && !over(k); i++)
        rc = check_window(k, l.at[i][0], l.at[i][1], e);
    free(l.at);
    return rc;
}

/* Between the first and the newest sample that lie in the stretch. */
static int check_random(struct work *k, struct err *e)
{
    struct sample first = {0}, last = {0};
    int64_t meter = k->book.meter->id;
    int rc = samples_from(k->s, meter, k->p->boot, k->p->t0_ns, &first, e);
    if (rc == 0)
        rc = samples_at(k->s, meter, k->p->boot, k->p->t1_ns, &last, e);
    if (rc)
        return rc < 0 ? rc : 0;
    for (int i = 0; i < k->p->windows && last.t_ns > first.t_ns && !over(k); i++) {
        uint64_t span = (uint64_t)(last.t_ns - first.t_ns) + 1;
        int64_t a = first.t_ns + (int64_t)(next_random(k) % span);
        int64_t b = first.t_ns + (int64_t)(next_random(k) % span);
        rc = check_window(k, a < b ? a : b, a < b ? b : a, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- chunks ------------------------------------------------------------------------------------- */

static int check_head(void *arg, int64_t t_ns, int64_t e0_uj, int64_t before_uj)
{
    struct work *k = arg;
    char text[64];
    k->out->chunks++;
    if (!holds(k, e0_uj == before_uj))
        say(k,
            "%s: the samples from %s on begin with %" PRId64 " uJ, those before end with %" PRId64
            " uJ",
            k->book.meter->label, when(k, t_ns, text, sizeof(text)), e0_uj, before_uj);
    return over(k);
}

/* ---- all ---------------------------------------------------------------------------------------- */

static int audit_meter(struct work *k, const struct channel_row *meter, struct err *e)
{
    int rc = shares_book_open(k->s, meter, k->p->boot, &k->book, e);
    if (rc == 0) {
        k->out->meters++;
        rc = check_ticks(k, e);
    }
    if (rc == 0)
        rc = check_runs(k, e);
    if (rc == 0)
        rc = check_random(k, e);
    if (rc == 0)
        rc =
            accounts_heads(k->s, meter->id, k->p->boot, k->p->t0_ns, k->p->t1_ns, check_head, k, e);
    /* Damage is what an audit is for. */
    if (rc == WATTQ_E_CORRUPT) {
        if (!holds(k, false))
            say(k, "%s: %s", meter->label, e->text);
        rc = 0;
    }
    shares_book_close(&k->book);
    return rc < 0 ? rc : 0;
}

int audit_run(struct store *s, const struct audit_plan *p, struct audit_result *out, struct err *e)
{
    struct work k = {.s = s,
                     .p = p,
                     .out = out,
                     .end_mono_ns = clock_mono_ns() + p->budget_ns,
                     .random = p->seed};
    int64_t *ids CLEANUP(base_freep) = NULL;
    size_t n = 0;
    int rc = accounts_meters(s, &ids, &n, e);
    for (size_t i = 0; rc == 0 && i < n && !over(&k); i++) {
        struct channel_row meter;
        rc = samples_channel(s, ids[(p->first + i) % n], &meter, e);
        if (rc == 0)
            rc = audit_meter(&k, &meter, e);
    }
    return rc;
}
