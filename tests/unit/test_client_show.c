/* `wattq show RUN --energy`: the record of a figure as a person reads it, over fixed answers of the daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/show_energy.h"
#include "client_golden.h"

#define NONE INT64_MIN
#define S    INT64_C(1000000000)
#define UTC  INT64_C(1790000000000000000)

struct fig {
    int64_t channel; /* 0 = the total */
    const char *label, *figure, *quality, *method, *basis, *flags, *reason;
    int64_t uj, lo, hi, covered_ns, unknown_ns, random_uj, gain_ppm, idle_uj;
    bool in_total;
    int64_t samples, max_gap_ns, sampling_uj, lag_ns;
    const char *lag_basis, *policy, *version;
    int64_t range_lo, range_hi;
};

static void put_opt(struct wire_out *o, const char *key, int64_t v)
{
    if (v == NONE)
        wire_put_nil(o, key);
    else
        wire_put_int(o, key, v);
}

static void put_fig(struct wire_out *o, const struct fig *f)
{
    wire_begin_map(o, NULL);
    put_opt(o, "channel", f->channel ? f->channel : NONE);
    wire_put_str(o, "label", f->label ? f->label : "total");
    wire_put_str(o, "figure", f->figure ? f->figure : "machine");
    wire_put_str(o, "part", "window");
    wire_put_str(o, "quality", f->quality ? f->quality : "measured");
    wire_put_str(o, "method", f->method);
    wire_put_str(o, "bound_basis", f->basis);
    wire_put_str(o, "flags", f->flags ? f->flags : "");
    wire_put_str(o, "reason", f->reason);
    wire_put_bool(o, "in_total", f->in_total);
    wire_put_str(o, "lag_basis", f->lag_basis);
    wire_put_str(o, "policy", f->policy);
    wire_put_str(o, "version", f->version ? f->version : "0.1.0");
    const struct {
        const char *key;
        int64_t v;
    } numbers[] = {{"energy_uj", f->uj},
                   {"lo_uj", f->lo},
                   {"hi_uj", f->hi},
                   {"covered_ns", f->covered_ns},
                   {"unknown_ns", f->unknown_ns},
                   {"random_uj", f->random_uj},
                   {"gain_ppm", f->gain_ppm},
                   {"idle_uj", f->idle_uj},
                   {"samples", f->samples ? f->samples : NONE},
                   {"max_gap_ns", f->max_gap_ns ? f->max_gap_ns : NONE},
                   {"sampling_uj", f->sampling_uj ? f->sampling_uj : NONE},
                   {"lag_ns", f->lag_ns},
                   {"range_lo_uj", f->range_hi ? f->range_lo : NONE},
                   {"range_hi_uj", f->range_hi ? f->range_hi : NONE},
                   {"algo", *(f->version ? f->version : "x") ? 2 : 0},
                   {"computed_utc_ns", UTC + 63 * S}};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        put_opt(o, numbers[i].key, numbers[i].v);
    wire_end(o);
}

static void put_meter(struct wire_out *o, int64_t channel, const char *label, const char *uid,
                      const char *driver)
{
    wire_begin_map(o, NULL);
    wire_put_int(o, "channel", channel);
    wire_put_str(o, "label", label);
    wire_put_str(o, "uid", uid);
    wire_put_str(o, "driver", driver);
    wire_put_str(o, "firmware", "");
    wire_end(o);
}

static void put_idle(struct wire_out *o, const char *label, int64_t power_uw, const char *basis)
{
    wire_begin_map(o, NULL);
    wire_put_str(o, "label", label);
    wire_put_int(o, "power_uw", power_uw);
    wire_put_int(o, "spread_uw", 150000);
    wire_put_int(o, "n", 58);
    wire_put_str(o, "basis", basis);
    wire_put_int(o, "created_utc_ns", UTC - 3600 * S);
    wire_end(o);
}

static void put_rules(struct wire_out *o, bool whole, bool idle, int64_t class)
{
    wire_begin_map(o, "conformance");
    wire_put_bool(o, "same_run", true);
    wire_put_bool(o, "whole_run", whole);
    wire_put_bool(o, "rate_1hz", true);
    wire_put_bool(o, "idle_phase", idle);
    put_opt(o, "accuracy_class", class);
    wire_end(o);
}

static void begin(struct wire_out *o, int64_t run, const char *state, int64_t t0_ns, int64_t t1_ns)
{
    *o = (struct wire_out){0};
    wire_out_reset(o);
    wire_put_int(o, "run", run);
    wire_put_str(o, "state", state);
    put_opt(o, "t0_ns", t0_ns);
    put_opt(o, "t1_ns", t1_ns);
}

static void put_figs(struct wire_out *o, const struct fig *figs, size_t n)
{
    wire_begin_array(o, "energy");
    for (size_t i = 0; i < n; i++)
        put_fig(o, &figs[i]);
    wire_end(o);
}

static void show(struct capture *c, const char *title, struct wire_out *o)
{
    struct app app = {.print = {.out = c->f}};
    struct wire_msg *m = wired(o);
    (void)fprintf(c->f, "=== %s\n", title);
    show_energy(&app, NULL, wire_msg_root(m));
    (void)fputc('\n', c->f);
    wire_msg_free(m);
}

#define J INT64_C(1000000) /* uJ */

static const struct fig wall_figs[] = {
    {.figure = "machine",
     .method = "integral",
     .basis = "none: wall: power readings were integrated",
     .flags = "bridged",
     .uj = 6000 * J,
     .lo = NONE,
     .hi = NONE,
     .covered_ns = 60 * S,
     .random_uj = NONE,
     .gain_ppm = 20000,
     .idle_uj = NONE,
     .max_gap_ns = 1000000000,
     .sampling_uj = 45000000,
     .lag_ns = NONE},
    {.channel = 1,
     .label = "wall",
     .figure = "machine",
     .method = "integral",
     .basis = "none: power readings were integrated",
     .flags = "",
     .uj = 6000 * J,
     .lo = NONE,
     .hi = NONE,
     .covered_ns = 60 * S,
     .random_uj = NONE,
     .gain_ppm = 20000,
     .idle_uj = NONE,
     .in_total = true,
     .samples = 60,
     .max_gap_ns = 1000000000,
     .sampling_uj = 45000000,
     .lag_ns = 1500000000,
     .lag_basis = "declared"},
    {.channel = 2,
     .label = "package-0",
     .figure = "machine",
     .quality = "modelled",
     .method = "counter",
     .basis = "monotone+pmax",
     .flags = "bridged",
     .uj = 3000 * J,
     .lo = 2999 * J,
     .hi = 3000 * J + 350000,
     .covered_ns = 60 * S,
     .random_uj = 120,
     .gain_ppm = NONE,
     .idle_uj = NONE,
     .samples = 601,
     .max_gap_ns = 101000000,
     .lag_ns = NONE},
    {.figure = "attributed",
     .method = "integral",
     .basis = "none: wall: power readings were integrated",
     .flags = "",
     .uj = 6000 * J,
     .lo = NONE,
     .hi = NONE,
     .covered_ns = 60 * S,
     .random_uj = NONE,
     .gain_ppm = 20000,
     .idle_uj = NONE,
     .lag_ns = NONE},
    {.figure = "marginal",
     .method = "integral",
     .basis = "none: idle power is a median",
     .flags = "",
     .uj = 3000 * J,
     .lo = NONE,
     .hi = NONE,
     .covered_ns = 60 * S,
     .random_uj = NONE,
     .gain_ppm = 20000,
     .idle_uj = 3000 * J,
     .lag_ns = NONE},
};

/* A wall meter that lags, over two counters; idle power known; one of the counters fitted to a better meter. */
static void show_wall(struct capture *c)
{
    struct wire_out o;
    begin(&o, 17, "done", 10 * S, 70 * S);
    wire_put_str(&o, "meter", "wall");
    wire_put_str(&o, "covers", "the whole machine");
    wire_put_int(&o, "uncovered_uj", 3000 * INT64_C(1000000));
    wire_put_str(&o, "uncovered_beyond", "package-0");
    put_figs(&o, wall_figs, ARRAY_LEN(wall_figs));
    wire_begin_array(&o, "meters");
    put_meter(&o, 1, "wall", "hwmon/power_meter/power1", "acpi_power_meter");
    put_meter(&o, 2, "package-0", "powercap/intel-rapl:0", "intel_rapl_msr");
    wire_end(&o);
    wire_begin_array(&o, "baselines");
    put_idle(&o, "wall", 50000000, "measured");
    wire_end(&o);
    wire_begin_array(&o, "calibrated");
    wire_begin_map(&o, NULL);
    wire_put_str(&o, "label", "wall");
    wire_put_str(&o, "against_label", "analyser");
    wire_put_str(&o, "serial", "WT-310 0042");
    wire_put_int(&o, "created_utc_ns", UTC - 86400 * S);
    wire_put_int(&o, "lo_uw", 40000000);
    wire_put_int(&o, "hi_uw", 160000000);
    wire_put_int(&o, "energy_uj", 6120 * INT64_C(1000000));
    wire_put_int(&o, "residual_uj", 24000000);
    wire_end(&o);
    wire_end(&o);
    put_rules(&o, true, true, 2);
    show(c, "an outer meter that lags", &o);
}

static void show_estimate(struct capture *c)
{
    const struct fig figs[] = {
        {0,          NULL, "machine", "estimated", "estimate", "none: cpu: an estimate",
         "estimate", NULL, 42000000,  NONE,        NONE,       3 * S,
         0,          NONE, NONE,      NONE,        false,      0,
         0,          0,    NONE,      NULL,        NULL,       NULL,
         0,          0},
        {3,          "cpu", "machine", "estimated", "estimate", "none: an estimate",
         "estimate", NULL,  42000000,  NONE,        NONE,       3 * S,
         0,          NONE,  NONE,      NONE,        true,       31,
         101000000,  0,     NONE,      NULL,        NULL,       NULL,
         0,          0},
        {0,          NULL,
         "marginal", "estimated",
         "estimate", "none: the energy is not known",
         "estimate", "cpu: no idle power is known for it: wattq idle measure",
         NONE,       NONE,
         NONE,       3 * S,
         0,          NONE,
         NONE,       NONE,
         false,      0,
         0,          0,
         NONE,       NULL,
         NULL,       NULL,
         0,          0},
    };
    struct wire_out o;
    begin(&o, 18, "failed", 10 * S, 13 * S);
    wire_put_str(&o, "meter", "cpu");
    wire_put_str(&o, "covers", "CPU; not DRAM, GPU, PSU, fans, disks");
    put_figs(&o, figs, ARRAY_LEN(figs));
    wire_put_nil(&o, "conformance");
    show(c, "an estimate", &o);
}

static void show_shared(struct capture *c)
{
    const struct fig figs[] = {
        {0,
         NULL,
         "machine",
         NULL,
         "counter",
         "none: package-0: a reset or a gap of unknown energy inside",
         "overlap disturbed unknown",
         NULL,
         90000000,
         NONE,
         NONE,
         8 * S,
         2 * S,
         50,
         20000,
         NONE,
         false,
         0,
         2000000000,
         0,
         NONE,
         NULL,
         NULL,
         NULL,
         0,
         0},
        {0,         NULL,    "attributed", NULL, "share", "none: the meter has no bound",
         "overlap", NULL,    40000000,     NONE, NONE,    8 * S,
         2 * S,     NONE,    20000,        NONE, false,   0,
         0,         0,       NONE,         NULL, "equal", NULL,
         30000000,  55000000},
        {0,         NULL,    "marginal", NULL, "share", "none: the meter has no bound",
         "overlap", NULL,    30000000,   NONE, NONE,    8 * S,
         2 * S,     NONE,    20000,      NONE, false,   0,
         0,         0,       NONE,       NULL, "none",  NULL,
         30000000,  55000000},
    };
    struct wire_out o;
    begin(&o, 19, "done", 10 * S, 20 * S);
    wire_put_str(&o, "meter", "package-0");
    put_figs(&o, figs, ARRAY_LEN(figs));
    put_rules(&o, false, true, NONE);
    show(c, "beside another run, a part of it unknown", &o);
}

static void show_elsewhere(struct capture *c)
{
    const struct fig figs[] = {
        {0,
         NULL,
         "machine",
         NULL,
         "counter",
         "soft: monotone, update period assumed",
         "below_resolution",
         NULL,
         500,
         0,
         61000,
         5000000,
         0,
         NONE,
         NONE,
         NONE,
         false,
         0,
         0,
         0,
         NONE,
         NULL,
         NULL,
         "",
         0,
         0},
    };
    struct wire_out o;
    begin(&o, 20, "done", 10 * S, 10 * S + 5000000);
    wire_put_int(&o, "origin", 1);
    wire_put_str(&o, "machine", "node7");
    wire_put_str(&o, "meter", "package-0");
    put_figs(&o, figs, ARRAY_LEN(figs));
    put_rules(&o, true, false, NONE);
    show(c, "imported, too short for its meter", &o);
}

static void show_none(struct capture *c)
{
    struct wire_out o;
    const struct fig lost = {.method = "counter",
                             .basis = "none: the energy is not known",
                             .reason = "no meter gave a reading in this window",
                             .uj = NONE,
                             .lo = NONE,
                             .hi = NONE,
                             .unknown_ns = 3 * S,
                             .random_uj = NONE,
                             .gain_ppm = NONE,
                             .idle_uj = NONE,
                             .lag_ns = NONE};
    begin(&o, 21, "cancelled", NONE, NONE);
    show(c, "never started", &o);
    begin(&o, 22, "running", 10 * S, NONE);
    show(c, "without a daemon to ask", &o);
    begin(&o, 23, "lost", 10 * S, 13 * S);
    put_figs(&o, &lost, 1);
    wire_put_nil(&o, "conformance");
    show(c, "nothing measured it", &o);
}

static void test_record(void **state)
{
    (void)state;
    struct capture c = {0};
    capture_start(&c);
    show_wall(&c);
    show_estimate(&c);
    show_shared(&c);
    show_elsewhere(&c);
    show_none(&c);
    const char *text = capture_end(&c);
    golden_check("show_energy.txt", text);
    assert_null(strstr(text, "~42.0 J,"));
    assert_non_null(strstr(text, "~42.0 J estimated"));
    free(c.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),
    };
    /* Local times are in the text of calibrations. */
    if (setenv("TZ", "UTC", 1) != 0)
        return 1;
    return cmocka_run_group_tests_name("client_show", tests, NULL, NULL);
}
