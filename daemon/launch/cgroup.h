/* One cgroup v2 leaf per run: membership that setsid and double forks cannot leave, one kill for all of
 * it, freezing, CPU time of processes already gone. Needs no controller: kill, freeze, events and
 * cpu.stat are part of every cgroup. Blocking calls on a pseudo file system, any thread. */
#ifndef DAEMON_LAUNCH_CGROUP_H
#define DAEMON_LAUNCH_CGROUP_H

#include <sys/types.h>

#include "common/err.h"

/* Where leaves can be made: $WATTQ_CGROUP if set ("none" = nowhere), else `hint` if it names a directory
 * or is "none", else our own cgroup by /proc/self/cgroup and mountinfo. Only a directory that statfs
 * calls cgroup2 counts: on hybrid systems /sys/fs/cgroup is a tmpfs in which mkdir works and means
 * nothing. 0 with the path, or 1 = none here. */
int cgroup_find(const char *hint, char *path, size_t cap);
/* Can a leaf be made there, and a process put into it? Tries with a child of ours. */
bool cgroup_usable(const char *base);

/* Lets leaves of base have limits, as far as the controllers are there: memory and pids are enabled for its
 * children. cgroup v2 allows that only where no process is in base itself: should only the caller be, it moves
 * into a leaf of its own first (about 10 ms). Nothing happens where it cannot be done. */
void cgroup_enable(const char *base);

/* A leaf. fd is a CLOEXEC O_PATH descriptor of its directory; -1 = there is none. */
struct cgroup {
    int fd;
    char path[512];
};

/* Make base/wattq-<run>-<pid of the caller>. 0, or < 0 with c->fd = -1. */
int cgroup_create(struct cgroup *c, const char *base, int64_t run_id, struct err *e) MUST_USE;
/* Open one made by somebody else: its last component must begin with "wattq-". */
int cgroup_open(struct cgroup *c, const char *path, struct err *e) MUST_USE;
void cgroup_close(struct cgroup *c); /* forgets it, the leaf stays */
void cgroup_remove(
    struct cgroup *c); /* with what sub-cgroups the run made, if empty; then closes */

/* Moves a process in. Waits for an RCU grace period in the kernel: about 10 ms. */
int cgroup_add(const struct cgroup *c, pid_t pid, struct err *e) MUST_USE;
/* fork() whose child begins inside the leaf (clone3, Linux 5.7), which costs nothing; < 0 with errno where
 * that cannot be done: then fork and cgroup_add. Only for programs without threads: the child runs no
 * atfork handlers. */
pid_t cgroup_fork(const struct cgroup *c);
/* The same for a child whose end sends no signal and that waitpid sees with __WALL only, until it execs; c->fd -1 =
 * wherever we are. *inside = it is in the leaf; else cgroup_add. */
pid_t cgroup_fork_unseen(const struct cgroup *c, bool *inside);
bool cgroup_has_self(const struct cgroup *c); /* is this process in it */
/* Lets uid end and freeze what is in it, and everybody read what it counts. 0, or -1 with errno. */
int cgroup_hand_over(const struct cgroup *c, uid_t uid);
/* Limits of all its processes together, 0 = none. Each needs its controller, which whoever made the parent has
 * to have enabled for its children; missing says what could not be set. */
struct cgroup_missing {
    bool memory, pids;
};
void cgroup_limit(const struct cgroup *c, int64_t mem_max_bytes, int64_t pids_max,
                  struct cgroup_missing *missing);
/* Every process of the leaf and below, at most cap; returns how many there are. Zombies do not count. */
size_t cgroup_pids(const struct cgroup *c, pid_t *pids, size_t cap);
bool cgroup_populated(const struct cgroup *c);
int cgroup_kill(const struct cgroup *c);                /* SIGKILL to all, frozen or not; 0 or -1 */
int cgroup_freeze(const struct cgroup *c, bool frozen); /* asked for; 0 or -1 */
int64_t cgroup_cpu_us(const struct cgroup *c);          /* -1 = unknown */
int64_t cgroup_oom_kills(const struct cgroup *c);       /* -1 = no memory controller here */
int64_t cgroup_mem_peak_bytes(const struct cgroup *c);  /* -1 = as above, or Linux before 5.19 */
int64_t cgroup_pids_refused(const struct cgroup *c); /* forks above the limit; -1 = no controller */

#endif
