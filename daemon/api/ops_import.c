/* import_begin, import_rows, import_commit: runs measured elsewhere, all of a file or nothing. What a client
 * sends is kept in an unnamed file until the commit, so that a large import costs no memory; a connection
 * that closes takes it along. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/api/ops_private.h"
#include "daemon/store/import.h"

#define BYTES_MAX (INT64_C(2) << 30)
#define FACTS_MAX (64u << 10)

struct ops_import {
    int fd; /* frames as on the wire */
    int64_t bytes, rows;
    char machine[64];
    char format[16];
    char sha256[65];
    char *facts;
};

void ops_import_free(struct ops_import *d)
{
    if (!d)
        return;
    base_closep(&d->fd);
    free(d->facts);
    free(d);
}

/* ---- begin, rows --------------------------------------------------------------------------------- */

static int open_file(const char *dir, struct err *e)
{
    char path[WATTQ_PATH_MAX];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    (void)snprintf(path, sizeof(path), "%.4000s/import-XXXXXX", dir); /* no O_TMPFILE there */
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, WATTQ_E_STORAGE, "no file for the rows can be made in %.200s", dir);
    (void)unlink(path);
    return fd;
}

static bool is_format(const char *s)
{
    return strcmp(s, "wattq") == 0 || strcmp(s, "standalone") == 0 || strcmp(s, "butter") == 0;
}

static void answer_int(struct peer *p, int64_t id, const char *key, int64_t value)
{
    struct wire_out o = {0};
    ops_begin(&o, id);
    wire_put_int(&o, key, value);
    peer_send(p, &o);
    wire_out_free(&o);
}

int op_import_begin(struct op_call *c, struct err *e)
{
    struct ops_peer *s = ops_peer(c->p);
    const char *machine = wire_str(c->req, "machine", "");
    const char *format = wire_str(c->req, "format", "");
    const char *facts = wire_str(c->req, "facts", "{}");
    if (s->import)
        return err_set(e, WATTQ_E_CONFLICT, "this connection has begun an import already");
    if (!*machine || strlen(machine) >= sizeof(s->import->machine) || strchr(machine, ':'))
        return err_set(e, WATTQ_E_INVALID, "'%.40s' is no name of a machine", machine);
    if (!is_format(format) || strlen(facts) > FACTS_MAX)
        return err_set(e, WATTQ_E_INVALID, "'format' is wattq, standalone or butter");
    int fd = open_file(c->d->paths.state, e);
    if (fd < 0)
        return fd;
    s->import = base_alloc(sizeof(*s->import));
    s->import->fd = fd;
    base_strcpy(s->import->machine, sizeof(s->import->machine), machine);
    base_strcpy(s->import->format, sizeof(s->import->format), format);
    base_strcpy(s->import->sha256, sizeof(s->import->sha256), wire_str(c->req, "sha256", ""));
    s->import->facts = base_strdup(facts);
    answer_int(c->p, c->id, "draft", 1);
    return 0;
}

static int need_import(struct op_call *c, struct ops_import **out, struct err *e)
{
    *out = ops_peer(c->p)->import;
    if (*out)
        return 0;
    return err_set(e, WATTQ_E_NOT_FOUND, "this connection has no import; begin with import_begin");
}

int op_import_rows(struct op_call *c, struct err *e)
{
    struct ops_import *d = NULL;
    struct wire_out o CLEANUP(wire_out_free) = {0};
    int rc = need_import(c, &d, e);
    if (rc == 0)
        rc = import_check(c->req, e);
    if (rc < 0)
        return rc;
    const struct wire_val *rows = wire_get(c->req, "rows");
    wire_out_reset(&o);
    wire_put_str(&o, "table", wire_str(c->req, "table", ""));
    wire_put_int(&o, "row", wire_int(c->req, "row", 1));
    wire_put_val(&o, "columns", wire_get(c->req, "columns"));
    wire_put_val(&o, "rows", rows);
    rc = wire_out_finish(&o, e);
    if (rc == 0 && d->bytes + (int64_t)o.bytes > BYTES_MAX)
        rc = err_set(e, WATTQ_E_LIMIT, "an import has at most 2 GiB");
    if (rc == 0 && base_write_all(d->fd, o.data, o.bytes) != 0)
        rc = err_errno(e, WATTQ_E_STORAGE, "the rows cannot be kept");
    if (rc < 0)
        return rc;
    d->bytes += (int64_t)o.bytes;
    d->rows += (int64_t)wire_len(rows);
    answer_int(c->p, c->id, "rows", d->rows);
    return 0;
}

/* ---- commit -------------------------------------------------------------------------------------- */

struct import_job {
    struct storage_job job;
    struct ops_ticket t;
    struct ops_import *d;
    int64_t uid;
    int64_t origin, fresh, known;
};

/* Every frame of the file to fn. */
static int each_frame(const struct ops_import *d, struct import *im,
                      int (*fn)(struct import *, const struct wire_val *, struct err *),
                      struct err *e)
{
    uint8_t *body CLEANUP(base_freep) = base_alloc(WIRE_FRAME_MAX);
    int64_t at = 0;
    while (at < d->bytes) {
        uint8_t head[WIRE_HEADER_BYTES];
        size_t total = 0;
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        if (pread(d->fd, head, sizeof(head), at) != (ssize_t)sizeof(head))
            return err_errno(e, WATTQ_E_STORAGE, "the rows that were sent cannot be read");
        int rc = wire_frame_bytes(head, sizeof(head), WIRE_FRAME_MAX, &total, e);
        if (rc < 0)
            return rc;
        size_t n = total - WIRE_HEADER_BYTES;
        if (pread(d->fd, body, n, at + WIRE_HEADER_BYTES) != (ssize_t)n)
            return err_errno(e, WATTQ_E_STORAGE, "the rows that were sent cannot be read");
        rc = wire_msg_new(&m, body, n, e);
        if (rc == 0)
            rc = fn(im, wire_msg_root(m), e);
        if (rc < 0)
            return rc;
        at += (int64_t)total;
    }
    return 0;
}

static int import_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct import_job *j = container_of(job, struct import_job, job);
    struct import *im = import_new(s);
    const struct import_head h = {j->d->machine, j->d->format, j->d->sha256,
                                  j->d->facts,   j->uid,       clock_utc_ns()};
    int rc = each_frame(j->d, im, import_scan, e);
    j->fresh = import_new_runs(im);
    j->known = import_known_runs(im);
    if (rc == 0 && j->fresh > 0) {
        rc = import_begin(im, &h, &j->origin, e);
        if (rc == 0)
            rc = each_frame(j->d, im, import_apply, e);
        if (rc == 0)
            rc = import_end(im, e);
    }
    import_free(im);
    return rc;
}

static void import_done(struct storage_job *job, int rc, const struct err *e)
{
    struct import_job *j = container_of(job, struct import_job, job);
    struct wire_out o = {0};
    ops_begin(&o, j->t.id);
    wire_put_int(&o, "imported", j->fresh);
    wire_put_int(&o, "known", j->known);
    encode_opt(&o, "origin", j->fresh > 0 ? j->origin : RUN_NONE);
    ops_answer(&j->t, &o, rc, e);
    ops_import_free(j->d);
    free(j);
}

int op_import_commit(struct op_call *c, struct err *e)
{
    struct ops_import *d = NULL;
    int rc = need_import(c, &d, e);
    if (rc < 0)
        return rc;
    struct import_job *j = base_alloc(sizeof(*j));
    j->job = (struct storage_job){.work = import_work, .done = import_done};
    j->d = d;
    j->uid = (int64_t)peer_uid(c->p);
    ops_peer(c->p)->import = NULL;
    ops_keep(&j->t, c);
    storage_submit(c->d->storage, &j->job);
    return 0;
}
