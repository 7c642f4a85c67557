/* Clocks, integer arithmetic that cannot overflow, and the spellings people use for quantities.
 * Suffix rules of the whole tree: _ns, _us nanoseconds and microseconds; _uj, _uw microjoule and
 * microwatt (int64); _j, _w doubles, only for derived figures; _bytes. Instants are CLOCK_BOOTTIME ns
 * unless the name says _utc_ns or _mono_ns. */
#ifndef COMMON_UNITS_H
#define COMMON_UNITS_H

#include "common/err.h"

int64_t clock_boot_ns(void); /* never steps, counts suspend: every stored instant */
int64_t clock_mono_ns(void); /* deadlines only */
int64_t clock_utc_ns(void);  /* display and anchors only */

/* floor(a * b / c) in 128 bits, c > 0; saturates at the int64 range. */
int64_t units_muldiv_floor(int64_t a, int64_t b, int64_t c);
int64_t units_muldiv_ceil(int64_t a, int64_t b, int64_t c);

/* "90s" "15m" "2h30m" "1d" "250ms" "1.5h"; a bare number is refused with both readings shown
 * ("90 is 90 s or 90 min: write 90s or 90m"). 0, or WATTQ_E_USAGE. */
int units_parse_duration(const char *s, int64_t *out_ns, struct err *e) MUST_USE;
/* "512M" "2G" "64k" (powers of 1024) or "100B"; a bare number is refused in the same way. */
int units_parse_bytes(const char *s, int64_t *out_bytes, struct err *e) MUST_USE;
/* "500J" "2kJ" "1.5MJ" "0.2kWh". */
int units_parse_energy(const char *s, int64_t *out_uj, struct err *e) MUST_USE;
/* "50W" "1.5kW" "300mW". */
int units_parse_power(const char *s, int64_t *out_uw, struct err *e) MUST_USE;
/* An instant: "-2h" (before now), "now", "HH:MM" or "YYYY-MM-DD[ HH:MM[:SS]]" in local time, RFC 3339. */
int units_parse_time(const char *s, int64_t now_utc_ns, int64_t *out_utc_ns,
                     struct err *e) MUST_USE;
/* A whole number with optional SI or 2^k spelling: "4096", "2^14", "64k" (= 65536 only as "64Ki"). */
int units_parse_count(const char *s, int64_t *out, struct err *e) MUST_USE;

/* For people: "31.2 kJ", "4m12s", "1.05 MB". buf is returned. Four significant digits at most. */
const char *units_show_energy(char *buf, size_t cap, int64_t uj);
const char *units_show_power(char *buf, size_t cap, double watt);
const char *units_show_duration(char *buf, size_t cap, int64_t ns);
const char *units_show_bytes(char *buf, size_t cap, int64_t bytes);
/* In powers of 1024, as units_parse_bytes reads them: "32 GiB", "1.5 MiB". */
const char *units_show_size(char *buf, size_t cap, int64_t bytes);
/* RFC 3339 in UTC with milliseconds: "2026-11-23T23:10:04.512Z". */
const char *units_show_utc(char *buf, size_t cap, int64_t utc_ns);

#endif
