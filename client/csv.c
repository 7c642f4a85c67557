#include "client/csv.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"

/* ---- writing ------------------------------------------------------------------------------------- */

static void separate(struct csv_out *o)
{
    if (o->begun)
        (void)fputc(',', o->f);
    o->begun = true;
}

void csv_none(struct csv_out *o)
{
    separate(o);
}

void csv_text(struct csv_out *o, const char *s, size_t bytes)
{
    separate(o);
    if (!s)
        return;
    bool plain = bytes > 0;
    for (size_t i = 0; plain && i < bytes; i++)
        plain = !strchr("\",\r\n", s[i]) && s[i] != '\0';
    if (plain && s[0] != ' ' && s[bytes - 1] != ' ') {
        (void)fwrite(s, 1, bytes, o->f);
        return;
    }
    (void)fputc('"', o->f);
    for (size_t i = 0; i < bytes; i++) {
        if (s[i] == '"')
            (void)fputc('"', o->f);
        (void)fputc(s[i], o->f);
    }
    (void)fputc('"', o->f);
}

void csv_str(struct csv_out *o, const char *s)
{
    csv_text(o, s, s ? strlen(s) : 0);
}

void csv_int(struct csv_out *o, int64_t v)
{
    separate(o);
    (void)fprintf(o->f, "%lld", (long long)v);
}

void csv_real(struct csv_out *o, double v)
{
    char text[40];
    separate(o);
    if (!isfinite(v))
        return;
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    (void)fputs(text, o->f);
}

void csv_end(struct csv_out *o)
{
    (void)fputc('\n', o->f);
    o->begun = false;
}

/* ---- reading ------------------------------------------------------------------------------------- */

void csv_open(struct csv_in *in, FILE *f, const char *name)
{
    *in = (struct csv_in){.f = f, .name = name, .next_line = 1};
    int c = getc(f); /* a byte order mark is no part of the first name */
    if (c != 0xEF) {
        (void)ungetc(c, f);
        return;
    }
    if (getc(f) == 0xBB && getc(f) == 0xBF)
        return;
    rewind(f);
}

void csv_close(struct csv_in *in)
{
    free(in->buf);
    in->buf = NULL;
}

int csv_bad(const struct csv_in *in, size_t field, struct err *e, const char *fmt, ...)
{
    char what[240];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return err_set(e, WATTQ_E_INVALID, "%.60s:%lld:%zu: %s", in->name, (long long)in->line,
                   field < in->n ? in->field[field].column : 1, what);
}

static int too_much(const struct csv_in *in, const char *what, struct err *e)
{
    return err_set(e, WATTQ_E_INVALID, "%.60s:%lld: %s", in->name, (long long)in->line, what);
}

static int add(struct csv_in *in, int c, struct err *e)
{
    if (in->bytes == CSV_ROW_MAX)
        return too_much(in, "this record is longer than 16 MiB; is a closing quote missing?", e);
    if (in->bytes == in->cap) {
        size_t cap = in->cap ? in->cap * 2 : 4096;
        char *p = realloc(in->buf, cap);
        if (!p)
            return too_much(in, "no memory for this record", e);
        in->buf = p;
        in->cap = cap;
    }
    in->buf[in->bytes++] = (char)c;
    return 0;
}

static int begin_field(struct csv_in *in, size_t column, struct err *e)
{
    if (in->n == CSV_FIELDS_MAX)
        return too_much(in, "this record has more than 512 fields", e);
    in->at[in->n] = in->bytes;
    in->field[in->n++] = (struct csv_field){.column = column};
    return 0;
}

/* Ends the field that was begun last. */
static int end_field(struct csv_in *in, struct err *e)
{
    struct csv_field *x = &in->field[in->n - 1];
    x->bytes = in->bytes - in->at[in->n - 1];
    return add(in, '\0', e);
}

static int check_fields(struct csv_in *in, struct err *e)
{
    for (size_t i = 0; i < in->n; i++) {
        in->field[i].s = in->buf + in->at[i];
        if (!wire_utf8_ok(in->field[i].s, in->field[i].bytes))
            return csv_bad(in, i, e, "this field is no UTF-8 text");
    }
    return 1;
}

/* After a closing quote only a separator may come. 1 = the record ends. */
static int after_quote(struct csv_in *in, size_t *column, struct err *e)
{
    int c = getc(in->f);
    ++*column;
    if (c == '\r') {
        c = getc(in->f);
        if (c != '\n' && c != EOF)
            return csv_bad(in, in->n - 1, e, "a carriage return stands alone");
    }
    if (c == ',')
        return 0;
    if (c == '\n' || c == EOF) {
        in->next_line += c == '\n';
        return 1;
    }
    return csv_bad(in, in->n - 1, e, "something stands behind the closing quote");
}

static int quoted(struct csv_in *in, size_t *column, struct err *e)
{
    in->field[in->n - 1].quoted = true;
    for (;;) {
        int c = getc(in->f);
        ++*column;
        if (c == EOF)
            return csv_bad(in, in->n - 1, e, "the quote that begins here is never closed");
        if (c == '"') {
            c = getc(in->f);
            if (c != '"') {
                (void)ungetc(c, in->f);
                return end_field(in, e);
            }
            ++*column;
        }
        if (c == '\n') {
            in->next_line++;
            *column = 0;
        }
        int rc = add(in, c, e);
        if (rc < 0)
            return rc;
    }
}

/* A field without quotes; 1 = the record ends. */
static int bare(struct csv_in *in, int c, size_t *column, struct err *e)
{
    int rc = 0;
    for (; rc == 0; c = getc(in->f), ++*column) {
        if (c == '\r') {
            c = getc(in->f);
            if (c != '\n' && c != EOF)
                return csv_bad(in, in->n - 1, e, "a carriage return stands alone");
        }
        if (c == ',' || c == '\n' || c == EOF) {
            in->next_line += c == '\n';
            rc = end_field(in, e);
            return rc < 0 ? rc : c != ',';
        }
        if (c == '"')
            return csv_bad(in, in->n - 1, e, "a quote inside a field that does not begin with one");
        rc = add(in, c, e);
    }
    return rc;
}

static int record(struct csv_in *in, int c, struct err *e)
{
    size_t column = 1;
    for (;;) {
        int rc = begin_field(in, column, e);
        if (rc == 0 && c == '"') {
            rc = quoted(in, &column, e);
            if (rc == 0)
                rc = after_quote(in, &column, e);
        } else if (rc == 0) {
            rc = bare(in, c, &column, e);
        }
        if (rc != 0)
            return rc < 0 ? rc : check_fields(in, e);
        c = getc(in->f);
        column++;
    }
}

int csv_next(struct csv_in *in, struct err *e)
{
    for (;;) {
        in->line = in->next_line;
        in->n = 0;
        in->bytes = 0;
        int c = getc(in->f);
        if (c == EOF)
            return ferror(in->f) ? err_errno(e, WATTQ_E_IO, "cannot read %.200s", in->name) : 0;
        if (c == '\n') {
            in->next_line++;
            continue;
        }
        if (c == '\r') {
            int after = getc(in->f);
            if (after == '\n') {
                in->next_line++;
                continue;
            }
            (void)ungetc(after, in->f);
        }
        return record(in, c, e);
    }
}
