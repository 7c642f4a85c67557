/* Statements of the run tables (runs.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_RUNS_H
#define DAEMON_STORE_SQL_RUNS_H

#define SQL_RUNS(X)

#endif
