#include "common/warrant.h"

#include <string.h>

#define ORDER_TAG "wattq order 1" /* so that no other hash of ours is an order's */

static void add_number(struct sha256 *s, uint64_t v)
{
    uint8_t b[8];
    for (size_t i = 0; i < sizeof(b); i++)
        b[i] = (uint8_t)(v >> (8 * i));
    sha256_add(s, b, sizeof(b));
}

static void add_string(struct sha256 *s, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    add_number(s, n);
    if (n)
        sha256_add(s, text, n);
}

void order_hash(const struct order *o, uint8_t out[SHA256_BYTES])
{
    struct sha256 s;
    size_t argc = 0;
    while (o->argv[argc])
        argc++;
    sha256_init(&s);
    add_string(&s, ORDER_TAG);
    add_number(&s, o->kind);
    add_number(&s, o->umask);
    add_string(&s, o->cwd);
    add_string(&s, o->stdin_path);
    add_string(&s, o->env_hash);
    add_number(&s, argc);
    for (size_t i = 0; i < argc; i++)
        add_string(&s, o->argv[i]);
    if (o->on_end && *o->on_end)
        add_string(&s, o->on_end);
    sha256_end(&s, out);
}

void order_env_hash(char *const *env, char out[SHA256_HEX])
{
    struct sha256 s;
    sha256_init(&s);
    for (; env && *env; env++)
        sha256_add(&s, *env, strlen(*env) + 1);
    sha256_end_hex(&s, out);
}

/* ---- warrants ------------------------------------------------------------------------------------ */

size_t warrant_bytes(const struct warrant *w)
{
    size_t n = w->n < WARRANT_RUNS_MAX ? w->n : WARRANT_RUNS_MAX;
    return offsetof(struct warrant, leaves) + n * SHA256_BYTES;
}

int warrant_find(const struct warrant *w, const uint8_t leaf[SHA256_BYTES])
{
    for (uint32_t i = 0; i < w->n && i < WARRANT_RUNS_MAX; i++)
        if (memcmp(w->leaves[i], leaf, SHA256_BYTES) == 0)
            return (int)i;
    return -1;
}

int warrant_parse(struct warrant *w, const void *data, size_t bytes, struct err *e)
{
    const size_t head = offsetof(struct warrant, leaves);
    memset(w, 0, sizeof(*w));
    if (bytes < head)
        return err_set(e, WATTQ_E_INVALID, "a warrant of %zu bytes cannot be whole", bytes);
    memcpy(w, data, head);
    if (w->version != WARRANT_VERSION || w->reserved != 0)
        return err_set(e, WATTQ_E_INVALID, "the warrant is one of another version");
    if (w->n < 1 || w->n > WARRANT_RUNS_MAX || bytes != warrant_bytes(w))
        return err_set(e, WATTQ_E_INVALID, "the warrant's length is not that of its runs");
    memcpy(w->leaves, (const uint8_t *)data + head, bytes - head);
    for (uint32_t i = 0; i < w->n; i++)
        if (warrant_find(w, w->leaves[i]) != (int)i)
            return err_set(e, WATTQ_E_INVALID, "the warrant names a run twice");
    return 0;
}

static void mac(const struct warrant *w, const uint8_t key[SHA256_BYTES], uint8_t out[SHA256_BYTES])
{
    struct hmac m;
    hmac_init(&m, key, SHA256_BYTES);
    hmac_add(&m, w, offsetof(struct warrant, mac));
    hmac_add(&m, w->leaves, warrant_bytes(w) - offsetof(struct warrant, leaves));
    hmac_end(&m, out);
}

void warrant_sign(struct warrant *w, const uint8_t key[SHA256_BYTES])
{
    mac(w, key, w->mac);
}

bool warrant_genuine(const struct warrant *w, const uint8_t key[SHA256_BYTES])
{
    uint8_t want[SHA256_BYTES];
    if (w->n > WARRANT_RUNS_MAX)
        return false;
    mac(w, key, want);
    return hmac_equal(want, w->mac);
}
