#include "daemon/meter/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum reading_state attr_state(int errnum)
{
    switch (errnum) {
    case EACCES:
    case EPERM:
        return READING_NO_PERMISSION;
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ENOTDIR:
        return READING_GONE;
    case ENODATA:
        return READING_DISABLED;
    case EOPNOTSUPP:
    case ENOSYS:
        return READING_UNSUPPORTED;
    default:
        return READING_IO;
    }
}

bool attr_parse(const char *text, size_t bytes, int64_t *out)
{
    size_t i = 0;
    bool negative = bytes > 0 && text[0] == '-';
    if (negative) {
        i++;
    }
    if (bytes > 0 && text[bytes - 1] == '\n') {
        bytes--;
    }
    if (i >= bytes) {
        return false;
    }
    int64_t v = 0;
    for (; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, text[i] - '0', &v)) {
            return false;
        }
    }
    *out = negative ? -v : v;
    return true;
}

bool attr_sentinel(int64_t value)
{
    static const int64_t known[] = {INT64_C(4294967295), INT64_C(4294967295000),
                                    INT64_C(4294967295000000), INT64_C(2147483647000), INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (value == known[i]) {
            return true;
        }
    }
    return false;
}

void attr_init(struct attr *a, const char *path)
{
    *a = (struct attr){.path = base_strdup(path), .fd = -1, .state = READING_NOT_YET};
}

void attr_init_root(struct attr *a, const char *path, const struct meter_config *cfg)
{
    attr_init(a, path);
    a->open_fd = cfg->open_fd;
    a->open_arg = cfg->open_arg;
}

int attr_open(const struct meter_config *cfg, const char *name, int flags)
{
    return cfg->open_fd ? cfg->open_fd(cfg->open_arg, name, flags) : open(name, flags);
}

void attr_fini(struct attr *a)
{
    base_closep(&a->fd);
    base_freep(&a->path);
}

static struct reading fail(struct attr *a, enum reading_state state, int64_t boot_ns)
{
    /* A sensor that is switched off answers again through the same descriptor; anything else is
     * reopened, because the file behind it may be another one by then. */
    if (state != READING_DISABLED && a->fd >= 0) {
        (void)close(a->fd);
        a->fd = -1;
    }
    a->state = state;
    a->retry_ns = boot_ns + ATTR_RETRY_NS;
    return (struct reading){.state = state};
}

static struct reading decode(const char *text, size_t bytes)
{
    struct reading r = {.state = READING_GARBLED};
    if (bytes < ATTR_TEXT_BYTES && attr_parse(text, bytes, &r.value)) {
        r.state = attr_sentinel(r.value) ? READING_IMPLAUSIBLE : READING_OK;
    }
    return r;
}

struct reading attr_read(struct attr *a, int64_t boot_ns)
{
    if (a->retry_ns != 0 && boot_ns < a->retry_ns) {
        return (struct reading){.state = a->state};
    }
    if (a->fd < 0) {
        const int flags = O_RDONLY | O_CLOEXEC;
        a->fd = a->open_fd ? a->open_fd(a->open_arg, a->path, flags) : open(a->path, flags);
        if (a->fd < 0) {
            return fail(a, attr_state(errno), boot_ns);
        }
    }
    char text[ATTR_TEXT_BYTES];
    ssize_t n = pread(a->fd, text, sizeof(text), 0);
    if (n < 0) {
        /* An I/O error of one read is not a reason to look away for ten seconds. */
        enum reading_state state = attr_state(errno);
        struct reading r = fail(a, state, boot_ns);
        if (state == READING_IO) {
            a->retry_ns = 0;
        }
        return r;
    }
    a->retry_ns = 0;
    struct reading r = decode(text, (size_t)n);
    a->state = r.state;
    return r;
}

struct reading attr_now(const char *path)
{
    struct attr a;
    attr_init(&a, path);
    struct reading r = attr_read(&a, 0);
    attr_fini(&a);
    return r;
}

struct reading attr_once(const char *dir, const char *name)
{
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, name);
    return attr_now(path);
}

bool attr_whole(const char *dir, const char *name, char *out, size_t cap)
{
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, name);
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = pread(fd, out, cap, 0);
    if (n < 0 || (size_t)n >= cap) {
        return false;
    }
    out[n] = '\0';
    return true;
}

bool attr_text(const char *dir, const char *name, char *out, size_t cap)
{
    if (!attr_whole(dir, name, out, cap)) {
        return false;
    }
    out[strcspn(out, "\n")] = '\0';
    return true;
}

bool attr_suspended(const char *power_dir)
{
    char text[32];
    return power_dir && attr_text(power_dir, "runtime_status", text, sizeof(text)) &&
           strcmp(text, "suspended") == 0;
}

char *attr_sysfs(const struct meter_config *cfg)
{
    const char *root = cfg->sysfs_root ? cfg->sysfs_root : "";
    char *sys = base_printf("%s/sys", root);
    if (access(sys, F_OK) == 0 || root[0] == '\0') {
        return sys;
    }
    free(sys);
    return base_strdup(root);
}

/* A uid that does not fit keeps its tail, which tells files apart, behind a hash of the whole. */
static void put_uid(struct channel_desc *d, const char *full)
{
    const size_t mark = 18; /* 16 hex digits and ".." */
    size_t bytes = strlen(full);
    if (bytes < sizeof(d->uid)) {
        memcpy(d->uid, full, bytes + 1);
        return;
    }
    const char *tail = full + bytes - (sizeof(d->uid) - 1 - mark);
    unsigned long long hash = base_hash(BASE_HASH, full, bytes);
    (void)snprintf(d->uid, sizeof(d->uid), "%016llx..%s", hash, tail);
}

void attr_uid(struct channel_desc *d, const char *fmt, ...)
{
    char full[WATTQ_PATH_MAX];
    va_list ap;
    va_start(ap, fmt);
    /* clang-tidy 14 loses sight of the va_start above. */
    int n = vsnprintf(full, sizeof(full), fmt, ap); // NOLINT(clang-analyzer-valist.Uninitialized)
    va_end(ap);
    put_uid(d, n < 0 ? "" : full);
}

void attr_driver(struct channel_desc *d, const char *name)
{
    struct utsname u;
    (void)snprintf(d->driver, sizeof(d->driver), "%.20s, Linux %.18s", name,
                   uname(&u) == 0 ? u.release : "?");
}
