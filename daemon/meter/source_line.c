/* Meters that are programs: what wattq-meters passes on from them (docs/line-protocol.md). In user mode this
 * starts wattq-meters as a child; where it runs as a unit of its own, it connects to its socket. Either way
 * one stream of lines "METER BOOTNS LINE" comes in, stamped by wattq-meters when the line was whole.
 *
 * A thread of our own reads the stream and keeps the newest value of each channel, so that read() never
 * waits. A gauge's value is one sample, however often it is read before the next one comes. A value counts
 * as stale after three periods (at least 3 s); then the curve has a gap, as it has when a program ends. */
#include "daemon/meter/line.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"

#define STREAM_LINE  (LINE_MAX + LINE_NAME_MAX + 32)
#define STALE_MIN_NS (3 * NS_PER_S)
#define RETRY_MS     1000

extern char **environ;

struct newest {
    struct reading r;
    int64_t stamp_ns; /* 0 = nothing came yet */
    int64_t read_ns;  /* stamp of the value that read() gave last */
};

struct source {
    struct line_file *file;
    char *path, *program, *socket;
    pthread_t thread;
    bool running;
    int wake[2]; /* closing wake[1] ends the thread */
    pid_t child;
    pthread_mutex_t lock; /* of the array below */
    struct newest newest[CHANNEL_TEXT_MAX];
};

/* ---- lines -------------------------------------------------------------------------------------- */

/* Channel METER/NAME, or METER where the line names nothing. */
static int channel_of(const struct source *s, const char *meter, const char *name)
{
    char full[CHANNEL_NAME_MAX];
    (void)snprintf(full, sizeof(full), "%s%s%s", meter, *name ? "/" : "", name);
    return channel_text_find(&s->file->channels, full);
}

static struct reading reading_of(const struct channel_desc *d, const struct line *l)
{
    bool counter = d->kind == CHANNEL_COUNTER;
    struct reading r = {.value = l->value, .state = l->state};
    if (l->state != READING_OK)
        return r;
    if (l->energy != counter || (l->box_ns >= 0 && l->box_ns != d->box_ns))
        r.state = READING_GARBLED; /* not what the file says of it */
    else if (l->lag_ns > d->lag_ns + d->period_ns)
        r.state = READING_STALE; /* older than the file promises */
    return r;
}

static void keep(struct source *s, size_t i, struct reading r, int64_t stamp_ns)
{
    pthread_mutex_lock(&s->lock);
    s->newest[i].r = r;
    s->newest[i].stamp_ns = stamp_ns;
    pthread_mutex_unlock(&s->lock);
}

static void keep_all(struct source *s, const char *meter, enum reading_state why, int64_t stamp_ns)
{
    size_t n = strlen(meter);
    for (size_t i = 0; i < s->file->channels.n; i++) {
        const char *name = s->file->channels.names[i];
        if (strncmp(name, meter, n) == 0 && (name[n] == '\0' || name[n] == '/'))
            keep(s, i, (struct reading){.state = why}, stamp_ns);
    }
}

static void take_line(struct source *s, char *text)
{
    char *rest = NULL;
    const char *meter = strtok_r(text, " ", &rest);
    const char *stamp = meter ? strtok_r(NULL, " ", &rest) : NULL;
    int64_t ns = 0;
    struct line l;
    if (!stamp || sscanf(stamp, "%" SCNd64, &ns) != 1 || ns <= 0 || ns > clock_boot_ns())
        return; /* wattq-meters itself is not understood: what it says goes stale */
    int rc = line_parse(rest, strlen(rest), &l);
    if (rc == 2) {
        keep_all(s, meter, READING_UNSUPPORTED, ns);
        return;
    }
    int i = rc == 1 ? -1 : channel_of(s, meter, l.name);
    if (i >= 0)
        keep(s, (size_t)i, reading_of(&s->file->channels.descs[i], &l), ns);
    else if (rc == 0 && l.state != READING_OK && l.name[0] == '\0')
        keep_all(s, meter, l.state, ns); /* the program ended */
}

/* ---- the stream --------------------------------------------------------------------------------- */

static int connect_socket(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !base_strcpy(a.sun_path, sizeof(a.sun_path), path) ||
        connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
        base_closep(&fd);
    return fd;
}

/* posix_spawn: this process has threads. The child leads a group, so that all of it can be told to end. */
static int start_program(struct source *s)
{
    int fds[2];
    posix_spawn_file_actions_t io;
    posix_spawnattr_t attr;
    char *argv[] = {s->program, (char *)(uintptr_t) "--file", s->path, NULL};
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    posix_spawn_file_actions_init(&io);
    posix_spawn_file_actions_addopen(&io, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&io, fds[1], 1);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    int rc = posix_spawn(&s->child, s->program, &io, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&io);
    posix_spawnattr_destroy(&attr);
    base_closep(&fds[1]);
    if (rc == 0)
        return fds[0];
    s->child = 0;
    base_closep(&fds[0]);
    return -1;
}

static void end_program(struct source *s)
{
    /* The daemon waits for any child: one that has ended may be gone, and its number another's. */
    if (s->child <= 0 || waitpid(s->child, NULL, WNOHANG) != 0) {
        s->child = 0;
        return;
    }
    (void)kill(s->child, SIGTERM);
    for (int i = 0; i < 300; i++) {
        if (waitpid(s->child, NULL, WNOHANG) != 0) {
            s->child = 0;
            return;
        }
        struct timespec ms10 = {.tv_nsec = 10 * NS_PER_MS};
        (void)nanosleep(&ms10, NULL);
    }
    (void)kill(-s->child, SIGKILL);
    (void)waitpid(s->child, NULL, 0);
    s->child = 0;
}

/* True = go on. */
static bool wait_for(const struct source *s, int fd, int timeout_ms)
{
    struct pollfd p[2] = {{.fd = s->wake[0], .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    (void)poll(p, fd >= 0 ? 2 : 1, timeout_ms);
    return (p[0].revents & (POLLIN | POLLHUP)) == 0;
}

/* False = the end was asked for. */
static bool follow(struct source *s, int fd)
{
    char text[STREAM_LINE];
    size_t bytes = 0;
    bool overlong = false;
    for (;;) {
        char c[1024];
        if (!wait_for(s, fd, -1))
            return false;
        ssize_t n = read(fd, c, sizeof(c));
        if (n <= 0 && !(n < 0 && errno == EINTR))
            return true;
        for (ssize_t i = 0; i < n; i++) {
            if (c[i] == '\n') {
                text[bytes] = '\0';
                if (!overlong)
                    take_line(s, text);
                bytes = 0;
                overlong = false;
            } else if (bytes < sizeof(text) - 1) {
                text[bytes++] = c[i];
            } else {
                overlong = true;
            }
        }
    }
}

static void *run(void *arg)
{
    struct source *s = arg;
    (void)prctl(PR_SET_NAME, "meter-line");
    for (bool on = true; on;) {
        int fd = s->socket ? connect_socket(s->socket) : start_program(s);
        on = fd >= 0 ? follow(s, fd) : true;
        base_closep(&fd);
        end_program(s);
        if (on)
            on = wait_for(s, -1, RETRY_MS);
    }
    return NULL;
}

/* ---- source_ops --------------------------------------------------------------------------------- */

static void free_source(struct source *s)
{
    base_closep(&s->wake[0]);
    base_closep(&s->wake[1]);
    pthread_mutex_destroy(&s->lock);
    line_file_free(s->file);
    free(s->path);
    free(s->program);
    free(s->socket);
    free(s);
}

static void name_channels(struct line_file *f)
{
    for (size_t i = 0; i < f->channels.n; i++) {
        struct channel_desc *d = &f->channels.descs[i];
        (void)snprintf(d->driver, sizeof(d->driver), "line protocol %d", LINE_VERSION);
        if (d->covers[0] == '\0')
            (void)snprintf(d->covers, sizeof(d->covers), "what the program '%.*s' measures",
                           (int)strcspn(f->channels.names[i], "/"), f->channels.names[i]);
    }
}

static int open_line(struct source **out, const struct meter_config *cfg, struct err *e)
{
    if (!cfg->meters_file || access(cfg->meters_file, F_OK) != 0)
        return 1;
    struct source *s = base_alloc(sizeof(*s));
    s->wake[0] = s->wake[1] = -1;
    pthread_mutex_init(&s->lock, NULL);
    s->path = base_strdup(cfg->meters_file);
    s->program = base_strdup(cfg->meters_program ? cfg->meters_program : "");
    s->socket = cfg->meters_socket ? base_strdup(cfg->meters_socket) : NULL;
    int rc = line_file_load(&s->file, s->path, e);
    if (rc == 0 && s->file->channels.n == 0)
        rc = 1;
    if (rc == 0 && pipe2(s->wake, O_CLOEXEC) < 0)
        rc = err_errno(e, WATTQ_E_IO, "cannot make a pipe for the meters");
    if (rc == 0 && (errno = pthread_create(&s->thread, NULL, run, s)) != 0)
        rc = err_errno(e, WATTQ_E_IO, "cannot start a thread for the meters");
    if (rc != 0) {
        free_source(s);
        return rc;
    }
    s->running = true;
    name_channels(s->file);
    *out = s;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = s->file->channels.descs;
    return s->file->channels.n;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->file->channels.n; i++) {
        struct newest *n = &s->newest[i];
        bool counter = s->file->channels.descs[i].kind == CHANNEL_COUNTER;
        int64_t patience = 3 * s->file->channels.descs[i].period_ns;
        patience = patience > STALE_MIN_NS ? patience : STALE_MIN_NS;
        out[i] = n->r;
        if (n->stamp_ns == 0)
            out[i] = (struct reading){.state = READING_NOT_YET};
        else if (n->r.state == READING_OK && boot_ns - n->stamp_ns > patience)
            out[i] = (struct reading){.state = READING_STALE};
        else if (n->r.state == READING_OK)
            out[i].again = !counter && n->read_ns == n->stamp_ns;
        n->read_ns = n->stamp_ns;
    }
    pthread_mutex_unlock(&s->lock);
}

static void close_line(struct source *s)
{
    base_closep(&s->wake[1]);
    s->wake[1] = -1;
    if (s->running)
        (void)pthread_join(s->thread, NULL);
    free_source(s);
}

const struct source_ops source_line = {
    .name = "line",
    .once = true,
    .open = open_line,
    .channels = channels,
    .read = read_all,
    .close = close_line,
};
