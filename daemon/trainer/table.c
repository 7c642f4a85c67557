#include "daemon/trainer/table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a parse carries along. */
struct parse {
    struct table *t;
    const char *label;
    char *p; /* next unread byte */
    char *end;
    char delimiter;
    struct err *e;
};

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Digits with at most one point whose digits fit 2^53: mantissa and power of ten are then both exact and
 * one division rounds correctly, as strtod would (Clinger's fast path). */
static bool short_number(const char *s, size_t n, double *out)
{
    uint64_t digits = 0;
    size_t i = 0;
    size_t after_point = 0;
    bool point = false;
    bool negative = n > 0 && s[0] == '-';
    for (i = negative; i < n; i++) {
        unsigned d = (unsigned)(unsigned char)s[i] - '0';
        if (d > 9 && (s[i] != '.' || point))
            return false;
        if (d > 9) {
            point = true;
            continue;
        }
        if (digits > (UINT64_C(1) << 53) / 10 - 1)
            return false;
        digits = digits * 10 + d;
        after_point += point;
    }
    if (n == negative + (size_t)point || after_point >= ARRAY_LEN(powers))
        return false;
    double v = (double)digits / powers[after_point];
    *out = negative ? -v : v;
    return true;
}

bool table_number(const char *s, size_t n, double *out)
{
    while (n && *s == ' ') {
        s++;
        n--;
    }
    while (n && s[n - 1] == ' ')
        n--;
    if (short_number(s, n, out))
        return true;
    /* strtod would skip a leading newline or tab and read on into the next cell. */
    if (n == 0 || (unsigned char)s[0] <= ' ')
        return false;
    char *end;
    *out = strtod(s, &end);
    return end == s + n;
}

static bool is_missing(const char *s, size_t n)
{
    static const char *const words[] = {"", "NA", "N/A", "NULL", "null", "NaN", "None"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strlen(words[i]) == n && memcmp(words[i], s, n) == 0)
            return true;
    return false;
}

/* Rewrite quoted CSV so that a plain split works: the separator becomes 0x1f, and a newline within quotes
 * a blank. Never grows. */
static int unquote(struct parse *ps)
{
    char *w = ps->p;
    bool quoted = false;
    for (char *r = ps->p; r < ps->end; r++) {
        if (*r == '"' && quoted && r + 1 < ps->end && r[1] == '"')
            *w++ = *r++;
        else if (*r == '"')
            quoted = !quoted;
        else if (*r == ',' && !quoted)
            *w++ = '\x1f';
        else
            *w++ = (*r == '\n' || *r == '\x1f') && quoted ? ' ' : *r;
    }
    if (quoted) {
        err_set(ps->e, WATTQ_E_INVALID, "%.120s has a quote that is never closed", ps->label);
        return err_next(ps->e, "close it, or write \"\" for a quote inside a quoted cell");
    }
    *w = '\0';
    ps->end = w;
    ps->delimiter = '\x1f';
    return 0;
}

/* The next line without its end, or false at the end of the text. */
static bool next_line(struct parse *ps, char **line, size_t *bytes)
{
    if (ps->p >= ps->end)
        return false;
    char *nl = memchr(ps->p, '\n', (size_t)(ps->end - ps->p));
    char *stop = nl ? nl : ps->end;
    *line = ps->p;
    *bytes = (size_t)(stop - ps->p);
    if (*bytes && stop[-1] == '\r')
        --*bytes;
    ps->p = nl ? nl + 1 : ps->end;
    return true;
}

/* Length of the cell at *s, which is moved behind its delimiter; *s becomes NULL after the last one. */
static size_t next_cell(const struct parse *ps, const char **s, const char *end)
{
    if (!*s)
        return 0;
    const char *d = memchr(*s, ps->delimiter, (size_t)(end - *s));
    size_t n = (size_t)((d ? d : end) - *s);
    *s = d ? d + 1 : NULL;
    return n;
}

static int64_t count_cells(const struct parse *ps, const char *line, size_t bytes)
{
    int64_t n = 1;
    for (size_t i = 0; i < bytes; i++)
        n += line[i] == ps->delimiter;
    return n;
}

static int parse_header(struct parse *ps)
{
    char *line;
    size_t bytes;
    if (!next_line(ps, &line, &bytes)) {
        err_set(ps->e, WATTQ_E_INVALID, "%.120s is empty", ps->label);
        return err_next(ps->e,
                        "the first line must name the columns, the following ones hold the rows");
    }
    int64_t cols = count_cells(ps, line, bytes);
    if (cols > TABLE_COLUMNS_MAX)
        return err_set(ps->e, WATTQ_E_LIMIT,
                       "%.120s has %lld columns; %d are the most that is read", ps->label,
                       (long long)cols, TABLE_COLUMNS_MAX);
    ps->t->column = calloc((size_t)cols, sizeof(*ps->t->column));
    if (!ps->t->column)
        return err_set(ps->e, WATTQ_E_LIMIT, "no memory for %lld columns", (long long)cols);
    ps->t->cols = cols;
    const char *s = line;
    for (int64_t c = 0; c < cols && s; c++) {
        const char *cell = s;
        size_t n = next_cell(ps, &s, line + bytes);
        if (n > TABLE_NAME_MAX)
            n = TABLE_NAME_MAX;
        memcpy(ps->t->column[c].name, cell, n);
    }
    return 0;
}

static void drop_blank_tail(struct parse *ps)
{
    while (ps->end > ps->p && (ps->end[-1] == '\n' || ps->end[-1] == '\r'))
        ps->end--;
    *ps->end = '\0';
}

static int allocate_rows(struct parse *ps)
{
    int64_t rows = ps->end > ps->p;
    for (const char *s = ps->p; (s = memchr(s, '\n', (size_t)(ps->end - s))); s++)
        rows++;
    if (rows == 0) {
        err_set(ps->e, WATTQ_E_INVALID, "%.120s has a header and zero rows", ps->label);
        return err_next(ps->e, "add data rows below the header line");
    }
    if (rows > TABLE_CELLS_MAX / ps->t->cols) {
        err_set(ps->e, WATTQ_E_LIMIT, "%.120s has %lld rows of %lld cells, more than is read",
                ps->label, (long long)rows, (long long)ps->t->cols);
        return err_next(ps->e, "train on a part of it: 2^28 cells are the most");
    }
    ps->t->rows = rows;
    for (int64_t c = 0; c < ps->t->cols; c++) {
        ps->t->column[c].value = malloc((size_t)rows * sizeof(double));
        if (!ps->t->column[c].value)
            return err_set(ps->e, WATTQ_E_LIMIT, "no memory for %lld rows of %.120s",
                           (long long)rows, ps->label);
    }
    return 0;
}

static int ragged(const struct parse *ps, int64_t row, int64_t cells)
{
    err_set(ps->e, WATTQ_E_INVALID, "%.120s: row %lld has %lld cell%s but the header has %lld",
            ps->label, (long long)row, (long long)cells, cells == 1 ? "" : "s",
            (long long)ps->t->cols);
    return err_next(ps->e, "fix that row (line %lld of the file)", (long long)row + 1);
}

static int missing(const struct parse *ps, int64_t row, const char *column, const char *cell,
                   size_t n)
{
    err_set(ps->e, WATTQ_E_INVALID,
            "%.120s: row %lld, column '%.40s' is %s%.*s%s, not a finite number", ps->label,
            (long long)row, column, n ? "'" : "empty", n > 40 ? 40 : (int)n, cell, n ? "'" : "");
    return err_next(ps->e, "fill the cell or drop the row; nothing is imputed here");
}

static void remember_odd(struct table_column *c, int64_t row, const char *cell, size_t n)
{
    c->odd_row = row;
    if (n >= TABLE_SAMPLE_BYTES)
        n = TABLE_SAMPLE_BYTES - 1;
    memcpy(c->odd_sample, cell, n);
    c->odd_sample[n] = '\0';
}

/* One cell in the first pass: a number is kept, a text only marks its column. */
static int take_cell(struct parse *ps, struct table_column *c, int64_t row, const char *cell,
                     size_t n)
{
    double v = 0;
    if (table_number(cell, n, &v) && isfinite(v)) {
        if (c->text && c->numbers == 0)
            remember_odd(c, row, cell, n);
        c->numbers++;
        c->value[row - 1] = v;
        return 0;
    }
    if (is_missing(cell, n) || table_number(cell, n, &v))
        return missing(ps, row, c->name, cell, n);
    if (!c->text && c->numbers > 0)
        remember_odd(c, row, cell, n);
    c->text = true;
    return 0;
}

static int parse_rows(struct parse *ps)
{
    char *line;
    size_t bytes;
    for (int64_t row = 1; next_line(ps, &line, &bytes); row++) {
        const char *s = line;
        for (int64_t c = 0; c < ps->t->cols; c++) {
            if (!s)
                return ragged(ps, row, c);
            const char *cell = s;
            size_t n = next_cell(ps, &s, line + bytes);
            int rc = take_cell(ps, &ps->t->column[c], row, cell, n);
            if (rc < 0 && count_cells(ps, line, bytes) != ps->t->cols)
                return ragged(ps, row, count_cells(ps, line, bytes));
            if (rc < 0)
                return rc;
        }
        if (s)
            return ragged(ps, row, count_cells(ps, line, bytes));
    }
    return 0;
}

/* ---- text columns: distinct texts, sorted bytewise, each cell its rank ---------------------------- */

struct text {
    const char *s;
    size_t n;
    int64_t order; /* of first appearance */
};

struct texts {
    struct text *seen; /* in order of first appearance */
    int64_t n;
    int32_t slot[2 * TABLE_TEXTS_MAX]; /* open addressing: index + 1 into seen, 0 = free */
};

static uint64_t hash(const char *s, size_t n)
{
    uint64_t h = base_hash(BASE_HASH, s, n);
    return h ^ h >> 29;
}

/* Index of the text in order of appearance; -1 = one text too many. */
static int64_t intern(struct texts *ts, const char *s, size_t n)
{
    size_t i = hash(s, n) % ARRAY_LEN(ts->slot);
    for (; ts->slot[i]; i = (i + 1) % ARRAY_LEN(ts->slot)) {
        const struct text *t = &ts->seen[ts->slot[i] - 1];
        if (t->n == n && memcmp(t->s, s, n) == 0)
            return ts->slot[i] - 1;
    }
    if (ts->n == TABLE_TEXTS_MAX)
        return -1;
    ts->seen[ts->n] = (struct text){.s = s, .n = n, .order = ts->n};
    ts->slot[i] = (int32_t)++ts->n;
    return ts->n - 1;
}

static int by_bytes(const void *pa, const void *pb)
{
    const struct text *a = pa;
    const struct text *b = pb;
    size_t n = a->n < b->n ? a->n : b->n;
    int c = memcmp(a->s, b->s, n);
    return c ? c : (a->n > b->n) - (a->n < b->n);
}

static int rank_column(struct parse *ps, struct table_column *c, struct texts *ts)
{
    double *rank CLEANUP(base_freep) = base_alloc(TABLE_TEXTS_MAX * sizeof(double));
    for (int64_t r = 0; r < ps->t->rows; r++)
        if (c->value[r] < 0) {
            err_set(ps->e, WATTQ_E_LIMIT, "%.120s: column '%.40s' has more than %d different texts",
                    ps->label, c->name, TABLE_TEXTS_MAX);
            return err_next(ps->e, "drop the column or group its values");
        }
    qsort(ts->seen, (size_t)ts->n, sizeof(*ts->seen), by_bytes);
    for (int64_t i = 0; i < ts->n; i++)
        rank[ts->seen[i].order] = (double)i;
    for (int64_t r = 0; r < ps->t->rows; r++)
        c->value[r] = rank[(int64_t)c->value[r]];
    return 0;
}

/* Second pass, one text column at a time: such columns are few and this needs no state per column. */
static int parse_text_column(struct parse *ps, char *first_row, int64_t column, struct texts *ts)
{
    struct table_column *c = &ps->t->column[column];
    memset(ts->slot, 0, sizeof(ts->slot));
    ts->n = 0;
    ps->p = first_row;
    char *line;
    size_t bytes;
    for (int64_t row = 0; next_line(ps, &line, &bytes); row++) {
        const char *s = line;
        const char *cell = s;
        size_t n = 0;
        for (int64_t i = 0; i <= column; i++) {
            cell = s;
            n = next_cell(ps, &s, line + bytes);
        }
        c->value[row] = (double)intern(ts, cell, n);
    }
    return rank_column(ps, c, ts);
}

static int parse_texts(struct parse *ps, char *first_row)
{
    struct texts *ts CLEANUP(base_freep) = NULL;
    struct text *seen CLEANUP(base_freep) = NULL;
    for (int64_t c = 0; c < ps->t->cols; c++) {
        if (!ps->t->column[c].text)
            continue;
        if (!ts) {
            ts = base_alloc(sizeof(*ts));
            seen = base_alloc(TABLE_TEXTS_MAX * sizeof(*seen));
            ts->seen = seen;
        }
        int rc = parse_text_column(ps, first_row, c, ts);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int parse_all(struct parse *ps)
{
    if (ps->end - ps->p >= 3 && memcmp(ps->p, "\xef\xbb\xbf", 3) == 0)
        ps->p += 3;
    if (memchr(ps->p, '\0', (size_t)(ps->end - ps->p))) {
        err_set(ps->e, WATTQ_E_INVALID, "%.120s is not text: it has a NUL byte", ps->label);
        return err_next(ps->e, "give a .tsv, .csv (each may be .gz) or an IDX images file");
    }
    int rc = 0;
    if (ps->delimiter == ',' && memchr(ps->p, '"', (size_t)(ps->end - ps->p)))
        rc = unquote(ps);
    if (rc == 0)
        rc = parse_header(ps);
    if (rc < 0)
        return rc;
    drop_blank_tail(ps);
    char *first_row = ps->p;
    rc = allocate_rows(ps);
    if (rc == 0)
        rc = parse_rows(ps);
    return rc < 0 ? rc : parse_texts(ps, first_row);
}

int table_parse(struct table *t, enum table_format format, const char *label, char *text,
                size_t bytes, struct err *e)
{
    *t = (struct table){0};
    struct parse ps = {.t = t,
                       .label = label,
                       .p = text,
                       .end = text + bytes,
                       .delimiter = format == TABLE_CSV ? ',' : '\t',
                       .e = e};
    int rc = parse_all(&ps);
    if (rc < 0)
        table_fini(t);
    return rc;
}

void table_fini(struct table *t)
{
    for (int64_t c = 0; c < t->cols; c++)
        free(t->column[c].value);
    free(t->column);
    *t = (struct table){0};
}

int64_t table_find(const struct table *t, const char *name)
{
    for (int64_t c = t->cols - 1; c >= 0; c--)
        if (strcmp(t->column[c].name, name) == 0)
            return c;
    return -1;
}
