#include "common/wire.h"

#include <assert.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES_MAX 64

static uint32_t load_be(const uint8_t *p, unsigned width)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < width; i++)
        v = v << 8 | p[i];
    return v;
}

static void store_be(uint8_t *p, uint32_t v, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        p[i] = (uint8_t)(v >> (8 * (width - 1 - i)));
}

/* ---- building ---------------------------------------------------------------------------------- */

/* Room for n more bytes, or the frame is marked too long and nothing is written any more. */
static bool grow(struct wire_out *o, size_t n)
{
    const size_t most = WIRE_HEADER_BYTES + (size_t)WIRE_FRAME_MAX;
    if (o->overflow || n > most - o->bytes) {
        o->overflow = true;
        return false;
    }
    if (o->bytes + n <= o->cap)
        return true;
    size_t cap = o->cap ? o->cap : 512;
    while (cap < o->bytes + n)
        cap *= 2;
    uint8_t *p = realloc(o->data, cap);
    if (!p) {
        o->overflow = true;
        return false;
    }
    o->data = p;
    o->cap = cap;
    return true;
}

static int append(void *arg, const char *buf, size_t n)
{
    struct wire_out *o = arg;
    if (!grow(o, n))
        return -1;
    if (n == 0)
        return 0; /* an empty value may come with a NULL pointer */
    memcpy(o->data + o->bytes, buf, n);
    o->bytes += n;
    return 0;
}

static msgpack_packer packer(struct wire_out *o)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, o, append);
    return pk;
}

/* A container whose count is not known yet: map16 or array32, patched by wire_end. */
static void open_container(struct wire_out *o, bool map)
{
    static const uint8_t head_map[3] = {0xde};
    static const uint8_t head_array[5] = {0xdd};
    unsigned d = o->depth++;
    if (d >= WIRE_DEPTH_MAX) {
        o->overflow = true;
        return;
    }
    o->is_map[d] = map;
    o->count[d] = 0;
    o->count_at[d] = o->bytes + 1;
    append(o, map ? (const char *)head_map : (const char *)head_array, map ? 3 : 5);
}

void wire_out_reset(struct wire_out *o)
{
    o->bytes = 0;
    o->overflow = false;
    o->depth = 0;
    append(o, "\0\0\0", WIRE_HEADER_BYTES);
    open_container(o, true);
}

void wire_out_free(struct wire_out *o)
{
    free(o->data);
    *o = (struct wire_out){0};
}

static void close_container(struct wire_out *o)
{
    assert(o->depth > 0);
    unsigned d = --o->depth;
    if (d >= WIRE_DEPTH_MAX || o->overflow)
        return;
    if (o->is_map[d] && o->count[d] > WIRE_MAP_KEYS_MAX)
        o->overflow = true;
    else
        store_be(o->data + o->count_at[d], o->count[d], o->is_map[d] ? 2 : 4);
}

int wire_out_finish(struct wire_out *o, struct err *e)
{
    if (o->depth == 0 && o->bytes == 0)
        wire_out_reset(o);
    assert(o->depth == 1);
    close_container(o);
    if (o->overflow)
        return err_set(e, WATTQ_E_LIMIT, "message does not fit into a frame of %u bytes",
                       WIRE_FRAME_MAX);
    store_be(o->data, (uint32_t)(o->bytes - WIRE_HEADER_BYTES), WIRE_HEADER_BYTES);
    return 0;
}

/* Every value goes through here: counts it in its container and writes its key. */
static msgpack_packer begin_value(struct wire_out *o, const char *key)
{
    if (o->depth == 0 && o->bytes == 0)
        wire_out_reset(o);
    assert(o->depth > 0);
    msgpack_packer pk = packer(o);
    unsigned d = o->depth - 1;
    if (d >= WIRE_DEPTH_MAX)
        return pk;
    assert(o->is_map[d] == (key != NULL));
    o->count[d]++;
    if (!key)
        return pk;
    size_t n = strlen(key);
    if (n > KEY_BYTES_MAX)
        o->overflow = true;
    msgpack_pack_str_with_body(&pk, key, n);
    return pk;
}

void wire_put_strn(struct wire_out *o, const char *key, const char *value, size_t bytes)
{
    msgpack_packer pk = begin_value(o, key);
    if (bytes > WIRE_FRAME_MAX)
        o->overflow = true;
    else
        msgpack_pack_str_with_body(&pk, value, bytes);
}

void wire_put_str(struct wire_out *o, const char *key, const char *value)
{
    if (value)
        wire_put_strn(o, key, value, strlen(value));
    else
        wire_put_nil(o, key);
}

void wire_put_bin(struct wire_out *o, const char *key, const void *data, size_t bytes)
{
    msgpack_packer pk = begin_value(o, key);
    if (bytes > WIRE_FRAME_MAX)
        o->overflow = true;
    else
        msgpack_pack_bin_with_body(&pk, data, bytes);
}

void wire_put_int(struct wire_out *o, const char *key, int64_t value)
{
    msgpack_packer pk = begin_value(o, key);
    msgpack_pack_int64(&pk, value);
}

void wire_put_f64(struct wire_out *o, const char *key, double value)
{
    msgpack_packer pk = begin_value(o, key);
    msgpack_pack_double(&pk, value);
}

void wire_put_bool(struct wire_out *o, const char *key, bool value)
{
    msgpack_packer pk = begin_value(o, key);
    if (value)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
}

void wire_put_nil(struct wire_out *o, const char *key)
{
    msgpack_packer pk = begin_value(o, key);
    msgpack_pack_nil(&pk);
}

void wire_begin_map(struct wire_out *o, const char *key)
{
    (void)begin_value(o, key);
    open_container(o, true);
}

void wire_begin_array(struct wire_out *o, const char *key)
{
    (void)begin_value(o, key);
    open_container(o, false);
}

void wire_end(struct wire_out *o)
{
    /* The outermost map is closed by wire_out_finish. */
    assert(o->depth > 1);
    close_container(o);
}

#define ROOT_BYTES 3 /* the outermost map16 header */

static void store_be64(uint8_t *p, uint64_t v)
{
    store_be(p, (uint32_t)(v >> 32), 4);
    store_be(p + 4, (uint32_t)v, 4);
}

/* Header, map16, then "id" and "lost" in forms of fixed length, so that lost can be changed later. */
static const uint8_t tag_id[] = {0xa2, 'i', 'd', 0xd3};
static const uint8_t tag_lost[] = {0xa4, 'l', 'o', 's', 't', 0xcf};
#define TAG_ID_AT   (WIRE_HEADER_BYTES + ROOT_BYTES + sizeof(tag_id))
#define TAG_LOST_AT (TAG_ID_AT + 8 + sizeof(tag_lost))

void wire_tag_init(struct wire_tag *t, const struct wire_out *o, int64_t id, uint64_t lost)
{
    size_t shared = 0;
    (void)wire_shared(o, &shared);
    t->bytes = TAG_LOST_AT + 8;
    store_be(t->data, (uint32_t)(t->bytes - WIRE_HEADER_BYTES + shared), WIRE_HEADER_BYTES);
    t->data[WIRE_HEADER_BYTES] = 0xde;
    store_be(t->data + WIRE_HEADER_BYTES + 1, load_be(o->data + WIRE_HEADER_BYTES + 1, 2) + 2, 2);
    memcpy(t->data + TAG_ID_AT - sizeof(tag_id), tag_id, sizeof(tag_id));
    store_be64(t->data + TAG_ID_AT, (uint64_t)id);
    memcpy(t->data + TAG_LOST_AT - sizeof(tag_lost), tag_lost, sizeof(tag_lost));
    store_be64(t->data + TAG_LOST_AT, lost);
}

void wire_tag_set_lost(uint8_t *frame, uint64_t lost)
{
    store_be64(frame + TAG_LOST_AT, lost);
}

const uint8_t *wire_shared(const struct wire_out *o, size_t *bytes)
{
    const size_t skip = WIRE_HEADER_BYTES + ROOT_BYTES;
    *bytes = o->bytes - skip;
    return o->data + skip;
}

/* ---- checking ---------------------------------------------------------------------------------- */

enum form { BAD, EXT, FIXED, BIN, STR, ARRAY, MAP };

struct item {
    enum form form;
    uint32_t n; /* payload bytes, array elements or map pairs */
};

struct cursor {
    const uint8_t *start, *p, *end;
    unsigned depth;
    uint64_t left[WIRE_DEPTH_MAX]; /* values that still belong to each open container */
    bool is_map[WIRE_DEPTH_MAX];
};

static int malformed(const struct cursor *c, struct err *e, const char *what)
{
    return err_set(e, WATTQ_E_PROTOCOL, "malformed message: %s at byte %zu", what,
                   (size_t)(c->p - c->start));
}

/* Types 0xc0 .. 0xdf; width is the length of the value (FIXED) or of its count. */
static const struct {
    uint8_t form, width;
} forms[32] = {
    {FIXED, 0}, {BAD, 0},   {FIXED, 0}, {FIXED, 0},           /* nil, never used, false, true */
    {BIN, 1},   {BIN, 2},   {BIN, 4},                         /* bin 8 16 32 */
    {EXT, 0},   {EXT, 0},   {EXT, 0},                         /* ext 8 16 32 */
    {FIXED, 4}, {FIXED, 8},                                   /* float 32 64 */
    {FIXED, 1}, {FIXED, 2}, {FIXED, 4}, {FIXED, 8},           /* uint 8 16 32 64 */
    {FIXED, 1}, {FIXED, 2}, {FIXED, 4}, {FIXED, 8},           /* int 8 16 32 64 */
    {EXT, 0},   {EXT, 0},   {EXT, 0},   {EXT, 0},   {EXT, 0}, /* fixext 1 .. 16 */
    {STR, 1},   {STR, 2},   {STR, 4},                         /* str 8 16 32 */
    {ARRAY, 2}, {ARRAY, 4}, {MAP, 2},   {MAP, 4},
};

/* The type byte and the count behind it. Leaves p at the payload. */
static int read_head(struct cursor *c, struct item *it, struct err *e)
{
    if (c->p == c->end)
        return malformed(c, e, "it ends inside a value");
    uint8_t t = *c->p;
    unsigned width = 0;
    if (t < 0x80 || t >= 0xe0) {
        *it = (struct item){FIXED, 0};
    } else if (t < 0xc0) {
        *it = t < 0x90   ? (struct item){MAP, t & 0x0fu}
              : t < 0xa0 ? (struct item){ARRAY, t & 0x0fu}
                         : (struct item){STR, t & 0x1fu};
    } else {
        it->form = (enum form)forms[t - 0xc0].form;
        width = forms[t - 0xc0].width;
        it->n = width;
    }
    if (it->form == BAD)
        return malformed(c, e, "unused type");
    if (it->form == EXT)
        return malformed(c, e, "extension type");
    c->p++;
    if (it->form == FIXED || width == 0)
        return 0;
    if ((size_t)(c->end - c->p) < width)
        return malformed(c, e, "it ends inside a length");
    it->n = load_be(c->p, width);
    c->p += width;
    return 0;
}

/* Every element is at least one byte, so a count over the bytes left cannot be true. */
static int enter(struct cursor *c, const struct item *it, struct err *e)
{
    uint64_t values = it->form == MAP ? 2 * (uint64_t)it->n : it->n;
    if (values > (uint64_t)(c->end - c->p))
        return malformed(c, e, "it claims more elements than it has bytes");
    if (it->form == MAP && it->n > WIRE_MAP_KEYS_MAX)
        return malformed(c, e, "map with too many keys");
    if (c->depth == WIRE_DEPTH_MAX)
        return malformed(c, e, "nested too deeply");
    c->left[c->depth] = values;
    c->is_map[c->depth] = it->form == MAP;
    c->depth++;
    return 0;
}

static int check_key(const struct cursor *c, const struct item *it, struct err *e)
{
    if (it->form != STR)
        return malformed(c, e, "key that is not a string");
    if (it->n > KEY_BYTES_MAX)
        return malformed(c, e, "key over 64 bytes");
    if (it->n > (size_t)(c->end - c->p))
        return malformed(c, e, "it ends inside a string");
    if (memchr(c->p, '\0', it->n) || !wire_utf8_ok((const char *)c->p, it->n))
        return malformed(c, e, "key that is not text");
    return 0;
}

static int check_value(struct cursor *c, bool key, struct err *e)
{
    struct item it = {FIXED, 0};
    int rc = read_head(c, &it, e);
    if (rc == 0 && key)
        rc = check_key(c, &it, e);
    if (rc < 0)
        return rc;
    if (it.form == ARRAY || it.form == MAP)
        return enter(c, &it, e);
    if (it.n > (size_t)(c->end - c->p))
        return malformed(c, e, "it ends inside a value");
    c->p += it.n;
    return 0;
}

int wire_check(const uint8_t *body, size_t bytes, struct err *e)
{
    struct cursor c = {.start = body, .p = body, .end = body + bytes};
    if (bytes > WIRE_FRAME_MAX)
        return err_set(e, WATTQ_E_LIMIT, "message of %zu bytes; at most %u are taken", bytes,
                       WIRE_FRAME_MAX);
    struct item root = {FIXED, 0};
    int rc = read_head(&c, &root, e);
    if (rc == 0 && root.form != MAP)
        rc = malformed(&c, e, "not a map");
    if (rc == 0)
        rc = enter(&c, &root, e);
    while (rc == 0 && c.depth > 0) {
        unsigned d = c.depth - 1;
        if (c.left[d] == 0)
            c.depth = d;
        else
            /* Keys and values alternate: an even number left means that a key is next. */
            rc = check_value(&c, c.left[d]-- % 2 == 0 && c.is_map[d], e);
    }
    if (rc == 0 && c.p != c.end)
        rc = malformed(&c, e, "bytes after the end");
    return rc;
}

int wire_frame_bytes(const uint8_t *data, size_t have, size_t max, size_t *total, struct err *e)
{
    *total = 0;
    if (have < WIRE_HEADER_BYTES)
        return 0;
    size_t body = load_be(data, WIRE_HEADER_BYTES);
    if (body > max)
        return err_set(e, WATTQ_E_LIMIT, "frame of %zu bytes; at most %zu are taken here", body,
                       max);
    *total = WIRE_HEADER_BYTES + body;
    return 0;
}

bool wire_utf8_ok(const char *s, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        size_t n = base_utf8(s + i, bytes - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* ---- reading ----------------------------------------------------------------------------------- */

struct wire_val {
    msgpack_object o;
};

struct wire_msg {
    struct wire_val root;
    msgpack_unpacked unpacked;
    char *body;
};

/* msgpack-c lets strings point into the body. The byte behind one is the next value's type byte, which
 * nobody needs once everything is decoded, or the spare byte at the end: so it can become the NUL. Of an
 * empty string it leaves the pointer anywhere. */
static void terminate_str(msgpack_object *o, struct wire_msg *m)
{
    if (o->type != MSGPACK_OBJECT_STR)
        return;
    if (o->via.str.size == 0)
        o->via.str.ptr = "";
    else
        m->body[(size_t)(o->via.str.ptr - m->body) + o->via.str.size] = '\0';
}

/* Depth is bounded by wire_check. */
static void terminate_all(msgpack_object *o, struct wire_msg *m)
{
    terminate_str(o, m);
    if (o->type == MSGPACK_OBJECT_ARRAY)
        for (uint32_t i = 0; i < o->via.array.size; i++)
            terminate_all(&o->via.array.ptr[i], m);
    if (o->type == MSGPACK_OBJECT_MAP)
        for (uint32_t i = 0; i < o->via.map.size; i++) {
            terminate_str(&o->via.map.ptr[i].key, m);
            terminate_all(&o->via.map.ptr[i].val, m);
        }
}

int wire_msg_new(struct wire_msg **out, const uint8_t *body, size_t bytes, struct err *e)
{
    *out = NULL;
    int rc = wire_check(body, bytes, e);
    if (rc < 0)
        return rc;
    struct wire_msg *m CLEANUP(wire_msg_freep) = base_alloc(sizeof(*m));
    msgpack_unpacked_init(&m->unpacked);
    m->body = malloc(bytes + 1);
    if (!m->body)
        return err_set(e, WATTQ_E_LIMIT, "no memory for a message of %zu bytes", bytes);
    memcpy(m->body, body, bytes);
    m->body[bytes] = '\0';
    size_t at = 0;
    if (msgpack_unpack_next(&m->unpacked, m->body, bytes, &at) != MSGPACK_UNPACK_SUCCESS)
        return err_set(e, WATTQ_E_PROTOCOL, "malformed message");
    m->root.o = m->unpacked.data;
    terminate_all(&m->root.o, m);
    *out = m;
    m = NULL;
    return 0;
}

void wire_msg_free(struct wire_msg *m)
{
    if (!m)
        return;
    msgpack_unpacked_destroy(&m->unpacked);
    free(m->body);
    free(m);
}

void wire_msg_freep(struct wire_msg **m)
{
    wire_msg_free(*m);
}

const struct wire_val *wire_msg_root(const struct wire_msg *m)
{
    return &m->root;
}

static const struct wire_val *as_val(const msgpack_object *o)
{
    return container_of((void *)(uintptr_t)o, struct wire_val, o);
}

enum wire_type wire_type(const struct wire_val *v)
{
    if (!v)
        return WIRE_NIL;
    switch (v->o.type) {
    case MSGPACK_OBJECT_BOOLEAN:
        return WIRE_BOOL;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return WIRE_INT;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return WIRE_F64;
    case MSGPACK_OBJECT_STR:
        return WIRE_STR;
    case MSGPACK_OBJECT_BIN:
        return WIRE_BIN;
    case MSGPACK_OBJECT_ARRAY:
        return WIRE_ARRAY;
    case MSGPACK_OBJECT_MAP:
        return WIRE_MAP;
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_EXT:
        break;
    }
    return WIRE_NIL;
}

size_t wire_len(const struct wire_val *v)
{
    switch (wire_type(v)) {
    case WIRE_STR:
        return v->o.via.str.size;
    case WIRE_BIN:
        return v->o.via.bin.size;
    case WIRE_ARRAY:
        return v->o.via.array.size;
    case WIRE_MAP:
        return v->o.via.map.size;
    case WIRE_NIL:
    case WIRE_BOOL:
    case WIRE_INT:
    case WIRE_F64:
        break;
    }
    return 0;
}

const struct wire_val *wire_at(const struct wire_val *v, size_t i)
{
    if (i >= wire_len(v))
        return NULL;
    if (v->o.type == MSGPACK_OBJECT_ARRAY)
        return as_val(&v->o.via.array.ptr[i]);
    return v->o.type == MSGPACK_OBJECT_MAP ? as_val(&v->o.via.map.ptr[i].val) : NULL;
}

const char *wire_key_at(const struct wire_val *v, size_t i, size_t *bytes)
{
    if (wire_type(v) != WIRE_MAP || i >= v->o.via.map.size)
        return NULL;
    const msgpack_object *key = &v->o.via.map.ptr[i].key;
    if (bytes)
        *bytes = key->via.str.size;
    return key->via.str.ptr;
}

const struct wire_val *wire_get(const struct wire_val *map, const char *key)
{
    if (wire_type(map) != WIRE_MAP)
        return NULL;
    for (uint32_t i = 0; i < map->o.via.map.size; i++)
        if (!strcmp(map->o.via.map.ptr[i].key.via.str.ptr, key))
            return as_val(&map->o.via.map.ptr[i].val);
    return NULL;
}

const char *wire_as_str(const struct wire_val *v, const char *dflt)
{
    if (wire_type(v) != WIRE_STR)
        return dflt;
    const msgpack_object_str *s = &v->o.via.str;
    /* A NUL inside is no valid sequence either (row 1 of the table starts at 0x01). */
    return wire_utf8_ok(s->ptr, s->size) ? s->ptr : dflt;
}

const char *wire_as_bytes(const struct wire_val *v)
{
    return wire_type(v) == WIRE_BIN ? v->o.via.bin.ptr : NULL;
}

int64_t wire_as_int(const struct wire_val *v, int64_t dflt)
{
    const double two63 = 9223372036854775808.0;
    if (wire_type(v) == WIRE_F64) {
        double d = v->o.via.f64;
        return d >= -two63 && d < two63 && d == floor(d) ? (int64_t)d : dflt;
    }
    if (wire_type(v) != WIRE_INT)
        return dflt;
    if (v->o.type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        return v->o.via.i64;
    return v->o.via.u64 <= INT64_MAX ? (int64_t)v->o.via.u64 : dflt;
}

double wire_as_f64(const struct wire_val *v, double dflt)
{
    if (wire_type(v) == WIRE_F64)
        return v->o.via.f64;
    if (wire_type(v) != WIRE_INT)
        return dflt;
    return v->o.type == MSGPACK_OBJECT_NEGATIVE_INTEGER ? (double)v->o.via.i64
                                                        : (double)v->o.via.u64;
}

const char *wire_str(const struct wire_val *map, const char *key, const char *dflt)
{
    return wire_as_str(wire_get(map, key), dflt);
}

int64_t wire_int(const struct wire_val *map, const char *key, int64_t dflt)
{
    return wire_as_int(wire_get(map, key), dflt);
}

double wire_f64(const struct wire_val *map, const char *key, double dflt)
{
    return wire_as_f64(wire_get(map, key), dflt);
}

bool wire_as_bool(const struct wire_val *v, bool dflt)
{
    return wire_type(v) == WIRE_BOOL ? v->o.via.boolean : dflt;
}

bool wire_bool(const struct wire_val *map, const char *key, bool dflt)
{
    return wire_as_bool(wire_get(map, key), dflt);
}

const void *wire_bin(const struct wire_val *map, const char *key, size_t *bytes)
{
    const struct wire_val *v = wire_get(map, key);
    *bytes = 0;
    if (wire_type(v) != WIRE_BIN)
        return NULL;
    *bytes = v->o.via.bin.size;
    return v->o.via.bin.ptr;
}

void wire_put_val(struct wire_out *o, const char *key, const struct wire_val *v)
{
    switch (wire_type(v)) {
    case WIRE_NIL:
        wire_put_nil(o, key);
        break;
    case WIRE_BOOL:
        wire_put_bool(o, key, v->o.via.boolean);
        break;
    case WIRE_INT:
        wire_put_int(o, key, wire_as_int(v, 0));
        break;
    case WIRE_F64:
        wire_put_f64(o, key, wire_as_f64(v, 0));
        break;
    case WIRE_STR:
        wire_put_strn(o, key, v->o.via.str.ptr, wire_len(v));
        break;
    case WIRE_BIN:
        wire_put_bin(o, key, wire_as_bytes(v), wire_len(v));
        break;
    case WIRE_ARRAY:
        wire_begin_array(o, key);
        for (size_t i = 0; i < wire_len(v); i++)
            wire_put_val(o, NULL, wire_at(v, i));
        wire_end(o);
        break;
    case WIRE_MAP:
        wire_begin_map(o, key);
        for (size_t i = 0; i < wire_len(v); i++)
            wire_put_val(o, wire_key_at(v, i, NULL), wire_at(v, i));
        wire_end(o);
        break;
    }
}
