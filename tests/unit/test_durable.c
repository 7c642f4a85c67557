/* Files that are made durable together: what is there afterwards, whatever lay there before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/durable.h"

struct fixture {
    char dir[64];
    int fd;
    struct durable d;
};

static int set_up(void **state)
{
    struct fixture *f = base_alloc(sizeof(*f));
    strcpy(f->dir, "/tmp/wattq-durable-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->fd = open(f->dir, O_RDONLY | O_DIRECTORY);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    durable_fini(&f->d);
    close(f->fd);
    free(f);
    return system(command);
}

static int add(struct fixture *f, const char *name, const char *text)
{
    return durable_add(&f->d, f->fd, name, text, strlen(text), 0600, 0);
}

static void is(struct fixture *f, const char *name, const char *text)
{
    size_t bytes;
    char *have CLEANUP(base_freep) = base_read_file(f->fd, name, 1000, &bytes);
    assert_non_null(have);
    assert_string_equal(have, text);
}

static int open_files(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void more_than_fit_at_a_time(void **state)
{
    struct fixture *f = *state;
    char name[32];
    int before = open_files();
    for (int i = 0; i < 3 * DURABLE_FILES + 1; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(add(f, name, name), 0);
        assert_true(open_files() <= before + DURABLE_FILES + 1);
    }
    assert_int_equal(durable_wait(&f->d), 0);
    assert_int_equal(open_files(), before);
    for (int i = 0; i < 3 * DURABLE_FILES + 1; i++) {
        snprintf(name, sizeof(name), "%d", i);
        is(f, name, name);
    }
}

static void what_lay_there_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(add(f, "other", "untouched"), 0);
    assert_int_equal(durable_wait(&f->d), 0);
    assert_int_equal(symlinkat("other", f->fd, "link"), 0);
    assert_int_equal(linkat(f->fd, "other", f->fd, "second", 0), 0);
    assert_int_equal(add(f, "link", "a"), 0);
    assert_int_equal(add(f, "second", "b"), 0);
    assert_int_equal(durable_add(&f->d, f->fd, "timed", "c", 1, 0640, 1234), 0);
    assert_int_equal(durable_wait(&f->d), 0);
    is(f, "other", "untouched");
    is(f, "link", "a");
    is(f, "second", "b");
    assert_int_equal(fstatat(f->fd, "timed", &st, 0), 0);
    assert_int_equal(st.st_mtime, 1234);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(fstatat(f->fd, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void old_files_and_errors(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add(f, "one", "1"), 0);
    assert_int_equal(durable_add_old(&f->d, f->fd, "one"), 0);
    assert_int_equal(durable_wait(&f->d), 0);
    assert_int_equal(durable_wait(&f->d), 0); /* nothing: done */
    assert_int_equal(durable_add_old(&f->d, f->fd, "none"), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(mkdirat(f->fd, "dir", 0700), 0);
    assert_int_equal(add(f, "dir", "1"), -1);
    int dev = open("/dev", O_RDONLY | O_DIRECTORY);
    assert_true(dev >= 0);
    assert_int_equal(durable_add_old(&f->d, dev, "null"), 0);
    assert_int_equal(durable_wait(&f->d), -1); /* a device that cannot be synced */
    assert_int_equal(errno, EINVAL);
    close(dev);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(more_than_fit_at_a_time),
                                       CASE(what_lay_there_is_replaced),
                                       CASE(old_files_and_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
