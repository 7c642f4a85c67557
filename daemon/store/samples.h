/* Samples in the database: tail rows, chunks, epochs, gaps, anchors; and the exact curve E(t).
 * Writing: storage thread only. Reading: any connection, its thread.
 *
 * E(t) of a counter interpolates linearly, rounding down, between the knots at which the register
 * changed (a slow counter is a staircase; polls that saw no change are not knots); the stretch after the
 * newest change up to the newest poll is provisional and flat. E(t) of a gauge is the running trapezoid
 * integral (right-aligned box for averages) in uW ns / 2 with a remainder carried over chunk borders.
 * E is a deterministic integer function: energy of [a, b] is E(b) - E(a), adjacent windows add up bit
 * for bit. Inside a bridged gap E is floor-linear; inside an unknown gap it is flat and unknown_ns grows. */
#ifndef DAEMON_STORE_SAMPLES_H
#define DAEMON_STORE_SAMPLES_H

#include "daemon/meter/meter.h"
#include "daemon/store/store.h"

struct samples; /* the writer's side: open tails, epoch, last values */

/* Register channels and groups, open an epoch, decide per channel whether the gap since the last epoch
 * is bridged, call meter_set_base. In a transaction of its own. */
int samples_open(struct samples **out, struct store *s, struct meter *m, struct err *e) MUST_USE;
/* One tick into the pending second. No I/O. */
void samples_put(struct samples *w, struct tick *t);
/* Inside a transaction: pending ticks -> tail rows; full tails -> chunk + head, tail deleted; gaps and
 * anchors as due. Nothing pending: no statement runs. 1 = more is pending than one transaction should
 * take: commit and call again. After the transaction the caller says how it ended. */
int samples_flush(struct samples *w, struct err *e) MUST_USE;
/* Inside a transaction of its own, nothing pending. */
int samples_end_epoch(struct samples *w, const char *reason, struct err *e) MUST_USE;
void samples_committed(struct samples *w);
void samples_rolled_back(struct samples *w); /* the ticks are pending again, in order */
void samples_close(struct samples *w);

/* Channels that come while the epoch runs: a meter found later, or curves that the storage thread writes
 * itself (accounts). They are written as groups of their own, beside those that are there; the epoch stays
 * and their curves go on from wherever an earlier epoch left them. From then on their ticks go through
 * samples_put like any other: tick.group is *first_group + the channel's group here, tick.n the size of
 * that group, value[] cumulative since e0 (counters), raw[] the same, state[] READING_OK or the reason.
 * Who writes a curve of its own keeps each group's ticks in order of time and stamps them
 * before_ns = after_ns = the instant, suspend_ns = that of the newest meter tick (storage_feed hands it). */
struct samples_more {
    const struct meter_channel *const *channels;
    size_t n;
    const int64_t *periods_ns; /* one per new group */
    size_t groups;
    int64_t now_ns; /* as samples_setup */
    /* Once per channel, before samples_add returns 0: its row, and where its curve stood: a counter's next
     * value goes on from e0. raw_known: the register may be bridged (meter_set_base). NULL = not wanted. */
    void (*set_base)(void *arg, size_t i, int64_t id, int64_t e0, int64_t raw0, bool raw_known);
    void *arg;
};
/* channels[i]: .group counts from 0 over the new groups, .slot within it; desc.parent and mirror_of are
 * indices of this writer: 0 .. samples_count - 1 are those that were there, samples_count + i the new
 * ones. Between transactions (nothing in flush); makes one of its own, FULL. 0; WATTQ_E_CONFLICT when one
 * of the channels is written already; < 0: nothing has changed, try again later. */
int samples_add(struct samples *w, const struct samples_more *more, uint32_t *first_group,
                struct err *e) MUST_USE;
size_t samples_count(const struct samples *w);    /* channels written */
int64_t samples_pending(const struct samples *w); /* ticks not yet flushed */
int64_t samples_dropped(
    const struct samples *w); /* ticks out of order, or thinned while storage was away */

struct samples_knot {
    int64_t epoch; /* epoch.id */
    int64_t t_ns;
    int64_t e_uj;
    int64_t unknown_ns; /* as in curve_point */
};
/* What passes the writer, for whoever keeps books of it: called inside samples_flush, on the storage thread,
 * with no statement borrowed. After a rollback the same readings come again. */
struct samples_watch {
    /* A valid reading of a CPU time channel. */
    void (*usage)(void *arg, int64_t channel, int64_t t_ns, int64_t value);
    /* An instant at which E of an energy channel is exact and will not move any more. */
    void (*knot)(void *arg, int64_t channel, const struct samples_knot *k);
    void (*edge)(void *arg, int64_t t_ns); /* a sweep at a run's edge */
    void *arg;
};
void samples_set_watch(struct samples *w, const struct samples_watch *watch); /* copied */

struct channel_row {
    int64_t id;
    char uid[160], label[48], unit[8], source[32], covers[80];
    char device[64], driver[48], firmware[64]; /* "" = not told; as in channel_desc */
    enum channel_kind kind;
    enum channel_quality quality;
    enum channel_scope scope;
    int64_t quantum, wrap_uj, period_ns, period_learned_ns, lag_ns, box_ns, pmax_uw, accuracy_ppm;
    bool period_declared;      /* false: period_ns is an assumption */
    int64_t parent, mirror_of; /* channel ids; 0 = none */
    int64_t quantum_learned;   /* 0 = not yet */
    int64_t lag_learned_ns;    /* -1 = not yet */
};
/* All channels ever seen on this machine (those of imported runs are none). Caller frees *out. */
int samples_channels(struct store *s, struct channel_row **out, size_t *n, struct err *e) MUST_USE;
int samples_channel(struct store *s, int64_t id, struct channel_row *out, struct err *e) MUST_USE;
/* Writer, inside a transaction: a line in the channel's history (channel_note). */
int samples_doubt(struct store *s, int64_t channel, int64_t t_ns, const char *kind,
                  const char *text, struct err *e) MUST_USE;
/* Writer, inside a transaction: the driver or firmware behind a channel is another one now. Kept in its
 * row; the change is a channel_note of kind 'identity'. No change: nothing is written. */
int samples_identity(struct store *s, int64_t channel, int64_t t_ns, const struct channel_desc *d,
                     struct err *e) MUST_USE;
/* Writer, inside a transaction: what watching a channel showed. Doubts: opinions.h. */
struct samples_learned {
    int64_t period_ns; /* 0 = not yet */
    int64_t quantum;   /* 0 = not yet */
    int64_t lag_ns;    /* -1 = not yet */
};
int samples_learned(struct store *s, int64_t channel, const struct samples_learned *x,
                    struct err *e) MUST_USE;

/* A stored reading of one channel. */
struct sample {
    int64_t t_ns;      /* middle of the sweep */
    int64_t before_ns; /* sweep began */
    int64_t after_ns;  /* sweep ended */
    int64_t value;
    enum reading_state state;
};
/* Newest valid sample with after_ns <= t, oldest valid one with before_ns >= t. 0; 1 = none. Where samples were
 * thinned out (tiers.h) these are of those that were kept; of gauges none were. */
int samples_before(struct store *s, int64_t channel, int64_t boot, int64_t t_ns, struct sample *out,
                   struct err *e) MUST_USE;
int samples_after(struct store *s, int64_t channel, int64_t boot, int64_t t_ns, struct sample *out,
                  struct err *e) MUST_USE;

/* The same by the middle of the sweep: t_ns <= t, t_ns >= t. One at t itself is both. */
int samples_at(struct store *s, int64_t channel, int64_t boot, int64_t t_ns, struct sample *out,
               struct err *e) MUST_USE;
int samples_from(struct store *s, int64_t channel, int64_t boot, int64_t t_ns, struct sample *out,
                 struct err *e) MUST_USE;

/* E(t) and what is known about the curve up to t, all cumulative since the channel's first sample. */
struct curve_point {
    int64_t e_uj;       /* floor; counters and gauges alike */
    int64_t unknown_ns; /* time before t for which nothing is known, since the first sample */
    int64_t bridged_uj; /* energy before t that went through bridged gaps */
    int64_t bridged_ns;
    bool provisional; /* t lies after the newest change: may still move */
    bool
        thinned; /* the samples around t are gone; of the ticks that were kept the nearest stand for them */
};
/* 0; 1 = t is before the first sample or after the newest one of that boot (out holds the nearest end). */
int samples_curve(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                  struct curve_point *out, struct err *e) MUST_USE;

/* Gaps of a channel that overlap (t0, t1), newest first. fn: 0 to go on, else it is returned. */
struct sample_gap {
    int64_t t0_ns, t1_ns;
    const char *kind; /* column `kind` of table gap */
};
int samples_gaps(struct store *s, int64_t channel, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                 int (*fn)(void *arg, const struct sample_gap *g), void *arg,
                 struct err *e) MUST_USE;
/* Was the civil clock set inside (t0, t1]? 1, 0, < 0. */
int samples_clock_stepped(struct store *s, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                          struct err *e) MUST_USE;
/* Has the channel had a valid sample at or before t in that boot? 1, 0, < 0. */
int samples_seen(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                 struct err *e) MUST_USE;

#define SERIES_PIXELS_MAX 16384
/* A series for plots and `wattq power`: per pixel mean power from E differences (exact over the
 * picture), smallest and largest; pixels without data have valid = false. */
struct series_pixel {
    int64_t t0_ns, t1_ns;
    double mean_w, min_w, max_w; /* companions: in their unit */
    bool valid;
};
int samples_series(struct store *s, int64_t channel, int64_t boot, int64_t t0_ns, int64_t t1_ns,
                   struct series_pixel *px, size_t n, struct err *e) MUST_USE;

#endif
