/* import of what `exec --standalone --out` wrote (standalone.h): one run, its meters and figures. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "client/import.h"
#include "common/units.h"

struct record {
    struct import_file *f;
    int64_t line;
    bool has_run, has_result;
    json_t *run, *result;
    int64_t figures;
    bool channels[1024]; /* known by the record */
    struct err *e;
};

static int64_t ns_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    char *end;
    errno = 0;
    long long v = s ? strtoll(s, &end, 10) : 0;
    return s && *s && !*end && errno == 0 ? v : INT64_MIN;
}

static struct export_cell integer(int64_t v)
{
    return (struct export_cell){.type = v == INT64_MIN ? EXPORT_NIL : EXPORT_INT, .i = v};
}

static struct export_cell text(const char *s)
{
    return (struct export_cell){
        .type = s ? EXPORT_TEXT : EXPORT_NIL, .text = s, .bytes = s ? strlen(s) : 0};
}

static struct export_cell member_int(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return integer(json_is_integer(v) ? (int64_t)json_integer_value(v) : INT64_MIN);
}

static struct export_cell member_text(const json_t *o, const char *key, const char *dflt)
{
    const char *s = json_string_value(json_object_get(o, key));
    return text(s ? s : dflt);
}

/* J, s -> uJ, us, ns */
static struct export_cell scaled(const json_t *o, const char *key, double by)
{
    const json_t *v = json_object_get(o, key);
    double d = json_is_number(v) ? json_number_value(v) * by : (double)NAN;
    return integer(isfinite(d) && fabs(d) < 9e18 ? (int64_t)llround(d) : INT64_MIN);
}

#define PUT(r, table, names, cells)                                                                \
    localdb_insert((r)->f->db, table, names, cells, ARRAY_LEN(cells), (r)->e)

static int put_channel(struct record *r, const json_t *o)
{
    static const char *const names[] = {
        "id",      "uid",       "source",          "label",   "kind",
        "unit",    "covers",    "scope",           "quality", "quantum",
        "wrap_uj", "period_ns", "period_declared", "lag_ns",  "box_ns"};
    int64_t index = json_integer_value(json_object_get(o, "channel"));
    if (index < 0 || index >= (int64_t)ARRAY_LEN(r->channels))
        return import_bad(r->f, r->line, r->e, "a channel has no number below 1024");
    if (!json_is_true(json_object_get(o, "readable")))
        return 0;
    r->channels[index] = true;
    struct export_cell period = scaled(o, "period_s", 1e9);
    const struct export_cell cells[] = {
        integer(index + 1),
        member_text(o, "uid", NULL),
        integer(1),
        member_text(o, "label", NULL),
        member_text(o, "meters", NULL),
        member_text(o, "unit", "uJ"),
        member_text(o, "covers", ""),
        member_text(o, "scope", NULL),
        member_text(o, "quality", NULL),
        integer(1),
        scaled(o, "wrap_j", 1e6),
        period.type == EXPORT_NIL ? integer(0) : period,
        integer(json_is_true(json_object_get(o, "period_declared"))),
        integer(0),
        integer(0)};
    return PUT(r, "channel", names, cells);
}

static int put_figure(struct record *r, const json_t *o)
{
    static const char *const names[] = {
        "id",        "run",   "channel", "figure",      "part",       "method", "algo",
        "energy_uj", "lo_uj", "hi_uj",   "bound_basis", "covered_ns", "reason", "computed_utc_ns"};
    static const char *const part_names[] = {"total", "channel"};
    const json_t *channel = json_object_get(o, "channel");
    int64_t index = json_is_integer(channel) ? json_integer_value(channel) : -1;
    int64_t covered = ns_of(r->result, "t1_ns") - ns_of(r->result, "t0_ns");
    if (index >= (int64_t)ARRAY_LEN(r->channels) || (index >= 0 && !r->channels[index]))
        return import_bad(r->f, r->line, r->e, "a figure is of a channel that the record lacks");
    /* The total is written last: its id is the one after the largest index. */
    int64_t id = index >= 0 ? index + 1 : (int64_t)ARRAY_LEN(r->channels) + 1;
    const struct export_cell cells[] = {integer(id),
                                        integer(1),
                                        index >= 0 ? integer(index + 1) : text(NULL),
                                        text("machine"),
                                        text("window"),
                                        member_text(o, "method", NULL),
                                        integer(0),
                                        scaled(o, "energy_j", 1e6),
                                        scaled(o, "lo_j", 1e6),
                                        scaled(o, "hi_j", 1e6),
                                        member_text(o, "bound_basis", "none: not stated"),
                                        integer(covered > 0 ? covered : 0),
                                        member_text(o, "reason", NULL),
                                        integer(clock_utc_ns())};
    int rc = PUT(r, "energy", names, cells);
    if (rc == 0 && index >= 0 && json_is_true(json_object_get(o, "in_total"))) {
        const struct export_cell part[] = {integer((int64_t)ARRAY_LEN(r->channels) + 1),
                                           integer(index + 1)};
        rc = PUT(r, "energy_part", part_names, part);
    }
    r->figures++;
    return rc;
}

static char *spec_of(const json_t *run)
{
    const char *label = json_string_value(json_object_get(run, "label"));
    const char *cwd = json_string_value(json_object_get(run, "cwd"));
    json_t *argv = json_object_get(run, "argv");
    json_t *o = json_pack("{s:s, s:O, s:s, s:s, s:s, s:{}}", "kind", "exec", "argv", argv, "cwd",
                          cwd && *cwd == '/' ? cwd : "/", "label", label ? label : "", "project",
                          "", "params");
    char *s = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return s;
}

static int put_boot(struct record *r)
{
    static const char *const names[] = {"id", "boot_id", "machine"};
    const struct export_cell cells[] = {integer(1), member_text(r->result, "boot_id", "unknown"),
                                        text("{}")};
    return PUT(r, "boot", names, cells);
}

static int put_run(struct record *r)
{
    static const char *const names[] = {"id",
                                        "uuid",
                                        "uid",
                                        "state",
                                        "kind",
                                        "spec",
                                        "label",
                                        "boot",
                                        "submitted_utc_ns",
                                        "started_utc_ns",
                                        "ended_utc_ns",
                                        "t0_ns",
                                        "main_exit_ns",
                                        "t1_ns",
                                        "exit_code",
                                        "term_signal",
                                        "reason",
                                        "cpu_us",
                                        "maxrss_bytes"};
    char uuid[37];
    char *spec CLEANUP(base_freep) = spec_of(r->run);
    const char *when = json_string_value(json_object_get(r->run, "started_utc"));
    int64_t started = INT64_MIN;
    int64_t t0 = ns_of(r->result, "t0_ns");
    int64_t t1 = ns_of(r->result, "t1_ns");
    struct export_cell code = member_int(r->result, "exit_code");
    if (!spec)
        return import_bad(r->f, 1, r->e, "the run has no argv");
    if (!when || units_parse_time(when, clock_utc_ns(), &started, NULL) < 0)
        return import_bad(r->f, 1, r->e, "started_utc is no time");
    import_uuid(r->f->sha256, uuid);
    bool known = t0 != INT64_MIN && t1 != INT64_MIN;
    const struct export_cell cells[] = {
        integer(1),
        text(uuid),
        integer(0),
        text(code.type == EXPORT_INT && code.i == 0 ? "done" : "failed"),
        text("exec"),
        text(spec),
        member_text(r->run, "label", ""),
        integer(1),
        integer(started),
        integer(started),
        integer(known ? started + (t1 - t0) : INT64_MIN),
        integer(t0),
        integer(ns_of(r->result, "main_exit_ns")),
        integer(t1),
        code,
        member_int(r->result, "term_signal"),
        member_text(r->result, "text", NULL),
        scaled(r->result, "cpu_s", 1e6),
        member_int(r->result, "maxrss_bytes")};
    int rc = put_boot(r);
    return rc == 0 ? PUT(r, "run", names, cells) : rc;
}

static int take_line(struct record *r, json_t *o)
{
    const char *kind = json_string_value(json_object_get(o, "kind"));
    if (kind && strcmp(kind, "run") == 0) {
        json_decref(r->run);
        r->run = json_incref(o);
        return 0;
    }
    if (kind && strcmp(kind, "channel") == 0)
        return put_channel(r, o);
    if (kind && strcmp(kind, "sample") == 0)
        return 0; /* the figures were computed from them by the machine itself */
    if (kind && strcmp(kind, "result") == 0) {
        json_decref(r->result);
        r->result = json_incref(o);
        return r->run ? put_run(r)
                      : import_bad(r->f, r->line, r->e, "a result comes before its run");
    }
    if (kind && strcmp(kind, "figure") == 0)
        return r->result ? put_figure(r, o)
                         : import_bad(r->f, r->line, r->e, "a figure comes before the result");
    return import_bad(r->f, r->line, r->e, "'%.40s' is no kind of line", kind ? kind : "");
}

static int add_source(struct import_file *f, struct err *e)
{
    static const char *const names[] = {"id", "name"};
    const struct export_cell cells[] = {integer(1), text("record")};
    return localdb_insert(f->db, "source", names, cells, ARRAY_LEN(cells), e);
}

int import_record(struct import_file *f, FILE *in, struct err *e)
{
    char *line CLEANUP(base_freep) = NULL;
    size_t cap = 0;
    ssize_t n;
    struct record r = {.f = f, .e = e};
    int rc = add_source(f, e);
    f->format = "standalone";
    base_strcpy(f->machine, sizeof f->machine, "standalone");
    while (rc == 0 && (n = getline(&line, &cap, in)) > 0) {
        json_error_t je;
        r.line++;
        json_t *o = json_loadb(line, (size_t)n, 0, &je);
        rc = json_is_object(o) ? take_line(&r, o)
                               : import_bad(f, r.line, e, "column %d: %.150s", je.column,
                                            o ? "not an object" : je.text);
        json_decref(o);
    }
    if (rc == 0 && !r.result)
        rc = import_bad(f, r.line, e, "the record has no result: its run did not end");
    json_decref(r.run);
    json_decref(r.result);
    return rc;
}
