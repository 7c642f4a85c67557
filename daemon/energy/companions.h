/* What explains a run's power: temperatures, clocks, limits and throttling beside it, summed up per channel
 * over a window from stored samples, and the flags that follow. Pure but for the reads through the store;
 * runs on whichever thread owns the connection.
 *
 * A reading holds from its instant until the next one. Where the next is further off than the channel's stall
 * (three periods, at least 1 s), or reads failed in between, nothing is known from the reading on: known_ns
 * does not grow, and no value is put in its place. The newest reading holds to the window's end if that is no
 * further off than the stall. A mean is over known_ns, weighted by time.
 *
 * What a channel is follows from its unit: "mask" reasons as bits (meter/throttle.h), "n" a count of events
 * since the machine started, "ms" a count of time in which something held it back, all others a level (mC,
 * kHz, rpm, ppm, uW: a power limit that is in force, whose default is channel_row.pmax_uw). Accounts, which
 * are companions in uJ, explain nothing and are left out.
 *
 * Flags (companions_flag), in the words of energy.h; a part of a run is of the time known of that channel:
 *   throttled     held back to protect a device or its supply: a mask's THROTTLE_LIMITED bits for more than
 *                 1 % of the run, or a count of ms that grew by more than 1 % of it, or a count of events that
 *                 grew while the count of ms beside it (uids alike but for the last part) did not: one goes on, or how long is not
 *                 told. Clocks that are low because nothing is to do are no such thing.
 *   power_capped  a mask's THROTTLE_POWER_CAP for more than 1 % of the run; of a device without a mask (RAPL):
 *                 its limit changed inside the window, or was more than 1 % below its default. A limit that is
 *                 switched off has no reading, and caps nothing.
 * They are put on the total and on the figures of channels of the same device. */
#ifndef DAEMON_ENERGY_COMPANIONS_H
#define DAEMON_ENERGY_COMPANIONS_H

#include "daemon/energy/energy.h"

#define COMPANION_NONE      INT64_MIN /* what this kind of channel does not have, or nobody knows */
#define COMPANION_SHARE_PPM 10000     /* of a run: less than this is not worth a flag */

enum companion_kind { COMPANION_LEVEL, COMPANION_COUNT, COMPANION_MASK };
enum companion_kind companion_kind_of(const char *unit);

/* In the channel's unit, columns of table run_companion. */
struct companion {
    int64_t samples;  /* readings inside [t0, t1) */
    int64_t known_ns; /* of the window */
    int64_t min, mean, max;
    int64_t first, last;
    int64_t gained;
    int64_t bits;
    int64_t limited_ns, capped_ns;
};

/* ---- the arithmetic, pure -------------------------------------------------------------------------- */

__extension__ typedef __int128 companion_wide;

struct companion_sum {
    enum companion_kind kind;
    bool in_ms; /* a count of ms */
    int64_t t0_ns, t1_ns, stall_ns;
    int64_t prev_ns, prev_value; /* prev_ns INT64_MIN = none yet */
    bool any;                    /* a value held, or was read, inside */
    companion_wide sum;          /* of value x time */
    struct companion c;
};
void companion_begin(struct companion_sum *x, const char *unit, int64_t t0_ns, int64_t t1_ns,
                     int64_t stall_ns);
/* The next valid reading in order of time; from the newest one before t0 on, which counts with what of it lies
 * inside, to the oldest one at or after t1. failed: there were reads without a value since the one before. */
void companion_take(struct companion_sum *x, int64_t t_ns, int64_t value, bool failed);
/* False: nothing is known of it in the window. `failed` as above, of what followed the newest reading. */
bool companion_end(struct companion_sum *x, bool failed, struct companion *out);

/* ---- of a window ----------------------------------------------------------------------------------- */

struct companions {
    struct channel_row *channels; /* n of them, those with a reading */
    struct companion *at;
    size_t n;
    /* How many channels were left out because the window holds more samples than are walked at a run's end
     * (COMPANIONS_SAMPLES_MAX); masks and counts come first, levels in the order of their channels. */
    size_t skipped;
};
#define COMPANIONS_SAMPLES_MAX 5000000

/* Caller frees with companions_fini, also after an error. */
int companions_of_window(struct store *s, const struct energy_window *w, struct companions *out,
                         struct err *e) MUST_USE;
void companions_fini(struct companions *c); /* CLEANUP-able */

bool companions_throttled(const struct companions *c, size_t i);
bool companions_capped(const struct companions *c, size_t i);
void companions_flag(const struct companions *c, struct energy_set *set);

#endif
