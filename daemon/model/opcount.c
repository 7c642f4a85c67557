#include "daemon/model/opcount.h"

#include <math.h>

void opcount_compute(struct opcount *out, const struct opcount_case *c)
{
    double params = (double)net_params(c->net);
    double in = (double)(c->raw ? c->raw_features : c->net->inputs);
    double forward = 0;
    double backward = 0;
    for (int i = 0; i < c->net->depth; i++) {
        double width = (double)c->net->widths[i];
        forward += in * width + width;
        backward += 2 * width + in * width + (i > 0 ? in * width : 0);
        in = width;
    }
    *out = (struct opcount){c->batch * forward, c->batch * backward + params * (1 + c->batch),
                            (double)NAN, (double)NAN};
    if (c->rows_train < 1)
        return;
    double train = ceil((double)c->rows_train / c->batch);
    double test = ceil((double)c->rows_test / c->batch);
    out->epoch = train * (out->forward + out->backward) + test * out->forward;
    out->datum = out->epoch / (train * c->batch);
}
