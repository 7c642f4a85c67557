#include "client/sel.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/filter.h"
#include "common/units.h"

#define PAGE 1000

void sel_init(struct sel *s)
{
    *s = (struct sel){0};
}

void sel_fini(struct sel *s)
{
    free(s->ids);
    free(s->where);
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
    return err_next(
        e, "name runs by id (17), range (3-9), list (2,5,8-10), last, last-2, sweep:12, or "
           "by a filter: state=failed (wattq help filter)");
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

/* The list comes newest first; a selection goes from the oldest on. */
static void turn_round(struct sel *s, size_t from)
{
    for (size_t i = from, j = s->n; j > i + 1; i++) {
        int64_t id = s->ids[i];
        s->ids[i] = s->ids[--j];
        s->ids[j] = id;
    }
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
    turn_round(s, before);
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

enum word_kind { WORD_IDS, WORD_LAST, WORD_SWEEP, WORD_FILTER };

/* What a word is, and the number in it (the sweep; how far back). */
static enum word_kind kind_of(const char *word, int64_t *n)
{
    const char *p = word;
    *n = 0;
    if (isdigit((unsigned char)*word))
        return WORD_IDS;
    if ((starts(&p, "sweep:") || starts(&p, "sweep=")) && number(&p, n) && !*p)
        return WORD_SWEEP;
    p = word;
    if (starts(&p, "last") || starts(&p, "@")) {
        bool back = starts(&p, "-") || starts(&p, "~");
        if ((!back || number(&p, n)) && !*p && *n < SEL_MAX)
            return WORD_LAST;
    }
    return WORD_FILTER;
}

static int one_word(struct sel *s, struct conn *c, const char *word, struct err *e)
{
    int64_t n = 0;
    switch (kind_of(word, &n)) {
    case WORD_IDS:
        return sel_parse(s, word, e);
    case WORD_LAST:
        return last_run(s, c, word, n, e);
    case WORD_SWEEP:
        s->sweep = n;
        return sweep_runs(s, c, n, e);
    case WORD_FILTER:
        break;
    }
    return no_selector(word, e);
}

/* ---- filters ------------------------------------------------------------------------------------- */

static bool parses(const char *text)
{
    struct filter *f CLEANUP(filter_freep) = NULL;
    return filter_parse(&f, text, clock_utc_ns(), NULL) == 0;
}

/* The words as one text: joined by and where each is a filter by itself, else as they stand. */
static char *join(char *const *words, size_t n)
{
    char *text = NULL;
    size_t bytes = 0;
    bool alone = true;
    FILE *f = open_memstream(&text, &bytes);
    if (!f)
        abort();
    int64_t sweep;
    for (size_t i = 0; i < n; i++)
        alone = alone && (kind_of(words[i], &sweep) == WORD_SWEEP || parses(words[i]));
    for (size_t i = 0; i < n; i++) {
        const char *gap = i == 0 ? "" : alone ? " and " : " ";
        if (kind_of(words[i], &sweep) == WORD_SWEEP)
            (void)fprintf(f, "%ssweep=%lld", gap, (long long)sweep);
        else
            (void)fprintf(f, "%s%s%s%s", gap, alone && n > 1 ? "(" : "", words[i],
                          alone && n > 1 ? ")" : "");
    }
    if (fclose(f) != 0)
        abort();
    return text;
}

/* One bare word that is no filter was meant as a run: "wattq show lsat". */
static bool bare_word(char *const *words, size_t n)
{
    return n == 1 && !strpbrk(words[0], " =<>~!()[]");
}

static int mixed(const char *word, const char *filter, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "'%.40s' names runs, '%.60s' is a filter: which is meant?", word,
            filter);
    return err_next(e, "write it all as one filter: id=3..9 and state=failed");
}

int sel_filter(char **out, char *const *words, size_t n, struct err *e)
{
    const char *filter = NULL;
    const char *named = NULL;
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        int64_t number_in;
        enum word_kind kind = kind_of(words[i], &number_in);
        if (kind == WORD_FILTER)
            filter = filter ? filter : words[i];
        else if (kind != WORD_SWEEP)
            named = words[i];
    }
    if (!filter)
        return n > 0;
    struct filter *f CLEANUP(filter_freep) = NULL;
    char *text CLEANUP(base_freep) = join(words, n);
    if (!named) {
        int rc = filter_parse(&f, text, clock_utc_ns(), e);
        if (rc < 0)
            return bare_word(words, n) ? no_selector(words[0], e) : rc;
        *out = filter_print(f);
        return 0;
    }
    /* "energy gt 5 J" holds a word that looks like an id. */
    if (filter_parse(&f, text, clock_utc_ns(), e) < 0)
        return mixed(named, filter, e);
    *out = filter_print(f);
    return 0;
}

static void put_where(void *arg, struct wire_out *o)
{
    wire_put_str(o, "where", arg);
}

static int filter_runs(struct sel *s, struct conn *c, struct err *e)
{
    struct members m = {.s = s, .e = e};
    int rc = sel_list(c, put_where, s->where, SEL_MAX, take_member, &m, e);
    if (rc < 0)
        return rc;
    if (s->n == 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "no run fits the filter: %.200s", s->where);
        return err_next(e, "wattq runs lists runs; wattq help filter");
    }
    turn_round(s, 0);
    return 0;
}

int sel_runs(struct sel *s, struct conn *c, char *const *words, size_t n, struct err *e)
{
    int rc = sel_filter(&s->where, words, n, e);
    if (rc < 0)
        return rc;
    if (s->where)
        return filter_runs(s, c, e);
    for (size_t i = 0; i < n; i++) {
        rc = one_word(s, c, words[i], e);
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
    union {
        const char *in;
        char *out;
    } one = {.in = word}; /* only read */
    int rc = sel_runs(&s, c, &one.out, 1, e);
    if (rc == 0 && s.n != 1) {
        err_set(e, WATTQ_E_USAGE, "'%.60s' names %zu runs, but this command takes one", word, s.n);
        rc = err_next(e, "name one run by its id; `wattq runs` lists them");
    }
    if (rc == 0)
        *run = s.ids[0];
    sel_fini(&s);
    return rc;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* "id = 3..9 or id = 12" */
static char *ids_filter(struct sel *s)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    if (!f)
        abort();
    assert(s->ids); /* sel_runs finds at least one */
    qsort(s->ids, s->n, sizeof *s->ids, by_id);
    for (size_t i = 0, j; i < s->n; i = j) {
        for (j = i + 1; j < s->n && s->ids[j] <= s->ids[j - 1] + 1;)
            j++;
        (void)fprintf(f, "%sid = %lld", i ? " or " : "", (long long)s->ids[i]);
        if (s->ids[j - 1] > s->ids[i])
            (void)fprintf(f, "..%lld", (long long)s->ids[j - 1]);
    }
    if (fclose(f) != 0)
        abort();
    return text;
}

/* The ids as a filter, if they fit into one. */
static int ids_where(char **out, struct sel *s, struct err *e)
{
    char *text = ids_filter(s);
    struct filter *f CLEANUP(filter_freep) = NULL;
    if (filter_parse(&f, text, 0, NULL) == 0) {
        *out = text;
        return 0;
    }
    free(text);
    err_set(e, WATTQ_E_LIMIT, "%zu ids with too many gaps between them", s->n);
    return err_next(e, "name them by a filter, or in several steps");
}

int sel_where(char **out, struct conn *c, char *const *words, size_t n, struct err *e)
{
    struct sel s = {0};
    int64_t sweep = 0;
    int rc = sel_filter(out, words, n, e);
    if (rc <= 0)
        return rc;
    if (n == 1 && kind_of(words[0], &sweep) == WORD_SWEEP) {
        *out = base_printf("sweep = %lld", (long long)sweep);
        return 0;
    }
    rc = sel_runs(&s, c, words, n, e);
    if (rc == 0)
        rc = ids_where(out, &s, e);
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

int sel_tell(struct conn *c, const char *op, size_t at_once, const struct sel *runs,
             const char *reason, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < runs->n; i += at_once) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        const struct sel some = {.ids = runs->ids + i,
                                 .n = runs->n - i < at_once ? runs->n - i : at_once};
        struct wire_out *o = conn_begin(c, op);
        if (reason)
            wire_put_str(o, "reason", reason);
        sel_put(&some, o);
        rc = conn_call(c, &m, e);
    }
    return rc;
}
