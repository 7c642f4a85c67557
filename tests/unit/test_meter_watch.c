/* Watching channels side by side, with time and truth in the test's hand: hours pass in milliseconds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/meter/lane.h"
#include "daemon/meter/watch.h"

#define MS   INT64_C(1000000)
#define SEC  INT64_C(1000000000)
#define CH   6
#define PACE (100 * MS)

typedef double power_fn(int64_t t_ns); /* W */

/* Lanes as in the sampler, fed from power curves; what a test wants to be wrong is a field. */
struct sim {
    struct meter_channel ch[CH];
    const struct meter_channel *list[CH];
    struct lane lane[CH];
    power_fn *power[CH];
    double energy_j[CH]; /* true, so far */
    double scale[CH];    /* what the meter makes of it */
    bool stuck[CH], back[CH];
    int64_t late_ns[CH];
    int64_t paces[CH];
    size_t n;
    struct watch *w;
    int64_t t_ns;
};

static struct sim sim;

static struct channel_desc *add(const char *label, enum channel_kind kind, enum channel_scope scope,
                                power_fn *power)
{
    size_t i = sim.n++;
    struct meter_channel *c = &sim.ch[i];
    *c = (struct meter_channel){.source = "script"};
    c->desc = (struct channel_desc){.kind = kind,
                                    .scope = scope,
                                    .quality = QUALITY_MEASURED,
                                    .quantum = kind == CHANNEL_COUNTER ? 61 : 1000,
                                    .period_ns = kind == CHANNEL_COUNTER ? MS : PACE,
                                    .period_declared = true,
                                    .parent = -1,
                                    .mirror_of = -1};
    (void)base_strcpy(c->desc.label, sizeof(c->desc.label), label);
    sim.list[i] = c;
    sim.power[i] = power;
    sim.scale[i] = 1;
    sim.paces[i] = PACE;
    return &c->desc;
}

static void begin(void)
{
    for (size_t i = 0; i < sim.n; i++) {
        lane_init(&sim.lane[i], &sim.ch[i].desc, PACE);
    }
    sim.w = watch_new(CH);
    watch_more(sim.w, sim.list, sim.paces, sim.n);
    sim.t_ns = 1000 * SEC;
}

static struct reading reading_of(size_t i)
{
    const struct channel_desc *d = &sim.ch[i].desc;
    int64_t at = sim.t_ns - sim.late_ns[i];
    at -= at % d->period_ns;
    int64_t v = llrint(sim.power[i](at) * sim.scale[i] * 1e6);
    if (d->kind == CHANNEL_COUNTER) {
        v = llrint(sim.energy_j[i] * sim.scale[i] * 1e6);
    }
    return (struct reading){.value = v - v % d->quantum, .state = READING_OK};
}

static void one_step(void)
{
    sim.t_ns += PACE;
    for (size_t i = 0; i < sim.n; i++) {
        double p = sim.power[i](sim.t_ns);
        sim.energy_j[i] += sim.stuck[i] ? 0 : p * 0.1;
        if (sim.back[i]) {
            sim.energy_j[i] = 1;
            sim.back[i] = false;
        }
        struct meter_status s;
        struct lane_value v = {0};
        if (sim.stuck[i] && sim.ch[i].desc.kind != CHANNEL_COUNTER) {
            v = lane_take(&sim.lane[i], (struct reading){.value = 174000000, .state = READING_OK},
                          sim.t_ns, false);
        } else {
            v = lane_take(&sim.lane[i], reading_of(i), sim.t_ns, false);
        }
        lane_status(&sim.lane[i], &s);
        watch_put(sim.w, i,
                  &(struct watch_sample){.t_ns = sim.t_ns,
                                         .value = v.value,
                                         .raw = v.raw,
                                         .state = v.state,
                                         .period_ns = s.period_learned_ns,
                                         .quantum = s.quantum_learned});
    }
    watch_step(sim.w, sim.t_ns);
}

static void pass(int64_t ns)
{
    for (int64_t i = 0; i < ns / PACE; i++) {
        one_step();
    }
}

static struct meter_opinion opinion(size_t i)
{
    struct meter_opinion o;
    int64_t lag = 0;
    int64_t events = 0;
    watch_get(sim.w, i, &o, &lag, &events);
    return o;
}

static int setup(void **ctx)
{
    (void)ctx;
    memset(&sim, 0, sizeof(sim));
    return 0;
}

static int teardown(void **ctx)
{
    (void)ctx;
    watch_free(sim.w);
    return 0;
}

/* ---- loads -------------------------------------------------------------------------------------- */

static double constant_100(int64_t t)
{
    (void)t;
    return 100;
}

static double constant_120(int64_t t)
{
    (void)t;
    return 120;
}

static double constant_20(int64_t t)
{
    (void)t;
    return 20;
}

static double tiny(int64_t t)
{
    (void)t;
    return 0.006;
}

/* Idle and load in turn, at times that do not repeat soon. */
static double bursts(int64_t t)
{
    uint64_t x = (uint64_t)(t / (7 * SEC)) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (x ^ x >> 31) & 1 ? 180 : 40;
}

static double bursts_outer(int64_t t)
{
    return bursts(t) * 1.1 + 60;
}

/* ---- psys --------------------------------------------------------------------------------------- */

static void psys_is_on_probation_until_it_contains(void **ctx)
{
    (void)ctx;
    add("psys", CHANNEL_COUNTER, SCOPE_PSYS, constant_120);
    add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, constant_100)->parent = 0;
    begin();
    assert_int_equal(opinion(0).doubt, METER_DOUBT_UNPROVEN);
    pass(40 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_UNPROVEN);
    pass(60 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    assert_true(opinion(0).proven);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_NONE);
}

/* 0.006 W beside 99 W: kepler #2149. */
static void psys_below_its_package_is_demoted(void **ctx)
{
    (void)ctx;
    add("psys", CHANNEL_COUNTER, SCOPE_PSYS, tiny);
    add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, constant_100)->parent = 0;
    begin();
    pass(30 * SEC);
    struct meter_opinion o = opinion(0);
    assert_int_equal(o.doubt, METER_DOUBT_LOWER);
    assert_int_equal(o.about, 1);
    assert_true(o.span_ns > 0 && o.mine_uj < o.other_uj / 100);
    sim.power[0] = constant_120; /* wired right by a firmware update: an hour of it restores */
    pass(3500 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_LOWER);
    pass(200 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
}

/* Within the tolerance of two models and still below: neither demoted nor proven. */
static void psys_just_below_stays_unproven(void **ctx)
{
    (void)ctx;
    add("psys", CHANNEL_COUNTER, SCOPE_PSYS, constant_100);
    add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, constant_100)->parent = 0;
    sim.scale[0] = 0.97;
    begin();
    pass(600 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_UNPROVEN);
}

/* A proof, and the end of one, hold over a restart of the daemon. */
static void opinions_can_be_carried_over(void **ctx)
{
    (void)ctx;
    add("psys", CHANNEL_COUNTER, SCOPE_PSYS, constant_120);
    add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, constant_100)->parent = 0;
    begin();
    watch_set(sim.w, 0, &(struct meter_opinion){.about = -1, .proven = true});
    pass(SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    watch_set(sim.w, 0, &(struct meter_opinion){.about = -1});
    assert_int_equal(opinion(0).doubt, METER_DOUBT_UNPROVEN);
}

/* AMD's "core" above its package (2 x EPYC 7702): the package is believed. */
static void core_above_its_package_is_demoted(void **ctx)
{
    (void)ctx;
    add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, constant_100);
    add("core", CHANNEL_COUNTER, SCOPE_CORE, constant_120)->parent = 0;
    begin();
    pass(60 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_HIGHER);
    assert_int_equal(opinion(1).about, 0);
}

/* A node gauge, however slow, is compared with what is inside: two sources, no parents. */
static void node_gauge_below_its_parts_is_demoted(void **ctx)
{
    (void)ctx;
    struct channel_desc *bmc = add("bmc", CHANNEL_GAUGE, SCOPE_NODE, constant_100);
    bmc->period_ns = 2 * SEC;
    bmc->quantum = 1000000;
    add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, constant_100)->parent = -1;
    add("gpu", CHANNEL_COUNTER, SCOPE_GPU, constant_120);
    begin();
    pass(600 * SEC); /* until its lag is known, a minute is assumed, and windows are as long */
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    pass(900 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_LOWER);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_NONE);
}

static double idle_then_full(int64_t t)
{
    return t < 2000 * SEC ? 50 : 1500;
}

/* A BMC that is a minute behind when the GPUs start is late, not wrong. */
static void late_node_gauge_is_not_called_lower(void **ctx)
{
    (void)ctx;
    struct channel_desc *bmc = add("bmc", CHANNEL_GAUGE, SCOPE_NODE, idle_then_full);
    bmc->period_ns = SEC;
    bmc->quantum = 1000000;
    sim.late_ns[0] = 55 * SEC;
    add("gpu", CHANNEL_COUNTER, SCOPE_GPU, idle_then_full);
    begin();
    for (int k = 0; k < 30000; k++) {
        one_step();
        assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    }
}

/* ---- two meters of one thing -------------------------------------------------------------------- */

static void gpu(power_fn *p)
{
    struct channel_desc *c = add("gpu energy", CHANNEL_COUNTER, SCOPE_GPU, p);
    c->quantum = 1000;
    c->period_ns = PACE;
    add("gpu instant", CHANNEL_GAUGE, SCOPE_GPU, p)->mirror_of = 0;
    struct channel_desc *a = add("gpu average", CHANNEL_AVERAGE, SCOPE_GPU, p);
    a->mirror_of = 0;
    a->box_ns = SEC;
}

static void agreement_raises_no_doubt(void **ctx)
{
    (void)ctx;
    gpu(bursts);
    begin();
    pass(3600 * SEC);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(opinion(i).doubt, METER_DOUBT_NONE);
    }
}

/* zeus #181 and kokkos-tools #295: both gauges agree with each other, the counter does not. */
static void counter_is_outvoted(void **ctx)
{
    (void)ctx;
    gpu(constant_100);
    sim.scale[0] = 0.57;
    begin();
    pass(400 * SEC);
    struct meter_opinion o = opinion(0);
    assert_int_equal(o.doubt, METER_DOUBT_DISAGREES);
    assert_true(o.span_ns >= 30 * SEC);
    assert_true(o.other_uj > o.mine_uj);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_NONE);
    assert_int_equal(opinion(2).doubt, METER_DOUBT_NONE);
    sim.scale[0] = 1;
    sim.energy_j[0] = 0; /* and a new register with it */
    pass(300 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_DISAGREES);
    pass(600 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    assert_true(opinion(0).since_ns > o.since_ns);
}

/* One gauge off and nobody to ask but a counter and an average: the gauge. A bogus scale is one, too. */
static void gauge_is_outvoted(void **ctx)
{
    (void)ctx;
    gpu(constant_100);
    sim.scale[1] = 1.4;
    begin();
    pass(400 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_DISAGREES);
    assert_int_equal(opinion(2).doubt, METER_DOUBT_NONE);
}

/* ROCm/amdsmi #38: an energy count that stays constant. */
static void counter_that_stands_still_is_worse(void **ctx)
{
    (void)ctx;
    add("amd energy", CHANNEL_COUNTER, SCOPE_GPU, constant_100);
    add("amd power", CHANNEL_GAUGE, SCOPE_GPU, constant_100)->mirror_of = 0;
    sim.stuck[0] = true;
    begin();
    pass(200 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_DISAGREES);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_NONE);
}

/* Two of a kind with nobody to ask: the counter is believed (docs/measurement.md). */
static void counter_leads_where_nothing_decides(void **ctx)
{
    (void)ctx;
    add("energy", CHANNEL_COUNTER, SCOPE_GPU, constant_100);
    add("power", CHANNEL_GAUGE, SCOPE_GPU, constant_100)->mirror_of = 0;
    sim.scale[1] = 1.5;
    begin();
    pass(200 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_DISAGREES);
}

/* perf and powercap name one package: compared to 1 %, although their registers began at other values. */
static void two_sources_are_cross_checked(void **ctx)
{
    (void)ctx;
    (void)strcpy(add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, bursts)->device, "package-0");
    (void)strcpy(add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, bursts)->device, "package-0");
    sim.ch[1].source = "powercap";
    sim.energy_j[1] = 5000;
    begin();
    pass(600 * SEC);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_NONE);
    sim.scale[1] = 1; /* from here on the second loses a twentieth of what flows */
    for (int k = 0; k < 3000; k++) {
        sim.energy_j[1] -= bursts(sim.t_ns + PACE) * 0.1 * 0.05;
        one_step();
    }
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_DISAGREES);
}

/* Two sockets that run exactly alike are two sockets. */
static void two_sockets_are_never_mirrors(void **ctx)
{
    (void)ctx;
    (void)strcpy(add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, bursts)->device, "package-0");
    (void)strcpy(add("package-1", CHANNEL_COUNTER, SCOPE_PACKAGE, bursts)->device, "package-1");
    begin();
    pass(600 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_NONE);
}

/* Threadripper: two dies, one register. When their registers part, they are two again. */
static void mirrored_dies_are_found_and_let_go(void **ctx)
{
    (void)ctx;
    add("package-0-die-0", CHANNEL_COUNTER, SCOPE_PACKAGE, bursts);
    add("package-0-die-1", CHANNEL_COUNTER, SCOPE_PACKAGE, bursts);
    begin();
    pass(10 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_MIRROR);
    assert_int_equal(opinion(1).about, 0);
    sim.energy_j[1] += 500;
    pass(10 * SEC);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_NONE);
}

/* ROCm/amdsmi #115: backwards between polls. One reset is life, four in ten minutes are not. */
static void counter_that_runs_backwards_is_doubted(void **ctx)
{
    (void)ctx;
    add("amd energy", CHANNEL_COUNTER, SCOPE_GPU, constant_100);
    begin();
    for (int k = 0; k < 4; k++) {
        assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
        pass(60 * SEC);
        sim.back[0] = true;
        one_step();
    }
    assert_int_equal(opinion(0).doubt, METER_DOUBT_BACKWARDS);
    pass(3700 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
}

/* ---- frozen ------------------------------------------------------------------------------------- */

/* aitra-meter #103: 174 W that stay while the card does something else. */
static void gauge_that_stands_still_is_frozen(void **ctx)
{
    (void)ctx;
    add("gpu energy", CHANNEL_COUNTER, SCOPE_GPU, bursts);
    add("gpu power", CHANNEL_GAUGE, SCOPE_GPU, bursts)->mirror_of = 0;
    begin();
    pass(120 * SEC);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_NONE);
    sim.stuck[1] = true;
    int64_t froze = sim.t_ns;
    sim.power[0] = bursts;
    sim.stuck[0] = false;
    for (int k = 0; k < 900 && opinion(1).doubt == METER_DOUBT_NONE; k++) {
        one_step();
    }
    struct meter_opinion o = opinion(1);
    assert_true(o.doubt == METER_DOUBT_FROZEN || o.doubt == METER_DOUBT_DISAGREES);
    if (o.doubt == METER_DOUBT_FROZEN) {
        assert_in_range(o.since_ns, froze, froze + SEC);
    }
}

/* A steady load looks the same as a frozen gauge, and is not called one. */
static void steady_load_is_not_frozen(void **ctx)
{
    (void)ctx;
    add("node", CHANNEL_GAUGE, SCOPE_NODE, constant_120)->quantum = 1000000;
    add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, constant_20);
    begin();
    pass(1200 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
}

static void frozen_gauge_that_moves_is_back(void **ctx)
{
    (void)ctx;
    add("node", CHANNEL_GAUGE, SCOPE_NODE, bursts_outer)->quantum = 1000000;
    add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, bursts);
    begin();
    pass(60 * SEC);
    sim.stuck[0] = true;
    pass(120 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_FROZEN);
    assert_int_equal(opinion(0).about, 1);
    sim.stuck[0] = false;
    pass(60 * SEC);
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
}

/* What an earlier life of the daemon had found stands until its own end comes, however long the machine is
 * up: nothing that this life has not seen yet counts as calm, or as a move. */
static void doubts_of_an_earlier_life_stand(void **ctx)
{
    (void)ctx;
    static const enum meter_doubt found[] = {METER_DOUBT_BACKWARDS, METER_DOUBT_FROZEN,
                                             METER_DOUBT_NONE, METER_DOUBT_DISAGREES};
    add("counter", CHANNEL_COUNTER, SCOPE_OTHER, constant_100);
    add("node", CHANNEL_GAUGE, SCOPE_NODE, bursts_outer)->quantum = 1000000;
    add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, bursts);
    add("rival", CHANNEL_COUNTER, SCOPE_PACKAGE, bursts)->mirror_of = 2;
    sim.scale[0] = 0.01; /* the node contains it too */
    sim.scale[3] = 0.5;
    begin();
    sim.t_ns = 36000 * SEC;
    sim.stuck[1] = true;
    for (size_t i = 0; i < 4; i++) {
        if (found[i] == METER_DOUBT_NONE) {
            continue;
        }
        watch_set(sim.w, i,
                  &(struct meter_opinion){
                      .doubt = found[i], .about = i == 3 ? 2 : -1, .since_ns = 35000 * SEC});
    }
    pass(15 * SEC); /* less than it takes to find any of them anew */
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(opinion(i).doubt, found[i]);
        assert_int_equal(opinion(i).since_ns, i == 2 ? 0 : 35000 * SEC);
    }
    sim.stuck[1] = false;
    pass(2700 * SEC); /* an hour since the last time that it ran backwards */
    assert_int_equal(opinion(0).doubt, METER_DOUBT_NONE);
    assert_int_equal(opinion(1).doubt, METER_DOUBT_NONE);
    assert_int_equal(opinion(3).doubt, METER_DOUBT_DISAGREES);
    assert_int_equal(opinion(3).since_ns, 35000 * SEC);
}

/* ---- lag ---------------------------------------------------------------------------------------- */

static void lag_of_a_slow_meter_is_learned(void **ctx)
{
    (void)ctx;
    static const int64_t lags[] = {0, 7, 20, 90};
    for (size_t k = 0; k < 4; k++) {
        int64_t lag = -1;
        int64_t events = 0;
        struct meter_opinion o;
        memset(&sim, 0, sizeof(sim));
        struct channel_desc *plug = add("plug", CHANNEL_GAUGE, SCOPE_NODE, bursts_outer);
        plug->period_ns = SEC;
        plug->quantum = 1000000;
        sim.late_ns[0] = lags[k] * SEC;
        add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, bursts);
        begin();
        pass(600 * SEC);
        watch_get(sim.w, 0, &o, &lag, &events);
        watch_free(sim.w);
        sim.w = NULL;
        printf("lag %lld s learned as %.2f s from %lld changes\n", (long long)lags[k],
               (double)lag * 1e-9, (long long)events);
        assert_in_range(lag, lags[k] * SEC > SEC ? lags[k] * SEC - SEC : 0, lags[k] * SEC + SEC);
        assert_true(events >= 5);
    }
}

static double square_20s(int64_t t)
{
    return t / (10 * SEC) % 2 ? 180 : 40;
}

static double square_20s_outer(int64_t t)
{
    return square_20s(t) + 50;
}

/* A load that repeats fits many delays: none is claimed. Nor from a load that does not move. */
static void lag_is_not_guessed(void **ctx)
{
    (void)ctx;
    for (int steady = 0; steady < 2; steady++) {
        int64_t lag = 0;
        int64_t events = 0;
        struct meter_opinion o;
        memset(&sim, 0, sizeof(sim));
        add("plug", CHANNEL_GAUGE, SCOPE_NODE, steady ? constant_120 : square_20s_outer)
            ->period_ns = SEC;
        add("package-0", CHANNEL_COUNTER, SCOPE_PACKAGE, steady ? constant_100 : square_20s);
        begin();
        pass(900 * SEC);
        watch_get(sim.w, 0, &o, &lag, &events);
        watch_free(sim.w);
        sim.w = NULL;
        assert_int_equal(lag, -1);
    }
}

/* ---- period and step (lanes) -------------------------------------------------------------------- */

static void learned_values_are_bounded(void **ctx)
{
    (void)ctx;
    struct meter_status s;
    struct channel_desc *slow = add("bmc", CHANNEL_GAUGE, SCOPE_NODE, bursts);
    slow->quantum = 1;
    slow->period_ns = SEC;
    slow->period_declared = false;
    begin();
    lane_status(&sim.lane[0], &s);
    assert_int_equal(s.period_learned_ns, 0); /* not yet, and not a number */
    assert_int_equal(s.quantum_learned, 0);
    for (int64_t k = 0; k < 400; k++) { /* whole watts, every 5 s */
        int64_t w = (100 + k / 50 * 7 % 13) * 1000000;
        (void)lane_take(&sim.lane[0], (struct reading){.value = w, .state = READING_OK},
                        2000 * SEC + k * PACE, false);
    }
    lane_status(&sim.lane[0], &s);
    assert_int_equal(s.period_learned_ns, 0); /* seven changes are not enough */
    for (int64_t k = 400; k < 4000; k++) {
        int64_t w = (100 + k / 50 * 7 % 13) * 1000000;
        struct reading r = {.value = w, .state = READING_OK};
        if (k % 500 == 499) {
            r.state = READING_IO; /* what is not seen is not learned from */
        }
        (void)lane_take(&sim.lane[0], r, 2000 * SEC + k * PACE, false);
    }
    lane_status(&sim.lane[0], &s);
    assert_int_equal(s.period_learned_ns, 5 * SEC);
    assert_int_equal(s.quantum_learned, 1000000);
    assert_int_equal(s.pace_ns, PACE);
    for (int64_t k = 0; k < 100; k++) { /* faster than it is polled: never less than the pace */
        (void)lane_take(&sim.lane[0], (struct reading){.value = k * 1000, .state = READING_OK},
                        3000 * SEC + k * PACE, false);
    }
    lane_status(&sim.lane[0], &s);
    assert_int_equal(s.period_learned_ns, PACE);
}

#define SIM(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM(psys_is_on_probation_until_it_contains),
        SIM(psys_below_its_package_is_demoted),
        SIM(psys_just_below_stays_unproven),
        SIM(opinions_can_be_carried_over),
        SIM(core_above_its_package_is_demoted),
        SIM(node_gauge_below_its_parts_is_demoted),
        SIM(late_node_gauge_is_not_called_lower),
        SIM(agreement_raises_no_doubt),
        SIM(counter_is_outvoted),
        SIM(gauge_is_outvoted),
        SIM(counter_that_stands_still_is_worse),
        SIM(counter_leads_where_nothing_decides),
        SIM(two_sources_are_cross_checked),
        SIM(two_sockets_are_never_mirrors),
        SIM(mirrored_dies_are_found_and_let_go),
        SIM(counter_that_runs_backwards_is_doubted),
        SIM(gauge_that_stands_still_is_frozen),
        SIM(steady_load_is_not_frozen),
        SIM(frozen_gauge_that_moves_is_back),
        SIM(doubts_of_an_earlier_life_stand),
        SIM(lag_of_a_slow_meter_is_learned),
        SIM(lag_is_not_guessed),
        SIM(learned_values_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
