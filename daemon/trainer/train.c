/* The loop over epochs, its clocks and what it tells the world. */
#include "daemon/trainer/train.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/units.h"

#define MARKED_EPOCH_NS (50 * NS_PER_MS) /* shorter epochs stay inside phase "train" */
#define METRIC_EVERY_NS (NS_PER_S / 4)
#define SHOW_EVERY_NS   (2 * NS_PER_S)

struct loop {
    const struct train_plan *p;
    const struct train_hooks *h;
    struct train_result *r;
    struct backend *b;
    int64_t begin_ns;     /* first batch that counts; while warming, the very first */
    int64_t metric_ns;    /* when the last epoch line was written */
    int64_t metric_epoch; /* and its epoch */
    int64_t show_ns;
    int64_t last_test_ns; /* length of the last test pass */
    double early_loss;    /* of this epoch, taken from the device before its end */
    bool warming;         /* phase warmup */
    bool stepped;         /* a batch has been trained */
    bool stopped;         /* no further batch */
};

static void mark(const struct loop *l, const char *phase, int64_t t_boot_ns)
{
    struct json j;
    json_start(&j);
    json_text(&j, "phase", phase);
    json_i64(&j, "t_boot_ns", t_boot_ns);
    metrics_write(l->h->metrics, &j);
}

static void write_info(const struct loop *l)
{
    struct json j;
    json_start(&j);
    json_open(&j, "info");
    train_plan_json(l->p, l->b, &j);
    json_close(&j);
    metrics_write(l->h->metrics, &j);
    mark(l, "setup", l->h->start_boot_ns);
}

static void write_epoch(struct loop *l, int64_t now_ns)
{
    const struct train_result *r = l->r;
    struct json j;
    json_start(&j);
    json_i64(&j, "epoch", r->epochs);
    json_i64(&j, "t_boot_ns", now_ns);
    json_f64(&j, "train_loss", r->train_loss);
    json_f64(&j, "test_loss", r->test_loss);
    if (l->p->data.classes)
        json_f64(&j, "test_accuracy", r->test_accuracy);
    json_i64(&j, "train_ns", r->train_ns);
    json_i64(&j, "test_ns", r->test_ns);
    json_i64(&j, "test_ns_inside_train", r->test_ns_inside_train);
    metrics_write(l->h->metrics, &j);
    l->metric_ns = now_ns;
    l->metric_epoch = r->epochs;
}

static void write_summary(const struct loop *l)
{
    static const char *const ends[] = {
        [TRAIN_EPOCHS] = "epochs",           [TRAIN_AUTO] = "auto",
        [TRAIN_MAX_SECONDS] = "max_seconds", [TRAIN_LOSS_TARGET] = "loss_target",
        [TRAIN_SIGNAL] = "signal",           [TRAIN_NOT_FINITE] = "not_finite"};
    const struct train_result *r = l->r;
    struct json j;
    json_start(&j);
    json_open(&j, "summary");
    json_i64(&j, "epochs", r->epochs);
    if (l->p->opt.epochs == OPTIONS_AUTO)
        json_text(&j, "epochs_asked", "auto");
    if (l->p->opt.warmup_seconds > 0) {
        json_i64(&j, "epochs_warmup", r->epochs_warmup);
        json_i64(&j, "warmup_ns", r->warmup_ns);
    }
    json_i64(&j, "rows_train_seen", r->rows_train_seen);
    json_i64(&j, "train_ns", r->train_ns);
    json_i64(&j, "test_ns", r->test_ns);
    json_i64(&j, "test_ns_inside_train", r->test_ns_inside_train);
    json_f64(&j, "train_loss", r->train_loss);
    json_f64(&j, "test_loss", r->test_loss);
    json_f64(&j, "test_accuracy", r->test_accuracy);
    json_f64(&j, "best_test_loss", r->best_test_loss);
    json_text(&j, "end", ends[r->end]);
    json_bool(&j, "stopped", r->end == TRAIN_SIGNAL);
    json_close(&j);
    metrics_write(l->h->metrics, &j);
}

static void show_start(const struct loop *l)
{
    FILE *f = l->h->progress;
    const struct train_plan *p = l->p;
    if (!f)
        return;
    char isa[64];
    p->ops->isa(isa, sizeof(isa));
    fprintf(f, "%s%s: %" PRId64 " + %" PRId64 " rows, %" PRId64 " inputs, %" PRId64 " outputs\n",
            p->data.name, p->data.standin ? " (stand-in: generated, not the real data)" : "",
            p->data.rows_train, p->data.rows_test, p->data.inputs, p->data.outputs);
    fprintf(f,
            "%s, depth %d, %" PRId64 " parameters; %s %s %s; batch %" PRId64
            ", lr %g, seed %" PRId64 "\n",
            net_shape_name(p->net.shape), p->net.depth, p->net.params, p->ops->name, isa,
            options_word("precision", p->opt.precision), p->opt.batch, p->opt.lr, p->opt.seed);
    fflush(f);
}

static void show_epoch(struct loop *l, int64_t now_ns)
{
    FILE *f = l->h->progress;
    const struct train_result *r = l->r;
    l->show_ns = now_ns;
    if (!f)
        return;
    fprintf(f, "epoch %" PRId64, r->epochs);
    if (l->p->opt.epochs != OPTIONS_AUTO)
        fprintf(f, "/%" PRId64, l->p->opt.epochs + r->epochs_warmup);
    fprintf(f, "  train %.6g  test %.6g", r->train_loss, r->test_loss);
    if (l->p->data.classes)
        fprintf(f, "  accuracy %.2f %%", 100 * r->test_accuracy);
    fprintf(f, "  %.1f s\n", (double)(now_ns - l->begin_ns) / 1e9);
    fflush(f);
}

static void show_end(const struct loop *l)
{
    static const char *const words[] = {[TRAIN_EPOCHS] = "done",
                                        [TRAIN_AUTO] = "done",
                                        [TRAIN_MAX_SECONDS] = "stopped at the time limit",
                                        [TRAIN_LOSS_TARGET] = "stopped at the loss target",
                                        [TRAIN_SIGNAL] = "stopped by a signal",
                                        [TRAIN_NOT_FINITE] = "failed"};
    const struct train_result *r = l->r;
    FILE *f = l->h->progress;
    if (!f)
        return;
    fprintf(f, "%s: %" PRId64 " epochs, %.3f s training, %.3f s testing", words[r->end], r->epochs,
            (double)r->train_ns / 1e9, (double)r->test_ns / 1e9);
    if (r->epochs > 0)
        fprintf(f, ", best test loss %.6g", r->best_test_loss);
    fputc('\n', f);
    fflush(f);
}

static bool asked_to_stop(const struct loop *l)
{
    return l->h->stop && l->h->stop();
}

/* The steps of phase warmup are real ones: the network that is measured afterwards has been trained by them.
 * Only their time, energy and rows are not counted, so that caches, clocks and page tables are as they will
 * be. It ends between two batches, also in the middle of an epoch. */
static void end_warmup(struct loop *l)
{
    struct backend_score s;
    int64_t now = clock_boot_ns();
    if (!l->warming || !l->stepped || (double)(now - l->begin_ns) < l->p->opt.warmup_seconds * 1e9)
        return;
    if (l->p->ops->flush) { /* its steps must not run on into what is measured */
        (void)l->p->ops->flush(l->b, &s, NULL); /* a failure is there at the next flush too */
        l->early_loss = s.loss;
        now = clock_boot_ns();
    }
    l->r->warmup_ns = now - l->begin_ns;
    l->r->epochs_warmup = l->r->epochs;
    l->warming = false;
    l->begin_ns = now;
    mark(l, "train", now);
}

/* Is another epoch due when `epochs` have ended? */
static bool wants_epoch(const struct loop *l, int64_t epochs)
{
    const struct options *o = &l->p->opt;
    int64_t counted = epochs - l->r->epochs_warmup;
    if (l->warming)
        return true;
    if (o->epochs != OPTIONS_AUTO)
        return counted < o->epochs;
    return (double)l->r->train_ns < o->min_seconds * 1e9 || counted < o->min_epochs;
}

/* Before a batch: may it run? The first batch always does, so that --max-seconds 0.001 trains something. */
static bool may_go_on(struct loop *l)
{
    end_warmup(l);
    if (asked_to_stop(l))
        l->r->end = TRAIN_SIGNAL;
    else if (l->p->opt.max_seconds > 0 && l->r->rows_train_seen > 0 &&
             (double)(clock_boot_ns() - l->begin_ns) > l->p->opt.max_seconds * 1e9)
        l->r->end = TRAIN_MAX_SECONDS;
    else
        return true;
    l->stopped = true;
    return false;
}

/* at: ", batch 7", or "" where the device tells only the sum over an epoch. */
static int not_finite(struct loop *l, const char *at, struct err *e)
{
    l->r->end = TRAIN_NOT_FINITE;
    err_set(e, WATTQ_E_INVALID, "the loss is not finite any more in epoch %" PRId64 "%s",
            l->r->epochs + 1, at);
    return err_next(e, "train with a smaller learning rate: --lr %g", l->p->opt.lr / 10);
}

/* Where steps go on by themselves: wait for them, and take their loss. */
static int settle(struct loop *l, double *sum, struct err *e)
{
    struct backend_score s;
    if (!l->p->ops->flush)
        return 0;
    int rc = l->p->ops->flush(l->b, &s, e);
    if (rc < 0)
        return rc;
    *sum += s.loss + l->early_loss;
    l->early_loss = 0;
    return isfinite(*sum) ? 0 : not_finite(l, "", e);
}

/* One pass over the training rows, in the same order every time; the last batch may be short.
 * *loss: mean over the rows. WATTQ_E_INVALID for a loss that is not finite. */
static int train_epoch(struct loop *l, double *loss, struct err *e)
{
    const struct dataset *d = &l->p->data;
    int64_t batch = l->p->opt.batch;
    double sum = 0;
    for (int64_t row = 0; row < d->rows_train && may_go_on(l); row += batch) {
        struct backend_score s;
        int64_t n = d->rows_train - row < batch ? d->rows_train - row : batch;
        l->b->ops->step(l->b, row, n, &s);
        l->stepped = true;
        l->r->rows_train_seen += l->warming ? 0 : n;
        sum += s.loss;
        if (!isfinite(s.loss)) {
            char at[40];
            snprintf(at, sizeof(at), ", batch %" PRId64, row / batch + 1);
            return not_finite(l, at, e);
        }
    }
    int rc = settle(l, &sum, e);
    *loss = sum / (double)d->rows_train;
    return rc;
}

/* A device that failed leaves no loss, and says why. */
static int test_epoch(struct loop *l, struct err *e)
{
    const struct dataset *d = &l->p->data;
    struct backend_score s = {0};
    l->b->ops->evaluate(l->b, d->rows_train, d->rows_test, &s);
    l->r->test_loss = s.loss / (double)d->rows_test;
    if (d->classes)
        l->r->test_accuracy = (double)s.right / (double)d->rows_test;
    if (!(l->r->test_loss >= l->r->best_test_loss))
        l->r->best_test_loss = l->r->test_loss;
    double none = 0;
    return isfinite(s.loss) ? 0 : settle(l, &none, e);
}

/* The test pass, with marks around it where the epoch is long enough to see them in a meter's trace. */
static int timed_test(struct loop *l, int64_t train_ns, int64_t start_ns, struct err *e)
{
    bool marked = !l->warming && train_ns + l->last_test_ns >= MARKED_EPOCH_NS;
    if (marked)
        mark(l, "test", start_ns);
    int rc = test_epoch(l, e);
    int64_t end_ns = clock_boot_ns();
    l->last_test_ns = end_ns - start_ns;
    if (l->warming)
        return rc;
    l->r->test_ns += l->last_test_ns;
    if (!marked)
        l->r->test_ns_inside_train += l->last_test_ns;
    else if (wants_epoch(l, l->r->epochs + 1))
        mark(l, "train", end_ns);
    return rc;
}

static void after_epoch(struct loop *l, double train_loss)
{
    int64_t now = clock_boot_ns();
    l->r->train_loss = train_loss;
    l->r->epochs++;
    if (l->p->opt.loss_target > 0 && l->r->test_loss <= l->p->opt.loss_target) {
        l->r->end = TRAIN_LOSS_TARGET;
        l->stopped = true;
    }
    bool edge = l->r->epochs == 1 || !wants_epoch(l, l->r->epochs);
    if (edge || now - l->metric_ns >= METRIC_EVERY_NS)
        write_epoch(l, now);
    if (edge || now - l->show_ns >= SHOW_EVERY_NS)
        show_epoch(l, now);
}

/* train_ns and test_ns meet without a hole: the end of one is the start of the other. */
static int run_epoch(struct loop *l, struct err *e)
{
    int64_t t0 = clock_boot_ns();
    double loss = NAN;
    int rc = train_epoch(l, &loss, e);
    int64_t t1 = clock_boot_ns();
    if (!l->warming)
        l->r->train_ns += t1 - (t0 > l->begin_ns ? t0 : l->begin_ns);
    if (rc < 0 || l->stopped)
        return rc;
    rc = timed_test(l, t1 - t0, t1, e);
    if (rc == 0)
        after_epoch(l, loss);
    return rc;
}

static int run_epochs(struct loop *l, struct err *e)
{
    int rc = 0;
    l->begin_ns = clock_boot_ns();
    l->warming = l->p->opt.warmup_seconds > 0;
    if (l->p->opt.epochs == OPTIONS_AUTO)
        l->r->end = TRAIN_AUTO;
    mark(l, l->warming ? "warmup" : "train", l->begin_ns);
    while (rc == 0 && !l->stopped && wants_epoch(l, l->r->epochs))
        rc = run_epoch(l, e);
    int64_t now = clock_boot_ns();
    if (l->warming) { /* stopped before anything counted */
        l->r->warmup_ns = now - l->begin_ns;
        l->r->epochs_warmup = l->r->epochs;
    }
    mark(l, NULL, now);
    if (l->r->epochs > l->metric_epoch)
        write_epoch(l, now);
    write_summary(l);
    show_end(l);
    return rc;
}

int train_run(const struct train_plan *p, const struct train_hooks *h, struct train_result *r,
              struct err *e)
{
    *r = (struct train_result){
        .train_loss = NAN, .test_loss = NAN, .test_accuracy = NAN, .best_test_loss = NAN};
    struct loop l = {.p = p, .h = h, .r = r};
    const struct backend_spec spec = {
        .net = p->net,
        .data = &p->data,
        .precision = (enum backend_precision)p->opt.precision,
        .init = (enum network_init)p->opt.init,
        .adam = (enum backend_adam)p->opt.adam,
        .batch = p->opt.batch,
        .lr = p->opt.lr,
        .eps = p->opt.eps,
        .seed = (uint64_t)p->opt.seed,
    };
    backend_enter_thread();
    int rc = p->ops->open(&l.b, &spec, e);
    if (rc < 0)
        return rc;
    write_info(&l);
    show_start(&l);
    rc = run_epochs(&l, e);
    p->ops->close(l.b);
    return rc;
}
