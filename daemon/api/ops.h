/* Operations: one table line and one handler each (docs/protocol.md). Loop thread. A handler validates,
 * calls one module and encodes; what needs the database goes through storage_submit or storage_read
 * and answers in the job's done. Before it is called the peer's rights were checked against `who`; a handler
 * of class OWN or DETAIL asks for each run it names (rights_may_act, rights_may_see), one of class ANY shows what
 * the peer may see. To add one: a line in the table in ops.c, a handler, a row in docs/protocol.md (a test
 * compares the two, and who may call it). */
#ifndef DAEMON_API_OPS_H
#define DAEMON_API_OPS_H

#include "daemon/api/server.h"
#include "daemon/daemon.h"

struct op_call {
    struct daemon *d;
    struct peer *p;
    int64_t id;                 /* of the request, repeated in replies */
    const struct wire_val *req; /* borrowed during the handler */
};
struct op {
    const char *name;
    enum rights_class who;                           /* may call it: rights.h */
    int (*handle)(struct op_call *c, struct err *e); /* < 0: the table's caller sends the error */
};
extern const struct op ops_table[];
extern const size_t ops_count;

/* One run summary under key (NULL inside an array), for whoever has these rights; streams_config.put_run. arg is
 * the daemon. */
void ops_put_run(void *daemon, struct wire_out *o, const char *key, const struct queue_run *r,
                 const struct rights *as);

void ops_on_request(void *daemon, struct peer *p, const struct wire_val *request);
void ops_on_close(void *daemon, struct peer *p);

/* The audit by itself: called now and then, it starts one when a minute has gone. What failed last, or NULL.
 * Freed when storage is closed. */
void ops_watch_beat(struct daemon *d);
const char *ops_watch_text(const struct daemon *d);
void ops_watch_free(struct daemon *d);

#endif
