/* The run's process between fork and exec. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/spec.h"
#include "daemon/launch/shepherd_private.h"
#include "daemon/launch/spawn.h"

#define OWN_VARIABLES 3
#define DEFAULT_PATH  "/usr/local/bin:/usr/bin:/bin"

static const char *const own_names[OWN_VARIABLES] = {
    "WATTQ_RUN=", "WATTQ_RUN_DIR=", "WATTQ_METRICS="};

static bool is_own(const char *var)
{
    for (size_t i = 0; i < OWN_VARIABLES; i++)
        if (strncmp(var, own_names[i], strlen(own_names[i])) == 0)
            return true;
    return false;
}

char **child_env(const struct launch_block *b, const char *dir)
{
    size_t n = 0;
    while (b->env && b->env[n])
        n++;
    char **env = base_alloc((n + OWN_VARIABLES + 1) * sizeof(*env));
    env[0] = base_printf("WATTQ_RUN=%" PRId64, b->run_id);
    env[1] = base_printf("WATTQ_RUN_DIR=%s", dir);
    env[2] = base_printf("WATTQ_METRICS=%s/metrics", dir);
    size_t at = OWN_VARIABLES;
    for (size_t i = 0; i < n; i++)
        if (!is_own(b->env[i])) /* a run that submits runs hands its own down */
            env[at++] = b->env[i];
    return env;
}

void child_env_free(char **env)
{
    for (size_t i = 0; env && i < OWN_VARIABLES; i++)
        free(env[i]);
    free(env);
}

static const char *variable(char **env, const char *name)
{
    size_t n = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

static void fail(int report, enum child_step step, int error)
{
    struct child_report c = {.step = (int32_t)step, .error = error};
    (void)!write(report, &c, sizeof(c));
    _exit(step == STEP_EXEC && error == ENOENT ? 127 : 126);
}

/* A script without "#!" goes to the shell, as execvp does it. */
static void exec_shell(const char *path, char **argv, char **env)
{
    size_t argc = 0;
    while (argv[argc])
        argc++;
    char **v = base_alloc((argc + 2) * sizeof(*v));
    v[0] = base_strdup("sh");
    v[1] = base_strdup(path);
    for (size_t i = 1; i < argc; i++)
        v[i + 1] = argv[i];
    execve("/bin/sh", v, env);
}

/* Returns with errno only if path cannot be executed. */
static void exec_one(int report, const char *path, char **argv, char **env)
{
    execve(path, argv, env);
    int error = errno;
    if (error == ENOEXEC)
        exec_shell(path, argv, env);
    else if (error == ENOENT && access(path, F_OK) == 0)
        fail(report, STEP_INTERPRETER, error);
    errno = error;
}

/* The run's own PATH, which is not ours: execvpe would search the latter. */
static void exec_search(int report, char **argv, char **env)
{
    const char *path = variable(env, "PATH");
    int error = ENOENT;
    char candidate[WATTQ_PATH_MAX];
    if (strchr(argv[0], '/')) {
        exec_one(report, argv[0], argv, env);
        fail(report, STEP_EXEC, errno);
    }
    for (const char *p = path && *path ? path : DEFAULT_PATH; argv[0][0] && p;) {
        int len = (int)strcspn(p, ":");
        int n = snprintf(candidate, sizeof(candidate), "%.*s/%s", len ? len : 1, len ? p : ".",
                         argv[0]);
        if (n > 0 && (size_t)n < sizeof(candidate)) {
            exec_one(report, candidate, argv, env);
            if (errno != ENOENT && errno != ENOTDIR)
                error = errno; /* go on: a later directory may have one that can be run */
        }
        p = p[len] ? p + len + 1 : NULL;
    }
    fail(report, STEP_EXEC, error);
}

/* A run is the first to go when memory ends, before whoever supervises it. */
static void prefer_for_oom(void)
{
    int fd CLEANUP(base_closep) = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)!write(fd, "500", 3);
}

/* All that needs no name from the run, before the gate, to keep it out of the metered window. */
static void prepare(const struct shepherd *s)
{
    prefer_for_oom();
    umask((mode_t)s->block->umask);
    if (s->block->flags & LAUNCH_FOREGROUND)
        return;
    setsid();
    dup2(s->files.log_fd, 1);
    dup2(s->files.log_fd, 2);
}

static void open_stdin(const struct launch_block *b, int report)
{
    bool given = b->stdin_path && *b->stdin_path;
    if ((b->flags & LAUNCH_FOREGROUND) && !given)
        return;
    int fd = open(given ? b->stdin_path : "/dev/null", O_RDONLY | O_NOCTTY);
    if (fd < 0 || dup2(fd, 0) < 0)
        fail(report, STEP_STDIN, errno);
}

void child_main(const struct shepherd *s, int gate, int write_end, int report)
{
    char byte;
    ssize_t n;
    close(write_end);
    prepare(s);
    do
        n = read(gate, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(0);
    open_stdin(s->block, report);
    if (s->block->cwd && chdir(s->block->cwd) < 0)
        fail(report, STEP_CWD, errno);
    report = dup3(report, 3, O_CLOEXEC) >= 0 || report == 3 ? 3 : report;
    spawn_close_from(4);
    spawn_reset_signals();
    if (s->nohup)
        signal(SIGHUP, SIG_IGN);
    exec_search(report, s->block->argv, s->env);
    _exit(127);
}

int child_explain(const struct launch_block *b, const struct child_report *c, char *text,
                  size_t cap)
{
    const char *why = strerror(c->error);
    bool missing = c->error == ENOENT;
    switch ((enum child_step)c->step) {
    case STEP_STDIN:
        snprintf(text, cap, "cannot read its input \"%.60s\": %s; give a file that exists",
                 b->stdin_path, why);
        return 126;
    case STEP_CWD:
        snprintf(text, cap,
                 "cannot enter its directory \"%.60s\": %s; submit it again from one that exists",
                 b->cwd, why);
        return 126;
    case STEP_INTERPRETER:
        snprintf(text, cap,
                 "the interpreter in the first line of \"%.60s\" does not exist; correct that line",
                 b->argv[0]);
        return 126;
    case STEP_EXEC:
        break;
    }
    if (missing && !strchr(b->argv[0], '/'))
        snprintf(text, cap,
                 "no program \"%.60s\" in the run's PATH; check the spelling or give its full path",
                 b->argv[0]);
    else if (missing)
        snprintf(text, cap,
                 "there is no program \"%.60s\"; check the path, it is taken from the run's "
                 "directory",
                 b->argv[0]);
    else
        snprintf(text, cap, "cannot run \"%.60s\": %s; is it a program, and executable (chmod +x)?",
                 b->argv[0], why);
    return missing ? 127 : 126;
}
