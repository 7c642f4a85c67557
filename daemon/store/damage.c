#include "daemon/store/damage.h"

#include <string.h>

#include "common/units.h"
#include "daemon/store/codec.h"
#include "daemon/store/stmt.h"

const char *damage_kind_name(enum damage_kind k)
{
    static const char *const names[] = {"structure", "chunk", "tail"};
    return names[k];
}

/* ---- structure ---------------------------------------------------------------------------------- */

static void found_structure(const struct damage_sink *to, const char *text)
{
    struct damage d = {.kind = DAMAGE_STRUCTURE};
    base_strcpy(d.text, sizeof(d.text), text);
    d.text[strcspn(d.text, "\n")] = '\0';
    to->found(to->arg, &d);
}

static bool is_damage(int rc)
{
    return rc == WATTQ_E_CORRUPT;
}

/* One row: "ok", or what is wrong, several lines of which may stand in one row. */
static void take_structure(const struct damage_sink *to, const char *text)
{
    if (!text || strcmp(text, "ok") == 0)
        return;
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n');
        /* "*** in database main ***" is a heading */
        if (end > line && strncmp(line, "*** in ", 7) != 0)
            found_structure(to, line);
        line = *end ? end + 1 : end;
    }
}

int damage_structure(struct store *s, const struct damage_sink *to, struct err *e)
{
    char *sql = sqlite3_mprintf("PRAGMA integrity_check(%d)", DAMAGE_STRUCTURE_MAX);
    sqlite3_stmt *st CLEANUP(stmt_finalizep) = NULL;
    struct err why = {0};
    stmt_stop_flag(s, to->stop);
    int rc = sql ? stmt_prepare(s, sql, &st, &why) : err_set(&why, WATTQ_E_INTERNAL, "no memory");
    while (rc == 0 && (rc = stmt_step(st, &why)) > 0) {
        take_structure(to, stmt_text(st, 0));
        rc = 0;
    }
    stmt_stop_flag(s, NULL);
    sqlite3_free(sql);
    if (is_damage(rc))
        found_structure(to, why.text);
    else if (rc < 0)
        *e = why;
    return is_damage(rc) ? 0 : rc;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

/* Values are not unpacked, that takes ten times as long: their checksum has been compared. */
static int check_view(struct damage_walk *w, struct codec_view *v, const struct damage *d,
                      struct err *e)
{
    w->values += (int64_t)v->n * v->channels;
    if (v->n != d->ticks || codec_time(v, 0) != d->t0_ns || codec_time(v, v->n - 1) != d->t1_ns ||
        !codec_is_sound(v))
        return err_set(e, WATTQ_E_CORRUPT, "it is not that of its row");
    return 0;
}

static int check_blob(struct store *s, struct damage_walk *w, const struct damage *d, struct err *e)
{
    STMT_USE(chunk, s, CHUNK_BLOB);
    STMT_USE(tail, s, TAIL_BLOB);
    sqlite3_stmt *st = d->kind == DAMAGE_TAIL ? tail : chunk;
    struct codec_view v CLEANUP(codec_close) = {0};
    size_t bytes = 0;
    stmt_bind_int(st, 1, d->row);
    int rc = stmt_step(st, e);
    if (rc < 0)
        return rc;
    const void *blob = rc > 0 ? stmt_blob(st, 0, &bytes) : NULL;
    if (!blob)
        return err_set(e, WATTQ_E_CORRUPT, rc > 0 ? "it is empty" : "its row is missing");
    w->bytes += (int64_t)bytes;
    rc = codec_open(&v, blob, bytes, e);
    return rc == 0 ? check_view(w, &v, d, e) : rc;
}

static int boot_of(struct store *s, struct damage *d, struct err *e)
{
    STMT_USE(st, s, EPOCH_BOOT);
    stmt_bind_int(st, 1, d->epoch);
    int rc = stmt_step(st, e);
    if (rc > 0)
        d->boot = stmt_int(st, 0);
    return rc < 0 && !is_damage(rc) ? rc : 0;
}

/* The next block; 0 = there is none. */
static int next_block(struct store *s, struct damage_walk *w, struct damage *d, struct err *e)
{
    STMT_USE(chunk, s, DAMAGE_CHUNK);
    STMT_USE(tail, s, DAMAGE_TAIL);
    sqlite3_stmt *st = w->in_tail ? tail : chunk;
    for (int i = 0; i < (w->in_tail ? 1 : 6); i++)
        stmt_bind_int(st, i + 1, w->at[i]);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc;
    *d = (struct damage){.kind = w->in_tail ? DAMAGE_TAIL : DAMAGE_CHUNK,
                         .row = stmt_int(st, 0),
                         .grp = stmt_int(st, 1),
                         .tier = stmt_int(st, 2),
                         .epoch = stmt_int(st, 3),
                         .t0_ns = stmt_int(st, 4),
                         .t1_ns = stmt_int(st, 5),
                         .ticks = stmt_int(st, 6)};
    for (int i = 0; i < 6; i++)
        w->at[i] = w->in_tail ? d->row : stmt_int(st, i + 1);
    return 1;
}

/* Its damage is told; < 0 is another failure. */
static int look_at(struct store *s, struct damage_walk *w, struct damage *d,
                   const struct damage_sink *to, struct err *e)
{
    struct err why = {0};
    int rc = check_blob(s, w, d, &why);
    w->blocks++;
    w->ticks += d->ticks;
    if (rc == 0)
        return 0;
    if (!is_damage(rc)) {
        *e = why;
        return rc;
    }
    rc = boot_of(s, d, e);
    base_strcpy(d->text, sizeof(d->text), why.text);
    if (rc == 0)
        to->found(to->arg, d);
    return rc;
}

static int begin(struct store *s, struct damage_walk *w, struct err *e)
{
    STMT_USE(st, s, DAMAGE_CHUNKS);
    for (int i = 0; i < 6; i++)
        w->at[i] = INT64_MIN;
    w->begun = true;
    int rc = stmt_step(st, e);
    if (rc > 0)
        w->of = stmt_int(st, 0);
    return rc < 0 ? rc : 0;
}

/* 1 = one was looked at; 0 = there are no more. Which come behind a damaged index cannot be told. */
static int one_block(struct store *s, struct damage_walk *w, const struct damage_sink *to,
                     struct err *e)
{
    struct err why = {0};
    struct damage d = {.kind = DAMAGE_CHUNK};
    int rc = w->begun ? 0 : begin(s, w, &why);
    if (rc == 0)
        rc = next_block(s, w, &d, &why);
    if (rc > 0) {
        rc = look_at(s, w, &d, to, e);
        return rc < 0 ? rc : 1;
    }
    if (rc < 0 && !is_damage(rc)) {
        *e = why;
        return rc;
    }
    if (rc < 0)
        found_structure(to, w->in_tail ? "the newest samples cannot all be found"
                                       : "the chunks of samples cannot all be found");
    bool first = !w->in_tail;
    w->in_tail = true;
    w->at[0] = INT64_MIN;
    return first ? 1 : 0;
}

int damage_blocks(struct store *s, struct damage_walk *w, int64_t limit_ns,
                  const struct damage_sink *to, struct err *e)
{
    int64_t end_ns = clock_mono_ns() + limit_ns;
    while (!to->stop || !atomic_load(to->stop)) {
        int rc = one_block(s, w, to, e);
        if (rc <= 0 || clock_mono_ns() >= end_ns)
            return rc;
    }
    return 1;
}
