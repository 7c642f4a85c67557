/* The wire: length-framed msgpack maps. The only user of msgpack in the tree. Pure, any thread.
 *
 * A frame is a u32 big-endian body length and one msgpack map of that many bytes. wire_check walks the
 * raw body first - every count against the bytes that are left, depth <= WIRE_DEPTH_MAX, string keys
 * only - because msgpack-c allocates what a header asks for: five bytes can ask it for 8 GiB. */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include "common/err.h"

#define WIRE_VERSION      1
#define WIRE_HEADER_BYTES 4
#define WIRE_FRAME_MAX    (1u << 20) /* longest body, either way */
#define WIRE_HELLO_MAX    4096u      /* longest body before hello was accepted */
#define WIRE_DEPTH_MAX    8
#define WIRE_MAP_KEYS_MAX 256

/* ---- building ---------------------------------------------------------------------------------- */

/* A growing frame. Zero-initialise, or wire_out_reset to use again; wire_out_free at the end.
 * Errors stick: a frame that got too long makes wire_out_finish fail, nothing else. */
struct wire_out {
    uint8_t *data; /* header and body */
    size_t bytes;
    size_t cap;
    bool overflow;
    unsigned depth;
    size_t count_at[WIRE_DEPTH_MAX + 1]; /* where each open container's count stands */
    uint32_t count[WIRE_DEPTH_MAX + 1];
    bool is_map[WIRE_DEPTH_MAX + 1];
};

struct wire_val; /* below */

void wire_out_reset(struct wire_out *o); /* start a frame: its outermost map is open */
void wire_out_free(struct wire_out *o);
/* Close the outermost map and write the header. 0, or WATTQ_E_LIMIT when the frame is too long. */
int wire_out_finish(struct wire_out *o, struct err *e) MUST_USE;

/* One key and its value in the innermost open map. str NULL writes nil. */
void wire_put_str(struct wire_out *o, const char *key, const char *value);
void wire_put_strn(struct wire_out *o, const char *key, const char *value, size_t bytes);
void wire_put_bin(struct wire_out *o, const char *key, const void *data, size_t bytes);
void wire_put_int(struct wire_out *o, const char *key, int64_t value);
void wire_put_f64(struct wire_out *o, const char *key, double value);
void wire_put_bool(struct wire_out *o, const char *key, bool value);
void wire_put_nil(struct wire_out *o, const char *key);
/* A value out of a message, with all that is in it. */
void wire_put_val(struct wire_out *o, const char *key, const struct wire_val *v);
/* Open a container; key is NULL inside an array. wire_end closes the innermost one. Counts are patched. */
void wire_begin_map(struct wire_out *o, const char *key);
void wire_begin_array(struct wire_out *o, const char *key);
void wire_end(struct wire_out *o);
/* Inside an array, the put functions take key = NULL. */

/* One finished frame for many readers: the header and first keys that differ between them ("id",
 * "lost"), to be written in front of the part they share. */
struct wire_tag {
    uint8_t data[40];
    size_t bytes;
};
void wire_tag_init(struct wire_tag *t, const struct wire_out *o, int64_t id, uint64_t lost);
void wire_tag_set_lost(uint8_t *frame, uint64_t lost); /* in a frame that begins with a tag */
const uint8_t *wire_shared(const struct wire_out *o, size_t *bytes);

/* ---- reading ----------------------------------------------------------------------------------- */

/* Is this body one well-formed map within our limits? Allocates nothing. 0, or WATTQ_E_PROTOCOL. */
int wire_check(const uint8_t *body, size_t bytes, struct err *e) MUST_USE;
/* Length of the frame that starts here: 0 = header incomplete, else header + body. Refuses a body over
 * max with WATTQ_E_LIMIT. */
int wire_frame_bytes(const uint8_t *data, size_t have, size_t max, size_t *total,
                     struct err *e) MUST_USE;

/* Well-formed UTF-8 without NUL: what every string on the wire that is read as text must be. */
bool wire_utf8_ok(const char *s, size_t bytes);

struct wire_msg; /* a decoded body; owns its memory, also the strings handed out */
struct wire_val; /* one value inside a message; lives as long as it */

/* wire_check, then decode. The body is copied. 0, WATTQ_E_PROTOCOL. */
int wire_msg_new(struct wire_msg **out, const uint8_t *body, size_t bytes, struct err *e) MUST_USE;
void wire_msg_free(struct wire_msg *m); /* NULL is fine */
void wire_msg_freep(struct wire_msg **m);
const struct wire_val *wire_msg_root(const struct wire_msg *m);

enum wire_type {
    WIRE_NIL,
    WIRE_BOOL,
    WIRE_INT,
    WIRE_F64,
    WIRE_STR,
    WIRE_BIN,
    WIRE_ARRAY,
    WIRE_MAP
};
enum wire_type wire_type(const struct wire_val *v); /* WIRE_NIL for NULL */
size_t wire_len(const struct wire_val *v); /* elements of an array or map; bytes of str/bin */
const struct wire_val *wire_at(const struct wire_val *v, size_t i); /* array element, map value */
const char *wire_key_at(const struct wire_val *v, size_t i, size_t *bytes); /* map key, NUL ended */
const struct wire_val *wire_get(const struct wire_val *map, const char *key); /* NULL if absent */

/* Typed access with a default for an absent, nil or otherwise typed value. Strings are NUL-terminated
 * and valid UTF-8 without embedded NUL (else treated as absent); ints accept whole floats. */
const char *wire_str(const struct wire_val *map, const char *key, const char *dflt);
int64_t wire_int(const struct wire_val *map, const char *key, int64_t dflt);
double wire_f64(const struct wire_val *map, const char *key, double dflt);
bool wire_bool(const struct wire_val *map, const char *key, bool dflt);
const void *wire_bin(const struct wire_val *map, const char *key,
                     size_t *bytes); /* NULL if absent */
/* The value itself, outside a map. */
const char *wire_as_str(const struct wire_val *v, const char *dflt);
const char *wire_as_bytes(const struct wire_val *v); /* a bin's wire_len() bytes, else NULL */
int64_t wire_as_int(const struct wire_val *v, int64_t dflt);
double wire_as_f64(const struct wire_val *v, double dflt);
bool wire_as_bool(const struct wire_val *v, bool dflt);

#endif
