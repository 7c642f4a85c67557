/* The card that runs on a GPU name in their info becomes the memory hierarchy their networks are placed in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/study_load.h"
#include "client/study_run.h"
#include "client_golden.h"

static struct wire_msg *run_on(const char *backend, int64_t sms, int64_t l2_bytes)
{
    struct wire_out o = {0};
    wire_out_reset(&o);
    wire_put_int(&o, "run", 1);
    wire_put_str(&o, "state", "done");
    wire_put_str(&o, "kind", "train");
    wire_begin_map(&o, "info");
    wire_put_str(&o, "backend", backend);
    if (sms > 0)
        wire_put_int(&o, "device_sm_count", sms);
    wire_put_int(&o, "device_l1_bytes_per_sm", INT64_C(256) << 10);
    wire_put_int(&o, "device_l2_bytes", l2_bytes);
    wire_put_int(&o, "device_memory_bytes", INT64_C(80) << 30);
    wire_end(&o);
    return wired(&o);
}

static void add(struct study *s, const char *backend, int64_t sms, int64_t l2_bytes)
{
    struct wire_msg *m = run_on(backend, sms, l2_bytes);
    study_add(s, wire_msg_root(m));
    wire_msg_free(m);
}

static void test_card_of_runs(void **state)
{
    (void)state;
    struct study s;
    study_init(&s);
    add(&s, "openblas", 132, 50 << 20); /* computed on the CPU, whatever stands there */
    assert_int_equal(s.card.n, 0);
    add(&s, "cuda", 132, 50 << 20);
    add(&s, "cuda", 132, 50 << 20);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.card.n, 3);
    assert_true(s.card.cores == 132 && s.card.level[0].units == 132);
    assert_int_equal(s.card.level[1].bytes, 50 << 20);
    add(&s, "cuda", 108, 40 << 20);
    assert_true(s.card.n == 0 && s.cards_differ);
    add(&s, "cuda", 132, 50 << 20); /* not one card again */
    assert_int_equal(s.card.n, 0);
    study_fini(&s);
}

static void test_no_sms_told(void **state)
{
    (void)state;
    struct caches c;
    struct wire_msg *m = run_on("cuda", 0, 6 << 20);
    assert_int_equal(study_run_card(&c, wire_msg_root(m)), 0);
    assert_int_equal(c.n, 2); /* no L1 without their number */
    assert_string_equal(c.level[0].name, "L2");
    wire_msg_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_card_of_runs),
        cmocka_unit_test(test_no_sms_told),
    };
    return cmocka_run_group_tests_name("client_card", tests, NULL, NULL);
}
