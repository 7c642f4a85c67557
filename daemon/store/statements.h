/* The statements of one connection, each prepared when it is first asked for and kept from then on: all of them would
 * take 1.6 MB of the writer and 1 MB of each reader. Inside store/ only; everybody else borrows them by STMT_USE
 * (stmt.h). Thread: that of the store. */
#ifndef DAEMON_STORE_STATEMENTS_H
#define DAEMON_STORE_STATEMENTS_H

#include "daemon/store/stmt.h"

struct statements;

/* db is borrowed and must be closed after statements_free. */
int statements_new(struct statements **out, sqlite3 *db, struct err *e) MUST_USE;
void statements_free(struct statements *t); /* NULL is fine */

/* Does each statement of the catalogue fit the schema? For the start, so that a wrong one does not wait for the day it
 * is needed. About 15 ms. */
int statements_check(struct statements *t, struct err *e) MUST_USE;

/* Borrowed until it is reset, and not by two at once. One that cannot be prepared (no memory, a disk that does not
 * answer, a schema that changed) is stood in for by another that takes the same parameters and whose step fails as the
 * preparation did: so whoever uses one meets errors in one place, as he does where SQLite prepares again in a step. */
sqlite3_stmt *statements_get(struct statements *t, enum stmt_id id)
    __attribute__((returns_nonnull));

#endif
