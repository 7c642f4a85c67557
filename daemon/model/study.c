#include "daemon/model/study.h"

#include <math.h>

static const char *const exclusion_names[] = {
#define X(sym, name, text) name,
    STUDY_EXCLUSIONS(X)
#undef X
};
static const char *const exclusion_texts[] = {
#define X(sym, name, text) text,
    STUDY_EXCLUSIONS(X)
#undef X
};

const char *study_exclusion_name(enum study_exclusion x)
{
    return exclusion_names[x];
}

const char *study_exclusion_text(enum study_exclusion x)
{
    return exclusion_texts[x];
}

const char *study_quality_name(enum study_quality q)
{
    static const char *const names[] = {"measured", "modelled", "estimated", "none"};
    return names[q];
}

static double per(double what, double n)
{
    return n > 0 ? what / n : (double)NAN;
}

/* The last, short batch of an epoch is a step like any other: it costs a pass over the weights. */
double study_steps(const struct study_run *r)
{
    if (r->batch < 1 || r->rows_train < 1)
        return NAN;
    double batches = ceil((double)r->rows_train / (double)r->batch);
    double rest = r->rows_seen - r->epochs * (double)r->rows_train;
    return r->epochs * batches + ceil(rest / (double)r->batch);
}

double study_step_s(const struct study_run *r)
{
    return per(r->train_s, study_steps(r));
}

double study_datum_s(const struct study_run *r)
{
    return per(r->train_s, r->rows_seen);
}

double study_datum_j(const struct study_run *r)
{
    return per(r->train_j, r->rows_seen);
}

double study_epoch_j(const struct study_run *r)
{
    return study_datum_j(r) * (double)r->rows_train;
}
