/* Whose turn it is: the order of the runs that wait. Pure; no thread of its own, the queue's on the loop.
 *
 * Larger priorities first. Inside a priority users take turns: the first run of each, then the second of each,
 * and so on. Of the users, whoever was served longest ago comes first; before those all who were never served,
 * by the id of their first run. Served is who was given a start, whatever became of it. So a user with a
 * thousand runs keeps another one waiting for one turn, and a run that is moved among its owner's own changes
 * nobody else's place. A user's own runs stand by `place`, which is the order of submission until somebody
 * moves them, then by id.
 *
 * Who was served last is read from the events of the database at the start (queue_recover.c), so a restart
 * changes no turn. */
#ifndef DAEMON_QUEUE_TURNS_H
#define DAEMON_QUEUE_TURNS_H

#include "daemon/queue/resources.h"

#define TURNS_STEP                                                                                 \
    (INT64_C(1) << 24)     /* between the places of two ids: room for those that are moved */
#define TURNS_LOOK_MAX 256 /* runs behind a first one that waits for GPUs */

struct turns_key {
    int64_t priority, uid, place, id;
};
struct turns_entry {
    struct turns_key key;
    void *run;
};
struct turns_user;
struct turns {              /* zero-initialise; turns_fini */
    struct turns_entry *at; /* by priority, user, place, id */
    size_t n, cap;
    struct turns_user *users; /* by uid */
    size_t nusers;
    int64_t served; /* turns given so far */
};
void turns_fini(struct turns *t);

int64_t turns_own_place(int64_t id); /* of a run that nobody has moved */
void turns_put(struct turns *t, const struct turns_key *k, void *run);
bool turns_take(struct turns *t, const struct turns_key *k); /* false = it was not there */
/* t is empty: who has been served when is as in `from`. */
void turns_remember(struct turns *t, const struct turns *from);
/* He has been given a turn. */
void turns_serve(struct turns *t, int64_t uid);
/* In the order, from 1; 0 = not there. */
size_t turns_position(const struct turns *t, const struct turns_key *k);

/* Everybody, in the order. Nothing may be put or taken meanwhile. */
struct turns_lane;
struct turns_walk {
    const struct turns *t;
    size_t from; /* where the next priority begins */
    struct turns_lane *lanes;
    size_t nlanes, lane;
};
void turns_walk_begin(struct turns_walk *w, const struct turns *t);
void *turns_walk_next(struct turns_walk *w); /* NULL = that was all */
/* The one just given was stepped over: that was no turn of its user's, whose next run comes now. */
void turns_walk_again(struct turns_walk *w);
/* Nor do any others of his come up: the rest of them, in this priority, is left out. */
void turns_walk_drop(struct turns_walk *w);
void turns_walk_end(struct turns_walk *w);

/* What the queue says of one that waits. */
struct turns_look {
    bool skip;    /* its sweep is held, its rows are on their way: stepped over */
    bool full;    /* its user has as many going as he may: all of his are stepped over */
    bool blocked; /* something else than resources keeps it, and with it all behind it */
    struct resources_want want;
};
struct turns_rules {
    void (*look)(void *arg, void *run, struct turns_look *out);
    /* It waits for GPUs alone. Which of them are those behind it not to have? */
    gpu_set (*keep)(void *arg, void *run, const struct resources_want *want);
    void *arg;
};
/* The next that may start now, with the GPUs it gets, or NULL. In turn: whoever comes first and does not fit is
 * waited for - so that a stream of small runs cannot starve one that wants much - unless it waits for nothing
 * but GPUs. Then those behind it may pass that fit beside what it wants of all that is counted (put aside for
 * it) and want no GPU, or GPUs that rules->keep lets go: they cannot keep it waiting. The first of those behind
 * it that does not fit for another reason ends the search. One that wants more than there is now (a GPU was
 * lost) is stepped over until it is back: it keeps nobody waiting. */
void *turns_pick(const struct turns *t, const struct resources *r, const struct turns_rules *rules,
                 gpu_set *gpus);

/* Moves runs of one user and one priority, in the order given, before another of these or (NULL) to the front of
 * his own. Out: the new places, in new memory: of those moved, or of all his when there is no room in between. */
struct turns_place {
    int64_t id, place;
};
size_t turns_move(const struct turns *t, const struct turns_key *moved, size_t n,
                  const struct turns_key *before, struct turns_place **out);

#endif
