/* wattq-train: trains one network and says how it went. Knows nothing of sockets, SQLite or energy. */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "common/cpulist.h"
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

/* --cpus: the threads that a backend starts later inherit it. */
static int bind_cpus(const char *list, struct err *e)
{
    struct cpulist wanted;
    cpu_set_t set;
    if (!list || !cpulist_parse(&wanted, list))
        return 0; /* options_parse has refused what is none */
    CPU_ZERO(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (cpulist_has(&wanted, cpu))
            CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) == 0)
        return 0;
    err_errno(e, WATTQ_E_UNAVAILABLE, "cannot run on the CPUs %.60s", list);
    return err_next(e, "name CPUs that this machine has and this run may use (taskset -cp $$)");
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
    if (o.backends) {
        train_backends(stdout);
        return 0;
    }
    catch_signals();
    struct train_plan p;
    if (!o.describe && bind_cpus(o.cpus, &e) < 0)
        return fail(&e);
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
