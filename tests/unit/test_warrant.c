/* Orders, warrants, HMAC-SHA-256: what is under a mac cannot be changed, and no two orders hash alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/warrant.h"

static const uint8_t key[SHA256_BYTES] = {1, 2, 3};

static void hmac_hex(const void *k, size_t kn, const void *data, size_t n, char out[SHA256_HEX])
{
    struct hmac m;
    uint8_t sum[SHA256_BYTES];
    hmac_init(&m, k, kn);
    hmac_add(&m, data, n / 2);
    hmac_add(&m, (const char *)data + n / 2, n - n / 2);
    hmac_end(&m, sum);
    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

/* source: RFC 4231, section 4 */
static void rfc4231(void **state)
{
    (void)state;
    uint8_t k[131], d[50];
    char hex[SHA256_HEX];
    memset(k, 0x0b, 20);
    hmac_hex(k, 20, "Hi There", 8, hex);
    assert_string_equal(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hmac_hex("Jefe", 4, "what do ya want for nothing?", 28, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(k, 0xaa, sizeof(k));
    memset(d, 0xdd, sizeof(d));
    hmac_hex(k, 20, d, 50, hex);
    assert_string_equal(hex, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    for (uint8_t i = 0; i < 25; i++)
        k[i] = (uint8_t)(i + 1);
    memset(d, 0xcd, sizeof(d));
    hmac_hex(k, 25, d, 50, hex);
    assert_string_equal(hex, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    memset(k, 0xaa, sizeof(k));
    const char *six = "Test Using Larger Than Block-Size Key - Hash Key First";
    hmac_hex(k, 131, six, strlen(six), hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    const char *seven = "This is a test using a larger than block-size key and a larger than "
                        "block-size data. The key needs to be hashed before being used by the "
                        "HMAC algorithm.";
    hmac_hex(k, 131, seven, strlen(seven), hex);
    assert_string_equal(hex, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

/* ---- orders -------------------------------------------------------------------------------------- */

static char *words(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void orders_differ(void **state)
{
    (void)state;
    char *ab_c[] = {words("ab"), words("c"), NULL}, *a_bc[] = {words("a"), words("bc"), NULL};
    char *abc[] = {words("abc"), NULL}, *empty[] = {words("ab"), words("c"), words(""), NULL};
    char *swapped[] = {words("c"), words("ab"), NULL};
    char *ab[] = {words("ab"), NULL};
    const struct order o[] = {
        {0, 022, "/a", "", ab_c, "e", NULL},    {0, 022, "/a", "", a_bc, "e", NULL},
        {0, 022, "/a", "", abc, "e", NULL},     {0, 022, "/a", "", empty, "e", NULL},
        {0, 022, "/a", "", swapped, "e", NULL}, {1, 022, "/a", "", ab_c, "e", NULL},
        {0, 027, "/a", "", ab_c, "e", NULL},    {0, 022, "/ab", "", ab_c, "e", NULL},
        {0, 022, "/a", "/b", ab_c, "e", NULL},  {0, 022, "/a/b", "", ab_c, "e", NULL},
        {0, 022, "/a", "", ab_c, "f", NULL},    {0, 022, "/a", "e", ab_c, "", NULL},
        {0, 022, "/a", "", ab_c, "e", "true"},  {0, 022, "/a", "", ab_c, "e", "false"},
        {0, 022, "/a", "", ab, "e", "c"},
    };
    uint8_t h[ARRAY_LEN(o)][SHA256_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        order_hash(&o[i], h[i]);
        for (size_t j = 0; j < i; j++)
            if (memcmp(h[i], h[j], SHA256_BYTES) == 0)
                fail_msg("orders %zu and %zu hash alike", i, j);
    }
    /* No input and an empty name mean the same, and so do no command and an empty one. */
    struct order none = o[0];
    uint8_t again[SHA256_BYTES];
    none.stdin_path = NULL;
    none.on_end = "";
    order_hash(&none, again);
    assert_memory_equal(again, h[0], SHA256_BYTES);
}

static void env_is_hashed_as_its_block(void **state)
{
    (void)state;
    char *env[] = {words("A=1"), words("B="), NULL};
    char hex[SHA256_HEX], want[SHA256_HEX];
    order_env_hash(env, hex);
    sha256_hex("A=1\0B=", 7, want);
    assert_string_equal(hex, want);
    order_env_hash(NULL, hex);
    sha256_hex("", 0, want);
    assert_string_equal(hex, want);
}

/* ---- warrants ------------------------------------------------------------------------------------ */

static struct warrant *sample(uint32_t n)
{
    struct warrant *w = base_alloc(sizeof(*w));
    w->version = WARRANT_VERSION;
    w->n = n;
    w->uid = 1000;
    w->made_utc_s = 1;
    w->until_utc_s = 2;
    w->starts_max = n;
    for (uint32_t i = 0; i < n; i++)
        memcpy(w->leaves[i], &i, sizeof(i));
    warrant_sign(w, key);
    return w;
}

static void every_bit_is_under_the_mac(void **state)
{
    (void)state;
    struct warrant *w = sample(2);
    size_t bytes = warrant_bytes(w);
    assert_true(warrant_genuine(w, key));
    assert_false(warrant_genuine(w, (const uint8_t[SHA256_BYTES]){1, 2, 4}));
    for (size_t i = 0; i < bytes * 8; i++) {
        ((uint8_t *)w)[i / 8] ^= (uint8_t)(1u << (i % 8));
        assert_false(warrant_genuine(w, key));
        ((uint8_t *)w)[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    assert_true(warrant_genuine(w, key));
    free(w);
}

static void parses_what_was_written(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, WARRANT_RUNS_MAX};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct warrant *w = sample(counts[i]), *got = base_alloc(sizeof(*got));
        size_t bytes = warrant_bytes(w);
        struct err e;
        assert_int_equal(warrant_parse(got, w, bytes, &e), 0);
        assert_memory_equal(got, w, bytes);
        assert_true(warrant_genuine(got, key));
        assert_int_equal(warrant_find(got, w->leaves[counts[i] - 1]), counts[i] - 1);
        assert_int_equal(warrant_find(got, key), -1);
        assert_int_equal(warrant_parse(got, w, bytes - 1, &e), WATTQ_E_INVALID);
        assert_int_equal(warrant_parse(got, w, bytes > 100 ? 87 : 0, &e), WATTQ_E_INVALID);
        free(got);
        free(w);
    }
}

static void refuses_what_is_not_one(void **state)
{
    (void)state;
    struct warrant *w = sample(3), *got = base_alloc(sizeof(*got));
    size_t bytes = warrant_bytes(w);
    struct err e;
    memcpy(w->leaves[2], w->leaves[0], SHA256_BYTES);
    assert_int_equal(warrant_parse(got, w, bytes, &e), WATTQ_E_INVALID); /* a leaf twice */
    w->leaves[2][0] = 9;
    assert_int_equal(warrant_parse(got, w, bytes, &e), 0);
    w->version++;
    assert_int_equal(warrant_parse(got, w, bytes, &e), WATTQ_E_INVALID);
    w->version--;
    static const uint32_t wrong[] = {0, 2, 4, WARRANT_RUNS_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        w->n = wrong[i];
        assert_int_equal(warrant_parse(got, w, bytes, &e), WATTQ_E_INVALID);
    }
    free(got);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc4231),
        cmocka_unit_test(orders_differ),
        cmocka_unit_test(env_is_hashed_as_its_block),
        cmocka_unit_test(every_bit_is_under_the_mac),
        cmocka_unit_test(parses_what_was_written),
        cmocka_unit_test(refuses_what_is_not_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
