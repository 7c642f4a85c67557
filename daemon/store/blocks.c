#include "daemon/store/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/store/stmt.h"

#define ENTRIES     160 /* a chunk of each group and the tail rows of a minute */
#define FIRST_BYTES 512 /* of a chunk, the head of some 60 channels */
#define GONE        "a block of samples has just been removed"

struct entry {
    bool tail;
    struct blocks_row row; /* ids of tail rows come again: time and length are part of their key */
    uint8_t *data;         /* NULL = free */
    size_t bytes;          /* with what the view has unpacked */
    bool checked;          /* tick 0 is that of the row */
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

/* ---- blobs --------------------------------------------------------------------------------------- */

static int check_row(struct codec_view *v, const struct blocks_row *row, struct err *e)
{
    if (codec_time(v, 0) == row->t0_ns)
        return 0;
    return err_set(e, WATTQ_E_CORRUPT, "a stored block of samples is not that of its row");
}

static int fail_empty(struct err *e)
{
    return err_set(e, WATTQ_E_CORRUPT, "a stored block of samples is empty");
}

static int take_room(size_t bytes, uint8_t **data, struct err *e)
{
    if (bytes == 0)
        return fail_empty(e);
    *data = malloc(bytes);
    return *data ? 0 : err_set(e, WATTQ_E_STORAGE, "no memory for stored samples");
}

/* Takes data and the view that was opened on it. */
static struct entry *put(struct blocks *b, bool tail, const struct blocks_row *row, uint8_t *data,
                         const struct codec_view *v)
{
    size_t bytes = v->bytes + codec_view_bytes(v);
    struct entry *x = make_room(b, bytes);
    *x = (struct entry){
        .tail = tail, .row = *row, .data = data, .bytes = bytes, .view = *v, .used = ++b->clock};
    b->bytes += bytes;
    return x;
}

static int check_once(struct entry *x, struct err *e)
{
    int rc = x->checked ? 0 : check_row(&x->view, &x->row, e);
    x->checked = rc == 0;
    return rc;
}

/* A blob of any version that is all there. Takes data. */
static int put_whole(struct blocks *b, bool tail, const struct blocks_row *row, uint8_t *data,
                     size_t bytes, struct entry **x, struct err *e)
{
    struct codec_view v;
    int rc = codec_open(&v, data, bytes, e);
    if (rc)
        free(data);
    else
        *x = put(b, tail, row, data, &v);
    return rc;
}

static int load_tail(struct store *s, const struct blocks_row *row, struct entry **x, struct err *e)
{
    size_t bytes = 0;
    STMT_USE(st, s, TAIL_BLOB);
    stmt_bind_int(st, 1, row->id);
    int rc = stmt_step(st, e);
    if (rc <= 0)
        return rc < 0 ? rc : err_set(e, WATTQ_E_NOT_FOUND, GONE);
    const void *blob = stmt_blob(st, 0, &bytes);
    uint8_t *data;
    if (!blob)
        return fail_empty(e);
    rc = take_room(bytes, &data, e);
    if (rc)
        return rc;
    memcpy(data, blob, bytes);
    return put_whole(store_blocks(s), true, row, data, bytes, x, e);
}

/* ---- chunks, part by part ----------------------------------------------------------------------- */

static int take_part(struct codec_view *v, uint8_t *data, uint32_t part, sqlite3_blob *blob,
                     struct err *e)
{
    size_t bytes, at = codec_part_at(v, part, &bytes);
    int rc = stmt_blob_read(blob, at, data + at, bytes, e);
    return rc ? rc : codec_take(v, part, e);
}

/* A chunk whose head, of `head` bytes, can be read alone. Takes data, of which `have` bytes are there. */
static int open_parts(struct store *s, const struct blocks_row *row, sqlite3_blob *blob,
                      uint8_t *data, size_t bytes, size_t have, size_t head, struct entry **x,
                      struct err *e)
{
    struct codec_view v;
    int rc = head > have ? stmt_blob_read(blob, have, data + have, head - have, e) : 0;
    if (rc) {
        free(data);
        return rc;
    }
    rc = codec_open_head(&v, data, bytes, e);
    if (rc == 0)
        rc = take_part(&v, data, CODEC_TIMELINE, blob, e);
    if (rc) {
        codec_close(&v);
        free(data);
        return rc;
    }
    *x = put(store_blocks(s), false, row, data, &v);
    return 0;
}

static int load_chunk(struct store *s, const struct blocks_row *row, sqlite3_blob *blob,
                      struct entry **x, struct err *e)
{
    size_t bytes = stmt_blob_bytes(blob), have = bytes < FIRST_BYTES ? bytes : FIRST_BYTES;
    uint8_t *data;
    int rc = take_room(bytes, &data, e);
    if (rc)
        return rc;
    rc = stmt_blob_read(blob, 0, data, have, e);
    size_t head = rc == 0 && have >= CODEC_BEGIN ? codec_head_bytes(data) : 0;
    if (rc == 0 && head > 0 && head <= bytes)
        return open_parts(s, row, blob, data, bytes, have, head, x, e);
    if (rc == 0)
        rc = stmt_blob_read(blob, have, data + have, bytes - have, e);
    if (rc == 0)
        return put_whole(store_blocks(s), false, row, data, bytes, x, e);
    free(data);
    return rc;
}

/* Of a thinned chunk a channel has three columns. */
static bool needs(const struct codec_view *v, uint32_t part, uint32_t slot)
{
    bool thinned = (v->flags & CODEC_THIN) != 0;
    return !codec_has(v, part) &&
           (slot == BLOCKS_ALL || (part - 1) % (thinned ? v->channels / 3 : v->channels) == slot);
}

static bool is_complete(const struct codec_view *v, uint32_t slot)
{
    for (uint32_t part = 1; part <= v->channels; part++)
        if (needs(v, part, slot))
            return false;
    return true;
}

static int take_slot(struct entry *x, uint32_t slot, sqlite3_blob *blob, struct err *e)
{
    int rc = 0;
    for (uint32_t part = 1; rc == 0 && part <= x->view.channels; part++)
        if (needs(&x->view, part, slot))
            rc = take_part(&x->view, x->data, part, blob, e);
    return rc;
}

static int fetch_chunk(struct store *s, const struct blocks_row *row, uint32_t slot,
                       struct entry **x, struct err *e)
{
    if (*x && is_complete(&(*x)->view, slot))
        return 0;
    sqlite3_blob *blob CLEANUP(stmt_blob_closep) = NULL;
    int rc = stmt_blob_open(s, "chunk", "b", row->id, &blob, e);
    if (rc > 0)
        return err_set(e, WATTQ_E_NOT_FOUND, GONE);
    if (rc == 0 && !*x)
        rc = load_chunk(s, row, blob, x, e);
    else if (rc == 0 && stmt_blob_bytes(blob) != (*x)->view.bytes)
        rc = err_set(e, WATTQ_E_NOT_FOUND, GONE);
    return rc ? rc : take_slot(*x, slot, blob, e);
}

static int fetch(struct store *s, bool tail, const struct blocks_row *row, uint32_t slot,
                 struct entry **x, struct err *e)
{
    struct blocks *b = store_blocks(s);
    int rc = 0;
    *x = find(b, tail, row);
    if (!tail)
        rc = fetch_chunk(s, row, slot, x, e);
    else if (!*x)
        rc = load_tail(s, row, x, e);
    if (rc == 0)
        (*x)->used = ++b->clock;
    return rc;
}

static int fetch_checked(struct store *s, bool tail, const struct blocks_row *row, uint32_t slot,
                         struct codec_view **v, struct err *e)
{
    struct entry *x;
    int rc = fetch(s, tail, row, slot, &x, e);
    if (rc == 0)
        rc = check_once(x, e);
    if (rc == 0)
        *v = &x->view;
    return rc;
}

int blocks_chunk(struct store *s, int64_t chunk, int64_t t0_ns, uint32_t slot,
                 struct codec_view **v, struct err *e)
{
    const struct blocks_row row = {.id = chunk, .t0_ns = t0_ns};
    return fetch_checked(s, false, &row, slot, v, e);
}

int blocks_tail_row(struct store *s, const struct blocks_row *row, struct codec_view **v,
                    struct err *e)
{
    return fetch_checked(s, true, row, BLOCKS_ALL, v, e);
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
                  uint32_t slot, int64_t from_ns)
{
    *it = (struct blocks_iter){
        .store = s, .grp = grp, .epoch = epoch, .slot = slot, .next_ns = from_ns};
}

void blocks_start_at(struct blocks_iter *it, struct store *s, int64_t grp, int64_t epoch,
                     uint32_t slot, const struct blocks_row *chunk)
{
    blocks_start(it, s, grp, epoch, slot, chunk->t0_ns);
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

/* Tick 0 may never be wanted, and its stretch would be unpacked for the check only. */
static int fetch_next(const struct blocks_iter *it, struct codec_view **v, struct err *e)
{
    struct entry *x;
    int rc = fetch(it->store, it->in_tail, &it->row, it->slot, &x, e);
    if (rc == 0)
        *v = &x->view;
    return rc;
}

int blocks_next(struct blocks_iter *it, struct codec_view **v, struct err *e)
{
    if (!it->in_tail) {
        int rc = next_chunk(it, e);
        if (rc > 0)
            rc = fetch_next(it, v, e);
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
    int rc = fetch_next(it, v, e);
    return rc ? rc : 1;
}
