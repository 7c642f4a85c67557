/* A sweep's axis as people write it (spec.h). Kept apart from spec.c: only the client reads this text,
 * and only it may open the file of K=@file. */
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/spec.h"

#define AXIS_FILE_BYTES (1u << 20)

static int axis_put(struct spec_axis *a, const char *s, size_t n, struct err *e)
{
    if (n == 0)
        return err_set(e, WATTQ_E_USAGE, "parameter '%s' has an empty value in its list", a->key);
    if (a->n >= SPEC_SWEEP_RUNS)
        return err_set(e, WATTQ_E_LIMIT, "parameter '%s' has more than %d values", a->key,
                       SPEC_SWEEP_RUNS);
    if ((a->n & (a->n - 1)) == 0) { /* room for the next power of two */
        size_t cap = a->n ? 2 * a->n : 1;
        char **more = realloc(a->values, cap * sizeof(*more));
        if (!more)
            return err_set(e, WATTQ_E_LIMIT, "no memory for the values of '%s'", a->key);
        a->values = more;
    }
    a->values[a->n++] = base_strdup_n(s, n);
    return 0;
}

static int put_number(struct spec_axis *a, double v, struct err *e)
{
    char buf[40];
    int n = snprintf(buf, sizeof(buf), "%.12g", v);
    return axis_put(a, buf, (size_t)n, e);
}

/* A decimal number that takes up all of s[0..n). */
static bool whole_number(const char *s, size_t n, double *out)
{
    char buf[48];
    if (n == 0 || n >= sizeof(buf))
        return false;
    memcpy(buf, s, n);
    buf[n] = '\0';
    char *end = NULL;
    *out = strtod(buf, &end);
    /* strtod also takes hex, inf and nan: none of them starts or goes on like a number people write. */
    return *end == '\0' && isfinite(*out) && !strpbrk(buf, "xXnN \t") &&
           (isdigit((unsigned char)buf[0]) || strchr("+-.", buf[0]));
}

static bool whole_integer(const char *s, size_t n, int64_t *out)
{
    double v = 0;
    if (!whole_number(s, n, &v) || v != floor(v) || fabs(v) > 9e15 || memchr(s, '.', n) ||
        memchr(s, 'e', n))
        return false;
    *out = (int64_t)v;
    return true;
}

static int bad_range(const struct spec_axis *a, const char *s, size_t n, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "'%.*s' is not a range for parameter '%s'", n > 80 ? 80 : (int)n, s,
            a->key);
    return err_next(e, "write 1..5, 0..1:0.25, 2^5..2^10 or log:1e-4..1e-1:4");
}

struct range {
    const char *from, *to, *by; /* by is NULL without ":step" */
    size_t nfrom, nto, nby;
};

/* "A..B[:C]"; false when there is no "..". */
static bool split_range(const char *s, size_t n, struct range *r)
{
    const char *dots = memmem(s, n, "..", 2);
    if (!dots)
        return false;
    const char *end = s + n;
    const char *colon = memchr(dots, ':', (size_t)(end - dots));
    r->from = s;
    r->nfrom = (size_t)(dots - s);
    r->to = dots + 2;
    r->nto = (size_t)((colon ? colon : end) - r->to);
    r->by = colon ? colon + 1 : NULL;
    r->nby = colon ? (size_t)(end - r->by) : 0;
    return true;
}

static int put_steps(struct spec_axis *a, double from, double to, double by, struct err *e)
{
    /* The slack lets 0..1:0.1 reach 1 although 0.1 is not a binary fraction. */
    double steps = floor((to - from) / by + 1e-9);
    if (!(steps < SPEC_SWEEP_RUNS))
        return err_set(e, WATTQ_E_LIMIT, "parameter '%s' has more than %d values", a->key,
                       SPEC_SWEEP_RUNS);
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i <= (int64_t)steps; i++)
        rc = put_number(a, from + (double)i * by, e);
    return rc;
}

/* "2^5..2^10": powers of two. 1 = it is not of that form. */
static int put_powers(struct spec_axis *a, const struct range *r, struct err *e)
{
    int64_t lo = 0;
    int64_t hi = 0;
    if (r->by || r->nfrom < 3 || r->nto < 3 || memcmp(r->from, "2^", 2) != 0 ||
        memcmp(r->to, "2^", 2) != 0 || !whole_integer(r->from + 2, r->nfrom - 2, &lo) ||
        !whole_integer(r->to + 2, r->nto - 2, &hi) || lo < 0 || hi > 62 || lo > hi)
        return 1;
    int rc = 0;
    for (int64_t k = lo; rc == 0 && k <= hi; k++) {
        char buf[24];
        int n = snprintf(buf, sizeof(buf), "%" PRId64, INT64_C(1) << k);
        rc = axis_put(a, buf, (size_t)n, e);
    }
    return rc;
}

static int put_log(struct spec_axis *a, const char *s, size_t n, struct err *e)
{
    struct range r = {0};
    double lo = 0;
    double hi = 0;
    int64_t points = 0;
    if (!split_range(s + 4, n - 4, &r) || !r.by || !whole_number(r.from, r.nfrom, &lo) ||
        !whole_number(r.to, r.nto, &hi) || !whole_integer(r.by, r.nby, &points) || lo <= 0 ||
        hi <= 0 || points < 2 || points > SPEC_SWEEP_RUNS)
        return bad_range(a, s, n, e);
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < points; i++)
        rc = put_number(a, lo * pow(hi / lo, (double)i / (double)(points - 1)), e);
    return rc;
}

/* One element between commas: a range in one of its forms, or the text itself. */
static int put_item(struct spec_axis *a, const char *s, size_t n, struct err *e)
{
    struct range r = {0};
    double lo = 0;
    double hi = 0;
    double by = 1;
    if (n > 4 && !memcmp(s, "log:", 4))
        return put_log(a, s, n, e);
    if (!split_range(s, n, &r))
        return axis_put(a, s, n, e);
    int rc = put_powers(a, &r, e);
    if (rc <= 0)
        return rc;
    if (!whole_number(r.from, r.nfrom, &lo))
        return axis_put(a, s, n, e); /* a path like ../data is text */
    int64_t whole = 0;
    bool steps_of_one =
        whole_integer(r.from, r.nfrom, &whole) && whole_integer(r.to, r.nto, &whole);
    if (!whole_number(r.to, r.nto, &hi) || (r.by && !whole_number(r.by, r.nby, &by)) ||
        (!r.by && !steps_of_one) || by <= 0 || hi < lo)
        return bad_range(a, s, n, e);
    return put_steps(a, lo, hi, by, e);
}

static int put_list(struct spec_axis *a, const char *s, struct err *e)
{
    int rc = 0;
    for (;;) {
        size_t n = strcspn(s, ",");
        rc = put_item(a, s, n, e);
        if (rc < 0 || s[n] == '\0')
            return rc;
        s += n + 1;
    }
}

static int put_file(struct spec_axis *a, const char *path, struct err *e)
{
    size_t bytes = 0;
    char *text CLEANUP(base_freep) = base_read_file(AT_FDCWD, path, AXIS_FILE_BYTES, &bytes);
    if (!text)
        return err_errno(e, WATTQ_E_INVALID, "cannot read the values of '%s' from %.200s", a->key,
                         path);
    for (char *s = text; s < text + bytes;) {
        size_t n = strcspn(s, "\r\n");
        int rc = n ? axis_put(a, s, n, e) : 0;
        if (rc < 0)
            return rc;
        s += n + 1;
    }
    return a->n ? 0 : err_set(e, WATTQ_E_INVALID, "%.200s holds no values for '%s'", path, a->key);
}

int spec_axis_parse(struct spec_axis *a, const char *text, struct err *e)
{
    *a = (struct spec_axis){0};
    size_t n = strcspn(text, "=");
    if (n < SPEC_KEY_MAX && text[n] == '=')
        memcpy(a->key, text, n);
    if (!spec_key_ok(a->key)) {
        err_set(e, WATTQ_E_USAGE, "'%.80s' is not of the form KEY=VALUES", text);
        return err_next(e, "write it like -p lr=0.1,0.01 or -p seed=1..5");
    }
    const char *values = text + n + 1;
    int rc = values[0] == '@' ? put_file(a, values + 1, e) : put_list(a, values, e);
    if (rc < 0)
        spec_axis_fini(a);
    return rc;
}

void spec_axis_fini(struct spec_axis *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->values[i]);
    free(a->values);
    *a = (struct spec_axis){0};
}
