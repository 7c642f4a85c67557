/* What of a database is damaged: its pages, rows and indexes by SQLite's own check, and its samples, which SQLite
 * knows as bytes only, by their checksums and by whether they are those of their row. Reads only; any connection, its thread.
 * Nothing is repaired: what is damaged can be read no more, and the rest can. */
#ifndef DAEMON_STORE_DAMAGE_H
#define DAEMON_STORE_DAMAGE_H

#include <stdatomic.h>

#include "daemon/store/store.h"

enum damage_kind { DAMAGE_STRUCTURE, DAMAGE_CHUNK, DAMAGE_TAIL };
const char *damage_kind_name(enum damage_kind k);

struct damage {
    enum damage_kind kind;
    int64_t row; /* chunk or row of the tail; this and the next ones are 0 for the structure */
    int64_t grp, tier, epoch;
    int64_t boot; /* 0 = not known; else what t0_ns and t1_ns count from */
    int64_t t0_ns, t1_ns;
    int64_t ticks;
    char text[200]; /* what is wrong, without a full stop */
};
struct damage_sink {
    void (*found)(void *arg, const struct damage *d);
    void *arg;
    const atomic_bool
        *stop; /* set by another thread: what is under way fails soon; NULL = nobody will */
};

#define DAMAGE_STRUCTURE_MAX 100 /* SQLite is asked for no more */

/* The whole file at once: about a second for each 500 MB that memory holds, else as fast as the disk reads. */
int damage_structure(struct store *s, const struct damage_sink *to, struct err *e) MUST_USE;

/* Where a walk over all blocks of samples is. Zero-initialise. */
struct damage_walk {
    int64_t of; /* chunks there were at the beginning */
    int64_t blocks, ticks, bytes, values;
    /* private */
    bool begun, in_tail;
    int64_t at[6]; /* key of the newest chunk; at[0] in the tail: its row */
};
/* At least one block, then more for about limit_ns. 1 = there are more, call again (on any connection); 0 = that was all. */
int damage_blocks(struct store *s, struct damage_walk *w, int64_t limit_ns,
                  const struct damage_sink *to, struct err *e) MUST_USE;

#endif
