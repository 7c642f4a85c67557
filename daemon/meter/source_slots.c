/* CPU time of runs (slots.h) and of all CPUs together, as channels in us; at most 10 Hz on the grid, and
 * at every edge. Cumulative since this daemon began; `all CPUs` since boot. */
#include "common/units.h"
#include "daemon/meter/attr.h"
#include "daemon/meter/cpustat.h"
#include "daemon/meter/slots.h"

#include <stdlib.h>

#define REST_NS                                                                                    \
    (100 * NS_PER_MS) /* cpu.stat moves in ms steps; a tree in /proc costs much to walk */

struct source {
    struct slots *slots;
    int stat_fd;
    size_t n; /* slots; channel n is the machine */
    int64_t hz;
    struct channel_desc descs[SLOTS_MAX + 1];
};

static void describe(struct channel_desc *d, int64_t period_ns)
{
    d->kind = CHANNEL_CPU_TIME;
    d->quality = QUALITY_NONE;
    d->scope = SCOPE_CPU;
    d->quantum = 1;
    d->period_ns = period_ns;
    d->parent = -1;
    d->mirror_of = -1;
    (void)base_strcpy(d->unit, sizeof(d->unit), "us");
}

static int open_slots(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    if (!cfg->slots) {
        return 1;
    }
    struct source *s = base_alloc(sizeof(*s));
    s->slots = cfg->slots;
    s->n = slots_count(cfg->slots);
    s->stat_fd = cpustat_open(cfg);
    s->hz = cpustat_hz();
    for (size_t i = 0; i < s->n; i++) {
        struct channel_desc *d = &s->descs[i];
        describe(d, NS_PER_MS);
        attr_uid(d, "slots/%zu", i);
        (void)snprintf(d->label, sizeof(d->label), "run slot %zu", i);
        (void)base_strcpy(d->covers, sizeof(d->covers),
                          "CPU time of the runs that sat in this slot");
    }
    struct channel_desc *all = &s->descs[s->n];
    describe(all, NS_PER_S / s->hz);
    attr_uid(all, "slots/machine");
    (void)base_strcpy(all->label, sizeof(all->label), "all CPUs");
    (void)base_strcpy(all->covers, sizeof(all->covers), "busy time of all CPUs together");
    *out = s;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = s->descs;
    return s->n + 1;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    (void)boot_ns;
    for (size_t i = 0; i < s->n; i++) {
        out[i] = (struct reading){.value = slots_read(s->slots, i), .state = READING_OK};
    }
    out[s->n] = cpustat_busy_ticks(s->stat_fd);
    if (out[s->n].state == READING_OK) {
        out[s->n].value = units_muldiv_floor(out[s->n].value, INT64_C(1000000), s->hz);
    }
}

static void close_slots(struct source *s)
{
    base_closep(&s->stat_fd);
    free(s);
}

const struct source_ops source_slots = {
    .name = "slots",
    .once = true,
    .rest_ns = REST_NS,
    .open = open_slots,
    .channels = channels,
    .read = read_all,
    .close = close_slots,
};
