/* Statements that look for damage (damage.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_DAMAGE_H
#define DAEMON_STORE_SQL_DAMAGE_H

/* Chunks are found by an index that covers what is said of them: so a page of the table that cannot be read costs
 * the names of no others. */
#define SQL_DAMAGE(X)                                                                              \
    X(DAMAGE_CHUNK,                                                                                \
      "SELECT id, grp, tier, epoch, t0_ns, t1_ns, n FROM chunk INDEXED BY chunk_seek WHERE"        \
      " (grp, tier, epoch, t0_ns, t1_ns, n) > (?1, ?2, ?3, ?4, ?5, ?6)"                            \
      " ORDER BY grp, tier, epoch, t0_ns, t1_ns, n LIMIT 1")                                       \
    X(DAMAGE_TAIL, "SELECT seq, grp, 0, epoch, t0_ns, t1_ns, n FROM tail WHERE seq > ?1"           \
                   " ORDER BY seq LIMIT 1")                                                        \
    X(DAMAGE_CHUNKS, "SELECT count(*) FROM chunk INDEXED BY chunk_seek")

#endif
