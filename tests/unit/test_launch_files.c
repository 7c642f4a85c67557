/* The pure parts of launch: frames, launch block, result, state, marks, SHA-256, provenance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/sha256.h"
#include "daemon/launch/frames.h"
#include "daemon/launch/provenance.h"
#include "daemon/launch/result.h"

struct dir {
    char path[64];
    int fd;
};

static int set_up(void **state)
{
    struct dir *d = base_alloc(sizeof(*d));
    strcpy(d->path, "/tmp/wattq-files-XXXXXX");
    assert_non_null(mkdtemp(d->path));
    d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = d;
    return 0;
}

static void shell(const char *fmt, ...) PRINTF(1, 2);
static void shell(const char *fmt, ...)
{
    char cmd[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof(cmd), fmt, ap);
    va_end(ap);
    if (system(cmd) != 0)
        fail_msg("failed: %s", cmd);
}

static int tear_down(void **state)
{
    struct dir *d = *state;
    close(d->fd);
    shell("rm -rf %s", d->path);
    free(d);
    return 0;
}

static void put(const struct dir *d, const char *name, const char *text)
{
    int fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(base_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

/* ---- launch block -------------------------------------------------------------------------------- */

static char *test_argv[] = {(char *)(uintptr_t) "prog", (char *)(uintptr_t) "",
                            (char *)(uintptr_t) "a b\n", NULL};
static char *test_env[] = {(char *)(uintptr_t) "A=1", (char *)(uintptr_t) "B=", NULL};

static struct launch_block sample(void)
{
    return (struct launch_block){.run_id = 7,
                                 .token = 9,
                                 .grace_ns = 30 * NS_PER_S,
                                 .linger_ns = 10 * NS_PER_S,
                                 .log_cap_bytes = 1 << 20,
                                 .umask = 027,
                                 .flags = LAUNCH_WAIT_CHILDREN,
                                 .argv = test_argv,
                                 .env = test_env,
                                 .cwd = (char *)(uintptr_t) "/tmp"};
}

static void block_round_trip(void **state)
{
    (void)state;
    struct launch_block b = sample(), r;
    struct err e;
    int fd;
    assert_int_equal(launch_block_write(&b, &fd, &e), 0);
    assert_int_equal(launch_block_read(fd, &r, &e), 0);
    assert_int_equal(r.run_id, 7);
    assert_int_equal(r.token, 9);
    assert_int_equal(r.umask, 027);
    assert_string_equal(r.argv[2], "a b\n");
    assert_string_equal(r.argv[1], "");
    assert_null(r.argv[3]);
    assert_string_equal(r.env[1], "B=");
    assert_null(r.env[2]);
    assert_string_equal(r.cwd, "/tmp");
    assert_string_equal(r.stdin_path, "");
    /* sealed: what the shepherd reads is what was written */
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    launch_block_fini(&r);
    close(fd);
}

static void block_refuses(void **state)
{
    (void)state;
    struct launch_block b = sample(), r;
    struct err e;
    int fd;
    char buf[4096];
    assert_int_equal(launch_block_write(&b, &fd, &e), 0);
    ssize_t n = pread(fd, buf, sizeof(buf), 0);
    close(fd);
    assert_true(n > 0);
    for (size_t cut = 0; cut < (size_t)n; cut++)
        assert_true(launch_block_parse(buf, cut, &r, &e) < 0);
    /* the last NUL gone, with the length right */
    char last = buf[n - 1];
    buf[n - 1] = 'x';
    assert_int_equal(launch_block_parse(buf, (size_t)n, &r, &e), WATTQ_E_PROTOCOL);
    buf[n - 1] = last;
    buf[0] ^= 1;
    assert_int_equal(launch_block_parse(buf, (size_t)n, &r, &e), WATTQ_E_PROTOCOL);
    b.argv = test_argv + 3;
    assert_int_equal(launch_block_write(&b, &fd, &e), WATTQ_E_LIMIT);
    /* a megabyte of environment */
    char *big = base_alloc(LAUNCH_BLOCK_MAX + 2);
    memset(big, 'x', LAUNCH_BLOCK_MAX);
    char *env[] = {big, NULL};
    b = sample();
    b.env = env;
    assert_int_equal(launch_block_write(&b, &fd, &e), WATTQ_E_LIMIT);
    free(big);
}

static void frames_over_a_long_path(void **state)
{
    struct dir *d = *state;
    struct err e;
    char deep[300];
    memset(deep, 'd', 200);
    deep[200] = 0;
    assert_int_equal(mkdirat(d->fd, deep, 0700), 0);
    int fd = openat(d->fd, deep, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(frame_connect(fd, "ctl", &e), WATTQ_E_NOT_FOUND);
    int l = frame_listen(fd, "ctl", &e);
    assert_true(l >= 0);
    int c = frame_connect(fd, "ctl", &e);
    assert_true(c >= 0);
    int s = accept(l, NULL, NULL);
    assert_true(s >= 0);
    struct frame f = {.magic = FRAME_MAGIC, .kind = FRAME_GO, .token = 77}, g;
    assert_int_equal(frame_send(c, &f, &e), 0);
    assert_int_equal(frame_recv(s, &g, &e), 0);
    assert_memory_equal(&f, &g, sizeof(f));
    f.magic++;
    assert_int_equal(frame_send(c, &f, &e), 0);
    assert_int_equal(frame_recv(s, &g, &e), WATTQ_E_PROTOCOL);
    close(c);
    assert_int_equal(frame_recv(s, &g, &e), 1);
    close(s);
    close(l);
    close(fd);
}

/* ---- result, state, marks ------------------------------------------------------------------------ */

static void result_round_trip(void **state)
{
    struct dir *d = *state;
    struct result w, r;
    struct err e;
    assert_int_equal(result_read(d->fd, &r, &e), 1);
    result_init(&w);
    w.cause = RESULT_OOM;
    w.run_id = 5;
    w.token = 6;
    w.t0_ns = 123456789;
    w.term_signal = 9;
    w.cpu_us = 42;
    w.cpu_from_cgroup = true;
    strcpy(w.text, "two\nlines");
    strcpy(w.mode, "cgroup");
    assert_int_equal(result_write(d->fd, &w, &e), 0);
    assert_int_equal(result_read(d->fd, &r, &e), 0);
    assert_int_equal(r.cause, RESULT_OOM);
    assert_int_equal(r.token, 6);
    assert_int_equal(r.t0_ns, 123456789);
    assert_true(r.exit_code == RESULT_NONE);
    assert_true(r.t1_ns == RESULT_NONE);
    assert_int_equal(r.term_signal, 9);
    assert_true(r.cpu_from_cgroup);
    assert_string_equal(r.text, "two lines");
    assert_string_equal(r.mode, "cgroup");
}

static void result_refuses(void **state)
{
    struct dir *d = *state;
    struct result r;
    struct err e;
    static const char *const bad[] = {"",
                                      "cause=exited\n",
                                      "cause=exited\nexit_code=0\nend=1",
                                      "cause=nonsense\nend=1\n",
                                      "exit_code=0\nend=1\n",
                                      "cause=exited\nexit_code=0x\nend=1\n",
                                      "no pair\ncause=exited\nend=1\n",
                                      "cause=exited\nt0_ns=99999999999999999999\nend=1\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        put(d, "result", bad[i]);
        assert_int_equal(result_read(d->fd, &r, &e), WATTQ_E_CORRUPT);
    }
    put(d, "result", "cause=exited\nof_a_later_version=1\nend=1\n");
    assert_int_equal(result_read(d->fd, &r, &e), 0);
    assert_true(r.exit_code == RESULT_NONE);
}

static void state_file(void **state)
{
    struct dir *d = *state;
    static const struct {
        const char *text;
        struct result_state want;
    } files[] = {
        {NULL, {0}},
        {"\n\n\n\n", {0}},
        {"released\n\n\n", {.step = RESULT_RELEASED}},
        {"released\nstarted 123", {.step = RESULT_RELEASED}}, /* torn */
        {"released\nstarted 1234\n\n", {.step = RESULT_RELEASED, .t0_ns = 1234}},
        {"released\nstarted 1234\n\nopened", {.step = RESULT_RELEASED, .t0_ns = 1234}},
        {"released\nstarted 1234\n\nopened\n", {.step = RESULT_OPENED, .t0_ns = 1234}},
        {"released\nstarted 1\nopened\nended 256 1 77", {.step = RESULT_OPENED, .t0_ns = 1}},
        {"released\nstarted 1\nopened\nended 256 9 77\n", {.step = RESULT_OPENED, .t0_ns = 1}},
        {"released\nstarted 1\nopened\nended 99999 1 77\n", {.step = RESULT_OPENED, .t0_ns = 1}},
        {"released\nstarted 1\nopened\nended 256 1 77\n",
         {RESULT_MAIN_ENDED, 1, 256, RESULT_STOPPED, 77, RESULT_ON_END_NOT, 0}},
        {"released\n\non_end 1 00000", {.step = RESULT_RELEASED}}, /* torn */
        {"released\n\non_end 4 00000\n", {.step = RESULT_RELEASED}},
        {"released\n\non_end 1 00000\n", {.step = RESULT_RELEASED, .on_end = RESULT_ON_END_BEGUN}},
        {"released\n\non_end 2 01280\n",
         {.step = RESULT_RELEASED, .on_end = RESULT_ON_END_ENDED, .on_end_status = 1280}},
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct result_state got;
        if (files[i].text)
            put(d, "state", files[i].text);
        result_state_read(d->fd, &got);
        assert_int_equal(got.step, files[i].want.step);
        assert_int_equal(got.t0_ns, files[i].want.t0_ns);
        assert_int_equal(got.status, files[i].want.status);
        assert_int_equal(got.cause, files[i].want.cause);
        assert_int_equal(got.main_exit_ns, files[i].want.main_exit_ns);
        assert_int_equal(got.on_end, files[i].want.on_end);
        assert_int_equal(got.on_end_status, files[i].want.on_end_status);
    }
}

/* Each line in its place, in whatever order they come. */
static void state_lines(void **state)
{
    struct dir *d = *state;
    struct result_state got;
    put(d, "state", "");
    int fd = openat(d->fd, "state", O_RDWR | O_CLOEXEC);
    assert_int_equal(result_state_blank(fd), 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), RESULT_STATE_BYTES);
    assert_int_equal(result_state_on_end(fd, RESULT_ON_END_BEGUN, 0), 0);
    assert_int_equal(result_state_on_end(fd, RESULT_ON_END_TIMED_OUT, 0xffff), 0);
    assert_int_equal(result_state_ended(fd, 0xffff, RESULT_NOT_STARTED, INT64_MAX), 0);
    assert_int_equal(result_state_opened(fd), 0);
    assert_int_equal(result_state_started(fd, INT64_MAX), 0);
    assert_int_equal(result_state_released(fd), 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), RESULT_STATE_BYTES);
    close(fd);
    result_state_read(d->fd, &got);
    assert_int_equal(got.step, RESULT_MAIN_ENDED);
    assert_int_equal(got.on_end, RESULT_ON_END_TIMED_OUT);
    assert_int_equal(got.on_end_status, 0xffff);
    assert_int_equal(got.t0_ns, INT64_MAX);
    assert_int_equal(got.status, 0xffff);
    assert_int_equal(got.cause, RESULT_NOT_STARTED);
    assert_int_equal(got.main_exit_ns, INT64_MAX);
}

static void marks_file(void **state)
{
    struct dir *d = *state;
    struct result_mark *m;
    struct err e;
    size_t n;
    assert_int_equal(result_marks_read(d->fd, &m, &n, &e), 0);
    assert_int_equal(n, 0);
    put(d, "marks", "10 100\n20 200\n15 300\n30 400\n");
    assert_int_equal(result_marks_read(d->fd, &m, &n, &e), 0);
    assert_int_equal(n, 2); /* offsets never fall */
    assert_int_equal(m[1].offset, 20);
    assert_int_equal(m[1].t_ns, 200);
    free(m);
    put(d, "marks", "10 100\n20 20");
    assert_int_equal(result_marks_read(d->fd, &m, &n, &e), 0);
    assert_int_equal(n, 1);
    free(m);
}

/* ---- SHA-256 and provenance ---------------------------------------------------------------------- */

static void sha256_vectors(void **state)
{
    (void)state;
    char hex[SHA256_HEX];
    /* source: NIST, FIPS 180-4 examples */
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    sha256_hex(two, strlen(two), hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    struct sha256 s;
    sha256_init(&s);
    for (int i = 0; i < 1000000; i++)
        sha256_add(&s, "a", 1);
    sha256_end_hex(&s, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void provenance_of_a_script(void **state)
{
    struct dir *d = *state;
    struct provenance p, q;
    char hex[SHA256_HEX];
    char *argv[] = {(char *)(uintptr_t) "python3", (char *)(uintptr_t) "-u",
                    (char *)(uintptr_t) "train.py", (char *)(uintptr_t) "--lr", NULL};
    put(d, "train.py", "print(1)\n");
    sha256_hex("print(1)\n", 9, hex);
    provenance_collect(&p, d->path, argv, "/usr/bin:/bin");
    assert_string_equal(p.commit_id, ""); /* /tmp is in no repository */
    assert_int_equal(p.dirty, -1);
    assert_string_equal(p.script_sha256, hex);
    assert_non_null(strstr(p.interpreter, "python3"));
    put(d, "train.py", "print(2)\n");
    provenance_collect(&q, d->path, argv, "/usr/bin:/bin");
    assert_string_not_equal(p.hash, q.hash);
    provenance_fini(&p);
    provenance_fini(&q);
    char *direct[] = {(char *)(uintptr_t) "./run.sh", NULL};
    put(d, "run.sh", "#!/usr/bin/env -S bash -e\necho\n");
    provenance_collect(&p, d->path, direct, "/usr/bin:/bin");
    assert_non_null(strstr(p.interpreter, "/bash"));
    assert_int_equal(strlen(p.script_sha256), 64);
    provenance_fini(&p);
    char *none[] = {(char *)(uintptr_t) "no-such-program", NULL};
    provenance_collect(&p, d->path, none, "/usr/bin:/bin");
    assert_string_equal(p.script, "");
    assert_int_equal(strlen(p.hash), 64);
    provenance_fini(&p);
}

static void provenance_of_a_repository(void **state)
{
    struct dir *d = *state;
    struct provenance p;
    char *argv[] = {(char *)(uintptr_t) "true", NULL};
    shell("cd %s && git init -q . && echo one > f && git add f && "
          "git -c user.name=t -c user.email=t@t commit -q -m first",
          d->path);
    provenance_collect(&p, d->path, argv, "/usr/bin:/bin");
    assert_int_equal(strlen(p.commit_id), 40);
    assert_int_equal(p.dirty, 0);
    assert_null(p.diff);
    provenance_fini(&p);
    put(d, "f", "two\n");
    provenance_collect(&p, d->path, argv, "/usr/bin:/bin");
    assert_int_equal(p.dirty, 1);
    assert_non_null(strstr(p.diff, "+two"));
    assert_false(p.diff_cut);
    provenance_fini(&p);
    shell("cd %s && seq 1 200000 > f", d->path); /* 1.3 MB of difference */
    provenance_collect(&p, d->path, argv, "/usr/bin:/bin");
    assert_true(p.diff_cut);
    assert_true(strlen(p.diff) <= PROVENANCE_DIFF_MAX);
    assert_int_equal(p.diff[strlen(p.diff) - 1], '\n');
    provenance_fini(&p);
    /* a repository must not get us to run its programs */
    shell("cd %s && git config core.fsmonitor 'touch hooked; false' && "
          "git config diff.external 'touch hooked' && git config core.pager 'touch hooked'",
          d->path);
    provenance_collect(&p, d->path, argv, "/usr/bin:/bin");
    assert_int_equal(faccessat(d->fd, "hooked", F_OK, 0), -1);
    provenance_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_round_trip),
        cmocka_unit_test(block_refuses),
        cmocka_unit_test_setup_teardown(frames_over_a_long_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(result_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(result_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(state_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(state_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(marks_file, set_up, tear_down),
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test_setup_teardown(provenance_of_a_script, set_up, tear_down),
        cmocka_unit_test_setup_teardown(provenance_of_a_repository, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
