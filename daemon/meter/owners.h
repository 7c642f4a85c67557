/* Who else uses the CPUs: the CPU time of every process that belongs to no run, kept per owner - a login's
 * user, a container, a service. What is said of a run's neighbours, and whether the machine is calm, comes
 * from here.
 *
 * A scan reads /proc once: utime + stime of each process and what it grew since the scan before. A process
 * that ends between two scans takes its last stretch with it, and one that begins and ends between them is
 * not seen at all: shares are lower bounds. Descendants of a shepherd of our own user are
 * runs and are left out, as are this daemon and kernel threads.
 * source: proc(5), /proc/pid/stat fields 4, 14, 15, 22 (USER_HZ); /proc/pid/cgroup; /proc/pid/status Uid.
 *
 * Any thread; a lock of its own. A scan of some hundred processes takes milliseconds: never on the loop. */
#ifndef DAEMON_METER_OWNERS_H
#define DAEMON_METER_OWNERS_H

#include "common/err.h"
#include "common/users.h"

#define OWNERS_MAX       64 /* distinct owners that are kept apart; more are "others" */
#define OWNERS_NAME_MAX  USERS_NAME_MAX
#define OWNERS_PROCS_MAX 32768

enum owner_kind { OWNER_LOGIN, OWNER_CONTAINER, OWNER_SERVICE };
const char *owner_kind_name(enum owner_kind k); /* "login" */

struct owner_use {
    enum owner_kind kind;
    char name[OWNERS_NAME_MAX]; /* user, container, unit */
    int64_t busy_us;            /* CPU time in the stretch that is asked about */
    int64_t since_ns;           /* owners_now: CLOCK_BOOTTIME, at work without a pause since then */
};

struct owners;

/* root: "" for the real /proc; a directory that holds a proc of its own is read instead (tests). period_ns: how far apart the caller
 * means to scan; what calm is measured in. */
struct owners *owners_new(const char *root, int64_t period_ns);
void owners_free(struct owners *o); /* NULL is fine */
int64_t owners_period_ns(const struct owners *o);
int64_t owners_cpus(const struct owners *o); /* logical ones */

/* Look now. Scans closer than 20 ms to the one before do nothing. now_ns: CLOCK_BOOTTIME. */
void owners_scan(struct owners *o, int64_t now_ns);

/* What has gathered since the take before and is not next to nothing (1 % of one CPU, and 10 ms): at most
 * OWNERS_MAX rows into out, the stretch into t0 and t1. Empties it. 0 rows: t0, t1 are still set. */
size_t owners_take(struct owners *o, struct owner_use *out, int64_t *t0_ns, int64_t *t1_ns);
/* How long the stretch of the next take would be; 0 = nothing has been scanned yet. */
int64_t owners_gathered_ns(struct owners *o);

/* The newest interval between two scans: rows as above, most at work first, its length into *ns (0 = not
 * yet two scans). */
size_t owners_now(struct owners *o, struct owner_use *out, int64_t *ns);
/* For how long all of them together have used at most that part of all CPUs, up to the newest scan; -1 =
 * they use more now, or nobody has looked yet. At most an hour is remembered. */
int64_t owners_calm_ns(struct owners *o, int64_t ppm);
/* Their part of all CPUs in the newest interval; -1 = not known yet. */
int64_t owners_share_ppm(struct owners *o);

#endif
