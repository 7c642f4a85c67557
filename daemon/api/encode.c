#include "daemon/api/encode.h"

#include <stdlib.h>
#include <string.h>

#include "common/carried.h"
#include "daemon/api/coarse.h"

#define COMMAND_MAX 500 /* bytes of argv in one line */

void encode_opt(struct wire_out *o, const char *key, int64_t value)
{
    if (value == RUN_NONE)
        wire_put_nil(o, key);
    else
        wire_put_int(o, key, value);
}

const char *encode_user(struct encode *enc, int64_t uid)
{
    if (enc->known && enc->uid == uid)
        return enc->user;
    enc->known = true;
    enc->uid = uid;
    return users_name(uid, enc->user);
}

/* For people: words with blanks are quoted. Cut on a character's border. */
static void put_command(struct wire_out *o, const struct spec *s)
{
    char line[COMMAND_MAX + 8];
    size_t n = 0;
    struct carried c = {0};
    const char *prefix = s->kind == SPEC_TRAIN ? "wattq-train" : NULL;
    if (carried_find((const char *const *)s->argv, s->argc, &c))
        prefix = c.name; /* its text is no line */
    char **argv = s->argv + c.args;
    size_t argc = s->argc - c.args + (prefix ? 1 : 0);
    for (size_t i = 0; n < COMMAND_MAX && i < argc; i++) {
        const char *word = prefix && i == 0 ? prefix : argv[i - (prefix ? 1 : 0)];
        const char *quote = *word == '\0' || strpbrk(word, " \t\n\"'$&|;<>*?") ? "'" : "";
        int got = snprintf(line + n, COMMAND_MAX - n, "%s%s%s%s", i ? " " : "", quote, word, quote);
        n += got > 0 ? (size_t)got : 0;
    }
    if (n >= COMMAND_MAX) {
        n = COMMAND_MAX - 1;
        while (n > 0 && !wire_utf8_ok(line, n))
            n--;
    }
    wire_put_strn(o, "command", line, n);
}

static void put_spec(struct wire_out *o, const struct run_row *row, bool see)
{
    struct spec s;
    struct err e;
    if (runs_spec_parse(row->spec_json, &s, &e) < 0) {
        wire_put_nil(o, "command");
        return;
    }
    if (see)
        put_command(o, &s);
    else
        wire_put_nil(o, "command");
    wire_put_bool(o, "exclusive", s.exclusive);
    encode_opt(o, "gpus", s.gpus >= 0 ? s.gpus : RUN_NONE);
    encode_opt(o, "cpus", s.cpus > 0 ? s.cpus : RUN_NONE);
    encode_opt(o, "mem_limit_bytes", s.mem_bytes > 0 ? s.mem_bytes : RUN_NONE);
    wire_put_int(o, "time_limit_ns", s.time_limit_ns);
    spec_fini(&s);
}

static void put_gpus(struct wire_out *o, const char *list)
{
    wire_begin_array(o, "gpu_ids");
    while (*list) {
        size_t n = strcspn(list, ",");
        wire_put_strn(o, NULL, list, n);
        list += n + (list[n] == ',');
    }
    wire_end(o);
}

static void put_total(struct wire_out *o, const struct queue_run *live, const struct rights *as)
{
    if (!live || !live->total)
        return;
    const struct encode_figure f = {live->total, NULL, "machine", "window", false};
    encode_figure(o, "energy", &f, as);
}

void encode_run(struct encode *enc, struct wire_out *o, const struct run_row *row,
                const struct queue_run *live)
{
    bool see = rights_may_see(&enc->as, row->uid);
    if (!see)
        wire_put_bool(o, "hidden", true);
    wire_put_int(o, "run", row->id);
    wire_put_str(o, "uuid", row->uuid);
    wire_put_int(o, "uid", row->uid);
    wire_put_str(o, "user", encode_user(enc, row->uid));
    wire_put_str(o, "state", run_state_name(row->state));
    wire_put_str(o, "kind", runs_kind_name(row->kind));
    wire_put_str(o, "label", row->label);
    wire_put_str(o, "project", row->project);
    put_spec(o, row, see);
    encode_opt(o, "sweep", row->sweep);
    encode_opt(o, "sweep_index", row->sweep_index);
    encode_opt(o, "retry_of", row->retry_of);
    wire_put_int(o, "priority", row->priority);
    encode_opt(o, "submitted_utc_ns", row->submitted_utc_ns);
    encode_opt(o, "started_utc_ns", row->started_utc_ns);
    encode_opt(o, "ended_utc_ns", row->ended_utc_ns);
    int64_t elapsed = live                                               ? live->elapsed_ns
                      : row->t0_ns != RUN_NONE && row->t1_ns != RUN_NONE ? row->t1_ns - row->t0_ns
                                                                         : RUN_NONE;
    encode_opt(o, "elapsed_ns", elapsed);
    encode_opt(o, "exit_code", row->exit_code);
    encode_opt(o, "term_signal", row->term_signal);
    wire_put_str(o, "reason", see ? row->reason : NULL);
    wire_put_str(o, "mode", row->mode);
    encode_opt(o, "cpu_us", row->cpu_us);
    wire_put_str(o, "cpu_basis", row->cpu_basis);
    encode_opt(o, "maxrss_bytes", row->maxrss_bytes);
    encode_opt(o, "mem_peak_bytes", row->mem_peak_bytes);
    encode_opt(o, "leftovers", row->leftovers);
    encode_opt(o, "boot", row->boot);
    encode_opt(o, "t0_ns", row->t0_ns);
    encode_opt(o, "main_exit_ns", row->main_exit_ns);
    encode_opt(o, "t1_ns", row->t1_ns);
    if (live && row->t0_ns != RUN_NONE)
        wire_put_bool(o, "alone", live->alone);
    if (live && live->gpus && live->gpus[0])
        put_gpus(o, live->gpus);
    if (live && live->position > 0)
        wire_put_int(o, "position", live->position);
    put_total(o, live, &enc->as);
}

/* How well it was sampled, what idling would have taken, how it was divided. */
static void put_sampling(struct wire_out *o, const struct run_energy *f)
{
    encode_opt(o, "samples", f->samples);
    encode_opt(o, "max_gap_ns", f->max_gap_ns);
    encode_opt(o, "sampling_uj", f->sampling_uj);
    encode_opt(o, "sampled_ppm", f->sampled_ppm);
    wire_put_str(o, "policy", f->policy);
    encode_opt(o, "range_lo_uj", f->range_lo_uj);
    encode_opt(o, "range_hi_uj", f->range_hi_uj);
    encode_opt(o, "algo", f->algo);
    encode_opt(o, "computed_utc_ns", f->computed_utc_ns);
    wire_put_str(o, "version", f->version);
    encode_opt(o, "lag_ns", f->lag_ns);
    wire_put_str(o, "lag_basis", f->lag_basis);
}

void encode_stored(struct wire_out *o, const char *key, const struct run_energy *exact,
                   const struct rights *as)
{
    char flags[160];
    struct run_energy shown = *exact;
    const struct run_energy *f = &shown;
    if (!as->raw)
        coarse_figure(&shown, flags, sizeof(flags));
    wire_begin_map(o, key);
    encode_opt(o, "channel", f->channel ? f->channel : RUN_NONE);
    wire_put_str(o, "label", f->channel ? f->label : "total");
    wire_put_str(o, "scope", f->scope);
    wire_put_str(o, "quality", f->quality);
    wire_put_str(o, "figure", f->figure);
    wire_put_str(o, "part", f->part);
    wire_put_str(o, "method", f->method);
    encode_opt(o, "energy_uj", f->energy_uj);
    encode_opt(o, "lo_uj", f->lo_uj);
    encode_opt(o, "hi_uj", f->hi_uj);
    wire_put_str(o, "bound_basis", f->bound_basis);
    wire_put_int(o, "covered_ns", f->covered_ns);
    wire_put_int(o, "bridged_uj", f->bridged_uj);
    wire_put_int(o, "unknown_ns", f->unknown_ns);
    encode_opt(o, "random_uj", f->random_uj);
    encode_opt(o, "gain_ppm", f->gain_ppm);
    encode_opt(o, "baseline", f->baseline);
    encode_opt(o, "idle_uj", f->idle_uj);
    wire_put_str(o, "flags", f->flags);
    wire_put_str(o, "reason", f->reason);
    wire_put_bool(o, "in_total", f->in_total);
    put_sampling(o, f);
    wire_end(o);
}

void encode_figure(struct wire_out *o, const char *key, const struct encode_figure *x,
                   const struct rights *as)
{
    const struct energy_figure *f = x->f;
    const struct run_energy r = {
        .channel = x->channel ? x->channel->id : 0,
        .figure = x->figure,
        .part = x->part,
        .method = energy_method_name(f->method),
        .bound_basis = f->bound_basis,
        .flags = f->flags,
        .reason = f->reason[0] ? f->reason : NULL,
        .label = x->channel ? x->channel->label : "total",
        .quality = channel_quality_name(f->quality),
        .scope = x->channel ? channel_scope_name(x->channel->scope) : "",
        .energy_uj = f->known ? f->energy_uj : RUN_NONE,
        .lo_uj = f->known && f->bounded ? f->lo_uj : RUN_NONE,
        .hi_uj = f->known && f->bounded ? f->hi_uj : RUN_NONE,
        .covered_ns = f->covered_ns,
        .bridged_uj = f->bridged_uj,
        .unknown_ns = f->unknown_ns,
        .random_uj = f->random_uj < 0 ? RUN_NONE : f->random_uj,
        .gain_ppm = f->gain_ppm ? f->gain_ppm : RUN_NONE,
        .baseline = f->baseline ? f->baseline : RUN_NONE,
        .idle_uj = f->has_idle ? f->idle_uj : RUN_NONE,
        .in_total = x->in_total,
        .samples = f->samples < 0 ? RUN_NONE : f->samples,
        .max_gap_ns = f->max_gap_ns < 0 ? RUN_NONE : f->max_gap_ns,
        .range_lo_uj = RUN_NONE,
        .range_hi_uj = RUN_NONE,
        .sampling_uj = f->sampling_uj < 0 ? RUN_NONE : f->sampling_uj,
        .sampled_ppm = f->sampled_ppm ? f->sampled_ppm : RUN_NONE,
        .algo = ENERGY_ALGO_VERSION,
        .computed_utc_ns = RUN_NONE,
        .version = WATTQ_VERSION,
        .lag_ns = f->lag_ns < 0 ? RUN_NONE : f->lag_ns,
        .lag_basis = f->lag_basis[0] ? f->lag_basis : NULL,
    };
    encode_stored(o, key, &r, as);
}
