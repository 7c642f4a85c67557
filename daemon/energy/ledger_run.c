/* The ledger while the daemon runs: what is remembered of usage and of each meter's changes, and the ticks
 * that follow from them. Storage thread. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/energy/baseline.h"
#include "daemon/energy/ledger_internal.h"
#include "daemon/meter/gpu_procs.h"
#include "daemon/store/samples_internal.h"

#define ROWS_MAX     1024 /* sweeps of usage that are remembered: 2 s and more at 1 kHz */
#define KNOTS_MAX    16   /* changes per meter that wait to be bracketed by usage */
#define BASELINE_NS  (10 * NS_PER_S) /* how often the one in force is asked for */
#define ACCOUNTS_MAX (SLOTS_MAX + 3)
#define NO_GROUP     UINT32_MAX

struct own_account { /* an account as it is written */
    struct account a;
    bool known; /* it has a row, and `value` is where it stands */
    bool wanted;
    uint32_t group; /* in the writer; NO_GROUP until samples_add */
    int64_t value_uj;
    int64_t epoch; /* in which it was written last; 0 = not by this daemon */
};

struct own_meter {
    struct channel_row ch;
    bool looked; /* ch and accounts are read */
    bool keeps;
    struct samples_knot knots[KNOTS_MAX]; /* oldest first */
    size_t n;
    bool begun;     /* `last` and `used` are of this daemon */
    bool continued; /* last is a tick of an earlier daemon in this boot */
    struct samples_knot last;
    int64_t used[SLOTS_MAX + 1];
    struct own_account accounts[ACCOUNTS_MAX]; /* idle, system, foreign, slots */
    int64_t baseline, baseline_uw;             /* as account_basis has it since `last` */
    bool told;                                 /* it has it from this daemon */
    int64_t asked_ns;
    int64_t others_ppm; /* as account_intruder has it since `last`; -1 = not asked yet */
};

struct usage_row {
    int64_t t_ns;
    int64_t us[]; /* as ledger.columns */
};

struct ledger {
    struct store *store;
    struct slots *slots;
    struct gpu_procs *gpu_procs;
    size_t n;                       /* slots; column n is all CPUs */
    int64_t columns[SLOTS_MAX + 1]; /* channel ids */
    int64_t *rows;                  /* a ring of usage_row */
    size_t first, nrows;
    struct own_meter **meters;
    size_t nmeters;
    int64_t edge_ns; /* newest sweep at a run's edge */
    uint64_t taken;  /* slots somebody sat in at the newest look, by bit */
    uint64_t ever;   /* or has ever sat in */
};

/* ---- what the writer says ----------------------------------------------------------------------- */

static size_t row_bytes(const struct ledger *l)
{
    return sizeof(struct usage_row) + (l->n + 1) * sizeof(int64_t);
}

static struct usage_row *row_at(const struct ledger *l, size_t i)
{
    size_t at = (l->first + i) % ROWS_MAX;
    return (struct usage_row *)(l->rows + at * (row_bytes(l) / sizeof(int64_t)));
}

/* The row of this sweep; a new one repeats the newest values until its own come. NULL: an old sweep once more. */
static struct usage_row *row_for(struct ledger *l, int64_t t_ns)
{
    struct usage_row *newest = l->nrows ? row_at(l, l->nrows - 1) : NULL;
    if (newest && newest->t_ns >= t_ns)
        return newest->t_ns == t_ns ? newest : NULL;
    if (l->nrows == ROWS_MAX)
        l->first = (l->first + 1) % ROWS_MAX;
    else
        l->nrows++;
    struct usage_row *r = row_at(l, l->nrows - 1);
    if (newest)
        memcpy(r, newest, row_bytes(l));
    r->t_ns = t_ns;
    return r;
}

static void on_usage(void *arg, int64_t channel, int64_t t_ns, int64_t value)
{
    struct ledger *l = arg;
    for (size_t i = 0; i <= l->n; i++) {
        if (l->columns[i] != channel)
            continue;
        struct usage_row *r = row_for(l, t_ns);
        if (r)
            r->us[i] = value;
        return;
    }
}

static struct own_meter *meter_of(struct ledger *l, int64_t channel)
{
    for (size_t i = 0; i < l->nmeters; i++)
        if (l->meters[i]->ch.id == channel)
            return l->meters[i];
    l->meters = reallocarray(l->meters, l->nmeters + 1, sizeof(struct own_meter *));
    if (!l->meters)
        abort();
    struct own_meter *m = base_alloc(sizeof(*m));
    m->ch.id = channel;
    m->baseline_uw = m->others_ppm = -1;
    l->meters[l->nmeters++] = m;
    return m;
}

static void on_knot(void *arg, int64_t channel, const struct samples_knot *k)
{
    struct own_meter *m = meter_of(arg, channel);
    if (m->looked && !m->keeps)
        return;
    while (m->n > 0 && m->knots[m->n - 1].t_ns >= k->t_ns)
        m->n--;              /* rolled back: it comes again */
    if (m->n == KNOTS_MAX) { /* every second one is enough to find one that usage brackets */
        for (size_t i = 0; i < KNOTS_MAX / 2; i++)
            m->knots[i] = m->knots[2 * i + 1];
        m->n = KNOTS_MAX / 2;
    }
    m->knots[m->n++] = *k;
}

static void on_edge(void *arg, int64_t t_ns)
{
    struct ledger *l = arg;
    l->edge_ns = t_ns > l->edge_ns ? t_ns : l->edge_ns;
}

/* Usage at t, between the two sweeps around it. False: not bracketed. */
static bool usage_at(const struct ledger *l, int64_t t_ns, int64_t us[SLOTS_MAX + 1])
{
    for (size_t i = l->nrows; i-- > 0;) {
        const struct usage_row *a = row_at(l, i);
        if (a->t_ns > t_ns)
            continue;
        if (a->t_ns < t_ns && i + 1 == l->nrows)
            return false;
        const struct usage_row *b = a->t_ns == t_ns ? a : row_at(l, i + 1);
        for (size_t c = 0; c <= l->n; c++)
            us[c] = ledger_between(a->t_ns, a->us[c], b->t_ns, b->us[c], t_ns);
        return true;
    }
    return false;
}

/* ---- meters and accounts ------------------------------------------------------------------------ */

static size_t index_of(const struct account *a)
{
    return a->kind == ACCOUNT_SLOT ? ACCOUNT_SLOT + (size_t)a->slot : (size_t)a->kind;
}

/* Where an account stands: its newest tick of this boot or an earlier one. */
static int load_value(struct ledger *l, struct own_meter *m, struct own_account *x, struct err *e)
{
    struct sample last;
    int64_t boot = store_boot(l->store);
    int rc = samples_at(l->store, x->a.channel, boot, INT64_MAX, &last, e);
    if (rc == 0 && (!m->continued || last.t_ns > m->last.t_ns)) {
        m->last.t_ns = last.t_ns;
        m->continued = true;
    }
    if (rc == 1 && (rc = accounts_boot_before(l->store, x->a.channel, boot, &boot, e)) == 0)
        rc = samples_at(l->store, x->a.channel, boot, INT64_MAX, &last, e);
    x->value_uj = rc == 0 ? last.value : 0;
    return rc < 0 ? rc : 0;
}

static int load_accounts(struct ledger *l, struct own_meter *m, struct err *e)
{
    struct account *list CLEANUP(base_freep) = NULL;
    size_t n = 0;
    int rc = accounts_of(l->store, m->ch.id, &list, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (list[i].kind == ACCOUNT_SLOT && list[i].slot >= SLOTS_MAX)
            continue;
        struct own_account *x = &m->accounts[index_of(&list[i])];
        x->a = list[i];
        x->known = true;
        rc = load_value(l, m, x, e);
    }
    return rc;
}

static int64_t sum_of(const struct own_meter *m)
{
    int64_t sum = 0;
    for (size_t i = 0; i < ACCOUNTS_MAX; i++)
        sum += m->accounts[i].value_uj;
    return sum;
}

static bool is_gpu(const struct own_meter *m)
{
    return m->ch.scope == SCOPE_GPU || m->ch.scope == SCOPE_MODULE;
}

/* First look at a meter: does it have accounts, and where do they stand? */
static int look(struct ledger *l, struct own_meter *m, struct err *e)
{
    struct curve_point p;
    int rc = samples_channel(l->store, m->ch.id, &m->ch, e);
    if (rc < 0)
        return rc;
    m->keeps = ledger_keeps(&m->ch);
    for (size_t i = 0; i < ACCOUNTS_MAX; i++) {
        m->accounts[i] = (struct own_account){.group = NO_GROUP};
        m->accounts[i].a.kind = i < ACCOUNT_SLOT ? (enum account_kind)i : ACCOUNT_SLOT;
        m->accounts[i].a.slot = i < ACCOUNT_SLOT ? 0 : (unsigned)(i - ACCOUNT_SLOT);
    }
    m->continued = false;
    rc = m->keeps ? load_accounts(l, m, e) : 0;
    if (rc == 0 && m->continued) {
        rc = samples_curve(l->store, m->ch.id, store_boot(l->store), m->last.t_ns, &p, e);
        m->last.unknown_ns = p.unknown_ns;
        m->last.epoch = 0; /* no epoch of this daemon */
        rc = rc > 0 ? 0 : rc;
    }
    m->last.e_uj = sum_of(m);
    m->accounts[ACCOUNT_IDLE].wanted = m->accounts[ACCOUNT_SYSTEM].wanted = m->keeps;
    m->accounts[ACCOUNT_FOREIGN].wanted = m->keeps && is_gpu(m); /* nobody has it now and then */
    m->looked = rc == 0;
    return rc;
}

static void want_slots(const struct ledger *l, struct own_meter *m)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->ever & (UINT64_C(1) << i))
            m->accounts[ACCOUNT_SLOT + i].wanted = true;
}

static void describe(const struct own_meter *m, const struct account *a, struct channel_desc *d)
{
    char name[24];
    snprintf(name, sizeof(name), a->kind == ACCOUNT_SLOT ? "%s%u" : "%s",
             account_kind_name(a->kind), a->slot);
    *d = (struct channel_desc){.kind = CHANNEL_COMPANION,
                               .quality = QUALITY_NONE,
                               .scope = SCOPE_OTHER,
                               .quantum = 1,
                               .period_ns = LEDGER_TICK_NS,
                               .parent = -1,
                               .mirror_of = -1};
    char *uid CLEANUP(base_freep) = base_printf("account/%s/%s", m->ch.uid, name);
    if (strlen(uid) < sizeof(d->uid))
        base_strcpy(d->uid, sizeof(d->uid), uid);
    else
        snprintf(d->uid, sizeof(d->uid), "account/%" PRId64 "/%s", m->ch.id, name);
    snprintf(d->label, sizeof(d->label), "%.34s %.12s", m->ch.label, name);
    base_strcpy(d->unit, sizeof(d->unit), "uJ");
    base_strcpy(d->covers, sizeof(d->covers), "share of a meter's energy (docs/measurement.md)");
}

static void on_row(void *arg, size_t i, int64_t id, int64_t e0, int64_t raw0, bool raw_known)
{
    struct own_account **fresh = arg;
    (void)e0; /* a companion has no curve: where it stands was read from its ticks */
    (void)raw0;
    (void)raw_known;
    fresh[i]->a.channel = id;
}

struct batch {
    struct meter_channel *channels;
    const struct meter_channel **list;
    struct own_account **fresh;
    int64_t *meter_ids;
    int64_t *periods_ns;
    size_t n;
};

static void batch_free(struct batch *b)
{
    free(b->channels);
    free(b->list);
    free(b->fresh);
    free(b->meter_ids);
    free(b->periods_ns);
}

static void collect(struct ledger *l, struct batch *b)
{
    size_t cap = l->nmeters * ACCOUNTS_MAX + 1;
    b->channels = base_alloc(cap * sizeof(*b->channels));
    b->list = base_alloc(cap * sizeof(struct meter_channel *));
    b->fresh = base_alloc(cap * sizeof(struct own_account *));
    b->meter_ids = base_alloc(cap * sizeof(*b->meter_ids));
    b->periods_ns = base_alloc(cap * sizeof(*b->periods_ns));
    for (size_t i = 0; i < l->nmeters; i++) {
        struct own_meter *m = l->meters[i];
        for (size_t k = 0; m->looked && m->keeps && k < ACCOUNTS_MAX; k++) {
            struct own_account *x = &m->accounts[k];
            if (!x->wanted || x->group != NO_GROUP)
                continue;
            struct meter_channel *c = &b->channels[b->n];
            describe(m, &x->a, &c->desc);
            c->source = "account";
            c->group = (uint32_t)b->n; /* each a group of its own: written where it changes only */
            b->list[b->n] = c;
            b->fresh[b->n] = x;
            b->meter_ids[b->n] = m->ch.id;
            b->periods_ns[b->n++] = LEDGER_TICK_NS;
        }
    }
}

/* The rows that say whose accounts they are. After the channels: a channel without one is no account yet
 * and is found again by its uid. */
static int name_accounts(struct store *s, const struct batch *b, struct err *e)
{
    int rc = store_begin(s, false, e);
    if (rc)
        return rc;
    for (size_t i = 0; rc == 0 && i < b->n; i++)
        rc = accounts_put(s, b->meter_ids[i], &b->fresh[i]->a, e);
    if (rc == 0)
        return store_commit(s, e);
    store_rollback(s);
    return rc;
}

static int add_wanted(struct ledger *l, struct store *s, struct samples *w, struct err *e)
{
    struct batch b CLEANUP(batch_free) = {0};
    uint32_t first = 0;
    collect(l, &b);
    if (b.n == 0)
        return 0;
    const struct samples_more more = {.channels = b.list,
                                      .n = b.n,
                                      .periods_ns = b.periods_ns,
                                      .groups = b.n,
                                      .now_ns = clock_boot_ns(),
                                      .set_base = on_row,
                                      .arg = b.fresh};
    int rc = samples_add(w, &more, &first, e);
    for (size_t i = 0; rc == 0 && i < b.n; i++)
        b.fresh[i]->group = first + (uint32_t)i;
    return rc == 0 ? name_accounts(s, &b, e) : rc;
}

/* ---- baselines ---------------------------------------------------------------------------------- */

/* In a transaction of its own: a span never ends by another baseline than the stored one. */
static int tell_baseline(struct own_meter *m, struct store *s, const struct baseline *b,
                         struct err *e)
{
    int rc = store_begin(s, false, e);
    if (rc)
        return rc;
    rc = accounts_basis_put(s, m->ch.id, m->last.t_ns, b->id, b->power_uw, e);
    if (rc) {
        store_rollback(s);
        return rc;
    }
    rc = store_commit(s, e);
    if (rc == 0) {
        m->baseline = b->id;
        m->baseline_uw = b->power_uw;
        m->told = true;
    }
    return rc;
}

/* Is another one in force now? Spans that begin at the newest tick or later go by it. */
static int ask_baseline(struct own_meter *m, struct store *s, struct err *e)
{
    struct baseline b;
    int64_t now_ns = clock_boot_ns();
    if ((!m->begun && !m->continued) || (m->asked_ns && now_ns - m->asked_ns < BASELINE_NS))
        return 0;
    int rc = baseline_find(s, m->ch.id, clock_utc_ns(), 0, &b, e);
    if (rc < 0)
        return rc;
    m->asked_ns = now_ns;
    if (rc > 0)
        b = (struct baseline){.power_uw = -1};
    return m->told && m->baseline == b.id ? 0 : tell_baseline(m, s, &b, e);
}

/* ---- who else is on a GPU ------------------------------------------------------------------------ */

/* Processes of nobody's and of other runs, by what they did lately. One that belongs to a run that cannot
 * be told, or that cannot be looked at, counts as the owner's: nobody is called an intruder for that. */
static int64_t others_of(struct ledger *l, const struct gpu_use *u, int slot)
{
    int64_t all = 0, others = 0;
    for (size_t i = 0; i < u->n; i++) {
        const struct gpu_proc *p = &u->procs[i];
        int64_t busy = p->busy_ppm > 0 ? p->busy_ppm : 0;
        int seat = slots_find(l->slots, p->root);
        all += busy;
        others += p->root == 0 || (seat >= 0 && seat != slot) ? busy : 0;
    }
    return all > 0 ? units_muldiv_floor(others, 1000000, all) : 0;
}

static bool anybody_else(const struct gpu_use *u)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->procs[i].root >= 0 && u->procs[i].busy_ppm > 0)
            return true;
    return false;
}

static int find_others(struct ledger *l, const struct own_meter *m, int64_t *ppm, struct err *e)
{
    struct gpu_use *u CLEANUP(base_freep) = base_alloc(sizeof(*u));
    unsigned slot = 0;
    *ppm = 0;
    if (!gpu_procs_find(l->gpu_procs, m->ch.device, clock_boot_ns(), u) || !anybody_else(u))
        return 0;
    int rc = accounts_device_slot(l->store, m->ch.id, store_boot(l->store), m->last.t_ns, &slot, e);
    if (rc == 0)
        *ppm = others_of(l, u, (int)slot);
    return rc < 0 ? rc : 0;
}

static int tell_others(struct own_meter *m, struct store *s, int64_t ppm, struct err *e)
{
    int rc = store_begin(s, false, e);
    if (rc == 0) {
        rc = accounts_intruder_put(s, m->ch.id, m->last.t_ns, ppm, e);
        if (rc == 0)
            rc = store_commit(s, e);
        else
            store_rollback(s);
    }
    if (rc == 0)
        m->others_ppm = ppm;
    return rc;
}

/* As with baselines: what a span goes by is stored before the span ends. */
static int ask_others(struct ledger *l, struct own_meter *m, struct store *s, struct err *e)
{
    int64_t ppm = 0, stored = 0;
    if (!l->gpu_procs || !is_gpu(m) || (!m->begun && !m->continued))
        return 0;
    int rc = find_others(l, m, &ppm, e);
    if (rc == 0 && m->others_ppm < 0) {
        rc = accounts_intruder_at(s, m->ch.id, store_boot(s), m->last.t_ns, &stored, e);
        m->others_ppm = rc == 0 ? stored : -1;
    }
    return rc < 0 || m->others_ppm == ppm ? rc : tell_others(m, s, ppm, e);
}

static void look_at_slots(struct ledger *l)
{
    l->taken = 0;
    for (size_t i = 0; l->slots && i < l->n; i++)
        if (slots_taken(l->slots, i))
            l->taken |= UINT64_C(1) << i;
    l->ever |= l->taken;
}

int ledger_prepare(struct ledger *l, struct store *s, struct samples *w, struct err *e)
{
    int rc = 0;
    look_at_slots(l);
    for (size_t i = 0; rc == 0 && i < l->nmeters; i++) {
        struct own_meter *m = l->meters[i];
        if (!m->looked)
            rc = look(l, m, e);
        if (rc < 0 || !m->keeps)
            continue;
        want_slots(l, m);
        rc = ask_baseline(m, s, e);
        if (rc == 0)
            rc = ask_others(l, m, s, e);
    }
    return rc == 0 ? add_wanted(l, s, w, e) : rc;
}

/* ---- ticks -------------------------------------------------------------------------------------- */

/* The newest change that usage brackets; -1 = none. A GPU's owner changes at an edge, and a span is his who
 * has it at its begin: there it ends with the first change behind the edge. */
static int pick(const struct ledger *l, const struct own_meter *m, int64_t us[SLOTS_MAX + 1])
{
    bool edge = is_gpu(m) && l->edge_ns > m->last.t_ns;
    for (size_t i = 0; edge && i < m->n; i++)
        if (m->knots[i].t_ns >= l->edge_ns && usage_at(l, m->knots[i].t_ns, us))
            return (int)i;
    for (size_t i = m->n; i-- > 0;)
        if (m->knots[i].t_ns > m->last.t_ns && usage_at(l, m->knots[i].t_ns, us))
            return (int)i;
    return -1;
}

static bool is_due(const struct ledger *l, const struct own_meter *m, const struct samples_knot *k)
{
    int64_t span_ns = k->t_ns - m->last.t_ns;
    if (!m->begun || m->last.epoch != k->epoch)
        return true;
    if (l->taken == 0)
        return span_ns >= LEDGER_QUIET_NS;
    bool next_second = k->t_ns / LEDGER_TICK_NS > m->last.t_ns / LEDGER_TICK_NS;
    return next_second || (l->edge_ns > m->last.t_ns && k->t_ns >= l->edge_ns);
}

static int span_of(struct ledger *l, struct own_meter *m, const struct samples_knot *k,
                   const int64_t *us, struct ledger_span *x, struct err *e)
{
    *x = (struct ledger_span){
        .de_uj = k->e_uj - m->last.e_uj, .baseline_uw = -1, .owner = LEDGER_MACHINE, .slots = l->n};
    if (!m->begun && !m->continued)
        return 0; /* the first of this boot */
    x->known_ns = k->t_ns - m->last.t_ns - (k->unknown_ns - m->last.unknown_ns);
    x->baseline_uw = m->baseline_uw;
    x->others_ppm = m->others_ppm > 0 ? m->others_ppm : 0;
    bool same = m->begun && m->last.epoch == k->epoch;
    x->busy_us = same ? us[l->n] - m->used[l->n] : 0;
    for (size_t i = 0; same && i < l->n; i++)
        x->used_us[i] = us[i] - m->used[i];
    return ledger_owner(l->store, &m->ch, store_boot(l->store), m->last.t_ns, same, &x->owner, e);
}

static void put_tick(struct samples *w, const struct own_account *x, const struct samples_knot *k,
                     int64_t suspend_ns)
{
    union {
        struct tick t;
        uint8_t bytes[sizeof(struct tick) + 24];
    } u = {.t = {.group = x->group,
                 .n = 1,
                 .before_ns = k->t_ns,
                 .after_ns = k->t_ns,
                 .suspend_ns = suspend_ns}};
    tick_values(&u.t)[0] = x->value_uj;
    tick_raws(&u.t)[0] = x->value_uj;
    tick_states(&u.t)[0] = READING_OK;
    samples_put(w, &u.t);
}

/* Is there a place for each part that is not 0? An account that is not there yet is made before the next
 * transaction; until then the span grows. */
static bool all_there(struct own_meter *m, const struct ledger_parts *p)
{
    bool there = m->accounts[ACCOUNT_IDLE].group != NO_GROUP &&
                 m->accounts[ACCOUNT_SYSTEM].group != NO_GROUP;
    if (p->foreign_uj != 0)
        m->accounts[ACCOUNT_FOREIGN].wanted = true;
    there = there && (p->foreign_uj == 0 || m->accounts[ACCOUNT_FOREIGN].group != NO_GROUP);
    for (size_t i = 0; i < SLOTS_MAX; i++) {
        struct own_account *x = &m->accounts[ACCOUNT_SLOT + i];
        if (p->slot_uj[i] == 0)
            continue;
        x->wanted = true;
        there = there && x->group != NO_GROUP;
    }
    return there;
}

static int64_t part_of(const struct ledger_parts *p, size_t i)
{
    const int64_t fixed[] = {p->idle_uj, p->system_uj, p->foreign_uj};
    return i < ARRAY_LEN(fixed) ? fixed[i] : p->slot_uj[i - ACCOUNT_SLOT];
}

static void book(struct samples *w, struct own_meter *m, const struct ledger_parts *p,
                 const struct samples_knot *k, int64_t suspend_ns)
{
    for (size_t i = 0; i < ACCOUNTS_MAX; i++) {
        struct own_account *x = &m->accounts[i];
        int64_t part = part_of(p, i);
        x->value_uj += part;
        bool stands = i == ACCOUNT_SYSTEM; /* so that each tick is found, whoever it concerns */
        if (x->group == NO_GROUP || (part == 0 && x->epoch == k->epoch && !stands))
            continue;
        x->epoch = k->epoch;
        put_tick(w, x, k, suspend_ns);
    }
}

/* 1 = ticks were put. */
static int step(struct ledger *l, struct own_meter *m, struct samples *w, int64_t suspend_ns,
                struct err *e)
{
    int64_t us[SLOTS_MAX + 1];
    struct ledger_span x;
    struct ledger_parts p;
    int i = pick(l, m, us);
    if (i < 0 || !is_due(l, m, &m->knots[i]))
        return 0;
    const struct samples_knot k = m->knots[i];
    int rc = span_of(l, m, &k, us, &x, e);
    if (rc < 0)
        return rc;
    ledger_split(&x, &p);
    if (!all_there(m, &p))
        return 0;
    book(w, m, &p, &k, suspend_ns);
    m->last = k;
    m->begun = true;
    memcpy(m->used, us, sizeof(m->used));
    m->n -= (size_t)i + 1;
    memmove(m->knots, &m->knots[i + 1], m->n * sizeof(*m->knots));
    return 1;
}

int ledger_write(struct ledger *l, struct store *s, struct samples *w, int64_t suspend_ns,
                 struct err *e)
{
    int any = 0;
    (void)s;
    look_at_slots(l);
    for (size_t i = 0; i < l->nmeters; i++) {
        struct own_meter *m = l->meters[i];
        int rc = m->looked && m->keeps ? step(l, m, w, suspend_ns, e) : 0;
        if (rc < 0)
            return rc;
        any |= rc;
    }
    return any;
}

/* ---- life --------------------------------------------------------------------------------------- */

int ledger_open(struct ledger **out, struct store *s, struct samples *w, struct slots *slots,
                struct gpu_procs *gpu_procs, struct err *e)
{
    struct ledger *l = base_alloc(sizeof(*l));
    l->store = s;
    l->slots = slots;
    l->gpu_procs = gpu_procs;
    l->n = slots ? slots_count(slots) : 0;
    l->rows = base_alloc(ROWS_MAX * row_bytes(l));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i <= l->n; i++)
        rc = ledger_usage_channel(s, i < l->n ? (int)i : -1, &l->columns[i], e);
    *out = rc == 0 ? l : NULL;
    if (rc) { /* 1: nothing counts CPU time */
        ledger_close(l);
        return rc < 0 ? rc : 0;
    }
    const struct samples_watch watch = {on_usage, on_knot, on_edge, l};
    samples_set_watch(w, &watch);
    return 0;
}

void ledger_close(struct ledger *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->nmeters; i++)
        free(l->meters[i]);
    free(l->meters);
    free(l->rows);
    free(l);
}
