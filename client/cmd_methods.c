/* methods: the methods paragraph and table of a paper, from the runs themselves. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "client/cmd.h"
#include "client/json.h"
#include "client/methods.h"
#include "client/pages.h"
#include "client/sel.h"
#include "client/study_load.h"
#include "common/units.h"

#define AROUND_NS (600 * NS_PER_S) /* idle is looked for so far before and after the runs, too */

struct loader {
    struct methods *m;
    struct study study; /* for its exclusions */
    struct methods_words channels;
    int64_t since, until; /* UTC, of runs measured here */
    int64_t newest;       /* run measured here; 0 = none */
};

/* ---- one run -------------------------------------------------------------------------------------- */

static const struct study_run *study_run_of(const struct study *s, int64_t run)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->runs[i].run == run)
            return &s->runs[i];
    return NULL;
}

/* The first reason of a set; NULL = there is none. */
static const char *first_reason(uint32_t bits)
{
    for (int x = 0; x < STUDY_X_COUNT; x++)
        if (bits & (UINT32_C(1) << x))
            return study_exclusion_text((enum study_exclusion)x);
    return NULL;
}

/* "dataset=banana, size=1024" without what only tells repeats apart. */
static char *configuration(const struct wire_val *run)
{
    const struct wire_val *params = wire_get(run, "params");
    static const char *const not_part[] = {"repeat", "block", "role", "seed"};
    char *text = base_strdup("");
    for (size_t i = 0; i < wire_len(params); i++) {
        const char *key = wire_key_at(params, i, NULL);
        bool skip = false;
        for (size_t k = 0; k < ARRAY_LEN(not_part); k++)
            skip = skip || strcmp(key, not_part[k]) == 0;
        if (skip)
            continue;
        char *longer = base_printf("%s%s%s=%s", text, *text ? ", " : "", key,
                                   wire_as_str(wire_at(params, i), "?"));
        free(text);
        text = longer;
    }
    if (*text)
        return text;
    free(text);
    const char *label = wire_str(run, "label", "");
    return base_strdup(*label ? label : wire_str(run, "command", "?"));
}

static void read_software(struct methods *m, const struct wire_val *run)
{
    const struct wire_val *info = wire_get(run, "info");
    const char *backend = wire_str(info, "backend", "");
    const char *isa = wire_str(info, "isa", "");
    char *text CLEANUP(base_freep) =
        base_printf("%s %s%s%s%s", backend, wire_str(info, "precision", ""), *isa ? " (" : "", isa,
                    *isa ? ")" : "");
    if (*backend)
        methods_word(&m->software, text);
}

static void read_energy(struct methods *m, const struct wire_val *run)
{
    const struct wire_val *f = print_total(run, "window");
    int64_t uj = wire_int(f, "energy_uj", PRINT_NONE);
    int64_t lo = wire_int(f, "lo_uj", PRINT_NONE);
    int64_t hi = wire_int(f, "hi_uj", PRINT_NONE);
    if (uj == PRINT_NONE)
        return;
    if (print_is_estimate(f))
        m->estimated++;
    else if (strcmp(wire_str(f, "quality", ""), "modelled") == 0)
        m->modelled++;
    else
        m->measured++;
    if (m->runs.runs[m->runs.nruns - 1].why_no_energy)
        return;
    if (lo == PRINT_NONE || hi == PRINT_NONE || uj <= 0)
        return;
    methods_word(&m->basis, wire_str(f, "bound_basis", ""));
    if ((m->nbounded & (m->nbounded - 1)) == 0) {
        m->half_widths =
            realloc(m->half_widths, (m->nbounded ? 2 * m->nbounded : 1) * sizeof *m->half_widths);
        if (!m->half_widths)
            abort();
    }
    m->half_widths[m->nbounded++] = (double)(hi - lo) / 2 / (double)uj;
}

static void read_when(struct loader *l, const struct wire_val *run)
{
    int64_t t0 = wire_int(run, "started_utc_ns", PRINT_NONE);
    int64_t ns = wire_int(run, "elapsed_ns", PRINT_NONE);
    if (wire_int(run, "origin", 0) > 0) {
        char text[24];
        (void)snprintf(text, sizeof text, "%lld", (long long)wire_int(run, "origin", 0));
        methods_word(&l->m->origins, text);
        return;
    }
    if (t0 == PRINT_NONE || ns == PRINT_NONE)
        return;
    l->since = t0 < l->since ? t0 : l->since;
    l->until = t0 + ns > l->until ? t0 + ns : l->until;
    l->newest = wire_int(run, "run", 0);
}

static void read_facts(struct loader *l, const struct wire_val *run)
{
    struct methods *m = l->m;
    const struct wire_val *parts = wire_get(run, "energy_parts");
    methods_word(&m->machines, wire_str(run, "machine", ""));
    methods_word(&m->blocks, wire_str(wire_get(run, "params"), "block", ""));
    for (size_t i = 0; i < wire_len(parts); i++)
        methods_word(&l->channels, wire_str(wire_at(parts, i), "label", ""));
    if (wire_bool(run, "alone", true))
        m->alone++;
    else
        m->shared++;
    read_software(m, run);
    read_energy(m, run);
    read_when(l, run);
}

static int take_run(void *arg, const struct wire_val *run)
{
    struct loader *l = arg;
    struct compare *c = &l->m->runs;
    int64_t id = wire_int(run, "run", 0);
    const struct study_run *s = study_run_of(&l->study, id);
    const char *reason = s ? first_reason(s->excluded & STUDY_X_TIME) : NULL;
    size_t before = c->nruns;
    if (compare_has(c, id))
        return 0;
    if (reason && strcmp(wire_str(run, "state", ""), "done") == 0) {
        compare_leave(c, id, reason);
        return 0;
    }
    char *name CLEANUP(base_freep) = configuration(run);
    size_t groups = c->ngroups;
    compare_add(c, compare_group_of(c, name), run);
    if (c->nruns == before) { /* left out: no configuration of its own */
        if (c->ngroups > groups)
            compare_drop_group(c);
        return 0;
    }
    uint32_t joules = s ? s->excluded & STUDY_X_JOULES & ~STUDY_X(ESTIMATE) : 0;
    if (joules)
        compare_no_energy(c, first_reason(joules));
    read_facts(l, run);
    return 0;
}

/* ---- the machine ---------------------------------------------------------------------------------- */

static void add_meter(struct methods *m, const struct wire_val *ch)
{
    int64_t declared = wire_int(ch, "period_ns", PRINT_NONE);
    int64_t learned = wire_int(ch, "period_learned_ns", PRINT_NONE);
    int64_t ppm = wire_int(ch, "accuracy_ppm", 0);
    m->meters = realloc(m->meters, (m->nmeters + 1) * sizeof *m->meters);
    if (!m->meters)
        abort();
    struct methods_meter *x = &m->meters[m->nmeters++];
    *x = (struct methods_meter){.label = base_strdup(wire_str(ch, "label", "?")),
                                .scope = base_strdup(wire_str(ch, "scope", "?")),
                                .source = base_strdup(wire_str(ch, "source", "?")),
                                .quality = base_strdup(wire_str(ch, "quality", "?")),
                                .declared = wire_bool(ch, "period_declared", false),
                                .accuracy = ppm > 0 ? (double)ppm / 1e6 : (double)NAN};
    x->period_ns = x->declared && declared > 0 ? declared : learned > 0 ? learned : PRINT_NONE;
}

static int read_meters(struct loader *l, struct conn *c, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    (void)conn_begin(c, "meters");
    int rc = conn_call(c, &m, e);
    const struct wire_val *channels = rc < 0 ? NULL : wire_get(wire_msg_root(m), "channels");
    for (size_t k = 0; k < l->channels.n; k++)
        for (size_t i = 0; i < wire_len(channels); i++)
            if (strcmp(wire_str(wire_at(channels, i), "label", ""), l->channels.at[k]) == 0)
                add_meter(l->m, wire_at(channels, i));
    return rc;
}

static int read_idle(struct loader *l, struct conn *c, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    if (l->newest == 0)
        return 0;
    struct wire_out *o = conn_begin(c, "idle");
    wire_put_int(o, "since_utc_ns", l->since - AROUND_NS);
    wire_put_int(o, "until_utc_ns", l->until + AROUND_NS);
    int rc = conn_call(c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *total = wire_get(wire_msg_root(m), "total");
    int64_t uw = wire_int(total, "power_uw", PRINT_NONE);
    int64_t sd = wire_int(total, "spread_uw", PRINT_NONE);
    if (uw != PRINT_NONE)
        l->m->idle_w = (double)uw / 1e6;
    if (sd != PRINT_NONE)
        l->m->idle_sd_w = (double)sd / 1e6;
    l->m->idle_estimated = strcmp(wire_str(total, "quality", ""), "estimated") == 0;
    return 0;
}

static int read_covers(struct loader *l, struct conn *c, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    if (l->newest == 0)
        return 0;
    wire_put_int(conn_begin(c, "energy"), "run", l->newest);
    int rc = conn_call(c, &m, e);
    if (rc == 0) {
        free(l->m->covers);
        l->m->covers = base_strdup(wire_str(wire_msg_root(m), "covers", ""));
    }
    return rc;
}

/* The processor and kernel of this machine, when it is the one the runs were on. */
static char *hardware_of(const struct methods_words *machines)
{
    struct utsname u;
    char line[512];
    char *cpu CLEANUP(base_freep) = NULL;
    if (uname(&u) != 0 || machines->n != 1 || strcmp(machines->at[0], u.nodename) != 0)
        return base_strdup("");
    FILE *f CLEANUP(base_fclosep) = fopen("/proc/cpuinfo", "re");
    while (f && !cpu && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon)
            cpu = base_strdup_n(colon + 2, strcspn(colon + 2, "\n"));
    }
    return base_printf("%s%s%s %s", cpu ? cpu : "", cpu ? ", " : "", u.sysname, u.release);
}

/* ---- the command ---------------------------------------------------------------------------------- */

static char *join(char *const *words, size_t n)
{
    char *all = base_strdup("");
    for (size_t i = 0; i < n; i++) {
        char *next = base_printf("%s%s%s", all, i ? " " : "", words[i]);
        free(all);
        all = next;
    }
    return all;
}

static int load(struct app *app, struct methods *m, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct sel s CLEANUP(sel_finip) = {0};
    struct loader l = {.m = m, .since = INT64_MAX};
    study_init(&l.study);
    m->selection = join(app->args.pos, app->args.npos);
    int rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = sel_runs(&s, c, app->args.pos, app->args.npos, e);
    if (rc == 0) {
        study_fini(&l.study);
        rc = study_load(&l.study, c, s.ids, s.n, e);
    }
    if (rc == 0)
        rc = pages_runs(c, s.ids, s.n, take_run, &l, e);
    if (rc == 0)
        rc = read_meters(&l, c, e);
    if (rc == 0)
        rc = read_idle(&l, c, e);
    if (rc == 0)
        rc = read_covers(&l, c, e);
    m->hardware = hardware_of(&m->machines);
    for (size_t i = 0; i < l.channels.n; i++)
        free(l.channels.at[i]);
    free(l.channels.at);
    study_fini(&l.study);
    return rc;
}

static int parse_format(const struct app *app, enum methods_format *f, struct err *e)
{
    const char *text = args_str(&app->args, OPT_FORMAT, "md");
    *f = strcmp(text, "latex") == 0 ? METHODS_LATEX : METHODS_MARKDOWN;
    if (*f == METHODS_LATEX || strcmp(text, "md") == 0)
        return 0;
    err_set(e, WATTQ_E_USAGE, "--format: '%.40s' is no format of a text", text);
    return err_next(e, "write --format md or --format latex");
}

static int print(struct app *app, const struct methods *m, enum methods_format f, struct err *e)
{
    char *text CLEANUP(base_freep) = methods_text(m, f);
    if (!app->json) {
        (void)fputs(text, app->print.out);
        return 0;
    }
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.methods/1"));
    json_put(doc, "format", json_string(f == METHODS_LATEX ? "latex" : "md"));
    json_put(doc, "runs", json_integer((json_int_t)m->runs.nruns));
    json_put(doc, "left_out", json_integer((json_int_t)m->runs.nleft));
    json_put(doc, "text", json_text(text, strlen(text)));
    return json_write(app->print.out, doc, false, e);
}

int cmd_methods(struct app *app, struct err *e)
{
    struct methods m = {.idle_w = NAN, .idle_sd_w = NAN};
    enum methods_format f = METHODS_MARKDOWN;
    int rc = cmd_need(app, 1, "runs", e);
    if (rc == 0)
        rc = parse_format(app, &f, e);
    if (rc < 0)
        return rc;
    compare_init(&m.runs, NULL, 0, 0.02);
    m.covers = base_strdup("");
    m.version = base_strdup(WATTQ_VERSION);
    rc = load(app, &m, e);
    if (rc == 0)
        rc = print(app, &m, f, e);
    methods_fini(&m);
    return rc;
}
