/* Statements of what others than runs used (others.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_OTHERS_H
#define DAEMON_STORE_SQL_OTHERS_H

#define SQL_OTHERS(X)                                                                              \
    X(OTHER_PUT, "INSERT INTO other_use(boot, t0_ns, t1_ns, kind, owner, device, busy_us)"         \
                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET"                   \
                 " busy_us = busy_us + excluded.busy_us, t1_ns = max(t1_ns, excluded.t1_ns)")      \
    X(RUN_OTHER_CLEAR, "DELETE FROM run_other WHERE run = ?1")                                     \
    X(RUN_OTHER_PUT,                                                                               \
      "INSERT INTO run_other(run, kind, owner, device, busy_us) SELECT ?1, kind, owner, device,"   \
      " CAST(round(sum(1.0 * busy_us * (min(t1_ns, ?4) - max(t0_ns, ?3)) / (t1_ns - t0_ns)))"      \
      " AS INTEGER) AS busy FROM other_use WHERE boot = ?2 AND t0_ns > ?3 - ?5 AND t0_ns < ?4"     \
      " AND t1_ns > ?3 AND t1_ns > t0_ns AND (device = '' OR device IN (SELECT d.device FROM"      \
      " device_owner d WHERE d.run = ?1)) GROUP BY kind, owner, device HAVING busy > 0")           \
    X(RUN_OTHERS, "SELECT kind, owner, device, busy_us FROM run_other WHERE run = ?1"              \
                  " ORDER BY busy_us DESC, owner LIMIT 1000")

#endif
