/* All processes of a run: the members of its cgroup, where there is one, and the descendants of its
 * shepherd by /proc. As the shepherd is a subreaper the second set is complete too, whatever called
 * setsid or was orphaned; it is only not atomic, so that everything here repeats until nothing new
 * appears. Signals go through pidfds checked against the process's start time: a recycled pid is never
 * hit. Blocking reads of /proc (about 10 us a process), any thread. */
#ifndef DAEMON_LAUNCH_SHEPHERD_TREE_H
#define DAEMON_LAUNCH_SHEPHERD_TREE_H

#include "daemon/launch/cgroup.h"

#define TREE_NO_ROOT (-1) /* 0 is the parent of init */

struct tree {
    struct cgroup cg; /* cg.fd = -1: there is none */
    pid_t root;  /* the shepherd: never a member itself; TREE_NO_ROOT = there is none any more */
    pid_t apart; /* a child of the shepherd that is none of the run's; 0 = there is none */
};

size_t tree_count(const struct tree *t);              /* live members; zombies do not count */
size_t tree_signal(const struct tree *t, int signal); /* to each member once; how many got it */
void tree_kill(const struct tree *t);                 /* SIGKILL; call again until it is empty */
void tree_freeze(const struct tree *t, bool frozen);
/* CPU time of all members and of those the root has waited for, in us; -1 = the root is gone. */
int64_t tree_cpu_us(const struct tree *t);

bool tree_is_alive(pid_t pid); /* there is such a process, and it is no zombie */

/* SIGKILL every process that has WATTQ_RUN_DIR=dir in its environment, with its descendants, until none
 * is left or 200 ms have gone: what a killed shepherd leaves where there is no cgroup. How many got it. */
size_t tree_kill_marked(const char *dir);

#endif
