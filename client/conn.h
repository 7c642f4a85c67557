/* One blocking connection to wattqd: finds the socket, checks who listens, says hello, then requests and
 * replies. Requests are answered in order; a stream is read with conn_recv until its last frame.
 * Before anything is sent the server's uid is checked by SO_PEERCRED. We ourselves, root and the user wattq may see
 * an environment. Somebody else's wattqd is talked to only when its socket was named, and lies in a directory of
 * that user's own, so that nobody else can have put it there; what would carry an environment is not sent to
 * it. Nor is a program run that such a one, or the user wattq, names, unless root put it where it is.
 * Single-threaded. */
#ifndef CLIENT_CONN_H
#define CLIENT_CONN_H

#include "common/wire.h"

struct conn;

/* The socket's path into out[WATTQ_PATH_MAX]: `given` (--socket), else $WATTQ_SOCKET, else where this user's daemon
 * puts it by itself (common/places.h). WATTQ_E_USAGE for one that no socket can have. */
int conn_path(const char *given, char *out, struct err *e) MUST_USE;

/* Where no socket is named and no daemon of the user's own listens: the machine's (PLACES_SYSTEM_SOCKET).
 * WATTQ_E_NO_DAEMON with the command that starts one; WATTQ_E_FORBIDDEN when somebody else listens. */
int conn_open(struct conn **out, const char *given, struct err *e) MUST_USE;
/* The uid whose wattqd it is, when that is none of those who may see an environment; -1 = it is. */
int64_t conn_stranger(const struct conn *c);
void conn_close(struct conn *c); /* NULL is fine */
void conn_closep(struct conn **c);

const struct wire_val *conn_hello(const struct conn *c); /* the reply to hello; lives with c */
int conn_fd(const struct conn *c);                       /* for poll */
/* The wattq-train of this daemon, to be run by us; NULL = it named none that we would run. */
const char *conn_train_path(const struct conn *c);

/* A request: conn_begin opens the frame with op and id; put the keys, then conn_send (WATTQ_E_FORBIDDEN for an
 * environment to a stranger). */
struct wire_out *conn_begin(struct conn *c, const char *op);
int conn_send(struct conn *c, struct err *e) MUST_USE;
/* Next reply; an error reply becomes that error. WATTQ_E_NO_DAEMON when the daemon went away. */
int conn_recv(struct conn *c, struct wire_msg **out, struct err *e) MUST_USE;
/* Is a whole reply here (or an end of file)? Waits at most timeout_ms (-1 = for ever).
 * 1 yes, 0 time is up or a signal came, < 0 failed. */
int conn_poll(struct conn *c, int timeout_ms, struct err *e) MUST_USE;
/* conn_send and the first reply. */
int conn_call(struct conn *c, struct wire_msg **out, struct err *e) MUST_USE;
bool conn_more(const struct wire_msg *m); /* do further frames of this answer follow? */

#endif
