#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_code;
} codes[] = {
#define X(sym, name, exit_code) {name, exit_code},
    ERR_CODES(X)
#undef X
};

/* Index into codes[]; -1 for a number that is none of ours. */
static int index_of(int code)
{
    int i = code - (WATTQ_E_BASE + 1);
    return i >= 0 && i < (int)ARRAY_LEN(codes) ? i : -1;
}

static void PRINTF(3, 0) fill(struct err *e, int code, const char *fmt, va_list ap)
{
    e->code = code;
    e->next[0] = '\0';
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    base_line(e->text);
}

int(err_set)(struct err *e, int code, const char *fmt, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        fill(e, code, fmt, ap);
        va_end(ap);
    }
    return code;
}

int(err_errno)(struct err *e, int code, const char *fmt, ...)
{
    int saved = errno;
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        fill(e, code, fmt, ap);
        va_end(ap);
        size_t n = strlen(e->text);
        snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerror(saved));
        base_line(e->text);
    }
    errno = saved;
    return code;
}

int(err_next)(struct err *e, const char *fmt, ...)
{
    if (!e)
        return WATTQ_E_INTERNAL;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->next, sizeof(e->next), fmt, ap);
    base_line(e->next);
    va_end(ap);
    return e->code;
}

const char *err_name(int code)
{
    int i = index_of(code);
    return i < 0 ? "internal" : codes[i].name;
}

int err_from_name(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(codes); i++)
        if (!strcmp(codes[i].name, name))
            return WATTQ_E_BASE + 1 + (int)i;
    return WATTQ_E_INTERNAL;
}

int err_exit_code(int code)
{
    int i = index_of(code);
    return i < 0 ? 1 : codes[i].exit_code;
}
