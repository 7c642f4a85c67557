/* A recorded trace played again from the moment the meter is opened: CSV with one reading per line,
 *
 *   # channel UID kind=counter wrap=262143328851 ...   keys of channel_text.h
 *   # origin 123456789000         optional: CLOCK_BOOTTIME ns of trace time 0; default: when opened
 *   t_ns,uid,value
 *   0,powercap/intel-rapl:0/package-0,1000
 *   100000000,powercap/intel-rapl:0/package-0,6000
 *
 * Times rise. A reading is the newest line at or before now; before the first one NOT_YET, more than
 * END_NS after the trace's last line GONE. An empty value is a failed read (IO). */
#include "common/units.h"
#include "daemon/meter/attr.h"
#include "daemon/meter/channel_text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (64u << 20)
#define END_NS         (2 * NS_PER_S)

struct row {
    int64_t t_ns;
    struct reading reading;
    size_t channel;
};

struct source {
    struct channel_text channels;
    struct row *rows;
    size_t n;
    size_t next;      /* first row not yet played */
    int64_t start_ns; /* CLOCK_BOOTTIME of trace time 0 */
    struct reading now[CHANNEL_TEXT_MAX];
};

static int parse_comment(struct source *s, char *line, struct err *e)
{
    char *rest = NULL;
    const char *verb = strtok_r(line + 1, " \t", &rest);
    if (verb && strcmp(verb, "channel") == 0) {
        return channel_text_add(&s->channels, NULL, rest, e);
    }
    if (verb && strcmp(verb, "origin") == 0 && !attr_parse(rest, strlen(rest), &s->start_ns)) {
        return err_set(e, WATTQ_E_INVALID, "trace: '%s' is not an instant in ns", rest);
    }
    return 0;
}

static int parse_row(struct source *s, char *line, struct err *e)
{
    char *uid = strchr(line, ',');
    char *value = uid ? strchr(uid + 1, ',') : NULL;
    if (!value) {
        return err_set(e, WATTQ_E_INVALID, "trace: '%.60s' is not t_ns,uid,value", line);
    }
    *uid++ = '\0';
    *value++ = '\0';
    struct row r = {.reading.state = value[0] ? READING_OK : READING_IO};
    int channel = channel_text_find(&s->channels, uid);
    bool number = value[0] == '\0' || attr_parse(value, strlen(value), &r.reading.value);
    if (channel < 0 || !number || !attr_parse(line, strlen(line), &r.t_ns) ||
        (s->n > 0 && r.t_ns < s->rows[s->n - 1].t_ns)) {
        return err_set(
            e, WATTQ_E_INVALID,
            "trace: line '%.40s,%.80s' has no '# channel' line, or time or value is wrong", line,
            uid);
    }
    r.channel = (size_t)channel;
    s->rows[s->n++] = r;
    return 0;
}

static int parse_line(struct source *s, char *line, struct err *e)
{
    line[strcspn(line, "\r")] = '\0';
    if (line[0] == '#') {
        return parse_comment(s, line, e);
    }
    if (line[0] == '\0' || strncmp(line, "t_ns,", 5) == 0) {
        return 0;
    }
    return parse_row(s, line, e);
}

static int parse(struct source *s, char *text, struct err *e)
{
    size_t lines = 1;
    for (const char *p = text; *p; p++) {
        lines += *p == '\n';
    }
    s->rows = calloc(lines, sizeof(*s->rows)); /* bounded by FILE_BYTES_MAX */
    if (!s->rows) {
        return err_set(e, WATTQ_E_LIMIT, "trace: %zu lines do not fit into memory", lines);
    }
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int rc = parse_line(s, line, e);
        if (rc < 0) {
            return rc;
        }
    }
    return s->n > 0 ? 0 : err_set(e, WATTQ_E_INVALID, "trace: no readings");
}

static void close_replay(struct source *s)
{
    free(s->rows);
    free(s);
}

static int open_replay(struct source **out, const struct meter_config *cfg, struct err *e)
{
    if (!cfg->replay) {
        return 1;
    }
    size_t bytes = 0;
    char *text CLEANUP(base_freep) = base_read_file(AT_FDCWD, cfg->replay, FILE_BYTES_MAX, &bytes);
    if (!text) {
        return err_errno(e, WATTQ_E_IO, "cannot read the trace %s", cfg->replay);
    }
    struct source *s = base_alloc(sizeof(*s));
    s->start_ns = clock_boot_ns();
    int rc = parse(s, text, e);
    if (rc < 0) {
        close_replay(s);
        return rc;
    }
    for (size_t i = 0; i < CHANNEL_TEXT_MAX; i++) {
        s->now[i].state = READING_NOT_YET;
    }
    *out = s;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = s->channels.descs;
    return s->channels.n;
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    int64_t t = boot_ns - s->start_ns;
    for (; s->next < s->n && s->rows[s->next].t_ns <= t; s->next++) {
        s->now[s->rows[s->next].channel] = s->rows[s->next].reading;
    }
    bool over = t > s->rows[s->n - 1].t_ns + END_NS;
    for (size_t i = 0; i < s->channels.n; i++) {
        out[i] = s->now[i];
        if (over) {
            out[i].state = READING_GONE;
        }
    }
}

const struct source_ops source_replay = {
    .name = "replay",
    .once = true,
    .open = open_replay,
    .channels = channels,
    .read = read_all,
    .close = close_replay,
};
