/* Groups of runs against a reference group: which parameters differ, and whether time, energy, power and
 * chosen metrics do - with the test that was used, an interval, and what could have been seen. Pure.
 *
 * Scale: where every value of both groups is positive the effect is a ratio (means of logarithms; "+9.1 %"),
 * else a difference in the quantity's own unit.
 * Test: paired when the runs of both groups can be matched one to one by all parameters but the ones that
 * tell the groups apart (`block` and `repeat` among them); else Welch's, or a studentised bootstrap where
 * groups of 5 and more do not look normal (daemon/model/stats.h). p is Holm's over every comparison of the
 * answer. Equivalence is two one-sided tests, Holm's likewise.
 * Energy: a gain error of the meter is the same in both groups and cancels when all runs are on the same
 * meter; on meters that cover the same it is added to the interval; else, and where joules are estimates,
 * there is no verdict about them. */
#ifndef CLIENT_COMPARE_H
#define CLIENT_COMPARE_H

#include "common/wire.h"
#include "daemon/model/stats.h"

#define COMPARE_LEVEL 0.95
#define COMPARE_POWER 0.8

enum compare_what { COMPARE_TIME, COMPARE_ENERGY, COMPARE_MEAN_POWER, COMPARE_METRICS };

struct compare_param {
    char *key;
    char *value;
};

struct compare_run {
    int64_t run;
    size_t group;
    struct compare_param *params; /* by key */
    size_t nparams;
    double *values;            /* one per quantity; NAN = not known */
    const char *why_no_energy; /* literal; NULL = it has one */
    bool estimated;
    double gain; /* stated accuracy, relative; NAN = none stated */
    char *meter; /* machine and channels: equal = the same meter */
    char *scope; /* what they cover */
};

struct compare_left {
    int64_t run;
    const char *reason; /* literal */
};

struct compare_group {
    char *name;
    size_t n; /* runs that take part */
};

struct compare {
    char **quantities; /* "time", "energy", "power", then the metrics */
    size_t nquantities;
    struct compare_group *groups; /* the reference first */
    size_t ngroups;
    struct compare_run *runs;
    size_t nruns;
    struct compare_left *left;
    size_t nleft;
    double within; /* relative: 0.02 */
};
void compare_init(struct compare *c, const char *const *metrics, size_t n, double within);
void compare_fini(struct compare *c);
size_t compare_add_group(struct compare *c, const char *name); /* its index */
/* A summary with energy and params; goes to `left` when it does not take part. */
void compare_add(struct compare *c, size_t group, const struct wire_val *run);
/* The group of that name, made when there is none yet. */
size_t compare_group_of(struct compare *c, const char *name);
/* The newest group again, which must be empty. */
void compare_drop_group(struct compare *c);
/* The newest run has no energy after all: why (literal). */
void compare_no_energy(struct compare *c, const char *reason);
void compare_leave(struct compare *c, int64_t run, const char *reason);
bool compare_has(const struct compare *c, int64_t run); /* in any group, or left out */
/* Groups by name, as numbers where both are; the one called ref (NULL = none) goes first. false: none is. */
bool compare_sort(struct compare *c, const char *ref);

/* ---- parameters ----------------------------------------------------------------------------------- */

struct compare_key {
    const char *key;
    char **values; /* per group: "0.1", "1, 2, 3", "12 values", "-" */
    bool differs;
};
/* Every parameter of any run, by name; caller frees with compare_keys_free. */
struct compare_key *compare_keys(const struct compare *c, size_t *n);
void compare_keys_free(const struct compare *c, struct compare_key *keys, size_t n);

/* ---- figures -------------------------------------------------------------------------------------- */

struct compare_side {
    size_t n; /* values known */
    double mean;
    double sd;
    bool estimated;
};
void compare_side(const struct compare *c, size_t group, size_t quantity, struct compare_side *out);

enum compare_verdict { COMPARE_NO_VERDICT, COMPARE_DIFFERS, COMPARE_EQUIVALENT, COMPARE_UNDECIDED };
const char *compare_verdict_name(enum compare_verdict v); /* "none", "differs", ... */

struct compare_result {
    size_t quantity;
    size_t group;
    bool ratio;             /* effect and its ends are relative, else in the quantity's unit */
    double effect, lo, hi;  /* NAN = not known */
    enum stats_method test; /* STATS_NONE = no test */
    const char *matched;    /* what pairs were matched by: "block", "repeat", "point"; NULL */
    size_t n, nref;         /* values that took part; pairs, when matched */
    double p, equivalence;  /* Holm's */
    double detectable;      /* as effect */
    double slack; /* what the meters' accuracies add on each side, as effect; 0 = it cancels */
    enum compare_verdict verdict;
    long more;          /* UNDECIDED: repeats per group; -1 = repeats do not help */
    const char *reason; /* NO_VERDICT: why; literal */
};
/* One per quantity and group other than the reference; free(). */
struct compare_result *compare_results(const struct compare *c, size_t *n);

#endif
