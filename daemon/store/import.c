#include "daemon/store/import.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/store/runs.h"
#include "daemon/store/stmt.h"

#define UJ_MAX    (INT64_C(1) << 60) /* a larger figure is no energy */
#define TEXT_MAX  (512u << 10)
#define SHORT_MAX 160 /* of labels, words, keys */

/* ---- what a table may hold ----------------------------------------------------------------------- */

enum kind {
    K_INT,
    K_REAL,
    K_ANY, /* as the parameter's type says */
    K_WORD,
    K_TEXT,
    K_OWN, /* the row's id in the file: remembered, not stored */
    K_RUN, /* ids of other tables' rows */
    K_CHANNEL,
    K_ENERGY,
    K_BOOT,
    K_MACHINE
};
enum ref { REF_RUN, REF_CHANNEL, REF_ENERGY, REF_BOOT, REF_MACHINE, REF_COUNT, REF_NONE };

struct column {
    const char *name;
    enum kind kind;
    bool needed; /* not NULL */
};
struct table {
    const char *name;
    enum stmt_id stmt;
    enum ref own;
    struct column col[IMPORT_COLUMNS_MAX];
};

#define N true
static const struct table tables[] = {
    {"boot",
     STMT_I_BOOT,
     REF_BOOT,
     {{"id", K_OWN, N}, {"boot_id", K_WORD, N}, {"machine", K_TEXT, N}}},
    {"machine",
     STMT_I_MACHINE,
     REF_MACHINE,
     {{"id", K_OWN, N}, {"hash", K_WORD, N}, {"facts", K_TEXT, N}}},
    {"code",
     STMT_I_CODE,
     REF_NONE,
     {{"hash", K_WORD, N},
      {"commit_id", K_WORD, 0},
      {"dirty", K_INT, 0},
      {"diff", K_TEXT, 0},
      {"script_sha256", K_WORD, 0},
      {"interpreter", K_TEXT, 0},
      {"packages_sha256", K_WORD, 0}}},
    {"channel",
     STMT_I_CHANNEL,
     REF_CHANNEL,
     {{"id", K_OWN, N},
      {"uid", K_WORD, N},
      {"label", K_WORD, N},
      {"kind", K_WORD, N},
      {"unit", K_WORD, N},
      {"covers", K_TEXT, N},
      {"scope", K_WORD, N},
      {"quality", K_WORD, N},
      {"quantum", K_INT, N},
      {"wrap_uj", K_INT, 0},
      {"period_ns", K_INT, N},
      {"period_declared", K_INT, N},
      {"lag_ns", K_INT, N},
      {"box_ns", K_INT, N},
      {"pmax_uw", K_INT, 0},
      {"accuracy_ppm", K_INT, 0}}},
    {"run",
     STMT_I_RUN,
     REF_RUN,
     {{"id", K_OWN, N},
      {"uuid", K_WORD, N},
      {"state", K_WORD, N},
      {"kind", K_WORD, N},
      {"spec", K_TEXT, N},
      {"label", K_WORD, N},
      {"project", K_WORD, N},
      {"mode", K_WORD, N},
      {"code", K_WORD, 0},
      {"boot", K_BOOT, 0},
      {"submitted_utc_ns", K_INT, N},
      {"started_utc_ns", K_INT, 0},
      {"ended_utc_ns", K_INT, 0},
      {"t0_ns", K_INT, 0},
      {"main_exit_ns", K_INT, 0},
      {"t1_ns", K_INT, 0},
      {"exit_code", K_INT, 0},
      {"term_signal", K_INT, 0},
      {"reason", K_TEXT, 0},
      {"cpu_us", K_INT, 0},
      {"cpu_basis", K_WORD, 0},
      {"maxrss_bytes", K_INT, 0},
      {"leftovers", K_INT, 0},
      {"machine_start", K_MACHINE, 0},
      {"machine_end", K_MACHINE, 0}}},
    {"run_param",
     STMT_I_PARAM,
     REF_NONE,
     {{"run", K_RUN, N}, {"key", K_WORD, N}, {"type", K_WORD, N}, {"value", K_ANY, N}}},
    {"metric",
     STMT_I_METRIC,
     REF_NONE,
     {{"run", K_RUN, N},
      {"seq", K_INT, N},
      {"step", K_INT, 0},
      {"key", K_WORD, N},
      {"value", K_REAL, N},
      {"t_ns", K_INT, N},
      {"stamp", K_WORD, N}}},
    {"energy",
     STMT_I_ENERGY,
     REF_ENERGY,
     {{"id", K_OWN, N},           {"run", K_RUN, N},
      {"channel", K_CHANNEL, 0},  {"figure", K_WORD, N},
      {"part", K_WORD, N},        {"method", K_WORD, N},
      {"algo", K_INT, N},         {"policy", K_WORD, 0},
      {"energy_uj", K_INT, 0},    {"lo_uj", K_INT, 0},
      {"hi_uj", K_INT, 0},        {"bound_basis", K_WORD, N},
      {"covered_ns", K_INT, N},   {"bridged_uj", K_INT, N},
      {"unknown_ns", K_INT, N},   {"random_uj", K_INT, 0},
      {"gain_ppm", K_INT, 0},     {"flags", K_WORD, N},
      {"reason", K_TEXT, 0},      {"computed_utc_ns", K_INT, N},
      {"samples", K_INT, 0},      {"max_gap_ns", K_INT, 0},
      {"sampling_uj", K_INT, 0},  {"sampled_ppm", K_INT, 0},
      {"idle_uj", K_INT, 0},      {"range_lo_uj", K_INT, 0},
      {"range_hi_uj", K_INT, 0},  {"version", K_WORD, 0},
      {"lag_ns", K_INT, 0},       {"lag_basis", K_WORD, 0},
      {"uncovered_uj", K_INT, 0}, {"uncovered_beyond", K_TEXT, 0}}},
    {"energy_part", STMT_I_PART, REF_NONE, {{"total", K_ENERGY, N}, {"channel", K_CHANNEL, N}}},
    {"run_companion",
     STMT_I_COMPANION,
     REF_NONE,
     {{"run", K_RUN, N},
      {"channel", K_CHANNEL, N},
      {"samples", K_INT, N},
      {"known_ns", K_INT, N},
      {"min", K_INT, 0},
      {"mean", K_INT, 0},
      {"max", K_INT, 0},
      {"first", K_INT, N},
      {"last", K_INT, N},
      {"gained", K_INT, 0},
      {"bits", K_INT, 0},
      {"limited_ns", K_INT, 0},
      {"capped_ns", K_INT, 0}}},
    {"phase",
     STMT_I_PHASE,
     REF_NONE,
     {{"run", K_RUN, N}, {"name", K_WORD, N}, {"t0_ns", K_INT, N}, {"t1_ns", K_INT, 0}}},
    {"tag", STMT_I_TAG, REF_NONE, {{"run", K_RUN, N}, {"tag", K_WORD, N}}},
    {"note", STMT_I_NOTE, REF_NONE, {{"run", K_RUN, N}, {"utc_ns", K_INT, N}, {"text", K_TEXT, N}}},
};
#undef N

static const struct table *find_table(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(tables); i++)
        if (strcmp(tables[i].name, name) == 0)
            return &tables[i];
    return NULL;
}

static size_t width(const struct table *t)
{
    size_t n = 0;
    while (n < IMPORT_COLUMNS_MAX && t->col[n].name)
        n++;
    return n;
}

const char *import_table(size_t i)
{
    return i < ARRAY_LEN(tables) ? tables[i].name : NULL;
}

size_t import_columns(const char *table, const char *names[IMPORT_COLUMNS_MAX])
{
    const struct table *t = find_table(table);
    size_t n = t ? width(t) : 0;
    for (size_t i = 0; i < n; i++)
        names[i] = t->col[i].name;
    return n;
}

int import_check(const struct wire_val *frame, struct err *e)
{
    const char *name = wire_str(frame, "table", "");
    const struct table *t = find_table(name);
    const struct wire_val *columns = wire_get(frame, "columns");
    const struct wire_val *rows = wire_get(frame, "rows");
    if (!t)
        return err_set(e, WATTQ_E_INVALID, "there is no table '%.40s' to import into", name);
    size_t n = width(t);
    bool same = wire_len(columns) == n;
    for (size_t i = 0; same && i < n; i++)
        same = strcmp(wire_as_str(wire_at(columns, i), ""), t->col[i].name) == 0;
    if (!same)
        return err_set(e, WATTQ_E_INVALID, "table %s has other columns, or another order of them",
                       name);
    if (wire_type(rows) != WIRE_ARRAY)
        return err_set(e, WATTQ_E_INVALID, "'rows' must be an array of rows");
    for (size_t i = 0; i < wire_len(rows); i++)
        if (wire_type(wire_at(rows, i)) != WIRE_ARRAY || wire_len(wire_at(rows, i)) != n)
            return err_set(e, WATTQ_E_INVALID, "row %zu of table %s has another width", i + 1,
                           name);
    return 0;
}

/* ---- ids ----------------------------------------------------------------------------------------- */

struct map {
    int64_t *from; /* rising */
    int64_t *to;   /* 0 = the row was passed over */
    size_t n, cap;
};
struct import {
    struct store *s;
    int64_t origin, uid, source;
    char *machine;
    struct map maps[REF_COUNT];
    int64_t *totals; /* energies to copy into run_total */
    size_t ntotals;
    int64_t fresh, known;
};

struct import *import_new(struct store *s)
{
    struct import *im = base_alloc(sizeof(*im));
    im->s = s;
    return im;
}

void import_free(struct import *im)
{
    if (!im)
        return;
    for (int i = 0; i < REF_COUNT; i++) {
        free(im->maps[i].from);
        free(im->maps[i].to);
    }
    free(im->totals);
    free(im->machine);
    free(im);
}

int64_t import_new_runs(const struct import *im)
{
    return im->fresh;
}

int64_t import_known_runs(const struct import *im)
{
    return im->known;
}

static bool grow(int64_t **p, size_t cap)
{
    int64_t *more = reallocarray(*p, cap, sizeof(*more));
    if (more)
        *p = more;
    return more != NULL;
}

static int remember(struct map *m, int64_t from, int64_t to, struct err *e)
{
    if (m->n > 0 && from <= m->from[m->n - 1])
        return err_set(e, WATTQ_E_INVALID, "ids must rise within a table");
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 256;
        if (!grow(&m->from, cap) || !grow(&m->to, cap))
            return err_set(e, WATTQ_E_LIMIT, "no memory for so many rows");
        m->cap = cap;
    }
    m->from[m->n] = from;
    m->to[m->n++] = to;
    return 0;
}

/* 0; 1 = the file has no such row. */
static int look_up(const struct map *m, int64_t from, int64_t *to)
{
    size_t lo = 0, hi = m->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (m->from[mid] < from)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == m->n || m->from[lo] != from)
        return 1;
    *to = m->to[lo];
    return 0;
}

/* ---- rows ---------------------------------------------------------------------------------------- */

static const struct wire_val *value_of(const struct table *t, const struct wire_val *row,
                                       const char *name)
{
    for (size_t i = 0; t->col[i].name; i++)
        if (strcmp(t->col[i].name, name) == 0)
            return wire_at(row, i);
    return NULL;
}

static int is_known(struct import *im, const char *uuid, struct err *e)
{
    STMT_USE(st, im->s, I_KNOWN);
    stmt_bind_text(st, 1, uuid);
    return stmt_step(st, e);
}

static bool uuid_ok(const char *s)
{
    if (strlen(s) != 36)
        return false;
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i]))
            return false;
    }
    return true;
}

int import_scan(struct import *im, const struct wire_val *frame, struct err *e)
{
    const struct table *t = find_table(wire_str(frame, "table", ""));
    const struct wire_val *rows = wire_get(frame, "rows");
    if (!t || t->own != REF_RUN)
        return 0;
    for (size_t i = 0; i < wire_len(rows); i++) {
        int rc = is_known(im, wire_as_str(value_of(t, wire_at(rows, i), "uuid"), ""), e);
        if (rc < 0)
            return rc;
        im->known += rc;
        im->fresh += rc == 0;
    }
    return 0;
}

/* What the schema's own checks do not say. */
static int check_run(const struct table *t, const struct wire_val *row, struct err *e)
{
    enum run_state state;
    struct spec spec;
    int64_t t0 = wire_as_int(value_of(t, row, "t0_ns"), RUN_NONE);
    int64_t t1 = wire_as_int(value_of(t, row, "t1_ns"), RUN_NONE);
    const char *uuid = wire_as_str(value_of(t, row, "uuid"), "");
    const char *word = wire_as_str(value_of(t, row, "state"), "");
    if (!uuid_ok(uuid))
        return err_set(e, WATTQ_E_INVALID, "'%.40s' is no run's uuid", uuid);
    if (run_state_parse(word, &state) != 0 || !run_state_ended(state))
        return err_set(e, WATTQ_E_INVALID, "run %s is '%.20s': only ended runs are imported", uuid,
                       word);
    if (t0 != RUN_NONE && t1 != RUN_NONE && t1 < t0)
        return err_set(e, WATTQ_E_INVALID, "run %s ends before it begins", uuid);
    if (strlen(wire_as_str(value_of(t, row, "label"), "")) > SPEC_LABEL_MAX ||
        strlen(wire_as_str(value_of(t, row, "project"), "")) > SPEC_LABEL_MAX)
        return err_set(e, WATTQ_E_INVALID, "run %s has a label that is too long", uuid);
    struct err why = {0};
    if (runs_spec_parse(wire_as_str(value_of(t, row, "spec"), ""), &spec, &why) != 0)
        return err_set(e, WATTQ_E_INVALID, "run %s: %.160s", uuid, why.text); /* sent, not stored */
    spec_fini(&spec);
    return 0;
}

static int check_energy(const struct table *t, const struct wire_val *row, struct err *e)
{
    const char *method = wire_as_str(value_of(t, row, "method"), "");
    int64_t uj = wire_as_int(value_of(t, row, "energy_uj"), RUN_NONE);
    int64_t lo = wire_as_int(value_of(t, row, "lo_uj"), RUN_NONE);
    int64_t hi = wire_as_int(value_of(t, row, "hi_uj"), RUN_NONE);
    bool known = false;
    for (int i = ENERGY_COUNTER; i <= ENERGY_SHARE; i++)
        known = known || strcmp(method, energy_method_name((enum energy_method)i)) == 0;
    if (!known)
        return err_set(e, WATTQ_E_INVALID, "there is no method '%.20s' of a figure", method);
    if ((uj != RUN_NONE && (uj > UJ_MAX || uj < -UJ_MAX)) || (lo == RUN_NONE) != (hi == RUN_NONE) ||
        (lo != RUN_NONE && (lo > hi || uj == RUN_NONE)))
        return err_set(e, WATTQ_E_INVALID, "a figure's energy and bounds do not go together");
    return 0;
}

static int check_companion(const struct table *t, const struct wire_val *row, struct err *e)
{
    static const char *const amounts[] = {"samples", "known_ns",   "gained",
                                          "bits",    "limited_ns", "capped_ns"};
    for (size_t i = 0; i < ARRAY_LEN(amounts); i++)
        if (wire_as_int(value_of(t, row, amounts[i]), 0) < 0)
            return err_set(e, WATTQ_E_INVALID, "column %s of a companion is below 0", amounts[i]);
    return 0;
}

static int check_key(const char *key, struct err *e)
{
    if (*key && strlen(key) < SPEC_KEY_MAX)
        return 0;
    return err_set(e, WATTQ_E_INVALID, "'%.80s' is no name of 1 to %d bytes", key,
                   SPEC_KEY_MAX - 1);
}

static int check_row(const struct table *t, const struct wire_val *row, struct err *e)
{
    if (t->own == REF_RUN)
        return check_run(t, row, e);
    if (t->own == REF_ENERGY)
        return check_energy(t, row, e);
    if (t->stmt == STMT_I_COMPANION)
        return check_companion(t, row, e);
    if (t->stmt == STMT_I_PARAM || t->stmt == STMT_I_METRIC)
        return check_key(wire_as_str(value_of(t, row, "key"), ""), e);
    if (t->stmt == STMT_I_PHASE)
        return check_key(wire_as_str(value_of(t, row, "name"), ""), e);
    return 0;
}

static int wrong(const struct table *t, size_t i, const char *what, struct err *e)
{
    return err_set(e, WATTQ_E_INVALID, "column %s of table %s %s", t->col[i].name, t->name, what);
}

static int bind_text(sqlite3_stmt *st, int param, const struct table *t, size_t i,
                     const struct wire_val *v, struct err *e)
{
    const char *s = wire_as_str(v, NULL);
    size_t most = t->col[i].kind == K_WORD ? SHORT_MAX : TEXT_MAX;
    if (!s)
        return wrong(t, i, "must be text", e);
    if (strlen(s) > most)
        return wrong(t, i, "holds a text that is too long", e);
    stmt_bind_text(st, param, s);
    return 0;
}

static int bind_ref(const struct import *im, sqlite3_stmt *st, int param, const struct table *t,
                    size_t i, const struct wire_val *v, struct err *e)
{
    static const enum ref refs[] = {[K_RUN] = REF_RUN,
                                    [K_CHANNEL] = REF_CHANNEL,
                                    [K_ENERGY] = REF_ENERGY,
                                    [K_BOOT] = REF_BOOT,
                                    [K_MACHINE] = REF_MACHINE};
    int64_t to = 0;
    if (wire_type(v) != WIRE_INT ||
        look_up(&im->maps[refs[t->col[i].kind]], wire_as_int(v, 0), &to) != 0)
        return wrong(t, i, "names a row that the file does not hold", e);
    stmt_bind_int(st, param, to);
    return to == 0; /* 1 = belongs to a run that is here already */
}

static int bind_one(const struct import *im, sqlite3_stmt *st, int param, const struct table *t,
                    size_t i, const struct wire_val *v, struct err *e)
{
    enum wire_type type = wire_type(v);
    if (type == WIRE_NIL)
        return t->col[i].needed ? wrong(t, i, "must not be empty", e) : 0;
    switch (t->col[i].kind) {
    case K_INT:
        if (type != WIRE_INT)
            return wrong(t, i, "must be an integer", e);
        stmt_bind_int(st, param, wire_as_int(v, 0));
        return 0;
    case K_REAL:
        if (type != WIRE_F64 && type != WIRE_INT)
            return wrong(t, i, "must be a number", e);
        stmt_bind_real(st, param, wire_as_f64(v, 0));
        return 0;
    case K_ANY:
        if (type == WIRE_INT)
            stmt_bind_int(st, param, wire_as_int(v, 0));
        else if (type == WIRE_F64)
            stmt_bind_real(st, param, wire_as_f64(v, 0));
        else
            return bind_text(st, param, t, i, v, e);
        return 0;
    case K_WORD:
    case K_TEXT:
        return bind_text(st, param, t, i, v, e);
    case K_OWN:
        return type == WIRE_INT ? 0 : wrong(t, i, "must be an integer", e);
    case K_RUN:
    case K_CHANNEL:
    case K_ENERGY:
    case K_BOOT:
    case K_MACHINE:
        return bind_ref(im, st, param, t, i, v, e);
    }
    return 0;
}

/* What the file cannot say. */
static void bind_ours(const struct import *im, sqlite3_stmt *st, const struct table *t, int param)
{
    if (t->own == REF_RUN) {
        stmt_bind_int(st, param, im->uid);
        stmt_bind_int(st, param + 1, im->origin);
    } else if (t->own == REF_CHANNEL) {
        stmt_bind_int(st, param, im->source);
        stmt_bind_text(st, param + 1, im->machine);
    } else if (t->stmt == STMT_I_NOTE) {
        stmt_bind_int(st, param, im->uid);
    }
}

static bool is_run_total(const struct table *t, const struct wire_val *row)
{
    return t->own == REF_ENERGY && wire_type(value_of(t, row, "channel")) == WIRE_NIL &&
           strcmp(wire_as_str(value_of(t, row, "figure"), ""), "machine") == 0 &&
           strcmp(wire_as_str(value_of(t, row, "part"), ""), "window") == 0;
}

/* 1 = passed over: its run is here already. */
static int insert(struct import *im, const struct table *t, const struct wire_val *row, int64_t *id,
                  struct err *e)
{
    int param = 1;
    sqlite3_stmt *st CLEANUP(stmt_put) = stmt_get(im->s, t->stmt);
    for (size_t i = 0; t->col[i].name; i++) {
        int rc = bind_one(im, st, param, t, i, wire_at(row, i), e);
        if (rc != 0)
            return rc;
        param += t->col[i].kind != K_OWN;
    }
    bind_ours(im, st, t, param);
    int rc = stmt_step(st, e);
    if (rc > 0) {
        *id = stmt_int(st, 0);
        rc = stmt_run(st, e);
    }
    return rc;
}

static int apply_row(struct import *im, const struct table *t, const struct wire_val *row,
                     struct err *e)
{
    int64_t id = 0;
    int rc = check_row(t, row, e);
    if (rc == 0 && t->own == REF_RUN) {
        rc = is_known(im, wire_as_str(value_of(t, row, "uuid"), ""), e);
        if (rc > 0)
            return remember(&im->maps[REF_RUN], wire_as_int(wire_at(row, 0), 0), 0, e);
    }
    if (rc == 0)
        rc = insert(im, t, row, &id, e);
    if (rc < 0)
        return rc;
    if (t->own != REF_NONE)
        rc = remember(&im->maps[t->own], wire_as_int(wire_at(row, 0), 0), rc > 0 ? 0 : id, e);
    if (rc == 0 && id > 0 && is_run_total(t, row)) {
        if (im->ntotals % 256 == 0) {
            int64_t *more = reallocarray(im->totals, im->ntotals + 256, sizeof(*more));
            if (!more)
                return err_set(e, WATTQ_E_LIMIT, "no memory for so many figures");
            im->totals = more;
        }
        im->totals[im->ntotals++] = id;
    }
    return rc < 0 ? rc : 0;
}

int import_begin(struct import *im, const struct import_head *h, int64_t *origin, struct err *e)
{
    char source[96];
    im->uid = h->uid;
    im->machine = base_strdup(h->machine);
    {
        STMT_USE(st, im->s, I_ORIGIN);
        stmt_bind_text(st, 1, h->machine);
        stmt_bind_text(st, 2, h->format);
        stmt_bind_text(st, 3, h->sha256);
        stmt_bind_text(st, 4, h->facts);
        stmt_bind_int(st, 5, h->uid);
        stmt_bind_int(st, 6, h->utc_ns);
        int rc = stmt_run(st, e);
        if (rc < 0)
            return rc;
        *origin = im->origin = stmt_last_id(im->s);
    }
    (void)snprintf(source, sizeof(source), "import:%.80s", h->machine);
    STMT_USE(st, im->s, SOURCE_PUT);
    stmt_bind_text(st, 1, source);
    int rc = stmt_step(st, e);
    if (rc > 0) {
        im->source = stmt_int(st, 0);
        rc = stmt_run(st, e);
    }
    return rc;
}

int import_apply(struct import *im, const struct wire_val *frame, struct err *e)
{
    const struct table *t = find_table(wire_str(frame, "table", ""));
    const struct wire_val *rows = wire_get(frame, "rows");
    int64_t line = wire_int(frame, "row", 1);
    int rc = import_check(frame, e);
    for (size_t i = 0; rc == 0 && i < wire_len(rows); i++) {
        struct err why = {0};
        rc = apply_row(im, t, wire_at(rows, i), &why);
        if (rc < 0)
            rc = err_set(e, rc == WATTQ_E_CONFLICT ? WATTQ_E_INVALID : rc,
                         "row %lld of table %s: %.200s", (long long)(line + (int64_t)i), t->name,
                         why.text);
    }
    return rc;
}

int import_end(struct import *im, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < im->ntotals; i++) {
        STMT_USE(st, im->s, RUN_TOTAL_PUT);
        stmt_bind_int(st, 1, im->totals[i]);
        rc = stmt_run(st, e);
    }
    return rc;
}
