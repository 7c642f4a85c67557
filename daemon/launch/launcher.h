/* wattq-launcher: the only part of wattq that is root, in system mode only. One thread, poll; no libuv, no
 * msgpack, no SQLite; reads fixed records and sealed memory files, never a path a peer named.
 *
 * It listens on two SOCK_SEQPACKET sockets in a directory of root's (default /run/wattq-launcher):
 *   sign     0666, anybody: SIGN only. uid by SO_PEERCRED; root and uids below min_uid or without a passwd
 *            entry are refused. Per uid at most LAUNCHER_SIGN_RATE warrants a minute.
 *   control  0660 root:wattq, and SO_PEERCRED must be wattq's uid: START, STATUS, METER, EXEC_DIR.
 * Every record is answered by one record; a bad one by LAUNCHER_REFUSED with a sentence, then that
 * connection is closed; not so `control`, unless the record was malformed.
 *
 * START, in this order: record and descriptors (memfd sealed against every change; a connected Unix socket
 * for the shepherd) -> launch_block_read -> order_hash of what is in it -> warrant: genuine, this uid, in
 * time, this leaf, starts left -> user: passwd entry there, not refused -> what wattqd adds (extra_env, nice)
 * is on its list -> run's directory <runs>/<id> opened from our own configuration, O_NOFOLLOW, owner wattq ->
 * token above every token before -> journal record; while the disk takes it, log and metrics made anew,
 * O_EXCL|O_NOFOLLOW, owner the user, group wattq, 0640; the record is fsynced -> wattq-shepherd as root with those
 * files open and a launch block of our own making, forked and exec'd, or one that stands ready and is told now; it
 * becomes the user in the run's process and the daemon's user itself (user_switch.h). What fails before the journal
 * has used no token.
 *
 * After an answer to SIGN a shepherd is made ready (ready.h): a START is to be expected, and it would wait for that.
 *
 * The journal <state>/starts holds one fixed record per start (launcher_journal.h): the high-water mark of
 * tokens and the number of starts under each warrant come from it; it is rewritten without expired warrants
 * when it has grown. The key <state>/key (32 random bytes, 0600 root) is made at the first start.
 *
 * The launcher is a subreaper: should a shepherd be killed, the run's main process becomes ours and STATUS
 * tells how it ended (witness.h). Until then the run goes on: wattqd, which owns its cgroup's kill and freeze
 * files, decides. What is left of it afterwards is ended here. Restarting
 * the launcher loses that (lost(status)), and nothing else: runs and shepherds live in the tree of wattq-jobs
 * and need no launcher. */
#ifndef DAEMON_LAUNCH_LAUNCHER_H
#define DAEMON_LAUNCH_LAUNCHER_H

#include "common/warrant.h"

#define LAUNCHER_MAGIC     0x71746c77u /* "wltq", bumped with the layout */
#define LAUNCHER_SIGN_RATE 6000
#define LAUNCHER_TEXT_MAX  240

enum launcher_kind {
    LAUNCHER_SIGN = 1, /* client: warrant with version, n, starts_max and leaves set */
    LAUNCHER_START,    /* wattqd: run_id, token, warrant; descriptors: block, connection */
    LAUNCHER_STATUS,   /* token -> LAUNCHER_OK with state, wait_status */
    LAUNCHER_METER, /* text = the name of a file of a meter (below) -> LAUNCHER_OK with its descriptor; a
                       refusal has errno in `state` */
    LAUNCHER_EXEC_DIR, /* run_id, uid: the run's directory becomes that user's, group wattq, 02770, without
                          log, metrics, marks and state of wattqd's making (`wattq exec`) */
    LAUNCHER_OK = 64,
    LAUNCHER_REFUSED /* code (enum err code), text, next */
};

enum launcher_run_state {
    LAUNCHER_RUN_UNKNOWN, /* no such token since the launcher started */
    LAUNCHER_RUN_ALIVE,   /* shepherd or main process is there */
    LAUNCHER_RUN_ENDED,   /* the shepherd has gone by itself: its result is on disk */
    LAUNCHER_RUN_WITNESSED, /* the shepherd was killed and the main process has ended: wait_status, t_ns; what
                               was left of the run has been ended. Killed at the gate it has run nothing: see
                               the state file (result.h) */
    LAUNCHER_RUN_KILLED /* the shepherd was killed, and how the main process would have ended is not known: the
                           launcher had to end it (no cgroup), or nobody was told */
};

struct launcher_record {
    uint32_t magic;
    uint32_t kind;
    int64_t run_id, token, uid;
    int32_t code;
    int32_t state;
    int32_t wait_status; /* as waitpid gives it */
    int32_t pid;         /* of the shepherd, in the answer to START */
    int64_t t_ns;        /* CLOCK_BOOTTIME of the end that was witnessed */
    char text[LAUNCHER_TEXT_MAX];
    char next[LAUNCHER_TEXT_MAX];
    struct warrant warrant; /* SIGN, START and the answer to SIGN; sent up to its last leaf */
};

#define LAUNCHER_FDS_MAX 4 /* descriptors with one record */

/* Bytes that a record has on the wire: with its warrant where it has one (n > 0). */
size_t launcher_record_bytes(const struct launcher_record *r);
/* From untrusted bytes: magic, kind, length, a warrant exactly where the kind has one, strings that end.
 * WATTQ_E_PROTOCOL, or what warrant_parse says. */
int launcher_record_parse(struct launcher_record *r, const void *data, size_t bytes,
                          struct err *e) MUST_USE;
/* Send with descriptors / receive with at most max of them (CLOEXEC). A record that is refused, or that
 * came with more descriptors, leaves none open. Blocking when fd is. recv: 0; 1 = peer closed (errno 0), or
 * nothing to read yet on a nonblocking fd (errno EAGAIN). */
int launcher_send(int fd, const struct launcher_record *r, const int *fds, size_t n,
                  struct err *e) MUST_USE;
int launcher_recv(int fd, struct launcher_record *r, int *fds, size_t max, size_t *n,
                  struct err *e) MUST_USE;

/* For those who ask. Connect to <dir>/<name> ("sign", "control"), blocking, each call on it at most 5 s; the
 * peer must be root (WATTQ_E_FORBIDDEN else). WATTQ_E_UNAVAILABLE: no launcher is there. CLOEXEC fd or < 0. */
int launcher_connect(const char *dir, const char *name, struct err *e) MUST_USE;
/* 0 for LAUNCHER_OK; else what a refusal says, as an error of ours. */
int launcher_verdict(const struct launcher_record *answer, struct err *e) MUST_USE;
/* For clients: have runs signed; w->n, leaves and starts_max are set, the rest is filled. Blocking, at most
 * 5 s. */
int launcher_sign(const char *dir, struct warrant *w, struct err *e) MUST_USE;

/* Which files METER may open: fixed patterns, matched against the name after it was resolved.
 *   /sys/.../powercap/<control>/<zone>[/<zone>]/energy_uj    read only
 *   /dev/ipmi0, /dev/ipmi/0, /dev/ipmidev/0                  read and write
 *   perf:<pmu>:<event>:<cpu>                                  as meter_config.open_fd says; pmus power, power_core */
bool launcher_meter_allowed(const char *name);

#endif
