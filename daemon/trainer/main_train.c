/* wattq-train: trains one network and says how it went. Knows nothing of sockets, SQLite or energy. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* --resctrl: before there are threads and copies, which are then born in the group.
 * source: Linux, Documentation/arch/x86/resctrl.rst, "tasks". */
static int enter_group(const char *path, struct err *e)
{
    char pid[24];
    if (!path)
        return 0;
    char *tasks CLEANUP(base_freep) = base_printf("%s/tasks", path);
    int fd = open(tasks, O_WRONLY | O_CLOEXEC);
    int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    bool entered = fd >= 0 && write(fd, pid, (size_t)n) == n;
    if (!entered)
        err_errno(e, WATTQ_E_UNAVAILABLE, "cannot enter the resctrl group %.90s", path);
    if (fd >= 0)
        (void)close(fd);
    return entered
               ? 0
               : err_next(e,
                          "name a directory below /sys/fs/resctrl whose file tasks you may write");
}

/* ---- copies beside it ----------------------------------------------------------------------------- */

struct copies {
    pid_t *pid;
    int64_t n;
};

/* Trains until it is killed: with us, or after us should we die first. */
static _Noreturn void be_a_copy(const struct train_plan *p, pid_t parent)
{
    struct train_plan mine = *p;
    struct metrics none = {.fd = -1};
    struct train_result r;
    struct err e;
    mine.opt.epochs = INT64_MAX;
    mine.opt.max_seconds = mine.opt.loss_target = mine.opt.warmup_seconds = 0;
    const struct train_hooks hooks = {.metrics = &none, .stop = stop_asked};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        _exit(train_run(&mine, &hooks, &r, &e) < 0);
    _exit(0);
}

static void end_copies(struct copies *c)
{
    for (int64_t i = 0; i < c->n; i++)
        kill(c->pid[i], SIGKILL);
    for (int64_t i = 0; i < c->n; i++)
        while (waitpid(c->pid[i], NULL, 0) < 0 && errno == EINTR)
            ;
    free(c->pid);
    *c = (struct copies){0};
}

static int start_copies(struct copies *c, const struct train_plan *p, struct err *e)
{
    pid_t parent = getpid();
    c->pid = base_alloc(((size_t)p->opt.beside + 1) * sizeof(*c->pid));
    while (c->n < p->opt.beside) {
        pid_t pid = fork();
        if (pid == 0)
            be_a_copy(p, parent);
        if (pid < 0)
            return err_errno(e, WATTQ_E_IO, "cannot start copy %lld", (long long)c->n + 1);
        c->pid[c->n++] = pid;
    }
    return 0;
}

static int train(const struct train_plan *p, int64_t start_boot_ns, struct err *e)
{
    struct copies copies CLEANUP(end_copies) = {0};
    struct metrics m CLEANUP(metrics_close) = {.fd = -1};
    struct train_result r;
    int rc = metrics_open(&m, getenv("WATTQ_METRICS"), e);
    if (rc < 0)
        return fail(e);
    rc = start_copies(&copies, p, e);
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
    if (!o.describe && (bind_cpus(o.cpus, &e) < 0 || enter_group(o.resctrl, &e) < 0))
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
