/* Inside daemon/api/ops*.c only: replies, lists over several frames, state per connection. */
#ifndef DAEMON_API_OPS_PRIVATE_H
#define DAEMON_API_OPS_PRIVATE_H

#include "daemon/api/coarse.h"
#include "daemon/api/encode.h"
#include "daemon/api/glance.h"
#include "daemon/api/ops.h"
#include "daemon/api/stream.h"
#include "daemon/energy/shares.h"

#define OPS_RUNS_MAX   10000        /* ids in one request */
#define OPS_FRAME_FULL (700u << 10) /* a list goes on in the next frame beyond this */
#define OPS_REPLY_MAX  (6u << 20)   /* of one request, below what the server queues for a peer */

/* A foreground run of this connection; outlives it while a job is in flight. */
struct ops_exec {
    struct ops_exec *next;
    struct daemon *d;
    struct peer *p; /* NULL once the connection is closed */
    int64_t id;
    int64_t run; /* 0 = not yet known */
};
struct ops_draft;
struct ops_import;
struct ops_backup;
struct ops_check;
struct ops_log;
struct ops_measure;
struct warrants;
struct ops_peer {
    struct ops_draft *draft;
    struct ops_import *import;
    struct ops_exec *execs;
    struct ops_log *logs;
    struct ops_check *checks;
    struct ops_backup *backup;
    struct ops_measure *measure; /* of idle power, under way; NULL = none */
    struct warrants *warrants;   /* for the next submission; NULL = none */
};
struct ops_peer *ops_peer(struct peer *p); /* made when first asked for */
void ops_draft_free(struct ops_draft *d);
void ops_import_free(struct ops_import *d);
void ops_exec_closed(struct ops_peer *s);
void ops_logs_closed(struct ops_peer *s);
void ops_measure_closed(struct ops_peer *s);
void ops_check_closed(struct ops_peer *s);
void ops_backup_closed(struct ops_peer *s);
/* What was handed in by `warrants`; the caller's from now on. */
struct warrants *ops_take_warrants(struct op_call *c);

/* A reply's first keys: id, ok. */
void ops_begin(struct wire_out *o, int64_t id);
/* {"id":..,"ok":true}, from a handler or later. */
void ops_ok(struct peer *p, int64_t id);

/* Who asked, kept over a job. */
struct ops_ticket {
    struct daemon *d;
    struct peer *p; /* referenced */
    int64_t id;
};
void ops_keep(struct ops_ticket *t, const struct op_call *c);
void ops_drop(struct ops_ticket *t);
/* storage_read for that peer: of no use, and not begun, once it has gone. */
void ops_read(const struct ops_ticket *t, struct reader_job *job);

/* A list that may take several frames: built on any thread, sent on the loop. */
struct ops_list {
    struct wire_out *frames; /* finished ones, and the open one last */
    size_t n;
    size_t bytes;
    int64_t id;
    const char *key; /* of the array in each frame */
};
void ops_list_begin(struct ops_list *l, int64_t id, const char *key);
struct wire_out *ops_list_row(struct ops_list *l); /* where the next element goes */
bool ops_list_full(const struct ops_list *l);      /* OPS_REPLY_MAX reached: stop and say where */
struct wire_out *
ops_list_end(struct ops_list *l); /* array closed: last frame's other keys go here */
void ops_list_send(struct ops_list *l, struct peer *p); /* also frees */
void ops_list_free(struct ops_list *l);

/* How every read ends: the answer, or the error when rc < 0; then answer and ticket are let go. */
void ops_answer(struct ops_ticket *t, struct wire_out *o, int rc, const struct err *e);
void ops_answer_list(struct ops_ticket *t, struct ops_list *l, int rc, const struct err *e);

/* 0; WATTQ_E_USAGE naming the key. Ids go to new memory. */
int ops_need_int(const struct op_call *c, const char *key, int64_t *out, struct err *e) MUST_USE;
int ops_need_runs(const struct op_call *c, int64_t **ids, size_t *n, struct err *e) MUST_USE;
/* From civil times to a window: it lies in one boot, that of its end; `since` before that boot is its start.
 * WATTQ_E_NOT_FOUND. Whether it has a length is the caller's to ask. Any thread. */
int ops_window(struct store *s, int64_t since_utc_ns, int64_t until_utc_ns, struct energy_window *w,
               struct err *e) MUST_USE;
int ops_no_run(int64_t run, struct err *e);
/* Key "where": a filter, or NULL when it is absent; the caller frees it. And what the peer may see in answers
 * to it (store/query.h). */
struct filter;
int ops_where(const struct op_call *c, struct filter **out, struct err *e) MUST_USE;
struct query;
void ops_limit_query(const struct rights *as, struct query *q);
/* Who acts on runs. */
struct run_actor ops_actor(const struct op_call *c);
/* May the peer see the details of that run: class DETAIL. WATTQ_E_NOT_FOUND, WATTQ_E_FORBIDDEN. A reader's
 * thread. */
int ops_may_see(struct store *s, const struct rights *as, int64_t run, struct err *e) MUST_USE;

/* Array `calibrated`: figures of meters that were fitted to better ones, as those would have shown them. */
struct energy_set;
struct store;
int ops_put_calibrated(struct store *s, struct wire_out *o, const struct energy_set *set,
                       struct err *e) MUST_USE;

/* A row of idle power as `show` has it; c NULL = its channel is not known. */
struct baseline;
struct channel_row;
void ops_put_baseline(struct wire_out *o, const struct baseline *b, const struct channel_row *c);

/* The machine's power now, over the channels of its total. power_uw RUN_NONE: reason says why. */
struct meter_total {
    char label[128]; /* "package-0 + dram-0" */
    const char *quality;
    const char *reason;
    int64_t power_uw;
};
void ops_meter_total(const struct op_call *c, struct meter_total *out);

/* Key "shares": what of the machine's energy in that window is this run's; nothing where it was alone. Any
 * connection, its thread. */
struct ops_share {
    int64_t run;
    const struct energy_window *w;
    const struct rights *as;
    enum share_policy policy;
    const struct energy_set *machine;
};
int ops_put_shares(struct store *s, struct wire_out *o, const struct ops_share *q,
                   struct err *e) MUST_USE;

/* Key "gpus_out": GPUs that are given to no run, and why. */
void ops_put_gpus_out(const struct op_call *c, struct wire_out *o);

/* What the peer, an admin, does to the machine, into the log (store/former.h), for an operation whose own job does not
 * write it there. */
void ops_note_act(const struct op_call *c, const char *act, const char *text);

int op_hello(struct op_call *c, struct err *e);
int op_info(struct op_call *c, struct err *e);
int op_queue(struct op_call *c, struct err *e);
int op_sweeps(struct op_call *c, struct err *e);
int op_wait(struct op_call *c, struct err *e);
int op_watch(struct op_call *c, struct err *e);
int op_show(struct op_call *c, struct err *e);
int op_runs(struct op_call *c, struct err *e);
int op_table(struct op_call *c, struct err *e);
int op_logs(struct op_call *c, struct err *e);
int op_warrants(struct op_call *c, struct err *e);
int op_submit(struct op_call *c, struct err *e);
int op_sweep(struct op_call *c, struct err *e);
int op_sweep_begin(struct op_call *c, struct err *e);
int op_sweep_rows(struct op_call *c, struct err *e);
int op_sweep_commit(struct op_call *c, struct err *e);
int op_sweep_release(struct op_call *c, struct err *e);
int op_cancel(struct op_call *c, struct err *e);
int op_hold(struct op_call *c, struct err *e);
int op_release(struct op_call *c, struct err *e);
int op_pause(struct op_call *c, struct err *e);
int op_resume(struct op_call *c, struct err *e);
int op_retry(struct op_call *c, struct err *e);
int op_bump(struct op_call *c, struct err *e);
int op_why(struct op_call *c, struct err *e);
int op_tag(struct op_call *c, struct err *e);
int op_note(struct op_call *c, struct err *e);
int op_label(struct op_call *c, struct err *e);
int op_metric(struct op_call *c, struct err *e);
int op_phase(struct op_call *c, struct err *e);
int op_energy(struct op_call *c, struct err *e);
int op_power(struct op_call *c, struct err *e);
int op_meters(struct op_call *c, struct err *e);
int op_meter(struct op_call *c, struct err *e);
int op_who(struct op_call *c, struct err *e);
int op_idle(struct op_call *c, struct err *e);
int op_backup(struct op_call *c, struct err *e);
int op_compact(struct op_call *c, struct err *e);
int op_check(struct op_call *c, struct err *e);
int op_audit(struct op_call *c, struct err *e);
int op_calibrate(struct op_call *c, struct err *e);
int op_calibrations(struct op_call *c, struct err *e);
int op_idle_measure(struct op_call *c, struct err *e);
int op_baselines(struct op_call *c, struct err *e);
int op_export(struct op_call *c, struct err *e);
int op_pin(struct op_call *c, struct err *e);
int op_unpin(struct op_call *c, struct err *e);
int op_settle(struct op_call *c, struct err *e);
int op_import_begin(struct op_call *c, struct err *e);
int op_import_rows(struct op_call *c, struct err *e);
int op_import_commit(struct op_call *c, struct err *e);
int op_curves(struct op_call *c, struct err *e);
int op_model_put(struct op_call *c, struct err *e);
int op_models(struct op_call *c, struct err *e);
int op_retire(struct op_call *c, struct err *e);
int op_forget(struct op_call *c, struct err *e);
int op_admin_log(struct op_call *c, struct err *e);
int op_gpu(struct op_call *c, struct err *e);
int op_exec_begin(struct op_call *c, struct err *e);
int op_exec_ready(struct op_call *c, struct err *e);
int op_exec_abort(struct op_call *c, struct err *e);

#endif
