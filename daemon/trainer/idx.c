/* IDX images and labels, as MNIST is published.
 * source: yann.lecun.com/exdb/mnist: u8 0, u8 0, u8 type (8 = unsigned byte), u8 dimensions, then each
 * dimension as u32 big-endian, then the values, last dimension fastest. */
#include "daemon/trainer/dataset.h"
#include "daemon/trainer/infile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define CLASSES_MAX 256

struct idx {
    char *bytes; /* the file */
    const uint8_t *value;
    int64_t items;      /* first dimension */
    int64_t item_bytes; /* product of the others */
};

bool idx_probe(const char *path)
{
    struct stat st; /* opening a pipe could block for ever */
    gzFile z = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? gzopen(path, "rbe") : NULL;
    if (!z)
        return false;
    uint8_t magic[4];
    bool yes =
        gzread(z, magic, sizeof(magic)) == (int)sizeof(magic) && magic[0] == 0 && magic[1] == 0;
    (void)gzclose_r(z);
    return yes;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int bad(const char *path, const char *why, struct err *e)
{
    err_set(e, WATTQ_E_INVALID, "%.160s %s", path, why);
    return err_next(
        e, "give an images file of unsigned bytes (t10k-images-idx3-ubyte.gz) and its labels "
           "file with --labels");
}

static int parse(struct idx *x, const char *path, size_t bytes, int dims, struct err *e)
{
    const uint8_t *p = (const uint8_t *)x->bytes;
    if (bytes < 4 || p[0] != 0 || p[1] != 0)
        return bad(path, "does not start with the IDX magic number", e);
    if (p[2] != 8)
        return bad(path, "is an IDX file of another type than unsigned bytes", e);
    if (dims ? p[3] != dims : p[3] < 2)
        return bad(path, dims ? "is no IDX labels file" : "is no IDX images file", e);
    size_t head = 4 + 4 * (size_t)p[3];
    if (bytes < head)
        return bad(path, "ends within its IDX header", e);
    x->items = be32(p + 4);
    x->item_bytes = 1;
    for (int i = 1; i < p[3]; i++) {
        uint32_t n = be32(p + 4 + 4 * i);
        if (n == 0 || x->item_bytes > (1 << 20) / (int64_t)n)
            return bad(path, "has items of zero or more than 2^20 values", e);
        x->item_bytes *= n;
    }
    if (x->items < 1)
        return bad(path, "holds zero rows", e);
    if (bytes - head != (uint64_t)x->items * (uint64_t)x->item_bytes)
        return bad(path, "is not as long as its IDX header says", e);
    x->value = p + head;
    return 0;
}

static int read_idx(struct idx *x, const char *path, int dims, struct err *e)
{
    size_t bytes;
    int rc = infile_read(path, &x->bytes, &bytes, e);
    return rc < 0 ? rc : parse(x, path, bytes, dims, e);
}

/* images' path with "images" and "idx3" replaced; NULL when it has no "images-idx3". */
static char *labels_path(const char *images)
{
    const char *at = strstr(images, "images-idx3");
    if (!at)
        return NULL;
    return base_printf("%.*slabels-idx1%s", (int)(at - images), images, at + strlen("images-idx3"));
}

/* Labels must be 0 .. k-1 for k different ones; *classes = k. */
static int check_labels(const struct idx *labels, const char *path, int64_t *classes, struct err *e)
{
    bool seen[CLASSES_MAX] = {false};
    int64_t k = 0;
    for (int64_t i = 0; i < labels->items; i++) {
        k += !seen[labels->value[i]];
        seen[labels->value[i]] = true;
    }
    if (k < 2)
        return bad(path, "has one label in all rows: there is nothing to learn", e);
    for (int64_t i = 0; i < labels->items; i++) {
        if (labels->value[i] < k)
            continue;
        err_set(e, WATTQ_E_INVALID,
                "%.160s: row %lld has label %d, out of range 0..%lld of %lld classes", path,
                (long long)i + 1, labels->value[i], (long long)k - 1, (long long)k);
        return err_next(e, "number the classes from 0 without holes");
    }
    *classes = k;
    return 0;
}

static void encode(struct dataset *d, const struct idx *images, const struct idx *labels,
                   const uint32_t *position)
{
    for (int64_t r = 0; r < d->rows; r++) {
        float *to = d->x + (int64_t)position[r] * d->inputs;
        const uint8_t *from = images->value + r * d->inputs;
        for (int64_t i = 0; i < d->inputs; i++)
            to[i] = (float)(from[i] / 255.0);
        if (d->label)
            d->label[position[r]] = labels->value[r];
        else
            d->target[position[r]] = labels->value[r] == labels->value[0] ? 1.0F : 0.0F;
    }
}

static int open_pair(struct dataset *d, struct idx *images, struct idx *labels,
                     const char *label_file, uint64_t seed, struct err *e)
{
    if (labels->items != images->items)
        return bad(label_file, "has another number of rows than the images", e);
    int rc = check_labels(labels, label_file, &d->classes, e);
    if (rc < 0)
        return rc;
    d->rows = images->items;
    d->raw_features = d->inputs = images->item_bytes;
    d->outputs = d->classes == 2 ? 1 : d->classes;
    d->loss = d->classes == 2 ? NET_LOSS_BCE : NET_LOSS_CCE;
    uint32_t *position CLEANUP(base_freep) = NULL;
    rc = dataset_allocate(d, seed, &position, e);
    if (rc == 0)
        encode(d, images, labels, position);
    return rc;
}

int idx_open(struct dataset *d, const char *images, const char *labels, uint64_t seed,
             struct err *e)
{
    char *beside CLEANUP(base_freep) = labels ? base_strdup(labels) : labels_path(images);
    if (!beside) {
        err_set(e, WATTQ_E_USAGE, "%.160s has no labels", images);
        return err_next(e, "name the labels file: --labels FILE");
    }
    struct idx x = {0};
    struct idx y = {0};
    int rc = read_idx(&x, images, 0, e);
    if (rc == 0)
        rc = read_idx(&y, beside, 1, e);
    if (rc == 0)
        rc = open_pair(d, &x, &y, beside, seed, e);
    free(x.bytes);
    free(y.bytes);
    return rc;
}
