/* Reading, encoding and splitting data sets, and what is said about bad ones. Needs no data files. */
#include "daemon/trainer/dataset.h"
#include "daemon/trainer/rng.h"
#include "daemon/trainer/table.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static char dir[] = "/tmp/wattq-dataset-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char *cmd CLEANUP(base_freep) = base_printf("rm -r %s", dir);
    return system(cmd);
}

static const char *path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static const char *write_bytes(const char *name, const void *data, size_t n)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

static const char *write_text(const char *name, const char *text)
{
    return write_bytes(name, text, strlen(text));
}

static int open_file(struct dataset *d, const char *path, struct err *e)
{
    const struct dataset_spec spec = {.dataset = path, .seed = 1};
    *e = (struct err){0};
    return dataset_open(d, &spec, e);
}

/* ---- encoding ------------------------------------------------------------------------------------ */

/* Where row i of the file went. */
static uint32_t place(uint32_t i, uint32_t n)
{
    uint32_t position[100];
    rng_permute(1, RNG_SPLIT, position, n);
    return position[i];
}

static void test_encoding(void **state)
{
    (void)state;
    struct dataset d;
    struct err e;
    /* same: dropped; two: two-valued, 1 = the first row's 7; three: one-hot sorted; word: texts, sorted */
    const char *path = write_text("enc.tsv", "same\ttwo\tthree\tword\ttarget\n"
                                             "5\t7\t30\tb\t1\n"
                                             "5\t2\t10\ta\t0\n"
                                             "5\t2\t20\tc\t2\n"
                                             "5\t7\t10\tb\t1\n"
                                             "5\t2\t30\ta\t0\n");
    assert_int_equal(open_file(&d, path, &e), 0);
    assert_string_equal(d.name, "enc");
    assert_int_equal(d.inputs, 1 + 3 + 3);
    assert_int_equal(d.raw_features, 4);
    assert_int_equal(d.outputs, 3);
    assert_int_equal(d.loss, NET_LOSS_CCE);
    assert_int_equal(d.rows_train, 4);
    assert_int_equal(d.rows_test, 1);
    static const float first[7] = {1, 0, 0, 1, 0, 1, 0};
    static const float third[7] = {0, 0, 1, 0, 0, 0, 1};
    assert_memory_equal(d.x + place(0, 5) * 7, first, sizeof(first));
    assert_memory_equal(d.x + place(2, 5) * 7, third, sizeof(third));
    assert_int_equal(d.label[place(0, 5)], 1);
    assert_int_equal(d.label[place(2, 5)], 2);
    dataset_close(&d);
}

static void test_min_max_and_csv(void **state)
{
    (void)state;
    char text[2000] = "\"a, quoted\",b\r\n";
    for (int i = 0; i < 30; i++)
        sprintf(text + strlen(text), "%d,\"%.2f\"\r\n", i * 3 - 9, i / 4.0);
    struct dataset d;
    struct err e;
    assert_int_equal(open_file(&d, write_text("num.csv", text), &e), 0);
    assert_int_equal(d.inputs, 1);
    assert_int_equal(d.loss, NET_LOSS_MSE);
    assert_int_equal(d.classes, 0);
    for (uint32_t i = 0; i < 30; i++) {
        assert_true(fabs((double)d.x[place(i, 30)] - i / 29.0) < 1e-7);
        assert_true(fabs((double)d.target[place(i, 30)] - i / 29.0) < 1e-7);
    }
    dataset_close(&d);
    const struct dataset_spec named = {
        .dataset = path_of("num.csv"), .target = "a, quoted", .seed = 1};
    assert_int_equal(dataset_open(&d, &named, &e), 0);
    dataset_close(&d);
}

static void test_split_depends_on_seed(void **state)
{
    (void)state;
    uint32_t a[1000];
    uint32_t b[1000];
    rng_permute(1, RNG_SPLIT, a, 1000);
    rng_permute(1, RNG_SPLIT, b, 1000);
    assert_memory_equal(a, b, sizeof(a));
    rng_permute(2, RNG_SPLIT, b, 1000);
    assert_true(memcmp(a, b, sizeof(a)) != 0);
    bool seen[1000] = {false};
    for (int i = 0; i < 1000; i++) {
        assert_true(a[i] < 1000 && !seen[a[i]]);
        seen[a[i]] = true;
    }
}

static void test_split_sizes(void **state)
{
    (void)state;
    for (int64_t n = 2; n < 5000; n++) {
        struct dataset d = {.rows = n};
        dataset_split(&d);
        assert_int_equal(d.rows_test, (n + 4) / 5); /* ceil(n / 5) */
        assert_int_equal(d.rows_train + d.rows_test, n);
        assert_true(d.rows_train > 0);
    }
}

static void test_numbers_as_strtod(void **state)
{
    (void)state;
    uint64_t n = 0;
    for (int i = 0; i < 200000; i++) {
        static const char *const formats[] = {"%.0f", "%.1f", "%.3f", "%.17g",
                                              "%g",   "%.9e", "%.6f"};
        double power = 20 * rng_uniform(8, RNG_TEST, n++);
        double x = (rng_uniform(8, RNG_TEST, n++) - 0.5) * pow(10, power);
        char text[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        int len = snprintf(text, sizeof(text), formats[i % 7], x);
#pragma GCC diagnostic pop
        double got = 0;
        assert_true(table_number(text, (size_t)len, &got));
        if (got != strtod(text, NULL))
            fail_msg("%s was read as %.17g", text, got);
    }
    static const char *const no[] = {"",   " ",   "-",  ".",   "-.",  "1.2.3",
                                     "1e", "abc", "1x", "\t1", "--1", "1 2"};
    double v;
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (table_number(no[i], strlen(no[i]), &v))
            fail_msg("'%s' was taken for a number", no[i]);
}

/* ---- bad input ----------------------------------------------------------------------------------- */

struct bad {
    const char *file;
    const char *text;
    const char *says; /* a part of the sentence */
};

static const struct bad bads[] = {
    {"ragged.tsv", "a\tb\ttarget\n1\t2\t3\n1\t2\n1\t2\t4\n",
     "row 2 has 2 cells but the header has 3"},
    {"long.tsv", "a\tb\ttarget\n1\t2\t3\n1\t2\t3\t4\n", "row 2 has 4 cells but the header has 3"},
    {"blank.tsv", "a\ttarget\n1\t2\n\n1\t3\n", "row 2 has 1 cell but the header has 2"},
    {"nan.tsv", "a\ttarget\n1\t2\nnan\t3\n", "row 2, column 'a' is 'nan', not a finite number"},
    {"inf.tsv", "a\ttarget\n1\t2\n2\t-inf\n",
     "row 2, column 'target' is '-inf', not a finite number"},
    {"huge.tsv", "a\ttarget\n1\t2\n2\t1e999\n", "row 2, column 'target' is '1e999', not a finite"},
    {"hole.csv", "a,b\n1,2\n,3\n", "row 2, column 'a' is empty"},
    {"text.tsv", "a\ttarget\n1\t2\n2\t3\n3\tlow\n",
     "row 3: the target 'target' is 'low', not a number"},
    {"mixed.tsv", "a\ttarget\n1\tlow\n2\t3\n",
     "row 2: the target 'target' is '3', a number below texts"},
    {"notarget.tsv", "a\tb\n1\t2\n3\t4\n", "has no column 'target'"},
    {"norows.tsv", "a\ttarget\n", "has a header and zero rows"},
    {"empty.tsv", "", "is empty"},
    {"onerow.tsv", "a\tb\ttarget\n1\t2\t3\n", "one value in all rows"},
    {"oneclass.tsv", "a\ttarget\n1\t7\n2\t7\n3\t7\n",
     "the target 'target' has one value in all rows"},
    {"constant.tsv", "a\ttarget\n1\t7\n1\t8\n", "no feature column with more than one value"},
    {"onecol.csv", "target\n7\n8\n", "has one column"},
    {"quote.csv", "a,b\n\"1,2\n3,4\n", "a quote that is never closed"},
};

static void test_bad_tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
        struct dataset d;
        struct err e;
        int rc = open_file(&d, write_text(bads[i].file, bads[i].text), &e);
        if (rc >= 0 || !strstr(e.text, bads[i].says))
            fail_msg("%s: rc %d, '%s'", bads[i].file, rc, e.text);
        assert_true(e.next[0] != '\0');
        assert_true(err_exit_code(rc) == 1);
        assert_null(d.x);
    }
}

static void test_nul_byte(void **state)
{
    (void)state;
    struct dataset d;
    struct err e;
    const char *path = write_bytes("nul.tsv", "a\ttarget\n1\0\t2\n", 14);
    assert_int_equal(open_file(&d, path, &e), WATTQ_E_INVALID);
    assert_non_null(strstr(e.text, "NUL"));
}

static void test_missing_files(void **state)
{
    (void)state;
    struct dataset d;
    struct err e;
    assert_int_equal(open_file(&d, path_of("no.tsv"), &e), WATTQ_E_NOT_FOUND);
    assert_int_equal(open_file(&d, "/dev/null", &e), WATTQ_E_IO);
    const struct dataset_spec named = {.dataset = "adult", .data_dir = dir};
    assert_int_equal(dataset_open(&d, &named, &e), WATTQ_E_NOT_FOUND);
    assert_non_null(strstr(e.text, dir));
    assert_non_null(strstr(e.next, "standin:adult"));
    const struct dataset_spec standin = {.dataset = "standin:nobody"};
    assert_int_equal(dataset_open(&d, &standin, &e), WATTQ_E_NOT_FOUND);
    assert_non_null(strstr(e.next, "connect_4"));
}

static void write_gz(const char *path, const void *data, unsigned n)
{
    gzFile z = gzopen(path, "wb");
    assert_non_null(z);
    assert_int_equal(gzwrite(z, data, n), n);
    assert_int_equal(gzclose(z), Z_OK);
}

static void test_gzip(void **state)
{
    (void)state;
    char text[5000] = "a\ttarget\n";
    for (int i = 0; i < 300; i++)
        sprintf(text + strlen(text), "%d\t%d\n", i * 7919 % 1009, i % 3);
    const char *path = path_of("z.tsv.gz");
    write_gz(path, text, (unsigned)strlen(text));
    struct dataset d;
    struct err e;
    assert_int_equal(open_file(&d, path, &e), 0);
    assert_int_equal(d.rows, 300);
    assert_string_equal(d.name, "z");
    dataset_close(&d);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2), 0);
    assert_int_equal(open_file(&d, path, &e), WATTQ_E_CORRUPT);
    assert_non_null(strstr(e.text, "truncated gzip"));
    write_gz(path, text, (unsigned)strlen(text));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff", 6, st.st_size / 2), 6);
    close(fd);
    assert_int_equal(open_file(&d, path, &e), WATTQ_E_CORRUPT);
    assert_non_null(strstr(e.text, "damaged gzip"));
}

/* ---- IDX ----------------------------------------------------------------------------------------- */

/* 4 images of 2 x 3. */
static const uint8_t images[16 + 24] = {0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 3, 255, 51, 0};
static const uint8_t labels[8 + 4] = {0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 2, 1};

static int open_idx(struct dataset *d, const void *x, size_t nx, const void *y, size_t ny,
                    struct err *e)
{
    write_bytes("t-labels-idx1-ubyte", y, ny);
    return open_file(d, write_bytes("t-images-idx3-ubyte", x, nx), e);
}

static void test_idx(void **state)
{
    (void)state;
    struct dataset d;
    struct err e;
    assert_int_equal(open_idx(&d, images, sizeof(images), labels, sizeof(labels), &e), 0);
    assert_int_equal(d.inputs, 6);
    assert_int_equal(d.outputs, 3);
    assert_int_equal(d.label[place(2, 4)], 2);
    assert_true(d.x[place(0, 4) * 6] == 1 && d.x[place(0, 4) * 6 + 1] == 0.2F);
    dataset_close(&d);
}

static void test_bad_idx(void **state)
{
    (void)state;
    struct dataset d;
    struct err e;
    uint8_t y[sizeof(labels)];
    memcpy(y, labels, sizeof(y));
    y[9] = 9;
    assert_int_equal(open_idx(&d, images, sizeof(images), y, sizeof(y), &e), WATTQ_E_INVALID);
    assert_non_null(strstr(e.text, "row 2 has label 9, out of range"));
    y[9] = 1;
    y[0] = 7;
    assert_true(open_idx(&d, images, sizeof(images), y, sizeof(y), &e) < 0);
    assert_non_null(strstr(e.text, "magic"));
    assert_true(open_idx(&d, images, sizeof(images) - 1, labels, sizeof(labels), &e) < 0);
    assert_non_null(strstr(e.text, "not as long as"));
    assert_true(open_idx(&d, images, sizeof(images), labels, sizeof(labels) - 1, &e) < 0);
    assert_true(open_idx(&d, labels, sizeof(labels), labels, sizeof(labels), &e) < 0);
    assert_non_null(strstr(e.text, "no IDX images"));
    uint8_t x[sizeof(images)];
    memcpy(x, images, sizeof(x));
    memset(x + 8, 0xff, 8); /* 2^32 x 2^32 pixels */
    assert_true(open_idx(&d, x, sizeof(x), labels, sizeof(labels), &e) < 0);
    x[2] = 13;
    assert_true(open_idx(&d, x, sizeof(x), labels, sizeof(labels), &e) < 0);
    assert_non_null(strstr(e.text, "another type"));
    assert_true(open_file(&d, write_bytes("alone", images, sizeof(images)), &e) == WATTQ_E_USAGE);
}

/* ---- stand-ins ----------------------------------------------------------------------------------- */

static void check_standin(const struct net_dataset *study)
{
    char *name CLEANUP(base_freep) = base_printf("standin:%s", study->name);
    const struct dataset_spec spec = {.dataset = name, .seed = 4};
    struct dataset a;
    struct dataset b;
    assert_int_equal(dataset_open(&a, &spec, NULL), 0);
    assert_int_equal(dataset_open(&b, &spec, NULL), 0);
    assert_true(a.standin);
    assert_int_equal(a.rows, study->rows);
    assert_int_equal(a.inputs, study->inputs);
    assert_int_equal(a.outputs, study->outputs);
    assert_int_equal(a.classes, study->classes);
    assert_int_equal(a.loss, study->loss);
    size_t rows = (size_t)a.rows;
    assert_memory_equal(a.x, b.x, rows * (size_t)a.inputs * sizeof(float));
    int64_t count[16] = {0};
    for (int64_t i = 0; i < a.rows; i++) {
        if (a.label)
            count[a.label[i]]++;
        else
            count[a.target[i * a.outputs] > 0.5F]++;
    }
    for (int64_t c = 0; c < (a.label ? a.outputs : 2); c++)
        assert_true(count[c] > 0);
    dataset_close(&a);
    dataset_close(&b);
}

static void test_standins(void **state)
{
    (void)state;
    for (size_t i = 0; i < net_dataset_count; i++)
        if (net_datasets[i].rows * net_datasets[i].inputs < 1500000)
            check_standin(&net_datasets[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_min_max_and_csv),
        cmocka_unit_test(test_split_depends_on_seed),
        cmocka_unit_test(test_split_sizes),
        cmocka_unit_test(test_numbers_as_strtod),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_nul_byte),
        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_idx),
        cmocka_unit_test(test_bad_idx),
        cmocka_unit_test(test_standins),
    };
    return cmocka_run_group_tests_name("train_dataset", tests, make_dir, remove_dir);
}
