#include "daemon/launch/result.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define RESULT_FILE_MAX 8192
#define MARKS_FILE_MAX  (12u << 20)

static const char *const cause_names[] = {
    [RESULT_EXITED] = "exited",
    [RESULT_STOPPED] = "stopped",
    [RESULT_TIMED_OUT] = "timed_out",
    [RESULT_OOM] = "oom",
    [RESULT_NOT_STARTED] = "not_started",
    [RESULT_ENERGY_LIMIT] = "energy_limit",
    [RESULT_TOLD] = "told",
};

/* The numbers of a result, in the order of the file: one list for writing and reading. */
#define RESULT_NUMBERS(X)                                                                          \
    X(run_id)                                                                                      \
    X(token)                                                                                       \
    X(t0_ns)                                                                                       \
    X(main_exit_ns)                                                                                \
    X(t1_ns)                                                                                       \
    X(exit_code)                                                                                   \
    X(term_signal)                                                                                 \
    X(user_us)                                                                                     \
    X(sys_us)                                                                                      \
    X(maxrss_bytes)                                                                                \
    X(cpu_us)                                                                                      \
    X(leftovers)                                                                                   \
    X(log_dropped_bytes)                                                                           \
    X(mem_peak_bytes)                                                                              \
    X(oom_kills)                                                                                   \
    X(pids_refused)

const char *result_cause_name(enum result_cause c)
{
    return (size_t)c < ARRAY_LEN(cause_names) ? cause_names[c] : "unknown";
}

const char *result_end_name(const struct result *r)
{
    switch (r->cause) {
    case RESULT_STOPPED:
    case RESULT_TOLD:
        return "cancelled";
    case RESULT_TIMED_OUT:
        return "timeout";
    case RESULT_OOM:
        return "oom";
    case RESULT_ENERGY_LIMIT:
        return "energy_limit";
    case RESULT_NOT_STARTED:
        return "failed";
    case RESULT_EXITED:
        break;
    }
    return r->exit_code == 0 ? "done" : "failed";
}

void result_init(struct result *r)
{
    memset(r, 0, sizeof(*r));
#define X(field) r->field = RESULT_NONE;
    RESULT_NUMBERS(X)
#undef X
    r->leftovers = 0;
    r->log_dropped_bytes = 0;
}

static void put_number(FILE *f, const char *key, int64_t v)
{
    if (v == RESULT_NONE)
        fprintf(f, "%s=none\n", key);
    else
        fprintf(f, "%s=%" PRId64 "\n", key, v);
}

/* One line per key: whatever would break it becomes a space. */
static void put_text(FILE *f, const char *key, const char *text)
{
    fprintf(f, "%s=", key);
    for (const char *p = text; *p; p++)
        fputc((unsigned char)*p < ' ' ? ' ' : *p, f);
    fputc('\n', f);
}

int result_write(int dirfd, const struct result *r, struct err *e)
{
    char buf[RESULT_FILE_MAX];
    FILE *f CLEANUP(base_fclosep) = fmemopen(buf, sizeof(buf), "w");
    if (!f)
        return err_errno(e, WATTQ_E_IO, "cannot write the result");
    fprintf(f, "cause=%s\n", result_cause_name(r->cause));
#define X(field) put_number(f, #field, r->field);
    RESULT_NUMBERS(X)
#undef X
    fprintf(f, "cpu_from_cgroup=%d\n", r->cpu_from_cgroup ? 1 : 0);
    put_text(f, "text", r->text);
    put_text(f, "step", r->step);
    put_text(f, "boot_id", r->boot_id);
    put_text(f, "mode", r->mode);
    fprintf(f, "end=1\n");
    long n = fflush(f) == 0 ? ftell(f) : -1;
    if (n < 0 || base_replace_file(dirfd, "result", buf, (size_t)n, 0640) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot write the run's result");
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static int parse_number(const char *s, int64_t *out)
{
    if (strcmp(s, "none") == 0) {
        *out = RESULT_NONE;
        return 0;
    }
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || end == s || *end)
        return -1;
    *out = v;
    return 0;
}

static int parse_cause(const char *s, enum result_cause *out)
{
    for (size_t i = 0; i < ARRAY_LEN(cause_names); i++)
        if (strcmp(s, cause_names[i]) == 0) {
            *out = (enum result_cause)i;
            return 0;
        }
    return -1;
}

static int set_field(struct result *r, const char *key, const char *value)
{
#define X(field)                                                                                   \
    if (strcmp(key, #field) == 0)                                                                  \
        return parse_number(value, &r->field);
    RESULT_NUMBERS(X)
#undef X
    if (strcmp(key, "cause") == 0)
        return parse_cause(value, &r->cause);
    if (strcmp(key, "cpu_from_cgroup") == 0)
        r->cpu_from_cgroup = strcmp(value, "1") == 0;
    else if (strcmp(key, "text") == 0)
        base_strcpy(r->text, sizeof(r->text), value);
    else if (strcmp(key, "step") == 0)
        base_strcpy(r->step, sizeof(r->step), value);
    else if (strcmp(key, "boot_id") == 0)
        base_strcpy(r->boot_id, sizeof(r->boot_id), value);
    else if (strcmp(key, "mode") == 0)
        base_strcpy(r->mode, sizeof(r->mode), value);
    return 0;
}

/* Splits the next "key=value\n" off *text, in place. false at the end or at a line without '='. */
static bool next_pair(char **text, char **key, char **value)
{
    char *nl = strchr(*text, '\n');
    if (!nl)
        return false;
    *nl = 0;
    *key = *text;
    *text = nl + 1;
    *value = strchr(*key, '=');
    if (!*value)
        return false;
    *(*value)++ = 0;
    return true;
}

int result_parse(const char *text, struct result *r, struct err *e)
{
    char *copy CLEANUP(base_freep) = base_strdup(text);
    char *p = copy, *key, *value;
    bool ended = false, caused = false;
    result_init(r);
    while (!ended && next_pair(&p, &key, &value)) {
        if (set_field(r, key, value) < 0)
            return err_set(e, WATTQ_E_CORRUPT,
                           "the run's result file has a bad value for \"%.40s\"", key);
        caused |= strcmp(key, "cause") == 0;
        ended = strcmp(key, "end") == 0;
    }
    if (!ended || !caused)
        return err_set(e, WATTQ_E_CORRUPT, "the run's result file is incomplete");
    return 0;
}

int result_read(int dirfd, struct result *r, struct err *e)
{
    size_t bytes;
    char *text CLEANUP(base_freep) = base_read_file(dirfd, "result", RESULT_FILE_MAX, &bytes);
    if (!text && errno == ENOENT)
        return 1;
    if (!text)
        return err_errno(e, WATTQ_E_IO, "cannot read the run's result");
    return result_parse(text, r, e);
}

int result_boot_id(char out[40])
{
    size_t bytes;
    char *id CLEANUP(base_freep) =
        base_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &bytes);
    out[0] = 0;
    if (!id)
        return -1;
    id[strcspn(id, "\n")] = 0;
    return base_strcpy(out, 40, id) ? 0 : -1;
}

/* ---- the shepherd file -------------------------------------------------------------------------- */

int result_shepherd_write(int fd, const struct result_shepherd *s, struct err *e)
{
    char *text CLEANUP(base_freep) = base_printf(
        "run_id=%" PRId64 "\ntoken=%" PRId64 "\npid=%d\nmain_pid=%d\nboot_id=%s\nmode=%s\n"
        "cgroup=%s\non_end_pid=%d\nend=1\n",
        s->run_id, s->token, s->pid, s->main_pid, s->boot_id, s->mode, s->cgroup, s->on_end_pid);
    size_t n = strlen(text);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, n, 0) != (ssize_t)n)
        return err_errno(e, WATTQ_E_IO, "cannot write the run's shepherd file");
    return 0;
}

static void set_shepherd(struct result_shepherd *s, const char *key, const char *value)
{
    int64_t v = 0;
    bool number = parse_number(value, &v) == 0 && v != RESULT_NONE;
    if (number && strcmp(key, "run_id") == 0)
        s->run_id = v;
    else if (number && strcmp(key, "token") == 0)
        s->token = v;
    else if (number && v > 0 && v <= INT32_MAX && strcmp(key, "pid") == 0)
        s->pid = (int32_t)v;
    else if (number && v > 0 && v <= INT32_MAX && strcmp(key, "main_pid") == 0)
        s->main_pid = (int32_t)v;
    else if (number && v > 0 && v <= INT32_MAX && strcmp(key, "on_end_pid") == 0)
        s->on_end_pid = (int32_t)v;
    else if (strcmp(key, "boot_id") == 0)
        base_strcpy(s->boot_id, sizeof(s->boot_id), value);
    else if (strcmp(key, "mode") == 0)
        base_strcpy(s->mode, sizeof(s->mode), value);
    else if (strcmp(key, "cgroup") == 0 && !base_strcpy(s->cgroup, sizeof(s->cgroup), value))
        s->cgroup[0] = 0; /* a cut path is another path */
}

int result_shepherd_parse(const char *text, struct result_shepherd *s)
{
    char *copy CLEANUP(base_freep) = base_strdup(text);
    char *p = copy, *key, *value;
    memset(s, 0, sizeof(*s));
    while (next_pair(&p, &key, &value)) {
        if (strcmp(key, "end") == 0)
            return 0;
        set_shepherd(s, key, value);
    }
    return 1;
}

int result_shepherd_read(int dirfd, struct result_shepherd *s, bool *alive)
{
    memset(s, 0, sizeof(*s));
    *alive = false;
    int fd CLEANUP(base_closep) =
        openat(dirfd, "shepherd", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 1;
    /* A shared lock: two readers do not take each other for a shepherd. */
    *alive = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    size_t bytes;
    char *text CLEANUP(base_freep) = base_read_file(dirfd, "shepherd", RESULT_FILE_MAX, &bytes);
    return text ? result_shepherd_parse(text, s) : 1;
}

/* ---- marks -------------------------------------------------------------------------------------- */

size_t result_marks_parse(const char *text, struct result_mark *out, size_t cap)
{
    size_t n = 0;
    struct result_mark last = {0, 0};
    while (n < cap && *text) {
        char *end;
        errno = 0;
        long long offset = strtoll(text, &end, 10);
        if (errno || end == text || *end != ' ')
            break;
        text = end;
        long long t_ns = strtoll(text, &end, 10);
        if (errno || end == text || *end != '\n' || offset < last.offset || t_ns < last.t_ns)
            break;
        last = (struct result_mark){offset, t_ns};
        out[n++] = last;
        text = end + 1;
    }
    return n;
}

int result_marks_read(int dirfd, struct result_mark **out, size_t *n, struct err *e)
{
    size_t bytes;
    *out = NULL;
    *n = 0;
    char *text CLEANUP(base_freep) = base_read_file(dirfd, "marks", MARKS_FILE_MAX, &bytes);
    if (!text && errno == ENOENT)
        return 0;
    if (!text)
        return err_errno(e, WATTQ_E_IO, "cannot read the run's marks");
    size_t lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')) && lines < RESULT_MARKS_MAX; p++)
        lines++;
    if (!lines)
        return 0;
    *out = malloc(lines * sizeof(**out));
    if (!*out)
        return err_errno(e, WATTQ_E_IO, "no memory for %zu marks", lines);
    *n = result_marks_parse(text, *out, lines);
    return 0;
}
