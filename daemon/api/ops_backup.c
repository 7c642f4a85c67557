/* backup: the whole database to whoever may see all of it. The copy is made by a reader from one snapshot, into a file
 * without a name in our own directory, and then sent as fast as it is taken: a slow peer keeps no snapshot, so the log
 * does not grow, and no path that a peer named is opened by us. */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/api/ops_private.h"
#include "daemon/store/backup.h"

#define PIECE_BYTES (256u << 10)
#define QUEUED_MAX  (1u << 20) /* bytes that wait for a slow reader before we stop reading */
#define BUSY_MS     5
#define SILENCE_MS  2000 /* while it is copied: then it says how far it is, each second */
#define AGAIN_MS    1000

struct ops_backup {
    struct ops_backup *next;
    struct ops_ticket t;
    struct storage_job flush;
    struct reader_job job;
    uv_timer_t timer;
    bool job_out, timer_closed, closing;
    struct backup_watch watch;
    int fd;
    int64_t offset, bytes;
};

static void maybe_free(struct ops_backup *x)
{
    if (!x->timer_closed || x->job_out)
        return;
    base_closep(&x->fd);
    x->t.d->backing_up = false;
    ops_drop(&x->t);
    free(x);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct ops_backup *x = container_of(h, struct ops_backup, timer);
    x->timer_closed = true;
    maybe_free(x);
}

static void begin_close(struct ops_backup *x)
{
    x->closing = true;
    atomic_store(&x->watch.stop, true);
    uv_close((uv_handle_t *)&x->timer, on_timer_closed);
}

/* There is one at a time, so a peer has no more. */
void ops_backup_closed(struct ops_peer *s)
{
    if (s->backup)
        begin_close(s->backup);
    s->backup = NULL;
}

static void finish(struct ops_backup *x)
{
    ((struct ops_peer *)peer_data(x->t.p))->backup = NULL;
    begin_close(x);
}

static void fail(struct ops_backup *x, const struct err *e)
{
    peer_send_error(x->t.p, x->t.id, e);
    finish(x);
}

/* ---- sending ------------------------------------------------------------------------------------ */

static void send_end(struct ops_backup *x)
{
    struct wire_out o = {0};
    ops_begin(&o, x->t.id);
    wire_put_int(&o, "bytes", x->bytes);
    peer_send(x->t.p, &o);
    wire_out_free(&o);
}

/* One piece; false when that was the last one, or it cannot be read. */
static bool send_piece(struct ops_backup *x, struct err *e)
{
    struct wire_out o = {0};
    char *buf CLEANUP(base_freep) = base_alloc(PIECE_BYTES);
    ssize_t got = pread(x->fd, buf, PIECE_BYTES, x->offset);
    if (got <= 0) {
        if (got < 0 || x->offset != x->bytes)
            err_errno(e, WATTQ_E_STORAGE, "the copy of the database cannot be read");
        return false;
    }
    ops_begin(&o, x->t.id);
    wire_put_bin(&o, "data", buf, (size_t)got);
    wire_put_int(&o, "offset", x->offset);
    wire_put_int(&o, "bytes", x->bytes);
    wire_put_bool(&o, "more", true);
    peer_send(x->t.p, &o);
    wire_out_free(&o);
    x->offset += got;
    return true;
}

static void on_send(uv_timer_t *timer)
{
    struct ops_backup *x = container_of(timer, struct ops_backup, timer);
    struct err e = {0};
    if (peer_closing(x->t.p))
        return; /* ops_backup_closed is on its way */
    while (peer_queued_bytes(x->t.p) < QUEUED_MAX) {
        if (send_piece(x, &e))
            continue;
        if (e.code) {
            fail(x, &e);
            return;
        }
        send_end(x);
        finish(x);
        return;
    }
    uv_timer_start(&x->timer, on_send, BUSY_MS, 0);
}

/* ---- copying ------------------------------------------------------------------------------------ */

static void on_silence(uv_timer_t *timer)
{
    struct ops_backup *x = container_of(timer, struct ops_backup, timer);
    struct wire_out o = {0};
    ops_begin(&o, x->t.id);
    wire_put_bool(&o, "more", true);
    wire_put_int(&o, "copied", atomic_load(&x->watch.done_bytes));
    wire_put_int(&o, "of", atomic_load(&x->watch.of_bytes));
    peer_send(x->t.p, &o);
    wire_out_free(&o);
}

static int copy_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct ops_backup *x = container_of(job, struct ops_backup, job);
    return backup_copy(s, x->t.d->paths.backup, &x->watch, &x->fd, e);
}

static void copied(struct reader_job *job, int rc, const struct err *e)
{
    struct ops_backup *x = container_of(job, struct ops_backup, job);
    x->job_out = false;
    if (x->closing) {
        maybe_free(x);
        return;
    }
    off_t end = rc == 0 ? lseek(x->fd, 0, SEEK_END) : -1;
    if (rc < 0) {
        fail(x, e);
        return;
    }
    x->bytes = end > 0 ? (int64_t)end : 0;
    uv_timer_start(&x->timer, on_send, 0, 0);
}

/* What was sampled until now is in the file, where the disk has room for it. */
static void flushed(struct storage_job *job, int rc, const struct err *e)
{
    struct ops_backup *x = container_of(job, struct ops_backup, flush);
    (void)rc;
    (void)e;
    if (x->closing || x->t.d->stopping) {
        x->job_out = false;
        maybe_free(x);
        return;
    }
    x->job = (struct reader_job){.work = copy_work, .done = copied, .slow = true};
    storage_read(x->t.d->storage, &x->job);
}

int op_backup(struct op_call *c, struct err *e)
{
    if (c->d->backing_up) {
        err_set(e, WATTQ_E_CONFLICT, "a backup is being made already");
        return err_next(e, "try again when that one is done");
    }
    struct ops_backup *x = base_alloc(sizeof(*x));
    c->d->backing_up = true;
    x->fd = -1;
    x->job_out = true;
    ops_keep(&x->t, c);
    uv_timer_init(&c->d->loop, &x->timer);
    uv_timer_start(&x->timer, on_silence, SILENCE_MS, AGAIN_MS);
    ops_peer(c->p)->backup = x;
    ops_note_act(c, "backup", "a copy of the whole database");
    x->flush = (struct storage_job){.done = flushed};
    storage_submit(c->d->storage, &x->flush);
    return 0;
}
