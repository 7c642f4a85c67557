#include "client/butter.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/csv.h"
#include "client/json.h"
#include "common/sha256.h"
#include "daemon/model/qc.h"

#define OPTIMIZER "Adam" /* the trainer knows no other */
#define RATE      1e-4   /* its learning rate unless told */

/* Columns of runs_with_standardized_energy.csv and of butter_e_metadata.csv, as published. */
static const char *const runs_columns[] = {"run_id",
                                           "experiment_id",
                                           "slurm_job_id",
                                           "start_time",
                                           "update_time",
                                           "end_time",
                                           "node",
                                           "size",
                                           "depth",
                                           "shape",
                                           "dataset",
                                           "learning_rate",
                                           "batch_size",
                                           "optimizer",
                                           "is_gpu",
                                           "batch",
                                           "energy",
                                           "run_time",
                                           "filter_1",
                                           "filter_2",
                                           "filter_3",
                                           "filter_3_stdevs",
                                           "filter",
                                           "start_time_int",
                                           "start_offset",
                                           "power",
                                           "num_reps",
                                           "std_power",
                                           "std_energy",
                                           "energy_overhead",
                                           "non_overhead_energy",
                                           "runtime_overhead",
                                           "non_overhead_runtime"};
static const char *const metadata_columns[] = {
    "run_id",        "experiment_id", "old_experiment_id",
    "slurm_job_id",  "start_time",    "update_time",
    "end_time",      "host_name",     "size",
    "depth",         "shape",         "dataset",
    "learning_rate", "batch_size",    "optimizer",
    "is_gpu",        "run_data",      "batch"};

/* What the database knows of a run beside struct study_run. */
struct facts {
    char uuid[40];
    char host[64];
    char batch[104]; /* name of its sweep */
    int64_t ended_utc_ns;
    double rate;
    char experiment[37];
    int64_t number;
    double std_power_w;
};

struct butter {
    struct localdb *db;
    const struct study *s;
    struct qc_standard *std;
    double *stdevs;
    struct facts *facts; /* one per run of s */
    int64_t first_ns;    /* start of the earliest run */
};

/* ---- facts --------------------------------------------------------------------------------------- */

int64_t butter_experiment(const struct study_run *r, double learning_rate, char uuid[37])
{
    char text[256];
    uint8_t h[SHA256_BYTES];
    struct sha256 sum;
    int n = snprintf(text, sizeof text, "%s|%s|%d|%lld|%lld|%.9g|" OPTIMIZER, r->dataset, r->shape,
                     r->net.depth, (long long)r->size, (long long)r->batch, learning_rate);
    sha256_init(&sum);
    sha256_add(&sum, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    sha256_end(&sum, h);
    h[6] = (uint8_t)((h[6] & 0x0f) | 0x80); /* version 8: a hash of our own */
    h[8] = (uint8_t)((h[8] & 0x3f) | 0x80);
    (void)snprintf(uuid, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                   h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9], h[10], h[11], h[12],
                   h[13], h[14], h[15]);
    int64_t number = 0;
    for (int i = 0; i < 6; i++)
        number = number << 8 | h[i];
    return number;
}

static void text_cell(char *dst, size_t cap, const struct export_cell *c)
{
    base_strcpy(dst, cap, c->type == EXPORT_TEXT ? c->text : "");
}

static int take_facts(void *arg, const struct export_cell *c, size_t n)
{
    struct facts *f = arg;
    (void)n;
    text_cell(f->uuid, sizeof f->uuid, &c[0]);
    text_cell(f->host, sizeof f->host, &c[1]);
    text_cell(f->batch, sizeof f->batch, &c[2]);
    f->ended_utc_ns = c[3].type == EXPORT_INT ? c[3].i : 0;
    f->rate = c[4].type == EXPORT_REAL ? c[4].d : c[4].type == EXPORT_INT ? (double)c[4].i : RATE;
    return 0;
}

static int find_facts(struct butter *b, size_t i, struct err *e)
{
    char sql[640];
    struct facts *f = &b->facts[i];
    const struct localdb_sink to = {.row = take_facts, .arg = f};
    (void)snprintf(
        sql, sizeof sql,
        "SELECT r.uuid, coalesce(o.machine, json_extract(b.machine, '$.host')),"
        " coalesce(nullif(s.label, ''), 'sweep:' || s.id, ''), r.ended_utc_ns,"
        " (SELECT value FROM run_param p WHERE p.run = r.id AND key IN ('info.lr',"
        " 'info.learning_rate', 'lr') ORDER BY key LIMIT 1) FROM run r LEFT JOIN sweep s ON"
        " s.id = r.sweep LEFT JOIN origin o ON o.id = r.origin LEFT JOIN boot b ON b.id = r.boot"
        " WHERE r.id = %lld",
        (long long)b->s->runs[i].run);
    int rc = localdb_select(b->db, sql, &to, e);
    f->number = butter_experiment(&b->s->runs[i], f->rate, f->experiment);
    return rc;
}

static bool is_point(const struct study_run *r)
{
    return r->role == STUDY_NETWORK;
}

/* A joule that was guessed is none in a table that cannot say so. */
static bool has_joules(const struct study_run *r)
{
    return isfinite(r->run_j) && r->quality != STUDY_ESTIMATED && r->quality != STUDY_NO_ENERGY;
}

/* Runs of this experiment on this class of hardware. */
static int64_t repeats(const struct butter *b, size_t i)
{
    int64_t n = 0;
    for (size_t k = 0; k < b->s->n; k++)
        n += is_point(&b->s->runs[k]) && b->facts[k].number == b->facts[i].number &&
             b->s->runs[k].gpu == b->s->runs[i].gpu &&
             strcmp(b->s->runs[k].hardware, b->s->runs[i].hardware) == 0;
    return n;
}

/* ---- cells --------------------------------------------------------------------------------------- */

/* As pandas writes UTC: 2022-10-01 12:34:56.789012+00:00 */
static void put_time(struct csv_out *o, int64_t utc_ns)
{
    char text[48];
    struct tm tm;
    time_t s = (time_t)(utc_ns / NS_PER_S);
    if (utc_ns <= 0 || !gmtime_r(&s, &tm)) {
        csv_none(o);
        return;
    }
    size_t n = strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    (void)snprintf(text + n, sizeof text - n, ".%06lld+00:00",
                   (long long)(utc_ns % NS_PER_S / 1000));
    csv_str(o, text);
}

static void put_flag(struct csv_out *o, bool yes)
{
    csv_str(o, yes ? "True" : "False"); /* pandas' words */
}

static void put_count(struct csv_out *o, int64_t n)
{
    if (n > 0)
        csv_int(o, n);
    else
        csv_none(o);
}

/* run_id .. batch are the same in both files but for three columns. */
static void put_network(struct csv_out *o, const struct study_run *r, const struct facts *f)
{
    put_count(o, r->size);
    csv_int(o, r->net.depth);
    csv_str(o, r->shape);
    csv_str(o, r->dataset);
    csv_real(o, f->rate);
    put_count(o, r->batch);
    csv_str(o, OPTIMIZER);
    put_flag(o, r->gpu);
}

static void put_times(struct csv_out *o, const struct study_run *r, const struct facts *f)
{
    put_time(o, r->started_utc_ns);
    put_time(o, f->ended_utc_ns);
    put_time(o, f->ended_utc_ns);
}

static void put_filters(struct csv_out *o, const struct study_run *r, double stdevs)
{
    uint32_t x = r->excluded;
    put_flag(o, x & STUDY_X(SLOW));
    put_flag(o, x & STUDY_X(ZERO));
    put_flag(o, x & STUDY_X(OUTLIER));
    csv_real(o, stdevs);
    put_flag(o, x & (STUDY_X(SLOW) | STUDY_X(ZERO) | STUDY_X(OUTLIER)));
}

static void put_standard(struct csv_out *o, const struct study_run *r, const struct qc_standard *q)
{
    bool j = has_joules(r);
    csv_real(o, j ? q->std_j / r->run_s : (double)NAN);
    csv_real(o, j ? q->std_j : (double)NAN);
    csv_real(o, j ? q->overhead_j : (double)NAN);
    csv_real(o, j ? q->net_j : (double)NAN);
    csv_real(o, q->overhead_s);
    csv_real(o, q->net_s);
}

static void run_row(struct csv_out *o, const struct butter *b, size_t i)
{
    const struct study_run *r = &b->s->runs[i];
    const struct facts *f = &b->facts[i];
    csv_str(o, f->uuid);
    csv_int(o, f->number);
    csv_int(o, r->run);
    put_times(o, r, f);
    csv_str(o, f->host);
    put_network(o, r, f);
    csv_str(o, f->batch);
    csv_real(o, has_joules(r) ? r->run_j : (double)NAN);
    csv_real(o, r->run_s);
    put_filters(o, r, b->stdevs[i]);
    put_count(o, r->started_utc_ns);
    if (r->started_utc_ns > 0)
        csv_int(o, r->started_utc_ns - b->first_ns);
    else
        csv_none(o);
    csv_real(o, has_joules(r) ? b->std[i].power_w : (double)NAN);
    csv_int(o, repeats(b, i));
    put_standard(o, r, &b->std[i]);
    csv_end(o);
}

/* What has no column of its own. */
static char *run_data(const struct study_run *r)
{
    json_t *o = json_object();
    json_put(o, "wattq_run", json_integer((json_int_t)r->run));
    json_put(o, "backend", json_string(r->backend));
    json_put(o, "isa", json_string(r->isa));
    json_put(o, "threads", json_integer(r->threads));
    json_put(o, "epochs", json_number(r->epochs));
    json_put(o, "parameters", json_integer((json_int_t)r->net.params));
    json_put(o, "standin", json_boolean(r->standin));
    json_put(o, "meter", json_string(r->meter));
    json_put(o, "scope", json_string(r->scope));
    json_put(o, "quality", json_string(study_quality_name(r->quality)));
    json_put(o, "lo_j", json_number(r->lo_j));
    json_put(o, "hi_j", json_number(r->hi_j));
    json_put(o, "flags", json_string(r->flags));
    json_put(o, "test_loss", json_number(r->test_loss));
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

static void metadata_row(struct csv_out *o, const struct butter *b, size_t i)
{
    const struct study_run *r = &b->s->runs[i];
    const struct facts *f = &b->facts[i];
    char *data CLEANUP(base_freep) = run_data(r);
    csv_str(o, f->uuid);
    csv_str(o, f->experiment);
    csv_int(o, f->number);
    csv_int(o, r->run);
    put_times(o, r, f);
    csv_str(o, f->host);
    put_network(o, r, f);
    csv_str(o, data);
    csv_str(o, f->batch);
    csv_end(o);
}

/* ---- files --------------------------------------------------------------------------------------- */

static int write_file(const struct butter *b, const char *dir, const char *name,
                      const char *const *columns, size_t n,
                      void (*row)(struct csv_out *, const struct butter *, size_t), struct err *e)
{
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, name);
    FILE *f = fopen(path, "wxe");
    if (!f) {
        err_errno(e, errno == EEXIST ? WATTQ_E_CONFLICT : WATTQ_E_IO, "cannot make %.200s", path);
        return err_next(e, "name a directory without such files, in which you may write");
    }
    struct csv_out o = {.f = f};
    for (size_t i = 0; i < n; i++)
        csv_str(&o, columns[i]);
    csv_end(&o);
    for (size_t i = 0; i < b->s->n; i++)
        if (is_point(&b->s->runs[i]))
            row(&o, b, i);
    bool bad = ferror(f) != 0;
    bad = fclose(f) != 0 || bad;
    return bad ? err_errno(e, WATTQ_E_IO, "cannot write %.200s", path) : 0;
}

static int write_both(const struct butter *b, const char *dir, struct err *e)
{
    int rc = write_file(b, dir, "runs_with_standardized_energy.csv", runs_columns,
                        ARRAY_LEN(runs_columns), run_row, e);
    return rc == 0 ? write_file(b, dir, "butter_e_metadata.csv", metadata_columns,
                                ARRAY_LEN(metadata_columns), metadata_row, e)
                   : rc;
}

static void count(const struct butter *b, struct butter_result *out)
{
    *out = (struct butter_result){0};
    for (size_t i = 0; i < b->s->n; i++) {
        bool point = is_point(&b->s->runs[i]);
        out->runs += point;
        out->design += !point;
        out->no_joules += point && !has_joules(&b->s->runs[i]);
    }
}

int butter_write(struct localdb *db, const struct study *s, const char *dir,
                 struct butter_result *out, struct err *e)
{
    struct qc_standard *std CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *std);
    struct facts *facts CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *facts);
    double *stdevs CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *stdevs);
    struct butter b = {.db = db, .s = s, .std = std, .facts = facts, .stdevs = stdevs};
    const struct qc_options options = {.steps = QC_STD_OFFSET | QC_STD_STARTUP,
                                       .startup = QC_STARTUP_MARKED};
    int rc = 0;
    qc_standardise(std, s->runs, s->n, &options);
    qc_stdevs(stdevs, s->runs, s->n);
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        int64_t t = s->runs[i].started_utc_ns;
        if (is_point(&s->runs[i]) && t > 0 && (b.first_ns == 0 || t < b.first_ns))
            b.first_ns = t;
        rc = find_facts(&b, i, e);
    }
    count(&b, out);
    return rc == 0 ? write_both(&b, dir, e) : rc;
}
