/* Writers of runs, their moves, sweeps, code and environments. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/sha256.h"
#include "common/units.h"
#include "daemon/store/runs.h"
#include "daemon/store/stmt.h"

_Static_assert(RUN_NONE == STMT_NULL, "an unknown column is bound as it is kept");

/* UUID version 7: 48 bits of milliseconds, then random bits, so that ids of several machines merge and
 * still sort by time. source: RFC 9562, section 5.7. */
static void make_uuid(char out[37], int64_t utc_ns)
{
    uint8_t b[16];
    int64_t ms = utc_ns / NS_PER_MS;
    if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
        abort(); /* cannot happen for 16 bytes once the kernel's pool is up */
    for (int i = 0; i < 6; i++)
        b[i] = (uint8_t)((uint64_t)ms >> (40 - 8 * i));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x70);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char *p = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        p += snprintf(p, 3, "%02x", b[i]);
    }
}

static int put_event(struct store *s, const struct run_event *ev, struct err *e)
{
    STMT_USE(st, s, EVENT_PUT);
    stmt_bind_int(st, 1, store_boot(s));
    stmt_bind_int(st, 2, ev->t_ns);
    stmt_bind_int(st, 3, ev->run);
    stmt_bind_opt(st, 4, ev->actor_uid);
    stmt_bind_text(st, 5, ev->from);
    stmt_bind_text(st, 6, ev->to);
    stmt_bind_text(st, 7, ev->reason);
    return stmt_run(st, e);
}

static int insert_row(struct store *s, const struct run_new *n, enum run_state state, struct err *e)
{
    char uuid[37];
    char *made CLEANUP(base_freep) = n->spec_json ? NULL : runs_spec_json(n->spec);
    make_uuid(uuid, n->submitted_utc_ns);
    STMT_USE(st, s, RUN_INSERT);
    stmt_bind_text(st, 1, uuid);
    stmt_bind_int(st, 2, n->uid);
    stmt_bind_text(st, 3, run_state_name(state));
    stmt_bind_text(st, 4, runs_kind_name(n->spec->kind));
    stmt_bind_text(st, 5, n->spec_json ? n->spec_json : made);
    stmt_bind_text(st, 6, n->spec->label);
    stmt_bind_text(st, 7, n->spec->project);
    stmt_bind_opt(st, 8, n->sweep);
    stmt_bind_opt(st, 9, n->sweep_index);
    stmt_bind_opt(st, 10, n->retry_of);
    stmt_bind_int(st, 11, n->spec->priority);
    stmt_bind_text(st, 12, n->env_hash);
    stmt_bind_text(st, 13, n->code_hash);
    stmt_bind_int(st, 14, n->submitted_utc_ns);
    stmt_bind_text(st, 15, n->warrant);
    return stmt_run(st, e);
}

int runs_insert(struct store *s, const struct run_new *n, int64_t *id, struct err *e)
{
    enum run_state state = n->spec->hold ? RUN_HELD : RUN_QUEUED;
    int rc = insert_row(s, n, state, e);
    if (rc < 0)
        return rc;
    *id = stmt_last_id(s);
    for (size_t i = 0; i < n->spec->nparams; i++) {
        rc = runs_param_put(s, *id, n->spec->params[i].key, n->spec->params[i].value, e);
        if (rc < 0)
            return rc;
    }
    struct run_event ev = {.t_ns = clock_boot_ns(),
                           .run = *id,
                           .actor_uid = n->uid,
                           .to = run_state_name(state),
                           .reason = n->retry_of != RUN_NONE ? "retry" : "submitted"};
    return put_event(s, &ev, e);
}

void run_change_init(struct run_change *c)
{
    *c = (struct run_change){.actor_uid = RUN_NONE,
                             .t_ns = RUN_NONE,
                             .token = RUN_NONE,
                             .t0_ns = RUN_NONE,
                             .main_exit_ns = RUN_NONE,
                             .t1_ns = RUN_NONE,
                             .exit_code = RUN_NONE,
                             .term_signal = RUN_NONE,
                             .cpu_us = RUN_NONE,
                             .maxrss_bytes = RUN_NONE,
                             .leftovers = RUN_NONE,
                             .mem_peak_bytes = RUN_NONE,
                             .started_utc_ns = RUN_NONE,
                             .ended_utc_ns = RUN_NONE};
}

/* Why a move that changed no row did not: the run is elsewhere, or there is none. */
static int move_refused(struct store *s, int64_t id, enum run_state to, struct err *e)
{
    STMT_USE(st, s, RUN_STATE_OF);
    stmt_bind_int(st, 1, id);
    int rc = stmt_step(st, e);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "there is no run %lld", (long long)id);
        return err_next(e, "wattq runs");
    }
    return err_set(e, WATTQ_E_CONFLICT, "run %lld is %s and cannot become %s", (long long)id,
                   stmt_text(st, 0), run_state_name(to));
}

static int update_row(struct store *s, int64_t id, const enum run_state states[2],
                      const struct run_change *c, struct err *e)
{
    STMT_USE(st, s, RUN_MOVE);
    stmt_bind_int(st, 1, id);
    stmt_bind_text(st, 2, run_state_name(states[0]));
    stmt_bind_text(st, 3, run_state_name(states[1]));
    /* A reason stays with the run only where it is the last word: while held and once ended. */
    bool keeps = run_state_ended(states[1]) || states[1] == RUN_HELD;
    stmt_bind_text(st, 4, keeps ? c->reason : "");
    stmt_bind_opt(st, 5, c->token);
    stmt_bind_text(st, 6, c->mode);
    stmt_bind_opt(st, 7, c->t0_ns);
    stmt_bind_opt(st, 8, c->main_exit_ns);
    stmt_bind_opt(st, 9, c->t1_ns);
    stmt_bind_opt(st, 10, c->exit_code);
    stmt_bind_opt(st, 11, c->term_signal);
    stmt_bind_opt(st, 12, c->cpu_us);
    stmt_bind_opt(st, 13, c->maxrss_bytes);
    stmt_bind_opt(st, 14, c->leftovers);
    stmt_bind_opt(st, 15, c->started_utc_ns);
    stmt_bind_opt(st, 16, c->ended_utc_ns);
    stmt_bind_text(st, 17, c->cpu_basis);
    stmt_bind_opt(st, 18, states[1] == RUN_STARTING ? store_boot(s) : STMT_NULL);
    stmt_bind_opt(st, 19, c->mem_peak_bytes);
    return stmt_run(st, e);
}

int runs_move(struct store *s, int64_t id, enum run_state from, enum run_state to,
              const struct run_change *c, struct err *e)
{
    assert(run_move_allowed(from, to));
    const enum run_state states[2] = {from, to};
    int rc = update_row(s, id, states, c, e);
    if (rc < 0)
        return rc;
    if (stmt_changes(s) != 1)
        return move_refused(s, id, to, e);
    struct run_event ev = {.t_ns = c->t_ns != RUN_NONE ? c->t_ns : clock_boot_ns(),
                           .run = id,
                           .actor_uid = c->actor_uid,
                           .from = run_state_name(from),
                           .to = run_state_name(to),
                           .reason = c->reason ? c->reason : ""};
    return put_event(s, &ev, e);
}

int runs_env_refs(struct store *s, const char *hash, int64_t *refs, struct err *e)
{
    STMT_USE(st, s, ENV_REFS);
    stmt_bind_text(st, 1, hash);
    int rc = stmt_step(st, e);
    *refs = rc > 0 ? stmt_int(st, 0) : 0;
    return rc < 0 ? rc : 0;
}

int runs_env_put(struct store *s, const char *hash, const char *path, const char *shown_json,
                 struct err *e)
{
    STMT_USE(st, s, ENV_PUT);
    stmt_bind_text(st, 1, hash);
    stmt_bind_text(st, 2, path);
    stmt_bind_text(st, 3, shown_json);
    return stmt_run(st, e);
}

int runs_env_drop(struct store *s, const char *hash, bool *last, struct err *e)
{
    STMT_USE(st, s, ENV_DROP);
    stmt_bind_text(st, 1, hash);
    int rc = stmt_step(st, e);
    *last = rc > 0 && stmt_int(st, 0) == 0;
    return rc < 0 ? rc : stmt_run(st, e);
}

int runs_code_put(struct store *s, const struct run_code *c, struct err *e)
{
    STMT_USE(st, s, CODE_PUT);
    stmt_bind_text(st, 1, c->hash);
    stmt_bind_text(st, 2, c->commit_id);
    stmt_bind_opt(st, 3, c->dirty < 0 ? STMT_NULL : c->dirty);
    stmt_bind_text(st, 4, c->diff);
    stmt_bind_text(st, 5, c->script_sha256);
    stmt_bind_text(st, 6, c->interpreter);
    return stmt_run(st, e);
}

int runs_line_put(struct store *s, int64_t run, int64_t place, int64_t priority, struct err *e)
{
    STMT_USE(st, s, RUN_LINE_PUT);
    stmt_bind_int(st, 1, run);
    stmt_bind_int(st, 2, place);
    stmt_bind_int(st, 3, priority);
    return stmt_run(st, e);
}

int runs_set_code(struct store *s, int64_t run, const char *hash, struct err *e)
{
    STMT_USE(st, s, RUN_SET_CODE);
    stmt_bind_int(st, 1, run);
    stmt_bind_text(st, 2, hash);
    return stmt_run(st, e);
}

static int put_machine(struct store *s, const char *hash, const char *facts, struct err *e)
{
    STMT_USE(st, s, MACHINE_PUT);
    stmt_bind_text(st, 1, hash);
    stmt_bind_text(st, 2, facts);
    return stmt_run(st, e);
}

int runs_machine_put(struct store *s, int64_t run, bool at_end, const char *facts_json,
                     struct err *e)
{
    char hash[65];
    sha256_hex(facts_json, strlen(facts_json), hash);
    int rc = put_machine(s, hash, facts_json, e);
    if (rc < 0)
        return rc;
    sqlite3_stmt *st CLEANUP(stmt_put) =
        stmt_get(s, at_end ? STMT_RUN_MACHINE_END : STMT_RUN_MACHINE_START);
    stmt_bind_int(st, 1, run);
    stmt_bind_text(st, 2, hash);
    return stmt_run(st, e);
}

int runs_sweep_insert(struct store *s, int64_t uid, const char *label, const char *spec_json,
                      int64_t utc_ns, int64_t *id, struct err *e)
{
    STMT_USE(st, s, SWEEP_INSERT);
    stmt_bind_int(st, 1, uid);
    stmt_bind_text(st, 2, label);
    stmt_bind_text(st, 3, spec_json);
    stmt_bind_int(st, 4, utc_ns);
    int rc = stmt_run(st, e);
    if (rc == 0)
        *id = stmt_last_id(s);
    return rc;
}

int runs_sweep_state(struct store *s, int64_t id, const char *state, const char *reason,
                     struct err *e)
{
    STMT_USE(st, s, SWEEP_STATE);
    stmt_bind_int(st, 1, id);
    stmt_bind_text(st, 2, state);
    stmt_bind_text(st, 3, reason);
    return stmt_run(st, e);
}
