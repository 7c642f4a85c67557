/* CPU time of runs as channels: a fixed set of slots, each a cumulative counter in us that keeps counting
 * from one occupant to the next, and one channel for the busy time of all CPUs together, so that what is
 * nobody's run can be told apart. Which run sat in a slot when is the store's `slot_owner`.
 *
 * Owns nothing but its memory and the duplicated file descriptors. Any thread; the sampler reads through
 * the `slots` source (meter_config.slots). A run is followed by its cgroup's cpu.stat where there is one;
 * else by /proc, as the largest CPU time its session and descendants have shown together so far: a
 * process that ends between two reads takes at most the last interval with it, and the counter never
 * goes back.
 * source: cgroup v2 cpu.stat usage_usec (us, moves in ms steps); proc(5) stat fields 14-17 (USER_HZ). */
#ifndef DAEMON_METER_SLOTS_H
#define DAEMON_METER_SLOTS_H

#include <sys/types.h>

#include "common/err.h"

#define SLOTS_MAX 64

struct slots;

struct slots *slots_new(size_t n); /* n <= SLOTS_MAX; the daemon uses 16 */
void slots_free(struct slots *s);  /* NULL is fine; after the meter */
size_t slots_count(const struct slots *s);

/* Put a run into a slot. cpu_stat_fd: its cgroup's cpu.stat (duplicated; caller keeps its own), or -1 to
 * follow `pid` and its descendants through /proc. What it has used so far is not counted: call it before
 * the gate opens. 0; WATTQ_E_CONFLICT when the slot is taken, WATTQ_E_IO. */
int slots_assign(struct slots *s, size_t slot, int cpu_stat_fd, pid_t pid, struct err *e) MUST_USE;
/* Take a last reading and empty the slot; its counter stands still until the next occupant. */
void slots_clear(struct slots *s, size_t slot);
/* In which slot the run of this shepherd sits; -1 = in none. */
int slots_find(struct slots *s, int64_t shepherd);
bool slots_taken(struct slots *s, size_t slot);
/* CPU time of a slot since slots_new, over all occupants, us. Reads now. */
int64_t slots_read(struct slots *s, size_t slot);

#endif
