/* Statements of samples, channels, epochs and gaps (samples_*.c, curve.c). Read stmt.h first. */
#ifndef DAEMON_STORE_SQL_SAMPLES_H
#define DAEMON_STORE_SQL_SAMPLES_H

#define SQL_SAMPLES(X)

#endif
