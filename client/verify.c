/* The second half of bundle.h: sums, and figures computed again with the daemon's own code. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/bundle.h"
#include "daemon/energy/marginal.h"
#include "daemon/energy/phases.h"
#include "daemon/store/runs.h"

const char *verify_status_name(enum verify_status s)
{
    static const char *const names[] = {"ok", "differs", "not recomputable"};
    return names[s];
}

void verify_fini(struct verify_report *r)
{
    free(r->lines);
    r->lines = NULL;
    r->n = 0;
}

static struct verify_line *add_line(struct verify_report *r, int64_t run)
{
    r->lines = realloc(r->lines, (r->n + 1) * sizeof *r->lines);
    if (!r->lines)
        abort();
    struct verify_line *l = &r->lines[r->n++];
    *l = (struct verify_line){.run = run};
    return l;
}

/* The worst that was found stands; of equals the first. */
static void set(struct verify_line *l, enum verify_status s, const char *fmt, ...) PRINTF(3, 4);

static void set(struct verify_line *l, enum verify_status s, const char *fmt, ...)
{
    static const int weight[] = {[VERIFY_OK] = 0, [VERIFY_NOT] = 1, [VERIFY_DIFFERS] = 2};
    if (weight[s] <= weight[l->status])
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(l->text, sizeof l->text, fmt, ap);
    va_end(ap);
    l->status = s;
}

static void bad_file(struct verify_report *r, const char *table, const char *what)
{
    struct verify_line *l = add_line(r, 0);
    set(l, VERIFY_DIFFERS, "table %.40s: %.200s", table, what);
    r->damage++;
}

/* ---- sums ---------------------------------------------------------------------------------------- */

struct sums {
    struct verify_report *r;
    struct localdb *db;
    struct err *e;
    char *tables; /* in the file, one a line, with a line end before and after */
};

static int check_table(void *arg, const struct export_cell *c, size_t n)
{
    struct sums *x = arg;
    char hash[65];
    char line[64];
    int64_t rows = 0;
    struct err e = {0};
    const char *name = c[0].text ? c[0].text : "";
    (void)n;
    x->r->tables++;
    (void)snprintf(line, sizeof line, "\n%.60s\n", name);
    if (!strstr(x->tables, line)) {
        bad_file(x->r, name, "is in the manifest and not in the file");
        return 0;
    }
    if (localdb_hash(x->db, name, hash, &rows, &e) < 0)
        bad_file(x->r, name, e.text);
    else if (!c[2].text || strcmp(hash, c[2].text) != 0 || rows != c[1].i)
        bad_file(x->r, name, "its rows are not those that the manifest names");
    return 0;
}

static int check_sums(struct localdb *db, struct verify_report *r, struct err *e)
{
    char hash[65];
    char *names CLEANUP(base_freep) = bundle_tables(db);
    char *lines CLEANUP(base_freep) = base_printf("\n%s\n", names ? names : "");
    struct sums x = {.r = r, .db = db, .e = e, .tables = lines};
    const struct localdb_sink to = {.row = check_table, .arg = &x};
    char *stated CLEANUP(base_freep) =
        localdb_text(db, "SELECT sha256 FROM manifest WHERE name = '(all)'");
    if (!stated) {
        err_set(e, WATTQ_E_INVALID, "this file has no manifest: it is no bundle");
        return err_next(e, "wattq export --bundle FILE RUN... writes one");
    }
    int rc = bundle_manifest_hash(db, hash, e);
    if (rc < 0)
        return rc;
    base_strcpy(r->manifest, sizeof r->manifest, hash);
    if (strcmp(hash, stated) != 0)
        bad_file(r, "manifest", "its checksum is not the one that stands in the file");
    rc = localdb_select(
        db, "SELECT name, rows, sha256 FROM manifest WHERE name <> '(all)' ORDER BY name", &to, e);
    if (rc == 0 &&
        localdb_int(db,
                    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name <>"
                    " 'manifest' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name NOT IN"
                    " (SELECT name FROM manifest)",
                    1) != 0)
        bad_file(r, "manifest", "the file has tables that it does not name");
    return rc;
}

/* ---- figures ------------------------------------------------------------------------------------- */

struct stored {
    int64_t channel; /* 0 = total */
    char figure[16], part[80], method[16], label[64];
    bool provisional;
    int64_t energy_uj, lo_uj, hi_uj; /* RUN_NONE */
    bool done;
};
struct figures {
    struct stored *at;
    size_t n;
};

static int take_figure(void *arg, const struct run_energy *f)
{
    struct figures *x = arg;
    if (x->n % 32 == 0) {
        x->at = realloc(x->at, (x->n + 32) * sizeof *x->at);
        if (!x->at)
            abort();
    }
    struct stored *s = &x->at[x->n++];
    *s = (struct stored){.channel = f->channel,
                         .energy_uj = f->energy_uj,
                         .lo_uj = f->lo_uj,
                         .hi_uj = f->hi_uj,
                         .provisional = strstr(f->flags, "provisional") != NULL};
    base_strcpy(s->figure, sizeof s->figure, f->figure);
    base_strcpy(s->part, sizeof s->part, f->part);
    base_strcpy(s->method, sizeof s->method, f->method);
    base_strcpy(s->label, sizeof s->label, f->channel ? f->label : "total");
    return 0;
}

static const struct energy_figure *computed(const struct energy_set *set, int64_t channel)
{
    if (channel == 0)
        return &set->total;
    for (size_t i = 0; i < set->n; i++)
        if (set->figures[i].channel == channel)
            return &set->figures[i];
    return NULL;
}

static const char *amount(char *buf, size_t cap, int64_t uj)
{
    if (uj == RUN_NONE)
        return "none";
    (void)snprintf(buf, cap, "%lld.%06lld J", (long long)(uj / 1000000),
                   (long long)((uj < 0 ? -uj : uj) % 1000000));
    return buf;
}

static bool compare(struct verify_line *l, const struct stored *s, const char *what, int64_t was,
                    int64_t is)
{
    char a[48];
    char b[48];
    if (was == is)
        return true;
    bool moved = s->provisional && strcmp(what, "energy") == 0;
    set(l, moved ? VERIFY_NOT : VERIFY_DIFFERS, "%s %s of %s: stored %s, from the samples %s%s",
        s->part, what, s->label, amount(a, sizeof a, was), amount(b, sizeof b, is),
        moved ? " (it was provisional when it was stored)" : "");
    return false;
}

/* Figures of this part that follow from the samples alone. */
static bool follows(const struct stored *s, const char *part)
{
    bool machine = strcmp(s->figure, "machine") == 0;
    bool whole = strcmp(s->figure, "attributed") == 0 && strcmp(s->method, "share") != 0;
    return (machine || whole) && strcmp(s->part, part) == 0;
}

/* Less idle power, whose rows the bundle holds. */
static bool is_marginal(const struct stored *s, const char *part)
{
    return strcmp(s->figure, "marginal") == 0 && strcmp(s->method, "share") != 0 &&
           strcmp(s->part, part) == 0;
}

static void compare_part(struct verify_line *l, struct figures *x, const char *part,
                         const struct energy_set *set_now,
                         bool (*wanted)(const struct stored *s, const char *part))
{
    for (size_t i = 0; i < x->n; i++) {
        struct stored *s = &x->at[i];
        if (s->done || !wanted(s, part))
            continue;
        s->done = true;
        const struct energy_figure *f = computed(set_now, s->channel);
        bool known = f && f->known;
        bool bounded = known && f->bounded;
        l->figures++;
        if (!known && s->energy_uj != RUN_NONE) {
            set(l, VERIFY_DIFFERS, "%s energy of %s: it does not follow from the samples%s%.100s",
                s->part, s->label, f && f->reason[0] ? ": " : "", f ? f->reason : "");
            continue;
        }
        if (compare(l, s, "energy", s->energy_uj, known ? f->energy_uj : RUN_NONE) &&
            compare(l, s, "lower bound", s->lo_uj, bounded ? f->lo_uj : RUN_NONE))
            (void)compare(l, s, "upper bound", s->hi_uj, bounded ? f->hi_uj : RUN_NONE);
    }
}

static void compare_window(struct store *s, struct verify_line *l, struct figures *x,
                           const char *part, const struct energy_window *w, int64_t run)
{
    struct energy_set now CLEANUP(energy_set_fini);
    struct energy_set beyond CLEANUP(energy_set_fini) = {0};
    struct err e;
    phases_window(s, w, &now);
    compare_part(l, x, part, &now, follows);
    if (marginal_of_set(s, &now, store_utc_of(s, w->boot, w->t1_ns), run, &beyond, &e) == 0)
        compare_part(l, x, part, &beyond, is_marginal);
}

static int compare_phases(struct store *s, struct verify_line *l, struct figures *x,
                          const struct run_row *r, struct err *e)
{
    struct phases p CLEANUP(phases_fini) = {0};
    int rc = phases_load(s, r->id, r->t0_ns, r->t1_ns, &p, e);
    for (size_t i = 0; rc == 0 && i < p.n; i++) {
        char part[SPEC_KEY_MAX + 8];
        struct energy_set now CLEANUP(energy_set_fini);
        if (!phases_first(&p, i))
            continue;
        (void)snprintf(part, sizeof part, "phase:%s", p.at[i].name);
        phases_energy(s, &p, i, r->boot, &now);
        compare_part(l, x, part, &now, follows);
    }
    return rc;
}

static void look_for_rest(struct verify_line *l, const struct figures *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (!x->at[i].done && x->at[i].energy_uj != RUN_NONE)
            set(l, VERIFY_NOT, "%s %s of %s rests on more than the samples", x->at[i].part,
                x->at[i].figure, x->at[i].label);
    if (l->figures == 0)
        set(l, VERIFY_NOT, "it has no figure");
}

struct looking {
    struct store *s;
    struct verify_report *r;
    struct localdb *db;
    struct err *e;
};

static int is_imported(struct localdb *db, int64_t run)
{
    char sql[80];
    (void)snprintf(sql, sizeof sql, "SELECT origin IS NOT NULL FROM run WHERE id = %lld",
                   (long long)run);
    return localdb_int(db, sql, 0) != 0;
}

static int look_at_run(void *arg, const struct run_row *r)
{
    struct looking *k = arg;
    struct figures x = {0};
    struct verify_line *l = add_line(k->r, r->id);
    int rc = 0;
    if (is_imported(k->db, r->id)) {
        set(l, VERIFY_NOT, "it was measured elsewhere: its samples are not here");
    } else if (r->t0_ns == RUN_NONE && r->t1_ns == RUN_NONE) {
        set(l, VERIFY_NOT, "it never ran");
    } else if (r->t0_ns == RUN_NONE || r->t1_ns == RUN_NONE || r->boot == RUN_NONE) {
        set(l, VERIFY_NOT, "its window is not known");
    } else {
        const struct energy_window w = {r->boot, r->t0_ns, r->t1_ns};
        rc = runs_energy(k->s, r->id, take_figure, &x, k->e);
        if (rc == 0)
            compare_window(k->s, l, &x, "window", &w, r->id);
        if (rc == 0 && r->main_exit_ns > r->t0_ns && r->main_exit_ns < r->t1_ns)
            compare_window(k->s, l, &x, "main",
                           &(struct energy_window){r->boot, r->t0_ns, r->main_exit_ns}, r->id);
        if (rc == 0)
            rc = compare_phases(k->s, l, &x, r, k->e);
        look_for_rest(l, &x);
    }
    k->r->count[l->status]++;
    k->r->figures += l->figures;
    free(x.at);
    return rc < 0 ? rc : 0;
}

int verify_file(const char *path, struct verify_report *out, struct err *e)
{
    struct localdb *db CLEANUP(localdb_closep) = NULL;
    struct store *s = NULL;
    *out = (struct verify_report){0};
    int rc = localdb_open_file(&db, path, e);
    if (rc == 0)
        rc = check_sums(db, out, e);
    if (rc == 0)
        rc = store_open_reader(&s, path, e);
    if (rc == 0) {
        struct looking k = {.s = s, .r = out, .db = db, .e = e};
        const struct run_query q = {.uid = RUN_NONE,
                                    .sweep = RUN_NONE,
                                    .state = -1,
                                    .since_utc_ns = RUN_NONE,
                                    .until_utc_ns = RUN_NONE,
                                    .before_id = RUN_NONE,
                                    .limit = INT64_MAX};
        rc = runs_list(s, &q, look_at_run, &k, e);
    }
    store_close(s);
    return rc;
}
