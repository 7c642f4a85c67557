#include "client/bundle.h"

#include <stdlib.h>
#include <string.h>

#include "client/fetch.h"
#include "client/json.h"
#include "client/study_load.h"
#include "common/sha256.h"
#include "common/units.h"
#include "daemon/energy/energy.h"

#define PIN_AT_ONCE    10000
#define SETTLE_AT_ONCE 200
#define MARGIN_NS      (60 * NS_PER_S) /* windows nearer than this are asked for as one */

static const char *const of_runs[] = {
    "run",   "run_param", "metric", "metric_head", "energy", "energy_part",  "run_total",
    "phase", "event",     "tag",    "note",        "pin",    "run_companion"};
static const char *const whole[] = {"sweep",  "code",         "machine", "origin", "boot",
                                    "anchor", "source",       "channel", "grp",    "grp_slot",
                                    "epoch",  "channel_note", "baseline"};
/* tail first: its rows become chunks while we ask */
static const char *const samples[] = {"tail", "chunk", "head", "epoch_channel", "gap"};

/* ---- windows ------------------------------------------------------------------------------------- */

struct window {
    int64_t boot, t0_ns, t1_ns;
};
struct windows {
    struct window *at;
    size_t n;
};

static int take_window(void *arg, const struct export_cell *c, size_t n)
{
    struct windows *w = arg;
    (void)n;
    struct window x = {c[0].i, c[1].i - MARGIN_NS, c[2].i + MARGIN_NS};
    struct window *last = w->n > 0 ? &w->at[w->n - 1] : NULL;
    if (last && last->boot == x.boot && x.t0_ns <= last->t1_ns) {
        last->t1_ns = x.t1_ns > last->t1_ns ? x.t1_ns : last->t1_ns;
        return 0;
    }
    w->at = realloc(w->at, (w->n + 1) * sizeof *w->at);
    if (!w->at)
        abort();
    w->at[w->n++] = x;
    return 0;
}

static int fetch_samples(const struct fetch *f, struct err *e)
{
    struct windows w = {0};
    const struct localdb_sink to = {.row = take_window, .arg = &w};
    int rc = localdb_select(
        f->db,
        "SELECT boot, t0_ns, coalesce(t1_ns, main_exit_ns, t0_ns) FROM run WHERE boot"
        " IS NOT NULL AND t0_ns IS NOT NULL AND origin IS NULL ORDER BY boot, t0_ns",
        &to, e);
    for (size_t i = 0; rc == 0 && i < w.n; i++)
        for (size_t k = 0; rc == 0 && k < ARRAY_LEN(samples); k++)
            rc = fetch_window(f, samples[k], w.at[i].boot, w.at[i].t0_ns, w.at[i].t1_ns, e);
    free(w.at);
    return rc;
}

/* ---- what goes in -------------------------------------------------------------------------------- */

static int all_ended(struct localdb *db, struct err *e)
{
    int64_t run = localdb_int(db,
                              "SELECT id FROM run WHERE state IN ('held', 'queued', 'starting',"
                              " 'running', 'paused', 'stopping') LIMIT 1",
                              0);
    if (run == 0)
        return 0;
    err_set(e, WATTQ_E_CONFLICT, "run %lld has not ended", (long long)run);
    return err_next(e, "wait for it: wattq wait %lld", (long long)run);
}

static int prune(struct localdb *db, struct err *e)
{
    return localdb_exec(
        db,
        "DELETE FROM code WHERE hash NOT IN (SELECT code FROM run WHERE code IS NOT NULL);"
        "DELETE FROM sweep WHERE id NOT IN (SELECT sweep FROM run WHERE sweep IS NOT NULL);"
        "DELETE FROM origin WHERE id NOT IN (SELECT origin FROM run WHERE origin IS NOT NULL);"
        "DELETE FROM machine WHERE id NOT IN (SELECT machine_start FROM run WHERE machine_start"
        " IS NOT NULL UNION SELECT machine_end FROM run WHERE machine_end IS NOT NULL);"
        "DELETE FROM boot WHERE id NOT IN (SELECT boot FROM run WHERE boot IS NOT NULL);"
        "DELETE FROM anchor WHERE boot NOT IN (SELECT id FROM boot);"
        "DELETE FROM channel_note WHERE boot NOT IN (SELECT id FROM boot);"
        "DELETE FROM epoch WHERE boot NOT IN (SELECT id FROM boot)",
        e);
}

static int fetch_all(const struct fetch *f, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(of_runs); i++)
        rc = fetch_table(f, of_runs[i], e);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(whole); i++)
        rc = fetch_table(f, whole[i], e);
    if (rc == 0)
        rc = all_ended(f->db, e);
    if (rc == 0)
        rc = fetch_samples(f, e);
    return rc == 0 ? prune(f->db, e) : rc;
}

/* Names and sentences of STUDY_EXCLUSIONS are ours and hold no quote; a reason may: it is left to the run. */
static int put_exclusions(struct localdb *db, struct conn *c, const struct sel *runs, struct err *e)
{
    struct study s;
    study_init(&s);
    int rc = study_load(&s, c, runs->ids, runs->n, e);
    for (size_t i = 0; rc == 0 && i < s.n; i++)
        for (int x = 0; rc == 0 && x < STUDY_X_COUNT; x++)
            if (s.runs[i].excluded >> x & 1)
                rc = localdb_execf(
                    db, e, "INSERT OR IGNORE INTO exclusion VALUES(%lld, '%s', '%s')",
                    (long long)s.runs[i].run, study_exclusion_name((enum study_exclusion)x),
                    study_exclusion_text((enum study_exclusion)x));
    for (size_t i = 0; rc == 0 && i < s.nleft; i++)
        rc = localdb_execf(db, e,
                           "INSERT OR IGNORE INTO exclusion VALUES(%lld, 'no_network',"
                           " 'it is no finished training run of a network')",
                           (long long)s.left[i].run);
    study_fini(&s);
    return rc;
}

static int put_facts(struct localdb *db, const struct app *app, struct err *e)
{
    char text[64];
    size_t bytes = 0;
    char *words CLEANUP(base_freep) = NULL;
    FILE *f = open_memstream(&words, &bytes);
    if (!f)
        abort();
    for (size_t i = 1; i < app->args.npos; i++)
        (void)fprintf(f, "%s%s", i > 1 ? " " : "", app->args.pos[i]);
    (void)fclose(f);
    (void)snprintf(text, sizeof text, "%lld", (long long)clock_utc_ns());
    int rc = localdb_meta(db, "made_utc_ns", text, e);
    if (rc == 0)
        rc = localdb_meta(db, "wattq_version", WATTQ_VERSION, e);
    (void)snprintf(text, sizeof text, "%d", ENERGY_ALGO_VERSION);
    if (rc == 0)
        rc = localdb_meta(db, "algo", text, e);
    return rc == 0 ? localdb_meta(db, "selection", words, e) : rc;
}

/* ---- the manifest -------------------------------------------------------------------------------- */

char *bundle_tables(struct localdb *db)
{
    return localdb_text(db, "SELECT group_concat(name, char(10)) FROM (SELECT name FROM"
                            " sqlite_master WHERE type = 'table' AND name <> 'manifest' AND name"
                            " NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name)");
}

static int hash_line(void *arg, const struct export_cell *c, size_t n)
{
    char line[200];
    (void)n;
    int len = snprintf(line, sizeof line, "%.60s %lld %.64s\n", c[0].text ? c[0].text : "",
                       (long long)c[1].i, c[2].text ? c[2].text : "");
    sha256_add(arg, line, (size_t)len);
    return 0;
}

int bundle_manifest_hash(struct localdb *db, char out[65], struct err *e)
{
    struct sha256 h;
    const struct localdb_sink to = {.row = hash_line, .arg = &h};
    sha256_init(&h);
    int rc = localdb_select(
        db, "SELECT name, rows, sha256 FROM manifest WHERE name <> '(all)' ORDER BY name", &to, e);
    sha256_end_hex(&h, out);
    return rc;
}

static int put_manifest(struct localdb *db, char manifest[65], struct err *e)
{
    char *tables CLEANUP(base_freep) = bundle_tables(db);
    char *rest = tables;
    int rc = 0;
    for (char *name; rc == 0 && (name = strsep(&rest, "\n"));) {
        char hash[65];
        int64_t rows;
        rc = localdb_hash(db, name, hash, &rows, e);
        if (rc == 0)
            rc = localdb_execf(db, e, "INSERT INTO manifest VALUES('%s', %lld, '%s')", name,
                               (long long)rows, hash);
    }
    if (rc == 0)
        rc = bundle_manifest_hash(db, manifest, e);
    return rc == 0 ? localdb_execf(db, e,
                                   "INSERT INTO manifest SELECT '(all)', sum(rows), '%s' FROM"
                                   " manifest",
                                   manifest)
                   : rc;
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static int pin(struct conn *c, const struct sel *runs, const char *path, const char *manifest,
               struct err *e)
{
    char reason[160];
    const char *name = strrchr(path, '/');
    (void)snprintf(reason, sizeof reason, "bundle %.60s sha256:%s", name ? name + 1 : path,
                   manifest);
    return sel_tell(c, "pin", PIN_AT_ONCE, runs, reason, e);
}

static int build(const struct app *app, struct conn *c, const struct sel *runs, const char *path,
                 char manifest[65], struct err *e)
{
    struct localdb *db CLEANUP(localdb_closep) = NULL;
    int rc = localdb_open(&db, path, e);
    if (rc < 0)
        return rc;
    const struct fetch f = {.c = c, .db = db, .runs = runs};
    rc = localdb_exec(db,
                      "CREATE TABLE exclusion(run INTEGER NOT NULL, name TEXT NOT NULL, text TEXT"
                      " NOT NULL, PRIMARY KEY(run, name)) STRICT;"
                      "CREATE TABLE manifest(name TEXT PRIMARY KEY, rows INTEGER NOT NULL,"
                      " sha256 TEXT NOT NULL) STRICT",
                      e);
    if (rc == 0)
        rc = fetch_all(&f, e);
    if (rc == 0)
        rc = put_exclusions(db, c, runs, e);
    if (rc == 0)
        rc = put_facts(db, app, e);
    if (rc == 0)
        rc = put_manifest(db, manifest, e);
    return rc == 0 ? localdb_keep(db, e) : rc;
}

static int report(const struct app *app, const char *path, const struct verify_report *r,
                  const char *manifest, struct err *e)
{
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.export_bundle/1"));
    json_put(doc, "path", json_text(path, strlen(path)));
    json_put(doc, "manifest_sha256", json_string(manifest));
    json_put(doc, "runs", json_integer((json_int_t)(r->n - r->damage)));
    json_put(doc, "ok", json_integer((json_int_t)r->count[VERIFY_OK]));
    json_put(doc, "differs", json_integer((json_int_t)r->count[VERIFY_DIFFERS]));
    json_put(doc, "not_recomputable", json_integer((json_int_t)r->count[VERIFY_NOT]));
    return json_write(app->print.out, doc, false, e);
}

int bundle_write(const struct app *app, struct conn *c, const struct sel *runs, const char *path,
                 struct err *e)
{
    char manifest[65];
    struct verify_report r = {0};
    /* A figure of a run that has just ended may still get better: what is published is what stays. */
    int rc = sel_tell(c, "settle", SETTLE_AT_ONCE, runs, NULL, e);
    if (rc == 0)
        rc = build(app, c, runs, path, manifest, e);
    if (rc == 0)
        rc = pin(c, runs, path, manifest, e);
    if (rc == 0)
        rc = verify_file(path, &r, e);
    if (rc == 0 && app->json)
        rc = report(app, path, &r, manifest, e);
    else if (rc == 0)
        cmd_say(app,
                "wattq: %zu runs in %s: computed again from its samples %zu are as stored, %zu "
                "differ, %zu cannot be\n       sha256:%s",
                r.n - r.damage, path, r.count[VERIFY_OK], r.count[VERIFY_DIFFERS],
                r.count[VERIFY_NOT], manifest);
    verify_fini(&r);
    return rc;
}
