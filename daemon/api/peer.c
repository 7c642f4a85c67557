#include "daemon/api/peer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/log.h"

uid_t peer_uid(const struct peer *p)
{
    return p->uid;
}
pid_t peer_pid(const struct peer *p)
{
    return p->pid;
}
const struct rights *peer_rights(const struct peer *p)
{
    return &p->rights;
}
void *peer_data(const struct peer *p)
{
    return p->data;
}
void peer_set_data(struct peer *p, void *data)
{
    p->data = data;
}
bool peer_closing(const struct peer *p)
{
    return p->closing || p->draining;
}
size_t peer_queued_bytes(const struct peer *p)
{
    return p->out_bytes;
}

struct peer *peer_ref(struct peer *p)
{
    p->refs++;
    return p;
}

void peer_unref(struct peer *p)
{
    assert(p->refs > 0);
    if (--p->refs > 0) {
        if (p->server)
            server_resume(p->server);
        return;
    }
    for (struct chunk *c = p->head; c;) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
    free(p->sending);
    free(p->in);
    free(p);
}

void peer_close(struct peer *p)
{
    if (p->closing)
        return;
    p->closing = true;
    uv_close((uv_handle_t *)&p->pipe, server_on_peer_closed);
}

static void write_next(struct peer *p);

static void peer_on_written(uv_write_t *req, int status)
{
    struct peer *p = container_of(req, struct peer, write);
    p->out_bytes -= p->sending->bytes;
    free(p->sending);
    p->sending = NULL;
    if (status < 0)
        peer_close(p);
    else
        write_next(p);
}

/* One chunk is with libuv at a time, so that stream frames behind it can still be dropped. */
static void write_next(struct peer *p)
{
    if (p->closing || p->sending)
        return;
    struct chunk *c = p->head;
    if (!c) {
        if (p->draining)
            peer_close(p);
        return;
    }
    p->head = c->next;
    if (!p->head)
        p->tail = &p->head;
    if (c->stream)
        p->stream_bytes -= c->bytes;
    p->sending = c;
    uv_buf_t buf = uv_buf_init((char *)c->data, (unsigned)c->bytes);
    if (uv_write(&p->write, (uv_stream_t *)&p->pipe, &buf, 1, peer_on_written) < 0)
        peer_close(p);
}

/* The next frame that is sent says how many are missing before it. */
static void tell_lost(struct peer *p, struct chunk *after, uint64_t lost)
{
    while (after && !after->stream)
        after = after->next;
    if (!after) {
        p->lost += lost;
        return;
    }
    after->lost += lost;
    wire_tag_set_lost(after->data, after->lost);
}

/* Oldest first, until the rest fits. */
static void drop_streams(struct peer *p)
{
    struct chunk **at = &p->head;
    while (*at && p->stream_bytes > SERVER_STREAM_MAX) {
        struct chunk *c = *at;
        if (!c->stream) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        if (!c->next)
            p->tail = at;
        p->stream_bytes -= c->bytes;
        p->out_bytes -= c->bytes;
        tell_lost(p, c->next, 1 + c->lost);
        free(c);
    }
}

static void append(struct peer *p, struct chunk *c)
{
    *p->tail = c;
    p->tail = &c->next;
    p->out_bytes += c->bytes;
    if (c->stream) {
        p->stream_bytes += c->bytes;
        drop_streams(p);
    }
    if (p->out_bytes > SERVER_REPLY_MAX || !server_unread_fits(p->server, p)) {
        log_warn("peer closed: it does not read its replies pid=%ld uid=%ld queued_bytes=%zu",
                 (long)p->pid, (long)p->uid, p->out_bytes);
        peer_close(p);
        return;
    }
    write_next(p);
}

/* A frame in up to two parts. */
struct frame {
    uv_buf_t part[2];
    unsigned parts;
    bool stream;
    uint64_t lost;
};

/* What is left of a frame after its first `taken` bytes; a begun frame must be finished. */
static struct chunk *copy_rest(const struct frame *f, size_t taken)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < f->parts; i++)
        bytes += f->part[i].len;
    struct chunk *c = malloc(sizeof(*c) + bytes - taken);
    if (!c)
        return NULL;
    *c = (struct chunk){.bytes = bytes - taken, .lost = f->lost, .stream = f->stream && taken == 0};
    uint8_t *to = c->data;
    for (unsigned i = 0; i < f->parts; i++) {
        size_t skip = taken < f->part[i].len ? taken : f->part[i].len;
        to = mempcpy(to, f->part[i].base + skip, f->part[i].len - skip);
        taken -= skip;
    }
    return c;
}

/* At once where the socket takes it, which is nearly always; what is left is copied. */
static void send_frame(struct peer *p, const struct frame *f)
{
    size_t bytes = 0;
    int n = 0;
    for (unsigned i = 0; i < f->parts; i++)
        bytes += f->part[i].len;
    if (!p->sending && !p->head) {
        n = uv_try_write((uv_stream_t *)&p->pipe, f->part, f->parts);
        if (n == (int)bytes)
            return;
        if (n < 0 && n != UV_EAGAIN) {
            peer_close(p);
            return;
        }
    }
    struct chunk *c = copy_rest(f, n > 0 ? (size_t)n : 0);
    if (c)
        append(p, c);
    else
        peer_close(p);
}

static struct frame whole_frame(const struct wire_out *o)
{
    return (struct frame){.part = {uv_buf_init((char *)o->data, (unsigned)o->bytes)}, .parts = 1};
}

/* An answer that fits into no frame is our fault, but the peer must not wait for ever. */
static bool finish(struct peer *p, struct wire_out *o)
{
    struct err e = {0};
    if (wire_out_finish(o, &e) == 0)
        return true;
    log_error("answer too long pid=%ld", (long)p->pid);
    err_set(&e, WATTQ_E_LIMIT, "the answer does not fit into one frame");
    err_next(&e, "ask for less with limit");
    peer_refuse(p, 0, &e);
    return false;
}

void peer_send(struct peer *p, struct wire_out *o)
{
    if (peer_closing(p) || !finish(p, o))
        return;
    struct frame f = whole_frame(o);
    send_frame(p, &f);
}

void peer_stream_tagged(struct peer *p, int64_t id, const struct wire_out *o)
{
    if (peer_closing(p))
        return;
    struct wire_tag tag;
    wire_tag_init(&tag, o, id, p->lost);
    size_t bytes = 0;
    const uint8_t *shared = wire_shared(o, &bytes);
    /* libuv's buffers are not const, though it only reads from them here. */
    struct frame f = {
        .part = {uv_buf_init((char *)tag.data, (unsigned)tag.bytes),
                 uv_buf_init((char *)(uintptr_t)shared, (unsigned)bytes)},
        .parts = 2,
        .stream = true,
        .lost = p->lost,
    };
    p->lost = 0;
    send_frame(p, &f);
}

static void put_error(struct wire_out *o, int64_t id, const struct err *e)
{
    wire_out_reset(o);
    wire_put_int(o, "id", id);
    wire_begin_map(o, "error");
    wire_put_str(o, "code", err_name(e->code));
    wire_put_str(o, "text", e->text[0] ? e->text : err_name(e->code));
    if (e->next[0])
        wire_put_str(o, "next", e->next);
    wire_end(o);
}

void peer_send_error(struct peer *p, int64_t id, const struct err *e)
{
    struct wire_out o CLEANUP(wire_out_free) = {0};
    put_error(&o, id, e);
    peer_send(p, &o);
}

void peer_refuse(struct peer *p, int64_t id, const struct err *e)
{
    if (peer_closing(p))
        return;
    uv_read_stop((uv_stream_t *)&p->pipe);
    peer_send_error(p, id, e);
    p->draining = true;
    p->since_mono_ns = clock_mono_ns();
    server_watch(p->server);
    write_next(p);
}
