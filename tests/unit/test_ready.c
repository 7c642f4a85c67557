/* A shepherd that stands ready, and who keeps it: told once, with its descriptors, or not at all. */
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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/launch/frames.h"
#include "daemon/launch/ready.h"
#include "daemon/launch/spawn.h"

struct fixture {
    int keeper;
    pid_t pid;
};

/* What it was told, by the first of the descriptors that it was given; a second one must be there too. */
static void tell_on(const struct ready_order *o)
{
    for (int i = 0; i < o->argc; i++)
        dprintf(LAUNCH_FD, "%s\n", o->argv[i]);
    bool second = fcntl(LAUNCH_FD + 1, F_GETFD) >= 0, third = fcntl(LAUNCH_FD + 2, F_GETFD) >= 0;
    int open_files = 0;
    for (int fd = LAUNCH_FD; fd < 256; fd++)
        open_files += fcntl(fd, F_GETFD) >= 0;
    dprintf(LAUNCH_FD, "%d%d %d\n", second, third, open_files);
}

/* As spawn_detached leaves it: nothing but its end of the pair is open. */
static void stand(int fd)
{
    static struct ready_order o;
    if (dup2(fd, LAUNCH_FD) < 0)
        _exit(9);
    spawn_close_from(LAUNCH_FD + 1);
    if (ready_keep_room() < 0)
        _exit(8);
    int rc = ready_wait(&o);
    if (rc == 0)
        tell_on(&o);
    _exit(rc);
}

static int set_up(void **state)
{
    struct fixture *f = base_alloc(sizeof(*f));
    int pair[2];
    assert_int_equal(ready_pair(pair), 0);
    f->pid = fork();
    if (f->pid == 0)
        stand(pair[1]);
    close(pair[1]);
    f->keeper = pair[0];
    *state = f;
    return 0;
}

static int end_of(const struct fixture *f)
{
    int status = -1;
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    return status;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->keeper >= 0)
        close(f->keeper);
    free(f);
    return 0;
}

static void it_is_told(void **state)
{
    struct fixture *f = *state;
    char program[] = "shepherd", dir[] = "/runs/7", none[] = "",
         *argv[] = {program, dir, none, NULL};
    char text[100] = "";
    int p[2];
    assert_false(ready_has_gone(f->keeper));
    assert_int_equal(pipe(p), 0);
    const int fds[] = {p[1], p[0]};
    assert_int_equal(ready_tell(f->keeper, argv, fds, 2), 0);
    close(p[1]);
    assert_int_equal(end_of(f), 0);
    assert_true(read(p[0], text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "shepherd\n/runs/7\n\n10 2\n");
    close(p[0]);
    assert_true(ready_has_gone(f->keeper));
}

static void its_keeper_goes(void **state)
{
    struct fixture *f = *state;
    close(f->keeper);
    f->keeper = -1;
    assert_int_equal(WEXITSTATUS(end_of(f)), 1);
    assert_true(ready_has_gone(-1));
}

static void it_has_gone(void **state)
{
    struct fixture *f = *state;
    char program[] = "shepherd", *argv[] = {program, NULL};
    const int fds[] = {0};
    kill(f->pid, SIGKILL);
    assert_true(WIFSIGNALED(end_of(f)));
    assert_true(ready_has_gone(f->keeper));
    assert_int_equal(ready_tell(f->keeper, argv, fds, 1), -1);
    assert_int_equal(errno, EPIPE);
}

static void what_does_not_fit_is_not_told(void **state)
{
    struct fixture *f = *state;
    static char longer[READY_BYTES + 1];
    char one[] = "x", *many[READY_ARGS + 2] = {NULL}, *big[] = {longer, NULL}, *nothing[] = {NULL};
    const int fds[READY_FDS + 1] = {0};
    memset(longer, 'x', READY_BYTES);
    for (size_t i = 0; i <= READY_ARGS; i++)
        many[i] = one;
    assert_int_equal(ready_tell(f->keeper, many, fds, 1), -1);
    assert_int_equal(ready_tell(f->keeper, big, fds, 1), -1);
    assert_int_equal(ready_tell(f->keeper, nothing, fds, 1), -1);
    many[READY_ARGS] = NULL;
    assert_int_equal(ready_tell(f->keeper, many, fds, READY_FDS + 1), -1);
    assert_int_equal(ready_tell(f->keeper, many, fds, 0), -1);
    assert_false(ready_has_gone(f->keeper));
    assert_int_equal(send(f->keeper, "x", 2, 0), 2); /* no descriptors: no order */
    assert_int_equal(WEXITSTATUS(end_of(f)), 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(it_is_told), CASE(its_keeper_goes), CASE(it_has_gone),
                                       CASE(what_does_not_fit_is_not_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
