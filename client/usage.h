/* Who used how much: runs, hours, energy, what it cost and emitted, by a column. Pure sums over rows of the
 * operation `table`.
 * Measured, modelled, estimated and apportioned energy (shares of runs that were not alone) are four sums that are never
 * added. A run whose energy is not known
 * is counted with the reason. Price and CO2 are factors of the question: applied here, named in the answer,
 * stored nowhere. Sums of energy are integers, so they do not depend on the order. */
#ifndef CLIENT_USAGE_H
#define CLIENT_USAGE_H

#include "common/err.h"

#define USAGE_UNKNOWN INT64_MIN

enum usage_quality {
    USAGE_MEASURED,
    USAGE_MODELLED,
    USAGE_ESTIMATED,
    USAGE_APPORTIONED,
    USAGE_QUALITIES
};
enum usage_reason {
    USAGE_NO_FIGURE, /* no meter, or it was not there the whole time */
    USAGE_SHARED,    /* ran beside others, and its share is not known */
    USAGE_REASONS
};
const char *usage_quality_name(enum usage_quality q);
const char *usage_reason_text(enum usage_reason r);

struct usage_sum {
    int64_t runs;
    int64_t uj;
    int64_t lo_uj; /* of the bounded ones */
    int64_t hi_uj;
    int64_t bounded; /* runs with both bounds; bounds of the sum exist when all have them */
};

struct usage_group {
    char *name;
    int64_t runs;
    int64_t run_ns;
    int64_t cpu_ns;
    int64_t cpu_unknown; /* runs without a CPU time */
    int64_t gpu_ns;
    int64_t gpu_runs; /* that held one */
    struct usage_sum sum[USAGE_QUALITIES];
    int64_t unknown[USAGE_REASONS];
};

struct usage {
    struct usage_group *groups;
    size_t n;
    struct usage_group total;
};
void usage_init(struct usage *u);
void usage_fini(struct usage *u);

struct usage_run {
    int64_t run_ns; /* USAGE_UNKNOWN counts as no time */
    int64_t cpu_ns;
    int64_t energy_uj, lo_uj, hi_uj; /* USAGE_UNKNOWN */
    const char *quality;             /* "measured", ...; anything else is unknown */
    bool shared;                     /* then only this counts, and has no bounds: */
    int64_t attributed_uj;           /* USAGE_UNKNOWN */
    int64_t gpu_ns;                  /* time times GPUs held; USAGE_UNKNOWN = held none */
};
/* A run with several GPUs is added to the group of each, with that GPU's energy. */
void usage_add(struct usage *u, const char *group, const struct usage_run *r);
void usage_sort(struct usage *u); /* by name */

struct usage_factors {
    double price; /* per kWh; NAN = not asked for */
    char currency[12];
    double co2_g; /* per kWh; NAN */
};
/* "0.30EUR/kWh"; "380g/kWh", "0.38kg/kWh". WATTQ_E_USAGE. */
int usage_parse_price(const char *text, struct usage_factors *f, struct err *e) MUST_USE;
int usage_parse_co2(const char *text, struct usage_factors *f, struct err *e) MUST_USE;

double usage_kwh(int64_t uj);

#endif
