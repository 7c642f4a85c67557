/* The energy of a window: point figure, hard bounds, coverage, provenance - from stored samples only, so
 * that any figure can be computed again later. Pure but for the reads through samples.h; runs on
 * whichever thread owns the connection.
 *
 * Counter bounds of a window [a, b] of the true curve (docs/measurement.md derives them):
 *   U = update period, lag as declared or learned; a register read at t shows the true curve at some
 *   instant in [t - U - lag, t].
 *   open   = newest sample wholly before a          settle = oldest sample that began at >= a + U + lag
 *   close  = oldest sample that began at >= b       late   = oldest sample that began at >= b + U + lag
 *   hi = C(late) - C(open)
 *   lo = max(C(last sample wholly before b), C(close) - pmax (t_close - b)) - C(settle), not below 0
 *   all rounding outward, +- one quantum. bound_basis says "monotone", "monotone+pmax", or
 *   "soft: ..." when U is learned or assumed, "none: ..." when a sample is missing (no late sample yet,
 *   a reset inside, an integral).
 * The four event sweeps of a run (daemon/queue) only make sure that good samples stand at its edges. */
#ifndef DAEMON_ENERGY_ENERGY_H
#define DAEMON_ENERGY_ENERGY_H

#include "daemon/store/samples.h"

#define ENERGY_ALGO_VERSION 2 /* 2: power readings are taken at the time they are of */

struct energy_window {
    int64_t boot; /* boot.id */
    int64_t t0_ns;
    int64_t t1_ns;
};

enum energy_method { ENERGY_COUNTER, ENERGY_INTEGRAL, ENERGY_ESTIMATE, ENERGY_SHARE };
const char *energy_method_name(enum energy_method m); /* "counter" */

/* Words in `flags`, space separated: bridged, unknown, reset, suspend, clock_step, stalled, overlap,
 * below_resolution, estimate, provisional, coarse, part_time (the sensor looks at a part of the time
 * only), disturbed, thinned (an edge lies where only kept ticks are left of the samples, store/tiers.h), wrap (the register passed its range inside), throttled and power_capped (companions.h). */
struct energy_figure {
    int64_t channel;   /* 0 = the total */
    bool known;        /* false: energy_uj means nothing, reason says why */
    int64_t energy_uj; /* E(t1) - E(t0) */
    bool bounded;      /* lo_uj and hi_uj are hard (or soft, see bound_basis) */
    int64_t lo_uj, hi_uj;
    char bound_basis[96];
    int64_t covered_ns;
    int64_t bridged_uj;
    int64_t unknown_ns;
    int64_t
        random_uj; /* 1 sigma: quantum/sqrt 6 and stamp half-width times mean power; -1 = not stated */
    int64_t gain_ppm; /* 0 = none stated */
    bool has_idle;    /* marginal figures: idle_uj was taken off */
    int64_t idle_uj;
    int64_t baseline; /* its row; 0 = none, or a total, whose parts have theirs */
    enum energy_method method;
    enum channel_quality quality;
    /* How it was sampled; -1 = not counted (a total, a sum of intervals, samples that are gone). */
    int64_t samples;    /* valid ones inside the window */
    int64_t max_gap_ns; /* longest time without one, from the bracketing ones on */
    int64_t
        sampling_uj; /* integrals: how far steps between samples can have led astray; no hard bound */
    int64_t
        sampled_ppm; /* part of the time the sensor looks at; 0 = not told, 1000000 = all of it */
    int64_t
        lag_ns; /* by this much later its curve was read at both edges; -1 = a counter, a total */
    char lag_basis[12]; /* "declared", "learned"; "" = not moved */
    char flags[160];
    char reason[160];
};

/* How much later than a moment the curve of integrated readings shows it, and on whose word ("declared",
 * "learned"; ""): what the device declares, else what watching it beside a faster meter has proved, less the
 * cell it was rounded up to; and of a moving average half of what its box is longer than its refresh.
 * Counters, estimates: 0 (their bounds hold the lag). Pure. */
int64_t energy_lag_ns(const struct channel_row *ch, char basis[12]);

/* An empty figure of which nothing is known yet: all that is "not stated" says so. */
void energy_figure_init(struct energy_figure *f);
/* Add a word to `flags`, once. */
void energy_flag(struct energy_figure *f, const char *word);

/* One channel's figure over a window. 0 also when the answer is "unknown". */
int energy_of_channel(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                      struct energy_figure *out, struct err *e) MUST_USE;

/* The machine's figure: per-channel figures of every energy channel with samples in the window, and the
 * total over an antichain of the containment graph (meter_antichain; estimates only when nothing else is
 * there, and then the whole total is an estimate). Bounds of a total are the sums of its parts' bounds,
 * or absent if one part has none. Caller frees with energy_set_fini. */
struct energy_set {
    struct channel_row *channels; /* n of them */
    struct energy_figure *figures;
    uint8_t *in_total; /* 1 = part of the antichain */
    size_t n;
    struct energy_figure total;
    char meter[128];  /* "package-0 + dram-0 + gpu0" */
    char covers[240]; /* what that includes, and what not */
    /* Where the total is one outer meter (the node, the platform): what it saw beyond the meters inside it,
     * signed, and their names. Not known where the inner ones miss part of the window. */
    bool has_uncovered;
    int64_t uncovered_uj;
    char inner[128];
};
int energy_of_window(struct store *s, const struct energy_window *w, struct energy_set *out,
                     struct err *e) MUST_USE;
void energy_set_fini(struct energy_set *s);
/* Count how the channels of a set were sampled: samples, max_gap_ns, sampling_uj. Walks all samples of the
 * window, so it is made once, at a run's end; windows with more than 500,000 samples stay uncounted.
 *
 * sampling_uj of a gauge read at instants: sum of |P(i+1) - P(i)| (t(i+1) - t(i)) / 2, which is how far a
 * trapezoid can be off while power only rises or only falls between two samples (the bound (D/2) TV(P) with
 * the variation that was seen). A load that comes and goes between two samples is not in it: no hard bound.
 * source: docs/measurement.md, power readings. */
int energy_sampling(struct store *s, const struct energy_window *w, struct energy_set *set,
                    struct err *e) MUST_USE;

/* Split `energy_uj` of one interval over n accounts in proportion to weights, integer uJ, largest
 * remainder; the parts add up to it exactly. All weights 0: equal parts. Pure. */
void energy_split(int64_t energy_uj, const int64_t *weights, size_t n, int64_t *parts);

#endif
