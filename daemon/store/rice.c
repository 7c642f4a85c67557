#include <assert.h>

#include "daemon/store/rice.h"

#define HEAD_BITS  6u
#define ALL_ZERO   63u /* heads that are no parameter */
#define SPARSE     62u
#define K_MAX      56u
#define QUOTIENT   12u /* so many ones: the number follows, its length before it */
#define LENGTH     6u
#define COUNT_BITS 7u
#define GAP_BITS   3u
#define GAP_K_MAX  7u
#define SPARSE_MAX 64u /* more numbers than that are never cheaper one by one */

/* How a block is packed, and what that costs. */
struct plan {
    uint64_t bits;
    unsigned head; /* k, ALL_ZERO or SPARSE */
    unsigned count, kg, kv;
    uint64_t gap[SPARSE_MAX], less[SPARSE_MAX]; /* zeros before each number; the number less 1 */
};

static unsigned length_of(uint64_t v)
{
    return v == 0 ? 1 : 64 - (unsigned)__builtin_clzll(v);
}

static uint64_t cost_long(const uint64_t *v, unsigned n, unsigned k)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t q = v[i] >> k;
        bits += q < QUOTIENT ? q + 1 + k : QUOTIENT + LENGTH + length_of(v[i]);
    }
    return bits;
}

/* Mostly none is long, and then sums do: a loop without a branch, which the compiler makes vectors of. */
static uint64_t cost(const uint64_t *v, unsigned n, unsigned k)
{
    uint64_t sum = 0, high = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t q = v[i] >> k;
        sum += q;
        high |= q | (q + 16 - QUOTIENT);
    }
    return high >> 4 ? cost_long(v, n, k) : sum + (uint64_t)n * (1 + k);
}

/* Of a geometric distribution the best parameter is the length of the median less 1; outliers, which
 * would pull a mean along, have their own way out. */
static unsigned median_length(const uint64_t *v, unsigned n)
{
    unsigned seen[65] = {0}, below = 0, length = 0;
    for (unsigned i = 0; i < n; i++)
        seen[v[i] == 0 ? 0 : length_of(v[i])]++;
    while ((below += seen[length]) * 2 < n)
        length++;
    return length;
}

/* Near the best one. The mean tells it where nothing lies far off. */
static unsigned first_k(const uint64_t *v, unsigned n)
{
    uint64_t sum = 0, high = 0;
    assert(n > 0);
    for (unsigned i = 0; i < n; i++) {
        sum += v[i];
        high |= v[i];
    }
    unsigned k = length_of(sum / n) - 1;
    if (length_of(high) <= k + 4)
        return k;
    unsigned length = median_length(v, n);
    return length < 1 ? 0 : length - 1;
}

/* The cost falls towards the best one from either side. */
static uint64_t best_k(const uint64_t *v, unsigned n, unsigned k_max, unsigned *k)
{
    unsigned at = first_k(v, n);
    at = at > k_max ? k_max : at;
    uint64_t best = cost(v, n, at), next;
    bool down = false;
    for (; at > 0 && (next = cost(v, n, at - 1)) < best; at--, down = true)
        best = next;
    for (; !down && at < k_max && (next = cost(v, n, at + 1)) < best; at++)
        best = next;
    *k = at;
    return best;
}

static void plan_sparse(struct plan *p, const uint64_t *v, unsigned n)
{
    unsigned last = 0, at = 0, kg = 0, kv = 0;
    for (unsigned i = 0; i < n; i++) {
        if (v[i] == 0)
            continue;
        p->gap[at] = i - last;
        p->less[at++] = v[i] - 1;
        last = i + 1;
    }
    uint64_t bits = HEAD_BITS + COUNT_BITS + GAP_BITS + HEAD_BITS +
                    best_k(p->gap, at, GAP_K_MAX, &kg) + best_k(p->less, at, K_MAX, &kv);
    if (bits >= p->bits)
        return;
    p->bits = bits;
    p->head = SPARSE;
    p->count = at;
    p->kg = kg;
    p->kv = kv;
}

static void make_plan(struct plan *p, const uint64_t *v, unsigned n)
{
    unsigned some = 0, k = 0;
    for (unsigned i = 0; i < n; i++)
        some += v[i] != 0;
    if (some == 0) {
        p->bits = HEAD_BITS;
        p->head = ALL_ZERO;
        return;
    }
    p->bits = HEAD_BITS + best_k(v, n, K_MAX, &k);
    p->head = k;
    if (some <= SPARSE_MAX && some <= n / 2)
        plan_sparse(p, v, n);
}

static void put_number(struct bits_out *o, uint64_t v, unsigned k)
{
    uint64_t q = v >> k;
    if (q < QUOTIENT && k <= 56 - QUOTIENT) {
        uint64_t ones = (UINT64_C(1) << (q + 1)) - 2;
        bits_put(o, ones << k | (v & ((UINT64_C(1) << k) - 1)), (unsigned)q + 1 + k);
        return;
    }
    if (q < QUOTIENT) {
        bits_put(o, (UINT64_C(1) << (q + 1)) - 2, (unsigned)q + 1);
        bits_put(o, v & ((UINT64_C(1) << k) - 1), k);
        return;
    }
    unsigned length = length_of(v), low = length > 32 ? 32 : 0;
    bits_put(o, (UINT64_C(1) << QUOTIENT) - 1, QUOTIENT);
    bits_put(o, length - 1, LENGTH);
    bits_put(o, v >> low, length - low);
    bits_put(o, v & ((UINT64_C(1) << low) - 1), low);
}

void rice_put_block(struct bits_out *o, const uint64_t *v, unsigned n)
{
    struct plan p;
    make_plan(&p, v, n);
    bits_put(o, p.head, HEAD_BITS);
    if (p.head == ALL_ZERO)
        return;
    if (p.head != SPARSE) {
        for (unsigned i = 0; i < n; i++)
            put_number(o, v[i], p.head);
        return;
    }
    bits_put(o, p.count, COUNT_BITS);
    bits_put(o, p.kg, GAP_BITS);
    bits_put(o, p.kv, HEAD_BITS);
    for (unsigned i = 0; i < p.count; i++) {
        put_number(o, p.gap[i], p.kg);
        put_number(o, p.less[i], p.kv);
    }
}

uint64_t rice_block_bits(const uint64_t *v, unsigned n)
{
    struct plan p;
    make_plan(&p, v, n);
    return p.bits;
}

static unsigned block_of(size_t left)
{
    return left < RICE_BLOCK ? (unsigned)left : RICE_BLOCK;
}

void rice_put(struct bits_out *o, const uint64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i += RICE_BLOCK)
        rice_put_block(o, v + i, block_of(n - i));
}

uint64_t rice_bits(const uint64_t *v, size_t n)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i += RICE_BLOCK)
        bits += rice_block_bits(v + i, block_of(n - i));
    return bits;
}

static uint64_t get_long(struct bits_in *in)
{
    unsigned length = (unsigned)bits_get(in, LENGTH) + 1, low = length > 32 ? 32 : 0;
    uint64_t high = bits_get(in, length - low);
    return high << low | bits_get(in, low);
}

static uint64_t get_number(struct bits_in *in, unsigned k)
{
    bits_fill(in);
    unsigned q = (unsigned)__builtin_clzll(~in->acc | 1);
    if (q >= QUOTIENT) {
        bits_drop(in, QUOTIENT);
        return get_long(in);
    }
    bits_drop(in, q + 1);
    return (uint64_t)q << k | bits_get(in, k);
}

/* One number that is not a long one, of the bits in acc. False: it is long, and nothing is taken. */
static inline __attribute__((always_inline)) bool get_short(struct bits_in *in, uint64_t *v,
                                                            unsigned k)
{
    unsigned q = (unsigned)__builtin_clzll(~in->acc | 1);
    if (q >= QUOTIENT)
        return false;
    *v = (uint64_t)q << k | (in->acc << (q + 1)) >> 1 >> (63 - k);
    in->acc <<= q + 1 + k;
    in->n -= q + 1 + k;
    return true;
}

/* `at_once` at a time as long as the bits for them surely lie before the end: no check is needed for each.
 * Returns how many. */
static inline __attribute__((always_inline)) unsigned
get_many(struct bits_in *in, uint64_t *v, unsigned n, unsigned k, unsigned at_once)
{
    unsigned i = 0;
    while (i + at_once <= n && in->end - in->p >= 16) {
        unsigned got = 0;
        bits_fill(in);
        while (got < at_once && get_short(in, &v[i + got], k))
            got++;
        i += got;
        if (got < at_once)
            v[i++] = get_number(in, k);
    }
    return i;
}

/* bits_fill makes sure of 56 bits, and a short number takes at most QUOTIENT + k of them. */
static void get_numbers(struct bits_in *from, uint64_t *v, unsigned n, unsigned k)
{
    struct bits_in in = *from;
    unsigned i = k == 0                   ? get_many(&in, v, n, 0, 4)
                 : k <= 56 / 4 - QUOTIENT ? get_many(&in, v, n, k, 4)
                 : k <= 56 / 3 - QUOTIENT ? get_many(&in, v, n, k, 3)
                 : k <= 56 / 2 - QUOTIENT ? get_many(&in, v, n, k, 2)
                                          : 0;
    for (; i < n; i++)
        v[i] = get_number(&in, k);
    *from = in;
}

static void get_sparse(struct bits_in *in, uint64_t *v, unsigned n)
{
    unsigned count = (unsigned)bits_get(in, COUNT_BITS), kg = (unsigned)bits_get(in, GAP_BITS),
             kv = (unsigned)bits_get(in, HEAD_BITS);
    uint64_t at = 0;
    if (kv > K_MAX) {
        in->over = true;
        return;
    }
    for (unsigned i = 0; i < count && !in->over; i++, at++) {
        at += get_number(in, kg) & (2 * RICE_BLOCK - 1);
        uint64_t less = get_number(in, kv);
        if (at >= n)
            in->over = true;
        else
            v[at] = less + 1;
    }
}

void rice_get_block(struct bits_in *in, uint64_t *v, unsigned n)
{
    unsigned head = (unsigned)bits_get(in, HEAD_BITS);
    if (head <= K_MAX) {
        get_numbers(in, v, n, head);
        return;
    }
    memset(v, 0, n * sizeof(*v));
    if (head == SPARSE)
        get_sparse(in, v, n);
    else if (head != ALL_ZERO)
        in->over = true;
}
