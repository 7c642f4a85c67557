#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/energy/energy_internal.h"
#include "daemon/store/opinions.h"

void energy_set_fini(struct energy_set *s)
{
    free(s->channels);
    free(s->figures);
    free(s->in_total);
    memset(s, 0, sizeof(*s));
}

/* ---- which channels ----------------------------------------------------------------------------- */

static bool measures_energy(const struct channel_row *ch)
{
    return ch->quality != QUALITY_NONE &&
           (ch->kind == CHANNEL_COUNTER || ch->kind == CHANNEL_GAUGE ||
            ch->kind == CHANNEL_AVERAGE);
}

/* Keep energy channels, compute their figures, drop those of which the window knows nothing. A channel
 * that a later boot or another machine's disk brought in has no reading here and is none of this one. */
static int compute(struct store *s, const struct energy_window *w, struct energy_set *x,
                   struct err *e)
{
    size_t all = x->n, kept = 0;
    x->figures = base_alloc((all + 1) * sizeof(*x->figures));
    x->in_total = base_alloc(all + 1);
    for (size_t i = 0; i < all; i++) {
        if (!measures_energy(&x->channels[i]))
            continue;
        int rc = energy_of_channel(s, &x->channels[i], w, &x->figures[kept], e);
        if (rc)
            return rc;
        int seen = samples_seen(s, x->channels[i].id, w->boot, w->t1_ns, e);
        if (seen < 0)
            return seen;
        if (!seen)
            continue;
        x->channels[kept] = x->channels[i];
        kept++;
    }
    x->n = kept;
    return 0;
}

static int index_of(const struct energy_set *x, int64_t id)
{
    for (size_t i = 0; id > 0 && i < x->n; i++)
        if (x->channels[i].id == id)
            return (int)i;
    return -1;
}

static bool rival(const struct energy_set *x, size_t a, size_t b)
{
    const struct channel_row *ca = &x->channels[a];
    const struct channel_row *cb = &x->channels[b];
    bool twice = ca->scope == SCOPE_PACKAGE || ca->scope == SCOPE_DRAM || ca->scope == SCOPE_PSYS;
    return twice && ca->scope == cb->scope && ca->kind == CHANNEL_COUNTER &&
           cb->kind == CHANNEL_COUNTER && strcmp(ca->source, cb->source) != 0;
}

static size_t count_like(const struct energy_set *x, const struct meter_view *v, size_t like)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        n += v[i].usable && x->channels[i].scope == x->channels[like].scope &&
             strcmp(x->channels[i].source, x->channels[like].source) == 0;
    return n;
}

/* perf leads, but counts from its own opening: what flowed over a restart of the daemon only powercap's
 * register knows. Where a source lacks part of the window and another one, which meters the same and as
 * many of it, lacks less, that one speaks for the scope. */
static void stand_in(const struct energy_set *x, struct meter_view *v)
{
    struct meter_view *was = base_alloc((x->n + 1) * sizeof(*was));
    memcpy(was, v, x->n * sizeof(*was));
    for (size_t i = 0; i < x->n; i++)
        for (size_t j = 0; was[i].usable && j < x->n; j++)
            if (was[j].usable && rival(x, i, j) &&
                x->figures[j].unknown_ns < x->figures[i].unknown_ns &&
                count_like(x, was, j) >= count_like(x, was, i))
                for (size_t k = 0; k < x->n; k++)
                    v[k].usable =
                        v[k].usable && (x->channels[k].scope != x->channels[i].scope ||
                                        strcmp(x->channels[k].source, x->channels[i].source) != 0);
    free(was);
}

/* How far a channel can be trusted over this window: what watching it showed, and what it covers. */
static int view_of(struct store *s, const struct energy_window *w, struct energy_set *x, size_t i,
                   struct meter_view *v, struct err *e)
{
    struct channel_opinion o = {.about = 0};
    struct energy_figure *f = &x->figures[i];
    int rc = opinions_of(s, &x->channels[i], w->boot, w->t0_ns, w->t1_ns, &o, e);
    if (rc)
        return rc;
    bool mirror = o.standing.doubt == METER_DOUBT_MIRROR;
    *v = (struct meter_view){
        .usable = f->known && (mirror ? o.about > 0 : !meter_doubt_excludes(o.standing.doubt)),
        .demoted = o.inside != METER_DOUBT_NONE,
        .mirror = mirror ? index_of(x, o.about) : -1,
        .missing_ns = f->unknown_ns,
    };
    if (o.inside != METER_DOUBT_NONE)
        energy_flag(f, meter_doubt_name(o.inside));
    return 0;
}

/* The antichain wants the meter's own words; only what the choice depends on is filled in. */
static void append(char *dst, size_t cap, const char *glue, const char *word)
{
    size_t have = strlen(dst);
    if (have + strlen(glue) + strlen(word) + 1 <= cap)
        snprintf(dst + have, cap - have, "%s%s", have ? glue : "", word);
}

/* The outer meter that the total is alone, or x->n. */
static size_t sole_outer(const struct energy_set *x)
{
    size_t outer = x->n;
    for (size_t i = 0; i < x->n; i++) {
        enum channel_scope scope = x->channels[i].scope;
        if (x->in_total[i] && (outer < x->n || (scope != SCOPE_NODE && scope != SCOPE_PSYS)))
            return x->n;
        outer = x->in_total[i] ? i : outer;
    }
    return outer;
}

/* What a wall meter sees and those inside the machine do not: supply, fans, disks, and their errors. */
static void find_uncovered(struct energy_set *x, const struct meter_channel *const *list,
                           struct meter_view *views)
{
    size_t outer = sole_outer(x);
    uint8_t *in CLEANUP(base_freep) = base_alloc(x->n + 1);
    size_t found = 0;
    if (outer == x->n)
        return;
    for (size_t i = 0; i < x->n; i++) {
        enum channel_scope scope = x->channels[i].scope;
        bool same = scope == SCOPE_NODE || scope == x->channels[outer].scope;
        bool beside = x->channels[outer].scope == SCOPE_PSYS &&
                      (scope == SCOPE_GPU || scope == SCOPE_MODULE || scope == SCOPE_OTHER);
        views[i].usable =
            views[i].usable && !same && !beside && x->channels[i].quality != QUALITY_ESTIMATED;
    }
    (void)meter_antichain(list, x->n, views, in);
    x->uncovered_uj = x->figures[outer].energy_uj;
    x->has_uncovered = true;
    for (size_t i = 0; i < x->n; i++) {
        const struct energy_figure *f = &x->figures[i];
        if (!in[i])
            continue;
        x->uncovered_uj -= f->energy_uj;
        x->has_uncovered = x->has_uncovered && f->unknown_ns <= f->covered_ns / 100;
        append(x->inner, sizeof(x->inner), " + ", x->channels[i].label);
        found++;
    }
    x->has_uncovered = x->has_uncovered && found > 0;
}

static int choose(struct store *s, const struct energy_window *w, struct energy_set *x,
                  struct err *e)
{
    struct meter_channel *m = base_alloc((x->n + 1) * sizeof(*m));
    const struct meter_channel **list = base_alloc((x->n + 1) * sizeof(struct meter_channel *));
    struct meter_view *views = base_alloc((x->n + 1) * sizeof(*views));
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < x->n; i++) {
        const struct channel_row *ch = &x->channels[i];
        m[i] = (struct meter_channel){.source = ch->source, .id = ch->id};
        base_strcpy(m[i].desc.uid, sizeof(m[i].desc.uid), ch->uid);
        base_strcpy(m[i].desc.label, sizeof(m[i].desc.label), ch->label);
        base_strcpy(m[i].desc.unit, sizeof(m[i].desc.unit), ch->unit);
        base_strcpy(m[i].desc.device, sizeof(m[i].desc.device), ch->device);
        m[i].desc.kind = ch->kind;
        m[i].desc.quality = ch->quality;
        m[i].desc.scope = ch->scope;
        m[i].desc.quantum = ch->quantum;
        m[i].desc.period_ns = ch->period_ns;
        m[i].desc.period_declared = ch->period_declared;
        m[i].desc.parent = index_of(x, ch->parent);
        m[i].desc.mirror_of = index_of(x, ch->mirror_of);
        list[i] = &m[i];
        rc = view_of(s, w, x, i, &views[i], e);
    }
    if (rc >= 0)
        stand_in(x, views);
    if (rc >= 0 && x->n > 0)
        (void)meter_antichain(list, x->n, views, x->in_total);
    if (rc >= 0)
        find_uncovered(x, list, views);
    free(m);
    free(list);
    free(views);
    return rc < 0 ? rc : 0;
}

/* ---- the sum ------------------------------------------------------------------------------------ */

static void add_flags(struct energy_figure *t, const struct energy_figure *f)
{
    char words[sizeof(f->flags)];
    char *rest = words;
    base_strcpy(words, sizeof(words), f->flags);
    for (char *w; (w = strsep(&rest, " "));)
        if (*w && strcmp(w, "below_resolution") != 0 && strcmp(w, "coarse") != 0)
            energy_flag(t, w);
}

static bool starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* The weakest of the parts' grounds is that of the sum. */
static int basis_rank(const char *basis)
{
    return starts(basis, "soft") ? 2 : strcmp(basis, "monotone+pmax") == 0 ? 1 : 0;
}

static void add_bounds(struct energy_set *x, size_t i, bool first)
{
    struct energy_figure *t = &x->total;
    const struct energy_figure *f = &x->figures[i];
    if (!f->bounded) {
        const char *why = starts(f->bound_basis, "none: ") ? f->bound_basis + 6 : "no bound";
        if (t->bounded || first)
            snprintf(t->bound_basis, sizeof(t->bound_basis), "none: %.30s: %.55s",
                     x->channels[i].label, why);
        t->bounded = false;
        return;
    }
    if (!t->bounded && !first)
        return;
    t->bounded = true;
    t->lo_uj += f->lo_uj;
    t->hi_uj += f->hi_uj;
    if (first || basis_rank(f->bound_basis) > basis_rank(t->bound_basis))
        base_strcpy(t->bound_basis, sizeof(t->bound_basis), f->bound_basis);
}

static enum channel_quality worse(enum channel_quality a, enum channel_quality b)
{
    return a > b ? a : b; /* measured < modelled < estimated */
}

static void add_part(struct energy_set *x, size_t i, bool first)
{
    struct energy_figure *t = &x->total;
    const struct energy_figure *f = &x->figures[i];
    t->energy_uj += f->energy_uj;
    t->bridged_uj += f->bridged_uj;
    if (first || f->covered_ns < t->covered_ns)
        t->covered_ns = f->covered_ns;
    if (f->unknown_ns > t->unknown_ns)
        t->unknown_ns = f->unknown_ns;
    t->method = first || f->method > t->method ? f->method : t->method;
    t->quality = first ? f->quality : worse(t->quality, f->quality);
    add_bounds(x, i, first);
    add_flags(t, f);
}

/* Independent random parts add in squares; stated accuracies add as they are (same sign every time). */
static void add_errors(struct energy_set *x)
{
    double squares = 0, gain = 0;
    bool random = true, stated = true;
    for (size_t i = 0; i < x->n; i++) {
        const struct energy_figure *f = &x->figures[i];
        if (!x->in_total[i])
            continue;
        random = random && f->random_uj >= 0;
        stated = stated && f->gain_ppm > 0;
        squares += (double)f->random_uj * (double)f->random_uj;
        gain += (double)f->gain_ppm * (double)f->energy_uj;
    }
    x->total.random_uj = random ? (int64_t)ceil(sqrt(squares)) : -1;
    if (stated && x->total.energy_uj > 0)
        x->total.gain_ppm = (int64_t)ceil(gain / (double)x->total.energy_uj);
}

static bool all_parts_below(const struct energy_set *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->in_total[i] && !strstr(x->figures[i].flags, "below_resolution"))
            return false;
    return true;
}

static void flag_total(struct energy_set *x)
{
    struct energy_figure *t = &x->total;
    if (all_parts_below(x) || (t->bounded && t->lo_uj == 0))
        energy_flag(t, "below_resolution");
    else if (t->bounded && t->hi_uj - t->lo_uj > t->energy_uj / 10)
        energy_flag(t, "coarse");
}

void energy_set_sum(struct energy_set *x)
{
    size_t parts = 0;
    energy_figure_init(&x->total);
    x->total.quality = QUALITY_NONE;
    for (size_t i = 0; i < x->n; i++)
        if (x->in_total[i])
            add_part(x, i, parts++ == 0);
    x->total.known = parts > 0;
    if (parts == 0) {
        base_strcpy(x->total.reason, sizeof(x->total.reason),
                    x->n ? "no meter gave a reading in this window"
                         : "no meter of this machine had a reading in this window");
        base_strcpy(x->total.bound_basis, sizeof(x->total.bound_basis),
                    "none: the energy is not known");
        return;
    }
    add_errors(x);
    flag_total(x);
}

/* ---- words -------------------------------------------------------------------------------------- */

static bool has_scope(const struct energy_set *x, enum channel_scope scope)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->in_total[i] && x->channels[i].scope == scope)
            return true;
    return false;
}

static void name_meter(struct energy_set *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->in_total[i])
            append(x->meter, sizeof(x->meter), " + ", x->channels[i].label);
}

/* What a node-level meter would see and these do not. */
static void name_uncovered(struct energy_set *x)
{
    char not [120] = "";
    bool cpu = has_scope(x, SCOPE_PACKAGE) || has_scope(x, SCOPE_CPU) || has_scope(x, SCOPE_PSYS);
    if (!cpu)
        append(not, sizeof(not ), ", ", "CPU");
    if (!has_scope(x, SCOPE_DRAM) && !has_scope(x, SCOPE_PSYS))
        append(not, sizeof(not ), ", ", "DRAM");
    if (!has_scope(x, SCOPE_GPU))
        append(not, sizeof(not ), ", ", "GPU");
    append(not, sizeof(not ), ", ", "PSU, fans, disks");
    append(x->covers, sizeof(x->covers), "; not ", not );
}

static void name_covered(struct energy_set *x)
{
    static const struct {
        enum channel_scope scope;
        const char *word;
    } words[] = {
        {SCOPE_NODE, "the whole machine"},
        {SCOPE_PSYS, "platform"},
        {SCOPE_PACKAGE, "CPU package"},
        {SCOPE_CPU, "CPU"},
        {SCOPE_CORE, "CPU cores"},
        {SCOPE_UNCORE, "CPU uncore"},
        {SCOPE_DRAM, "DRAM"},
        {SCOPE_GPU, "GPU"},
        {SCOPE_MODULE, "module"},
        {SCOPE_OTHER, "one rail"},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (has_scope(x, words[i].scope))
            append(x->covers, sizeof(x->covers), " + ", words[i].word);
    if (x->covers[0] && !has_scope(x, SCOPE_NODE))
        name_uncovered(x);
}

void energy_set_name(struct energy_set *x)
{
    name_meter(x);
    name_covered(x);
}

int energy_of_window(struct store *s, const struct energy_window *w, struct energy_set *out,
                     struct err *e)
{
    memset(out, 0, sizeof(*out));
    int rc = samples_channels(s, &out->channels, &out->n, e);
    if (rc == 0)
        rc = compute(s, w, out, e);
    if (rc == 0)
        rc = choose(s, w, out, e);
    if (rc) {
        energy_set_fini(out);
        return rc;
    }
    energy_set_sum(out);
    energy_set_name(out);
    return 0;
}
