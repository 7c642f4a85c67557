/* A new run's directory on its way to the disk, in the pool, while its shepherd comes up: its name and those in it must
 * be durable before the gate is opened, and its state file has its room, so that `released` is one write in place. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch_private.h"

/* Memory lives until it is back; the run may be forgotten by then. */
struct sync_job {
    uv_work_t work;
    struct launch *l;
    int64_t run_id, token;
    int dirfd;
    int error; /* errno; 0 = it is durable */
};

int sync_dir(const struct launch *l, int dirfd)
{
    int state CLEANUP(base_closep) = openat(dirfd, "state", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (state < 0)
        return -1;
    /* Its data first, then the directory: the shepherd writes in there meanwhile, and whatever comes after this makes a
     * file system with a journal commit once more. */
    (void)sync_file_range(state, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    return fsync(dirfd) < 0 || fsync(state) < 0 || fsync(l->runs_fd) < 0 ? -1 : 0;
}

static void work(uv_work_t *w)
{
    struct sync_job *j = container_of(w, struct sync_job, work);
    j->error = sync_dir(j->l, j->dirfd) < 0 ? errno : 0;
}

/* Nothing of it has run, and nothing will. */
static void give_up(struct launch_run *r, int error)
{
    char text[200];
    struct launch_event ev = {.run_id = r->id,
                              .kind = LAUNCH_LOST,
                              .t_ns = clock_boot_ns(),
                              .text = text,
                              .untouched = true};
    snprintf(text, sizeof(text), "its directory cannot be made durable: %s", strerror(error));
    if (r->conn)
        (void)!conn_send(r, FRAME_ABORT, 0, 0, NULL);
    if (r->asked)
        root_forget(r);
    conn_close(r);
    r->over = true;
    r->l->on_event(r->l->arg, &ev);
}

static void done(uv_work_t *w, int status)
{
    struct sync_job *j = container_of(w, struct sync_job, work);
    struct launch *l = j->l;
    struct launch_run *r = launch_find(l, j->run_id);
    int error = status < 0 ? ECANCELED : j->error;
    bool waits = r && r->token == j->token && r->syncing && !r->over && !r->aborted;
    close(j->dirfd);
    free(j);
    if (waits) {
        r->syncing = false;
        if (error)
            give_up(r, error);
        else if (r->at_gate)
            conn_event(r, LAUNCH_AT_GATE, clock_boot_ns());
    }
    launch_handle_closed(l);
}

int sync_begin(struct launch_run *r, int dirfd)
{
    struct sync_job *j = base_alloc(sizeof(*j));
    *j = (struct sync_job){.l = r->l, .run_id = r->id, .token = r->token, .dirfd = dirfd};
    int rc = uv_queue_work(r->l->loop, &j->work, work, done);
    if (rc < 0) {
        errno = -rc;
        free(j);
        return -1;
    }
    r->syncing = true;
    r->l->handles++;
    return 0;
}
