/* Real runs under real shepherds, through launch.h: every test in the cgroup mode, where this machine has
 * one for us, and in the subreaper mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/cgroup.h"
#include "daemon/launch/launch.h"

#define EVENTS_MAX 64
#define WAIT_MS    20000
#define TOKEN      41

struct seen {
    enum launch_event_kind kind;
    int64_t t_ns;
    char text[256], mode[40];
    int pid;
};
struct fix {
    char dir[512];
    char out[512]; /* a file for the run to write to */
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct launch *l;
    struct seen seen[EVENTS_MAX];
    size_t n;
    struct result r;
    int64_t until_ns;
    bool expired, closed;
};

static void on_event(void *arg, const struct launch_event *ev)
{
    struct fix *f = arg;
    assert_true(f->n < EVENTS_MAX);
    struct seen *s = &f->seen[f->n++];
    *s = (struct seen){.kind = ev->kind, .t_ns = ev->t_ns, .pid = ev->pid};
    base_strcpy(s->text, sizeof(s->text), ev->text ? ev->text : "");
    base_strcpy(s->mode, sizeof(s->mode), ev->mode ? ev->mode : "");
    if (ev->kind == LAUNCH_ENDED)
        f->r = *ev->result;
}

static void open_launch(struct fix *f)
{
    const char *bin = getenv("WATTQ_BIN");
    char *path = base_printf("%s/daemon/wattq-shepherd", bin ? bin : ".");
    char *runs = base_printf("%s/runs", f->dir);
    struct launch_config cfg = {
        .runs_dir = runs, .shepherd_path = path, .on_event = on_event, .arg = f};
    struct err e;
    if (launch_open(&f->l, &f->loop, &cfg, &e) != 0)
        fail_msg("%s", e.text);
    free(path);
    free(runs);
}

static void on_closed(void *arg)
{
    ((struct fix *)arg)->closed = true;
}

static void close_launch(struct fix *f)
{
    f->closed = false;
    launch_close(f->l, on_closed, f);
    while (!f->closed)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static int set_up_in(void **state, const char *cgroup, const char *deep)
{
    struct fix *f = base_alloc(sizeof(*f));
    setenv("WATTQ_CGROUP", cgroup, 1);
    strcpy(f->dir, "/tmp/wattq-launch-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    if (deep) {
        strcat(f->dir, deep);
        assert_int_equal(mkdir(f->dir, 0700), 0);
    }
    char *runs = base_printf("%s/runs", f->dir);
    assert_int_equal(mkdir(runs, 0700), 0);
    free(runs);
    snprintf(f->out, sizeof(f->out), "%s/out", f->dir);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->watchdog);
    open_launch(f);
    *state = f;
    return 0;
}

static int set_up_subreaper(void **state)
{
    return set_up_in(state, "none", NULL);
}

/* Our own cgroup; "" would be the same, but also "not set". */
static int set_up_cgroup(void **state)
{
    char base[512];
    unsetenv("WATTQ_CGROUP");
    return set_up_in(state, cgroup_find(NULL, base, sizeof(base)) == 0 ? base : "none", NULL);
}

static int set_up_deep(void **state)
{
    static const char name[] =
        "/a-directory-whose-name-is-far-too-long-for-the-107-bytes-that-a-unix-"
        "socket-address-can-hold-and-then-some-more";
    return set_up_in(state, "none", name);
}

static int tear_down(void **state)
{
    struct fix *f = *state;
    close_launch(f);
    uv_close((uv_handle_t *)&f->watchdog, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    char *cmd = base_printf("rm -rf %.24s", f->dir); /* the XXXXXX directory itself */
    (void)!system(cmd);
    free(cmd);
    free(f);
    return 0;
}

/* ---- steps --------------------------------------------------------------------------------------- */

/* Ticks, because UV_RUN_ONCE goes on to wait for I/O after a timer's event. */
static void on_watchdog(uv_timer_t *t)
{
    struct fix *f = container_of(t, struct fix, watchdog);
    f->expired = clock_mono_ns() >= f->until_ns;
}

static void watch(struct fix *f, int ms)
{
    f->expired = false;
    f->until_ns = clock_mono_ns() + ms * NS_PER_MS;
    uv_timer_start(&f->watchdog, on_watchdog, 1, 5);
}

static size_t count(const struct fix *f, enum launch_event_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        n += f->seen[i].kind == kind;
    return n;
}

/* Until the run is over, or `kind` was seen `times` times. */
static const struct seen *wait_event(struct fix *f, enum launch_event_kind kind, size_t times)
{
    watch(f, WAIT_MS);
    while (count(f, kind) < times) {
        uv_run(&f->loop, UV_RUN_ONCE);
        if (f->expired)
            fail_msg("event %d did not come; %zu events, the last one %d: %s", kind, f->n,
                     f->n ? (int)f->seen[f->n - 1].kind : -1, f->n ? f->seen[f->n - 1].text : "");
    }
    uv_timer_stop(&f->watchdog);
    for (size_t i = f->n; i-- > 0;)
        if (f->seen[i].kind == kind)
            return &f->seen[i];
    return NULL;
}

static void turn(struct fix *f, int ms)
{
    watch(f, ms);
    while (!f->expired)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static char *default_env[] = {(char[]){"PATH=/usr/bin:/bin"}, (char[]){"X=y"}, NULL};

static struct launch_block block(char **argv)
{
    static char root[] = "/";
    return (struct launch_block){.run_id = 1,
                                 .token = TOKEN,
                                 .grace_ns = 5 * NS_PER_S,
                                 .linger_ns = NS_PER_S / 2,
                                 .umask = 022,
                                 .argv = argv,
                                 .env = default_env,
                                 .cwd = root};
}

static void start(struct fix *f, const struct launch_block *b)
{
    struct err e;
    if (launch_start(f->l, b, NULL, &e) != 0)
        fail_msg("%s", e.text);
    wait_event(f, LAUNCH_AT_GATE, 1);
}

static void go(struct fix *f)
{
    struct err e;
    assert_int_equal(launch_go(f->l, 1, TOKEN, &e), 0);
    wait_event(f, LAUNCH_STARTED, 1);
}

/* $OUT in the script is f->out. */
static char *script(const struct fix *f, const char *text)
{
    return base_printf("OUT=%s; %s", f->out, text);
}

static void start_script(struct fix *f, const char *text, void (*change)(struct launch_block *))
{
    char *s = script(f, text);
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, s, NULL};
    char *cwd = base_strdup("/");
    struct launch_block b = block(argv);
    b.cwd = cwd;
    if (change)
        change(&b);
    start(f, &b);
    free(cwd);
    free(s);
}

static void run_script(struct fix *f, const char *text, void (*change)(struct launch_block *))
{
    start_script(f, text, change);
    go(f);
    wait_event(f, LAUNCH_ENDED, 1);
    launch_ack(f->l, 1);
}

static char *file_text(const char *path)
{
    size_t n;
    char *t = base_read_file(AT_FDCWD, path, 64u << 20, &n);
    return t ? t : base_strdup("");
}

static char *run_file(struct fix *f, const char *name)
{
    char *path = base_printf("%s/runs/1/%s", f->dir, name);
    char *t = file_text(path);
    free(path);
    return t;
}

/* The pids the script wrote to $OUT, one a line, must all be dead; a zombie is. */
static size_t alive_of(const struct fix *f, size_t *total)
{
    char *t = file_text(f->out), *save = NULL;
    size_t n = 0;
    *total = 0;
    for (char *w = strtok_r(t, "\n", &save); w; w = strtok_r(NULL, "\n", &save)) {
        char path[64], buf[256] = "";
        snprintf(path, sizeof(path), "/proc/%d/stat", atoi(w));
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : 0;
        const char *p = got > 0 ? strrchr(buf, ')') : NULL;
        n += p && p[2] != 'Z' && p[2] != 'X';
        if (fd >= 0)
            close(fd);
        (*total)++;
    }
    free(t);
    return n;
}

static void wait_file(struct fix *f, const char *what)
{
    for (int i = 0; i < 1000; i++) {
        char *t = file_text(f->out);
        bool there = strstr(t, what);
        free(t);
        if (there)
            return;
        turn(f, 10);
    }
    fail_msg("the run did not write %s", what);
}

static int shepherd_pid(struct fix *f)
{
    char *t = run_file(f, "shepherd");
    const char *p = strstr(t, "\npid=");
    assert_non_null(p);
    int pid = atoi(p + 5);
    free(t);
    return pid;
}

/* ---- the gate ------------------------------------------------------------------------------------ */

static void exit_code_and_events(void **state)
{
    struct fix *f = *state;
    int64_t before = clock_boot_ns();
    run_script(f, "echo to-log; echo to-err >&2; exit 7", NULL);
    assert_int_equal(f->r.cause, RESULT_EXITED);
    assert_int_equal(f->r.exit_code, 7);
    assert_true(f->r.term_signal == RESULT_NONE);
    assert_true(f->r.t0_ns > before && f->r.main_exit_ns >= f->r.t0_ns);
    assert_true(f->r.t1_ns >= f->r.main_exit_ns && f->r.t1_ns <= clock_boot_ns());
    assert_int_equal(f->n, 5);
    assert_int_equal(f->seen[0].kind, LAUNCH_AT_GATE);
    assert_int_equal(f->seen[1].kind, LAUNCH_STARTED);
    assert_true(f->seen[1].t_ns == f->r.t0_ns);
    assert_true(f->seen[1].pid > 0);
    assert_int_equal(f->seen[2].kind, LAUNCH_MAIN_EXIT);
    assert_int_equal(f->seen[3].kind, LAUNCH_EMPTY);
    assert_true(f->seen[3].t_ns == f->r.t1_ns);
    assert_true(f->r.maxrss_bytes > 0);
    assert_true(f->r.cpu_us >= 0);
    char *log = run_file(f, "log");
    assert_string_equal(log, "to-log\nto-err\n");
    free(log);
    int fd = launch_open_file(f->l, 1, "log", NULL);
    assert_true(fd >= 0);
    close(fd);
    assert_true(launch_open_file(f->l, 1, "../1/log", NULL) < 0);
    assert_true(launch_open_file(f->l, 2, "log", NULL) < 0);
}

static void killed_by_a_signal(void **state)
{
    struct fix *f = *state;
    run_script(f, "kill -SEGV $$", NULL);
    assert_int_equal(f->r.cause, RESULT_EXITED);
    assert_int_equal(f->r.term_signal, SIGSEGV);
    assert_true(f->r.exit_code == RESULT_NONE);
}

static void nothing_runs_without_go(void **state)
{
    struct fix *f = *state;
    struct err e;
    start_script(f, "touch $OUT", NULL);
    assert_int_equal(launch_go(f->l, 1, TOKEN + 1, &e), WATTQ_E_CONFLICT);
    turn(f, 100);
    assert_int_equal(access(f->out, F_OK), -1);
    /* the shepherd dies: its child sees the end of the gate's pipe, not a byte */
    kill(shepherd_pid(f), SIGKILL);
    const struct seen *s = wait_event(f, LAUNCH_LOST, 1);
    assert_non_null(strstr(s->text, "nothing of it has run"));
    turn(f, 50);
    assert_int_equal(access(f->out, F_OK), -1);
}

static void abort_then_start_again(void **state)
{
    struct fix *f = *state;
    struct err e;
    start_script(f, "echo ran >> $OUT", NULL);
    assert_int_equal(launch_abort(f->l, 1, &e), 0);
    turn(f, 100);
    assert_int_equal(f->n, 1); /* AT_GATE only */
    assert_int_equal(access(f->out, F_OK), -1);
    f->n = 0;
    run_script(f, "echo ran >> $OUT", NULL);
    char *t = file_text(f->out);
    assert_string_equal(t, "ran\n");
    free(t);
    /* and never again */
    char *argv[] = {(char[]){"true"}, NULL};
    struct launch_block b = block(argv);
    assert_int_equal(launch_start(f->l, &b, NULL, &e), WATTQ_E_CONFLICT);
}

static void go_twice_starts_once(void **state)
{
    struct fix *f = *state;
    struct err e;
    start_script(f, "echo ran >> $OUT; sleep 0.2", NULL);
    for (int i = 0; i < 5; i++)
        assert_int_equal(launch_go(f->l, 1, TOKEN, &e), 0);
    wait_event(f, LAUNCH_ENDED, 1);
    assert_int_equal(count(f, LAUNCH_STARTED), 1);
    char *t = file_text(f->out);
    assert_string_equal(t, "ran\n");
    free(t);
}

static void stop_at_the_gate(void **state)
{
    struct fix *f = *state;
    struct err e;
    start_script(f, "touch $OUT", NULL);
    assert_int_equal(launch_stop(f->l, 1, SIGTERM, NS_PER_S, &e), 0);
    wait_event(f, LAUNCH_ENDED, 1);
    assert_int_equal(f->r.cause, RESULT_STOPPED);
    assert_true(f->r.t0_ns == RESULT_NONE && f->r.exit_code == RESULT_NONE);
    assert_int_equal(access(f->out, F_OK), -1);
}

/* ---- how it starts ------------------------------------------------------------------------------- */

static void umask_027(struct launch_block *b)
{
    static char stdin_path[] = "/proc/version";
    static char cwd[] = "/usr/lib";
    b->umask = 027;
    b->stdin_path = stdin_path;
    b->cwd = cwd;
}

static void environment_is_exact(void **state)
{
    struct fix *f = *state;
    setenv("LEAKED", "from-the-daemon", 1);
    run_script(f,
               "exec >$OUT; /usr/bin/env -u PWD -u OLDPWD -u SHLVL -u _ | sort; pwd; umask; head "
               "-c 5; echo; "
               "ls /proc/self/fd | wc -l; grep Sig[BI] /proc/self/status",
               umask_027);
    assert_int_equal(f->r.exit_code, 0);
    char *want = base_printf("PATH=/usr/bin:/bin\nWATTQ_METRICS=%s/runs/1/metrics\nWATTQ_RUN=1\n"
                             "WATTQ_RUN_DIR=%s/runs/1\nX=y\n/usr/lib\n0027\nLinux\n4\n"
                             "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
                             f->dir, f->dir);
    char *t = file_text(f->out);
    assert_string_equal(t, want);
    free(t);
    free(want);
    struct stat st;
    assert_int_equal(stat(f->out, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void try_argv(struct fix *f, char **argv, const char *cwd, int64_t code, const char *says)
{
    struct launch_block b = block(argv);
    char *dir = base_strdup(cwd);
    b.cwd = dir;
    start(f, &b);
    go(f);
    wait_event(f, LAUNCH_ENDED, 1);
    assert_int_equal(f->r.cause, RESULT_NOT_STARTED);
    assert_int_equal(f->r.exit_code, code);
    if (!strstr(f->r.text, says))
        fail_msg("\"%s\" does not say \"%s\"", f->r.text, says);
    free(dir);
}

static void missing_program(void **state)
{
    char *argv[] = {(char[]){"no-such-program"}, NULL};
    try_argv(*state, argv, "/", 127, "no program \"no-such-program\"");
}

static void missing_path(void **state)
{
    char *argv[] = {(char[]){"./nothing"}, NULL};
    try_argv(*state, argv, "/", 127, "no program \"./nothing\"");
}

static void not_executable(void **state)
{
    char *argv[] = {(char[]){"/etc/passwd"}, NULL};
    try_argv(*state, argv, "/", 126, "chmod +x");
}

static void missing_cwd(void **state)
{
    char *argv[] = {(char[]){"true"}, NULL};
    try_argv(*state, argv, "/no/such/directory", 126, "/no/such/directory");
}

static void missing_interpreter(void **state)
{
    struct fix *f = *state;
    int fd = open(f->out, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_int_equal(base_write_all(fd, "#!/no/such/python\n", 18), 0);
    close(fd);
    char *argv[] = {f->out, NULL};
    try_argv(f, argv, "/", 126, "interpreter");
}

/* ---- how it ends --------------------------------------------------------------------------------- */

/* Four ways to get away, each writes its pid; then the main process stays, deaf to TERM. */
#define ESCAPES                                                                                    \
    "me() { echo $$ >> $OUT; }; export OUT;"                                                       \
    "setsid sh -c 'trap \"\" TERM; echo $$ >> $OUT; while :; do sleep 1; done' & "                 \
    "(setsid sh -c 'trap \"\" TERM; echo $$ >> $OUT; while :; do sleep 1; done' & ) ; "            \
    "nohup sh -c 'trap \"\" TERM; echo $$ >> $OUT; exec env -i sleep 1000' >/dev/null 2>&1 & "     \
    "sh -c 'sh -c \"echo \\$\\$ >> $OUT; exec setsid -f sleep 1000\"' & "

static void wait_lines(struct fix *f, size_t lines)
{
    size_t total = 0;
    for (int i = 0; i < 1000 && total < lines; i++) {
        turn(f, 10);
        alive_of(f, &total);
    }
    assert_true(total >= lines);
}

static void stop_kills_the_whole_tree(void **state)
{
    struct fix *f = *state;
    struct err e;
    size_t total;
    start_script(f, ESCAPES "trap '' TERM; echo $$ >> $OUT; while :; do sleep 1; done", NULL);
    go(f);
    wait_lines(f, 5);
    assert_true(launch_cpu_us(f->l, 1) >= 0);
    int64_t t_ns = clock_mono_ns();
    assert_int_equal(launch_stop(f->l, 1, SIGTERM, NS_PER_S / 4, &e), 0);
    wait_event(f, LAUNCH_ENDED, 1);
    t_ns = clock_mono_ns() - t_ns;
    assert_true(t_ns >= NS_PER_S / 4 && t_ns < NS_PER_S / 4 + 2 * NS_PER_S);
    assert_int_equal(f->r.cause, RESULT_STOPPED);
    assert_int_equal(f->r.term_signal, SIGKILL);
    assert_int_equal(alive_of(f, &total), 0);
    assert_int_equal(total, 5);
}

static void stop_is_polite_first(void **state)
{
    struct fix *f = *state;
    struct err e;
    start_script(
        f, "trap 'echo saved >> $OUT; exit 3' TERM; echo up >> $OUT; while :; do sleep 0.05; done",
        NULL);
    go(f);
    wait_file(f, "up");
    assert_int_equal(launch_stop(f->l, 1, SIGTERM, 10 * NS_PER_S, &e), 0);
    wait_event(f, LAUNCH_ENDED, 1);
    assert_int_equal(f->r.cause, RESULT_STOPPED);
    assert_int_equal(f->r.exit_code, 3);
    wait_file(f, "saved");
}

static void leftovers_are_ended_and_counted(void **state)
{
    struct fix *f = *state;
    size_t total;
    int64_t t_ns = clock_mono_ns();
    run_script(f, ESCAPES "while [ $(wc -l < $OUT) -lt 4 ]; do sleep 0.02; done; exit 0", NULL);
    t_ns = clock_mono_ns() - t_ns;
    assert_int_equal(f->r.cause, RESULT_EXITED);
    assert_int_equal(f->r.exit_code, 0);
    /* two loops (each perhaps with its sleep), two sleeps */
    assert_in_range(f->r.leftovers, 4, 6);
    assert_true(t_ns > NS_PER_S / 2); /* they had linger_ns */
    assert_true(f->r.t1_ns - f->r.main_exit_ns >= NS_PER_S / 2);
    assert_int_equal(alive_of(f, &total), 0);
}

static void wait_children(struct launch_block *b)
{
    b->flags |= LAUNCH_WAIT_CHILDREN;
    b->linger_ns = 0;
}

static void children_are_waited_for(void **state)
{
    struct fix *f = *state;
    run_script(f, "(setsid sh -c \"sleep 0.7; echo late >> $OUT\" &); exit 4", wait_children);
    assert_int_equal(f->r.exit_code, 4);
    assert_int_equal(f->r.leftovers, 0);
    char *t = file_text(f->out);
    assert_string_equal(t, "late\n");
    free(t);
    assert_true(f->r.t1_ns - f->r.main_exit_ns > NS_PER_S / 2);
}

static void limit_300ms(struct launch_block *b)
{
    b->time_limit_ns = 300 * NS_PER_MS;
    b->grace_ns = 200 * NS_PER_MS;
}

static void time_limit(void **state)
{
    struct fix *f = *state;
    run_script(f, "trap '' TERM; while :; do sleep 0.05; done", limit_300ms);
    assert_int_equal(f->r.cause, RESULT_TIMED_OUT);
    int64_t ran_ns = f->r.main_exit_ns - f->r.t0_ns;
    assert_true(ran_ns >= 500 * NS_PER_MS && ran_ns < 2500 * NS_PER_MS);
}

static void paused_then_stopped(void **state)
{
    struct fix *f = *state;
    struct err e;
    char *a, *b;
    start_script(f,
                 "setsid sh -c 'while :; do echo x >> $0; sleep 0.01; done' $OUT & "
                 "while :; do echo y >> $OUT; sleep 0.01; done",
                 NULL);
    go(f);
    wait_file(f, "x");
    assert_int_equal(launch_pause(f->l, 1, true, &e), 0);
    wait_event(f, LAUNCH_PAUSED, 1);
    turn(f, 100); /* freezing is asynchronous */
    a = file_text(f->out);
    turn(f, 200);
    b = file_text(f->out);
    assert_string_equal(a, b);
    free(b);
    assert_int_equal(launch_pause(f->l, 1, false, &e), 0);
    wait_event(f, LAUNCH_RESUMED, 1);
    turn(f, 200);
    b = file_text(f->out);
    assert_true(strlen(b) > strlen(a));
    free(a);
    free(b);
    assert_int_equal(launch_pause(f->l, 1, true, &e), 0);
    wait_event(f, LAUNCH_PAUSED, 2);
    assert_int_equal(launch_stop(f->l, 1, SIGTERM, 5 * NS_PER_S, &e), 0);
    int64_t t_ns = clock_mono_ns();
    wait_event(f, LAUNCH_ENDED, 1);
    assert_true(clock_mono_ns() - t_ns < 4 * NS_PER_S); /* TERM was enough: it had been thawed */
    assert_int_equal(f->r.cause, RESULT_STOPPED);
    assert_int_equal(f->r.term_signal, SIGTERM);
}

/* ---- files --------------------------------------------------------------------------------------- */

static void cap_1mb(struct launch_block *b)
{
    b->log_cap_bytes = 1 << 20;
}

static void log_is_capped(void **state)
{
    struct fix *f = *state;
    /* 20 MB in about a second: line N is N padded to 100 bytes */
    run_script(f,
               "i=0; while [ $i -lt 20 ]; do seq -f '%099.0f' $((i*10000)) $((i*10000+9999)); "
               "sleep 0.05; i=$((i+1)); done",
               cap_1mb);
    struct stat st;
    char *path = base_printf("%s/runs/1/log", f->dir);
    assert_int_equal(stat(path, &st), 0);
    free(path);
    assert_int_equal(st.st_size, 20000000);
    print_message("log of %lld bytes takes %lld on disk, %lld dropped\n", (long long)st.st_size,
                  (long long)st.st_blocks * 512, (long long)f->r.log_dropped_bytes);
    assert_true(st.st_blocks * 512 < 2000000);
    assert_true(f->r.log_dropped_bytes > 18000000);
    char *log = run_file(f, "log");
    char line[128];
    for (int i = 0; i < 2600; i++) { /* a quarter of the cap is the head */
        snprintf(line, sizeof(line), "%099d\n", i);
        assert_memory_equal(log + i * 100, line, 100);
    }
    for (int i = 195000; i < 200000; i++) { /* half of it the tail */
        snprintf(line, sizeof(line), "%099d\n", i);
        assert_memory_equal(log + (size_t)i * 100, line, 100);
    }
    free(log);
}

/* Each line holds when it was written, to 10 ms: what /proc/uptime says is CLOCK_BOOTTIME. */
static void metrics_are_stamped(void **state)
{
    struct fix *f = *state;
    struct result_mark *m;
    struct err e;
    size_t n, at = 0;
    run_script(f,
               "for i in 1 2 3; do cut -d' ' -f1 /proc/uptime >> $WATTQ_METRICS; sleep 0.25; done; "
               "cut -d' ' -f1 /proc/uptime >> $WATTQ_METRICS",
               NULL);
    char *dir = base_printf("%s/runs/1", f->dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    assert_int_equal(result_marks_read(fd, &m, &n, &e), 0);
    close(fd);
    char *text = run_file(f, "metrics"), *line = text;
    assert_int_equal(n, 4);
    for (size_t i = 0; i < 4; i++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        at += (size_t)(end - line) + 1;
        assert_int_equal(m[i].offset, at);
        int64_t late_ns = m[i].t_ns - (int64_t)(strtod(line, NULL) * 1e9);
        assert_true(late_ns >= 0 && late_ns < 230 * NS_PER_MS);
        line = end + 1;
    }
    free(text);
    free(m);
}

/* ---- wattqd goes and comes back ------------------------------------------------------------------ */

static void reattach_at_the_gate_and_running(void **state)
{
    struct fix *f = *state;
    start_script(f, "echo up >> $OUT; sleep 0.5; exit 5", NULL);
    close_launch(f);
    turn(f, 50);
    assert_int_equal(access(f->out, F_OK), -1);
    f->n = 0;
    open_launch(f);
    launch_reattach(f->l, 1, TOKEN);
    wait_event(f, LAUNCH_AT_GATE, 1);
    go(f);
    wait_file(f, "up");
    close_launch(f);
    f->n = 0;
    open_launch(f);
    launch_reattach(f->l, 1, TOKEN);
    wait_event(f, LAUNCH_STARTED, 1);
    assert_int_equal(f->n, 1);
    wait_event(f, LAUNCH_ENDED, 1);
    assert_int_equal(f->r.exit_code, 5);
    char *t = file_text(f->out);
    assert_string_equal(t, "up\n");
    free(t);
}

static void ended_while_away(void **state)
{
    struct fix *f = *state;
    start_script(f, "exit 6", NULL);
    go(f);
    close_launch(f);
    turn(f, 300);
    for (int i = 0; i < 2; i++) { /* importing twice is as good as once */
        f->n = 0;
        open_launch(f);
        launch_reattach(f->l, 1, TOKEN);
        wait_event(f, LAUNCH_ENDED, 1);
        assert_int_equal(f->n, 1);
        assert_int_equal(f->r.exit_code, 6);
        launch_ack(f->l, 1);
        if (i == 0)
            close_launch(f);
    }
    char *ctl = base_printf("%s/runs/1/ctl", f->dir);
    assert_int_equal(access(ctl, F_OK), -1);
    free(ctl);
}

static void reattach_to_nothing(void **state)
{
    struct fix *f = *state;
    launch_reattach(f->l, 99, TOKEN);
    const struct seen *s = wait_event(f, LAUNCH_LOST, 1);
    assert_non_null(strstr(s->text, "nothing of it has run"));
}

static void shepherd_killed(void **state)
{
    struct fix *f = *state;
    size_t total;
    start_script(f, ESCAPES "echo $$ >> $OUT; while :; do sleep 1; done", NULL);
    go(f);
    wait_lines(f, 5);
    kill(shepherd_pid(f), SIGKILL);
    const struct seen *s = wait_event(f, LAUNCH_LOST, 1);
    assert_non_null(strstr(s->text, "supervisor was killed"));
    turn(f, 100);
    size_t alive = alive_of(f, &total);
    /* `env -i` hides from the search by environment where there is no cgroup, once its parent is gone */
    if (strcmp(s->mode, "user+cgroup") == 0)
        assert_int_equal(alive, 0);
    else
        assert_true(alive <= 1);
    char *t = file_text(f->out), *save = NULL;
    for (char *w = strtok_r(t, "\n", &save); w; w = strtok_r(NULL, "\n", &save))
        kill(atoi(w), SIGKILL);
    free(t);
}

/* Something that looks like a user manager and is none: the run starts without it. */
static void manager_does_not_answer(void **state)
{
    struct fix *f = *state;
    char *cmd =
        base_printf("mkdir -p %s/run/systemd && touch %s/run/systemd/private", f->dir, f->dir);
    (void)!system(cmd);
    free(cmd);
    char *runtime = base_printf("%s/run", f->dir);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    unsetenv("WATTQ_CGROUP");
    close_launch(f);
    open_launch(f);
    unsetenv("XDG_RUNTIME_DIR");
    free(runtime);
    run_script(f, "exit 8", NULL);
    assert_int_equal(f->r.exit_code, 8);
}

/* The shepherd is killed at random moments of a short run: either there is a whole result or none. */
static void result_is_whole_or_absent(void **state)
{
    struct fix *f = *state;
    unsigned seed = (unsigned)clock_mono_ns();
    int whole = 0, lost = 0;
    print_message("seed %u\n", seed);
    for (int i = 0; i < 30; i++) {
        char *cmd = base_printf("rm -rf %s/runs/1", f->dir);
        (void)!system(cmd);
        free(cmd);
        f->n = 0;
        start_script(f, "sleep 0.01; exit 9", NULL);
        int pid = shepherd_pid(f);
        go(f);
        turn(f, 1 + (int)(rand_r(&seed) % 80));
        kill(pid, SIGKILL);
        while (!count(f, LAUNCH_ENDED) && !count(f, LAUNCH_LOST))
            turn(f, 1);
        assert_int_equal(count(f, LAUNCH_ENDED) + count(f, LAUNCH_LOST), 1);
        if (count(f, LAUNCH_ENDED)) {
            assert_int_equal(f->r.exit_code, 9);
            whole++;
        } else {
            lost++;
        }
        launch_ack(f->l, 1);
    }
    print_message("%d whole, %d lost\n", whole, lost);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Printed, not judged: from the call to the first instruction of the program. */
static void start_latency(void **state)
{
    struct fix *f = *state;
    enum { N = 21 };
    int64_t v[N];
    for (int i = 0; i < N; i++) {
        char *cmd = base_printf("rm -rf %s/runs/1", f->dir);
        (void)!system(cmd);
        free(cmd);
        f->n = 0;
        char *argv[] = {(char[]){"true"}, NULL};
        struct launch_block b = block(argv);
        int64_t t_ns = clock_boot_ns();
        start(f, &b);
        go(f);
        v[i] = f->seen[1].t_ns - t_ns;
        wait_event(f, LAUNCH_ENDED, 1);
        launch_ack(f->l, 1);
    }
    qsort(v, N, sizeof(v[0]), by_value);
    print_message("launch_start to open gate: median %.2f ms, worst of %d %.2f ms\n",
                  (double)v[N / 2] / 1e6, N, (double)v[N - 1] / 1e6);
    assert_true(v[0] > 0);
}

#define BOTH(name)                                                                                 \
    {#name " (cgroup)", name, set_up_cgroup, tear_down, NULL},                                     \
    {                                                                                              \
#name " (subreaper)", name, set_up_subreaper, tear_down, NULL                              \
    }
#define ONCE(name, set_up)                                                                         \
    {                                                                                              \
#name, name, set_up, tear_down, NULL                                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(exit_code_and_events),
        BOTH(killed_by_a_signal),
        BOTH(nothing_runs_without_go),
        BOTH(abort_then_start_again),
        ONCE(go_twice_starts_once, set_up_subreaper),
        ONCE(stop_at_the_gate, set_up_subreaper),
        ONCE(environment_is_exact, set_up_subreaper),
        ONCE(missing_program, set_up_subreaper),
        ONCE(missing_path, set_up_subreaper),
        ONCE(not_executable, set_up_subreaper),
        ONCE(missing_cwd, set_up_subreaper),
        ONCE(missing_interpreter, set_up_subreaper),
        BOTH(stop_kills_the_whole_tree),
        ONCE(stop_is_polite_first, set_up_subreaper),
        BOTH(leftovers_are_ended_and_counted),
        BOTH(children_are_waited_for),
        ONCE(time_limit, set_up_subreaper),
        BOTH(paused_then_stopped),
        ONCE(log_is_capped, set_up_subreaper),
        ONCE(metrics_are_stamped, set_up_subreaper),
        BOTH(reattach_at_the_gate_and_running),
        ONCE(ended_while_away, set_up_subreaper),
        ONCE(reattach_to_nothing, set_up_subreaper),
        BOTH(shepherd_killed),
        ONCE(manager_does_not_answer, set_up_subreaper),
        BOTH(result_is_whole_or_absent),
        BOTH(start_latency),
        {"long path", exit_code_and_events, set_up_deep, tear_down, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
