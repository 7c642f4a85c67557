/* Environments: hashed by content, kept once each in a 0600 file, shown only by allow-list. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/sha256.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"

/* What explains a result and says little about a person; '*' at the end stands for any rest. */
static const char *const allowed[] = {
    "CUDA_*",      "NCCL_*", "OMP_*",           "MKL_*", "OPENBLAS_*", "PYTHON*",      "CONDA_*",
    "VIRTUAL_ENV", "PATH",   "LD_LIBRARY_PATH", "LANG",  "LC_*",       "SLURM_JOB_ID", "WATTQ_*"};
static const char *const secret[] = {"KEY", "TOKEN", "SECRET", "PASSW"};

static bool is_allowed(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        size_t len = strlen(allowed[i]);
        if (allowed[i][len - 1] == '*' ? n >= len - 1 && strncmp(name, allowed[i], len - 1) == 0
                                       : n == len && strncmp(name, allowed[i], n) == 0)
            return true;
    }
    return false;
}

static bool is_secret(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(secret); i++)
        if (strcasestr(name, secret[i]))
            return true;
    return false;
}

static char *make_shown(char *const *env, size_t n)
{
    json_t *o = json_object();
    for (size_t i = 0; i < n; i++) {
        const char *eq = strchr(env[i], '=');
        size_t len = eq ? (size_t)(eq - env[i]) : 0;
        if (len == 0 || len >= 200 || !is_allowed(env[i], len))
            continue;
        char name[200];
        memcpy(name, env[i], len);
        name[len] = '\0';
        /* A value that is no UTF-8 is left out: json_string returns NULL and the set does nothing. */
        json_object_set_new(o, name, json_string(is_secret(name) ? "(hidden)" : eq + 1));
    }
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(o);
    return text ? text : base_strdup("{}");
}

struct queue_env *queue_env_new(char *const *env, size_t n)
{
    struct queue_env *v = base_alloc(sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v->bytes += strlen(env[i]) + 1;
    v->block = base_alloc(v->bytes + 1);
    char *p = v->block;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(env[i]) + 1;
        memcpy(p, env[i], len);
        p += len;
    }
    sha256_hex(v->block, v->bytes, v->hash);
    v->shown = make_shown(env, n);
    return v;
}

void queue_env_free(struct queue_env *v)
{
    if (!v)
        return;
    if (v->block)
        explicit_bzero(v->block, v->bytes);
    free(v->block);
    free(v->shown);
    free(v);
}

static char *read_block(int dirfd, const char *hash, size_t *bytes)
{
    return base_read_file(dirfd, hash, SPEC_ENV_BYTES + 1, bytes);
}

/* Of an earlier submission, whole: a power cut can take one whose submission was not answered. */
static bool is_there(int dirfd, const struct queue_env *v)
{
    size_t bytes = 0;
    char *block CLEANUP(base_freep) = read_block(dirfd, v->hash, &bytes);
    bool same = block && bytes == v->bytes && memcmp(block, v->block, bytes) == 0;
    if (block)
        explicit_bzero(block, bytes);
    return same;
}

static int keep_file(const char *dir, const struct queue_env *v, bool referred, bool again,
                     struct durable *files, struct err *e)
{
    int fd CLEANUP(base_closep) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : 0;
    if (rc == 0 && !(referred && is_there(fd, v)))
        rc = durable_add(files, fd, v->hash, v->block, v->bytes, 0600, 0);
    else if (rc == 0 && again)
        rc = durable_add_old(files, fd, v->hash);
    return rc < 0 ? err_errno(e, WATTQ_E_IO, "the environment could not be kept in %s", dir) : 0;
}

int queue_env_refer(struct store *s, const char *dir, const struct queue_env *v, bool again,
                    struct durable *files, struct err *e)
{
    int64_t refs = 0;
    int rc = runs_env_refs(s, v->hash, &refs, e);
    if (rc == 0)
        rc = keep_file(dir, v, refs > 0, again, files, e);
    if (rc < 0)
        return rc;
    char *path CLEANUP(base_freep) = base_printf("env/%s", v->hash);
    return runs_env_put(s, v->hash, path, v->shown, e);
}

void queue_env_remove(struct store *s, const char *dir, const char *hash)
{
    int64_t refs = 0;
    struct err e = {0};
    if (runs_env_refs(s, hash, &refs, &e) < 0 || refs > 0)
        return;
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, hash);
    if (unlink(path) < 0 && errno != ENOENT)
        log_warn("environment file stays: %s: %s", path, strerror(errno));
}

char **queue_env_read(const char *dir, const char *hash, struct err *e)
{
    size_t bytes = 0;
    int fd CLEANUP(base_closep) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *block CLEANUP(base_freep) = fd < 0 ? NULL : read_block(fd, hash, &bytes);
    char have[SHA256_HEX];
    if (!block) {
        err_errno(e, WATTQ_E_IO, "its environment %s/%.8s cannot be read", dir, hash);
        return NULL;
    }
    sha256_hex(block, bytes, have);
    if (strcmp(have, hash) != 0) {
        err_set(e, WATTQ_E_CORRUPT, "its environment %s/%.8s is damaged", dir, hash);
        err_next(e, "submit it again");
        return NULL;
    }
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += block[i] == '\0';
    char **env = base_alloc((n + 1) * sizeof(*env) + bytes + 1);
    char *p = (char *)(env + n + 1);
    memcpy(p, block, bytes);
    for (size_t i = 0; i < n; i++) {
        env[i] = p;
        p += strlen(p) + 1;
    }
    return env;
}
