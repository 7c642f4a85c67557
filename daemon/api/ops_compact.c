/* compact: free pages of the database are given back to the file system, a little in each transaction of the storage
 * thread, so that samples and runs are written in between as ever. */
#include <stdlib.h>

#include "common/units.h"
#include "daemon/api/ops_private.h"
#include "daemon/store/backup.h"

#define STEP_PAGES 512 /* 2 MiB */
#define SILENCE_NS (2 * NS_PER_S)

enum step { STEP_MOVE, STEP_MEASURE, STEP_DONE };

struct compact_job {
    struct storage_job job;
    struct ops_ticket t;
    struct compact_size before, now;
    bool begun;
    enum step step;
    int64_t started_ns, said_ns;
};

/* The last step is one of its own: the log is moved into the file between two transactions. */
static int compact_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct compact_job *j = container_of(job, struct compact_job, job);
    int rc = j->begun ? 0 : compact_measure(s, &j->before, e);
    j->begun = true;
    if (rc == 0 && j->step == STEP_MOVE) {
        rc = compact_step(s, STEP_PAGES, e);
        if (rc == 0)
            j->step = STEP_MEASURE;
    } else if (rc == 0) {
        j->step = STEP_DONE;
    }
    return rc < 0 ? rc : compact_measure(s, &j->now, e);
}

static void send_progress(struct compact_job *j)
{
    struct wire_out o = {0};
    int64_t now_ns = clock_mono_ns();
    if (now_ns - j->said_ns < SILENCE_NS)
        return;
    j->said_ns = now_ns;
    ops_begin(&o, j->t.id);
    wire_put_bool(&o, "more", true);
    wire_put_int(&o, "free_bytes", j->now.free_bytes);
    peer_send(j->t.p, &o);
    wire_out_free(&o);
}

static void compact_done(struct storage_job *job, int rc, const struct err *e)
{
    struct compact_job *j = container_of(job, struct compact_job, job);
    struct wire_out o = {0};
    if (rc == 0 && j->step != STEP_DONE && !j->t.d->stopping && !peer_closing(j->t.p)) {
        send_progress(j);
        storage_submit(j->t.d->storage, &j->job);
        return;
    }
    ops_begin(&o, j->t.id);
    wire_put_int(&o, "before_bytes", j->before.file_bytes);
    wire_put_int(&o, "after_bytes", j->now.file_bytes);
    wire_put_int(&o, "free_before_bytes", j->before.free_bytes);
    wire_put_int(&o, "free_bytes", j->now.free_bytes);
    wire_put_int(&o, "took_ns", clock_mono_ns() - j->started_ns);
    ops_answer(&j->t, &o, rc, e);
    free(j);
}

int op_compact(struct op_call *c, struct err *e)
{
    (void)e;
    struct compact_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = compact_work, .done = compact_done};
    j->started_ns = j->said_ns = clock_mono_ns();
    ops_keep(&j->t, c);
    ops_note_act(c, "compact", "free space of the database given back");
    storage_submit(c->d->storage, &j->job);
    return 0;
}
