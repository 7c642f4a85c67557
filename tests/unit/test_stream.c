/* stream: who is told of which move, once; a wait ends by itself; nothing stays after a peer has gone. The
 * moves are made by the test, the server, the sockets and the subscriptions are real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/api/stream.h"

#define CLIENTS 4

struct house {
    uv_loop_t loop;
    struct server *server;
    struct streams *streams;
    struct peer *peers[CLIENTS]; /* in order of their hello */
    int fds[CLIENTS];
    int npeers;
    bool closed;
};

static void put_run(void *arg, struct wire_out *o, const char *key, const struct queue_run *r,
                    const struct rights *as)
{
    (void)arg;
    wire_begin_map(o, key);
    wire_put_int(o, "run", r->row->id);
    wire_put_str(o, "state", run_state_name(r->row->state));
    wire_put_bool(o, "seen", rights_may_see(as, r->row->uid));
    wire_end(o);
}

static void on_request(void *arg, struct peer *p, const struct wire_val *req)
{
    struct house *h = arg;
    (void)req;
    h->peers[h->npeers++] = p;
}

static void on_close(void *arg, struct peer *p)
{
    struct house *h = arg;
    if (h->streams)
        stream_drop_peer(h->streams, p);
}

static void turn(struct house *h)
{
    for (int i = 0; i < 20; i++)
        uv_run(&h->loop, UV_RUN_NOWAIT);
}

static int setup(void **state)
{
    struct house *h = calloc(1, sizeof(*h));
    char path[64];
    snprintf(path, sizeof(path), "/tmp/wattq-stream-%d.sock", getpid());
    const struct server_config cfg = {.path = path,
                                      .mode = 0600,
                                      .on_request = on_request,
                                      .on_close = on_close,
                                      .arg = h,
                                      .policy = {.visibility = RIGHTS_FULL}};
    const struct streams_config sc = {.loop = &h->loop, .put_run = put_run, .arg = h};
    uv_loop_init(&h->loop);
    h->streams = streams_new(&sc);
    if (server_open(&h->server, &h->loop, &cfg, NULL) < 0)
        return -1;
    for (int i = 0; i < CLIENTS; i++) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        strcpy(a.sun_path, path);
        h->fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(h->fds[i], (struct sockaddr *)&a, sizeof(a)) < 0)
            return -1;
        struct wire_out o = {0};
        wire_put_str(&o, "op", "hello");
        wire_put_int(&o, "version", WIRE_VERSION);
        if (wire_out_finish(&o, NULL) < 0 || base_write_all(h->fds[i], o.data, o.bytes) < 0)
            return -1;
        wire_out_free(&o);
        turn(h);
    }
    *state = h;
    return h->npeers == CLIENTS ? 0 : -1;
}

static void on_closed(void *arg)
{
    ((struct house *)arg)->closed = true;
}

static int teardown(void **state)
{
    struct house *h = *state;
    streams_close(h->streams, on_closed, h);
    server_close(h->server, NULL, NULL);
    h->streams = NULL;
    for (int i = 0; i < CLIENTS; i++)
        close(h->fds[i]);
    turn(h);
    int left = uv_loop_close(&h->loop);
    bool ok = h->closed && left == 0;
    free(h);
    return ok ? 0 : -1;
}

static void move(struct house *h, int64_t id, int64_t sweep, enum run_state from, enum run_state to)
{
    const struct run_row row = {.id = id, .sweep = sweep, .state = to};
    stream_on_change(h->streams, &(struct queue_run){.row = &row}, from);
    turn(h);
}

/* Everything that client i was sent, as "id:run:state[.]" words; the dot says that it was the last. */
static const char *heard(const struct house *h, int i)
{
    static char text[512];
    static uint8_t buf[1 << 16];
    ssize_t n = read(h->fds[i], buf, sizeof(buf));
    text[0] = '\0';
    for (size_t at = 0; n > 0 && at < (size_t)n;) {
        size_t total = 0;
        struct wire_msg *m = NULL;
        assert_int_equal(wire_frame_bytes(buf + at, (size_t)n - at, WIRE_FRAME_MAX, &total, NULL),
                         0);
        assert_int_equal(wire_msg_new(&m, buf + at + 4, total - 4, NULL), 0);
        const struct wire_val *r = wire_msg_root(m);
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, "%s%d:%d:%s%s", len ? " " : "",
                 (int)wire_int(r, "id", -1), (int)wire_int(wire_get(r, "run"), "run", -1),
                 wire_str(wire_get(r, "run"), "state", "?"),
                 wire_bool(r, "more", false) ? "" : ".");
        wire_msg_free(m);
        at += total;
    }
    return text;
}

static const struct stream_filter all = {.sweep = RUN_NONE};

static void test_watchers_hear_what_they_asked_for(void **state)
{
    struct house *h = *state;
    const int64_t two[] = {9, 3};
    const struct stream_filter list = {.runs = two, .n = 2, .sweep = RUN_NONE};
    const struct stream_filter sweep = {.sweep = 5};
    assert_int_equal(stream_watch_subscribe(h->streams, h->peers[0], 1, &all, NULL), 0);
    assert_int_equal(stream_watch_subscribe(h->streams, h->peers[1], 2, &list, NULL), 0);
    assert_int_equal(stream_watch_subscribe(h->streams, h->peers[2], 3, &sweep, NULL), 0);
    move(h, 3, RUN_NONE, RUN_QUEUED, RUN_STARTING);
    move(h, 4, 5, RUN_QUEUED, RUN_CANCELLED);
    move(h, 9, 5, RUN_STARTING, RUN_RUNNING);
    assert_string_equal(heard(h, 0), "1:3:starting 1:4:cancelled 1:9:running");
    assert_string_equal(heard(h, 1), "2:3:starting 2:9:running");
    assert_string_equal(heard(h, 2), "3:4:cancelled 3:9:running");
    assert_string_equal(heard(h, 3), "");
}

static void test_a_wait_answers_each_run_once_and_ends(void **state)
{
    struct house *h = *state;
    const int64_t runs[] = {2, 1};
    const struct stream_filter f = {.runs = runs, .n = 2, .sweep = RUN_NONE};
    assert_int_equal(
        stream_wait_subscribe(h->streams, h->peers[0], 7, &f, STREAM_UNTIL_ENDED, 2, NULL), 0);
    move(h, 1, RUN_NONE, RUN_QUEUED, RUN_STARTING);
    move(h, 1, RUN_NONE, RUN_STARTING, RUN_RUNNING);
    move(h, 1, RUN_NONE, RUN_STOPPING, RUN_DONE);
    move(h, 1, RUN_NONE, RUN_DONE, RUN_DONE); /* figures that came later */
    move(h, 5, RUN_NONE, RUN_STOPPING, RUN_DONE);
    assert_string_equal(heard(h, 0), "7:1:done");
    move(h, 2, RUN_NONE, RUN_QUEUED, RUN_SKIPPED);
    assert_string_equal(heard(h, 0), "7:2:skipped.");
    assert_int_equal(stream_subscribers(h->streams), 0);
}

static void test_until_started(void **state)
{
    struct house *h = *state;
    const struct stream_filter sweep = {.sweep = 8};
    assert_int_equal(
        stream_wait_subscribe(h->streams, h->peers[0], 1, &sweep, STREAM_UNTIL_STARTED, 3, NULL),
        0);
    move(h, 1, 8, RUN_QUEUED, RUN_STARTING); /* at the gate is not started */
    move(h, 1, 8, RUN_STARTING, RUN_RUNNING);
    move(h, 1, 8, RUN_RUNNING, RUN_PAUSED);
    move(h, 1, 8, RUN_PAUSED, RUN_RUNNING);
    move(h, 1, 8, RUN_RUNNING, RUN_STOPPING);
    move(h, 1, 8, RUN_STOPPING, RUN_DONE);
    move(h, 2, 8, RUN_STARTING, RUN_STOPPING); /* so short that it was never seen running */
    move(h, 2, 8, RUN_STOPPING, RUN_DONE);
    assert_string_equal(heard(h, 0), "1:1:running 1:2:stopping");
    move(h, 3, 8, RUN_QUEUED, RUN_CANCELLED); /* ended without a start: waiting on is no use */
    assert_string_equal(heard(h, 0), "1:3:cancelled.");
}

static void test_a_peer_that_goes_takes_its_subscriptions(void **state)
{
    struct house *h = *state;
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(stream_watch_subscribe(h->streams, h->peers[i], i, &all, NULL), 0);
    close(h->fds[1]);
    turn(h);
    assert_int_equal(stream_subscribers(h->streams), CLIENTS - 1);
    move(h, 1, RUN_NONE, RUN_QUEUED, RUN_STARTING);
    assert_string_equal(heard(h, 0), "0:1:starting");
    assert_string_equal(heard(h, 2), "2:1:starting");
    h->fds[1] = dup(h->fds[0]); /* teardown closes it */
}

static void test_bounds(void **state)
{
    struct house *h = *state;
    struct err e = {0};
    assert_int_equal(stream_power_subscribe(h->streams, h->peers[0], 1, 99 * NS_PER_MS, &e),
                     WATTQ_E_USAGE);
    assert_non_null(strstr(e.next, "100ms"));
    int64_t *many = calloc(STREAM_RUNS_MAX + 1, sizeof(*many));
    const struct stream_filter f = {.runs = many, .n = STREAM_RUNS_MAX + 1, .sweep = RUN_NONE};
    assert_int_equal(stream_watch_subscribe(h->streams, h->peers[0], 1, &f, &e), WATTQ_E_LIMIT);
    free(many);
    for (int i = 0; i < STREAM_PER_PEER; i++)
        assert_int_equal(stream_watch_subscribe(h->streams, h->peers[0], i, &all, NULL), 0);
    assert_int_equal(stream_watch_subscribe(h->streams, h->peers[0], 99, &all, &e), WATTQ_E_LIMIT);
    assert_int_equal(stream_watch_subscribe(h->streams, h->peers[1], 1, &all, &e), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_watchers_hear_what_they_asked_for),
        T(test_a_wait_answers_each_run_once_and_ends),
        T(test_until_started),
        T(test_a_peer_that_goes_takes_its_subscriptions),
        T(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
