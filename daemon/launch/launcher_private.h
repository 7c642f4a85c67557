/* Between the files of wattq-launcher only. One thread; struct launcher lives in main. */
#ifndef DAEMON_LAUNCH_LAUNCHER_PRIVATE_H
#define DAEMON_LAUNCH_LAUNCHER_PRIVATE_H

#include <sys/types.h>

#include "daemon/launch/launcher.h"
#include "daemon/launch/launcher_journal.h"
#include "daemon/launch/witness.h"

#define WARRANT_DAYS   92 /* how long a warrant is good; what waits longer must be submitted again */
#define WARRANT_RETRY  16 /* starts for each of WARRANT_RUNS_MAX runs, at most */
#define SIGN_PEERS     64
#define SIGN_PEERS_UID 8 /* of one user at a time */
#define CONTROL_PEERS  8
#define PEERS          (SIGN_PEERS + CONTROL_PEERS)
#define SIGN_IDLE_NS   (5 * NS_PER_S) /* a client that says nothing for so long is let go */
#define ENDED_KEPT     4096           /* ends that STATUS still knows */

struct launcher_config {
    const char *runs;    /* one directory per run below it, made by wattqd */
    const char *state;   /* key and journal: root's alone */
    const char *run_dir; /* the two sockets */
    const char *libexec; /* wattq-shepherd, wattq-train */
    const char *cgroup;  /* directory, file that names one, or "none" */
    const char *pam_dir; /* service files; NULL = the system's */
    const char *daemon_user;
    int64_t min_uid;
    bool allow_root;
};

struct launcher_peer {
    int fd; /* -1 = free */
    bool control;
    uid_t uid;
    int64_t until_ns; /* monotonic; INT64_MAX = stays */
};

/* A run that was started since we came up. */
struct launcher_child {
    struct launcher_child *next;
    int64_t token, run_id, uid;
    pid_t shepherd, main_pid; /* 0 = not known, or gone */
    int pipe_fd;              /* what the shepherd tells its witness (witness.h); -1 */
    char leaf[WITNESS_LEAF_MAX];
    enum launcher_run_state state;
    bool orphan;      /* its shepherd was killed */
    bool main_ended;  /* wait_status and t_ns are known */
    bool main_killed; /* by us */
    bool killed;      /* what was left of it, or all of it, is being ended */
    int wait_status;
    int64_t t_ns;
};

struct launcher_rate {
    uid_t uid;
    uint32_t n;
    int64_t since_ns;
};

struct launcher {
    struct launcher_config cfg;
    uid_t daemon_uid;
    gid_t daemon_gid;
    char cgroup[512]; /* "" = none */
    int shepherds_fd; /* the leaf shepherds live in, O_PATH; -1 */
    int ready_fd;     /* to one that stands ready (ready.h); -1 = none does */
    pid_t ready_pid;
    int runs_fd, state_fd;
    int sign_fd, control_fd, signal_fd;
    uint8_t key[SHA256_BYTES];
    struct journal journal;
    struct launcher_peer peers[PEERS];
    struct launcher_rate rates[256];
    struct launcher_child *children; /* newest first */
    bool leaves_left;                /* some leaf could not be removed yet */
    bool stop;
};

/* launcher.c: until SIGTERM. */
int launcher_open(struct launcher *l, struct err *e) MUST_USE;
int launcher_loop(struct launcher *l, struct err *e) MUST_USE;
void launcher_close(struct launcher *l);

/* launcher_key.c */
int key_open(struct launcher *l, bool anew, struct err *e) MUST_USE;
int key_sign(struct launcher *l, uid_t uid, struct warrant *w, struct err *e) MUST_USE;
/* A user we may act for: passwd entry, not root, not below min_uid. WATTQ_E_FORBIDDEN. */
int key_user(const struct launcher *l, int64_t uid, struct err *e) MUST_USE;

/* launcher_start.c. fds are closed by the caller. */
int start_run(struct launcher *l, const struct launcher_record *r, const int fds[2],
              pid_t *shepherd, struct err *e) MUST_USE;
int start_exec_dir(struct launcher *l, const struct launcher_record *r, struct err *e) MUST_USE;
/* Somebody has just had something signed, or a run is over: one more shepherd that stands ready, unless there is one. */
void start_ready(struct launcher *l);
void start_ready_reaped(struct launcher *l); /* a child has ended: was it that one? */

/* launcher_watch.c */
void watch_add(struct launcher *l, const struct launcher_record *r, pid_t shepherd, int pipe_fd);
void watch_reap(struct launcher *l); /* after SIGCHLD */
void watch_leaves(
    struct launcher *l); /* removes what is empty below cgroup; at start and while leaves_left */
void watch_status(const struct launcher *l, int64_t token, struct launcher_record *answer);
void watch_close(struct launcher *l);

/* launcher_meters.c: a descriptor, or -1 with errno. */
int meters_open(const char *name);

/* launcher_unit.c: what systemd wants of a service, without its library: libsystemd would bring four
 * compression libraries into a program that is root. source: sd_notify(3), sd_listen_fds(3). */
int unit_listen_fd(const char *name); /* a socket we were activated with, by its file name; -1 */
void unit_notify(const char *state);
int64_t unit_watchdog_ns(void); /* how often to say WATCHDOG=1; 0 = never */

#endif
