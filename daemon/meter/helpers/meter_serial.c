/* wattq-meter-serial: a watt-meter on a serial line that prints its power as text. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/meter/helpers/helper.h"

static const char help[] =
    "wattq-meter-serial: print what a watt-meter says on a serial line\n"
    "\n"
    "  --device PATH          /dev/ttyUSB0\n"
    "  --baud N               9600 (default), 1200 .. 230400; 8 bits, no parity, one stop bit\n"
    "  --match REGEX          which lines count, and in the first group the number (extended "
    "regular\n"
    "                         expression); default: a number, then perhaps W\n"
    "  --unit UNIT            of the number: W (default), mW, kW, Wh, kWh, J\n"
    "  --send TEXT            to be sent before each answer, for a meter that speaks when asked; "
    "\\r and\n"
    "                         \\n are understood\n"
    "  --period TIME          between two questions; without --send the longest silence (1s)\n"
    "  --once                 until the first number, to try it\n";

#define LINE_MAX_BYTES 512
#define NUMBER         "^[^0-9+-]*([+-]?[0-9]+([.][0-9]+)?) *(W|$)"

struct line {
    struct helper *h;
    const char *name; /* "power" or "energy", by the unit */
    const char *device, *unit, *pattern;
    char *send;
    speed_t speed;
    regex_t regex;
    int fd;
    char text[LINE_MAX_BYTES];
    size_t bytes;
    bool overlong;
};

static const struct {
    long baud;
    speed_t speed;
} speeds[] = {{1200, B1200},   {2400, B2400},     {4800, B4800},
              {9600, B9600},   {19200, B19200},   {38400, B38400},
              {57600, B57600}, {115200, B115200}, {230400, B230400}};

static bool open_line(struct line *l)
{
    struct termios t;
    l->fd = open(l->device, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (l->fd < 0)
        return false;
    if (tcgetattr(l->fd, &t) == 0) {
        cfmakeraw(&t);
        t.c_cflag |= CLOCAL | CREAD;
        (void)cfsetispeed(&t, l->speed);
        (void)cfsetospeed(&t, l->speed);
        (void)tcsetattr(l->fd, TCSANOW, &t);
        (void)tcflush(l->fd, TCIFLUSH);
    }
    l->bytes = 0;
    return true;
}

/* True = the line held a number. */
static bool take_line(struct line *l)
{
    regmatch_t m[2];
    char *end = NULL;
    l->text[l->bytes] = '\0';
    if (regexec(&l->regex, l->text, 2, m, 0) != 0 || m[1].rm_so < 0)
        return false;
    double v = strtod(l->text + m[1].rm_so, &end);
    if (end != l->text + m[1].rm_eo || !isfinite(v))
        return false;
    helper_put(l->h, l->name, v, l->unit);
    (void)fflush(stdout);
    return true;
}

static bool take_byte(struct line *l, char c)
{
    bool number = false;
    if (c == '\n' || c == '\r') {
        number = l->bytes > 0 && !l->overlong && take_line(l);
        l->bytes = 0;
        l->overlong = false;
    } else if (l->bytes < sizeof(l->text) - 1) {
        l->text[l->bytes++] = c;
    } else {
        l->overlong = true;
    }
    return number;
}

/* 1 = a number came, 0 = silence for a period, -1 = the line is gone. */
static int listen_once(struct line *l)
{
    int64_t until = clock_mono_ns() + l->h->period_ns;
    for (;;) {
        char buf[256];
        int64_t left = until - clock_mono_ns();
        struct pollfd p = {.fd = l->fd, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)(left / NS_PER_MS) + 1) == 0)
            return 0;
        ssize_t n = read(l->fd, buf, sizeof(buf));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return -1;
        bool number = false;
        for (ssize_t i = 0; i < n; i++)
            number |= take_byte(l, buf[i]);
        if (number)
            return 1;
    }
}

static void ask(struct line *l)
{
    if (l->fd < 0 && !open_line(l)) {
        helper_none(l->h, l->name, errno == EACCES ? HELPER_PERMISSION : HELPER_IO, "%.80s: %s",
                    l->device, strerror(errno));
        return;
    }
    if (l->send && write(l->fd, l->send, strlen(l->send)) < 0 && errno != EAGAIN) {
        helper_none(l->h, l->name, HELPER_IO, "%.80s: %s", l->device, strerror(errno));
        base_closep(&l->fd);
        l->fd = -1;
        return;
    }
    int rc = listen_once(l);
    if (rc == 0)
        helper_none(l->h, l->name, HELPER_IO, "no line with a number came");
    if (rc >= 0)
        return;
    helper_none(l->h, l->name, "gone", "%.80s was closed", l->device);
    base_closep(&l->fd);
    l->fd = -1;
}

/* A meter that speaks unasked sets the pace: what it says is passed on when it comes. */
static bool again(struct line *l, int *tries)
{
    if (l->h->once)
        return l->h->numbers == 0 && ++*tries < 5;
    if (l->send || l->fd < 0)
        return helper_next(l->h);
    return fflush(stdout) == 0 && !helper_unread();
}

/* "\r" and "\n" as a person types them. */
static char *unescape(const char *text)
{
    char *out = base_strdup(text);
    char *to = out;
    for (const char *p = text; *p; p++) {
        bool escape = p[0] == '\\' && (p[1] == 'r' || p[1] == 'n' || p[1] == '\\');
        *to++ = !escape ? *p : p[1] == 'r' ? '\r' : p[1] == 'n' ? '\n' : '\\';
        p += escape;
    }
    *to = '\0';
    return out;
}

static speed_t speed_of(const struct helper *h, const char *text)
{
    char *end = NULL;
    long baud = strtol(text, &end, 10);
    for (size_t i = 0; *end == '\0' && i < ARRAY_LEN(speeds); i++)
        if (speeds[i].baud == baud)
            return speeds[i].speed;
    helper_usage(h, "--baud: '%.20s' is not one of 1200 2400 4800 9600 ... 230400", text);
}

enum { DEVICE = 256, BAUD, MATCH, UNIT, SEND };

static const struct option options[] = {HELPER_LONG_OPTIONS,
                                        {"device", required_argument, NULL, DEVICE},
                                        {"baud", required_argument, NULL, BAUD},
                                        {"match", required_argument, NULL, MATCH},
                                        {"unit", required_argument, NULL, UNIT},
                                        {"send", required_argument, NULL, SEND},
                                        {0}};

static void take_option(struct line *l, int c)
{
    static const char *const units[] = {"W", "mW", "kW", "Wh", "kWh", "J"};
    if (helper_option(l->h, c, optarg))
        return;
    switch (c) {
    case DEVICE:
        l->device = optarg;
        break;
    case BAUD:
        l->speed = speed_of(l->h, optarg);
        break;
    case MATCH:
        l->pattern = optarg;
        break;
    case UNIT:
        l->unit = NULL;
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            if (strcmp(units[i], optarg) == 0)
                l->unit = units[i];
        if (!l->unit)
            helper_usage(l->h, "--unit: '%.20s' is not W, mW, kW, Wh, kWh or J", optarg);
        break;
    case SEND:
        free(l->send);
        l->send = unescape(optarg);
        break;
    case 'h':
        (void)fputs(help, stdout);
        exit(0);
    default:
        helper_usage(l->h, "it does not know that option");
    }
}

int main(int argc, char **argv)
{
    struct helper h = {.program = "wattq-meter-serial", .period_ns = NS_PER_S};
    struct line l = {
        .h = &h, .name = "power", .unit = "W", .pattern = NUMBER, .speed = B9600, .fd = -1};
    for (int c; (c = getopt_long(argc, argv, "p:1h", options, NULL)) != -1;)
        take_option(&l, c);
    if (optind < argc || !l.device)
        helper_usage(&h, "it needs --device PATH");
    if (regcomp(&l.regex, l.pattern, REG_EXTENDED) != 0 || l.regex.re_nsub < 1)
        helper_usage(&h, "--match: '%.80s' is no regular expression with a group for the number",
                     l.pattern);
    l.name = strchr(l.unit, 'W') && !strchr(l.unit, 'h') ? "power" : "energy";
    int tries = 0;
    do
        ask(&l);
    while (again(&l, &tries));
    regfree(&l.regex);
    free(l.send);
    base_closep(&l.fd);
    (void)fflush(stdout);
    return helper_exit(&h);
}
