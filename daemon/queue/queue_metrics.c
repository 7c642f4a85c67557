/* $WATTQ_METRICS: the JSON lines of a run become rows while it goes on, and completely at its end. Read
 * by offset, in bounded pieces; what the disk has not got yet is read again after a failed commit. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/log.h"
#include "daemon/queue/queue_private.h"

#define LINE_MAX_BYTES (16 << 10)
#define PIECE_BYTES    (64 << 10)
#define BYTES_MAX      RESULT_METRICS_MAX /* of one run's file; the rest is counted as skipped */
#define ROWS_MAX       1000000
#define KEYS_MAX       64   /* numbers of one line */
#define MARKS_MAX      4096 /* kept at a time: those around what is read */
#define VALUE_MAX      1024 /* of an info or summary value */
/* A writer takes its time just before it writes; a mark may fall between the two. */
#define SLACK_NS (10 * NS_PER_MS)

enum row_kind { ROW_METRIC, ROW_PHASE, ROW_PARAM };

struct row {
    enum row_kind kind;
    int64_t seq;
    int64_t step;
    int64_t t_ns;
    double value;
    const char *stamp; /* literal */
    char *key;         /* phase: its name, NULL closes */
    char *text;        /* param */
};

struct queue_import {
    struct queue_item *r;
    int fd;                        /* metrics; -1 = not there */
    int marks_fd;                  /* -1 = not there */
    int64_t offset;                /* committed up to here, a line's border */
    int64_t seq;                   /* number of the line at offset */
    int64_t next_offset, next_seq; /* the same once the job is back */
    int64_t rows;
    int64_t skipped; /* lines that are no JSON object, too long, or beyond a bound */
    int64_t told_skipped;
    int64_t seen; /* rows of lines up to this one are in the database */
    int64_t marks_offset;
    struct result_mark marks[MARKS_MAX];
    size_t nmarks;
    struct row *batch;
    size_t n, cap;
    bool busy, failed, complete, draining;
    struct storage_job job;
};

/* ---- stamps ------------------------------------------------------------------------------------- */

/* More marks from the file; those wholly before `offset` but the last are dropped first. */
static void read_marks(struct queue_import *m)
{
    char text[8192 + 1];
    size_t drop = 0;
    while (drop + 1 < m->nmarks && m->marks[drop + 1].offset <= m->offset)
        drop++;
    memmove(m->marks, m->marks + drop, (m->nmarks - drop) * sizeof(m->marks[0]));
    m->nmarks -= drop;
    while (m->marks_fd >= 0 && m->nmarks + sizeof(text) / 4 < MARKS_MAX) {
        ssize_t got = pread(m->marks_fd, text, sizeof(text) - 1, m->marks_offset);
        if (got <= 0)
            return;
        text[got] = '\0';
        char *end = strrchr(text, '\n');
        if (!end)
            return;
        end[1] = '\0';
        m->nmarks += result_marks_parse(text, m->marks + m->nmarks, MARKS_MAX - m->nmarks);
        m->marks_offset += end + 1 - text;
    }
}

struct stamp {
    int64_t t_ns;
    const char *kind;
};

/* A line that ends at byte `end` was there when the first mark at or beyond it was made, and was not
 * when the one before was. */
static struct stamp stamp_line(const struct queue_import *m, int64_t end, const json_t *line)
{
    int64_t earliest = m->r->live->filing.window.t0_ns;
    int64_t arrival = clock_boot_ns();
    const char *kind = "arrival";
    for (size_t i = 0; i < m->nmarks; i++) {
        if (m->marks[i].offset >= end) {
            arrival = m->marks[i].t_ns;
            kind = "mark";
            break;
        }
        earliest = m->marks[i].t_ns;
    }
    const json_t *own = json_object_get(line, "t_boot_ns");
    int64_t t = json_is_integer(own) ? (int64_t)json_integer_value(own) : INT64_MIN;
    if (t >= earliest - SLACK_NS && t <= arrival)
        return (struct stamp){t, "writer"};
    return (struct stamp){arrival, kind};
}

/* ---- lines -------------------------------------------------------------------------------------- */

static struct row *add_row(struct queue_import *m, enum row_kind kind, int64_t seq,
                           const struct stamp *st)
{
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 64;
        m->batch = realloc(m->batch, m->cap * sizeof(*m->batch));
        if (!m->batch)
            abort();
    }
    struct row *row = &m->batch[m->n++];
    *row = (struct row){.kind = kind, .seq = seq, .step = RUN_NONE, .t_ns = st->t_ns};
    row->stamp = st->kind;
    m->rows++;
    return row;
}

static int64_t step_of(const json_t *line)
{
    const json_t *v = json_object_get(line, "epoch");
    if (!json_is_integer(v))
        v = json_object_get(line, "step");
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : RUN_NONE;
}

static void take_numbers(struct queue_import *m, json_t *line, int64_t seq, const struct stamp *st)
{
    static const char *const meta[] = {"epoch", "step", "t_boot_ns"};
    const char *key;
    json_t *v;
    int taken = 0;
    json_object_foreach(line, key, v)
    {
        bool is_meta = false;
        for (size_t i = 0; i < ARRAY_LEN(meta); i++)
            is_meta |= strcmp(key, meta[i]) == 0;
        if (is_meta || !json_is_number(v) || !spec_key_ok(key) || strlen(key) >= SPEC_KEY_MAX ||
            !isfinite(json_number_value(v)) || taken++ >= KEYS_MAX)
            continue;
        struct row *row = add_row(m, ROW_METRIC, seq, st);
        row->key = base_strdup(key);
        row->value = json_number_value(v);
        row->step = step_of(line);
    }
}

/* As text: numbers in full, true and false as words, the rest as JSON. NULL = nothing to keep. */
static char *text_of(const json_t *v)
{
    if (json_is_null(v))
        return NULL;
    if (json_is_string(v))
        return base_strdup(json_string_value(v));
    return json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}

static void take_facts(struct queue_import *m, const char *prefix, json_t *facts, int64_t seq,
                       const struct stamp *st)
{
    const char *key;
    json_t *v;
    int taken = 0;
    json_object_foreach(facts, key, v)
    {
        char *text = spec_key_ok(key) && taken < KEYS_MAX ? text_of(v) : NULL;
        if (!text || strlen(text) > VALUE_MAX) {
            free(text);
            continue;
        }
        struct row *row = add_row(m, ROW_PARAM, seq, st);
        row->key = base_printf("%s.%.60s", prefix, key);
        row->text = text;
        taken++;
    }
}

static void take_phase(struct queue_import *m, const json_t *phase, int64_t seq,
                       const struct stamp *st)
{
    const char *name = json_string_value(phase);
    if (name && (!spec_key_ok(name) || strlen(name) >= SPEC_KEY_MAX))
        return;
    struct row *row = add_row(m, ROW_PHASE, seq, st);
    row->key = name ? base_strdup(name) : NULL;
}

static void take_line(struct queue_import *m, const char *text, size_t n, int64_t seq, int64_t end)
{
    json_t *line = n > 0 && n <= LINE_MAX_BYTES ? json_loadb(text, n, 0, NULL) : NULL;
    if (!json_is_object(line) || m->rows >= ROWS_MAX) {
        m->skipped += n > 0;
        json_decref(line);
        return;
    }
    const struct stamp st = stamp_line(m, end, line);
    json_t *info = json_object_get(line, "info");
    json_t *summary = json_object_get(line, "summary");
    const json_t *phase = json_object_get(line, "phase");
    if (json_is_object(info))
        take_facts(m, "info", info, seq, &st);
    if (json_is_object(summary))
        take_facts(m, "summary", summary, seq, &st);
    if (json_is_string(phase) || json_is_null(phase))
        take_phase(m, phase, seq, &st);
    if (seq > m->seen)
        take_numbers(m, line, seq, &st);
    json_decref(line);
}

/* One piece: whole lines, and the beginning of a line that is too long whatever follows. */
static void take_piece(struct queue_import *m, const char *buf, size_t got, bool last)
{
    int64_t offset = m->offset;
    int64_t seq = m->seq;
    size_t at = 0;
    while (at < got) {
        const char *nl = memchr(buf + at, '\n', got - at);
        if (!nl && got - at <= LINE_MAX_BYTES && !last)
            break; /* the rest of it is still to come */
        size_t n = nl ? (size_t)(nl - (buf + at)) : got - at;
        size_t used = n + (nl ? 1 : 0);
        take_line(m, buf + at, n, seq, offset + (int64_t)used);
        at += used;
        offset += (int64_t)used;
        seq++;
    }
    m->next_offset = offset;
    m->next_seq = seq;
}

/* ---- storage ------------------------------------------------------------------------------------ */

static int put_row(struct store *s, int64_t run, const struct row *row, struct err *e)
{
    if (row->kind == ROW_PHASE)
        return runs_phase_open(s, run, row->key, row->t_ns, e);
    if (row->kind == ROW_PARAM)
        return runs_param_put(s, run, row->key, row->text, e);
    return runs_metric_put(s, run, row->seq, row->step, row->key, row->value, row->t_ns, row->stamp,
                           e);
}

static int work(struct store *s, struct storage_job *job, struct err *e)
{
    struct queue_import *m = container_of(job, struct queue_import, job);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        rc = put_row(s, m->r->row.id, &m->batch[i], e);
    if (rc == 0 && m->skipped != m->told_skipped) {
        char text[24];
        snprintf(text, sizeof(text), "%" PRId64, m->skipped);
        rc = runs_param_put(s, m->r->row.id, "metrics.skipped", text, e);
    }
    return rc;
}

static void clear_batch(struct queue_import *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->batch[i].key);
        free(m->batch[i].text);
    }
    m->n = 0;
}

static bool pump(struct queue_import *m);

static void done(struct storage_job *job, int rc, const struct err *e)
{
    struct queue_import *m = container_of(job, struct queue_import, job);
    struct queue_item *r = m->r;
    queue_job_back(r->q);
    m->busy = false;
    clear_batch(m);
    if (rc < 0) {
        log_warn("run %" PRId64 ": its numbers cannot be written down: %s", r->row.id, e->text);
        m->failed = true; /* the next poll reads the same piece again */
        return;
    }
    m->offset = m->next_offset;
    m->seq = m->next_seq;
    m->told_skipped = m->skipped;
    if (m->draining && !r->q->closing && pump(m))
        queue_end_drained(r);
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* Reads one piece and sends it. true: nothing is left to read or to commit. */
static bool pump(struct queue_import *m)
{
    char *buf CLEANUP(base_freep) = NULL;
    if (m->busy)
        return false;
    if (m->complete || m->fd < 0)
        return true;
    buf = base_alloc(PIECE_BYTES);
    read_marks(m);
    ssize_t got = m->offset >= BYTES_MAX ? 0 : pread(m->fd, buf, PIECE_BYTES, m->offset);
    if (got <= 0) {
        m->complete = m->draining;
        return true;
    }
    int64_t skipped = m->skipped;
    take_piece(m, buf, (size_t)got, m->draining && got < PIECE_BYTES);
    if (m->next_offset == m->offset)
        return true; /* half a line */
    if (m->n == 0 && m->skipped == skipped) {
        m->offset = m->next_offset;
        m->seq = m->next_seq;
        return m->draining ? pump(m) : false;
    }
    m->busy = true;
    m->failed = false;
    m->job = (struct storage_job){.work = work, .done = done, .vital = m->draining};
    queue_submit_job(m->r->q, &m->job);
    return false;
}

void queue_metrics_open(struct queue_item *r)
{
    struct err e;
    struct launch *l = r->q->cfg.launch;
    if (r->import)
        return;
    struct queue_import *m = base_alloc(sizeof(*m));
    m->r = r;
    m->seen = r->metrics_seen;
    m->fd = launch_open_file(l, r->row.id, "metrics", &e);
    m->marks_fd = launch_open_file(l, r->row.id, "marks", &e);
    r->import = m;
}

void queue_metrics_poll(struct queue *q)
{
    struct err e;
    for (size_t i = 0; i < q->active.n; i++) {
        struct queue_item *r = q->active.at[i];
        struct queue_import *m = r->import;
        if (!m || r->life < LIFE_ON || r->life > LIFE_DRAINING)
            continue;
        if (m->marks_fd < 0)
            m->marks_fd = launch_open_file(q->cfg.launch, r->row.id, "marks", &e);
        if (r->life == LIFE_DRAINING ? m->failed && pump(m) : (pump(m), false)) {
            queue_end_drained(r);
            return; /* the list may have changed */
        }
    }
}

bool queue_metrics_drain(struct queue_item *r)
{
    struct err e;
    struct queue_import *m = r->import;
    if (!m)
        return true;
    if (m->marks_fd < 0)
        m->marks_fd = launch_open_file(r->q->cfg.launch, r->row.id, "marks", &e);
    m->draining = true;
    return pump(m);
}

void queue_metrics_close(struct queue_item *r)
{
    struct queue_import *m = r->import;
    if (!m)
        return;
    r->import = NULL;
    base_closep(&m->fd);
    base_closep(&m->marks_fd);
    clear_batch(m);
    free(m->batch);
    free(m);
}
