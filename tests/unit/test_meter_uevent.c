/* Which of the kernel's messages are a reason to look for meters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/meter/uevent.h"

/* In memory of exactly that size, so that a sanitizer sees a read beyond it. */
static bool matters(const char *text, size_t bytes)
{
    char *copy = malloc(bytes ? bytes : 1);
    assert_non_null(copy);
    memcpy(copy, text, bytes);
    bool yes = uevent_matters(copy, bytes);
    free(copy);
    return yes;
}
#define MATTERS(text) matters(text, sizeof(text))

static void only_what_meters_hang_on(void **ctx)
{
    (void)ctx;
    assert_true(MATTERS("add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=hwmon"));
    assert_true(MATTERS("remove@/x\0ACTION=remove\0SUBSYSTEM=powercap\0SEQNUM=4"));
    assert_true(MATTERS("add@/module/nvidia\0ACTION=add\0SUBSYSTEM=module"));
    assert_false(MATTERS("add@/x\0ACTION=add\0SUBSYSTEM=net"));
    assert_false(MATTERS("change@/x\0ACTION=change\0SUBSYSTEM=power_supply"));
    assert_false(MATTERS("add@/x\0SUBSYSTEM=hwmon"));
    assert_false(MATTERS("add@/x\0ACTION=add\0XSUBSYSTEM=hwmon\0SUBSYSTEM=hwmonx"));
    assert_false(MATTERS("libudev\0ACTION=add"));
}

static void cut_short_is_not_read(void **ctx)
{
    (void)ctx;
    static const char whole[] = "add@/x\0ACTION=add\0SUBSYSTEM=hwmon";
    for (size_t n = 0; n < sizeof(whole); n++) {
        assert_false(matters(whole, n));
    }
    assert_true(matters(whole, sizeof(whole)));
    char zeros[64] = {0};
    assert_false(matters(zeros, sizeof(zeros)));
}

static void heard(void *arg)
{
    (void)arg;
}

static void the_socket_opens_without_privilege(void **ctx)
{
    (void)ctx;
    int fd = uevent_open();
    if (fd < 0) {
        print_message("skipped: no uevent netlink here\n");
        skip();
    }
    (void)uevent_drain(fd); /* whatever has come; returns although nothing may have */
    close(fd);
    struct uevents *u = uevents_start(heard, NULL);
    assert_non_null(u);
    uevents_stop(u); /* at once, although nothing was heard */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_meters_hang_on),
        cmocka_unit_test(cut_short_is_not_read),
        cmocka_unit_test(the_socket_opens_without_privilege),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
