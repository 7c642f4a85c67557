/* Statements of what people say of runs (runs_marks.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_MARKS_H
#define DAEMON_STORE_SQL_MARKS_H

#define SQL_MARKS(X)                                                                               \
    X(RUN_OWNER, "SELECT uid, state, label FROM run WHERE id = ?1")                                \
    X(EVENT_SWEEP,                                                                                 \
      "INSERT INTO event(boot, t_ns, run, actor_uid, from_state, to_state, reason)"                \
      " SELECT ?1, ?2, id, ?4, state, state, ?5 FROM run WHERE sweep = ?3"                         \
      " AND state IN ('held', 'queued', 'starting', 'running', 'paused', 'stopping')")             \
    X(ON_END_OWED,                                                                                 \
      "SELECT e.run, r.token FROM event e JOIN run r ON r.id = e.run"                              \
      " WHERE e.id > (SELECT max(id) FROM event) - 20000 AND e.reason = 'on_end follows'"          \
      " AND NOT EXISTS(SELECT 1 FROM event o WHERE o.run = e.run AND o.id > e.id"                  \
      " AND o.reason GLOB 'on_end *') LIMIT ?1")                                                   \
    X(RUN_SET_LABEL, "UPDATE run SET label = ?2 WHERE id = ?1")                                    \
    X(TAG_PUT, "INSERT OR IGNORE INTO tag(run, tag) VALUES(?1, ?2)")                               \
    X(TAG_DROP, "DELETE FROM tag WHERE run = ?1 AND tag = ?2")                                     \
    X(TAG_COUNT, "SELECT count(*) FROM tag WHERE run = ?1")                                        \
    X(TAGS, "SELECT tag FROM tag WHERE run = ?1 ORDER BY tag")                                     \
    X(NOTE_PUT, "INSERT INTO note(run, uid, utc_ns, text) VALUES(?1, ?2, ?3, ?4)")                 \
    X(NOTE_COUNT, "SELECT count(*) FROM note WHERE run = ?1")                                      \
    X(NOTES, "SELECT uid, utc_ns, text FROM note WHERE run = ?1 ORDER BY id")                      \
    X(HEAD_BY, "SELECT by_uid FROM metric_head WHERE run = ?1 AND key = ?2")                       \
    X(HEAD_PUT, "INSERT INTO metric_head(run, key, n, first, last, min, max, by_uid)"              \
                " VALUES(?1, ?2, 1, ?3, ?3, ?3, ?3, ?4) ON CONFLICT(run, key) DO UPDATE SET"       \
                " n = 1, first = excluded.first, last = excluded.last, min = excluded.min,"        \
                " max = excluded.max, last_step = NULL, by_uid = excluded.by_uid")                 \
    X(HEADS, "SELECT key, n, first, last, min, max, last_step, by_uid FROM metric_head"            \
             " WHERE run = ?1 ORDER BY key LIMIT 1000")

#endif
