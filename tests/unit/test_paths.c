/* paths: where things are, what is refused and with which words, the single-instance lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/places.h"
#include "daemon/paths.h"

static char root[64];

static char *below(const char *name) /* leaked: a test's lifetime */
{
    static char buf[8][256];
    static unsigned i;
    char *b = buf[i++ % 8];
    snprintf(b, sizeof(buf[0]), "%s/%s", root, name);
    return b;
}

static char empty[] = "", user[] = "user", system_mode[] = "system";

static struct config config(char *state)
{
    /* wattq-shepherd is looked for in the libexec directory: one that is there. */
    return (struct config){.mode = user,
                           .state_dir = state,
                           .socket = empty,
                           .runtime_dir = empty,
                           .libexec_dir = below("lib")};
}

static int setup(void **state)
{
    (void)state;
    strcpy(root, "/tmp/wattq-paths-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    mkdir(below("lib"), 0755);
    FILE *f = fopen(below("lib/wattq-shepherd"), "w");
    if (!f)
        return -1;
    fclose(f);
    unsetenv("XDG_RUNTIME_DIR");
    return chmod(below("lib/wattq-shepherd"), 0755);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_created_private_and_found_again(void **state)
{
    (void)state;
    struct paths p;
    struct err e = {0};
    struct config c = config(below("deep/er/state"));
    for (int i = 0; i < 2; i++)
        if (paths_init(&p, &c, false, &e) < 0)
            fail_msg("%s", e.text);
    struct stat st;
    assert_int_equal(stat(p.state, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_string_equal(p.runtime, below("deep/er/state/run"));
    assert_string_equal(p.socket, below("deep/er/state/run/wattqd.sock"));
    assert_string_equal(p.database, below("deep/er/state/wattq.db"));
    assert_int_equal(stat(p.envs, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

/* Others go through to the files of their own runs, and see none of the rest. */
static void test_system_mode(void **state)
{
    (void)state;
    struct paths p;
    struct err e = {0};
    struct stat st;
    struct config c = config(below("var/lib/wattq"));
    c.mode = system_mode;
    for (int i = 0; i < 2; i++)
        if (paths_init(&p, &c, true, &e) < 0)
            fail_msg("%s", e.text);
    assert_string_equal(p.socket, PLACES_SYSTEM_SOCKET);
    assert_string_equal(p.runtime, "");
    const struct {
        const char *path;
        unsigned mode;
    } want[] = {{p.state, 0711}, {p.runs, 0711}, {p.envs, 0700}};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_int_equal(stat(want[i].path, &st), 0);
        assert_int_equal(st.st_mode & 07777, want[i].mode);
    }
    assert_string_equal(p.warrants, below("var/lib/wattq/warrants"));
}

static void test_xdg(void **state)
{
    (void)state;
    char out[WATTQ_PATH_MAX];
    setenv("XDG_STATE_HOME", "/xs", 1);
    assert_int_equal(places_state(out, NULL), 0);
    assert_string_equal(out, "/xs/wattq");
    setenv("XDG_STATE_HOME", "relative", 1); /* is to be ignored */
    setenv("HOME", "/h", 1);
    assert_int_equal(places_state(out, NULL), 0);
    assert_string_equal(out, "/h/.local/state/wattq");
    assert_int_equal(places_config(out, NULL), 0);
    assert_string_equal(out, "/h/.config/wattq/wattqd.conf");
    setenv("XDG_RUNTIME_DIR", root, 1);
    assert_int_equal(places_socket(out, NULL, NULL), 0);
    assert_string_equal(out, below("wattq/wattqd.sock"));
    setenv("XDG_RUNTIME_DIR", "/nonexistent", 1); /* as after su */
    assert_int_equal(places_runtime(out, NULL, NULL), 0);
    assert_string_equal(out, "/h/.local/state/wattq/run");
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("XDG_STATE_HOME");
}

static void refused(char *state, int code, const char *text, const char *next)
{
    struct paths p;
    struct err e = {0};
    struct config c = config(state);
    int rc = paths_init(&p, &c, false, &e);
    if (rc != code || !strstr(e.text, text) || !strstr(e.next, next))
        fail_msg("%s: %d \"%s\" \"%s\"", state, rc, e.text, e.next);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    mkdir(below("open"), 0755);
    chmod(below("open"), 0755);
    refused(below("open"), WATTQ_E_FORBIDDEN, "open to others", "chmod 700");
    refused(below("lib/wattq-shepherd"), WATTQ_E_IO, "not a directory", "--state-dir");
    refused(below("lib/wattq-shepherd/x"), WATTQ_E_IO, "cannot create", "");
    if (geteuid() == 0) {
        mkdir(below("other"), 0700);
        assert_int_equal(chown(below("other"), 12345, 12345), 0);
        refused(below("other"), WATTQ_E_FORBIDDEN, "belongs to uid 12345", "--state-dir");
    }
}

/* The test's directory is 0700, so nobody reaches a socket below it until it is opened too. */
static void test_shared(void **state)
{
    (void)state;
    struct paths p;
    struct err e = {0};
    struct stat st;
    struct config c = config(below("shared/state"));
    c.runtime_dir = below("shared-run");
    assert_int_equal(paths_init(&p, &c, true, &e), 0);
    assert_int_equal(paths_share(&p, &e), WATTQ_E_FORBIDDEN);
    assert_non_null(strstr(e.text, root));
    assert_non_null(strstr(e.next, "--runtime-dir"));
    assert_int_equal(chmod(root, 0755), 0);
    assert_int_equal(paths_share(&p, &e), 0);
    assert_int_equal(stat(p.runtime, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0711);
    const char *const closed[] = {p.state, p.runs, p.envs};
    for (size_t i = 0; i < ARRAY_LEN(closed); i++) {
        assert_int_equal(stat(closed[i], &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
    }
    assert_int_equal(paths_init(&p, &c, true, &e), 0); /* found again */
    assert_int_equal(paths_init(&p, &c, false, &e), WATTQ_E_FORBIDDEN);
    assert_int_equal(chmod(p.runtime, 0777), 0);
    assert_int_equal(paths_init(&p, &c, true, &e), WATTQ_E_FORBIDDEN); /* others could write */
    assert_int_equal(chmod(root, 0700), 0);
}

static void test_long_socket_path(void **state)
{
    (void)state;
    char path[140] = "/tmp/";
    memset(path + 5, 's', 103); /* 108 bytes */
    struct err e = {0};
    struct paths p;
    struct config c = config(below("s"));
    c.socket = path;
    assert_int_equal(paths_init(&p, &c, false, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "108"));
    assert_non_null(strstr(e.next, "--socket"));
    path[107] = '\0';
    assert_int_equal(places_check_socket(path, &e), 0);
}

static void test_missing_shepherd(void **state)
{
    (void)state;
    struct err e = {0};
    struct paths p;
    struct config c = config(below("s"));
    c.libexec_dir = below("nowhere");
    assert_int_equal(paths_init(&p, &c, false, &e), WATTQ_E_NOT_FOUND);
    assert_non_null(strstr(e.next, "--libexec-dir"));
}

static void test_network_file_systems(void **state)
{
    (void)state;
    assert_string_equal(paths_network_fs(0x6969), "NFS");
    assert_string_equal(paths_network_fs((long)0xfe534d42u), "SMB2");
    assert_string_equal(paths_network_fs((int)0xff534d42u),
                        "CIFS");               /* as a 32-bit f_type shows it */
    assert_null(paths_network_fs(0xef53));     /* ext4 */
    assert_null(paths_network_fs(0x01021994)); /* tmpfs */
}

/* A read-only mount in a mount namespace of a child. 0 = right answer, 1 = wrong one, 77 = cannot. */
static int read_only_child(void)
{
    struct paths p;
    struct err e = {0};
    struct config c = config(below("ro/state"));
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(below("ro"), below("ro"), NULL, MS_BIND, NULL) < 0 ||
        mount("none", below("ro"), NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
        return 77;
    int rc = paths_init(&p, &c, false, &e);
    bool absent = rc == WATTQ_E_IO && strstr(e.text, "Read-only") && strstr(e.next, "--state-dir");
    c.state_dir = below("ro/there");
    rc = paths_init(&p, &c, false, &e);
    bool there = rc == WATTQ_E_IO && strstr(e.text, "Read-only") && strstr(e.next, "--state-dir");
    return absent && there ? 0 : 1;
}

static void test_read_only_state(void **state)
{
    (void)state;
    mkdir(below("ro"), 0700);
    mkdir(below("ro/there"), 0700);
    pid_t pid = fork();
    if (pid == 0)
        _exit(read_only_child());
    int status = 0;
    waitpid(pid, &status, 0);
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: mounting needs root\n");
        skip();
    }
    assert_int_equal(status, 0);
}

static void test_one_instance(void **state)
{
    (void)state;
    struct paths p;
    struct err e = {0};
    struct config c = config(below("lock"));
    assert_int_equal(paths_init(&p, &c, false, &e), 0);
    int fd = paths_lock(&p, &e);
    assert_true(fd >= 0);
    assert_int_equal(paths_lock(&p, &e), WATTQ_E_CONFLICT);
    char pid[16];
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_non_null(strstr(e.text, pid));
    assert_int_equal(err_exit_code(e.code), 5);
    close(fd);
    fd = paths_lock(&p, &e); /* a lock file that is left over is no lock */
    assert_true(fd >= 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_created_private_and_found_again),
        cmocka_unit_test(test_system_mode),
        cmocka_unit_test(test_xdg),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_long_socket_path),
        cmocka_unit_test(test_missing_shepherd),
        cmocka_unit_test(test_network_file_systems),
        cmocka_unit_test(test_read_only_state),
        cmocka_unit_test(test_one_instance),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
