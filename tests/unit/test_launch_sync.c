/* A run's directory that the disk does not take: fsync is ours here, and refuses what a test names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch.h"

#define WAIT_NS (20 * NS_PER_S)

/* The end of the path that cannot be made durable; NULL = all can. */
static _Atomic(const char *) refused;

/* In place of the C library's, also for what is linked with us. */
int fsync(int fd)
{
    const char *end = refused;
    char link[40], path[WATTQ_PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = end ? readlink(link, path, sizeof(path) - 1) : -1;
    if (n < 0 || (size_t)n < strlen(end) || strncmp(path + n - strlen(end), end, strlen(end)) != 0)
        return (int)syscall(SYS_fsync, fd);
    errno = EIO;
    return -1;
}

struct fix {
    char dir[64], runs[80];
    uv_loop_t loop;
    uv_timer_t tick;
    struct launch *l;
    size_t at_gate, lost, other;
    bool untouched, again, closed;
    char text[256];
};

static void on_event(void *arg, const struct launch_event *ev)
{
    struct fix *f = arg;
    f->at_gate += ev->kind == LAUNCH_AT_GATE;
    f->lost += ev->kind == LAUNCH_LOST;
    f->other += ev->kind != LAUNCH_AT_GATE && ev->kind != LAUNCH_LOST;
    f->untouched = ev->untouched;
    f->again = ev->again;
    base_strcpy(f->text, sizeof(f->text), ev->text ? ev->text : "");
}

static void on_closed(void *arg)
{
    ((struct fix *)arg)->closed = true;
}

static void on_tick(uv_timer_t *t)
{
    (void)t;
}

static int set_up(void **state)
{
    struct fix *f = base_alloc(sizeof(*f));
    const char *bin = getenv("WATTQ_BIN");
    char *path CLEANUP(base_freep) = base_printf("%s/daemon/wattq-shepherd", bin ? bin : ".");
    struct launch_config cfg = {.shepherd_path = path, .on_event = on_event, .arg = f};
    struct err e;
    setenv("WATTQ_CGROUP", "none", 1);
    strcpy(f->dir, "/tmp/wattq-sync-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->runs, sizeof(f->runs), "%s/runs", f->dir);
    assert_int_equal(mkdir(f->runs, 0700), 0);
    cfg.runs_dir = f->runs;
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->tick);
    uv_timer_start(&f->tick, on_tick, 5, 5);
    if (launch_open(&f->l, &f->loop, &cfg, &e) != 0)
        fail_msg("%s", e.text);
    *state = f;
    return 0;
}

/* Of a test that failed. */
static void end_shepherd(const struct fix *f)
{
    struct result_shepherd s;
    bool alive = false;
    char *path CLEANUP(base_freep) = base_printf("%s/1", f->runs);
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && result_shepherd_read(fd, &s, &alive) == 0 && alive)
        kill((pid_t)s.pid, SIGKILL);
}

static int tear_down(void **state)
{
    struct fix *f = *state;
    refused = NULL;
    end_shepherd(f);
    launch_close(f->l, on_closed, f);
    while (!f->closed)
        uv_run(&f->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    char *cmd CLEANUP(base_freep) = base_printf("rm -rf %s", f->dir);
    (void)!system(cmd);
    free(f);
    return 0;
}

static void turn_until(struct fix *f, const size_t *count, size_t times)
{
    int64_t until_ns = clock_mono_ns() + WAIT_NS;
    while (*count < times) {
        uv_run(&f->loop, UV_RUN_ONCE);
        if (clock_mono_ns() > until_ns)
            fail_msg("waited in vain; %zu at the gate, %zu lost, %zu others: %s", f->at_gate,
                     f->lost, f->other, f->text);
    }
}

/* Whatever it was, it would leave `ran`. */
static void start(struct fix *f, int64_t token)
{
    char command[100], root[] = "/", path[] = "PATH=/usr/bin:/bin";
    snprintf(command, sizeof(command), "touch %s/ran", f->dir);
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, command, NULL}, *env[] = {path, NULL};
    const struct launch_block b = {
        .run_id = 1, .token = token, .umask = 022, .argv = argv, .env = env, .cwd = root};
    struct err e;
    if (launch_start(f->l, &b, NULL, &e) != 0)
        fail_msg("%s", e.text);
}

/* As long as it lives a shepherd holds its directory. */
static void wait_for_no_shepherd(struct fix *f)
{
    char *path CLEANUP(base_freep) = base_printf("%s/1/shepherd", f->runs);
    int64_t until_ns = clock_mono_ns() + WAIT_NS;
    int fd = -1;
    while (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0) {
        base_closep(&fd);
        uv_run(&f->loop, UV_RUN_ONCE);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (clock_mono_ns() > until_ns)
            fail_msg("its shepherd lives on");
    }
    close(fd);
}

static void nothing_runs_that_is_not_durable(void **state)
{
    static const char *const ends[] = {"/runs/1/state", "/runs/1", "/runs"};
    struct fix *f = *state;
    char *ran CLEANUP(base_freep) = base_printf("%s/ran", f->dir);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct err e;
        refused = ends[i];
        start(f, (int64_t)i + 1);
        turn_until(f, &f->lost, i + 1);
        assert_true(f->untouched && !f->again);
        assert_string_equal(f->text, "its directory cannot be made durable: Input/output error");
        assert_true(launch_go(f->l, 1, (int64_t)i + 1, &e) != 0);
        launch_ack(f->l, 1);
        wait_for_no_shepherd(f);
    }
    assert_int_equal(f->at_gate + f->other, 0);
    assert_int_equal(access(ran, F_OK), -1);
}

static void its_shepherd_goes_and_it_starts_anew(void **state)
{
    struct fix *f = *state;
    struct err e;
    refused = "/runs";
    start(f, 1);
    turn_until(f, &f->lost, 1);
    wait_for_no_shepherd(f);
    refused = NULL;
    start(f, 2);
    turn_until(f, &f->at_gate, 1);
    assert_int_equal(launch_go(f->l, 1, 2, &e), 0);
    turn_until(f, &f->other, 4); /* started, main exit, empty, ended */
    char *ran CLEANUP(base_freep) = base_printf("%s/ran", f->dir);
    assert_int_equal(access(ran, F_OK), 0);
    launch_ack(f->l, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_runs_that_is_not_durable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_shepherd_goes_and_it_starts_anew, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
