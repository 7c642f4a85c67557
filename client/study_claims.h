/* Which of the study's findings (daemon/model/claims.h) a planned sweep can test, and what is missing for the
 * others. Pure. */
#ifndef CLIENT_STUDY_CLAIMS_H
#define CLIENT_STUDY_CLAIMS_H

#include "client/study_sizes.h"
#include "daemon/model/claims.h"

/* What the sweep will have. */
struct study_facts {
    const struct study_axes *axes;
    const int64_t *size; /* rising */
    size_t nsizes;
    const struct study_bound *bounds;
    size_t nbounds;
    size_t caches; /* levels of the machine, RAM included */
    bool gpu;      /* wattq-train can use one */
    bool joules;   /* something measures energy: else a finding is judged by time */
    bool real;     /* data sets are real: losses mean something */
};

struct study_testable {
    int row;
    enum claim_hardware hardware;
    const char *finding;
    bool yes;
    bool time; /* by seconds only */
    char why[200];
};

/* One per finding, in the report's order; returns how many. */
size_t study_claims(struct study_testable out[CLAIMS_MAX], const struct study_facts *f);

#endif
