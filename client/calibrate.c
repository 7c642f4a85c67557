/* Half a second of wattq-train on each of three networks, and what the machine drew meanwhile. */
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <jansson.h>

#include "client/cost.h"
#include "client/print.h"
#include "common/units.h"
#include "daemon/model/opcount.h"

#define DATA         "adult"
#define STANDIN      "standin:adult"
#define LAYERS       4
#define SECONDS      "0.4"
#define UNSETTLED_NS (NS_PER_S * 3 / 10)

static const int64_t sizes[COST_POINTS] = {1 << 8, 1 << 14, 1 << 20};

/* ---- one network ---------------------------------------------------------------------------------- */

static int spawn_train(const char *program, char *const *argv, const char *metrics)
{
    extern char **environ;
    posix_spawn_file_actions_t files;
    pid_t pid = -1;
    int status = 0;
    size_t n = 0;
    while (environ[n])
        n++;
    char *mine CLEANUP(base_freep) = base_printf("WATTQ_METRICS=%s", metrics);
    char **env CLEANUP(base_freep) = base_alloc((n + 2) * sizeof *env);
    env[0] = mine;
    memcpy(env + 1, environ, n * sizeof *env);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    int rc = posix_spawn(&pid, program, &files, NULL, argv, env);
    posix_spawn_file_actions_destroy(&files);
    if (rc != 0)
        return -1;
    while (waitpid(pid, &status, 0) != pid)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

struct told { /* by the trainer's summary; 0 = not told */
    double rows, train_s, test_s;
};

static void read_summary(struct told *t, const char *path)
{
    char line[8192];
    FILE *f = fopen(path, "re");
    *t = (struct told){0};
    while (f && fgets(line, sizeof line, f)) {
        json_t *doc = json_loads(line, 0, NULL);
        const json_t *s = json_object_get(doc, "summary");
        if (s) {
            t->rows = json_number_value(json_object_get(s, "rows_train_seen"));
            t->train_s = json_number_value(json_object_get(s, "train_ns")) / 1e9;
            t->test_s = json_number_value(json_object_get(s, "test_ns")) / 1e9;
        }
        json_decref(doc);
    }
    if (f)
        (void)fclose(f);
}

static int run_one(struct told *t, double *wall_s, const char *program, int64_t size,
                   char *const *extra, size_t nextra)
{
    char path[] = "/tmp/wattq-calibrate-XXXXXX";
    char number[24];
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    (void)close(fd);
    (void)snprintf(number, sizeof number, "%lld", (long long)size);
    const char *const words[] = {"wattq-train", "--dataset", STANDIN,    "--shape", "rectangle",
                                 "--depth",     "4",         "--epochs", "1000000", "--max-seconds",
                                 SECONDS,       "--size",    number};
    char **argv CLEANUP(base_freep) = base_alloc((ARRAY_LEN(words) + nextra + 1) * sizeof *argv);
    char *copies[ARRAY_LEN(words)];
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        argv[i] = copies[i] = base_strdup(words[i]);
    for (size_t i = 0; i < nextra; i++)
        argv[ARRAY_LEN(words) + i] = extra[i];
    int64_t t0 = clock_mono_ns();
    int rc = spawn_train(program, argv, path);
    *wall_s = (double)(clock_mono_ns() - t0) / 1e9;
    if (rc == 0)
        read_summary(t, path);
    (void)unlink(path);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        free(copies[i]);
    return rc == 0 && t->rows > 0 && t->train_s > 0 ? 0 : -1;
}

static int measure_point(struct cost_point *p, double *number_s, const char *program, int64_t size,
                         char *const *extra, size_t nextra)
{
    const struct net_dataset *data = net_dataset_find(DATA);
    struct net net;
    struct told t;
    struct opcount ops;
    struct err e;
    double wall_s;
    if (net_search(&net, NET_RECTANGLE, LAYERS, data->inputs, data->outputs, size, &e) < 0 ||
        run_one(&t, &wall_s, program, size, extra, nextra) < 0)
        return -1;
    const struct opcount_case c = {.net = &net, .batch = 256};
    opcount_compute(&ops, &c);
    p->ops = ops.forward + ops.backward;
    p->step_s = t.train_s / (t.rows / 256);
    double setup_s = wall_s - t.train_s - t.test_s;
    *number_s = setup_s / ((double)data->rows * (double)(data->inputs + data->outputs));
    return 0;
}

/* ---- what the machine drew ------------------------------------------------------------------------ */

static void read_load(struct cost_rates *r, struct conn *c, int64_t since_utc, int64_t until_utc)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    struct wire_out *o = conn_begin(c, "energy");
    wire_put_int(o, "since_utc_ns", since_utc);
    wire_put_int(o, "until_utc_ns", until_utc);
    if (conn_call(c, &m, NULL) < 0)
        return;
    const struct wire_val *window = wire_get(wire_msg_root(m), "window");
    const struct wire_val *total = wire_at(wire_get(wire_msg_root(m), "figures"), 0);
    int64_t uj = wire_int(total, "energy_uj", PRINT_NONE);
    int64_t ns = wire_int(window, "t1_ns", 0) - wire_int(window, "t0_ns", 0);
    if (uj == PRINT_NONE || ns <= 0)
        return;
    r->load_w = (double)uj / (double)ns * 1e3;
    r->estimate = print_is_estimate(total);
}

static void read_idle(struct cost_rates *r, struct conn *c)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    (void)conn_begin(c, "idle");
    if (conn_call(c, &m, NULL) < 0)
        return;
    int64_t uw = wire_int(wire_get(wire_msg_root(m), "total"), "median_uw", PRINT_NONE);
    if (uw != PRINT_NONE)
        r->idle_w = (double)uw / 1e6;
}

bool cost_backend_works(struct conn *c, const char *backend)
{
    const char *program = conn_train_path(c);
    const char *const words[] = {"wattq-train", "--dataset", "standin:banana", "--size", "64",
                                 "--epochs",    "1",         "--backend",      backend};
    char *argv[ARRAY_LEN(words) + 1] = {NULL};
    if (!program)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        argv[i] = base_strdup(words[i]);
    bool works = spawn_train(program, argv, "") == 0;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        free(argv[i]);
    return works;
}

static bool something_runs(struct conn *c)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    wire_put_int(conn_begin(c, "queue"), "limit", 1);
    if (conn_call(c, &m, NULL) < 0)
        return true;
    const struct wire_val *first = wire_at(wire_get(wire_msg_root(m), "runs"), 0);
    const char *state = wire_str(first, "state", "");
    return strcmp(state, "running") == 0 || strcmp(state, "starting") == 0 ||
           strcmp(state, "paused") == 0 || strcmp(state, "stopping") == 0;
}

void cost_calibrate(struct cost_rates *r, struct conn *c, char *const *extra, size_t nextra)
{
    struct cost_point at[COST_POINTS];
    *r = (struct cost_rates){.load_w = NAN, .idle_w = NAN, .layer_s = NAN};
    const char *program = c ? conn_train_path(c) : NULL;
    if (!program) {
        base_strcpy(r->reason, sizeof r->reason,
                    "no wattqd answers, so nothing could be calibrated");
        return;
    }
    if (something_runs(c)) {
        base_strcpy(r->reason, sizeof r->reason,
                    "a run is on, and a calibration would disturb it: ask again when it is over");
        return;
    }
    read_idle(r, c);
    int64_t since = clock_utc_ns();
    for (size_t i = 0; i < COST_POINTS; i++) {
        if (measure_point(&at[i], &r->number_s, program, sizes[i], extra, nextra) == 0)
            continue;
        base_strcpy(r->reason, sizeof r->reason, "wattq-train could not be started to calibrate");
        return;
    }
    cost_from_points(r, at, COST_POINTS, LAYERS);
    /* The newest samples are yet to be stored, and a window that ends behind them lacks energy. */
    read_load(r, c, since, clock_utc_ns() - UNSETTLED_NS);
    if (isnan(r->load_w))
        base_strcpy(r->reason, sizeof r->reason, "nothing here measures energy");
}
