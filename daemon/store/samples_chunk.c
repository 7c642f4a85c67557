#include "common/units.h"
#include "daemon/store/samples_internal.h"
#include "daemon/store/stmt.h"

/* What a head says beside its starting state. */
struct summary {
    struct walk_state end;
    int64_t min, max; /* STMT_NULL = none */
    int64_t valid;
};

static void widen(struct summary *u, int64_t lo, int64_t hi)
{
    if (u->min == STMT_NULL || lo < u->min)
        u->min = lo;
    if (u->max == STMT_NULL || hi > u->max)
        u->max = hi;
}

/* A counter's register changed at the end of a stretch. */
static void widen_power(struct summary *u, int64_t rise_uj, int64_t ns)
{
    if (u->min == STMT_NULL || !walk_within(rise_uj, ns, (double)u->min, (double)u->max))
        widen(u, units_muldiv_floor(rise_uj, NS_PER_S, ns),
              units_muldiv_ceil(rise_uj, NS_PER_S, ns));
}

static void walk_one(struct summary *u, const struct walk_rule *r, const struct walk_sample *x)
{
    struct walk_piece p[2];
    int64_t knot_ns = u->end.knot_ns, e_uj = u->end.e_uj, lo, hi;
    bool counts = channel_kind_counts(r->kind);
    if (walk_regular(r, &u->end, x)) {
        if (counts && u->end.knot_ns != knot_ns)
            widen_power(u, u->end.e_uj - e_uj, x->t_ns - knot_ns);
        return;
    }
    int n = walk_step(r, &u->end, x, p);
    for (int k = 0; k < n && counts; k++)
        if (walk_power(&p[k], &lo, &hi))
            widen(u, lo, hi);
}

static struct summary summarize(struct codec_view *v, uint32_t slot, const struct walk_rule *r,
                                const struct walk_state *start)
{
    struct summary u = {.end = *start, .min = STMT_NULL, .max = STMT_NULL};
    struct codec_cursor col;
    codec_cursor_open(&col, v, slot);
    for (uint32_t i = 0; i < v->n; i++) {
        struct walk_sample x = {.t_ns = codec_time(v, i), .flags = codec_flags(v, i)};
        x.value = codec_cursor_next(&col, &x.state);
        walk_one(&u, r, &x);
        bool valid = walk_valid(r, &x);
        u.valid += valid;
        if (valid && !channel_kind_counts(r->kind))
            widen(&u, x.value, x.value);
    }
    return u;
}

static int insert_chunk(struct store *s, const struct chunk_job *j, struct codec_view *v,
                        int64_t *id, struct err *e)
{
    STMT_USE(st, s, CHUNK_INSERT);
    stmt_bind_int(st, 1, j->grp);
    stmt_bind_int(st, 2, j->epoch);
    stmt_bind_int(st, 3, codec_time(v, 0));
    stmt_bind_int(st, 4, codec_time(v, v->n - 1));
    stmt_bind_int(st, 5, v->n);
    stmt_bind_blob(st, 6, j->blob, j->bytes);
    stmt_bind_int(st, 7, 0);
    int rc = stmt_run(st, e);
    if (rc == 0)
        *id = stmt_last_id(s);
    return rc;
}

static void bind_start(sqlite3_stmt *st, const struct walk_state *head,
                       const struct walk_state *start)
{
    bool begun = head->last_ns != WALK_NONE;
    stmt_bind_int(st, 7, start->e_uj);
    stmt_bind_int(st, 9, start->rem);
    stmt_bind_opt(st, 10, begun ? head->last_ns : STMT_NULL);
    stmt_bind_opt(st, 11, begun ? head->last_value : STMT_NULL);
    stmt_bind_opt(st, 12, begun ? head->knot_ns : STMT_NULL);
    stmt_bind_int(st, 13, begun && head->failed);
    stmt_bind_int(st, 14, start->unknown_ns);
    stmt_bind_int(st, 15, start->bridged_ns);
    stmt_bind_int(st, 16, start->bridged_uj);
}

static int insert_head(struct store *s, const struct chunk_job *j, struct codec_view *v,
                       int64_t chunk, uint32_t slot, struct err *e)
{
    const struct walk_state *head = &j->head[slot];
    const struct walk_state *start = head->last_ns == WALK_NONE ? &j->first[slot] : head;
    if (start->last_ns == WALK_NONE)
        return 0; /* not one valid sample in this epoch so far: there is no curve to resume */
    struct summary u = summarize(v, slot, &j->rules[slot], start);
    STMT_USE(st, s, HEAD_INSERT);
    stmt_bind_int(st, 1, j->ids[slot]);
    stmt_bind_int(st, 2, j->boot);
    stmt_bind_int(st, 3, codec_time(v, 0));
    stmt_bind_int(st, 4, codec_time(v, v->n - 1));
    stmt_bind_int(st, 5, j->epoch);
    stmt_bind_int(st, 6, chunk);
    bind_start(st, head, start);
    stmt_bind_int(st, 8, u.end.e_uj);
    stmt_bind_int(st, 17, u.valid);
    stmt_bind_opt(st, 18, u.min);
    stmt_bind_opt(st, 19, u.max);
    return stmt_run(st, e);
}

int chunk_delete_tail(struct store *s, int64_t grp, int64_t epoch, struct err *e)
{
    STMT_USE(st, s, TAIL_DELETE);
    stmt_bind_int(st, 1, grp);
    stmt_bind_int(st, 2, epoch);
    return stmt_run(st, e);
}

int chunk_write(struct store *s, const struct chunk_job *j, struct err *e)
{
    struct codec_view v CLEANUP(codec_close) = {0};
    int64_t chunk = 0;
    int rc = codec_open(&v, j->blob, j->bytes, e);
    if (rc == 0)
        rc = insert_chunk(s, j, &v, &chunk, e);
    for (uint32_t slot = 0; rc == 0 && slot < j->n; slot++)
        rc = insert_head(s, j, &v, chunk, slot, e);
    return rc ? rc : chunk_delete_tail(s, j->grp, j->epoch, e);
}
