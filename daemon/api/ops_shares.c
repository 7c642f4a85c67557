/* What is one run's of a machine that several used: in answers to `energy` and `show`. */
#include "common/units.h"
#include "daemon/api/encode_db.h"
#include "daemon/api/ops_private.h"

static int count_run(void *arg, const struct presence *p)
{
    size_t *n = arg;
    (void)p;
    (*n)++;
    return *n > 1;
}

int ops_put_shares(struct store *s, struct wire_out *o, const struct ops_share *q, struct err *e)
{
    struct energy_set mine CLEANUP(energy_set_fini) = {0};
    struct shares_rest rest;
    size_t present = 0;
    int rc = accounts_present(s, q->w->boot, q->w->t0_ns, q->w->t1_ns, count_run, &present, e);
    if (rc < 0 || present < 2)
        return rc < 0 ? rc : 0;
    rc = shares_of_run(s, q->run, q->w, q->policy, q->machine, &mine, &rest, e);
    if (rc < 0)
        return rc;
    const struct encode_figure total = {&mine.total, NULL, "attributed", "window", false};
    wire_begin_map(o, "shares");
    wire_put_str(o, "policy", share_policy_name(q->policy));
    encode_figure(o, "attributed", &total, q->as);
    encode_opt(o, "range_lo_uj", rest.known ? rest.range_lo_uj : RUN_NONE);
    encode_opt(o, "range_hi_uj", rest.known ? rest.range_hi_uj : RUN_NONE);
    encode_opt(o, "others_uj", rest.known ? rest.others_uj : RUN_NONE);
    encode_opt(o, "system_uj", rest.known ? rest.system_uj : RUN_NONE);
    encode_opt(o, "foreign_uj", rest.known ? rest.foreign_uj : RUN_NONE);
    encode_opt(o, "idle_uj", rest.known ? rest.idle_uj : RUN_NONE);
    encode_opt(o, "moved_uj", rest.known ? rest.moved_uj : RUN_NONE);
    wire_put_str(o, "reason", rest.known ? NULL : mine.total.reason);
    wire_end(o);
    return 0;
}
