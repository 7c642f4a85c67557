#include "daemon/queue/turns.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct turns_user {
    int64_t uid;
    int64_t served; /* number of his last turn; 0 = never */
};
struct turns_lane { /* one user's runs of one priority */
    size_t begin, next, end;
    int64_t served;
};

/* ---- places ------------------------------------------------------------------------------------- */

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_key(const struct turns_key *a, const struct turns_key *b)
{
    int c = compare(b->priority, a->priority);
    c = c ? c : compare(a->uid, b->uid);
    c = c ? c : compare(a->place, b->place);
    return c ? c : compare(a->id, b->id);
}

/* Index of the first that does not stand before k. */
static size_t lower_bound(const struct turns *t, const struct turns_key *k)
{
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (by_key(&t->at[mid].key, k) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool stands_at(const struct turns *t, size_t i, const struct turns_key *k)
{
    return i < t->n && by_key(&t->at[i].key, k) == 0;
}

int64_t turns_own_place(int64_t id)
{
    return id * TURNS_STEP;
}

void turns_put(struct turns *t, const struct turns_key *k, void *run)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->at = reallocarray(t->at, t->cap, sizeof(*t->at));
        if (!t->at)
            abort();
    }
    size_t i = lower_bound(t, k);
    memmove(&t->at[i + 1], &t->at[i], (t->n - i) * sizeof(*t->at));
    t->at[i] = (struct turns_entry){*k, run};
    t->n++;
}

bool turns_take(struct turns *t, const struct turns_key *k)
{
    size_t i = lower_bound(t, k);
    if (!stands_at(t, i, k))
        return false;
    memmove(&t->at[i], &t->at[i + 1], (t->n - i - 1) * sizeof(*t->at));
    t->n--;
    return true;
}

void turns_fini(struct turns *t)
{
    free(t->at);
    free(t->users);
    *t = (struct turns){0};
}

/* ---- users -------------------------------------------------------------------------------------- */

static size_t user_at(const struct turns *t, int64_t uid)
{
    size_t lo = 0, hi = t->nusers;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->users[mid].uid < uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int64_t served_of(const struct turns *t, int64_t uid)
{
    size_t i = user_at(t, uid);
    return i < t->nusers && t->users[i].uid == uid ? t->users[i].served : 0;
}

void turns_serve(struct turns *t, int64_t uid)
{
    size_t i = user_at(t, uid);
    if (i == t->nusers || t->users[i].uid != uid) {
        t->users = reallocarray(t->users, t->nusers + 1, sizeof(*t->users));
        if (!t->users)
            abort();
        memmove(&t->users[i + 1], &t->users[i], (t->nusers - i) * sizeof(*t->users));
        t->users[i].uid = uid;
        t->nusers++;
    }
    t->users[i].served = ++t->served;
}

void turns_remember(struct turns *t, const struct turns *from)
{
    t->users = base_alloc((from->nusers + 1) * sizeof(*t->users));
    if (from->nusers > 0)
        memcpy(t->users, from->users, from->nusers * sizeof(*t->users));
    t->nusers = from->nusers;
    t->served = from->served;
}

/* ---- the order ---------------------------------------------------------------------------------- */

/* Where the runs of that priority, or of that user in it, end: behind `from`. */
static size_t end_of(const struct turns *t, size_t from, bool user)
{
    struct turns_key last = {t->at[from].key.priority, user ? t->at[from].key.uid : INT64_MAX,
                             INT64_MAX, INT64_MAX};
    return lower_bound(t, &last);
}

struct lane_order {
    struct turns_lane lane;
    int64_t first_id;
};

static int by_service(const void *a, const void *b)
{
    const struct lane_order *x = a, *y = b;
    int c = compare(x->lane.served, y->lane.served);
    return c ? c : compare(x->first_id, y->first_id);
}

/* The users of the priority that begins at `from`, in the order of their turns; NULL and 0 at the end. */
static size_t lanes_of(const struct turns *t, size_t from, struct turns_lane **out)
{
    struct lane_order *list = NULL;
    size_t n = 0, cap = 0;
    size_t end = from < t->n ? end_of(t, from, false) : from;
    for (size_t i = from; i < end;) {
        if (n == cap) {
            cap = cap ? 2 * cap : 16;
            list = reallocarray(list, cap, sizeof(*list));
            if (!list)
                abort();
        }
        size_t next = end_of(t, i, true);
        list[n++] =
            (struct lane_order){{i, i, next, served_of(t, t->at[i].key.uid)}, t->at[i].key.id};
        i = next;
    }
    *out = n ? base_alloc(n * sizeof(**out)) : NULL;
    if (n)
        qsort(list, n, sizeof(*list), by_service);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = list[i].lane;
    free(list);
    return n;
}

size_t turns_position(const struct turns *t, const struct turns_key *k)
{
    size_t at = lower_bound(t, k);
    if (!stands_at(t, at, k))
        return 0;
    const struct turns_key first = {k->priority, INT64_MIN, INT64_MIN, INT64_MIN};
    struct turns_lane *lanes = NULL;
    size_t before = lower_bound(t, &first), mine = 0;
    size_t n = lanes_of(t, before, &lanes);
    while (mine < n && !(lanes[mine].begin <= at && at < lanes[mine].end))
        mine++;
    assert(mine < n);
    size_t round = at - lanes[mine].begin;
    for (size_t i = 0; i < n; i++) {
        size_t turns = i < mine ? round + 1 : round; /* that he has had by then */
        size_t has = lanes[i].end - lanes[i].begin;
        before += turns < has ? turns : has;
    }
    free(lanes);
    return before + 1;
}

void turns_walk_begin(struct turns_walk *w, const struct turns *t)
{
    *w = (struct turns_walk){.t = t};
}

static bool enter_priority(struct turns_walk *w)
{
    free(w->lanes);
    w->nlanes = lanes_of(w->t, w->from, &w->lanes);
    w->lane = 0;
    if (w->nlanes > 0)
        w->from = end_of(w->t, w->from, false);
    return w->nlanes > 0;
}

/* Users that have no more are dropped, in order. */
static void drop_lane(struct turns_walk *w, size_t i)
{
    memmove(&w->lanes[i], &w->lanes[i + 1], (w->nlanes - i - 1) * sizeof(*w->lanes));
    w->nlanes--;
}

void *turns_walk_next(struct turns_walk *w)
{
    for (;;) {
        if (w->nlanes == 0 && !enter_priority(w))
            return NULL;
        if (w->lane >= w->nlanes)
            w->lane = 0;
        struct turns_lane *l = &w->lanes[w->lane];
        if (l->next < l->end) {
            w->lane++;
            return w->t->at[l->next++].run;
        }
        drop_lane(w, w->lane);
    }
}

void turns_walk_again(struct turns_walk *w)
{
    assert(w->lane > 0);
    w->lane--;
}

void turns_walk_drop(struct turns_walk *w)
{
    assert(w->lane > 0);
    drop_lane(w, --w->lane);
}

void turns_walk_end(struct turns_walk *w)
{
    free(w->lanes);
    *w = (struct turns_walk){0};
}

/* ---- who starts --------------------------------------------------------------------------------- */

void *turns_pick(const struct turns *t, const struct resources *r, const struct turns_rules *rules,
                 gpu_set *gpus)
{
    struct resources_aside aside = {0};
    struct turns_walk w;
    void *run = NULL, *found = NULL;
    size_t looked = 0;
    turns_walk_begin(&w, t);
    while (!found && looked < TURNS_LOOK_MAX && (run = turns_walk_next(&w)) != NULL) {
        struct turns_look l = {0};
        rules->look(rules->arg, run, &l);
        if (l.full) {
            turns_walk_drop(&w);
            continue;
        }
        enum resources_answer a =
            l.skip ? RESOURCES_GONE : resources_choose(r, &l.want, &aside, gpus);
        if (a == RESOURCES_GONE) {
            looked += !l.skip;
            turns_walk_again(&w);
            continue;
        }
        looked++;
        if (l.blocked)
            break;
        if (a == RESOURCES_FIT)
            found = run;
        else if (!resources_waits_gpus(r, &l.want, &aside))
            break;
        else
            resources_set_aside(&l.want, rules->keep(rules->arg, run, &l.want), &aside);
    }
    turns_walk_end(&w);
    return found;
}

/* ---- moving ------------------------------------------------------------------------------------- */

static bool is_among(const struct turns_key *list, size_t n, int64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].id == id)
            return true;
    return false;
}

static int by_id(const void *a, const void *b)
{
    return compare(*(const int64_t *)a, *(const int64_t *)b);
}

/* All his runs in the new order get, in order, the places that their ids have of themselves: as if they had been
 * submitted so. */
static size_t respace(const struct turns *t, const struct turns_key *moved, size_t n, size_t begin,
                      size_t end, const struct turns_key *before, struct turns_place **out)
{
    struct turns_place *list = base_alloc((end - begin + n + 1) * sizeof(*list));
    int64_t *ids CLEANUP(base_freep) = base_alloc((end - begin + n + 1) * sizeof(*ids));
    size_t m = 0;
    bool done = false;
    for (size_t i = begin; i <= end; i++) {
        bool here = i == end || !before || by_key(&t->at[i].key, before) >= 0;
        for (size_t k = 0; here && !done && k < n; k++)
            list[m++].id = moved[k].id;
        done = done || here;
        if (i < end && !is_among(moved, n, t->at[i].key.id))
            list[m++].id = t->at[i].key.id;
    }
    for (size_t i = 0; i < m; i++)
        ids[i] = list[i].id;
    qsort(ids, m, sizeof(*ids), by_id);
    for (size_t i = 0; i < m; i++)
        list[i].place = turns_own_place(ids[i]);
    *out = list;
    return m;
}

size_t turns_move(const struct turns *t, const struct turns_key *moved, size_t n,
                  const struct turns_key *before, struct turns_place **out)
{
    const struct turns_key first = {moved[0].priority, moved[0].uid, INT64_MIN, INT64_MIN};
    const struct turns_key last = {moved[0].priority, moved[0].uid, INT64_MAX, INT64_MAX};
    size_t begin = lower_bound(t, &first), end = lower_bound(t, &last);
    size_t at = before ? lower_bound(t, before) : begin;
    while (!before && at < end && is_among(moved, n, t->at[at].key.id))
        at++;
    size_t left = at;
    while (left > begin && is_among(moved, n, t->at[left - 1].key.id))
        left--;
    int64_t hi = before ? before->place : at < end ? t->at[at].key.place : moved[0].place;
    int64_t lo = left > begin ? t->at[left - 1].key.place : hi - (int64_t)(n + 1) * TURNS_STEP;
    int64_t gap = (hi - lo) / (int64_t)(n + 1);
    if (gap < 1)
        return respace(t, moved, n, begin, end, before, out);
    struct turns_place *list = base_alloc(n * sizeof(*list));
    for (size_t i = 0; i < n; i++)
        list[i] = (struct turns_place){moved[i].id, lo + (int64_t)(i + 1) * gap};
    *out = list;
    return n;
}
