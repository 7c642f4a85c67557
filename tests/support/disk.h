/* A SQLite VFS between a test and the disk. It records what a session writes and syncs, and makes from that
 * record what a machine may find that lost its power at any of these moments; and it can refuse to write or
 * to sync.
 *
 * The model of the power loss is a page cache: a write changes the cache, and each sector of it (512 or 4096
 * bytes) gets to the disk then or not; only a sync brings all sectors that are still dirty. So an image has
 * lost any of the writes since the last sync of a file, whole or in part, and has them in any order. A file
 * that was made but not synced may be gone, one that was removed may be back, sectors between those that
 * were written hold zeros or rubbish, -shm is rubbish. A sync that fails leaves the cache as it is and
 * forgets what was dirty, as Linux does: what it held may never reach the disk.
 *
 * One struct disk is installed at a time; it becomes the default VFS. Any thread may use it. Syncs that are
 * recorded are not done: the record is what counts, and the test is over in seconds. */
#ifndef TESTS_SUPPORT_DISK_H
#define TESTS_SUPPORT_DISK_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_FILES 4

struct disk_op;
struct disk {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    pthread_mutex_t lock; /* of everything up to the next remark */
    char *names[DISK_FILES];
    struct disk_op *ops;
    size_t n, cap;
    /* Set by the test at any time. */
    atomic_bool lies;      /* a sync is answered as if it had been done: what a bad disk does */
    atomic_int fail_write; /* SQLite's code that every write is refused with; 0 = none */
    atomic_int fail_sync;  /* the same for syncs */
    atomic_bool off;       /* nothing is recorded or refused: to look at images */
};
void disk_install(struct disk *d);
void disk_remove(struct disk *d);

/* Something that the test itself has seen happen, in its place among the writes. */
void disk_mark(struct disk *d, int kind, int64_t value);
size_t disk_length(struct disk *d); /* of the record: positions are 0 .. length */
/* The marks before a position, oldest first. */
void disk_marks(struct disk *d, size_t cut, void (*fn)(void *arg, int kind, int64_t value),
                void *arg);
/* Writes into dir, under the names that the session had, what is left when the power goes at that position.
 * Different seeds, different losses. dir holds no such files. */
void disk_image(struct disk *d, size_t cut, uint64_t seed, const char *dir);

#endif
