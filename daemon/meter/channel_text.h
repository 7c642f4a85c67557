/* A channel described in one line of text, for the sources that are driven by a file (script, replay).
 * Pure. The grammar, words separated by blanks:
 *
 *   NAME kind=counter|gauge|average|companion [key=value ...]
 *
 *   unit=uJ       default: uJ for counters, uW for gauges and averages, mC for companions
 *   label=TEXT    default NAME                   scope=package      a scope's name; default other
 *   quality=measured|modelled|estimated          default measured (none for companions)
 *   quantum=61    smallest step, in unit         wrap=262143328851  modulus in uJ; default 0, no range
 *   period=1ms    update period, default 1ms     declared=no        the period is an assumption
 *   lag=0ms       age of a value                 box=1s             averaging window; default 1s
 *   pmax=1000W    largest power; default 0       accuracy=5000      in ppm; default 0
 *   parent=NAME   an earlier channel that contains this one
 *   mirror=NAME   an earlier channel whose register this one shows again */
#ifndef DAEMON_METER_CHANNEL_TEXT_H
#define DAEMON_METER_CHANNEL_TEXT_H

#include "daemon/meter/source.h"

#define CHANNEL_TEXT_MAX 64 /* channels of one file */
#define CHANNEL_NAME_MAX 160

struct channel_text {
    struct channel_desc descs[CHANNEL_TEXT_MAX];
    char names[CHANNEL_TEXT_MAX][CHANNEL_NAME_MAX];
    size_t n;
};

/* Append the channel of one line (cut up in place). uid is PREFIX/NAME, or NAME when prefix is NULL.
 * 0, WATTQ_E_INVALID. */
int channel_text_add(struct channel_text *t, const char *prefix, char *line,
                     struct err *e) MUST_USE;
int channel_text_find(const struct channel_text *t, const char *name); /* index, -1 = none */

/* "50W" "1.5kW" "120mW" "7uW" -> uW, at most 6 decimals that matter; a bare number is taken as it
 * stands. False when it is neither. */
bool channel_text_power(const char *s, int64_t *uw);
/* "10s" "1ms" "250us" "0" -> ns, decimals allowed; no sign. */
bool channel_text_duration(const char *s, int64_t *ns);

#endif
