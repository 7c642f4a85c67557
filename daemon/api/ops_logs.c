/* logs: a run's output in pieces, as fast as the reader takes them; with follow until the run ends. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/api/ops_private.h"

#define PIECE_BYTES (128u << 10)
#define QUEUED_MAX  (1u << 20) /* bytes that wait for a slow reader before we stop reading */
#define BUSY_MS     5
#define FOLLOW_MS   100
#define LOGS_PEER   32  /* that one connection reads at a time: each is an open file */
#define LOGS_UID    128 /* that one user reads, by all connections */

struct ops_log {
    struct ops_log *next;     /* of this connection */
    struct ops_log *next_all; /* of all: struct daemon */
    struct ops_ticket t;
    struct rights as;
    int64_t run;
    int64_t offset;
    bool follow;
    bool was_live; /* when it was last looked */
    bool job_out;
    bool closing; /* the connection is gone, or all is sent */
    bool timer_closed;
    int fd;
    uv_timer_t timer;
    struct reader_job job;
    enum run_state state;
};

/* Freed when neither the timer nor a job can call back. */
static void maybe_free(struct ops_log *l)
{
    if (!l->timer_closed || l->job_out)
        return;
    struct ops_log **at = &l->t.d->logs;
    while (*at != l)
        at = &(*at)->next_all;
    *at = l->next_all;
    base_closep(&l->fd);
    ops_drop(&l->t);
    free(l);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct ops_log *l = container_of(h, struct ops_log, timer);
    l->timer_closed = true;
    maybe_free(l);
}

static void finish(struct ops_log *l)
{
    if (l->closing)
        return;
    l->closing = true;
    /* A peer may be closing already; its list is there until ops_logs_closed has emptied it. */
    struct ops_peer *s = peer_data(l->t.p);
    for (struct ops_log **at = &s->logs; *at; at = &(*at)->next) {
        if (*at == l) {
            *at = l->next;
            break;
        }
    }
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

void ops_logs_closed(struct ops_peer *s)
{
    while (s->logs) {
        struct ops_log *l = s->logs;
        s->logs = l->next;
        l->closing = true;
        uv_close((uv_handle_t *)&l->timer, on_timer_closed);
    }
}

static void send_end(struct ops_log *l)
{
    struct wire_out o = {0};
    ops_begin(&o, l->t.id);
    wire_put_bin(&o, "data", "", 0);
    wire_put_int(&o, "offset", l->offset);
    wire_put_bool(&o, "eof", true);
    wire_put_str(&o, "state", run_state_name(l->state));
    peer_send(l->t.p, &o);
    wire_out_free(&o);
}

/* One piece; false when there is nothing now. */
static bool send_piece(struct ops_log *l)
{
    struct wire_out o = {0};
    char *buf CLEANUP(base_freep) = base_alloc(PIECE_BYTES);
    ssize_t got = l->fd >= 0 ? pread(l->fd, buf, PIECE_BYTES, l->offset) : 0;
    if (got <= 0)
        return false;
    ops_begin(&o, l->t.id);
    wire_put_bin(&o, "data", buf, (size_t)got);
    wire_put_int(&o, "offset", l->offset);
    wire_put_bool(&o, "more", true);
    peer_send(l->t.p, &o);
    wire_out_free(&o);
    l->offset += got;
    return true;
}

static void open_log(struct ops_log *l)
{
    struct err e;
    struct stat st;
    if (l->fd >= 0)
        return;
    l->fd = launch_open_file(l->t.d->launch, l->run, "log", &e);
    if (l->fd < 0 || l->offset >= 0)
        return;
    int64_t size = fstat(l->fd, &st) == 0 ? (int64_t)st.st_size : 0;
    l->offset = size + l->offset > 0 ? size + l->offset : 0;
}

static int state_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct ops_log *l = container_of(job, struct ops_log, job);
    struct run_row row CLEANUP(run_row_fini) = {0};
    int rc = ops_may_see(s, &l->as, l->run, e);
    if (rc == 0)
        rc = runs_get(s, l->run, &row, e);
    if (rc > 0)
        return ops_no_run(l->run, e);
    l->state = row.state;
    return rc;
}

static void on_timer(uv_timer_t *t);

static void state_done(struct reader_job *job, int rc, const struct err *e)
{
    struct ops_log *l = container_of(job, struct ops_log, job);
    l->job_out = false;
    if (l->closing) {
        maybe_free(l);
        return;
    }
    if (rc < 0) {
        peer_send_error(l->t.p, l->t.id, e);
        finish(l);
    } else {
        uv_timer_start(&l->timer, on_timer, 0, 0);
    }
}

static void ask_state(struct ops_log *l)
{
    l->job = (struct reader_job){.work = state_work, .done = state_done};
    l->job_out = true;
    ops_read(&l->t, &l->job);
}

static bool is_live(struct ops_log *l, bool *queued)
{
    struct queue_run r;
    *queued = false;
    if (l->t.d->stopping || queue_find(l->t.d->queue, l->run, &r) != 0 ||
        run_state_ended(r.row->state))
        return false;
    *queued = r.row->state == RUN_QUEUED || r.row->state == RUN_HELD;
    l->state = r.row->state;
    return true;
}

/* Order matters: whether it is over is asked before the last piece is read. */
static void on_timer(uv_timer_t *t)
{
    struct ops_log *l = container_of(t, struct ops_log, timer);
    bool queued = false;
    if (peer_closing(l->t.p))
        return; /* ops_logs_closed is on its way */
    bool live = is_live(l, &queued);
    if (!queued)
        open_log(l);
    while (peer_queued_bytes(l->t.p) < QUEUED_MAX)
        if (!send_piece(l)) {
            if (live && l->follow) {
                l->was_live = true;
                uv_timer_start(&l->timer, on_timer, FOLLOW_MS, 0);
            } else if (l->was_live && !live) {
                l->was_live = false; /* it has ended: how, the database says */
                ask_state(l);
            } else {
                if (l->offset < 0)
                    l->offset = 0;
                send_end(l);
                finish(l);
            }
            return;
        }
    uv_timer_start(&l->timer, on_timer, BUSY_MS, 0);
}

static int check_room(const struct op_call *c, const struct ops_peer *s, struct err *e)
{
    int mine = 0, of_uid = 0;
    for (const struct ops_log *l = s->logs; l; l = l->next)
        mine++;
    for (const struct ops_log *l = c->d->logs; l; l = l->next_all)
        of_uid += l->as.uid == peer_uid(c->p);
    if (mine < LOGS_PEER && (peer_rights(c->p)->admin || of_uid < LOGS_UID))
        return 0;
    err_set(e, WATTQ_E_LIMIT, "%d logs are being read at a time already",
            mine < LOGS_PEER ? of_uid : mine);
    return err_next(e, "try again when some have been read to their end");
}

int op_logs(struct op_call *c, struct err *e)
{
    int64_t run = 0;
    int rc = ops_need_int(c, "run", &run, e);
    if (rc < 0)
        return rc;
    struct ops_peer *s = ops_peer(c->p);
    rc = check_room(c, s, e);
    if (rc < 0)
        return rc;
    struct ops_log *l = base_alloc(sizeof(*l));
    ops_keep(&l->t, c);
    l->next_all = c->d->logs;
    c->d->logs = l;
    l->run = run;
    l->as = *peer_rights(c->p);
    l->fd = -1;
    l->follow = wire_bool(c->req, "follow", false);
    l->offset = wire_int(c->req, "offset", 0);
    uv_timer_init(&c->d->loop, &l->timer);
    l->next = s->logs;
    s->logs = l;
    ask_state(l);
    return 0;
}
