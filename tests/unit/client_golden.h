/* Golden texts of the client's tests: tests/golden/cli/NAME. WATTQ_UPDATE=1 writes them anew, for review
 * with git diff. */
#ifndef TESTS_CLIENT_GOLDEN_H
#define TESTS_CLIENT_GOLDEN_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"

static inline char *golden_path(const char *path)
{
    const char *src = getenv("WATTQ_SRC");
    return base_printf("%s/%s", src ? src : ".", path);
}

static inline void golden_check_at(const char *path, const char *text)
{
    char *file = golden_path(path);
    if (getenv("WATTQ_UPDATE")) {
        FILE *f = fopen(file, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
        assert_int_equal(fclose(f), 0);
    }
    size_t bytes = 0;
    char *want = base_read_file(AT_FDCWD, file, 1 << 20, &bytes);
    if (!want)
        fail_msg("cannot read %s", file);
    if (strcmp(want, text) != 0)
        fail_msg("%s differs; wanted:\n%s\ngot:\n%s", file, want, text);
    free(want);
    free(file);
}

static inline void golden_check(const char *name, const char *text)
{
    char *path = base_printf("tests/golden/cli/%s", name);
    golden_check_at(path, text);
    free(path);
}

/* Text that a function writes to a stream. */
struct capture {
    FILE *f;
    char *text;
    size_t bytes;
};
static inline void capture_start(struct capture *c)
{
    c->f = open_memstream(&c->text, &c->bytes);
    assert_non_null(c->f);
}
static inline const char *capture_end(struct capture *c)
{
    assert_int_equal(fclose(c->f), 0);
    return c->text;
}

/* A message from what a test built. */
static inline struct wire_msg *wired(struct wire_out *o)
{
    struct wire_msg *m = NULL;
    struct err e = {0};
    if (wire_out_finish(o, &e) < 0 ||
        wire_msg_new(&m, o->data + WIRE_HEADER_BYTES, o->bytes - WIRE_HEADER_BYTES, &e) < 0)
        fail_msg("%s", e.text);
    wire_out_free(o);
    return m;
}

#endif
