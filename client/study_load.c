#include "client/study_load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"
#include "client/sel.h"
#include "client/study_run.h"
#include "common/units.h"
#include "daemon/model/qc.h"

#define PAGE      500
#define AROUND_NS (600 * NS_PER_S) /* idle is looked for so far before and after a sweep, too */

void study_init(struct study *s)
{
    *s = (struct study){0};
    if (caches_detect(&s->caches, "", NULL, NULL) != 0)
        s->caches.n = 0;
}

void study_fini(struct study *s)
{
    for (size_t i = 0; i < s->nleft; i++) {
        free(s->left[i].what);
        free(s->left[i].reason);
    }
    free(s->left);
    free(s->runs);
    *s = (struct study){0};
}

static void *more(void *p, size_t n, size_t bytes)
{
    if (n % 64 == 0)
        p = realloc(p, (n + 64) * bytes);
    if (!p)
        abort();
    return p;
}

/* ---- rows ----------------------------------------------------------------------------------------- */

static bool same_caches(const struct caches *a, const struct caches *b)
{
    bool same = a->n == b->n && a->cores == b->cores;
    for (size_t i = 0; same && i < a->n; i++)
        same = a->level[i].bytes == b->level[i].bytes && a->level[i].units == b->level[i].units;
    return same;
}

static void add_card(struct study *s, const struct wire_val *run)
{
    struct caches card;
    if (study_run_card(&card, run) != 0 || s->cards_differ)
        return;
    if (s->card.n == 0)
        s->card = card;
    s->cards_differ = !same_caches(&s->card, &card);
    if (s->cards_differ)
        s->card = (struct caches){0};
}

void study_add(struct study *s, const struct wire_val *run)
{
    char *reason = study_run_reason(run);
    if (reason) {
        s->left = more(s->left, s->nleft, sizeof *s->left);
        s->left[s->nleft++] =
            (struct study_left){wire_int(run, "run", 0), study_run_what(run), reason};
        return;
    }
    s->runs = more(s->runs, s->n, sizeof *s->runs);
    study_run_read(&s->runs[s->n], run);
    if (s->runs[s->n++].gpu)
        add_card(s, run);
}

static int add_run(void *arg, const struct wire_val *run)
{
    study_add(arg, run);
    return 0;
}

/* Ids of one request; *done is how many of them were answered. */
static int load_page(struct study *s, struct conn *c, const int64_t *ids, size_t n, size_t *done,
                     struct err *e)
{
    struct wire_out *o = conn_begin(c, "runs");
    wire_begin_array(o, "runs");
    for (size_t i = 0; i < n; i++)
        wire_put_int(o, NULL, ids[i]);
    wire_end(o);
    wire_put_bool(o, "energy", true);
    wire_put_bool(o, "params", true);
    int rc = conn_send(c, e);
    *done = 0;
    for (bool again = true; rc == 0 && again;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        const struct wire_val *runs = wire_get(wire_msg_root(m), "runs");
        for (size_t i = 0; i < wire_len(runs); i++, (*done)++)
            study_add(s, wire_at(runs, i));
        again = conn_more(m);
    }
    return rc;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int by_run(const void *a, const void *b)
{
    return by_id(&((const struct study_run *)a)->run, &((const struct study_run *)b)->run);
}

static int load_ids(struct study *s, struct conn *c, const int64_t *ids, size_t n, struct err *e)
{
    int64_t *sorted CLEANUP(base_freep) = base_alloc((n + 1) * sizeof *sorted);
    size_t unique = 0;
    if (n > 0)
        memcpy(sorted, ids, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_id);
    for (size_t i = 0; i < n; i++)
        if (unique == 0 || sorted[i] != sorted[unique - 1])
            sorted[unique++] = sorted[i];
    for (size_t at = 0, done = 0; at < unique; at += done) {
        size_t left = unique - at;
        int rc = load_page(s, c, sorted + at, left < PAGE ? left : PAGE, &done, e);
        if (rc < 0)
            return rc;
        if (done == 0)
            return err_set(e, WATTQ_E_PROTOCOL, "the daemon answers no run of those asked for");
    }
    return 0;
}

/* ---- what the machine draws without a run --------------------------------------------------------- */

static double watt(const struct wire_val *figure, const char *key)
{
    int64_t uw = wire_int(figure, key, PRINT_NONE);
    return uw == PRINT_NONE ? (double)NAN : (double)uw / 1e6;
}

/* Runs of one sweep share a stretch of time, and so an idle figure. */
static void ask_idle(struct study *s, struct conn *c, int64_t sweep)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int64_t since = INT64_MAX;
    int64_t until = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct study_run *r = &s->runs[i];
        if (r->sweep != sweep || r->origin != 0 || r->started_utc_ns <= 0 || isnan(r->run_s))
            continue;
        int64_t end = r->started_utc_ns + (int64_t)(r->run_s * 1e9);
        since = r->started_utc_ns < since ? r->started_utc_ns : since;
        until = end > until ? end : until;
    }
    if (until == 0)
        return;
    struct wire_out *o = conn_begin(c, "idle");
    wire_put_int(o, "since_utc_ns", since - AROUND_NS);
    wire_put_int(o, "until_utc_ns", until + AROUND_NS);
    if (conn_call(c, &m, NULL) < 0)
        return;
    const struct wire_val *total = wire_get(wire_msg_root(m), "total");
    for (size_t i = 0; i < s->n; i++) {
        if (s->runs[i].sweep != sweep || s->runs[i].origin != 0)
            continue;
        s->runs[i].idle_w = watt(total, "power_uw");
        s->runs[i].idle_sd_w = watt(total, "spread_uw");
    }
}

static bool seen_sweep(const struct study *s, size_t i)
{
    for (size_t k = i; k-- > 0;)
        if (s->runs[k].sweep == s->runs[i].sweep)
            return true;
    return false;
}

static void read_idle(struct study *s, struct conn *c)
{
    for (size_t i = 0; i < s->n; i++)
        if (!seen_sweep(s, i))
            ask_idle(s, c, s->runs[i].sweep);
}

/* What is in the joules and what not: the daemon's words for the newest run's window. */
static void read_covers(struct study *s, struct conn *c)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    for (size_t i = s->n; i-- > 0;) {
        if (s->runs[i].origin != 0)
            continue;
        wire_put_int(conn_begin(c, "energy"), "run", s->runs[i].run);
        if (conn_call(c, &m, NULL) == 0)
            base_strcpy(s->covers, sizeof s->covers, wire_str(wire_msg_root(m), "covers", ""));
        return;
    }
}

static void complete(struct study *s, struct conn *c)
{
    if (s->n > 0)
        qsort(s->runs, s->n, sizeof *s->runs, by_run);
    read_idle(s, c);
    read_covers(s, c);
    qc_apply(s->runs, s->n, QC_ALL);
}

int study_load(struct study *s, struct conn *c, const int64_t *ids, size_t n, struct err *e)
{
    study_init(s);
    int rc = load_ids(s, c, ids, n, e);
    if (rc == 0)
        complete(s, c);
    return rc;
}

static void put_done(void *arg, struct wire_out *o)
{
    (void)arg;
    wire_put_str(o, "state", "done");
    wire_put_bool(o, "energy", true);
    wire_put_bool(o, "params", true);
}

static char *join(char *const *words, size_t n)
{
    char *all = base_strdup("");
    for (size_t i = 0; i < n; i++) {
        char *next = base_printf("%s%s%s", all, i ? " " : "", words[i]);
        free(all);
        all = next;
    }
    return all;
}

int study_load_words(struct study *s, struct conn *c, char *const *words, size_t n,
                     char **selection, struct err *e)
{
    struct sel sel CLEANUP(sel_finip) = {0};
    if (selection)
        *selection = join(words, n);
    study_init(s);
    int rc = n > 0 ? sel_runs(&sel, c, words, n, e)
                   : sel_list(c, put_done, NULL, SEL_MAX, add_run, s, e);
    if (rc == 0 && n > 0)
        rc = load_ids(s, c, sel.ids, sel.n, e);
    if (rc == 0)
        complete(s, c);
    return rc;
}
