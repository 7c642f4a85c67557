/* import of a CSV of the published study: runs_with_standardized_energy.csv, or one with the same names.
 * Columns are found by name, others are passed over. A run becomes one of a network, with the parameters that
 * the built-in trainer would have told, so that lists, comparisons and reports treat it alike; its energy is
 * that of a whole node, measured, without bounds. Units: energy in J, or in kWh as an earlier file of the
 * study has it - told apart by its own column `power`, else by what a node can draw. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "client/csv.h"
#include "client/import.h"
#include "common/net.h"
#include "common/units.h"

#define J_PER_KWH    3.6e6
#define STUDY_EPOCHS 3000 /* of the study's own batches, which are called energy_... */

enum column {
    C_run_id,
    C_dataset,
    C_shape,
    C_size,
    C_depth,
    C_run_time,
    C_energy,
    C_start_time,
    C_start_time_int,
    C_end_time,
    C_node,
    C_host_name,
    C_learning_rate,
    C_batch_size,
    C_optimizer,
    C_is_gpu,
    C_batch,
    C_power,
    C_experiment_id,
    C_filter,
    C_std_energy,
    C_non_overhead_energy,
    C_non_overhead_runtime,
    C_COUNT
};
static const char *const names_of[] = {[C_run_id] = "run_id",
                                       [C_dataset] = "dataset",
                                       [C_shape] = "shape",
                                       [C_size] = "size",
                                       [C_depth] = "depth",
                                       [C_run_time] = "run_time",
                                       [C_energy] = "energy",
                                       [C_start_time] = "start_time",
                                       [C_start_time_int] = "start_time_int",
                                       [C_end_time] = "end_time",
                                       [C_node] = "node",
                                       [C_host_name] = "host_name",
                                       [C_learning_rate] = "learning_rate",
                                       [C_batch_size] = "batch_size",
                                       [C_optimizer] = "optimizer",
                                       [C_is_gpu] = "is_gpu",
                                       [C_batch] = "batch",
                                       [C_power] = "power",
                                       [C_experiment_id] = "experiment_id",
                                       [C_filter] = "filter",
                                       [C_std_energy] = "std_energy",
                                       [C_non_overhead_energy] = "non_overhead_energy",
                                       [C_non_overhead_runtime] = "non_overhead_runtime"};

struct study_in {
    struct import_file *f;
    struct csv_in csv;
    int at[C_COUNT]; /* field; -1 = the file has no such column */
    int64_t id;
    double to_j; /* of column energy; 0 = not known yet */
    struct err *e;
};

/* ---- fields -------------------------------------------------------------------------------------- */

static const char *field(const struct study_in *s, enum column c)
{
    return s->at[c] < 0 ? "" : s->csv.field[s->at[c]].s;
}

static int bad(struct study_in *s, enum column c, const char *what)
{
    return csv_bad(&s->csv, (size_t)s->at[c], s->e, "%s: '%.60s' %s", names_of[c], field(s, c),
                   what);
}

/* Empty is NAN. */
static int number(struct study_in *s, enum column c, double *out)
{
    char *end;
    *out = NAN;
    if (!*field(s, c))
        return 0;
    *out = strtod(field(s, c), &end);
    return *end || !isfinite(*out) ? bad(s, c, "is no number") : 0;
}

static int count_field(struct study_in *s, enum column c, int64_t lo, int64_t hi, int64_t *out)
{
    double d;
    int rc = number(s, c, &d);
    if (rc < 0)
        return rc;
    if (isnan(d) || d != floor(d) || d < (double)lo || d > (double)hi)
        return bad(s, c, "is no whole number in range");
    *out = (int64_t)d;
    return 0;
}

static int flag(struct study_in *s, enum column c, bool *out)
{
    const char *v = field(s, c);
    *out = strcmp(v, "True") == 0 || strcmp(v, "true") == 0 || strcmp(v, "1") == 0;
    if (*out || !*v || strcmp(v, "False") == 0 || strcmp(v, "false") == 0 || strcmp(v, "0") == 0)
        return 0;
    return bad(s, c, "is neither True nor False");
}

/* 2022-10-01 12:34:56.789+00:00, also without a zone, which is UTC then. Empty: INT64_MIN. */
static int time_field(struct study_in *s, enum column c, int64_t *out)
{
    char text[64];
    *out = INT64_MIN;
    if (!*field(s, c))
        return 0;
    base_strcpy(text, sizeof text - 1, field(s, c));
    char *blank = strchr(text, ' ');
    if (blank)
        *blank = 'T';
    char *clock = strchr(text, 'T');
    if (!clock || (!strchr(clock, '+') && !strchr(clock, '-') && !strchr(clock, 'Z')))
        base_strcpy(text + strlen(text), 2, "Z"); /* one byte was kept for it */
    return units_parse_time(text, clock_utc_ns(), out, NULL) < 0 ? bad(s, c, "is no time") : 0;
}

/* ---- the header ---------------------------------------------------------------------------------- */

static int read_header(struct study_in *s)
{
    static const enum column needed[] = {C_run_id, C_dataset, C_shape, C_size, C_depth};
    int rc = csv_next(&s->csv, s->e);
    if (rc <= 0)
        return rc < 0 ? rc : import_bad(s->f, 1, s->e, "the file has no header");
    for (int c = 0; c < C_COUNT; c++) {
        s->at[c] = -1;
        for (size_t i = 0; i < s->csv.n; i++)
            if (strcmp(s->csv.field[i].s, names_of[c]) == 0)
                s->at[c] = (int)i;
    }
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        if (s->at[needed[i]] < 0) {
            csv_bad(&s->csv, 0, s->e, "there is no column %s: this is no file of the study",
                    names_of[needed[i]]);
            return err_next(s->e,
                            "wattq import takes an export (JSON lines or SQLite), a standalone "
                            "record, or such a CSV");
        }
    if (s->at[C_run_time] < 0 && (s->at[C_start_time] < 0 || s->at[C_end_time] < 0))
        return csv_bad(&s->csv, 0, s->e,
                       "there is no column run_time, nor start_time and end_time");
    return 0;
}

/* ---- one row ------------------------------------------------------------------------------------- */

struct row {
    int64_t size, depth, batch;
    double run_s, energy, power, rate, net_j;
    int64_t started_utc_ns, ended_utc_ns;
    bool gpu;
    enum net_shape shape;
    const struct net_dataset *data; /* NULL: none of the 13 */
    struct net net;                 /* depth 0: no width is near that size */
};

static int read_times(struct study_in *s, struct row *r)
{
    double ns = NAN;
    int rc = time_field(s, C_start_time, &r->started_utc_ns);
    if (rc == 0)
        rc = time_field(s, C_end_time, &r->ended_utc_ns);
    if (rc == 0)
        rc = number(s, C_start_time_int, &ns);
    if (rc == 0)
        rc = number(s, C_run_time, &r->run_s);
    if (rc < 0)
        return rc;
    if (isfinite(ns) && ns > 0 && ns < 9e18) {
        char *end;
        r->started_utc_ns = strtoll(field(s, C_start_time_int), &end, 10);
    }
    bool both = r->started_utc_ns != INT64_MIN && r->ended_utc_ns != INT64_MIN;
    if (isnan(r->run_s) && both)
        r->run_s = (double)(r->ended_utc_ns - r->started_utc_ns) / 1e9;
    if (isnan(r->run_s) || r->run_s < 0 || r->run_s > 1e9)
        return s->at[C_run_time] >= 0 ? bad(s, C_run_time, "is no time in seconds")
                                      : csv_bad(&s->csv, 0, s->e, "the run's length is not known");
    return 0;
}

static int read_row(struct study_in *s, struct row *r)
{
    *r = (struct row){.data = net_dataset_find(field(s, C_dataset))};
    double batch = NAN;
    int rc = count_field(s, C_size, 1, INT64_C(1) << 40, &r->size);
    if (rc == 0)
        rc = count_field(s, C_depth, 2, NET_DEPTH_MAX, &r->depth);
    if (rc == 0 && net_shape_parse(field(s, C_shape), &r->shape, NULL) < 0)
        rc = bad(s, C_shape, "is no shape of the study");
    if (rc == 0 && !*field(s, C_dataset))
        rc = bad(s, C_dataset, "is empty");
    if (rc == 0)
        rc = number(s, C_batch_size, &batch);
    r->batch = batch >= 1 && batch < 1e9 ? (int64_t)batch : 256;
    if (rc == 0)
        rc = number(s, C_learning_rate, &r->rate);
    if (rc == 0)
        rc = number(s, C_energy, &r->energy);
    if (rc == 0)
        rc = number(s, C_power, &r->power);
    if (rc == 0)
        rc = number(s, C_non_overhead_energy, &r->net_j);
    if (rc == 0)
        rc = flag(s, C_is_gpu, &r->gpu);
    if (rc == 0)
        rc = read_times(s, r);
    if (rc < 0 || !r->data)
        return rc;
    rc = net_search(&r->net, r->shape, (int)r->depth, r->data->inputs, r->data->outputs, r->size,
                    NULL);
    if (rc != 0)
        r->net.depth = 0;
    return 0;
}

/* J or kWh? Decided by the first row that tells, and then held against every other. */
static int find_unit(struct study_in *s, const struct row *r)
{
    if (isnan(r->energy) || r->run_s <= 0 || r->energy <= 0)
        return 0;
    double watt = r->energy / r->run_s;
    if (isfinite(r->power) && r->power > 0) {
        double ratio = watt / r->power;
        double unit = fabs(ratio - 1) < 0.01               ? 1
                      : fabs(ratio * J_PER_KWH - 1) < 0.01 ? J_PER_KWH
                                                           : 0;
        if (unit == 0 || (s->to_j != 0 && s->to_j != unit))
            return bad(s, C_energy, "divided by run_time is not the row's power, in J nor in kWh");
        s->to_j = unit;
        return 0;
    }
    if (s->to_j == 0)
        s->to_j = watt > 1 ? 1 : J_PER_KWH;
    watt *= s->to_j;
    if (watt < 1 || watt > 1e6)
        return bad(s, C_energy, "over run_time is no power that a node can draw");
    return 0;
}

/* ---- tables -------------------------------------------------------------------------------------- */

static struct export_cell integer(int64_t v)
{
    return (struct export_cell){.type = v == INT64_MIN ? EXPORT_NIL : EXPORT_INT, .i = v};
}

static struct export_cell text(const char *s)
{
    return (struct export_cell){
        .type = s ? EXPORT_TEXT : EXPORT_NIL, .text = s, .bytes = s ? strlen(s) : 0};
}

static struct export_cell real(double v)
{
    return (struct export_cell){.type = isfinite(v) ? EXPORT_REAL : EXPORT_NIL, .d = v};
}

static int put_param(struct study_in *s, const char *key, struct export_cell value)
{
    static const char *const names[] = {"run", "key", "type", "value"};
    const char *type = value.type == EXPORT_INT    ? "int"
                       : value.type == EXPORT_REAL ? "real"
                                                   : "text";
    if (value.type == EXPORT_NIL || (value.type == EXPORT_TEXT && value.bytes == 0))
        return 0;
    const struct export_cell cells[] = {integer(s->id), text(key), text(type), value};
    return localdb_insert(s->f->db, "run_param", names, cells, ARRAY_LEN(cells), s->e);
}

struct param {
    const char *key;
    struct export_cell value;
};

static int put_list(struct study_in *s, const struct param *p, size_t n)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = put_param(s, p[i].key, p[i].value);
    return rc;
}

/* What the trainer would have said of the data and the network. */
static int put_network(struct study_in *s, const struct row *r)
{
    char widths[NET_DEPTH_MAX * 12] = "[";
    const struct net_dataset *d = r->data;
    if (!d)
        return 0;
    int64_t test = (d->rows + 4) / 5; /* ceil(0.2 n) */
    const struct param data[] = {{"info.rows_train", integer(d->rows - test)},
                                 {"info.rows_test", integer(test)},
                                 {"info.raw_features", integer(d->raw_features)},
                                 {"info.classes", integer(d->classes)},
                                 {"info.inputs", integer(d->inputs)}};
    int rc = put_list(s, data, ARRAY_LEN(data));
    if (rc < 0 || r->net.depth == 0)
        return rc;
    for (int i = 0; i < r->net.depth; i++) {
        size_t n = strlen(widths);
        (void)snprintf(widths + n, sizeof widths - n, "%s%lld", i ? "," : "",
                       (long long)r->net.widths[i]);
    }
    base_strcpy(widths + strlen(widths), 2, "]");
    const struct param net[] = {{"info.widths", text(widths)},
                                {"info.params", integer(r->net.params)}};
    return put_list(s, net, ARRAY_LEN(net));
}

static int put_study(struct study_in *s, const struct row *r)
{
    bool ours = strncmp(field(s, C_batch), "energy_", 7) == 0;
    double per_datum = NAN;
    int64_t seen = INT64_MIN;
    if (ours && r->data) {
        int64_t train = r->data->rows - (r->data->rows + 4) / 5;
        int64_t batches = (train + r->batch - 1) / r->batch;
        seen = STUDY_EPOCHS * train;
        per_datum = r->net_j / ((double)STUDY_EPOCHS * (double)batches * (double)r->batch);
    }
    const struct param list[] = {
        {"dataset", text(field(s, C_dataset))},
        {"shape", text(net_shape_name(r->shape))},
        {"depth", integer(r->depth)},
        {"size", integer(r->size)},
        {"batch", integer(r->batch)},
        {"info.backend", text("tensorflow")},
        {"info.precision", text("f32")},
        {"info.dataset", text(field(s, C_dataset))},
        {"info.shape", text(net_shape_name(r->shape))},
        {"info.batch", integer(r->batch)},
        {"info.lr", real(r->rate)},
        {"info.optimizer", text(field(s, C_optimizer))},
        {"info.hardware", text(r->gpu ? "gpu" : "cpu")},
        {"info.device", text(r->gpu ? "gpu" : "cpu")},
        {"summary.epochs", integer(ours ? STUDY_EPOCHS : INT64_MIN)},
        {"summary.rows_train_seen", integer(seen)},
        {"j_per_datum.study", real(per_datum)},
        {"j_per_datum.exact_reason", text("the file has the energy of the whole run only")},
        {"study.experiment_id", text(field(s, C_experiment_id))},
        {"study.batch", text(field(s, C_batch))},
        {"study.filter", text(field(s, C_filter))},
        {"study.node", text(s->at[C_node] >= 0 ? field(s, C_node) : field(s, C_host_name))},
        {"study.std_energy", text(field(s, C_std_energy))},
        {"study.non_overhead_energy", text(field(s, C_non_overhead_energy))},
        {"study.non_overhead_runtime", text(field(s, C_non_overhead_runtime))}};
    int rc = put_list(s, list, ARRAY_LEN(list));
    return rc == 0 ? put_network(s, r) : rc;
}

static char *spec_of(const struct study_in *s, const struct row *r)
{
    char depth[24];
    char size[24];
    char batch[24];
    (void)snprintf(depth, sizeof depth, "%lld", (long long)r->depth);
    (void)snprintf(size, sizeof size, "%lld", (long long)r->size);
    (void)snprintf(batch, sizeof batch, "%lld", (long long)r->batch);
    json_t *o =
        json_pack("{s:s, s:[s,s,s,s,s,s], s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s}}", "kind",
                  "command", "argv", "study", field(s, C_dataset), net_shape_name(r->shape), depth,
                  size, r->gpu ? "gpu" : "cpu", "cwd", "/", "label", "", "project", "", "params",
                  "dataset", field(s, C_dataset), "shape", net_shape_name(r->shape), "depth", depth,
                  "size", size, "batch", batch);
    char *out = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return out;
}

static bool is_uuid(const char *s)
{
    return strlen(s) == 36 && strspn(s, "0123456789abcdef-") == 36 && s[8] == '-' && s[13] == '-' &&
           s[18] == '-' && s[23] == '-';
}

static int put_run(struct study_in *s, const struct row *r)
{
    static const char *const names[] = {"id",
                                        "uuid",
                                        "uid",
                                        "state",
                                        "kind",
                                        "spec",
                                        "boot",
                                        "submitted_utc_ns",
                                        "started_utc_ns",
                                        "ended_utc_ns",
                                        "t0_ns",
                                        "t1_ns",
                                        "exit_code",
                                        "mode"};
    char uuid[37];
    char *spec CLEANUP(base_freep) = spec_of(s, r);
    int64_t length = llround(r->run_s * 1e9);
    int64_t t0 = r->started_utc_ns != INT64_MIN && r->started_utc_ns > 0 ? r->started_utc_ns : 0;
    if (!*field(s, C_run_id))
        return bad(s, C_run_id, "is empty");
    if (is_uuid(field(s, C_run_id)))
        base_strcpy(uuid, sizeof uuid, field(s, C_run_id));
    else
        import_uuid(field(s, C_run_id), uuid);
    if (!spec)
        return csv_bad(&s->csv, 0, s->e, "the row cannot be described");
    const struct export_cell cells[] = {integer(s->id),
                                        text(uuid),
                                        integer(0),
                                        text("done"),
                                        text("command"),
                                        text(spec),
                                        integer(1),
                                        integer(t0 > 0 ? t0 : clock_utc_ns()),
                                        integer(r->started_utc_ns),
                                        integer(t0 > 0 ? t0 + length : r->ended_utc_ns),
                                        integer(t0),
                                        integer(t0 + length),
                                        integer(0),
                                        text("study")};
    return localdb_insert(s->f->db, "run", names, cells, ARRAY_LEN(cells), s->e);
}

static int put_energy(struct study_in *s, const struct row *r)
{
    static const char *const names[] = {"id",          "run",        "channel", "figure",
                                        "part",        "method",     "algo",    "energy_uj",
                                        "bound_basis", "covered_ns", "reason",  "computed_utc_ns"};
    static const char *const parts[] = {"total", "channel"};
    bool known = isfinite(r->energy) && (s->to_j != 0 || r->energy == 0);
    double uj = known ? r->energy * (s->to_j == 0 ? 1 : s->to_j) * 1e6 : 0;
    if (fabs(uj) > 1e18)
        return bad(s, C_energy, "is no energy of a run");
    for (int total = 0; total < 2; total++) {
        const struct export_cell cells[] = {
            integer(2 * s->id + total),
            integer(s->id),
            total ? text(NULL) : integer(1),
            text("machine"),
            text("window"),
            text("integral"),
            integer(0),
            integer(known ? llround(uj) : INT64_MIN),
            text("none: the file states none"),
            integer(llround(r->run_s * 1e9)),
            text(known ? NULL : "the file has no energy of this run"),
            integer(clock_utc_ns())};
        int rc = localdb_insert(s->f->db, "energy", names, cells, ARRAY_LEN(cells), s->e);
        if (rc < 0)
            return rc;
    }
    const struct export_cell part[] = {integer(2 * s->id + 1), integer(1)};
    return localdb_insert(s->f->db, "energy_part", parts, part, ARRAY_LEN(part), s->e);
}

static int take_row(struct study_in *s)
{
    struct row r;
    if (s->csv.n <= (size_t)s->at[C_run_id])
        return csv_bad(&s->csv, 0, s->e, "the row is too short");
    for (int c = 0; c < C_COUNT; c++)
        if (s->at[c] >= (int)s->csv.n)
            return csv_bad(&s->csv, s->csv.n - 1, s->e, "the row ends before column %s",
                           names_of[c]);
    s->id++;
    int rc = read_row(s, &r);
    if (rc == 0)
        rc = find_unit(s, &r);
    if (rc == 0)
        rc = put_run(s, &r);
    if (rc == 0)
        rc = put_study(s, &r);
    return rc == 0 ? put_energy(s, &r) : rc;
}

/* One boot and one meter for all rows. */
static int put_place(struct study_in *s)
{
    static const char *const boot[] = {"id", "boot_id", "machine"};
    static const char *const source[] = {"id", "name"};
    static const char *const channel[] = {"id",      "uid",     "source",   "label",
                                          "kind",    "unit",    "covers",   "scope",
                                          "quality", "quantum", "period_ns"};
    char name[80];
    (void)snprintf(name, sizeof name, "import:%.40s", s->f->sha256);
    const struct export_cell b[] = {integer(1), text(name), text("{}")};
    const struct export_cell so[] = {integer(1), text("study")};
    const struct export_cell c[] = {integer(1),
                                    text("node"),
                                    integer(1),
                                    text("node"),
                                    text("gauge"),
                                    text("uW"),
                                    text("the whole node, idle included"),
                                    text("node"),
                                    text("measured"),
                                    integer(1000000),
                                    integer(60 * NS_PER_S)};
    int rc = localdb_insert(s->f->db, "boot", boot, b, ARRAY_LEN(b), s->e);
    if (rc == 0)
        rc = localdb_insert(s->f->db, "source", source, so, ARRAY_LEN(so), s->e);
    return rc == 0 ? localdb_insert(s->f->db, "channel", channel, c, ARRAY_LEN(c), s->e) : rc;
}

int import_study(struct import_file *f, FILE *in, struct err *e)
{
    struct study_in s = {.f = f, .e = e};
    f->format = "butter";
    base_strcpy(f->machine, sizeof f->machine, "study");
    csv_open(&s.csv, in, f->name);
    int rc = read_header(&s);
    if (rc == 0)
        rc = put_place(&s);
    while (rc == 0 && (rc = csv_next(&s.csv, e)) > 0) {
        struct err why = {0};
        s.e = &why;
        rc = take_row(&s);
        if (rc < 0) {
            bool placed = strncmp(why.text, f->name, strlen(f->name)) == 0;
            rc =
                placed ? err_set(e, rc, "%s", why.text) : csv_bad(&s.csv, 0, e, "%.200s", why.text);
        }
    }
    csv_close(&s.csv);
    return rc;
}
