/* What the helper programs share: pace, output in the line protocol, secrets, the way out. A helper asks one
 * device in the network or on a wire and prints what it says, a line per quantity:
 *
 *     power 42.5 W
 *     energy 1234.5 Wh
 *     power - io the plug did not answer: timed out
 *
 * Nothing is made up: what the device does not say has no line with a number. A helper ends when nobody
 * reads its output any more. One thread. */
#ifndef DAEMON_METER_HELPERS_HELPER_H
#define DAEMON_METER_HELPERS_HELPER_H

#include "common/err.h"

#define HELPER_SECRET_MAX 256
#define HELPER_BODY_MAX   (1u << 20) /* of an answer over the network */

/* Words of `- WORD text`: reading_state_name() of the daemon. */
#define HELPER_IO          "io"
#define HELPER_GARBLED     "garbled"
#define HELPER_UNSUPPORTED "unsupported"
#define HELPER_PERMISSION  "no_permission"
#define HELPER_DISABLED    "disabled"

struct helper {
    const char *program;
    int64_t period_ns; /* --period */
    bool once;         /* --once: one round, exit 1 when it gave no number */
    int64_t next_ns;   /* CLOCK_MONOTONIC of the next round; 0 = now */
    int numbers;       /* lines with a number, this round */
};

/* Options that all of them have: "p:1" in optstring terms; true = it was one of them and is done. Exits 2
 * with a sentence for a bad value. */
bool helper_option(struct helper *h, int c, const char *value);
#define HELPER_LONG_OPTIONS                                                                        \
    {"period", required_argument, NULL, 'p'}, {"once", no_argument, NULL, '1'},                    \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }
/* Says what is wrong and how it is meant, exits 2. */
void helper_usage(const struct helper *h, const char *fmt, ...) PRINTF(2, 3)
    __attribute__((noreturn));

/* First line of a file that only its owner may read, e.g. a password; exits 2 when it cannot be had or
 * others may read it. Caller frees. */
char *helper_secret(const struct helper *h, const char *path);

/* A number in its unit (W, mW, J, Wh, kWh ...), or the reason why there is none. */
void helper_put(struct helper *h, const char *name, double value, const char *unit);
void helper_none(const struct helper *h, const char *name, const char *word, const char *fmt, ...)
    PRINTF(4, 5);
/* After a round: sleeps until the next one is due. False = --once, or the reader has gone. */
bool helper_next(struct helper *h);
bool helper_unread(void);                /* the reader has gone */
int helper_exit(const struct helper *h); /* what main returns */

#endif
