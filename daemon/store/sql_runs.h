/* Statements of the run tables (runs_*.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_RUNS_H
#define DAEMON_STORE_SQL_RUNS_H

/* Columns of struct run_row, in the order runs_read.c takes them. */
#define SQL_RUN_COLS                                                                               \
    "id, uuid, token, uid, state, kind, spec, label, project, reason, mode, env, code, cpu_basis," \
    " sweep, sweep_index, retry_of, priority, boot, t0_ns, main_exit_ns, t1_ns,"                   \
    " submitted_utc_ns, started_utc_ns, ended_utc_ns, exit_code, term_signal, cpu_us,"             \
    " maxrss_bytes, leftovers, warrant, mem_peak_bytes, place"
/* Conditions of struct run_query that every list shares; ?1 is the row to start below. */
#define SQL_RUN_WHERE                                                                              \
    " WHERE id < ?1 AND (?2 IS NULL OR uid = ?2) AND (?3 IS NULL OR state = ?3)"                   \
    " AND (?4 IS NULL OR submitted_utc_ns >= ?4) AND (?5 IS NULL OR submitted_utc_ns <= ?5)"
#define SQL_LIVE "('held','queued','starting','running','paused','stopping')"
/* Newer figure of the same thing exists. */
#define SQL_SUPERSEDED(e) "EXISTS(SELECT 1 FROM energy n WHERE n.supersedes = " e ".id)"

#define SQL_RUNS(X)                                                                                \
    X(RUN_INSERT,                                                                                  \
      "INSERT INTO run(uuid, uid, state, kind, spec, label, project, sweep, sweep_index,"          \
      " retry_of, priority, env, code, submitted_utc_ns, warrant)"                                 \
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)")                 \
    X(RUN_MOVE,                                                                                    \
      "UPDATE run SET state = ?3, reason = coalesce(?4, reason), token = coalesce(?5, token),"     \
      " mode = coalesce(?6, mode), t0_ns = coalesce(?7, t0_ns),"                                   \
      " main_exit_ns = coalesce(?8, main_exit_ns), t1_ns = coalesce(?9, t1_ns),"                   \
      " exit_code = coalesce(?10, exit_code), term_signal = coalesce(?11, term_signal),"           \
      " cpu_us = coalesce(?12, cpu_us), maxrss_bytes = coalesce(?13, maxrss_bytes),"               \
      " leftovers = coalesce(?14, leftovers), started_utc_ns = coalesce(?15, started_utc_ns),"     \
      " ended_utc_ns = coalesce(?16, ended_utc_ns), cpu_basis = coalesce(?17, cpu_basis),"         \
      " boot = coalesce(?18, boot), mem_peak_bytes = coalesce(?19, mem_peak_bytes) WHERE id = ?1 " \
      "AND state = ?2")                                                                            \
    X(RUN_TOKEN_MAX, "SELECT coalesce(max(token), 0) FROM run")                                    \
    X(RUN_LINE_PUT, "UPDATE run SET place = ?2, priority = ?3 WHERE id = ?1")                      \
    X(RUN_SERVED,                                                                                  \
      "SELECT r.uid, max(e.id) AS last FROM event e JOIN run r ON r.id = e.run"                    \
      " WHERE e.id > (SELECT coalesce(max(id), 0) FROM event) - ?1 AND e.to_state = 'starting'"    \
      " GROUP BY r.uid ORDER BY last")                                                             \
    X(RUN_LENGTHS,                                                                                 \
      "SELECT uid, sweep, t1_ns - t0_ns, coalesce(label, ''), spec FROM run WHERE state = 'done'"  \
      " AND t0_ns IS NOT NULL AND t1_ns IS NOT NULL AND origin IS NULL ORDER BY id DESC LIMIT ?1") \
    X(RUN_STATE_OF, "SELECT state FROM run WHERE id = ?1")                                         \
    X(EVENT_PUT, "INSERT INTO event(boot, t_ns, run, actor_uid, from_state, to_state, reason)"     \
                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                            \
    X(ENV_REFS, "SELECT refs FROM env WHERE hash = ?1")                                            \
    X(ENV_PUT, "INSERT INTO env(hash, path, refs, shown) VALUES(?1, ?2, 1, ?3)"                    \
               " ON CONFLICT(hash) DO UPDATE SET refs = refs + 1, path = excluded.path")           \
    X(ENV_DROP, "UPDATE env SET refs = refs - 1 WHERE hash = ?1 AND refs > 0 RETURNING refs")      \
    X(ENV_GET, "SELECT path, shown FROM env WHERE hash = ?1")                                      \
    X(CODE_PUT, "INSERT INTO code(hash, commit_id, dirty, diff, script_sha256, interpreter)"       \
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(hash) DO NOTHING")                    \
    X(CODE_GET, "SELECT commit_id, dirty, diff, script_sha256, interpreter FROM code"              \
                " WHERE hash = ?1")                                                                \
    X(RUN_SET_CODE, "UPDATE run SET code = ?2 WHERE id = ?1")                                      \
    X(MACHINE_PUT, "INSERT INTO machine(hash, facts) VALUES(?1, ?2) ON CONFLICT(hash) DO NOTHING") \
    X(RUN_MACHINE_START, "UPDATE run SET machine_start = (SELECT id FROM machine WHERE hash = ?2)" \
                         " WHERE id = ?1")                                                         \
    X(RUN_MACHINE_END, "UPDATE run SET machine_end = (SELECT id FROM machine WHERE hash = ?2)"     \
                       " WHERE id = ?1")                                                           \
    X(MACHINE_OF_RUN,                                                                              \
      "SELECT (SELECT facts FROM machine m WHERE m.id = r.machine_start),"                         \
      " (SELECT facts FROM machine m WHERE m.id = r.machine_end) FROM run r WHERE r.id = ?1")      \
    X(SWEEP_INSERT, "INSERT INTO sweep(uid, label, spec, submitted_utc_ns, state)"                 \
                    " VALUES(?1, ?2, ?3, ?4, 'open')")                                             \
    X(SWEEP_STATE, "UPDATE sweep SET state = ?2, reason = ?3 WHERE id = ?1")                       \
    X(SWEEP_GET, "SELECT id, uid, submitted_utc_ns, label, spec, state, reason FROM sweep"         \
                 " WHERE ?1 IS NULL OR id = ?1 ORDER BY id DESC LIMIT 1000")                       \
    X(SWEEP_COUNTS, "SELECT state, count(*) FROM run WHERE sweep = ?1 GROUP BY state")             \
    X(PHASE_OPEN_ONE, "SELECT name FROM phase WHERE run = ?1 AND t1_ns IS NULL")                   \
    X(PHASE_CLOSE, "UPDATE phase SET t1_ns = max(t0_ns, ?2) WHERE run = ?1 AND t1_ns IS NULL")     \
    X(PHASE_PUT, "INSERT OR IGNORE INTO phase(run, name, t0_ns) VALUES(?1, ?2, ?3)")               \
    X(PHASES, "SELECT name, t0_ns, t1_ns FROM phase WHERE run = ?1 ORDER BY t0_ns, name")          \
    X(METRIC_PUT, "INSERT OR IGNORE INTO metric(run, seq, step, key, value, t_ns, stamp)"          \
                  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                           \
    X(METRICS, "SELECT seq, step, t_ns, key, stamp, value FROM metric WHERE run = ?1"              \
               " ORDER BY seq, key")                                                               \
    X(METRICS_TAIL,                                                                                \
      "SELECT seq, step, t_ns, key, stamp, value FROM metric WHERE run = ?1 AND seq >="            \
      " (SELECT min(seq) FROM (SELECT DISTINCT seq FROM metric WHERE run = ?1"                     \
      " ORDER BY seq DESC LIMIT ?2)) ORDER BY seq, key")                                           \
    X(METRIC_MAX, "SELECT max(seq) FROM metric WHERE run = ?1")                                    \
    X(METRIC_COUNT, "SELECT count(*) FROM metric WHERE run = ?1")                                  \
    X(PARAM_PUT, "INSERT INTO run_param(run, key, type, value) VALUES(?1, ?2, ?3, ?4)"             \
                 " ON CONFLICT(run, key) DO UPDATE SET type = excluded.type,"                      \
                 " value = excluded.value")                                                        \
    X(RUN_IMPORTED, "SELECT origin IS NOT NULL FROM run WHERE id = ?1")                            \
    X(PIN_PUT, "INSERT INTO pin(run, uid, utc_ns, reason) VALUES(?1, ?2, ?3, ?4)"                  \
               " ON CONFLICT(run) DO NOTHING")                                                     \
    X(PIN_DROP, "DELETE FROM pin WHERE run = ?1")                                                  \
    X(PARAMS, "SELECT key, type, value FROM run_param WHERE run = ?1 ORDER BY key")                \
    X(ENERGY_PUT,                                                                                  \
      "INSERT INTO energy(run, channel, figure, part, method, algo, energy_uj, lo_uj, hi_uj,"      \
      " bound_basis, covered_ns, bridged_uj, unknown_ns, random_uj, gain_ppm, flags, reason,"      \
      " computed_utc_ns, baseline, samples, max_gap_ns, idle_uj, sampling_uj, sampled_ppm,"        \
      " version, lag_ns, lag_basis, uncovered_uj, uncovered_beyond, supersedes)"                   \
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"   \
      " ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, (SELECT max(id) FROM energy"        \
      " WHERE run = ?1 AND figure = ?3 AND part = ?4 AND channel IS ?2))")                         \
    X(ENERGY_PART_PUT, "INSERT INTO energy_part(total, channel) VALUES(?1, ?2)")                   \
    X(RUN_TOTAL_PUT,                                                                               \
      "INSERT INTO run_total(run, energy, energy_uj, lo_uj, hi_uj, quality, flags)"                \
      " SELECT e.run, e.id, e.energy_uj, e.lo_uj, e.hi_uj, coalesce((SELECT CASE max(CASE"         \
      " c.quality WHEN 'estimated' THEN 3 WHEN 'modelled' THEN 2 WHEN 'measured' THEN 1 ELSE 0"    \
      " END) WHEN 3 THEN 'estimated' WHEN 2 THEN 'modelled' WHEN 1 THEN 'measured' ELSE 'none'"    \
      " END FROM energy_part p JOIN channel c ON c.id = p.channel WHERE p.total = e.id), 'none')," \
      " e.flags FROM energy e WHERE e.id = ?1 ON CONFLICT(run) DO UPDATE SET"                      \
      " energy = excluded.energy, energy_uj = excluded.energy_uj, lo_uj = excluded.lo_uj,"         \
      " hi_uj = excluded.hi_uj, quality = excluded.quality, flags = excluded.flags")               \
    X(ENERGY_OF_RUN,                                                                               \
      "SELECT e.id, e.channel, e.figure, e.part, e.method, e.bound_basis, e.flags, e.reason,"      \
      " coalesce(c.label, ''), coalesce(c.quality, (SELECT CASE max(CASE pc.quality"               \
      " WHEN 'estimated' THEN 3 WHEN 'modelled' THEN 2 ELSE 1 END) WHEN 3 THEN 'estimated'"        \
      " WHEN 2 THEN 'modelled' WHEN 1 THEN 'measured' ELSE 'none' END FROM energy_part p"          \
      " JOIN channel pc ON pc.id = p.channel WHERE p.total = e.id)), coalesce(c.scope, ''),"       \
      " e.energy_uj, e.lo_uj, e.hi_uj, e.covered_ns, e.bridged_uj, e.unknown_ns, e.random_uj,"     \
      " e.gain_ppm, EXISTS(SELECT 1 FROM energy t JOIN energy_part p ON p.total = t.id"            \
      " WHERE t.run = e.run AND t.figure = e.figure AND t.part = e.part AND t.channel IS NULL"     \
      " AND p.channel = e.channel AND NOT " SQL_SUPERSEDED(                                        \
          "t") "), e.policy, e.baseline, e.samples, e.max_gap_ns, e.idle_uj, e.range_lo_uj,"       \
               " e.range_hi_uj, e.sampling_uj, e.sampled_ppm, e.algo, e.computed_utc_ns,"          \
               " e.version, e.lag_ns, e.lag_basis, e.uncovered_uj, e.uncovered_beyond"             \
               " FROM energy e LEFT JOIN channel c ON c.id = e.channel WHERE e.run = ?1"           \
               " AND NOT " SQL_SUPERSEDED("e") " ORDER BY e.id")                                   \
    X(RUN_PLACE,                                                                                   \
      "SELECT origin, coalesce((SELECT machine FROM origin o WHERE o.id = r.origin),"              \
      " (SELECT json_extract(machine, '$.host') FROM boot b WHERE b.id = r.boot), ''),"            \
      " (SELECT t0_ns FROM phase p WHERE p.run = r.id AND p.name IN ('train', 'warmup')"           \
      " ORDER BY t0_ns LIMIT 1), (SELECT reason FROM pin WHERE pin.run = r.id)"                    \
      " FROM run r WHERE id = ?1")                                                                 \
    X(RUN_GET, "SELECT " SQL_RUN_COLS " FROM run WHERE id = ?1")                                   \
    X(RUN_LIVE_ALL, "SELECT " SQL_RUN_COLS " FROM run WHERE state IN " SQL_LIVE " ORDER BY id")    \
    X(RUN_RECENT, "SELECT " SQL_RUN_COLS " FROM run WHERE ended_utc_ns IS NOT NULL"                \
                  " ORDER BY ended_utc_ns DESC LIMIT ?1")                                          \
    X(RUN_LIST, "SELECT " SQL_RUN_COLS " FROM run" SQL_RUN_WHERE " ORDER BY id DESC LIMIT ?6")     \
    X(RUN_LIST_LABEL, "SELECT " SQL_RUN_COLS " FROM run" SQL_RUN_WHERE                             \
                      " AND label = ?7 ORDER BY id DESC LIMIT ?6")                                 \
    X(RUN_LIST_STATE, "SELECT " SQL_RUN_COLS " FROM run" SQL_RUN_WHERE                             \
                      " AND state = ?7 ORDER BY id DESC LIMIT ?6")                                 \
    X(RUN_LIST_SWEEP, "SELECT " SQL_RUN_COLS " FROM run" SQL_RUN_WHERE                             \
                      " AND sweep = ?7 ORDER BY id DESC LIMIT ?6")                                 \
    X(CHANNEL_NAMED, "SELECT uid FROM channel WHERE ?1 IN (label, uid) ORDER BY id")               \
    X(CHANNEL_LABELS, "SELECT DISTINCT label FROM channel WHERE unit IN ('uJ', 'uW')")             \
    X(RUN_RETRIED_BY, "SELECT id FROM run WHERE retry_of = ?1 ORDER BY id")                        \
    X(RUN_OVERLAP,                                                                                 \
      "SELECT 1 FROM run WHERE boot = ?2 AND t1_ns > ?3 AND t0_ns < ?4 AND origin IS NULL"         \
      " AND id <> ?1 LIMIT 1")                                                                     \
    X(EVENTS, "SELECT t_ns, boot, run, actor_uid, from_state, to_state, reason FROM event"         \
              " WHERE run = ?1 ORDER BY id")                                                       \
    X(RUN_WINDOWS,                                                                                 \
      "SELECT t0_ns, t1_ns FROM run WHERE boot = ?1 AND t1_ns > ?2 AND origin IS NULL"             \
      " AND t0_ns < ?3 ORDER BY t0_ns")

#endif
