/* wattq-meter-dcmi: the power of a machine as its management controller says it by IPMI DCMI over the
 * network. FreeIPMI's own command asks; this program reads what it prints. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/meter/helpers/helper.h"

static const char help[] =
    "wattq-meter-dcmi: print the power that a management controller (BMC) reports by IPMI DCMI "
    "over the\n"
    "network. Needs the command ipmi-dcmi (package freeipmi-tools).\n"
    "\n"
    "  --host HOST[:PORT]     of the controller\n"
    "  --config FILE          FreeIPMI's configuration with username and password (mode 0600); "
    "nothing of it\n"
    "                         stands in a command line\n"
    "  --driver NAME          LAN_2_0 (default) or LAN\n"
    "  --workaround FLAGS     as for ipmi-dcmi -W\n"
    "  --command PATH         of ipmi-dcmi\n"
    "  --period TIME          between two questions (5s)\n"
    "  --once                 ask once, to try it\n"
    "\n"
    "Only the current power is used: the average is over a window of the maker's choice.\n";

#define ANSWER_MAX  65536
#define PATIENCE_NS (10 * NS_PER_S)

struct bmc {
    struct helper *h;
    const char *host, *config, *driver, *workaround, *command;
    char text[ANSWER_MAX];
    size_t bytes;
};

static void run_command(const struct bmc *b, int out)
{
    const char *argv[16];
    size_t n = 0;
    argv[n++] = b->command;
    argv[n++] = "-D";
    argv[n++] = b->driver;
    argv[n++] = "-h";
    argv[n++] = b->host;
    argv[n++] = "--config-file";
    argv[n++] = b->config;
    if (b->workaround) {
        argv[n++] = "-W";
        argv[n++] = b->workaround;
    }
    argv[n++] = "--get-system-power-statistics";
    argv[n] = NULL;
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(out, STDERR_FILENO) < 0)
        _exit(126);
    (void)setenv("LC_ALL", "C", 1);
    execvp(b->command, (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* What it prints, until it ends or the patience does. True = all of it is there. */
static bool collect(struct bmc *b, int fd)
{
    int64_t until = clock_mono_ns() + PATIENCE_NS;
    b->bytes = 0;
    for (;;) {
        int64_t left = until - clock_mono_ns();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)(left / NS_PER_MS) + 1) <= 0)
            return false;
        ssize_t n = read(fd, b->text + b->bytes, sizeof(b->text) - 1 - b->bytes);
        if (n <= 0)
            return n == 0;
        b->bytes += (size_t)n;
        if (b->bytes >= sizeof(b->text) - 1)
            return false;
    }
}

/* 0 = it ended well; else its exit code, 127 = is not there, -1 = had to be killed. */
static int call(struct bmc *b)
{
    int fds[2];
    int status = 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return 126;
    pid_t pid = fork();
    if (pid == 0)
        run_command(b, fds[1]);
    close(fds[1]);
    bool whole = pid > 0 && collect(b, fds[0]);
    close(fds[0]);
    b->text[b->bytes] = '\0';
    if (pid < 0)
        return 126;
    if (!whole)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return !whole ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

/* "Current Power                        : 250 Watts" */
static bool watts(const char *text, double *out)
{
    const char *line = strstr(text, "Current Power");
    const char *colon = line ? strchr(line, ':') : NULL;
    char *end = NULL;
    if (!colon || memchr(line, '\n', (size_t)(colon - line)))
        return false;
    *out = strtod(colon + 1, &end);
    return end != colon + 1 && strncmp(end, " Watts", 6) == 0 && *out >= 0 && *out < 1e6;
}

static bool active(const char *text)
{
    const char *line = strstr(text, "Power Measurement");
    const char *end = line ? strchr(line, '\n') : NULL;
    return !line || !end || !memmem(line, (size_t)(end - line), "Not Available", 13);
}

static void ask(struct bmc *b)
{
    double v = 0;
    int rc = call(b);
    if (rc == 127)
        helper_none(b->h, "power", HELPER_UNSUPPORTED, "there is no %.80s here", b->command);
    else if (rc < 0)
        helper_none(b->h, "power", HELPER_IO, "%.60s did not end in 10 s", b->command);
    else if (rc != 0)
        helper_none(b->h, "power", HELPER_IO, "%.*s", (int)strcspn(b->text, "\n"), b->text);
    else if (!active(b->text))
        helper_none(b->h, "power", HELPER_DISABLED, "power is not measured");
    else if (!watts(b->text, &v))
        helper_none(b->h, "power", HELPER_GARBLED, "no current power in what it printed");
    else
        helper_put(b->h, "power", v, "W");
}

enum { HOST = 256, CONFIG, DRIVER, WORKAROUND, COMMAND };

static const struct option options[] = {HELPER_LONG_OPTIONS,
                                        {"host", required_argument, NULL, HOST},
                                        {"config", required_argument, NULL, CONFIG},
                                        {"driver", required_argument, NULL, DRIVER},
                                        {"workaround", required_argument, NULL, WORKAROUND},
                                        {"command", required_argument, NULL, COMMAND},
                                        {0}};

int main(int argc, char **argv)
{
    static struct bmc b;
    struct helper h = {.program = "wattq-meter-dcmi", .period_ns = 5 * NS_PER_S};
    b = (struct bmc){.h = &h, .driver = "LAN_2_0", .command = "ipmi-dcmi"};
    for (int c; (c = getopt_long(argc, argv, "p:1h", options, NULL)) != -1;) {
        const char **text[] = {&b.host, &b.config, &b.driver, &b.workaround, &b.command};
        if (helper_option(&h, c, optarg))
            continue;
        if (c == 'h')
            return fputs(help, stdout) < 0;
        if (c < HOST || c > COMMAND)
            helper_usage(&h, "it does not know that option");
        *text[c - HOST] = optarg;
    }
    if (optind < argc || !b.host || !b.config)
        helper_usage(&h, "it needs --host and --config FILE");
    free(helper_secret(&h, b.config)); /* only whether others may read it */
    (void)signal(SIGPIPE, SIG_IGN);
    do
        ask(&b);
    while (helper_next(&h));
    return helper_exit(&h);
}
