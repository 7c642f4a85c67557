/* Script files: which lines are options, what Slurm's become, what is refused and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/cmd.h"
#include "client/script.h"
#include "common/carried.h"

static int parse(struct script *s, const char *text, struct err *e)
{
    return script_parse(s, "job.sh", text, cmd_find("script")->options, e);
}

static void has(const struct script *s, enum opt_id id, const char *want)
{
    const char *got = args_str(&s->args, id, "(none)");
    if (strcmp(got, want) != 0)
        fail_msg("--%s is '%s', not '%s'", opt_defs[id].name, got, want);
}

static void our_lines_are_options(void **state)
{
    (void)state;
    struct script s;
    struct err e = {0};
    assert_int_equal(parse(&s,
                           "#!/bin/sh\n# a comment\n\n#WATTQ --time 2h -J 'two words' # why\n"
                           "#WATTQ --env A=1 --env \"B=x y\"\n#WATTQX --time 1h\n# WATTQ --hold\n"
                           "echo hi\n#WATTQ --hold\n",
                           &e),
                     0);
    has(&s, OPT_TIME, "2h");
    has(&s, OPT_LABEL, "two words");
    assert_int_equal(s.args.n[OPT_ENV], 2);
    assert_string_equal(s.args.value[OPT_ENV][1], "B=x y");
    assert_false(args_has(&s.args, OPT_HOLD));
    assert_int_equal(s.nnotes, 1); /* the one behind the first command */
    assert_string_equal(s.notes[0], "job.sh:9: #WATTQ behind the first command is not read");
    script_fini(&s);
}

static void wrong_ones_are_named_with_their_line(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "#WATTQ --tiem 2h",
        "#WATTQ --time 90",
        "#WATTQ --time",
        "#WATTQ sleep 5",
        "#WATTQ -J 'open",
        "#WATTQ --exclusive --shared",
        "#WATTQ --json",
        "#WATTQ --array 3-1",
        "#WATTQ --priority 5000",
        "#SBATCH --time=soon",
        "#SBATCH --array=a",
        "#SBATCH --mem=4X",
        "#SBATCH --nodes=2",
        "#SBATCH -N 2-4",
        "#SBATCH --dependency=afterok:3",
        "#SBATCH --begin=16:00",
        "#SBATCH --ntasks=0",
        "#SBATCH --gres=gpu:1,shard:2",
        "#SBATCH --hold=yes",
        "#SBATCH --job-name",
        "#SBATCH --chdir=/no/such/dir",
        "#SBATCH --signal=USR1@120",
        "#SBATCH --gpus=a100:x",
        "#SBATCH --time=1:2:3:4",
        "#SBATCH --nice=much",
        "#SBATCH --array=0-3%0",
        "#SBATCH --mem=9999999999T",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct script s;
        struct err e = {0};
        char text[200];
        (void)snprintf(text, sizeof text, "#!/bin/sh\n\n%s\n", bad[i]);
        if (parse(&s, text, &e) >= 0)
            fail_msg("%s was taken", bad[i]);
        if (strncmp(e.text, "job.sh:3: ", 10) != 0)
            fail_msg("%s: %s", bad[i], e.text);
        script_fini(&s);
    }
}

static void twice_in_a_file_is_a_mistake(void **state)
{
    (void)state;
    struct script s;
    struct err e = {0};
    assert_int_equal(parse(&s, "#!/bin/sh\n#WATTQ -t 1h\n#WATTQ -t 2h\n", &e), WATTQ_E_USAGE);
    assert_string_equal(e.text, "job.sh:3: --time stands in a line above already");
    script_fini(&s);
}

static void slurms_lines_become_ours(void **state)
{
    (void)state;
    struct script s;
    struct err e = {0};
    assert_int_equal(parse(&s,
                           "#!/bin/bash -l\n#SBATCH --job-name=hello --time=1-02:03:04\n"
                           "#SBATCH -A lab -N1 -n 2\n#SBATCH --cpus-per-task 4\n"
                           "#SBATCH --gres=gpu:a100:2 --mem=4G\n#SBATCH -a 0-9%2 --nice -H\n"
                           "#SBATCH --export=ALL,A=1,B=2 --exclusive --requeue\n",
                           &e),
                     0);
    has(&s, OPT_LABEL, "hello");
    has(&s, OPT_TIME, "93784s");
    has(&s, OPT_PROJECT, "lab");
    has(&s, OPT_GPUS, "2");
    has(&s, OPT_ARRAY, "0-9%2");
    has(&s, OPT_PRIORITY, "-100");
    has(&s, OPT_HOLD, "");
    has(&s, OPT_REQUEUE, "");
    has(&s, OPT_EXPORT, "ALL");
    has(&s, OPT_EXCLUSIVE, "");
    assert_int_equal(s.args.n[OPT_ENV], 2);
    assert_int_equal(s.slurm.ntasks, 2);
    assert_int_equal(s.slurm.cpus_per_task, 4);
    has(&s, OPT_CPUS, "8");
    has(&s, OPT_MEM, "4294967296B");
    script_fini(&s);
}

/* What is asked for by task, by CPU and by GPU comes to sums; a sum that no number holds is refused. */
static void parts_are_added_up(void **state)
{
    static const struct {
        const char *line, *cpus, *mem;
    } cases[] = {
        {"-n 3", "3", NULL},
        {"-c 4 --mem-per-cpu=2G", "4", "8589934592B"},
        {"--mem-per-cpu=1G", NULL, "1073741824B"},
        {"-G 2 --cpus-per-gpu=4 --mem-per-gpu=1K", "8", "2048B"},
        {"--mem=0", NULL, NULL},
        {"--mem=1M --mem-per-cpu=2G -c 2", "2", "1048576B"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct script s;
        struct err e = {0};
        char text[200];
        (void)snprintf(text, sizeof text, "#!/bin/sh\n#SBATCH %s\n", cases[i].line);
        assert_int_equal(parse(&s, text, &e), 0);
        assert_int_equal(s.args.n[OPT_CPUS], cases[i].cpus != NULL);
        assert_int_equal(s.args.n[OPT_MEM], cases[i].mem != NULL);
        if (cases[i].cpus)
            has(&s, OPT_CPUS, cases[i].cpus);
        if (cases[i].mem)
            has(&s, OPT_MEM, cases[i].mem);
        script_fini(&s);
    }
    struct script s;
    struct err e = {0};
    assert_int_equal(parse(&s, "#!/bin/sh\n#SBATCH -c 900000 --mem-per-cpu=900000T\n", &e),
                     WATTQ_E_USAGE);
    script_fini(&s);
}

static void ours_go_before_slurms(void **state)
{
    (void)state;
    struct script s;
    struct err e = {0};
    assert_int_equal(parse(&s,
                           "#!/bin/sh\n#WATTQ --time 2h --shared\n#SBATCH --time=10 --exclusive\n"
                           "#SBATCH --time=20\n",
                           &e),
                     0);
    has(&s, OPT_TIME, "2h");
    assert_true(args_has(&s.args, OPT_SHARED));
    assert_false(args_has(&s.args, OPT_EXCLUSIVE));
    struct args line = {0};
    struct args all = {0};
    args_put(&line, OPT_TIME, "5m");
    args_override(&all, &s.args);
    args_override(&all, &line);
    assert_string_equal(args_str(&all, OPT_TIME, ""), "5m");
    args_fini(&line);
    args_fini(&all);
    script_fini(&s);
}

/* What means nothing here is named once each; what is not known is named with what is near. */
static void the_rest_is_named(void **state)
{
    (void)state;
    struct script s;
    struct err e = {0};
    assert_int_equal(parse(&s,
                           "#!/bin/sh\n#SBATCH -p gpu --mail-type=END\n#SBATCH -o out-%j.txt\n"
                           "#SBATCH --tme=5 --no-requeue\n#SBATCH --frobnicate bar --hold\n",
                           &e),
                     0);
    assert_int_equal(s.nnotes, 5);
    assert_string_equal(s.notes[0], "job.sh:2: --partition is ignored: there is one machine here");
    assert_string_equal(s.notes[1], "job.sh:2: --mail-type is ignored: no mail is sent");
    assert_non_null(strstr(s.notes[2], "wattq logs RUN"));
    assert_string_equal(s.notes[3], "job.sh:4: --tme=5 is ignored: it is not known; --time is");
    assert_string_equal(s.notes[4], "job.sh:5: --frobnicate is ignored: it is not known");
    assert_true(args_has(&s.args, OPT_HOLD));
    script_fini(&s);
}

static void times_of_slurm(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {{"90", 5400},      {"1:30", 90},        {"1:02:03", 3723},
                {"2-0", 172800},   {"1-12", 129600},    {"1-00:30", 88200},
                {"0", 0},          {"UNLIMITED", 0},    {"-1", 0},
                {"0-00:00:05", 5}, {"48:00:00", 172800}};
    static const char *const bad[] = {"",      "1h", "1:2:3:4", "1-",    "-5",
                                      "1-2-3", ":",  "1:",      "9999-0"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t got = -1;
        struct err e = {0};
        assert_int_equal(script_slurm_time(good[i].text, &got, &e), 0);
        if (got != good[i].seconds)
            fail_msg("%s is %lld s", good[i].text, (long long)got);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t got = -1;
        struct err e = {0};
        if (script_slurm_time(bad[i], &got, &e) >= 0)
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void arrays(void **state)
{
    (void)state;
    static const int64_t want[] = {1, 3, 5, 6, 7};
    struct script_array a;
    struct err e = {0};
    assert_int_equal(script_array_parse(&a, "5-7,1,3,6%2", &e), 0);
    assert_int_equal(a.at_once, 2);
    assert_int_equal(a.n, ARRAY_LEN(want));
    for (size_t i = 0; i < a.n; i++)
        assert_int_equal(a.ids[i], want[i]);
    script_array_fini(&a);
    assert_int_equal(script_array_parse(&a, "0-15:4", &e), 0);
    assert_int_equal(a.n, 4);
    assert_int_equal(a.ids[3], 12);
    script_array_fini(&a);
    static const char *const bad[] = {"",    "%2",    "1,", ",1", "1-",    "-1",        "3-1",
                                      "1:2", "1-5:0", "x",  "1%", "1%2%3", "0-4000001", "0-100000"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (script_array_parse(&a, bad[i], &e) >= 0)
            fail_msg("'%s' was taken", bad[i]);
}

static void the_line_that_carries_a_script(void **state)
{
    (void)state;
    const char *good[] = {
        "/usr/bin/wattq-script", "--set", "--=x", "--slurm", "--", "j.sh", "#!x", "a"};
    struct carried c;
    assert_true(carried_find(good, ARRAY_LEN(good), &c));
    assert_string_equal(c.name, "j.sh");
    assert_string_equal(c.text, "#!x");
    assert_int_equal(c.args, 7);
    assert_int_equal(c.options, 4);
    assert_false(carried_find(good, 6, &c));
    good[3] = "--other";
    assert_false(carried_find(good, ARRAY_LEN(good), &c));
    good[0] = "script";
    assert_false(carried_find(good, ARRAY_LEN(good), &c));
    static const struct {
        const char *text, *program, *arg;
    } lines[] = {{"#!/bin/sh\nx", "/bin/sh", ""},
                 {"#! /usr/bin/env -S python3 -u  \n", "/usr/bin/env", "-S python3 -u"},
                 {"#!/bin/sh", "/bin/sh", ""}};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char *program = NULL;
        char *arg = NULL;
        assert_true(carried_interpreter(lines[i].text, &program, &arg));
        assert_string_equal(program, lines[i].program);
        assert_string_equal(arg, lines[i].arg);
        free(program);
        free(arg);
    }
    char *none = NULL;
    assert_false(carried_interpreter("#!\n/bin/sh", &none, &none));
    assert_false(carried_interpreter("echo", &none, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_lines_are_options),
        cmocka_unit_test(wrong_ones_are_named_with_their_line),
        cmocka_unit_test(twice_in_a_file_is_a_mistake),
        cmocka_unit_test(slurms_lines_become_ours),
        cmocka_unit_test(parts_are_added_up),
        cmocka_unit_test(ours_go_before_slurms),
        cmocka_unit_test(the_rest_is_named),
        cmocka_unit_test(times_of_slurm),
        cmocka_unit_test(arrays),
        cmocka_unit_test(the_line_that_carries_a_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
