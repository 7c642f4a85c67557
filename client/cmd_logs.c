/* logs: the output of a run, all of it, the last lines, or as it comes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/json.h"
#include "client/sel.h"

#define LINE_GUESS 512 /* bytes asked for per wanted line, to begin with */

struct log {
    struct app *app;
    int64_t run;
    char *kept; /* when collecting: bytes so far */
    size_t nkept;
    bool collect;
    int64_t first; /* offset of the first byte received; -1 = none yet */
    int64_t next;  /* offset behind the last */
};

static int put_json(const struct log *l, const char *data, size_t bytes, struct err *e)
{
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.logs/1"));
    json_put(doc, "run", json_integer(l->run));
    json_put(doc, "offset", json_integer(l->first < 0 ? 0 : l->first));
    json_put(doc, "text", json_text(data ? data : "", bytes));
    int rc = json_write(l->app->print.out, doc, true, e);
    return rc == 0 && fflush(l->app->print.out) != 0
               ? err_errno(e, WATTQ_E_IO, "cannot write to the standard output")
               : rc;
}

static int put_bytes(struct log *l, const char *data, size_t bytes, struct err *e)
{
    if (bytes == 0)
        return 0;
    if (l->app->json)
        return put_json(l, data, bytes, e);
    if (fwrite(data, 1, bytes, l->app->print.out) != bytes || fflush(l->app->print.out) != 0)
        return err_errno(e, WATTQ_E_IO, "cannot write to the standard output");
    return 0;
}

static int keep(struct log *l, const void *data, size_t bytes, struct err *e)
{
    char *p = realloc(l->kept, l->nkept + bytes + 1);
    if (!p) {
        err_set(e, WATTQ_E_LIMIT, "the log does not fit in memory");
        return err_next(e, "ask for fewer lines: wattq logs -n 1000 %lld", (long long)l->run);
    }
    memcpy(p + l->nkept, data, bytes);
    l->kept = p;
    l->nkept += bytes;
    return 0;
}

/* One request from `offset`, all its frames. */
static int fetch(struct log *l, struct conn *c, int64_t offset, bool follow, struct err *e)
{
    struct wire_out *o = conn_begin(c, "logs");
    wire_put_int(o, "run", l->run);
    wire_put_bool(o, "follow", follow);
    wire_put_int(o, "offset", offset);
    int rc = conn_send(c, e);
    for (bool more = true; rc == 0 && more;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        size_t bytes = 0;
        rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        const struct wire_val *r = wire_msg_root(m);
        const void *data = wire_bin(r, "data", &bytes);
        int64_t at = wire_int(r, "offset", l->next);
        if (data && bytes > 0) {
            if (l->first < 0 || !l->collect)
                l->first = at;
            rc = l->collect ? keep(l, data, bytes, e) : put_bytes(l, data, bytes, e);
            l->next = at + (int64_t)bytes;
        } else {
            l->next = at;
        }
        more = conn_more(m);
    }
    return rc;
}

/* Where the last n lines begin; SIZE_MAX when there are fewer in these bytes. */
static size_t tail_start(const char *text, size_t bytes, int64_t n)
{
    size_t at = bytes;
    if (n == 0)
        return bytes;
    if (at > 0 && text[at - 1] == '\n')
        at--;
    for (; at > 0; at--)
        if (text[at - 1] == '\n' && --n == 0)
            return at;
    return SIZE_MAX;
}

/* The last n lines: a guess from the end, larger until it holds them or the beginning is reached. */
static int tail(struct log *l, struct conn *c, int64_t n, struct err *e)
{
    l->collect = true;
    size_t start;
    for (int64_t back = n * LINE_GUESS + 4096;; back *= 8) {
        l->nkept = 0;
        l->first = -1;
        int rc = fetch(l, c, -back, false, e);
        if (rc < 0)
            return rc;
        start = tail_start(l->kept, l->nkept, n);
        if (start != SIZE_MAX || l->first <= 0 || back > INT64_MAX / 16)
            break;
    }
    if (start == SIZE_MAX)
        start = 0;
    l->collect = false;
    l->first = l->first < 0 ? 0 : l->first + (int64_t)start;
    return put_bytes(l, l->kept ? l->kept + start : "", l->nkept - start, e);
}

int cmd_logs(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct log l = {.app = app, .first = -1};
    bool follow = args_has(&app->args, OPT_FOLLOW);
    int64_t lines = -1;
    int rc = cmd_need(app, 1, "a run", e);
    if (rc == 0)
        rc = args_int(&app->args, OPT_COUNT, 0, 1000000, &lines, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = sel_one(&l.run, c, app->args.pos[0], e);
    if (rc < 0)
        return rc;
    if (lines >= 0)
        rc = tail(&l, c, lines, e);
    if (rc == 0 && lines < 0) {
        l.collect = app->json && !follow; /* one document */
        rc = fetch(&l, c, 0, follow, e);
        if (rc == 0 && l.collect)
            rc = put_json(&l, l.kept, l.nkept, e);
    } else if (rc == 0 && follow) {
        rc = fetch(&l, c, l.next, true, e);
    }
    free(l.kept);
    return rc;
}
