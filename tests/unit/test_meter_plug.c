/* Meters that come late, go, and come back, on a fixture tree: what the ring and the database say. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "common/units.h"
#include "daemon/meter/meter.h"
#include "daemon/store/storage_internal.h"
#include "tests/support/fixture.h"

#define MS INT64_C(1000000)

static void rest_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS};
    nanosleep(&t, NULL);
}

static _Atomic int64_t slept;
static int64_t fake_slept(void)
{
    return atomic_load(&slept);
}

struct rig {
    struct fixture dir;
    struct meter *meter;
    struct meter_config cfg;
    struct ring *ring;
    int64_t energy_uj;
};

static void run_shell(const struct rig *r, const char *what)
{
    char cmd[256];
    snprintf(cmd, sizeof(cmd), "cd '%s' && %s", r->dir.root, what);
    assert_int_equal(system(cmd), 0);
}

static void set_zone(struct rig *r, int i, int64_t uj)
{
    char id[32];
    snprintf(id, sizeof(id), "intel-rapl:%d", i);
    fixture_zone_set(&r->dir, id, uj);
}

/* A zone appears as a whole, as the kernel's does. */
static void add_zone(struct rig *r, int i, int64_t uj)
{
    char what[160];
    fixture_putf(&r->dir, "new/name", "package-%d\n", i);
    fixture_putf(&r->dir, "new/max_energy_range_uj", "262143328850\n");
    fixture_putf(&r->dir, "new/energy_uj", "%" PRId64 "\n", uj);
    snprintf(what, sizeof(what),
             "mkdir -p sys/class/powercap && mv new sys/class/powercap/intel-rapl:%d", i);
    run_shell(r, what);
}

static void add_chip(struct rig *r, int i, int uw)
{
    char what[160];
    fixture_putf(&r->dir, "new/name", "ina3221\n");
    fixture_putf(&r->dir, "new/power1_input", "%d\n", uw);
    snprintf(what, sizeof(what), "mkdir -p sys/class/hwmon && mv new sys/class/hwmon/hwmon%d", i);
    run_shell(r, what);
}

static void rig_open(struct rig *r)
{
    struct err e = {0};
    memset(r, 0, sizeof(*r));
    atomic_store(&slept, 0);
    fixture_init(&r->dir);
    add_zone(r, 0, 1000000);
    r->cfg =
        (struct meter_config){.sysfs_root = r->dir.root,
                              .disable = "nvml,estimate,perf,perf_core,ipmi,thermal,battery,slots",
                              .period_ns = 10 * MS,
                              .reprobe_ns = 50 * MS,
                              .slept_ns = fake_slept};
    assert_int_equal(meter_open(&r->meter, &r->cfg, &e), 0);
    r->ring = meter_ring(r->meter);
}

static void rig_close(struct rig *r)
{
    meter_close(r->meter);
    fixture_fini(&r->dir);
}

static size_t find(const struct meter *m, const char *part)
{
    for (size_t i = 0; i < meter_found(m); i++) {
        if (strstr(meter_channel(m, i)->desc.uid, part)) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Until that many channels are found. */
static void await_found(struct rig *r, size_t n)
{
    for (int i = 0; i < 1000 && meter_found(r->meter) < n; i++) {
        rest_ms(10);
    }
    assert_int_equal(meter_found(r->meter), n);
}

static void await_state(struct rig *r, size_t channel, enum reading_state state)
{
    struct meter_status s = {0};
    for (int i = 0; i < 1000; i++) {
        meter_get_status(r->meter, channel, &s);
        if (s.state == state) {
            return;
        }
        rest_ms(10);
    }
    fail_msg("channel %zu is %s", channel, reading_state_name(s.state));
}

static void empty_ring(struct rig *r)
{
    while (ring_peek(r->ring)) {
        ring_pop(r->ring);
    }
}

static void newcomer_joins_in_a_group_of_its_own(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r);
    assert_int_equal(meter_count(r.meter), 1);
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    add_zone(&r, 1, 5000000);
    await_found(&r, 2);
    size_t late = find(r.meter, "intel-rapl:1");
    assert_int_equal(late, 1);
    /* nobody has given it a row: it is not counted, and no tick has it */
    assert_int_equal(meter_count(r.meter), 1);
    rest_ms(50);
    for (struct tick *t; (t = ring_peek(r.ring)); ring_pop(r.ring)) {
        assert_int_equal(t->group, 0);
        assert_int_equal(t->n, 1);
    }
    uint32_t group = meter_channel(r.meter, late)->group;
    assert_true(group > 0 && group < meter_groups(r.meter));
    assert_int_equal(meter_group_period_ns(r.meter, group), 10 * MS);
    meter_set_base(r.meter, late, 77, 123, 0, false);
    meter_accept(r.meter, 2);
    assert_int_equal(meter_count(r.meter), 2);
    rest_ms(100);
    set_zone(&r, 1, 5000100);
    rest_ms(100);
    meter_stop(r.meter);
    int64_t last = 0;
    int ticks = 0;
    for (struct tick *t; (t = ring_peek(r.ring)); ring_pop(r.ring)) {
        if (t->group == group) {
            assert_int_equal(t->n, 1);
            assert_int_equal(t->flags, ticks == 0 ? TICK_FIRST : 0);
            assert_int_equal(tick_states(t)[0], READING_OK);
            last = tick_values(t)[0];
            ticks++;
        }
    }
    assert_true(ticks > 5);
    assert_int_equal(last, 223); /* from its base on */
    rig_close(&r);
}

static _Atomic int64_t done_ticket;
static void on_edge(void *arg, int64_t ticket)
{
    (void)arg;
    atomic_store(&done_ticket, ticket);
}

/* One ticket, answered after the last of its ticks. */
static void edges_take_every_fast_group(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r);
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    add_zone(&r, 1, 5000000);
    await_found(&r, 2);
    meter_accept(r.meter, 2);
    rest_ms(50);
    empty_ring(&r);
    int64_t ticket = meter_sweep(r.meter, 0, on_edge, NULL);
    for (int i = 0; i < 300 && atomic_load(&done_ticket) != ticket; i++) {
        rest_ms(10);
    }
    assert_int_equal(atomic_load(&done_ticket), ticket);
    meter_stop(r.meter);
    unsigned seen = 0;
    int64_t before = 0;
    for (struct tick *t; (t = ring_peek(r.ring)); ring_pop(r.ring)) {
        if (t->ticket == ticket) {
            assert_true(t->flags & TICK_EDGE);
            assert_true(before == 0 || before == t->before_ns);
            before = t->before_ns;
            seen |= 1u << (t->group != 0);
        }
    }
    assert_int_equal(seen, 3);
    assert_true(meter_settle_ns(r.meter) > 0);
    rig_close(&r);
}

/* Gone: a reason, never a number. Back: the same channel, and its curve goes on. */
static void device_goes_and_returns(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r);
    add_zone(&r, 1, 5000000);
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    await_found(&r, 2);
    meter_accept(r.meter, 2);
    await_state(&r, 1, READING_OK);
    run_shell(&r, "mv sys/class/powercap/intel-rapl:1 away");
    await_state(&r, 1, READING_GONE);
    await_state(&r, 0, READING_OK);                     /* the other one does not notice */
    fixture_put(&r.dir, "away/energy_uj", "5000300\n"); /* it went on, within its range */
    run_shell(&r, "mv away sys/class/powercap/intel-rapl:1");
    await_state(&r, 1, READING_OK);
    rest_ms(50);
    assert_int_equal(meter_found(r.meter), 2);
    struct meter_status s;
    meter_get_status(r.meter, 1, &s);
    assert_int_equal(s.last_value, 300);
    /* and one that began anew: the curve stands, the tick says reset */
    run_shell(&r, "mv sys/class/powercap/intel-rapl:1 away");
    await_state(&r, 1, READING_GONE);
    empty_ring(&r);
    fixture_put(&r.dir, "away/energy_uj", "12\n");
    run_shell(&r, "mv away sys/class/powercap/intel-rapl:1");
    await_state(&r, 1, READING_OK);
    rest_ms(50);
    meter_stop(r.meter);
    int resets = 0;
    uint32_t group = meter_channel(r.meter, 1)->group;
    for (struct tick *t; (t = ring_peek(r.ring)); ring_pop(r.ring)) {
        if (t->group == group) {
            resets += (tick_states(t)[0] & TICK_RESET) != 0;
            assert_int_equal(tick_values(t)[0], 300);
        } else {
            assert_int_equal(tick_states(t)[0], READING_OK);
        }
    }
    assert_int_equal(resets, 1);
    rig_close(&r);
}

/* A kind of source that was not there at all. */
static void first_of_its_kind(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r);
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    add_chip(&r, 3, 2500000);
    await_found(&r, 2);
    meter_accept(r.meter, 2);
    await_state(&r, 1, READING_OK);
    assert_string_equal(meter_channel(r.meter, 1)->source, "hwmon");
    run_shell(&r, "rm -r sys/class/hwmon/hwmon3");
    await_state(&r, 1, READING_GONE);
    add_chip(&r, 5, 3500000); /* under another number */
    await_state(&r, 1, READING_OK);
    assert_int_equal(meter_found(r.meter), 2);
    struct meter_status s;
    meter_get_status(r.meter, 1, &s);
    assert_int_equal(s.power_uw, 3500000);
    rig_close(&r);
}

/* The machine slept: every meter is looked at although nothing was due. */
static void resume_looks_again(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r);
    meter_close(r.meter);
    r.cfg.reprobe_ns = 3600000 * MS;
    assert_int_equal(meter_open(&r.meter, &r.cfg, NULL), 0);
    r.ring = meter_ring(r.meter);
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    rest_ms(100);
    add_zone(&r, 1, 5000000);
    rest_ms(200);
    assert_int_equal(meter_found(r.meter), 1);
    atomic_store(&slept, 3600000 * MS);
    await_found(&r, 2);
    meter_stop(r.meter);
    int resets = 0;
    for (struct tick *t; (t = ring_peek(r.ring)); ring_pop(r.ring)) {
        resets += (tick_states(t)[0] & TICK_RESET) != 0;
    }
    assert_int_equal(resets, 1);
    rig_close(&r);
}

static void control(struct rig *r, const char *text)
{
    fixture_put(&r->dir, "next", text);
    run_shell(r, "mv next control");
}

/* A GPU driver that is loaded after the daemon and hangs while it is looked at: other meters are found
 * meanwhile, its own when it answers; nobody waits for it at the end. */
static void hung_driver_holds_up_nobody(void **ctx)
{
    (void)ctx;
    struct rig r;
    char path[128];
    char library[512];
    const char *bin = getenv("WATTQ_BIN");
    rig_open(&r);
    meter_close(r.meter);
    snprintf(path, sizeof(path), "%s/control", r.dir.root);
    snprintf(library, sizeof(library), "%s/tests/support/fake/libnvidia-ml.so.1", bin ? bin : ".");
    control(&r, "gpus 0\n");
    assert_int_equal(setenv("FAKE_NVML_CONTROL", path, 1), 0);
    r.cfg.disable = "estimate,perf,perf_core,ipmi,thermal,battery,slots";
    r.cfg.nvml_path = library;
    assert_int_equal(meter_open(&r.meter, &r.cfg, NULL), 0);
    r.ring = meter_ring(r.meter);
    assert_int_equal(meter_count(r.meter), 1);
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    control(&r, "gpus 1\nhang 1\n");
    rest_ms(200);
    add_zone(&r, 1, 5000000);
    await_found(&r, 2);
    meter_accept(r.meter, 2);
    await_state(&r, 1, READING_OK);
    control(&r, "gpus 1\n");
    for (int i = 0; i < 1000 && meter_found(r.meter) < 4; i++) {
        rest_ms(10);
    }
    size_t n = meter_found(r.meter);
    size_t energy = find(r.meter, "/energy");
    assert_true(n > 3 && energy < n);
    meter_accept(r.meter, n);
    await_state(&r, energy, READING_OK);
    control(&r, "gpus 1\nerror 15\n");
    await_state(&r, energy, READING_GONE);
    control(&r, "gpus 1\n");
    await_state(&r, energy, READING_OK);
    assert_int_equal(meter_found(r.meter), n);
    control(&r, "gpus 1\nhang 1\n");
    rest_ms(200);
    int64_t t0 = clock_mono_ns();
    meter_close(r.meter);
    assert_true(clock_mono_ns() - t0 < 8000 * MS);
    control(&r, "gpus 1\n"); /* what was left behind ends by itself */
    rest_ms(300);
    fixture_fini(&r.dir);
}

/* The same while the daemon starts: a file of one kind, and a library of another, that do not answer. What
 * answers is measured at once; what was late joins when it does, long before the next regular look. */
static void hung_driver_does_not_hold_up_the_start(void **ctx)
{
    (void)ctx;
    struct rig r;
    rig_open(&r);
    meter_close(r.meter);
    add_chip(&r, 0, 5000000);
    run_shell(&r, "mkfifo fifo && cp sys/class/powercap/intel-rapl:0/energy_uj value && "
                  "ln -f fifo sys/class/powercap/intel-rapl:0/energy_uj");
    r.cfg.reprobe_ns = 3600000 * MS;
    r.cfg.first_ns = 300 * MS;
    int64_t t0 = clock_mono_ns();
    assert_int_equal(meter_open(&r.meter, &r.cfg, NULL), 0);
    assert_true(clock_mono_ns() - t0 >= 300 * MS);
    r.ring = meter_ring(r.meter);
    assert_int_equal(meter_count(r.meter), 1);
    assert_non_null(strstr(meter_channel(r.meter, 0)->desc.label, "ina3221"));
    assert_int_equal(meter_start(r.meter, NULL, NULL, NULL), 0);
    await_state(&r, 0, READING_OK);
    run_shell(&r, "mv value sys/class/powercap/intel-rapl:0/energy_uj && : >fifo");
    await_found(&r, 2);
    size_t late = find(r.meter, "intel-rapl:0");
    assert_int_equal(late, 1);
    meter_accept(r.meter, 2);
    meter_close(r.meter);

    /* It never answers, and nobody waits for it at the end either. */
    run_shell(&r, "ln -f fifo sys/class/powercap/intel-rapl:0/energy_uj");
    assert_int_equal(meter_open(&r.meter, &r.cfg, NULL), 0);
    assert_int_equal(meter_count(r.meter), 1);
    t0 = clock_mono_ns();
    meter_close(r.meter);
    assert_true(clock_mono_ns() - t0 < 3000 * MS);
    run_shell(&r, ": >fifo"); /* what was left behind ends by itself */
    rest_ms(100);
    rig_close(&(struct rig){.dir = r.dir});
}

/* ---- into the database ------------------------------------------------------------------------- */

static int64_t ask(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int64_t v = -1;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        v = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return v;
}

static void await_ask(const char *path, const char *sql, int64_t want)
{
    int64_t v = -1;
    for (int i = 0; i < 60 && v != want; i++) {
        v = ask(path, sql);
        if (v != want) {
            rest_ms(100);
        }
    }
    assert_int_equal(v, want);
}

static void recorded_without_a_restart(void **ctx)
{
    (void)ctx;
    struct rig r;
    struct err e = {0};
    char path[160];
    rig_open(&r);
    snprintf(path, sizeof(path), "%s/wattq.db", r.dir.root);
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct storage *st = NULL;
    assert_int_equal(storage_open(&st, &loop, path, r.meter, &e), 0);
    assert_int_equal(storage_start(st, &e), 0);
    assert_int_equal(meter_start(r.meter, storage_wake, st, &e), 0);
    add_zone(&r, 1, 5000000);
    await_ask(path, "SELECT count(*) FROM channel WHERE uid LIKE '%rapl:1%'", 1);
    await_ask(path, "SELECT count(*) FROM epoch_channel", 2);
    assert_int_equal(meter_count(r.meter), 2);
    run_shell(&r, "mv sys/class/powercap/intel-rapl:1 away");
    await_state(&r, 1, READING_GONE);
    fixture_put(&r.dir, "away/energy_uj", "5000300\n");
    run_shell(&r, "mv away sys/class/powercap/intel-rapl:1");
    await_state(&r, 1, READING_OK);
    await_ask(path,
              "SELECT count(*) FROM gap g JOIN channel c ON c.id = g.channel WHERE c.uid LIKE"
              " '%rapl:1%' AND g.kind = 'failed' AND g.e_uj = 300",
              1);
    meter_stop(r.meter);
    storage_stop(st);
    storage_close(st, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    assert_int_equal(ask(path, "SELECT count(*) FROM epoch"), 1); /* the epoch stayed */
    assert_int_equal(ask(path, "SELECT count(*) FROM channel"), 2);
    assert_int_equal(ask(path, "SELECT count(*) FROM gap g JOIN channel c ON c.id = g.channel WHERE"
                               " c.uid LIKE '%rapl:0%'"),
                     0);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newcomer_joins_in_a_group_of_its_own),
        cmocka_unit_test(edges_take_every_fast_group),
        cmocka_unit_test(device_goes_and_returns),
        cmocka_unit_test(first_of_its_kind),
        cmocka_unit_test(resume_looks_again),
        cmocka_unit_test(hung_driver_holds_up_nobody),
        cmocka_unit_test(hung_driver_does_not_hold_up_the_start),
        cmocka_unit_test(recorded_without_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
