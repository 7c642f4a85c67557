/* Least squares without negative coefficients: min |A x - b| with x >= 0. A cost cannot be negative, and
 * a fit that may not make one so reads as physics. Pure arithmetic, any thread, no allocation beyond what
 * its caller sees; small problems: at most NNLS_COLS columns, any number of rows.
 *
 * The rows are folded one by one into a triangle R and a vector d by Householder reflections (so A is never
 * kept: |A x - b|^2 = |R x - d|^2 + rest), then the active-set method of Lawson and Hanson runs on the
 * triangle. Columns are scaled to length 1 while it runs, so that seconds per step and seconds per byte
 * are judged alike.
 * source: Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23.
 *
 * Relative error: divide row and right side by the measured value y, and b becomes 1. */
#ifndef DAEMON_MODEL_NNLS_H
#define DAEMON_MODEL_NNLS_H

#include "common/base.h"

#define NNLS_COLS 32

/* The folded problem. Zero it (n set) before the first row. */
struct nnls {
    int n; /* columns */
    double r[NNLS_COLS + 1]
            [NNLS_COLS + 1]; /* upper triangle; the last column is d, its corner the rest */
    double block[NNLS_COLS][NNLS_COLS + 1]; /* rows not folded in yet */
    int held;                               /* of them */
    double rows;
};

void nnls_begin(struct nnls *p, int columns);
/* One equation: sum row[j] x[j] = y, times weight >= 0 (a row that counts twice: sqrt 2). */
void nnls_row(struct nnls *p, const double *row, double y, double weight);

/* x[0 .. n-1]. A column that nothing determines (all zero, or a copy of others) gets 0.
 * free_sign: columns that may be negative too (bit j); 0 = none, all ones = ordinary least squares.
 * Returns the residual's length |A x - b|. */
double nnls_solve(struct nnls *p, double *x, uint32_t free_sign);

/* Gradient A'(A x - b) of the folded problem, for tests of optimality: >= 0 where x = 0, 0 where x > 0. */
void nnls_gradient(struct nnls *p, const double *x, double *gradient);

#endif
