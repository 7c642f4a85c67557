#include "daemon/store/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/store/stmt.h"

#define ENTRIES 160 /* a chunk of each group and the tail rows of a minute */

struct entry {
    bool tail;
    struct blocks_row row; /* ids of tail rows come again: time and length are part of their key */
    uint8_t *data;         /* NULL = free */
    size_t bytes;          /* with what the view has unpacked */
    struct codec_view view;
    uint64_t used; /* when last; the smallest goes first */
};
struct blocks {
    struct entry entry[ENTRIES];
    size_t bytes;
    uint64_t clock;
};

struct blocks *blocks_new(void)
{
    return base_alloc(sizeof(struct blocks));
}

static void drop(struct blocks *b, struct entry *x)
{
    b->bytes -= x->bytes;
    codec_close(&x->view);
    free(x->data);
    memset(x, 0, sizeof(*x));
}

void blocks_free(struct blocks *b)
{
    for (size_t i = 0; b && i < ENTRIES; i++)
        if (b->entry[i].data)
            drop(b, &b->entry[i]);
    free(b);
}

static struct entry *find(struct blocks *b, bool tail, const struct blocks_row *row)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *x = &b->entry[i];
        if (x->data && x->tail == tail && x->row.id == row->id && x->row.t0_ns == row->t0_ns &&
            (!tail || x->row.n == row->n))
            return x;
    }
    return NULL;
}

/* A free entry, with room for `bytes` below the bound; the least recently used ones make it. */
static struct entry *make_room(struct blocks *b, size_t bytes)
{
    for (;;) {
        struct entry *oldest = NULL, *empty = NULL;
        for (size_t i = 0; i < ENTRIES; i++) {
            struct entry *x = &b->entry[i];
            if (!x->data)
                empty = x;
            else if (!oldest || x->used < oldest->used)
                oldest = x;
        }
        if (!oldest || (empty && b->bytes + bytes <= BLOCKS_CACHE_BYTES))
            return empty;
        drop(b, oldest);
    }
}

/* The blob in column 0 of the row that st stands on, copied and checked; the caller has both. */
static int open_blob(sqlite3_stmt *st, const struct blocks_row *row, uint8_t **data, size_t *bytes,
                     struct codec_view *v, struct err *e)
{
    const void *blob = stmt_blob(st, 0, bytes);
    if (!blob)
        return err_set(e, WATTQ_E_CORRUPT, "a stored block of samples is empty");
    *data = malloc(*bytes);
    if (!*data)
        return err_set(e, WATTQ_E_STORAGE, "no memory for stored samples");
    memcpy(*data, blob, *bytes);
    int rc = codec_open(v, *data, *bytes, e);
    if (rc == 0 && codec_time(v, 0) != row->t0_ns) {
        codec_close(v);
        rc = err_set(e, WATTQ_E_CORRUPT, "a stored block of samples is not that of its row");
    }
    if (rc)
        free(*data);
    return rc;
}

static int load(struct blocks *b, sqlite3_stmt *st, bool tail, const struct blocks_row *row,
                struct codec_view **v, struct err *e)
{
    struct codec_view opened;
    size_t bytes = 0;
    uint8_t *data;
    int rc = open_blob(st, row, &data, &bytes, &opened, e);
    if (rc)
        return rc;
    bytes += codec_view_bytes(&opened);
    struct entry *x = make_room(b, bytes);
    *x = (struct entry){.tail = tail,
                        .row = *row,
                        .data = data,
                        .bytes = bytes,
                        .view = opened,
                        .used = ++b->clock};
    b->bytes += bytes;
    *v = &x->view;
    return 0;
}

static int fetch(struct store *s, bool tail, const struct blocks_row *row, struct codec_view **v,
                 struct err *e)
{
    struct blocks *b = store_blocks(s);
    struct entry *x = find(b, tail, row);
    if (x) {
        x->used = ++b->clock;
        *v = &x->view;
        return 0;
    }
    STMT_USE(st, s, CHUNK_BLOB);
    STMT_USE(st_tail, s, TAIL_BLOB);
    sqlite3_stmt *use = tail ? st_tail : st;
    stmt_bind_int(use, 1, row->id);
    int rc = stmt_step(use, e);
    if (rc == 0)
        return err_set(e, WATTQ_E_NOT_FOUND, "a block of samples has just been removed");
    return rc < 0 ? rc : load(b, use, tail, row, v, e);
}

int blocks_chunk(struct store *s, int64_t chunk, int64_t t0_ns, struct codec_view **v,
                 struct err *e)
{
    const struct blocks_row row = {.id = chunk, .t0_ns = t0_ns};
    return fetch(s, false, &row, v, e);
}

int blocks_tail_row(struct store *s, const struct blocks_row *row, struct codec_view **v,
                    struct err *e)
{
    return fetch(s, true, row, v, e);
}

int blocks_tail(struct store *s, int64_t grp, int64_t epoch, struct blocks_row **out, size_t *n,
                struct err *e)
{
    struct blocks_row *rows = NULL;
    size_t cap = 0;
    int rc;
    *out = NULL;
    *n = 0;
    STMT_USE(st, s, TAIL_LIST);
    stmt_bind_int(st, 1, grp);
    stmt_bind_int(st, 2, epoch);
    while ((rc = stmt_step(st, e)) > 0 && *n < BLOCKS_TAIL_MAX) {
        if (*n == cap) {
            cap = cap ? cap * 2 : 64;
            struct blocks_row *more = reallocarray(rows, cap, sizeof(*rows));
            if (!more) {
                rc = err_set(e, WATTQ_E_STORAGE, "no memory for a list of samples");
                break;
            }
            rows = more;
        }
        rows[(*n)++] =
            (struct blocks_row){stmt_int(st, 0), stmt_int(st, 1), stmt_int(st, 2), stmt_int(st, 3)};
    }
    if (rc < 0) {
        free(rows);
        *n = 0;
        return rc;
    }
    *out = rows;
    return 0;
}

void blocks_start(struct blocks_iter *it, struct store *s, int64_t grp, int64_t epoch,
                  int64_t from_ns)
{
    *it = (struct blocks_iter){.store = s, .grp = grp, .epoch = epoch, .next_ns = from_ns};
}

void blocks_start_at(struct blocks_iter *it, struct store *s, int64_t grp, int64_t epoch,
                     const struct blocks_row *chunk)
{
    blocks_start(it, s, grp, epoch, chunk->t0_ns);
    it->first = chunk->id;
    it->row = *chunk;
}

void blocks_stop(struct blocks_iter *it)
{
    free(it->tail);
    it->tail = NULL;
}

static void go_behind(struct blocks_iter *it)
{
    it->next_ns = it->row.t1_ns > it->row.t0_ns ? it->row.t1_ns : it->row.t0_ns + 1;
}

/* 1 = it->row is the next chunk. */
static int next_chunk(struct blocks_iter *it, struct err *e)
{
    if (it->first) {
        it->first = 0;
        go_behind(it);
        return 1;
    }
    STMT_USE(st, it->store, CHUNK_NEXT);
    stmt_bind_int(st, 1, it->grp);
    stmt_bind_int(st, 2, it->epoch);
    stmt_bind_int(st, 3, it->next_ns);
    stmt_bind_int(st, 4, it->tier);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc;
    it->row =
        (struct blocks_row){stmt_int(st, 0), stmt_int(st, 1), stmt_int(st, 2), stmt_int(st, 3)};
    go_behind(it);
    return 1;
}

int blocks_next(struct blocks_iter *it, struct codec_view **v, struct err *e)
{
    if (!it->in_tail) {
        int rc = next_chunk(it, e);
        if (rc > 0)
            rc = fetch(it->store, false, &it->row, v, e);
        else if (rc == 0)
            it->in_tail = true;
        if (rc < 0 || !it->in_tail)
            return rc < 0 ? rc : 1;
        rc = blocks_tail(it->store, it->grp, it->epoch, &it->tail, &it->tails, e);
        if (rc)
            return rc;
    }
    if (!it->tail || it->tail_at == it->tails)
        return 0;
    it->row = it->tail[it->tail_at++];
    int rc = fetch(it->store, true, &it->row, v, e);
    return rc ? rc : 1;
}
