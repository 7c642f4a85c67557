/* wattqd's side of warrants: who may hand in which, what covers which run, and the files until they expire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/queue/warrants.h"

#define NOW 1700000000
#define UID 1000

static char env_hash[SHA256_HEX];
static char program[] = "python", script[] = "train.py";
static char *argv[] = {program, script, NULL, NULL};

struct fixture {
    char dir[64];
    struct warrants *w;
    struct err e;
};

static int set_up(void **state)
{
    struct fixture *f = base_alloc(sizeof(*f));
    char first[] = "HOME=/home/a";
    char *env[] = {first, NULL};
    order_env_hash(env, env_hash);
    strcpy(f->dir, "/tmp/wattq-warrants-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->w = warrants_new();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    warrants_free(f->w);
    free(f);
    return system(command);
}

static int store(struct fixture *f, size_t runs, const char *dir)
{
    struct durable files = {0};
    int rc = warrants_store(f->w, runs, dir, &files, &f->e);
    return rc < 0 ? rc : durable_wait(&files);
}

/* Run number i of a submission. */
static struct spec run(size_t i)
{
    static char last[32], cwd[] = "/home/a";
    snprintf(last, sizeof(last), "--seed=%zu", i);
    argv[2] = last;
    return (struct spec){.argv = argv, .argc = 3, .cwd = cwd, .umask = 022};
}

static void leaf(size_t i, uint8_t out[SHA256_BYTES])
{
    struct spec s = run(i);
    const struct order o = {.kind = ORDER_COMMAND,
                            .umask = s.umask,
                            .cwd = s.cwd,
                            .argv = s.argv,
                            .env_hash = env_hash};
    order_hash(&o, out);
}

/* As a client and the launcher would have it: n runs from `first` on. */
static void sign(struct warrant *w, size_t first, uint32_t n, int64_t until_utc_s)
{
    static const uint8_t key[SHA256_BYTES] = {7};
    *w = (struct warrant){.version = WARRANT_VERSION,
                          .n = n,
                          .uid = UID,
                          .made_utc_s = NOW - 1,
                          .until_utc_s = until_utc_s,
                          .starts_max = n};
    for (uint32_t i = 0; i < n; i++)
        leaf(first + i, w->leaves[i]);
    warrant_sign(w, key);
}

static int add(struct fixture *f, const struct warrant *w)
{
    return warrants_add(f->w, w, warrant_bytes(w), UID, NOW, &f->e);
}

static int cover(struct fixture *f, size_t i, char name[SHA256_HEX])
{
    struct spec s = run(i);
    int rc = warrants_cover(f->w, i, &s, env_hash, &f->e);
    if (rc == 0)
        base_strcpy(name, SHA256_HEX, warrants_name(f->w, i));
    return rc;
}

static void of_another_or_expired(void **state)
{
    struct fixture *f = *state;
    struct warrant w;
    sign(&w, 0, 1, NOW);
    assert_int_equal(warrants_add(f->w, &w, warrant_bytes(&w), UID + 1, NOW, &f->e),
                     WATTQ_E_FORBIDDEN);
    assert_int_equal(warrants_add(f->w, &w, warrant_bytes(&w), UID, NOW + 1, &f->e),
                     WATTQ_E_FORBIDDEN);
    assert_int_equal(warrants_add(f->w, &w, warrant_bytes(&w) - 1, UID, NOW, &f->e),
                     WATTQ_E_INVALID);
    assert_int_equal(warrants_count(f->w), 0);
    assert_int_equal(add(f, &w), 0);
    assert_int_equal(warrants_count(f->w), 1);
}

static void covers_in_order(void **state)
{
    struct fixture *f = *state;
    struct warrant w;
    char name[SHA256_HEX], other[SHA256_HEX];
    assert_int_equal(warrants_cover(NULL, 0, &(struct spec){.argv = argv}, env_hash, &f->e),
                     WATTQ_E_FORBIDDEN);
    sign(&w, 0, WARRANT_RUNS_MAX, NOW + 10);
    assert_int_equal(add(f, &w), 0);
    sign(&w, WARRANT_RUNS_MAX, 44, NOW + 10);
    assert_int_equal(add(f, &w), 0);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(cover(f, i, name), 0);
    assert_int_equal(cover(f, 0, other), 0);
    assert_string_not_equal(name, other);
    assert_int_equal(cover(f, 300, name), WATTQ_E_FORBIDDEN);
    assert_int_equal(cover(f, 600, name), WATTQ_E_FORBIDDEN);
    assert_non_null(strstr(f->e.text, "run 601"));
}

/* Whatever gives authority over the account is under the hash. */
static void covers_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct warrant w;
    char elsewhere[] = "/", input[] = "/etc/passwd", hash[SHA256_HEX];
    sign(&w, 0, 1, NOW + 10);
    assert_int_equal(add(f, &w), 0);
    struct spec s = run(0);
    assert_int_equal(warrants_cover(f->w, 0, &s, env_hash, &f->e), 0);
    s.kind = SPEC_EXEC; /* tried again, it is a command like any other */
    s.exclusive = true; /* and what the queue decides is not signed */
    s.time_limit_ns = 7;
    assert_int_equal(warrants_cover(f->w, 0, &s, env_hash, &f->e), 0);
    s = run(0);
    s.kind = SPEC_TRAIN;
    assert_int_equal(warrants_cover(f->w, 0, &s, env_hash, &f->e), WATTQ_E_FORBIDDEN);
    s = run(0);
    s.umask = 0;
    assert_int_equal(warrants_cover(f->w, 0, &s, env_hash, &f->e), WATTQ_E_FORBIDDEN);
    s = run(0);
    s.cwd = elsewhere;
    assert_int_equal(warrants_cover(f->w, 0, &s, env_hash, &f->e), WATTQ_E_FORBIDDEN);
    s = run(0);
    s.stdin_path = input;
    assert_int_equal(warrants_cover(f->w, 0, &s, env_hash, &f->e), WATTQ_E_FORBIDDEN);
    s = run(1);
    assert_int_equal(warrants_cover(f->w, 0, &s, env_hash, &f->e), WATTQ_E_FORBIDDEN);
    s = run(0);
    memcpy(hash, env_hash, sizeof(hash));
    hash[0] = hash[0] == '0' ? '1' : '0';
    assert_int_equal(warrants_cover(f->w, 0, &s, hash, &f->e), WATTQ_E_FORBIDDEN);
}

static void not_too_many(void **state)
{
    struct fixture *f = *state;
    struct warrant w;
    sign(&w, 0, 1, NOW);
    for (int i = 0; i < WARRANTS_MAX; i++)
        assert_int_equal(add(f, &w), 0);
    assert_int_equal(add(f, &w), WATTQ_E_LIMIT);
}

static size_t files(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;
    assert_non_null(d);
    for (struct dirent *de; (de = readdir(d));)
        n += de->d_name[0] != '.';
    closedir(d);
    return n;
}

static void kept_until_they_expire(void **state)
{
    struct fixture *f = *state;
    struct warrant first, second, back;
    struct stat st;
    char dir[80], names[2][SHA256_HEX];
    snprintf(dir, sizeof(dir), "%s/new", f->dir);
    sign(&first, 0, WARRANT_RUNS_MAX, NOW + 10);
    sign(&second, WARRANT_RUNS_MAX, 2, NOW + 20);
    assert_int_equal(add(f, &first), 0);
    assert_int_equal(add(f, &second), 0);
    assert_int_equal(store(f, WARRANT_RUNS_MAX, dir), 0);
    assert_int_equal(files(dir), 1); /* what covers nothing is not kept */
    assert_int_equal(store(f, WARRANT_RUNS_MAX + 2, dir), 0);
    assert_int_equal(store(f, WARRANT_RUNS_MAX + 2, dir), 0);
    assert_int_equal(files(dir), 2);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);

    assert_int_equal(cover(f, 0, names[0]), 0);
    assert_int_equal(cover(f, WARRANT_RUNS_MAX, names[1]), 0);
    assert_int_equal(warrants_load(dir, names[1], NOW, &back, &f->e), 0);
    assert_int_equal(warrant_bytes(&back), warrant_bytes(&second));
    assert_memory_equal(&back, &second, warrant_bytes(&second));
    assert_int_equal(warrants_load(dir, names[0], NOW + 11, &back, &f->e), WATTQ_E_NOT_FOUND);

    warrants_expire(dir, NOW + 10);
    assert_int_equal(files(dir), 2);
    warrants_expire(dir, NOW + 11);
    assert_int_equal(files(dir), 1);
    assert_int_equal(warrants_load(dir, names[0], NOW, &back, &f->e), WATTQ_E_NOT_FOUND);
    assert_int_equal(warrants_load(dir, names[1], NOW, &back, &f->e), 0);
}

/* A file's time is only where a sweep looks first. */
static void a_wrong_time_removes_nothing(void **state)
{
    struct fixture *f = *state;
    struct warrant w;
    char name[SHA256_HEX], path[200];
    sign(&w, 0, 1, NOW + 10);
    assert_int_equal(add(f, &w), 0);
    assert_int_equal(cover(f, 0, name), 0);
    assert_int_equal(store(f, 1, f->dir), 0);
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    warrants_expire(f->dir, NOW + 10);
    assert_int_equal(access(path, F_OK), 0);
    warrants_expire(f->dir, NOW + 11);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void a_damaged_file_is_no_warrant(void **state)
{
    struct fixture *f = *state;
    struct warrant w;
    char name[SHA256_HEX], path[200];
    sign(&w, 0, 2, NOW + 10);
    assert_int_equal(add(f, &w), 0);
    assert_int_equal(cover(f, 0, name), 0);
    assert_int_equal(store(f, 1, f->dir), 0);
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(warrants_load(f->dir, name, NOW, &w, &f->e), WATTQ_E_INVALID);
    /* Left by a crash, perhaps: the next submission does not rely on it. */
    assert_int_equal(store(f, 1, f->dir), 0);
    assert_int_equal(warrants_load(f->dir, name, NOW, &w, &f->e), 0);
    assert_int_equal(files(f->dir), 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(of_another_or_expired),       CASE(covers_in_order),
        CASE(covers_nothing_else),         CASE(not_too_many),
        CASE(kept_until_they_expire),      CASE(a_wrong_time_removes_nothing),
        CASE(a_damaged_file_is_no_warrant)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
