/* The run's process between fork and exec. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

/* Does a variable of extra_env stand for that one? */
static bool is_replaced(char *const *extra_env, const char *var)
{
    size_t n = strcspn(var, "=") + 1;
    for (; extra_env && *extra_env; extra_env++)
        if (strncmp(*extra_env, var, n) == 0)
            return true;
    return false;
}

static size_t count(char *const *v)
{
    size_t n = 0;
    while (v && v[n])
        n++;
    return n;
}

char **child_env(const struct launch_block *b, const char *dir)
{
    size_t n = count(b->env), extra = count(b->extra_env);
    char **env = base_alloc((n + extra + OWN_VARIABLES + 1) * sizeof(*env));
    env[0] = base_printf("WATTQ_RUN=%" PRId64, b->run_id);
    env[1] = base_printf("WATTQ_RUN_DIR=%s", dir);
    env[2] = base_printf("WATTQ_METRICS=%s/metrics", dir);
    size_t at = OWN_VARIABLES;
    for (size_t i = 0; i < extra; i++)
        if (!is_own(b->extra_env[i]))
            env[at++] = b->extra_env[i];
    for (size_t i = 0; i < n; i++)
        if (!is_own(b->env[i]) &&
            !is_replaced(b->extra_env, b->env[i])) /* a run that submits runs hands
                                                                           its own down */
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

static void fail_with(int report, const struct child_report *c)
{
    (void)!write(report, c, sizeof(*c));
    _exit(c->step == STEP_EXEC && c->error == ENOENT ? 127 : 126);
}

void child_fail(int report, enum child_step step, int error)
{
    fail_with(report, &(struct child_report){.step = (int32_t)step, .error = error});
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
        child_fail(report, STEP_INTERPRETER, error);
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
        child_fail(report, STEP_EXEC, errno);
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
    child_fail(report, STEP_EXEC, error);
}

/* A run is the first to go when memory ends, before whoever supervises it. */
static void prefer_for_oom(void)
{
    int fd CLEANUP(base_closep) = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)!write(fd, "500", 3);
}

/* A PAM module (pam_systemd, say) may have moved us out of the run's cgroup. */
static void rejoin(const struct cgroup *cg, int report)
{
    if (cg->fd >= 0 && !cgroup_has_self(cg) && cgroup_add(cg, getpid(), NULL) < 0)
        child_fail(report, STEP_CGROUP, errno);
}

/* Soft and hard, so that it cannot be taken back. */
static void limit_to(int resource, int64_t most, int report)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        child_fail(report, STEP_LIMITS, errno);
    if (now.rlim_max > (rlim_t)most)
        now.rlim_max = (rlim_t)most;
    if (now.rlim_cur > now.rlim_max)
        now.rlim_cur = now.rlim_max;
    if (setrlimit((__rlimit_resource_t)resource, &now) < 0)
        child_fail(report, STEP_LIMITS, errno);
}

/* The soft limits that whoever submitted the run had, within the hard ones that hold here. */
static void set_limits(const struct shepherd *s, int report)
{
    const struct launch_block *b = s->block;
    for (size_t i = 0; i < b->nrlimits; i++) {
        const struct launch_rlimit *want = &b->rlimits[i];
        struct rlimit now;
        if (getrlimit((__rlimit_resource_t)want->resource, &now) < 0)
            child_fail(report, STEP_LIMITS, errno);
        rlim_t soft = want->soft < 0 ? RLIM_INFINITY : (rlim_t)want->soft;
        now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
        if (setrlimit((__rlimit_resource_t)want->resource, &now) < 0)
            child_fail(report, STEP_LIMITS, errno);
    }
    if (s->mem_each_bytes > 0)
        limit_to(RLIMIT_DATA, s->mem_each_bytes, report);
    if (s->user_tasks > 0)
        limit_to(RLIMIT_NPROC, s->user_tasks, report);
    if (b->nice > getpriority(PRIO_PROCESS, 0) && setpriority(PRIO_PROCESS, 0, b->nice) < 0)
        child_fail(report, STEP_LIMITS, errno);
}

/* All that needs no name from the run, before the gate, to keep it out of the metered window. Afterwards we
 * are the run's user. */
void child_prepare(const struct shepherd *s, const struct cgroup *cg, int report)
{
    const struct shepherd_system *sys = s->sys;
    struct child_report c = {0};
    prefer_for_oom();
    if (!(s->block->flags & LAUNCH_FOREGROUND)) {
        setsid();
        dup2(sys ? sys->log_fd : s->files.log_fd, 1);
        dup2(sys ? sys->log_fd : s->files.log_fd, 2);
    }
    if (sys && sys->session(sys->arg, &c) < 0)
        fail_with(report, &c);
    if (sys)
        rejoin(cg, report);
    set_limits(s, report);
    if (sys && sys->become(sys->arg, &c) < 0)
        fail_with(report, &c);
    umask((mode_t)s->block->umask);
}

static void open_stdin(const struct launch_block *b, const char *path, int report)
{
    bool given = path && *path;
    if ((b->flags & LAUNCH_FOREGROUND) && !given)
        return;
    int fd = open(given ? path : "/dev/null", O_RDONLY | O_NOCTTY);
    if (fd < 0 || dup2(fd, 0) < 0)
        child_fail(report, STEP_STDIN, errno);
}

void child_enter(const struct launch_block *b, const char *stdin_path, int report)
{
    open_stdin(b, stdin_path, report);
    if (b->cwd && chdir(b->cwd) < 0)
        child_fail(report, STEP_CWD, errno);
}

union gate_control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
};

int gate_open(int gate_fd, int state_fd)
{
    char byte = '!';
    union gate_control control = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control.room)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &state_fd, sizeof(int));
    ssize_t n;
    do
        n = sendmsg(gate_fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : -1;
}

/* Returns the state file once the gate is open; ends here when nobody can open it any more. */
static int wait_at_gate(int gate)
{
    char byte;
    int state_fd = -1;
    union gate_control control = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control.room)};
    ssize_t n;
    do
        n = recvmsg(gate, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(0);
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&state_fd, CMSG_DATA(c), sizeof(int));
    return state_fd;
}

/* Before anything that the run's user chose. A run whose file size limit forbids these bytes is none. */
static void pass_gate(int state_fd, int report)
{
    signal(SIGXFSZ, SIG_IGN);
    if (result_state_opened(state_fd) < 0)
        child_fail(report, STEP_GATE, errno);
    close(state_fd);
}

void child_main(const struct shepherd *s, int gate, int other_end, int report)
{
    close(other_end);
    child_prepare(s, &s->tree.cg, report);
    pass_gate(wait_at_gate(gate), report);
    child_enter(s->block, s->block->stdin_path, report);
    report = dup3(report, 3, O_CLOEXEC) >= 0 || report == 3 ? 3 : report;
    spawn_close_from(4);
    spawn_reset_signals();
    if (s->nohup)
        signal(SIGHUP, SIG_IGN);
    exec_search(report, s->block->argv, s->env);
    _exit(127);
}

const char *child_step_name(int32_t step)
{
    static const char *const names[] = {
        [STEP_ACCOUNT] = "account", [STEP_SESSION] = "session",
        [STEP_CGROUP] = "cgroup",   [STEP_LIMITS] = "limits",
        [STEP_USER] = "user",       [STEP_STDIN] = "stdin",
        [STEP_GATE] = "gate",       [STEP_CWD] = "cwd",
        [STEP_EXEC] = "exec",       [STEP_INTERPRETER] = "interpreter",
    };
    return step >= 0 && (size_t)step < ARRAY_LEN(names) ? names[step] : "unknown";
}

static void explain_exec(const struct launch_block *b, const struct child_report *c, char *text,
                         size_t cap)
{
    if (c->error == ENOENT && !strchr(b->argv[0], '/'))
        snprintf(text, cap,
                 "no program \"%.60s\" in the run's PATH; check the spelling or give its full path",
                 b->argv[0]);
    else if (c->error == ENOENT)
        snprintf(text, cap,
                 "there is no program \"%.60s\"; check the path, it is taken from the run's "
                 "directory",
                 b->argv[0]);
    else
        snprintf(text, cap, "cannot run \"%.60s\": %s; is it a program, and executable (chmod +x)?",
                 b->argv[0], strerror(c->error));
}

int child_explain(const struct launch_block *b, const struct child_report *c, char *text,
                  size_t cap)
{
    const char *why = c->text[0] ? c->text : strerror(c->error);
    switch ((enum child_step)c->step) {
    case STEP_ACCOUNT:
        snprintf(text, cap, "this machine does not let its user in now (PAM account: %.100s)", why);
        break;
    case STEP_SESSION:
        snprintf(text, cap, "no session for its user (PAM service wattq: %.100s)", why);
        break;
    case STEP_CGROUP:
        snprintf(text, cap, "cannot move it into its cgroup: %s", why);
        break;
    case STEP_LIMITS:
        snprintf(text, cap, "cannot set its limits: %s", why);
        break;
    case STEP_USER:
        snprintf(text, cap, "cannot become its user: %.100s", why);
        break;
    case STEP_GATE:
        snprintf(text, cap, "cannot note its start: %s; is its limit of file sizes too small?",
                 why);
        break;
    case STEP_STDIN:
        snprintf(text, cap, "cannot read its input \"%.60s\": %s; give a file that exists",
                 b->stdin_path, why);
        break;
    case STEP_CWD:
        snprintf(text, cap,
                 "cannot enter its directory \"%.60s\": %s; submit it again from one that exists",
                 b->cwd, why);
        break;
    case STEP_INTERPRETER:
        snprintf(text, cap,
                 "the interpreter in the first line of \"%.60s\" does not exist; correct that line",
                 b->argv[0]);
        break;
    case STEP_EXEC:
        explain_exec(b, c, text, cap);
        return c->error == ENOENT ? 127 : 126;
    }
    return 126;
}
