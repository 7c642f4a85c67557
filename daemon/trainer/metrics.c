#include "daemon/trainer/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

int metrics_open(struct metrics *m, const char *path, struct err *e)
{
    m->fd = -1;
    m->failed = false;
    if (!path || !*path)
        return 0;
    m->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (m->fd >= 0)
        return 0;
    err_errno(e, WATTQ_E_IO, "cannot append to %.200s, which WATTQ_METRICS names", path);
    return err_next(e, "name a file you may write, or unset WATTQ_METRICS");
}

void metrics_close(struct metrics *m)
{
    base_closep(&m->fd);
}

static void put(struct json *j, const char *fmt, ...) PRINTF(2, 3);
static void put(struct json *j, const char *fmt, ...)
{
    size_t room = sizeof(j->text) - j->used;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(j->text + j->used, room, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= room)
        j->overflow = true;
    else
        j->used += (size_t)n;
}

static void put_quoted(struct json *j, const char *s)
{
    put(j, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            put(j, "\\%c", c);
        else if (c < 0x20)
            put(j, "\\u%04x", c);
        else
            put(j, "%c", c);
    }
    put(j, "\"");
}

static void put_key(struct json *j, const char *key)
{
    put(j, "%s", j->comma ? "," : "");
    put_quoted(j, key);
    put(j, ":");
    j->comma = true;
}

void json_start(struct json *j)
{
    j->used = 0;
    j->overflow = false;
    j->comma = false;
    put(j, "{");
}

void json_open(struct json *j, const char *key)
{
    put_key(j, key);
    put(j, "{");
    j->comma = false;
}

void json_close(struct json *j)
{
    put(j, "}");
    j->comma = true;
}

void json_null(struct json *j, const char *key)
{
    put_key(j, key);
    put(j, "null");
}

void json_text(struct json *j, const char *key, const char *value)
{
    if (!value) {
        json_null(j, key);
        return;
    }
    put_key(j, key);
    put_quoted(j, value);
}

void json_i64(struct json *j, const char *key, int64_t value)
{
    put_key(j, key);
    put(j, "%" PRId64, value);
}

void json_f64(struct json *j, const char *key, double value)
{
    if (!isfinite(value)) {
        json_null(j, key);
        return;
    }
    put_key(j, key);
    put(j, "%.9g", value);
}

void json_bool(struct json *j, const char *key, bool value)
{
    put_key(j, key);
    put(j, "%s", value ? "true" : "false");
}

void json_i64s(struct json *j, const char *key, const int64_t *values, size_t n)
{
    put_key(j, key);
    put(j, "[");
    for (size_t i = 0; i < n; i++)
        put(j, "%s%" PRId64, i ? "," : "", values[i]);
    put(j, "]");
}

void metrics_write(struct metrics *m, struct json *j)
{
    json_close(j);
    put(j, "\n");
    if (m->fd < 0 || j->overflow)
        return;
    if (base_write_all(m->fd, j->text, j->used) < 0 && !m->failed) {
        m->failed = true;
        fprintf(stderr, "wattq-train: cannot write metrics: %s; training goes on without them\n",
                strerror(errno));
    }
}
