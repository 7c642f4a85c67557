#include "common/net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int divisor; /* wide_first: how much narrower the following layers are; 0 for the others */
} shapes[NET_SHAPES] = {
    [NET_RECTANGLE] = {"rectangle", 0},
    [NET_TRAPEZOID] = {"trapezoid", 0},
    [NET_EXPONENTIAL] = {"exponential", 0},
    [NET_WIDE_FIRST_2X] = {"wide_first_2x", 2},
    [NET_WIDE_FIRST_4X] = {"wide_first_4x", 4},
    [NET_WIDE_FIRST_8X] = {"wide_first_8x", 8},
    [NET_WIDE_FIRST_16X] = {"wide_first_16x", 16},
    [NET_RECTANGLE_RESIDUAL] = {"rectangle_residual", 0},
};

const struct net_dataset net_datasets[] = {
    /* name, rows, raw features, encoded inputs, outputs, classes, loss */
    {"201_pol", 15000, 48, 26, 11, 11, NET_LOSS_CCE},
    {"294_satellite_image", 6435, 36, 36, 6, 6,
     NET_LOSS_MSE}, /* a regression on a one-hot target */
    {"505_tecator", 240, 124, 124, 1, 0, NET_LOSS_MSE},
    {"529_pollen", 3848, 4, 4, 1, 0, NET_LOSS_MSE},
    {"537_houses", 20640, 8, 8, 1, 0, NET_LOSS_MSE},
    {"adult", 48842, 14, 81, 1, 2, NET_LOSS_BCE},
    {"banana", 5300, 2, 2, 1, 2, NET_LOSS_MSE}, /* a regression on a two-valued target */
    {"connect_4", 67557, 42, 126, 3, 3, NET_LOSS_CCE},
    {"mnist", 70000, 784, 784, 10, 10, NET_LOSS_CCE},
    {"nursery", 12958, 8, 26, 4, 4, NET_LOSS_CCE},
    {"sleep", 105908, 13, 141, 5, 5, NET_LOSS_CCE},
    {"splice", 3188, 60, 287, 3, 3, NET_LOSS_CCE},
    {"wine_quality_white", 4898, 11, 11, 7, 7, NET_LOSS_CCE},
};
const size_t net_dataset_count = ARRAY_LEN(net_datasets);

const struct net_dataset *net_dataset_find(const char *name)
{
    for (size_t i = 0; i < net_dataset_count; i++)
        if (strcmp(net_datasets[i].name, name) == 0)
            return &net_datasets[i];
    return NULL;
}

const char *net_shape_name(enum net_shape s)
{
    return s < NET_SHAPES ? shapes[s].name : "layers";
}

int net_shape_parse(const char *s, enum net_shape *out, struct err *e)
{
    for (int i = 0; i < NET_SHAPES; i++) {
        if (strcmp(s, shapes[i].name) == 0) {
            *out = (enum net_shape)i;
            return 0;
        }
    }
    err_set(e, WATTQ_E_USAGE, "there is no shape '%.40s'", s);
    return err_next(e, "the shapes are rectangle, trapezoid, exponential, wide_first_2x, _4x, _8x, "
                       "_16x and rectangle_residual");
}

/* Half to even, as Python's round(); the default rounding mode is never changed in this program. */
static int64_t round_even(double x)
{
    return (int64_t)rint(x);
}

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Width of layer k (0 = first) for first-layer width w; the general formulas, output layer included
 * where the shape's formula covers it. */
static int64_t layer_width(enum net_shape shape, int k, int depth, int64_t w, int64_t outputs)
{
    double wd = (double)w;
    double last = depth - 1;
    switch (shape) {
    case NET_TRAPEZOID:
        return round_even(wd - (wd - (double)outputs) / last * k);
    case NET_EXPONENTIAL:
        return largest(outputs,
                       round_even(wd * pow(exp(log((double)outputs / wd) / last), (double)k)));
    case NET_WIDE_FIRST_2X:
    case NET_WIDE_FIRST_4X:
    case NET_WIDE_FIRST_8X:
    case NET_WIDE_FIRST_16X:
        return k == 0 ? w : largest(1, round_even(wd / shapes[shape].divisor));
    case NET_RECTANGLE:
    case NET_RECTANGLE_RESIDUAL:
    case NET_SHAPES:
    case NET_FREE:
        break;
    }
    return w;
}

void net_widths(struct net *n, enum net_shape shape, int depth, int64_t inputs, int64_t outputs,
                int64_t w)
{
    *n = (struct net){.shape = shape, .depth = depth, .inputs = inputs};
    for (int k = 0; k < depth - 1; k++)
        n->widths[k] = layer_width(shape, k, depth, w, outputs);
    n->widths[depth - 1] = outputs;
    n->params = net_params(n);
}

/* Saturates: the search looks at widths of 2^30, whose counts need 67 bits. */
int64_t net_params(const struct net *n)
{
    __extension__ unsigned __int128 sum = 0;
    int64_t in = n->inputs;
    for (int k = 0; k < n->depth; k++) {
        __extension__ unsigned __int128 weights = (uint64_t)in + 1;
        sum += weights * (uint64_t)n->widths[k];
        in = n->widths[k];
    }
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

static int check_request(int depth, int64_t inputs, int64_t outputs, int64_t size, struct err *e)
{
    if (depth < 2 || depth > NET_DEPTH_MAX) {
        err_set(e, WATTQ_E_USAGE,
                "a depth of %d is not possible: it counts the dense layers, output "
                "included",
                depth);
        return err_next(e, "give a depth from 2 to %d", NET_DEPTH_MAX);
    }
    if (size < 1 || size > NET_WIDTH_MAX) {
        err_set(e, WATTQ_E_USAGE, "a size of %lld parameters is not possible", (long long)size);
        return err_next(e, "give a size from 1 to 2^30; the study's go from 32 to 16777216");
    }
    if (inputs < 1 || outputs < 1 || inputs > NET_WIDTH_MAX || outputs > NET_WIDTH_MAX)
        return err_set(e, WATTQ_E_USAGE,
                       "a network of %lld inputs and %lld outputs is not possible",
                       (long long)inputs, (long long)outputs);
    return 0;
}

int net_search(struct net *n, enum net_shape shape, int depth, int64_t inputs, int64_t outputs,
               int64_t size, struct err *e)
{
    int rc = check_request(depth, inputs, outputs, size, e);
    if (rc < 0)
        return rc;
    int64_t best = INT64_MAX;
    int64_t lo = 1;
    int64_t hi = NET_WIDTH_MAX;
    while (lo < hi) {
        int64_t mid = (lo + hi) / 2;
        struct net c;
        net_widths(&c, shape, depth, inputs, outputs, mid);
        int64_t off = c.params - size;
        int64_t distance = off < 0 ? -off : off;
        if (distance < best) { /* strictly: of equally near ones the first visited stays */
            best = distance;
            *n = c;
        }
        if (off == 0)
            break;
        if (off < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return best > size / 5 ? 1 : 0; /* in integers the same as best > 0.2 size */
}

int net_parse_layers(struct net *n, const char *layers, int64_t inputs, int64_t outputs,
                     struct err *e)
{
    *n = (struct net){.shape = NET_FREE, .inputs = inputs};
    const char *p = layers;
    for (;;) {
        char *end;
        long long w = *p >= '0' && *p <= '9' ? strtoll(p, &end, 10) : 0;
        if (w < 1 || w > NET_WIDTH_MAX || (*end != ',' && *end != '\0')) {
            err_set(e, WATTQ_E_USAGE, "'%.60s' is not a list of layer widths", layers);
            return err_next(e, "write the widths with commas, the output last: --layers 64,64,%lld",
                            (long long)outputs);
        }
        if (n->depth == NET_DEPTH_MAX)
            return err_set(e, WATTQ_E_USAGE, "more than %d layers", NET_DEPTH_MAX);
        n->widths[n->depth++] = w;
        if (*end == '\0')
            break;
        p = end + 1;
    }
    if (n->widths[n->depth - 1] != outputs) {
        err_set(e, WATTQ_E_USAGE,
                "the last layer has %lld units but this data set has %lld outputs",
                (long long)n->widths[n->depth - 1], (long long)outputs);
        return err_next(e, "let the list end in %lld", (long long)outputs);
    }
    n->params = net_params(n);
    return 0;
}
