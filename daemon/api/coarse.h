/* What peers without the readings as taken (rights.h) get instead: whole seconds. Pure, any thread.
 *
 * Fast readings of power tell what other programs compute (PLATYPUS, CVE-2020-8694), so that Linux lets root
 * alone read them. The rule here: no answer to such a peer depends on energy at an instant he could choose, or
 * that lies closer than a second to another one he knows, but for the two ends of a run of a second or more.
 * docs/security.md says what that keeps out and what it does not.
 *
 * The grid is CLOCK_BOOTTIME's, in which samples are stored: the distance of UTC to it is measured anew every ten
 * minutes, and a grid that moves by a millisecond gives away a millisecond. */
#ifndef DAEMON_API_COARSE_H
#define DAEMON_API_COARSE_H

#include "daemon/api/rights.h"
#include "daemon/energy/energy.h"
#include "daemon/store/runs.h"

#define COARSE_NS NS_PER_S
/* Bounds are in steps of this: what an idle machine draws in a second, at 10 W. */
#define COARSE_UJ INT64_C(10000000)

int64_t coarse_floor(int64_t t_ns);
int64_t coarse_ceil(int64_t t_ns);

/* Outward to whole seconds. now_ns: of the window's boot; RUN_NONE = that boot is over. It ends a second or more
 * before now: what comes later is still changed by the next samples, which tell of the second they are in.
 * 0; WATTQ_E_CONFLICT: nothing of it lies so far back. */
int coarse_window(struct energy_window *w, int64_t now_ns, struct err *e) MUST_USE;

/* Does the figure cover less than a second? Then its value is unknown and a reason says why; the bounds of every
 * figure are widened to COARSE_UJ, and stay. What was changed has the flag `quantised`, in flags[cap]. */
bool coarse_is_brief(const struct run_energy *f);
void coarse_figure(struct run_energy *f, char *flags, size_t cap);

/* Pixels of whole seconds over w, which is on the grid: at most n of them. w grows to the past until they are
 * equally wide, or shrinks where its boot began. Returns how many. */
size_t coarse_pixels(struct energy_window *w, size_t n);

#endif
