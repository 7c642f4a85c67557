/* Where things are. User mode: state in $XDG_STATE_HOME/wattq (~/.local/state/wattq), runtime in
 * $XDG_RUNTIME_DIR/wattq, else <state>/run; both 0700 and ours, verified. Network file systems are
 * refused with the option that helps (locks and fsync there cannot be trusted).
 * System mode: state in /var/lib/wattq, the socket /run/wattq/wattqd.sock, which systemd makes in a directory of
 * root's. State and runs are 0711: users reach their own runs' files, and see no names of others'. */
#ifndef DAEMON_PATHS_H
#define DAEMON_PATHS_H

#include "daemon/config.h"

struct paths {
    char state[WATTQ_PATH_MAX];
    char runtime[WATTQ_PATH_MAX];
    char socket[WATTQ_PATH_MAX];
    char database[WATTQ_PATH_MAX]; /* <state>/wattq.db */
    char backup[WATTQ_PATH_MAX];   /* <state>/backup.tmp: while a copy is being made */
    char runs[WATTQ_PATH_MAX];     /* <state>/runs */
    char envs[WATTQ_PATH_MAX];     /* <state>/env */
    char warrants[WATTQ_PATH_MAX]; /* <state>/warrants: system mode */
    char shepherd[WATTQ_PATH_MAX];
    char train[WATTQ_PATH_MAX];
    char meters[WATTQ_PATH_MAX]; /* wattq-meters */
};
/* Finds, creates and checks them. shared: the runtime directory may be open to others. */
int paths_init(struct paths *p, const struct config *c, bool shared, struct err *e) MUST_USE;
/* Others are to reach the socket: a runtime directory of ours becomes 0711, all else stays 0700.
 * WATTQ_E_FORBIDDEN, naming the directory on the way that is closed to them, with the option that helps. */
int paths_share(const struct paths *p, struct err *e) MUST_USE;
/* The single-instance lock <state>/wattqd.lock: an fd to keep; WATTQ_E_CONFLICT names the other's pid. */
int paths_lock(const struct paths *p, struct err *e) MUST_USE;

/* "NFS" and the like for a statfs f_type whose locks and fsync we do not trust; NULL = fine. */
const char *paths_network_fs(long type);

#endif
