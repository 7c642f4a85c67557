/* wattq-jobs: holds the delegated cgroup tree that runs live in (system mode). Its unit is never restarted with
 * the others: cgroup v2 is top-down, so a unit whose own cgroup hands controllers to children cannot be
 * started into that cgroup again. It moves itself into a leaf, hands on what controllers there are, writes
 * where the tree is for the launcher, and sleeps until it is told to go. Runs are not its children and
 * stay. No libuv, no msgpack, no SQLite. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/err.h"
#include "daemon/launch/cgroup.h"

static const char help[] =
    "wattq-jobs: hold the tree of cgroups that runs live in\n"
    "\n"
    "  --write FILE   where to write the tree's path (default: /run/wattq-jobs/cgroup)\n"
    "\n"
    "Started by its unit, wattq-jobs.service, as root. See wattq-launcher(8).\n";

static int write_in(const char *dir, const char *name, const char *text, struct err *e)
{
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, name);
    int fd CLEANUP(base_closep) = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return err_errno(e, WATTQ_E_IO, "cannot write %s to %s", text, path);
    return 0;
}

/* Makes the leaf `name` with one process in it, or none (pid 0). */
static int make_leaf(const char *tree, const char *name, bool enter, struct err *e)
{
    char *path CLEANUP(base_freep) = base_printf("%s/%s", tree, name);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return err_errno(e, WATTQ_E_IO, "cannot make the cgroup %s", path);
    return enter ? write_in(path, "cgroup.procs", "0", e) : 0;
}

/* Each by itself: in a container often none is there, and runs are still counted and ended. */
static void hand_on_controllers(const char *tree)
{
    static const char *const wanted[] = {"+cpu", "+memory", "+pids"};
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (write_in(tree, "cgroup.subtree_control", wanted[i], &e) < 0)
            fprintf(stderr, "<5>wattq-jobs: limits by %s are not available here: %s\n",
                    wanted[i] + 1, e.text);
}

/* <tree>/<name> could be gone again only if somebody else removed it: nobody else may. */
static int set_up(char *tree, size_t cap, const char *file, struct err *e)
{
    char dir[WATTQ_PATH_MAX];
    if (cgroup_find(NULL, tree, cap) != 0) {
        err_set(e, WATTQ_E_UNAVAILABLE, "there is no cgroup v2 tree here");
        return err_next(e, "start it by its unit: systemctl start wattq-jobs");
    }
    int rc = make_leaf(tree, "holder", true, e);
    if (rc == 0)
        rc = make_leaf(tree, "shepherds", false, e);
    if (rc < 0)
        return rc;
    hand_on_controllers(tree);
    const char *slash = strrchr(file, '/');
    if (!slash || !base_strcpy(dir, sizeof(dir), file))
        return err_set(e, WATTQ_E_USAGE, "--write takes an absolute path, not %s", file);
    dir[slash - file] = '\0';
    char *line CLEANUP(base_freep) = base_printf("%s\n", tree);
    int fd CLEANUP(base_closep) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || base_replace_file(fd, slash + 1, line, strlen(line), 0644) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot write %s", file);
    return 0;
}

static void wait_for_end(void)
{
    sigset_t set;
    int signal;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    (void)sd_notify(0, "READY=1\nSTATUS=holding the tree of runs");
    (void)sigwait(&set, &signal);
    (void)sd_notify(0, "STOPPING=1");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"write", required_argument, NULL, 'w'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    const char *file = "/run/wattq-jobs/cgroup";
    char tree[512];
    struct err e = {0};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'w')
            file = optarg;
        else if (c == 'h')
            return fputs(help, stdout) < 0;
        else if (c == 'V')
            return puts("wattq-jobs " WATTQ_VERSION) < 0;
        else
            return fputs(help, stderr) < 0 ? 1 : 2;
    }
    if (set_up(tree, sizeof(tree), file, &e) < 0) {
        fprintf(stderr, "<3>wattq-jobs: %s%s%s\n", e.text, e.next[0] ? "; " : "", e.next);
        return 1;
    }
    wait_for_end();
    return 0;
}
