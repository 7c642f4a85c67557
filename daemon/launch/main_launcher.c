/* wattq-launcher: options, then the loop, then an exit code. See launcher.h and wattq-launcher(8). */
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/launch/launcher_private.h"

#ifndef WATTQ_LIBEXEC
#define WATTQ_LIBEXEC "/usr/bin"
#endif

static const char help[] =
    "wattq-launcher: the part of wattq that is root. It signs what users submit and starts runs "
    "as\n"
    "their users, for a wattqd that has no rights of its own.\n"
    "\n"
    "  --runs DIR          runs' directories, made by wattqd (/var/lib/wattq/runs)\n"
    "  --state DIR         key and journal of starts, root's alone (/var/lib/wattq-launcher)\n"
    "  --run-dir DIR       its two sockets (/run/wattq-launcher)\n"
    "  --daemon-user NAME  who wattqd runs as (wattq)\n"
    "  --min-uid N         smallest uid that may run anything (1000)\n"
    "  --allow-root YESNO  may root submit runs (no)\n"
    "  --libexec DIR       wattq-shepherd and wattq-train (" WATTQ_LIBEXEC ")\n"
    "  --cgroup DIR        where runs' cgroups go: a directory, a file that names one, or none\n"
    "                      (/run/wattq-jobs/cgroup)\n"
    "  --pam-dir DIR       PAM service files, for tests (the system's)\n"
    "  --help, --version\n";

enum { O_HELP = 1, O_VERSION, O_MIN_UID, O_ROOT, O_TEXT };

static const struct option options[] = {{"help", no_argument, NULL, O_HELP},
                                        {"version", no_argument, NULL, O_VERSION},
                                        {"min-uid", required_argument, NULL, O_MIN_UID},
                                        {"allow-root", required_argument, NULL, O_ROOT},
                                        {"runs", required_argument, NULL, O_TEXT},
                                        {"state", required_argument, NULL, O_TEXT + 1},
                                        {"run-dir", required_argument, NULL, O_TEXT + 2},
                                        {"daemon-user", required_argument, NULL, O_TEXT + 3},
                                        {"libexec", required_argument, NULL, O_TEXT + 4},
                                        {"cgroup", required_argument, NULL, O_TEXT + 5},
                                        {"pam-dir", required_argument, NULL, O_TEXT + 6},
                                        {0}};

/* 0; 1 = answered, nothing to do; < 0. */
static int parse(int argc, char **argv, struct launcher_config *c, struct err *e)
{
    const char **texts[] = {&c->runs,    &c->state,  &c->run_dir, &c->daemon_user,
                            &c->libexec, &c->cgroup, &c->pam_dir};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        char *end = NULL;
        if (o >= O_TEXT) {
            *texts[o - O_TEXT] = optarg;
        } else if (o == O_MIN_UID) {
            c->min_uid = strtoll(optarg, &end, 10);
            if (*end || end == optarg || c->min_uid < 1)
                return err_set(e, WATTQ_E_USAGE, "--min-uid takes a number from 1 on, not \"%s\"",
                               optarg);
        } else if (o == O_ROOT) {
            c->allow_root = strcmp(optarg, "yes") == 0;
            if (!c->allow_root && strcmp(optarg, "no") != 0)
                return err_set(e, WATTQ_E_USAGE, "--allow-root takes yes or no, not \"%s\"",
                               optarg);
        } else if (o == O_HELP || o == O_VERSION) {
            fputs(o == O_HELP ? help : "wattq-launcher " WATTQ_VERSION "\n", stdout);
            return 1;
        } else {
            return err_set(e, WATTQ_E_USAGE, "see wattq-launcher --help");
        }
    }
    if (optind < argc)
        return err_set(e, WATTQ_E_USAGE, "\"%s\" is no option", argv[optind]);
    return 0;
}

static int run(struct launcher *l, struct err *e)
{
    const struct passwd *pw = getpwnam(l->cfg.daemon_user);
    if (geteuid() != 0) {
        err_set(e, WATTQ_E_FORBIDDEN, "the launcher must be root");
        err_next(e, "without root there is user mode: start wattqd by yourself");
        return WATTQ_E_FORBIDDEN;
    }
    if (!pw || pw->pw_uid == 0)
        return err_set(e, WATTQ_E_NOT_FOUND, "there is no user \"%s\" for wattqd",
                       l->cfg.daemon_user);
    l->daemon_uid = pw->pw_uid;
    l->daemon_gid = pw->pw_gid;
    umask(077);
    prctl(PR_SET_DUMPABLE, 0); /* the key is in our memory */
    int rc = launcher_open(l, e);
    if (rc == 0)
        rc = launcher_loop(l, e);
    launcher_close(l);
    return rc;
}

int main(int argc, char **argv)
{
    struct launcher *l = base_alloc(sizeof(*l));
    struct err e = {0};
    l->cfg = (struct launcher_config){.runs = "/var/lib/wattq/runs",
                                      .state = "/var/lib/wattq-launcher",
                                      .run_dir = "/run/wattq-launcher",
                                      .libexec = WATTQ_LIBEXEC,
                                      .cgroup = "/run/wattq-jobs/cgroup",
                                      .daemon_user = "wattq",
                                      .min_uid = 1000};
    l->shepherds_fd = l->ready_fd = l->runs_fd = l->state_fd = l->sign_fd = l->control_fd =
        l->signal_fd = -1;
    l->journal.fd = -1;
    for (size_t i = 0; i < PEERS; i++)
        l->peers[i].fd = -1;
    int rc = parse(argc, argv, &l->cfg, &e);
    if (rc == 0)
        rc = run(l, &e);
    free(l);
    if (rc < 0) {
        fprintf(stderr, "<3>wattq-launcher: %s\n", e.text);
        if (e.next[0])
            fprintf(stderr, "<3>  %s\n", e.next);
    }
    return rc < 0 ? err_exit_code(e.code) : 0;
}
