/* Statements of what stood beside a run (beside.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_BESIDE_H
#define DAEMON_STORE_SQL_BESIDE_H

#define SQL_BESIDE(X)                                                                              \
    X(BESIDE_CLEAR, "DELETE FROM run_companion WHERE run = ?1")                                    \
    X(BESIDE_PUT,                                                                                  \
      "INSERT INTO run_companion(run, channel, samples, known_ns, min, mean, max, first, last,"    \
      " gained, bits, limited_ns, capped_ns)"                                                      \
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")                           \
    X(BESIDE_OF_RUN,                                                                               \
      "SELECT b.channel, c.uid, c.label, c.unit, c.scope, c.device, c.pmax_uw, b.samples,"         \
      " b.known_ns, b.min, b.mean, b.max, b.first, b.last, b.gained, b.bits, b.limited_ns,"        \
      " b.capped_ns FROM run_companion b JOIN channel c ON c.id = b.channel WHERE b.run = ?1"      \
      " ORDER BY b.channel LIMIT 2000")

#endif
