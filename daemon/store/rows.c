#include "daemon/store/rows.h"

#include <string.h>

#include "daemon/store/codec.h"
#include "daemon/store/stmt.h"

static bool time_ok(int64_t t)
{
    return t >= 0 && t <= CODEC_TIME_MAX;
}

bool rows_state_ok(const struct walk_rule *r, const struct walk_state *s)
{
    bool gauge = channel_kind_integrates(r->kind);
    int64_t max = gauge ? WALK_GAUGE_MAX : WALK_VALUE_MAX;
    return time_ok(s->last_ns) && time_ok(s->knot_ns) && s->knot_ns <= s->last_ns &&
           s->last_value >= -max && s->last_value <= max && s->rem >= 0 && s->rem < 2 * NS_PER_S &&
           time_ok(s->unknown_ns) && time_ok(s->bridged_ns);
}

static int damaged(struct err *e, const char *table)
{
    return err_set(e, WATTQ_E_CORRUPT, "a row of the table '%s' is damaged", table);
}

/* ---- epoch_channel ------------------------------------------------------------------------------ */

bool rows_kind(const char *name, enum channel_kind *out)
{
    for (int k = CHANNEL_COUNTER; k <= CHANNEL_CPU_TIME; k++) {
        *out = (enum channel_kind)k;
        if (name && strcmp(name, channel_kind_name(*out)) == 0)
            return true;
    }
    return false;
}

static int read_begin(sqlite3_stmt *st, struct rows_begin *out, struct err *e)
{
    *out = (struct rows_begin){
        .channel = stmt_int(st, 0),
        .boot = stmt_int(st, 1),
        .epoch = stmt_int(st, 3),
        .grp = stmt_int(st, 4),
        .raw0 = stmt_int(st, 7),
        .open = stmt_is_null(st, 15),
        .rule.stall_ns = walk_stall_ns(stmt_int(st, 13)),
        .state = {.last_ns = stmt_int(st, 2),
                  .knot_ns = stmt_int(st, 2),
                  .last_value = stmt_int(st, 6),
                  .e_uj = stmt_int(st, 8),
                  .rem = stmt_int(st, 9),
                  .unknown_ns = stmt_int(st, 10),
                  .bridged_ns = stmt_int(st, 11),
                  .bridged_uj = stmt_int(st, 12)},
    };
    int64_t slot = stmt_int(st, 5);
    if (slot < 0 || slot >= CODEC_CHANNELS_MAX || stmt_int(st, 13) < 0 ||
        !rows_kind(stmt_text(st, 14), &out->rule.kind) || !rows_state_ok(&out->rule, &out->state))
        return damaged(e, "epoch_channel");
    out->slot = (uint32_t)slot;
    return 0;
}

static int ask_begin(sqlite3_stmt *st, struct rows_begin *out, struct err *e)
{
    int rc = stmt_step(st, e);
    return rc > 0 ? read_begin(st, out, e) : rc < 0 ? rc : 1;
}

int rows_begin_at(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                  struct rows_begin *out, struct err *e)
{
    STMT_USE(st, s, EC_AT);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t_ns);
    return ask_begin(st, out, e);
}

int rows_begin_after(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                     struct rows_begin *out, struct err *e)
{
    STMT_USE(st, s, EC_AFTER);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t_ns);
    return ask_begin(st, out, e);
}

int rows_begin_last(struct store *s, int64_t channel, struct rows_begin *out, struct err *e)
{
    STMT_USE(st, s, EC_LAST);
    stmt_bind_int(st, 1, channel);
    return ask_begin(st, out, e);
}

/* ---- head --------------------------------------------------------------------------------------- */

static int read_head(sqlite3_stmt *st, struct rows_head *out, struct err *e)
{
    *out = (struct rows_head){
        .t0_ns = stmt_int(st, 0),
        .t1_ns = stmt_int(st, 1),
        .epoch = stmt_int(st, 2),
        .chunk = stmt_int(st, 3),
        .e1_uj = stmt_int(st, 5),
        .begun = !stmt_is_null(st, 7),
        .valid = stmt_int(st, 14),
        .min = stmt_opt(st, 15),
        .max = stmt_opt(st, 16),
        .state = {.e_uj = stmt_int(st, 4),
                  .rem = stmt_int(st, 6),
                  .last_ns = stmt_opt(st, 7),
                  .last_value = stmt_int(st, 8),
                  .knot_ns = stmt_opt(st, 9),
                  .failed = stmt_int(st, 10) != 0,
                  .unknown_ns = stmt_int(st, 11),
                  .bridged_ns = stmt_int(st, 12),
                  .bridged_uj = stmt_int(st, 13)},
    };
    /* A gauge's bound on values is the narrower one; kinds are known to the caller only. */
    struct walk_rule any = {.kind = CHANNEL_COUNTER};
    if (!time_ok(out->t0_ns) || !time_ok(out->t1_ns) || out->t1_ns < out->t0_ns ||
        (out->begun && !rows_state_ok(&any, &out->state)))
        return damaged(e, "head");
    return 0;
}

static int ask_head(sqlite3_stmt *st, struct rows_head *out, struct err *e)
{
    int rc = stmt_step(st, e);
    return rc > 0 ? read_head(st, out, e) : rc < 0 ? rc : 1;
}

int rows_head_at(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                 struct rows_head *out, struct err *e)
{
    STMT_USE(st, s, HEAD_AT);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t_ns);
    return ask_head(st, out, e);
}

int rows_head_in(struct store *s, const struct rows_begin *b, int64_t t_ns, struct rows_head *out,
                 struct err *e)
{
    int rc = rows_head_at(s, b->channel, b->boot, t_ns, out, e);
    while (rc == 0 && out->epoch > b->epoch)
        rc = rows_head_at(s, b->channel, b->boot, out->t0_ns - 1, out, e);
    return rc == 0 && out->epoch != b->epoch ? 1 : rc;
}

int rows_head_after(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                    struct rows_head *out, struct err *e)
{
    STMT_USE(st, s, HEAD_AFTER);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t_ns);
    return ask_head(st, out, e);
}

int rows_head_valid(struct store *s, int64_t channel, int64_t boot, int64_t t_ns,
                    struct rows_head *out, struct err *e)
{
    STMT_USE(st, s, HEAD_VALID);
    stmt_bind_int(st, 1, channel);
    stmt_bind_int(st, 2, boot);
    stmt_bind_int(st, 3, t_ns);
    return ask_head(st, out, e);
}

int rows_head_moved(struct store *s, const struct rows_begin *b, const struct walk_state *state,
                    int64_t t_ns, int64_t *t0_ns, struct err *e)
{
    bool counter = channel_kind_counts(b->rule.kind);
    STMT_USE(st, s, HEAD_MOVED);
    stmt_bind_int(st, 1, b->channel);
    stmt_bind_int(st, 2, b->boot);
    stmt_bind_int(st, 3, t_ns);
    stmt_bind_int(st, 4, b->epoch);
    stmt_bind_int(st, 5, counter);
    stmt_bind_int(st, 6, counter ? state->knot_ns : state->last_ns);
    int rc = stmt_step(st, e);
    if (rc > 0)
        *t0_ns = stmt_int(st, 0);
    return rc > 0 ? 0 : rc < 0 ? rc : 1;
}
