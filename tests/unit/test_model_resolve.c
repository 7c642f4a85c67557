/* How long a run must be: each kind of meter by hand, the limits, and a counter's bounds played through. */
#include "daemon/model/resolve.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * fabs(want)))
        fail_msg("%.12g instead of %.12g", got, want);
}

/* RAPL's package: 1 ms, 61 uJ, 250 W at most, 50 W expected. */
static struct resolve_meter rapl(void)
{
    return (struct resolve_meter){.kind = RESOLVE_COUNTER,
                                  .refresh_s = 1e-3,
                                  .sample_s = 0.1,
                                  .sweep_s = 5e-4,
                                  .quantum_j = 61e-6,
                                  .power_w = 50,
                                  .most_w = 250};
}

static void test_counter(void **state)
{
    (void)state;
    struct resolve_meter m = rapl();
    double reached;
    near(resolve_slack_s(&m), 0.05); /* the phase's edges between samples at 10 Hz */
    near(resolve_seconds(&m, 0.01, &reached), 5);
    near(reached, 0.01);
    m.sample_s = 0.001; /* the run's own edges: 4 ms + 2 ms + 2.5 ms + 2.44 us */
    near(resolve_slack_s(&m), 0.0085 + 122e-6 / 50);
    near(resolve_seconds(&m, 0.001, NULL), 8.50244);
    m.most_w = NAN; /* not known: no more than expected */
    near(resolve_slack_s(&m), 0.0065 + 122e-6 / 50);
    m.power_w = NAN;
    near(resolve_slack_s(&m), 0.006);
    m.refresh_s = 1; /* a counter that refreshes once a second */
    m.lag_s = 0.5;
    near(resolve_slack_s(&m), 6.002);
}

static void test_gauge_and_estimate(void **state)
{
    (void)state;
    double reached;
    struct resolve_meter g = {
        .kind = RESOLVE_GAUGE, .refresh_s = 0.02, .box_s = 0.1, .sample_s = 0.1, .power_w = NAN};
    near(resolve_seconds(&g, 0.01, NULL), 10);
    near(resolve_seconds(&g, 0.2, NULL), 3); /* 30 values */
    g.box_s = 60;                            /* the study's own meters: one value a minute */
    near(resolve_seconds(&g, 0.01, &reached), RESOLVE_MOST_S);
    near(reached, 0.2);
    struct resolve_meter e = {.kind = RESOLVE_ESTIMATE, .tick_s = 0.01};
    near(resolve_seconds(&e, 0.01, NULL), 2);
    near(resolve_seconds(&e, 0.1, &reached), RESOLVE_LEAST_S);
    near(reached, 0.02);
}

/* A register that refreshes every U is read by sweeps of length d, in the worst alignment found: the width of
 * the bounds of a run of the recommended length is within the error asked for. */
static double width(const struct resolve_meter *m, double seconds, double phase)
{
    double a = 10 + phase;
    double b = a + seconds;
    double u = m->refresh_s;
    double p = m->power_w;
    double open = p * u * floor((a - m->sweep_s) / u);
    double settle = p * u * floor((a + u + m->sweep_s) / u);
    double close = p * u * floor(b / u);
    double late = p * u * floor((b + u + 2 * m->sweep_s) / u);
    double hi = late + m->quantum_j - open;
    double lo = close - m->most_w * m->sweep_s - settle - m->quantum_j;
    return hi - lo;
}

static void test_bounds_are_that_narrow(void **state)
{
    (void)state;
    static const double refreshes[] = {1e-3, 2e-2, 0.1, 1};
    for (size_t i = 0; i < sizeof(refreshes) / sizeof(refreshes[0]); i++) {
        struct resolve_meter m = rapl();
        m.refresh_s = refreshes[i];
        double seconds = resolve_seconds(&m, 0.02, NULL);
        for (int k = 0; k < 1000; k++) {
            double w = width(&m, seconds, m.refresh_s * k / 1000);
            if (w > 0.02 * m.power_w * seconds)
                fail_msg("refresh %g: %g J wide in %g s", m.refresh_s, w, seconds);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter),
        cmocka_unit_test(test_gauge_and_estimate),
        cmocka_unit_test(test_bounds_are_that_narrow),
    };
    return cmocka_run_group_tests_name("model_resolve", tests, NULL, NULL);
}
