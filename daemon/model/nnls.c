#include "daemon/model/nnls.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* A column this close to a combination of others (length 1 = not at all) says nothing of its own. */
#define DEPENDENT 1e-9
/* A gradient below this, relative to the right side, is rounding. */
#define FLAT 1e-12

void nnls_begin(struct nnls *p, int columns)
{
    assert(columns >= 1 && columns <= NNLS_COLS);
    *p = (struct nnls){.n = columns};
}

/* Reflect the rows in `block` into the triangle: column k becomes (r_kk, 0, .., 0). */
static void fold_column(struct nnls *p, int k)
{
    double norm2 = 0;
    for (int i = 0; i < p->held; i++)
        norm2 += p->block[i][k] * p->block[i][k];
    if (norm2 == 0)
        return;
    double head = p->r[k][k];
    double length = sqrt(head * head + norm2);
    double top = head > 0 ? head + length : head - length; /* of the reflection's vector */
    double scale = 2 / (top * top + norm2);
    p->r[k][k] = head > 0 ? -length : length;
    for (int j = k + 1; j <= p->n; j++) {
        double dot = top * p->r[k][j];
        for (int i = 0; i < p->held; i++)
            dot += p->block[i][k] * p->block[i][j];
        dot *= scale;
        p->r[k][j] -= dot * top;
        for (int i = 0; i < p->held; i++)
            p->block[i][j] -= dot * p->block[i][k];
    }
}

static void fold(struct nnls *p)
{
    for (int k = 0; k <= p->n; k++)
        fold_column(p, k);
    p->held = 0;
}

void nnls_row(struct nnls *p, const double *row, double y, double weight)
{
    double *to = p->block[p->held++];
    for (int j = 0; j < p->n; j++)
        to[j] = weight * row[j];
    to[p->n] = weight * y;
    p->rows += weight > 0;
    if (p->held == NNLS_COLS)
        fold(p);
}

/* The problem while it is solved: unit columns, and which may be positive now. */
struct work {
    const struct nnls *p;
    double length[NNLS_COLS]; /* of each column; 0 = empty */
    double x[NNLS_COLS];      /* scaled by length */
    double z[NNLS_COLS];
    int order[NNLS_COLS]; /* passive columns, the newest last */
    int passive;
    bool in[NNLS_COLS];
    bool dependent; /* the newest column is a copy of those before it */
};

static double at(const struct work *w, int i, int j)
{
    return i > j ? 0 : w->p->r[i][j] / w->length[j];
}

/* One reflection of m's column k below row `row`, carried through the columns after it and the right
 * side. Returns the diagonal it leaves. */
static double reflect(double m[][NNLS_COLS + 1], int rows, int row, int k, int cols)
{
    double norm2 = 0;
    for (int i = row + 1; i < rows; i++)
        norm2 += m[i][k] * m[i][k];
    double head = m[row][k];
    if (norm2 == 0)
        return head;
    double length = sqrt(head * head + norm2);
    double top = head > 0 ? head + length : head - length;
    double scale = 2 / (top * top + norm2);
    m[row][k] = top;
    for (int j = k + 1; j < cols; j++) {
        double dot = 0;
        for (int i = row; i < rows; i++)
            dot += m[i][k] * m[i][j];
        for (int i = row; i < rows; i++)
            m[i][j] -= scale * dot * m[i][k];
    }
    return head > 0 ? -length : length;
}

/* Least squares on the passive columns alone, into z. */
static void solve_passive(struct work *w)
{
    static const double none[NNLS_COLS];
    double m[NNLS_COLS][NNLS_COLS + 1];
    double diagonal[NNLS_COLS];
    int pivot[NNLS_COLS]; /* row of each column; -1 = dependent */
    int n = w->p->n;
    int k = w->passive;
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < k; c++)
            m[i][c] = at(w, i, w->order[c]);
        m[i][k] = w->p->r[i][n];
    }
    int row = 0;
    w->dependent = false;
    for (int c = 0; c < k; c++) {
        double rest = 0;
        for (int i = row; i < n; i++)
            rest += m[i][c] * m[i][c];
        bool copy = row >= n || sqrt(rest) < DEPENDENT;
        pivot[c] = copy ? -1 : row;
        if (!copy)
            diagonal[c] = reflect(m, n, row++, c, k + 1);
        w->dependent = copy;
    }
    memcpy(w->z, none, sizeof(none));
    for (int c = k - 1; c >= 0; c--) {
        if (pivot[c] < 0)
            continue;
        double v = m[pivot[c]][k];
        for (int j = c + 1; j < k; j++)
            v -= m[pivot[c]][j] * w->z[w->order[j]];
        w->z[w->order[c]] = v / diagonal[c];
    }
}

static void leave(struct work *w, int column)
{
    int kept = 0;
    for (int c = 0; c < w->passive; c++)
        if (w->order[c] != column)
            w->order[kept++] = w->order[c];
    w->passive = kept;
    w->in[column] = false;
    w->x[column] = 0;
}

/* Walk from x towards z and stop where the first coefficient becomes 0; that one leaves. */
static void step_back(struct work *w, uint32_t free_sign)
{
    for (;;) {
        double alpha = 1;
        int first = -1;
        for (int c = 0; c < w->passive; c++) {
            int j = w->order[c];
            if (free_sign >> j & 1 || w->z[j] > 0)
                continue;
            double a = w->x[j] > 0 ? w->x[j] / (w->x[j] - w->z[j]) : 0;
            if (first < 0 || a < alpha) {
                alpha = a;
                first = j;
            }
        }
        if (first < 0)
            break;
        for (int j = 0; j < w->p->n; j++)
            if (w->in[j])
                w->x[j] += alpha * (w->z[j] - w->x[j]);
        leave(w, first);
        solve_passive(w);
    }
    memcpy(w->x, w->z, sizeof(w->x));
}

/* The column whose growth would lower the residual most; -1 = none, this is the minimum. */
static int steepest(const struct work *w, const bool *refused)
{
    double residual[NNLS_COLS];
    int n = w->p->n;
    double size = 0;
    for (int i = 0; i < n; i++) {
        residual[i] = w->p->r[i][n];
        size += residual[i] * residual[i];
        for (int j = i; j < n; j++)
            if (w->in[j])
                residual[i] -= at(w, i, j) * w->x[j];
    }
    int best = -1;
    double most = FLAT * sqrt(size);
    for (int j = 0; j < n; j++) {
        double slope = 0;
        if (w->in[j] || refused[j] || w->length[j] == 0)
            continue;
        for (int i = 0; i <= j; i++)
            slope += at(w, i, j) * residual[i];
        if (slope > most) {
            most = slope;
            best = j;
        }
    }
    return best;
}

static void enter(struct work *w, int column)
{
    w->order[w->passive++] = column;
    w->in[column] = true;
}

static void search(struct work *w, uint32_t free_sign)
{
    bool refused[NNLS_COLS] = {false};
    for (int round = 0; round < 10 * NNLS_COLS; round++) {
        int t = steepest(w, refused);
        if (t < 0)
            return;
        enter(w, t);
        solve_passive(w);
        if (w->dependent || w->z[t] <= 0) { /* rounding: it would have to shrink at once */
            leave(w, t);
            refused[t] = true;
            continue;
        }
        step_back(w, free_sign);
        memset(refused, 0, sizeof(refused));
    }
}

double nnls_solve(struct nnls *p, double *x, uint32_t free_sign)
{
    struct work w = {.p = p};
    fold(p);
    for (int j = 0; j < p->n; j++) {
        for (int i = 0; i <= j; i++)
            w.length[j] += p->r[i][j] * p->r[i][j];
        w.length[j] = sqrt(w.length[j]);
        if (free_sign >> j & 1 && w.length[j] > 0)
            enter(&w, j);
    }
    solve_passive(&w);
    memcpy(w.x, w.z, sizeof(w.x));
    search(&w, free_sign);
    double rest = p->r[p->n][p->n] * p->r[p->n][p->n];
    for (int i = 0; i < p->n; i++) {
        double v = p->r[i][p->n];
        for (int j = i; j < p->n; j++)
            if (w.in[j])
                v -= at(&w, i, j) * w.x[j];
        rest += v * v;
    }
    for (int j = 0; j < p->n; j++)
        x[j] = w.in[j] ? w.x[j] / w.length[j] : 0;
    return sqrt(rest);
}

void nnls_gradient(struct nnls *p, const double *x, double *gradient)
{
    fold(p);
    for (int j = 0; j < p->n; j++)
        gradient[j] = 0;
    for (int i = 0; i < p->n; i++) {
        double v = -p->r[i][p->n];
        for (int j = i; j < p->n; j++)
            v += p->r[i][j] * x[j];
        for (int j = i; j < p->n; j++)
            gradient[j] += p->r[i][j] * v;
    }
}
