/* Limits of a run as it is asked to be: memory, energy, niceness, and the soft limits that its submitter had.
 * Pure, any thread. Part of a spec (spec.h); the names are those of the wire and of people. */
#ifndef COMMON_SPEC_LIMITS_H
#define COMMON_SPEC_LIMITS_H

#include "common/wire.h"

#define SPEC_RLIMITS       16                 /* RLIM_NLIMITS */
#define SPEC_MEM_MIN_BYTES (INT64_C(1) << 20) /* less holds no program */
#define SPEC_MEM_MAX_BYTES (INT64_C(1) << 50)
#define SPEC_NICE_MAX      19
#define SPEC_ENERGY_MAX_UJ INT64_C(1000000000000000000) /* 1 TJ */

/* A soft limit as the submitter's shell had it; a run gets it within the hard limit that holds there. */
struct spec_rlimit {
    int resource; /* RLIMIT_* */
    int64_t soft; /* -1 = none */
};
/* "nofile" is RLIMIT_NOFILE, as in limits.conf(5). NULL, -1: there is no such one, or it has no effect. */
const char *spec_rlimit_name(int resource);
int spec_rlimit_find(const char *name);

/* Which figure an energy limit is held against. */
enum spec_figure {
    SPEC_FIGURE_UNSAID,    /* an exclusive run: LO. Others have to say */
    SPEC_FIGURE_LO,        /* the machine's lower bound: what has flowed at the least */
    SPEC_FIGURE_MACHINE,   /* the machine's figure, bounded or not */
    SPEC_FIGURE_ATTRIBUTED /* the run's share */
};
const char *spec_figure_name(enum spec_figure f); /* "lo", "machine", "attributed"; UNSAID: "" */
bool spec_figure_parse(const char *name, enum spec_figure *out); /* false: no such one */

struct spec;
/* "500kJ", or with the figure: "500kJ,attributed". WATTQ_E_USAGE. */
int spec_energy_limit_parse(struct spec *s, const char *text, struct err *e) MUST_USE;
/* Replaces them. n at most SPEC_RLIMITS. */
void spec_rlimits_set(struct spec *s, const struct spec_rlimit *list, size_t n);
/* The soft limits of this process, all that have a name. */
void spec_rlimits_capture(struct spec *s);

/* For spec.c: keys mem_bytes, nice, energy_limit_uj, energy_limit_figure, rlimits. */
int spec_limits_from_wire(struct spec *s, const struct wire_val *map, struct err *e) MUST_USE;
void spec_limits_put_wire(const struct spec *s, struct wire_out *o);
void spec_limits_copy(struct spec *to, const struct spec *from);

#endif
