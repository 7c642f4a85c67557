/* A BMC's answers and what becomes of them; a BMC that cannot be opened, or is none. The way through the
 * kernel's own driver is tests/qemu/run. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/meter/ipmi_dcmi.h"
#include "tests/support/fixture.h"

extern const struct source_ops source_ipmi;

/* 250 W now; 100, 400 and 65,530 s of statistics must not matter. */
static const uint8_t good[] = {0x00, 0xdc, 0xfa, 0x00, 0x64, 0x00, 0x90, 0x01, 0x7b, 0x00,
                               0x00, 0x00, 0x00, 0x00, 0xfa, 0xff, 0x00, 0x00, 0x40};

static void only_the_instantaneous_watts_are_taken(void **ctx)
{
    (void)ctx;
    struct reading r = dcmi_power(good, sizeof(good));
    assert_int_equal(r.state, READING_OK);
    assert_int_equal(r.value, 250000000);
}

static struct reading changed(size_t at, uint8_t byte)
{
    uint8_t b[sizeof(good)];
    memcpy(b, good, sizeof(b));
    b[at] = byte;
    return dcmi_power(b, sizeof(b));
}

static void every_other_answer_has_its_reason(void **ctx)
{
    (void)ctx;
    static const struct {
        uint8_t code;
        enum reading_state state;
    } codes[] = {{0xc0, READING_IO},          {0xc3, READING_IO},
                 {0xff, READING_IO},          {0xc1, READING_UNSUPPORTED},
                 {0xcc, READING_UNSUPPORTED}, {0xd4, READING_NO_PERMISSION},
                 {0xd6, READING_DISABLED}};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        assert_int_equal(changed(0, codes[i].code).state, codes[i].state);
        assert_int_equal(dcmi_power(&codes[i].code, 1).state, codes[i].state);
    }
    for (size_t n = 0; n < sizeof(good); n++)
        assert_int_equal(dcmi_power(good, n).state, READING_GARBLED);
    assert_int_equal(changed(1, 0xdd).state, READING_GARBLED);
    assert_int_equal(changed(18, 0x00).state, READING_DISABLED);   /* measurement not active */
    assert_int_equal(changed(2, 0x00).state, READING_IMPLAUSIBLE); /* 0 W while it is on */
}

static void a_device_is_named(void **ctx)
{
    (void)ctx;
    static const uint8_t id[] = {0x00, 0x23, 0x00, 0x89, 0x08, 0x02,
                                 0x9f, 0x91, 0x12, 0x00, 0x02, 0x0f};
    char text[64] = "";
    assert_true(ipmi_device_text(id, sizeof(id), text, sizeof(text)));
    assert_string_equal(text, "BMC 9.08, IPMI 2.0, maker 4753, product 3842");
    assert_false(ipmi_device_text(id, sizeof(id) - 1, text, sizeof(text)));
    assert_false(ipmi_device_text((const uint8_t[12]){0xc1}, 12, text, sizeof(text)));
}

/* ---- opening ------------------------------------------------------------------------------------- */

static int refuse(void *arg, const char *name, int flags)
{
    (void)name;
    (void)flags;
    errno = *(int *)arg;
    return -1;
}

static int something_else(void *arg, const char *name, int flags)
{
    (void)arg;
    (void)name;
    return open("/dev/null", flags);
}

static void opening_says_why_it_cannot(void **ctx)
{
    (void)ctx;
    struct fixture f;
    struct source *s = NULL;
    const struct channel_desc *d = NULL;
    struct reading r;
    int code = EACCES;
    fixture_init(&f);
    struct meter_config cfg = {.sysfs_root = f.root, .open_fd = refuse, .open_arg = &code};
    assert_int_equal(source_ipmi.open(&s, &cfg, NULL), 1); /* no BMC at all */
    fixture_put(&f, "dev/ipmi0", "");
    assert_int_equal(source_ipmi.open(&s, &cfg, NULL), 0);
    assert_int_equal(source_ipmi.channels(s, &d), 1);
    assert_non_null(strstr(d->remedy, "/dev/ipmi0"));
    assert_int_equal(d->scope, SCOPE_NODE);
    assert_int_equal(d->quantum, 1000000);
    assert_false(d->period_declared);
    source_ipmi.read(s, 1, &r);
    assert_int_equal(r.state, READING_NO_PERMISSION);
    code = ENODEV;
    source_ipmi.read(s, 20000000000, &r); /* tried again after its pause */
    assert_int_equal(r.state, READING_GONE);
    source_ipmi.close(s);
    cfg.open_fd = something_else;
    assert_int_equal(source_ipmi.open(&s, &cfg, NULL), 0);
    source_ipmi.read(s, 1, &r);
    assert_int_equal(r.state, READING_IO); /* not a BMC's device: never a number */
    source_ipmi.close(s);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_instantaneous_watts_are_taken),
        cmocka_unit_test(every_other_answer_has_its_reason),
        cmocka_unit_test(a_device_is_named),
        cmocka_unit_test(opening_says_why_it_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
