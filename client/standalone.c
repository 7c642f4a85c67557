#include "client/standalone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/curve.h"
#include "client/follow.h"
#include "client/json.h"
#include "common/units.h"
#include "daemon/launch/shepherd.h"
#include "daemon/meter/meter.h"

#define TICK_NS     (100 * NS_PER_MS)
#define SAMPLES_MAX 100000            /* kept in memory; beyond that every second one is dropped */
#define WAIT_MAX_NS (500 * NS_PER_MS) /* longest wait for a slow counter's late sample */

struct input {
    const struct source_ops *ops;
    struct source *source;
    const struct channel_desc *desc;
    size_t n;
    size_t first; /* index of its first channel */
    struct reading *now;
};

struct channel {
    struct meter_channel m; /* description with links across all sources */
    bool readable;          /* had a value at the gate */
    int64_t prev_raw;
    int64_t cum;
    int64_t last_ns;              /* of prev_raw; 0 = none yet */
    bool reset;                   /* went backwards without a range: no figure */
    struct curve_sample *samples; /* as many as there are sweeps */
};

struct standalone {
    const struct app *app;
    struct input in[16];
    size_t nin;
    struct channel *ch;
    size_t n;
    size_t nsamples;
    size_t cap;
    FILE *out;
    int64_t t0_ns;
    int64_t settle_ns; /* when the settle sample is due; 0 = taken */
    bool closed;
};

/* ---- meters -------------------------------------------------------------------------------------- */

static bool is_energy(const struct channel_desc *d)
{
    return d->kind == CHANNEL_COUNTER || d->kind == CHANNEL_GAUGE || d->kind == CHANNEL_AVERAGE;
}

static void open_source(struct standalone *s, const struct source_ops *ops,
                        const struct meter_config *cfg)
{
    struct err ignored;
    struct input *in = &s->in[s->nin];
    if (s->nin == ARRAY_LEN(s->in) || ops->open(&in->source, cfg, &ignored) != 0)
        return;
    in->ops = ops;
    in->n = ops->channels(in->source, &in->desc);
    in->first = s->n;
    in->now = base_alloc((in->n + 1) * sizeof *in->now);
    s->n += in->n;
    s->nin++;
}

static void close_sources(struct standalone *s)
{
    for (size_t i = 0; i < s->nin; i++) {
        s->in[i].ops->close(s->in[i].source);
        free(s->in[i].now);
    }
    for (size_t i = 0; i < s->n && s->ch; i++)
        free(s->ch[i].samples);
    free(s->ch);
}

static void link_channels(struct standalone *s)
{
    s->ch = base_alloc((s->n + 1) * sizeof *s->ch);
    for (size_t i = 0; i < s->nin; i++) {
        const struct input *in = &s->in[i];
        for (size_t k = 0; k < in->n; k++) {
            struct meter_channel *m = &s->ch[in->first + k].m;
            m->desc = in->desc[k];
            m->source = in->ops->name;
            if (m->desc.parent >= 0)
                m->desc.parent += (int)in->first;
            if (m->desc.mirror_of >= 0)
                m->desc.mirror_of += (int)in->first;
        }
    }
}

static bool anything_readable(struct standalone *s)
{
    for (size_t i = 0; i < s->nin; i++) {
        struct input *in = &s->in[i];
        in->ops->read(in->source, clock_boot_ns(), in->now);
        for (size_t k = 0; k < in->n; k++)
            if (is_energy(&in->desc[k]) && in->now[k].state == READING_OK &&
                in->desc[k].quality != QUALITY_ESTIMATED)
                return true;
    }
    return false;
}

/* Everything a user may read; the estimate only when nothing measures. */
static void open_meters(struct standalone *s)
{
    const char *root = args_str(&s->app->args, OPT_SYSFS_ROOT, "");
    struct meter_config cfg = {.sysfs_root = root, .period_ns = TICK_NS};
    const struct source_ops *estimate = NULL;
    for (size_t i = 0; source_list[i]; i++) {
        if (strcmp(source_list[i]->name, "estimate") == 0)
            estimate = source_list[i];
        else if (strcmp(source_list[i]->name, "slots") != 0)
            open_source(s, source_list[i], &cfg);
    }
    if (estimate && !anything_readable(s))
        open_source(s, estimate, &cfg);
    link_channels(s);
}

/* ---- the record ----------------------------------------------------------------------------------- */

static void put_line(struct standalone *s, json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(doc);
    if (text)
        (void)fprintf(s->out, "%s\n", text);
    free(text);
}

static json_t *ns_text(int64_t ns)
{
    char buf[24];
    (void)snprintf(buf, sizeof buf, "%lld", (long long)ns);
    return json_string(buf);
}

static json_t *joule(bool known, int64_t uj)
{
    return known ? json_number((double)uj / 1e6) : json_null();
}

static void put_run(struct standalone *s, const struct job *j)
{
    char now[40];
    json_t *doc = json_object();
    json_t *argv = json_array();
    for (size_t i = 0; i < j->spec.argc; i++)
        (void)json_array_append_new(argv, json_text(j->spec.argv[i], strlen(j->spec.argv[i])));
    json_put(doc, "schema", json_string("wattq.standalone/1"));
    json_put(doc, "kind", json_string("run"));
    json_put(doc, "version", json_string(WATTQ_VERSION));
    json_put(doc, "started_utc", json_string(units_show_utc(now, sizeof now, clock_utc_ns())));
    json_put(doc, "argv", argv);
    json_put(doc, "cwd", json_text(j->spec.cwd, strlen(j->spec.cwd)));
    json_put(doc, "label", json_text(j->spec.label, strlen(j->spec.label)));
    json_put(doc, "commit_id", j->code.commit_id[0] ? json_string(j->code.commit_id) : json_null());
    json_put(doc, "dirty", j->code.dirty < 0 ? json_null() : json_boolean(j->code.dirty));
    json_put(doc, "script_sha256",
             j->code.script_sha256[0] ? json_string(j->code.script_sha256) : json_null());
    put_line(s, doc);
}

static void put_channels(struct standalone *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct channel_desc *d = &s->ch[i].m.desc;
        if (!is_energy(d))
            continue;
        json_t *doc = json_object();
        json_put(doc, "kind", json_string("channel"));
        json_put(doc, "channel", json_integer((json_int_t)i));
        json_put(doc, "uid", json_string(d->uid));
        json_put(doc, "label", json_string(d->label));
        json_put(doc, "source", json_string(s->ch[i].m.source));
        json_put(doc, "meters", json_string(channel_kind_name(d->kind)));
        json_put(doc, "unit", json_string(d->unit));
        json_put(doc, "scope", json_string(channel_scope_name(d->scope)));
        json_put(doc, "quality", json_string(channel_quality_name(d->quality)));
        json_put(doc, "covers", json_string(d->covers));
        json_put(doc, "readable", json_boolean(s->ch[i].readable));
        json_put(doc, "remedy", d->remedy[0] ? json_string(d->remedy) : json_null());
        json_put(doc, "period_s", json_number((double)d->period_ns / 1e9));
        json_put(doc, "period_declared", json_boolean(d->period_declared));
        json_put(doc, "wrap_j", d->wrap_uj > 0 ? joule(true, d->wrap_uj) : json_null());
        put_line(s, doc);
    }
}

/* ---- sampling ------------------------------------------------------------------------------------- */

static void take(struct channel *c, struct reading r, struct curve_sample *out)
{
    const struct channel_desc *d = &c->m.desc;
    int64_t t = out->after_ns;
    out->valid = r.state == READING_OK && !c->reset;
    if (!out->valid)
        return;
    if (d->kind != CHANNEL_COUNTER) {
        out->value = r.value;
        return;
    }
    if (c->last_ns > 0) {
        int rc =
            meter_unwrap(&c->cum, c->prev_raw, r.value, d->wrap_uj, d->pmax_uw, t - c->last_ns);
        c->reset = rc != 0;
        out->valid = rc == 0;
    }
    c->prev_raw = r.value;
    c->last_ns = t;
    out->value = c->cum;
}

/* Makes sure that one more sample fits. */
static void make_room(struct standalone *s)
{
    if (s->nsamples < s->cap)
        return;
    if (s->cap >= SAMPLES_MAX) { /* a very long run: half the density, but open and settle stay */
        for (size_t i = 0; i < s->n; i++)
            for (size_t k = 2; k < s->cap / 2; k++)
                s->ch[i].samples[k] = s->ch[i].samples[2 * k - 1];
        s->nsamples = s->cap / 2;
        return;
    }
    s->cap = s->cap ? s->cap * 2 : 256;
    for (size_t i = 0; i < s->n; i++) {
        struct curve_sample *p = realloc(s->ch[i].samples, s->cap * sizeof *p);
        if (!p)
            abort();
        s->ch[i].samples = p;
    }
}

static void sweep(struct standalone *s, const char *edge)
{
    make_room(s);
    json_t *raw = json_array();
    int64_t first = clock_boot_ns();
    int64_t end = first;
    for (size_t i = 0; i < s->nin; i++) {
        struct input *in = &s->in[i];
        int64_t before = clock_boot_ns();
        in->ops->read(in->source, before, in->now);
        end = clock_boot_ns();
        for (size_t k = 0; k < in->n; k++) {
            struct channel *c = &s->ch[in->first + k];
            struct curve_sample *out = &c->samples[s->nsamples];
            *out = (struct curve_sample){.before_ns = before, .after_ns = end};
            take(c, in->now[k], out);
            c->readable = c->readable || out->valid;
            if (is_energy(&c->m.desc))
                (void)json_array_append_new(
                    raw, in->now[k].state == READING_OK
                             ? json_integer(in->now[k].value)
                             : json_string(reading_state_name(in->now[k].state)));
        }
    }
    s->nsamples++;
    json_t *doc = json_object();
    json_put(doc, "kind", json_string("sample"));
    json_put(doc, "edge", json_string(edge));
    json_put(doc, "t0_ns", ns_text(first));
    json_put(doc, "t1_ns", ns_text(end));
    json_put(doc, "raw", raw);
    put_line(s, doc);
}

/* How long after an edge every readable counter has refreshed. */
static int64_t settle_time(const struct standalone *s)
{
    int64_t longest = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct channel_desc *d = &s->ch[i].m.desc;
        int64_t t = d->period_ns + d->lag_ns;
        if (d->kind == CHANNEL_COUNTER && s->ch[i].readable && t > longest && t < WAIT_MAX_NS)
            longest = t;
    }
    return longest;
}

static void sleep_until(int64_t boot_ns)
{
    struct timespec t = {.tv_sec = boot_ns / NS_PER_S, .tv_nsec = boot_ns % NS_PER_S};
    while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &t, NULL) == EINTR)
        continue;
}

static void on_state(void *arg, const struct frame *f)
{
    struct standalone *s = arg;
    if (f->phase == SHEPHERD_GATE) {
        sweep(s, "open");
        put_channels(s);
    } else if (f->phase == SHEPHERD_RUNNING && s->t0_ns == 0) {
        s->t0_ns = f->t0_ns;
        sleep_until(f->t0_ns + settle_time(s));
        sweep(s, "settle");
    } else if (f->t1_ns > 0 && !s->closed) { /* empty: the result is being written */
        s->closed = true;
        sweep(s, "close");
        sleep_until(f->t1_ns + settle_time(s));
        sweep(s, "late");
    }
}

static void on_tick(void *arg)
{
    sweep(arg, "tick");
}

/* ---- figures -------------------------------------------------------------------------------------- */

static void put_figure(struct standalone *s, const struct channel *c, size_t index,
                       const struct curve_figure *f, bool in_total)
{
    json_t *doc = json_object();
    json_put(doc, "kind", json_string("figure"));
    json_put(doc, "channel", c ? json_integer((json_int_t)index) : json_null());
    json_put(doc, "label", json_string(c ? c->m.desc.label : "total"));
    json_put(doc, "method", json_string(f->method));
    json_put(doc, "energy_j", joule(f->known, f->energy_uj));
    json_put(doc, "lo_j", joule(f->known && f->bounded, f->lo_uj));
    json_put(doc, "hi_j", joule(f->known && f->bounded, f->hi_uj));
    json_put(doc, "bound_basis", json_string(f->basis));
    json_put(doc, "in_total", json_boolean(in_total));
    json_put(doc, "reason", f->reason ? json_string(f->reason) : json_null());
    put_line(s, doc);
}

static void add_to_total(struct curve_figure *total, const struct curve_figure *f, size_t before)
{
    total->energy_uj += f->energy_uj;
    total->lo_uj += f->lo_uj;
    total->hi_uj += f->hi_uj;
    total->bounded = total->bounded && f->bounded;
    if (before == 0 || strcmp(f->basis, "monotone") != 0)
        total->basis = f->basis;
    if (before == 0 || strcmp(f->method, "counter") != 0)
        total->method = f->method;
}

static void figures(struct standalone *s, int64_t t1_ns, struct curve_figure *total)
{
    const struct meter_channel **m CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof(void *));
    bool *usable CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *usable);
    uint8_t *chosen CLEANUP(base_freep) = base_alloc(s->n + 1);
    struct curve_figure *f CLEANUP(base_freep) = base_alloc((s->n + 1) * sizeof *f);
    size_t parts = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct channel *c = &s->ch[i];
        m[i] = &c->m;
        if (is_energy(&c->m.desc) && c->readable)
            curve_figure(&f[i], &c->m.desc, c->samples, s->nsamples, s->t0_ns, t1_ns);
        usable[i] = is_energy(&c->m.desc) && c->readable && f[i].known;
    }
    (void)meter_antichain_of(m, s->n, usable, chosen);
    *total =
        (struct curve_figure){.bounded = true, .basis = "none: not known", .method = "counter"};
    for (size_t i = 0; i < s->n; i++) {
        if (!is_energy(&s->ch[i].m.desc) || !s->ch[i].readable)
            continue;
        put_figure(s, &s->ch[i], i, &f[i], chosen[i] != 0);
        if (chosen[i])
            add_to_total(total, &f[i], parts++);
    }
    total->known = parts > 0;
    total->reason = parts > 0 ? NULL : "no meter could be read by this user";
    put_figure(s, NULL, 0, total, true);
}

static void put_result(struct standalone *s, const struct result *r)
{
    json_t *doc = json_object();
    json_put(doc, "kind", json_string("result"));
    json_put(doc, "cause", json_string(result_cause_name(r->cause)));
    json_put(doc, "exit_code",
             r->exit_code == RESULT_NONE ? json_null() : json_integer(r->exit_code));
    json_put(doc, "term_signal",
             r->term_signal == RESULT_NONE ? json_null() : json_integer(r->term_signal));
    json_put(doc, "t0_ns", r->t0_ns == RESULT_NONE ? json_null() : ns_text(r->t0_ns));
    json_put(doc, "main_exit_ns",
             r->main_exit_ns == RESULT_NONE ? json_null() : ns_text(r->main_exit_ns));
    json_put(doc, "t1_ns", r->t1_ns == RESULT_NONE ? json_null() : ns_text(r->t1_ns));
    json_put(doc, "elapsed_s",
             r->t1_ns == RESULT_NONE || r->t0_ns == RESULT_NONE
                 ? json_null()
                 : json_number((double)(r->t1_ns - r->t0_ns) / 1e9));
    json_put(doc, "cpu_s",
             r->cpu_us == RESULT_NONE ? json_null() : json_number((double)r->cpu_us / 1e6));
    json_put(doc, "maxrss_bytes",
             r->maxrss_bytes == RESULT_NONE ? json_null() : json_integer(r->maxrss_bytes));
    json_put(doc, "boot_id", json_string(r->boot_id));
    json_put(doc, "text", r->text[0] ? json_string(r->text) : json_null());
    put_line(s, doc);
}

/* The cost line, by the same code as everywhere: a summary is written and read again. */
static void tell(const struct standalone *s, const struct result *r, const struct curve_figure *f)
{
    struct wire_out o = {0};
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    wire_out_reset(&o);
    bool good = r->cause == RESULT_EXITED && r->exit_code == 0;
    wire_put_str(&o, "state", good ? "done" : "failed");
    wire_put_int(&o, "run", 0);
    if (r->exit_code != RESULT_NONE)
        wire_put_int(&o, "exit_code", r->exit_code);
    if (r->term_signal != RESULT_NONE)
        wire_put_int(&o, "term_signal", r->term_signal);
    if (r->t0_ns != RESULT_NONE && r->t1_ns != RESULT_NONE)
        wire_put_int(&o, "elapsed_ns", r->t1_ns - r->t0_ns);
    wire_begin_map(&o, "energy");
    if (f->known) {
        wire_put_int(&o, "energy_uj", f->energy_uj);
        if (f->bounded) {
            wire_put_int(&o, "lo_uj", f->lo_uj);
            wire_put_int(&o, "hi_uj", f->hi_uj);
        }
    }
    wire_put_str(&o, "method", f->method);
    wire_put_str(&o, "bound_basis", f->basis);
    wire_put_str(&o, "reason", f->reason);
    wire_end(&o);
    if (wire_out_finish(&o, NULL) == 0 &&
        wire_msg_new(&m, o.data + WIRE_HEADER_BYTES, o.bytes - WIRE_HEADER_BYTES, NULL) == 0)
        follow_print_end(s->app, stderr, wire_msg_root(m));
    wire_out_free(&o);
}

/* ---- all of it ------------------------------------------------------------------------------------ */

static int run_metered(struct standalone *s, const struct job *j, struct err *e)
{
    struct launch_block b;
    struct result r;
    struct curve_figure total = {
        .basis = "none", .method = "counter", .reason = "it never started"};
    struct shepherd_watch watch = {
        .on_state = on_state, .on_tick = on_tick, .tick_ns = TICK_NS, .arg = s};
    result_init(&r);
    exec_block(&b, j);
    put_run(s, j);
    int rc = exec_stdin(j, e);
    if (rc == 0)
        rc = shepherd_standalone(&b, &watch, &r, e);
    if (rc < 0)
        return rc;
    put_result(s, &r);
    if (r.t0_ns != RESULT_NONE && r.t1_ns != RESULT_NONE)
        figures(s, r.t1_ns, &total);
    if (!s->app->quiet)
        tell(s, &r, &total);
    return exec_exit_code(&r);
}

int standalone_run(const struct app *app, const struct job *j, const char *out, struct err *e)
{
    struct standalone s = {.app = app};
    s.out = fopen(out, "wxe"); /* a record is never overwritten */
    if (!s.out) {
        int code = errno == EEXIST ? WATTQ_E_CONFLICT : WATTQ_E_IO;
        err_errno(e, code, "--out: cannot make %.150s", out);
        return err_next(e, "name a file that does not exist, in a directory you may write in");
    }
    open_meters(&s);
    int rc = run_metered(&s, j, e);
    close_sources(&s);
    bool failed = fflush(s.out) != 0 || ferror(s.out) != 0;
    failed = fclose(s.out) != 0 || failed;
    if (rc >= 0 && failed)
        cmd_say(app, "wattq: the record %s is not complete: %s", out, strerror(errno));
    else if (rc >= 0)
        cmd_say(app, "wattq: the record is in %s", out);
    return rc;
}
