/* What watching the channels showed, kept: learned values in `channel`, doubts and their ends as history in
 * `channel_note`, so that the total of any past window is chosen by what is known now about that time.
 *
 * Kinds of note: the names of meter_doubt ('mirror', 'lower', 'higher', 'unproven', 'disagrees', 'backwards',
 * 'frozen'), their ends 'restored' and 'proven', and 'learned'. What a channel *is* (mirror, lower,
 * higher, unproven) holds for the whole boot, as last found; how it behaved (disagrees, backwards, frozen)
 * for the time between the note and its end. A psys once proven stays so until it is seen lower. */
#ifndef DAEMON_STORE_OPINIONS_H
#define DAEMON_STORE_OPINIONS_H

#include "daemon/store/samples.h"

/* ---- reading: any connection, its thread ---- */

struct channel_opinion {
    struct meter_opinion standing; /* as last found in that boot; about is not set */
    int64_t about;                 /* the other channel's row; 0 = none */
    enum meter_doubt inside; /* frozen, disagrees or backwards for part of the window; or none */
};
/* How a channel was seen in (t0, t1] of a boot. */
int opinions_of(struct store *s, const struct channel_row *ch, int64_t boot, int64_t t0_ns,
                int64_t t1_ns, struct channel_opinion *out, struct err *e) MUST_USE;

/* The history of one channel, newest first. fn: 0 to go on, else it is returned. */
struct channel_note {
    int64_t boot, t_ns;
    const char *kind, *text;
};
int opinions_notes(struct store *s, int64_t channel,
                   int (*fn)(void *arg, const struct channel_note *n), void *arg,
                   struct err *e) MUST_USE;

/* ---- writing: storage thread, inside a transaction ---- */

struct opinions;
struct opinions *opinions_new(struct meter *m);
void opinions_free(struct opinions *o);
/* Before sampling: the meter goes on from what this boot's notes say. */
int opinions_load(struct opinions *o, struct store *s, struct err *e) MUST_USE;
/* What is new goes into the file. Learned values (a change below a tenth is not worth a write) are looked
 * at once a minute. */
int opinions_flush(struct opinions *o, struct store *s, struct err *e) MUST_USE;
void opinions_rolled_back(struct opinions *o); /* the transaction is gone: write again */
int opinions_note(struct store *s, int64_t channel, int64_t t_ns, const char *kind,
                  const char *text, int64_t about, struct err *e) MUST_USE; /* about 0 = nobody */

#endif
