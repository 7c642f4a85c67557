/* Statements that hand tables out (export.c). Read stmt.h first.
 * ?1, ?2: range of run ids (lo, hi] or of time [lo, hi]; ?3: rows to leave out; ?4: boot.
 * Column 0 is the run a row belongs to (0 where it belongs to none) and is not handed out. */
#ifndef DAEMON_STORE_SQL_EXPORT_H
#define DAEMON_STORE_SQL_EXPORT_H

#define EXPORT_OF_RUNS(alias) " WHERE " alias " > ?1 AND " alias " <= ?2"
#define EXPORT_PAGE           " LIMIT -1 OFFSET ?3"

/* Epochs that a window touches, and their neighbours: a bridge over a restart needs both its ends. */
#define EXPORT_EPOCHS                                                                              \
    "(SELECT id, boot FROM epoch WHERE boot = ?4"                                                  \
    " AND id >= coalesce((SELECT max(id) FROM epoch WHERE boot = ?4 AND t1_ns < ?1), 0)"           \
    " AND id <= coalesce((SELECT min(id) FROM epoch WHERE boot = ?4 AND t0_ns > ?2), 1 << 62))"

/* Chunks of those that reach into the window, and one more on either side: the samples that bounds are
 * made of stand outside of it. Where they were thinned out, what stands for them, an hour more on either side. */
#define EXPORT_CHUNKS                                                                              \
    "(SELECT c.* FROM grp g JOIN " EXPORT_EPOCHS                                                   \
    " x JOIN chunk c ON c.grp = g.id AND c.tier = 0 AND c.epoch = x.id"                            \
    " AND c.t0_ns >= coalesce((SELECT p.t0_ns FROM chunk p WHERE p.grp = g.id AND p.tier = 0"      \
    " AND p.epoch = x.id AND p.t0_ns <= ?1 ORDER BY p.t0_ns DESC LIMIT 1 OFFSET 1), -1)"           \
    " AND c.t0_ns <= coalesce((SELECT n.t0_ns FROM chunk n WHERE n.grp = g.id AND n.tier = 0"      \
    " AND n.epoch = x.id AND n.t0_ns >= ?2 ORDER BY n.t0_ns LIMIT 1 OFFSET 1), 1 << 62)"           \
    " UNION ALL SELECT c.* FROM grp g JOIN " EXPORT_EPOCHS                                         \
    " x JOIN chunk c ON c.grp = g.id AND c.tier IN (1, 2, 3) AND c.epoch = x.id"                   \
    " AND c.t0_ns <= ?2 + 3600000000000 AND c.t1_ns >= ?1 - 3600000000000"                         \
    " AND EXISTS(SELECT 1 FROM head h WHERE h.chunk = c.id))"

/* Parts 0 .. 63 of a blob of at most 32 MiB. */
#define EXPORT_PARTS                                                                               \
    "(WITH RECURSIVE p(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM p WHERE i < 63)"               \
    " SELECT i FROM p)"
#define EXPORT_PART_COLS(t)                                                                        \
    " p.i AS part, (length(" t ".b) + 524287) / 524288 AS parts,"                                  \
    " substr(" t ".b, 1 + p.i * 524288, 524288) AS b"

#define SQL_EXPORT(X)                                                                              \
    X(X_RUN, "SELECT id, * FROM run" EXPORT_OF_RUNS("id") " ORDER BY id" EXPORT_PAGE)              \
    X(X_RUN_PARAM,                                                                                 \
      "SELECT run, * FROM run_param" EXPORT_OF_RUNS("run") " ORDER BY run, key" EXPORT_PAGE)       \
    X(X_METRIC,                                                                                    \
      "SELECT run, * FROM metric" EXPORT_OF_RUNS("run") " ORDER BY run, seq, key" EXPORT_PAGE)     \
    X(X_METRIC_HEAD,                                                                               \
      "SELECT run, * FROM metric_head" EXPORT_OF_RUNS("run") " ORDER BY run, key" EXPORT_PAGE)     \
    X(X_ENERGY, "SELECT run, * FROM energy e" EXPORT_OF_RUNS(                                      \
                    "run") " AND NOT EXISTS(SELECT 1"                                              \
                           " FROM energy n WHERE n.run = e.run AND n.supersedes = e.id)"           \
                           " ORDER BY run, id" EXPORT_PAGE)                                        \
    X(X_ENERGY_PART,                                                                               \
      "SELECT e.run, p.* FROM energy e JOIN energy_part p ON p.total = e.id" EXPORT_OF_RUNS(       \
          "e.run") " AND NOT EXISTS(SELECT 1 FROM energy n"                                        \
                   " WHERE n.run = e.run AND n.supersedes = e.id)"                                 \
                   " ORDER BY e.run, e.id, p.channel" EXPORT_PAGE)                                 \
    X(X_RUN_COMPANION, "SELECT run, * FROM run_companion" EXPORT_OF_RUNS(                          \
                           "run") " ORDER BY run, channel" EXPORT_PAGE)                            \
    X(X_RUN_TOTAL,                                                                                 \
      "SELECT run, * FROM run_total" EXPORT_OF_RUNS("run") " ORDER BY run" EXPORT_PAGE)            \
    X(X_PHASE,                                                                                     \
      "SELECT run, * FROM phase" EXPORT_OF_RUNS("run") " ORDER BY run, t0_ns, name" EXPORT_PAGE)   \
    X(X_EVENT, "SELECT run, * FROM event" EXPORT_OF_RUNS("run") " ORDER BY run, id" EXPORT_PAGE)   \
    X(X_TAG, "SELECT run, * FROM tag" EXPORT_OF_RUNS("run") " ORDER BY run, tag" EXPORT_PAGE)      \
    X(X_NOTE, "SELECT run, * FROM note" EXPORT_OF_RUNS("run") " ORDER BY run, id" EXPORT_PAGE)     \
    X(X_PIN, "SELECT run, * FROM pin" EXPORT_OF_RUNS("run") " ORDER BY run" EXPORT_PAGE)           \
    X(X_SWEEP, "SELECT 0, * FROM sweep ORDER BY id" EXPORT_PAGE)                                   \
    X(X_CODE, "SELECT 0, * FROM code ORDER BY hash" EXPORT_PAGE)                                   \
    X(X_MACHINE, "SELECT 0, * FROM machine ORDER BY id" EXPORT_PAGE)                               \
    X(X_ORIGIN, "SELECT 0, * FROM origin ORDER BY id" EXPORT_PAGE)                                 \
    X(X_BOOT, "SELECT 0, * FROM boot ORDER BY id" EXPORT_PAGE)                                     \
    X(X_ANCHOR, "SELECT 0, * FROM anchor ORDER BY boot, boottime_ns" EXPORT_PAGE)                  \
    X(X_SOURCE, "SELECT 0, * FROM source ORDER BY id" EXPORT_PAGE)                                 \
    X(X_CHANNEL, "SELECT 0, * FROM channel ORDER BY id" EXPORT_PAGE)                               \
    X(X_CHANNEL_NOTE,                                                                              \
      "SELECT 0, * FROM channel_note ORDER BY channel, boot, t_ns, kind" EXPORT_PAGE)              \
    X(X_BASELINE, "SELECT 0, * FROM baseline ORDER BY id" EXPORT_PAGE)                             \
    X(X_MODEL, "SELECT 0, * FROM model ORDER BY id" EXPORT_PAGE)                                   \
    X(X_MODEL_TERM, "SELECT 0, * FROM model_term ORDER BY model, part, name" EXPORT_PAGE)          \
    X(X_MODEL_RUN, "SELECT 0, * FROM model_run ORDER BY model, run" EXPORT_PAGE)                   \
    X(X_GRP, "SELECT 0, * FROM grp ORDER BY id" EXPORT_PAGE)                                       \
    X(X_GRP_SLOT, "SELECT 0, * FROM grp_slot ORDER BY grp, slot" EXPORT_PAGE)                      \
    X(X_EPOCH, "SELECT 0, * FROM epoch ORDER BY id" EXPORT_PAGE)                                   \
    X(X_EPOCH_CHANNEL, "SELECT 0, ec.* FROM epoch_channel ec WHERE boot = ?4 AND epoch IN"         \
                       " (SELECT id FROM " EXPORT_EPOCHS ") AND ?1 <= ?2"                          \
                       " ORDER BY channel, t_ns" EXPORT_PAGE)                                      \
    X(X_GAP, "SELECT 0, * FROM gap WHERE boot = ?4 AND t1_ns >= ?1 AND t0_ns <= ?2"                \
             " ORDER BY channel, t0_ns" EXPORT_PAGE)                                               \
    X(X_TAIL, "SELECT 0, t.seq, t.grp, t.epoch, t.t0_ns, t.t1_ns, t.n," EXPORT_PART_COLS(          \
                  "t") " FROM tail t JOIN " EXPORT_PARTS " p ON p.i * 524288 < length(t.b)"        \
                       " WHERE t.epoch IN (SELECT id FROM " EXPORT_EPOCHS ") AND ?1 <= ?2"         \
                       " ORDER BY t.seq, p.i" EXPORT_PAGE)                                         \
    X(X_CHUNK, "SELECT 0, c.id, c.grp, c.tier, c.epoch, c.t0_ns, c.t1_ns, c.n," EXPORT_PART_COLS(  \
                   "c") " FROM " EXPORT_CHUNKS " c JOIN " EXPORT_PARTS                             \
                        " p ON p.i * 524288 < length(c.b) ORDER BY c.id, p.i" EXPORT_PAGE)         \
    X(X_HEAD, "SELECT 0, h.* FROM " EXPORT_CHUNKS " c JOIN head h ON h.chunk = c.id"               \
              " ORDER BY h.channel, h.t0_ns" EXPORT_PAGE)

#endif
