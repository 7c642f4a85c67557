/* The standard mix of 20 channels that sizes are measured with, deliberately noisy: 6 counters as RAPL's
 * (61.035 or 15.3 uJ, refreshed each millisecond), 4 as a GPU's (mJ, every 20 ms), 4 gauges as hwmon's (25 mW,
 * every 100 ms), 3 as IPMI's (whole watts, every second), 3 that hardly move. Load: a level for about a
 * minute, 3 % of it as a first-order process of 5 s, white noise that is 1 % of 100 ms and 10 % of a
 * millisecond. A timer is 55 us late and an exponential 12 us more, by milliseconds now and then. Header only. */
#ifndef TESTS_SUPPORT_MIX_H
#define TESTS_SUPPORT_MIX_H

#include <math.h>

#include "tests/support/recorder.h"

#define MIX_CHANNELS 20
#define MIX_RAPL     6
#define MIX_CELL_NS  (100 * NS_PER_MS) /* at most; of a faster group its period */

struct mix_source {
    double level_w, slow;    /* of the load; relative */
    double power_w;          /* in this cell */
    double energy_j;         /* at the cell's start */
    double shown_w, shown_j; /* gauges: mean of the last whole refresh */
    int64_t cell;
    int64_t shown;
};
struct mix {
    uint64_t seed;
    int64_t period_ns, cell_ns, last_ns;
    struct mix_source source[MIX_CHANNELS];
};

static inline double mix_uniform(struct mix *m)
{
    return ((double)(rec_random(&m->seed) >> 11) + 0.5) / 9007199254740992.0;
}

static inline double mix_normal(struct mix *m)
{
    return sqrt(-2 * log(mix_uniform(m))) * cos(2 * M_PI * mix_uniform(m));
}

static inline enum channel_kind mix_kind(uint32_t c)
{
    return c < 10 ? CHANNEL_COUNTER : CHANNEL_GAUGE;
}

/* Packages and memory, boards, rails of a few watts, whole nodes. */
static inline double mix_level_w(struct mix *m, uint32_t c)
{
    double low = c < MIX_RAPL ? 6 : c < 10 ? 40 : c < 14 ? 2 : 40;
    double span = c < MIX_RAPL ? 40 : c < 10 ? 140 : c < 14 ? 9 : 80;
    return low + span * mix_uniform(m);
}

static inline void mix_init(struct mix *m, uint64_t seed, int64_t period_ns)
{
    memset(m, 0, sizeof(*m));
    m->seed = seed;
    m->period_ns = period_ns;
    m->cell_ns = period_ns < MIX_CELL_NS ? period_ns : MIX_CELL_NS;
    for (uint32_t c = 0; c < MIX_CHANNELS; c++)
        m->source[c].level_w = mix_level_w(m, c);
}

/* The next cell of a source. */
static inline void mix_cell(struct mix *m, uint32_t c)
{
    struct mix_source *s = &m->source[c];
    double dt = (double)m->cell_ns * 1e-9, keep = exp(-dt / 5);
    int64_t refresh = c < 14 ? 100 * NS_PER_MS : NS_PER_S, now = s->cell * m->cell_ns / refresh;
    s->energy_j += s->power_w * dt;
    if (now != s->shown) {
        s->shown_w = (s->energy_j - s->shown_j) / ((double)refresh * 1e-9);
        s->shown_j = s->energy_j;
        s->shown = now;
    }
    s->cell++;
    if (mix_uniform(m) < dt / 60)
        s->level_w = mix_level_w(m, c);
    s->slow = keep * s->slow + sqrt(1 - keep * keep) * 0.03 * mix_normal(m);
    s->power_w = s->level_w * (1 + s->slow) * (1 + 0.01 * sqrt(0.1 / dt) * mix_normal(m));
}

static inline double mix_energy_j(const struct mix *m, uint32_t c, int64_t t_ns)
{
    const struct mix_source *s = &m->source[c];
    return s->energy_j + s->power_w * (double)(t_ns - (s->cell - 1) * m->cell_ns) * 1e-9;
}

/* What channel c shows at t. */
static inline int64_t mix_read(struct mix *m, uint32_t c, int64_t t_ns)
{
    struct mix_source *s = &m->source[c];
    int64_t step = c < MIX_RAPL ? NS_PER_MS : c < 10 ? 20 * NS_PER_MS : 1;
    int64_t seen = t_ns / step * step;
    while (s->cell * m->cell_ns <= seen)
        mix_cell(m, c);
    if (c < MIX_RAPL) {
        int64_t nj = c < 4 ? 61035 : 15258;
        return (int64_t)(mix_energy_j(m, c, seen) * 1e9 / (double)nj) * nj / 1000;
    }
    if (c < 10)
        return (int64_t)(mix_energy_j(m, c, seen) * 1e3) * 1000;
    if (c < 14)
        return (int64_t)(s->shown_w / 0.025) * 25000;
    if (c < 17)
        return (int64_t)s->shown_w * 1000000;
    return 5000000 + (int64_t)(s->level_w > 215) * 25000;
}

/* Tick i of the mix, its stamps rounded outward as the sampler does it. */
static inline void mix_tick(struct mix *m, int64_t i, struct tick *t)
{
    double late_us = 55 - 12 * log(mix_uniform(m));
    if (mix_uniform(m) < 0.0005)
        late_us += 4000 * mix_uniform(m);
    int64_t before = NS_PER_S + i * m->period_ns + (int64_t)(late_us * 1e3);
    if (before < m->last_ns) /* the sweep before was late itself */
        before = m->last_ns;
    int64_t after = before + 30000 + (int64_t)(-3e3 * log(mix_uniform(m)));
    t->n = MIX_CHANNELS;
    t->flags = 0;
    t->before_ns = before;
    t->after_ns = after;
    tick_round(m->period_ns, &t->before_ns, &t->after_ns);
    m->last_ns = t->after_ns;
    for (uint32_t c = 0; c < MIX_CHANNELS; c++) {
        tick_values(t)[c] = tick_raws(t)[c] = mix_read(m, c, before);
        tick_states(t)[c] = 0;
    }
}

#endif
