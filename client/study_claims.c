#include "client/study_claims.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DATASETS_MIN 3 /* as the report asks: groups that a slope over them needs */

static bool say(struct study_testable *t, bool yes, const char *fmt, ...) PRINTF(3, 4);

static bool say(struct study_testable *t, bool yes, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(t->why, sizeof t->why, fmt, ap);
    va_end(ap);
    t->yes = yes;
    return yes;
}

/* ---- what the axes have ------------------------------------------------------------------------------ */

static size_t sizes_from(const struct study_facts *f, int64_t least)
{
    size_t n = 0;
    for (size_t i = 0; i < f->nsizes; i++)
        n += f->size[i] >= least;
    return n;
}

static bool has_depth(const struct study_facts *f, int depth)
{
    for (size_t i = 0; i < f->axes->ndepths; i++)
        if (f->axes->depth[i] == depth)
            return true;
    return false;
}

static bool has_shape(const struct study_facts *f, enum net_shape shape)
{
    for (size_t i = 0; i < f->axes->nshapes; i++)
        if (f->axes->shape[i] == shape)
            return true;
    return false;
}

static bool has_data(const struct study_facts *f, const char *name)
{
    for (size_t i = 0; i < f->axes->ndata; i++)
        if (strcmp(f->axes->data[i]->name, name) == 0)
            return true;
    return false;
}

/* Two sizes on either side of the level's bound of that set. */
static bool straddles(const struct study_facts *f, enum workset_kind kind, int level)
{
    for (size_t i = 0; i < f->nbounds; i++) {
        const struct study_bound *b = &f->bounds[i];
        if (b->kind != kind || b->level != level || isnan(b->params))
            continue;
        size_t above = 0;
        for (size_t k = 0; k < f->nsizes; k++)
            above += (double)f->size[k] > b->params;
        return above >= 2 && f->nsizes - above >= 2;
    }
    return false;
}

static size_t series(const struct study_facts *f)
{
    return f->axes->ndata * f->axes->nshapes * f->axes->ndepths;
}

/* ---- row by row -------------------------------------------------------------------------------------- */

static bool large(struct study_testable *t, const struct study_facts *f, int log2)
{
    size_t n = sizes_from(f, INT64_C(1) << log2);
    if (n < 2)
        return say(t, false, "needs two sizes from 2^%d on: --size 2^%d,2^%d,2^24", log2, log2,
                   log2 + 1);
    return say(t, true, "%zu sizes from 2^%d on", n, log2);
}

static bool depths(struct study_testable *t, const struct study_facts *f)
{
    if (f->axes->ndepths < 2)
        return say(t, false, "needs several depths: --depth 3,5,8");
    return say(t, true, "%zu depths", f->axes->ndepths);
}

static bool shallow(struct study_testable *t, const struct study_facts *f)
{
    bool deeper = has_depth(f, 3) || has_depth(f, 4) || has_depth(f, 5);
    if (!has_depth(f, 2) || !deeper || sizes_from(f, 1 << 22) == 0)
        return say(t, false, "needs depth 2, one of 3 to 5, and sizes from 2^22 on");
    return say(t, true, "depth 2 beside deeper ones at 2^22 and more");
}

static bool dip(struct study_testable *t, const struct study_facts *f)
{
    if (!has_depth(f, 5) || !has_depth(f, 6) || !has_depth(f, 7))
        return say(t, false, "needs the depths 5, 6 and 7: --depth 5..7");
    return say(t, true, "depths 5, 6 and 7");
}

static bool forward_set(struct study_testable *t, const struct study_facts *f)
{
    if (f->caches < 3)
        return say(t, false, "this machine describes no two levels of cache");
    for (int level = 0; level + 2 < (int)f->caches; level++)
        if (straddles(f, WORKSET_F, level))
            return say(t, true, "two sizes on either side of a cache boundary");
    return say(t, false, "no two sizes on either side of a cache boundary");
}

static bool to_a_loss(struct study_testable *t, const struct study_facts *f)
{
    if (!f->real)
        return say(t, false,
                   "losses of stand-ins mean nothing: --data-dir DIR with the real files");
    if (series(f) < CLAIMS_LINES || f->nsizes < 5)
        return say(t, false, "needs %d series (data set, shape, depth) of 5 sizes", CLAIMS_LINES);
    return say(t, true, "%zu series of %zu sizes, and --epochs enough for their losses to meet",
               series(f), f->nsizes);
}

static bool examples(struct study_testable *t, const struct study_facts *f)
{
    bool any = (has_data(f, "connect_4") && has_shape(f, NET_TRAPEZOID) && has_depth(f, 4)) ||
               (has_data(f, "mnist") && has_shape(f, NET_RECTANGLE) && has_depth(f, 6)) ||
               (has_data(f, "201_pol") && has_shape(f, NET_RECTANGLE) && has_depth(f, 2)) ||
               (has_data(f, "sleep") && has_shape(f, NET_EXPONENTIAL) && has_depth(f, 8));
    if (!any || !f->real)
        return say(t, false,
                   "needs one of its four networks on the real data, such as mnist "
                   "rectangle at depth 6");
    return say(t, true, "one of its four networks");
}

static bool model(struct study_testable *t, const struct study_facts *f)
{
    if (f->nsizes < 5 || series(f) < 3)
        return say(t, false,
                   "a model that is judged by what it has not seen needs 5 sizes and 3 "
                   "series");
    return say(t, true, "%zu sizes, %zu series", f->nsizes, series(f));
}

static bool data_sets(struct study_testable *t, const struct study_facts *f)
{
    if (f->axes->ndata < DATASETS_MIN)
        return say(t, false, "needs %d data sets of different length", DATASETS_MIN);
    return say(t, true, "%zu data sets", f->axes->ndata);
}

static bool whole_range(struct study_testable *t, const struct study_facts *f)
{
    if (f->nsizes < 4)
        return say(t, false, "needs at least 4 sizes");
    return say(t, true, "%zu sizes from %lld to %lld", f->nsizes, (long long)f->size[0],
               (long long)f->size[f->nsizes - 1]);
}

static void judge(struct study_testable *t, const struct study_facts *f)
{
    switch (t->row) {
    case 4:
        (void)large(t, f, t->hardware == CLAIM_GPU ? 20 : 21);
        break;
    case 5:
        (void)data_sets(t, f);
        break;
    case 6:
        (void)depths(t, f);
        break;
    case 7:
        (void)shallow(t, f);
        break;
    case 8:
        (void)dip(t, f);
        break;
    case 9:
    case 10:
        (void)forward_set(t, f);
        break;
    case 11:
    case 12:
    case 14:
        (void)to_a_loss(t, f);
        break;
    case 13:
        (void)examples(t, f);
        break;
    case 15:
    case 16:
        (void)model(t, f);
        break;
    default: /* 1, 2, 3 */
        (void)whole_range(t, f);
        break;
    }
}

size_t study_claims(struct study_testable out[CLAIMS_MAX], const struct study_facts *f)
{
    struct claim claims[CLAIMS_MAX];
    struct points none = {0};
    const struct claims_input nothing = {.points = &none};
    size_t n = claims_judge(claims, &nothing);
    for (size_t i = 0; i < n; i++) {
        struct study_testable *t = &out[i];
        *t = (struct study_testable){
            .row = claims[i].row, .hardware = claims[i].hardware, .finding = claims[i].finding};
        bool card = t->hardware == CLAIM_GPU || t->row == 3;
        if (card && !f->gpu)
            (void)say(t, false, "wattq-train finds no GPU here that it can use");
        else
            judge(t, f);
        t->time = t->yes && !f->joules;
    }
    return n;
}
