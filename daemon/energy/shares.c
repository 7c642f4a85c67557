#include "daemon/energy/shares.h"

#include <stdlib.h>
#include <string.h>

#include "common/spec.h"
#include "common/units.h"
#include "daemon/energy/energy_internal.h"
#include "daemon/store/runs.h"

const char *share_policy_name(enum share_policy p)
{
    static const char *const names[] = {"none", "equal", "reserved", "usage"};
    return (size_t)p < ARRAY_LEN(names) ? names[p] : "unknown";
}

bool share_policy_parse(const char *s, enum share_policy *out)
{
    for (int p = 0; s && p < SHARE_POLICIES; p++) {
        if (strcmp(share_policy_name((enum share_policy)p), s) == 0) {
            *out = (enum share_policy)p;
            return true;
        }
    }
    return false;
}

void shares_fini(struct shares *x)
{
    free(x->runs);
    memset(x, 0, sizeof(*x));
}

/* ---- instants ----------------------------------------------------------------------------------- */

/* The accounts at one instant, kept: a run's edge is asked for more than once. */
struct instant {
    int64_t t_ns;
    int64_t *values;
};
struct work {
    struct store *s;
    struct share_book book;
    const struct energy_window *w;
    struct shares *out;
    struct instant *at; /* by time */
    size_t n, cap;
    int64_t from_ns, to_ns; /* the stretches of presence that hold the window's ends */
};

static void work_fini(struct work *k)
{
    for (size_t i = 0; i < k->n; i++)
        free(k->at[i].values);
    free(k->at);
    shares_book_close(&k->book);
}

static size_t place(const struct work *k, int64_t t_ns)
{
    size_t lo = 0, hi = k->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (k->at[mid].t_ns < t_ns)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* *out is good until the next call. */
static int values_at(struct work *k, int64_t t_ns, const int64_t **out, struct err *e)
{
    size_t i = place(k, t_ns);
    if (i < k->n && k->at[i].t_ns == t_ns) {
        *out = k->at[i].values;
        return 0;
    }
    int64_t *values = base_alloc((k->book.n + 1) * sizeof(*values));
    int rc = shares_book_at(k->s, &k->book, t_ns, values, e);
    if (rc < 0) {
        free(values);
        return rc;
    }
    if (k->n == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 32;
        k->at = reallocarray(k->at, k->cap, sizeof(*k->at));
        if (!k->at)
            abort();
    }
    memmove(&k->at[i + 1], &k->at[i], (k->n - i) * sizeof(*k->at));
    k->at[i] = (struct instant){t_ns, values};
    k->n++;
    *out = values;
    return 0;
}

static int64_t sum_kind(const struct work *k, const int64_t *values, enum account_kind kind)
{
    int64_t sum = 0;
    for (size_t i = 0; i < k->book.n; i++)
        sum += k->book.accounts[i].kind == kind ? values[i] : 0;
    return sum;
}

static int64_t slot_value(const struct work *k, const int64_t *values, unsigned slot)
{
    for (size_t i = 0; i < k->book.n; i++)
        if (k->book.accounts[i].kind == ACCOUNT_SLOT && k->book.accounts[i].slot == slot)
            return values[i];
    return 0;
}

/* ---- who was present ---------------------------------------------------------------------------- */

/* What `--threads N` or `--threads=N` in its argv asked for. */
static int64_t threads_of(const char *spec_json)
{
    struct err e;
    struct spec s;
    if (!spec_json || runs_spec_parse(spec_json, &s, &e) < 0)
        return 1;
    int64_t n = 1;
    for (size_t i = 0; s.kind == SPEC_TRAIN && i < s.argc; i++) {
        const char *value = NULL, *arg = s.argv[i] ? s.argv[i] : "";
        if (strncmp(arg, "--threads=", 10) == 0)
            value = arg + 10;
        else if (strcmp(arg, "--threads") == 0 && i + 1 < s.argc)
            value = s.argv[i + 1];
        if (value && strtoll(value, NULL, 10) > 0)
            n = strtoll(value, NULL, 10);
    }
    spec_fini(&s);
    return n;
}

static int take_run(void *arg, const struct presence *p)
{
    struct shares *x = arg;
    if (x->n == SHARES_RUNS_MAX)
        return 1;
    if (x->n % 32 == 0) {
        x->runs = reallocarray(x->runs, x->n + 32, sizeof(*x->runs));
        if (!x->runs)
            abort();
    }
    x->runs[x->n++] = (struct share_run){
        .run = p->run, .t0_ns = p->t0_ns, .t1_ns = p->t1_ns, .threads = threads_of(p->spec)};
    return 0;
}

/* The edges of presence at or around the window's ends: stretches are split from their true beginning. */
static int find_stretches(struct work *k, struct err *e)
{
    const struct energy_window *w = k->w;
    int rc = accounts_ended_before(k->s, w->boot, w->t0_ns, &k->from_ns, e);
    if (rc == 0)
        rc = accounts_begun_after(k->s, w->boot, w->t1_ns, &k->to_ns, e);
    for (size_t i = 0; i < k->out->n; i++) {
        const struct share_run *r = &k->out->runs[i];
        if (r->t0_ns <= w->t0_ns && r->t0_ns > k->from_ns)
            k->from_ns = r->t0_ns;
        if (r->t1_ns >= w->t1_ns && r->t1_ns < k->to_ns)
            k->to_ns = r->t1_ns;
    }
    return rc;
}

static int load_runs(struct work *k, struct err *e)
{
    const struct energy_window *w = k->w;
    int rc = accounts_present(k->s, w->boot, w->t0_ns, w->t1_ns, take_run, k->out, e);
    if (rc > 0)
        return err_set(e, WATTQ_E_LIMIT, "more than %d runs were present in this window",
                       SHARES_RUNS_MAX);
    return rc < 0 ? rc : find_stretches(k, e);
}

/* ---- dyn ---------------------------------------------------------------------------------------- */

struct seat {
    struct work *k;
    struct share_run *r;
    int64_t t0_ns, t1_ns; /* what is asked about */
    int64_t seated_ns, dyn_uj;
    struct err *e;
};

static int add_stay(void *arg, const struct slot_use *u)
{
    struct seat *x = arg;
    int64_t t0 = u->t0_ns > x->t0_ns ? u->t0_ns : x->t0_ns;
    int64_t t1 = u->t1_ns < x->t1_ns ? u->t1_ns : x->t1_ns;
    const int64_t *values;
    if (t1 <= t0)
        return 0;
    int rc = values_at(x->k, t0, &values, x->e);
    int64_t before = rc == 0 ? slot_value(x->k, values, u->slot) : 0;
    if (rc == 0)
        rc = values_at(x->k, t1, &values, x->e);
    if (rc < 0)
        return rc;
    x->seated_ns += t1 - t0;
    x->dyn_uj += slot_value(x->k, values, u->slot) - before;
    return 0;
}

/* What the slot of a run grew by in [t0, t1] of its window. */
static int seat_of(struct work *k, struct share_run *r, int64_t t0_ns, int64_t t1_ns,
                   struct seat *out, struct err *e)
{
    *out = (struct seat){.k = k,
                         .r = r,
                         .t0_ns = t0_ns > r->t0_ns ? t0_ns : r->t0_ns,
                         .t1_ns = t1_ns < r->t1_ns ? t1_ns : r->t1_ns,
                         .e = e};
    return accounts_slots_of(k->s, r->run, k->w->boot, add_stay, out, e);
}

/* ---- idle --------------------------------------------------------------------------------------- */

struct stretch {
    size_t *who; /* indices of runs */
    size_t n;
    int64_t t0_ns, t1_ns; /* of unchanged presence */
};

static int weigh(struct work *k, const struct stretch *x, enum share_policy p, int64_t *weights,
                 struct err *e)
{
    for (size_t i = 0; i < x->n; i++) {
        struct share_run *r = &k->out->runs[x->who[i]];
        struct seat seat;
        weights[i] = p == SHARE_RESERVED ? r->threads : 1;
        if (p != SHARE_USAGE)
            continue;
        int rc = seat_of(k, r, x->t0_ns, x->t1_ns, &seat, e);
        if (rc < 0)
            return rc;
        weights[i] = seat.dyn_uj;
    }
    return 0;
}

static int idle_at(struct work *k, int64_t t_ns, int64_t *out, struct err *e)
{
    const int64_t *values;
    int rc = values_at(k, t_ns, &values, e);
    if (rc == 0)
        *out = sum_kind(k, values, ACCOUNT_IDLE);
    return rc;
}

/* Idle of [a, b] inside a stretch, to the runs that were there. */
static int share_idle(struct work *k, const struct stretch *x, int64_t a_ns, int64_t b_ns,
                      struct err *e)
{
    int64_t i0 = 0, ia = 0, ib = 0;
    int rc = idle_at(k, a_ns, &ia, e);
    if (rc == 0)
        rc = idle_at(k, b_ns, &ib, e);
    if (rc < 0)
        return rc;
    k->out->idle_left[SHARE_NONE] += ib - ia;
    for (int p = SHARE_EQUAL; x->n == 0 && p < SHARE_POLICIES; p++)
        k->out->idle_left[p] += ib - ia;
    if (x->n == 0)
        return 0;
    int64_t *mem CLEANUP(base_freep) = base_alloc(3 * x->n * sizeof(*mem));
    int64_t *weights = mem, *at_a = mem + x->n, *at_b = mem + 2 * x->n;
    rc = idle_at(k, x->t0_ns, &i0, e);
    for (int p = SHARE_EQUAL; rc == 0 && p < SHARE_POLICIES; p++) {
        rc = weigh(k, x, (enum share_policy)p, weights, e);
        if (rc < 0)
            break;
        energy_split(ia - i0, weights, x->n, at_a);
        energy_split(ib - i0, weights, x->n, at_b);
        for (size_t i = 0; i < x->n; i++)
            k->out->runs[x->who[i]].idle_uj[p] += at_b[i] - at_a[i];
    }
    return rc;
}

static int by_time(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return a < b ? -1 : a > b;
}

/* Begins and ends of runs strictly inside the window, and its own ends. */
static size_t cuts_of(const struct work *k, int64_t *cuts)
{
    size_t n = 0, m = 0;
    const struct energy_window *w = k->w;
    cuts[n++] = w->t0_ns;
    cuts[n++] = w->t1_ns;
    for (size_t i = 0; i < k->out->n; i++) {
        const int64_t edges[] = {k->out->runs[i].t0_ns, k->out->runs[i].t1_ns};
        for (size_t j = 0; j < ARRAY_LEN(edges); j++)
            if (edges[j] > w->t0_ns && edges[j] < w->t1_ns)
                cuts[n++] = edges[j];
    }
    qsort(cuts, n, sizeof(*cuts), by_time);
    for (size_t i = 0; i < n; i++)
        if (m == 0 || cuts[i] != cuts[m - 1])
            cuts[m++] = cuts[i];
    return m;
}

static int share_all_idle(struct work *k, struct err *e)
{
    const struct shares *x = k->out;
    int64_t *cuts CLEANUP(base_freep) = base_alloc((2 * x->n + 2) * sizeof(*cuts));
    size_t *who CLEANUP(base_freep) = base_alloc((x->n + 1) * sizeof(*who));
    size_t n = cuts_of(k, cuts);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i + 1 < n; i++) {
        struct stretch s = {.who = who, .t0_ns = cuts[i], .t1_ns = cuts[i + 1]};
        if (i == 0 && k->from_ns < s.t0_ns && k->from_ns != INT64_MIN)
            s.t0_ns = k->from_ns;
        if (i + 2 == n && k->to_ns > s.t1_ns)
            s.t1_ns = k->to_ns;
        for (size_t r = 0; r < x->n; r++)
            if (x->runs[r].t0_ns <= cuts[i] && x->runs[r].t1_ns >= cuts[i + 1])
                who[s.n++] = r;
        rc = share_idle(k, &s, cuts[i], cuts[i + 1], e);
    }
    return rc;
}

/* ---- one meter ---------------------------------------------------------------------------------- */

static int fill(struct work *k, struct err *e)
{
    const struct energy_window *w = k->w;
    struct shares *x = k->out;
    const int64_t *v;
    int64_t at[2][4] = {{0}};
    int64_t dyn_uj = 0;
    for (int i = 0; i < 2; i++) {
        int rc = values_at(k, i ? w->t1_ns : w->t0_ns, &v, e);
        if (rc < 0)
            return rc;
        for (int kind = ACCOUNT_IDLE; kind <= ACCOUNT_SLOT; kind++)
            at[i][kind] = sum_kind(k, v, (enum account_kind)kind);
    }
    for (size_t i = 0; i < x->n; i++) {
        struct seat seat;
        int rc = seat_of(k, &x->runs[i], w->t0_ns, w->t1_ns, &seat, e);
        if (rc < 0)
            return rc;
        x->runs[i].dyn_uj = seat.dyn_uj;
        x->runs[i].seated_ns = seat.seated_ns;
        dyn_uj += seat.dyn_uj;
    }
    int64_t slots_uj = at[1][ACCOUNT_SLOT] - at[0][ACCOUNT_SLOT];
    x->idle_uj = at[1][ACCOUNT_IDLE] - at[0][ACCOUNT_IDLE];
    x->foreign_uj = at[1][ACCOUNT_FOREIGN] - at[0][ACCOUNT_FOREIGN];
    x->system_uj = at[1][ACCOUNT_SYSTEM] - at[0][ACCOUNT_SYSTEM] + slots_uj - dyn_uj;
    x->total_uj = x->idle_uj + x->foreign_uj + x->system_uj + dyn_uj;
    return share_all_idle(k, e);
}

int shares_of_window(struct store *s, const struct channel_row *meter,
                     const struct energy_window *w, struct shares *out, struct err *e)
{
    struct work k CLEANUP(work_fini) = {.s = s, .w = w, .out = out};
    int64_t baseline = 0, power_uw = -1;
    memset(out, 0, sizeof(*out));
    int rc = shares_book_open(s, meter, w->boot, &k.book, e);
    if (rc == 0)
        rc = accounts_basis_at(s, meter->id, w->boot, w->t0_ns, &baseline, &power_uw, e);
    out->baseline = power_uw >= 0;
    if (rc == 0)
        rc = load_runs(&k, e);
    return rc == 0 ? fill(&k, e) : rc;
}
