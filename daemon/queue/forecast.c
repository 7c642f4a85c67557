#include "daemon/queue/forecast.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model/stats.h"

#define NEVER INT64_MAX

void forecast_free(struct forecast *f)
{
    if (!f)
        return;
    turns_fini(&f->line);
    free(f->runs);
    free(f);
}

uint64_t forecast_argv(char *const *argv, size_t argc)
{
    uint64_t h = BASE_HASH;
    for (size_t i = 0; i < argc; i++)
        h = base_hash(h, argv[i], strlen(argv[i]) + 1);
    return h;
}

/* ---- how long ----------------------------------------------------------------------------------- */

enum likeness { LIKE_COMMAND, LIKE_SWEEP, LIKE_LABEL, LIKENESSES };

static bool is_like(const struct forecast_run *r, const struct forecast_past *p, int how)
{
    if (how == LIKE_COMMAND)
        return r->uid == p->uid && r->argv_hash == p->argv_hash;
    if (how == LIKE_SWEEP)
        return r->sweep != RESOURCES_NOBODY && r->sweep == p->sweep;
    return r->label[0] && r->uid == p->uid && strcmp(r->label, p->label) == 0;
}

void forecast_learn(struct forecast *f, const struct forecast_past *past, size_t n)
{
    for (size_t i = 0; i < f->n; i++) {
        struct forecast_run *r = &f->runs[i];
        double v[FORECAST_PAST];
        r->npast = 0;
        for (int how = 0; how < LIKENESSES && r->npast == 0; how++)
            for (size_t k = 0; k < n && r->npast < FORECAST_PAST; k++)
                if (is_like(r, &past[k], how))
                    v[r->npast++] = (double)past[k].length_ns;
        r->past_ns = r->npast > 0 ? (int64_t)stats_median(v, r->npast) : 0;
    }
}

static enum forecast_basis length(const struct forecast_run *r, int64_t *out)
{
    bool past = r->npast > 0 && r->past_ns > r->elapsed_ns;
    *out = NEVER;
    if (past && (r->limit_ns == 0 || r->past_ns <= r->limit_ns)) {
        *out = r->past_ns;
        return FORECAST_PASTS;
    }
    if (r->limit_ns == 0)
        return FORECAST_UNKNOWN;
    *out = r->limit_ns > r->elapsed_ns ? r->limit_ns : r->elapsed_ns;
    return FORECAST_LIMIT;
}

/* ---- the machine -------------------------------------------------------------------------------- */

struct world {
    struct forecast *f;
    struct forecast_answer *out;
    struct forecast_run **on;
    size_t non;
    int64_t now_ns, idle_since_ns;
    int64_t wake_ns; /* when the pause of the first one is over; NEVER = none waits for that */
};

static void put_on(struct world *w, struct forecast_run *r)
{
    int64_t ns = NEVER;
    r->basis = length(r, &ns);
    int64_t had_ns = r->elapsed_ns > 0 ? r->elapsed_ns : 0;
    r->end_ns = ns == NEVER ? NEVER : w->now_ns + ns - had_ns;
    w->on[w->non++] = r;
}

static bool fits(struct world *w, const struct forecast_run *r)
{
    if (w->non == 0) {
        int64_t from_ns = w->idle_since_ns + r->pause_ns;
        if (from_ns > w->now_ns)
            w->wake_ns = from_ns;
        return from_ns <= w->now_ns;
    }
    if (r->want.all || (w->f->parallel > 0 && (int64_t)w->non >= w->f->parallel))
        return false;
    for (size_t i = 0; i < w->non; i++)
        if (w->on[i]->want.all)
            return false;
    return true;
}

/* Of its sweep, or its user, so many are on as may be. */
static void look_at_shares(const struct world *w, const struct forecast_run *r,
                           struct turns_look *out)
{
    int64_t of_sweep = 0, of_user = 0;
    for (size_t i = 0; i < w->non; i++) {
        of_sweep += w->on[i]->sweep == r->sweep;
        of_user += w->on[i]->uid == r->uid;
    }
    out->skip = r->sweep_most > 0 && of_sweep >= r->sweep_most;
    out->full = r->user_most > 0 && of_user >= r->user_most;
}

static void look(void *arg, void *run, struct turns_look *out)
{
    struct world *w = arg;
    const struct forecast_run *r = run;
    look_at_shares(w, r, out);
    out->want = r->want;
    out->blocked = !out->skip && !out->full && !fits(w, r);
}

static gpu_set keep(void *arg, void *run, const struct resources_want *want)
{
    struct world *w = arg;
    struct forecast_run *r = run;
    if (r->gpu_wait_ns == FORECAST_NOT)
        r->gpu_wait_ns = w->now_ns;
    gpu_set all = want->named ? want->named : ~(gpu_set)0;
    return w->now_ns - r->gpu_wait_ns < w->f->pass_ns ? 0 : all;
}

static struct turns_key key_of(const struct forecast *f, const struct forecast_run *r)
{
    /* The place is that in the order they were handed over in: what one user's runs stand by. */
    return (struct turns_key){r->priority, r->uid, r - f->runs, r->id};
}

/* Everybody who may start at this instant does. true: the one asked for among them. */
static bool start_all(struct world *w)
{
    const struct turns_rules rules = {look, keep, w};
    struct forecast *f = w->f;
    struct forecast_run *r;
    gpu_set gpus = 0;
    w->wake_ns = NEVER;
    while ((r = turns_pick(&f->line, &f->resources, &rules, &gpus)) != NULL) {
        if (r->id == f->target)
            return true;
        const struct turns_key key = key_of(f, r);
        (void)turns_take(&f->line, &key);
        turns_serve(&f->line, r->uid);
        resources_take(&f->resources, &r->want, gpus, r->id, w->now_ns, &r->share);
        put_on(w, r);
        w->out->starts++;
    }
    return false;
}

/* On to the next instant at which something changes. false = nothing does. */
static bool step(struct world *w)
{
    int64_t next_ns = w->wake_ns;
    for (size_t i = 0; i < w->non; i++)
        next_ns = w->on[i]->end_ns < next_ns ? w->on[i]->end_ns : next_ns;
    if (next_ns == NEVER)
        return false;
    w->now_ns = next_ns > w->now_ns ? next_ns : w->now_ns;
    size_t had = w->non;
    for (size_t i = 0; i < w->non;) {
        struct forecast_run *r = w->on[i];
        if (r->end_ns > w->now_ns) {
            i++;
            continue;
        }
        w->out->limits += r->basis == FORECAST_LIMIT;
        w->out->pasts += r->basis == FORECAST_PASTS;
        resources_free(&w->f->resources, r->id, &r->share);
        w->on[i] = w->on[--w->non];
    }
    if (had > 0 && w->non == 0)
        w->idle_since_ns = w->now_ns;
    return true;
}

/* ---- the answer --------------------------------------------------------------------------------- */

static void say_unknown(const struct world *w)
{
    struct forecast_answer *out = w->out;
    const struct forecast_run *r = NULL;
    for (size_t i = 0; i < w->non; i++)
        if (w->on[i]->end_ns == NEVER && (!r || w->on[i]->id < r->id))
            r = w->on[i];
    if (!r)
        (void)snprintf(out->reason, sizeof(out->reason),
                       "what it waits for does not come about by the end of other runs");
    else if (r->npast > 0)
        (void)snprintf(out->reason, sizeof(out->reason),
                       "nobody can tell how long run %" PRId64
                       " takes: it has no time limit, and has gone on for longer than runs like it",
                       r->id);
    else
        (void)snprintf(out->reason, sizeof(out->reason),
                       "nobody can tell how long run %" PRId64
                       " takes: it has no time limit, and none like it has ended well",
                       r->id);
}

void forecast_play(struct forecast *f, struct forecast_answer *out)
{
    struct world *w = base_alloc(sizeof(*w));
    w->on = base_alloc(f->n * sizeof(struct forecast_run *));
    *out = (struct forecast_answer){.in_ns = -1};
    w->f = f;
    w->out = out;
    w->idle_since_ns = -f->idle_ns;
    for (size_t i = 0; i < f->n; i++) {
        struct forecast_run *r = &f->runs[i];
        const struct turns_key key = key_of(f, r);
        if (r->elapsed_ns >= 0)
            put_on(w, r);
        else
            turns_put(&f->line, &key, r);
    }
    bool found = start_all(w);
    while (!found && step(w))
        found = start_all(w);
    if (found)
        out->in_ns = w->now_ns;
    else
        say_unknown(w);
    free(w->on);
    free(w);
}
