/* Meters that only root may open, read by an ordinary user through descriptors that a launcher hands over:
 * meter_config.open_fd, here with a launcher of three lines behind a socket pair. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/meter/lane.h"
#include "daemon/meter/meter.h"
#include "tests/support/fixture.h"

#define NOBODY 65534
#define ENERGY "sys/class/powercap/intel-rapl:0/energy_uj"
#define S      INT64_C(1000000000)

/* ---- the launcher: opens what it is asked for by name, sends the descriptor or errno ------------- */

static void serve(int sock)
{
    char name[256];
    ssize_t n;
    while ((n = read(sock, name, sizeof(name) - 1)) > 0) {
        name[n] = '\0';
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        int code = fd < 0 ? errno : 0;
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec iov = {&code, sizeof(code)};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        if (fd >= 0) {
            m.msg_control = control.bytes;
            m.msg_controllen = sizeof(control.bytes);
            struct cmsghdr *c = CMSG_FIRSTHDR(&m);
            *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS,
                                  .cmsg_len = CMSG_LEN(sizeof(int))};
            memcpy(CMSG_DATA(c), &fd, sizeof(fd));
        }
        if (sendmsg(sock, &m, 0) < 0)
            _exit(1);
        if (fd >= 0)
            close(fd);
    }
    _exit(0);
}

static int ask(void *arg, const char *name, int flags)
{
    (void)flags;
    int sock = *(int *)arg;
    if (write(sock, name, strlen(name)) < 0)
        return -1;
    int code = EIO;
    int fd = -1;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {&code, sizeof(code)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) < (ssize_t)sizeof(code))
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    errno = code;
    return fd;
}

/* ---- the reader: an ordinary user ---------------------------------------------------------------- */

static struct reading first_reading(const struct meter_config *cfg)
{
    struct meter *m = NULL;
    if (meter_open(&m, cfg, NULL) < 0)
        _exit(10);
    struct meter_status s;
    meter_get_status(m, 0, &s);
    struct reading r = {.state = s.state};
    if (strcmp(meter_channel(m, 0)->source, "powercap") != 0)
        _exit(11);
    meter_close(m);
    return r;
}

static int as_nobody(const struct fixture *f, int sock)
{
    if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
        return 12;
    struct meter_config cfg = {.sysfs_root = f->root,
                               .disable = "perf,nvml,hwmon,thermal,slots,estimate"};
    if (first_reading(&cfg).state != READING_NO_PERMISSION)
        return 13;
    cfg.open_fd = ask;
    cfg.open_arg = &sock;
    return first_reading(&cfg).state == READING_OK ? 0 : 14;
}

static int run_child(int (*body)(const struct fixture *f, int sock), const struct fixture *f,
                     int sock)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(body(f, sock));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void a_handed_descriptor_reads_what_the_user_may_not_open(void **ctx)
{
    (void)ctx;
    if (getuid() != 0)
        skip();
    struct fixture f;
    char path[256];
    int pair[2];
    fixture_init(&f);
    fixture_zone(&f, "intel-rapl:0", "package-0", 1000, 1000000000);
    snprintf(path, sizeof(path), "%s/" ENERGY, f.root);
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(chmod(f.root, 0755), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t launcher = fork();
    if (launcher == 0) {
        close(pair[0]);
        serve(pair[1]);
    }
    close(pair[1]);
    assert_int_equal(run_child(as_nobody, &f, pair[0]), 0);
    close(pair[0]);
    int status = 1;
    assert_int_equal(waitpid(launcher, &status, 0), launcher);
    assert_int_equal(status, 0);
    fixture_fini(&f);
}

/* ---- counters that begin anew -------------------------------------------------------------------- */

static struct lane_value take(struct lane *l, int64_t raw, int64_t t_ns, uint32_t era)
{
    return lane_take(l, (struct reading){.value = raw, .state = READING_OK, .era = era}, t_ns,
                     false);
}

/* Higher than before, yet another count: the difference is not energy. */
static void a_counter_that_began_anew_is_never_a_difference(void **ctx)
{
    (void)ctx;
    struct channel_desc d = {.kind = CHANNEL_COUNTER, .quantum = 1, .period_ns = NS_PER_MS};
    struct lane l;
    lane_init(&l, &d, NS_PER_S);
    (void)take(&l, 100, 1 * S, 1); /* the first one ever: nothing to lose */
    assert_int_equal(take(&l, 150, 2 * S, 1).value, 50);
    struct lane_value v = take(&l, 5000, 3 * S, 2);
    assert_int_equal(v.value, 50);
    assert_int_equal(v.state, TICK_RESET);
    assert_int_equal(take(&l, 5010, 4 * S, 2).value, 60);
    /* After a restart of the daemon: nothing is bridged. */
    lane_init(&l, &d, NS_PER_S);
    lane_base(&l, 60, 5010, true);
    v = take(&l, 9000, 5 * S, 1);
    assert_int_equal(v.value, 60);
    assert_int_equal(v.state, TICK_RESET);
    assert_int_equal(take(&l, 9001, 6 * S, 1).value, 61);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handed_descriptor_reads_what_the_user_may_not_open),
        cmocka_unit_test(a_counter_that_began_anew_is_never_a_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
