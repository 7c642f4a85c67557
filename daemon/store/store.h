/* The database: one SQLite file, opened, checked and migrated here; every statement of the program is
 * in the catalogues store/sql_*.h and tried at open, so that a wrong one stops the start; but for the
 * questions of query.h, which are put together from constant fragments when they are asked.
 * A struct store is one connection and belongs to one thread at a time. The only read-write one lives
 * on the storage thread (storage.h); read-only ones serve the pool. Nobody outside store/ includes
 * sqlite3.h. */
#ifndef DAEMON_STORE_STORE_H
#define DAEMON_STORE_STORE_H

#include "common/err.h"

struct store;

#define STORE_SCHEMA_VERSION 5
#define STORE_PAGE_BYTES     4096
#define STORE_APPLICATION_ID 0x57545451 /* "WTTQ" in the file's header */
/* schema/NNNN_*.sql number i + 1; NULL = there are no more. */
const char *store_schema(size_t i);

/* Open read-write: creates the file (0600) and its schema, migrates an older one in one transaction per
 * version, refuses a newer one (WATTQ_E_VERSION, says which program to use) and a damaged one
 * (WATTQ_E_CORRUPT, names the file and the way out: `mv` it aside or restore). Registers this boot and
 * closes epochs left open by a kill. A directory that is missing, read-only or on a network file system
 * is WATTQ_E_STORAGE with the option that helps. */
int store_open(struct store **out, const char *path, struct err *e) MUST_USE;
/* Open read-only, for queries. The file must exist. */
int store_open_reader(struct store **out, const char *path, struct err *e) MUST_USE;
void store_close(struct store *s); /* writer: checkpoints (TRUNCATE) first. NULL is fine */

int64_t store_boot(const struct store *s); /* boot.id of the running kernel */

void store_set_full(struct store *s,
                    bool always); /* `durability = full`: every transaction is FULL */
/* Transactions of the writer. full: `synchronous=FULL` by a fresh exec before BEGIN, for anything that
 * is acknowledged to somebody; else NORMAL, and FULL on every 10th or after 8.8 s. After a sync that failed nobody
 * knows which pages of the log are on the disk: then the whole log goes into the file first, and as long as that
 * fails so does this. On a reader: one snapshot for all
 * that is read until the commit. */
int store_begin(struct store *s, bool full, struct err *e) MUST_USE;
int store_commit(struct store *s, struct err *e) MUST_USE;
void store_rollback(struct store *s);
bool store_in_transaction(
    const struct store *s); /* SQLite ends one by itself when the disk is full */
/* One job among several in a transaction: its failure undoes only itself. */
int store_savepoint(struct store *s, struct err *e) MUST_USE;
int store_release(struct store *s, struct err *e) MUST_USE;
void store_rollback_to(struct store *s);

/* Writer, outside a transaction: move the log into the file when it has grown. Above 16 MiB somebody who reads holds
 * it: then every two seconds or 4 MiB, waiting for him for 50 ms. An error here loses nothing: the log
 * keeps what it has, and a sync that failed is made up for before the next transaction. */
void store_checkpoint(struct store *s);
/* The next store_checkpoint moves all of the log, however short it is, and cuts it off; waits up to 2 s for readers. */
void store_want_checkpoint(struct store *s);
int64_t store_log_bytes(const struct store *s); /* of the log that are in use */

/* Civil time of an instant, by the anchors of that boot; and back. -1 when there is no anchor. */
int64_t store_utc_of(struct store *s, int64_t boot, int64_t t_ns);
/* (boot, boottime) of a civil time: the newest boot that was up then. 0; 1 = before all anchors. */
int store_boot_of(struct store *s, int64_t utc_ns, int64_t *boot, int64_t *t_ns);

#endif
