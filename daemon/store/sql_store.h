/* Statements of the store itself: boots, anchors, epochs left open. Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_STORE_H
#define DAEMON_STORE_SQL_STORE_H

#define SQL_STORE(X)                                                                               \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                              \
    X(BEGIN_READ, "BEGIN")                                                                         \
    X(COMMIT, "COMMIT")                                                                            \
    X(META_PUT, "INSERT INTO meta(k, v) VALUES(?1, ?2) ON CONFLICT(k) DO NOTHING")                 \
    X(BOOT_FIND, "SELECT id FROM boot WHERE boot_id = ?1")                                         \
    X(BOOT_INSERT, "INSERT INTO boot(boot_id, machine) VALUES(?1, ?2)")                            \
    X(EPOCH_CLOSE_KILLED,                                                                          \
      "UPDATE epoch SET reason = 'killed', t1_ns = max(t0_ns,"                                     \
      " coalesce((SELECT max(t1_ns) FROM tail WHERE tail.epoch = epoch.id), t0_ns),"               \
      " coalesce((SELECT max(t1_ns) FROM chunk WHERE chunk.epoch = epoch.id), t0_ns))"             \
      " WHERE t1_ns IS NULL")                                                                      \
    X(ANCHOR_AT, "SELECT boottime_ns, utc_ns FROM anchor WHERE boot = ?1 AND boottime_ns <= ?2"    \
                 " ORDER BY boottime_ns DESC LIMIT 1")                                             \
    X(ANCHOR_FIRST,                                                                                \
      "SELECT boottime_ns, utc_ns FROM anchor WHERE boot = ?1 ORDER BY boottime_ns LIMIT 1")       \
    X(ANCHOR_NEXT, "SELECT boottime_ns FROM anchor WHERE boot = ?1 AND boottime_ns > ?2"           \
                   " ORDER BY boottime_ns LIMIT 1")                                                \
    X(ANCHOR_BY_UTC, "SELECT boot, boottime_ns, utc_ns FROM anchor WHERE utc_ns <= ?1"             \
                     " ORDER BY utc_ns DESC, boot DESC LIMIT 1")

#endif
