/* /proc/PID/stat, the one parser of it in this daemon: who a process is, whose child, and what CPU time it
 * has used. Pure but for the read; any thread.
 * source: proc(5), /proc/pid/stat; times in clock ticks (USER_HZ, cpustat_hz). */
#ifndef DAEMON_METER_PROC_STAT_H
#define DAEMON_METER_PROC_STAT_H

#include "common/base.h"

#include <sys/types.h>

struct proc_stat {
    char name[64];        /* field 2; the kernel cuts a program's at 15 bytes */
    char state;           /* field 3: 'Z' zombie, 'X' dead */
    pid_t ppid;           /* field 4 */
    bool kernel;          /* field 9: a kernel thread (PF_KTHREAD) */
    int64_t ticks;        /* fields 14 + 15: own user and system time */
    int64_t waited_ticks; /* fields 16 + 17: that of the children it has waited for */
    uint64_t start_ticks; /* field 22, since boot: with the pid, who it is */
};

/* False: this is no such line, or a time is beyond what 64 bits hold. out is then undefined. */
bool proc_stat_parse(const char *text, struct proc_stat *out);
/* root: "" or NULL for the real /proc, else a directory that holds one. False = gone, hidden or garbled;
 * errno is that of the open, or 0. */
bool proc_stat_read(const char *root, int64_t pid, struct proc_stat *out);

/* Its effective user, by the owner of its directory; -1 = gone or hidden. */
int64_t proc_stat_uid(const char *root, int64_t pid);

/* The first cap-1 bytes of <root>/proc/PID/NAME, ended by 0. Bytes read; -1 with errno. */
ssize_t proc_stat_slurp(const char *root, int64_t pid, const char *name, char *text, size_t cap);

#endif
