/* Errors as values. A function returns 0, or a negative code below with `struct err` filled once, at the
 * origin; callers pass the code up unchanged. Positive results are conditions named in a header.
 * The wire carries the code's stable name (err_name), never the number. */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include "common/base.h"

/* code, stable name on the wire, exit code of the client */
#define ERR_CODES(X)                                                                               \
    X(USAGE, "usage", 2)             /* what was asked for makes no sense as asked */              \
    X(INVALID, "invalid", 1)         /* an input file, spec or value is wrong */                   \
    X(NOT_FOUND, "not_found", 1)     /* no such run, sweep, channel, file */                       \
    X(FORBIDDEN, "forbidden", 3)     /* the peer's uid may not do this */                          \
    X(NO_DAEMON, "no_daemon", 4)     /* nobody listens on the socket */                            \
    X(CONFLICT, "conflict", 5)       /* the state it has now does not allow it */                  \
    X(LIMIT, "limit", 1)             /* a bound (bytes, connections, rows) was hit */              \
    X(PROTOCOL, "protocol", 1)       /* the peer does not speak our protocol */                    \
    X(VERSION, "version", 1)         /* protocol or schema of another version */                   \
    X(IO, "io", 1)                   /* the operating system said no; text has errno's words */    \
    X(STORAGE, "storage", 1)         /* SQLite, or the disk below it */                            \
    X(CORRUPT, "corrupt", 1)         /* bytes on disk are not what was written */                  \
    X(UNAVAILABLE, "unavailable", 1) /* not on this machine */                                     \
    X(INTERNAL, "internal", 1)       /* our bug */

enum err_code {
    WATTQ_E_BASE = -1000,
#define X(sym, name, exit_code) WATTQ_E_##sym,
    ERR_CODES(X)
#undef X
};

struct err {
    int code;       /* 0 = no error */
    char text[320]; /* one sentence a person understands, without a trailing newline */
    char next[200]; /* what to type or do next; may be empty */
};

/* Fill e (NULL is allowed) and return code, so that `return err_set(...)` reads well. What a peer or a file said may
 * be put in: no more than one line of clean text comes of it (base_line). */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF(3, 4);
/* The same with ": " and errno's words appended. */
int err_errno(struct err *e, int code, const char *fmt, ...) PRINTF(3, 4);
/* Add what to do next; returns e->code (or WATTQ_E_INTERNAL without e). */
int err_next(struct err *e, const char *fmt, ...) PRINTF(2, 3);
#ifdef __clang_analyzer__ /* which cannot see into err.c that these return their code, or one below 0 */
#define err_set(e, code, ...)   ((void)(err_set)(e, code, __VA_ARGS__), (code))
#define err_errno(e, code, ...) ((void)(err_errno)(e, code, __VA_ARGS__), (code))
#define err_next(e, ...)        ((void)(err_next)(e, __VA_ARGS__), WATTQ_E_INTERNAL)
#endif

const char *err_name(int code);      /* "not_found"; "internal" for anything unknown */
int err_from_name(const char *name); /* the code; WATTQ_E_INTERNAL for an unknown name */
int err_exit_code(int code);         /* DESIGN of exit codes: 1..5, see wattq(1) */

#endif
