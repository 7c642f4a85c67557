#include "daemon/model/claims.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "daemon/model/claims_private.h"

#define EFFECT                                                                                     \
    "Reproduced when the interval is above 0 and reaches a quarter of the study's figure; not "    \
    "when "                                                                                        \
    "it stays below that quarter."

static const struct {
    int row;
    enum claim_hardware hardware;
    const char *unit;
    claims_judge_fn *judge;
    const char *finding;
    const char *study;
    const char *rule;
} table[] = {
    {1, CLAIM_GPU, "", claims_flat_then_rises,
     "GPU: the cost of a datum is flat until the last cache is exceeded, then rises with the "
     "parameters",
     "10.1 mJ at 2^5, 11.1 at 2^15, 11.6 at 2^20, 16.3 at 2^22, 34.9 at 2^24",
     "Slope of ln cost over ln parameters beyond the last cache minus that within it, within "
     "series "
     "(data set, shape, depth). " EFFECT " The slope within must be within 0.1 of 0."},
    {2, CLAIM_CPU, "", claims_rises,
     "CPU: the cost of a datum rises through the whole range of sizes",
     "3.13 mJ at 2^5, 5.21 at 2^13, 10.3 at 2^17, 14.0 at 2^20, 48.0 at 2^24",
     "Slope of ln cost over ln parameters within series. " EFFECT
     " In both halves of the sizes the "
     "slope must be above 0."},
    {3, CLAIM_BOTH, "parameters", claims_crossover,
     "Small networks are cheaper on the CPU, large ones on the GPU",
     "CPU cheaper up to 2^17, GPU from 2^18; 31 % at 2^5, 1.38 x at 2^24",
     "Size at which the line of ln(CPU/GPU) over log2 size is 0, networks run on both. Reproduced "
     "when the line rises and crosses within the sizes run."},
    {4, CLAIM_CPU, "", claims_large_cpu, "CPU: large networks cost more with every parameter",
     "2.11 nJ per datum and parameter from 2^21 on; from 2^22 to 2^24 the cost grows as P^0.58",
     "Median elasticity (ln cost over ln parameters) between neighbouring sizes from 2^21 on. "
     "Reproduced when its interval is above 0 and meets 0.5 to 1.5 times the study's."},
    {4, CLAIM_GPU, "", claims_large_gpu, "GPU: large networks cost more with every parameter",
     "1.49 nJ per datum and parameter above 2^20; from 2^21 to 2^24 the cost grows as P^0.48",
     "As above, from 2^20 on."},
    {5, CLAIM_CPU, "", claims_data_cpu, "CPU: the cost of an epoch is proportional to the data",
     "exponent 1.02 over its medians per data set; 6.16 mJ per further row",
     "Slope of ln(cost per epoch) over ln(training rows) at equal shape, depth and size. "
     "Reproduced "
     "when the interval lies in 0.8..1.2; not when it does not meet 0.9..1.1."},
    {5, CLAIM_GPU, "", claims_data_gpu, "GPU: the cost of an epoch is proportional to the data",
     "exponent 0.98 over its medians per data set; 9.47 mJ per further row", "As above."},
    {6, CLAIM_CPU, "% per layer", claims_depth_cpu,
     "CPU: depth costs energy at equal parameter count",
     "0.37 mJ per datum and layer; medians 4.3 mJ at depth 2 to 16.5 at depth 20: +7.8 % per layer",
     "Slope of ln cost over depth at equal data set, shape and size. " EFFECT},
    {6, CLAIM_GPU, "% per layer", claims_depth_gpu,
     "GPU: depth costs energy at equal parameter count",
     "0.20 mJ per datum and layer; medians 10.0 to 13.5 mJ: +1.7 % per layer", "As above."},
    {7, CLAIM_CPU, "x", claims_wide_shallow,
     "CPU: very wide shallow networks are the worst at large size",
     "2^24: 120 mJ at depth 2, 38 at depth 4: 3.2 x",
     "Median of cost at depth 2 over the median at depths 3 to 5, same data set and size, from "
     "2^22 "
     "on. " EFFECT " (of the logarithm)"},
    {8, CLAIM_CPU, "%", claims_dip, "CPU: an unexplained dip at depth 6",
     "4.3 mJ between 5.7 at depth 5 and 7.2 at depth 7: 33 % lower",
     "Median of 1 - cost at depth 6 / geometric mean of depths 5 and 7, same data set, shape and "
     "size. " EFFECT},
    {9, CLAIM_CPU, "", claims_f_cpu,
     "CPU: the cost of a datum follows the forward working set: a plateau inside of L1, growth "
     "beyond it",
     "4.7 mJ at 32 KiB, 11.7 at the L2 boundary, 26 at the L3 boundary, 48 at 2^27 bytes",
     "Slope of ln cost over ln f between the L1 and L2 boundaries minus that inside of L1, within "
     "series. " EFFECT " The slope inside must be within 0.3 of 0."},
    {10, CLAIM_GPU, "", claims_f_gpu,
     "GPU: flat against the forward working set up to the L2 boundary, then rising",
     "10.8 to 11.5 mJ up to 2 MiB, 12.2 at the L2 boundary, 35 at 2^26 bytes",
     "Slope of ln cost over ln f beyond the last cache minus that within it, within "
     "series. " EFFECT},
    {11, CLAIM_BOTH, "x", claims_tiny,
     "To reach a given loss tiny networks need many times the least energy; behind the minimum it "
     "rises again",
     "100 to 1000 times at the smallest size, 1 to 3 times at the largest",
     "Median over iso-loss lines of cost at the smallest size over the least. Reproduced when its "
     "interval is above 10 and the largest size costs more than the least (interval above 1)."},
    {12, CLAIM_BOTH, "of the last cache", claims_minima,
     "The minima of energy to a loss lie where the forward set is about to outgrow the caches",
     "51 % with a forward set of 2^23 to 2^24 bytes; its last caches hold 2^24.7 (CPU) and 2^22.6 "
     "(GPU)",
     "Median over iso-loss lines of the forward set at the minimum over the bytes of all caches; "
     "minima at the edge of the sizes do not count. Reproduced when its interval lies in 1/16..4."},
    {13, CLAIM_BOTH, "minima", claims_examples, "Where the minima of four networks lie",
     "connect_4 trapezoid d4 2^18 (GPU 2^21); mnist rectangle d6 2^20 to 2^21; 201_pol rectangle "
     "d2 "
     "2^19; sleep exponential d8 2^20",
     "Size of the minimum of those of them that were run. Reproduced when all lie within a factor "
     "of "
     "4 of the study's size."},
    {14, CLAIM_BOTH, "x", claims_flops,
     "Counting operations would foretell minima at much smaller networks",
     "minima of operations at 2^9 to 2^14 parameters, of energy mostly at 2^21",
     "Median over iso-loss lines of the size with the least cost over the size with the fewest "
     "operations. Reproduced when its interval is above 2."},
    {15, CLAIM_BOTH, "x", claims_predictors,
     "Parameters and operations alone are poor predictors; what decides is where the working set "
     "lives",
     "in words only",
     "Error of time, left out by size: the better of both rivals (operations; parameters with "
     "depth) "
     "over the model with working sets. Reproduced from 1.5 on."},
    {16, CLAIM_CPU, "%", claims_model_cpu, "CPU: error of the energy model",
     "21.1 % mean absolute relative error",
     "Mean absolute relative error left out by size. Reproduced when it is not above the study's."},
    {16, CLAIM_GPU, "%", claims_model_gpu, "GPU: error of the energy model",
     "5.5 % mean absolute relative error", "As above."},
};
_Static_assert(ARRAY_LEN(table) <= CLAIMS_MAX, "more claims than the caller has room for");

const char *claim_verdict_name(enum claim_verdict v)
{
    static const char *const names[] = {"reproduced", "not reproduced", "not testable here"};
    return names[v];
}

const char *claim_hardware_name(enum claim_hardware h)
{
    static const char *const names[] = {"CPU", "GPU", "both"};
    return names[h];
}

void claims_untestable(struct claim *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->why, sizeof c->why, fmt, ap);
    va_end(ap);
    c->verdict = CLAIM_UNTESTABLE;
}

void claims_decide(struct claim *c, const struct claims_figure *f, bool reproduced, const char *fmt,
                   ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->why, sizeof c->why, fmt, ap);
    va_end(ap);
    c->value = f->value;
    c->lo = f->lo;
    c->hi = f->hi;
    c->n = f->n;
    c->verdict = reproduced ? CLAIM_REPRODUCED : CLAIM_NOT;
}

const struct points_set *claims_set(struct claim *c, const struct claims_input *in,
                                    enum points_class k)
{
    const struct points_set *s = &in->points->set[k];
    const char *name = k == POINTS_GPU ? "GPU" : "CPU";
    c->time = !s->joules;
    if (s->n >= CLAIMS_LEAST)
        return s;
    if (s->n == 0)
        claims_untestable(c, "there is no usable run on a %s among these", name);
    else
        claims_untestable(c, "only %zu networks were run on the %s; at least %d are needed", s->n,
                          name, CLAIMS_LEAST);
    return NULL;
}

size_t claims_judge(struct claim out[CLAIMS_MAX], const struct claims_input *in)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct claim *c = &out[i];
        *c = (struct claim){.row = table[i].row,
                            .hardware = table[i].hardware,
                            .finding = table[i].finding,
                            .study = table[i].study,
                            .rule = table[i].rule,
                            .unit = table[i].unit,
                            .verdict = CLAIM_UNTESTABLE,
                            .study_value = NAN,
                            .value = NAN,
                            .lo = NAN,
                            .hi = NAN};
        table[i].judge(c, in);
    }
    return ARRAY_LEN(table);
}
