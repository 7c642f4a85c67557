/* Runs that were started: who their main process is, how it ended when nobody else can say, and what is left
 * of them when their shepherd was killed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/cgroup.h"
#include "daemon/launch/launcher_private.h"
#include "daemon/launch/shepherd_tree.h"

void watch_add(struct launcher *l, const struct launcher_record *r, pid_t shepherd, int pipe_fd)
{
    struct launcher_child *c = base_alloc(sizeof(*c));
    c->token = r->token;
    c->run_id = r->run_id;
    c->uid = r->uid;
    c->shepherd = shepherd;
    c->pipe_fd = pipe_fd;
    c->state = LAUNCHER_RUN_ALIVE;
    c->next = l->children;
    l->children = c;
}

/* ---- what shepherds tell ------------------------------------------------------------------------- */

static void hear(struct launcher_child *c)
{
    struct witness w;
    while (c->pipe_fd >= 0 && read(c->pipe_fd, &w, sizeof(w)) == (ssize_t)sizeof(w)) {
        if (w.kind == WITNESS_FORKED && c->main_pid == 0 && w.pid > 1) {
            c->main_pid = w.pid;
            w.leaf[sizeof(w.leaf) - 1] = 0;
            base_strcpy(c->leaf, sizeof(c->leaf), w.leaf);
        } else if (w.kind == WITNESS_MAIN_ENDED && c->main_pid && !c->main_ended) {
            c->main_ended = true;
            c->wait_status = w.status;
            c->t_ns = w.t_ns;
        }
    }
}

/* ---- cgroup leaves ------------------------------------------------------------------------------- */

/* "wattq-RUN-PID.N" of cgroup_create; -1 for any other name. */
static int64_t run_of(const char *name)
{
    char *end;
    if (strncmp(name, "wattq-", 6) != 0)
        return -1;
    long long id = strtoll(name + 6, &end, 10);
    return id >= 0 && *end == '-' ? id : -1;
}

static bool is_supervised(const struct launcher *l, int64_t run_id)
{
    for (const struct launcher_child *c = l->children; c; c = c->next)
        if (c->run_id == run_id && c->shepherd)
            return true;
    return false;
}

/* A run may have been started more than once: what became of an earlier start says nothing about those who are
 * in a leaf now, and who may have to go on without their shepherd. */
static const struct launcher_child *newest(const struct launcher *l, int64_t run_id)
{
    const struct launcher_child *c = l->children; /* newest first */
    while (c && c->run_id != run_id)
        c = c->next;
    return c;
}

static void clear_leaf(struct launcher *l, const char *name)
{
    struct cgroup cg;
    int64_t run = run_of(name);
    char *path CLEANUP(base_freep) = base_printf("%s/%s", l->cgroup, name);
    if (run < 0 || is_supervised(l, run) || cgroup_open(&cg, path, NULL) < 0)
        return;
    const struct launcher_child *c = newest(l, run);
    if (c && c->killed && cgroup_populated(&cg)) {
        cgroup_kill(&cg);
        l->leaves_left = true;
    }
    /* Its shepherd may be one of an earlier launcher's: then there is somebody in it, or soon nobody. */
    if (cgroup_populated(&cg))
        cgroup_close(&cg);
    else
        cgroup_remove(&cg);
}

void watch_leaves(struct launcher *l)
{
    l->leaves_left = false;
    DIR *d = l->cgroup[0] ? base_open_dir(l->cgroup) : NULL;
    for (struct dirent *de; d && (de = readdir(d));)
        if (de->d_type == DT_DIR)
            clear_leaf(l, de->d_name);
    if (d)
        closedir(d);
}

/* ---- ends ---------------------------------------------------------------------------------------- */

/* The shepherd may have been killed between reaping it and telling us. */
static bool is_nowhere(pid_t pid)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

/* What is left of a run whose main process has ended; without a cgroup the main process too, for then nobody
 * could end it any more: wattqd may not signal its user's processes. */
static void end_rest(struct launcher *l, struct launcher_child *c)
{
    struct cgroup cg = {.fd = -1};
    char *dir CLEANUP(base_freep) = base_printf("%s/%" PRId64, l->cfg.runs, c->run_id);
    c->killed = true;
    if (c->leaf[0] && cgroup_open(&cg, c->leaf, NULL) == 0) {
        cgroup_kill(&cg);
        cgroup_close(&cg);
        l->leaves_left = true;
        return;
    }
    if (c->main_pid && !c->main_ended && !is_nowhere(c->main_pid)) {
        c->main_killed = true;
        kill(c->main_pid, SIGKILL); /* ours now: its pid cannot have been given to another */
    }
    tree_kill_marked(dir);
}

static void settle(struct launcher *l, struct launcher_child *c)
{
    if (c->state != LAUNCHER_RUN_ALIVE || c->shepherd)
        return;
    if (c->main_pid && !c->main_ended && !is_nowhere(c->main_pid))
        return;
    if (c->orphan && !c->killed)
        end_rest(l, c);
    base_closep(&c->pipe_fd);
    c->pipe_fd = -1;
    if (!c->orphan || !c->main_pid)
        c->state = LAUNCHER_RUN_ENDED; /* with a result, or before there was anything of it */
    else
        c->state = c->main_ended && !c->main_killed ? LAUNCHER_RUN_WITNESSED : LAUNCHER_RUN_KILLED;
}

static void on_shepherd(struct launcher *l, struct launcher_child *c, int status)
{
    c->shepherd = 0;
    hear(c); /* its last words */
    /* By itself it only ends after its run: with a result, or before anything of it ran. */
    if (WIFEXITED(status)) {
        if (!c->main_ended)
            c->main_pid = 0;
    } else {
        fprintf(stderr, "<4>the shepherd of run %" PRId64 " was killed by signal %d\n", c->run_id,
                WTERMSIG(status));
        c->orphan = true;
        if (!c->leaf[0])
            end_rest(l, c);
    }
    l->leaves_left = true; /* its cgroup, which it may not remove itself */
    start_ready(l);        /* for the next start: now no run is disturbed by it */
}

static void on_end(struct launcher *l, pid_t pid, int status)
{
    for (struct launcher_child *c = l->children; c; c = c->next) {
        if (c->shepherd == pid) {
            on_shepherd(l, c, status);
        } else if (c->main_pid == pid && !c->main_ended && c->state == LAUNCHER_RUN_ALIVE) {
            c->main_ended = true;
            c->wait_status = status;
            c->t_ns = clock_boot_ns();
        } else {
            continue;
        }
        return;
    }
}

static void forget_old(struct launcher *l)
{
    size_t ended = 0;
    for (struct launcher_child **p = &l->children; *p;) {
        struct launcher_child *c = *p;
        if (c->state == LAUNCHER_RUN_ALIVE || ended++ < ENDED_KEPT) {
            p = &c->next;
            continue;
        }
        *p = c->next;
        free(c);
    }
}

void watch_reap(struct launcher *l)
{
    int status;
    pid_t pid;
    for (struct launcher_child *c = l->children; c; c = c->next)
        if (c->state == LAUNCHER_RUN_ALIVE)
            hear(c);
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        on_end(l, pid, status);
    for (struct launcher_child *c = l->children; c; c = c->next)
        settle(l, c);
    forget_old(l);
    watch_leaves(l);
}

void watch_status(const struct launcher *l, int64_t token, struct launcher_record *answer)
{
    const struct launcher_child *c = l->children;
    while (c && c->token != token)
        c = c->next;
    answer->token = token;
    answer->state = c ? (int32_t)c->state : LAUNCHER_RUN_UNKNOWN;
    if (!c)
        return;
    answer->run_id = c->run_id;
    answer->uid = c->uid;
    answer->pid = c->shepherd;
    if (c->state == LAUNCHER_RUN_WITNESSED)
        answer->wait_status = c->wait_status;
    answer->t_ns = c->t_ns;
}

void watch_close(struct launcher *l)
{
    while (l->children) {
        struct launcher_child *c = l->children;
        l->children = c->next;
        base_closep(&c->pipe_fd);
        free(c);
    }
}
