/* The machine's own BMC by its kernel device: DCMI Get Power Reading, in whole watts.
 * source: <linux/ipmi.h>; ipmi_dcmi.h for what is sent and answered.
 *
 * A gauge of the whole machine at its supplies. How often a BMC refreshes it is not stated and is learned.
 * A BMC takes its time (50 ms is usual) and may be busy, above all when it is asked first: it is asked
 * again once, and its thread is its own. Nothing but the two questions of ipmi_dcmi.h is ever sent. */
#include "daemon/meter/attr.h"
#include "daemon/meter/ipmi_dcmi.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ipmi.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS  1000
#define PAUSE_MS   100
#define TRIES      2
#define STALE_MAX  8 /* late answers to earlier questions that are passed over */
#define PMAX_UW    INT64_C(20000000000)
#define QUANTUM_UW 1000000

struct source {
    char *path; /* of the device, owned */
    int fd;
    long asked; /* number of the newest question */
    enum reading_state state;
    int64_t retry_ns;
    int (*open_fd)(void *arg, const char *name, int flags);
    void *open_arg;
    struct channel_desc desc;
};

/* ---- asking ------------------------------------------------------------------------------------ */

static bool receive(const struct source *s, uint8_t *answer, size_t *bytes, long *number)
{
    struct ipmi_addr from;
    struct ipmi_recv r = {.addr = (unsigned char *)&from, .addr_len = sizeof(from)};
    r.msg.data = answer;
    r.msg.data_len = IPMI_ANSWER_BYTES;
    if (ioctl(s->fd, IPMICTL_RECEIVE_MSG_TRUNC, &r) < 0 && errno != EMSGSIZE) {
        return false;
    }
    *number = r.recv_type == IPMI_RESPONSE_RECV_TYPE ? r.msgid : -1;
    *bytes = r.msg.data_len <= IPMI_ANSWER_BYTES ? r.msg.data_len : IPMI_ANSWER_BYTES;
    return true;
}

/* The answer to the newest question. 0, or errno. */
static int wait_answer(const struct source *s, uint8_t *answer, size_t *bytes)
{
    for (int i = 0; i < STALE_MAX; i++) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        long number = -1;
        int rc = poll(&p, 1, ANSWER_MS);
        if (rc < 0 && errno == EINTR) {
            continue;
        }
        if (rc <= 0) {
            return rc == 0 ? ETIMEDOUT : errno;
        }
        if (!receive(s, answer, bytes, &number)) {
            return errno;
        }
        if (number == s->asked) {
            return 0;
        }
    }
    return ETIMEDOUT;
}

/* 0, or errno. */
static int ask(struct source *s, uint8_t netfn, uint8_t cmd, uint8_t *data, size_t bytes,
               uint8_t *answer, size_t *answer_bytes)
{
    struct ipmi_system_interface_addr to = {.addr_type = IPMI_SYSTEM_INTERFACE_ADDR_TYPE,
                                            .channel = IPMI_BMC_CHANNEL};
    struct ipmi_req q = {
        .addr = (unsigned char *)&to,
        .addr_len = sizeof(to),
        .msgid = ++s->asked,
        .msg = {.netfn = netfn, .cmd = cmd, .data_len = (unsigned short)bytes, .data = data}};
    if (ioctl(s->fd, IPMICTL_SEND_COMMAND, &q) < 0) {
        return errno;
    }
    return wait_answer(s, answer, answer_bytes);
}

static struct reading ask_power(struct source *s)
{
    uint8_t question[] = {0xdc, 0x01, 0x00, 0x00}; /* DCMI; system power statistics */
    uint8_t answer[IPMI_ANSWER_BYTES] = {0};
    size_t bytes = 0;
    int rc = ask(s, IPMI_NETFN_GROUP, IPMI_CMD_POWER_READING, question, sizeof(question), answer,
                 &bytes);
    return rc == 0 ? dcmi_power(answer, bytes) : (struct reading){.state = attr_state(rc)};
}

/* ---- the device -------------------------------------------------------------------------------- */

static bool ensure_open(struct source *s, int64_t boot_ns)
{
    if (s->fd >= 0) {
        return true;
    }
    if (s->retry_ns != 0 && boot_ns < s->retry_ns) {
        return false;
    }
    const int flags = O_RDWR | O_CLOEXEC;
    s->fd = s->open_fd ? s->open_fd(s->open_arg, s->path, flags) : open(s->path, flags);
    if (s->fd < 0) {
        s->state = attr_state(errno);
        s->retry_ns = boot_ns + ATTR_RETRY_NS;
    }
    return s->fd >= 0;
}

static struct reading read_power(struct source *s, int64_t boot_ns)
{
    if (!ensure_open(s, boot_ns)) {
        return (struct reading){.state = s->state};
    }
    struct reading r = ask_power(s);
    for (int i = 1; i < TRIES && r.state == READING_IO; i++) {
        struct timespec pause = {.tv_nsec = PAUSE_MS * NS_PER_MS};
        (void)nanosleep(&pause, NULL);
        r = ask_power(s);
    }
    s->state = r.state;
    if (r.state == READING_GONE) { /* the driver was unloaded under us */
        base_closep(&s->fd);
        s->fd = -1;
        s->retry_ns = boot_ns + ATTR_RETRY_NS;
    }
    return r;
}

/* ---- source_ops -------------------------------------------------------------------------------- */

static void describe(struct source *s)
{
    struct channel_desc *d = &s->desc;
    uint8_t answer[IPMI_ANSWER_BYTES] = {0};
    size_t bytes = 0;
    attr_uid(d, "ipmi/dcmi/power");
    attr_driver(d, "ipmi_devintf");
    (void)base_strcpy(d->label, sizeof(d->label), "bmc");
    (void)base_strcpy(d->device, sizeof(d->device), "bmc");
    (void)base_strcpy(d->unit, sizeof(d->unit), "uW");
    (void)base_strcpy(d->covers, sizeof(d->covers),
                      "whole machine at its supplies, as its BMC says; a chassis may share them");
    d->kind = CHANNEL_GAUGE;
    d->quality = QUALITY_MEASURED;
    d->scope = SCOPE_NODE;
    d->quantum = QUANTUM_UW;
    d->period_ns = NS_PER_S; /* nobody states it: an assumption, marked as such */
    d->pmax_uw = PMAX_UW;
    d->parent = -1;
    d->mirror_of = -1;
    if (s->fd >= 0 && ask(s, IPMI_NETFN_APP, IPMI_CMD_DEVICE_ID, NULL, 0, answer, &bytes) == 0) {
        (void)ipmi_device_text(answer, bytes, d->firmware, sizeof(d->firmware));
    }
    if (s->state == READING_NO_PERMISSION) {
        (void)snprintf(d->remedy, sizeof(d->remedy),
                       "run wattqd as a system service: %.40s is root's, for it can also switch "
                       "the machine off",
                       s->path);
    }
}

static void close_ipmi(struct source *s)
{
    base_closep(&s->fd);
    free(s->path);
    free(s);
}

/* The first of the three names that is there; whether we may open it is another question. */
static bool find_device(struct source *s, const struct meter_config *cfg)
{
    static const char *const names[] = {"/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = base_printf("%s%s", cfg->sysfs_root ? cfg->sysfs_root : "", names[i]);
        if (access(path, F_OK) == 0) {
            s->path = path;
            return true;
        }
        free(path);
    }
    return false;
}

static int open_ipmi(struct source **out, const struct meter_config *cfg, struct err *e)
{
    (void)e;
    struct source *s = base_alloc(sizeof(*s));
    s->fd = -1;
    s->open_fd = cfg->open_fd;
    s->open_arg = cfg->open_arg;
    s->state = READING_NOT_YET;
    /* A BMC without DCMI is no meter; one that is busy just now may be. */
    if (!find_device(s, cfg) || read_power(s, 0).state == READING_UNSUPPORTED) {
        close_ipmi(s);
        return 1;
    }
    describe(s);
    *out = s;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = &s->desc;
    return 1;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    *out = read_power(s, boot_ns);
}

const struct source_ops source_ipmi = {
    .name = "ipmi",
    .may_block = true,
    .slow = true,
    .open = open_ipmi,
    .channels = channels,
    .read = read_all,
    .close = close_ipmi,
};
