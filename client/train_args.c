/* The arguments of wattq-train on their way through the queue. */
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/submit.h"
#include "common/net.h"
#include "common/suggest.h"

static void push(struct train_args *t, const char *word)
{
    char **p = realloc(t->argv, (t->n + 2) * sizeof *p);
    if (!p)
        abort();
    t->argv = p;
    p[t->n++] = base_strdup(word);
    p[t->n] = NULL;
}

void train_args_finip(struct train_args *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->argv[i]);
    free(t->argv);
    *t = (struct train_args){0};
}

/* Position of --option, and of its value: the same word ("--x=v") or the next. */
static bool find(const struct train_args *t, const char *option, size_t *at, const char **value)
{
    size_t n = strlen(option);
    for (size_t i = 0; i < t->n; i++) {
        const char *a = t->argv[i];
        if (!a || strncmp(a, "--", 2) != 0 || strncmp(a + 2, option, n) != 0)
            continue;
        if (a[2 + n] != '=' && (a[2 + n] != '\0' || i + 1 >= t->n))
            continue;
        *at = i;
        *value = a[2 + n] == '=' ? a + 3 + n : t->argv[i + 1];
        return true;
    }
    return false;
}

const char *train_args_get(const struct train_args *t, const char *option)
{
    size_t at;
    const char *value;
    return find(t, option, &at, &value) ? value : NULL;
}

void train_args_drop(struct train_args *t, const char *option)
{
    size_t at;
    const char *value;
    if (!find(t, option, &at, &value))
        return;
    size_t words = strchr(t->argv[at], '=') ? 1 : 2;
    for (size_t i = 0; i < words; i++)
        free(t->argv[at + i]);
    memmove(t->argv + at, t->argv + at + words, (t->n - at - words + 1) * sizeof *t->argv);
    t->n -= words;
}

void train_args_set(struct train_args *t, const char *option, const char *value)
{
    char *copy CLEANUP(base_freep) = base_strdup(value); /* value may be a word that goes */
    char *name CLEANUP(base_freep) = base_printf("--%s", option);
    train_args_drop(t, option);
    push(t, name);
    push(t, copy);
}

static char *absolute(const char *path)
{
    char cwd[WATTQ_PATH_MAX];
    if (path[0] == '/' || !getcwd(cwd, sizeof cwd))
        return base_strdup(path);
    return base_printf("%s/%s", cwd, path);
}

/* ---- data sets ----------------------------------------------------------------------------------- */

static int no_standin(const char *name, struct err *e)
{
    struct suggest s;
    suggest_init(&s, name);
    for (size_t i = 0; i < net_dataset_count; i++)
        suggest_offer(&s, net_datasets[i].name);
    err_set(e, WATTQ_E_NOT_FOUND, "there is no stand-in for a data set '%.60s'", name);
    return err_next(e, "the study's 13 can be generated, such as standin:%s",
                    s.best ? s.best : "mnist");
}

static int no_dataset(const char *name, const char *dir, struct err *e)
{
    bool known = net_dataset_find(name) != NULL;
    if (dir)
        err_set(e, WATTQ_E_NOT_FOUND, "there is no data set '%.80s' in %.150s", name, dir);
    else
        err_set(e, WATTQ_E_NOT_FOUND, "there is no data set '%.80s' here", name);
    return err_next(e,
                    "give its path, or --data-dir DIR where %.40s.tsv.gz is, or train on generated "
                    "data: standin:%.40s",
                    name, known ? name : "mnist");
}

/* The places where wattq-train looks for NAME in a data directory. */
static bool in_dir(const char *dir, const char *name)
{
    char *zipped CLEANUP(base_freep) = base_printf("%s/%s.tsv.gz", dir, name);
    char *plain CLEANUP(base_freep) = base_printf("%s/%s.tsv", dir, name);
    char *deep CLEANUP(base_freep) = base_printf("%s/%s/%s.tsv.gz", dir, name, name);
    return access(zipped, R_OK) == 0 || access(plain, R_OK) == 0 || access(deep, R_OK) == 0;
}

int train_dataset(char **out, const struct train_args *t, const char *dataset, struct err *e)
{
    static const char standin[] = "standin:";
    const char *dir = train_args_get(t, "data-dir");
    if (!dir)
        dir = getenv("WATTQ_DATA");
    if (strncmp(dataset, standin, sizeof standin - 1) == 0) {
        const char *name = dataset + sizeof standin - 1;
        if (!net_dataset_find(name))
            return no_standin(name, e);
        *out = base_strdup(dataset);
    } else if (access(dataset, R_OK) == 0) {
        *out = absolute(dataset);
    } else if (dir && !strchr(dataset, '/') && in_dir(dir, dataset)) {
        *out = base_strdup(dataset);
    } else {
        return no_dataset(dataset, dir, e);
    }
    return 0;
}

int train_args_init(struct train_args *t, const struct args *a, size_t first, struct err *e)
{
    for (size_t i = first; i < a->npos; i++)
        push(t, a->pos[i]);
    const char *dir = args_str(a, OPT_DATA_DIR, NULL);
    if (dir) {
        char *full CLEANUP(base_freep) = absolute(dir);
        if (access(full, R_OK | X_OK) != 0) {
            err_errno(e, WATTQ_E_NOT_FOUND, "--data-dir: cannot look into %.150s", dir);
            return err_next(e, "name the directory that holds NAME.tsv.gz files");
        }
        train_args_set(t, "data-dir", full);
    }
    const char *labels = train_args_get(t, "labels");
    if (labels) {
        char *full CLEANUP(base_freep) = absolute(labels);
        train_args_set(t, "labels", full);
    }
    return 0;
}

int train_params(struct spec *s, const struct train_args *t, struct err *e)
{
    static const char *const names[] = {"dataset", "shape", "depth", "size", "layers", "epochs"};
    size_t n = s->nparams + ARRAY_LEN(names);
    struct spec_param *p = realloc(s->params, (n + 1) * sizeof *p);
    if (!p)
        return err_set(e, WATTQ_E_LIMIT, "out of memory");
    s->params = p;
    for (size_t i = 0; i < ARRAY_LEN(names) && s->nparams < SPEC_PARAMS_MAX; i++) {
        const char *value = train_args_get(t, names[i]);
        bool there = false;
        for (size_t k = 0; k < s->nparams; k++)
            there = there || strcmp(p[k].key, names[i]) == 0;
        if (!value || there)
            continue;
        base_strcpy(p[s->nparams].key, sizeof p->key, names[i]);
        p[s->nparams++].value = base_strdup(value);
    }
    return 0;
}

int train_check(const char *program, const struct train_args *t)
{
    extern char **environ;
    if (!program || access(program, X_OK) != 0)
        return 0;
    char **argv CLEANUP(base_freep) = base_alloc((t->n + 3) * sizeof *argv);
    char *name CLEANUP(base_freep) = base_strdup(program);
    char describe[] = "--describe";
    argv[0] = name;
    for (size_t i = 0; i < t->n; i++)
        argv[1 + i] = t->argv[i];
    argv[1 + t->n] = describe;
    posix_spawn_file_actions_t files;
    pid_t pid = -1;
    int status = 0;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    int rc = posix_spawn(&pid, program, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (rc != 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 0;
    return WEXITSTATUS(status);
}
