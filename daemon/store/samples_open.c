#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/store/curve.h"
#include "daemon/store/samples_internal.h"
#include "daemon/store/stmt.h"

/* No package, module or GPU carries more than 2 kW, no machine more than 20 kW: what a range must last
 * for where a channel's own limit is not known. */
#define PMAX_PART_UW INT64_C(2000000000)
#define PMAX_NODE_UW INT64_C(20000000000)

int64_t samples_bridge_limit_ns(int64_t wrap_uj, int64_t pmax_uw, enum channel_scope scope)
{
    if (wrap_uj <= 0)
        return INT64_MAX; /* it never goes round; the meter sees a reset by the reading itself */
    if (pmax_uw <= 0)
        pmax_uw = scope == SCOPE_NODE || scope == SCOPE_PSYS ? PMAX_NODE_UW : PMAX_PART_UW;
    return units_muldiv_floor(wrap_uj, NS_PER_S / 10 * 9, pmax_uw);
}

/* ---- rows of channels and groups ---------------------------------------------------------------- */

static int put_source(struct store *s, const char *name, int64_t *id, struct err *e)
{
    STMT_USE(st, s, SOURCE_PUT);
    stmt_bind_text(st, 1, name);
    int rc = stmt_step(st, e);
    if (rc > 0)
        *id = stmt_int(st, 0);
    return rc > 0 ? 0 : rc < 0 ? rc : err_set(e, WATTQ_E_INTERNAL, "a source got no row");
}

static int64_t or_null(int64_t v)
{
    return v > 0 ? v : STMT_NULL;
}

static int upsert_channel(struct store *s, const struct meter_channel *m, int64_t *id,
                          struct err *e)
{
    const struct channel_desc *d = &m->desc;
    int64_t source = 0;
    int rc = put_source(s, m->source, &source, e);
    if (rc)
        return rc;
    STMT_USE(st, s, CHANNEL_PUT);
    stmt_bind_text(st, 1, d->uid);
    stmt_bind_int(st, 2, source);
    stmt_bind_text(st, 3, d->label);
    stmt_bind_text(st, 4, channel_kind_name(d->kind));
    stmt_bind_text(st, 5, d->unit);
    stmt_bind_text(st, 6, d->covers);
    stmt_bind_text(st, 7, channel_scope_name(d->scope));
    stmt_bind_text(st, 8, channel_quality_name(d->quality));
    stmt_bind_int(st, 9, d->quantum);
    stmt_bind_opt(st, 10, or_null(d->wrap_uj));
    stmt_bind_int(st, 11, d->period_ns);
    stmt_bind_int(st, 12, d->period_declared);
    stmt_bind_int(st, 13, d->lag_ns);
    stmt_bind_int(st, 14, d->box_ns);
    stmt_bind_opt(st, 15, or_null(d->pmax_uw));
    stmt_bind_opt(st, 16, or_null(d->accuracy_ppm));
    stmt_bind_text(st, 17, d->device);
    rc = stmt_step(st, e);
    if (rc > 0)
        *id = stmt_int(st, 0);
    return rc > 0 ? 0 : rc < 0 ? rc : err_set(e, WATTQ_E_INTERNAL, "a channel got no row");
}

static int put_channel(struct store *s, const struct meter_channel *m, int64_t now_ns, int64_t *id,
                       struct err *e)
{
    int rc = upsert_channel(s, m, id, e);
    return rc ? rc : samples_identity(s, *id, now_ns, &m->desc, e);
}

static int64_t id_of(const struct samples *w, int index)
{
    return index >= 0 && (size_t)index < w->n ? w->channel[index].id : STMT_NULL;
}

static int link_channel(struct samples *w, size_t i, const struct channel_desc *d, struct err *e)
{
    STMT_USE(st, w->store, CHANNEL_LINK);
    stmt_bind_int(st, 1, w->channel[i].id);
    stmt_bind_opt(st, 2, id_of(w, d->parent));
    stmt_bind_opt(st, 3, id_of(w, d->mirror_of));
    return stmt_run(st, e);
}

/* 1 = this group has exactly these slots. */
static int same_slots(struct samples *w, const struct wgroup *g, int64_t id, struct err *e)
{
    STMT_USE(st, w->store, GRP_SLOTS);
    stmt_bind_int(st, 1, id);
    int rc;
    int64_t slot = 0;
    while ((rc = stmt_step(st, e)) > 0) {
        if (slot >= g->n || stmt_int(st, 0) != slot ||
            stmt_int(st, 1) != w->channel[g->members[slot]].id)
            return 0;
        slot++;
    }
    return rc < 0 ? rc : slot == g->n;
}

/* 0; 1 = no group like it. */
static int find_group(struct samples *w, struct wgroup *g, struct err *e)
{
    STMT_USE(st, w->store, GRP_FIND);
    stmt_bind_int(st, 1, g->period_ns);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        int same = same_slots(w, g, stmt_int(st, 0), e);
        if (same < 0)
            return same;
        if (same) {
            g->id = stmt_int(st, 0);
            return 0;
        }
    }
    return rc < 0 ? rc : 1;
}

static int insert_group(struct samples *w, struct wgroup *g, int64_t now_ns, struct err *e)
{
    {
        STMT_USE(st, w->store, GRP_INSERT);
        stmt_bind_int(st, 1, g->period_ns);
        stmt_bind_int(st, 2, store_boot(w->store));
        stmt_bind_int(st, 3, now_ns);
        int rc = stmt_run(st, e);
        if (rc)
            return rc;
        g->id = stmt_last_id(w->store);
    }
    for (uint32_t slot = 0; slot < g->n; slot++) {
        STMT_USE(st, w->store, GRP_SLOT_INSERT);
        stmt_bind_int(st, 1, g->id);
        stmt_bind_int(st, 2, slot);
        stmt_bind_int(st, 3, w->channel[g->members[slot]].id);
        int rc = stmt_run(st, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* One curve has one writer. */
static int check_new(const struct samples *w, size_t i, const char *uid, struct err *e)
{
    for (size_t j = 0; j < i; j++)
        if (w->channel[j].id == w->channel[i].id)
            return err_set(e, WATTQ_E_CONFLICT, "channel %s is written already", uid);
    return 0;
}

/* Rows of what was appended: channels from `first` on, groups from `first_group` on. */
static int register_new(struct samples *w, const struct samples_setup *u, size_t first,
                        size_t first_group, struct err *e)
{
    for (size_t i = 0; i < u->n; i++) {
        int rc = put_channel(w->store, u->channels[i], u->now_ns, &w->channel[first + i].id, e);
        if (rc == 0)
            rc = check_new(w, first + i, u->channels[i]->desc.uid, e);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < u->n; i++) {
        int rc = link_channel(w, first + i, &u->channels[i]->desc, e);
        if (rc)
            return rc;
    }
    for (size_t g = first_group; g < w->groups; g++) {
        int rc = w->group[g].n ? find_group(w, &w->group[g], e) : 0;
        if (rc == 1)
            rc = insert_group(w, &w->group[g], u->now_ns, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- where each curve stood --------------------------------------------------------------------- */

/* Load the end of a channel's curve; raw is what the register showed there, if that is known. */
static int load_carry(struct samples *w, struct wchannel *c, int64_t *raw, bool *raw_known,
                      struct err *e)
{
    struct rows_begin b;
    c->carry.last_ns = WALK_NONE;
    *raw_known = false;
    int rc = rows_begin_last(w->store, c->id, &b, e);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = curve_chunks_end(w->store, &b, &c->carry, e);
    if (rc < 0)
        return rc;
    if (rc > 0)
        c->carry = b.state;
    c->carry_same_boot = b.boot == store_boot(w->store);
    if (rc > 0)
        return 0;
    rc = curve_last_raw(w->store, &b, c->carry.last_ns, raw, e);
    *raw_known = rc == 0;
    return rc < 0 ? rc : 0;
}

static int decide(struct samples *w, size_t first, size_t i, const struct samples_setup *u,
                  struct err *e)
{
    struct wchannel *c = &w->channel[first + i];
    int64_t raw = 0;
    bool known;
    int rc = load_carry(w, c, &raw, &known, e);
    if (rc)
        return rc;
    bool bridge = known && c->carry_same_boot && channel_kind_counts(c->rule.kind) &&
                  u->now_ns >= c->carry.last_ns && u->now_ns - c->carry.last_ns < c->bridge_ns;
    int64_t e0 = c->carry.last_ns == WALK_NONE ? 0 : c->carry.e_uj;
    c->carry.last_value = e0; /* the meter goes on counting from here */
    if (u->set_base)
        u->set_base(u->arg, i, c->id, channel_kind_counts(c->rule.kind) ? e0 : 0, raw, bridge);
    return 0;
}

/* ---- life --------------------------------------------------------------------------------------- */

static void init_channel(struct wchannel *c, const struct meter_channel *m, int64_t period_ns)
{
    c->rule.kind = m->desc.kind;
    c->rule.stall_ns = walk_stall_ns(period_ns);
    c->bridge_ns = samples_bridge_limit_ns(m->desc.wrap_uj, m->desc.pmax_uw, m->desc.scope);
    c->state.last_ns = c->first.last_ns = c->carry.last_ns = WALK_NONE;
}

static uint32_t chunk_ticks(const struct samples *w, int64_t period_ns)
{
    if (w->chunk_ticks > 0)
        return w->chunk_ticks;
    return period_ns < 500 * NS_PER_MS ? SAMPLES_CHUNK_FAST : SAMPLES_CHUNK_TICKS;
}

/* Group g of the setup becomes group first_group + g; its members are channels first ... */
static void init_group(struct samples *w, size_t first, size_t first_group, size_t g,
                       const struct samples_setup *u)
{
    struct wgroup *grp = &w->group[first_group + g];
    *grp = (struct wgroup){.period_ns = u->periods_ns[g],
                           .chunk_ticks = chunk_ticks(w, u->periods_ns[g])};
    w->gnow[first_group + g] = (struct wgroup_now){.last_ns = -1};
    for (size_t i = 0; i < u->n; i++)
        grp->n += u->channels[i]->group == g;
    if (grp->n == 0)
        return;
    uint8_t *kinds CLEANUP(base_freep) = base_alloc(grp->n);
    grp->members = base_alloc(grp->n * sizeof(*grp->members));
    grp->head = base_alloc(grp->n * sizeof(*grp->head));
    for (size_t i = 0; i < u->n; i++) {
        const struct meter_channel *m = u->channels[i];
        if (m->group != g || m->slot >= grp->n)
            continue;
        grp->members[m->slot] = first + i;
        kinds[m->slot] = (uint8_t)m->desc.kind;
        grp->head[m->slot].last_ns = WALK_NONE;
    }
    grp->block = codec_block_new(kinds, grp->n, grp->period_ns);
}

/* The same array with room for n elements and one more. */
static void *grown(void *p, size_t old, size_t n, size_t each)
{
    void *q = base_alloc((n + 1) * each);
    if (p)
        memcpy(q, p, old * each);
    free(p);
    return q;
}

/* Channels and groups of the setup behind those that are there. */
static void append(struct samples *w, const struct samples_setup *u)
{
    size_t first = w->n, first_group = w->groups;
    size_t n = first + u->n, groups = first_group + u->groups;
    w->group = grown(w->group, first_group, groups, sizeof(*w->group));
    w->gnow = grown(w->gnow, first_group, groups, sizeof(*w->gnow));
    w->gsaved = grown(w->gsaved, first_group, groups, sizeof(*w->gsaved));
    w->channel = grown(w->channel, first, n, sizeof(*w->channel));
    w->channel_saved = grown(w->channel_saved, first, n, sizeof(*w->channel));
    w->n = n;
    w->groups = groups;
    for (size_t i = 0; i < u->n; i++)
        init_channel(&w->channel[first + i], u->channels[i], u->periods_ns[u->channels[i]->group]);
    for (size_t g = 0; g < u->groups; g++)
        init_group(w, first, first_group, g, u);
}

static void free_group(struct wgroup *g)
{
    codec_block_free(g->block);
    free(g->members);
    free(g->head);
}

static void cut_back(struct samples *w, size_t n, size_t groups)
{
    while (w->groups > groups)
        free_group(&w->group[--w->groups]);
    w->n = n;
}

static struct samples *new_samples(struct store *s, const struct samples_setup *u)
{
    struct samples *w = base_alloc(sizeof(*w));
    w->store = s;
    w->chunk_ticks = u->chunk_ticks;
    w->read_clocks = u->read_clocks;
    w->clocks_arg = u->arg;
    w->now.suspend_ns = WALK_NONE;
    append(w, u);
    return w;
}

static int check_setup(const struct samples_setup *u, size_t before, struct err *e)
{
    if (u->n > CODEC_CHANNELS_MAX - before)
        return err_set(e, WATTQ_E_LIMIT, "%zu channels are more than the %u that can be stored",
                       before + u->n, CODEC_CHANNELS_MAX);
    for (size_t i = 0; i < u->n; i++)
        if (u->channels[i]->group >= u->groups)
            return err_set(e, WATTQ_E_INTERNAL, "channel %s is in no group",
                           u->channels[i]->desc.uid);
    return 0;
}

static int add_in_transaction(struct samples *w, const struct samples_setup *u, size_t first,
                              size_t first_group, struct err *e)
{
    int rc = register_new(w, u, first, first_group, e);
    for (size_t i = 0; rc == 0 && i < u->n; i++)
        rc = decide(w, first, i, u, e);
    return rc;
}

/* Ends the transaction that was begun. */
static int end_transaction(struct store *s, int rc, struct err *e)
{
    if (rc == 0)
        rc = store_commit(s, e);
    if (rc && store_in_transaction(s))
        store_rollback(s);
    return rc;
}

int samples_open_as(struct samples **out, struct store *s, const struct samples_setup *u,
                    struct err *e)
{
    *out = NULL;
    int rc = check_setup(u, 0, e);
    if (rc == 0)
        rc = store_begin(s, true, e);
    if (rc)
        return rc;
    struct samples *w = new_samples(s, u);
    rc = samples_recover(s, e);
    if (rc == 0)
        rc = add_in_transaction(w, u, 0, 0, e);
    rc = end_transaction(s, rc, e);
    if (rc) {
        samples_close(w);
        return rc;
    }
    anchor_load(w);
    *out = w;
    return 0;
}

int samples_add(struct samples *w, const struct samples_more *more, uint32_t *first_group,
                struct err *e)
{
    const struct samples_setup u = {
        .channels = more->channels,
        .n = more->n,
        .periods_ns = more->periods_ns,
        .groups = more->groups,
        .now_ns = more->now_ns,
        .set_base = more->set_base,
        .arg = more->arg,
    };
    size_t first = w->n, groups = w->groups;
    assert(!w->in_flush);
    int rc = check_setup(&u, first, e);
    if (rc == 0)
        rc = store_begin(w->store, true, e);
    if (rc)
        return rc;
    append(w, &u);
    rc = end_transaction(w->store, add_in_transaction(w, &u, first, groups, e), e);
    if (rc)
        cut_back(w, first, groups);
    else
        *first_group = (uint32_t)groups;
    return rc;
}

size_t samples_count(const struct samples *w)
{
    return w->n;
}

void samples_close(struct samples *w)
{
    if (!w)
        return;
    cut_back(w, 0, 0);
    free(w->group);
    free(w->gnow);
    free(w->gsaved);
    free(w->channel);
    free(w->channel_saved);
    free(w->pending);
    free(w);
}
