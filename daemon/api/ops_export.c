/* export: the database's tables, page by page (store/export.h); pin, unpin: keep the samples of runs; settle:
 * figures again, from all samples there are now. */
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/ops_private.h"
#include "daemon/store/export.h"

#define SETTLE_MAX 200 /* runs of one request: the storage thread does nothing else meanwhile */

/* ---- export -------------------------------------------------------------------------------------- */

struct export_job {
    struct reader_job job;
    struct ops_ticket t;
    struct ops_list l;
    char table[40];
    enum export_scope scope;
    int64_t *runs; /* ascending; NULL = all */
    size_t nruns;
    struct export_ask ask;
    int64_t next_run; /* where this page begins, then where the next one does */
    int64_t next_row;
    int64_t cursor; /* run of the newest row, and how many of its rows went out */
    int64_t rows;
    bool full;
    struct err *e;
};

static void put_cell(struct wire_out *o, const struct export_cell *c)
{
    switch (c->type) {
    case EXPORT_NIL:
        wire_put_nil(o, NULL);
        break;
    case EXPORT_INT:
        wire_put_int(o, NULL, c->i);
        break;
    case EXPORT_REAL:
        wire_put_f64(o, NULL, c->d);
        break;
    case EXPORT_TEXT:
        wire_put_str(o, NULL, c->text);
        break;
    case EXPORT_BLOB:
        wire_put_bin(o, NULL, c->data, c->bytes);
        break;
    }
}

static int put_row(void *arg, int64_t run, const struct export_cell *cells, size_t n)
{
    struct export_job *j = arg;
    if (run >= 0 && ops_list_full(&j->l)) {
        j->full = true;
        return 1;
    }
    struct wire_out *o = ops_list_row(&j->l);
    wire_begin_array(o, NULL);
    for (size_t i = 0; i < n; i++)
        put_cell(o, &cells[i]);
    wire_end(o);
    if (o->overflow)
        return err_set(j->e, WATTQ_E_LIMIT, "a row of table %s is too long for a frame", j->table);
    if (run < 0)
        return 0;
    j->rows = run == j->cursor ? j->rows + 1 : 1;
    j->cursor = run;
    return 0;
}

static int range(struct export_job *j, struct store *s, int64_t lo, int64_t hi, struct err *e)
{
    bool resumed = j->next_run > 0 && j->next_run - 1 >= lo;
    j->ask.lo = resumed ? j->next_run - 1 : lo;
    j->ask.hi = hi;
    j->ask.skip = resumed ? j->next_row : 0;
    j->cursor = resumed ? j->next_run : 0;
    j->rows = j->ask.skip;
    int rc = export_rows(s, &j->ask, put_row, j, e);
    return rc < 0 ? rc : 0;
}

/* Runs of consecutive ids are one question. */
static int named_runs(struct export_job *j, struct store *s, struct err *e)
{
    for (size_t i = 0; i < j->nruns && !j->full;) {
        size_t k = i + 1;
        while (k < j->nruns && j->runs[k] <= j->runs[k - 1] + 1)
            k++;
        int rc = 0;
        if (j->runs[k - 1] >= j->next_run)
            rc = range(j, s, j->runs[i] - 1, j->runs[k - 1], e);
        if (rc < 0)
            return rc;
        i = k;
    }
    return 0;
}

static int export_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct export_job *j = container_of(job, struct export_job, job);
    j->e = e;
    int rc = export_names(s, j->table, put_row, j, e);
    if (rc == 0 && j->scope != EXPORT_RUNS) {
        j->rows = j->ask.skip = j->next_row;
        rc = export_rows(s, &j->ask, put_row, j, e);
    } else if (rc == 0) {
        rc = j->runs ? named_runs(j, s, e) : range(j, s, 0, INT64_MAX, e);
    }
    if (rc < 0)
        return rc;
    struct wire_out *o = ops_list_end(&j->l);
    encode_opt(o, "next_run", j->full ? j->cursor : RUN_NONE);
    encode_opt(o, "next_row", j->full ? j->rows : RUN_NONE);
    return 0;
}

static void export_done(struct reader_job *job, int rc, const struct err *e)
{
    struct export_job *j = container_of(job, struct export_job, job);
    ops_answer_list(&j->t, &j->l, rc, e);
    free(j->runs);
    free(j);
}

static int by_id(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return (*x > *y) - (*x < *y);
}

int op_export(struct op_call *c, struct err *e)
{
    enum export_scope scope;
    int64_t *runs = NULL;
    size_t n = 0;
    const char *table = wire_str(c->req, "table", "");
    if (export_scope_of(table, &scope) != 0)
        return err_set(e, WATTQ_E_NOT_FOUND, "there is no table '%.30s' to export", table);
    if (scope == EXPORT_RUNS && wire_get(c->req, "runs")) {
        int rc = ops_need_runs(c, &runs, &n, e);
        if (rc < 0)
            return rc;
        qsort(runs, n, sizeof(*runs), by_id);
    }
    struct export_job *j = base_alloc(sizeof(*j));
    j->job = (struct reader_job){.work = export_work, .done = export_done, .slow = true};
    base_strcpy(j->table, sizeof(j->table), table);
    j->scope = scope;
    j->runs = runs;
    j->nruns = n;
    j->next_run = wire_int(c->req, "next_run", 0);
    j->next_row = wire_int(c->req, "next_row", 0);
    j->next_row = j->next_row < 0 ? 0 : j->next_row;
    j->ask = (struct export_ask){.table = j->table,
                                 .boot = wire_int(c->req, "boot", 0),
                                 .lo = wire_int(c->req, "t0_ns", 0),
                                 .hi = wire_int(c->req, "t1_ns", INT64_MAX)};
    ops_keep(&j->t, c);
    ops_list_begin(&j->l, c->id, "rows");
    ops_read(&j->t, &j->job);
    return 0;
}

/* ---- pin, unpin, settle --------------------------------------------------------------------------------- */

enum pin_act { PIN_KEEP, PIN_DROP, PIN_SETTLE };

struct pin_job {
    struct storage_job job;
    struct ops_ticket t;
    int64_t *runs;
    size_t n;
    enum pin_act act;
    enum share_policy policy;
    int64_t changed;
    struct energy_figure *totals; /* settle: one per run; channel < 0 = unchanged */
    struct run_actor by;
    char reason[200];
};

static int pin_one(struct store *s, struct pin_job *j, size_t i, struct err *e)
{
    switch (j->act) {
    case PIN_KEEP:
        return runs_pin(s, j->runs[i], j->by.uid, clock_utc_ns(), j->reason, e);
    case PIN_DROP:
        return runs_unpin(s, j->runs[i], e);
    case PIN_SETTLE:
        break;
    }
    int rc = queue_settle(s, j->runs[i], j->policy, &j->totals[i], e);
    if (rc <= 0)
        j->totals[i].channel = -1;
    return rc;
}

static int pin_work(struct store *s, struct storage_job *job, struct err *e)
{
    static const char *const events[] = {"pinned", "unpinned", "figures again"};
    struct pin_job *j = container_of(job, struct pin_job, job);
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < j->n; i++) {
        rc = runs_act(s, j->runs[i], j->by, events[j->act], e);
        if (rc == 0)
            rc = pin_one(s, j, i, e);
        j->changed += rc > 0;
    }
    return rc < 0 ? rc : 0;
}

static void pin_done(struct storage_job *job, int rc, const struct err *e)
{
    struct pin_job *j = container_of(job, struct pin_job, job);
    struct wire_out o = {0};
    ops_begin(&o, j->t.id);
    if (j->act == PIN_SETTLE)
        wire_put_int(&o, "settled", j->changed);
    else
        wire_put_int(&o, j->act == PIN_KEEP ? "pinned" : "unpinned", (int64_t)j->n);
    for (size_t i = 0; rc >= 0 && j->act == PIN_SETTLE && !j->t.d->stopping && i < j->n; i++)
        if (j->totals[i].channel == 0)
            queue_refresh(j->t.d->queue, j->runs[i], &j->totals[i]);
    ops_answer(&j->t, &o, rc, e);
    free(j->totals);
    free(j->runs);
    free(j);
}

static int submit(struct op_call *c, enum pin_act act, struct err *e)
{
    bool settle = act == PIN_SETTLE;
    struct pin_job *j = base_alloc(sizeof(*j));
    int rc = ops_need_runs(c, &j->runs, &j->n, e);
    if (rc == 0 && settle && j->n > SETTLE_MAX)
        rc = err_set(e, WATTQ_E_LIMIT, "at most %d runs at a time", SETTLE_MAX);
    if (rc < 0) {
        free(j->runs);
        free(j);
        return rc;
    }
    j->job = (struct storage_job){.work = pin_work, .done = pin_done};
    j->act = act;
    j->totals = settle ? base_alloc((j->n + 1) * sizeof(*j->totals)) : NULL;
    j->policy = SHARE_EQUAL;
    (void)share_policy_parse(c->d->config.share_policy, &j->policy); /* checked with the options */
    j->by = ops_actor(c);
    base_strcpy(j->reason, sizeof(j->reason), wire_str(c->req, "reason", ""));
    ops_keep(&j->t, c);
    storage_submit(c->d->storage, &j->job);
    return 0;
}

int op_pin(struct op_call *c, struct err *e)
{
    return submit(c, PIN_KEEP, e);
}

int op_unpin(struct op_call *c, struct err *e)
{
    return submit(c, PIN_DROP, e);
}

int op_settle(struct op_call *c, struct err *e)
{
    return submit(c, PIN_SETTLE, e);
}
