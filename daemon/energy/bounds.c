#include <inttypes.h>
#include <string.h>

#include "common/units.h"
#include "daemon/energy/energy_internal.h"

#define POWER_SPAN_MAX                                                                             \
    (INT64_C(1) << 61) /* uJ: above it pmax says nothing, and sums would overflow */

/* The samples around the window's two edges; names as in energy.h. */
struct edges {
    struct sample open, settle, inner, close, late;
    bool has_settle, has_inner, has_close;
};

static int none(struct energy_figure *f, const char *why)
{
    f->bounded = false;
    snprintf(f->bound_basis, sizeof(f->bound_basis), "none: %s", why);
    return 0;
}

int64_t bounds_settle_ns(const struct channel_row *ch)
{
    int64_t period = ch->period_ns;
    if (!ch->period_declared && ch->period_learned_ns > period)
        period = ch->period_learned_ns;
    return period + (ch->lag_learned_ns > ch->lag_ns ? ch->lag_learned_ns : ch->lag_ns);
}

/* 0; 1 = the sample that hi needs is missing and `why` says which. */
static int find_edges(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                      struct edges *x, const char **why, struct err *e)
{
    int64_t settle = bounds_settle_ns(ch);
    int rc = samples_before(s, ch->id, w->boot, w->t0_ns, &x->open, e);
    *why = "no sample before the window";
    if (rc == 0) {
        rc = samples_after(s, ch->id, w->boot, w->t1_ns + settle, &x->late, e);
        *why = "no sample after the window yet";
    }
    if (rc)
        return rc;
    rc = samples_after(s, ch->id, w->boot, w->t0_ns + settle, &x->settle, e);
    x->has_settle = rc == 0;
    if (rc >= 0)
        rc = samples_before(s, ch->id, w->boot, w->t1_ns, &x->inner, e);
    x->has_inner = rc == 0;
    if (rc >= 0)
        rc = samples_after(s, ch->id, w->boot, w->t1_ns, &x->close, e);
    x->has_close = rc == 0;
    return rc < 0 ? rc : 0;
}

/* Between open and late the register must have counted on: no unknown gap. 0 yes, 1 no. */
static int is_broken(struct store *s, const struct channel_row *ch, int64_t boot,
                     const struct edges *x, struct err *e)
{
    struct curve_point a, b;
    int rc = samples_curve(s, ch->id, boot, x->open.t_ns, &a, e);
    if (rc >= 0)
        rc = samples_curve(s, ch->id, boot, x->late.t_ns, &b, e);
    return rc < 0 ? rc : a.unknown_ns != b.unknown_ns;
}

/* The register's step, as stated; where nobody stated one, every change seen was a multiple of this. */
static int64_t step_of(const struct channel_row *ch)
{
    return ch->quantum <= 1 && ch->quantum_learned > ch->quantum ? ch->quantum_learned
                                                                 : ch->quantum;
}

/* The largest thing that is surely not above C_true(b) - C_true(a); 0 = nothing better is known. */
static int64_t lower(const struct channel_row *ch, const struct energy_window *w,
                     const struct edges *x, bool *used_pmax)
{
    int64_t at_b = INT64_MIN;
    *used_pmax = false;
    if (!x->has_settle)
        return 0;
    if (x->has_inner)
        at_b = x->inner.value;
    if (x->has_close && ch->pmax_uw > 0) {
        /* Read somewhere before after_ns, so at most this much of it flowed after b. */
        int64_t after_b = units_muldiv_ceil(ch->pmax_uw, x->close.after_ns - w->t1_ns, NS_PER_S);
        if (after_b < POWER_SPAN_MAX && x->close.value - after_b > at_b) {
            at_b = x->close.value - after_b;
            *used_pmax = true;
        }
    }
    /* The register rounds down: at `settle` the curve may stand a quantum higher. */
    int64_t lo = at_b == INT64_MIN ? 0 : at_b - (x->settle.value + step_of(ch));
    if (lo > 0)
        return lo;
    *used_pmax = false;
    return 0;
}

static void name_basis(const struct channel_row *ch, bool used_pmax, struct energy_figure *f)
{
    const char *how = used_pmax ? "monotone+pmax" : "monotone";
    bool late = ch->lag_learned_ns > ch->lag_ns, step = step_of(ch) != ch->quantum;
    if (ch->period_declared && !late && !step)
        base_strcpy(f->bound_basis, sizeof(f->bound_basis), how);
    else
        snprintf(f->bound_basis, sizeof(f->bound_basis), "soft: %s%s%s%s%s", how,
                 ch->period_declared ? "" : ", update period ",
                 ch->period_declared         ? ""
                 : ch->period_learned_ns > 0 ? "learned"
                                             : "assumed",
                 late ? ", lag learned" : "", step ? ", step learned" : "");
}

int bounds_of_counter(struct store *s, const struct channel_row *ch, const struct energy_window *w,
                      struct energy_figure *f, struct err *e)
{
    struct edges x = {0};
    const char *why = "";
    if (ch->quality == QUALITY_ESTIMATED)
        return none(f, "an estimate");
    int rc = find_edges(s, ch, w, &x, &why, e);
    if (rc == 0)
        rc = is_broken(s, ch, w->boot, &x, e);
    else if (rc > 0)
        return none(f, why);
    if (rc == WATTQ_E_CORRUPT)
        return none(f, "stored samples at the window's edge are damaged");
    if (rc)
        return rc < 0 ? rc : none(f, "a reset or a gap of unknown energy inside");
    bool used_pmax;
    int64_t hi = x.late.value + step_of(ch) - x.open.value;
    int64_t lo = lower(ch, w, &x, &used_pmax);
    f->bounded = true;
    f->hi_uj = hi > f->energy_uj ? hi : f->energy_uj;
    f->lo_uj = lo < f->energy_uj ? lo : f->energy_uj;
    name_basis(ch, used_pmax, f);
    return 0;
}
