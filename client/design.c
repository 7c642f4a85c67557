#include "client/design.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/print.h"
#include "common/units.h"
#include "daemon/model/resolve.h"

#define SWEEP_S         5e-4 /* an event sweep of the fast local counters; tests/bench/bench_meter.c */
#define SAMPLE_S        0.1 /* of a daemon that does not say: its default */
#define ASSUMED_SECONDS 5.0 /* of a dry run without a daemon, and of canaries beside fixed epochs */

void design_finip(struct design *d)
{
    train_args_finip(&d->canary);
    train_args_finip(&d->warmup);
}

int design_error_parse(const char *text, double *out, struct err *e)
{
    char *end;
    double x = strtod(text, &end);
    bool number = end != text;
    end += strspn(end, " ");
    if (*end == '%') {
        x /= 100;
        end++;
    }
    if (!number || *end || !(x >= 1e-5 && x <= 0.5)) {
        err_set(e, WATTQ_E_USAGE, "--rel-error: '%.40s' is no part from 0.001%% to 50%%", text);
        return err_next(e, "write --rel-error 1%%");
    }
    *out = x;
    return 0;
}

/* ---- what the meters want ------------------------------------------------------------------------ */

static double seconds_of(const struct wire_val *channel, const char *key)
{
    int64_t ns = wire_int(channel, key, 0);
    return ns > 0 ? (double)ns / 1e9 : 0;
}

static double watts_of(const struct wire_val *channel, const char *key)
{
    int64_t uw = wire_int(channel, key, PRINT_NONE);
    return uw == PRINT_NONE || uw <= 0 ? (double)NAN : (double)uw / 1e6;
}

static void read_meter(struct resolve_meter *m, const struct wire_val *channel)
{
    double learned = seconds_of(channel, "period_learned_ns");
    double stated = seconds_of(channel, "period_ns");
    double sampled = seconds_of(channel, "sample_ns");
    bool counter = strcmp(wire_str(channel, "kind", ""), "counter") == 0;
    bool estimate = strcmp(wire_str(channel, "quality", ""), "estimated") == 0;
    *m = (struct resolve_meter){
        .kind = estimate  ? RESOLVE_ESTIMATE
                : counter ? RESOLVE_COUNTER
                          : RESOLVE_GAUGE,
        .refresh_s = stated > 0    ? stated
                     : learned > 0 ? learned
                                   : SAMPLE_S,
        .lag_s = seconds_of(channel, "lag_ns"),
        .box_s = seconds_of(channel, "box_ns"),
        .sample_s = sampled > 0 ? sampled : SAMPLE_S,
        .sweep_s = SWEEP_S,
        .tick_s = 1.0 / (double)sysconf(_SC_CLK_TCK),
        .quantum_j = (double)wire_int(channel, "quantum", 0) / 1e6,
        .power_w = watts_of(channel, "power_uw"),
        .most_w = watts_of(channel, "pmax_uw"),
    };
}

static void name_meter(char *buf, size_t cap, const struct wire_val *channel,
                       const struct resolve_meter *m)
{
    char refresh[24];
    double shown = m->kind == RESOLVE_GAUGE && m->box_s > m->refresh_s ? m->box_s : m->refresh_s;
    const char *label = wire_str(channel, "label", "?");
    if (m->kind == RESOLVE_ESTIMATE)
        (void)snprintf(buf, cap, "%s (estimated from CPU time in ticks of %g ms)", label,
                       m->tick_s * 1e3);
    else
        (void)snprintf(buf, cap, "%s (%s, a value every %s)", label, wire_str(channel, "kind", "?"),
                       units_show_duration(refresh, sizeof refresh, (int64_t)(shown * 1e9)));
}

void design_meter(struct design_length *l, const struct wire_val *meters)
{
    const struct wire_val *all = wire_get(meters, "channels");
    for (size_t i = 0; i < wire_len(all); i++) {
        const struct wire_val *channel = wire_at(all, i);
        struct resolve_meter m;
        double reached;
        if (!wire_bool(channel, "in_total", false))
            continue;
        read_meter(&m, channel);
        double seconds = resolve_seconds(&m, l->wanted, &reached);
        if (seconds < l->seconds || (l->why[0] && reached < l->reached))
            continue;
        l->seconds = seconds;
        l->reached = reached;
        l->estimate = m.kind == RESOLVE_ESTIMATE;
        name_meter(l->why, sizeof l->why, channel, &m);
    }
    if (l->seconds > 0)
        return;
    l->seconds = RESOLVE_LEAST_S;
    l->estimate = true;
    base_strcpy(l->why, sizeof l->why, "no meter");
}

static int ask_meters(struct design_length *l, struct conn *c, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    if (!c) {
        l->unknown = true;
        l->seconds = ASSUMED_SECONDS;
        return 0;
    }
    (void)conn_begin(c, "meters");
    int rc = conn_call(c, &m, e);
    if (rc == 0)
        design_meter(l, wire_msg_root(m));
    return rc;
}

const char *design_say_length(char *buf, size_t cap, const struct design_length *l)
{
    if (l->seconds <= 0)
        (void)snprintf(buf, cap, "the number of epochs was given, however long they take");
    else if (l->unknown)
        (void)snprintf(buf, cap,
                       "no wattqd answers, so the meters are not known: %.3g s per run are assumed",
                       l->seconds);
    else if (!l->why[0])
        (void)snprintf(buf, cap, "each run trains at least %.3g s, in whole epochs", l->seconds);
    else if (l->reached > 1.001 * l->wanted)
        (void)snprintf(buf, cap,
                       "%s cannot tell a run of up to %d s to %.3g %%: runs of %.3g s are told to "
                       "%.3g %%",
                       l->why, RESOLVE_MOST_S, 100 * l->wanted, l->seconds, 100 * l->reached);
    else
        (void)snprintf(buf, cap,
                       "each run trains at least %.3g s, in whole epochs: %s leaves %.2g %% open",
                       l->seconds, l->why, 100 * l->reached);
    return buf;
}

/* ---- how long a run is ----------------------------------------------------------------------------- */

static int contradict(const char *one, const char *two, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "--%s and --%s contradict each other", one, two);
    return err_next(e, "give one of them");
}

static int set_length(struct design *d, const struct args *a, struct train_args *t, struct conn *c,
                      struct err *e)
{
    const char *epochs = train_args_get(t, "epochs");
    const char *given = train_args_get(t, "min-seconds");
    const char *rel = args_str(a, OPT_REL_ERROR, NULL);
    bool automatic = !epochs || strcmp(epochs, "auto") == 0;
    d->length = (struct design_length){.wanted = DESIGN_REL_ERROR};
    if (rel && !automatic)
        return contradict("rel-error", "epochs", e);
    if (rel && given)
        return contradict("rel-error", "min-seconds", e);
    int rc = rel ? design_error_parse(rel, &d->length.wanted, e) : 0;
    if (rc < 0 || !automatic)
        return rc;
    if (given)
        d->length.seconds = strtod(given, NULL); /* wattq-train judges it */
    else
        rc = ask_meters(&d->length, c, e);
    if (rc < 0)
        return rc;
    train_args_set(t, "epochs", "auto");
    if (given)
        return 0;
    char text[32];
    d->length.seconds = ceil(2 * d->length.seconds) / 2; /* the same from one sweep to the next */
    (void)snprintf(text, sizeof text, "%g", d->length.seconds);
    train_args_set(t, "min-seconds", text);
    return 0;
}

/* ---- control runs ---------------------------------------------------------------------------------- */

static int bad_net(const char *text, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "--canary-net: '%.60s' is not KEY=VALUE,... of a network", text);
    return err_next(e, "for example: --canary-net %s", DESIGN_CANARY_NET);
}

/* "size=2^16,depth=4" over what is there. */
static int take_net(struct train_args *t, const char *text, struct err *e)
{
    static const char *const keys[] = {"dataset", "shape", "depth", "size", "batch"};
    char *copy CLEANUP(base_freep) = base_strdup(text);
    char *save = NULL;
    for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(w, '=');
        size_t k = 0;
        if (!equals || !equals[1])
            return bad_net(text, e);
        *equals = '\0';
        while (k < ARRAY_LEN(keys) && strcmp(keys[k], w) != 0)
            k++;
        if (k == ARRAY_LEN(keys))
            return bad_net(text, e);
        train_args_set(t, keys[k], equals + 1);
    }
    return 0;
}

/* The control network under the conditions of the sweep: the same backend on the same CPUs. */
static int control(struct train_args *out, const struct args *a, const struct train_args *t,
                   struct err *e)
{
    static const char *const shared[] = {"backend", "precision", "cpus", "data-dir"};
    const char *net = args_str(a, OPT_CANARY_NET, NULL);
    char *dataset CLEANUP(base_freep) = NULL;
    int rc = take_net(out, DESIGN_CANARY_NET, e);
    if (rc == 0 && net)
        rc = take_net(out, net, e);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(shared); i++) {
        const char *value = train_args_get(t, shared[i]);
        if (value)
            train_args_set(out, shared[i], value);
    }
    if (rc == 0)
        rc = train_dataset(&dataset, out, train_args_get(out, "dataset"), e);
    if (rc == 0)
        train_args_set(out, "dataset", dataset);
    return rc;
}

static int set_canary(struct design *d, const struct args *a, const struct train_args *t,
                      struct queue_sweep *q, struct err *e)
{
    char text[32];
    q->canary_every = DESIGN_CANARY_EVERY;
    int rc = args_int(a, OPT_CANARY_EVERY, 0, SPEC_SWEEP_RUNS, &q->canary_every, e);
    if (rc == 0)
        rc = control(&d->canary, a, t, e);
    if (rc < 0)
        return rc;
    (void)snprintf(text, sizeof text, "%g",
                   d->length.seconds > 0 ? d->length.seconds : ASSUMED_SECONDS);
    train_args_set(&d->canary, "epochs", "auto");
    train_args_set(&d->canary, "min-seconds", text);
    q->canary = d->canary.argv;
    q->ncanary = d->canary.n;
    return 0;
}

/* "0", or a duration. */
static int duration(const struct args *a, enum opt_id id, int64_t *out_ns, struct err *e)
{
    const char *text = args_str(a, id, NULL);
    if (text && strcmp(text, "0") == 0) {
        *out_ns = 0;
        return 0;
    }
    return args_duration(a, id, out_ns, e);
}

static int set_warmup(struct design *d, const struct args *a, const struct train_args *t,
                      struct queue_sweep *q, struct err *e)
{
    char text[32];
    int64_t ns = DESIGN_WARMUP_NS;
    int rc = duration(a, OPT_WARMUP, &ns, e);
    if (rc < 0 || ns == 0)
        return rc;
    rc = control(&d->warmup, a, t, e);
    if (rc < 0)
        return rc;
    (void)snprintf(text, sizeof text, "%g", (double)ns / 1e9);
    train_args_set(&d->warmup, "epochs", "auto");
    train_args_set(&d->warmup, "min-seconds", text);
    q->warmup = d->warmup.argv;
    q->nwarmup = d->warmup.n;
    return 0;
}

int design_pause(const struct args *a, int64_t *out_ns, struct err *e)
{
    int rc = duration(a, OPT_PAUSE, out_ns, e);
    if (rc < 0 || *out_ns <= SPEC_PAUSE_MAX_NS)
        return rc;
    err_set(e, WATTQ_E_USAGE, "--pause: longer than an hour");
    return err_next(e, "write --pause 2s");
}

int design_init(struct design *d, const struct args *a, struct train_args *t, struct queue_sweep *q,
                struct conn *c, struct err *e)
{
    q->repeat = DESIGN_REPEAT;
    d->pause_ns = args_has(a, OPT_SHARED) ? 0 : DESIGN_PAUSE_NS;
    int rc = args_int(a, OPT_REPEAT, 1, SPEC_SWEEP_RUNS, &q->repeat, e);
    if (rc == 0)
        rc = design_pause(a, &d->pause_ns, e);
    if (rc == 0)
        rc = set_length(d, a, t, c, e);
    if (rc == 0)
        rc = set_canary(d, a, t, q, e);
    return rc == 0 ? set_warmup(d, a, t, q, e) : rc;
}

int design_refuse(const struct args *a, struct err *e)
{
    static const enum opt_id ours[] = {OPT_CANARY_EVERY, OPT_CANARY_NET, OPT_WARMUP, OPT_REL_ERROR};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (!args_has(a, ours[i]))
            continue;
        err_set(e, WATTQ_E_USAGE, "--%s is for sweeps of networks", opt_defs[ours[i]].name);
        return err_next(e, "wattq sweep train --dataset standin:adult --size 2^8..2^16");
    }
    return 0;
}
