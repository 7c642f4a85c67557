/* Statements of runs that come from elsewhere (import.c). Read stmt.h first. Parameters stand in the order of
 * the columns in import.c; what the daemon itself adds comes after them. */
#ifndef DAEMON_STORE_SQL_IMPORT_H
#define DAEMON_STORE_SQL_IMPORT_H

#define SQL_IMPORT(X)                                                                              \
    X(I_KNOWN, "SELECT 1 FROM run WHERE uuid = ?1")                                                \
    X(I_ORIGIN, "INSERT INTO origin(machine, format, sha256, facts, uid, imported_utc_ns)"         \
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6)")                                                 \
    X(I_BOOT, "INSERT INTO boot(boot_id, machine) VALUES(?1, ?2) ON CONFLICT(boot_id)"             \
              " DO UPDATE SET boot_id = excluded.boot_id RETURNING id")                            \
    X(I_MACHINE, "INSERT INTO machine(hash, facts) VALUES(?1, ?2) ON CONFLICT(hash)"               \
                 " DO UPDATE SET hash = excluded.hash RETURNING id")                               \
    X(I_CODE, "INSERT INTO code(hash, commit_id, dirty, diff, script_sha256, interpreter,"         \
              " packages_sha256) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(hash) DO NOTHING") \
    X(I_CHANNEL,                                                                                   \
      "INSERT INTO channel(uid, label, kind, unit, covers, scope, quality, quantum, wrap_uj,"      \
      " period_ns, period_declared, lag_ns, box_ns, pmax_uw, accuracy_ppm, source)"                \
      " VALUES('import:' || ?17 || ':' || ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"      \
      " ?13, ?14, ?15, ?16) ON CONFLICT(uid) DO UPDATE SET uid = excluded.uid RETURNING id")       \
    X(I_RUN,                                                                                       \
      "INSERT INTO run(uuid, state, kind, spec, label, project, mode, code, boot,"                 \
      " submitted_utc_ns, started_utc_ns, ended_utc_ns, t0_ns, main_exit_ns, t1_ns, exit_code,"    \
      " term_signal, reason, cpu_us, cpu_basis, maxrss_bytes, leftovers, machine_start,"           \
      " machine_end, uid, origin) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"  \
      " ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26) RETURNING id")            \
    X(I_PARAM, "INSERT INTO run_param(run, key, type, value) VALUES(?1, ?2, ?3, ?4)")              \
    X(I_METRIC, "INSERT INTO metric(run, seq, step, key, value, t_ns, stamp)"                      \
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                             \
    X(I_ENERGY,                                                                                    \
      "INSERT INTO energy(run, channel, figure, part, method, algo, policy, energy_uj, lo_uj,"     \
      " hi_uj, bound_basis, covered_ns, bridged_uj, unknown_ns, random_uj, gain_ppm, flags,"       \
      " reason, computed_utc_ns, samples, max_gap_ns, sampling_uj, sampled_ppm, idle_uj,"          \
      " range_lo_uj, range_hi_uj, version, lag_ns, lag_basis, uncovered_uj, uncovered_beyond)"     \
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"   \
      " ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31) RETURNING id")            \
    X(I_PART, "INSERT INTO energy_part(total, channel) VALUES(?1, ?2) ON CONFLICT DO NOTHING")     \
    X(I_COMPANION,                                                                                 \
      "INSERT INTO run_companion(run, channel, samples, known_ns, min, mean, max, first, last,"    \
      " gained, bits, limited_ns, capped_ns)"                                                      \
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")                           \
    X(I_PHASE, "INSERT INTO phase(run, name, t0_ns, t1_ns) VALUES(?1, ?2, ?3, ?4)")                \
    X(I_TAG, "INSERT INTO tag(run, tag) VALUES(?1, ?2) ON CONFLICT DO NOTHING")                    \
    X(I_NOTE, "INSERT INTO note(run, utc_ns, text, uid) VALUES(?1, ?2, ?3, ?4)")

#endif
