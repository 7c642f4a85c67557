/* The figures of a run part by part: its window, and its phases, which may have many intervals each. What
 * the queue stores at a run's end and what `wattq verify` computes again from a bundle: the same code.
 * Thread: whichever owns the connection. */
#ifndef DAEMON_ENERGY_PHASES_H
#define DAEMON_ENERGY_PHASES_H

#include "common/spec.h"
#include "daemon/energy/energy.h"

#define PHASES_MAX       20000 /* intervals of a run; more are not looked at */
#define PHASES_NAMES_MAX 64    /* different names that get a figure */

/* Like energy_of_window, but what cannot be computed is an unknown total with the reason. */
void phases_window(struct store *s, const struct energy_window *w, struct energy_set *out);
/* The total is not known, and why. */
void phases_set_unknown(struct energy_figure *f, const char *reason);

struct phase_span {
    char name[SPEC_KEY_MAX];
    int64_t t0_ns;
    int64_t t1_ns;
};
struct phases {
    struct phase_span *at; /* in order of time; those without length are left out */
    size_t n;
    size_t cap;
    int64_t begin_ns, end_ns; /* of the run */
    bool cut;                 /* there were more than PHASES_MAX */
};
/* The intervals of a run inside its window: a program may begin a phase before wattqd has heard when its
 * gate opened. phases_fini also after a failure. */
int phases_load(struct store *s, int64_t run, int64_t begin_ns, int64_t end_ns, struct phases *out,
                struct err *e) MUST_USE;
void phases_fini(struct phases *p);
/* Is at[i] the first interval of its name? */
bool phases_first(const struct phases *p, size_t i);
/* The energy of all intervals that share the name of at[first]: sums, channel by channel. */
void phases_energy(struct store *s, const struct phases *p, size_t first, int64_t boot,
                   struct energy_set *out);

#endif
