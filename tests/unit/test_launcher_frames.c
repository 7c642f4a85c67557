/* Records of the launcher: only whole ones are taken, and no descriptor that came along stays open by
 * mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/launch/launcher.h"

#define HEAD offsetof(struct launcher_record, warrant)

static size_t open_fds(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static int set_up(void **state)
{
    int *pair = base_alloc(2 * sizeof(*pair));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    *state = pair;
    return 0;
}

static int tear_down(void **state)
{
    int *pair = *state;
    base_closep(&pair[0]);
    base_closep(&pair[1]);
    free(pair);
    return 0;
}

static struct launcher_record *record(uint32_t kind, uint32_t runs)
{
    struct launcher_record *r = base_alloc(sizeof(*r));
    r->magic = LAUNCHER_MAGIC;
    r->kind = kind;
    r->run_id = 7;
    strcpy(r->text, "text");
    if (runs) {
        r->warrant.version = WARRANT_VERSION;
        r->warrant.n = runs;
        for (uint32_t i = 0; i < runs; i++)
            memcpy(r->warrant.leaves[i], &i, sizeof(i));
    }
    return r;
}

/* Bytes as they are, with n descriptors of /dev/null. */
static void send_raw(int fd, const void *data, size_t bytes, size_t n)
{
    char control[CMSG_SPACE(64 * sizeof(int))] __attribute__((aligned(8))) = {0};
    char *copy = base_alloc(bytes + 1);
    memcpy(copy, data, bytes);
    struct iovec iov = {.iov_base = copy, .iov_len = bytes};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(null >= 0 && n <= 64);
    if (n) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = (struct cmsghdr *)(void *)control;
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        for (size_t i = 0; i < n; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &null, sizeof(null));
    }
    assert_int_equal(sendmsg(fd, &msg, 0), bytes);
    close(null);
    free(copy);
}

static void travels(void **state)
{
    const int *pair = *state;
    static const uint32_t runs[] = {0, 1, WARRANT_RUNS_MAX};
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        struct launcher_record *r = record(runs[i] ? LAUNCHER_START : LAUNCHER_STATUS, runs[i]);
        struct launcher_record *got = record(0, 0);
        struct err e;
        int fds[2] = {open("/dev/null", O_RDONLY), open("/dev/null", O_RDONLY)}, came[2];
        size_t n, before = open_fds();
        assert_int_equal(launcher_send(pair[0], r, fds, 2, &e), 0);
        assert_int_equal(launcher_recv(pair[1], got, came, 2, &n, &e), 0);
        assert_int_equal(n, 2);
        assert_memory_equal(got, r, sizeof(*r));
        assert_int_equal(fcntl(came[0], F_GETFD), FD_CLOEXEC);
        assert_int_equal(open_fds(), before + 2);
        for (size_t k = 0; k < 2; k++) {
            close(fds[k]);
            close(came[k]);
        }
        free(r);
        free(got);
    }
}

static void too_many_descriptors_are_none(void **state)
{
    const int *pair = *state;
    struct launcher_record *r = record(LAUNCHER_STATUS, 0), *got = record(0, 0);
    /* More than wanted, more than the control buffer holds. */
    static const size_t counts[] = {1, 3, LAUNCHER_FDS_MAX, LAUNCHER_FDS_MAX + 1, 40};
    for (size_t max = 0; max < 3; max++)
        for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
            struct err e;
            int came[LAUNCHER_FDS_MAX];
            size_t n, before = open_fds();
            send_raw(pair[0], r, HEAD, counts[i]);
            int rc = launcher_recv(pair[1], got, came, max, &n, &e);
            assert_int_equal(rc, counts[i] > max ? WATTQ_E_PROTOCOL : 0);
            assert_int_equal(n, rc ? 0 : counts[i]);
            for (size_t k = 0; k < n; k++)
                close(came[k]);
            assert_int_equal(open_fds(), before);
        }
    free(r);
    free(got);
}

static void refuse(const int *pair, const void *data, size_t bytes)
{
    struct launcher_record *got = record(0, 0);
    struct err e = {0};
    int came[2];
    size_t n = 9, before = open_fds();
    send_raw(pair[0], data, bytes, 2);
    assert_true(launcher_recv(pair[1], got, came, 2, &n, &e) < 0);
    assert_int_equal(n, 0);
    assert_true(e.text[0] != 0);
    assert_int_equal(open_fds(), before);
    free(got);
}

static void garbage_is_refused(void **state)
{
    const int *pair = *state;
    struct launcher_record *r = record(LAUNCHER_STATUS, 0);
    char *big = base_alloc(sizeof(*r) + 1);
    refuse(pair, r, 1);
    refuse(pair, r, HEAD - 1);
    refuse(pair, r, HEAD + 1);
    refuse(pair, big, sizeof(*r) + 1); /* does not fit: cut off by the kernel */
    r->magic++;
    refuse(pair, r, HEAD);
    r->magic--;
    static const uint32_t kinds[] = {0, LAUNCHER_EXEC_DIR + 1, LAUNCHER_OK - 1,
                                     LAUNCHER_REFUSED + 1, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        r->kind = kinds[i];
        refuse(pair, r, HEAD);
    }
    r->kind = LAUNCHER_METER;
    memset(r->text, 'x', sizeof(r->text));
    refuse(pair, r, HEAD);
    r->text[0] = 0;
    memset(r->next, 'x', sizeof(r->next));
    refuse(pair, r, HEAD);
    free(big);
    free(r);
}

static void warrants_belong_to_their_kinds(void **state)
{
    const int *pair = *state;
    struct launcher_record *r = record(LAUNCHER_START, 2);
    size_t whole = launcher_record_bytes(r);
    refuse(pair, r, HEAD); /* START without one */
    refuse(pair, r, whole - 1);
    r->kind = LAUNCHER_STATUS;
    refuse(pair, r, whole);
    r->kind = LAUNCHER_SIGN;
    r->warrant.n = 3;
    refuse(pair, r, whole);
    free(r);
}

static void quiet_and_gone_are_told_apart(void **state)
{
    int *pair = *state;
    struct launcher_record *got = record(0, 0);
    struct err e;
    size_t n;
    assert_int_equal(launcher_recv(pair[1], got, NULL, 0, &n, &e), 1);
    assert_int_equal(errno, EAGAIN);
    base_closep(&pair[0]);
    pair[0] = -1;
    assert_int_equal(launcher_recv(pair[1], got, NULL, 0, &n, &e), 1);
    assert_int_equal(errno, 0);
    free(got);
}

static void refusals_become_errors(void **state)
{
    (void)state;
    struct launcher_record *r = record(LAUNCHER_REFUSED, 0);
    struct err e;
    r->code = WATTQ_E_FORBIDDEN;
    strcpy(r->next, "do that");
    assert_int_equal(launcher_verdict(r, &e), WATTQ_E_FORBIDDEN);
    assert_string_equal(e.text, "text");
    assert_string_equal(e.next, "do that");
    r->code = 12345; /* of some other version */
    assert_int_equal(launcher_verdict(r, &e), WATTQ_E_INTERNAL);
    r->kind = LAUNCHER_OK;
    assert_int_equal(launcher_verdict(r, &e), 0);
    r->kind = LAUNCHER_START;
    assert_int_equal(launcher_verdict(r, &e), WATTQ_E_PROTOCOL);
    free(r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(travels),
        T(too_many_descriptors_are_none),
        T(garbage_is_refused),
        T(warrants_belong_to_their_kinds),
        T(quiet_and_gone_are_told_apart),
        T(refusals_become_errors),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
