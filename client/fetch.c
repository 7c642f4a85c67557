#include "client/fetch.h"

#include <string.h>

#define RUNS_A_TIME 10000 /* what the daemon takes in one request */

struct page {
    const char *table;
    const int64_t *runs; /* NULL = all */
    size_t n;
    bool window;
    int64_t boot, t0_ns, t1_ns;
    int64_t next_run, next_row; /* next_row 0 after a page: that was all */
};

static void ask(struct conn *c, const struct page *p)
{
    struct wire_out *o = conn_begin(c, "export");
    wire_put_str(o, "table", p->table);
    if (p->runs) {
        wire_begin_array(o, "runs");
        for (size_t i = 0; i < p->n; i++)
            wire_put_int(o, NULL, p->runs[i]);
        wire_end(o);
    }
    if (p->window) {
        wire_put_int(o, "boot", p->boot);
        wire_put_int(o, "t0_ns", p->t0_ns);
        wire_put_int(o, "t1_ns", p->t1_ns);
    }
    wire_put_int(o, "next_run", p->next_run);
    wire_put_int(o, "next_row", p->next_row);
}

static int take_rows(const struct fetch *f, const struct page *p, const struct wire_val *rows,
                     bool *named, struct err *e)
{
    size_t from = 0;
    if (!*named) {
        if (wire_len(rows) == 0)
            return err_set(e, WATTQ_E_PROTOCOL, "the daemon sent no names for table %s", p->table);
        *named = true;
        from = 1;
        int rc = p->next_row > 0 ? 0 : localdb_names(f->db, p->table, wire_at(rows, 0), e);
        if (rc < 0)
            return rc;
    }
    for (size_t i = from; i < wire_len(rows); i++) {
        int rc = localdb_add(f->db, wire_at(rows, i), e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int one_page(const struct fetch *f, struct page *p, struct err *e)
{
    bool named = false;
    ask(f->c, p);
    int rc = conn_send(f->c, e);
    for (bool more = true; rc == 0 && more;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(f->c, &m, e);
        if (rc < 0)
            return rc;
        const struct wire_val *root = wire_msg_root(m);
        rc = take_rows(f, p, wire_get(root, "rows"), &named, e);
        more = conn_more(m);
        if (!more) {
            p->next_run = wire_int(root, "next_run", 0);
            p->next_row = wire_int(root, "next_row", 0);
        }
    }
    return rc;
}

static int all_pages(const struct fetch *f, struct page *p, struct err *e)
{
    int rc;
    do {
        rc = one_page(f, p, e);
    } while (rc == 0 && p->next_row > 0);
    return rc;
}

int fetch_table(const struct fetch *f, const char *table, struct err *e)
{
    enum export_scope scope;
    if (export_scope_of(table, &scope) != 0)
        return err_set(e, WATTQ_E_INTERNAL, "there is no table %.40s", table);
    struct page p = {.table = table};
    if (scope != EXPORT_RUNS || !f->runs)
        return all_pages(f, &p, e);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < f->runs->n; i += RUNS_A_TIME) {
        size_t n = f->runs->n - i;
        p = (struct page){
            .table = table, .runs = f->runs->ids + i, .n = n < RUNS_A_TIME ? n : RUNS_A_TIME};
        rc = all_pages(f, &p, e);
    }
    return rc;
}

int fetch_window(const struct fetch *f, const char *table, int64_t boot, int64_t t0_ns,
                 int64_t t1_ns, struct err *e)
{
    struct page p = {.table = table, .window = true, .boot = boot, .t0_ns = t0_ns, .t1_ns = t1_ns};
    return all_pages(f, &p, e);
}
