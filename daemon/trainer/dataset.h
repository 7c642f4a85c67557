/* A data set as the network sees it: encoded, split, in the order of its batches. Owned by one thread;
 * read-only once opened.
 *
 * Encoding and split follow the study: per column with k distinct values - dropped for k <= 1, one 0/1
 * column (1 = the first row's value) for k = 2, one-hot in sorted order for k <= 20 or texts, else min-max to
 * [0,1] - fitted on all rows before the split; n_test = ceil(0.2 n); rows shuffled once by the seed, after
 * that every epoch has the same order. source: facts of the study, docs/trainer.md. */
#ifndef TRAINER_DATASET_H
#define TRAINER_DATASET_H

#include "common/net.h"

#define DATASET_ROWS_MAX   (INT64_C(1) << 31) /* the split's shuffle counts in 32 bits */
#define DATASET_VALUES_MAX (INT64_C(1) << 31) /* encoded inputs: 8 GiB of floats */
#define DATASET_ONE_HOT    20 /* most distinct numbers that are still one-hot encoded */
#define DATASET_NAME_MAX   100

struct dataset {
    char name[DATASET_NAME_MAX + 1]; /* file name without its endings, or the study's name */
    bool standin;                    /* generated here: not the real data */
    int64_t rows;
    int64_t rows_train; /* rows 0 .. rows_train-1 below are trained on */
    int64_t rows_test;  /* the others are tested on */
    int64_t raw_features;
    int64_t inputs;
    int64_t outputs;
    int64_t classes; /* distinct values of a target encoded as classes; 0 for a min-max target */
    enum net_loss loss;
    float *x;       /* [rows][inputs] */
    float *target;  /* [rows][outputs]; NULL for NET_LOSS_CCE */
    int32_t *label; /* [rows], 0 .. outputs-1; NULL unless NET_LOSS_CCE */
};

struct dataset_spec {
    const char *dataset;  /* a path, a name looked up in data_dir, or standin:NAME */
    const char *data_dir; /* NULL: there is none */
    const char *labels;   /* IDX labels file; NULL: images' name with "labels-idx1" */
    const char *target;   /* column; NULL: "target" in a .tsv, the last one in a CSV */
    uint64_t seed;        /* of the split */
    bool dims_only;       /* describe: leave x, target and label NULL where they need not be read */
};

/* 0; WATTQ_E_NOT_FOUND, WATTQ_E_INVALID, WATTQ_E_LIMIT, WATTQ_E_CORRUPT or WATTQ_E_IO with a sentence that
 * names the file and, where there is one, the row. */
int dataset_open(struct dataset *d, const struct dataset_spec *spec, struct err *e) MUST_USE;
void dataset_close(struct dataset *d); /* zeroed, half-open and closed ones are fine */

/* ---- for the readers of one format each (encode.c, idx.c, standin.c) ---------------------------- */

/* Split sizes and memory for d's rows, inputs, outputs and loss; *position (caller frees) says where row i
 * of the file goes. WATTQ_E_INVALID for fewer than 2 rows, WATTQ_E_LIMIT. */
int dataset_allocate(struct dataset *d, uint64_t seed, uint32_t **position, struct err *e) MUST_USE;
/* The two sizes from d->rows alone. */
void dataset_split(struct dataset *d);

struct table;
int encode_table(struct dataset *d, const struct table *t, int64_t target, uint64_t seed,
                 struct err *e) MUST_USE;
/* True when the file starts like IDX, compressed or not; reads four bytes. */
bool idx_probe(const char *path);
int idx_open(struct dataset *d, const char *images, const char *labels, uint64_t seed,
             struct err *e) MUST_USE;
int standin_open(struct dataset *d, const char *name, const struct dataset_spec *spec,
                 struct err *e) MUST_USE;

#endif
