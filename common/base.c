#include "common/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void *need(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

void *base_alloc(size_t bytes)
{
    return need(calloc(1, bytes ? bytes : 1));
}

char *base_strdup(const char *s)
{
    return need(strdup(s));
}

char *base_strdup_n(const char *s, size_t n)
{
    return need(strndup(s, n));
}

char *base_printf(const char *fmt, ...)
{
    char *out = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&out, fmt, ap);
    va_end(ap);
    return need(n < 0 ? NULL : out);
}

bool base_strcpy(char *dst, size_t cap, const char *src)
{
    size_t n = strlen(src);
    size_t take = n < cap ? n : cap - 1;
    memcpy(dst, src, take);
    dst[take] = '\0';
    return take == n;
}

void base_freep(void *pp)
{
    /* The variable's own type is not void *: read it without breaking aliasing. */
    void *p = NULL;
    memcpy(&p, pp, sizeof(p));
    free(p);
}

void base_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

void base_fclosep(FILE **f)
{
    if (*f)
        fclose(*f);
}

/* source: Unicode standard, table 3-7. */
size_t base_utf8(const char *text, size_t left)
{
    const unsigned char *s = (const unsigned char *)text;
    static const struct {
        uint8_t first_lo, first_hi, second_lo, second_hi, bytes;
    } rows[] = {
        {0x01, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = rows[i].bytes;
        if (s[0] < rows[i].first_lo || s[0] > rows[i].first_hi)
            continue;
        if (n > left || (n > 1 && (s[1] < rows[i].second_lo || s[1] > rows[i].second_hi)))
            return 0;
        for (size_t k = 2; k < n; k++)
            if ((s[k] & 0xc0u) != 0x80u)
                return 0;
        return n;
    }
    return 0;
}

void base_line(char *s)
{
    for (size_t left = strlen(s), n = 0; left > 0; s += n, left -= n) {
        n = base_utf8(s, left);
        bool control = n == 1 ? (unsigned char)*s < ' ' || *s == 0x7f
                              : n == 2 && (unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0;
        if (n == 0 || control)
            memset(s, '?', n = n == 0 ? 1 : n);
    }
}

int base_write_all(int fd, const void *data, size_t bytes)
{
    const char *p = data;
    while (bytes > 0) {
        ssize_t n = write(fd, p, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* Close and keep the first errno; the tmp file goes away when anything before the rename failed. */
static int drop_tmp(int dirfd, const char *tmp, int fd)
{
    int saved = errno;
    if (fd >= 0)
        close(fd);
    unlinkat(dirfd, tmp, 0);
    errno = saved;
    return -1;
}

int base_replace_file(int dirfd, const char *name, const void *data, size_t bytes, unsigned mode)
{
    char tmp[300];
    if (snprintf(tmp, sizeof(tmp), ".%s.%ld.tmp", name, (long)getpid()) >= (int)sizeof(tmp)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    /* A leftover of our own pid can only be from before a crash; never written through a link. */
    unlinkat(dirfd, tmp, 0);
    int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return -1;
    if (base_write_all(fd, data, bytes) < 0 || fsync(fd) < 0)
        return drop_tmp(dirfd, tmp, fd);
    if (close(fd) < 0 || renameat(dirfd, tmp, dirfd, name) < 0)
        return drop_tmp(dirfd, tmp, -1);
    int dir CLEANUP(base_closep) = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -1 : fsync(dir);
}

/* Read until the end or until more than max bytes were seen; sysfs and procfs state no size. */
static char *slurp(int fd, size_t max, size_t *bytes)
{
    size_t cap = 4096;
    size_t have = 0;
    char *buf = malloc(cap + 1);
    while (buf) {
        ssize_t n = read(fd, buf + have, cap - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0) {
            buf[have] = '\0';
            *bytes = have;
            return buf;
        }
        if (n > 0)
            have += (size_t)n;
        if (n < 0 || have > max) {
            errno = n < 0 ? errno : EFBIG;
            break;
        }
        if (have < cap)
            continue;
        char *more = realloc(buf, cap * 2 + 1);
        if (!more)
            break;
        buf = more;
        cap *= 2;
    }
    int saved = errno;
    free(buf);
    errno = saved;
    return NULL;
}

/* Not opendir, which ThreadSanitizer does not know: see base_read_file. */
DIR *base_open_dir(const char *path)
{
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d)
        fd = -1; /* d has it */
    return d;
}

char *base_read_file(int dirfd, const char *name, size_t max, size_t *bytes)
{
    /* By open where that will do: ThreadSanitizer does not know openat, and takes the number for that of a
     * descriptor which libuv has closed without its knowledge. */
    const int flags = O_RDONLY | O_CLOEXEC;
    int fd CLEANUP(base_closep) = dirfd == AT_FDCWD
                                      ? open(name, flags)
                                      : openat(dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return NULL;
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return NULL;
    }
    if (S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size > max) {
        errno = EFBIG;
        return NULL;
    }
    return slurp(fd, max, bytes);
}
