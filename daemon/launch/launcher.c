/* Sockets and the loop. */
#include "daemon/launch/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/cgroup.h"
#include "daemon/launch/launcher_private.h"

#define SIGN      "sign"
#define CONTROL   "control"
#define LEAF      "shepherds"
#define LEAVES_NS (50 * NS_PER_MS)
#define FIXED_FDS 3
#define FOR_EVER  INT64_MAX

/* ---- coming up ----------------------------------------------------------------------------------- */

static int make_socket(const struct launcher *l, const char *name, mode_t mode, gid_t gid,
                       struct err *e)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", l->cfg.run_dir, name);
    if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
        return err_set(e, WATTQ_E_LIMIT, "the path %s is too long for a socket", l->cfg.run_dir);
    int fd CLEANUP(base_closep) = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (unlink(sa.sun_path) < 0 && errno != ENOENT))
        return err_errno(e, WATTQ_E_IO, "cannot make the socket %s", sa.sun_path);
    mode_t old = umask(0777 & ~mode);
    int rc = bind(fd, (struct sockaddr *)&sa, sizeof(sa));
    umask(old);
    if (rc < 0 || lchown(sa.sun_path, (uid_t)-1, gid) < 0 || listen(fd, 64) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot listen on %s", sa.sun_path);
    int out = fd;
    fd = -1;
    return out;
}

static int open_socket(const struct launcher *l, const char *name, mode_t mode, gid_t gid,
                       struct err *e)
{
    int fd = unit_listen_fd(name);
    if (fd < 0)
        return make_socket(l, name, mode, gid, e);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot use the socket %s we were given", name);
    return fd;
}

/* Made if need be; it must be root's own, for whoever may write there decides what is started. */
static int own_dir(const char *path, mode_t mode, struct err *e)
{
    struct stat st;
    bool made = mkdir(path, mode) == 0;
    if (!made && errno != EEXIST)
        return err_errno(e, WATTQ_E_IO, "cannot make %s", path);
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    /* Our umask keeps everything else to ourselves. */
    if (fd < 0 || (made && fchmod(fd, mode) < 0) || fstat(fd, &st) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open %s", path);
    if (st.st_uid != geteuid() || (st.st_mode & 022)) {
        err_set(e, WATTQ_E_FORBIDDEN, "%s must belong to root and be writable by nobody else",
                path);
        err_next(e, "chown root:root %s; chmod go-w %s", path, path);
        return WATTQ_E_FORBIDDEN;
    }
    int out = fd;
    fd = -1;
    return out;
}

/* The directory leaves are made in: as given, or the first line of the file that was given. */
static int find_cgroup(struct launcher *l, struct err *e)
{
    struct stat st;
    size_t bytes;
    const char *given = l->cfg.cgroup;
    if (strcmp(given, "none") == 0)
        return 0;
    if (stat(given, &st) == 0 && S_ISDIR(st.st_mode)) {
        base_strcpy(l->cgroup, sizeof(l->cgroup), given);
    } else {
        char *text CLEANUP(base_freep) = base_read_file(AT_FDCWD, given, PATH_MAX, &bytes);
        if (!text)
            return err_errno(e, WATTQ_E_UNAVAILABLE, "cannot read where runs' cgroups go from %s",
                             given);
        text[strcspn(text, "\n")] = 0;
        base_strcpy(l->cgroup, sizeof(l->cgroup), text);
    }
    if (cgroup_usable(l->cgroup)) {
        cgroup_enable(l->cgroup);
        return 0;
    }
    err_set(e, WATTQ_E_UNAVAILABLE, "no cgroups can be made in %s", l->cgroup);
    err_next(e, "start wattq-jobs.service, or give --cgroup none");
    return WATTQ_E_UNAVAILABLE;
}

/* Beside the runs: what limits our own unit must not end them. */
static void make_leaf(struct launcher *l)
{
    char path[sizeof(l->cgroup) + sizeof(LEAF) + 1];
    snprintf(path, sizeof(path), "%s/%s", l->cgroup, LEAF);
    if (l->cgroup[0] && (mkdir(path, 0755) == 0 || errno == EEXIST))
        l->shepherds_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int open_signals(struct launcher *l, struct err *e)
{
    static const int taken[] = {SIGCHLD, SIGTERM, SIGINT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        sigaddset(&set, taken[i]);
        signal(taken[i], SIG_DFL);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l->signal_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot watch signals");
    return 0;
}

static int open_memory(struct launcher *l, struct err *e)
{
    l->state_fd = own_dir(l->cfg.state, 0700, e);
    if (l->state_fd < 0)
        return l->state_fd;
    int made = journal_open(&l->journal, l->state_fd, clock_utc_ns() / NS_PER_S, e);
    /* Without the journal nobody knows what has been started: nothing that was signed before counts. */
    return made < 0 ? made : key_open(l, made > 0, e);
}

int launcher_open(struct launcher *l, struct err *e)
{
    int rc = open_signals(l, e);
    if (rc == 0)
        rc = find_cgroup(l, e);
    if (rc == 0)
        rc = open_memory(l, e);
    if (rc < 0)
        return rc;
    l->runs_fd = open(l->cfg.runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (l->runs_fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open the directory of runs %s", l->cfg.runs);
    int dir CLEANUP(base_closep) = own_dir(l->cfg.run_dir, 0755, e);
    if (dir < 0)
        return dir;
    l->sign_fd = open_socket(l, SIGN, 0666, (gid_t)-1, e);
    if (l->sign_fd < 0)
        return l->sign_fd;
    l->control_fd = open_socket(l, CONTROL, 0660, l->daemon_gid, e);
    if (l->control_fd < 0)
        return l->control_fd;
    make_leaf(l);
    watch_leaves(l);
    return 0;
}

void launcher_close(struct launcher *l)
{
    int *fds[] = {&l->shepherds_fd, &l->ready_fd,   &l->runs_fd,  &l->state_fd,
                  &l->sign_fd,      &l->control_fd, &l->signal_fd};
    for (size_t i = 0; i < PEERS; i++)
        base_closep(&l->peers[i].fd);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        base_closep(fds[i]);
    watch_close(l);
    journal_close(&l->journal);
    explicit_bzero(l->key, sizeof(l->key));
}

/* ---- peers --------------------------------------------------------------------------------------- */

static void drop(struct launcher_peer *p)
{
    base_closep(&p->fd);
    p->fd = -1;
}

/* A free place for that peer, within what its kind and its user may have; NULL = none. */
static struct launcher_peer *place(struct launcher *l, bool control, uid_t uid)
{
    struct launcher_peer *unused = NULL;
    size_t n = 0, of_uid = 0;
    for (size_t i = 0; i < PEERS; i++) {
        struct launcher_peer *p = &l->peers[i];
        if (p->fd < 0) {
            unused = p;
        } else if (p->control == control) {
            n++;
            of_uid += p->uid == uid;
        }
    }
    if (control)
        return n < CONTROL_PEERS ? unused : NULL;
    return n < SIGN_PEERS && of_uid < SIGN_PEERS_UID ? unused : NULL;
}

static void accept_from(struct launcher *l, int listener, bool control)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
        struct ucred who;
        socklen_t n = sizeof(who);
        bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
                     (!control || who.uid == l->daemon_uid);
        struct launcher_peer *p = known ? place(l, control, who.uid) : NULL;
        if (!p) {
            close(fd);
            continue;
        }
        *p =
            (struct launcher_peer){.fd = fd,
                                   .control = control,
                                   .uid = who.uid,
                                   .until_ns = control ? FOR_EVER : clock_mono_ns() + SIGN_IDLE_NS};
    }
}

static int answer_meter(const char *name, int *out, struct launcher_record *a, struct err *e)
{
    *out = meters_open(name);
    if (*out >= 0)
        return 0;
    a->state = errno;
    return err_errno(e, errno == EACCES ? WATTQ_E_FORBIDDEN : WATTQ_E_UNAVAILABLE,
                     "no meter can be opened as %.100s", name);
}

static int answer_control(struct launcher *l, const struct launcher_record *r, const int fds[2],
                          size_t n, int *out, struct launcher_record *a, struct err *e)
{
    pid_t pid = 0;
    int rc = n == (r->kind == LAUNCHER_START ? 2 : 0)
                 ? 0
                 : err_set(e, WATTQ_E_PROTOCOL, "that question comes with other descriptors");
    if (rc < 0)
        return rc;
    switch (r->kind) {
    case LAUNCHER_START:
        rc = start_run(l, r, fds, &pid, e);
        a->pid = pid;
        return rc;
    case LAUNCHER_STATUS:
        watch_status(l, r->token, a);
        return 0;
    case LAUNCHER_METER:
        return answer_meter(r->text, out, a, e);
    case LAUNCHER_EXEC_DIR:
        return start_exec_dir(l, r, e);
    default:
        return err_set(e, WATTQ_E_PROTOCOL, "only clients ask that");
    }
}

static int answer_sign(struct launcher *l, const struct launcher_peer *p,
                       const struct launcher_record *r, size_t nfds, struct launcher_record *a,
                       struct err *e)
{
    if (r->kind != LAUNCHER_SIGN || nfds != 0)
        return err_set(e, WATTQ_E_FORBIDDEN, "here runs are signed, and nothing else");
    a->warrant = r->warrant;
    int rc = key_sign(l, p->uid, &a->warrant, e);
    if (rc < 0)
        a->warrant.n = 0;
    return rc;
}

static void refuse(struct launcher_record *a, const struct err *e)
{
    a->kind = LAUNCHER_REFUSED;
    a->code = e->code;
    base_strcpy(a->text, sizeof(a->text), e->text);
    base_strcpy(a->next, sizeof(a->next), e->next);
}

/* One record, one answer. A peer that does not read, a client that is refused and a daemon that does not speak
 * our language are let go; a daemon that is refused a run may have others that are not. */
static void on_record(struct launcher *l, struct launcher_peer *p)
{
    struct launcher_record r, a = {.magic = LAUNCHER_MAGIC, .kind = LAUNCHER_OK};
    struct err e = {0};
    int fds[2] = {-1, -1}, out = -1;
    size_t n;
    int rc = launcher_recv(p->fd, &r, fds, 2, &n, &e);
    if (rc > 0 && errno == EAGAIN)
        return;
    if (rc > 0) {
        drop(p);
        return;
    }
    if (rc == 0)
        rc = p->control ? answer_control(l, &r, fds, n, &out, &a, &e)
                        : answer_sign(l, p, &r, n, &a, &e);
    if (rc < 0)
        refuse(&a, &e);
    bool stays = rc == 0 || (p->control && rc != WATTQ_E_PROTOCOL);
    if (launcher_send(p->fd, &a, &out, out >= 0 ? 1 : 0, &e) < 0 || !stays)
        drop(p);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    base_closep(&out);
    if (p->fd < 0 || p->control)
        return;
    p->until_ns = clock_mono_ns() + SIGN_IDLE_NS;
    start_ready(l); /* after the answer: while wattqd writes down what was signed */
}

/* ---- the loop ------------------------------------------------------------------------------------ */

static void on_signals(struct launcher *l)
{
    struct signalfd_siginfo si[8];
    for (ssize_t n; (n = read(l->signal_fd, si, sizeof(si))) > 0;)
        for (size_t i = 0; i < (size_t)n / sizeof(si[0]); i++)
            l->stop |= si[i].ssi_signo != SIGCHLD;
    watch_reap(l);
    start_ready_reaped(l);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int wait_ms(const struct launcher *l, int64_t watchdog_due_ns)
{
    int64_t now_ns = clock_mono_ns(), due_ns = watchdog_due_ns;
    for (size_t i = 0; i < PEERS; i++)
        if (l->peers[i].fd >= 0)
            due_ns = sooner(due_ns, l->peers[i].until_ns);
    if (l->leaves_left)
        due_ns = sooner(due_ns, now_ns + LEAVES_NS);
    if (due_ns == FOR_EVER)
        return -1;
    int64_t ms = due_ns <= now_ns ? 0 : (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void serve(struct launcher *l, const struct pollfd *p, const size_t *who, size_t n)
{
    int64_t now_ns = clock_mono_ns();
    for (size_t i = FIXED_FDS; i < n; i++)
        if (p[i].revents)
            on_record(l, &l->peers[who[i]]);
    for (size_t i = 0; i < PEERS; i++)
        if (l->peers[i].fd >= 0 && now_ns >= l->peers[i].until_ns)
            drop(&l->peers[i]);
    /* After those that are there: a place that became free is not taken for an old one's event. */
    if (p[0].revents)
        on_signals(l);
    if (p[1].revents)
        accept_from(l, l->sign_fd, false);
    if (p[2].revents)
        accept_from(l, l->control_fd, true);
}

int launcher_loop(struct launcher *l, struct err *e)
{
    struct pollfd p[FIXED_FDS + PEERS];
    size_t who[FIXED_FDS + PEERS] = {0};
    int64_t watchdog_ns = unit_watchdog_ns(), due_ns = watchdog_ns ? 0 : FOR_EVER;
    unit_notify("READY=1\nSTATUS=signing and starting runs");
    while (!l->stop) {
        size_t n = FIXED_FDS;
        p[0] = (struct pollfd){.fd = l->signal_fd, .events = POLLIN};
        p[1] = (struct pollfd){.fd = l->sign_fd, .events = POLLIN};
        p[2] = (struct pollfd){.fd = l->control_fd, .events = POLLIN};
        for (size_t i = 0; i < PEERS; i++)
            if (l->peers[i].fd >= 0) {
                who[n] = i;
                p[n++] = (struct pollfd){.fd = l->peers[i].fd, .events = POLLIN};
            }
        int got = poll(p, (nfds_t)n, wait_ms(l, due_ns));
        if (got < 0 && errno != EINTR)
            return err_errno(e, WATTQ_E_IO, "cannot wait for questions");
        if (got > 0)
            serve(l, p, who, n);
        else
            serve(l, (struct pollfd[FIXED_FDS]){{0}}, who, FIXED_FDS);
        if (l->leaves_left)
            watch_leaves(l);
        if (watchdog_ns && clock_mono_ns() >= due_ns) {
            unit_notify("WATCHDOG=1");
            due_ns = clock_mono_ns() + watchdog_ns;
        }
    }
    unit_notify("STOPPING=1");
    return 0;
}
