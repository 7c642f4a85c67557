/* Taking a baseline from a stretch of time in which no run was on: which of its seconds were calm, and what
 * each energy channel drew in them. A baseline is a measured quantity with date, number and spread: the
 * median over pieces of a second or more, never what is left over of a split and never the least that was
 * seen.
 *
 * Whether runs were on is not known here: who asks keeps the stretch free of them, and of the minute after
 * one, in which fans and silicon are still warm.
 *
 * Left out are seconds in which all CPUs together were busy for more than `busy_max_ppm`. Refused, with the
 * reason in words, is a stretch in which a GPU computed, that keeps too few calm pieces, or whose power
 * still moved in one direction: the medians of its first and last third lie further apart than the
 * interquartile range of all (and than a hundredth of the median). Refused for a GPU, its module and for
 * meters of the whole machine is one in which a process held a context there: a GPU that is held draws
 * more than an empty one, even where it computes nothing.
 *
 * Thread: whichever owns the connection. Bounded: at most BASELINE_PIECES_MAX points of each channel's
 * curve are read. */
#ifndef DAEMON_ENERGY_BASELINE_TAKE_H
#define DAEMON_ENERGY_BASELINE_TAKE_H

#include "daemon/energy/baseline.h"
#include "daemon/energy/energy.h"

#define BASELINE_PIECES_MAX 600
#define BASELINE_PIECE_NS   (1 * NS_PER_S)
#define BASELINE_TAIL_NS    (60 * NS_PER_S)    /* after a run: thermal tail */
#define BASELINE_OLD_NS     (86400 * NS_PER_S) /* learned anew after a day, though it is the same */

/* A GPU on which somebody had a context. */
struct baseline_held {
    char device[64];           /* as channel_row.device */
    char by[64];               /* "process 4242 of ada" */
    int64_t first_ns, last_ns; /* CLOCK_BOOTTIME: in a row, as far as was seen */
};
#define BASELINE_HELD_MAX 32

struct baseline_want {
    struct energy_window w; /* at least one piece long */
    int64_t cpus;           /* of the machine */
    int64_t busy_max_ppm;   /* of all their time */
    bool may_drift;         /* beside a run that is so: what it moved by joins the spread */
    /* Calm ones, at least so many and never none; of a meter that is slower than a piece a third, at least 3. */
    int64_t pieces_min;
    struct baseline_held held[BASELINE_HELD_MAX];
    size_t nheld;
};

/* How calm it was. */
struct baseline_calm {
    int64_t pieces;      /* seconds looked at */
    int64_t busy_pieces; /* left out */
    int64_t busy_ppm;    /* mean over all; -1 = CPU time was not sampled */
    int64_t temp_mc;     /* warmest package or GPU sensor at either end; INT64_MIN = none */
    char reason[160];    /* why no baseline can be taken here; "" = it can */
};

/* One channel's: b is filled but for id, basis, run and created_utc_ns; or reason says why not. */
struct baseline_row {
    const struct channel_row *channel; /* in set->channels */
    bool known;
    char reason[160];
    struct baseline b;
};
struct baseline_set {
    struct baseline_calm calm;
    struct channel_row *channels; /* every channel of this machine */
    size_t nchannels;
    struct baseline_row *rows; /* energy channels with samples in the stretch */
    size_t n;
};
int baseline_take(struct store *s, const struct baseline_want *want, struct baseline_set *out,
                  struct err *e) MUST_USE;
void baseline_set_fini(struct baseline_set *s);

/* Is `now` worth a new version? Yes without one in force, when that is a day old, or when they differ by
 * more than the larger of their spreads. Pure. */
bool baseline_differs(const struct baseline *in_force, const struct baseline *now);

/* Writer, inside a transaction: the known rows, as `basis`; only_new leaves out those that differ by
 * nothing from what is in force. Returns how many were written, or < 0. */
int baseline_store(struct store *s, struct baseline_set *set, const char *basis, int64_t run,
                   int64_t utc_ns, bool only_new, struct err *e) MUST_USE;

/* The bracket of a run from its two halves: the mean of both medians, and as spread the larger of both
 * spreads and of their distance, so that drift is part of the figure's error. Halves without a partner
 * stand alone. `after` is left as it is; the result is in `before`. */
void baseline_join(struct baseline_set *before, const struct baseline_set *after);

#endif
