/* wattq-shepherd RUN_DIR [CONNECTION]: one run's supervisor, see shepherd.h. The launch block is
 * descriptor 3; CONNECTION is a descriptor that already speaks frames. Started by wattqd.
 *
 * wattq-shepherd RUN_DIR 4 --user UID --daemon-user UID [--cgroup DIR] [--pam-dir DIR]: the same for the
 * launcher, as root, with the descriptors of launcher_fd below.
 *
 * wattq-shepherd --ready RUNS_DIR [--pam [PAM_DIR]]: one of these two, which is told the rest later (ready.h); --pam
 * where it is the launcher's.
 *
 * wattq-shepherd --list | --stop ...: for people, while wattqd is down; shepherd_list.h. */
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon/launch/ready.h"
#include "daemon/launch/shepherd.h"
#include "daemon/launch/shepherd_list.h"
#include "daemon/launch/user_switch.h"

enum launcher_fd { FD_CONN = LAUNCH_FD + 1, FD_DIR, FD_LOG, FD_METRICS, FD_WITNESS, FD_END };

struct arguments {
    const char *dir, *cgroup, *pam_dir;
    int conn;
    long user, daemon; /* -1 = not given */
};

static int usage(void)
{
    fprintf(stderr,
            "wattq-shepherd is started by wattqd; to run something, type: wattq submit -- COMMAND\n"
            "while wattqd is down: wattq-shepherd --list, wattq-shepherd --stop RUN... | --all\n");
    return 2;
}

/* --list [--state-dir DIR], --stop RUN... | --all [--state-dir DIR]. */
static int by_hand(int argc, char **argv)
{
    struct shepherd_choice c = {0};
    struct err e = {0};
    bool list = strcmp(argv[1], "--list") == 0;
    const char **runs CLEANUP(base_freep) = base_alloc((size_t)argc * sizeof(*runs));
    c.runs = runs;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--state-dir") == 0 && i + 1 < argc)
            c.state_dir = argv[++i];
        else if (!list && strcmp(argv[i], "--all") == 0)
            c.all = true;
        else if (!list && argv[i][0] >= '0' && argv[i][0] <= '9')
            runs[c.n++] = argv[i];
        else
            return usage();
    }
    if (!list && c.all == (c.n > 0))
        return usage();
    int rc = list ? shepherd_list_print(&c, &e) : shepherd_list_stop(&c, &e);
    if (rc < 0)
        fprintf(stderr, "wattq-shepherd: %s%s%s\n", e.text, e.next[0] ? "; " : "", e.next);
    return rc < 0 ? 1 : 0;
}

static bool parse(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {{"user", required_argument, NULL, 'u'},
                                            {"daemon-user", required_argument, NULL, 'd'},
                                            {"cgroup", required_argument, NULL, 'c'},
                                            {"pam-dir", required_argument, NULL, 'p'},
                                            {0}};
    *a = (struct arguments){.conn = -1, .user = -1, .daemon = -1};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'u')
            a->user = strtol(optarg, NULL, 10);
        else if (c == 'd')
            a->daemon = strtol(optarg, NULL, 10);
        else if (c == 'c')
            a->cgroup = optarg;
        else if (c == 'p')
            a->pam_dir = optarg;
        else
            return false;
    }
    int rest = argc - optind;
    bool system = a->user >= 0 || a->daemon >= 0;
    if (rest < 1 || rest > 2 || argv[optind][0] != '/')
        return false;
    a->dir = argv[optind];
    a->conn = rest == 2 ? atoi(argv[optind + 1]) : -1;
    if (system)
        return geteuid() == 0 && a->user >= 0 && a->daemon >= 0 && a->conn == FD_CONN;
    return !a->cgroup && !a->pam_dir && (rest == 1 || a->conn > LAUNCH_FD);
}

/* For whoever looks at processes: in place of "--ready RUNS_DIR" whose shepherd it is now. */
static void show_run(int argc, char **argv, const char *dir)
{
    const char *last = argv[argc - 1];
    size_t room = (size_t)(last + strlen(last) + 1 - argv[1]);
    memset(argv[1], 0, room);
    base_strcpy(argv[1], room, dir);
}

/* Everything that takes time and is the same for every run; then argc and argv are those of *order. 0; 1 = nobody
 * wants a shepherd. *warm: of PAM, NULL = nothing. */
static int stand_ready(int *argc, char ***argv, struct ready_order *order, void **warm)
{
    if (ready_keep_room() < 0)
        return 1;
    if (*argc > 3)
        *warm = user_switch_warm(*argc > 4 ? (*argv)[4] : NULL);
    if (ready_wait(order) != 0 || order->argc < 2)
        return 1;
    show_run(*argc, *argv, order->argv[1]);
    *argc = order->argc;
    *argv = order->argv;
    return 0;
}

/* Keeps nobody's terminal or journal pipe open once nothing more is to be said there. */
static void leave_stderr(void)
{
    int null CLEANUP(base_closep) = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        dup2(null, 2);
}

static int run_system(const struct arguments *a, const struct launch_block *b, void *warm,
                      struct err *e)
{
    struct user_switch u;
    int rc = user_switch_open(&u, (uid_t)a->user, (uid_t)a->daemon, a->pam_dir, e);
    const struct shepherd_system sys = {.dirfd = FD_DIR,
                                        .log_fd = FD_LOG,
                                        .metrics_fd = FD_METRICS,
                                        .witness_fd = FD_WITNESS,
                                        .cgroup = a->cgroup,
                                        .daemon_uid = u.daemon_uid,
                                        .session = user_switch_session,
                                        .become = user_switch_become,
                                        .leave_root = user_switch_leave_root,
                                        .settled = user_switch_cool,
                                        .arg = &u,
                                        .warm = warm};
    if (rc == 0)
        rc = shepherd_run_system(a->dir, b, a->conn, &sys, e);
    user_switch_close(&u);
    return rc;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct launch_block b = {0};
    struct arguments a;
    struct ready_order order;
    void *warm = NULL;
    if (argc > 1 && (strcmp(argv[1], "--list") == 0 || strcmp(argv[1], "--stop") == 0))
        return by_hand(argc, argv);
    if (argc > 2 && strcmp(argv[1], READY_ARGUMENT) == 0 &&
        stand_ready(&argc, &argv, &order, &warm) != 0)
        return 0;
    if (!parse(argc, argv, &a))
        return usage();
    if (launch_block_read(LAUNCH_FD, &b, &e) < 0) {
        fprintf(stderr, "wattq-shepherd: %s\n", e.text);
        return usage();
    }
    close(LAUNCH_FD);
    for (int fd = FD_CONN; a.conn >= 0 && fd < (a.user >= 0 ? FD_END : FD_CONN + 1); fd++)
        if (fcntl(a.user >= 0 ? fd : a.conn, F_SETFD, FD_CLOEXEC) < 0)
            return usage();
    int keep = dup(2);
    if (keep >= 0)
        fcntl(keep, F_SETFD, FD_CLOEXEC);
    if (!(b.flags & LAUNCH_FOREGROUND))
        leave_stderr();
    int rc = a.user >= 0 ? run_system(&a, &b, warm, &e) : shepherd_run(a.dir, &b, a.conn, &e);
    if (rc && keep >= 0)
        dprintf(keep, "wattq-shepherd: %s\n", e.text);
    launch_block_fini(&b);
    return rc ? 1 : 0;
}
