/* Private to server.c and peer.c: one connection, its half frame and its unread output. */
#ifndef DAEMON_API_PEER_H
#define DAEMON_API_PEER_H

#include "daemon/api/server.h"

/* A frame, or what is left of one, that the socket did not take yet. */
struct chunk {
    struct chunk *next;
    size_t bytes;
    uint64_t lost; /* what a stream frame says under "lost" */
    bool stream;   /* begins with a tag (wire.h) and may be dropped: not begun, not a reply */
    uint8_t data[];
};

struct peer {
    uv_pipe_t pipe;
    uv_write_t write; /* one at a time, of the chunk in `sending` */
    struct server *server;
    struct peer *prev, *next; /* server's list */
    uid_t uid;
    pid_t pid;
    struct rights rights;
    void *data;
    unsigned refs;
    bool hello;    /* said it, in our version */
    bool draining; /* ends when the output is written */
    bool stalled;  /* not read from: too much that it asked for is under way */
    bool closing;
    int64_t since_mono_ns; /* of the connection without hello, half frame or draining; 0 = none */
    uint8_t *in;           /* half frame */
    size_t in_bytes, in_cap;
    struct chunk *sending;
    struct chunk *head, **tail;
    size_t out_bytes;    /* in sending and queue */
    size_t stream_bytes; /* in the queue, of frames that may be dropped */
    uint64_t lost;
};

/* Starts to close; ops hear of it in the last close callback. Idempotent. */
void peer_close(struct peer *p);
/* Answer with one error, then close when it is written. */
void peer_refuse(struct peer *p, int64_t id, const struct err *e);

/* server.c */
void server_resume(
    struct server *s); /* something that was under way is done: who was stalled may go on */
bool server_unread_fits(struct server *s,
                        const struct peer *p);   /* what waits for peers of that uid */
void server_watch(struct server *s);             /* some peer has a deadline */
void server_on_peer_closed(uv_handle_t *handle); /* last close callback of a peer */

#endif
