#include "client/views.h"

#include <string.h>

/* NULL stays NULL: SQLite's arithmetic does. */
#define UTC(ns)                                                                                    \
    "strftime('%Y-%m-%dT%H:%M:%S', " ns " / 1000000000, 'unixepoch')"                              \
    " || printf('.%03dZ', " ns " / 1000000 % 1000)"
#define STARTED_UTC UTC("r.started_utc_ns") " AS started_utc"
#define NOTE_UTC    UTC("utc_ns") " AS utc"
#define CREATED_UTC UTC("created_utc_ns") " AS created_utc"

/* How good the worst of a total's channels is. */
#define QUALITY                                                                                    \
    "coalesce(c.quality, (SELECT CASE max(CASE pc.quality WHEN 'estimated' THEN 3"                 \
    " WHEN 'modelled' THEN 2 ELSE 1 END) WHEN 3 THEN 'estimated' WHEN 2 THEN 'modelled'"           \
    " WHEN 1 THEN 'measured' END FROM energy_part p JOIN channel pc ON pc.id = p.channel"          \
    " WHERE p.total = e.id), 'none')"

const struct view view_list[] = {
    {"runs", "run", "one row a run: what, when, how it ended, the machine's energy over its window",
     "SELECT r.id AS run, r.uuid, r.label, r.project, r.state, r.kind,"
     " CASE r.kind WHEN 'train' THEN 'train ' ELSE '' END ||"
     " (SELECT group_concat(value, ' ') FROM json_each(r.spec, '$.argv')) AS command,"
     " coalesce(o.machine, json_extract(b.machine, '$.host')) AS host, " STARTED_UTC
     ", (r.t1_ns - r.t0_ns) / 1e9 AS elapsed_s, e.energy_uj / 1e6 AS energy_j,"
     " e.lo_uj / 1e6 AS lo_j, e.hi_uj / 1e6 AS hi_j,"
     " CASE WHEN e.id IS NULL THEN NULL ELSE " QUALITY " END AS quality, e.bound_basis, e.flags,"
     " coalesce(e.reason, CASE WHEN e.id IS NULL THEN 'no figure' END) AS energy_reason,"
     " r.exit_code, r.term_signal, r.reason, r.cpu_us / 1e6 AS cpu_s, r.cpu_basis,"
     " r.maxrss_bytes, r.leftovers, r.uid, r.sweep, r.sweep_index, r.retry_of, r.priority, r.mode,"
     " r.origin, r.code, r.machine_start, r.machine_end, r.boot, r.submitted_utc_ns,"
     " r.started_utc_ns, r.ended_utc_ns, r.t0_ns, r.main_exit_ns, r.t1_ns, r.spec"
     " FROM run r LEFT JOIN energy e ON e.run = r.id AND e.channel IS NULL"
     " AND e.figure = 'machine' AND e.part = 'window' LEFT JOIN channel c ON c.id = e.channel"
     " LEFT JOIN boot b ON b.id = r.boot LEFT JOIN origin o ON o.id = r.origin",
     false},
    {"params", "run_param",
     "parameters of runs, and what programs said of themselves (info., summary.)",
     "SELECT run, key, type, value FROM run_param", false},
    {"energies", "energy", "every newest figure: total (channel NULL) and each channel, by part",
     "SELECT e.run, e.figure, e.part, e.channel, coalesce(c.label, 'total') AS meter, "
     "c.scope," QUALITY
     " AS quality, e.method, e.energy_uj / 1e6 AS energy_j, e.lo_uj / 1e6 AS lo_j,"
     " e.hi_uj / 1e6 AS hi_j, e.bound_basis, e.covered_ns, e.bridged_uj / 1e6 AS bridged_j,"
     " e.unknown_ns, e.random_uj / 1e6 AS random_j, e.gain_ppm, e.flags, e.reason,"
     " EXISTS(SELECT 1 FROM energy t JOIN energy_part p ON p.total = t.id"
     " WHERE t.run = e.run AND t.figure = e.figure AND t.part = e.part AND t.channel IS NULL"
     " AND p.channel = e.channel) AS in_total, e.algo, e.policy, e.baseline, e.id,"
     " e.computed_utc_ns, e.samples, e.max_gap_ns, e.sampling_uj / 1e6 AS sampling_j,"
     " e.sampled_ppm, e.idle_uj / 1e6 AS idle_j, e.range_lo_uj / 1e6 AS range_lo_j,"
     " e.range_hi_uj / 1e6 AS range_hi_j, e.version, e.lag_ns, e.lag_basis,"
     " e.uncovered_uj / 1e6 AS uncovered_j, e.uncovered_beyond"
     " FROM energy e LEFT JOIN channel c ON c.id = e.channel",
     false},
    {"energy_parts", "energy_part", "which channels a total was taken over",
     "SELECT e.run, p.total, p.channel, c.label AS meter FROM energy_part p"
     " JOIN energy e ON e.id = p.total LEFT JOIN channel c ON c.id = p.channel",
     false},
    {"companions", "run_companion",
     "what explains a run's power: temperatures, clocks, limits and throttling beside it",
     "SELECT b.run, b.channel, c.label AS meter, c.unit, b.samples, b.known_ns, b.min, b.mean,"
     " b.max, b.first, b.last, b.gained, b.bits, b.limited_ns, b.capped_ns FROM run_companion b"
     " LEFT JOIN channel c ON c.id = b.channel",
     false},
    {"metrics", "metric", "every number that runs reported, line by line",
     "SELECT run, seq, step, key, value, t_ns, stamp FROM metric", true},
    {"metric_heads", "metric_head", "first, last, least and largest value of each metric of a run",
     "SELECT run, key, n, first, last, min, max, last_step, by_uid FROM metric_head", false},
    {"epochs", "metric", "training runs epoch by epoch: losses and times",
     "SELECT run, step AS epoch, max(value) FILTER (WHERE key = 'train_loss') AS train_loss,"
     " max(value) FILTER (WHERE key = 'test_loss') AS test_loss,"
     " max(value) FILTER (WHERE key = 'test_accuracy') AS test_accuracy,"
     " max(value) FILTER (WHERE key = 'train_ns') / 1e9 AS train_s,"
     " max(value) FILTER (WHERE key = 'test_ns') / 1e9 AS test_s, max(t_ns) AS t_ns"
     " FROM metric WHERE step IS NOT NULL GROUP BY run, step",
     true},
    {"phases", "phase", "named parts of runs",
     "SELECT run, name, (t1_ns - t0_ns) / 1e9 AS elapsed_s, t0_ns, t1_ns FROM phase", false},
    {"events", "event", "every change of state",
     "SELECT run, id, boot, t_ns, actor_uid, from_state, to_state, reason FROM event", false},
    {"tags", "tag", "tags of runs", "SELECT run, tag FROM tag", false},
    {"notes", "note", "notes people wrote",
     "SELECT run, id, uid, " NOTE_UTC ", utc_ns, text FROM note", false},
    {"codes", "code", "what code ran: commit, changes, interpreter",
     "SELECT hash, commit_id, dirty, script_sha256, interpreter, packages_sha256, diff FROM code",
     false},
    {"sweeps", "sweep", "families of runs",
     "SELECT id, uid, label, state, reason, submitted_utc_ns, spec FROM sweep", false},
    {"channels", "channel", "the meters: what each covers, its resolution and stated accuracy",
     "SELECT c.id, c.label, s.name AS source, c.kind, c.unit, c.scope, c.quality, c.covers,"
     " c.accuracy_ppm, c.quantum, c.period_ns, c.period_declared, c.period_learned_ns, c.lag_ns,"
     " c.box_ns, c.wrap_uj / 1e6 AS wrap_j, c.pmax_uw / 1e6 AS pmax_w, c.parent, c.mirror_of, c.uid"
     " FROM channel c LEFT JOIN source s ON s.id = c.source",
     false},
    {"baselines", "baseline", "measured idle power",
     "SELECT id, channel, boot, t0_ns, t1_ns, power_uw / 1e6 AS power_w,"
     " spread_uw / 1e6 AS spread_w, n FROM baseline",
     false},
    {"machines", "machine", "facts about the machine that change under runs, as JSON",
     "SELECT id, hash, facts FROM machine", false},
    {"boots", "boot", "boots of machines", "SELECT id, boot_id, machine FROM boot", false},
    {"anchors", "anchor", "pairs of boot time and UTC",
     "SELECT boot, boottime_ns, utc_ns, step FROM anchor", false},
    {"origins", "origin", "where imported runs came from",
     "SELECT id, machine, format, sha256, facts, uid, imported_utc_ns FROM origin", false},
    {"models", "model", "fitted models of energy and time",
     "SELECT id, " CREATED_UTC ", created_utc_ns, uid, machine, backend, selection, energy,"
     " version, caches, report FROM model",
     false},
    {"model_terms", "model_term", "coefficients of models",
     "SELECT model, part, name, unit, meaning, value, lo, hi FROM model_term", false},
    {"model_runs", "model_run", "which runs a model was fitted on, and why others were not",
     "SELECT model, run, used, reason FROM model_run", false},
};
const size_t view_count = ARRAY_LEN(view_list);

const struct view *view_find(const char *name)
{
    for (size_t i = 0; i < view_count; i++)
        if (strcmp(view_list[i].name, name) == 0)
            return &view_list[i];
    return NULL;
}

const char *view_names(char *buf, size_t cap)
{
    size_t n = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < view_count && n + 60 < cap; i++)
        n += (size_t)snprintf(buf + n, cap - n, "%s%s", i ? ", " : "", view_list[i].name);
    (void)snprintf(buf + n, cap - n, ", ...: wattq help sql");
    return buf;
}
