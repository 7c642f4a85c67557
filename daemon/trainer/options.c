#include "daemon/trainer/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/cpulist.h"
#include "common/units.h"

enum kind { TEXT, COUNT, AUTO_COUNT, REAL, CHOICE, FLAG };

struct row {
    const char *name;
    const char *arg; /* what --help calls the value; NULL for a flag */
    enum kind kind;
    size_t offset;
    double min; /* COUNT and REAL: inclusive */
    double max;
    const char *const *words; /* CHOICE: word i means value i; NULL-terminated */
    const char *dflt;         /* as one would type it; NULL: none */
    const char *help;
};

static const char *const adam_words[] = {"keras", "torch", NULL};
static const char *const init_words[] = {"glorot", "he", NULL};
static const char *const precision_words[] = {"f32", "f64", "tf32", NULL};

#define AT(field) offsetof(struct options, field)
/* clang-format off */
static const struct row rows[] = {
    {"dataset", "NAME|FILE", TEXT, AT(dataset), 0, 0, NULL, NULL,
     "PMLB .tsv[.gz], .csv[.gz], IDX images, a name in the data directory, or standin:NAME"},
    {"data-dir", "DIR", TEXT, AT(data_dir), 0, 0, NULL, NULL,
     "where NAME.tsv.gz is looked for; default $WATTQ_DATA"},
    {"labels", "FILE", TEXT, AT(labels), 0, 0, NULL, NULL,
     "labels of IDX images; default the images' name with labels-idx1"},
    {"target", "COLUMN", TEXT, AT(target), 0, 0, NULL, NULL,
     "target column; default 'target' in a .tsv, the last one in a .csv"},
    {"shape", "SHAPE", TEXT, AT(shape), 0, 0, NULL, "rectangle",
     "rectangle, trapezoid, exponential, wide_first_{2,4,8,16}x, rectangle_residual"},
    {"depth", "N", COUNT, AT(depth), 2, NET_DEPTH_MAX, NULL, "4", "dense layers, output included"},
    {"size", "N", COUNT, AT(size), 1, 0x1p30, NULL, NULL,
     "parameters wanted, within 20 %; also 2^14, 64Ki"},
    {"layers", "W,W,..", TEXT, AT(layers), 0, 0, NULL, NULL,
     "widths instead of shape, depth and size; the last is the number of outputs"},
    {"epochs", "N|auto", AUTO_COUNT, AT(epochs), 1, 1e9, NULL, "30",
     "passes over the training rows; auto: whole ones until --min-seconds have passed"},
    {"min-seconds", "S", REAL, AT(min_seconds), 0, 1e9, NULL, NULL,
     "with --epochs auto: train at least that long, test passes not counted"},
    {"min-epochs", "N", COUNT, AT(min_epochs), 1, 1e9, NULL, "1",
     "with --epochs auto: and at least that many epochs"},
    {"warmup-seconds", "S", REAL, AT(warmup_seconds), 0, 1e6, NULL, NULL,
     "first train that long in phase warmup, whose time and rows are not counted"},
    {"batch", "N", COUNT, AT(batch), 1, 65536, NULL, "256", "rows in one step"},
    {"lr", "X", REAL, AT(lr), 1e-12, 1e3, NULL, "1e-4", "learning rate of Adam"},
    {"eps", "X", REAL, AT(eps), 1e-30, 1, NULL, "1e-7", "epsilon of Adam"},
    {"adam", "FORM", CHOICE, AT(adam), 0, 0, adam_words, "keras",
     "where epsilon stands: keras (sqrt(v)+eps) or torch (sqrt(v-hat)+eps)"},
    {"init", "INIT", CHOICE, AT(init), 0, 0, init_words, "glorot",
     "initial weights, uniform: glorot, or he in hidden layers"},
    {"seed", "N", COUNT, AT(seed), 0, 9.2e18, NULL, "1", "of the split and the initial weights"},
    {"backend", "NAME", TEXT, AT(backend), 0, 0, NULL, "auto", "who computes; auto is openblas, or reference for f64. Built in:"},
    {"precision", "P", CHOICE, AT(precision), 0, 0, precision_words, "f32",
     "f32; f64 (reference only); tf32 (cuda only: products with 10-bit mantissas)"},
    {"threads", "N", COUNT, AT(threads), 1, 1, NULL, "1",
     "one; use the cores by running several networks side by side"},
    {"cpus", "LIST", TEXT, AT(cpus), 0, 0, NULL, NULL, "run only on these CPUs: 0-3,8"},
    {"beside", "N", COUNT, AT(beside), 0, 1024, NULL, "0",
     "train N copies of it at the same time, which share the caches and are not counted"},
    {"resctrl", "DIR", TEXT, AT(resctrl), 0, 0, NULL, NULL,
     "in this control group of resctrl: with its part of the last cache"},
    {"max-seconds", "S", REAL, AT(max_seconds), 0, 1e9, NULL, NULL,
     "stop after that much training and testing, at the next batch"},
    {"loss-target", "X", REAL, AT(loss_target), 0, 1e30, NULL, NULL,
     "stop after the epoch whose test loss is at most X"},
    {"describe", NULL, FLAG, AT(describe), 0, 0, NULL, NULL,
     "print what would be trained as JSON, and train nothing"},
    {"backends", NULL, FLAG, AT(backends), 0, 0, NULL, NULL,
     "print the backends built in and whether they can be used here, as JSON"},
    {"help", NULL, FLAG, AT(help), 0, 0, NULL, NULL, "print this"},
    {"version", NULL, FLAG, AT(version), 0, 0, NULL, NULL, "print the version"},
};
/* clang-format on */

static void *field(struct options *o, const struct row *r)
{
    return (char *)o + r->offset;
}

static int bad_value(const struct row *r, const char *value, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "--%s cannot be '%.60s'", r->name, value);
    if (r->kind == CHOICE)
        return err_next(e, "write --%s %s or --%s %s", r->name, r->words[0], r->name, r->words[1]);
    if (strcmp(r->name, "threads") == 0)
        return err_next(e, "one network trains on one thread; run several side by side");
    return err_next(e, "give a number from %.10g to %.10g", r->min, r->max);
}

static int set_count(int64_t *out, const struct row *r, const char *value, struct err *e)
{
    int64_t n;
    if (units_parse_count(value, &n, NULL) < 0 || (double)n < r->min || (double)n > r->max)
        return bad_value(r, value, e);
    *out = n;
    return 0;
}

static int set_real(double *out, const struct row *r, const char *value, struct err *e)
{
    char *end;
    double x = strtod(value, &end);
    if (end == value || *end || !isfinite(x) || x < r->min || x > r->max)
        return bad_value(r, value, e);
    *out = x;
    return 0;
}

static int set_choice(int64_t *out, const struct row *r, const char *value, struct err *e)
{
    for (int64_t i = 0; r->words[i]; i++) {
        if (strcmp(r->words[i], value) == 0) {
            *out = i;
            return 0;
        }
    }
    return bad_value(r, value, e);
}

static int set(struct options *o, const struct row *r, const char *value, struct err *e)
{
    switch (r->kind) {
    case TEXT:
        *(const char **)field(o, r) = value;
        return 0;
    case AUTO_COUNT:
        if (strcmp(value, "auto") == 0) {
            *(int64_t *)field(o, r) = OPTIONS_AUTO;
            return 0;
        }
        return set_count(field(o, r), r, value, e);
    case COUNT:
        return set_count(field(o, r), r, value, e);
    case REAL:
        return set_real(field(o, r), r, value, e);
    case CHOICE:
        return set_choice(field(o, r), r, value, e);
    case FLAG:
        *(bool *)field(o, r) = true;
        return 0;
    }
    return 0;
}

/* "name" or "name=value"; NULL for an unknown one. */
static const struct row *find_row(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
            return &rows[i];
    return NULL;
}

static int usage(struct err *e)
{
    return err_next(e, "see wattq-train --help");
}

/* One option at argv[*i], which moves over its value. */
static int parse_one(struct options *o, int argc, char **argv, int *i, struct err *e)
{
    const char *arg = argv[*i];
    if (strncmp(arg, "--", 2) != 0) {
        err_set(e, WATTQ_E_USAGE, "'%.60s' is not an option", arg);
        return usage(e);
    }
    const char *equals = strchr(arg, '=');
    const struct row *r = find_row(arg + 2, equals ? (size_t)(equals - arg) - 2 : strlen(arg + 2));
    if (!r) {
        err_set(e, WATTQ_E_USAGE, "there is no option '%.60s'", arg);
        return usage(e);
    }
    if (r->kind == FLAG && equals) {
        err_set(e, WATTQ_E_USAGE, "--%s takes no value", r->name);
        return usage(e);
    }
    const char *value = equals ? equals + 1 : NULL;
    if (r->kind != FLAG && !value) {
        if (*i + 1 >= argc) {
            err_set(e, WATTQ_E_USAGE, "--%s needs a value: --%s %s", r->name, r->name, r->arg);
            return usage(e);
        }
        value = argv[++*i];
    }
    return set(o, r, value, e);
}

static int check_length(const struct options *o, struct err *e)
{
    struct cpulist cpus;
    if (o->epochs == OPTIONS_AUTO && !(o->min_seconds > 0)) {
        err_set(e, WATTQ_E_USAGE, "--epochs auto needs to know for how long");
        return err_next(e, "give --min-seconds 5");
    }
    if (o->epochs != OPTIONS_AUTO && (o->min_seconds > 0 || o->min_epochs > 1)) {
        err_set(e, WATTQ_E_USAGE, "--min-seconds and --min-epochs need --epochs auto");
        return err_next(e, "give --epochs auto, or leave them out");
    }
    if (o->cpus && (!cpulist_parse(&cpus, o->cpus) || cpulist_count(&cpus) == 0)) {
        err_set(e, WATTQ_E_USAGE, "--cpus cannot be '%.60s'", o->cpus);
        return err_next(e, "write numbers and ranges: --cpus 0-3,8");
    }
    return 0;
}

static int check(const struct options *o, struct err *e)
{
    if (o->help || o->version || o->backends)
        return 0;
    int rc = check_length(o, e);
    if (rc < 0)
        return rc;
    if (!o->dataset || !*o->dataset) {
        err_set(e, WATTQ_E_USAGE, "no data set is named");
        return err_next(e, "try --dataset standin:adult --size 4096");
    }
    if (!o->layers && o->size == 0) {
        err_set(e, WATTQ_E_USAGE, "no network size is given");
        return err_next(e, "give --size 4096 (and --shape, --depth), or widths: --layers 64,64,1");
    }
    if (o->layers && o->size != 0) {
        err_set(e, WATTQ_E_USAGE, "--layers and --size exclude each other");
        return err_next(e, "give the widths, or a size with --shape and --depth");
    }
    return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
    *o = (struct options){.data_dir = getenv("WATTQ_DATA")};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int rc = rows[i].dflt ? set(o, &rows[i], rows[i].dflt, e) : 0;
        if (rc < 0)
            return rc;
    }
    for (int i = 1; i < argc; i++) {
        int rc = parse_one(o, argc, argv, &i, e);
        if (rc < 0)
            return rc;
    }
    return check(o, e);
}

void options_help(FILE *out)
{
    fputs("Usage: wattq-train --dataset NAME --size N [options]\n"
          "Train one fully connected network as the BUTTER-E study did.\n\n",
          out);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char left[40];
        snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].arg ? " " : "",
                 rows[i].arg ? rows[i].arg : "");
        fprintf(out, "  %-21s %s", left, rows[i].help);
        if (strcmp(rows[i].name, "backend") == 0)
            for (const struct backend_ops *const *b = backends; *b; b++)
                fprintf(out, "%s %s", b == backends ? "" : ",", (*b)->name);
        if (rows[i].dflt)
            fprintf(out, " [%s]", rows[i].dflt);
        fputc('\n', out);
    }
    fputs(
        "\nWhere WATTQ_METRICS names a file, losses and phases are appended to it as JSON lines.\n"
        "Exit code: 0 done, 1 failed, 2 usage, 143 stopped by SIGTERM, 130 by SIGINT.\n",
        out);
}

const char *options_word(const char *option, int64_t value)
{
    const struct row *r = find_row(option, strlen(option));
    return r && r->words ? r->words[value] : NULL;
}
