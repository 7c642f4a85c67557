/* Statements for a database that was restored (replace.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_REPLACE_H
#define DAEMON_STORE_SQL_REPLACE_H

/* sqlite_sequence is SQLite's own: the largest number that a table of AUTOINCREMENT has given. */
#define SQL_REPLACE(X)                                                                             \
    X(REPLACE_RAISE, "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'run' AND seq < ?1")        \
    X(REPLACE_FIRST, "INSERT INTO sqlite_sequence(name, seq) SELECT 'run', ?1 WHERE NOT EXISTS"    \
                     " (SELECT 1 FROM sqlite_sequence WHERE name = 'run')")                        \
    X(REPLACE_NEWEST, "SELECT count(*), max(submitted_utc_ns) FROM run")

#endif
