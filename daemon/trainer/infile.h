/* Whole input files in memory, gzip-compressed or not, bounded. Runs as the run's user, before training. */
#ifndef TRAINER_INFILE_H
#define TRAINER_INFILE_H

#include "common/err.h"

#define INFILE_MAX_BYTES (UINT64_C(2) << 30) /* after decompression */

/* Reads path and puts a NUL after the bytes. *data belongs to the caller, also when it is empty.
 * 0; WATTQ_E_NOT_FOUND; WATTQ_E_IO; WATTQ_E_CORRUPT for a truncated or damaged gzip stream;
 * WATTQ_E_LIMIT for more than INFILE_MAX_BYTES. */
int infile_read(const char *path, char **data, size_t *bytes, struct err *e) MUST_USE;

#endif
