#include "client/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void table_init(struct table *t, const char *const *heads, size_t columns)
{
    *t = (struct table){.heads = heads, .columns = columns};
}

void table_fini(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){0};
}

void table_take(struct table *t, char *text)
{
    if (t->n % 64 == 0) {
        char **p = realloc(t->cells, (t->n + 64) * sizeof *p);
        if (!p)
            abort();
        t->cells = p;
    }
    t->cells[t->n++] = text ? text : base_strdup("-");
}

void table_put(struct table *t, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    table_take(t, text);
}

static const char *head_text(const char *head)
{
    return head + strspn(head, ">!");
}

/* Width of each column; 0 = all its cells are empty or "-" and it is left out. */
static void measure(const struct table *t, size_t *width)
{
    for (size_t c = 0; c < t->columns; c++) {
        bool used = t->n == 0 || strchr(t->heads[c], '!') != NULL;
        width[c] = print_width(head_text(t->heads[c]));
        for (size_t i = c; i < t->n; i += t->columns) {
            size_t w = print_width(t->cells[i]);
            used = used || (w > 0 && strcmp(t->cells[i], "-") != 0);
            width[c] = w > width[c] ? w : width[c];
        }
        if (!used)
            width[c] = 0;
    }
}

/* At most `room` characters of a cell. */
static void put_cut(FILE *f, const char *s, size_t room)
{
    if (print_width(s) <= room) {
        (void)fputs(s, f);
        return;
    }
    size_t n = 0;
    for (; *s && n + 1 < room + (((unsigned char)*s & 0xc0) == 0x80); s++) {
        n += ((unsigned char)*s & 0xc0) != 0x80;
        (void)fputc(*s, f);
    }
    (void)fputc('+', f);
}

static void put_row(const struct table *t, const struct print *p, const size_t *width,
                    char *const *cells)
{
    size_t last = t->columns;
    for (size_t c = 0; c < t->columns; c++)
        if (width[c] > 0 && (!cells || cells[c][0]))
            last = c;
    size_t at = 0;
    for (size_t c = 0; c <= last && last < t->columns; c++) {
        if (width[c] == 0)
            continue;
        const char *cell = cells ? cells[c] : head_text(t->heads[c]);
        size_t pad = width[c] - print_width(cell);
        bool right = t->heads[c][0] == '>';
        size_t room = p->columns > 0 && c == last ? (size_t)p->columns : SIZE_MAX;
        room = room == SIZE_MAX ? room : (room > at + 8 ? room - at : 8);
        (void)fprintf(p->out, "%*s", right ? (int)pad : 0, "");
        put_cut(p->out, cell, room);
        if (c != last)
            (void)fprintf(p->out, "%*s  ", right ? 0 : (int)pad, "");
        at += width[c] + 2;
    }
    (void)fputc('\n', p->out);
}

void table_print(const struct table *t, const struct print *p)
{
    size_t width[64];
    if (t->columns > ARRAY_LEN(width))
        return;
    measure(t, width);
    (void)fputs(print_tone_on(p, TONE_DIM), p->out);
    put_row(t, p, width, NULL);
    (void)fputs(print_tone_off(p, TONE_DIM), p->out);
    for (size_t i = 0; i + t->columns <= t->n; i += t->columns)
        put_row(t, p, width, t->cells + i);
}
