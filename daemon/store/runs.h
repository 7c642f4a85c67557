/* Typed statements of the run tables: one function per thing that is stored or asked. Writers run on
 * the storage thread inside a transaction (storage_submit); readers on any connection.
 * Columns: schema/0001_init.sql. Strings in rows are owned by the row; run_row_fini frees. */
#ifndef DAEMON_STORE_RUNS_H
#define DAEMON_STORE_RUNS_H

#include "common/spec.h"
#include "daemon/energy/energy.h"
#include "daemon/store/store.h"

enum run_state {
    RUN_HELD,
    RUN_QUEUED,
    RUN_STARTING,
    RUN_RUNNING,
    RUN_PAUSED,
    RUN_STOPPING,
    RUN_DONE,
    RUN_FAILED,
    RUN_TIMEOUT,
    RUN_ENERGY_LIMIT,
    RUN_OOM,
    RUN_CANCELLED,
    RUN_SKIPPED,
    RUN_LOST,
    RUN_STATES
};
const char *run_state_name(enum run_state s);                  /* "running" */
int run_state_parse(const char *s, enum run_state *out);       /* 0; 1 = no such state */
bool run_state_ended(enum run_state s);                        /* done and everything after it */
bool run_move_allowed(enum run_state from, enum run_state to); /* the one table of moves */

const char *runs_kind_name(enum spec_kind k);     /* "command" */
enum spec_kind runs_kind_parse(const char *name); /* SPEC_COMMAND for anything unknown */

#define RUN_NONE INT64_MIN /* an unknown integer column */

struct run_row {
    int64_t id;
    char uuid[37];
    int64_t token;
    int64_t uid;
    enum run_state state;
    enum spec_kind kind;
    char *spec_json; /* argv, cwd, umask, limits (runs_spec_json / runs_spec_parse) */
    char *label, *project, *reason, *mode, *env_hash, *code_hash, *cpu_basis;
    int64_t sweep, sweep_index, retry_of; /* RUN_NONE where there is none */
    int64_t priority;
    int64_t boot, t0_ns, main_exit_ns, t1_ns; /* RUN_NONE = not yet */
    int64_t submitted_utc_ns, started_utc_ns, ended_utc_ns;
    int64_t exit_code, term_signal, cpu_us, maxrss_bytes, leftovers, mem_peak_bytes;
    int64_t place; /* among its user's that wait (queue/turns.h); RUN_NONE = nobody has moved it */
    char *warrant; /* name of its file (queue/warrants.h); NULL = none: user mode */
};
void run_row_fini(struct run_row *r);

/* The spec as canonical JSON (without env) and back; caller frees. */
char *runs_spec_json(const struct spec *s);
int runs_spec_parse(const char *json, struct spec *out, struct err *e) MUST_USE;

/* ---- writers ------------------------------------------------------------------------------------ */
struct run_new {
    const struct spec *spec;
    int64_t uid;
    int64_t submitted_utc_ns;
    int64_t sweep, sweep_index, retry_of; /* RUN_NONE */
    const char *env_hash;                 /* row in env exists already; may be NULL */
    const char *code_hash;
    const char *warrant;   /* under which it is started; NULL = none */
    const char *spec_json; /* runs_spec_json(spec) if at hand; NULL = made here */
};
/* Inserts the run (state held or queued by spec->hold), its parameters and its first event. */
int runs_insert(struct store *s, const struct run_new *n, int64_t *id, struct err *e) MUST_USE;

/* What a move writes beside the state; zero-initialise with run_change_init, set what is known. */
struct run_change {
    const char *reason; /* of the event and, for ended states, of the run */
    int64_t actor_uid;  /* RUN_NONE = the daemon */
    int64_t t_ns;       /* boot time of the move */
    int64_t token;      /* RUN_NONE = unchanged; likewise all below */
    const char *mode;
    int64_t t0_ns, main_exit_ns, t1_ns, exit_code, term_signal, cpu_us, maxrss_bytes, leftovers;
    int64_t mem_peak_bytes;
    int64_t started_utc_ns, ended_utc_ns;
    const char *cpu_basis;
};
void run_change_init(struct run_change *c);
/* One UPDATE that names the old state, and the event. WATTQ_E_CONFLICT when the row is in another state;
 * asserts run_move_allowed. */
int runs_move(struct store *s, int64_t id, enum run_state from, enum run_state to,
              const struct run_change *c, struct err *e) MUST_USE;

/* Where a run that waits stands (queue/turns.h). */
int runs_line_put(struct store *s, int64_t run, int64_t place, int64_t priority,
                  struct err *e) MUST_USE;

/* Refs of an environment; 0 also when there is no such row: then its file may be missing. */
int runs_env_refs(struct store *s, const char *hash, int64_t *refs, struct err *e) MUST_USE;
int runs_env_put(struct store *s, const char *hash, const char *path, const char *shown_json,
                 struct err *e) MUST_USE; /* refs + 1 */
int runs_env_drop(struct store *s, const char *hash, bool *last, struct err *e) MUST_USE;
struct run_code {
    char hash[65];
    const char *commit_id, *diff, *script_sha256, *interpreter; /* NULL = not known */
    int dirty;                                                  /* -1 = not known */
};
int runs_code_put(struct store *s, const struct run_code *c, struct err *e) MUST_USE;
int runs_set_code(struct store *s, int64_t run, const char *hash, struct err *e) MUST_USE;
int runs_machine_put(struct store *s, int64_t run, bool at_end, const char *facts_json,
                     struct err *e) MUST_USE;
/* Both ends' facts in new memory; NULL where they are not known. */
int runs_machine_get(struct store *s, int64_t run, char **at_start, char **at_end,
                     struct err *e) MUST_USE;
int runs_sweep_insert(struct store *s, int64_t uid, const char *label, const char *spec_json,
                      int64_t utc_ns, int64_t *id, struct err *e) MUST_USE;
int runs_sweep_state(struct store *s, int64_t id, const char *state, const char *reason,
                     struct err *e) MUST_USE;
int runs_phase_open(struct store *s, int64_t run, const char *name, int64_t t_ns,
                    struct err *e) MUST_USE; /* closes the open one; name NULL only closes; the name
                                                that is open already goes on */
int runs_metric_put(struct store *s, int64_t run, int64_t seq, int64_t step, const char *key,
                    double value, int64_t t_ns, const char *stamp, struct err *e) MUST_USE;
int runs_param_put(struct store *s, int64_t run, const char *key, const char *value,
                   struct err *e) MUST_USE;
/* Keep this run's raw samples; a run that is pinned already stays so with its first reason.
 * WATTQ_E_NOT_FOUND where there is no such run. */
int runs_pin(struct store *s, int64_t run, int64_t uid, int64_t utc_ns, const char *reason,
             struct err *e) MUST_USE;
/* From now on they may go with those of other runs. Not pinned: done. WATTQ_E_NOT_FOUND as above. */
int runs_unpin(struct store *s, int64_t run, struct err *e) MUST_USE;
/* part "window", "main" or "phase:NAME"; figure "machine", "attributed" or "marginal".
 * Every figure of a set for one run; older figures of the same run and part are superseded. The total of
 * machine and window is copied to run_total. */
int runs_energy_put(struct store *s, int64_t run, const char *figure, const char *part,
                    const struct energy_set *set, int64_t utc_ns, struct err *e) MUST_USE;

/* ---- readers ------------------------------------------------------------------------------------ */
/* 0 to go on, anything else stops and is returned. The row is the visitor's only during the call. */
typedef int (*run_visit)(void *arg, const struct run_row *r);
int runs_get(struct store *s, int64_t id, struct run_row *out,
             struct err *e) MUST_USE;                                            /* 1 = none */
int runs_imported(struct store *s, int64_t run, struct err *e) MUST_USE;         /* 1 = yes, 0 */
int runs_live(struct store *s, run_visit fn, void *arg, struct err *e) MUST_USE; /* not ended */
/* Users that were given a turn (a run of theirs became `starting`) within the newest 50,000 events, whoever had it
 * longest ago first. */
int runs_served(struct store *s, int (*fn)(void *, int64_t uid), void *arg, struct err *e) MUST_USE;
/* How long the newest `most` runs took that ended well here, newest first; fn != 0 ends it. */
struct run_length {
    int64_t uid, sweep, length_ns;
    const char *label, *spec_json; /* during the call */
};
int runs_lengths(struct store *s, int64_t most, int (*fn)(void *, const struct run_length *),
                 void *arg, struct err *e) MUST_USE;
struct run_query {
    int64_t uid;          /* RUN_NONE = anybody */
    int64_t sweep;        /* RUN_NONE */
    int state;            /* enum run_state, or -1 */
    const char *label;    /* exact; NULL */
    int64_t since_utc_ns; /* submitted at or after; RUN_NONE */
    int64_t until_utc_ns;
    int64_t before_id; /* keyset paging, newest first; RUN_NONE = from the newest */
    int64_t limit;     /* <= 10000 */
};
int runs_list(struct store *s, const struct run_query *q, run_visit fn, void *arg,
              struct err *e) MUST_USE;

/* The n runs that ended last, newest first. */
int runs_token_max(struct store *s, int64_t *token, struct err *e) MUST_USE; /* 0 = none yet */
int runs_recent(struct store *s, int64_t n, run_visit fn, void *arg, struct err *e) MUST_USE;
int runs_retried_by(struct store *s, int64_t run, int64_t *by,
                    struct err *e) MUST_USE; /* newest; RUN_NONE */
/* 1 = an ended run of that boot shared part of [t0, t1] with `run`; 0 = none did. */
int runs_overlap(struct store *s, int64_t run, const struct energy_window *w,
                 struct err *e) MUST_USE;
/* Windows of ended runs of a boot that touch [t0, t1], by t0. */
int runs_windows(struct store *s, const struct energy_window *w,
                 int (*fn)(void *, int64_t t0_ns, int64_t t1_ns), void *arg,
                 struct err *e) MUST_USE;

struct run_event {
    int64_t t_ns, boot, run, actor_uid;
    const char *from, *to, *reason;
};
int runs_events(struct store *s, int64_t run, int (*fn)(void *, const struct run_event *),
                void *arg, struct err *e) MUST_USE;
struct run_phase {
    const char *name;
    int64_t t0_ns, t1_ns;
};
int runs_phases(struct store *s, int64_t run, int (*fn)(void *, const struct run_phase *),
                void *arg, struct err *e) MUST_USE;
struct run_metric {
    int64_t seq, step, t_ns;
    const char *key, *stamp;
    double value;
};
int runs_metrics(struct store *s, int64_t run, int (*fn)(void *, const struct run_metric *),
                 void *arg, struct err *e) MUST_USE;
/* The same for the newest n lines of them (n different seq). */
int runs_metrics_tail(struct store *s, int64_t run, int64_t n,
                      int (*fn)(void *, const struct run_metric *), void *arg,
                      struct err *e) MUST_USE;
/* Rows of a run, and its largest seq (-1 = none). */
int runs_metric_count(struct store *s, int64_t run, int64_t *count, int64_t *max_seq,
                      struct err *e) MUST_USE;
int runs_params(struct store *s, int64_t run, int (*fn)(void *, const char *key, const char *value),
                void *arg, struct err *e) MUST_USE;
/* Where a run was made, and when its first batch began. */
struct run_place {
    int64_t origin;         /* RUN_NONE = measured here */
    char machine[128];      /* host name; "" = not known */
    int64_t first_batch_ns; /* RUN_NONE = no such phase is known */
    bool is_pinned;         /* its samples are kept */
    char pinned[208];       /* why */
};
int runs_place(struct store *s, int64_t run, struct run_place *out, struct err *e) MUST_USE;
/* Who acts on runs. */
struct run_actor {
    int64_t uid;
    bool
        any; /* also on those of others: root, the daemon's owner, an admin (api/rights.h decides) */
};
static inline bool run_actor_may(struct run_actor a, int64_t run_uid)
{
    return a.any || a.uid == run_uid;
}
struct run_energy {
    int64_t id, channel; /* channel 0 = total */
    const char *figure, *part, *method, *bound_basis, *flags, *reason, *label, *quality, *scope;
    int64_t energy_uj, lo_uj, hi_uj; /* RUN_NONE = NULL */
    int64_t covered_ns, bridged_uj, unknown_ns, random_uj, gain_ppm;
    int64_t baseline, idle_uj; /* RUN_NONE = NULL */
    bool in_total;
    const char *policy;
    int64_t samples, max_gap_ns, range_lo_uj, range_hi_uj, sampling_uj, sampled_ppm, algo,
        computed_utc_ns; /* RUN_NONE = NULL */
    /* How it was made (schema 0004); NULL, RUN_NONE = the row is older. */
    const char *version, *lag_basis, *uncovered_beyond;
    int64_t lag_ns, uncovered_uj;
};
int runs_energy(struct store *s, int64_t run, int (*fn)(void *, const struct run_energy *),
                void *arg, struct err *e) MUST_USE; /* newest figures only */
struct run_sweep {
    int64_t id, uid, submitted_utc_ns;
    const char *label, *spec_json, *state, *reason;
};
/* id RUN_NONE: the newest 1000. */
int runs_sweep_get(struct store *s, int64_t id, int (*fn)(void *, const struct run_sweep *),
                   void *arg, struct err *e) MUST_USE;
int runs_sweep_counts(struct store *s, int64_t id, int64_t counts[RUN_STATES],
                      struct err *e) MUST_USE;
int runs_code_get(struct store *s, const char *hash, int (*fn)(void *, const struct run_code *),
                  void *arg, struct err *e) MUST_USE;
int runs_env_get(struct store *s, const char *hash, char **path, char **shown_json,
                 struct err *e) MUST_USE; /* 1 = none; caller frees */

#endif
