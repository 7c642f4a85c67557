/* The arithmetic of the curve E(t), without storage: samples of one channel go in one after the other,
 * pieces of the curve come out. Pure, any thread. The writer walks to find gaps and what stands in
 * `head`; a reader walks from a head's state to an instant; so both see the same curve.
 *
 * Counters: a piece runs from one change of the register to the next, E linear and rounded down in
 * 128 bits. Gauges: a piece runs from sample to sample, trapezoid (instant) or right-aligned box
 * (average), summed in uW ns / 2 with the remainder carried along. A gap - a failed read, a stall longer
 * than `stall_ns`, a reset - is a piece of its own: bridged (counters: E linear, shape unknown) or
 * unknown (E flat). E depends on the samples only, not on where they stand.
 * source: docs/measurement.md, "The curve". */
#ifndef DAEMON_STORE_WALK_H
#define DAEMON_STORE_WALK_H

#include "daemon/store/samples.h"

#define WALK_NONE      INT64_MIN
#define WALK_VALUE_MAX (INT64_C(1) << 62) /* counters: a larger value is not a reading */
#define WALK_GAUGE_MAX (INT64_C(1) << 43) /* uW, 8.8 MW: keeps p * t^2 inside 128 bits */

struct codec_mark; /* codec.h, whose writer walks, too */

struct walk_rule {
    enum channel_kind kind;
    int64_t stall_ns; /* two valid samples further apart than this have a gap between them */
};
/* max(3 periods, 1 s), at most 30 min. */
int64_t walk_stall_ns(int64_t period_ns);

struct walk_state {
    int64_t last_ns;    /* newest valid sample; WALK_NONE = none yet */
    int64_t last_value; /* its value, stored unit */
    int64_t knot_ns;    /* counters: newest change of the register; E is the same since */
    int64_t e_uj;       /* E at last_ns */
    int64_t rem;        /* gauges: what e_uj rounded off, 0 <= rem < 2e9 uW ns / 2 */
    int64_t unknown_ns; /* sums over the gaps before last_ns */
    int64_t bridged_ns;
    int64_t bridged_uj;
    bool failed; /* reads failed after last_ns */
};

enum walk_shape {
    WALK_FLAT,
    WALK_LINEAR,
    WALK_BOX,
    WALK_TRAPEZOID,
    WALK_KEPT, /* linear between two ticks that were kept of more */
    WALK_BRIDGED,
    WALK_UNKNOWN
};
enum walk_cause { WALK_REGULAR, WALK_STALL, WALK_FAILED, WALK_RESET };

struct walk_piece {
    enum walk_shape shape;
    enum walk_cause cause;
    int64_t t0_ns, t1_ns;
    int64_t e0_uj, e1_uj;
    int64_t rem0;
    int64_t p0_uw, p1_uw; /* gauges: power at t0 and t1; WALK_KEPT: lowest and highest inside */
    int64_t unknown0_ns, bridged0_ns, bridged0_uj; /* sums at t0 */
};

struct walk_sample {
    int64_t t_ns;
    int64_t value;
    uint8_t state; /* as in a tick */
    uint8_t flags; /* of the tick */
};
/* Is this a value? (A failed read, or a number no meter can show, is not.) */
bool walk_valid(const struct walk_rule *r, const struct walk_sample *x);
/* Take one sample; returns how many pieces it completed (0 .. 2), oldest first. Samples up to
 * s->last_ns are skipped, so that a shared tick may be walked twice. */
int walk_step(const struct walk_rule *r, struct walk_state *s, const struct walk_sample *x,
              struct walk_piece out[2]);
/* A tick that was kept when the others were thinned out (thin.h). value: counters and companions as read,
 * gauges E in uJ. Gaps are where TICK_RESET (unknown) or TICK_BRIDGED say that one ends, and nowhere else. */
struct walk_kept {
    struct walk_sample x;
    bool
        powered; /* lo and hi are known: the lowest and highest power (companions: value) since the one before */
    int64_t lo, hi;
};
bool walk_kept_valid(const struct walk_sample *x);
/* As walk_step. Of a gauge last_value is 0 afterwards, and rem: both went with the readings. */
int walk_kept(const struct walk_rule *r, struct walk_state *s, const struct walk_kept *k,
              struct walk_piece out[2]);
/* walk_step without the piece, of a regular step with moderate numbers, which nearly all are: several times as fast.
 * Afterwards knot_ns is x->t_ns where there would have been a piece, from where it was before; of gauges from the last
 * sample. False: nothing was done, take walk_step. */
bool walk_regular(const struct walk_rule *r, struct walk_state *s, const struct walk_sample *x);
/* As walk_step, but nobody wants the pieces. */
void walk_pass(const struct walk_rule *r, struct walk_state *s, const struct walk_sample *x);
/* Values without a state, one after the other: the first n ticks of a block's arrays. */
struct walk_values {
    const int64_t *before_ns, *after_ns, *value;
    uint32_t n;
};
/* walk_pass of those before t_ns, up to the first that is no regular step. Returns how many were taken. */
uint32_t walk_pass_many(const struct walk_rule *r, struct walk_state *s,
                        const struct walk_values *x, int64_t t_ns);
/* From the state after tick 0 of a block to that after the tick of a mark. False, and s as it was, where it would not
 * fit or the walk is none that marks are made for. */
bool walk_skip(const struct walk_rule *r, struct walk_state *s, const struct codec_mark *m,
               int64_t t_ns);
/* The piece between s and the first sample of a later epoch, whose cumulative values are given. */
struct walk_piece walk_between(const struct walk_state *s, int64_t t_ns,
                               const struct walk_state *next);
/* The curve inside a piece, t0 <= t <= t1. */
void walk_at(const struct walk_piece *p, int64_t t_ns, struct curve_point *out);
/* Lowest and highest mean power inside a piece, uW, rounded outward; false for gaps. */
bool walk_power(const struct walk_piece *p, int64_t *lo_uw, int64_t *hi_uw);
/* Does the mean power of a linear stretch, rounded either way, surely lie between the two, so that it need not be worked
 * out? ns > 0. */
bool walk_within(int64_t rise_uj, int64_t ns, double lo_uw, double hi_uw);

#endif
