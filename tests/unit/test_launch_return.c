/* wattqd goes and comes back, and shepherds are killed: what launch.h finds again of its runs. */
#include "tests/support/launch_rig.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(reattach_at_the_gate_and_running),          ONCE(ended_while_away, set_up_subreaper),
        ONCE(reattach_to_nothing, set_up_subreaper),     BOTH(shepherd_killed),
        ONCE(manager_does_not_answer, set_up_subreaper), BOTH(result_is_whole_or_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
