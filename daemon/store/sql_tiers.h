/* Statements of tiers.c and retention.c. Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_TIERS_H
#define DAEMON_STORE_SQL_TIERS_H

#define SQL_TIERS(X)                                                                               \
    X(TIER_GROUPS,                                                                                 \
      "SELECT g.id, g.period_ns, (SELECT count(*) FROM grp_slot s WHERE s.grp = g.id)"             \
      " FROM grp g ORDER BY g.id")                                                                 \
    X(TIER_LAST, "SELECT epoch, t1_ns FROM chunk WHERE grp = ?1 AND tier = ?2"                     \
                 " ORDER BY epoch DESC, t0_ns DESC LIMIT 1")                                       \
    X(TIER_SOURCE, "SELECT c.id, c.epoch, c.t0_ns, c.t1_ns, c.n, x.boot, x.t1_ns FROM chunk c"     \
                   " JOIN epoch x ON x.id = c.epoch WHERE c.grp = ?1 AND c.tier = ?2"              \
                   " AND (c.epoch, c.t0_ns) >= (?3, ?4) AND (c.epoch > ?3 OR c.t1_ns > ?5)"        \
                   " ORDER BY c.epoch, c.t0_ns LIMIT 1")                                           \
    X(SPAN_OLDEST, "SELECT c.epoch, c.t0_ns, c.t1_ns, x.boot, x.t1_ns FROM chunk c JOIN epoch x"   \
                   " ON x.id = c.epoch WHERE c.grp = ?1 AND c.tier = ?2"                           \
                   " AND (c.epoch, c.t0_ns) >= (?3, ?4) ORDER BY c.epoch, c.t0_ns LIMIT 1")        \
    X(SPAN_COVER, "SELECT id, t0_ns, t1_ns FROM chunk WHERE grp = ?1 AND tier = ?2"                \
                  " AND epoch = ?3 AND t0_ns <= ?4 ORDER BY t0_ns DESC LIMIT 1")                   \
    X(SPAN_GOES_ON, "SELECT 1 FROM chunk WHERE grp = ?1 AND tier = 0 AND epoch = ?2"               \
                    " AND t0_ns >= ?3 AND t1_ns > ?3 LIMIT 1")                                     \
    X(SPAN_FINER, "SELECT 1 FROM chunk WHERE grp = ?1 AND tier IN (0, 1) AND tier < ?2"            \
                  " AND epoch = ?3 AND t0_ns >= ?4 AND t1_ns <= ?5 LIMIT 1")                       \
    X(SPAN_HEADS, "SELECT h.channel, h.t0_ns, h.e1_uj, h.valid, h.min, h.max FROM chunk c JOIN"    \
                  " head h ON h.chunk = c.id WHERE c.grp = ?1 AND c.tier = ?2 AND c.epoch = ?3"    \
                  " AND c.t0_ns >= ?4 AND c.t1_ns <= ?5 ORDER BY h.channel, h.t0_ns")              \
    X(HEAD_MERGE, "UPDATE head SET t0_ns = ?4, t1_ns = ?5, chunk = ?6, e1_uj = ?7, valid = ?8,"    \
                  " min = ?9, max = ?10 WHERE channel = ?1 AND boot = ?2 AND t0_ns = ?3")          \
    X(SPAN_DELETE, "DELETE FROM chunk WHERE grp = ?1 AND tier = ?2 AND epoch = ?3"                 \
                   " AND t0_ns >= ?4 AND t1_ns <= ?5")                                             \
    X(ANCHOR_THIN,                                                                                 \
      "DELETE FROM anchor WHERE boot = ?1 AND boottime_ns > ?2 AND boottime_ns < ?3 AND step = 0"  \
      " AND abs(utc_ns - boottime_ns - (SELECT p.utc_ns - p.boottime_ns FROM anchor p"             \
      " WHERE p.boot = ?1 AND p.boottime_ns <= ?2 ORDER BY p.boottime_ns DESC LIMIT 1)) < "        \
      "1000000")                                                                                   \
    X(SPAN_WANTED,                                                                                 \
      "SELECT EXISTS(SELECT 1 FROM pin p JOIN run r ON r.id = p.run WHERE r.boot = ?1"             \
      " AND r.t0_ns <= ?3 AND (r.t1_ns IS NULL OR r.t1_ns >= ?2)) OR EXISTS(SELECT 1 FROM run"     \
      " WHERE state IN ('starting', 'running', 'paused', 'stopping') AND boot = ?1"                \
      " AND t0_ns BETWEEN ?2 AND ?3)")

#endif
