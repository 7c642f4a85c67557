/* The socket: listener, peers, framing, budgets. Loop thread. Knows frames and replies, not what an
 * operation means (ops.h). Limits: 4 KiB before hello, WIRE_FRAME_MAX after; one global receive budget
 * of SERVER_RECEIVE_MAX; SERVER_PEERS_MAX connections, of which per uid SERVER_PEERS_UID, and of all guests
 * together SERVER_PEERS_GUEST, so that no guest keeps the owner out; 10 s for hello
 * and for the rest of a frame that was begun. A frame that breaks a limit is answered with one error,
 * then the connection ends.
 * A peer that asks faster than it is answered is not read from while SERVER_PENDING_MAX of its requests, or
 * SERVER_PENDING_UID of its uid's, are under way: references to it (peer_ref) are what counts them.
 * A peer that reads slowly: replies to its requests are queued up to SERVER_REPLY_MAX, and up to SERVER_UNREAD_UID of
 * one uid, then it is closed;
 * stream frames are dropped, oldest first, beyond SERVER_STREAM_MAX and counted.
 * Idle peers cost a few hundred bytes: everybody is read into one buffer, only half frames are kept. */
#ifndef DAEMON_API_SERVER_H
#define DAEMON_API_SERVER_H

#include <sys/types.h>
#include <uv.h>

#include "common/wire.h"
#include "daemon/api/rights.h"

#define SERVER_PEERS_MAX   4096
#define SERVER_PEERS_UID   2048
#define SERVER_PEERS_GUEST 1024        /* of everybody who is neither owner nor admin */
#define SERVER_RECEIVE_MAX (16u << 20) /* half frames of all peers together */
#define SERVER_REPLY_MAX   (8u << 20)  /* unread replies of one peer */
#define SERVER_STREAM_MAX  (64u << 10) /* unread stream frames of one peer */
#define SERVER_UNREAD_UID  (64u << 20) /* unread output of all peers of one uid that is no admin */
#define SERVER_PENDING_MAX 64          /* requests of one peer that are not answered yet */
#define SERVER_PENDING_UID 256         /* and of all peers of one uid that is no admin */
#define SERVER_PATIENCE_NS (10 * NS_PER_S)

struct server;
struct peer; /* one connection; freed in its last close callback */

struct server_config {
    const char
        *path;     /* socket to create (its directory exists); NULL = fds from socket activation */
    unsigned mode; /* of the socket file */
    /* One checked and decoded request; the first is always a hello of our version, which the callee
     * answers like any other. Borrowed for the call. */
    void (*on_request)(void *arg, struct peer *p, const struct wire_val *request);
    void (*on_close)(void *arg, struct peer *p); /* the last that is heard of it */
    void *arg;
    struct rights_policy policy; /* who is answered, and with which rights (rights.h) */
    int64_t patience_ns;         /* 0 = SERVER_PATIENCE_NS; tests shorten it */
};

/* Refuses a path over 107 bytes with the option that helps, a path somebody listens on
 * (WATTQ_E_CONFLICT); removes a dead socket file of ours. */
int server_open(struct server **out, uv_loop_t *loop, const struct server_config *cfg,
                struct err *e) MUST_USE;
void server_close(struct server *s, void (*closed)(void *arg), void *arg);
size_t server_peers(const struct server *s);

uid_t peer_uid(const struct peer *p); /* SO_PEERCRED at connect */
pid_t peer_pid(const struct peer *p);
const struct rights *peer_rights(const struct peer *p); /* decided at connect, for its life */
void *peer_data(const struct peer *p);                  /* ops' own state per connection */
void peer_set_data(struct peer *p, void *data);
/* Keep a peer's address valid over its close (a job in flight); peer_closing tells, sends do nothing. */
struct peer *peer_ref(struct peer *p);
void peer_unref(struct peer *p);
bool peer_closing(const struct peer *p);

/* Finish and send. The bytes are copied out; o can be reset and used again. */
void peer_send(struct peer *p, struct wire_out *o);
/* A frame of a stream, which many peers may get: o is finished (wire_out_finish) and stays as it is; `id`
 * and `lost` (frames dropped just before this one, because this peer was slow) are put in front. Written
 * at once where the socket takes it. */
void peer_stream_tagged(struct peer *p, int64_t id, const struct wire_out *o);
/* {"id":..,"error":{..}} */
void peer_send_error(struct peer *p, int64_t id, const struct err *e);
size_t peer_queued_bytes(const struct peer *p);

#endif
