/* Users who have left this machine, and what admins did. Writers run on the storage thread inside a transaction;
 * readers on any connection.
 *
 * A uid is used again. So that whoever has it next is not taken for who had it before, the rows of one who leaves are
 * given to a number that no user can have (common/users.h). Table `meta` keeps who that was, for admins:
 * former:UID -> {"name", "uid", "utc_ns"}; of one who is forgotten only when. It is never exported.
 *
 * To be forgotten goes further: what tells of the person goes, what was measured stays. Gone are command, directory,
 * input, environment, code, tags and notes of their runs, and who they were; labels are numbered, so that runs of the same
 * label still have the same; a project, a parameter, a reason or the words of a model keep their text unless the name
 * stands in it, or (of a parameter or reason) a path. Figures, times, states, metrics and names of phases stay. What
 * others wrote of the person stays, but for the history and what was used beside runs. */
#ifndef DAEMON_STORE_FORMER_H
#define DAEMON_STORE_FORMER_H

#include "common/users.h"
#include "daemon/store/store.h"

struct former {
    int64_t uid; /* from now on: below USERS_RETIRED */
    int64_t runs, sweeps;
};
/* Files that are of no use any more, for the caller to remove: warrants of theirs, environments that nobody else's runs
 * have. */
struct former_files {
    void (*warrant)(void *arg, const char *name);
    void (*env)(void *arg, const char *hash);
    void *arg;
};
/* Who leaves has nothing queued or running: WATTQ_E_CONFLICT names what is in the way; WATTQ_E_NOT_FOUND where nothing
 * is theirs. name: as the system has it now, else the number. by: the admin. */
struct former_who {
    int64_t uid;
    const char *name;
    int64_t by;
};
int former_retire(struct store *s, const struct former_who *who, const struct former_files *files,
                  struct former *out, struct err *e) MUST_USE;
/* who->uid: of one who has left; once more does no harm. WATTQ_E_NOT_FOUND. */
int former_forget(struct store *s, const struct former_who *who, const struct former_files *files,
                  struct former *out, struct err *e) MUST_USE;
/* The next run of that user after run `after`. 1 = there is none. */
int former_run(struct store *s, int64_t uid, int64_t after, int64_t *run, struct err *e) MUST_USE;

struct former_user {
    int64_t uid, was_uid;             /* was_uid: STMT_NULL (INT64_MIN) once forgotten */
    const char *name;                 /* NULL once forgotten */
    int64_t utc_ns, forgotten_utc_ns; /* when they left; INT64_MIN = not forgotten */
    int64_t runs;
};
int former_list(struct store *s, int (*fn)(void *arg, const struct former_user *u), void *arg,
                struct err *e) MUST_USE;

/* An event of no run: what an admin did to the machine or to a user. act: a word or two. by: INT64_MIN = wattqd. */
int former_act(struct store *s, int64_t by, const char *act, const char *text,
               struct err *e) MUST_USE;
/* Such events, and what somebody did to runs of others, newest first. run: INT64_MIN = none; actor_uid: wattqd. */
struct former_event {
    int64_t id, utc_ns, run, actor_uid;
    const char *from, *act, *text;
};
int former_log(struct store *s, int64_t limit, int (*fn)(void *arg, const struct former_event *v),
               void *arg, struct err *e) MUST_USE;

#endif
