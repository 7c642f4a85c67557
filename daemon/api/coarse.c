#include "daemon/api/coarse.h"

#include <stdio.h>
#include <string.h>

int64_t coarse_floor(int64_t t_ns)
{
    return t_ns - ((t_ns % COARSE_NS) + COARSE_NS) % COARSE_NS;
}

int64_t coarse_ceil(int64_t t_ns)
{
    int64_t down = coarse_floor(t_ns);
    return down == t_ns || down > INT64_MAX - COARSE_NS ? down : down + COARSE_NS;
}

int coarse_window(struct energy_window *w, int64_t now_ns, struct err *e)
{
    int64_t last = now_ns == RUN_NONE ? INT64_MAX : coarse_floor(now_ns) - COARSE_NS;
    w->t0_ns = coarse_floor(w->t0_ns);
    w->t1_ns = coarse_ceil(w->t1_ns);
    if (w->t1_ns > last)
        w->t1_ns = last;
    if (w->t1_ns > w->t0_ns)
        return 0;
    err_set(e, WATTQ_E_CONFLICT, "you get readings by whole seconds, and that second is not over");
    return err_next(e, "ask again in two seconds");
}

/* ---- figures --------------------------------------------------------------------------------------- */

bool coarse_is_brief(const struct run_energy *f)
{
    return f->covered_ns + f->unknown_ns < COARSE_NS;
}

static int64_t step_down(int64_t uj)
{
    int64_t rest = uj % COARSE_UJ;
    return uj - (rest < 0 ? rest + COARSE_UJ : rest);
}

static int64_t lower(int64_t uj)
{
    return uj == RUN_NONE ? RUN_NONE : step_down(uj);
}

static int64_t upper(int64_t uj)
{
    return uj == RUN_NONE || step_down(uj) == uj ? uj : step_down(uj) + COARSE_UJ;
}

static void add_flag(struct run_energy *f, char *flags, size_t cap)
{
    if (strstr(f->flags, "quantised"))
        return;
    snprintf(flags, cap, "%s%squantised", f->flags, f->flags[0] ? " " : "");
    f->flags = flags;
}

/* A rounded value would be taken for one, and divided by the time: what is left are bounds. */
static void blur(struct run_energy *f)
{
    if (f->energy_uj != RUN_NONE)
        f->reason = "less than a second: to you such figures are bounds, in steps of 10 J";
    f->energy_uj = f->idle_uj = f->random_uj = f->sampling_uj = RUN_NONE;
    f->bridged_uj = upper(f->bridged_uj);
}

void coarse_figure(struct run_energy *f, char *flags, size_t cap)
{
    bool changed = coarse_is_brief(f) || f->lo_uj != RUN_NONE || f->hi_uj != RUN_NONE;
    if (coarse_is_brief(f))
        blur(f);
    f->lo_uj = lower(f->lo_uj);
    f->hi_uj = upper(f->hi_uj);
    f->range_lo_uj = lower(f->range_lo_uj);
    f->range_hi_uj = upper(f->range_hi_uj);
    if (changed)
        add_flag(f, flags, cap);
}

/* ---- series ---------------------------------------------------------------------------------------- */

size_t coarse_pixels(struct energy_window *w, size_t n)
{
    int64_t seconds = (w->t1_ns - w->t0_ns) / COARSE_NS;
    int64_t most = n > 0 ? (int64_t)n : 1;
    int64_t width = (seconds + most - 1) / most;
    if (seconds <= 0)
        return 0;
    int64_t count = (seconds + width - 1) / width;
    while (count > 1 && w->t1_ns - count * width * COARSE_NS < 0)
        count--;
    w->t0_ns = w->t1_ns - count * width * COARSE_NS;
    return (size_t)count;
}
