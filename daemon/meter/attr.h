/* One number in a sysfs or procfs file, kept open and read in place. Used by the file-based sources.
 * Owns one file descriptor. Runs on whichever thread its source runs on; not shared.
 *
 * A file that cannot be read is tried again every ATTR_RETRY_NS of sampling time, not at every tick: a
 * daemon that was started before `wattq meters allow` picks the meter up by itself, and an unreadable
 * file costs nothing meanwhile. */
#ifndef DAEMON_METER_ATTR_H
#define DAEMON_METER_ATTR_H

#include "daemon/meter/source.h"

#define ATTR_RETRY_NS   (10 * NS_PER_S)
#define ATTR_TEXT_BYTES 64 /* longest number with its surroundings; more is garbled */

struct attr {
    char *path; /* owned */
    int fd;     /* -1 while it cannot be opened */
    enum reading_state state;
    int64_t retry_ns; /* do not touch the file before this instant; 0 = at once */
    int (*open_fd)(void *arg, const char *name, int flags); /* NULL = open(2) */
    void *open_arg;
};

/* What errno of a failed open or read means for a reading. */
enum reading_state attr_state(int errnum);
/* A whole number in decimal with optional sign, one optional newline and nothing else. Refuses "",
 * "\n", "12 W", "0x1", numbers beyond int64. */
bool attr_parse(const char *text, size_t bytes, int64_t *out);
/* Values that drivers return for "I do not know": 0xFFFFFFFF, in its own unit and times 1000 and
 * 1000000 (ACPI power meters show 4294967295000 uW), INT32_MAX times 1000, INT64_MAX.
 * source: facts on meters, lesson 26. */
bool attr_sentinel(int64_t value);

/* Takes over nothing; copies the path. The file is opened at the first read. */
void attr_init(struct attr *a, const char *path);
/* The same for a file that only root may read: opened through cfg->open_fd where there is one. cfg need
 * not outlive the call. */
void attr_init_root(struct attr *a, const char *path, const struct meter_config *cfg);
void attr_fini(struct attr *a);
/* Value or reason. Sentinels are READING_IMPLAUSIBLE and keep their value. boot_ns paces the retries. */
struct reading attr_read(struct attr *a, int64_t boot_ns);

/* open(2), or what stands for it in cfg (meter_config.open_fd). */
int attr_open(const struct meter_config *cfg, const char *name, int flags);

/* For discovery: the number in a file now, or the reason. */
struct reading attr_now(const char *path);
struct reading attr_once(const char *dir, const char *name);
/* First line of dir/name without its newline. False when it cannot be read or does not fit. */
bool attr_text(const char *dir, const char *name, char *out, size_t cap);
/* The same with every line of it. */
bool attr_whole(const char *dir, const char *name, char *out, size_t cap);

/* Has the kernel put that device to sleep? power_dir: its "power" directory, NULL = it has none. To ask does
 * not wake it; to read almost anything else of it does. */
bool attr_suspended(const char *power_dir);

/* Where this machine's (or the fixture's) sysfs is: "<root>/sys", or root itself when it has no sys
 * below it. Caller frees. */
char *attr_sysfs(const struct meter_config *cfg);
/* A uid from parts; one longer than the field keeps its tail and gets a hash of the whole in front, so
 * that two long paths never meet in one uid. */
void attr_uid(struct channel_desc *d, const char *fmt, ...) PRINTF(2, 3);

/* desc.driver of something the kernel itself drives: "coretemp, Linux 6.1.0". */
void attr_driver(struct channel_desc *d, const char *name);

#endif
