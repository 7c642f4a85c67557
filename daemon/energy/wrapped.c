#include <string.h>

#include "daemon/energy/energy_internal.h"
#include "daemon/store/rows.h"

int64_t wraps_between(int64_t raw_uj, int64_t moved_uj, int64_t wrap_uj)
{
    if (wrap_uj <= 0 || moved_uj <= 0)
        return 0;
    int64_t raw = raw_uj % wrap_uj;
    raw += raw < 0 ? wrap_uj : 0;
    return moved_uj / wrap_uj + (moved_uj % wrap_uj >= wrap_uj - raw);
}

/* 1 = what the register shows after it follows from nothing before. */
static int on_gap(void *arg, const struct sample_gap *g)
{
    (void)arg;
    return strcmp(g->kind, "reset") == 0 || strcmp(g->kind, "suspend") == 0 ||
           strcmp(g->kind, "unknown") == 0;
}

int flag_wrap(struct store *s, const struct channel_row *ch, const struct wrap_span *x,
              struct energy_figure *f, struct err *e)
{
    struct rows_begin begin;
    if (ch->kind != CHANNEL_COUNTER || ch->wrap_uj <= 0 || x->e1_uj <= x->e0_uj)
        return 0;
    int rc = rows_begin_at(s, ch->id, x->boot, x->t0_ns, &begin, e);
    if (rc)
        return rc < 0 ? rc : 0;
    int64_t raw = begin.raw0 % ch->wrap_uj + (x->e0_uj - begin.state.e_uj) % ch->wrap_uj;
    if (wraps_between(raw, x->e1_uj - x->e0_uj, ch->wrap_uj) == 0)
        return 0;
    rc = samples_gaps(s, ch->id, x->boot, begin.state.last_ns, x->t1_ns, on_gap, NULL, e);
    if (rc == 0)
        energy_flag(f, "wrap");
    return rc < 0 ? rc : 0;
}
