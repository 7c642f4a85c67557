/* Power of the last minutes in cells of a quarter of a second: which reading stands still while what it
 * meters moves, and how far a slow meter is behind a fast one. */
#include "daemon/meter/watch_internal.h"

#include <math.h>
#include <string.h>

#define STALE_NS (10 * NS_PER_S)

static float *cell(const struct watched *c, int64_t index)
{
    return &c->cells[index % WATCH_CELLS];
}

void watch_cells_step(struct watch *w, int64_t t_ns)
{
    int64_t now = t_ns / WATCH_CELL_NS;
    if (w->cell >= 0 && now <= w->cell) {
        return;
    }
    int64_t from = w->cell < 0 || now - w->cell > WATCH_CELLS ? now : w->cell + 1;
    for (size_t i = 0; i < w->n; i++) {
        struct watched *c = &w->ch[i];
        bool known = c->cells && c->has && t_ns - c->t_ns <= STALE_NS + 3 * c->pace_ns;
        for (int64_t k = from; c->cells && k <= now; k++) {
            *cell(c, k) = known ? (float)c->power_w : NAN;
        }
    }
    w->cell = now;
}

/* Fast enough that its power stands at its time: refreshed and read within half a second. */
static bool is_fast(const struct watched *c)
{
    return c->cells && watch_slow_ns(c) <= 2 * WATCH_CELL_NS && c->pace_ns <= 2 * WATCH_CELL_NS;
}

static bool related(const struct watch *w, size_t i, size_t ref)
{
    return i != ref && (w->thing[i] == w->thing[ref] || w->contained[i * w->n + ref]);
}

/* ---- what stands still -------------------------------------------------------------------------- */

#define STILL_PERIODS 10
#define STILL_MIN_NS  (20 * NS_PER_S)
#define MOVED_QUANTA  8
#define MOVED_SHARE   0.1
#define MOVED_W       5.0
#define MOVED_SKIP_NS (2 * NS_PER_S) /* around a change the two need not be in step */

/* Largest and smallest mean of `box` cells of a channel in between. False: not known throughout. */
static bool range_of(const struct watch *w, const struct watched *c, int64_t from_ns, int64_t to_ns,
                     int64_t box, double *lo, double *hi)
{
    int64_t from = from_ns / WATCH_CELL_NS;
    double sum = 0;
    from = from < w->cell - WATCH_CELLS + 1 ? w->cell - WATCH_CELLS + 1 : from;
    *lo = INFINITY;
    *hi = -INFINITY;
    for (int64_t k = from; k <= to_ns / WATCH_CELL_NS; k++) {
        double v = (double)*cell(c, k);
        if (isnan(v)) {
            return false;
        }
        sum += v;
        if (k - from >= box) {
            sum -= (double)*cell(c, k - box);
        }
        if (k - from >= box - 1) {
            *lo = fmin(*lo, sum / (double)box);
            *hi = fmax(*hi, sum / (double)box);
        }
    }
    return *hi >= *lo;
}

static void look_for_mover(struct watch *w, size_t i, int64_t t_ns)
{
    const struct watched *c = &w->ch[i];
    double need = fmax(MOVED_W, MOVED_QUANTA * (double)c->quantum * 1e-6);
    need = fmax(need, MOVED_SHARE * c->power_w);
    int64_t skip = watch_slow_ns(c) + MOVED_SKIP_NS;
    int64_t box = (c->period_ns + c->pub->desc.box_ns) / WATCH_CELL_NS + 1;
    for (size_t r = 0; r < w->n; r++) {
        double lo = 0;
        double hi = 0;
        if (!related(w, i, r) || !is_fast(&w->ch[r]) || !watch_alive(&w->ch[r], t_ns) ||
            w->ch[r].opinion.doubt != METER_DOUBT_NONE ||
            !range_of(w, &w->ch[r], c->moved_ns + skip, t_ns - skip, box > 4 ? box : 4, &lo, &hi) ||
            hi - lo < need) {
            continue;
        }
        double span_s = (double)(t_ns - c->moved_ns) * 1e-9;
        struct watch_grounds g = {.about = r,
                                  .mine_j = c->power_w * span_s,
                                  .other_j = (lo + hi) / 2 * span_s,
                                  .span_ns = t_ns - c->moved_ns};
        watch_doubt(w, i, METER_DOUBT_FROZEN, &g, c->moved_ns);
        return;
    }
}

void watch_frozen_step(struct watch *w, int64_t t_ns)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct watched *c = &w->ch[i];
        if (!c->cells || c->pub->desc.kind == CHANNEL_COUNTER || !watch_alive(c, t_ns)) {
            continue; /* a counter that stands still disagrees with its gauge: watch_pairs.c */
        }
        int64_t patience = STILL_PERIODS * watch_slow_ns(c);
        patience = patience > STILL_MIN_NS ? patience : STILL_MIN_NS;
        if (c->opinion.doubt == METER_DOUBT_FROZEN) {
            if (c->moved_ns > c->opinion.since_ns) {
                watch_restore(w, i, t_ns);
            }
        } else if (t_ns - c->moved_ns >= patience) {
            look_for_mover(w, i, t_ns);
        }
    }
}

/* ---- how late ----------------------------------------------------------------------------------- */

#define LAG_EVERY_NS  (60 * NS_PER_S)
#define LAG_MAX_CELLS 480 /* two minutes */
#define LAG_SPAN      960 /* four minutes of the slow meter are compared */
#define LAG_R         0.8
#define LAG_CLEAR     0.05 /* another delay must fit worse by this much */
#define LAG_EVENTS    5
#define EVENT_SHARE   0.25 /* of the range of power */
#define EVENT_CELLS   8    /* two events are at least 2 s apart */

/* The newest n cells, oldest first. False: not known throughout. */
static bool take_cells(const struct watch *w, const struct watched *c, float *out, int64_t n)
{
    if (w->cell < n) {
        return false;
    }
    for (int64_t k = 0; k < n; k++) {
        out[k] = *cell(c, w->cell - n + 1 + k);
        if (isnan(out[k])) {
            return false;
        }
    }
    return true;
}

static double variance(const float *v, int64_t n)
{
    double s = 0;
    double q = 0;
    for (int64_t k = 0; k < n; k++) {
        s += (double)v[k];
        q += (double)v[k] * (double)v[k];
    }
    return q / (double)n - s / (double)n * (s / (double)n);
}

/* The fast meter inside it, or of the same thing, whose power varied most; its cells stand in scratch[1]. */
static size_t fast_reference(struct watch *w, size_t i)
{
    size_t best = SIZE_MAX;
    double most = 1; /* W^2: below it nothing happened */
    for (size_t r = 0; r < w->n; r++) {
        const struct watched *c = &w->ch[r];
        if (!related(w, i, r) || !is_fast(c) || c->opinion.doubt != METER_DOUBT_NONE ||
            !take_cells(w, c, w->scratch[1], LAG_SPAN + LAG_MAX_CELLS)) {
            continue;
        }
        double v = variance(w->scratch[1], LAG_SPAN + LAG_MAX_CELLS);
        if (v > most) {
            most = v;
            best = r;
        }
    }
    return best != SIZE_MAX && take_cells(w, &w->ch[best], w->scratch[1], LAG_SPAN + LAG_MAX_CELLS)
               ? best
               : SIZE_MAX;
}

/* What a meter that averages over `box` cells would show of it. From the end, in place. */
static void smooth(float *v, int64_t n, int64_t box)
{
    for (int64_t k = n - 1; box > 1 && k >= 0; k--) {
        double sum = 0;
        int64_t from = k - box + 1 > 0 ? k - box + 1 : 0;
        for (int64_t j = from; j <= k; j++) {
            sum += (double)v[j];
        }
        v[k] = (float)(sum / (double)(k - from + 1));
    }
}

static int64_t count_events(const float *v, int64_t n)
{
    float lo = v[0];
    float hi = v[0];
    int64_t events = 0;
    for (int64_t k = 1; k < n; k++) {
        lo = fminf(lo, v[k]);
        hi = fmaxf(hi, v[k]);
    }
    for (int64_t k = 4; k < n; k++) {
        if (fabsf(v[k] - v[k - 4]) > (float)EVENT_SHARE * (hi - lo)) {
            events++;
            k += EVENT_CELLS;
        }
    }
    return events;
}

/* Correlation of the slow meter with the fast one `late` cells before. */
static double correlation(const float *slow, const float *fast, int64_t late)
{
    const float *f = fast + LAG_MAX_CELLS - late;
    double s = 0;
    double q = 0;
    double sf = 0;
    double qf = 0;
    double x = 0;
    for (int64_t k = 0; k < LAG_SPAN; k++) {
        double a = (double)slow[k];
        double b = (double)f[k];
        s += a;
        q += a * a;
        sf += b;
        qf += b * b;
        x += a * b;
    }
    double va = q - s * s / LAG_SPAN;
    double vb = qf - sf * sf / LAG_SPAN;
    return va > 0 && vb > 0 ? (x - s * sf / LAG_SPAN) / sqrt(va * vb) : 0;
}

/* The one delay that fits; -1 = none does, or two do (a load that repeats). */
static int64_t best_delay(const float *slow, const float *fast, int64_t apart)
{
    double r[LAG_MAX_CELLS + 1];
    int64_t best = 0;
    for (int64_t k = 0; k <= LAG_MAX_CELLS; k++) {
        r[k] = correlation(slow, fast, k);
        best = r[k] > r[best] ? k : best;
    }
    if (r[best] < LAG_R || best == LAG_MAX_CELLS) {
        return -1;
    }
    for (int64_t k = 0; k <= LAG_MAX_CELLS; k++) {
        int64_t away = k > best ? k - best : best - k;
        if (away > apart && r[k] > r[best] - LAG_CLEAR) {
            return -1;
        }
    }
    return best;
}

/* Rounded up to the next cell. About half an update period is in it: bounds that rest on it are the wider. */
static void learn_lag(struct watch *w, size_t i)
{
    struct watched *c = &w->ch[i];
    float *slow = w->scratch[0];
    float *fast = w->scratch[1];
    const int64_t n = LAG_SPAN + LAG_MAX_CELLS;
    if (!take_cells(w, c, slow, LAG_SPAN) || !(variance(slow, LAG_SPAN) > 0) ||
        fast_reference(w, i) == SIZE_MAX) {
        return;
    }
    int64_t events = count_events(fast + LAG_MAX_CELLS, LAG_SPAN);
    smooth(fast, n, c->pub->desc.box_ns / WATCH_CELL_NS);
    int64_t apart = (c->period_ns + c->pub->desc.box_ns) / WATCH_CELL_NS + EVENT_CELLS;
    int64_t delay = events < LAG_EVENTS ? -1 : best_delay(slow, fast, apart);
    if (delay < 0) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    c->lag_ns = delay > 0 ? (delay + 1) * WATCH_CELL_NS : 0;
    c->lag_events = events;
    pthread_mutex_unlock(&w->lock);
}

static bool is_slow(const struct watched *c)
{
    return c->cells && c->period_ns + c->pub->desc.box_ns >= WATCH_SLOW_NS;
}

void watch_lag_step(struct watch *w, int64_t t_ns)
{
    if (w->lag_next >= w->n) {
        if (t_ns - w->lagged_ns < LAG_EVERY_NS) {
            return;
        }
        w->lagged_ns = t_ns;
        w->lag_next = 0;
    }
    while (w->lag_next < w->n && !is_slow(&w->ch[w->lag_next])) {
        w->lag_next++;
    }
    if (w->lag_next < w->n) {
        learn_lag(w, w->lag_next++);
    }
}
