/* check: is anything of the database damaged? A chain of slow reads, so that other questions get their turn between
 * pieces of it and none of them keeps the log from being emptied for long; who asked hears how far it is. */
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/ops_private.h"
#include "daemon/store/damage.h"

#define PIECE_NS   (250 * NS_PER_MS)
#define SILENCE_MS 2000 /* then it says how far it is, and each second from then on */
#define AGAIN_MS   1000
#define FOUND_MAX  500 /* are named; the others are counted */

struct ops_check {
    struct ops_check *next;
    struct ops_ticket t;
    struct reader_job job;
    uv_timer_t timer;
    atomic_bool stop;
    bool job_out, timer_closed, closing;
    bool structure_done;
    int64_t started_ns;
    struct damage_walk walk; /* the job's while it is out */
    int64_t shown_blocks, shown_of;
    int64_t damaged;
    struct damage *found;
    int64_t *utc; /* two for each: since when, until when */
    struct store *s;
};

static void maybe_free(struct ops_check *x)
{
    if (!x->timer_closed || x->job_out)
        return;
    ops_drop(&x->t);
    free(x->found);
    free(x->utc);
    free(x);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct ops_check *x = container_of(h, struct ops_check, timer);
    x->timer_closed = true;
    maybe_free(x);
}

static void begin_close(struct ops_check *x)
{
    x->closing = true;
    atomic_store(&x->stop, true);
    uv_close((uv_handle_t *)&x->timer, on_timer_closed);
}

void ops_check_closed(struct ops_peer *s)
{
    while (s->checks) {
        struct ops_check *x = s->checks;
        s->checks = x->next;
        begin_close(x);
    }
}

static void finish(struct ops_check *x)
{
    struct ops_peer *s = peer_data(x->t.p);
    for (struct ops_check **at = &s->checks; *at; at = &(*at)->next) {
        if (*at == x) {
            *at = x->next;
            break;
        }
    }
    begin_close(x);
}

/* ---- pool --------------------------------------------------------------------------------------- */

static void on_found(void *arg, const struct damage *d)
{
    struct ops_check *x = arg;
    if (x->damaged++ >= FOUND_MAX)
        return;
    size_t i = (size_t)x->damaged - 1;
    x->found[i] = *d;
    x->utc[2 * i] = d->boot > 0 ? store_utc_of(x->s, d->boot, d->t0_ns) : -1;
    x->utc[2 * i + 1] = d->boot > 0 ? store_utc_of(x->s, d->boot, d->t1_ns) : -1;
}

/* 1 = there is more to look at. */
static int check_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct ops_check *x = container_of(job, struct ops_check, job);
    const struct damage_sink to = {on_found, x, &x->stop};
    x->s = s;
    if (x->structure_done)
        return damage_blocks(s, &x->walk, PIECE_NS, &to, e);
    int rc = damage_structure(s, &to, e);
    return rc < 0 ? rc : 1;
}

/* ---- loop --------------------------------------------------------------------------------------- */

static void put_damage(struct wire_out *o, const struct ops_check *x, size_t i)
{
    const struct damage *d = &x->found[i];
    bool block = d->kind != DAMAGE_STRUCTURE;
    wire_begin_map(o, NULL);
    wire_put_str(o, "kind", damage_kind_name(d->kind));
    encode_opt(o, "row", block ? d->row : RUN_NONE);
    encode_opt(o, "group", block ? d->grp : RUN_NONE);
    encode_opt(o, "epoch", block ? d->epoch : RUN_NONE);
    encode_opt(o, "ticks", block ? d->ticks : RUN_NONE);
    encode_opt(o, "t0_utc_ns", x->utc[2 * i] >= 0 ? x->utc[2 * i] : RUN_NONE);
    encode_opt(o, "t1_utc_ns", x->utc[2 * i + 1] >= 0 ? x->utc[2 * i + 1] : RUN_NONE);
    wire_put_str(o, "text", d->text);
    wire_end(o);
}

static void send_result(struct ops_check *x)
{
    struct wire_out o = {0};
    ops_begin(&o, x->t.id);
    wire_put_int(&o, "blocks", x->walk.blocks);
    wire_put_int(&o, "ticks", x->walk.ticks);
    wire_put_int(&o, "values", x->walk.values);
    wire_put_int(&o, "bytes", x->walk.bytes);
    wire_put_int(&o, "took_ns", clock_mono_ns() - x->started_ns);
    wire_put_int(&o, "damaged", x->damaged);
    wire_begin_array(&o, "found");
    for (size_t i = 0; i < FOUND_MAX && i < (size_t)x->damaged; i++)
        put_damage(&o, x, i);
    wire_end(&o);
    peer_send(x->t.p, &o);
    wire_out_free(&o);
}

/* The job's own figures are its thread's while it is out; these are of the last one that came back. */
static void on_timer(uv_timer_t *timer)
{
    struct ops_check *x = container_of(timer, struct ops_check, timer);
    struct wire_out o = {0};
    if (peer_closing(x->t.p))
        return; /* ops_check_closed is on its way */
    ops_begin(&o, x->t.id);
    wire_put_bool(&o, "more", true);
    wire_put_str(&o, "step", x->structure_done ? "samples" : "structure");
    encode_opt(&o, "done", x->structure_done ? x->shown_blocks : RUN_NONE);
    encode_opt(&o, "of", x->structure_done ? x->shown_of : RUN_NONE);
    peer_send(x->t.p, &o);
    wire_out_free(&o);
}

static void check_done(struct reader_job *job, int rc, const struct err *e);

static void look(struct ops_check *x)
{
    x->shown_blocks = x->walk.blocks;
    x->shown_of = x->walk.of;
    x->job = (struct reader_job){.work = check_work, .done = check_done, .slow = true};
    x->job_out = true;
    storage_read(x->t.d->storage, &x->job);
}

static void check_done(struct reader_job *job, int rc, const struct err *e)
{
    struct ops_check *x = container_of(job, struct ops_check, job);
    x->job_out = false;
    x->structure_done = true;
    if (x->closing) {
        maybe_free(x);
        return;
    }
    if (rc > 0 && !x->t.d->stopping) {
        look(x);
        return;
    }
    if (rc < 0)
        peer_send_error(x->t.p, x->t.id, e);
    else
        send_result(x);
    finish(x);
}

int op_check(struct op_call *c, struct err *e)
{
    (void)e;
    struct ops_peer *s = ops_peer(c->p);
    struct ops_check *x = base_alloc(sizeof(*x));
    x->found = base_alloc(FOUND_MAX * sizeof(*x->found));
    x->utc = base_alloc(2 * FOUND_MAX * sizeof(*x->utc));
    x->started_ns = clock_mono_ns();
    ops_keep(&x->t, c);
    uv_timer_init(&c->d->loop, &x->timer);
    uv_timer_start(&x->timer, on_timer, SILENCE_MS, AGAIN_MS);
    x->next = s->checks;
    s->checks = x;
    look(x);
    return 0;
}
