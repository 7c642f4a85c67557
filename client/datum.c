#include "client/datum.h"

#include <math.h>
#include <string.h>

#include "client/print.h"

double datum_number(const struct wire_val *run, const char *key)
{
    const struct wire_val *info = wire_get(run, "info");
    const struct wire_val *places[] = {wire_get(info, "summary"), wire_get(run, "summary"),
                                       wire_get(run, "last_metrics"), info};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        double v = wire_f64(places[i], key, NAN);
        if (!isnan(v))
            return v;
    }
    return NAN;
}

static double first_known(double a, double b)
{
    return isnan(a) ? b : a;
}

static double bound_per(const struct wire_val *figure, const char *key, double n)
{
    int64_t uj = wire_int(figure, key, PRINT_NONE);
    return uj == PRINT_NONE || !(n > 0) ? (double)NAN : (double)uj / 1e6 / n;
}

/* All of phase train together: it is entered anew after each marked test pass. */
static double train_seconds(const struct wire_val *run)
{
    const struct wire_val *phases = wire_get(run, "phases");
    double sum = 0;
    for (size_t i = 0; i < wire_len(phases); i++) {
        const struct wire_val *p = wire_at(phases, i);
        int64_t t0 = wire_int(p, "t0_ns", PRINT_NONE);
        int64_t t1 = wire_int(p, "t1_ns", PRINT_NONE);
        if (strcmp(wire_str(p, "name", ""), "train") == 0 && t0 != PRINT_NONE && t1 != PRINT_NONE)
            sum += (double)(t1 - t0) / 1e9;
    }
    return sum > 0 ? sum : (double)NAN;
}

void datum_init(struct datum *d, const struct wire_val *run)
{
    /* What was done; info alone has what was asked for. */
    double epochs = first_known(datum_number(run, "epoch"), datum_number(run, "epochs"));
    double train_rows = datum_number(run, "rows_train");
    double batches = datum_number(run, "batches_train");
    double batch = datum_number(run, "batch");
    const struct wire_val *window = print_total(run, "window");
    const struct wire_val *train = print_total(run, "phase:train");
    d->rows = first_known(datum_number(run, "rows_train_seen"), train_rows * epochs);
    d->whole_run = wire_int(train, "energy_uj", PRINT_NONE) == PRINT_NONE;
    if (d->whole_run)
        train = window;
    d->estimated = print_is_estimate(train);
    d->exact_j = print_joule_per(train, d->rows);
    d->exact_lo_j = bound_per(train, "lo_uj", d->rows);
    d->exact_hi_j = bound_per(train, "hi_uj", d->rows);
    d->study_j = print_joule_per(window, batches * batch * epochs);
    double train_ns = datum_number(run, "train_ns");
    d->train_s = (isnan(train_ns) ? train_seconds(run) : train_ns / 1e9) / d->rows;
    d->tested_in = datum_number(run, "test_ns_inside_train") > 0;
}
