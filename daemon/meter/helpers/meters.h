/* Inside wattq-meters: the programs it looks after. One thread, a poll loop; no allocation after the start.
 *
 * Each program runs in a process group of its own, with nothing but its output and the error log open. One
 * that ends, or is killed because it printed nothing for too long or far too much, is started again after
 * 1 s, then 2 s ... 60 s; one that ran for a minute begins at 1 s again. */
#ifndef DAEMON_METER_HELPERS_METERS_H
#define DAEMON_METER_HELPERS_METERS_H

#include <sys/types.h>

#include "daemon/meter/line.h"

struct meters_child {
    const struct line_meter *meter;
    int64_t silence_ns; /* printed nothing for so long: killed */
    pid_t pid;          /* 0 = is not running */
    int fd;             /* its output; -1 */
    int64_t started_ns; /* CLOCK_MONOTONIC */
    int64_t heard_ns;   /* last byte */
    int64_t retry_ns;   /* when it is started (again) */
    int64_t pause_ns;   /* before the next start */
    int64_t second_ns;  /* of the count below */
    int lines;          /* in this second */
    int64_t flow;       /* bytes in this second */
    bool garbled;       /* one line that is none of the protocol has been logged since the start */
    char text[LINE_MAX + 1];
    size_t bytes;
    bool overlong;
};

/* Where lines go: called with a whole line "METER BOOTNS LINE\n". */
typedef void (*meters_sink)(void *arg, const char *line, size_t bytes);

void meters_child_init(struct meters_child *c, const struct line_file *f, size_t i);
/* Start, time out, give up: what is due at that time. */
void meters_child_tend(struct meters_child *c, int64_t now_ns, meters_sink sink, void *arg);
/* There is something to read, or its end. */
void meters_child_read(struct meters_child *c, int64_t now_ns, meters_sink sink, void *arg);
/* The instant it wants to be tended at the latest. */
int64_t meters_child_due(const struct meters_child *c);
void meters_child_kill(struct meters_child *c, int signal); /* the whole group */

#endif
