#include "daemon/queue/warrants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct warrants {
    struct warrant *at[WARRANTS_MAX];
    size_t n;
};

struct warrants *warrants_new(void)
{
    return base_alloc(sizeof(struct warrants));
}

void warrants_free(struct warrants *w)
{
    for (size_t i = 0; w && i < w->n; i++)
        free(w->at[i]);
    free(w);
}

int warrants_add(struct warrants *w, const void *data, size_t bytes, int64_t uid, struct err *e)
{
    if (w->n == WARRANTS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "more than %d warrants for one submission", WARRANTS_MAX);
    struct warrant *one = base_alloc(sizeof(*one));
    int rc = warrant_parse(one, data, bytes, e);
    if (rc == 0 && one->uid != uid)
        rc = err_set(e, WATTQ_E_FORBIDDEN, "a warrant of another user");
    if (rc < 0) {
        free(one);
        return rc;
    }
    w->at[w->n++] = one;
    return 0;
}

static void id_hex(const struct warrant *w, char out[WARRANTS_ID_HEX])
{
    for (size_t i = 0; i < sizeof(w->id); i++)
        snprintf(out + 2 * i, 3, "%02x", w->id[i]);
}

int warrants_cover(const struct warrants *w, size_t i, const struct spec *s, const char *env_hash,
                   char id[WARRANTS_ID_HEX], struct err *e)
{
    uint8_t leaf[SHA256_BYTES];
    const struct order o = {.kind = s->kind == SPEC_TRAIN ? ORDER_TRAIN : ORDER_COMMAND,
                            .umask = s->umask,
                            .cwd = s->cwd,
                            .stdin_path = s->stdin_path,
                            .argv = s->argv,
                            .env_hash = env_hash};
    order_hash(&o, leaf);
    const struct warrant *one =
        w && i / WARRANT_RUNS_MAX < w->n ? w->at[i / WARRANT_RUNS_MAX] : NULL;
    if (!one || warrant_find(one, leaf) < 0) {
        err_set(e, WATTQ_E_FORBIDDEN,
                "wattq-launcher has not been told of run %zu of this submission", i + 1);
        return err_next(e, "submit with a wattq of the same version as wattqd (wattq version)");
    }
    id_hex(one, id);
    return 0;
}

/* ---- files -------------------------------------------------------------------------------------- */

int warrants_store(const struct warrants *w, const char *dir, struct err *e)
{
    int fd CLEANUP(base_closep) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < w->n; i++) {
        char id[WARRANTS_ID_HEX];
        id_hex(w->at[i], id);
        if (base_replace_file(fd, id, w->at[i], warrant_bytes(w->at[i]), 0600) < 0)
            return err_errno(e, WATTQ_E_IO, "a warrant could not be kept in %s", dir);
    }
    return fd < 0 ? err_errno(e, WATTQ_E_IO, "a warrant could not be kept in %s", dir) : 0;
}

int warrants_load(const char *dir, const char *id, struct warrant *out, struct err *e)
{
    size_t bytes = 0;
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, id);
    char *data CLEANUP(base_freep) = base_read_file(AT_FDCWD, path, sizeof(*out), &bytes);
    if (!data && errno == ENOENT) {
        err_set(e, WATTQ_E_NOT_FOUND, "what wattq-launcher signed for it has expired");
        return err_next(e, "submit it again");
    }
    if (!data)
        return err_errno(e, WATTQ_E_IO, "cannot read the warrant %s", path);
    return warrant_parse(out, data, bytes, e);
}

void warrants_expire(const char *dir, int64_t now_utc_s)
{
    DIR *d = base_open_dir(dir);
    for (struct dirent *de; d && (de = readdir(d));) {
        struct warrant w;
        if (strlen(de->d_name) == WARRANTS_ID_HEX - 1 &&
            warrants_load(dir, de->d_name, &w, NULL) == 0 && w.until_utc_s < now_utc_s)
            unlinkat(dirfd(d), de->d_name, 0);
    }
    if (d)
        closedir(d);
}
