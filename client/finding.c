#include "client/finding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/datum.h"
#include "client/json.h"
#include "client/print.h"
#include "common/units.h"
#include "daemon/model/stats.h"
#include "daemon/model/workset.h"

void finding_init(struct finding *f)
{
    *f = (struct finding){.idle_w = NAN, .load_w = NAN};
    if (caches_detect(&f->caches, "", NULL, NULL) != 0)
        f->caches.n = 0;
}

void finding_fini(struct finding *f)
{
    for (size_t i = 0; i < f->nskipped; i++) {
        free(f->skipped[i].what);
        free(f->skipped[i].reason);
    }
    free(f->skipped);
    free(f->controls);
    free(f->rows);
}

void finding_skip(struct finding *f, char *what, char *reason)
{
    struct finding_skipped *p = realloc(f->skipped, (f->nskipped + 1) * sizeof *p);
    if (!p)
        abort();
    f->skipped = p;
    p[f->nskipped++] = (struct finding_skipped){what, reason};
}

/* ---- one run ------------------------------------------------------------------------------------- */

static int64_t whole(double v, int64_t dflt)
{
    return isnan(v) ? dflt : (int64_t)v;
}

/* A parameter of the run, or what the trainer said: both are known under the same names. */
static const char *word_of(const struct wire_val *run, const char *key)
{
    const char *said = wire_str(wire_get(run, "info"), key, NULL);
    return said ? said : wire_str(wire_get(run, "params"), key, "");
}

static int64_t number_of(const struct wire_val *run, const char *key)
{
    int64_t n = whole(datum_number(run, key), 0);
    const char *asked = wire_str(wire_get(run, "params"), key, NULL);
    if (n == 0 && asked && units_parse_count(asked, &n, NULL) < 0)
        n = 0;
    return n;
}

/* "[670,575,7]": the trainer's widths, which are kept as text. 0 for anything else. */
static int read_widths(struct net *net, const char *text)
{
    net->depth = 0;
    for (const char *p = text; (*p == '[' || *p == ',') && net->depth < NET_DEPTH_MAX;) {
        char *end;
        int64_t width = strtoll(p + 1, &end, 10);
        if (end == p + 1 || width < 1 || width > NET_WIDTH_MAX)
            break;
        net->widths[net->depth++] = width;
        if (strcmp(end, "]") == 0)
            return net->depth;
        p = end;
    }
    return net->depth = 0;
}

static int home_of(const struct finding *f, const struct wire_val *run)
{
    const struct wire_val *info = wire_get(run, "info");
    struct net net = {.shape = NET_FREE, .inputs = wire_int(info, "inputs", 0)};
    if (f->caches.n == 0 || net.inputs < 1 || read_widths(&net, wire_str(info, "widths", "")) < 1)
        return -1;
    net.params = net_params(&net);
    int threads = (int)wire_int(info, "threads", 1);
    const struct caches_level *home = workset_home(&net, WORKSET_B, threads, &f->caches);
    return home ? (int)(home - f->caches.level) : -1;
}

static double joule(const struct wire_val *figure, const char *key)
{
    int64_t uj = wire_int(figure, key, PRINT_NONE);
    return uj == PRINT_NONE ? (double)NAN : (double)uj / 1e6;
}

/* "package-0 + dram-0": what the total was taken over. */
static void meter_of(char *out, size_t cap, const struct wire_val *run)
{
    const struct wire_val *parts = wire_get(run, "energy_parts");
    size_t at = 0;
    base_strcpy(out, cap, wire_str(run, "meter", ""));
    if (*out)
        return;
    for (size_t i = 0; i < wire_len(parts) && at < cap; i++) {
        int n = snprintf(out + at, cap - at, "%s%s", i ? " + " : "",
                         wire_str(wire_at(parts, i), "label", "?"));
        at += n > 0 ? (size_t)n : 0;
    }
}

static void fill_energy(struct finding_row *r, const struct wire_val *run)
{
    struct datum d;
    const struct wire_val *total = print_total(run, "window");
    datum_init(&d, run);
    r->energy_j = joule(total, "energy_uj");
    r->lo_j = joule(total, "lo_uj");
    r->hi_j = joule(total, "hi_uj");
    r->whole_run = isnan(d.exact_j);
    r->j_per_datum = r->whole_run ? d.run_j : d.exact_j;
    r->s_per_datum = d.train_s;
    r->estimated = print_is_estimate(total);
    base_strcpy(r->quality, sizeof r->quality, wire_str(total, "quality", ""));
    meter_of(r->meter, sizeof r->meter, run);
}

void finding_add(struct finding *f, const struct wire_val *run)
{
    struct finding_row *p = realloc(f->rows, (f->n + 1) * sizeof *p);
    if (!p)
        abort();
    f->rows = p;
    struct finding_row *r = &p[f->n++];
    *r = (struct finding_row){.run = wire_int(run, "run", 0)};
    base_strcpy(r->dataset, sizeof r->dataset, word_of(run, "dataset"));
    base_strcpy(r->shape, sizeof r->shape, word_of(run, "shape"));
    r->depth = (int)number_of(run, "depth");
    r->size = number_of(run, "size");
    r->params = whole(wire_f64(wire_get(run, "info"), "params", NAN), 0);
    if (r->size == 0)
        r->size = r->params; /* widths given by hand */
    r->repeat = number_of(run, "repeat");
    r->standin = wire_bool(wire_get(run, "info"), "standin", false);
    r->home = home_of(f, run);
    r->test_loss = datum_number(run, "test_loss");
    int64_t elapsed = wire_int(run, "elapsed_ns", PRINT_NONE);
    r->elapsed_s = elapsed == PRINT_NONE ? (double)NAN : (double)elapsed / 1e9;
    fill_energy(r, run);
    f->measured = f->measured || (!isnan(r->energy_j) && !r->estimated);
}

/* Warm-up and canaries say how the machine was, not what a network costs. */
static bool take_control(struct finding *f, const struct wire_val *run)
{
    const char *role = wire_str(wire_get(run, "params"), "role", "");
    if (strcmp(role, "warmup") == 0) {
        f->warmups++;
    } else if (strcmp(role, "canary") == 0) {
        f->controls = realloc(f->controls, (f->ncontrols + 1) * sizeof *f->controls);
        if (!f->controls)
            abort();
        f->controls[f->ncontrols++] = wire_int(run, "run", 0);
    } else {
        return false;
    }
    return true;
}

static void take_run(struct finding *f, const struct wire_val *run)
{
    if (take_control(f, run))
        return;
    const char *state = wire_str(run, "state", "?");
    char *what = base_printf("run %lld %s %s depth %s size %s", (long long)wire_int(run, "run", 0),
                             word_of(run, "dataset"), word_of(run, "shape"),
                             wire_str(wire_get(run, "params"), "depth", "?"),
                             wire_str(wire_get(run, "params"), "size", "?"));
    if (*wire_str(wire_get(run, "params"), "variant", "")) {
        finding_skip(f, what, base_strdup("it is of a cache study: wattq study cache"));
    } else if (strcmp(wire_str(run, "kind", ""), "train") != 0) {
        finding_skip(f, what, base_strdup("it is not a run of the built-in trainer"));
    } else if (strcmp(state, "done") != 0) {
        const char *reason = wire_str(run, "reason", "");
        finding_skip(f, what, base_printf("%s%s%s", state, *reason ? ": " : "", reason));
    } else {
        free(what);
        finding_add(f, run);
    }
}

/* ---- the machine --------------------------------------------------------------------------------- */

static void read_covers(struct finding *f, struct conn *c)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    if (f->n == 0)
        return;
    wire_put_int(conn_begin(c, "energy"), "run", f->rows[0].run);
    if (conn_call(c, &m, NULL) < 0)
        return;
    base_strcpy(f->covers, sizeof f->covers, wire_str(wire_msg_root(m), "covers", ""));
    for (size_t i = 0; i < f->n; i++)
        if (!f->rows[i].meter[0])
            base_strcpy(f->rows[i].meter, sizeof f->rows[i].meter,
                        wire_str(wire_msg_root(m), "meter", ""));
}

static bool in_total(const struct wire_val *meters, int64_t channel)
{
    for (size_t i = 0; i < wire_len(meters); i++)
        if (wire_int(wire_at(meters, i), "channel", 0) == channel)
            return wire_bool(wire_at(meters, i), "in_total", false);
    return false;
}

/* Idle power over the channels of the total; unknown if one of them is. */
static void read_idle(struct finding *f, struct conn *c)
{
    struct wire_msg *meters CLEANUP(wire_msg_freep) = NULL;
    struct wire_msg *idle CLEANUP(wire_msg_freep) = NULL;
    (void)conn_begin(c, "meters");
    if (conn_call(c, &meters, NULL) < 0)
        return;
    (void)conn_begin(c, "idle");
    if (conn_call(c, &idle, NULL) < 0)
        return;
    const struct wire_val *all = wire_get(wire_msg_root(meters), "channels");
    const struct wire_val *ch = wire_get(wire_msg_root(idle), "channels");
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < wire_len(ch); i++) {
        const struct wire_val *one = wire_at(ch, i);
        int64_t uw = wire_int(one, "power_uw", PRINT_NONE);
        if (!in_total(all, wire_int(one, "channel", 0)))
            continue;
        n++;
        sum += uw == PRINT_NONE ? (double)NAN : (double)uw / 1e6;
        size_t used = strlen(f->idle);
        char buf[40];
        (void)snprintf(f->idle + used, sizeof f->idle - used, "%s%s %s", used ? ", " : "",
                       wire_str(one, "label", "?"), print_power(buf, sizeof buf, uw));
    }
    f->idle_w = n > 0 ? sum : (double)NAN;
}

static void compute_load(struct finding *f)
{
    double *v CLEANUP(base_freep) = base_alloc((f->n + 1) * sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        if (!isnan(f->rows[i].energy_j) && f->rows[i].elapsed_s > 0)
            v[n++] = f->rows[i].energy_j / f->rows[i].elapsed_s;
    f->load_w = stats_median(v, n);
}

int finding_read(struct finding *f, struct conn *c, const int64_t *runs, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        wire_put_int(conn_begin(c, "show"), "run", runs[i]);
        int rc = conn_call(c, &m, e);
        if (rc < 0)
            return rc;
        take_run(f, wire_get(wire_msg_root(m), "run"));
    }
    finding_sort(f);
    finding_gaps(f);
    read_covers(f, c);
    read_idle(f, c);
    compute_load(f);
    return 0;
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static json_t *level_json(const struct finding *f, int home)
{
    return home < 0 || (size_t)home >= f->caches.n ? json_null()
                                                   : json_string(f->caches.level[home].name);
}

static json_t *row_json(const struct finding *f, const struct finding_row *r)
{
    json_t *o = json_object();
    json_put(o, "run", json_integer(r->run));
    json_put(o, "dataset", json_text(r->dataset, strlen(r->dataset)));
    json_put(o, "standin", json_boolean(r->standin));
    json_put(o, "shape", json_string(r->shape));
    json_put(o, "depth", json_integer(r->depth));
    json_put(o, "size", json_integer(r->size));
    json_put(o, "params", r->params > 0 ? json_integer(r->params) : json_null());
    json_put(o, "lives_in", level_json(f, r->home));
    json_put(o, "test_loss", json_number(r->test_loss));
    json_put(o, "elapsed_s", json_number(r->elapsed_s));
    json_put(o, "energy_j", json_number(r->energy_j));
    json_put(o, "lo_j", json_number(r->lo_j));
    json_put(o, "hi_j", json_number(r->hi_j));
    if (isnan(r->energy_j))
        json_put(o, "reason", json_string("the run has no energy figure; see wattq show"));
    json_put(o, "j_per_datum", json_number(r->j_per_datum));
    json_put(o, "j_per_datum_of", json_string(r->whole_run ? "whole run" : "phase train"));
    json_put(o, "s_per_datum", json_number(r->s_per_datum));
    json_put(o, "estimated", json_boolean(r->estimated));
    json_put(o, "quality", json_string(r->quality));
    json_put(o, "meter", json_text(r->meter, strlen(r->meter)));
    return o;
}

static json_t *crossings_json(const struct finding *f)
{
    json_t *all = json_array();
    for (int level = 0; level + 1 < (int)f->caches.n; level++) {
        for (int cost = FINDING_TIME; cost <= FINDING_ENERGY; cost++) {
            struct finding_crossing x;
            finding_cross(&x, f, level, (enum finding_cost)cost);
            json_t *o = json_object();
            json_put(o, "from", level_json(f, level));
            json_put(o, "to", level_json(f, level + 1));
            json_put(o, "cost", json_string(cost == FINDING_TIME ? "s_per_datum" : "j_per_datum"));
            json_put(o, "supported", json_boolean(x.supported));
            json_put(o, "series", json_integer((json_int_t)x.series));
            json_put(o, "factor", x.supported ? json_number(x.factor) : json_null());
            json_put(o, "smallest", x.supported ? json_number(x.lo) : json_null());
            json_put(o, "largest", x.supported ? json_number(x.hi) : json_null());
            json_put(o, "repeat_noise", json_number(x.noise));
            (void)json_array_append_new(all, o);
        }
    }
    return all;
}

json_t *finding_json(const struct finding *f)
{
    json_t *doc = json_object();
    json_t *rows = json_array();
    json_t *skipped = json_array();
    for (size_t i = 0; i < f->n; i++)
        (void)json_array_append_new(rows, row_json(f, &f->rows[i]));
    for (size_t i = 0; i < f->nskipped; i++) {
        json_t *o = json_object();
        json_put(o, "what", json_text(f->skipped[i].what, strlen(f->skipped[i].what)));
        json_put(o, "reason", json_text(f->skipped[i].reason, strlen(f->skipped[i].reason)));
        (void)json_array_append_new(skipped, o);
    }
    json_put(doc, "schema", json_string("wattq.finding/1"));
    json_put(doc, "rows", rows);
    json_put(doc, "crossings", crossings_json(f));
    json_put(doc, "left_out", skipped);
    json_put(doc, "control_runs", json_integer((json_int_t)f->ncontrols));
    json_put(doc, "warmup_runs", json_integer((json_int_t)f->warmups));
    json_put(doc, "idle_w", json_number(f->idle_w));
    json_put(doc, "load_w", json_number(f->load_w));
    json_put(doc, "measured", json_boolean(f->measured));
    json_put(doc, "covers", json_text(f->covers, strlen(f->covers)));
    return doc;
}
