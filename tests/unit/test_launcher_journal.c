/* The journal of starts: what was answered is remembered, a torn end is forgotten, damage is refused. And the
 * list of meters that may be handed out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/launch/launcher.h"
#include "daemon/launch/launcher_journal.h"
#include "tests/support/fixture.h"

#define NOW 1000000

struct place {
    struct fixture f;
    int fd;
};

static int set_up(void **state)
{
    struct place *p = base_alloc(sizeof(*p));
    fixture_init(&p->f);
    p->fd = open(p->f.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(p->fd >= 0);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    close(p->fd);
    fixture_fini(&p->f);
    free(p);
    return 0;
}

static void add(struct journal *j, int64_t token, uint8_t warrant, int64_t until)
{
    struct journal_record r = {.token = token, .run_id = token, .uid = 7, .until_utc_s = until};
    struct err e;
    memset(r.warrant, warrant, sizeof(r.warrant));
    assert_int_equal(journal_begin(j, &r, NOW, &e), 0);
    assert_int_equal(journal_end(j, &r, &e), 0);
}

static uint32_t starts(const struct journal *j, uint8_t warrant)
{
    uint8_t id[16];
    memset(id, warrant, sizeof(id));
    return journal_starts(j, id);
}

static void reopen(struct journal *j, int fd, int64_t now)
{
    struct err e;
    journal_close(j);
    assert_int_equal(journal_open(j, fd, now, &e), 0);
}

static void remembers(void **state)
{
    const struct place *p = *state;
    struct journal j;
    struct err e;
    assert_int_equal(journal_open(&j, p->fd, NOW, &e), 1); /* new */
    assert_int_equal(j.high, 0);
    add(&j, 5, 1, NOW + 10);
    add(&j, 9, 2, NOW + 10);
    add(&j, 12, 1, NOW + 10);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(j.high, 12);
        assert_int_equal(starts(&j, 1), 2);
        assert_int_equal(starts(&j, 2), 1);
        assert_int_equal(starts(&j, 3), 0);
        reopen(&j, p->fd, NOW);
    }
    journal_close(&j);
}

/* Cut or garbled at every byte of its last record: the ones before count, and it goes on. */
static void a_torn_end_is_forgotten(void **state)
{
    const struct place *p = *state;
    struct journal j;
    struct err e;
    assert_int_equal(journal_open(&j, p->fd, NOW, &e), 1);
    add(&j, 1, 1, NOW);
    for (int64_t cut = 0; cut < 64; cut += 7) {
        assert_int_equal(j.records, 1);
        add(&j, 2, 1, NOW);
        char junk[64];
        memset(junk, cut % 2 ? 0 : 0x5a, sizeof(junk));
        assert_int_equal(pwrite(j.fd, junk, (size_t)(64 - cut), 64 + cut), 64 - cut);
        reopen(&j, p->fd, NOW);
        assert_int_equal(j.high, 1);
        assert_int_equal(starts(&j, 1), 1);
    }
    add(&j, 3, 1, NOW);
    reopen(&j, p->fd, NOW);
    assert_int_equal(j.high, 3);
    journal_close(&j);
}

/* Killed between the two halves: nobody was told of that start, and its token is used all the same. */
static void a_start_begun_counts(void **state)
{
    const struct place *p = *state;
    struct journal j;
    struct err e;
    struct journal_record r = {.token = 8, .run_id = 8, .uid = 7, .until_utc_s = NOW + 10};
    memset(r.warrant, 1, sizeof(r.warrant));
    assert_int_equal(journal_open(&j, p->fd, NOW, &e), 1);
    add(&j, 5, 1, NOW + 10);
    assert_int_equal(journal_begin(&j, &r, NOW, &e), 0);
    assert_int_equal(j.high, 5);
    reopen(&j, p->fd, NOW);
    assert_int_equal(j.high, 8);
    assert_int_equal(starts(&j, 1), 2);
    add(&j, 9, 1, NOW + 10);
    reopen(&j, p->fd, NOW);
    assert_int_equal(j.high, 9);
    assert_int_equal(starts(&j, 1), 3);
    journal_close(&j);
}

static void damage_is_refused(void **state)
{
    const struct place *p = *state;
    struct journal j;
    struct err e;
    assert_int_equal(journal_open(&j, p->fd, NOW, &e), 1);
    for (int64_t t = 1; t <= 3; t++)
        add(&j, t, 1, NOW);
    for (off_t at = 0; at < 128; at++) {
        uint8_t byte, other;
        assert_int_equal(pread(j.fd, &byte, 1, at), 1);
        other = byte ^ 0x40;
        assert_int_equal(pwrite(j.fd, &other, 1, at), 1);
        struct journal again;
        assert_int_equal(journal_open(&again, p->fd, NOW, &e), WATTQ_E_CORRUPT);
        assert_true(e.next[0] != 0);
        assert_int_equal(pwrite(j.fd, &byte, 1, at), 1);
    }
    reopen(&j, p->fd, NOW);
    assert_int_equal(starts(&j, 1), 3);
    journal_close(&j);
}

static void links_are_not_followed(void **state)
{
    const struct place *p = *state;
    struct journal j;
    struct err e;
    fixture_put(&p->f, "elsewhere", "");
    fixture_link(&p->f, "starts", "elsewhere");
    assert_true(journal_open(&j, p->fd, NOW, &e) < 0);
    assert_int_equal(unlinkat(p->fd, "starts", 0), 0);
    assert_int_equal(linkat(p->fd, "elsewhere", p->fd, "starts", 0), 0);
    assert_int_equal(journal_open(&j, p->fd, NOW, &e), WATTQ_E_CORRUPT);
}

/* Thousands of starts without as many flushes: the bytes of two real ones, again and again. */
static void old_warrants_are_let_go(void **state)
{
    const struct place *p = *state;
    struct journal_record r[2];
    struct journal j;
    struct stat st;
    struct err e;
    assert_int_equal(journal_open(&j, p->fd, NOW, &e), 1);
    add(&j, 8, 1, NOW - 1);
    add(&j, 9, 2, NOW + 1);
    assert_int_equal(pread(j.fd, r, sizeof(r), 0), sizeof(r));
    for (off_t i = 1; i < 5000; i++)
        assert_int_equal(pwrite(j.fd, r, sizeof(r), i * (off_t)sizeof(r)), sizeof(r));
    for (int i = 0; i < 2; i++) {
        reopen(&j, p->fd, NOW); /* the first time it is rewritten */
        assert_int_equal(j.records, 2);
        assert_int_equal(j.high, 9);
        assert_int_equal(starts(&j, 2), 5000);
        assert_int_equal(fstat(j.fd, &st), 0);
        assert_true(st.st_size <= 128 * 1024);
    }
    add(&j, 10, 2, NOW + 1);
    reopen(&j, p->fd, NOW);
    assert_int_equal(starts(&j, 2), 5001);
    journal_close(&j);
}

static void meters_that_may_be_had(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj",
        "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/intel-rapl:0:1/energy_uj",
        "/sys/devices/virtual/powercap/intel-rapl-mmio/intel-rapl-mmio:0/energy_uj",
        "/dev/ipmi0",
        "/dev/ipmi/0",
        "/dev/ipmidev/0",
        "perf:power:energy-pkg:0",
        "perf:power_core:energy-core:127"};
    static const char *const no[] = {
        "",
        "/",
        "/sys/powercap/energy_uj",
        "/sys/devices/virtual/powercap/energy_uj",
        "/sys/devices/virtual/powercap/intel-rapl/energy_uj",
        "/sys/devices/virtual/powercap/a/b/c/d/energy_uj",
        "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/max_energy_range_uj",
        "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj/",
        "/sys/devices/virtual/powercap/intel-rapl/../energy_uj",
        "/sys/devices/virtual/powercap/../../x/energy_uj",
        "/sys/devices//virtual/powercap/intel-rapl/intel-rapl:0/energy_uj",
        "/tmp/powercap/intel-rapl/intel-rapl:0/energy_uj",
        "/system/powercap/intel-rapl/intel-rapl:0/energy_uj",
        "sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj",
        "/dev/ipmi1",
        "/dev/ipmi0/",
        "/dev/mem",
        "perf:",
        "perf:power",
        "perf:power:energy-pkg",
        "perf:power:energy-pkg:",
        "perf:power:energy-pkg:-1",
        "perf:power:energy-pkg:0 ",
        "perf:power:energy-pkg:1234567",
        "perf:power:../type:0",
        "perf:power::0",
        "perf:cpu:cycles:0",
        "perf:power_core2:energy-core:0",
        "perf:uncore_imc:data_reads:0"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (!launcher_meter_allowed(yes[i]))
            fail_msg("refused: %s", yes[i]);
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (launcher_meter_allowed(no[i]))
            fail_msg("allowed: %s", no[i]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(remembers),
        T(a_torn_end_is_forgotten),
        T(a_start_begun_counts),
        T(damage_is_refused),
        T(links_are_not_followed),
        T(old_warrants_are_let_go),
        cmocka_unit_test(meters_that_may_be_had),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
