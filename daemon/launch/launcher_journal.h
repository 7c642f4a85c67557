/* The launcher's memory of what it has started: one record of 64 bytes per start, fsynced before the fork.
 * From it come the high-water mark of tokens and the number of starts under each warrant. Written in
 * place into zeroes that were made durable before, so that one start costs one flush and no allocation.
 *
 * A record that was torn by a crash can only be the last one: it is overwritten, for its start has not
 * been answered. Damage anywhere else is refused (WATTQ_E_CORRUPT): with starts forgotten, warrants would be
 * good for more than was signed. A journal that is missing is a new one; main makes a new key with it, which
 * voids every warrant signed before. Owner: the launcher, one thread. */
#ifndef DAEMON_LAUNCH_LAUNCHER_JOURNAL_H
#define DAEMON_LAUNCH_LAUNCHER_JOURNAL_H

#include "common/err.h"

struct journal_record {
    int64_t token, run_id, uid;
    int64_t until_utc_s; /* of its warrant: afterwards the record is of no use */
    uint8_t warrant[16]; /* its id */
    uint32_t starts;     /* 1; more after compaction, which keeps one record per warrant */
    uint32_t magic;
    uint64_t check; /* first bytes of the SHA-256 of the rest */
};
_Static_assert(sizeof(struct journal_record) == 64, "records are 64 bytes");

struct journal_warrant {
    uint8_t id[16];
    int64_t until_utc_s;
    uint32_t starts;
};
struct journal {
    int dirfd, fd;
    int64_t high;         /* largest token ever */
    size_t records, room; /* written, and how many fit before the file must grow */
    struct journal_warrant *warrants;
    size_t n, cap;
};

/* Reads <dirfd>/starts or makes it. 0; 1 = it was not there. Compacts when it has grown and at least half
 * of it is of no use. */
int journal_open(struct journal *j, int dirfd, int64_t now_utc_s, struct err *e) MUST_USE;
void journal_close(struct journal *j);
/* One start, in two halves, so that what else it needs can be made while the disk is at it: on the way after the first,
 * which fills r->starts, magic and check and compacts as above; durable and counted when the second has returned 0.
 * Nobody may be told of the start before. Nothing else is done with the journal in between. */
int journal_begin(struct journal *j, struct journal_record *r, int64_t now_utc_s,
                  struct err *e) MUST_USE;
int journal_end(struct journal *j, const struct journal_record *r, struct err *e) MUST_USE;
uint32_t journal_starts(const struct journal *j, const uint8_t warrant[16]);

/* The bytes of such a file into j->high, records and warrants (free with journal_close). For the fuzzer. */
int journal_parse(struct journal *j, const void *data, size_t bytes, struct err *e) MUST_USE;

#endif
