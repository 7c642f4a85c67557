/* A guess at CPU energy where nothing measures it: CPU time x declared watts, as a cumulative counter of
 * quality `estimated`. It can tell busy from idle; it knows nothing of frequency, vector units, memory,
 * GPUs or the rest of the machine, and is never added to a measurement.
 *
 *   E(t) = P_idle t_up + (P_full - P_idle) busy / cpus
 *
 * P_full is declared (cpu_watts_uw), else 3.5 W per logical CPU; P_idle is 0.74 / 3.5 of it. Power linear
 * in CPU time. source: Cloud Carbon Footprint, methodology, "average minimum and maximum watts": 0.74 and
 * 3.5 W per vCPU, means over SPECpower_ssj2008 results of servers in use; the same linear form.
 * E counts from boot (t_up: CLOCK_MONOTONIC, without suspend), so that a restarted daemon goes on along the
 * same curve; the watts are part of the uid, because another declaration is another curve. */
#include "common/units.h"
#include "daemon/meter/attr.h"
#include "daemon/meter/cpustat.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FULL_UW_PER_CPU  INT64_C(3500000)
#define IDLE_NUMERATOR   INT64_C(74)
#define IDLE_DENOMINATOR INT64_C(350)

struct source {
    int fd;
    int64_t idle_uw;
    int64_t dynamic_uw; /* all CPUs busy: on top of idle */
    int64_t cpus;
    int64_t hz;
    struct channel_desc desc;
};

static void describe(struct source *s, int64_t full_uw, bool declared)
{
    struct channel_desc *d = &s->desc;
    *d = (struct channel_desc){
        .kind = CHANNEL_COUNTER,
        .quality = QUALITY_ESTIMATED,
        .scope = SCOPE_CPU,
        .quantum = s->dynamic_uw / s->hz / s->cpus,
        .period_ns = NS_PER_S / s->hz,
        .period_declared = true,
        .pmax_uw = 2 * full_uw,
        .parent = -1,
        .mirror_of = -1,
    };
    d->quantum += d->quantum == 0;
    attr_uid(d, "estimate/cpu-%lldmW", (long long)(full_uw / 1000));
    (void)snprintf(d->label, sizeof(d->label), "cpu ~%lld W %s", (long long)(full_uw / 1000000),
                   declared ? "declared" : "assumed");
    (void)base_strcpy(d->unit, sizeof(d->unit), "uJ");
    (void)base_strcpy(d->covers, sizeof(d->covers),
                      "a guess from CPU time; not memory, GPU, board, disks, PSU");
}

static int open_estimate(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    struct source *s = base_alloc(sizeof(*s));
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    s->fd = cpustat_open(cfg);
    if (s->fd < 0 || cpustat_busy_ticks(s->fd).state != READING_OK) {
        base_closep(&s->fd);
        free(s);
        return 1;
    }
    s->cpus = cpus > 0 ? cpus : 1;
    s->hz = cpustat_hz();
    bool declared = cfg->cpu_watts_uw > 0;
    int64_t full_uw = declared ? cfg->cpu_watts_uw : FULL_UW_PER_CPU * s->cpus;
    s->idle_uw = units_muldiv_floor(full_uw, IDLE_NUMERATOR, IDLE_DENOMINATOR);
    s->dynamic_uw = full_uw - s->idle_uw;
    describe(s, full_uw, declared);
    *out = s;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = &s->desc;
    return 1;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    (void)boot_ns;
    *out = cpustat_busy_ticks(s->fd);
    if (out->state == READING_OK) {
        out->value = units_muldiv_floor(s->idle_uw, clock_mono_ns(), NS_PER_S) +
                     units_muldiv_floor(s->dynamic_uw, out->value, s->hz * s->cpus);
    }
}

static void close_estimate(struct source *s)
{
    base_closep(&s->fd);
    free(s);
}

const struct source_ops source_estimate = {
    .name = "estimate",
    .once = true,
    .fallback = true,
    .open = open_estimate,
    .channels = channels,
    .read = read_all,
    .close = close_estimate,
};
