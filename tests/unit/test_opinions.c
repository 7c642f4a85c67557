/* What watching showed, in the file: which doubts hold for which window, over restarts and boots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/energy/energy.h"
#include "daemon/store/opinions.h"
#include "tests/support/recorder.h"

#define S NS_PER_S

static struct recorder rec;

static void open_two(enum channel_scope scope)
{
    rec_init(&rec);
    rec_add(&rec, "first", CHANNEL_COUNTER)->scope = scope;
    rec_add(&rec, "second", CHANNEL_COUNTER)->scope = SCOPE_PACKAGE;
    rec_open_as(&rec, REC_BOOT, 0);
}

static void note(size_t i, int64_t t_ns, const char *kind, int64_t about)
{
    struct err e = {0};
    rec_must(opinions_note(rec.store, rec.id[i], t_ns, kind, "text", about, &e), &e, "note");
}

static struct channel_opinion look(size_t i, int64_t boot, int64_t t0, int64_t t1)
{
    struct err e = {0};
    struct channel_row row;
    struct channel_opinion o;
    rec_must(samples_channel(rec.store, rec.id[i], &row, &e), &e, "channel");
    rec_must(opinions_of(rec.store, &row, boot, t0, t1, &o, &e), &e, "opinion");
    return o;
}

static void psys_is_unproven_until_a_note_says_so(void **state)
{
    (void)state;
    open_two(SCOPE_PSYS);
    assert_int_equal(look(0, 1, 0, 100 * S).standing.doubt, METER_DOUBT_UNPROVEN);
    assert_int_equal(look(1, 1, 0, 100 * S).standing.doubt, METER_DOUBT_NONE);
    note(0, 1 * S, "unproven", 0);
    note(0, 2 * S, "learned", 0); /* says nothing about doubts */
    assert_int_equal(look(0, 1, 0, 100 * S).standing.doubt, METER_DOUBT_UNPROVEN);
    note(0, 70 * S, "proven", 0);
    assert_int_equal(look(0, 1, 0, 50 * S).standing.doubt, METER_DOUBT_NONE); /* also of before */
    assert_true(look(0, 1, 0, 50 * S).standing.proven);
    /* the wiring outlives a boot, and a proof ends where it is seen to be less */
    rec_close(&rec, true);
    rec_open_as(&rec, "22222222-2222-2222-2222-222222222222", 0);
    assert_int_equal(look(0, 2, 0, 50 * S).standing.doubt, METER_DOUBT_NONE);
    note(0, 5 * S, "lower", rec.id[1]);
    assert_int_equal(look(0, 2, 0, 50 * S).standing.doubt, METER_DOUBT_LOWER);
    assert_int_equal(look(0, 2, 0, 50 * S).about, rec.id[1]);
    assert_int_equal(look(0, 1, 0, 50 * S).standing.doubt, METER_DOUBT_NONE);
    rec_fini(&rec);
}

/* Behaviour belongs to a stretch of time; what a channel is to the whole boot. */
static void windows_meet_only_what_touches_them(void **state)
{
    (void)state;
    open_two(SCOPE_GPU);
    note(0, 100 * S, "frozen", rec.id[1]);
    assert_int_equal(look(0, 1, 0, 100 * S).inside, METER_DOUBT_NONE);
    assert_int_equal(look(0, 1, 0, 101 * S).inside, METER_DOUBT_FROZEN);
    assert_int_equal(look(0, 1, 500 * S, 600 * S).inside, METER_DOUBT_FROZEN); /* it still is */
    note(0, 200 * S, "restored", 0);
    assert_int_equal(look(0, 1, 150 * S, 160 * S).inside, METER_DOUBT_FROZEN);
    assert_int_equal(look(0, 1, 200 * S, 600 * S).inside, METER_DOUBT_NONE);
    assert_int_equal(look(0, 1, 150 * S, 600 * S).standing.doubt, METER_DOUBT_NONE);
    note(0, 300 * S, "disagrees", rec.id[1]);
    note(0, 400 * S, "restored", 0);
    assert_int_equal(look(0, 1, 350 * S, 600 * S).inside, METER_DOUBT_DISAGREES);
    assert_int_equal(look(0, 1, 250 * S, 260 * S).inside, METER_DOUBT_NONE);
    note(1, 300 * S, "mirror", rec.id[0]);
    assert_int_equal(look(1, 1, 0, 10 * S).standing.doubt, METER_DOUBT_MIRROR);
    rec_fini(&rec);
}

/* A pair of one device: the second speaks for the windows in which the first was in doubt, and says so. */
static void totals_follow_the_notes(void **state)
{
    (void)state;
    struct err e = {0};
    struct energy_set set;
    rec_init(&rec);
    for (int i = 0; i < 2; i++) {
        struct channel_desc *d = rec_add(&rec, i ? "twin" : "leader", CHANNEL_COUNTER);
        base_strcpy(d->device, sizeof(d->device), "package-0");
    }
    rec_open_as(&rec, REC_BOOT, 0);
    for (int i = 0; i < 200; i++) {
        rec_set(&rec, 0, i * 1000, 0);
        rec_set(&rec, 1, i * 1010, 0);
        rec_put(&rec, i * 100 * NS_PER_MS, i * 100 * NS_PER_MS, 0);
    }
    rec_flush(&rec);
    note(0, 10 * S, "disagrees", rec.id[1]);
    note(0, 15 * S, "restored", 0);
    static const struct {
        int64_t t0, t1;
        const char *meter;
    } cases[] = {{2 * S, 4 * S, "leader"}, {11 * S, 13 * S, "twin"}, {16 * S, 18 * S, "leader"}};
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct energy_window w = {1, cases[k].t0, cases[k].t1};
        rec_must(energy_of_window(rec.store, &w, &set, &e), &e, "window");
        assert_string_equal(set.meter, cases[k].meter);
        assert_int_equal(strstr(set.figures[0].flags, "disagrees") != NULL, k == 1);
        energy_set_fini(&set);
    }
    rec_fini(&rec);
}

static int put_kind(void *arg, const struct channel_note *n)
{
    char *all = arg;
    snprintf(all + strlen(all), 100 - strlen(all), "%s ", n->kind);
    return 0;
}

static void history_is_newest_first(void **state)
{
    (void)state;
    struct err e = {0};
    char all[100] = "";
    open_two(SCOPE_GPU);
    note(0, 1 * S, "learned", 0);
    note(0, 2 * S, "disagrees", rec.id[1]);
    note(0, 3 * S, "restored", 0);
    rec_must(opinions_notes(rec.store, rec.id[0], put_kind, all, &e), &e, "notes");
    assert_string_equal(all, "restored disagrees learned ");
    struct channel_row row;
    const struct samples_learned x = {300 * NS_PER_MS, 1000000, 7 * S};
    rec_must(samples_learned(rec.store, rec.id[0], &x, &e), &e, "learned");
    const struct samples_learned nothing = {0, 0, -1};
    rec_must(samples_learned(rec.store, rec.id[0], &nothing, &e), &e,
             "learned"); /* forgets nothing */
    rec_must(samples_channel(rec.store, rec.id[0], &row, &e), &e, "channel");
    assert_int_equal(row.period_learned_ns, 300 * NS_PER_MS);
    assert_int_equal(row.quantum_learned, 1000000);
    assert_int_equal(row.lag_learned_ns, 7 * S);
    rec_fini(&rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(psys_is_unproven_until_a_note_says_so),
        cmocka_unit_test(windows_meet_only_what_touches_them),
        cmocka_unit_test(totals_follow_the_notes),
        cmocka_unit_test(history_is_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
