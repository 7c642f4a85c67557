/* A run in the foreground without any daemon: the path of `exec --standalone`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/shepherd.h"

struct seen {
    int phases[8];
    size_t n;
    int ticks;
    int64_t gate_ns;
};

static void on_state(void *arg, const struct frame *f)
{
    struct seen *s = arg;
    if (s->n < ARRAY_LEN(s->phases))
        s->phases[s->n++] = f->phase;
    if (f->phase == SHEPHERD_GATE) {
        /* what is done here lies before the window */
        const struct timespec pause = {.tv_nsec = 50 * NS_PER_MS};
        nanosleep(&pause, NULL);
        s->gate_ns = clock_boot_ns();
    }
}

static void on_tick(void *arg)
{
    ((struct seen *)arg)->ticks++;
}

static char tmp[] = "/tmp/wattq-standalone-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    strcpy(tmp + strlen(tmp) - 6, "XXXXXX");
    assert_non_null(mkdtemp(tmp));
    setenv("TMPDIR", tmp, 1);
    return 0;
}

static size_t entries(void)
{
    DIR *d = opendir(tmp);
    size_t n = 0;
    for (struct dirent *de; d && (de = readdir(d));)
        n += de->d_name[0] != '.';
    closedir(d);
    return n;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(entries(), 0); /* it leaves nothing behind */
    return rmdir(tmp);
}

static struct launch_block block(char **argv, char **env)
{
    static char cwd[] = "/";
    return (struct launch_block){.grace_ns = NS_PER_S / 5,
                                 .linger_ns = NS_PER_S / 5,
                                 .umask = 022,
                                 .argv = argv,
                                 .env = env,
                                 .cwd = cwd};
}

static void result_and_states(void **state)
{
    (void)state;
    char script[] = "echo '{\"epoch\":1}' >> $WATTQ_METRICS && sleep 0.3; exit 5";
    char sh[] = "sh", c[] = "-c", path[] = "PATH=/usr/bin:/bin";
    char *argv[] = {sh, c, script, NULL}, *env[] = {path, NULL};
    struct launch_block b = block(argv, env);
    struct seen seen = {.n = 0};
    struct shepherd_watch w = {
        .on_state = on_state, .on_tick = on_tick, .tick_ns = 50 * NS_PER_MS, .arg = &seen};
    struct result r;
    struct err e;
    int64_t began_ns = clock_boot_ns();
    if (shepherd_standalone(&b, &w, &r, &e) != 0)
        fail_msg("%s", e.text);
    int64_t ticks_due =
        (clock_boot_ns() - began_ns) / w.tick_ns; /* a busy machine takes its time */
    assert_int_equal(r.cause, RESULT_EXITED);
    assert_int_equal(r.exit_code, 5);
    assert_true(r.t0_ns >= seen.gate_ns);
    assert_int_equal(seen.n, 4);
    assert_int_equal(seen.phases[0], SHEPHERD_GATE);
    assert_int_equal(seen.phases[1], SHEPHERD_RUNNING);
    assert_int_equal(seen.phases[2], SHEPHERD_DRAINING);
    assert_int_equal(seen.phases[3], SHEPHERD_ENDED);
    assert_in_range(seen.ticks, 1, ticks_due + 1);
}

/* stdin, stdout and stderr are ours. */
static void keeps_our_files(void **state)
{
    (void)state;
    char cat[] = "cat", path[] = "PATH=/usr/bin:/bin", text[16] = "";
    char *argv[] = {cat, NULL}, *env[] = {path, NULL};
    struct launch_block b = block(argv, env);
    struct result r;
    struct err e;
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(write(in[1], "through", 7), 7);
    close(in[1]);
    fflush(stdout);
    int save_in = dup(0), save_out = dup(1);
    dup2(in[0], 0);
    dup2(out[1], 1);
    int rc = shepherd_standalone(&b, NULL, &r, &e);
    dup2(save_in, 0);
    dup2(save_out, 1);
    close(save_in);
    close(save_out);
    close(in[0]);
    close(out[1]);
    assert_int_equal(rc, 0);
    assert_int_equal(read(out[0], text, sizeof(text)), 7);
    close(out[0]);
    assert_string_equal(text, "through");
}

static void missing_program_is_said(void **state)
{
    (void)state;
    char nothing[] = "no-such-thing", *argv[] = {nothing, NULL}, *env[] = {NULL};
    struct launch_block b = block(argv, env);
    struct result r;
    struct err e;
    assert_int_equal(shepherd_standalone(&b, NULL, &r, &e), 0);
    assert_int_equal(r.cause, RESULT_NOT_STARTED);
    assert_int_equal(r.exit_code, 127);
    assert_non_null(strstr(r.text, "no-such-thing"));
}

/* A client that is killed takes its foreground run along: nobody else would end it. */
static void dies_with_its_client(void **state)
{
    (void)state;
    char script[] = "trap '' TERM; echo $$; exec 1>&-; while :; do sleep 0.1; done";
    char sh[] = "sh", c[] = "-c", path[] = "PATH=/usr/bin:/bin", text[16] = "";
    char *argv[] = {sh, c, script, NULL}, *env[] = {path, NULL};
    struct launch_block b = block(argv, env);
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t client = fork();
    if (client == 0) {
        struct result r;
        struct err e;
        dup2(out[1], 1);
        _exit(shepherd_standalone(&b, NULL, &r, &e));
    }
    close(out[1]);
    assert_true(read(out[0], text, sizeof(text) - 1) > 0);
    kill(client, SIGKILL);
    waitpid(client, NULL, 0);
    /* The shepherd holds its end of the pipe until it has ended everything. */
    while (read(out[0], text + 8, 1) > 0)
        continue;
    close(out[0]);
    assert_int_equal(kill(atoi(text), 0), -1);
    assert_int_equal(errno, ESRCH);
    /* its directory stays: who would have removed it was killed */
    char cmd[64];
    snprintf(cmd, sizeof(cmd), "rm -rf %s/wattq-run-*", tmp);
    assert_int_equal(system(cmd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(result_and_states, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_our_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_program_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dies_with_its_client, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
