/* wattq-train --describe: the network, the data and the backend its arguments come to. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/json.h"
#include "client/predict.h"

#define TEXT_MAX (64u << 10)

static size_t read_all(int fd, char *buf, size_t cap)
{
    size_t n = 0;
    while (n < cap) {
        ssize_t got = read(fd, buf + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return n;
}

/* Standard output of the program into buf; its exit code, or < 0. */
static int run_program(const char *program, char **argv, char *buf, size_t *n, struct err *e)
{
    extern char **environ;
    posix_spawn_file_actions_t files;
    int ends[2];
    int status = 0;
    pid_t pid = -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make a pipe");
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], 1);
    int rc = posix_spawn(&pid, program, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    if (rc != 0) {
        close(ends[0]);
        errno = rc;
        return err_errno(e, WATTQ_E_NOT_FOUND, "cannot start %.200s", program);
    }
    *n = read_all(ends[0], buf, TEXT_MAX);
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int64_t int_of(const json_t *o, const char *key, int64_t dflt)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : dflt;
}

static const char *text_of(const json_t *o, const char *key, const char *dflt)
{
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? json_string_value(v) : dflt;
}

static void read_net(struct predict_net *out, const json_t *o)
{
    const json_t *widths = json_object_get(o, "widths");
    size_t n = json_array_size(widths) < NET_DEPTH_MAX ? json_array_size(widths) : NET_DEPTH_MAX;
    base_strcpy(out->shape, sizeof out->shape, text_of(o, "shape", ""));
    out->net.shape = NET_FREE;
    if (net_shape_parse(out->shape, &out->net.shape, NULL) < 0)
        out->net.shape = NET_FREE;
    out->net.inputs = int_of(o, "inputs", 0);
    out->net.depth = (int)n;
    for (size_t i = 0; i < n; i++)
        out->net.widths[i] = json_integer_value(json_array_get(widths, i));
    out->net.params = net_params(&out->net);
    out->size = int_of(o, "size", 0);
}

static int read_description(struct predict_net *out, const json_t *o, struct err *e)
{
    const char *precision = text_of(o, "precision", "f32");
    *out = (struct predict_net){.epochs = NAN};
    read_net(out, o);
    base_strcpy(out->dataset, sizeof out->dataset, text_of(o, "dataset", ""));
    (void)snprintf(out->backend, sizeof out->backend, "%.16s %.6s", text_of(o, "backend", ""),
                   precision);
    out->rows_train = int_of(o, "rows_train", 0);
    out->rows_test = int_of(o, "rows_test", 0);
    out->batch = int_of(o, "batch", 0);
    out->threads = (int)int_of(o, "threads", 1);
    out->number_bytes = strcmp(precision, "f64") == 0 ? 8 : 4;
    out->min_seconds = json_number_value(json_object_get(o, "min_seconds"));
    out->min_epochs = (double)int_of(o, "min_epochs", 1);
    if (json_is_integer(json_object_get(o, "epochs")))
        out->epochs = (double)int_of(o, "epochs", 0);
    if (out->net.depth < 1 || out->net.inputs < 1 || out->rows_train < 1 || out->batch < 1)
        return err_set(e, WATTQ_E_INVALID, "wattq-train does not describe the network");
    return 0;
}

int predict_describe(struct predict_net *out, const char *program, char *const *argv, size_t n,
                     struct err *e)
{
    char **args CLEANUP(base_freep) = base_alloc((n + 3) * sizeof *args);
    char *name CLEANUP(base_freep) = base_strdup(program);
    char *text CLEANUP(base_freep) = base_alloc(TEXT_MAX);
    char describe[] = "--describe";
    size_t bytes = 0;
    args[0] = name;
    for (size_t i = 0; i < n; i++)
        args[1 + i] = argv[i];
    args[1 + n] = describe;
    int rc = run_program(program, args, text, &bytes, e);
    if (rc != 0)
        return rc;
    json_t *o CLEANUP(json_freep) = json_loadb(text, bytes, 0, NULL);
    if (!o)
        return err_set(e, WATTQ_E_INVALID, "wattq-train does not describe the network");
    return read_description(out, o, e);
}
