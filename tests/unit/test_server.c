/* server: real sockets against the real server on a loop of its own thread; the operations are an echo.
 * What one client does wrong costs that client its connection and nobody else anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "common/units.h"
#include "daemon/api/server.h"

#define PATIENCE_NS (400 * NS_PER_MS)

struct house {
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t quit;
    struct server *server;
    char path[108];
    atomic_int requests, closed;
    _Atomic size_t peers;
    struct peer *held; /* by a reference, over its close */
    uv_async_t release;
    struct peer *kept[256]; /* a reference for each request that is under way */
    atomic_int nkept, kept_ever;
    atomic_bool held_closing;
    uint64_t streamed_lost;
};

/* "keep": is under way until on_release. "echo": n back. "big": `bytes` bytes. "hold": keep a reference. "flood": stream frames. "huge": an answer
 * over a frame. */
static void on_request(void *arg, struct peer *p, const struct wire_val *req)
{
    struct house *h = arg;
    struct wire_out o = {0};
    const char *op = wire_str(req, "op", "");
    int64_t id = wire_int(req, "id", 0);
    h->requests++;
    h->peers = server_peers(h->server);
    if (!strcmp(op, "hold"))
        h->held = peer_ref(p);
    if (!strcmp(op, "keep")) {
        h->kept[h->nkept++] = peer_ref(p);
        h->kept_ever++;
        return;
    }
    if (!strcmp(op, "flood")) {
        char pad[1000] = "";
        memset(pad, 'f', sizeof(pad) - 1);
        wire_out_reset(&o);
        wire_put_str(&o, "pad", pad);
        assert_int_equal(wire_out_finish(&o, NULL), 0);
        for (int64_t i = 0; i < wire_int(req, "n", 0); i++)
            peer_stream_tagged(p, id, &o);
        wire_out_free(&o);
        return;
    }
    wire_out_reset(&o);
    wire_put_int(&o, "id", id);
    wire_put_bool(&o, "ok", true);
    wire_put_int(&o, "uid", peer_uid(p));
    wire_put_int(&o, "pid", peer_pid(p));
    int64_t bytes = wire_int(req, "bytes", 0);
    if (bytes > 0) {
        char *pad = calloc(1, (size_t)bytes);
        wire_put_bin(&o, "pad", pad, (size_t)bytes);
        free(pad);
    }
    peer_send(p, &o);
    wire_out_free(&o);
}

static void on_close(void *arg, struct peer *p)
{
    struct house *h = arg;
    if (h->held == p)
        h->held_closing = peer_closing(p);
    h->closed++;
}

static void on_release(uv_async_t *a)
{
    struct house *h = a->data;
    while (h->nkept > 0)
        peer_unref(h->kept[--h->nkept]);
}

static void on_quit(uv_async_t *a)
{
    struct house *h = a->data;
    on_release(a);
    uv_close((uv_handle_t *)&h->release, NULL);
    if (h->held) {
        struct wire_out o = {0};
        wire_put_int(&o, "late", 1);
        peer_send(h->held, &o); /* to a closed peer: nothing happens */
        wire_out_free(&o);
        peer_unref(h->held);
    }
    server_close(h->server, NULL, NULL);
    uv_close((uv_handle_t *)a, NULL);
}

static void *run_loop(void *arg)
{
    struct house *h = arg;
    uv_run(&h->loop, UV_RUN_DEFAULT);
    return NULL;
}

static int setup(void **state)
{
    struct house *h = calloc(1, sizeof(*h));
    struct err e = {0};
    snprintf(h->path, sizeof(h->path), "/tmp/wattq-server-%d.sock", getpid());
    const struct server_config cfg = {.path = h->path,
                                      .mode = 0600,
                                      .on_request = on_request,
                                      .on_close = on_close,
                                      .arg = h,
                                      .policy = {.owner = geteuid(),
                                                 .meter_group = RIGHTS_NO_GROUP,
                                                 .admin_group = RIGHTS_NO_GROUP},
                                      .patience_ns = PATIENCE_NS};
    uv_loop_init(&h->loop);
    uv_async_init(&h->loop, &h->quit, on_quit);
    h->quit.data = h;
    uv_async_init(&h->loop, &h->release, on_release);
    h->release.data = h;
    if (server_open(&h->server, &h->loop, &cfg, &e) < 0) {
        print_error("%s\n", e.text);
        return -1;
    }
    *state = h;
    return pthread_create(&h->thread, NULL, run_loop, h);
}

static int teardown(void **state)
{
    struct house *h = *state;
    uv_async_send(&h->quit);
    pthread_join(h->thread, NULL);
    int left = uv_loop_close(&h->loop); /* every handle was closed */
    bool gone = access(h->path, F_OK) < 0;
    free(h);
    return left == 0 && gone ? 0 : -1;
}

/* ---- a client ------------------------------------------------------------------------------------ */

static int dial(const struct house *h)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, h->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    while (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        if (errno != EAGAIN)
            fail_msg("connect: %s", strerror(errno));
    return fd;
}

static void put(int fd, const void *data, size_t n)
{
    ssize_t w = send(fd, data, n, MSG_NOSIGNAL);
    assert_true(w == (ssize_t)n || (w < 0 && errno == EPIPE));
}

static void request(int fd, const char *op, int64_t id, const char *key, int64_t value)
{
    struct wire_out o = {0};
    wire_put_str(&o, "op", op);
    wire_put_int(&o, "id", id);
    if (key)
        wire_put_int(&o, key, value);
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    put(fd, o.data, o.bytes);
    wire_out_free(&o);
}

static bool get(int fd, void *data, size_t n)
{
    for (char *p = data; n > 0;) {
        struct pollfd pf = {.fd = fd, .events = POLLIN};
        if (poll(&pf, 1, 10000) <= 0)
            fail_msg("no answer in 10 s");
        ssize_t r = read(fd, p, n);
        if (r <= 0)
            return false;
        p += r;
        n -= (size_t)r;
    }
    return true;
}

/* The next frame; NULL when the server has closed. */
static struct wire_msg *answer(int fd)
{
    uint8_t head[4];
    struct wire_msg *m = NULL;
    if (!get(fd, head, 4))
        return NULL;
    size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    assert_true(n <= WIRE_FRAME_MAX);
    uint8_t *body = malloc(n ? n : 1);
    assert_true(get(fd, body, n));
    assert_int_equal(wire_msg_new(&m, body, n, NULL), 0);
    free(body);
    return m;
}

static int dial_hello(const struct house *h)
{
    int fd = dial(h);
    request(fd, "hello", 1, "version", WIRE_VERSION);
    struct wire_msg *m = answer(fd);
    assert_non_null(m);
    assert_true(wire_bool(wire_msg_root(m), "ok", false));
    assert_int_equal(wire_int(wire_msg_root(m), "uid", -1), geteuid());
    assert_int_equal(wire_int(wire_msg_root(m), "pid", -1), getpid());
    wire_msg_free(m);
    return fd;
}

/* The server answers with this error, then closes. */
static void refused(int fd, const char *code, const char *text)
{
    struct wire_msg *m = answer(fd);
    if (!m)
        fail_msg("closed without a word, expected %s", text);
    const struct wire_val *e = wire_get(wire_msg_root(m), "error");
    if (strcmp(wire_str(e, "code", ""), code) != 0 || !strstr(wire_str(e, "text", ""), text))
        fail_msg("%s: %s", wire_str(e, "code", "?"), wire_str(e, "text", "?"));
    wire_msg_free(m);
    assert_null(answer(fd));
    close(fd);
}

static void still_serves(const struct house *h)
{
    int fd = dial_hello(h);
    request(fd, "echo", 42, NULL, 0);
    struct wire_msg *m = answer(fd);
    assert_int_equal(wire_int(wire_msg_root(m), "id", 0), 42);
    wire_msg_free(m);
    close(fd);
}

/* ---- what is right ------------------------------------------------------------------------------- */

static void test_pieces_and_pipelines(void **state)
{
    int fd = dial_hello(*state);
    struct wire_out o = {0};
    uint8_t all[4000];
    size_t n = 0;
    for (int i = 0; i < 50; i++) { /* many requests, one byte sequence, cut anywhere */
        wire_out_reset(&o);
        wire_put_str(&o, "op", "echo");
        wire_put_int(&o, "id", 1000 + i);
        assert_int_equal(wire_out_finish(&o, NULL), 0);
        memcpy(all + n, o.data, o.bytes);
        n += o.bytes;
    }
    wire_out_free(&o);
    for (size_t at = 0, step = 1; at < n; at += step, step = step % 61 + 3)
        put(fd, all + at, at + step > n ? n - at : step);
    for (int i = 0; i < 50; i++) {
        struct wire_msg *m = answer(fd);
        assert_int_equal(wire_int(wire_msg_root(m), "id", 0), 1000 + i);
        wire_msg_free(m);
    }
    close(fd);
}

static void test_large_frames_both_ways(void **state)
{
    int fd = dial_hello(*state);
    struct wire_out o = {0};
    char *pad = calloc(1, 1000000);
    wire_put_str(&o, "op", "echo");
    wire_put_int(&o, "bytes", 1000000);
    wire_put_bin(&o, "pad", pad, 1000000);
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    put(fd, o.data, o.bytes);
    struct wire_msg *m = answer(fd);
    size_t n = 0;
    assert_non_null(wire_bin(wire_msg_root(m), "pad", &n));
    assert_int_equal(n, 1000000);
    wire_msg_free(m);
    wire_out_free(&o);
    free(pad);
    close(fd);
}

static void test_mode_of_the_socket(void **state)
{
    const struct house *h = *state;
    struct stat st;
    assert_int_equal(stat(h->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_a_reference_outlives_the_connection(void **state)
{
    struct house *h = *state;
    int fd = dial_hello(h);
    request(fd, "hold", 1, NULL, 0);
    wire_msg_free(answer(fd));
    int before = h->closed;
    close(fd);
    while (h->closed == before)
        usleep(1000);
    assert_true(h->held_closing);
}

/* ---- what is wrong ------------------------------------------------------------------------------- */

static void test_hello_comes_first(void **state)
{
    int fd = dial(*state);
    request(fd, "queue", 1, NULL, 0);
    refused(fd, "protocol", "hello");
    still_serves(*state);
}

static void test_another_version_names_both(void **state)
{
    int fd = dial(*state);
    request(fd, "hello", 1, "version", 99);
    refused(fd, "version", "version 99 of the protocol, wattqd " WATTQ_VERSION " speaks version 1");
    still_serves(*state);
}

static void test_malformed_frames(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *code, *text;
    } rows[] = {
        {"\xff\xff\xff\xff", 4, "limit", "4294967295"}, /* before hello: 4 KiB */
        {"\0\0\x10\x01", 4, "limit", "4097"},
        {"\0\0\0\x05\xdf\x10\0\0\0", 9, "protocol", "more elements"}, /* asks for 8 GiB */
        {"\0\0\0\0", 4, "protocol", "ends inside"},
        {"\0\0\0\x01\xc1", 5, "protocol", ""},
        {"GET / HTTP/1.1\r\n\r\n", 18, "limit", "frame"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int fd = dial(*state);
        put(fd, rows[i].bytes, rows[i].n);
        refused(fd, rows[i].code, rows[i].text);
    }
    int fd = dial_hello(*state); /* and after hello: 1 MiB */
    put(fd, "\0\x10\0\x01", 4);
    refused(fd, "limit", "1048577");
    fd = dial_hello(*state);
    put(fd, "\0\0\0\x02\x81\xa1", 6);
    refused(fd, "protocol", "malformed");
    still_serves(*state);
}

static void test_half_a_frame_has_its_time(void **state)
{
    int64_t t0 = clock_mono_ns();
    int silent = dial(*state);
    int half = dial(*state);
    put(half, "\0\0", 2);
    int late = dial_hello(*state);
    put(late, "\0\0\1\0\x81", 5);
    refused(silent, "protocol", "no hello");
    refused(half, "protocol", "not finished");
    refused(late, "protocol", "not finished");
    int64_t took = clock_mono_ns() - t0;
    assert_true(took >= PATIENCE_NS);
    /* A connection that has said hello may be silent for as long as it likes. */
    int idle = dial_hello(*state);
    usleep((unsigned)(2 * PATIENCE_NS / 1000));
    request(idle, "echo", 3, NULL, 0);
    struct wire_msg *m = answer(idle);
    assert_non_null(m);
    wire_msg_free(m);
    close(idle);
}

static void test_trickle_does_not_buy_time(void **state)
{
    int fd = dial_hello(*state);
    int64_t t0 = clock_mono_ns();
    put(fd, "\0\0\1\0", 4);
    struct pollfd pf = {.fd = fd, .events = POLLIN};
    while (poll(&pf, 1, 20) == 0 && clock_mono_ns() - t0 < 5 * PATIENCE_NS)
        put(fd, "\x80", 1);
    assert_true(clock_mono_ns() - t0 < 5 * PATIENCE_NS);
    close(fd);
}

/* Replies that nobody reads: closed at 8 MiB, not kept for ever. */
static void test_replies_nobody_reads(void **state)
{
    struct house *h = *state;
    int fd = dial_hello(h);
    int before = h->closed;
    for (int i = 0; i < 20; i++)
        request(fd, "echo", i, "bytes", 900000);
    for (int i = 0; i < 5000 && h->closed == before; i++)
        usleep(1000);
    assert_int_equal(h->closed, before + 1);
    close(fd);
    still_serves(h);
}

/* Stream frames that nobody reads: the oldest are dropped, the reader is told how many, it goes on. */
static void wait_for(atomic_int *what, int n)
{
    for (int ms = 0; ms < 5000 && *what != n; ms++)
        usleep(1000);
    assert_int_equal(*what, n);
}

/* So many of a connection are under way at a time; the rest is taken as they are done, in order and whole. */
static void test_more_requests_than_are_answered(void **state)
{
    struct house *h = *state;
    int fd = dial_hello(h);
    for (int i = 0; i < 3 * SERVER_PENDING_MAX; i++)
        request(fd, "keep", i, NULL, 0);
    request(fd, "echo", 7, NULL, 0);
    for (int round = 1; round <= 3; round++) {
        wait_for(&h->kept_ever, round * SERVER_PENDING_MAX);
        usleep(20000);
        assert_int_equal(h->kept_ever, round * SERVER_PENDING_MAX);
        still_serves(h);
        uv_async_send(&h->release);
    }
    struct wire_msg *m = answer(fd);
    assert_int_equal(wire_int(wire_msg_root(m), "id", 0), 7);
    wire_msg_free(m);
    close(fd);
    wait_for(&h->nkept, 0);
}

static void test_a_slow_reader_is_told_what_it_lost(void **state)
{
    struct house *h = *state;
    int fd = dial_hello(h);
    const int64_t n = 5000;
    int64_t got = 0;
    int64_t lost = 0;
    int before = h->requests;
    request(fd, "flood", 7, "n", n);
    while (h->requests == before)
        usleep(1000);
    request(fd, "flood", 7, "n", 1); /* carries what was lost */
    request(fd, "echo", 8, NULL, 0);
    for (;;) {
        struct wire_msg *m = answer(fd);
        assert_non_null(m);
        int64_t id = wire_int(wire_msg_root(m), "id", 0);
        lost += wire_int(wire_msg_root(m), "lost", 0);
        got += id == 7;
        wire_msg_free(m);
        if (id == 8)
            break;
    }
    assert_true(lost > 0);
    assert_int_equal(got + lost, n + 1);
    close(fd);
}

static void test_an_answer_too_long_says_so(void **state)
{
    int fd = dial_hello(*state);
    request(fd, "echo", 1, "bytes", WIRE_FRAME_MAX);
    refused(fd, "limit", "one frame");
    still_serves(*state);
}

static size_t resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_true(f && fscanf(f, "%*d %ld", &pages) == 1);
    fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void test_a_thousand_half_open_clients(void **state)
{
    struct house *h = *state;
    struct rlimit lim;
    getrlimit(RLIMIT_NOFILE, &lim);
    lim.rlim_cur = lim.rlim_max < 4096 ? lim.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &lim);
    if (lim.rlim_cur < 2200) {
        print_message("skipped: needs 2200 open files, may have %ld\n", (long)lim.rlim_cur);
        skip();
    }
    still_serves(h);
    size_t before = resident_kib();
    int fds[1000];
    for (int i = 0; i < 1000; i++) {
        fds[i] = dial(h);
        put(fds[i], "\0\0\x0f\xff\x81\xa2", 6); /* promises 4 KiB, sends 2 bytes */
    }
    int64_t worst = 0;
    int good = dial_hello(h);
    for (int i = 0; i < 200; i++) {
        int64_t t0 = clock_mono_ns();
        request(good, "echo", i, NULL, 0);
        wire_msg_free(answer(good));
        int64_t t = clock_mono_ns() - t0;
        worst = t > worst ? t : worst;
    }
    size_t grown = resident_kib() - before;
    print_message("1000 half-open clients: +%zu KiB, worst answer beside them %.2f ms\n", grown,
                  (double)worst / 1e6);
    /* Under a sanitizer memory is several times as large; the bound of 12 MB has room for it. */
    assert_true(grown < 12 * 1024);
    assert_true(worst < NS_PER_S / 4);
    for (int i = 0; i < 1000; i++)
        refused(fds[i], "protocol", "");
    close(good);
    still_serves(h);
}

/* ---- the path ------------------------------------------------------------------------------------ */

static int try_open(const char *path, struct err *e)
{
    uv_loop_t loop;
    struct server *s = NULL;
    const struct server_config cfg = {
        .path = path, .mode = 0600, .policy = {.visibility = RIGHTS_FULL}};
    uv_loop_init(&loop);
    int rc = server_open(&s, &loop, &cfg, e);
    server_close(s, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return rc;
}

static void test_paths(void **state)
{
    const struct house *h = *state;
    struct err e = {0};
    char path[140] = "/tmp/";
    memset(path + 5, 's', 110);
    assert_int_equal(try_open(path, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.next, "--socket"));
    assert_int_equal(try_open(h->path, &e), WATTQ_E_CONFLICT); /* alive */
    assert_non_null(strstr(e.text, h->path));
    still_serves(h);
    assert_int_equal(try_open("/nonexistent/x.sock", &e), WATTQ_E_IO);

    /* Dead: bound, then its owner went away. */
    snprintf(path, sizeof(path), "/tmp/wattq-dead-%d.sock", getpid());
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    base_strcpy(a.sun_path, sizeof(a.sun_path), path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    close(fd);
    assert_int_equal(try_open(path, &e), 0);
    assert_true(access(path, F_OK) < 0); /* removed at the close */

    FILE *f = fopen(path, "w"); /* somebody's file is not ours to remove */
    fclose(f);
    assert_int_equal(try_open(path, &e), WATTQ_E_CONFLICT);
    assert_int_equal(unlink(path), 0);
}

static void test_another_user(void **state)
{
    struct house *h = *state;
    if (geteuid() != 0) {
        print_message("skipped: needs root to become somebody else\n");
        skip();
    }
    assert_int_equal(chmod(h->path, 0666), 0);
    assert_int_equal(seteuid(12345), 0); /* SO_PEERCRED names the effective uid */
    int fd = dial(h);
    assert_int_equal(seteuid(0), 0);
    request(fd, "hello", 1, "version", WIRE_VERSION);
    refused(fd, "forbidden", "12345");
    still_serves(h);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_pieces_and_pipelines),
        T(test_large_frames_both_ways),
        T(test_mode_of_the_socket),
        T(test_a_reference_outlives_the_connection),
        T(test_hello_comes_first),
        T(test_another_version_names_both),
        T(test_malformed_frames),
        T(test_half_a_frame_has_its_time),
        T(test_trickle_does_not_buy_time),
        T(test_replies_nobody_reads),
        T(test_more_requests_than_are_answered),
        T(test_a_slow_reader_is_told_what_it_lost),
        T(test_an_answer_too_long_says_so),
        T(test_a_thousand_half_open_clients),
        T(test_paths),
        T(test_another_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
