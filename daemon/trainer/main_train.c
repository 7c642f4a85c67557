/* wattq-train: trains one network and says how it went. Knows nothing of sockets, SQLite or energy. */
#include <signal.h>
#include <stdlib.h>

#include "common/units.h"
#include "daemon/trainer/train.h"

/* The only state outside main: a signal handler has nowhere else to leave a word. */
static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
    caught = sig;
}

static bool stop_asked(void)
{
    return caught != 0;
}

static void catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
}

static int fail(const struct err *e)
{
    fprintf(stderr, "wattq-train: %s", e->text);
    if (e->next[0])
        fprintf(stderr, "; %s", e->next);
    fputc('\n', stderr);
    return e->code == WATTQ_E_USAGE ? 2 : 1;
}

static int train(const struct train_plan *p, int64_t start_boot_ns, struct err *e)
{
    struct metrics m CLEANUP(metrics_close) = {.fd = -1};
    struct train_result r;
    int rc = metrics_open(&m, getenv("WATTQ_METRICS"), e);
    if (rc < 0)
        return fail(e);
    const struct train_hooks hooks = {
        .metrics = &m, .progress = stdout, .start_boot_ns = start_boot_ns, .stop = stop_asked};
    rc = train_run(p, &hooks, &r, e);
    if (rc < 0)
        return fail(e);
    return r.end == TRAIN_SIGNAL ? 128 + caught : 0;
}

int main(int argc, char **argv)
{
    int64_t start_boot_ns = clock_boot_ns();
    struct err e = {0};
    struct options o;
    if (options_parse(&o, argc, argv, &e) < 0)
        return fail(&e);
    if (o.help) {
        options_help(stdout);
        return 0;
    }
    if (o.version) {
        puts("wattq-train " WATTQ_VERSION);
        return 0;
    }
    catch_signals();
    struct train_plan p;
    if (train_plan_open(&p, &o, &e) < 0)
        return fail(&e);
    int code = 0;
    if (o.describe)
        train_describe(&p, stdout);
    else
        code = train(&p, start_boot_ns, &e);
    train_plan_close(&p);
    return code;
}
