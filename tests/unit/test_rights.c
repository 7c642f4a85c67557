/* rights: who may see and do what, decided from uid and groups alone. The table of operations as it is: each
 * line must name a class, and what the classes mean for each kind of peer is written out here once more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/api/ops.h"
#include "daemon/api/rights.h"

#define OWNER 1000
#define OTHER 1001
#define METER 50
#define ADMIN 60

static struct rights_policy policy(enum rights_visibility v)
{
    return (struct rights_policy){
        .owner = OWNER, .visibility = v, .meter_group = METER, .admin_group = ADMIN};
}

static struct rights as(enum rights_visibility v, uid_t uid, gid_t group)
{
    const struct rights_policy p = policy(v);
    const gid_t groups[] = {100, group};
    return rights_of(&p, uid, groups, ARRAY_LEN(groups));
}

/* ---- peers --------------------------------------------------------------------------------------- */

/* admitted admin details raw submit */
static void assert_rights(const struct rights *r, const char *want, uid_t uid, int v)
{
    const char got[] = {r->admitted ? 'a' : '-', r->admin ? 'm' : '-',      r->details ? 'd' : '-',
                        r->raw ? 'r' : '-',      r->may_submit ? 's' : '-', '\0'};
    if (strcmp(got, want) != 0)
        fail_msg("uid %u %s: %s, not %s", uid, rights_visibility_name((enum rights_visibility)v),
                 got, want);
}

static void test_who_is_answered(void **state)
{
    (void)state;
    static const struct {
        uid_t uid;
        gid_t group;
        const char *yes[3]; /* of private, summary, full */
    } cases[] = {
        {OWNER, 7, {"amdrs", "amdrs", "amdrs"}},     {0, 7, {"amdr-", "amdr-", "amdr-"}},
        {OTHER, 7, {"-----", "a----", "a-d--"}},     {OTHER, METER, {"-----", "a--r-", "a-dr-"}},
        {OTHER, ADMIN, {"amd--", "amd--", "amd--"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int v = RIGHTS_PRIVATE; v <= RIGHTS_FULL; v++) {
            struct rights r = as((enum rights_visibility)v, cases[i].uid, cases[i].group);
            assert_rights(&r, cases[i].yes[v], cases[i].uid, v);
        }
}

static void test_priorities(void **state)
{
    (void)state;
    struct err e;
    struct rights_policy p = policy(RIGHTS_SUMMARY);
    const gid_t admins = ADMIN;
    for (int system = 0; system < 2; system++) {
        p.system = system;
        struct rights any = rights_of(&p, OTHER, NULL, 0), admin = rights_of(&p, OTHER, &admins, 1);
        assert_int_equal(rights_check_priority(&p, &any, 0, &e), 0);
        assert_int_equal(rights_check_priority(&p, &any, -1000, &e), 0);
        assert_int_equal(rights_check_priority(&p, &admin, 1000, &e), 0);
        assert_int_equal(rights_check_priority(&p, &any, 1, &e), system ? WATTQ_E_FORBIDDEN : 0);
    }
}

/* Everybody is his own runs' owner; whose process wattqd is, is nobody. */
static void test_system_mode(void **state)
{
    (void)state;
    static const struct {
        uid_t uid;
        gid_t group;
        const char *yes[3];
    } cases[] = {
        {OWNER, 7, {"-----", "a---s", "a-d-s"}},     {0, 7, {"amdrs", "amdrs", "amdrs"}},
        {OTHER, 7, {"-----", "a---s", "a-d-s"}},     {OTHER, METER, {"-----", "a--rs", "a-drs"}},
        {OTHER, ADMIN, {"amd-s", "amd-s", "amd-s"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int v = RIGHTS_PRIVATE; v <= RIGHTS_FULL; v++) {
            struct rights_policy p = policy((enum rights_visibility)v);
            p.system = true;
            struct rights r = rights_of(&p, cases[i].uid, &cases[i].group, 1);
            assert_rights(&r, cases[i].yes[v], cases[i].uid, v);
        }
    struct rights_policy p = policy(RIGHTS_PRIVATE);
    struct err e = {0};
    p.system = true;
    assert_false(rights_trusted(&p, OWNER));
    assert_true(rights_trusted(&p, 0));
    assert_int_equal(rights_refuse_peer(&p, OTHER, &e), WATTQ_E_FORBIDDEN);
    assert_non_null(strstr(e.text, "admins"));
}

static void test_runs_of_others(void **state)
{
    (void)state;
    struct rights guest = as(RIGHTS_SUMMARY, OTHER, 7);
    assert_true(rights_may_see(&guest, OTHER));
    assert_true(rights_may_act(&guest, OTHER));
    assert_false(rights_may_see(&guest, OWNER));
    assert_false(rights_may_act(&guest, OWNER));
    struct rights reader = as(RIGHTS_FULL, OTHER, 7);
    assert_true(rights_may_see(&reader, OWNER));
    assert_false(rights_may_act(&reader, OWNER));
    struct rights admin = as(RIGHTS_SUMMARY, OTHER, ADMIN);
    assert_true(rights_may_see(&admin, OWNER));
    assert_true(rights_may_act(&admin, OWNER));
    struct rights nobody = as(RIGHTS_PRIVATE, OTHER, 7);
    assert_false(rights_may_see(&nobody, OTHER));
    assert_false(rights_may_act(&nobody, OTHER));
    const struct rights zero = {0};
    assert_false(rights_may_see(&zero, 0));
}

static void test_a_group_that_was_not_named(void **state)
{
    (void)state;
    const struct rights_policy p = {.owner = OWNER,
                                    .visibility = RIGHTS_SUMMARY,
                                    .meter_group = RIGHTS_NO_GROUP,
                                    .admin_group = RIGHTS_NO_GROUP};
    const gid_t groups[] = {RIGHTS_NO_GROUP, 0};
    struct rights r = rights_of(&p, OTHER, groups, ARRAY_LEN(groups));
    assert_false(r.admin);
    assert_false(r.raw);
}

static void test_policy(void **state)
{
    (void)state;
    struct rights_policy p;
    struct err e = {0};
    assert_int_equal(rights_policy_init(&p, OWNER, "private", "", "", &e), 0);
    assert_int_equal(p.visibility, RIGHTS_PRIVATE);
    assert_false(rights_shared(&p));
    assert_int_equal(rights_policy_init(&p, OWNER, "private", "", "60", &e), 0);
    assert_int_equal(p.admin_group, 60);
    assert_true(rights_shared(&p)); /* or its members could not come */
    assert_int_equal(rights_policy_init(&p, OWNER, "full", "root", "", &e), 0);
    assert_int_equal(p.visibility, RIGHTS_FULL);
    assert_int_equal(p.meter_group, 0);
    assert_int_equal(p.admin_group, RIGHTS_NO_GROUP);
    static const char *const wrong[] = {"no-such-group-here", "-1", "4294967295", "60x"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(rights_policy_init(&p, OWNER, "full", wrong[i], "", &e), WATTQ_E_USAGE);
        assert_non_null(strstr(e.text, "meter-group"));
        assert_non_null(strstr(e.text, wrong[i]));
        assert_true(e.next[0] != '\0');
    }
    assert_int_equal(rights_policy_init(&p, OWNER, "full", "", "no-such", &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "admin-group"));
}

/* ---- operations ---------------------------------------------------------------------------------- */

/* Who may call what: o owner and root, a admins, m the meter group where visibility is full, f everybody where
 * it is full, s everybody where it is summary. */
static const struct {
    enum rights_class class;
    const char *may;
} classes[] = {
    {RIGHTS_UNDECIDED, "-----"}, {RIGHTS_ANY, "oamfs"},   {RIGHTS_OWN, "oamfs"},
    {RIGHTS_DETAIL, "oamfs"},    {RIGHTS_WHOLE, "oamf-"}, {RIGHTS_RAW, "o-m--"},
    {RIGHTS_SUBMIT, "o----"},    {RIGHTS_ADMIN, "oa---"}, {RIGHTS_DATABASE, "o----"},
};

static void test_classes(void **state)
{
    (void)state;
    const struct rights peers[] = {as(RIGHTS_SUMMARY, OWNER, 7), as(RIGHTS_SUMMARY, OTHER, ADMIN),
                                   as(RIGHTS_FULL, OTHER, METER), as(RIGHTS_FULL, OTHER, 7),
                                   as(RIGHTS_SUMMARY, OTHER, 7)};
    assert_int_equal(ARRAY_LEN(classes), RIGHTS_CLASSES);
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        for (size_t k = 0; k < ARRAY_LEN(peers); k++) {
            struct err e = {0};
            int rc = rights_check(&peers[k], classes[i].class, "this", &e);
            bool may = classes[i].may[k] != '-';
            if (rc != (may ? 0 : WATTQ_E_FORBIDDEN))
                fail_msg("class %s, peer %zu: %d", rights_class_name(classes[i].class), k, rc);
            if (rc < 0 && classes[i].class != RIGHTS_UNDECIDED)
                assert_true(e.next[0] != '\0');
        }
}

/* What a decision was made for. A new operation has a line here too: its class is looked at twice. */
static const struct {
    const char *op;
    enum rights_class class;
} decided[] = {
    {"hello", RIGHTS_ANY},
    {"info", RIGHTS_ANY},
    {"warrants", RIGHTS_SUBMIT},
    {"submit", RIGHTS_SUBMIT},
    {"sweep", RIGHTS_SUBMIT},
    {"sweep_begin", RIGHTS_SUBMIT},
    {"sweep_rows", RIGHTS_SUBMIT},
    {"sweep_commit", RIGHTS_SUBMIT},
    {"sweeps", RIGHTS_ANY},
    {"sweep_release", RIGHTS_OWN},
    {"queue", RIGHTS_ANY},
    {"show", RIGHTS_ANY},
    {"logs", RIGHTS_DETAIL},
    {"wait", RIGHTS_ANY},
    {"watch", RIGHTS_ANY},
    {"cancel", RIGHTS_OWN},
    {"hold", RIGHTS_OWN},
    {"release", RIGHTS_OWN},
    {"pause", RIGHTS_OWN},
    {"resume", RIGHTS_OWN},
    {"retry", RIGHTS_SUBMIT},
    {"bump", RIGHTS_OWN},
    {"why", RIGHTS_DETAIL},
    {"runs", RIGHTS_ANY},
    {"table", RIGHTS_ANY},
    {"energy", RIGHTS_ANY},
    {"power", RIGHTS_ANY},
    {"meters", RIGHTS_ANY},
    {"meter", RIGHTS_ANY},
    {"phase", RIGHTS_OWN},
    {"tag", RIGHTS_OWN},
    {"note", RIGHTS_OWN},
    {"label", RIGHTS_OWN},
    {"metric", RIGHTS_OWN},
    {"exec_begin", RIGHTS_SUBMIT},
    {"exec_ready", RIGHTS_SUBMIT},
    {"exec_abort", RIGHTS_SUBMIT},
    {"idle", RIGHTS_ANY},
    {"audit", RIGHTS_WHOLE},
    {"check", RIGHTS_ADMIN},
    {"compact", RIGHTS_ADMIN},
    {"backup", RIGHTS_DATABASE},
    {"calibrate", RIGHTS_ADMIN},
    {"calibrations", RIGHTS_ANY},
    {"idle_measure", RIGHTS_ADMIN},
    {"baselines", RIGHTS_ANY},
    {"who", RIGHTS_ANY},
    {"export", RIGHTS_RAW},
    {"pin", RIGHTS_OWN},
    {"unpin", RIGHTS_OWN},
    {"settle", RIGHTS_OWN},
    {"import_begin", RIGHTS_SUBMIT},
    {"import_rows", RIGHTS_SUBMIT},
    {"import_commit", RIGHTS_SUBMIT},
    {"curves", RIGHTS_DETAIL},
    {"model_put", RIGHTS_ADMIN},
    {"models", RIGHTS_WHOLE},
    {"retire", RIGHTS_ADMIN},
    {"forget", RIGHTS_ADMIN},
    {"admin_log", RIGHTS_ADMIN},
    {"gpu", RIGHTS_ADMIN},
};

static void test_every_operation_is_decided(void **state)
{
    (void)state;
    for (size_t i = 0; i < ops_count; i++) {
        size_t k = 0;
        while (k < ARRAY_LEN(decided) && strcmp(decided[k].op, ops_table[i].name) != 0)
            k++;
        if (k == ARRAY_LEN(decided))
            fail_msg("who may call %s is not written here", ops_table[i].name);
        if (ops_table[i].who != decided[k].class || ops_table[i].who == RIGHTS_UNDECIDED)
            fail_msg("%s is of class %s", ops_table[i].name, rights_class_name(ops_table[i].who));
    }
    assert_int_equal(ops_count, ARRAY_LEN(decided));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_answered),
        cmocka_unit_test(test_system_mode),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_runs_of_others),
        cmocka_unit_test(test_a_group_that_was_not_named),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_every_operation_is_decided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
