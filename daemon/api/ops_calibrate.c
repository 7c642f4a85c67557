/* calibrate: fits one meter to a better one and keeps the result. calibrations: what is kept. */
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "daemon/api/encode_db.h"
#include "daemon/api/ops_private.h"
#include "daemon/energy/calibrate.h"
#include "daemon/store/former.h"

#define HOUR_NS (3600 * NS_PER_S)

struct calibrate_job {
    struct storage_job job;
    struct ops_ticket t;
    char meter[160], against[160]; /* label or uid */
    int64_t since_utc_ns, until_utc_ns;
    struct calibration c;
    struct wire_out o;
};

static int put_calibration(struct wire_out *o, const struct calibration *c,
                           const struct channel_row *list, size_t n)
{
    wire_begin_map(o, NULL);
    wire_put_int(o, "calibration", c->id);
    wire_put_int(o, "channel", c->channel);
    wire_put_int(o, "against", c->against);
    for (size_t i = 0; i < n; i++) {
        if (list[i].id == c->channel)
            wire_put_str(o, "label", list[i].label);
        if (list[i].id == c->against)
            wire_put_str(o, "against_label", list[i].label);
    }
    wire_put_int(o, "n", c->n);
    wire_put_int(o, "gain_ppm", c->gain_ppm);
    wire_put_int(o, "offset_uw", c->offset_uw);
    wire_put_int(o, "residual_uw", c->residual_uw);
    wire_put_int(o, "lo_uw", c->lo_uw);
    wire_put_int(o, "hi_uw", c->hi_uw);
    wire_put_str(o, "serial", c->serial);
    encode_opt(o, "actor_uid", c->actor_uid);
    wire_put_int(o, "created_utc_ns", c->created_utc_ns);
    wire_end(o);
    return 0;
}

/* By uid, else by label where only one has it. */
static const struct channel_row *find_meter(const struct channel_row *list, size_t n,
                                            const char *name, struct err *e)
{
    const struct channel_row *found = NULL;
    for (size_t i = 0; i < n; i++) {
        if (list[i].quality == QUALITY_NONE)
            continue;
        if (strcmp(list[i].uid, name) == 0)
            return &list[i];
        if (strcmp(list[i].label, name) != 0)
            continue;
        if (found) {
            err_set(e, WATTQ_E_USAGE, "several meters are called '%.60s'", name);
            err_next(e, "name it by its uid: wattq meters --all --json");
            return NULL;
        }
        found = &list[i];
    }
    if (!found) {
        err_set(e, WATTQ_E_NOT_FOUND, "there is no meter '%.60s'", name);
        err_next(e, "wattq meters lists them");
    }
    return found;
}

static int window_of(struct store *s, const struct calibrate_job *j, struct energy_window *w,
                     struct err *e)
{
    int rc = ops_window(s, j->since_utc_ns, j->until_utc_ns, w, e);
    if (rc < 0)
        return rc;
    int64_t now = clock_boot_ns();
    if (w->boot == store_boot(s) && w->t1_ns > now)
        w->t1_ns = now;
    return 0;
}

static int note_act(struct store *s, const struct calibrate_job *j, struct err *e)
{
    char text[400];
    (void)snprintf(text, sizeof(text), "%s fitted to %s", j->meter, j->against);
    return former_act(s, j->c.actor_uid, "calibrate", text, e);
}

static int calibrate_work(struct store *s, struct storage_job *job, struct err *e)
{
    struct calibrate_job *j = container_of(job, struct calibrate_job, job);
    struct channel_row *list CLEANUP(base_freep) = NULL;
    size_t n = 0;
    struct energy_window w;
    int rc = samples_channels(s, &list, &n, e);
    if (rc == 0)
        rc = window_of(s, j, &w, e);
    if (rc < 0)
        return rc;
    const struct channel_row *meter = find_meter(list, n, j->meter, e);
    const struct channel_row *better = meter ? find_meter(list, n, j->against, e) : NULL;
    if (!meter || !better)
        return e->code;
    if (meter == better || better->quality == QUALITY_ESTIMATED)
        return err_set(e, WATTQ_E_USAGE, "'%.60s' cannot be what another meter is fitted to",
                       better->label);
    int64_t uid = j->c.actor_uid;
    char serial[sizeof(j->c.serial)];
    base_strcpy(serial, sizeof(serial), j->c.serial);
    rc = calibrate_over(s, meter, better, &w, &j->c, e);
    if (rc < 0)
        return rc;
    base_strcpy(j->c.serial, sizeof(j->c.serial), serial);
    j->c.actor_uid = uid;
    j->c.created_utc_ns = clock_utc_ns();
    rc = calibrations_put(s, &j->c, &j->c.id, e);
    if (rc == 0)
        rc = note_act(s, j, e);
    if (rc < 0)
        return rc;
    ops_begin(&j->o, j->t.id);
    wire_begin_array(&j->o, "calibrations");
    put_calibration(&j->o, &j->c, list, n);
    wire_end(&j->o);
    return 0;
}

static void calibrate_done(struct storage_job *job, int rc, const struct err *e)
{
    struct calibrate_job *j = container_of(job, struct calibrate_job, job);
    ops_answer(&j->t, &j->o, rc, e);
    free(j);
}

int op_calibrate(struct op_call *c, struct err *e)
{
    const char *meter = wire_str(c->req, "meter", "");
    const char *against = wire_str(c->req, "against", "");
    const char *serial = wire_str(c->req, "serial", "");
    int64_t until = wire_int(c->req, "until_utc_ns", clock_utc_ns());
    struct calibrate_job *j = base_alloc(sizeof(*j));
    if (!*meter || !*against || !base_strcpy(j->meter, sizeof(j->meter), meter) ||
        !base_strcpy(j->against, sizeof(j->against), against) ||
        !base_strcpy(j->c.serial, sizeof(j->c.serial), serial)) {
        free(j);
        return err_set(e, WATTQ_E_USAGE,
                       "'meter' and 'against' name two meters, 'serial' has at most 63 bytes");
    }
    j->job = (struct storage_job){.work = calibrate_work, .done = calibrate_done};
    j->since_utc_ns = wire_int(c->req, "since_utc_ns", until - HOUR_NS);
    j->until_utc_ns = until;
    j->c.actor_uid = (int64_t)peer_uid(c->p);
    ops_keep(&j->t, c);
    storage_submit(c->d->storage, &j->job);
    return 0;
}

/* ---- calibrations ------------------------------------------------------------------------------- */

struct list_job {
    struct reader_job job;
    struct ops_ticket t;
    struct channel_row *channels;
    size_t n;
    struct wire_out o;
};

static int take_one(void *arg, const struct calibration *c)
{
    struct list_job *j = arg;
    return put_calibration(&j->o, c, j->channels, j->n);
}

static int list_work(struct store *s, struct reader_job *job, struct err *e)
{
    struct list_job *j = container_of(job, struct list_job, job);
    int rc = samples_channels(s, &j->channels, &j->n, e);
    if (rc < 0)
        return rc;
    ops_begin(&j->o, j->t.id);
    wire_begin_array(&j->o, "calibrations");
    rc = calibrations_list(s, BASELINES_ALL, 1000, take_one, j, e);
    wire_end(&j->o);
    return rc;
}

static void list_done(struct reader_job *job, int rc, const struct err *e)
{
    struct list_job *j = container_of(job, struct list_job, job);
    ops_answer(&j->t, &j->o, rc, e);
    free(j->channels);
    free(j);
}

int op_calibrations(struct op_call *c, struct err *e)
{
    (void)e;
    struct list_job *j = base_alloc(sizeof(*j));
    j->job = (struct reader_job){.work = list_work, .done = list_done};
    ops_keep(&j->t, c);
    ops_read(&j->t, &j->job);
    return 0;
}

/* ---- beside figures ----------------------------------------------------------------------------- */

static void put_applied(struct wire_out *o, const struct energy_figure *f,
                        const struct channel_row *ch, const struct calibration *c,
                        const struct channel_row *against)
{
    int64_t uj = 0;
    int64_t residual = 0;
    bool inside = calibrate_apply(c, f, &uj, &residual) == 0;
    wire_begin_map(o, NULL);
    wire_put_int(o, "channel", ch->id);
    wire_put_str(o, "label", ch->label);
    wire_put_str(o, "against_label", against->label);
    wire_put_int(o, "calibration", c->id);
    wire_put_str(o, "serial", c->serial);
    wire_put_int(o, "created_utc_ns", c->created_utc_ns);
    wire_put_int(o, "lo_uw", c->lo_uw);
    wire_put_int(o, "hi_uw", c->hi_uw);
    encode_opt(o, "energy_uj", inside ? uj : RUN_NONE);
    encode_opt(o, "residual_uj", inside ? residual : RUN_NONE);
    wire_put_str(o, "reason",
                 inside     ? NULL
                 : f->known ? "its mean power lies outside the calibrated range"
                            : f->reason);
    wire_end(o);
}

int ops_put_calibrated(struct store *s, struct wire_out *o, const struct energy_set *set,
                       struct err *e)
{
    wire_begin_array(o, "calibrated");
    for (size_t i = 0; i < set->n; i++) {
        struct calibration c;
        struct channel_row against;
        int rc = calibrations_newest(s, set->channels[i].id, &c, e);
        if (rc == 0)
            rc = samples_channel(s, c.against, &against, e);
        if (rc < 0)
            return rc;
        if (rc == 0)
            put_applied(o, &set->figures[i], &set->channels[i], &c, &against);
    }
    wire_end(o);
    return 0;
}
