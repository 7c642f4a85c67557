/* A whole copy of the database as it is at one moment, and what it does not need given back to the file system.
 * backup_copy runs on a reader, in the pool; compact_* on the writer, in jobs of the storage thread. */
#ifndef DAEMON_STORE_BACKUP_H
#define DAEMON_STORE_BACKUP_H

#include <stdatomic.h>

#include "daemon/store/store.h"

#define BACKUP_SPARE_BYTES (INT64_C(64) << 20) /* are left to the database when a copy is made */

/* How far it is, for other threads; and the other way round, that nobody wants it any more. */
struct backup_watch {
    atomic_llong done_bytes, of_bytes;
    atomic_bool stop;
};
/* What the reader's snapshot holds, as one file at path (a place of our own: what lies there is replaced), whose name is
 * gone again when this returns: *fd is all there is of it, and whoever is killed leaves nothing that has to be found.
 * The copy needs no log beside it. WATTQ_E_STORAGE where the disk would be filled up. */
int backup_copy(struct store *s, const char *path, struct backup_watch *w, int *fd,
                struct err *e) MUST_USE;
void backup_remove(const char *path); /* of a copy that a kill cut short */

/* Bytes that the database takes on the disk, its log included, and how many of them hold nothing. */
struct compact_size {
    int64_t file_bytes, free_bytes;
};
int compact_measure(struct store *s, struct compact_size *out, struct err *e) MUST_USE;
/* Moves what stands at the end of the file into at most `pages` free pages. 1 = there are more; 0 = that was all, and
 * right after the transaction the storage thread moves the log into the file, which makes it shorter. */
int compact_step(struct store *s, int pages, struct err *e) MUST_USE;

#endif
