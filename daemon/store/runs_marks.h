/* What people say of runs afterwards: tags, notes, labels, numbers of their own. Writers run on the storage
 * thread; a change of label, tags or numbers leaves an event (state to the same state) with actor and time, a
 * note carries its own. Only the run's owner may, or who acts on any. */
#ifndef DAEMON_STORE_RUNS_MARKS_H
#define DAEMON_STORE_RUNS_MARKS_H

#include "daemon/store/runs.h"

#define RUN_TAG_MAX    48 /* bytes of a tag */
#define RUN_TAGS_MAX   64 /* of one run */
#define RUN_NOTE_MAX   4096
#define RUN_NOTES_MAX  1000
#define RUN_VALUES_MAX 64 /* numbers of one request */

enum run_mark_kind { RUN_MARK_TAG, RUN_MARK_NOTE, RUN_MARK_LABEL, RUN_MARK_METRIC };

/* Owns its strings. */
struct run_mark {
    enum run_mark_kind kind;
    char **add; /* tags, or keys of numbers */
    size_t nadd;
    char **drop; /* tags */
    size_t ndrop;
    double *values; /* one per key */
    bool force;     /* over a number that the program wrote; its curve stays */
    char *text;     /* note, label */
};
void run_mark_fini(struct run_mark *m);
/* Letters, digits and _.:- ; begins with a letter or digit; at most RUN_TAG_MAX bytes. */
bool run_tag_ok(const char *tag);

/* WATTQ_E_NOT_FOUND; WATTQ_E_FORBIDDEN; WATTQ_E_CONFLICT for a number of the program's own without force;
 * WATTQ_E_LIMIT. On an error nothing of it is written. Adding a tag twice, dropping one that is not there: done. */
int runs_mark(struct store *s, int64_t run, struct run_actor by, const struct run_mark *m,
              int64_t utc_ns, struct err *e) MUST_USE;

/* What else somebody does to the run of another (a phase, a pin, figures again): an event that keeps the state
 * and says who and what. Nothing when it is his own. WATTQ_E_NOT_FOUND; WATTQ_E_FORBIDDEN when he may not. */
int runs_act(struct store *s, int64_t run, struct run_actor by, const char *what,
             struct err *e) MUST_USE;
/* The same, also when it is his own: what changes when it runs. */
int runs_done_to(struct store *s, int64_t run, struct run_actor by, const char *what,
                 struct err *e) MUST_USE;
/* The same on every run of a sweep that is not over; the caller has asked whether he may. */
int runs_sweep_act(struct store *s, int64_t sweep, int64_t uid, const char *what,
                   struct err *e) MUST_USE;

/* What the daemon itself has to say of a run: an event that keeps the state, of no actor. WATTQ_E_NOT_FOUND. */
int runs_remark(struct store *s, int64_t run, const char *what, struct err *e) MUST_USE;

/* Runs among the newest events that ended with the remark "on_end follows" and have none that says what became of
 * it; at most cap. */
struct runs_owed {
    int64_t run, token;
};
int runs_on_end_owed(struct store *s, struct runs_owed *out, size_t cap, size_t *n,
                     struct err *e) MUST_USE;

/* Readers. Strings are the visitor's only during the call. */
int runs_tags(struct store *s, int64_t run, int (*fn)(void *, const char *tag), void *arg,
              struct err *e) MUST_USE;
struct run_note {
    int64_t uid;
    int64_t utc_ns;
    const char *text;
};
int runs_notes(struct store *s, int64_t run, int (*fn)(void *, const struct run_note *), void *arg,
               struct err *e) MUST_USE;
struct run_head {
    const char *key;
    int64_t n; /* lines that had it; 1 for a number by hand */
    double first, last, min, max;
    int64_t last_step; /* RUN_NONE */
    int64_t by_uid;    /* RUN_NONE = the program */
};
int runs_heads(struct store *s, int64_t run, int (*fn)(void *, const struct run_head *), void *arg,
               struct err *e) MUST_USE;

#endif
