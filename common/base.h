/* Small things every file may use: cleanup of locals, allocation that cannot fail, array length.
 * Small fixed-size allocations abort on failure (a restart is cheap, all state is in SQLite); a size
 * named by a peer, a file or a run is bounded first and allocated with plain malloc. */
#ifndef COMMON_BASE_H
#define COMMON_BASE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CLEANUP(fn)                     __attribute__((cleanup(fn)))
#define PRINTF(f, a)                    __attribute__((format(printf, f, a)))
#define MUST_USE                        __attribute__((warn_unused_result))
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define WATTQ_PATH_MAX 4096 /* longest path we handle, with its NUL */
#define NS_PER_S       INT64_C(1000000000)
#define NS_PER_MS      INT64_C(1000000)
#define NS_PER_US      INT64_C(1000)

/* Zeroed memory; aborts when there is none. */
void *base_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
char *base_strdup(const char *s) __attribute__((malloc, returns_nonnull, nonnull));
/* The first n bytes of s and a NUL; s holds no NUL before that. */
char *base_strdup_n(const char *s, size_t n) __attribute__((malloc, returns_nonnull, nonnull));
/* printf into new memory; aborts when there is none. */
char *base_printf(const char *fmt, ...) PRINTF(1, 2) __attribute__((returns_nonnull));
/* Copy with truncation, always terminated. Returns true when all of src fitted. */
bool base_strcpy(char *dst, size_t cap, const char *src);

/* Bytes of the UTF-8 sequence at s, of which there are left (1 or more); 0: it is none. NUL, overlong forms,
 * surrogates and values over U+10FFFF are none. */
size_t base_utf8(const char *s, size_t left);
/* One line that a terminal can be shown: control characters, and bytes that are no UTF-8, become '?'. */
void base_line(char *s);

/* For CLEANUP(): each takes a pointer to the variable, and a NULL or -1 in it is fine. */
void base_freep(void *pp);   /* char *s CLEANUP(base_freep) */
void base_closep(int *fd);   /* int fd CLEANUP(base_closep) */
void base_fclosep(FILE **f); /* FILE *f CLEANUP(base_fclosep) */

/* One hash of bytes from BASE_HASH, then of those that follow from what came of it. Tells texts apart and
 * spreads them over a table; whoever wants to can make two that are alike.
 * source: FNV-1a, 64 bits (Fowler, Noll, Vo). */
#define BASE_HASH UINT64_C(14695981039346656037)
static inline uint64_t base_hash(uint64_t h, const void *bytes, size_t n)
{
    const uint8_t *p = (const uint8_t *)bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    return h;
}

/* Write all of it, across EINTR and short writes. 0, or -1 with errno. */
int base_write_all(int fd, const void *data, size_t bytes) MUST_USE;
/* Replace `name` below directory fd atomically and durably: tmp file, fsync, rename, fsync of the
 * directory. mode as for open(2). 0, or -1 with errno; on failure the old file is untouched. */
int base_replace_file(int dirfd, const char *name, const void *data, size_t bytes,
                      unsigned mode) MUST_USE;
/* As opendir; NULL with errno. The caller closes it. */
DIR *base_open_dir(const char *path) MUST_USE;
/* Whole file into new memory with a NUL after it; *bytes without that NUL. Refuses files over max
 * with errno EFBIG. In a directory that is given (not AT_FDCWD), which may be somebody else's, no link is
 * followed and no pipe waited for. NULL with errno on failure. Caller frees. */
char *base_read_file(int dirfd, const char *name, size_t max, size_t *bytes) MUST_USE;

#endif
