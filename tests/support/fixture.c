#include "tests/support/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "fixture: %s: %s\n", what, strerror(errno));
        abort();
    }
}

void fixture_init(struct fixture *f)
{
    (void)snprintf(f->root, sizeof(f->root), "/tmp/wattq-fixture-XXXXXX");
    need(mkdtemp(f->root) != NULL, "mkdtemp");
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void fixture_fini(struct fixture *f)
{
    (void)nftw(f->root, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char *prepare(const struct fixture *f, const char *path)
{
    char *full = base_printf("%s/%s", f->root, path);
    for (char *p = full + strlen(f->root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        need(mkdir(full, 0755) == 0 || errno == EEXIST, full);
        *p = '/';
    }
    return full;
}

void fixture_put_bytes(const struct fixture *f, const char *path, const void *data, size_t bytes)
{
    char *full CLEANUP(base_freep) = prepare(f, path);
    int fd CLEANUP(base_closep) = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    need(fd >= 0, full);
    /* One write, then cut: a reader in between sees the old or the new number, like in sysfs. */
    need(pwrite(fd, data, bytes, 0) == (ssize_t)bytes, full);
    need(ftruncate(fd, (off_t)bytes) == 0, full);
}

void fixture_put(const struct fixture *f, const char *path, const char *text)
{
    fixture_put_bytes(f, path, text, strlen(text));
}

void fixture_putf(const struct fixture *f, const char *path, const char *fmt, ...)
{
    char *text CLEANUP(base_freep) = NULL;
    va_list ap;
    va_start(ap, fmt);
    need(vasprintf(&text, fmt, ap) >= 0, path);
    va_end(ap);
    fixture_put(f, path, text);
}

void fixture_link(const struct fixture *f, const char *path, const char *target)
{
    char *full CLEANUP(base_freep) = prepare(f, path);
    need(symlink(target, full) == 0, full);
}

void fixture_remove(const struct fixture *f, const char *path)
{
    char *full CLEANUP(base_freep) = base_printf("%s/%s", f->root, path);
    need(unlink(full) == 0, full);
}

static void put_zone(const struct fixture *f, const char *id, const char *file, const char *text)
{
    char *path CLEANUP(base_freep) = base_printf("sys/class/powercap/%s/%s", id, file);
    fixture_put(f, path, text);
}

void fixture_zone_set(const struct fixture *f, const char *id, int64_t uj)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%" PRId64 "\n", uj);
    put_zone(f, id, "energy_uj", text);
}

void fixture_zone(const struct fixture *f, const char *id, const char *name, int64_t uj,
                  int64_t max)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "%s\n", name);
    put_zone(f, id, "name", text);
    fixture_zone_set(f, id, uj);
    if (max > 0) {
        (void)snprintf(text, sizeof(text), "%" PRId64 "\n", max);
        put_zone(f, id, "max_energy_range_uj", text);
    }
}
