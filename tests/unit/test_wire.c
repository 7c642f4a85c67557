/* wire: what is built can be read back; what is malformed is refused before msgpack-c may allocate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "common/wire.h"

static struct wire_msg *reread(const struct wire_out *o)
{
    struct wire_msg *m = NULL;
    struct err e = {0};
    size_t total = 0;
    assert_int_equal(wire_frame_bytes(o->data, o->bytes, WIRE_FRAME_MAX, &total, &e), 0);
    assert_int_equal(total, o->bytes);
    if (wire_msg_new(&m, o->data + 4, o->bytes - 4, &e) < 0)
        fail_msg("%s", e.text);
    return m;
}

static void test_every_type_comes_back(void **state)
{
    (void)state;
    struct wire_out o = {0};
    wire_out_reset(&o);
    wire_put_str(&o, "str", "a\"ü");
    wire_put_str(&o, "null", NULL);
    wire_put_bin(&o, "bin", "\0\1\2", 3);
    wire_put_bin(&o, "empty", NULL, 0);
    wire_put_int(&o, "min", INT64_MIN);
    wire_put_int(&o, "max", INT64_MAX);
    wire_put_f64(&o, "f", 0.1);
    wire_put_f64(&o, "whole", 42.0);
    wire_put_bool(&o, "yes", true);
    wire_put_nil(&o, "nil");
    wire_begin_array(&o, "list");
    wire_put_int(&o, NULL, 7);
    wire_put_str(&o, NULL, "");
    wire_begin_map(&o, NULL);
    wire_put_str(&o, "deep", "x");
    wire_end(&o);
    wire_end(&o);
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    struct wire_msg *m = reread(&o);
    const struct wire_val *r = wire_msg_root(m);
    assert_int_equal(wire_len(r), 11);
    assert_string_equal(wire_str(r, "str", ""), "a\"ü");
    assert_null(wire_str(r, "null", NULL));
    size_t n = 0;
    assert_memory_equal(wire_bin(r, "bin", &n), "\0\1\2", 3);
    assert_int_equal(n, 3);
    assert_non_null(wire_bin(r, "empty", &n));
    assert_int_equal(n, 0);
    assert_true(wire_int(r, "min", 0) == INT64_MIN);
    assert_true(wire_int(r, "max", 0) == INT64_MAX);
    assert_true(wire_f64(r, "f", 0) == 0.1);
    assert_int_equal(wire_int(r, "whole", 0), 42);
    assert_int_equal(wire_int(r, "f", -1), -1); /* 0.1 is no whole number */
    assert_true(wire_bool(r, "yes", false));
    assert_int_equal(wire_type(wire_get(r, "nil")), WIRE_NIL);
    assert_int_equal(wire_type(wire_get(r, "absent")), WIRE_NIL);
    assert_int_equal(wire_int(r, "str", 5), 5);
    const struct wire_val *list = wire_get(r, "list");
    assert_int_equal(wire_len(list), 3);
    assert_int_equal(wire_as_int(wire_at(list, 0), 0), 7);
    assert_string_equal(wire_as_str(wire_at(list, 1), "?"), "");
    assert_string_equal(wire_str(wire_at(list, 2), "deep", ""), "x");
    assert_null(wire_at(list, 3));
    wire_msg_free(m);
    wire_out_free(&o);
}

/* ---- random messages: a builder that remembers nothing but its seed, read back with the same seed ---- */

static uint64_t next(uint64_t *s) /* splitmix64 */
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Of every length from 1 to 64 bits. */
static int64_t random_int(uint64_t *s)
{
    uint64_t v = next(s);
    return (int64_t)(v >> (next(s) % 64));
}

static void random_text(uint64_t *s, char *out, size_t cap)
{
    size_t n = next(s) % cap;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(' ' + next(s) % 95);
    out[n] = '\0';
}

static void build(struct wire_out *o, uint64_t *s, bool map, int depth)
{
    size_t n = next(s) % 6;
    for (size_t i = 0; i < n; i++) {
        char key[16];
        char text[300];
        snprintf(key, sizeof(key), "k%zu", i);
        const char *k = map ? key : NULL;
        switch (next(s) % (depth < WIRE_DEPTH_MAX ? 6 : 4)) {
        case 0:
            wire_put_int(o, k, random_int(s));
            break;
        case 1:
            random_text(s, text, sizeof(text));
            wire_put_str(o, k, text);
            break;
        case 2:
            wire_put_f64(o, k, (double)(int64_t)next(s) / 3);
            break;
        case 3:
            wire_put_bool(o, k, next(s) & 1);
            break;
        case 4:
            wire_begin_map(o, k);
            build(o, s, true, depth + 1);
            wire_end(o);
            break;
        default:
            wire_begin_array(o, k);
            build(o, s, false, depth + 1);
            wire_end(o);
        }
    }
}

static void compare(const struct wire_val *v, uint64_t *s, int depth)
{
    size_t n = next(s) % 6;
    assert_int_equal(wire_len(v), n);
    for (size_t i = 0; i < n; i++) {
        char text[300];
        const struct wire_val *x = wire_at(v, i);
        switch (next(s) % (depth < WIRE_DEPTH_MAX ? 6 : 4)) {
        case 0:
            assert_true(wire_as_int(x, 1) == random_int(s));
            break;
        case 1:
            random_text(s, text, sizeof(text));
            assert_string_equal(wire_as_str(x, "?"), text);
            break;
        case 2:
            assert_true(wire_as_f64(x, 0) == (double)(int64_t)next(s) / 3);
            break;
        case 3:
            assert_int_equal(wire_type(x), WIRE_BOOL);
            (void)next(s);
            break;
        default:
            compare(x, s, depth + 1);
        }
    }
}

static void test_random_messages_come_back(void **state)
{
    (void)state;
    uint64_t seed =
        getenv("WATTQ_SEED") ? strtoull(getenv("WATTQ_SEED"), NULL, 0) : (uint64_t)time(NULL);
    print_message("seed %llu (WATTQ_SEED)\n", (unsigned long long)seed);
    struct wire_out o = {0};
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t a = seed + i;
        uint64_t b = a;
        wire_out_reset(&o);
        build(&o, &a, true, 1);
        assert_int_equal(wire_out_finish(&o, NULL), 0);
        struct wire_msg *m = reread(&o);
        compare(wire_msg_root(m), &b, 1);
        wire_msg_free(m);
        /* No prefix of a good body is good, and no longer one either. */
        for (size_t n = 0; n + 4 < o.bytes; n += 1 + o.bytes / 40)
            assert_int_equal(wire_check(o.data + 4, n, NULL), WATTQ_E_PROTOCOL);
    }
    wire_out_free(&o);
}

/* ---- malformed bodies --------------------------------------------------------------------------- */

#define BODY(s) (s), sizeof(s) - 1

static const struct {
    const char *what;
    const char *body;
    size_t bytes;
    const char *says;
} bad[] = {
    {"empty", BODY(""), "ends inside"},
    {"not a map: int", BODY("\x01"), "not a map"},
    {"not a map: array", BODY("\x90"), "not a map"},
    {"array of 2^28 in five bytes", BODY("\xdd\x10\x00\x00\x00"), "not a map"},
    {"map of 2^28 pairs: 8 GiB", BODY("\xdf\x10\x00\x00\x00"), "more elements"},
    {"map of 2^32-1 pairs", BODY("\xdf\xff\xff\xff\xff"), "more elements"},
    {"inner array of 2^32-1", BODY("\x81\xa1\x61\xdd\xff\xff\xff\xff"), "more elements"},
    {"count over what is left by one", BODY("\x81\xa1\x61\x92\x01"), "more elements"},
    {"str of 4 GiB", BODY("\x81\xa1\x61\xdb\xff\xff\xff\xff"), "ends inside"},
    {"bin of 64 KiB", BODY("\x81\xa1\x61\xc5\xff\xff"), "ends inside"},
    {"length cut", BODY("\x81\xa1\x61\xdb\xff"), "inside a length"},
    {"value missing", BODY("\x81\xa1\x61"), "ends inside"},
    {"int64 cut", BODY("\x81\xa1\x61\xd3\x00\x00"), "ends inside"},
    {"key is an int", BODY("\x81\x01\x01"), "not a string"},
    {"key is a map", BODY("\x82\x80\x01\x80\x01"), "not a string"},
    {"key is bin", BODY("\x81\xc4\x01\x61\x01"), "not a string"},
    {"key with NUL", BODY("\x81\xa2\x61\x00\x01"), "not text"},
    {"key with bad UTF-8", BODY("\x81\xa1\xff\x01"), "not text"},
    {"never used type", BODY("\x81\xa1\x61\xc1"), "unused type"},
    {"fixext 1", BODY("\x81\xa1\x61\xd4\x01\x00"), "extension"},
    {"ext 8", BODY("\x81\xa1\x61\xc7\x00\x01"), "extension"},
    {"ext 32", BODY("\x81\xa1\x61\xc9\xff\xff\xff\xff\x01"), "extension"},
    {"bytes behind", BODY("\x80\x00"), "after the end"},
    {"two maps", BODY("\x80\x80"), "after the end"},
    {"nine deep", BODY("\x81\xa1\x61\x91\x91\x91\x91\x91\x91\x91\x91\x01"), "too deeply"},
};

static void test_malformed_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        struct wire_msg *m = NULL;
        /* An exact-size copy: a read past the end is seen by the address sanitizer. */
        uint8_t *copy = malloc(bad[i].bytes ? bad[i].bytes : 1);
        memcpy(copy, bad[i].body, bad[i].bytes);
        int rc = wire_msg_new(&m, copy, bad[i].bytes, &e);
        free(copy);
        if (rc != WATTQ_E_PROTOCOL || m || !strstr(e.text, bad[i].says))
            fail_msg("%s: rc %d, \"%s\"", bad[i].what, rc, e.text);
    }
}

static void test_limits_are_where_they_are_said_to_be(void **state)
{
    (void)state;
    uint8_t deep[] = "\x81\xa1\x61\x91\x91\x91\x91\x91\x91\x91\x01";
    assert_int_equal(wire_check(deep, sizeof(deep) - 1, NULL), 0); /* eight deep */
    struct wire_out o = {0};
    for (int keys = WIRE_MAP_KEYS_MAX; keys <= WIRE_MAP_KEYS_MAX + 1; keys++) {
        wire_out_reset(&o);
        for (int i = 0; i < keys; i++) {
            char key[8];
            snprintf(key, sizeof(key), "%d", i);
            wire_put_nil(&o, key);
        }
        assert_int_equal(wire_out_finish(&o, NULL), keys > 256 ? WATTQ_E_LIMIT : 0);
    }
    char key[66];
    memset(key, 'k', sizeof(key));
    uint8_t body[70] = {0x81, 0xd9, 64};
    memcpy(body + 3, key, 65);
    body[67] = 0xc0;
    assert_int_equal(wire_check(body, 68, NULL), 0);
    body[2] = 65;
    body[68] = 0xc0;
    assert_int_equal(wire_check(body, 69, NULL), WATTQ_E_PROTOCOL);
    wire_out_free(&o);
}

static void test_too_long_a_frame_sticks(void **state)
{
    (void)state;
    struct wire_out o = {0};
    struct err e = {0};
    char *big = calloc(1, WIRE_FRAME_MAX);
    wire_out_reset(&o);
    wire_put_bin(&o, "a", big, WIRE_FRAME_MAX - 100);
    wire_begin_array(&o, "b");
    wire_put_bin(&o, NULL, big, 200);
    wire_put_int(&o, NULL, 1);
    wire_end(&o);
    assert_int_equal(wire_out_finish(&o, &e), WATTQ_E_LIMIT);
    /* And the same memory makes a good frame again. */
    wire_out_reset(&o);
    wire_put_int(&o, "a", 1);
    assert_int_equal(wire_out_finish(&o, &e), 0);
    wire_msg_free(reread(&o));
    wire_out_free(&o);
    free(big);
}

static void test_frame_length(void **state)
{
    (void)state;
    struct err e = {0};
    size_t total = 9;
    assert_int_equal(wire_frame_bytes((const uint8_t *)"\0\0\0", 3, 100, &total, &e), 0);
    assert_int_equal(total, 0);
    assert_int_equal(wire_frame_bytes((const uint8_t *)"\0\0\0\x64", 4, 100, &total, &e), 0);
    assert_int_equal(total, 104);
    assert_int_equal(wire_frame_bytes((const uint8_t *)"\0\0\0\x65", 4, 100, &total, &e),
                     WATTQ_E_LIMIT);
    assert_non_null(strstr(e.text, "101"));
    assert_int_equal(
        wire_frame_bytes((const uint8_t *)"\xff\xff\xff\xff", 4, WIRE_FRAME_MAX, &total, &e),
        WATTQ_E_LIMIT);
}

static void test_text_that_is_none_is_absent(void **state)
{
    (void)state;
    /* a: bad UTF-8, b: NUL inside, c: overlong, d: surrogate, e: fine */
    static const uint8_t body[] = "\x85\xa1"
                                  "a\xa1\xff\xa1"
                                  "b\xa3x\0y\xa1"
                                  "c\xa2\xc0\x80\xa1"
                                  "d\xa3\xed\xa0\x80\xa1"
                                  "e\xa4\xf0\x9f\x94\x8b";
    struct wire_msg *m = NULL;
    assert_int_equal(wire_msg_new(&m, body, sizeof(body) - 1, NULL), 0);
    const struct wire_val *r = wire_msg_root(m);
    for (const char *k = "a\0b\0c\0d\0"; *k; k += 2)
        assert_null(wire_str(r, k, NULL));
    assert_string_equal(wire_str(r, "e", ""), "\xf0\x9f\x94\x8b");
    wire_msg_free(m);
}

static void test_unsigned_over_int64_is_no_int(void **state)
{
    (void)state;
    static const uint8_t body[] = "\x81\xa1"
                                  "a\xcf\xff\xff\xff\xff\xff\xff\xff\xff";
    struct wire_msg *m = NULL;
    assert_int_equal(wire_msg_new(&m, body, sizeof(body) - 1, NULL), 0);
    assert_int_equal(wire_int(wire_msg_root(m), "a", -7), -7);
    wire_msg_free(m);
}

static void test_tagged_frame_is_the_frame_plus_tags(void **state)
{
    (void)state;
    struct wire_out o = {0};
    wire_put_str(&o, "x", "shared");
    assert_int_equal(wire_out_finish(&o, NULL), 0);
    for (uint64_t lost = 0; lost <= 5; lost += 5) {
        struct wire_tag t;
        size_t n = 0;
        wire_tag_init(&t, &o, -3, 77);
        wire_tag_set_lost(t.data, lost);
        const uint8_t *shared = wire_shared(&o, &n);
        struct wire_out whole = {0};
        whole.data = malloc(t.bytes + n);
        memcpy(whole.data, t.data, t.bytes);
        memcpy(whole.data + t.bytes, shared, n);
        whole.bytes = t.bytes + n;
        struct wire_msg *m = reread(&whole);
        assert_int_equal(wire_int(wire_msg_root(m), "id", 0), -3);
        assert_int_equal(wire_int(wire_msg_root(m), "lost", 0), lost);
        assert_int_equal(wire_len(wire_msg_root(m)), 3);
        assert_string_equal(wire_str(wire_msg_root(m), "x", ""), "shared");
        wire_msg_free(m);
        free(whole.data);
    }
    wire_out_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_comes_back),
        cmocka_unit_test(test_random_messages_come_back),
        cmocka_unit_test(test_malformed_is_refused),
        cmocka_unit_test(test_limits_are_where_they_are_said_to_be),
        cmocka_unit_test(test_too_long_a_frame_sticks),
        cmocka_unit_test(test_frame_length),
        cmocka_unit_test(test_text_that_is_none_is_absent),
        cmocka_unit_test(test_unsigned_over_int64_is_no_int),
        cmocka_unit_test(test_tagged_frame_is_the_frame_plus_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
