/* The ledger: who took part in a meter's energy. Each energy channel that may stand in a total has
 * accounts - one per run slot that was ever sat in, `system`, `foreign`, `idle` - whose sum is the meter's
 * E(t) at every tick, in integer uJ, over gaps, resets and restarts too.
 *
 * A span runs from one change of the meter's register to a later one, about a second, or a minute while
 * nobody sits in a slot; the sweeps at a run's edges end one too. Its energy dE is split:
 *   idle    = baseline x time of which something is known (0 before any baseline was measured)
 *   dyn     = dE - idle, signed, without a cap
 *   dyn of a meter of CPU, memory or the whole machine goes by CPU time: to each slot what it used, to
 *   `system` what the CPUs were busy beyond that; to `foreign` where CPU time is not known (over a restart
 *   of wattqd). dyn of a GPU goes to the slot of the run that owns it, else to `foreign`.
 *   Where others compute on it beside its owner and the driver tells what each process did, their part of the
 *   multiprocessor time is `foreign` (`account_intruder` keeps what was gone by).
 * Usage is interpolated between the two sweeps around the change's stamp.
 *
 * ledger_split and ledger_share are pure. The rest is the storage thread's: it hears of readings through
 * samples_watch and puts ticks of the account channels by samples_put. Accounts of a meter are written
 * where they changed only; what was written last holds until the next tick. Their channels are companions
 * (dyn is signed: a counter that falls would be a reset) of unit uJ and quality none. */
#ifndef DAEMON_ENERGY_LEDGER_H
#define DAEMON_ENERGY_LEDGER_H

#include "daemon/meter/slots.h"
#include "daemon/store/samples.h"

#define LEDGER_TICK_NS  NS_PER_S /* the grid: a span ends behind each, and at edges of runs */
#define LEDGER_QUIET_NS (60 * NS_PER_S) /* while nobody sits in a slot */

/* By what dyn goes. */
#define LEDGER_BY_CPU  (-1)
#define LEDGER_NOBODY  (-2) /* to `foreign` */
#define LEDGER_MACHINE (-3) /* to `system`: nothing is known of before */

struct ledger_span {
    int64_t de_uj;
    int64_t known_ns;    /* its length less what is unknown of the meter */
    int64_t baseline_uw; /* -1 = none yet */
    int owner;           /* a slot, or LEDGER_BY_CPU ... */
    int64_t others_ppm;  /* owner is a slot: the part of dyn that is not its own */
    size_t slots;
    int64_t busy_us;            /* all CPUs together */
    int64_t used_us[SLOTS_MAX]; /* by slot */
};
struct ledger_parts {
    int64_t idle_uj, system_uj, foreign_uj;
    int64_t slot_uj[SLOTS_MAX];
};
/* Pure. The parts add up to de_uj exactly; what is left by rounding goes by largest remainder. */
void ledger_split(const struct ledger_span *x, struct ledger_parts *out);

/* Pure. x_uj of a span in which n accounts grew by grown[] (of either sign), in proportion: the state of
 * the accounts inside a span. The parts add up to x_uj exactly. Where they grew by nothing together, all of
 * it goes to part `rest`. */
void ledger_share(int64_t x_uj, const int64_t *grown, size_t n, size_t rest, int64_t *parts);

struct ledger;
struct gpu_procs;
/* slots: which are sat in decides how often ticks are made; outlives the ledger. The writer is watched from
 * here on. NULL-able only where nothing counts CPU time. gpu_procs: who is on each GPU; NULL = not known,
 * and then nobody is beside its owner. */
int ledger_open(struct ledger **out, struct store *s, struct samples *w, struct slots *slots,
                struct gpu_procs *gpu_procs, struct err *e) MUST_USE;
void ledger_close(struct ledger *l); /* NULL is fine; after the last flush */
/* Between transactions: channels of accounts that are wanted are made. A failure is tried again. */
int ledger_prepare(struct ledger *l, struct store *s, struct samples *w, struct err *e) MUST_USE;
/* Inside a transaction, after samples_flush: puts the ticks that are due (samples_put: flush again).
 * suspend_ns: as in the newest tick of a meter. 1 = some were put, 0 = none. */
int ledger_write(struct ledger *l, struct store *s, struct samples *w, int64_t suspend_ns,
                 struct err *e) MUST_USE;

/* The same arithmetic from stored samples: the parts of [t0, t1] of one boot, both changes of the meter's
 * register, or t1 any later instant (then the answer may still move). 0; 1 = samples that it takes are gone;
 * < 0. */
int ledger_replay(struct store *s, const struct channel_row *meter, int64_t boot, int64_t t0_ns,
                  int64_t t1_ns, struct ledger_parts *out, struct err *e) MUST_USE;
/* Which meters have accounts. */
bool ledger_keeps(const struct channel_row *meter);

#endif
