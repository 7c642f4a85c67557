#include "daemon/meter/cpustat.h"

#include "daemon/meter/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 256
#define FIELDS     7 /* user nice system idle iowait irq softirq */

int cpustat_open(const struct meter_config *cfg)
{
    char *fixture CLEANUP(base_freep) =
        base_printf("%s/proc/stat", cfg->sysfs_root ? cfg->sysfs_root : "");
    int fd = open(fixture, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : open("/proc/stat", O_RDONLY | O_CLOEXEC);
}

struct reading cpustat_busy_ticks(int fd)
{
    static const bool work[FIELDS] = {true, true, true, false, false, true, true};
    char line[LINE_BYTES];
    ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
    if (n < 0) {
        return (struct reading){.state = attr_state(errno)};
    }
    line[n] = '\0';
    struct reading r = {.state = READING_GARBLED};
    if (strncmp(line, "cpu ", 4) != 0) {
        return r;
    }
    char *p = line + 4;
    for (int i = 0; i < FIELDS; i++) {
        char *end = NULL;
        errno = 0;
        long long ticks = strtoll(p, &end, 10);
        if (end == p || ticks < 0 || errno != 0) {
            return r;
        }
        r.value += work[i] ? ticks : 0;
        p = end;
    }
    r.state = READING_OK;
    return r;
}

int64_t cpustat_hz(void)
{
    long hz = sysconf(_SC_CLK_TCK);
    return hz > 0 ? hz : 100;
}
