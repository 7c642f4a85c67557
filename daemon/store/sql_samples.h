/* Statements of samples, channels, epochs and gaps (samples_*.c, rows.c, blocks.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_SAMPLES_H
#define DAEMON_STORE_SQL_SAMPLES_H

#define EC_COLUMNS                                                                                 \
    "SELECT ec.channel, ec.boot, ec.t_ns, ec.epoch, ec.grp, ec.slot, ec.value, ec.raw0,"           \
    " ec.e0_uj, ec.rem0, ec.unknown0_ns, ec.bridged0_ns, ec.bridged0_uj, g.period_ns, c.kind,"     \
    " ep.t1_ns FROM epoch_channel ec JOIN grp g ON g.id = ec.grp JOIN channel c ON c.id ="         \
    " ec.channel JOIN epoch ep ON ep.id = ec.epoch WHERE ec.channel = ?1"

#define HEAD_COLUMNS                                                                               \
    "SELECT t0_ns, t1_ns, epoch, chunk, e0_uj, e1_uj, rem0, last_ns, last_value, knot_ns,"         \
    " failed, unknown0_ns, bridged0_ns, bridged0_uj, valid, min, max FROM head WHERE channel"      \
    " = ?1 AND boot = ?2"

/* Chunks of all tiers begin where chunks of finer ones do: of those that begin first one is taken. */
#define CHUNK_OF_TIER(N)                                                                           \
    "SELECT * FROM (SELECT id, t0_ns, t1_ns, n, tier FROM chunk WHERE grp = ?1 AND tier = " N      \
    " AND epoch = ?2 AND t0_ns >= ?3 ORDER BY t0_ns LIMIT 1)"

#define CHANNEL_COLUMNS                                                                            \
    "SELECT c.id, c.uid, c.label, c.unit, s.name, c.covers, c.kind, c.quality, c.scope,"           \
    " c.quantum, c.wrap_uj, c.period_ns, c.period_learned_ns, c.period_declared, c.lag_ns,"        \
    " c.box_ns, c.pmax_uw, c.accuracy_ppm, c.parent, c.mirror_of, c.device, c.driver,"             \
    " c.firmware, c.quantum_learned, c.lag_learned_ns FROM channel c JOIN source s ON s.id ="      \
    " c.source"

#define SQL_SAMPLES(X)                                                                             \
    X(SOURCE_PUT,                                                                                  \
      "INSERT INTO source(name) VALUES(?1) ON CONFLICT(name) DO UPDATE SET name = excluded.name"   \
      " RETURNING id")                                                                             \
    X(CHANNEL_PUT,                                                                                 \
      "INSERT INTO channel(uid, source, label, kind, unit, covers, scope, quality, quantum,"       \
      " wrap_uj, period_ns, period_declared, lag_ns, box_ns, pmax_uw, accuracy_ppm, device)"       \
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) ON"     \
      " CONFLICT(uid) DO UPDATE SET source = excluded.source, label = excluded.label, kind"        \
      " = excluded.kind, unit = excluded.unit, covers = excluded.covers, scope ="                  \
      " excluded.scope, quality = excluded.quality, quantum = excluded.quantum, wrap_uj ="         \
      " excluded.wrap_uj, period_ns = excluded.period_ns, period_declared ="                       \
      " excluded.period_declared, lag_ns = excluded.lag_ns, box_ns = excluded.box_ns,"             \
      " pmax_uw = excluded.pmax_uw, accuracy_ppm = excluded.accuracy_ppm, device ="                \
      " excluded.device RETURNING id")                                                             \
    X(CHANNEL_DRIVER, "SELECT driver, firmware FROM channel WHERE id = ?1")                        \
    X(CHANNEL_SET_DRIVER, "UPDATE channel SET driver = ?2, firmware = ?3 WHERE id = ?1")           \
    X(CHANNEL_LINK, "UPDATE channel SET parent = ?2, mirror_of = ?3 WHERE id = ?1")                \
    X(CHANNEL_ALL, CHANNEL_COLUMNS " WHERE s.name NOT LIKE 'import:%' ORDER BY c.id")              \
    X(CHANNEL_GET, CHANNEL_COLUMNS " WHERE c.id = ?1")                                             \
    X(CHANNEL_LEARNED, "UPDATE channel SET period_learned_ns = coalesce(?2, period_learned_ns),"   \
                       " quantum_learned = coalesce(?3, quantum_learned), lag_learned_ns ="        \
                       " coalesce(?4, lag_learned_ns) WHERE id = ?1")                              \
    X(NOTE_INSERT,                                                                                 \
      "INSERT INTO channel_note(channel, boot, t_ns, kind, text, about)"                           \
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(channel, boot, t_ns, kind) DO NOTHING")         \
    X(NOTE_DOUBTS, "SELECT boot, t_ns, kind, about FROM channel_note WHERE channel = ?1"           \
                   " AND boot <= ?2 AND kind <> 'learned' ORDER BY boot, t_ns")                    \
    X(NOTE_ALL, "SELECT boot, t_ns, kind, text FROM channel_note WHERE channel = ?1"               \
                " ORDER BY boot DESC, t_ns DESC")                                                  \
    X(GRP_FIND, "SELECT id FROM grp WHERE period_ns = ?1 ORDER BY id DESC")                        \
    X(GRP_SLOTS,                                                                                   \
      "SELECT s.slot, s.channel, c.kind, g.period_ns FROM grp_slot s JOIN channel c ON c.id"       \
      " = s.channel JOIN grp g ON g.id = s.grp WHERE s.grp = ?1 ORDER BY s.slot")                  \
    X(GRP_INSERT, "INSERT INTO grp(period_ns, created_boot, created_ns) VALUES(?1, ?2, ?3)")       \
    X(GRP_SLOT_INSERT, "INSERT INTO grp_slot(grp, slot, channel) VALUES(?1, ?2, ?3)")              \
    X(EPOCH_INSERT, "INSERT INTO epoch(boot, t0_ns) VALUES(?1, ?2)")                               \
    X(EPOCH_END, "UPDATE epoch SET t1_ns = ?2, reason = ?3 WHERE id = ?1")                         \
    X(EPOCH_BOOT, "SELECT boot FROM epoch WHERE id = ?1")                                          \
    X(ANCHOR_INSERT,                                                                               \
      "INSERT INTO anchor(boot, boottime_ns, utc_ns, step) VALUES(?1, ?2, ?3, ?4) ON"              \
      " CONFLICT(boot, boottime_ns) DO NOTHING")                                                   \
    X(ANCHOR_STEPPED,                                                                              \
      "SELECT EXISTS(SELECT 1 FROM anchor WHERE boot = ?1 AND boottime_ns > ?2 AND"                \
      " boottime_ns <= ?3 AND step <> 0)")                                                         \
    X(GAP_INSERT,                                                                                  \
      "INSERT INTO gap(channel, boot, t0_ns, t1_ns, e_uj, kind) VALUES(?1, ?2, ?3, ?4, ?5,"        \
      " ?6) ON CONFLICT(channel, boot, t0_ns) DO UPDATE SET t1_ns = excluded.t1_ns, e_uj ="        \
      " excluded.e_uj, kind = excluded.kind")                                                      \
    X(GAP_BEFORE,                                                                                  \
      "SELECT t0_ns, t1_ns, kind FROM gap WHERE channel = ?1 AND boot = ?2 AND t0_ns < ?3"         \
      " ORDER BY t0_ns DESC")                                                                      \
    X(EC_INSERT,                                                                                   \
      "INSERT INTO epoch_channel(channel, boot, t_ns, epoch, grp, slot, value, raw0, e0_uj,"       \
      " rem0, unknown0_ns, bridged0_ns, bridged0_uj) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"       \
      " ?9, ?10, ?11, ?12, ?13)")                                                                  \
    X(EC_AT, EC_COLUMNS " AND ec.boot = ?2 AND ec.t_ns <= ?3 ORDER BY ec.t_ns DESC LIMIT 1")       \
    X(EC_AFTER, EC_COLUMNS " AND ec.boot = ?2 AND ec.t_ns > ?3 ORDER BY ec.t_ns LIMIT 1")          \
    X(EC_LAST, EC_COLUMNS " ORDER BY ec.boot DESC, ec.t_ns DESC LIMIT 1")                          \
    X(CHUNK_INSERT,                                                                                \
      "INSERT INTO chunk(grp, tier, epoch, t0_ns, t1_ns, n, b) VALUES(?1, ?7, ?2, ?3, ?4,"         \
      " ?5, ?6)")                                                                                  \
    X(CHUNK_NEXT,                                                                                  \
      "SELECT id, t0_ns, t1_ns, n FROM (" CHUNK_OF_TIER("0") " UNION ALL " CHUNK_OF_TIER(          \
          "1") " UNION ALL " CHUNK_OF_TIER("2") " UNION ALL " CHUNK_OF_TIER("3") ") ORDER BY "     \
                                                                                 "t0_ns, "         \
                                                                                 "iif(tier <= "    \
                                                                                 "?4, ?4 - tier, " \
                                                                                 "tier) LIMIT 1")  \
    X(CHUNK_LAST,                                                                                  \
      "SELECT id, t0_ns, t1_ns, n FROM chunk WHERE grp = ?1 AND tier = 0 AND epoch = ?2"           \
      " ORDER BY t0_ns DESC LIMIT 1")                                                              \
    X(CHUNK_BLOB, "SELECT b FROM chunk WHERE id = ?1")                                             \
    X(HEAD_INSERT,                                                                                 \
      "INSERT INTO head(channel, boot, t0_ns, t1_ns, epoch, chunk, e0_uj, e1_uj, rem0,"            \
      " last_ns, last_value, knot_ns, failed, unknown0_ns, bridged0_ns, bridged0_uj, valid,"       \
      " min, max) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"        \
      " ?16, ?17, ?18, ?19)")                                                                      \
    X(HEAD_AT, HEAD_COLUMNS " AND t0_ns <= ?3 ORDER BY t0_ns DESC LIMIT 1")                        \
    X(HEAD_AFTER, HEAD_COLUMNS " AND t0_ns > ?3 ORDER BY t0_ns LIMIT 1")                           \
    X(HEAD_VALID, HEAD_COLUMNS " AND t0_ns > ?3 AND valid > 0 ORDER BY t0_ns LIMIT 1")             \
    X(HEAD_MOVED,                                                                                  \
      "SELECT t0_ns FROM head WHERE channel = ?1 AND boot = ?2 AND t0_ns > ?3 AND (epoch <>"       \
      " ?4 OR CASE ?5 WHEN 1 THEN knot_ns ELSE last_ns END IS NOT ?6) ORDER BY t0_ns LIMIT"        \
      " 1")                                                                                        \
    X(TAIL_INSERT,                                                                                 \
      "INSERT INTO tail(grp, epoch, t0_ns, t1_ns, n, b) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")           \
    X(TAIL_DELETE, "DELETE FROM tail WHERE grp = ?1 AND epoch = ?2")                               \
    X(TAIL_LIST,                                                                                   \
      "SELECT seq, t0_ns, t1_ns, n FROM tail WHERE grp = ?1 AND epoch = ?2 ORDER BY seq")          \
    X(TAIL_BLOB, "SELECT b FROM tail WHERE seq = ?1")                                              \
    X(TAIL_ONE, "SELECT grp, epoch FROM tail ORDER BY seq LIMIT 1")

#endif
