/* Real runs under real shepherds, through launch.h: the gate, how they start and how they end. */
#include "tests/support/launch_rig.h"

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

/* ---- how long ------------------------------------------------------------------------------------ */

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
        BOTH(start_latency),
        {"long path", exit_code_and_events, set_up_deep, tear_down, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
