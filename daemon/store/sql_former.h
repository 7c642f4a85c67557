/* Statements of users who have left, and of what admins did (former.c). Read stmt.h first.
 * ?1: the uid whose rows these are; ?2: the uid they get (retire), or the name they get (forget); ?3: the name that
 * is to go, or NULL; ?4: the uid that is to go, as text, or NULL. */
#ifndef DAEMON_STORE_SQL_FORMER_H
#define DAEMON_STORE_SQL_FORMER_H

#define FORMER_NAMED(text) "(?3 IS NOT NULL AND instr(lower(" text "), lower(?3)) > 0)"
#define FORMER_RUNS        "(SELECT id FROM run WHERE uid = ?1)"
/* What no run of anybody else has. */
#define FORMER_ONLY(column)                                                                        \
    "(SELECT " column " FROM run WHERE uid = ?1 AND " column " IS NOT NULL EXCEPT SELECT " column  \
    " FROM run WHERE uid <> ?1)"

#define SQL_FORMER(X)                                                                              \
    X(FORMER_LIVE, "SELECT id FROM run WHERE uid = ?1 AND state IN ('held', 'queued', 'starting'," \
                   " 'running', 'paused', 'stopping') ORDER BY id LIMIT 9")                        \
    X(FORMER_COUNT, "SELECT (SELECT count(*) FROM run WHERE uid = ?1),"                            \
                    " (SELECT count(*) FROM sweep WHERE uid = ?1)")                                \
    X(FORMER_NEXT_RUN, "SELECT id FROM run WHERE uid = ?1 AND id > ?2 ORDER BY id LIMIT 1")        \
    X(FORMER_KNOWN, "SELECT count(*) FROM meta WHERE k >= 'former:' AND k < 'former;'")            \
    X(FORMER_PUT, "INSERT INTO meta(k, v) VALUES('former:' || ?1,"                                 \
                  " json_object('name', ?2, 'uid', ?3, 'utc_ns', ?4))")                            \
    X(FORMER_GET, "SELECT json_extract(v, '$.name'), json_extract(v, '$.uid') FROM meta"           \
                  " WHERE k = 'former:' || ?1")                                                    \
    X(FORMER_LIST, "SELECT CAST(substr(k, 8) AS INTEGER) AS u, json_extract(v, '$.name'),"         \
                   " json_extract(v, '$.uid'), json_extract(v, '$.utc_ns'),"                       \
                   " json_extract(v, '$.forgotten_utc_ns'),"                                       \
                   " (SELECT count(*) FROM run WHERE uid = CAST(substr(k, 8) AS INTEGER))"         \
                   " FROM meta WHERE k >= 'former:' AND k < 'former;' ORDER BY u DESC")            \
    X(FORMER_FORGOTTEN, "UPDATE meta SET v = json_object('utc_ns', json_extract(v, '$.utc_ns'),"   \
                        " 'forgotten_utc_ns', ?2) WHERE k = 'former:' || ?1")                      \
    X(RETIRE_WARRANTS, "SELECT DISTINCT warrant FROM run WHERE uid = ?1 AND warrant IS NOT NULL")  \
    X(RETIRE_RUN, "UPDATE run SET uid = ?2, warrant = NULL WHERE uid = ?1")                        \
    X(RETIRE_SWEEP, "UPDATE sweep SET uid = ?2 WHERE uid = ?1")                                    \
    X(RETIRE_EVENT, "UPDATE event SET actor_uid = ?2 WHERE actor_uid = ?1")                        \
    X(RETIRE_NOTE, "UPDATE note SET uid = ?2 WHERE uid = ?1")                                      \
    X(RETIRE_METRIC, "UPDATE metric_head SET by_uid = ?2 WHERE by_uid = ?1")                       \
    X(RETIRE_PIN, "UPDATE pin SET uid = ?2 WHERE uid = ?1")                                        \
    X(RETIRE_MODEL, "UPDATE model SET uid = ?2 WHERE uid = ?1")                                    \
    X(RETIRE_CALIBRATION, "UPDATE calibration SET actor_uid = ?2 WHERE actor_uid = ?1")            \
    X(RETIRE_ORIGIN, "UPDATE origin SET uid = ?2 WHERE uid = ?1")                                  \
    X(RETIRE_GPU, "UPDATE meta SET v = json_set(v, '$.by', ?2) WHERE k >= 'gpu:' AND k < 'gpu;'"   \
                  " AND json_extract(v, '$.by') = ?1")                                             \
    X(FORGET_ENV,                                                                                  \
      "UPDATE env SET refs = 0, shown = '{}' WHERE hash IN " FORMER_ONLY("env") " RETURNING hash") \
    X(FORGET_CODE,                                                                                 \
      "UPDATE code SET diff = NULL, interpreter = NULL WHERE hash IN " FORMER_ONLY("code"))        \
    X(FORGET_LABEL,                                                                                \
      "UPDATE run SET label = ?2 || ' label ' || x.n FROM (SELECT id, dense_rank() OVER"           \
      " (ORDER BY label) AS n FROM run WHERE uid = ?1 AND label <> '') AS x WHERE x.id = run.id")  \
    X(FORGET_SWEEP,                                                                                \
      "UPDATE sweep SET label = CASE WHEN label = '' THEN '' ELSE ?2 || ' sweep ' ||"              \
      " id END, spec = '{}', reason = CASE WHEN " FORMER_NAMED(                                    \
          "reason") " THEN '(forgotten)' ELSE reason END WHERE uid = ?1")                          \
    X(FORGET_RUN,                                                                                  \
      "UPDATE run SET project = CASE WHEN " FORMER_NAMED(                                          \
          "project") " THEN ?2 ELSE project END,"                                                  \
                     " reason = CASE WHEN state = 'cancelled' OR instr(reason, '/') > 0 "          \
                     "OR " FORMER_NAMED(                                                           \
                         "reason") " THEN '(forgotten)' ELSE reason END WHERE uid = ?1")           \
    X(FORGET_SPEC,                                                                                 \
      "UPDATE run SET spec = json_set(json_remove(spec, '$.stdin', '$.on_end'), '$.argv',"         \
      " json_array('(forgotten)'), '$.cwd', '/', '$.label', label, '$.project', project,"          \
      " '$.params', json('{}')) WHERE uid = ?1")                                                   \
    X(FORGET_PARAM, "UPDATE run_param SET value = ?2 WHERE run IN " FORMER_RUNS                    \
                    " AND type = 'text' AND (instr(value, '/') > 0 OR " FORMER_NAMED("value") ")") \
    X(FORGET_TAG, "DELETE FROM tag WHERE run IN " FORMER_RUNS)                                     \
    X(FORGET_NOTE, "DELETE FROM note WHERE uid = ?1 OR run IN " FORMER_RUNS)                       \
    X(FORGET_PIN, "UPDATE pin SET reason = '(forgotten)' WHERE uid = ?1 OR run IN " FORMER_RUNS)   \
    X(FORGET_MODEL,                                                                                \
      "UPDATE model SET selection = '(forgotten)' WHERE uid = ?1 OR " FORMER_NAMED("selection"))   \
    X(FORGET_EVENT,                                                                                \
      "UPDATE event SET reason = '(forgotten)' WHERE " FORMER_NAMED(                               \
          "reason") " OR (run IN " FORMER_RUNS " AND (from_state = to_state OR to_state ="         \
                    " 'cancelled' OR instr(reason, '/') > 0))")                                    \
    X(FORGET_OTHER, "UPDATE OR REPLACE other_use SET owner = ?2 WHERE owner IN (?3, ?4)")          \
    X(FORGET_BESIDE, "UPDATE OR REPLACE run_other SET owner = ?2 WHERE owner IN (?3, ?4)")         \
    X(FORGET_GPU, "UPDATE meta SET v = json_set(v, '$.why', '(forgotten)') WHERE k >= 'gpu:' AND"  \
                  " k < 'gpu;' AND " FORMER_NAMED("json_extract(v, '$.why')"))                     \
    X(ADMIN_EVENT, "INSERT INTO event(boot, t_ns, actor_uid, to_state, reason)"                    \
                   " VALUES(?1, ?2, ?3, ?4, ?5)")                                                  \
    X(ADMIN_LOG,                                                                                   \
      "SELECT v.id, v.boot, v.t_ns, v.run, v.actor_uid, v.from_state, v.to_state, v.reason"        \
      " FROM event v LEFT JOIN run r ON r.id = v.run WHERE v.run IS NULL OR (v.actor_uid IS NOT"   \
      " NULL AND v.actor_uid <> r.uid) ORDER BY v.id DESC LIMIT ?1")

#endif
