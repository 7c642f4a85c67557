/* What people read: the only place where numbers get unit text. Pure but for the stream it writes to.
 * Strings returned as char * are new memory (free()); those with a buffer return it.
 * A figure is a map of the protocol (docs/protocol.md, "A figure"): bounds are shown rounded outward, an
 * estimate carries a tilde and the word, a missing bound is "-", an unknown energy its reason. */
#ifndef CLIENT_PRINT_H
#define CLIENT_PRINT_H

#include "common/wire.h"

#define PRINT_NONE INT64_MIN /* an unknown integer */

struct print {
    FILE *out;
    bool colour;  /* a terminal, and nobody said no */
    bool unicode; /* block characters are understood */
    int columns;  /* width of the terminal; 0 = not a terminal: nothing is cut */
};

/* color: "auto", "always" or "never"; NO_COLOR and TERM=dumb count for "auto".
 * WATTQ_E_USAGE for another word. */
int print_init(struct print *p, FILE *out, const char *color, bool ascii, struct err *e) MUST_USE;

enum tone { TONE_PLAIN, TONE_BOLD, TONE_DIM, TONE_GOOD, TONE_BAD, TONE_WARN };
enum tone print_tone_of(const char *state); /* of a run's state */
const char *print_tone_on(const struct print *p, enum tone t);
const char *print_tone_off(const struct print *p, enum tone t);
size_t print_width(const char *s); /* characters, not bytes */

/* ---- quantities --------------------------------------------------------------------------------- */

const char *print_duration(char *buf, size_t cap, int64_t ns); /* "4m12s"; "-" for PRINT_NONE */
const char *print_count(char *buf, size_t cap, int64_t n);     /* "1,048,576"; "-" */
const char *print_bytes(char *buf, size_t cap, int64_t bytes); /* "2 MiB"; "-" */
const char *print_power(char *buf, size_t cap, int64_t uw);    /* "84.2 W"; "-" */
const char *print_power_w(char *buf, size_t cap, double watt); /* "-" unless finite */
const char *print_joules(char *buf, size_t cap, double joule); /* "12.3 mJ"; "-" unless finite */
const char *print_bound(char *buf, size_t cap, double joule, bool upper); /* rounded outward */
const char *print_seconds(char *buf, size_t cap, double s);               /* "3.21 us", "1.50 s" */
const char *print_ago(char *buf, size_t cap, int64_t utc_ns); /* local "11-23 23:10"; "-" */

/* ---- figures ------------------------------------------------------------------------------------ */

bool print_is_estimate(const struct wire_val *figure);
char *print_energy(const struct wire_val *figure); /* "31.2 kJ", "~31.2 kJ estimated", "-" */
char *print_bounds(const struct wire_val *figure); /* "30.9..31.5 kJ", "-" */
char *print_figure(const struct wire_val *figure); /* "31.2 kJ (30.9..31.5 counter)" or words */
/* Joule per something; NAN when there is no energy or n is not positive. */
double print_joule_per(const struct wire_val *figure, double n);

/* ---- runs --------------------------------------------------------------------------------------- */

/* The machine's figure over a part ("window", "phase:train") of a run, whether the map is a summary or
 * what `show` answers; NULL = it has none. */
const struct wire_val *print_total(const struct wire_val *run, const char *part);

/* done 17  4m12s  31.2 kJ (30.9..31.5 counter)  GPU 24.0 CPU 7.2  0.0087 kWh  alone */
char *print_cost_line(const struct wire_val *run);
/* "exit 3", "killed by SIGKILL", the reason, or "". */
const char *print_ending(char *buf, size_t cap, const struct wire_val *run);
/* argv as one line; what a shell would split is quoted. */
char *print_command(const struct wire_val *run);
/* "now 84.2 W (package-0 + dram-0, measured)" or why there is none. */
char *print_power_line(const struct wire_val *power);

#endif
