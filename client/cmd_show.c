/* show: everything about a run, for reading. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/datum.h"
#include "client/follow.h"
#include "client/show_beside.h"
#include "client/show_energy.h"
#include "common/units.h"

#define OTHERS_SHOWN 5
#define EPOCHS_SHOWN 20 /* first and last halves of it; --json has all */

static void head(const struct app *app, const char *title)
{
    (void)fprintf(app->print.out, "\n%s%s%s\n", print_tone_on(&app->print, TONE_BOLD), title,
                  print_tone_off(&app->print, TONE_BOLD));
}

static void line(const struct app *app, const char *name, const char *value)
{
    if (value && *value)
        (void)fprintf(app->print.out, "  %-10s %s\n", name, value);
}

static void show_links(const struct app *app, const struct wire_val *run)
{
    static const struct {
        const char *key;
        const char *name;
    } links[] = {{"sweep", "sweep"}, {"retry_of", "retry of"}, {"retried_by", "retried by"}};
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        int64_t id = wire_int(run, links[i].key, 0);
        if (id > 0)
            (void)fprintf(app->print.out, "  %-10s %lld\n", links[i].name, (long long)id);
    }
}

/* A run that was measured elsewhere says so. */
static void show_origin(const struct app *app, const struct wire_val *run)
{
    int64_t origin = wire_int(run, "origin", 0);
    if (origin > 0)
        (void)fprintf(app->print.out, "  %-10s %s (imported, origin %lld)\n", "measured on",
                      wire_str(run, "machine", "another machine"), (long long)origin);
}

static void show_pin(const struct app *app, const struct wire_val *run)
{
    const char *why = wire_str(run, "pinned", NULL);
    if (why)
        (void)fprintf(app->print.out, "  %-10s its samples are kept: %s\n", "pinned", why);
}

static void show_tags(const struct app *app, const struct wire_val *run)
{
    const struct wire_val *tags = wire_get(run, "tags");
    if (wire_len(tags) == 0)
        return;
    (void)fprintf(app->print.out, "  %-10s", "tags");
    for (size_t i = 0; i < wire_len(tags); i++)
        (void)fprintf(app->print.out, " %s", wire_as_str(wire_at(tags, i), "?"));
    (void)fputc('\n', app->print.out);
}

static void show_gpus(const struct app *app, const struct wire_val *run)
{
    const struct wire_val *ids = wire_get(run, "gpu_ids");
    int64_t asked = wire_int(run, "gpus", PRINT_NONE);
    for (size_t i = 0; i < wire_len(ids); i++)
        (void)fprintf(app->print.out, "  %-10s %s\n", i == 0 ? "GPUs" : "",
                      wire_as_str(wire_at(ids, i), "?"));
    if (wire_len(ids) == 0 && asked >= 0)
        (void)fprintf(app->print.out, "  %-10s %lld asked for, none given\n", "GPUs",
                      (long long)asked);
}

static void show_cpus(const struct app *app, const struct wire_val *run)
{
    int64_t n = wire_int(run, "cpus", PRINT_NONE);
    if (n != PRINT_NONE)
        (void)fprintf(app->print.out, "  %-10s %lld%s\n", "CPUs", (long long)n,
                      wire_bool(run, "exclusive", false) ? " asked for, all its own" : "");
}

static void show_mem(const struct app *app, const struct wire_val *run)
{
    char peak[40], rss[40];
    int64_t of_one = wire_int(run, "maxrss_bytes", PRINT_NONE);
    int64_t of_all = wire_int(run, "mem_peak_bytes", PRINT_NONE);
    if (of_all != PRINT_NONE)
        (void)fprintf(app->print.out, "  %-10s %s at most, all its processes together\n", "memory",
                      print_bytes(peak, sizeof peak, of_all));
    if (of_one != PRINT_NONE)
        (void)fprintf(app->print.out, "  %-10s %s%s\n", of_all == PRINT_NONE ? "memory" : "",
                      print_bytes(rss, sizeof rss, of_one), " of its largest process");
}

/* By what figure an energy limit is held, in words; as queue_energy.c ends runs. */
static const char *limit_figure(const char *name)
{
    if (strcmp(name, "lo") == 0)
        return "that the machine has used at least";
    return strcmp(name, "attributed") == 0 ? "as its share" : "of the machine";
}

static void show_limits(const struct app *app, const struct wire_val *run)
{
    char text[40];
    const char *name = "limits";
    int64_t time = wire_int(run, "time_limit_ns", 0);
    int64_t mem = wire_int(run, "mem_limit_bytes", PRINT_NONE);
    int64_t energy = wire_int(run, "energy_limit_uj", PRINT_NONE);
    if (time > 0) {
        (void)fprintf(app->print.out, "  %-10s %s of time\n", name,
                      print_duration(text, sizeof text, time));
        name = "";
    }
    if (mem != PRINT_NONE) {
        (void)fprintf(app->print.out, "  %-10s %s of memory\n", name,
                      units_show_size(text, sizeof text, mem));
        name = "";
    }
    if (energy != PRINT_NONE)
        (void)fprintf(app->print.out, "  %-10s %s %s\n", name,
                      units_show_energy(text, sizeof text, energy),
                      limit_figure(wire_str(run, "energy_limit_figure", "")));
}

static void show_notes(const struct app *app, const struct wire_val *run)
{
    const struct wire_val *notes = wire_get(run, "notes");
    char buf[40];
    if (wire_len(notes) == 0)
        return;
    head(app, "Notes");
    for (size_t i = 0; i < wire_len(notes); i++) {
        const struct wire_val *n = wire_at(notes, i);
        (void)fprintf(app->print.out, "  %s  %s\n",
                      units_show_utc(buf, sizeof buf, wire_int(n, "utc_ns", 0)),
                      wire_str(n, "text", ""));
    }
}

/* Numbers that a person wrote; the program's own stand elsewhere. */
static void show_by_hand(const struct app *app, const struct wire_val *run)
{
    const struct wire_val *heads = wire_get(run, "metric_heads");
    bool any = false;
    for (size_t i = 0; i < wire_len(heads); i++) {
        const struct wire_val *h = wire_at(heads, i);
        if (wire_int(h, "by_uid", -1) < 0)
            continue;
        if (!any)
            head(app, "Metrics by hand");
        any = true;
        (void)fprintf(app->print.out, "  %s = %.9g\n", wire_str(h, "key", "?"),
                      wire_f64(h, "last", NAN));
    }
}

static void show_time(const struct app *app, const char *name, const struct wire_val *run,
                      const char *key)
{
    char buf[40];
    int64_t utc = wire_int(run, key, PRINT_NONE);
    if (utc != PRINT_NONE)
        line(app, name, units_show_utc(buf, sizeof buf, utc));
}

static void show_what(const struct app *app, const struct wire_val *run)
{
    char buf[40];
    char *command CLEANUP(base_freep) = print_command(run);
    line(app, "label", wire_str(run, "label", ""));
    line(app, "project", wire_str(run, "project", ""));
    show_tags(app, run);
    if (strcmp(wire_str(run, "kind", ""), "train") == 0)
        (void)fprintf(app->print.out, "  %-10s wattq-train %s\n", "command", command);
    else
        line(app, "command", command);
    line(app, "in", wire_str(run, "cwd", ""));
    line(app, "on end", wire_str(run, "on_end", ""));
    line(app, "user", wire_str(run, "user", ""));
    show_time(app, "submitted", run, "submitted_utc_ns");
    show_time(app, "started", run, "started_utc_ns");
    show_time(app, "ended", run, "ended_utc_ns");
    line(app, "reason", wire_str(run, "reason", ""));
    line(app, "mode", wire_str(run, "mode", ""));
    show_links(app, run);
    show_gpus(app, run);
    show_cpus(app, run);
    int64_t cpu = wire_int(run, "cpu_us", PRINT_NONE);
    if (cpu != PRINT_NONE)
        (void)fprintf(app->print.out, "  %-10s %s (%s)\n", "CPU time",
                      print_duration(buf, sizeof buf, cpu * NS_PER_US),
                      wire_str(run, "cpu_basis", "?"));
    show_mem(app, run);
    show_limits(app, run);
    int64_t left = wire_int(run, "leftovers", 0);
    if (left > 0)
        (void)fprintf(app->print.out,
                      "  %-10s %lld processes were killed after the main one ended\n", "leftovers",
                      (long long)left);
    line(app, "uuid", wire_str(run, "uuid", ""));
    show_origin(app, run);
    show_pin(app, run);
}

/* ---- energy -------------------------------------------------------------------------------------- */

static const char *const figure_heads[] = {"PART",    "FIGURE", "METER", ">!ENERGY", ">!BOUNDS",
                                           "QUALITY", "METHOD", "BASIS", "NOTES"};

/* The stated accuracy, flags and reason, whichever there are. */
static char *figure_notes(const struct wire_val *figure)
{
    int64_t ppm = wire_int(figure, "gain_ppm", 0);
    char accuracy[48] = "";
    if (ppm > 0)
        (void)snprintf(accuracy, sizeof accuracy, "accuracy %.3g %%  ", (double)ppm / 1e4);
    return base_printf("%s%s%s%s", accuracy, wire_str(figure, "flags", ""),
                       *wire_str(figure, "reason", "") ? "  " : "", wire_str(figure, "reason", ""));
}

void show_figures(const struct app *app, const struct wire_val *figures)
{
    struct table t;
    table_init(&t, figure_heads, ARRAY_LEN(figure_heads));
    for (size_t i = 0; i < wire_len(figures); i++) {
        const struct wire_val *f = wire_at(figures, i);
        bool total = wire_type(wire_get(f, "channel")) == WIRE_NIL;
        const char *part = wire_str(f, "part", "window");
        table_put(&t, "%s", strcmp(part, "window") == 0 ? "all of it" : part);
        table_put(&t, "%s", wire_str(f, "figure", "machine"));
        table_put(&t, "%s%s", total ? "TOTAL" : wire_str(f, "label", "?"),
                  total || wire_bool(f, "in_total", false) ? "" : " (not in total)");
        table_take(&t, print_energy(f));
        table_take(&t, print_bounds(f));
        bool share = strcmp(wire_str(f, "method", ""), "share") == 0;
        table_put(&t, "%s", share ? "apportioned" : wire_str(f, "quality", "-"));
        table_put(&t, "%s", wire_str(f, "method", "-"));
        table_put(&t, "%s", wire_str(f, "bound_basis", "-"));
        table_take(&t, figure_notes(f));
    }
    table_print(&t, &app->print);
    table_fini(&t);
}

static void show_part(const struct app *app, const char *name, int64_t uj, const char *what)
{
    char buf[40];
    (void)fprintf(app->print.out, "  %-10s %10s  %s\n", name,
                  print_joules(buf, sizeof buf, (double)uj / 1e6), what);
}

void show_shares(const struct app *app, const struct wire_val *shares)
{
    char lo[40], hi[40];
    if (wire_type(shares) != WIRE_MAP)
        return;
    (void)fprintf(app->print.out, "shared with other runs, idle by policy %s:\n",
                  wire_str(shares, "policy", "?"));
    if (wire_type(wire_get(shares, "system_uj")) == WIRE_NIL) {
        (void)fprintf(app->print.out, "  its share is not known: %s\n",
                      wire_str(shares, "reason", "no reason given"));
        return;
    }
    show_part(app, "share", wire_int(wire_get(shares, "attributed"), "energy_uj", 0),
              "of this run, apportioned");
    (void)fprintf(app->print.out, "  %-10s %10s  %s to %s over all policies\n", "range", "",
                  print_joules(lo, sizeof lo, (double)wire_int(shares, "range_lo_uj", 0) / 1e6),
                  print_joules(hi, sizeof hi, (double)wire_int(shares, "range_hi_uj", 0) / 1e6));
    show_part(app, "others", wire_int(shares, "others_uj", 0), "of the other runs meanwhile");
    show_part(app, "system", wire_int(shares, "system_uj", 0), "CPU time that was no run's");
    show_part(app, "foreign", wire_int(shares, "foreign_uj", 0),
              "of nobody the queue knows, or not told apart");
    show_part(app, "idle", wire_int(shares, "idle_uj", 0), "idling that the policy leaves");
    if (wire_int(shares, "moved_uj", 0) != 0)
        show_part(app, "lag", wire_int(shares, "moved_uj", 0),
                  "what the meters' lag moves over the window's edges");
}

static void show_covers(const struct app *app, const struct wire_val *run)
{
    const char *covers = wire_str(run, "covers", "");
    const char *meter = wire_str(run, "meter", "");
    if (*meter)
        (void)fprintf(app->print.out, "meter: %s\n", meter);
    if (*covers)
        (void)fprintf(app->print.out, "covers: %s\n", covers);
}

static void show_datum(const struct app *app, const struct wire_val *run)
{
    char a[40];
    char b[40];
    char c[40];
    struct datum d;
    datum_init(&d, run);
    if (isnan(d.rows))
        return;
    FILE *f = app->print.out;
    const char *tilde = d.estimated ? "~" : "";
    const char *word = d.estimated ? " estimated" : "";
    head(app, "Per datum (one training row in one epoch)");
    if (isnan(d.exact_j))
        (void)fprintf(f, "  j_per_datum_exact  - (%s)\n", d.reason);
    else if (isnan(d.exact_lo_j) || isnan(d.exact_hi_j))
        (void)fprintf(f, "  j_per_datum_exact  %s%s%s (-)  phase train, rows really seen\n", tilde,
                      print_joules(a, sizeof a, d.exact_j), word);
    else
        (void)fprintf(f, "  j_per_datum_exact  %s%s%s (%s..%s)  phase train, rows really seen\n",
                      tilde, print_joules(a, sizeof a, d.exact_j), word,
                      print_bound(b, sizeof b, d.exact_lo_j, false),
                      print_bound(c, sizeof c, d.exact_hi_j, true));
    if (!isnan(d.study_j))
        (void)fprintf(f, "  j_per_datum_study  %s%s%s  as the study counted\n", tilde,
                      print_joules(a, sizeof a, d.study_j), word);
    if (!isnan(d.train_s))
        (void)fprintf(f, "  time               %s\n", print_seconds(a, sizeof a, d.train_s));
    if (d.tested_in)
        (void)fputs(
            "  (epochs are so short that their tests lie inside of phase train: their share of its "
            "time is taken off)\n",
            f);
}

/* ---- phases, epochs, events ------------------------------------------------------------------------ */

static void show_phases(const struct app *app, const struct wire_val *run)
{
    static const char *const heads[] = {"PHASE", ">TIMES", ">TOGETHER", ">ENERGY", ">BOUNDS"};
    const struct wire_val *phases = wire_get(run, "phases");
    const char *seen[32];
    size_t nseen = 0;
    struct table t;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < wire_len(phases); i++) {
        const char *name = wire_str(wire_at(phases, i), "name", "?");
        char buf[40];
        int64_t sum = 0;
        long times = 0;
        size_t k = 0;
        while (k < nseen && strcmp(seen[k], name) != 0)
            k++;
        if (k < nseen || nseen == ARRAY_LEN(seen))
            continue;
        seen[nseen++] = name;
        for (k = i; k < wire_len(phases); k++) {
            const struct wire_val *p = wire_at(phases, k);
            if (strcmp(wire_str(p, "name", "?"), name) != 0)
                continue;
            times++;
            sum += wire_int(p, "t1_ns", wire_int(p, "t0_ns", 0)) - wire_int(p, "t0_ns", 0);
        }
        char *part CLEANUP(base_freep) = base_printf("phase:%s", name);
        const struct wire_val *figure = print_total(run, part);
        table_put(&t, "%s", name);
        table_put(&t, "%ld", times);
        table_put(&t, "%s", print_duration(buf, sizeof buf, sum));
        table_take(&t, print_energy(figure));
        table_take(&t, print_bounds(figure));
    }
    if (t.n > 0) {
        head(app, "Phases");
        table_print(&t, &app->print);
    }
    table_fini(&t);
}

static void put_loss(struct table *t, const struct wire_val *row, const char *key)
{
    double v = wire_f64(row, key, NAN);
    const struct wire_val *values = wire_get(row, "values");
    if (isnan(v))
        v = wire_f64(values, key, NAN);
    if (isnan(v))
        table_put(t, "-");
    else
        table_put(t, "%.6g", v);
}

/* Energy of the stretch that ends with this epoch, or why there is none. */
static void put_epoch_energy(struct table *t, const struct wire_val *row)
{
    if (wire_int(row, "energy_uj", PRINT_NONE) == PRINT_NONE)
        table_put(t, "(%s)", wire_str(row, "reason", "not known"));
    else
        table_take(t, print_energy(row));
}

static void show_epochs(const struct app *app, const struct wire_val *run)
{
    static const char *const heads[] = {">EPOCH", ">TRAIN LOSS", ">TEST LOSS", ">TIME", ">ENERGY"};
    const struct wire_val *rows = wire_get(run, "per_epoch");
    size_t n = wire_len(rows);
    struct table t;
    if (n == 0)
        return;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < n; i++) {
        char buf[40];
        if (n > EPOCHS_SHOWN && i >= EPOCHS_SHOWN / 2 && i < n - EPOCHS_SHOWN / 2)
            continue;
        const struct wire_val *row = wire_at(rows, i);
        int64_t t_ns = wire_int(row, "t_ns", PRINT_NONE);
        int64_t before = i > 0 ? wire_int(wire_at(rows, i - 1), "t_ns", PRINT_NONE) : PRINT_NONE;
        bool both = t_ns != PRINT_NONE && before != PRINT_NONE && t_ns >= before;
        table_put(&t, "%lld", (long long)wire_int(row, "epoch", 0));
        put_loss(&t, row, "train_loss");
        put_loss(&t, row, "test_loss");
        table_put(&t, "%s", print_duration(buf, sizeof buf, both ? t_ns - before : PRINT_NONE));
        put_epoch_energy(&t, row);
    }
    head(app, "Epochs");
    table_print(&t, &app->print);
    table_fini(&t);
    if (n > EPOCHS_SHOWN)
        (void)fprintf(app->print.out, "  (%zu between them are left out; all: --json)\n",
                      n - EPOCHS_SHOWN);
}

static void show_events(const struct app *app, const struct wire_val *run)
{
    static const char *const heads[] = {"WHEN", "FROM", "TO", "REASON"};
    const struct wire_val *events = wire_get(run, "events");
    struct table t;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < wire_len(events); i++) {
        char buf[40];
        const struct wire_val *ev = wire_at(events, i);
        int64_t utc = wire_int(ev, "t_utc_ns", wire_int(ev, "utc_ns", PRINT_NONE));
        table_put(&t, "%s", utc == PRINT_NONE ? "-" : units_show_utc(buf, sizeof buf, utc));
        table_put(&t, "%s", wire_str(ev, "from", "-"));
        table_put(&t, "%s", wire_str(ev, "to", "?"));
        table_put(&t, "%s", wire_str(ev, "reason", ""));
    }
    if (t.n > 0) {
        head(app, "Events");
        table_print(&t, &app->print);
    }
    table_fini(&t);
}

/* ---- code and parameters --------------------------------------------------------------------------- */

static void show_code(const struct app *app, const struct wire_val *run)
{
    const struct wire_val *code = wire_get(run, "code");
    const char *commit = wire_str(code, "commit_id", "");
    const char *diff = wire_str(code, "diff", "");
    if (wire_len(code) == 0)
        return;
    bool dirty = wire_bool(code, "dirty", false) || wire_int(code, "dirty", 0) == 1;
    head(app, "Code");
    if (*commit)
        (void)fprintf(app->print.out, "  %-10s %s%s\n", "commit", commit,
                      dirty ? " with changes that were not committed" : "");
    line(app, "script", wire_str(code, "script_sha256", ""));
    line(app, "run by", wire_str(code, "interpreter", ""));
    if (*diff)
        (void)fprintf(app->print.out, "  %-10s %zu bytes are kept: wattq show --json\n", "diff",
                      strlen(diff));
}

static void show_map(const struct app *app, const char *title, const struct wire_val *map)
{
    if (wire_type(map) != WIRE_MAP || wire_len(map) == 0)
        return;
    head(app, title);
    for (size_t i = 0; i < wire_len(map); i++) {
        const struct wire_val *v = wire_at(map, i);
        const char *key = wire_key_at(map, i, NULL);
        if (wire_type(v) == WIRE_STR)
            (void)fprintf(app->print.out, "  %s = %s\n", key, wire_as_str(v, ""));
        else if (wire_type(v) == WIRE_INT)
            (void)fprintf(app->print.out, "  %s = %lld\n", key, (long long)wire_as_int(v, 0));
        else if (wire_type(v) == WIRE_F64)
            (void)fprintf(app->print.out, "  %s = %.9g\n", key, wire_as_f64(v, NAN));
    }
}

/* ---- the machine at both ends ---------------------------------------------------------------------- */

static void fact_text(char *out, size_t cap, const struct wire_val *map, const char *key)
{
    const struct wire_val *v = wire_get(map, key);
    if (wire_type(v) == WIRE_STR)
        base_strcpy(out, cap, wire_as_str(v, ""));
    else if (wire_type(v) == WIRE_INT)
        (void)snprintf(out, cap, "%lld", (long long)wire_as_int(v, 0));
    else if (wire_type(v) == WIRE_BOOL)
        (void)snprintf(out, cap, "%s", wire_bool(map, key, false) ? "yes" : "no");
    else
        base_strcpy(out, cap, "not told");
}

/* Keys of `of` whose value in `other` is another; those missing in `other` too. */
static void show_changed(const struct app *app, const struct wire_val *of,
                         const struct wire_val *other, bool only_new)
{
    for (size_t i = 0; i < wire_len(of); i++) {
        char before[160];
        char after[160];
        const char *key = wire_key_at(of, i, NULL);
        const struct wire_val *there = wire_get(other, key);
        bool missing = wire_type(there) == WIRE_NIL;
        fact_text(before, sizeof before, only_new ? other : of, key);
        fact_text(after, sizeof after, only_new ? of : other, key);
        if ((only_new && !missing) || strcmp(before, after) == 0)
            continue;
        (void)fprintf(app->print.out, "  %-10s %s went from %s to %s while it ran\n", "machine",
                      key, before, after);
    }
}

static void show_machine(const struct app *app, const struct wire_val *run)
{
    const struct wire_val *start = wire_get(run, "machine_start");
    const struct wire_val *end = wire_get(run, "machine_end");
    if (wire_type(start) != WIRE_MAP || wire_type(end) != WIRE_MAP)
        return;
    show_changed(app, start, end, false);
    show_changed(app, end, start, true);
}

/* ---- who else was at work --------------------------------------------------------------------------- */

static void show_others(const struct app *app, const struct wire_val *run)
{
    const struct wire_val *others = wire_get(run, "others");
    int64_t t0 = wire_int(run, "t0_ns", PRINT_NONE);
    int64_t t1 = wire_int(run, "t1_ns", PRINT_NONE);
    for (size_t i = 0; i < wire_len(others) && i < OTHERS_SHOWN; i++) {
        const struct wire_val *u = wire_at(others, i);
        char buf[40];
        double busy_s = (double)wire_int(u, "busy_us", 0) / 1e6;
        const char *device = wire_str(u, "device", "");
        (void)fprintf(app->print.out, "  %-10s %s %s used %s of %s", i == 0 ? "beside it" : "",
                      wire_str(u, "kind", "?"), wire_str(u, "owner", "?"),
                      print_seconds(buf, sizeof buf, busy_s), *device ? device : "CPU time");
        if (t0 != PRINT_NONE && t1 != PRINT_NONE && t1 > t0)
            (void)fprintf(app->print.out, " (%.1f %% of %s)", 1e11 * busy_s / (double)(t1 - t0),
                          *device ? "it" : "one");
        (void)fputc('\n', app->print.out);
    }
}

/* A stored share has its policy and range; what was beside it is asked for. */
static void show_company(const struct app *app, struct conn *c, const struct wire_val *run)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    const struct wire_val *figures = wire_get(run, "energy");
    bool share = false;
    for (size_t i = 0; i < wire_len(figures); i++)
        share |= strcmp(wire_str(wire_at(figures, i), "method", ""), "share") == 0;
    if (!share)
        return;
    wire_put_int(conn_begin(c, "energy"), "run", wire_int(run, "run", 0));
    if (conn_call(c, &m, NULL) == 0)
        show_shares(app, wire_get(wire_msg_root(m), "shares"));
}

static void show_run(const struct app *app, struct conn *c, const struct wire_val *run)
{
    follow_print_end(app, app->print.out, run);
    show_covers(app, run);
    (void)fputc('\n', app->print.out);
    show_what(app, run);
    show_machine(app, run);
    show_others(app, run);
    show_beside(app, run);
    if (wire_type(wire_get(run, "energy")) == WIRE_ARRAY && wire_len(wire_get(run, "energy")) > 0) {
        head(app, "Energy");
        show_figures(app, wire_get(run, "energy"));
        show_company(app, c, run);
    }
    show_datum(app, run);
    show_phases(app, run);
    show_epochs(app, run);
    show_map(app, "Parameters", wire_get(run, "params"));
    show_map(app, "Newest metrics", wire_get(run, "last_metrics"));
    show_by_hand(app, run);
    show_notes(app, run);
    show_code(app, run);
    show_map(app, "Environment", wire_get(run, "env"));
    show_events(app, run);
}

int cmd_show(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel runs CLEANUP(sel_finip) = {0};
    int rc = cmd_need(app, 1, "a run", e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = sel_runs(&runs, c, app->args.pos, app->args.npos, e);
    for (size_t i = 0; rc == 0 && i < runs.n; i++) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        wire_put_int(conn_begin(c, "show"), "run", runs.ids[i]);
        rc = conn_call(c, &m, e);
        if (rc < 0)
            return rc;
        if (app->json) {
            rc = cmd_print_json(app, "show", wire_msg_root(m), e);
        } else {
            (void)fputs(i > 0 ? "\n\n" : "", app->print.out);
            const struct wire_val *run = wire_get(wire_msg_root(m), "run");
            if (args_has(&app->args, OPT_ENERGY))
                show_energy(app, c, run);
            else
                show_run(app, c, run);
        }
    }
    return rc;
}
