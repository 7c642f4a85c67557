/* wattq-meters: starts the programs that a file of meters names, looks after them, and passes on what they
 * print, stamped - to its output, or to whoever connects to its socket. */
#include "daemon/meter/helpers/meters.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/places.h"
#include "common/units.h"

#define CLIENTS_MAX 8
#define GRACE_NS    (2 * NS_PER_S)

static const char help[] =
    "wattq-meters: run the programs that are meters, and pass on what they say\n"
    "\n"
    "  --file FILE            of meters (default: meters.conf beside wattqd.conf)\n"
    "  --listen SOCKET        serve whoever may connect there instead of printing; a socket that "
    "systemd\n"
    "                         hands over is taken without it\n"
    "  --check                read the file, say what is wrong with it, start nothing\n"
    "\n"
    "SIGHUP: read the file again. docs/line-protocol.md says what a program must print.\n";

struct meters {
    struct line_file *file;
    struct meters_child children[LINE_METERS_MAX];
    int listener; /* -1 = standard output */
    int clients[CLIENTS_MAX];
    int signals;
    bool deaf;       /* nobody reads our output any more */
    int64_t dropped; /* lines that a full pipe did not take */
};

/* ---- output ------------------------------------------------------------------------------------- */

/* A client that does not keep up is let go: it connects again and has the newest. */
static void put(void *arg, const char *line, size_t bytes)
{
    struct meters *m = arg;
    if (m->listener < 0) {
        /* A line is shorter than PIPE_BUF: the pipe takes it whole or not at all. */
        ssize_t n = write(STDOUT_FILENO, line, bytes);
        m->deaf |= n < 0 && errno != EINTR && errno != EAGAIN;
        if (n < 0 && errno == EAGAIN && m->dropped++ == 0)
            (void)fputs("<4>the reader does not keep up: lines are left out\n", stderr);
        return;
    }
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (m->clients[i] >= 0 &&
            send(m->clients[i], line, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)bytes) {
            base_closep(&m->clients[i]);
            m->clients[i] = -1;
        }
}

static void greet(struct meters *m)
{
    int fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++)
        if (m->clients[i] < 0) {
            m->clients[i] = fd;
            return;
        }
    base_closep(&fd);
}

/* Readings at the rate they are taken are for wattqd, not for everybody (docs/security.md): the socket is open to
 * its user and its group, the one that the unit runs it in. The mode is there before the file is: on Linux the
 * file gets that of the socket, and umask may take from it. */
static int listen_at(const char *path, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (!base_strcpy(a.sun_path, sizeof(a.sun_path), path))
        return err_set(e, WATTQ_E_USAGE, "--listen: the path is too long for a socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(path);
    if (fd < 0 || fchmod(fd, 0660) < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
        chmod(path, 0660) < 0 || listen(fd, CLIENTS_MAX) < 0) {
        base_closep(&fd);
        return err_errno(e, WATTQ_E_IO, "cannot listen on %.150s", path);
    }
    return fd;
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static int timeout_ms(const struct meters *m, int64_t now_ns)
{
    int64_t next = now_ns + 60 * NS_PER_S;
    for (size_t i = 0; i < m->file->n; i++) {
        int64_t due = meters_child_due(&m->children[i]);
        next = due < next ? due : next;
    }
    return next <= now_ns ? 0 : (int)((next - now_ns) / NS_PER_MS) + 1;
}

static size_t watch(const struct meters *m, struct pollfd *p)
{
    size_t n = 0;
    p[n++] = (struct pollfd){.fd = m->signals, .events = POLLIN};
    p[n++] = (struct pollfd){.fd = m->listener >= 0 ? m->listener : STDOUT_FILENO,
                             .events = m->listener >= 0 ? POLLIN : 0};
    for (size_t i = 0; i < m->file->n; i++)
        p[n++] = (struct pollfd){.fd = m->children[i].fd, .events = POLLIN};
    return n;
}

/* The signal that came; 0 = none. */
static int taken_signal(const struct meters *m)
{
    struct signalfd_siginfo s;
    return read(m->signals, &s, sizeof(s)) == sizeof(s) ? (int)s.ssi_signo : 0;
}

/* A reader that rests must hold up neither the programs nor our end. Only a pipe is changed: a terminal is
 * others' too. */
static void never_wait(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Until a signal other than SIGCHLD, or nobody reads; returns the signal, or 0. */
static int attend(struct meters *m)
{
    struct pollfd p[LINE_METERS_MAX + 2];
    while (!m->deaf) {
        size_t n = watch(m, p);
        if (poll(p, n, timeout_ms(m, clock_mono_ns())) < 0 && errno != EINTR)
            return 0;
        if (p[0].revents & POLLIN)
            return taken_signal(m);
        if (m->listener < 0 && (p[1].revents & (POLLERR | POLLHUP | POLLNVAL)))
            return 0;
        if (m->listener >= 0 && (p[1].revents & POLLIN))
            greet(m);
        int64_t now = clock_mono_ns();
        for (size_t i = 0; i < m->file->n; i++) {
            if (m->children[i].fd >= 0 && p[i + 2].revents)
                meters_child_read(&m->children[i], now, put, m);
            meters_child_tend(&m->children[i], now, put, m);
        }
    }
    return 0;
}

static void end_children(struct meters *m)
{
    int64_t until = clock_mono_ns() + GRACE_NS;
    for (size_t i = 0; i < m->file->n; i++)
        meters_child_kill(&m->children[i], SIGTERM);
    for (size_t i = 0; i < m->file->n; i++) {
        struct meters_child *c = &m->children[i];
        char dropped[4096];
        while (c->pid > 0 && c->fd >= 0 && clock_mono_ns() < until) {
            struct pollfd p = {.fd = c->fd, .events = POLLIN};
            if (poll(&p, 1, 50) > 0 && read(c->fd, dropped, sizeof(dropped)) == 0)
                break;
        }
        meters_child_kill(c, SIGKILL);
        base_closep(&c->fd);
    }
}

static void begin(struct meters *m)
{
    for (size_t i = 0; i < m->file->n; i++)
        meters_child_init(&m->children[i], m->file, i);
}

/* A file that has become wrong changes nothing. */
static void reload(struct meters *m, const char *path)
{
    struct line_file *f = NULL;
    struct err e = {0};
    if (line_file_load(&f, path, &e) < 0) {
        (void)fprintf(stderr, "<3>the file of meters was not taken: %s\n", e.text);
        return;
    }
    end_children(m);
    line_file_free(m->file);
    m->file = f;
    begin(m);
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* wattq-meter-* are where this program is. */
static void prepend_path(void)
{
    char self[WATTQ_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = NULL;
    if (n > 0) {
        self[n] = '\0';
        slash = strrchr(self, '/');
    }
    if (!slash)
        return;
    *slash = '\0';
    const char *path = getenv("PATH");
    char *both CLEANUP(base_freep) = base_printf("%s:%s", self, path ? path : "/usr/bin:/bin");
    (void)setenv("PATH", both, 1);
}

static int run(struct meters *m, const char *path, const char *socket_path, struct err *e)
{
    m->listener = -1;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        m->clients[i] = -1;
    if (sd_listen_fds(1) > 0)
        m->listener = SD_LISTEN_FDS_START;
    else if (socket_path && (m->listener = listen_at(socket_path, e)) < 0)
        return m->listener;
    m->signals = open_signals();
    if (m->signals < 0)
        return err_errno(e, WATTQ_E_IO, "cannot wait for signals");
    prepend_path();
    never_wait(STDOUT_FILENO);
    begin(m);
    (void)sd_notify(0, "READY=1");
    while (attend(m) == SIGHUP)
        reload(m, path);
    end_children(m);
    if (socket_path)
        (void)unlink(socket_path);
    return 0;
}

static int usage(const char *what)
{
    (void)fprintf(stderr, "wattq-meters: %s\nwattq-meters --help says how it is used\n", what);
    return 2;
}

static int default_file(char *path, struct err *e)
{
    int rc = places_config(path, e);
    char *slash = rc == 0 ? strrchr(path, '/') : NULL;
    if (slash)
        (void)base_strcpy(slash + 1, WATTQ_PATH_MAX - (size_t)(slash + 1 - path), "meters.conf");
    return rc;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"file", required_argument, NULL, 'f'},
                                            {"listen", required_argument, NULL, 'l'},
                                            {"check", no_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    static struct meters m;
    char path[WATTQ_PATH_MAX] = "";
    const char *socket_path = NULL;
    bool check = false;
    struct err e = {0};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'h')
            return fputs(help, stdout) < 0;
        if (c == 'f' ? !base_strcpy(path, sizeof(path), optarg) : c == '?')
            return usage("it does not understand its options");
        check |= c == 'c';
        socket_path = c == 'l' ? optarg : socket_path;
    }
    if (optind < argc)
        return usage("it takes options only");
    int rc = path[0] ? 0 : default_file(path, &e);
    if (rc == 0)
        rc = line_file_load(&m.file, path, &e);
    if (rc == 0 && !check)
        rc = run(&m, path, socket_path, &e);
    if (rc < 0)
        (void)fprintf(stderr, "wattq-meters: %s\n", e.text);
    else if (check)
        (void)printf("%zu meters, %zu channels\n", m.file->n, m.file->channels.n);
    line_file_free(m.file);
    return rc < 0;
}
