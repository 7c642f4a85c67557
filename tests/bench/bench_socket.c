/* The socket: request round trip of one client, and the cost of 1000 subscribers at 10 Hz.
 * Prints ours, the target (docs: numbers to reach) and the ratio; never fails for being slow.
 * A round trip is bounded below by two wakes and four copies: the same exchange between two processes on a
 * bare socketpair is printed beside it as the limit. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/api/server.h"

#define ROUNDS      20000
#define SUBSCRIBERS 1000
#define SECONDS     10
#define CHANNELS    20

struct bench {
    uv_loop_t loop;
    struct server *server;
    uv_timer_t tick;
    struct peer *subs[SUBSCRIBERS];
    int nsubs;
    struct wire_out frame;
    int64_t cpu0_us, cpu_us; /* of this process, from the last subscription to the end */
    int ticks;
    int64_t frames;
};

static int64_t cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000) + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

/* About what a live power frame of 20 channels holds. */
static void encode(struct wire_out *o)
{
    wire_out_reset(o);
    wire_put_bool(o, "ok", true);
    wire_put_int(o, "t_ns", clock_boot_ns());
    wire_begin_array(o, "channels");
    for (int i = 0; i < CHANNELS; i++) {
        wire_begin_map(o, NULL);
        wire_put_int(o, "channel", i + 1);
        wire_put_str(o, "label", "package-0");
        wire_put_int(o, "power_uw", 12345678 + i);
        wire_put_str(o, "quality", "modelled");
        wire_end(o);
    }
    wire_end(o);
}

static void on_tick(uv_timer_t *t)
{
    struct bench *b = t->data;
    encode(&b->frame);
    if (wire_out_finish(&b->frame, NULL) < 0)
        abort();
    for (int i = 0; i < b->nsubs; i++)
        peer_stream_tagged(b->subs[i], i, &b->frame);
    b->frames += b->nsubs;
    if (++b->ticks == SECONDS * 10) {
        b->cpu_us = cpu_us() - b->cpu0_us;
        uv_timer_stop(t);
        uv_stop(&b->loop);
    }
}

static void on_request(void *arg, struct peer *p, const struct wire_val *req)
{
    struct bench *b = arg;
    if (!strcmp(wire_str(req, "op", ""), "power") && b->nsubs < SUBSCRIBERS) {
        b->subs[b->nsubs++] = p;
        if (b->nsubs == SUBSCRIBERS) {
            b->cpu0_us = cpu_us();
            uv_timer_start(&b->tick, on_tick, 100, 100);
        }
        return;
    }
    struct wire_out o = {0};
    encode(&o);
    wire_put_int(&o, "id", wire_int(req, "id", 0));
    peer_send(p, &o);
    wire_out_free(&o);
}

static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    base_strcpy(a.sun_path, sizeof(a.sun_path), path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    while (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        if (errno != EAGAIN)
            return -1;
    return fd;
}

static void send_op(int fd, const char *op)
{
    struct wire_out o = {0};
    wire_put_str(&o, "op", op);
    wire_put_int(&o, "version", WIRE_VERSION);
    if (wire_out_finish(&o, NULL) < 0 || base_write_all(fd, o.data, o.bytes) < 0)
        _exit(1);
    wire_out_free(&o);
}

static void receive(int fd)
{
    static uint8_t buf[65536];
    size_t have = 0;
    size_t total = 0;
    do {
        ssize_t n = read(fd, buf + have, sizeof(buf) - have);
        if (n <= 0 || wire_frame_bytes(buf, have += (size_t)n, WIRE_FRAME_MAX, &total, NULL) < 0)
            _exit(1);
    } while (total == 0 || have < total);
}

static int compare(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static void report(const char *what, int64_t *t, double p50_us, double p99_us)
{
    qsort(t, ROUNDS, sizeof(*t), compare);
    double p50 = (double)t[ROUNDS / 2] / 1e3;
    double p99 = (double)t[ROUNDS / 100 * 99] / 1e3;
    if (p50_us > 0)
        printf("%-34s p50 %6.1f us (target %.0f, x%.2f)  p99 %6.1f us (target %.0f, x%.2f)\n", what,
               p50, p50_us, p50 / p50_us, p99, p99_us, p99 / p99_us);
    else
        printf("%-34s p50 %6.1f us                     p99 %6.1f us\n", what, p50, p99);
    fflush(stdout);
}

/* The limit: the same bytes between two processes, blocking reads, nothing else. */
static void bare_round_trips(void)
{
    static int64_t t[ROUNDS];
    int sv[2];
    char req[24] = "";
    char rep[1400] = "";
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) < 0)
        return;
    if (fork() == 0) {
        close(sv[0]);
        while (read(sv[1], req, sizeof(req)) > 0)
            if (write(sv[1], rep, sizeof(rep)) < 0)
                break;
        _exit(0);
    }
    close(sv[1]);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t t0 = clock_mono_ns();
        if (write(sv[0], req, sizeof(req)) < 0 || read(sv[0], rep, sizeof(rep)) <= 0)
            break;
        t[i] = clock_mono_ns() - t0;
    }
    close(sv[0]);
    wait(NULL);
    report("limit: bare socketpair", t, 0, 0);
}

static void client_round_trips(const char *path)
{
    static int64_t t[ROUNDS];
    int fd = dial(path);
    send_op(fd, "hello");
    receive(fd);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t t0 = clock_mono_ns();
        send_op(fd, "queue");
        receive(fd);
        t[i] = clock_mono_ns() - t0;
    }
    close(fd);
    report("request round trip, 1 client", t, 65, 170);
}

static void client_subscribers(const char *path)
{
    static struct pollfd p[SUBSCRIBERS];
    static char buf[65536];
    for (int i = 0; i < SUBSCRIBERS; i++) {
        p[i] = (struct pollfd){.fd = dial(path), .events = POLLIN};
        send_op(p[i].fd, "hello");
        receive(p[i].fd);
    }
    for (int i = 0; i < SUBSCRIBERS; i++)
        send_op(p[i].fd, "power");
    for (;;) {
        if (poll(p, SUBSCRIBERS, -1) < 0)
            return;
        for (int i = 0; i < SUBSCRIBERS; i++)
            if (p[i].revents && read(p[i].fd, buf, sizeof(buf)) <= 0)
                return;
    }
}

int main(void)
{
    struct bench *b = base_alloc(sizeof(*b));
    struct rlimit lim = {4096, 4096};
    char path[64];
    struct err e = {0};
    setrlimit(RLIMIT_NOFILE, &lim);
    snprintf(path, sizeof(path), "/tmp/wattq-bench-%d.sock", getpid());
    bare_round_trips();
    uv_loop_init(&b->loop);
    uv_timer_init(&b->loop, &b->tick);
    b->tick.data = b;
    const struct server_config cfg = {.path = path,
                                      .mode = 0600,
                                      .on_request = on_request,
                                      .arg = b,
                                      .policy = {.visibility = RIGHTS_FULL}};
    if (server_open(&b->server, &b->loop, &cfg, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        client_round_trips(path);
        client_subscribers(path);
        _exit(0);
    }
    uv_run(&b->loop, UV_RUN_DEFAULT);
    double percent = (double)b->cpu_us / (SECONDS * 1e4);
    printf("%-34s %.2f %% of a core (target 4, x%.2f), %.2f us per frame of %zu bytes\n",
           "1000 subscribers at 10 Hz", percent, percent / 4, (double)b->cpu_us / (double)b->frames,
           b->frame.bytes);
    server_close(b->server, NULL, NULL);
    uv_close((uv_handle_t *)&b->tick, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    wait(NULL);
    wire_out_free(&b->frame);
    int left = uv_loop_close(&b->loop);
    free(b);
    return left != 0;
}
