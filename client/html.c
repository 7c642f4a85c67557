#include "client/html.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/json.h"

void html_fini(struct html *h)
{
    free(h->s);
    *h = (struct html){0};
}

void html_finip(struct html *h)
{
    html_fini(h);
}

static void append(struct html *h, const char *s, size_t n)
{
    if (h->n + n + 1 > h->cap) {
        size_t cap = (h->n + n + 1) * 2 < 4096 ? 4096 : (h->n + n + 1) * 2;
        char *p = realloc(h->s, cap);
        if (!p)
            abort();
        h->s = p;
        h->cap = cap;
    }
    memcpy(h->s + h->n, s, n);
    h->n += n;
    h->s[h->n] = '\0';
}

void html_raw(struct html *h, const char *markup)
{
    append(h, markup, strlen(markup));
}

PRINTF(1, 0) static char *formatted(const char *fmt, va_list ap)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    return text;
}

void html_rawf(struct html *h, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text CLEANUP(base_freep) = formatted(fmt, ap);
    va_end(ap);
    html_raw(h, text);
}

/* ---- text from outside --------------------------------------------------------------------------- */

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* What XML 1.0 may not contain even when it is escaped. */
static bool forbidden(const char *s, size_t n)
{
    unsigned char c = (unsigned char)*s;
    if (n == 1)
        return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
    if (n == 2 && c == 0xc2 &&
        (unsigned char)s[1] < 0xa0) /* the second set of control characters */
        return true;
    return n == 3 && (memcmp(s, "\xef\xbf\xbe", 3) == 0 || memcmp(s, "\xef\xbf\xbf", 3) == 0);
}

void html_text(struct html *h, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t n = json_utf8(text, left);
        const char *as = entity(*text);
        if (n == 0 || forbidden(text, n))
            html_raw(h, "\xef\xbf\xbd");
        else if (as)
            html_raw(h, as);
        else
            append(h, text, n);
        text += n ? n : 1;
        left -= n ? n : 1;
    }
}

void html_textf(struct html *h, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text CLEANUP(base_freep) = formatted(fmt, ap);
    va_end(ap);
    html_text(h, text);
}

/* ---- elements ------------------------------------------------------------------------------------ */

void html_element(struct html *h, const char *tag, const char *text)
{
    html_rawf(h, "<%s>", tag);
    html_text(h, text);
    html_rawf(h, "</%.*s>\n", (int)strcspn(tag, " "), tag);
}

void html_elementf(struct html *h, const char *tag, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text CLEANUP(base_freep) = formatted(fmt, ap);
    va_end(ap);
    html_element(h, tag, text);
}

/* ---- tables -------------------------------------------------------------------------------------- */

static const char *head_class(const char *head)
{
    return head[0] == '>' ? " class=\"n\"" : "";
}

static void begin(struct html_table *t, const char *caption)
{
    struct html *h = t->h;
    const char *const *heads = t->heads;
    assert(t->columns > 0);
    html_raw(h, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"");
    html_text(h, caption ? caption : heads[0] + (heads[0][0] == '>'));
    html_raw(h, t->cards ? "\"><table class=\"cards\">\n" : "\"><table>\n");
    if (caption)
        html_element(h, "caption", caption);
    html_raw(h, "<thead><tr>");
    for (size_t i = 0; i < t->columns; i++) {
        html_rawf(h, "<th scope=\"col\"%s>", head_class(heads[i]));
        html_text(h, heads[i] + (heads[i][0] == '>'));
        html_raw(h, "</th>");
    }
    html_raw(h, "</tr></thead>\n<tbody>\n");
}

void html_table_begin(struct html_table *t, struct html *h, const char *caption,
                      const char *const *heads, size_t columns)
{
    *t = (struct html_table){.h = h, .heads = heads, .columns = columns};
    begin(t, caption);
}

void html_cards_begin(struct html_table *t, struct html *h, const char *caption,
                      const char *const *heads, size_t columns)
{
    *t = (struct html_table){.h = h, .heads = heads, .columns = columns, .cards = true};
    begin(t, caption);
}

void html_table_class(struct html_table *t, const char *name)
{
    assert(t->at == 0);
    html_rawf(t->h, "<tr class=\"%s\">", name);
    t->at = SIZE_MAX; /* the row is open, no cell is in it */
}

void html_cell(struct html_table *t, const char *text)
{
    if (t->at == 0)
        html_raw(t->h, "<tr>");
    if (t->at == SIZE_MAX)
        t->at = 0;
    bool first = t->at == 0;
    const char *head = t->heads[t->at];
    html_rawf(t->h, first ? "<th scope=\"row\"%s" : "<td%s", head_class(head));
    if (t->cards) {
        html_raw(t->h, " data-head=\"");
        html_text(t->h, head + (head[0] == '>'));
        html_raw(t->h, "\"");
    }
    html_raw(t->h, ">");
    html_text(t->h, text && *text ? text : "-");
    html_raw(t->h, first ? "</th>" : "</td>");
    if (++t->at == t->columns) {
        html_raw(t->h, "</tr>\n");
        t->at = 0;
    }
}

void html_cellf(struct html_table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text CLEANUP(base_freep) = formatted(fmt, ap);
    va_end(ap);
    html_cell(t, text);
}

void html_table_end(struct html_table *t)
{
    assert(t->at == 0);
    html_raw(t->h, "</tbody></table></div>\n");
}
