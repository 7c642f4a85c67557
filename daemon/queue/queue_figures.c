/* The figures of a run that has ended, from stored samples. Storage thread, inside the transaction that
 * ends the run. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/energy/marginal.h"
#include "daemon/energy/phases.h"
#include "daemon/queue/queue_private.h"
#include "daemon/store/beside.h"

#define STUDY_BATCH 256

/* ---- sets --------------------------------------------------------------------------------------- */

static void add_flag(char *flags, size_t cap, const char *word)
{
    size_t n = strlen(flags);
    if (!strstr(flags, word) && n + strlen(word) + 2 < cap)
        snprintf(flags + n, cap - n, "%s%s", n ? " " : "", word);
}

/* ---- phases ------------------------------------------------------------------------------------- */

static int put_phase(struct store *s, int64_t run, const struct phases *l, size_t first,
                     int64_t boot, struct err *e)
{
    struct energy_set acc CLEANUP(energy_set_fini);
    char part[SPEC_KEY_MAX + 8];
    phases_energy(s, l, first, boot, &acc);
    snprintf(part, sizeof(part), "phase:%s", l->at[first].name);
    return runs_energy_put(s, run, "machine", part, &acc, clock_utc_ns(), e);
}

static int put_phases(struct store *s, int64_t run, const struct queue_filing *f, struct err *e)
{
    struct phases l CLEANUP(phases_fini) = {0};
    size_t names = 0;
    int rc = runs_phase_open(s, run, NULL, f->window.t1_ns, e);
    if (rc == 0)
        rc = phases_load(s, run, f->window.t0_ns, f->window.t1_ns, &l, e);
    for (size_t i = 0; rc == 0 && i < l.n && names < PHASES_NAMES_MAX; i++) {
        if (!phases_first(&l, i))
            continue;
        rc = put_phase(s, run, &l, i, f->window.boot, e);
        names++;
    }
    if (rc == 0 && l.cut)
        rc = runs_param_put(s, run, "phases.cut", "1", e);
    return rc;
}

/* ---- joules per datum --------------------------------------------------------------------------- */

struct datum {
    int64_t train_uj; /* RUN_NONE = not known */
    int64_t test_uj;
    int64_t warmup_uj;
    int64_t train_ns; /* of the train phases */
    int64_t epochs, rows_seen, test_inside_ns, rows_train;
};

static int take_energy(void *arg, const struct run_energy *f)
{
    struct datum *d = arg;
    if (f->channel != 0 || strcmp(f->figure, "machine") != 0)
        return 0;
    if (strcmp(f->part, "phase:train") == 0)
        d->train_uj = f->energy_uj;
    else if (strcmp(f->part, "phase:test") == 0)
        d->test_uj = f->energy_uj;
    else if (strcmp(f->part, "phase:warmup") == 0)
        d->warmup_uj = f->energy_uj;
    return 0;
}

static int take_param(void *arg, const char *key, const char *value)
{
    struct datum *d = arg;
    if (strcmp(key, "summary.epochs") == 0)
        d->epochs = strtoll(value, NULL, 10);
    else if (strcmp(key, "summary.rows_train_seen") == 0)
        d->rows_seen = strtoll(value, NULL, 10);
    else if (strcmp(key, "summary.test_ns_inside_train") == 0)
        d->test_inside_ns = strtoll(value, NULL, 10);
    else if (strcmp(key, "info.rows_train") == 0)
        d->rows_train = strtoll(value, NULL, 10);
    return 0;
}

static int take_train_time(void *arg, const struct run_phase *p)
{
    struct datum *d = arg;
    if (strcmp(p->name, "train") == 0 && p->t1_ns != RUN_NONE)
        d->train_ns += p->t1_ns - p->t0_ns;
    return 0;
}

static int put_value(struct store *s, int64_t run, const char *key, double j, const char *reason,
                     struct err *e)
{
    char name[48];
    char text[48];
    if (!reason)
        snprintf(text, sizeof(text), "%.9e", j);
    snprintf(name, sizeof(name), "j_per_datum.%s%s", key, reason ? "_reason" : "");
    return runs_param_put(s, run, name, reason ? reason : text, e);
}

static const char *why_not_exact(const struct datum *d)
{
    if (d->train_uj == RUN_NONE)
        return "the energy of the train phase is not known";
    if (d->rows_seen <= 0)
        return "the trainer did not say how many rows it saw";
    if (d->train_ns <= 0 || d->test_inside_ns > d->train_ns)
        return "the time of the train phase is not known";
    return NULL;
}

static const char *why_not_study(const struct datum *d)
{
    if (d->train_uj == RUN_NONE)
        return "the energy of the train phase is not known";
    if (d->epochs <= 0 || d->rows_train <= 0)
        return "the trainer did not say how many epochs it made";
    return NULL;
}

/* exact: train energy without the tests inside the train phase, over the rows really seen.
 * study: energy of warm-up, train and test over all epochs x ceil(training rows / 256) x 256, as the study counted.
 * source: docs/measurement.md, joules per datum. */
static int put_j_per_datum(struct store *s, int64_t run, struct err *e)
{
    struct datum d = {.train_uj = RUN_NONE, .test_uj = RUN_NONE, .warmup_uj = RUN_NONE};
    int rc = runs_params(s, run, take_param, &d, e);
    if (rc < 0 || (d.epochs == 0 && d.rows_seen == 0 && d.rows_train == 0))
        return rc; /* not a run of the trainer */
    rc = runs_energy(s, run, take_energy, &d, e);
    if (rc == 0)
        rc = runs_phases(s, run, take_train_time, &d, e);
    if (rc < 0)
        return rc;
    const char *reason = why_not_exact(&d);
    double j = 0;
    if (!reason)
        j = (double)d.train_uj * 1e-6 * (1.0 - (double)d.test_inside_ns / (double)d.train_ns) /
            (double)d.rows_seen;
    rc = put_value(s, run, "exact", j, reason, e);
    if (rc < 0)
        return rc;
    reason = why_not_study(&d);
    if (!reason) {
        int64_t batches = (d.rows_train + STUDY_BATCH - 1) / STUDY_BATCH;
        int64_t both = d.train_uj + (d.test_uj == RUN_NONE ? 0 : d.test_uj) +
                       (d.warmup_uj == RUN_NONE ? 0 : d.warmup_uj);
        j = (double)both * 1e-6 / ((double)d.epochs * (double)batches * STUDY_BATCH);
    }
    return put_value(s, run, "study", j, reason, e);
}

/* ---- all of it ---------------------------------------------------------------------------------- */

/* Newest sample of any energy channel of that boot, for a run that the machine's end cut off. */
static void find_last_sample(struct store *s, struct energy_window *w)
{
    struct channel_row *channels = NULL;
    size_t n = 0;
    struct sample last;
    struct err e;
    int64_t t1 = w->t0_ns;
    if (samples_channels(s, &channels, &n, &e) < 0)
        n = 0;
    for (size_t i = 0; i < n; i++)
        if (channels[i].quality != QUALITY_NONE &&
            samples_before(s, channels[i].id, w->boot, INT64_MAX, &last, &e) == 0 && last.t_ns > t1)
            t1 = last.t_ns;
    free(channels);
    w->t1_ns = t1;
}

/* Alone, the machine's energy is the run's. Else its share, and what it took beyond idling. */
static int put_attributed(struct store *s, int64_t run, const struct queue_filing *f,
                          const struct energy_set *machine, struct err *e)
{
    if (!f->overlapped)
        return runs_energy_put(s, run, "attributed", "window", machine, clock_utc_ns(), e);
    static const char *const names[] = {"attributed", "marginal"};
    const enum share_policy policies[] = {f->policy, SHARE_NONE};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct energy_set mine CLEANUP(energy_set_fini) = {0};
        struct shares_rest rest = {0};
        int rc = shares_of_run(s, run, &f->window, policies[i], machine, &mine, &rest, e);
        if (rc == 0)
            rc = runs_energy_put(s, run, names[i], "window", &mine, clock_utc_ns(), e);
        const struct share_note note = {names[i], share_policy_name(policies[i]), rest.known,
                                        rest.range_lo_uj, rest.range_hi_uj};
        if (rc == 0)
            rc = accounts_share_note(s, run, &note, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Alone on the machine, the attributed figure is the machine's. Beside others the split knows better. */
static int put_marginal(struct store *s, int64_t run, const struct energy_set *attributed,
                        int64_t utc_ns, struct err *e)
{
    struct energy_set set CLEANUP(energy_set_fini) = {0};
    int rc = marginal_of_set(s, attributed, utc_ns, run, &set, e);
    return rc < 0 ? rc : runs_energy_put(s, run, "marginal", "window", &set, clock_utc_ns(), e);
}

static int put_main(struct store *s, int64_t run, const struct queue_filing *f, struct err *e)
{
    if (f->main_exit_ns == RUN_NONE || f->main_exit_ns >= f->window.t1_ns ||
        f->main_exit_ns <= f->window.t0_ns)
        return 0;
    const struct energy_window w = {f->window.boot, f->window.t0_ns, f->main_exit_ns};
    struct energy_set set CLEANUP(energy_set_fini) = {0};
    phases_window(s, &w, &set);
    return runs_energy_put(s, run, "machine", "main", &set, clock_utc_ns(), e);
}

/* Before the figures are stored: what was beside them is said with each. */
static int put_companions(struct store *s, int64_t run, const struct queue_filing *f,
                          struct energy_set *set, struct err *e)
{
    struct companions c CLEANUP(companions_fini) = {0};
    int rc = companions_of_window(s, &f->window, &c, e);
    if (rc == 0)
        rc = beside_keep(s, run, &c, e);
    if (rc == 0)
        companions_flag(&c, set);
    return rc;
}

int queue_figures(struct store *s, int64_t run, struct queue_filing *f, struct err *e)
{
    if (f->to_last_sample || f->window.t1_ns == RUN_NONE)
        find_last_sample(s, &f->window);
    if (f->window.t1_ns <= f->window.t0_ns)
        return 0;
    int beside = f->overlapped ? 1 : runs_overlap(s, run, &f->window, e);
    if (beside < 0)
        return beside;
    f->overlapped = beside > 0;
    struct energy_set set CLEANUP(energy_set_fini) = {0};
    phases_window(s, &f->window, &set);
    int counted = energy_sampling(s, &f->window, &set, e);
    if (counted == 0)
        counted = put_companions(s, run, f, &set, e);
    if (counted < 0)
        return counted;
    if (f->overlapped)
        add_flag(set.total.flags, sizeof(set.total.flags), "overlap");
    if (f->disturbed)
        add_flag(set.total.flags, sizeof(set.total.flags), "disturbed");
    f->total = set.total;
    f->has_total = true;
    int rc = runs_energy_put(s, run, "machine", "window", &set, clock_utc_ns(), e);
    if (rc == 0)
        rc = put_attributed(s, run, f, &set, e);
    if (rc == 0 && !f->overlapped)
        rc = put_marginal(s, run, &set, store_utc_of(s, f->window.boot, f->window.t1_ns), e);
    if (rc == 0)
        rc = put_main(s, run, f, e);
    if (rc == 0)
        rc = put_phases(s, run, f, e);
    return rc < 0 ? rc : put_j_per_datum(s, run, e);
}

/* ---- once more ---------------------------------------------------------------------------------- */

struct settling {
    const struct energy_set *now;
    bool differs;
    bool disturbed; /* as it was found at the end; the samples do not say it */
};

static int compare_figure(void *arg, const struct run_energy *f)
{
    struct settling *x = arg;
    if (strcmp(f->figure, "machine") != 0 || strcmp(f->part, "window") != 0)
        return 0;
    const struct energy_figure *n = &x->now->total;
    x->disturbed |= f->channel == 0 && strstr(f->flags, "disturbed") != NULL;
    for (size_t i = 0; f->channel != 0 && i < x->now->n; i++)
        if (x->now->figures[i].channel == f->channel)
            n = &x->now->figures[i];
    bool bounded = n->known && n->bounded;
    x->differs |=
        (strstr(f->flags, "provisional") != NULL) != (strstr(n->flags, "provisional") != NULL) ||
        f->lag_ns != (n->lag_ns < 0 ? RUN_NONE : n->lag_ns);
    x->differs |= f->energy_uj != (n->known ? n->energy_uj : RUN_NONE) ||
                  f->lo_uj != (bounded ? n->lo_uj : RUN_NONE) ||
                  f->hi_uj != (bounded ? n->hi_uj : RUN_NONE);
    return 0;
}

static int settle_row(struct store *s, const struct run_row *r, enum share_policy policy,
                      struct energy_figure *total, struct err *e)
{
    struct queue_filing f = {
        .window = {r->boot, r->t0_ns, r->t1_ns}, .policy = policy, .main_exit_ns = r->main_exit_ns};
    struct energy_set now CLEANUP(energy_set_fini);
    phases_window(s, &f.window, &now);
    struct settling x = {.now = &now};
    if (!now.total.known)
        return 0; /* the samples are gone: what was computed from them stays */
    int rc = runs_energy(s, r->id, compare_figure, &x, e);
    f.disturbed = x.disturbed;
    if (rc == 0 && x.differs)
        rc = queue_figures(s, r->id, &f, e);
    *total = f.total;
    return rc < 0 ? rc : x.differs;
}

int queue_settle(struct store *s, int64_t run, enum share_policy policy,
                 struct energy_figure *total, struct err *e)
{
    struct run_row r CLEANUP(run_row_fini) = {0};
    int rc = runs_get(s, run, &r, e);
    if (rc > 0)
        return err_set(e, WATTQ_E_NOT_FOUND, "there is no run %lld", (long long)run);
    if (rc == 0)
        rc = runs_imported(s, run, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (!run_state_ended(r.state) || r.boot == RUN_NONE || r.t0_ns == RUN_NONE ||
        r.t1_ns == RUN_NONE || r.t1_ns <= r.t0_ns)
        return 0;
    return settle_row(s, &r, policy, total, e);
}
