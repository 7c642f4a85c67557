/* The state file. Every line has its place, so that each can be written by whoever knows it, in one pwrite. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/launch/result.h"

#define RELEASED "released\n"
#define OPENED   "opened\n"

enum { AT_RELEASED = 0, AT_STARTED = 9, AT_OPENED = 37, AT_ENDED = 44, AT_ON_END = 79 };
_Static_assert(AT_STARTED == sizeof(RELEASED) - 1, "lines follow each other");
_Static_assert(AT_OPENED == AT_STARTED + sizeof("started 9223372036854775807"),
               "room for any time");
_Static_assert(AT_ENDED == AT_OPENED + sizeof(OPENED) - 1, "lines follow each other");
_Static_assert(AT_ON_END >= AT_ENDED + sizeof("ended 65535 9 9223372036854775807"),
               "room for any end");
_Static_assert(AT_ON_END + sizeof("on_end 3 65535") <= RESULT_STATE_BYTES,
               "room for the last line");

static int put(int fd, const char *line, off_t at)
{
    size_t n = strlen(line);
    ssize_t wrote;
    do
        wrote = pwrite(fd, line, n, at);
    while (wrote < 0 && errno == EINTR);
    return wrote == (ssize_t)n ? 0 : -1;
}

int result_state_blank(int fd)
{
    char blank[RESULT_STATE_BYTES + 1];
    memset(blank, '\n', RESULT_STATE_BYTES);
    blank[RESULT_STATE_BYTES] = 0;
    return put(fd, blank, 0);
}

int result_state_released(int fd)
{
    return put(fd, RELEASED, AT_RELEASED) < 0 ? -1 : fdatasync(fd);
}

int result_state_started(int fd, int64_t t0_ns)
{
    char line[AT_OPENED - AT_STARTED + 1];
    snprintf(line, sizeof(line), "started %" PRId64 "\n", t0_ns);
    return put(fd, line, AT_STARTED);
}

int result_state_opened(int fd)
{
    return put(fd, OPENED, AT_OPENED);
}

int result_state_ended(int fd, int status, enum result_cause cause, int64_t main_exit_ns)
{
    char line[AT_ON_END - AT_ENDED + 1];
    int n =
        snprintf(line, sizeof(line), "ended %d %d %" PRId64 "\n", status, (int)cause, main_exit_ns);
    if (n < 0 || (size_t)n >= sizeof(line)) {
        errno = EOVERFLOW;
        return -1;
    }
    return put(fd, line, AT_ENDED);
}

/* As long as the one it is written over. */
int result_state_on_end(int fd, enum result_on_end what, int status)
{
    char line[RESULT_STATE_BYTES - AT_ON_END + 1];
    snprintf(line, sizeof(line), "on_end %d %05d\n", (int)what, status & 0xffff);
    return put(fd, line, AT_ON_END) < 0 ? -1 : fdatasync(fd);
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* " <number>" at *p within lo .. hi; moves *p behind it. */
static bool number(const char **p, long long lo, long long hi, long long *out)
{
    char *end;
    errno = 0;
    if (**p != ' ')
        return false;
    *out = strtoll(*p + 1, &end, 10);
    if (errno || end == *p + 1 || *out < lo || *out > hi)
        return false;
    *p = end;
    return true;
}

/* A half-written line has no line end behind it. */
static void take_line(const char *line, struct result_state *s)
{
    long long a, b, c;
    const char *p;
    if (strncmp(line, RELEASED, strlen(RELEASED)) == 0) {
        s->step = s->step < RESULT_RELEASED ? RESULT_RELEASED : s->step;
    } else if (strncmp(line, "started", 7) == 0) {
        p = line + 7;
        if (number(&p, 1, INT64_MAX, &a) && *p == '\n')
            s->t0_ns = a;
    } else if (strncmp(line, OPENED, strlen(OPENED)) == 0) {
        s->step = s->step < RESULT_OPENED ? RESULT_OPENED : s->step;
    } else if (strncmp(line, "ended", 5) == 0) {
        p = line + 5;
        if (!number(&p, 0, 0xffff, &a) || !number(&p, 0, RESULT_NOT_STARTED, &b) ||
            !number(&p, 1, INT64_MAX, &c) || *p != '\n')
            return;
        s->status = (int)a;
        s->cause = (enum result_cause)b;
        s->main_exit_ns = c;
        s->step = RESULT_MAIN_ENDED;
    } else if (strncmp(line, "on_end", 6) == 0) {
        p = line + 6;
        if (!number(&p, RESULT_ON_END_BEGUN, RESULT_ON_END_TIMED_OUT, &a) ||
            !number(&p, 0, 0xffff, &b) || *p != '\n')
            return;
        s->on_end = (enum result_on_end)a;
        s->on_end_status = (int)b;
    }
}

void result_state_parse(const char *text, struct result_state *s)
{
    memset(s, 0, sizeof(*s));
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (*line && *line != '\n')
            take_line(line, s);
    }
}

void result_state_read(int dirfd, struct result_state *s)
{
    size_t bytes;
    char *text CLEANUP(base_freep) =
        dirfd < 0 ? NULL : base_read_file(dirfd, "state", 4096, &bytes);
    result_state_parse(text ? text : "", s);
}
