#include "daemon/api/encode_db.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/api/coarse.h"

#define PARTS_MAX  64 /* channels of one total */
#define PHASES_MAX 16 /* names of phases with a figure */

/* ---- energy ------------------------------------------------------------------------------------- */

struct part {
    char label[48];
    char scope[16];
    int64_t energy_uj;
};

struct phase_figure {
    char name[SPEC_KEY_MAX];
    int64_t energy_uj;
    int64_t lo_uj;
    int64_t hi_uj;
};

struct energies {
    struct wire_out *o;
    const struct rights *as;
    struct part parts[PARTS_MAX];
    size_t n;
    struct phase_figure phases[PHASES_MAX];
    size_t nphases;
    bool has_total;
    bool overlap;
};

static void take_phase(struct energies *x, const struct run_energy *f)
{
    if (f->channel != 0 || x->nphases == PHASES_MAX)
        return;
    struct phase_figure *p = &x->phases[x->nphases++];
    *p = (struct phase_figure){.energy_uj = f->energy_uj, .lo_uj = f->lo_uj, .hi_uj = f->hi_uj};
    base_strcpy(p->name, sizeof(p->name), f->part + strlen("phase:"));
}

static int take_energy(void *arg, const struct run_energy *exact)
{
    struct energies *x = arg;
    char flags[160];
    struct run_energy shown = *exact;
    const struct run_energy *f = &shown;
    if (!x->as->raw)
        coarse_figure(&shown, flags, sizeof(flags));
    if (strcmp(f->figure, "machine") == 0 && strncmp(f->part, "phase:", strlen("phase:")) == 0)
        take_phase(x, f);
    if (strcmp(f->figure, "machine") != 0 || strcmp(f->part, "window") != 0)
        return 0;
    if (f->channel == 0) {
        encode_stored(x->o, "energy", f, x->as);
        x->has_total = true;
        x->overlap = strstr(f->flags, "overlap") != NULL;
    } else if (f->in_total && x->n < PARTS_MAX) {
        struct part *p = &x->parts[x->n++];
        base_strcpy(p->label, sizeof(p->label), f->label);
        base_strcpy(p->scope, sizeof(p->scope), f->scope);
        p->energy_uj = f->energy_uj;
    }
    return 0;
}

static void put_phases(struct wire_out *o, const struct energies *x)
{
    wire_begin_array(o, "phase_energy");
    for (size_t i = 0; i < x->nphases; i++) {
        const struct phase_figure *p = &x->phases[i];
        wire_begin_map(o, NULL);
        wire_put_str(o, "name", p->name);
        encode_opt(o, "energy_uj", p->energy_uj);
        encode_opt(o, "lo_uj", p->lo_uj);
        encode_opt(o, "hi_uj", p->hi_uj);
        if (p->energy_uj == RUN_NONE)
            wire_put_str(o, "reason", "this phase has no energy figure");
        wire_end(o);
    }
    wire_end(o);
}

static int put_energy(struct store *s, const struct rights *as, struct wire_out *o,
                      const struct run_row *row, struct err *e)
{
    struct energies x = {.o = o, .as = as};
    int rc = runs_energy(s, row->id, take_energy, &x, e);
    if (rc < 0)
        return rc;
    if (!x.has_total)
        wire_put_nil(o, "energy");
    else
        wire_put_bool(o, "alone", !x.overlap);
    wire_begin_array(o, "energy_parts");
    for (size_t i = 0; i < x.n; i++) {
        wire_begin_map(o, NULL);
        wire_put_str(o, "label", x.parts[i].label);
        wire_put_str(o, "scope", x.parts[i].scope);
        encode_opt(o, "energy_uj", x.parts[i].energy_uj);
        wire_end(o);
    }
    wire_end(o);
    if (rights_may_see(as, row->uid))
        put_phases(o, &x);
    return 0;
}

/* ---- parameters --------------------------------------------------------------------------------- */

/* Every parameter the database has of a run, read once. */
struct fact {
    char *key; /* "info.size" */
    char *value;
};
struct facts {
    struct fact at[3 * WIRE_MAP_KEYS_MAX];
    size_t n;
};

static void put_typed(struct wire_out *o, const char *key, const char *value)
{
    switch (spec_param_type(value)) {
    case SPEC_INT:
        wire_put_int(o, key, strtoll(value, NULL, 10));
        break;
    case SPEC_REAL:
        wire_put_f64(o, key, strtod(value, NULL));
        break;
    case SPEC_TEXT:
        if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
            wire_put_bool(o, key, value[0] == 't');
        else
            wire_put_str(o, key, value);
        break;
    }
}

static int take_fact(void *arg, const char *key, const char *value)
{
    struct facts *f = arg;
    if (f->n < ARRAY_LEN(f->at))
        f->at[f->n++] = (struct fact){base_strdup(key), base_strdup(value)};
    return 0;
}

static void put_kind(struct wire_out *o, const struct facts *f, const char *kind)
{
    size_t len = strlen(kind);
    size_t n = 0;
    wire_begin_map(o, kind);
    for (size_t i = 0; i < f->n; i++)
        if (strncmp(f->at[i].key, kind, len) == 0 && f->at[i].key[len] == '.' &&
            n++ < WIRE_MAP_KEYS_MAX)
            put_typed(o, f->at[i].key + len + 1, f->at[i].value);
    wire_end(o);
}

static int put_facts(struct store *s, struct wire_out *o, int64_t run, struct err *e)
{
    static const char *const kinds[] = {"info", "summary", "j_per_datum"};
    struct facts *f CLEANUP(base_freep) = base_alloc(sizeof(*f));
    int rc = runs_params(s, run, take_fact, f, e);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        put_kind(o, f, kinds[i]);
    for (size_t i = 0; i < f->n; i++) {
        free(f->at[i].key);
        free(f->at[i].value);
    }
    return rc;
}

struct last_metrics {
    struct wire_out *o;
    size_t n;
};

static int take_metric(void *arg, const struct run_metric *m)
{
    struct last_metrics *x = arg;
    struct wire_out *o = x->o;
    if (m->step != RUN_NONE && x->n++ == 0)
        wire_put_int(o, "epoch", m->step);
    wire_put_f64(o, m->key, m->value);
    return 0;
}

static int put_last_metrics(struct store *s, struct wire_out *o, int64_t run, struct err *e)
{
    struct last_metrics x = {.o = o};
    wire_begin_map(o, "last_metrics");
    int rc = runs_metrics_tail(s, run, 1, take_metric, &x, e);
    wire_end(o);
    return rc;
}

static void put_params(struct wire_out *o, const struct run_row *row)
{
    struct spec spec;
    struct err ignored;
    wire_begin_map(o, "params");
    if (runs_spec_parse(row->spec_json, &spec, &ignored) == 0) {
        for (size_t i = 0; i < spec.nparams; i++)
            wire_put_str(o, spec.params[i].key, spec.params[i].value);
        spec_fini(&spec);
    }
    wire_end(o);
}

static int put_place(struct store *s, struct wire_out *o, int64_t run, struct err *e)
{
    struct run_place p;
    int rc = runs_place(s, run, &p, e);
    wire_put_str(o, "machine", p.machine[0] ? p.machine : NULL);
    encode_opt(o, "origin", p.origin);
    encode_opt(o, "first_batch_ns", p.first_batch_ns);
    wire_put_str(o, "pinned", p.is_pinned ? p.pinned : NULL);
    return rc;
}

int encode_params(struct store *s, struct wire_out *o, const struct run_row *row, struct err *e)
{
    put_params(o, row);
    int rc = put_facts(s, o, row->id, e);
    if (rc == 0)
        rc = put_place(s, o, row->id, e);
    return rc < 0 ? rc : put_last_metrics(s, o, row->id, e);
}

static int take_tag(void *arg, const char *tag)
{
    wire_put_str(arg, NULL, tag);
    return 0;
}

static int put_tags(struct store *s, struct wire_out *o, int64_t run, struct err *e)
{
    wire_begin_array(o, "tags");
    int rc = runs_tags(s, run, take_tag, o, e);
    wire_end(o);
    return rc;
}

static int take_note(void *arg, const struct run_note *n)
{
    struct wire_out *o = arg;
    wire_begin_map(o, NULL);
    wire_put_int(o, "uid", n->uid);
    wire_put_int(o, "utc_ns", n->utc_ns);
    wire_put_str(o, "text", n->text);
    wire_end(o);
    return 0;
}

static int take_head(void *arg, const struct run_head *h)
{
    struct wire_out *o = arg;
    wire_begin_map(o, NULL);
    wire_put_str(o, "key", h->key);
    wire_put_int(o, "n", h->n);
    wire_put_f64(o, "first", h->first);
    wire_put_f64(o, "last", h->last);
    wire_put_f64(o, "min", h->min);
    wire_put_f64(o, "max", h->max);
    encode_opt(o, "last_step", h->last_step);
    encode_opt(o, "by_uid", h->by_uid);
    wire_end(o);
    return 0;
}

static int put_heads(struct store *s, struct wire_out *o, int64_t run, struct err *e)
{
    wire_begin_array(o, "metric_heads");
    int rc = runs_heads(s, run, take_head, o, e);
    wire_end(o);
    return rc;
}

int encode_notes(struct store *s, struct wire_out *o, int64_t run, struct err *e)
{
    wire_begin_array(o, "notes");
    int rc = runs_notes(s, run, take_note, o, e);
    wire_end(o);
    return rc;
}

int encode_row(struct store *s, struct encode *enc, struct wire_out *o, const struct run_row *row,
               const struct queue_run *live, const struct encode_want *w, struct err *e)
{
    int rc = 0;
    encode_run(enc, o, row, live);
    if (w->energy && (!live || run_state_ended(row->state)))
        rc = put_energy(s, &enc->as, o, row, e);
    if (!rights_may_see(&enc->as, row->uid))
        return rc;
    if (rc == 0 && (w->energy || w->params))
        rc = put_tags(s, o, row->id, e);
    if (rc == 0 && w->params)
        rc = encode_params(s, o, row, e);
    if (rc == 0 && w->params)
        rc = put_heads(s, o, row->id, e);
    return rc;
}
