/* Meters that only root may open, from a fixed list, as descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/launch/launcher_private.h"
#include "daemon/meter/perf_text.h"

#define PMU_DIR "/sys/bus/event_source/devices"

/* [A-Za-z0-9_:-]+ without a dot, so never "..": one part of a path, or of a perf name without ':'. */
static bool is_plain(const char *s, size_t n, bool colons)
{
    for (size_t i = 0; i < n; i++) {
        bool word = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
                    (s[i] >= '0' && s[i] <= '9') || s[i] == '-' || s[i] == '_';
        if (!word && !(colons && s[i] == ':'))
            return false;
    }
    return n > 0 && n < 64;
}

/* ".../powercap/CONTROL/ZONE[/ZONE]/energy_uj" below /sys, after links were resolved: the last two to four
 * parts behind "powercap". */
static bool is_energy(const char *name)
{
    const char *p = strncmp(name, "/sys/", 5) == 0 ? strstr(name, "/powercap/") : NULL;
    int parts = 0;
    if (!p || strstr(name, "..") || strstr(name, "/./") || strstr(name, "//"))
        return false;
    for (p += strlen("/powercap/"); strcmp(p, "energy_uj") != 0; parts++) {
        size_t n = strcspn(p, "/");
        if (p[n] != '/' || !is_plain(p, n, true))
            return false;
        p += n + 1;
    }
    return parts >= 2 && parts <= 3;
}

static bool is_bmc(const char *name)
{
    static const char *const devices[] = {"/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0"};
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        if (strcmp(name, devices[i]) == 0)
            return true;
    return false;
}

struct perf_name {
    char pmu[16], event[64];
    int cpu;
};

static bool split_perf(const char *name, struct perf_name *out)
{
    if (strncmp(name, "perf:", 5) != 0)
        return false;
    const char *pmu = name + 5;
    size_t pmu_n = strcspn(pmu, ":");
    const char *event = pmu + pmu_n + (pmu[pmu_n] == ':');
    size_t event_n = strcspn(event, ":");
    const char *cpu = event + event_n + (event[event_n] == ':');
    size_t cpu_n = strspn(cpu, "0123456789");
    if (pmu_n >= sizeof(out->pmu) || !is_plain(event, event_n, false) || cpu_n < 1 || cpu_n > 6 ||
        cpu[cpu_n])
        return false;
    memcpy(out->pmu, pmu, pmu_n);
    out->pmu[pmu_n] = 0;
    memcpy(out->event, event, event_n);
    out->event[event_n] = 0;
    out->cpu = atoi(cpu);
    return strcmp(out->pmu, "power") == 0 || strcmp(out->pmu, "power_core") == 0;
}

bool launcher_meter_allowed(const char *name)
{
    struct perf_name p;
    return is_energy(name) || is_bmc(name) || split_perf(name, &p);
}

/* ---- perf ---------------------------------------------------------------------------------------- */

static bool pmu_text(const struct perf_name *p, const char *dir, const char *name, char *out,
                     size_t cap)
{
    char path[256];
    int n = snprintf(path, sizeof(path), PMU_DIR "/%s/%s%s", p->pmu, dir, name);
    int fd CLEANUP(base_closep) =
        n > 0 && (size_t)n < sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t got = fd >= 0 ? read(fd, out, cap - 1) : -1;
    if (got <= 0)
        return false;
    out[got] = 0;
    out[strcspn(out, "\n")] = 0;
    return true;
}

static bool encode(const struct perf_name *p, struct perf_config *c)
{
    char text[128], name[32], format[64];
    uint64_t value = 0;
    int rc;
    if (!pmu_text(p, "events/", p->event, text, sizeof(text)))
        return false;
    for (const char *rest = text; (rc = perf_term_next(&rest, name, sizeof(name), &value)) > 0;)
        if (!is_plain(name, strlen(name), false) ||
            !pmu_text(p, "format/", name, format, sizeof(format)) ||
            !perf_config_put(c, format, value))
            return false;
    return rc == 0;
}

static int open_perf(const struct perf_name *p)
{
    char type[32];
    struct perf_config c = {{0}};
    if (!pmu_text(p, "", "type", type, sizeof(type)) || !encode(p, &c)) {
        errno = ENOENT;
        return -1;
    }
    /* As daemon/meter/source_perf.c reads it. */
    struct perf_event_attr a = {
        .size = sizeof(a),
        .type = (uint32_t)strtoul(type, NULL, 10),
        .config = c.word[0],
        .config1 = c.word[1],
        .config2 = c.word[2],
        .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
    };
    return (int)syscall(SYS_perf_event_open, &a, -1, p->cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

int meters_open(const char *name)
{
    char path[PATH_MAX];
    struct perf_name p;
    struct stat st;
    if (split_perf(name, &p))
        return open_perf(&p);
    /* /sys/class/powercap/... is a link into /sys/devices/virtual/powercap/...: what counts is where it leads. */
    if (name[0] != '/' || !realpath(name, path))
        return -1;
    if (!is_energy(path) && !is_bmc(path)) {
        errno = EACCES;
        return -1;
    }
    int fd = open(path, (is_bmc(path) ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 &&
        (fstat(fd, &st) < 0 || !(is_bmc(path) ? S_ISCHR(st.st_mode) : S_ISREG(st.st_mode)))) {
        close(fd);
        errno = EACCES;
        return -1;
    }
    return fd;
}
