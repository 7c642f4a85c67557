/* show: everything known of one run. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/api/conform.h"
#include "daemon/api/encode_db.h"
#include "daemon/api/epochs.h"
#include "daemon/api/ops_private.h"
#include "daemon/energy/stored.h"
#include "daemon/store/accounts.h"
#include "daemon/store/baselines.h"
#include "daemon/store/beside.h"
#include "daemon/store/others.h"

#define EVENTS_MAX  1000
#define PHASES_MAX  2000
#define FIGURES_MAX 500
#define IDLES_MAX   64

struct show_job {
    struct reader_job job;
    struct ops_ticket t;
    struct rights as;
    int64_t run;
    bool see;  /* its details */
    bool live; /* what memory knows, copied: the row in it is not used */
    struct queue_run snap;
    struct wire_out o;
    struct store *s;
    size_t n; /* elements of the list at hand */
    struct conform conform;
    int64_t idles[IDLES_MAX]; /* rows of idle power that the marginal figure used */
    size_t nidles;
};

/* ---- what was asked for ------------------------------------------------------------------------- */

static void put_argv(struct wire_out *o, const struct spec *s)
{
    size_t bytes = 0;
    wire_begin_array(o, "argv");
    for (size_t i = 0; i < s->argc && bytes < SPEC_ARGV_BYTES; i++) {
        bytes += strlen(s->argv[i]);
        wire_put_str(o, NULL, s->argv[i]);
    }
    wire_end(o);
}

static void put_spec(struct wire_out *o, const struct run_row *row)
{
    struct spec s;
    struct err e;
    if (runs_spec_parse(row->spec_json, &s, &e) < 0)
        return;
    put_argv(o, &s);
    wire_put_str(o, "cwd", s.cwd);
    wire_put_str(o, "stdin", s.stdin_path);
    wire_put_str(o, "on_end", s.on_end);
    wire_put_int(o, "umask", (int64_t)s.umask);
    wire_put_int(o, "grace_ns", s.grace_ns);
    wire_put_int(o, "log_cap_bytes", s.log_cap_bytes);
    wire_put_int(o, "pause_ns", s.pause_ns);
    wire_put_int(o, "idle_bracket_ns", s.bracket_ns);
    wire_put_int(o, "quiet_ppm", s.quiet_ppm);
    wire_put_int(o, "quiet_ns", s.quiet_ns);
    wire_put_bool(o, "wait_children", s.wait_children);
    wire_put_int(o, "nice", s.nice);
    encode_opt(o, "energy_limit_uj", s.energy_limit_uj > 0 ? s.energy_limit_uj : RUN_NONE);
    wire_put_str(o, "energy_limit_figure",
                 s.energy_limit_uj > 0 ? spec_figure_name(s.energy_figure) : NULL);
    wire_begin_map(o, "rlimits");
    for (size_t i = 0; i < s.nrlimits; i++)
        if (spec_rlimit_name(s.rlimits[i].resource))
            wire_put_int(o, spec_rlimit_name(s.rlimits[i].resource), s.rlimits[i].soft);
    wire_end(o);
    wire_put_bool(o, "requeue", s.requeue);
    spec_fini(&s);
}

static int put_device(void *arg, const char *device)
{
    wire_put_str(arg, NULL, device);
    return 0;
}

/* GPUs that it was given, also long ended. */
static int put_devices(struct store *s, struct wire_out *o, int64_t run, struct err *e)
{
    wire_begin_array(o, "gpu_ids");
    int rc = accounts_devices_of(s, run, false, put_device, o, e);
    wire_end(o);
    return rc;
}

static int put_env(struct store *s, struct wire_out *o, const struct run_row *row, struct err *e)
{
    char *path CLEANUP(base_freep) = NULL;
    char *shown CLEANUP(base_freep) = NULL;
    int rc = row->env_hash ? runs_env_get(s, row->env_hash, &path, &shown, e) : 1;
    if (rc < 0)
        return rc;
    json_t *env = shown ? json_loads(shown, 0, NULL) : NULL;
    const char *key;
    json_t *value;
    size_t n = 0;
    wire_begin_map(o, "env");
    json_object_foreach(env, key, value) if (json_is_string(value) && n++ < WIRE_MAP_KEYS_MAX)
        wire_put_str(o, key, json_string_value(value));
    wire_end(o);
    json_decref(env);
    return 0;
}

static int put_code(void *arg, const struct run_code *c)
{
    struct wire_out *o = arg;
    wire_begin_map(o, "code");
    wire_put_str(o, "hash", c->hash);
    wire_put_str(o, "commit_id", c->commit_id);
    if (c->dirty >= 0)
        wire_put_bool(o, "dirty", c->dirty != 0);
    wire_put_str(o, "diff", c->diff);
    wire_put_str(o, "script_sha256", c->script_sha256);
    wire_put_str(o, "interpreter", c->interpreter);
    wire_end(o);
    return 0;
}

static void put_fact(struct wire_out *o, const char *key, const json_t *value)
{
    if (json_is_string(value))
        wire_put_str(o, key, json_string_value(value));
    else if (json_is_integer(value))
        wire_put_int(o, key, (int64_t)json_integer_value(value));
    else if (json_is_boolean(value))
        wire_put_bool(o, key, json_is_true(value));
}

static void put_facts(struct wire_out *o, const char *name, const char *facts)
{
    json_t *j = facts ? json_loads(facts, 0, NULL) : NULL;
    const char *key;
    json_t *value;
    size_t n = 0;
    if (!j)
        return;
    wire_begin_map(o, name);
    json_object_foreach(j, key, value) if (n++ < WIRE_MAP_KEYS_MAX) put_fact(o, key, value);
    wire_end(o);
    json_decref(j);
}

static int put_machine(struct store *s, struct wire_out *o, int64_t run, struct err *e)
{
    char *at_start CLEANUP(base_freep) = NULL;
    char *at_end CLEANUP(base_freep) = NULL;
    int rc = runs_machine_get(s, run, &at_start, &at_end, e);
    if (rc < 0)
        return rc;
    put_facts(o, "machine_start", at_start);
    put_facts(o, "machine_end", at_end);
    return 0;
}

/* ---- what happened ------------------------------------------------------------------------------ */

static int put_event(void *arg, const struct run_event *ev)
{
    struct show_job *j = arg;
    int64_t utc = store_utc_of(j->s, ev->boot, ev->t_ns);
    if (j->n++ >= EVENTS_MAX)
        return 1;
    wire_begin_map(&j->o, NULL);
    wire_put_int(&j->o, "t_ns", ev->t_ns);
    wire_put_int(&j->o, "boot", ev->boot);
    encode_opt(&j->o, "t_utc_ns", utc < 0 ? RUN_NONE : utc);
    encode_opt(&j->o, "actor_uid", ev->actor_uid);
    wire_put_str(&j->o, "from", ev->from);
    wire_put_str(&j->o, "to", ev->to);
    wire_put_str(&j->o, "reason", ev->reason);
    wire_end(&j->o);
    return 0;
}

static int put_phase(void *arg, const struct run_phase *p)
{
    struct show_job *j = arg;
    if (j->n++ >= PHASES_MAX)
        return 1;
    wire_begin_map(&j->o, NULL);
    wire_put_str(&j->o, "name", p->name);
    wire_put_int(&j->o, "t0_ns", p->t0_ns);
    encode_opt(&j->o, "t1_ns", p->t1_ns);
    wire_end(&j->o);
    return 0;
}

static int put_other(void *arg, const struct other_use *u)
{
    struct show_job *j = arg;
    wire_begin_map(&j->o, NULL);
    wire_put_str(&j->o, "kind", u->kind);
    wire_put_str(&j->o, "owner", u->owner);
    wire_put_str(&j->o, "device", u->device);
    wire_put_int(&j->o, "busy_us", u->busy_us);
    wire_end(&j->o);
    return 0;
}

static int put_companion(void *arg, const struct beside_row *r)
{
    struct show_job *j = arg;
    wire_begin_map(&j->o, NULL);
    wire_put_int(&j->o, "channel", r->channel);
    wire_put_str(&j->o, "label", r->label);
    wire_put_str(&j->o, "uid", r->uid);
    wire_put_str(&j->o, "device", r->device);
    wire_put_str(&j->o, "scope", r->scope);
    wire_put_str(&j->o, "unit", r->unit);
    wire_put_int(&j->o, "samples", r->c.samples);
    wire_put_int(&j->o, "known_ns", r->c.known_ns);
    encode_opt(&j->o, "min", r->c.min);
    encode_opt(&j->o, "mean", r->c.mean);
    encode_opt(&j->o, "max", r->c.max);
    wire_put_int(&j->o, "first", r->c.first);
    wire_put_int(&j->o, "last", r->c.last);
    encode_opt(&j->o, "gained", r->c.gained);
    encode_opt(&j->o, "bits", r->c.bits);
    encode_opt(&j->o, "limited_ns", r->c.limited_ns);
    encode_opt(&j->o, "capped_ns", r->c.capped_ns);
    encode_opt(&j->o, "default_uw", r->default_uw);
    wire_end(&j->o);
    return 0;
}

static int put_figure(void *arg, const struct run_energy *f)
{
    struct show_job *j = arg;
    if (j->n >= FIGURES_MAX)
        return 1;
    if (!j->see && strncmp(f->part, "phase:", strlen("phase:")) == 0)
        return 0;
    j->n++;
    encode_stored(&j->o, NULL, f, &j->as);
    conform_take(&j->conform, f);
    if (strcmp(f->figure, "marginal") == 0 && strcmp(f->part, "window") == 0 &&
        f->baseline != RUN_NONE && j->nidles < IDLES_MAX)
        j->idles[j->nidles++] = f->baseline;
    return 0;
}

/* Which idle power was taken off, from when, and how well it is known. */
static int put_idles(struct store *s, struct show_job *j, struct err *e)
{
    int rc = 0;
    wire_begin_array(&j->o, "baselines");
    for (size_t i = 0; rc >= 0 && i < j->nidles; i++) {
        struct baseline b;
        struct channel_row ch;
        rc = baselines_get(s, j->idles[i], &b, e);
        if (rc == 0)
            rc = samples_channel(s, b.channel, &ch, e);
        if (rc == 0)
            ops_put_baseline(&j->o, &b, &ch);
    }
    wire_end(&j->o);
    return rc < 0 ? rc : 0;
}

static int put_figures(struct store *s, struct show_job *j, struct err *e)
{
    wire_begin_array(&j->o, "energy");
    j->n = 0;
    int rc = runs_energy(s, j->run, put_figure, j, e);
    wire_end(&j->o);
    return rc >= 0 ? put_idles(s, j, e) : rc;
}

static int put_history(struct store *s, struct show_job *j, struct err *e)
{
    wire_begin_array(&j->o, "events");
    j->n = 0;
    int rc = runs_events(s, j->run, put_event, j, e);
    wire_end(&j->o);
    if (rc < 0)
        return rc;
    wire_begin_array(&j->o, "phases");
    j->n = 0;
    rc = runs_phases(s, j->run, put_phase, j, e);
    wire_end(&j->o);
    if (rc < 0)
        return rc;
    wire_begin_array(&j->o, "others");
    rc = others_of_run(s, j->run, put_other, j, e);
    wire_end(&j->o);
    if (rc < 0)
        return rc;
    wire_begin_array(&j->o, "companions");
    rc = beside_of_run(s, j->run, put_companion, j, e);
    wire_end(&j->o);
    return rc < 0 ? rc : 0;
}

static int put_metrics(struct store *s, struct show_job *j, const struct run_row *row,
                       struct err *e)
{
    int64_t count = 0;
    int64_t newest = -1;
    int rc = runs_metric_count(s, row->id, &count, &newest, e);
    if (rc < 0)
        return rc;
    wire_begin_map(&j->o, "metrics");
    wire_put_int(&j->o, "count", count);
    wire_end(&j->o);
    return epochs_put(s, &j->as, &j->o, row, e);
}

/* Which device this is, so that a reader of the record can tell it from another. */
static void put_identity(struct wire_out *o, const struct channel_row *ch)
{
    wire_begin_map(o, NULL);
    wire_put_int(o, "channel", ch->id);
    wire_put_str(o, "label", ch->label);
    wire_put_str(o, "uid", ch->uid);
    wire_put_str(o, "source", ch->source);
    wire_put_str(o, "device", ch->device);
    wire_put_str(o, "driver", ch->driver);
    wire_put_str(o, "firmware", ch->firmware);
    wire_put_int(o, "period_ns", ch->period_ns);
    wire_put_bool(o, "period_declared", ch->period_declared);
    encode_opt(o, "period_learned_ns", ch->period_learned_ns ? ch->period_learned_ns : RUN_NONE);
    wire_put_int(o, "lag_ns", ch->lag_ns);
    wire_put_int(o, "box_ns", ch->box_ns);
    wire_end(o);
}

/* As its maker states it, else as watched. */
static int64_t refresh_ns(const struct channel_row *ch)
{
    return ch->period_declared || ch->period_learned_ns <= 0 ? ch->period_ns
                                                             : ch->period_learned_ns;
}

/* What the total is over and what it leaves out, as the stored figures say; and what better meters would have
 * shown, where one was fitted to them. */
static int put_meter(struct store *s, struct show_job *j, int64_t run, struct err *e)
{
    struct wire_out *o = &j->o;
    struct energy_set set CLEANUP(energy_set_fini) = {0};
    int rc = energy_stored(s, run, &set, e);
    for (size_t i = 0; i < set.n; i++)
        if (set.in_total[i] && refresh_ns(&set.channels[i]) > j->conform.period_ns)
            j->conform.period_ns = refresh_ns(&set.channels[i]);
    conform_put(o, "conformance", &j->conform);
    if (rc < 0 || set.n == 0)
        return rc;
    wire_put_str(o, "meter", set.meter);
    wire_put_str(o, "covers", set.covers);
    bool shown = j->as.raw || set.total.covered_ns + set.total.unknown_ns >= COARSE_NS;
    if (set.has_uncovered && shown) {
        wire_put_int(o, "uncovered_uj", set.uncovered_uj);
        wire_put_str(o, "uncovered_beyond", set.inner);
    }
    wire_begin_array(o, "meters");
    for (size_t i = 0; i < set.n; i++)
        put_identity(o, &set.channels[i]);
    wire_end(o);
    return shown ? ops_put_calibrated(s, o, &set, e) : 0;
}

/* What only those see who may see its details. */
static int put_details(struct store *s, struct show_job *j, const struct run_row *row,
                       struct err *e)
{
    put_spec(&j->o, row);
    int rc = encode_notes(s, &j->o, row->id, e);
    if (rc == 0)
        rc = put_env(s, &j->o, row, e);
    if (rc == 0 && row->code_hash)
        rc = runs_code_get(s, row->code_hash, put_code, &j->o, e);
    if (rc == 0)
        rc = put_machine(s, &j->o, row->id, e);
    if (rc == 0)
        rc = put_history(s, j, e);
    return rc == 0 ? put_metrics(s, j, row, e) : rc;
}

static int put_all(struct store *s, struct show_job *j, const struct run_row *row, struct err *e)
{
    static const struct encode_want want = {.params = true};
    struct encode enc = {.as = j->as};
    int64_t by = RUN_NONE;
    struct queue_run bare = j->snap;
    bare.total = NULL; /* `energy` is the list of figures here */
    j->see = rights_may_see(&j->as, row->uid);
    int rc = encode_row(s, &enc, &j->o, row, j->live ? &bare : NULL, &want, e);
    if (rc == 0)
        rc = put_devices(s, &j->o, row->id, e);
    if (rc == 0 && j->see)
        rc = put_details(s, j, row, e);
    if (rc == 0)
        rc = runs_retried_by(s, row->id, &by, e);
    encode_opt(&j->o, "retried_by", by);
    if (rc == 0)
        rc = put_figures(s, j, e);
    if (rc == 0)
        rc = put_meter(s, j, row->id, e);
    return rc;
}

static int show_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct show_job *j = container_of(job, struct show_job, job);
    struct run_row row CLEANUP(run_row_fini) = {0};
    j->s = s;
    int rc = runs_get(s, j->run, &row, e);
    if (rc > 0)
        return ops_no_run(j->run, e);
    if (rc < 0)
        return rc;
    ops_begin(&j->o, j->t.id);
    wire_begin_map(&j->o, "run");
    rc = put_all(s, j, &row, e);
    wire_end(&j->o);
    return rc;
}

static void show_done(struct reader_job *job, int rc, const struct err *e)
{
    struct show_job *j = container_of(job, struct show_job, job);
    ops_answer(&j->t, &j->o, rc, e);
    free(j);
}

int op_show(struct op_call *c, struct err *e)
{
    int64_t run = 0;
    int rc = ops_need_int(c, "run", &run, e);
    if (rc < 0)
        return rc;
    struct show_job *j = base_alloc(sizeof(*j));
    j->job = (struct reader_job){.work = show_work, .done = show_done};
    j->run = run;
    j->as = *peer_rights(c->p);
    j->conform = (struct conform){.max_gap_ns = RUN_NONE, .gain_ppm = RUN_NONE};
    j->live = queue_find(c->d->queue, run, &j->snap) == 0;
    j->snap.row = NULL; /* not to be touched from the pool */
    j->snap.total = NULL;
    j->snap.gpus = NULL;
    ops_keep(&j->t, c);
    ops_read(&j->t, &j->job);
    return 0;
}
