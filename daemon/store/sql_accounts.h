/* Statements of run slots, accounts, device owners and audits (accounts.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_ACCOUNTS_H
#define DAEMON_STORE_SQL_ACCOUNTS_H

#define SQL_ACCOUNTS(X)                                                                            \
    X(SLOT_TAKE, "INSERT INTO slot_owner(channel, run, boot, t0_ns) VALUES(?1, ?2, ?3, ?4)"        \
                 " ON CONFLICT(channel, boot, t0_ns) DO UPDATE SET run = excluded.run,"            \
                 " t1_ns = NULL")                                                                  \
    X(SLOT_LEAVE, "UPDATE slot_owner SET t1_ns = max(t0_ns, ?2) WHERE run = ?1"                    \
                  " AND t1_ns IS NULL")                                                            \
    X(SLOT_CLOSE, "UPDATE slot_owner SET t1_ns = max(t0_ns, coalesce((SELECT max(e.t1_ns) FROM"    \
                  " epoch e WHERE e.boot = slot_owner.boot), t0_ns)) WHERE t1_ns IS NULL")         \
    X(SLOT_OF_RUN, "SELECT c.uid, o.t0_ns, o.t1_ns FROM slot_owner o JOIN channel c ON c.id ="     \
                   " o.channel WHERE o.run = ?1 AND o.boot = ?2 ORDER BY o.t0_ns")                 \
    X(DEVICE_TAKE, "INSERT INTO device_owner(device, run, boot, t0_ns) SELECT DISTINCT device,"    \
                   " ?1, ?2, ?3 FROM channel WHERE scope IN ('gpu', 'module') AND device <> ''"    \
                   " ON CONFLICT(device, boot, t0_ns, run) DO NOTHING")                            \
    X(DEVICE_PUT, "INSERT INTO device_owner(device, run, boot, t0_ns) VALUES(?1, ?2, ?3, ?4)"      \
                  " ON CONFLICT(device, boot, t0_ns, run) DO NOTHING")                             \
    X(DEVICE_OF_RUN, "SELECT DISTINCT device FROM device_owner WHERE run = ?1 AND (?2 = 0 OR"      \
                     " (boot = ?3 AND t1_ns IS NULL)) ORDER BY device")                            \
    X(DEVICE_LEAVE, "UPDATE device_owner SET t1_ns = max(t0_ns, ?2) WHERE run = ?1"                \
                    " AND t1_ns IS NULL")                                                          \
    X(DEVICE_CLOSE, "UPDATE device_owner SET t1_ns = max(t0_ns, coalesce((SELECT max(e.t1_ns)"     \
                    " FROM epoch e WHERE e.boot = device_owner.boot), t0_ns)) WHERE t1_ns IS"      \
                    " NULL AND NOT EXISTS (SELECT 1 FROM run r WHERE r.id = device_owner.run AND"  \
                    " r.boot = ?1 AND device_owner.boot = ?1 AND r.state IN ('starting',"          \
                    " 'running', 'paused', 'stopping'))")                                          \
    X(DEVICE_SLOT, "SELECT sc.uid FROM channel c JOIN device_owner d ON d.device = c.device"       \
                   " AND c.device <> '' JOIN slot_owner o ON o.run = d.run AND o.boot = d.boot"    \
                   " JOIN channel sc ON sc.id = o.channel WHERE c.id = ?1 AND d.boot = ?2 AND"     \
                   " d.t0_ns <= ?3 AND (d.t1_ns IS NULL OR d.t1_ns > ?3) AND o.t0_ns <= ?3 AND"    \
                   " (o.t1_ns IS NULL OR o.t1_ns > ?3) LIMIT 2")                                   \
    X(ACCOUNT_PUT, "INSERT INTO account(channel, meter, kind, slot) VALUES(?1, ?2, ?3, ?4)"        \
                   " ON CONFLICT(channel) DO UPDATE SET meter = excluded.meter, kind ="            \
                   " excluded.kind, slot = excluded.slot")                                         \
    X(ACCOUNT_OF, "SELECT channel, kind, slot FROM account WHERE meter = ?1 ORDER BY channel")     \
    X(ACCOUNT_METERS, "SELECT DISTINCT meter FROM account ORDER BY meter")                         \
    X(ACCOUNT_BOOT, "SELECT max(boot) FROM epoch_channel WHERE channel = ?1 AND boot < ?2")        \
    X(BASIS_PUT, "INSERT INTO account_basis(meter, boot, t_ns, baseline, power_uw) VALUES(?1, ?2," \
                 " ?3, ?4, ?5) ON CONFLICT(meter, boot, t_ns) DO UPDATE SET baseline ="            \
                 " excluded.baseline, power_uw = excluded.power_uw")                               \
    X(BASIS_AT, "SELECT baseline, power_uw FROM account_basis WHERE meter = ?1 AND boot = ?2 AND"  \
                " t_ns <= ?3 ORDER BY t_ns DESC LIMIT 1")                                          \
    X(INTRUDER_PUT, "INSERT INTO account_intruder(meter, boot, t_ns, others_ppm) VALUES(?1, ?2,"   \
                    " ?3, ?4) ON CONFLICT(meter, boot, t_ns) DO UPDATE SET others_ppm ="           \
                    " excluded.others_ppm")                                                        \
    X(INTRUDER_AT, "SELECT others_ppm FROM account_intruder WHERE meter = ?1 AND boot = ?2 AND"    \
                   " t_ns <= ?3 ORDER BY t_ns DESC LIMIT 1")                                       \
    X(DEVICE_RUN, "SELECT run FROM device_owner WHERE device = ?1 AND boot = ?2 AND t0_ns <= ?3"   \
                  " AND (t1_ns IS NULL OR t1_ns > ?3) LIMIT 1")                                    \
    X(SLOT_RUN, "SELECT o.run FROM slot_owner o JOIN channel c ON c.id = o.channel WHERE"          \
                " c.uid = ?1 AND o.boot = ?2 AND o.t0_ns <= ?3 AND (o.t1_ns IS NULL OR"            \
                " o.t1_ns > ?3) LIMIT 1")                                                          \
    X(EPOCH_AT, "SELECT id, t0_ns FROM epoch WHERE boot = ?1 AND t0_ns <= ?2 ORDER BY t0_ns DESC," \
                " id DESC LIMIT 1")                                                                \
    X(CHANNEL_BY_UID, "SELECT id FROM channel WHERE uid = ?1")                                     \
    X(PRESENT_RUNS,                                                                                \
      "SELECT id, t0_ns, t1_ns, spec FROM run WHERE boot = ?1 AND t1_ns > ?2 AND t0_ns < ?3"       \
      " UNION ALL SELECT id, t0_ns, NULL, spec FROM run WHERE boot = ?1 AND t1_ns IS NULL AND"     \
      " t0_ns < ?3 AND state IN ('starting', 'running', 'paused', 'stopping') ORDER BY 1")         \
    X(PRESENCE_BEFORE, "SELECT max(t1_ns) FROM run WHERE boot = ?1 AND t1_ns <= ?2")               \
    X(PRESENCE_AFTER, "SELECT min(t0_ns) FROM run WHERE boot = ?1 AND t0_ns >= ?2")                \
    X(SHARE_POLICY,                                                                                \
      "UPDATE energy SET policy = ?3, range_lo_uj = CASE WHEN channel IS NULL THEN ?4 END,"        \
      " range_hi_uj = CASE WHEN channel IS NULL THEN ?5 END WHERE run = ?1 AND figure = ?2 AND"    \
      " part = 'window' AND method = 'share' AND policy IS NULL")                                  \
    X(AUDIT_HEADS,                                                                                 \
      "SELECT t0_ns, e0_uj, before_uj FROM (SELECT t0_ns, epoch, last_ns, e0_uj, lag(e1_uj) OVER"  \
      " (ORDER BY t0_ns) AS before_uj, lag(epoch) OVER (ORDER BY t0_ns) AS before_epoch FROM"      \
      " head WHERE channel = ?1 AND boot = ?2 AND t1_ns >= ?3 AND t0_ns <= ?4) WHERE epoch ="      \
      " before_epoch AND last_ns IS NOT NULL ORDER BY t0_ns")                                      \
    X(AUDIT_BOOTS, "SELECT DISTINCT boot FROM epoch WHERE boot >= ?1 ORDER BY boot")               \
    X(AUDIT_PUT, "INSERT INTO audit(boot, t0_ns, t1_ns, checks, failures, text, created_utc_ns)"   \
                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                            \
    X(AUDIT_DROP, "DELETE FROM audit WHERE failures = 0 AND id < ?1")                              \
    X(AUDIT_LAST, "SELECT boot, t0_ns, t1_ns, checks, failures, text, created_utc_ns FROM audit"   \
                  " ORDER BY id DESC LIMIT 1")                                                     \
    X(AUDIT_FAILED, "SELECT boot, t0_ns, t1_ns, checks, failures, text, created_utc_ns FROM audit" \
                    " WHERE failures > 0 ORDER BY id DESC LIMIT 1")

#endif
