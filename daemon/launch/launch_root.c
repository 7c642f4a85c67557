/* System mode: the connection to wattq-launcher, which starts runs as their users, and what it is asked for.
 * Questions are answered in their order. A connection that ends is made again, ever more slowly; what was
 * asked meanwhile waits. Of a START that went with it nobody knows whether it was read: the shepherd's own
 * connection tells, for its other end is in a shepherd's hands or nobody's. */
#include "daemon/launch/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launch_private.h"
#include "daemon/log.h"

#define WAIT_MIN_MS 100
#define WAIT_MAX_MS 5000
#define PATIENCE_NS                                                                                \
    (5 * NS_PER_S) /* an answer takes less than a millisecond, and a slow disk's flush */
#define FDS 2

/* Memory lives until its handle's close callback. */
struct root_conn {
    uv_poll_t poll;
    struct launch *l;
    int fd;
    bool closed;
};

struct root_ask {
    struct root_ask *next;
    bool sent;
    int64_t sent_ns; /* monotonic */
    int fds[FDS];    /* of a START that was not sent yet: ours to close */
    struct launcher_record record;
};

/* ---- questions ----------------------------------------------------------------------------------- */

static void free_ask(struct root_ask *a)
{
    for (size_t i = 0; i < FDS; i++)
        base_closep(&a->fds[i]);
    free(a);
}

static struct root_ask *new_ask(enum launcher_kind kind, int64_t run_id, int64_t token, int64_t uid)
{
    struct root_ask *a = base_alloc(sizeof(*a));
    a->fds[0] = a->fds[1] = -1;
    a->record.magic = LAUNCHER_MAGIC;
    a->record.kind = kind;
    a->record.run_id = run_id;
    a->record.token = token;
    a->record.uid = uid;
    return a;
}

static void lose(struct launch *l, const char *why);

static void watch(struct launch *l);

/* What has not been sent yet, as far as the socket takes it. */
static void send_asks(struct launch *l)
{
    struct root *root = &l->root;
    struct err e;
    for (struct root_ask *a = root->asks; a && root->conn; a = a->next) {
        if (a->sent)
            continue;
        if (launcher_send(root->conn->fd, &a->record, a->fds, a->fds[0] >= 0 ? FDS : 0, &e) < 0) {
            if (errno != EAGAIN)
                lose(l, e.text);
            break;
        }
        a->sent = true;
        a->sent_ns = clock_mono_ns();
        for (size_t i = 0; i < FDS; i++) {
            base_closep(&a->fds[i]);
            a->fds[i] = -1;
        }
    }
    watch(l);
}

static void ask(struct launch *l, struct root_ask *a)
{
    struct root_ask **p = &l->root.asks;
    while (*p)
        p = &(*p)->next;
    *p = a;
    send_asks(l);
}

/* ---- answers ------------------------------------------------------------------------------------- */

static struct launch_run *run_of(const struct launch *l, const struct launcher_record *r)
{
    struct launch_run *run = launch_find(l, r->run_id);
    return run && run->token == r->token && !run->over ? run : NULL;
}

static void tell(struct launch *l, int64_t run_id, enum launch_event_kind kind, const struct err *e)
{
    const struct launch_event ev = {.run_id = run_id,
                                    .kind = kind,
                                    .t_ns = clock_boot_ns(),
                                    .text = e ? e->text : NULL,
                                    .next = e ? e->next : NULL};
    l->on_event(l->arg, &ev);
}

static void on_start(struct launch *l, const struct root_ask *a, const struct err *refused)
{
    struct launch_run *r = run_of(l, &a->record);
    if (!r)
        return;
    r->asked = false;
    if (refused) {
        r->over = true;
        conn_close(r);
        if (!r->aborted)
            tell(l, r->id, LAUNCH_REFUSED, refused);
    } else if (!r->conn) {
        conn_seek(r, 0); /* its shepherd was gone before we heard that it is there */
    }
}

/* Was it done, whatever the answer? It may have been asked for twice. */
static bool belongs_to(const struct launch *l, int64_t run_id, int64_t uid)
{
    struct stat st;
    char name[32];
    snprintf(name, sizeof(name), "%" PRId64, run_id);
    return fstatat(l->runs_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == (uid_t)uid;
}

static void on_exec_dir(struct launch *l, const struct root_ask *a, const struct err *refused)
{
    const struct launcher_record *r = &a->record;
    bool done = !refused || belongs_to(l, r->run_id, r->uid);
    tell(l, r->run_id, done ? LAUNCH_HANDED : LAUNCH_REFUSED, done ? NULL : refused);
}

static void on_status(struct launch *l, const struct root_ask *a, const struct err *refused,
                      const struct launcher_record *answer)
{
    struct launch_run *r = run_of(l, &a->record);
    if (!r)
        return;
    r->asked = false;
    lost_answer(r, refused ? LAUNCHER_RUN_UNKNOWN : (enum launcher_run_state)answer->state,
                answer->wait_status, answer->t_ns);
}

static void on_answer(struct launch *l, const struct launcher_record *answer)
{
    struct root *root = &l->root;
    struct root_ask *a = root->asks;
    struct err e = {0};
    if (!a || !a->sent) {
        lose(l, "it answered what nobody had asked");
        return;
    }
    root->asks = a->next;
    bool refused = launcher_verdict(answer, &e) < 0;
    switch (a->record.kind) {
    case LAUNCHER_START:
        on_start(l, a, refused ? &e : NULL);
        break;
    case LAUNCHER_EXEC_DIR:
        on_exec_dir(l, a, refused ? &e : NULL);
        break;
    default:
        on_status(l, a, refused ? &e : NULL, answer);
        break;
    }
    free_ask(a);
    if (root->ready || refused)
        return;
    root->ready = true;
    root->wait_ms = WAIT_MIN_MS;
    root->why[0] = 0;
    log_info("wattq-launcher answers in %s", root->dir);
    if (l->on_ready)
        l->on_ready(l->arg);
}

/* ---- the connection ------------------------------------------------------------------------------ */

static void on_root_closed(uv_handle_t *handle)
{
    struct root_conn *c = container_of((uv_poll_t *)handle, struct root_conn, poll);
    launch_handle_closed(c->l);
    free(c);
}

static void close_conn(struct launch *l)
{
    struct root_conn *c = l->root.conn;
    if (!c)
        return;
    l->root.conn = NULL;
    c->closed = true;
    uv_close((uv_handle_t *)&c->poll, on_root_closed);
    close(c->fd);
}

/* Nobody knows what became of it. */
static void start_is_lost(struct launch *l, const struct root_ask *a)
{
    struct launch_run *r = run_of(l, &a->record);
    if (!r)
        return;
    r->asked = false;
    r->unanswered = true;
    if (!r->conn)
        conn_seek(r, 0);
}

static void on_root_timer(uv_timer_t *timer);

static void again_later(struct launch *l)
{
    struct root *root = &l->root;
    uv_timer_start(&root->timer, on_root_timer, root->wait_ms, 0);
    root->wait_ms = root->wait_ms * 2 < WAIT_MAX_MS ? root->wait_ms * 2 : WAIT_MAX_MS;
}

static void lose(struct launch *l, const char *why)
{
    struct root *root = &l->root;
    if (root->ready)
        log_warn("wattq-launcher went away, no run is started until it is back: %s", why);
    root->ready = false;
    base_strcpy(root->why, sizeof(root->why), why);
    close_conn(l);
    for (struct root_ask **p = &root->asks; *p;) {
        struct root_ask *a = *p;
        bool hello = a->record.kind == LAUNCHER_STATUS && a->record.token == 0;
        if (hello || (a->sent && a->record.kind == LAUNCHER_START)) {
            *p = a->next;
            if (!hello)
                start_is_lost(l, a);
            free_ask(a);
            continue;
        }
        a->sent = false;
        p = &a->next;
    }
    again_later(l);
}

static void on_root_event(uv_poll_t *handle, int status, int events)
{
    struct root_conn *c = container_of(handle, struct root_conn, poll);
    struct launch *l = c->l;
    if (status < 0 && !c->closed)
        lose(l, uv_strerror(status));
    while (!c->closed && (events & UV_READABLE)) {
        struct launcher_record r;
        struct err e = {0};
        size_t n;
        int rc = launcher_recv(c->fd, &r, NULL, 0, &n, &e);
        if (rc > 0 && errno == EAGAIN)
            break;
        if (rc == 0)
            on_answer(l, &r);
        else
            lose(l, rc > 0 ? "its connection ended" : e.text);
    }
    if (!c->closed && (events & UV_WRITABLE))
        send_asks(l);
}

static void watch(struct launch *l)
{
    struct root_conn *c = l->root.conn;
    const struct root_ask *a = l->root.asks;
    if (!c)
        return;
    while (a && a->sent)
        a = a->next;
    uv_poll_start(&c->poll, a ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_root_event);
}

static int open_conn(struct launch *l, struct err *e)
{
    int fd = launcher_connect(l->root.dir, "control", e);
    if (fd < 0)
        return fd;
    struct root_conn *c = base_alloc(sizeof(*c));
    int rc = uv_poll_init(l->loop, &c->poll, fd); /* sets O_NONBLOCK */
    if (rc < 0) {
        close(fd);
        free(c);
        return err_set(e, WATTQ_E_IO, "cannot watch a connection: %s", uv_strerror(rc));
    }
    c->fd = fd;
    c->l = l;
    l->root.conn = c;
    l->handles++;
    return 0;
}

/* Connected is not answered: the launcher may have no place for us. A question that costs nothing tells. */
static void try_to_connect(struct launch *l)
{
    struct err e = {0};
    if (open_conn(l, &e) < 0) {
        if (strcmp(l->root.why, e.text) != 0)
            log_warn("%s", e.text);
        base_strcpy(l->root.why, sizeof(l->root.why), e.text);
        again_later(l);
        return;
    }
    struct root_ask *hello = new_ask(LAUNCHER_STATUS, 0, 0, 0);
    hello->next = l->root.asks;
    l->root.asks = hello;
    send_asks(l);
}

static void on_root_timer(uv_timer_t *timer)
{
    try_to_connect(container_of(timer, struct launch, root.timer));
}

/* ---- what the rest of launch asks for ------------------------------------------------------------- */

void root_open(struct launch *l, const char *dir)
{
    l->root.dir = base_strdup(dir);
    l->root.wait_ms = WAIT_MIN_MS;
    uv_timer_init(l->loop, &l->root.timer);
    l->handles++;
    try_to_connect(l);
}

static void on_timer_closed(uv_handle_t *handle)
{
    launch_handle_closed(container_of((uv_timer_t *)handle, struct launch, root.timer));
}

void root_close(struct launch *l)
{
    if (!l->root.dir)
        return;
    close_conn(l);
    while (l->root.asks) {
        struct root_ask *a = l->root.asks;
        l->root.asks = a->next;
        free_ask(a);
    }
    uv_close((uv_handle_t *)&l->root.timer, on_timer_closed);
}

const char *launch_blocked(const struct launch *l)
{
    const struct root_ask *a = l->root.asks;
    if (!l->root.dir)
        return NULL;
    if (!l->root.ready)
        return "wattq-launcher does not answer, and only it can start runs";
    return a && a->sent && clock_mono_ns() - a->sent_ns > PATIENCE_NS
               ? "wattq-launcher takes long to answer, and only it can start runs"
               : NULL;
}

int root_start(struct launch_run *r, const struct launch_order *o, struct err *e)
{
    int pair[2];
    if (!o || !o->warrant) {
        err_set(e, WATTQ_E_FORBIDDEN, "run %" PRId64 " has not been signed by its user", r->id);
        return err_next(e, "submit it again");
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make a socket pair");
    struct root_ask *a = new_ask(LAUNCHER_START, r->id, r->token, o->uid);
    a->record.warrant = *o->warrant;
    a->fds[0] = r->block_fd;
    a->fds[1] = pair[1];
    r->block_fd = -1;
    int rc = conn_open(r, pair[0], e);
    if (rc < 0) {
        free_ask(a);
        return rc;
    }
    r->asked = true;
    ask(r->l, a);
    return 0;
}

/* It was given up: what has not been sent yet need not be. */
void root_forget(struct launch_run *r)
{
    for (struct root_ask **p = &r->l->root.asks; *p; p = &(*p)->next) {
        struct root_ask *a = *p;
        if (a->sent || a->record.kind != LAUNCHER_START || a->record.token != r->token)
            continue;
        *p = a->next;
        free_ask(a);
        r->asked = false;
        return;
    }
}

void root_status(struct launch_run *r)
{
    if (r->asked)
        return;
    r->asked = true;
    ask(r->l, new_ask(LAUNCHER_STATUS, r->id, r->token, 0));
}

int launch_hand_over(struct launch *l, int64_t run_id, int64_t uid)
{
    if (!l->root.dir)
        return 0;
    ask(l, new_ask(LAUNCHER_EXEC_DIR, run_id, 0, uid));
    return 1;
}
