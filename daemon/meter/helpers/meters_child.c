#include "daemon/meter/helpers/meters.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"

#define PAUSE_MIN_NS   NS_PER_S
#define PAUSE_MAX_NS   (60 * NS_PER_S)
#define RAN_WELL_NS    (60 * NS_PER_S)
#define SILENCE_MIN_NS (30 * NS_PER_S)
#define LINES_MAX      1000        /* in a second */
#define FLOW_MAX       (256 << 10) /* bytes in a second, lines or not */
#define READ_BYTES     16384

void meters_child_init(struct meters_child *c, const struct line_file *f, size_t i)
{
    int64_t period = 0;
    const char *name = f->meters[i].name;
    size_t n = strlen(name);
    for (size_t k = 0; k < f->channels.n; k++) {
        const char *full = f->channels.names[k];
        if (strncmp(full, name, n) == 0 && (full[n] == '/' || full[n] == '\0') &&
            f->channels.descs[k].period_ns > period)
            period = f->channels.descs[k].period_ns;
    }
    *c = (struct meters_child){.meter = &f->meters[i], .fd = -1, .pause_ns = PAUSE_MIN_NS};
    c->silence_ns = 10 * period > SILENCE_MIN_NS ? 10 * period : SILENCE_MIN_NS;
}

static void pass_on(const struct meters_child *c, const char *line, meters_sink sink, void *arg)
{
    char text[LINE_MAX + LINE_NAME_MAX + 40];
    int n =
        snprintf(text, sizeof(text), "%s %" PRId64 " %s\n", c->meter->name, clock_boot_ns(), line);
    if (n > 0 && (size_t)n < sizeof(text))
        sink(arg, text, (size_t)n);
}

/* ---- start and end ------------------------------------------------------------------------------ */

static void become(const struct meters_child *c, int out)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    int in = open("/dev/null", O_RDONLY);
    if (in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0)
        _exit(126);
    (void)close_range(3, ~0u, 0);
    execl("/bin/sh", "sh", "-c", c->meter->command, (char *)NULL);
    _exit(127);
}

static void start(struct meters_child *c, int64_t now_ns)
{
    int fds[2];
    c->retry_ns = now_ns + c->pause_ns;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        become(c, fds[1]);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return;
    }
    (void)setpgid(pid, pid);
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    c->pid = pid;
    c->fd = fds[0];
    c->started_ns = c->heard_ns = now_ns;
    c->bytes = 0;
    c->overlong = c->garbled = false;
}

void meters_child_kill(struct meters_child *c, int signal)
{
    if (c->pid > 0)
        (void)kill(-c->pid, signal);
}

/* Its output is closed, or it must go. */
static void end(struct meters_child *c, int64_t now_ns, const char *why, meters_sink sink,
                void *arg)
{
    char text[120];
    int status = 0;
    meters_child_kill(c, SIGKILL);
    pid_t pid = waitpid(c->pid, &status, 0);
    base_closep(&c->fd);
    c->fd = -1;
    c->pid = 0;
    c->pause_ns = now_ns - c->started_ns >= RAN_WELL_NS ? PAUSE_MIN_NS : c->pause_ns;
    c->retry_ns = now_ns + c->pause_ns;
    int code = pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (why)
        (void)snprintf(text, sizeof(text), "- gone %s", why);
    else if (code >= 0)
        (void)snprintf(text, sizeof(text), "- gone its program ended with %d", code);
    else
        (void)snprintf(text, sizeof(text), "- gone its program was killed");
    pass_on(c, text, sink, arg);
    (void)fprintf(stderr, "<4>meter %s: %s; again in %" PRId64 " s\n", c->meter->name, text + 7,
                  c->pause_ns / NS_PER_S);
    c->pause_ns = 2 * c->pause_ns < PAUSE_MAX_NS ? 2 * c->pause_ns : PAUSE_MAX_NS;
}

int64_t meters_child_due(const struct meters_child *c)
{
    return c->pid > 0 ? c->heard_ns + c->silence_ns : c->retry_ns;
}

void meters_child_tend(struct meters_child *c, int64_t now_ns, meters_sink sink, void *arg)
{
    if (now_ns < meters_child_due(c))
        return;
    if (c->pid == 0)
        start(c, now_ns);
    else
        end(c, now_ns, "its program said nothing for too long", sink, arg);
}

/* ---- output ------------------------------------------------------------------------------------- */

/* Logged once for each start; the failed readings are counted by who reads the stream. */
static void garbled(struct meters_child *c)
{
    if (!c->garbled)
        (void)fprintf(stderr, "<4>meter %s: printed a line that is none of the line protocol\n",
                      c->meter->name);
    c->garbled = true;
}

static void take_line(struct meters_child *c, meters_sink sink, void *arg)
{
    struct line l;
    bool text = !c->overlong && !memchr(c->text, '\0', c->bytes);
    c->text[c->bytes] = '\0';
    if (!text || line_parse(c->text, c->bytes, &l) < 0)
        garbled(c);
    if (text)
        pass_on(c, c->text, sink, arg);
    else
        pass_on(c, "- garbled a line that is too long or no text", sink, arg);
    c->bytes = 0;
    c->overlong = false;
    c->lines++;
}

/* What is too much of this program; NULL = nothing. */
static const char *flood(struct meters_child *c, int64_t now_ns, ssize_t n)
{
    if (now_ns - c->second_ns >= NS_PER_S) {
        c->second_ns = now_ns;
        c->lines = 0;
        c->flow = 0;
    }
    c->flow += n;
    if (c->lines > LINES_MAX)
        return "its program printed more than 1000 lines in a second";
    return c->flow > FLOW_MAX ? "its program printed more than 256 KiB in a second" : NULL;
}

void meters_child_read(struct meters_child *c, int64_t now_ns, meters_sink sink, void *arg)
{
    char buf[READ_BYTES];
    ssize_t n = read(c->fd, buf, sizeof(buf));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end(c, now_ns, NULL, sink, arg);
        return;
    }
    const char *much = flood(c, now_ns, n);
    c->heard_ns = now_ns;
    for (ssize_t i = 0; i < n && !much; i++) {
        if (buf[i] != '\n' && c->bytes < LINE_MAX)
            c->text[c->bytes++] = buf[i];
        else if (buf[i] != '\n')
            c->overlong = true;
        else {
            take_line(c, sink, arg);
            much = flood(c, now_ns, 0);
        }
    }
    if (much)
        end(c, now_ns, much, sink, arg);
}
