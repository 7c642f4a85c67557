#include "daemon/api/conform.h"

#include <string.h>

#include "common/units.h"

void conform_take(struct conform *c, const struct run_energy *f)
{
    if (f->channel != 0 || strcmp(f->part, "window") != 0)
        return;
    if (strcmp(f->figure, "marginal") == 0)
        c->idle = f->energy_uj != RUN_NONE;
    if (strcmp(f->figure, "machine") != 0)
        return;
    c->measured = f->energy_uj != RUN_NONE && strcmp(f->method, "estimate") != 0;
    c->whole = f->unknown_ns == 0;
    c->max_gap_ns = f->max_gap_ns;
    c->gain_ppm = f->gain_ppm;
}

static int accuracy_class(int64_t ppm)
{
    return ppm <= 10000 ? 1 : ppm <= 20000 ? 2 : ppm <= 50000 ? 5 : 0;
}

void conform_put(struct wire_out *o, const char *key, const struct conform *c)
{
    if (!c->measured) {
        wire_put_nil(o, key);
        return;
    }
    int class = c->gain_ppm == RUN_NONE ? 0 : accuracy_class(c->gain_ppm);
    wire_begin_map(o, key);
    wire_put_bool(o, "same_run", true);
    wire_put_bool(o, "whole_run", c->whole);
    if (c->max_gap_ns == RUN_NONE)
        wire_put_nil(o, "rate_1hz");
    else
        wire_put_bool(o, "rate_1hz", c->max_gap_ns <= NS_PER_S && c->period_ns <= NS_PER_S);
    wire_put_bool(o, "idle_phase", c->idle);
    if (class == 0)
        wire_put_nil(o, "accuracy_class");
    else
        wire_put_int(o, "accuracy_class", class);
    wire_end(o);
}
