/* Power curves written down as text, with exact energy: the `script` source reads its channels from such
 * a file, and a test computes the true energy of any window from the same file by itself.
 * Pure after loading; any thread, the formula is read-only.
 *
 * Lines; '#' starts a comment; durations count from the origin:
 *
 *   origin 123456789000           CLOCK_BOOTTIME ns of time 0; default 0
 *   channel NAME kind=counter ... see channel_text.h
 *   power NAME = constant 50W
 *   power NAME = piecewise 0s:50W 10s:120W 12s:30W [repeat 15s]
 *                                 steps; the last one holds, or all begin again every 15 s
 *   power NAME = sine 80W 20W 5s  mean, amplitude (<= mean), period: 256 steps of constant power
 *   start NAME 1000000            what the register shows at time 0, uJ
 *   reset NAME 30s                the register starts again from 0 at that moment
 *   fail NAME 4s..5s EIO          no reading in [4 s, 5 s): EIO EACCES ENOENT ENODEV ENODATA GARBLED
 *                                 IMPLAUSIBLE STALE
 *
 * Power is 0 before the origin. Energy is the exact integral: power is constant in steps of whole ns, so
 * uW x ns is an integer (femtojoule) and nothing is rounded until a whole uJ is asked for.
 *
 * What the register shows at t: the energy at the last refresh (origin + k x period) minus lag, less what
 * had flowed at the newest reset, plus `start`, rounded down to a multiple of quantum, modulo wrap. A
 * gauge shows the power at that instant, an average the mean over `box` before it. A companion's "power"
 * is its value. */
#ifndef DAEMON_METER_SCRIPT_FORMULA_H
#define DAEMON_METER_SCRIPT_FORMULA_H

#include "daemon/meter/channel_text.h"

#define FORMULA_BYTES_MAX (1u << 20)

struct formula;

int formula_load(struct formula **out, const char *path, struct err *e) MUST_USE;
int formula_parse(struct formula **out, const char *text, struct err *e) MUST_USE;
void formula_free(struct formula *f); /* NULL is fine */

size_t formula_count(const struct formula *f);
const struct channel_desc *formula_descs(const struct formula *f); /* borrowed */
int formula_find(const struct formula *f, const char *name);       /* -1 = none */
int64_t formula_origin_ns(const struct formula *f);

/* The truth: energy since the origin in whole uJ (rounded down), and power, at an instant. A window's
 * true energy is formula_energy_uj(b) - formula_energy_uj(a), to within 1 uJ. */
int64_t formula_energy_uj(const struct formula *f, size_t i, int64_t boot_ns);
int64_t formula_power_uw(const struct formula *f, size_t i, int64_t boot_ns);
/* What a reader of the register sees. */
struct reading formula_read(const struct formula *f, size_t i, int64_t boot_ns);

#endif
