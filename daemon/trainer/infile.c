#include "daemon/trainer/infile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define FIRST_BYTES (UINT64_C(1) << 20)
#define READ_BYTES  (1u << 20)

static void close_gz(gzFile *z)
{
    if (*z)
        (void)gzclose_r(*z);
}

/* A pipe or a directory has no length to be trusted and may block for ever. */
static int open_regular(const char *path, int *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        err_set(e, WATTQ_E_NOT_FOUND, "there is no file %.200s", path);
        return err_next(e, "check the path, or try a generated data set: --dataset standin:adult");
    }
    if (fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open %.200s", path);
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, WATTQ_E_IO, "%.200s is not a regular file", path);
    }
    *out = fd;
    return 0;
}

static int grow(char **data, size_t *cap, const char *path, struct err *e)
{
    size_t want = *cap ? *cap * 2 : FIRST_BYTES;
    char *more = realloc(*data, want + 1);
    if (!more)
        return err_set(e, WATTQ_E_LIMIT, "no memory for %.200s (%zu MB so far)", path, *cap >> 20);
    *data = more;
    *cap = want;
    return 0;
}

static int read_stream(gzFile z, const char *path, char **data, size_t *bytes, struct err *e)
{
    size_t cap = 0;
    for (;;) {
        if (*bytes == cap && grow(data, &cap, path, e) < 0)
            return WATTQ_E_LIMIT;
        size_t room = cap - *bytes;
        int n = gzread(z, *data + *bytes, room < READ_BYTES ? (unsigned)room : READ_BYTES);
        if (n < 0)
            break;
        if (n == 0 && gzeof(z))
            break;
        *bytes += (size_t)n;
        if (*bytes > INFILE_MAX_BYTES) {
            err_set(e, WATTQ_E_LIMIT, "%.200s holds more than 2 GiB", path);
            return err_next(e, "train on a part of it: 2 GiB of text is the most that is read");
        }
    }
    (*data)[*bytes] = '\0';
    /* A stream that just stops is no error to gzread, only to gzerror. */
    int code;
    (void)gzerror(z, &code);
    if (code == Z_OK || code == Z_STREAM_END)
        return 0;
    if (code == Z_ERRNO)
        return err_errno(e, WATTQ_E_IO, "cannot read %.200s", path);
    err_set(e, WATTQ_E_CORRUPT, "%.200s is %s", path,
            code == Z_BUF_ERROR ? "a truncated gzip file" : "a damaged gzip file");
    return err_next(e, "fetch or copy the file again; `gzip -t` must accept it");
}

int infile_read(const char *path, char **data, size_t *bytes, struct err *e)
{
    *data = NULL;
    *bytes = 0;
    int fd = -1;
    int rc = open_regular(path, &fd, e);
    if (rc < 0)
        return rc;
    gzFile z CLEANUP(close_gz) = gzdopen(fd, "rb");
    if (!z) {
        close(fd);
        return err_set(e, WATTQ_E_IO, "no memory to read %.200s", path);
    }
    gzbuffer(z, 1u << 17);
    rc = read_stream(z, path, data, bytes, e);
    if (rc < 0) {
        free(*data);
        *data = NULL;
    }
    return rc;
}
