/* Everything launch reads that it did not write itself a moment ago: the launch block, frames, and the
 * files of a run's directory, which its user can edit. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/launch/frames.h"
#include "daemon/launch/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_block(const uint8_t *data, size_t size)
{
    struct launch_block b;
    struct err e;
    if (launch_block_parse(data, size, &b, &e) != 0)
        return;
    /* What was accepted must be whole: it can be written again. */
    int fd;
    if (!b.argv[0] || launch_block_write(&b, &fd, &e) != 0)
        abort();
    struct launch_block again;
    if (launch_block_read(fd, &again, &e) != 0 || strcmp(again.argv[0], b.argv[0]) != 0)
        abort();
    launch_block_fini(&again);
    launch_block_fini(&b);
    base_closep(&fd);
}

static void fuzz_marks(const char *text)
{
    struct result_mark m[64];
    size_t n = result_marks_parse(text, m, 64);
    for (size_t i = 1; i < n; i++)
        if (m[i].offset < m[i - 1].offset || m[i].t_ns < m[i - 1].t_ns)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    char *text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    struct result r;
    struct result_shepherd s;
    struct frame f = {0};
    switch (data[0] % 5) {
    case 0:
        fuzz_block(data + 1, size - 1);
        break;
    case 1:
        if (result_parse(text, &r, NULL) == 0 && !strstr(text, "end="))
            abort();
        break;
    case 2:
        (void)!result_shepherd_parse(text, &s);
        break;
    case 3:
        fuzz_marks(text);
        break;
    default:
        memcpy(&f, data + 1, size - 1 < sizeof(f) ? size - 1 : sizeof(f));
        if (frame_ok(&f) && f.magic != FRAME_MAGIC)
            abort();
    }
    free(text);
    return 0;
}
