/* What the kernel says in text about a perf PMU: how an event is encoded and what its count is worth.
 * source: Documentation/ABI/testing/sysfs-bus-event_source-devices-{format,events}. Pure, any thread.
 * Strict: what is not understood in full is refused, because a wrong factor would be a wrong joule. */
#ifndef DAEMON_METER_PERF_TEXT_H
#define DAEMON_METER_PERF_TEXT_H

#include "common/base.h"

/* Joules per count as an exact fraction of microjoules: 2^-32 J is 15625 / 2^26 uJ. */
struct perf_scale {
    int64_t num;
    int64_t den;
};
/* "2.3283064365386962890625e-10": a positive decimal, an exponent is optional, one newline may follow.
 * False for anything else, and for a fraction whose parts do not fit in 63 bits. */
bool perf_scale_parse(const char *text, struct perf_scale *out) MUST_USE;
/* count in whole uJ, rounded down: differences of cumulative values never drift. False beyond int64. */
bool perf_scale_uj(const struct perf_scale *s, uint64_t count, int64_t *uj) MUST_USE;

/* perf_event_attr.config, config1, config2 */
struct perf_config {
    uint64_t word[3];
};
/* One term of an event, value in the bits of a format file: "config:0-7", "config1:0-3,8". False where
 * the format is not understood or the value does not fit. */
bool perf_config_put(struct perf_config *c, const char *format, uint64_t value) MUST_USE;

/* Takes the next term off *text: "event=0x02,umask=0x1"; a bare name is 1. 1 = a term; 0 = the end;
 * -1 = not understood. */
int perf_term_next(const char **text, char *name, size_t cap, uint64_t *value) MUST_USE;

#endif
