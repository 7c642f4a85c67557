/* Statements of idle power and of meters fitted to better ones (baselines.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_BASELINES_H
#define DAEMON_STORE_SQL_BASELINES_H

#define BASELINE_COLUMNS                                                                           \
    "SELECT id, channel, boot, t0_ns, t1_ns, power_uw, spread_uw, n, temp_mc, busy_ppm,"           \
    " created_utc_ns, run, basis FROM baseline"
#define CALIBRATION_COLUMNS                                                                        \
    "SELECT id, channel, against, boot, t0_ns, t1_ns, n, gain_ppm, offset_uw, residual_uw,"        \
    " lo_uw, hi_uw, actor_uid, created_utc_ns, serial FROM calibration"

#define SQL_BASELINES(X)                                                                           \
    X(BASELINE_PUT,                                                                                \
      "INSERT INTO baseline(channel, boot, t0_ns, t1_ns, power_uw, spread_uw, n, temp_mc,"         \
      " busy_ppm, created_utc_ns, run, basis)"                                                     \
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")                                \
    X(BASELINE_OF_RUN, BASELINE_COLUMNS " WHERE channel = ?1 AND run = ?2"                         \
                                        " AND basis = 'bracket' ORDER BY id DESC LIMIT 1")         \
    X(BASELINE_IN_FORCE, BASELINE_COLUMNS " WHERE channel = ?1 AND created_utc_ns <= ?2"           \
                                          " AND basis <> 'bracket'"                                \
                                          " ORDER BY created_utc_ns DESC, id DESC LIMIT 1")        \
    X(BASELINE_GET, BASELINE_COLUMNS " WHERE id = ?1")                                             \
    X(BASELINE_LIST, BASELINE_COLUMNS " WHERE (?1 IS NULL OR channel = ?1)"                        \
                                      " ORDER BY created_utc_ns DESC, id DESC LIMIT ?2")           \
    X(CALIBRATION_PUT,                                                                             \
      "INSERT INTO calibration(channel, against, boot, t0_ns, t1_ns, n, gain_ppm, offset_uw,"      \
      " residual_uw, lo_uw, hi_uw, actor_uid, created_utc_ns, serial)"                             \
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)")                      \
    X(CALIBRATION_NEWEST, CALIBRATION_COLUMNS " WHERE channel = ?1 ORDER BY id DESC LIMIT 1")      \
    X(CALIBRATION_LIST, CALIBRATION_COLUMNS " WHERE (?1 IS NULL OR channel = ?1)"                  \
                                            " ORDER BY id DESC LIMIT ?2")

#endif
