#include "client/datum.h"

#include <math.h>
#include <string.h>

#include "client/print.h"

double datum_number(const struct wire_val *run, const char *key)
{
    static const char *const places[] = {"summary", "last_metrics", "info"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        double v = wire_f64(wire_get(run, places[i]), key, NAN);
        if (!isnan(v))
            return v;
    }
    return NAN;
}

static double bound_per(const struct wire_val *figure, const char *key, double n)
{
    int64_t uj = wire_int(figure, key, PRINT_NONE);
    return uj == PRINT_NONE || !(n > 0) ? (double)NAN : (double)uj / 1e6 / n;
}

void datum_init(struct datum *d, const struct wire_val *run)
{
    const struct wire_val *per = wire_get(run, "j_per_datum");
    const struct wire_val *window = print_total(run, "window");
    const struct wire_val *train = print_total(run, "phase:train");
    d->rows = datum_number(run, "rows_train_seen");
    d->exact_j = wire_f64(per, "exact", NAN);
    d->study_j = wire_f64(per, "study", NAN);
    d->reason =
        isnan(d->exact_j) ? wire_str(per, "exact_reason", "no figure for phase train") : NULL;
    d->run_j = print_joule_per(window, d->rows);
    d->estimated = print_is_estimate(train ? train : window);
    d->tested_in = datum_number(run, "test_ns_inside_train") > 0;
    d->exact_lo_j = d->tested_in ? (double)NAN : bound_per(train, "lo_uj", d->rows);
    d->exact_hi_j = d->tested_in ? (double)NAN : bound_per(train, "hi_uj", d->rows);
    double train_ns = datum_number(run, "train_ns");
    d->train_s = d->rows > 0 ? train_ns / 1e9 / d->rows : (double)NAN;
}
