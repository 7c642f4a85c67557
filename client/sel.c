#include "client/sel.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 1000

void sel_init(struct sel *s)
{
    *s = (struct sel){0};
}

void sel_fini(struct sel *s)
{
    free(s->ids);
    *s = (struct sel){0};
}

void sel_finip(struct sel *s)
{
    sel_fini(s);
}

static int add(struct sel *s, int64_t id, struct err *e)
{
    if (s->n >= SEL_MAX) {
        err_set(e, WATTQ_E_LIMIT, "that names more than %d runs", SEL_MAX);
        return err_next(e, "name fewer at a time");
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        int64_t *p = realloc(s->ids, cap * sizeof *p);
        if (!p)
            return err_set(e, WATTQ_E_LIMIT, "out of memory for run ids");
        s->ids = p;
        s->cap = cap;
    }
    s->ids[s->n++] = id;
    return 0;
}

static int no_selector(const char *word, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "'%.60s' names no run", word);
    return err_next(e,
                    "name runs by id (17), range (3-9), list (2,5,8-10), last, last-2 or sweep:12");
}

/* A whole positive number at *p; moves *p behind it. */
static bool number(const char **p, int64_t *out)
{
    if (!isdigit((unsigned char)**p))
        return false;
    char *end;
    long long v = strtoll(*p, &end, 10);
    *p = end;
    *out = v;
    return v > 0 && v < INT64_C(1) << 53;
}

int sel_parse(struct sel *s, const char *word, struct err *e)
{
    const char *p = word;
    if (!isdigit((unsigned char)*p))
        return 1;
    for (;;) {
        int64_t from;
        if (!number(&p, &from))
            return no_selector(word, e);
        int64_t to = from;
        if (*p == '-') {
            p++;
            if (!number(&p, &to) || to < from)
                return no_selector(word, e);
        }
        for (int64_t id = from; id <= to; id++) {
            int rc = add(s, id, e);
            if (rc < 0)
                return rc;
        }
        if (*p == '\0')
            return 0;
        if (*p++ != ',')
            return no_selector(word, e);
    }
}

/* ---- asking the daemon --------------------------------------------------------------------------- */

struct list {
    int64_t most;
    int64_t seen;
    int64_t next; /* id to go on before; 0 = that was all */
    int (*fn)(void *arg, const struct wire_val *run);
    void *arg;
};

/* One request, all its frames. */
static int page(struct conn *c, struct list *l, struct err *e)
{
    for (bool more = true; more;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        int rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        const struct wire_val *runs = wire_get(wire_msg_root(m), "runs");
        for (size_t i = 0; i < wire_len(runs) && rc == 0; i++)
            if (l->seen++ < l->most)
                rc = l->fn(l->arg, wire_at(runs, i));
        if (rc != 0)
            return rc;
        more = conn_more(m);
        l->next = wire_int(wire_msg_root(m), "next", 0);
    }
    return 0;
}

int sel_list(struct conn *c, void (*put)(void *arg, struct wire_out *o), void *put_arg,
             int64_t most, int (*fn)(void *arg, const struct wire_val *run), void *arg,
             struct err *e)
{
    struct list l = {.most = most, .fn = fn, .arg = arg};
    do {
        int64_t left = most - l.seen;
        struct wire_out *o = conn_begin(c, "runs");
        wire_put_int(o, "limit", left < PAGE ? left : PAGE);
        if (l.next > 0)
            wire_put_int(o, "before", l.next);
        if (put)
            put(put_arg, o);
        l.next = 0;
        int rc = conn_send(c, e);
        if (rc == 0)
            rc = page(c, &l, e);
        if (rc != 0)
            return rc;
    } while (l.next > 0 && l.seen < l.most);
    return 0;
}

struct nth {
    int64_t skip;
    int64_t id;
};

static int take_nth(void *arg, const struct wire_val *run)
{
    struct nth *n = arg;
    if (n->skip-- == 0)
        n->id = wire_int(run, "run", 0);
    return 0;
}

static void put_mine(void *arg, struct wire_out *o)
{
    (void)arg;
    wire_put_bool(o, "mine", true);
}

static int last_run(struct sel *s, struct conn *c, const char *word, int64_t back, struct err *e)
{
    struct nth n = {.skip = back};
    int rc = sel_list(c, put_mine, NULL, back + 1, take_nth, &n, e);
    if (rc < 0)
        return rc;
    if (n.id > 0)
        return add(s, n.id, e);
    err_set(e, WATTQ_E_NOT_FOUND, "there is no run '%.40s': you have not queued that many", word);
    return err_next(e, "queue one: wattq submit -- COMMAND");
}

struct members {
    struct sel *s;
    struct err *e;
};

static int take_member(void *arg, const struct wire_val *run)
{
    struct members *m = arg;
    return add(m->s, wire_int(run, "run", 0), m->e);
}

static void put_sweep(void *arg, struct wire_out *o)
{
    wire_put_int(o, "sweep", *(const int64_t *)arg);
}

static int sweep_runs(struct sel *s, struct conn *c, int64_t sweep, struct err *e)
{
    struct members m = {.s = s, .e = e};
    size_t before = s->n;
    int rc = sel_list(c, put_sweep, &sweep, SEL_MAX, take_member, &m, e);
    if (rc < 0)
        return rc;
    if (s->n == before) {
        err_set(e, WATTQ_E_NOT_FOUND, "there is no sweep %lld", (long long)sweep);
        return err_next(e, "wattq runs lists runs with their sweeps");
    }
    for (size_t i = before, j = s->n - 1; i < j; i++, j--) { /* oldest first */
        int64_t id = s->ids[i];
        s->ids[i] = s->ids[j];
        s->ids[j] = id;
    }
    return 0;
}

static bool starts(const char **p, const char *prefix)
{
    size_t n = strlen(prefix);
    if (strncmp(*p, prefix, n) != 0)
        return false;
    *p += n;
    return true;
}

static int one_word(struct sel *s, struct conn *c, const char *word, struct err *e)
{
    const char *p = word;
    int64_t n = 0;
    int rc = sel_parse(s, word, e);
    if (rc <= 0)
        return rc;
    if (starts(&p, "sweep:") || starts(&p, "sweep="))
        return number(&p, &n) && !*p ? (s->sweep = n, sweep_runs(s, c, n, e))
                                     : no_selector(word, e);
    if (starts(&p, "last") || starts(&p, "@")) {
        bool back = starts(&p, "-") || starts(&p, "~");
        if ((back && !number(&p, &n)) || *p || n >= SEL_MAX)
            return no_selector(word, e);
        return last_run(s, c, word, n, e);
    }
    return no_selector(word, e);
}

int sel_runs(struct sel *s, struct conn *c, char *const *words, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        int rc = one_word(s, c, words[i], e);
        if (rc < 0)
            return rc;
    }
    if (n != 1)
        s->sweep = 0;
    return 0;
}

int sel_one(int64_t *run, struct conn *c, const char *word, struct err *e)
{
    struct sel s = {0};
    int rc = one_word(&s, c, word, e);
    if (rc >= 0 && s.n != 1) {
        err_set(e, WATTQ_E_USAGE, "'%.60s' names %zu runs, but this command takes one", word, s.n);
        rc = err_next(e, "name one run by its id; `wattq runs` lists them");
    } else if (rc >= 0) {
        *run = s.ids[0];
        rc = 0;
    }
    sel_fini(&s);
    return rc;
}

void sel_put(const struct sel *s, struct wire_out *o)
{
    wire_begin_array(o, "runs");
    for (size_t i = 0; i < s->n; i++)
        wire_put_int(o, NULL, s->ids[i]);
    wire_end(o);
}
