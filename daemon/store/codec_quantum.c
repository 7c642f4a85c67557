#include <math.h>

#include "daemon/store/codec_private.h"

/* A counter that shows floor(ticks num / den) moves by steps of two sizes; told the quantum, what is left
 * is the number of ticks. Which quantum it is, the values say: the greatest common divisor of all steps
 * (milli-joules, 25 mW), or one of the units that RAPL has, in the exact form and in the kernel's. */
struct unit {
    uint32_t num, den;
};

#define ESU_MIN      10u /* the energy status unit is 2^-ESU J; 977 uJ .. 3.8 uJ */
#define ESU_MAX      18u
#define SAMPLES_MIN  16u /* fewer prove no unit */
#define VALUE_MAX    (INT64_C(1) << 61)
#define MOVE_MAX     (INT64_C(1) << 48) /* uJ in one block: keeps all below inside 64 bits */
#define MULTIPLE_MAX 1e15               /* quotients below it a double tells to the unit */
#define NJ_PER_J     UINT32_C(1000000000)
#define UJ_PER_J_ODD UINT32_C(15625) /* 1e6 = 15625 x 2^6 */

/* source: intel_rapl_common.c keeps the unit in whole nJ; perf's rapl.c scales by 2^-32 J exactly. */
static struct unit kernel_unit(unsigned esu)
{
    return (struct unit){NJ_PER_J >> esu, 1000};
}

static struct unit exact_unit(unsigned esu)
{
    return (struct unit){UJ_PER_J_ODD, 1u << (esu - 6)};
}

static void set_whole(struct codec_quantum *q, uint32_t num)
{
    *q = (struct codec_quantum){.num = num, .den = 1, .phases = 1};
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

/* Of all differences, 1 as soon as it can be no more. */
static uint64_t common(const int64_t *d, uint32_t n)
{
    uint64_t g = 0;
    double inverse = 0;
    for (uint32_t i = 1; i < n && g != 1; i++) {
        uint64_t a = d[i] < 0 ? -(uint64_t)d[i] : (uint64_t)d[i];
        double k = (double)a * inverse; /* mostly a multiple: told without a division */
        if (a == 0 || (k < MULTIPLE_MAX && (uint64_t)(k + 0.5) * g == a))
            continue;
        g = gcd(a, g);
        inverse = 1 / (double)g;
    }
    return g;
}

/* Where in the unit the value of a piece's first sample may lie: [lo, hi) of den. */
struct piece {
    int64_t first; /* value */
    uint32_t lo, hi;
};

/* One more sample of the piece: how many units it lies from the first, or false when no phase fits both
 * it and the samples before. value = first + floor((units num + phase) / den). */
static bool fit(struct piece *p, const struct unit *u, uint64_t inverse, int64_t value,
                int64_t *units)
{
    int64_t r, k = codec_divide((value - p->first) * u->den, u->num, inverse, &r);
    if (r < u->den) {
        p->lo = r > p->lo ? (uint32_t)r : p->lo;
    } else if (r > (int64_t)u->num - u->den) {
        uint32_t hi = (uint32_t)(r - u->num + u->den);
        p->hi = hi < p->hi ? hi : p->hi;
        k++;
    } else {
        return false;
    }
    *units = k;
    return p->lo < p->hi;
}

static struct piece piece_at(int64_t value, const struct unit *u)
{
    return (struct piece){value, 0, u->den};
}

/* Units of a step whose ends lie in two pieces. */
static int64_t nearest(int64_t step, const struct unit *u)
{
    int64_t x = step * u->den * 2 + u->num;
    int64_t k = x / (2 * (int64_t)u->num);
    return x % (2 * (int64_t)u->num) < 0 ? k - 1 : k;
}

static bool near(int64_t value, int64_t first)
{
    if (value >= VALUE_MAX || value <= -VALUE_MAX)
        return false;
    return value - first < MOVE_MAX && first - value < MOVE_MAX;
}

/* The differences in units, and where pieces begin. False when it takes too many pieces. */
static bool cut(struct codec_quantum *q, const struct unit *u, const int64_t *value, int64_t *d,
                uint32_t n)
{
    struct piece p = piece_at(value[0], u);
    int64_t last = 0, units = 0;
    uint64_t inverse = codec_inverse(u->num);
    *q = (struct codec_quantum){.num = u->num, .den = u->den, .phases = 1};
    for (uint32_t i = 1; i < n; i++) {
        if (!near(value[i], value[0]))
            return false;
        struct piece before = p;
        if (fit(&p, u, inverse, value[i], &units)) {
            d[i] = units - last;
            last = units;
            continue;
        }
        if (q->phases == CODEC_PHASES_MAX)
            return false;
        q->phase[q->phases - 1].phase = before.lo;
        q->phase[q->phases++].at = i;
        d[i] = nearest(value[i] - value[i - 1], u);
        p = piece_at(value[i], u);
        last = 0;
    }
    q->phase[q->phases - 1].phase = p.lo;
    return true;
}

/* Walk as a reader will: the jumps between pieces come out, and that all values do. */
static bool walk(struct codec_quantum *q, const int64_t *value, const int64_t *d, uint32_t n)
{
    int64_t at = value[0], rest = q->phase[0].phase;
    uint64_t inverse = codec_inverse(q->den);
    uint32_t next = 1;
    for (uint32_t i = 1; i < n; i++) {
        if (d[i] > INT32_MAX || d[i] < INT32_MIN)
            return false; /* a reader multiplies it in 64 bits */
        at += codec_divide(d[i] * q->num + rest, q->den, inverse, &rest);
        if (next < q->phases && q->phase[next].at == i) {
            q->phase[next].jump_uj = value[i] - at;
            rest = q->phase[next++].phase;
            at = value[i];
        }
        if (at != value[i])
            return false;
    }
    return true;
}

static void differences(const int64_t *value, int64_t *d, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        d[i] = diff64(value[i], value[i - 1]);
}

static bool try_unit(struct codec_quantum *q, const struct unit *u, const int64_t *value,
                     int64_t *d, uint32_t n)
{
    return cut(q, u, value, d, n) && walk(q, value, d, n);
}

/* The fewest pieces win: a unit near the true one fits for a while, too. */
static bool find_unit(struct codec_quantum *q, const int64_t *value, int64_t *d, uint32_t n)
{
    struct unit best = {0};
    uint32_t pieces = CODEC_PHASES_MAX + 1;
    for (unsigned esu = ESU_MIN; esu <= ESU_MAX; esu++) {
        const struct unit both[2] = {kernel_unit(esu), exact_unit(esu)};
        for (unsigned k = 0; k < 2; k++) {
            if (!try_unit(q, &both[k], value, d, n) || q->phases >= pieces)
                continue;
            best = both[k];
            pieces = q->phases;
            if (pieces == 1)
                return true;
        }
    }
    return best.den != 0 && try_unit(q, &best, value, d, n);
}

void quantum_find(struct codec_quantum *q, enum channel_kind kind, const int64_t *value, int64_t *d,
                  uint32_t n)
{
    differences(value, d, n);
    uint64_t g = common(d, n);
    bool rapl = kind == CHANNEL_COUNTER && g == 1 && n >= SAMPLES_MIN && near(value[0], value[0]);
    if (rapl && find_unit(q, value, d, n))
        return;
    set_whole(q, g > 1 && g <= INT32_MAX ? (uint32_t)g : 1);
    differences(value, d, n);
    double inverse = 1.0 / q->num;
    for (uint32_t i = 1; i < n && q->num > 1; i++) {
        double k = (double)d[i] * inverse;
        d[i] = fabs(k) < MULTIPLE_MAX ? (int64_t)(k + (k < 0 ? -0.5 : 0.5)) : d[i] / q->num;
    }
}
