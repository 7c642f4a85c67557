/* What the files watch_*.c share: what is kept of each channel, and how a verdict is given. */
#ifndef DAEMON_METER_WATCH_INTERNAL_H
#define DAEMON_METER_WATCH_INTERNAL_H

#include <pthread.h>

#include "daemon/meter/watch.h"

#define WATCH_CELL_NS (250 * NS_PER_MS)
#define WATCH_CELLS   1920              /* 8 minutes of power */
#define WATCH_SLOW_NS (500 * NS_PER_MS) /* refreshed more rarely: may be late by more than a cell */
#define WATCH_RESETS  4 /* so many in WATCH_RESETS_NS, and a counter runs backwards */
#define WATCH_CALM_NS (3600 * NS_PER_S) /* nothing wrong for so long restores most doubts */

struct watched {
    const struct meter_channel *pub;
    int64_t pace_ns;
    bool power;   /* a measured or modelled power or energy: everything below is kept */
    bool has;     /* a sample has come since the newest break */
    int64_t t_ns; /* newest valid sample */
    int64_t value, raw;
    double energy_j;   /* counters: the curve; gauges: their integral. Differences count */
    double steps_w2;   /* gauges: sum of squared steps between samples */
    int64_t breaks;    /* times the curve was broken: reset, failed reading of a gauge, a hole */
    int64_t period_ns; /* how long a reading may stand: learned, declared or assumed, the longest */
    int64_t quantum;
    int64_t moved_ns; /* when the value last changed */
    int64_t knot_ns;  /* counters: power is taken between knots */
    double knot_j, power_w;
    double peak_w[2], trough_w[2]; /* of this stretch of time and the one before */
    int64_t stretch_ns;
    int64_t reset_ns[WATCH_RESETS];
    unsigned resets;
    float *cells; /* power by cell, NaN = not known; NULL = not kept */
    int64_t mirror_value, mirror_agrees;

    struct meter_opinion opinion; /* lock */
    int64_t lag_ns, lag_events;   /* lock */
};

/* Where a channel stood when a window began. */
struct watch_mark {
    int64_t t_ns, breaks;
    double energy_j, steps_w2;
};

/* Two channels that meter the same thing, or (die) two dies of one package that may be one register. */
struct watch_pair {
    size_t a, b;
    bool open;
    struct watch_mark at_a, at_b;
    int streak; /* windows in a row in which a showed more (> 0), or less */
    int agrees; /* windows in a row in which they agreed */
    int need;   /* of those, for a doubt to end: twice as many after each relapse */
    bool judged;
};

/* A channel that contains others. */
struct watch_outer {
    size_t self;
    size_t n;
    size_t *inner;
    struct watch_mark at_self, *at;
    bool open;
    int64_t from_ns;
    int low;         /* windows in a row in which it showed less */
    int64_t fine_ns; /* of windows in a row in which it did not */
    double fine_j;
};

struct watch {
    pthread_mutex_t lock; /* of opinions and lags; the sampler alone writes them */
    size_t n;             /* grows under lock */
    size_t most;
    struct watched *ch;
    size_t *thing;
    uint8_t *contained;
    struct watch_pair *pairs, *dies;
    size_t npairs, ndies;
    struct watch_outer *outers;
    size_t nouters;
    int64_t cell;      /* index of the newest cell; -1 = none yet */
    int64_t judged_ns; /* when pairs and outers were looked at */
    int64_t lagged_ns; /* when lags were */
    size_t lag_next;   /* channel whose lag is looked at next */
    float scratch[2][WATCH_CELLS];
};

/* Begin or end a doubt. about SIZE_MAX = nobody; span_ns 0 = no numbers. */
struct watch_grounds {
    size_t about;
    double mine_j, other_j;
    int64_t span_ns;
};
void watch_doubt(struct watch *w, size_t i, enum meter_doubt d, const struct watch_grounds *g,
                 int64_t t_ns);
void watch_restore(struct watch *w, size_t i, int64_t t_ns);
enum meter_doubt watch_doubt_of(const struct watch *w, size_t i); /* sampler thread */

bool watch_alive(const struct watched *c, int64_t t_ns);
struct watch_mark watch_mark(const struct watched *c);
bool watch_whole(const struct watched *c, const struct watch_mark *m); /* no break since */
double watch_mean_w(const struct watched *c, const struct watch_mark *m);
int64_t watch_slow_ns(const struct watched *c); /* update period, lag and box together */
/* How far mean power since the mark may be off by when the samples stand, W; accuracy is not in it. */
double watch_slack_w(const struct watched *c, const struct watch_mark *m);

/* watch_pairs.c */
void watch_pairs_new(struct watch *w);
void watch_dies_step(struct watch *w, int64_t t_ns);  /* each sweep */
void watch_pairs_step(struct watch *w, int64_t t_ns); /* each second */
/* watch_outer.c */
void watch_outers_new(struct watch *w);
void watch_outers_free(struct watch *w);
void watch_outers_step(struct watch *w, int64_t t_ns);
/* watch_history.c: cells of power, what stands still, how late a slow channel is */
void watch_cells_step(struct watch *w, int64_t t_ns);
void watch_frozen_step(struct watch *w, int64_t t_ns);
void watch_lag_step(struct watch *w, int64_t t_ns); /* one channel at most */

#endif
