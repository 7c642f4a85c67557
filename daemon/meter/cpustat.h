/* Busy time of all CPUs together, from the first line of /proc/stat.
 * source: proc(5); values in USER_HZ ticks (10 ms). user and nice already contain guest and guest_nice,
 * which are therefore not added; idle and iowait are not work; steal is other machines' work. */
#ifndef DAEMON_METER_CPUSTAT_H
#define DAEMON_METER_CPUSTAT_H

#include "daemon/meter/source.h"

/* <sysfs_root>/proc/stat where a fixture has one, else /proc/stat. A descriptor, or -1. */
int cpustat_open(const struct meter_config *cfg);
/* Ticks since boot. READING_OK, or why not. */
struct reading cpustat_busy_ticks(int fd);
int64_t cpustat_hz(void);

#endif
