#include "daemon/meter/helpers/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/units.h"

#define PERIOD_MIN_NS (100 * NS_PER_MS)
#define PERIOD_MAX_NS (3600 * NS_PER_S)

void helper_usage(const struct helper *h, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)fprintf(stderr, "%s: ", h->program);
    (void)vfprintf(stderr, fmt, ap); // NOLINT(clang-analyzer-valist.Uninitialized)
    (void)fprintf(stderr, "\n%s --help says how it is used\n", h->program);
    va_end(ap);
    exit(2);
}

bool helper_option(struct helper *h, int c, const char *value)
{
    struct err e;
    if (c == '1') {
        h->once = true;
        return true;
    }
    if (c != 'p')
        return false;
    if (units_parse_duration(value, &h->period_ns, &e) < 0 || h->period_ns < PERIOD_MIN_NS ||
        h->period_ns > PERIOD_MAX_NS)
        helper_usage(h, "--period: '%.40s' is not a time from 100ms to 1h", value);
    return true;
}

char *helper_secret(const struct helper *h, const char *path)
{
    char text[HELPER_SECRET_MAX];
    struct stat st;
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        helper_usage(h, "cannot read %.200s: %s", path, strerror(errno));
    if (st.st_mode & 077)
        helper_usage(h, "%.200s can be read by others; chmod 600 it", path);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (n <= 0 || text[0] == '\0' || n == (ssize_t)sizeof(text) - 1)
        helper_usage(h, "%.200s does not hold one line of at most %d bytes", path,
                     HELPER_SECRET_MAX - 2);
    return base_strdup(text);
}

void helper_put(struct helper *h, const char *name, double value, const char *unit)
{
    if (!isfinite(value)) {
        helper_none(h, name, HELPER_GARBLED, "it is not a number");
        return;
    }
    (void)printf("%s %.15g %s\n", name, value, unit);
    h->numbers++;
}

/* One line whatever the device put into its message. */
void helper_none(const struct helper *h, const char *name, const char *word, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    (void)h;
    va_start(ap, fmt);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized)
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    (void)printf("%s - %s %s\n", name, word, text);
}

/* Has the reader gone? A pipe whose other end is closed says so without being written to. */
bool helper_unread(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP | POLLNVAL));
}

bool helper_next(struct helper *h)
{
    if (fflush(stdout) != 0 || h->once || helper_unread())
        return false;
    int64_t now = clock_mono_ns();
    h->next_ns = h->next_ns > 0 ? h->next_ns + h->period_ns : now + h->period_ns;
    if (h->next_ns < now)
        h->next_ns = now; /* a device that is slower than the pace sets it */
    h->numbers = 0;
    while ((now = clock_mono_ns()) < h->next_ns) {
        int64_t left_ms = (h->next_ns - now) / NS_PER_MS + 1;
        struct pollfd p = {.fd = STDOUT_FILENO};
        if (poll(&p, 1, left_ms > 60000 ? 60000 : (int)left_ms) > 0)
            return false;
    }
    return true;
}

int helper_exit(const struct helper *h)
{
    return h->once && h->numbers == 0 ? 1 : 0;
}
