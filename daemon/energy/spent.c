#include "daemon/energy/spent.h"

#include <string.h>

#include "common/units.h"
#include "daemon/energy/energy_internal.h"

#define BEHIND_NS (1200 * NS_PER_MS) /* samples are stored about once per second */

/* An energy up to where its meter has shown it; 0 uJ before the first such moment. */
static int counter_lower(struct store *s, const struct channel_row *ch, const struct spent_ask *ask,
                         struct energy_figure *f, struct err *e)
{
    struct sample newest;
    energy_figure_init(f);
    int rc = samples_before(s, ch->id, ask->boot, ask->now_ns, &newest, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    const struct energy_window w = {ask->boot, ask->t0_ns, newest.before_ns - bounds_settle_ns(ch)};
    if (w.t1_ns > w.t0_ns)
        return energy_of_channel(s, ch, &w, f, e);
    f->bounded = true;
    return 0;
}

static const char *why_unbounded(const struct energy_figure *f)
{
    static const char none[] = "none: ";
    size_t n = sizeof(none) - 1;
    return strncmp(f->bound_basis, none, n) == 0 ? f->bound_basis + n : "no bound";
}

static int add_lower(struct store *s, const struct channel_row *ch, const struct spent_ask *ask,
                     struct energy_spent *out, struct err *e)
{
    struct energy_figure f;
    energy_figure_init(&f);
    base_strcpy(f.bound_basis, sizeof(f.bound_basis), "none: not a counter of energy");
    int rc = ch->kind == CHANNEL_COUNTER ? counter_lower(s, ch, ask, &f, e) : 0;
    if (rc < 0)
        return rc;
    if (f.bounded) {
        out->energy_uj += f.lo_uj;
        out->known = true;
    } else if (!out->reason[0]) {
        snprintf(out->reason, sizeof(out->reason), "%.47s: %.95s", ch->label, why_unbounded(&f));
    }
    return 0;
}

static int lower(struct store *s, const struct spent_ask *ask, const struct energy_set *machine,
                 struct energy_spent *out, struct err *e)
{
    for (size_t i = 0; i < machine->n; i++) {
        int rc = machine->in_total[i] ? add_lower(s, &machine->channels[i], ask, out, e) : 0;
        if (rc < 0)
            return rc;
    }
    if (!out->known && !out->reason[0])
        base_strcpy(out->reason, sizeof(out->reason), machine->total.reason);
    return 0;
}

static void take(const struct energy_figure *f, struct energy_spent *out)
{
    out->known = f->known;
    out->energy_uj = f->known ? f->energy_uj : 0;
    if (!f->known)
        base_strcpy(out->reason, sizeof(out->reason), f->reason);
}

static int share(struct store *s, const struct spent_ask *ask, const struct energy_window *w,
                 const struct energy_set *machine, struct energy_spent *out, struct err *e)
{
    struct energy_set mine CLEANUP(energy_set_fini) = {0};
    struct shares_rest rest = {0};
    int rc = shares_of_run(s, ask->run, w, ask->policy, machine, &mine, &rest, e);
    if (rc == 0)
        take(&mine.total, out);
    return rc;
}

int energy_spent(struct store *s, const struct spent_ask *ask, struct energy_spent *out,
                 struct err *e)
{
    struct energy_set machine CLEANUP(energy_set_fini) = {0};
    const struct energy_window w = {ask->boot, ask->t0_ns, ask->now_ns - BEHIND_NS};
    *out = (struct energy_spent){0};
    if (w.t1_ns <= w.t0_ns) {
        out->known = true;
        return 0;
    }
    int rc = energy_of_window(s, &w, &machine, e);
    if (rc < 0)
        return rc;
    if (ask->figure == SPEC_FIGURE_LO)
        return lower(s, ask, &machine, out, e);
    if (ask->figure == SPEC_FIGURE_ATTRIBUTED && !ask->alone)
        return share(s, ask, &w, &machine, out, e);
    take(&machine.total, out);
    return 0;
}

const char *spent_why_not(enum spec_figure figure, const struct meter_channel *const *channels,
                          const uint8_t *in_total, size_t n, char buf[160])
{
    size_t parts = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < n && !buf[0]; i++) {
        const struct channel_desc *d = &channels[i]->desc;
        parts += in_total[i] != 0;
        if (!in_total[i] || figure != SPEC_FIGURE_LO)
            continue;
        if (d->quality == QUALITY_ESTIMATED)
            snprintf(buf, 160, "has no lower bound here: %.47s is an estimate", d->label);
        else if (d->kind != CHANNEL_COUNTER)
            snprintf(buf, 160, "has no lower bound here: %.47s is integrated from power readings",
                     d->label);
    }
    if (parts == 0)
        snprintf(buf, 160, "is not known here: no meter gives a reading");
    return buf;
}
