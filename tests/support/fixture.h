/* A directory tree of a test's own, in /tmp, removed with its owner. */
#ifndef TESTS_SUPPORT_FIXTURE_H
#define TESTS_SUPPORT_FIXTURE_H

#include "common/base.h"

struct fixture {
    char root[64];
};

void fixture_init(struct fixture *f);
void fixture_fini(struct fixture *f);
/* Write (or rewrite in place) root/path, making directories. */
void fixture_put(const struct fixture *f, const char *path, const char *text);
void fixture_put_bytes(const struct fixture *f, const char *path, const void *bytes, size_t n);
void fixture_putf(const struct fixture *f, const char *path, const char *fmt, ...) PRINTF(3, 4);
void fixture_link(const struct fixture *f, const char *path, const char *target);
void fixture_remove(const struct fixture *f, const char *path);

/* One RAPL zone below sys/class/powercap: "intel-rapl:0:1", its name, and the counter. max 0 = no range
 * file. */
void fixture_zone(const struct fixture *f, const char *id, const char *name, int64_t uj,
                  int64_t max);
void fixture_zone_set(const struct fixture *f, const char *id, int64_t uj);

#endif
