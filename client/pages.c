#include "client/pages.h"

#define PAGE 500

/* One request; *done is how many runs it answered. */
static int one_page(struct conn *c, const int64_t *ids, size_t n, size_t *done,
                    int (*fn)(void *arg, const struct wire_val *run), void *arg, struct err *e)
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
        for (size_t i = 0; rc == 0 && i < wire_len(runs); i++, (*done)++)
            rc = fn(arg, wire_at(runs, i));
        again = conn_more(m);
    }
    return rc;
}

int pages_runs(struct conn *c, const int64_t *ids, size_t n,
               int (*fn)(void *arg, const struct wire_val *run), void *arg, struct err *e)
{
    for (size_t at = 0, done = 0; at < n; at += done) {
        size_t left = n - at;
        int rc = one_page(c, ids + at, left < PAGE ? left : PAGE, &done, fn, arg, e);
        if (rc != 0)
            return rc;
        if (done == 0)
            return err_set(e, WATTQ_E_PROTOCOL, "the daemon answers no run of those asked for");
    }
    return 0;
}
