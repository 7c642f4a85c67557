#include "client/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/design.h"
#include "common/carried.h"
#include "common/units.h"

#define REQUEST_ROOM (WIRE_FRAME_MAX - (64u << 10)) /* for argv, environment and diff */

extern char **environ;

static char **copy_list(char *const *list, size_t n)
{
    char **out = base_alloc((n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = base_strdup(list[i]);
    return out;
}

static int bad_pair(enum opt_id id, const char *text, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "--%s: '%.60s' is not of the form NAME=VALUE", opt_defs[id].name,
            text);
    return err_next(e, "write --%s NAME=VALUE", opt_defs[id].name);
}

static const char *env_get(const struct spec *s, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < s->envc; i++)
        if (strncmp(s->env[i], name, n) == 0 && s->env[i][n] == '=')
            return s->env[i] + n + 1;
    return NULL;
}

static void env_set(struct spec *s, const char *pair)
{
    size_t n = (size_t)(strchr(pair, '=') - pair) + 1;
    for (size_t i = 0; i < s->envc; i++) {
        if (strncmp(s->env[i], pair, n) == 0) {
            free(s->env[i]);
            s->env[i] = base_strdup(pair);
            return;
        }
    }
    s->env[s->envc++] = base_strdup(pair);
}

static bool in_list(const char *list, const char *name, size_t bytes)
{
    for (const char *p = list; p;) {
        size_t n = strcspn(p, ",");
        if (n == bytes && strncmp(p, name, n) == 0)
            return true;
        p = p[n] ? p + n + 1 : NULL;
    }
    return false;
}

/* --export: is that variable of ours handed on? */
static bool exported(const char *list, const char *pair)
{
    size_t n = strcspn(pair, "=");
    if (!list || in_list(list, "ALL", 3))
        return true;
    return in_list("HOME,LOGNAME,PATH,SHELL,USER", pair, n) || in_list(list, pair, n);
}

/* Our environment, then what --export and --env say. */
static int capture_env(struct spec *s, const struct args *a, struct err *e)
{
    const char *list = args_str(a, OPT_EXPORT, NULL);
    size_t n = 0;
    while (environ[n])
        n++;
    s->env = base_alloc((n + a->n[OPT_ENV] + 1) * sizeof *s->env);
    for (size_t i = 0; i < n; i++)
        if (environ[i][0] != '=' && strchr(environ[i], '=') && exported(list, environ[i]))
            s->env[s->envc++] = base_strdup(environ[i]);
    for (size_t i = 0; i < a->n[OPT_ENV]; i++) {
        const char *pair = a->value[OPT_ENV][i];
        const char *equals = strchr(pair, '=');
        if (!equals || equals == pair)
            return bad_pair(OPT_ENV, pair, e);
        env_set(s, pair);
    }
    return 0;
}

static int capture_params(struct spec *s, const struct args *a, struct err *e)
{
    size_t n = a->n[OPT_PARAM];
    if (n > SPEC_PARAMS_MAX)
        return err_set(e, WATTQ_E_USAGE, "a run can have at most %d parameters", SPEC_PARAMS_MAX);
    s->params = base_alloc((n + 1) * sizeof *s->params);
    for (size_t i = 0; i < n; i++) {
        const char *pair = a->value[OPT_PARAM][i];
        const char *equals = strchr(pair, '=');
        struct spec_param *p = &s->params[s->nparams];
        if (!equals || (size_t)(equals - pair) >= sizeof p->key)
            return bad_pair(OPT_PARAM, pair, e);
        memcpy(p->key, pair, (size_t)(equals - pair));
        if (!spec_key_ok(p->key))
            return bad_pair(OPT_PARAM, pair, e);
        p->value = base_strdup(equals + 1);
        s->nparams++;
    }
    return 0;
}

static int capture_dir(struct spec *s, const char *dir, struct err *e)
{
    char *full = realpath(dir, NULL);
    struct stat st;
    if (full && stat(full, &st) == 0 && S_ISDIR(st.st_mode)) {
        free(s->cwd);
        s->cwd = full;
        return 0;
    }
    errno = full ? ENOTDIR : errno;
    free(full);
    err_errno(e, WATTQ_E_NOT_FOUND, "--chdir: %.150s", dir);
    return err_next(e, "name a directory that exists");
}

/* The directory we are in, to which --stdin is relative; or --chdir. */
static int capture_place(struct spec *s, const struct args *a, struct err *e)
{
    mode_t mask = umask(0);
    (void)umask(mask);
    s->umask = mask;
    s->cwd = getcwd(NULL, 0);
    if (!s->cwd || s->cwd[0] != '/') {
        err_set(e, WATTQ_E_IO, "the directory you are in does not exist any more");
        return err_next(e, "cd to one that does");
    }
    const char *in = args_str(a, OPT_STDIN, NULL);
    if (in)
        s->stdin_path = in[0] == '/' ? base_strdup(in) : base_printf("%s/%s", s->cwd, in);
    int rc = args_has(a, OPT_CHDIR) ? capture_dir(s, args_str(a, OPT_CHDIR, "."), e) : 0;
    if (rc < 0 || !in)
        return rc;
    if (access(s->stdin_path, R_OK) == 0)
        return 0;
    int code = errno == EACCES ? WATTQ_E_FORBIDDEN : WATTQ_E_NOT_FOUND;
    err_errno(e, code, "--stdin: cannot read %.150s", in);
    return err_next(e, "name a file that exists, or leave --stdin out to read nothing");
}

static int capture_label(char *to, enum opt_id id, const struct args *a, struct err *e)
{
    if (base_strcpy(to, SPEC_LABEL_MAX + 1, args_str(a, id, "")))
        return 0;
    err_set(e, WATTQ_E_USAGE, "--%s: longer than %d bytes", opt_defs[id].name, SPEC_LABEL_MAX);
    return err_next(e, "give a shorter one");
}

/* "1%,5m" */
static int capture_quiet(struct spec *s, const struct args *a, struct err *e)
{
    const char *text = args_str(a, OPT_QUIET, NULL);
    const char *comma = text ? strchr(text, ',') : NULL;
    double part = 0;
    if (!text)
        return 0;
    char *head CLEANUP(base_freep) = base_strdup_n(text, comma ? (size_t)(comma - text) : 0);
    struct err why;
    if (!comma || design_error_parse(head, &part, &why) < 0 ||
        units_parse_duration(comma + 1, &s->quiet_ns, &why) < 0 || s->quiet_ns <= 0 ||
        s->quiet_ns > SPEC_PAUSE_MAX_NS) {
        err_set(e, WATTQ_E_USAGE, "--quiet: '%.60s' is not a part of the CPUs and a time up to 1h",
                text);
        return err_next(e, "write --quiet 1%%,5m");
    }
    s->quiet_ppm = (int64_t)(part * 1e6 + 0.5);
    return 0;
}

static int capture_gpus(struct spec *s, const struct args *a, struct err *e)
{
    struct err why;
    int rc = spec_gpus_parse(s, args_str(a, OPT_GPUS, ""), &why);
    if (rc == 0)
        return 0;
    err_set(e, rc, "--gpus: %s", why.text);
    return err_next(e, "%s", why.next);
}

static int check_bracket(const struct spec *s, const struct args *a, struct err *e)
{
    if (args_has(a, OPT_IDLE_BRACKET) &&
        (s->bracket_ns < 5 * NS_PER_S || s->bracket_ns > SPEC_PAUSE_MAX_NS)) {
        err_set(e, WATTQ_E_USAGE, "--idle-bracket: less than 5 s, or longer than an hour");
        return err_next(e, "write --idle-bracket 30s");
    }
    if (s->bracket_ns == 0 || !args_has(a, OPT_SHARED))
        return 0;
    err_set(e, WATTQ_E_USAGE, "--idle-bracket and --shared contradict each other");
    return err_next(e, "beside other runs nothing is idle: leave one of them out");
}

/* And the soft limits of the shell we were called from. */
static int capture_limits(struct spec *s, const struct args *a, struct err *e)
{
    int64_t nice = 0;
    int rc = args_bytes(a, OPT_MEM, &s->mem_bytes, e);
    if (rc == 0 && args_has(a, OPT_MEM) &&
        (s->mem_bytes < SPEC_MEM_MIN_BYTES || s->mem_bytes > SPEC_MEM_MAX_BYTES)) {
        err_set(e, WATTQ_E_USAGE, "--mem: less than 1 MiB, or more than any machine has");
        return err_next(e, "write --mem 32G");
    }
    if (rc == 0)
        rc = args_int(a, OPT_NICE, 0, SPEC_NICE_MAX, &nice, e);
    s->nice = (int)nice;
    if (rc == 0 && args_has(a, OPT_ENERGY_LIMIT))
        rc = spec_energy_limit_parse(s, args_str(a, OPT_ENERGY_LIMIT, ""), e);
    spec_rlimits_capture(s);
    return rc;
}

static int capture_on_end(struct spec *s, const struct args *a, struct err *e)
{
    const char *text = args_str(a, OPT_ON_END, NULL);
    if (!text)
        return 0;
    if (!*text || strlen(text) > SPEC_ON_END_MAX) {
        err_set(e, WATTQ_E_USAGE,
                *text ? "--on-end: longer than %d bytes" : "--on-end: nothing to run",
                SPEC_ON_END_MAX);
        return err_next(e, "write --on-end 'notify-send \"run $WATTQ_RUN_ID: $WATTQ_STATE\"'");
    }
    s->on_end = base_strdup(text);
    return 0;
}

static int capture_options(struct spec *s, const struct args *a, struct err *e)
{
    int64_t priority = 0;
    int rc = args_duration(a, OPT_TIME, &s->time_limit_ns, e);
    if (rc == 0)
        rc = args_duration(a, OPT_GRACE, &s->grace_ns, e);
    if (rc == 0)
        rc = args_bytes(a, OPT_LOG_CAP, &s->log_cap_bytes, e);
    if (rc == 0)
        rc = args_int(a, OPT_PRIORITY, -1000, 1000, &priority, e);
    if (rc == 0)
        rc = capture_label(s->label, OPT_LABEL, a, e);
    if (rc == 0)
        rc = capture_label(s->project, OPT_PROJECT, a, e);
    if (rc < 0)
        return rc;
    if (args_has(a, OPT_EXCLUSIVE) && args_has(a, OPT_SHARED)) {
        err_set(e, WATTQ_E_USAGE, "--exclusive and --shared contradict each other");
        return err_next(e, "give one of them");
    }
    rc = capture_quiet(s, a, e);
    if (rc < 0)
        return rc;
    rc = args_duration(a, OPT_IDLE_BRACKET, &s->bracket_ns, e);
    if (rc == 0)
        rc = check_bracket(s, a, e);
    if (rc < 0)
        return rc;
    if (args_has(a, OPT_GPUS))
        rc = capture_gpus(s, a, e);
    if (rc == 0)
        rc = args_int(a, OPT_CPUS, 1, SPEC_CPUS_MAX, &s->cpus, e);
    if (rc == 0)
        rc = capture_limits(s, a, e);
    if (rc == 0)
        rc = capture_on_end(s, a, e);
    s->priority = (int)priority;
    s->exclusive = !args_has(a, OPT_SHARED);
    s->wait_children = args_has(a, OPT_WAIT_CHILDREN);
    s->hold = args_has(a, OPT_HOLD);
    s->requeue = args_has(a, OPT_REQUEUE);
    return rc;
}

void job_settle(struct job *j, const struct args *a, const struct wire_val *hello)
{
    struct spec *s = &j->spec;
    bool system = strcmp(wire_str(hello, "mode", "user"), "system") == 0;
    bool idle = s->bracket_ns > 0 || s->pause_ns > 0; /* that takes the whole machine */
    if (system && s->kind != SPEC_TRAIN && !idle && !args_has(a, OPT_EXCLUSIVE))
        s->exclusive = false;
}

void job_take_env(struct job *j, const struct wire_val *env)
{
    struct spec *s = &j->spec;
    bool keeps = s->gpus == SPEC_GPUS_DEFAULT && s->exclusive && env_get(s, "CUDA_VISIBLE_DEVICES");
    bool threads = env_get(s, "OMP_NUM_THREADS") != NULL;
    s->env = reallocarray(s->env, s->envc + wire_len(env) + 1, sizeof *s->env);
    if (!s->env)
        abort();
    for (size_t i = 0; i < wire_len(env); i++) {
        const char *pair = wire_as_str(wire_at(env, i), "");
        bool own = (keeps && strncmp(pair, "CUDA_", 5) == 0) ||
                   (threads && strncmp(pair, "OMP_NUM_THREADS=", 16) == 0);
        if (strchr(pair, '=') && !own)
            env_set(s, pair);
    }
    s->env[s->envc] = NULL;
}

/* ---- is the program there? ----------------------------------------------------------------------- */

static int no_program(const char *name, bool in_path, int errnum, struct err *e)
{
    if (errnum == EACCES) {
        err_set(e, WATTQ_E_FORBIDDEN, "'%.100s' is there but cannot be run", name);
        return err_next(e, "make it executable: chmod +x %.100s, or name its interpreter in front",
                        name);
    }
    err_set(e, WATTQ_E_NOT_FOUND, "there is no program '%.100s'%s", name,
            in_path ? " in PATH" : "");
    return err_next(e,
                    "check the name; what another run is yet to make: wattq submit -- sh -c '...'");
}

static int try_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return errno;
    if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
        return EACCES;
    return 0;
}

/* As execvp would, in the run's own PATH and from its own directory. */
static int check_program(const struct spec *s, struct err *e)
{
    const char *name = s->argv[0];
    if (strchr(name, '/')) {
        char *file CLEANUP(base_freep) =
            name[0] == '/' ? base_strdup(name) : base_printf("%s/%s", s->cwd, name);
        int errnum = try_file(file);
        return errnum ? no_program(name, false, errnum, e) : 0;
    }
    const char *path = env_get(s, "PATH");
    int worst = ENOENT;
    for (const char *p = path ? path : "/usr/bin:/bin"; p && *name;) {
        size_t n = strcspn(p, ":");
        char *full CLEANUP(base_freep) = base_printf("%.*s/%s", n ? (int)n : 1, n ? p : ".", name);
        int errnum = try_file(full);
        if (errnum == 0)
            return 0;
        if (errnum == EACCES)
            worst = EACCES;
        p = p[n] ? p + n + 1 : NULL;
    }
    return no_program(name, true, worst, e);
}

/* ---- all of it ----------------------------------------------------------------------------------- */

int job_init(struct job *j, enum spec_kind kind, const struct args *a, bool params,
             char *const *argv, size_t argc, struct err *e)
{
    *j = (struct job){.code = {.dirty = -1}, .template = !params};
    struct spec *s = &j->spec;
    spec_init(s);
    s->kind = kind;
    s->argv = copy_list(argv, argc);
    s->argc = argc;
    int rc = capture_place(s, a, e);
    if (rc == 0)
        rc = capture_options(s, a, e);
    if (rc == 0)
        rc = capture_env(s, a, e);
    if (rc == 0 && params)
        rc = capture_params(s, a, e);
    bool template = !params && strchr(argv[0], '{') != NULL;
    if (rc == 0 && kind != SPEC_TRAIN && !template)
        rc = check_program(s, e);
    return rc;
}

int job_check(const struct args *a, struct err *e)
{
    struct job j = {0};
    spec_init(&j.spec);
    int rc = capture_place(&j.spec, a, e);
    if (rc == 0)
        rc = capture_options(&j.spec, a, e);
    if (rc == 0)
        rc = capture_env(&j.spec, a, e);
    if (rc == 0)
        rc = capture_params(&j.spec, a, e);
    job_fini(&j);
    return rc;
}

void job_fini(struct job *j)
{
    spec_fini(&j->spec);
    provenance_fini(&j->code);
}

/* A script that a sweep carries has its text in argv with every { doubled: that word as its runs have it. */
static void undouble(const struct job *j, char **argv)
{
    struct carried c;
    if (!j->template || !carried_find((const char *const *)argv, j->spec.argc, &c))
        return;
    char *text = NULL;
    if (spec_expand(c.text, NULL, 0, NULL, &text, NULL) < 0)
        return;
    free(argv[c.args - 1]);
    argv[c.args - 1] = text;
}

void job_find_code(struct job *j)
{
    const struct spec *s = &j->spec;
    char program[] = "wattq-train";
    char *const trainer[] = {program, NULL};
    provenance_fini(&j->code);
    char **argv = copy_list(s->argv, s->argc);
    undouble(j, argv);
    provenance_collect(&j->code, s->cwd, s->kind == SPEC_TRAIN ? trainer : argv,
                       env_get(s, "PATH"));
    for (size_t i = 0; i < s->argc; i++)
        free(argv[i]);
    free(argv);
    size_t bytes = j->code.diff ? strlen(j->code.diff) : 0;
    for (size_t i = 0; i < s->envc; i++)
        bytes += strlen(s->env[i]) + 5;
    for (size_t i = 0; i < s->argc; i++)
        bytes += strlen(s->argv[i]) + 5;
    if (bytes > REQUEST_ROOM) { /* the run itself matters more than its diff */
        free(j->code.diff);
        j->code.diff = NULL;
    }
}

static void put_known(struct wire_out *o, const char *key, const char *value)
{
    if (value && *value)
        wire_put_str(o, key, value);
}

void job_put(const struct job *j, struct wire_out *o)
{
    const struct provenance *c = &j->code;
    wire_begin_map(o, "run");
    spec_put_wire(&j->spec, o);
    wire_begin_map(o, "code");
    put_known(o, "commit_id", c->commit_id);
    if (c->dirty >= 0)
        wire_put_bool(o, "dirty", c->dirty == 1);
    put_known(o, "diff", c->diff);
    put_known(o, "script_sha256", c->script_sha256);
    put_known(o, "interpreter", c->interpreter);
    wire_end(o);
    wire_end(o);
}
