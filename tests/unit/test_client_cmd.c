/* The tables of commands and options: no letter twice, nothing listed that nobody takes, the man page is
 * what the tables say, and every example can be typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/cmd.h"
#include "client_golden.h"

static void letters_do_not_clash(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++) {
        assert_true(strlen(opt_defs[i].name) > 1);
        assert_true(strlen(opt_defs[i].help) > 3);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(opt_defs[i].name, opt_defs[k].name);
            if (opt_defs[i].letter)
                assert_int_not_equal(opt_defs[i].letter, opt_defs[k].letter);
        }
    }
}

static void letters_are_what_fingers_know(void **state)
{
    static const struct {
        char letter;
        enum opt_id id;
    } known[] = {{'t', OPT_TIME},  {'J', OPT_LABEL}, {'n', OPT_COUNT}, {'f', OPT_FOLLOW},
                 {'a', OPT_ALL},   {'u', OPT_USER},  {'o', OPT_OUT},   {'q', OPT_BARE},
                 {'h', OPT_HELP},  {'p', OPT_PARAM}, {'W', OPT_WAIT},  {'H', OPT_HOLD},
                 {'s', OPT_SIGNAL}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        assert_int_equal(opt_defs[known[i].id].letter, known[i].letter);
}

static void every_option_is_taken_by_a_command(void **state)
{
    (void)state;
    opt_set all = OPT_COMMON | OPT(VERSION);
    for (size_t i = 0; i < cmd_count; i++)
        all |= cmd_table[i].options;
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++)
        if (!(all >> i & 1))
            fail_msg("no command takes --%s", opt_defs[i].name);
}

static void names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < cmd_count; i++) {
        assert_ptr_equal(cmd_find(cmd_table[i].name), &cmd_table[i]);
        if (cmd_table[i].alias)
            assert_ptr_equal(cmd_find(cmd_table[i].alias), &cmd_table[i]);
        assert_int_equal(cmd_table[i].options & OPT_COMMON, 0);
    }
    assert_null(cmd_find("nosuch"));
}

/* "wattq submit -J x -- cmd | ..." -> its words, up to shell syntax; returns how many. */
static size_t words_of(char *text, char **words, size_t cap)
{
    size_t n = 0;
    for (char *w = strtok(text, " "); w && n < cap; w = strtok(NULL, " ")) {
        if (strcmp(w, "&&") == 0 || strcmp(w, "|") == 0)
            break;
        words[n++] = w;
    }
    return n;
}

static void every_example_parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < cmd_count; i++) {
        const struct cmd *c = &cmd_table[i];
        char *text = base_strdup(c->example);
        char *words[64];
        struct args a = {0};
        struct err e = {0};
        size_t n = words_of(text, words, ARRAY_LEN(words));
        assert_true(n >= 2);
        assert_string_equal(words[0], "wattq");
        assert_ptr_equal(cmd_find(words[1]), c);
        if (opt_parse(&a, OPT_COMMON | c->options, c->mode, (int)n - 2, words + 2, &e) < 0)
            fail_msg("%s: %s", c->example, e.text);
        assert_true(c->most < 0 || a.npos <= (size_t)c->most);
        args_fini(&a);
        free(text);
    }
}

static void man_page_is_the_tables(void **state)
{
    (void)state;
    struct capture c;
    capture_start(&c);
    help_man(c.f);
    golden_check_at("docs/wattq.1", capture_end(&c));
    free(c.text);
}

static void help_is_stable(void **state)
{
    (void)state;
    struct capture c;
    capture_start(&c);
    help_overview(c.f);
    for (size_t i = 0; i < cmd_count; i++) {
        fprintf(c.f, "\n----\n");
        help_command(c.f, &cmd_table[i]);
    }
    golden_check("help.txt", capture_end(&c));
    free(c.text);
}

/* ---- the parser ---------------------------------------------------------------------------------- */

#define SET (OPT_COMMON | OPT(TIME) | OPT(LABEL) | OPT(PARAM) | OPT(FOLLOW) | OPT(COUNT))

static int parse(struct args *a, enum opt_mode mode, struct err *e, size_t n,
                 const char *const *words)
{
    static char store[16][32];
    char *argv[17] = {0};
    for (size_t i = 0; i < n; i++) {
        base_strcpy(store[i], sizeof store[i], words[i]);
        argv[i] = store[i];
    }
    *a = (struct args){0};
    *e = (struct err){0};
    return opt_parse(a, SET, mode, (int)n, argv, e);
}
#define PARSE(mode, ...)                                                                           \
    parse(&a, mode, &e, ARRAY_LEN(((const char *const[]){__VA_ARGS__})),                           \
          (const char *const[]){__VA_ARGS__})

static void options_and_arguments(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    assert_int_equal(PARSE(OPT_MIXED, "17", "-fn5", "--label=x", "-t", "90s", "--", "-q"), 0);
    assert_int_equal(a.npos, 2);
    assert_string_equal(a.pos[1], "-q");
    assert_string_equal(args_str(&a, OPT_COUNT, ""), "5");
    assert_string_equal(args_str(&a, OPT_LABEL, ""), "x");
    assert_true(args_has(&a, OPT_FOLLOW));
    assert_false(args_has(&a, OPT_BARE));
    int64_t ns = 0;
    assert_int_equal(args_duration(&a, OPT_TIME, &ns, &e), 0);
    assert_int_equal(ns, 90 * NS_PER_S);
    args_fini(&a);
}

static void a_command_line_is_left_alone(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    assert_int_equal(PARSE(OPT_COMMAND, "-J", "x", "python", "t.py", "--lr", "3", "-f", "--"), 0);
    assert_int_equal(a.npos, 6);
    assert_false(args_has(&a, OPT_FOLLOW));
    args_fini(&a);
    assert_int_equal(PARSE(OPT_COMMAND, "-J", "x", "--", "--odd", "-f"), 0);
    assert_int_equal(a.npos, 2);
    assert_true(a.dashes);
    args_fini(&a);
}

static void what_is_not_ours_is_passed(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    assert_int_equal(PARSE(OPT_PASS, "--dataset", "d", "--label", "x", "--size=2^5"), 0);
    assert_int_equal(a.npos, 3);
    assert_string_equal(a.pos[0], "--dataset");
    assert_string_equal(a.pos[2], "--size=2^5");
    assert_string_equal(args_str(&a, OPT_LABEL, ""), "x");
    args_fini(&a);
    assert_int_equal(PARSE(OPT_PASS, "17", "-draft", "+keep", "-quick", "--", "-q"), 0);
    assert_int_equal(
        a.npos, 5); /* a tag to drop is a word although it begins with the letter of an option */
    assert_string_equal(a.pos[3], "-quick");
    assert_false(args_has(&a, OPT_BARE));
    args_fini(&a);
}

static void wrong_options_say_what_to_type(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    int64_t n = 0;
    assert_int_equal(PARSE(OPT_MIXED, "--lable", "x"), WATTQ_E_USAGE);
    assert_non_null(strstr(e.next, "--label"));
    args_fini(&a);
    assert_int_equal(PARSE(OPT_MIXED, "-Z"), WATTQ_E_USAGE);
    args_fini(&a);
    assert_int_equal(PARSE(OPT_MIXED, "--time"), WATTQ_E_USAGE);
    assert_non_null(strstr(e.next, "DURATION"));
    args_fini(&a);
    assert_int_equal(PARSE(OPT_MIXED, "--follow=yes"), WATTQ_E_USAGE);
    args_fini(&a);
    assert_int_equal(PARSE(OPT_MIXED, "-t", "1s", "-t", "2s"), WATTQ_E_USAGE);
    args_fini(&a);
    assert_int_equal(PARSE(OPT_MIXED, "-n", "x"), 0);
    assert_int_equal(args_int(&a, OPT_COUNT, 1, 9, &n, &e), WATTQ_E_USAGE);
    args_fini(&a);
    assert_int_equal(PARSE(OPT_MIXED, "-n", "10"), 0);
    assert_int_equal(args_int(&a, OPT_COUNT, 1, 9, &n, &e), WATTQ_E_USAGE);
    args_fini(&a);
    assert_int_equal(PARSE(OPT_MIXED, "-t", "90"), 0);
    assert_int_equal(args_duration(&a, OPT_TIME, &n, &e), WATTQ_E_USAGE);
    assert_non_null(strstr(e.text, "--time"));
    args_fini(&a);
}

static void repeated_options_keep_their_order(void **state)
{
    (void)state;
    struct args a;
    struct err e;
    assert_int_equal(PARSE(OPT_MIXED, "-p", "a=1", "-pb=2", "--param=c=3"), 0);
    assert_int_equal(a.n[OPT_PARAM], 3);
    assert_string_equal(a.value[OPT_PARAM][1], "b=2");
    assert_string_equal(a.value[OPT_PARAM][2], "c=3");
    args_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_do_not_clash),
        cmocka_unit_test(letters_are_what_fingers_know),
        cmocka_unit_test(every_option_is_taken_by_a_command),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(every_example_parses),
        cmocka_unit_test(man_page_is_the_tables),
        cmocka_unit_test(help_is_stable),
        cmocka_unit_test(options_and_arguments),
        cmocka_unit_test(a_command_line_is_left_alone),
        cmocka_unit_test(what_is_not_ours_is_passed),
        cmocka_unit_test(wrong_options_say_what_to_type),
        cmocka_unit_test(repeated_options_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
