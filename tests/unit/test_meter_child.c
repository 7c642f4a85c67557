/* One program that is a meter, looked after with the time in the test's hand: silence, the pause before it is
 * started again, and what it may take. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/meter/helpers/meters.h"
#include "tests/support/fixture.h"

struct rig {
    struct fixture dir;
    struct line_file *file;
    struct meters_child child;
    char said[4096];
};

static void take(void *arg, const char *line, size_t bytes)
{
    struct rig *r = arg;
    size_t n = strlen(r->said);
    (void)snprintf(r->said + n, sizeof(r->said) - n, "%.*s", (int)bytes, line);
}

static void begin(struct rig *r, const char *conf)
{
    char path[128];
    struct err e = {0};
    memset(r, 0, sizeof(*r));
    fixture_init(&r->dir);
    fixture_put(&r->dir, "meters.conf", conf);
    snprintf(path, sizeof(path), "%s/meters.conf", r->dir.root);
    assert_int_equal(line_file_load(&r->file, path, &e), 0);
    meters_child_init(&r->child, r->file, 0);
}

static void end(struct rig *r)
{
    if (r->child.pid > 0) {
        meters_child_kill(&r->child, SIGKILL);
        (void)waitpid(r->child.pid, NULL, 0);
        (void)close(r->child.fd);
    }
    line_file_free(r->file);
    fixture_fini(&r->dir);
}

static void tend(struct rig *r, int64_t s)
{
    meters_child_tend(&r->child, s * NS_PER_S, take, r);
}

/* What it prints, as if it had come at that time. */
static void hear(struct rig *r, int64_t s, const char *text)
{
    for (int i = 0; i < 2000 && !strstr(r->said, text); i++) {
        meters_child_read(&r->child, s * NS_PER_S, take, r);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    assert_non_null(strstr(r->said, text));
    r->said[0] = '\0';
}

static void silence_is_ended(void **ctx)
{
    (void)ctx;
    struct rig r;
    begin(&r, "run dumb echo 1 W; exec sleep 1000\n");
    tend(&r, 100);
    pid_t first = r.child.pid;
    assert_true(first > 0);
    hear(&r, 110, "1 W\n");
    tend(&r, 139);
    assert_int_equal(r.child.pid, first); /* 29 s */
    assert_string_equal(r.said, "");
    tend(&r, 140);
    assert_int_equal(r.child.pid, 0);
    assert_non_null(strstr(r.said, "- gone its program said nothing for too long\n"));
    assert_int_equal(kill(first, 0), -1);                       /* it is over, and reaped */
    for (int64_t t = 140, pause = 1; pause <= 64; pause *= 2) { /* 1 s, 2 s ... 60 s */
        int64_t rest = pause < 60 ? pause : 60;
        tend(&r, t + rest - 1);
        assert_int_equal(r.child.pid, 0);
        tend(&r, t += rest);
        assert_true(r.child.pid > 0);
        tend(&r, t += 30);
    }
    end(&r);
}

static void a_slow_meter_has_ten_periods(void **ctx)
{
    (void)ctx;
    struct rig r;
    begin(&r, "run slow exec sleep 1000\nchannel slow kind=gauge period=1m\n");
    tend(&r, 100);
    tend(&r, 699);
    assert_true(r.child.pid > 0);
    tend(&r, 700);
    assert_int_equal(r.child.pid, 0);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_is_ended),
        cmocka_unit_test(a_slow_meter_has_ten_periods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
