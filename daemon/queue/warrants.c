#include "daemon/queue/warrants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"

struct entry {
    struct warrant *w; /* only as long as its leaves need */
    char name[SHA256_HEX];
};

struct warrants {
    struct entry at[WARRANTS_MAX];
    size_t n;
};

struct warrants *warrants_new(void)
{
    return base_alloc(sizeof(struct warrants));
}

void warrants_free(struct warrants *w)
{
    for (size_t i = 0; w && i < w->n; i++)
        free(w->at[i].w);
    free(w);
}

size_t warrants_count(const struct warrants *w)
{
    return w->n;
}

static int expired(struct err *e)
{
    err_set(e, WATTQ_E_NOT_FOUND, "what wattq-launcher signed for it has expired");
    return err_next(e, "submit it again");
}

int warrants_add(struct warrants *w, const void *data, size_t bytes, int64_t uid, int64_t now_utc_s,
                 struct err *e)
{
    struct warrant one;
    if (w->n == WARRANTS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "more than %d warrants for one submission", WARRANTS_MAX);
    int rc = warrant_parse(&one, data, bytes, e);
    if (rc < 0)
        return rc;
    if (one.uid != uid)
        return err_set(e, WATTQ_E_FORBIDDEN, "a warrant of another user");
    if (one.until_utc_s < now_utc_s)
        return err_set(e, WATTQ_E_FORBIDDEN, "a warrant that has expired");
    struct entry *x = &w->at[w->n++];
    x->w = base_alloc(bytes);
    memcpy(x->w, &one, bytes);
    sha256_hex(&one, bytes, x->name);
    return 0;
}

int warrants_cover(const struct warrants *w, size_t i, const struct spec *s, const char *env_hash,
                   struct err *e)
{
    uint8_t leaf[SHA256_BYTES];
    const struct order o = {.kind = s->kind == SPEC_TRAIN ? ORDER_TRAIN : ORDER_COMMAND,
                            .umask = s->umask,
                            .cwd = s->cwd,
                            .stdin_path = s->stdin_path,
                            .on_end = s->on_end,
                            .argv = s->argv,
                            .env_hash = env_hash};
    order_hash(&o, leaf);
    const struct entry *x = w && i / WARRANT_RUNS_MAX < w->n ? &w->at[i / WARRANT_RUNS_MAX] : NULL;
    if (!x || warrant_find(x->w, leaf) < 0) {
        err_set(
            e, WATTQ_E_FORBIDDEN,
            "wattq-launcher has not been told of run %zu of this submission: nothing is started "
            "in your name without",
            i + 1);
        return err_next(e, "submit with a client of the same version as wattqd: wattq info");
    }
    return 0;
}

const char *warrants_name(const struct warrants *w, size_t i)
{
    return w->at[i / WARRANT_RUNS_MAX].name;
}

/* ---- files --------------------------------------------------------------------------------------- */

/* Of an earlier submission under the same warrant, whole: its name is the hash of it. */
static bool is_there(int dir, const struct entry *x)
{
    size_t bytes = 0;
    char *data CLEANUP(base_freep) = base_read_file(dir, x->name, sizeof(*x->w), &bytes);
    return data && bytes == warrant_bytes(x->w) && memcmp(data, x->w, bytes) == 0;
}

/* The file's time is when it expires, so that a sweep of the directory opens only those; it is read again
 * before it is removed. */
static int keep(int dir, const struct entry *x, struct durable *files)
{
    if (is_there(dir, x))
        return durable_add_old(files, dir, x->name);
    return durable_add(files, dir, x->name, x->w, warrant_bytes(x->w), 0600, x->w->until_utc_s);
}

int warrants_store(const struct warrants *w, size_t runs, const char *dir, struct durable *files,
                   struct err *e)
{
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_errno(e, WATTQ_E_IO, "cannot make %s", dir);
    int fd CLEANUP(base_closep) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < w->n && i * WARRANT_RUNS_MAX < runs; i++)
        rc = keep(fd, &w->at[i], files);
    return rc < 0 ? err_errno(e, WATTQ_E_IO, "a warrant could not be kept in %s", dir) : 0;
}

static int read_one(int dir, const char *name, struct warrant *out, struct err *e)
{
    size_t bytes = 0;
    char *data CLEANUP(base_freep) = base_read_file(dir, name, sizeof(*out), &bytes);
    if (!data && errno == ENOENT)
        return expired(e);
    if (!data)
        return err_errno(e, WATTQ_E_IO, "cannot read the warrant %s", name);
    return warrant_parse(out, data, bytes, e);
}

int warrants_load(const char *dir, const char *name, int64_t now_utc_s, struct warrant *out,
                  struct err *e)
{
    int fd CLEANUP(base_closep) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot read warrants in %s", dir);
    int rc = read_one(fd, name, out, e);
    return rc == 0 && out->until_utc_s < now_utc_s ? expired(e) : rc;
}

void warrants_expire(const char *dir, int64_t now_utc_s)
{
    DIR *d = base_open_dir(dir);
    size_t gone = 0;
    for (struct dirent *de; d && (de = readdir(d));) {
        struct stat st;
        struct warrant w;
        if (strlen(de->d_name) == SHA256_HEX - 1 &&
            fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (int64_t)st.st_mtim.tv_sec < now_utc_s &&
            read_one(dirfd(d), de->d_name, &w, NULL) == 0 && w.until_utc_s < now_utc_s &&
            unlinkat(dirfd(d), de->d_name, 0) == 0)
            gone++;
    }
    if (d)
        closedir(d);
    if (gone > 0)
        log_info("%zu warrants have expired", gone);
}
