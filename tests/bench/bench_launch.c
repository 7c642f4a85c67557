/* From launch_start to the run's first instruction, step by step, with a shepherd that stands ready as it does on an
 * idle queue. Prints ours and the limit's share: the two waits for the disk that a start needs (the run's directory,
 * the gate's note), measured beside it.
 *
 *   bench_launch SHEPHERD [RUNS]      e.g. bench_launch build/daemon/wattq-shepherd 100 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch.h"

#define RUNS_MAX 1000
#define STEPS    5
#define READY_US 3000

static const char *const step_names[STEPS] = {
    "directory and files made, shepherd told", "child at the gate, directory durable",
    "GO to open gate (gate's note, durable)", "open gate to first instruction", "all"};

struct bench {
    uv_loop_t loop;
    struct launch *l;
    char dir[64];
    bool at_gate, ended;
    int64_t t0_ns;
};

static void on_event(void *arg, const struct launch_event *ev)
{
    struct bench *b = arg;
    b->at_gate |= ev->kind == LAUNCH_AT_GATE;
    b->ended |= ev->kind == LAUNCH_ENDED || ev->kind == LAUNCH_LOST;
    if (ev->kind == LAUNCH_STARTED)
        b->t0_ns = ev->t_ns;
}

static void turn_until(struct bench *b, const bool *flag)
{
    while (!*flag)
        uv_run(&b->loop, UV_RUN_ONCE);
}

static int64_t first_instruction(struct bench *b, int64_t id)
{
    char text[64] = "";
    int fd CLEANUP(base_closep) = launch_open_file(b->l, id, "log", NULL);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return -1;
    return strtoll(text, NULL, 10);
}

static int once(struct bench *b, int64_t id, char *stamp, int64_t v[STEPS])
{
    struct err e;
    char cwd[] = "/", *argv[] = {stamp, NULL}, *env[] = {NULL};
    struct launch_block block = {
        .run_id = id, .token = id, .umask = 022, .argv = argv, .env = env, .cwd = cwd};
    b->at_gate = b->ended = false;
    launch_get_ready(b->l); /* while wattqd would wait for the claim's commit */
    usleep(READY_US);
    int64_t a_ns = clock_boot_ns();
    if (launch_start(b->l, &block, NULL, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return -1;
    }
    v[0] = clock_boot_ns();
    turn_until(b, &b->at_gate);
    v[1] = clock_boot_ns();
    if (launch_go(b->l, id, id, &e) < 0)
        return -1;
    turn_until(b, &b->ended);
    v[2] = b->t0_ns;
    v[3] = first_instruction(b, id);
    launch_ack(b->l, id);
    if (v[3] < 0)
        return -1;
    v[4] = v[3] - a_ns;
    for (int i = 3; i > 0; i--)
        v[i] -= v[i - 1];
    v[0] -= a_ns;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double median_ms(int64_t *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_value);
    return (double)v[n / 2] / 1e6;
}

/* What the disk takes for one durable overwrite. */
static double disk_ms(const char *dir, size_t n)
{
    static int64_t v[RUNS_MAX];
    char *path CLEANUP(base_freep) = base_printf("%s/disk", dir);
    int fd CLEANUP(base_closep) = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (size_t i = 0; i < n; i++) {
        int64_t a_ns = clock_boot_ns();
        if (pwrite(fd, &i, sizeof(i), 0) < 0 || fdatasync(fd) < 0)
            return -1;
        v[i] = clock_boot_ns() - a_ns;
    }
    return median_ms(v, n);
}

int main(int argc, char **argv)
{
    static int64_t v[STEPS][RUNS_MAX];
    size_t n = argc > 2 ? (size_t)atoi(argv[2]) : 100;
    char stamp[WATTQ_PATH_MAX] = "";
    struct bench b = {.dir = "/var/tmp/wattq-bench-XXXXXX"}; /* on a disk, unlike perhaps /tmp */
    struct err e;
    if (argc < 2 || n < 1 || n > RUNS_MAX || !mkdtemp(b.dir) ||
        readlink("/proc/self/exe", stamp, sizeof(stamp) - 1) <= 0) {
        fprintf(stderr, "usage: bench_launch SHEPHERD [1..%d]\n", RUNS_MAX);
        return 2;
    }
    char *name = strrchr(stamp, '/') + 1;
    base_strcpy(name, sizeof(stamp) - (size_t)(name - stamp), "bench_stamp");
    uv_loop_init(&b.loop);
    struct launch_config cfg = {
        .runs_dir = b.dir, .shepherd_path = argv[1], .on_event = on_event, .arg = &b};
    if (launch_open(&b.l, &b.loop, &cfg, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t row[STEPS];
        if (once(&b, (int64_t)i + 1, stamp, row) < 0)
            return 1;
        for (int s = 0; s < STEPS; s++)
            v[s][i] = row[s];
    }
    printf("%zu runs, %s\n", n, launch_mode(b.l));
    for (int s = 0; s < STEPS; s++)
        qsort(v[s], n, sizeof(v[s][0]), by_value);
    for (int s = 0; s < STEPS; s++)
        printf("%-40s p50 %7.2f ms   p99 %7.2f ms\n", step_names[s], (double)v[s][n / 2] / 1e6,
               (double)v[s][n * 99 / 100] / 1e6);
    double disk = disk_ms(b.dir, n), all = (double)v[4][n / 2] / 1e6;
    printf("one durable write on this disk           p50 %7.2f ms   ratio %.1f   target 5 ms\n",
           disk, all / disk);
    launch_close(b.l, NULL, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    uv_loop_close(&b.loop);
    char *cmd CLEANUP(base_freep) = base_printf("rm -rf '%s'", b.dir);
    return system(cmd) == 0 ? 0 : 1;
}
