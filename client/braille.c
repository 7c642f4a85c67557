#include "client/braille.h"

#include <math.h>
#include <stdlib.h>

#define DASH_ON  4 /* dots */
#define DASH_OFF 3

static size_t within(size_t v, size_t most)
{
    return v < 1 ? 1 : v > most ? most : v;
}

void braille_init(struct braille *b, size_t columns, size_t rows, bool unicode)
{
    *b = (struct braille){.columns = within(columns, BRAILLE_COLUMNS_MAX),
                          .rows = within(rows, BRAILLE_ROWS_MAX),
                          .unicode = unicode};
    b->width = b->columns * (unicode ? 2 : 1);
    b->height = b->rows * (unicode ? 4 : 2);
    b->dots = base_alloc(b->width * b->height);
}

void braille_fini(struct braille *b)
{
    free(b->dots);
    *b = (struct braille){0};
}

/* Place in dots, from the left and from the top; may lie outside. */
struct place {
    double x, y;
};

static struct place place_of(const struct braille *b, const struct braille_view *v, double x,
                             double y)
{
    return (struct place){(x - v->x_lo) / (v->x_hi - v->x_lo) * (double)(b->width - 1),
                          (v->y_hi - y) / (v->y_hi - v->y_lo) * (double)(b->height - 1)};
}

static void dot(struct braille *b, struct place p)
{
    double x = round(p.x);
    double y = round(p.y);
    if (x >= 0 && y >= 0 && x < (double)b->width && y < (double)b->height)
        b->dots[(size_t)y * b->width + (size_t)x] = 1;
}

/* How many dots of the curve came before, so that dashes go on over short pieces. */
static size_t join(struct braille *b, struct place from, struct place to, bool dashed, size_t drawn)
{
    double far = fmax(fabs(to.x - from.x), fabs(to.y - from.y));
    size_t steps =
        far < 1 ? 1 : (size_t)fmin(ceil(far), 100000); /* an end far outside of the view */
    for (size_t i = 0; i <= steps; i++) {
        double t = (double)i / (double)steps;
        struct place p = {from.x + t * (to.x - from.x), from.y + t * (to.y - from.y)};
        if (!dashed || (drawn + i) % (DASH_ON + DASH_OFF) < DASH_ON)
            dot(b, p);
    }
    return drawn + steps;
}

void braille_curve(struct braille *b, const struct braille_view *v, const double *x,
                   const double *y, size_t n, bool dashed)
{
    size_t drawn = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(y[i]) || !isfinite(x[i]))
            continue;
        struct place here = place_of(b, v, x[i], y[i]);
        bool before = i > 0 && isfinite(y[i - 1]) && isfinite(x[i - 1]);
        if (before)
            drawn = join(b, place_of(b, v, x[i - 1], y[i - 1]), here, dashed, drawn);
        else
            dot(b, here);
    }
}

static size_t put_cell(const struct braille *b, size_t column, size_t row, char *out)
{
    static const uint8_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    unsigned cell = 0;
    if (!b->unicode) {
        bool upper = b->dots[2 * row * b->width + column] != 0;
        bool lower = b->dots[(2 * row + 1) * b->width + column] != 0;
        out[0] = upper && lower ? ':' : upper ? '\'' : lower ? '.' : ' ';
        return 1;
    }
    for (size_t y = 0; y < 4; y++)
        for (size_t x = 0; x < 2; x++)
            if (b->dots[(4 * row + y) * b->width + 2 * column + x])
                cell |= bits[y][x];
    if (cell == 0) {
        out[0] = ' ';
        return 1;
    }
    unsigned code = 0x2800 + cell; /* three bytes of UTF-8 */
    out[0] = (char)(0xe0 | (code >> 12));
    out[1] = (char)(0x80 | ((code >> 6) & 0x3f));
    out[2] = (char)(0x80 | (code & 0x3f));
    return 3;
}

const char *braille_row(const struct braille *b, size_t row, char *buf)
{
    size_t at = 0;
    size_t end = 0;
    for (size_t c = 0; c < b->columns; c++) {
        size_t n = put_cell(b, c, row, buf + at);
        bool blank = n == 1 && buf[at] == ' ';
        at += n;
        end = blank ? end : at;
    }
    buf[end] = '\0';
    return buf;
}
