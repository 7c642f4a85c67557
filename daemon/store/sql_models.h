/* Statements of the fitted models (models.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_MODELS_H
#define DAEMON_STORE_SQL_MODELS_H

#define SQL_MODEL_COLS                                                                             \
    "m.id, m.created_utc_ns, m.uid, m.machine, m.backend, m.selection, m.energy, m.version,"       \
    " (SELECT count(*) FROM model_run r WHERE r.model = m.id AND r.used = 1),"                     \
    " (SELECT count(*) FROM model_run r WHERE r.model = m.id AND r.used = 0)"

#define SQL_MODELS(X)                                                                              \
    X(MODEL_INSERT,                                                                                \
      "INSERT INTO model(created_utc_ns, uid, machine, backend, selection, energy, version,"       \
      " caches, report) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                               \
    X(MODEL_TERM_INSERT, "INSERT INTO model_term(model, part, name, unit, meaning, value, lo, hi)" \
                         " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                \
    X(MODEL_RUN_INSERT, "INSERT INTO model_run(model, run, used, reason) VALUES(?1, ?2, ?3, ?4)")  \
    X(MODEL_LIST, "SELECT " SQL_MODEL_COLS " FROM model m WHERE (?1 IS NULL OR m.id = ?1)"         \
                  " ORDER BY m.id DESC LIMIT 1000")                                                \
    X(MODEL_TEXTS, "SELECT caches, report FROM model WHERE id = ?1")                               \
    X(MODEL_TERMS, "SELECT part, name, unit, meaning, value, lo, hi FROM model_term"               \
                   " WHERE model = ?1 ORDER BY part DESC, name")                                   \
    X(MODEL_RUNS, "SELECT run, used, reason FROM model_run WHERE model = ?1 ORDER BY run")

#endif
