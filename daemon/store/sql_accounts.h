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
                   " o.channel WHERE o.run = ?1 AND o.boot = ?2 ORDER BY o.t0_ns")

#endif
