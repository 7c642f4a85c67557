/* retire, forget: users who leave this machine. admin_log: what admins did. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/api/ops_private.h"
#include "daemon/launch/launch_dirs.h"
#include "daemon/log.h"
#include "daemon/store/former.h"

#define LEFT_MAX 8 /* names of directories in an answer */

struct former_job {
    struct storage_job job;  /* first the rows, */
    struct reader_job files; /* then, in the pool, the runs' directories */
    struct ops_ticket t;
    int64_t uid, by;
    char name[USERS_NAME_MAX];
    bool forget;
    struct former out;
    int64_t left[LEFT_MAX]; /* runs whose directory could not be closed or removed */
    int64_t nleft;
};

/* ---- rows -------------------------------------------------------------------------------------------- */

static void drop(const char *dir, const char *name)
{
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, name);
    (void)unlink(path); /* it may have gone already: of a run that ended well, or expired */
}

static void drop_env(void *arg, const char *hash)
{
    const struct former_job *j = arg;
    drop(j->t.d->paths.envs, hash);
}

static void drop_warrant(void *arg, const char *name)
{
    const struct former_job *j = arg;
    drop(j->t.d->paths.warrants, name);
}

static int former_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct former_job *j = container_of(job, struct former_job, job);
    const struct former_files files = {drop_warrant, drop_env, j};
    struct former_who who = {j->uid, j->name, j->by};
    j->out.uid = j->uid;
    int rc = j->uid < 0 ? 0 : former_retire(s, &who, &files, &j->out, e);
    who.uid = j->out.uid;
    return rc < 0 || !j->forget ? rc : former_forget(s, &who, &files, &j->out, e);
}

/* ---- files ------------------------------------------------------------------------------------------- */

static int files_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct former_job *j = container_of(job, struct former_job, files);
    int fd CLEANUP(base_closep) = open(j->t.d->paths.runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open %s", j->t.d->paths.runs);
    int64_t run = 0;
    int rc = 0;
    while ((rc = former_run(s, j->out.uid, run, &run, e)) == 0) {
        if (j->forget ? launch_dir_remove(fd, run) : launch_dir_close(fd, run))
            continue;
        if (j->nleft < LEFT_MAX)
            j->left[j->nleft] = run;
        j->nleft++;
    }
    return rc < 0 ? rc : 0;
}

static void put_former(struct wire_out *o, const struct former_job *j)
{
    char name[USERS_NAME_MAX];
    wire_put_str(o, "user", users_name(j->out.uid, name));
    wire_put_int(o, "uid", j->out.uid);
    wire_put_int(o, "runs", j->out.runs);
    wire_put_int(o, "sweeps", j->out.sweeps);
    wire_put_str(o, "directory", j->t.d->paths.runs);
    wire_put_int(o, "left_count", j->nleft);
    wire_begin_array(o, "left");
    for (int64_t i = 0; i < j->nleft && i < LEFT_MAX; i++)
        wire_put_int(o, NULL, j->left[i]);
    wire_end(o);
}

static void files_done(struct reader_job *job, int rc, const struct err *e)
{
    struct former_job *j = container_of(job, struct former_job, files);
    struct wire_out o = {0};
    if (rc == 0) {
        ops_begin(&o, j->t.id);
        put_former(&o, j);
    }
    ops_answer(&j->t, &o, rc, e);
    free(j);
}

static void former_done(struct storage_job *job, int rc, const struct err *e)
{
    struct former_job *j = container_of(job, struct former_job, job);
    struct err stopping = {0};
    if (rc == 0)
        queue_former(j->t.d->queue, j->uid, j->out.uid, j->forget);
    if (rc == 0 && !j->t.d->stopping) {
        storage_read(j->t.d->storage, &j->files);
        return;
    }
    if (rc == 0) {
        rc = err_set(&stopping, WATTQ_E_UNAVAILABLE,
                     "wattqd is stopping; the directories of the runs are left as they were");
        err_next(&stopping, "do it again once it is back");
    }
    files_done(&j->files, rc, stopping.code ? &stopping : e);
}

/* ---- the operations ---------------------------------------------------------------------------------- */

static int leave(struct op_call *c, bool forget, struct err *e)
{
    int64_t uid = 0;
    const char *name = wire_str(c->req, "name", "");
    int rc = ops_need_int(c, "uid", &uid, e);
    if (rc < 0)
        return rc;
    if (uid > UINT32_MAX || (uid < 0 && uid >= USERS_RETIRED))
        return err_set(e, WATTQ_E_USAGE, "'uid' is no user's");
    struct former_job *j = base_alloc(sizeof(*j));
    if (!*name || !base_strcpy(j->name, sizeof(j->name), name))
        (void)snprintf(j->name, sizeof(j->name), "%lld", (long long)uid);
    j->job = (struct storage_job){.work = former_work, .done = former_done};
    j->files = (struct reader_job){.work = files_work, .done = files_done, .slow = true};
    j->uid = uid;
    j->by = (int64_t)peer_uid(c->p);
    j->forget = forget;
    ops_keep(&j->t, c);
    storage_submit(c->d->storage, &j->job);
    return 0;
}

int op_retire(struct op_call *c, struct err *e)
{
    return leave(c, false, e);
}

int op_forget(struct op_call *c, struct err *e)
{
    return leave(c, true, e);
}

/* ---- one line ---------------------------------------------------------------------------------------- */

struct act_job {
    struct storage_job job;
    int64_t by;
    char act[24], text[200];
};

static int act_work(struct store *s, struct storage_job *job, struct err *e)
{
    const struct act_job *j = container_of(job, struct act_job, job);
    return former_act(s, j->by, j->act, j->text, e);
}

static void act_done(struct storage_job *job, int rc, const struct err *e)
{
    struct act_job *j = container_of(job, struct act_job, job);
    if (rc < 0)
        log_warn("uid %lld, %s, %s: is not in the log of admins: %s", (long long)j->by, j->act,
                 j->text, e->text);
    free(j);
}

void ops_note_act(const struct op_call *c, const char *act, const char *text)
{
    struct act_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = act_work, .done = act_done};
    j->by = (int64_t)peer_uid(c->p);
    base_strcpy(j->act, sizeof(j->act), act);
    base_strcpy(j->text, sizeof(j->text), text);
    storage_submit(c->d->storage, &j->job);
}

/* ---- the log ----------------------------------------------------------------------------------------- */

struct log_job {
    struct reader_job job;
    struct ops_ticket t;
    struct ops_list l;
    struct encode enc;
    int64_t limit;
};

static int put_event(void *arg, const struct former_event *v)
{
    struct log_job *j = arg;
    struct wire_out *o = ops_list_row(&j->l);
    wire_begin_map(o, NULL);
    wire_put_int(o, "event", v->id);
    wire_put_int(o, "t_utc_ns", v->utc_ns);
    encode_opt(o, "actor_uid", v->actor_uid);
    wire_put_str(o, "actor",
                 v->actor_uid == RUN_NONE ? "wattqd" : encode_user(&j->enc, v->actor_uid));
    encode_opt(o, "run", v->run);
    wire_put_str(o, "from", v->from);
    wire_put_str(o, "act", v->act);
    wire_put_str(o, "text", v->text);
    wire_end(o);
    return 0;
}

static int put_retired(void *arg, const struct former_user *u)
{
    char name[USERS_NAME_MAX];
    struct wire_out *o = arg;
    wire_begin_map(o, NULL);
    wire_put_str(o, "user", users_name(u->uid, name));
    wire_put_int(o, "uid", u->uid);
    wire_put_str(o, "name", u->name);
    encode_opt(o, "was_uid", u->was_uid);
    wire_put_int(o, "retired_utc_ns", u->utc_ns);
    encode_opt(o, "forgotten_utc_ns", u->forgotten_utc_ns);
    wire_put_int(o, "runs", u->runs);
    wire_end(o);
    return 0;
}

static int log_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct log_job *j = container_of(job, struct log_job, job);
    ops_list_begin(&j->l, j->t.id, "events");
    int rc = former_log(s, j->limit, put_event, j, e);
    struct wire_out *o = ops_list_end(&j->l);
    wire_begin_array(o, "retired");
    if (rc == 0)
        rc = former_list(s, put_retired, o, e);
    wire_end(o);
    return rc;
}

static void log_done(struct reader_job *job, int rc, const struct err *e)
{
    struct log_job *j = container_of(job, struct log_job, job);
    ops_answer_list(&j->t, &j->l, rc, e);
    free(j);
}

int op_admin_log(struct op_call *c, struct err *e)
{
    int64_t limit = wire_int(c->req, "limit", 100);
    if (limit < 1 || limit > 10000)
        return err_set(e, WATTQ_E_USAGE, "'limit' is 1 to 10000");
    struct log_job *j = base_alloc(sizeof(*j));
    j->job = (struct reader_job){.work = log_work, .done = log_done, .slow = true};
    j->enc.as = *peer_rights(c->p);
    j->limit = limit;
    ops_keep(&j->t, c);
    storage_read(c->d->storage, &j->job);
    return 0;
}
