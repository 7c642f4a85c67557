/* Parts of the last cache on a directory laid out as the kernel does it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/model/resctrl.h"

static int make(void **state)
{
    char *root = base_strdup("/tmp/wattq-resctrl-XXXXXX");
    assert_non_null(mkdtemp(root));
    *state = root;
    return 0;
}

static int drop(void **state)
{
    char *cmd CLEANUP(base_freep) = base_printf("rm -rf '%s'", (char *)*state);
    free(*state);
    return system(cmd);
}

static void put(const char *root, const char *path, const char *text)
{
    char *full CLEANUP(base_freep) = base_printf("%s/%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
        *p = '/';
    }
    FILE *f CLEANUP(base_fclosep) = fopen(full, "we");
    assert_non_null(f);
    fputs(text, f);
}

static void put_group(const char *root, const char *name, const char *schemata)
{
    char *a CLEANUP(base_freep) = base_printf("%s/schemata", name);
    char *b CLEANUP(base_freep) = base_printf("%s/tasks", name);
    put(root, a, schemata);
    put(root, b, "");
}

static void check(const struct resctrl_group *g, const char *name, int percent)
{
    assert_string_equal(strrchr(g->path, '/') + 1, name);
    assert_int_equal(g->percent, percent);
}

static void test_largest_first(void **state)
{
    const char *root = *state;
    struct resctrl_group g[RESCTRL_GROUPS_MAX];
    put(root, "info/L3/cbm_mask", "fff\n");
    put(root, "schemata", "    L3:0=fff;1=fff\n");
    put(root, "mon_groups/x/tasks", "");
    put_group(root, "quarter", "    MB:0=100;1=100\n    L3:0=007;1=007\n");
    put_group(root, "half",
              "    L3:0=fff;1=03f\n    MB:0=100;1=100\n"); /* the domain that gives least */
    put_group(root, "same", "L3:0=fc0;1=fc0\n");
    put_group(root, "whole", "L3:0=fff;1=fff\n");
    assert_int_equal(resctrl_groups(g, root), 2);
    check(&g[0], "half", 50);
    check(&g[1], "quarter", 25);
}

static void test_code_and_data_apart(void **state)
{
    const char *root = *state;
    struct resctrl_group g[RESCTRL_GROUPS_MAX];
    put(root, "info/L3DATA/cbm_mask", "7ff\n");
    put_group(root, "g", "    L3DATA:0=00f\n    L3CODE:0=7ff\n");
    assert_int_equal(resctrl_groups(g, root), 1);
    check(&g[0], "g", 36); /* 4 of 11 */
}

static void test_nonsense_is_no_group(void **state)
{
    static const char *const bad[] = {"",          "L3:",        "L3:0=\n",   "L3:0=xyz\n",
                                      "L3:0=0\n",  "L2:0=3f\n",  "L3:0=3f,1", "L3:0=3f;1=q\n",
                                      "MB:0=10\n", "L3:0=ffff\n"};
    const char *root = *state;
    struct resctrl_group g[RESCTRL_GROUPS_MAX];
    put(root, "info/L3/cbm_mask", "fff\n");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        put_group(root, "g", bad[i]);
        assert_int_equal(resctrl_groups(g, root), 0);
    }
    put_group(root, "g,h", "L3:0=3f\n"); /* a name that would split a grid's value */
    assert_int_equal(resctrl_groups(g, root), 0);
    put_group(root, "g", "L3:0=3f\n");
    assert_int_equal(resctrl_groups(g, root), 1);
    put(root, "info/L3/cbm_mask", "");
    assert_int_equal(resctrl_groups(g, root), 0);
    assert_int_equal(resctrl_groups(g, "/nonexistent"), 0);
}

static void test_no_more_than_fit(void **state)
{
    const char *root = *state;
    struct resctrl_group g[RESCTRL_GROUPS_MAX];
    put(root, "info/L3/cbm_mask", "fffff\n");
    for (int ways = 1; ways < 20; ways++) {
        char *name CLEANUP(base_freep) = base_printf("g%d", ways);
        char *text CLEANUP(base_freep) = base_printf("L3:0=%x\n", (1U << ways) - 1);
        put_group(root, name, text);
    }
    assert_int_equal(resctrl_groups(g, root), RESCTRL_GROUPS_MAX);
    check(&g[0], "g19", 95);
    check(&g[3], "g16", 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_largest_first, make, drop),
        cmocka_unit_test_setup_teardown(test_code_and_data_apart, make, drop),
        cmocka_unit_test_setup_teardown(test_nonsense_is_no_group, make, drop),
        cmocka_unit_test_setup_teardown(test_no_more_than_fit, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
