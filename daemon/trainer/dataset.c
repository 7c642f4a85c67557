#include "daemon/trainer/dataset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/trainer/infile.h"
#include "daemon/trainer/rng.h"
#include "daemon/trainer/table.h"

/* Endings we read, longest first; the part before one is the data set's name. */
static const char *const endings[] = {".tsv.gz", ".csv.gz", ".tsv", ".csv", ".gz"};

void dataset_split(struct dataset *d)
{
    d->rows_test = (d->rows + 4) / 5; /* ceil(0.2 n), exact in integers */
    d->rows_train = d->rows - d->rows_test;
}

static int too_large(const struct dataset *d, struct err *e)
{
    err_set(e, WATTQ_E_LIMIT, "%.60s has %lld rows of %lld encoded inputs, which is more than fits",
            d->name, (long long)d->rows, (long long)d->inputs);
    return err_next(e, "train on fewer rows, or drop columns with many different values");
}

int dataset_allocate(struct dataset *d, uint64_t seed, uint32_t **position, struct err *e)
{
    if (d->rows < 2) {
        err_set(e, WATTQ_E_INVALID, "%.60s has %lld row; training and test need one each", d->name,
                (long long)d->rows);
        return err_next(e, "give a data set with more rows");
    }
    int64_t widest = d->inputs > d->outputs ? d->inputs : d->outputs;
    if (d->rows >= DATASET_ROWS_MAX || d->rows > DATASET_VALUES_MAX / widest)
        return too_large(d, e);
    dataset_split(d);
    size_t rows = (size_t)d->rows;
    d->x = calloc(rows, (size_t)d->inputs * sizeof(float));
    if (d->loss == NET_LOSS_CCE)
        d->label = calloc(rows, sizeof(*d->label));
    else
        d->target = calloc(rows, (size_t)d->outputs * sizeof(float));
    *position = malloc(rows * sizeof(**position));
    if (!d->x || (!d->label && !d->target) || !*position)
        return too_large(d, e);
    rng_permute(seed, RNG_SPLIT, *position, (uint32_t)rows);
    return 0;
}

void dataset_close(struct dataset *d)
{
    free(d->x);
    free(d->target);
    free(d->label);
    *d = (struct dataset){0};
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void name_from_path(struct dataset *d, const char *path)
{
    base_strcpy(d->name, sizeof(d->name), base_name(path));
    size_t n = strlen(d->name);
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        size_t m = strlen(endings[i]);
        if (n > m && strcmp(d->name + n - m, endings[i]) == 0) {
            d->name[n - m] = '\0';
            return;
        }
    }
}

static bool is_csv(const char *path)
{
    size_t n = strlen(path);
    return (n > 4 && strcmp(path + n - 4, ".csv") == 0) ||
           (n > 7 && strcmp(path + n - 7, ".csv.gz") == 0);
}

/* Which column is the target. Guessing the last one of a .tsv would turn a feature into the target. */
static int find_target(const struct table *t, const struct dataset_spec *spec, bool csv,
                       const char *name, int64_t *out, struct err *e)
{
    const char *want = spec->target ? spec->target : "target";
    *out = table_find(t, want);
    if (*out < 0 && csv && !spec->target)
        *out = t->cols - 1;
    if (*out < 0) {
        err_set(e, WATTQ_E_INVALID, "%.60s has no column '%.60s'", name, want);
        return err_next(e, "name the target column with --target; the last one is '%.60s'",
                        t->column[t->cols - 1].name);
    }
    if (t->cols < 2) {
        err_set(e, WATTQ_E_INVALID, "%.60s has one column: a target needs features beside it",
                name);
        return err_next(e, "check the separator: tabs in a .tsv, commas in a .csv");
    }
    return 0;
}

static int open_table(struct dataset *d, const char *path, const struct dataset_spec *spec,
                      struct err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    int rc = infile_read(path, &text, &bytes, e);
    if (rc < 0)
        return rc;
    struct table t;
    bool csv = is_csv(path);
    rc = table_parse(&t, csv ? TABLE_CSV : TABLE_TSV, base_name(path), text, bytes, e);
    free(text);
    if (rc < 0)
        return rc;
    int64_t target = -1;
    rc = find_target(&t, spec, csv, d->name, &target, e);
    if (rc == 0)
        rc = encode_table(d, &t, target, spec->seed, e);
    table_fini(&t);
    return rc;
}

static int open_path(struct dataset *d, const char *path, const struct dataset_spec *spec,
                     struct err *e)
{
    name_from_path(d, path);
    if (idx_probe(path) || spec->labels)
        return idx_open(d, path, spec->labels, spec->seed, e);
    return open_table(d, path, spec, e);
}

/* A bare name: DIR/NAME.tsv.gz, DIR/NAME.tsv, or PMLB's own layout DIR/NAME/NAME.tsv.gz. */
static char *look_up(const char *dir, const char *name)
{
    char *forms[] = {base_printf("%s/%s.tsv.gz", dir, name), base_printf("%s/%s.tsv", dir, name),
                     base_printf("%s/%s/%s.tsv.gz", dir, name, name)};
    char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (!found && access(forms[i], F_OK) == 0)
            found = forms[i];
        else
            free(forms[i]);
    }
    return found;
}

static int not_found(const struct dataset_spec *spec, struct err *e)
{
    const char *name = spec->dataset;
    if (spec->data_dir)
        err_set(e, WATTQ_E_NOT_FOUND, "there is no %.60s.tsv.gz in %.160s", name, spec->data_dir);
    else
        err_set(e, WATTQ_E_NOT_FOUND, "there is no directory given to look for '%.60s' in", name);
    return err_next(
        e,
        "give a path, --data-dir DIR or WATTQ_DATA, or train on generated data: --dataset "
        "standin:%.40s",
        net_dataset_find(name) ? name : "adult");
}

static int open_named(struct dataset *d, const struct dataset_spec *spec, struct err *e)
{
    if (strncmp(spec->dataset, "standin:", 8) == 0)
        return standin_open(d, spec->dataset + 8, spec, e);
    if (access(spec->dataset, F_OK) == 0 || strchr(spec->dataset, '/') ||
        strchr(spec->dataset, '.'))
        return open_path(d, spec->dataset, spec, e);
    char *path CLEANUP(base_freep) = spec->data_dir ? look_up(spec->data_dir, spec->dataset) : NULL;
    return path ? open_path(d, path, spec, e) : not_found(spec, e);
}

int dataset_open(struct dataset *d, const struct dataset_spec *spec, struct err *e)
{
    *d = (struct dataset){0};
    int rc = open_named(d, spec, e);
    if (rc < 0)
        dataset_close(d);
    return rc;
}
