#include "daemon/store/opinions.h"

#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/store/stmt.h"

#define LEARN_NS (60 * NS_PER_S)

/* ---- reading ------------------------------------------------------------------------------------ */

static enum meter_doubt doubt_of(const char *kind)
{
    for (int d = METER_DOUBT_NONE + 1; kind && d < METER_DOUBTS; d++)
        if (strcmp(kind, meter_doubt_name((enum meter_doubt)d)) == 0)
            return (enum meter_doubt)d;
    /* files written before doubts had names of their own */
    return kind && strcmp(kind, "demoted") == 0 ? METER_DOUBT_LOWER : METER_DOUBT_NONE;
}

struct history {
    int64_t boot, t0_ns, t1_ns;
    struct channel_opinion *out;
};

/* What behaved badly until `end_ns`: did that touch the window? */
static void end_stretch(const struct history *h, int64_t end_ns)
{
    const struct meter_opinion *o = &h->out->standing;
    if (o->doubt != METER_DOUBT_NONE && !meter_doubt_excludes(o->doubt) && o->since_ns < h->t1_ns &&
        end_ns > h->t0_ns)
        h->out->inside = o->doubt;
}

/* One note, oldest first. Of earlier boots only a proof, and its end, still hold. */
static void take_note(struct history *h, sqlite3_stmt *st)
{
    struct meter_opinion *o = &h->out->standing;
    const char *kind = stmt_text(st, 2);
    bool here = stmt_int(st, 0) == h->boot;
    enum meter_doubt d = doubt_of(kind);
    if (d == METER_DOUBT_NONE && (!kind || !strstr("restored proven", kind)))
        return;
    if (here)
        end_stretch(h, stmt_int(st, 1));
    if (d == METER_DOUBT_NONE)
        o->proven = o->proven || strcmp(kind, "proven") == 0;
    else if (d == METER_DOUBT_LOWER)
        o->proven = false;
    if (!here)
        return;
    o->doubt = d;
    o->since_ns = stmt_int(st, 1);
    h->out->about = stmt_is_null(st, 3) ? 0 : stmt_int(st, 3);
}

int opinions_of(struct store *s, const struct channel_row *ch, int64_t boot, int64_t t0_ns,
                int64_t t1_ns, struct channel_opinion *out, struct err *e)
{
    struct history h = {boot, t0_ns, t1_ns, out};
    *out = (struct channel_opinion){.standing.about = -1};
    int rc;
    {
        STMT_USE(st, s, NOTE_DOUBTS);
        stmt_bind_int(st, 1, ch->id);
        stmt_bind_int(st, 2, boot);
        while ((rc = stmt_step(st, e)) > 0)
            take_note(&h, st);
    }
    if (rc < 0)
        return rc;
    end_stretch(&h, INT64_MAX);
    struct meter_opinion *o = &out->standing;
    bool trial = o->doubt == METER_DOUBT_NONE || o->doubt == METER_DOUBT_UNPROVEN;
    if (ch->scope == SCOPE_PSYS && trial)
        o->doubt = o->proven ? METER_DOUBT_NONE : METER_DOUBT_UNPROVEN;
    return 0;
}

int opinions_notes(struct store *s, int64_t channel,
                   int (*fn)(void *arg, const struct channel_note *n), void *arg, struct err *e)
{
    STMT_USE(st, s, NOTE_ALL);
    stmt_bind_int(st, 1, channel);
    int rc;
    while ((rc = stmt_step(st, e)) > 0) {
        struct channel_note n = {stmt_int(st, 0), stmt_int(st, 1), stmt_text(st, 2),
                                 stmt_text(st, 3)};
        rc = fn(arg, &n);
        if (rc)
            return rc;
    }
    return rc;
}

/* ---- writing ------------------------------------------------------------------------------------ */

struct kept {
    struct meter_opinion opinion; /* as stored */
    int64_t period_ns, quantum, lag_ns;
    bool begun; /* its state at the start is in the file */
};

struct opinions {
    struct meter *meter;
    struct kept *kept;
    size_t n;
    int64_t learn_ns;
};

struct opinions *opinions_new(struct meter *m)
{
    struct opinions *o = base_alloc(sizeof(*o));
    o->meter = m;
    o->learn_ns = clock_mono_ns();
    return o;
}

void opinions_free(struct opinions *o)
{
    if (o)
        free(o->kept);
    free(o);
}

/* Channels may have come since. */
static void follow_meter(struct opinions *o)
{
    size_t n = o->meter ? meter_count(o->meter) : 0;
    if (n <= o->n)
        return;
    struct kept *more = base_alloc(n * sizeof(*more));
    if (o->n > 0)
        memcpy(more, o->kept, o->n * sizeof(*more));
    free(o->kept);
    o->kept = more;
    o->n = n;
}

int opinions_note(struct store *s, int64_t channel, int64_t t_ns, const char *kind,
                  const char *text, int64_t about, struct err *e)
{
    STMT_USE(st, s, NOTE_INSERT);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, store_boot(s));
    stmt_bind_int(st, 3, t_ns);
    stmt_bind_text(st, 4, kind);
    stmt_bind_text(st, 5, text);
    stmt_bind_opt(st, 6, about > 0 ? about : STMT_NULL);
    return stmt_run(st, e);
}

static int load_one(struct opinions *o, size_t i, struct store *s, struct err *e)
{
    struct channel_opinion was = {.about = 0};
    struct channel_row row;
    int64_t id = meter_channel(o->meter, i)->id;
    if (id == 0)
        return 0;
    int rc = samples_channel(s, id, &row, e);
    if (rc == 0)
        rc = opinions_of(s, &row, store_boot(s), 0, INT64_MAX, &was, e);
    if (rc)
        return rc;
    for (size_t k = 0; was.about > 0 && k < o->n; k++)
        if (meter_channel(o->meter, k)->id == was.about)
            was.standing.about = (int)k;
    /* A mirror of a channel that is not there any more is found again if it is one. */
    if (was.standing.doubt == METER_DOUBT_MIRROR && was.standing.about < 0)
        was.standing = (struct meter_opinion){.about = -1};
    o->kept[i].opinion = was.standing;
    if (was.standing.doubt != METER_DOUBT_NONE || was.standing.proven)
        meter_set_opinion(o->meter, i, &was.standing);
    return 0;
}

int opinions_load(struct opinions *o, struct store *s, struct err *e)
{
    int rc = 0;
    follow_meter(o);
    for (size_t i = 0; rc == 0 && i < o->n; i++)
        rc = load_one(o, i, s, e);
    return rc;
}

static const char *label_of(const struct opinions *o, int index)
{
    return index >= 0 && (size_t)index < o->n ? meter_channel(o->meter, (size_t)index)->desc.label
                                              : "";
}

static void say_doubt(const struct opinions *o, const struct meter_opinion *op, char *buf,
                      size_t cap)
{
    char mine[40], other[40], span[40];
    const char *about = label_of(o, op->about);
    int n = snprintf(buf, cap, "%s%s%s", meter_doubt_text(op->doubt), *about ? " " : "", about);
    if (op->span_ns > 0 && n > 0 && (size_t)n < cap)
        snprintf(buf + n, cap - (size_t)n, ": %s where that shows %s, in %s",
                 units_show_energy(mine, sizeof(mine), op->mine_uj),
                 units_show_energy(other, sizeof(other), op->other_uj),
                 units_show_duration(span, sizeof(span), op->span_ns));
}

/* A doubt that began or ended. */
static int store_opinion(struct opinions *o, size_t i, const struct meter_status *now,
                         struct store *s, struct err *e)
{
    struct kept *k = &o->kept[i];
    const struct meter_opinion *op = &now->opinion;
    char text[240];
    if (op->doubt == k->opinion.doubt && op->about == k->opinion.about &&
        op->proven == k->opinion.proven && (k->begun || op->doubt != METER_DOUBT_UNPROVEN))
        return 0;
    int64_t t = op->since_ns > 0 ? op->since_ns : clock_boot_ns();
    int64_t about = op->about >= 0 ? meter_channel(o->meter, (size_t)op->about)->id : 0;
    const char *kind = meter_doubt_name(op->doubt);
    if (op->doubt != METER_DOUBT_NONE) {
        say_doubt(o, op, text, sizeof(text));
    } else {
        kind = op->proven && !k->opinion.proven ? "proven" : "restored";
        snprintf(text, sizeof(text), "%s",
                 strcmp(kind, "proven") == 0 ? "has been seen to contain its packages"
                                             : "has agreed again for long enough");
    }
    int rc = opinions_note(s, meter_channel(o->meter, i)->id, t, kind, text, about, e);
    k->opinion = *op;
    k->begun = true;
    return rc;
}

static bool moved(int64_t now, int64_t was)
{
    int64_t by = now > was ? now - was : was - now;
    return by > was / 10;
}

static bool doubled(int64_t now, int64_t was)
{
    return was == 0 || now > 2 * was || now < was / 2;
}

static int note_learned(const struct kept *was, const struct meter_status *now, int64_t channel,
                        struct store *s, struct err *e)
{
    char text[200] = "", buf[40];
    size_t n = 0;
    if (now->period_learned_ns > 0 && doubled(now->period_learned_ns, was->period_ns))
        n += (size_t)snprintf(text + n, sizeof(text) - n, "update period at most %s%s",
                              units_show_duration(buf, sizeof(buf), now->period_learned_ns),
                              now->period_learned_ns <= now->pace_ns + now->pace_ns / 2
                                  ? " (it is not polled more often)"
                                  : "");
    if (now->quantum_learned > 1 && doubled(now->quantum_learned, was->quantum))
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%sstep %lld", n ? "; " : "",
                              (long long)now->quantum_learned);
    if (now->lag_learned_ns >= 0 && doubled(now->lag_learned_ns + 1, was->lag_ns))
        n += (size_t)snprintf(
            text + n, sizeof(text) - n, "%slag %s (from %lld changes of power)", n ? "; " : "",
            units_show_duration(buf, sizeof(buf), now->lag_learned_ns), (long long)now->lag_events);
    return n == 0 ? 0 : opinions_note(s, channel, clock_boot_ns(), "learned", text, 0, e);
}

static int store_learned(struct opinions *o, size_t i, const struct meter_status *now,
                         struct store *s, struct err *e)
{
    struct kept *k = &o->kept[i];
    int64_t id = meter_channel(o->meter, i)->id;
    /* lag + 1: a lag of 0 is a finding, and kept.lag_ns 0 means none yet */
    if (!moved(now->period_learned_ns, k->period_ns) && !moved(now->quantum_learned, k->quantum) &&
        !moved(now->lag_learned_ns + 1, k->lag_ns))
        return 0;
    const struct samples_learned x = {now->period_learned_ns, now->quantum_learned,
                                      now->lag_learned_ns};
    int rc = samples_learned(s, id, &x, e);
    if (rc == 0 && meter_channel(o->meter, i)->desc.quality != QUALITY_NONE)
        rc = note_learned(k, now, id, s, e);
    k->period_ns = now->period_learned_ns;
    k->quantum = now->quantum_learned;
    k->lag_ns = now->lag_learned_ns + 1;
    return rc;
}

int opinions_flush(struct opinions *o, struct store *s, struct err *e)
{
    bool learn = clock_mono_ns() - o->learn_ns >= LEARN_NS;
    int rc = 0;
    follow_meter(o);
    if (learn)
        o->learn_ns = clock_mono_ns();
    for (size_t i = 0; rc == 0 && i < o->n; i++) {
        struct meter_status now;
        if (meter_channel(o->meter, i)->id == 0)
            continue;
        meter_get_status(o->meter, i, &now);
        rc = store_opinion(o, i, &now, s, e);
        if (rc == 0 && learn)
            rc = store_learned(o, i, &now, s, e);
    }
    return rc;
}

/* Notes have their times as keys: those that did get through are not written twice. */
void opinions_rolled_back(struct opinions *o)
{
    if (o->n > 0)
        memset(o->kept, 0, o->n * sizeof(*o->kept));
}
