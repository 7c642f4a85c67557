/* wire: whatever wire_check lets through, msgpack-c decodes without asking for more than a small multiple of
 * the bytes, and every accessor stays inside. */
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void walk(const struct wire_val *v)
{
    size_t n = 0;
    for (size_t i = 0; i < wire_len(v) && wire_type(v) >= WIRE_ARRAY; i++) {
        const char *key = wire_key_at(v, i, &n);
        if (wire_type(v) == WIRE_MAP && (!key || strlen(key) != n || !wire_get(v, key)))
            abort();
        walk(wire_at(v, i));
    }
    const char *s = wire_as_str(v, NULL);
    if (s && strlen(s) != wire_len(v))
        abort();
    sink += s ? strlen(s) : 0;
    const char *b = wire_as_bytes(v);
    for (size_t i = 0; b && i < wire_len(v); i++)
        sink += (unsigned char)b[i];
    sink += (size_t)wire_as_int(v, 0) + (wire_as_f64(v, 0) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_msg *m = NULL;
    size_t total = 0;
    (void)!wire_frame_bytes(data, size, WIRE_FRAME_MAX, &total, NULL);
    int checked = wire_check(data, size, NULL);
    int rc = wire_msg_new(&m, data, size, NULL);
    if (rc != checked || (rc == 0) != (m != NULL))
        abort(); /* what the walk accepts, the decoder must */
    if (m)
        walk(wire_msg_root(m));
    wire_msg_free(m);
    return 0;
}
