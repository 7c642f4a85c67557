#include "daemon/api/rights.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"

#define GROUP_BYTES_MAX (1u << 20) /* of one entry of the group database */

/* ---- the policy ----------------------------------------------------------------------------------- */

static int no_group(const char *option, const char *name, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "%s: there is no group '%.60s'", option, name);
    return err_next(e, "create it (groupadd --system NAME), or name one that getent group lists");
}

/* A number stands for itself: a group need not have a name. */
static bool group_number(const char *text, gid_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || n >= UINT32_MAX)
        return false;
    *out = (gid_t)n;
    return true;
}

static int find_group(const char *option, const char *name, gid_t *out, struct err *e)
{
    struct group g;
    struct group *found = NULL;
    int rc = ERANGE;
    *out = RIGHTS_NO_GROUP;
    if (name[0] == '\0' || group_number(name, out))
        return 0;
    for (size_t bytes = 4096; rc == ERANGE && bytes <= GROUP_BYTES_MAX; bytes *= 4) {
        char *buf CLEANUP(base_freep) = base_alloc(bytes);
        rc = getgrnam_r(name, &g, buf, bytes, &found);
        if (rc == 0 && found)
            *out = found->gr_gid;
    }
    return found ? 0 : no_group(option, name, e);
}

static const char *const visibilities[] = {"private", "summary", "full"};

const char *rights_visibility_name(enum rights_visibility v)
{
    return visibilities[v];
}

int rights_policy_init(struct rights_policy *out, uid_t owner, const char *visibility,
                       const char *meter_group, const char *admin_group, struct err *e)
{
    *out = (struct rights_policy){.owner = owner};
    for (size_t i = 0; i < ARRAY_LEN(visibilities); i++)
        if (strcmp(visibility, visibilities[i]) == 0)
            out->visibility = (enum rights_visibility)i;
    int rc = find_group("meter-group", meter_group, &out->meter_group, e);
    return rc == 0 ? find_group("admin-group", admin_group, &out->admin_group, e) : rc;
}

bool rights_shared(const struct rights_policy *p)
{
    return p->visibility != RIGHTS_PRIVATE || p->admin_group != RIGHTS_NO_GROUP;
}

/* ---- one peer ------------------------------------------------------------------------------------- */

static bool member(gid_t group, const gid_t *groups, size_t n)
{
    for (size_t i = 0; group != RIGHTS_NO_GROUP && i < n; i++)
        if (groups[i] == group)
            return true;
    return false;
}

bool rights_trusted(const struct rights_policy *p, int64_t uid)
{
    return uid == 0 || (uid == (int64_t)p->owner && !p->system);
}

struct rights rights_of(const struct rights_policy *p, uid_t uid, const gid_t *groups, size_t n)
{
    struct rights r = {.uid = (int64_t)uid};
    bool trusted = rights_trusted(p, r.uid);
    r.admin = trusted || member(p->admin_group, groups, n);
    r.admitted = r.admin || p->visibility != RIGHTS_PRIVATE;
    r.details = r.admin || p->visibility == RIGHTS_FULL;
    r.raw = r.admitted && (trusted || member(p->meter_group, groups, n));
    r.may_submit = p->system ? r.admitted : uid == p->owner;
    return r;
}

bool rights_may_see(const struct rights *r, int64_t run_uid)
{
    return r->details || (r->admitted && r->uid == run_uid);
}

bool rights_may_act(const struct rights *r, int64_t run_uid)
{
    return r->admin || (r->admitted && r->uid == run_uid);
}

int rights_refuse_peer(const struct rights_policy *p, uid_t uid, struct err *e)
{
    if (p->system) {
        err_set(e, WATTQ_E_FORBIDDEN, "this wattqd answers its admins only, you are uid %ld",
                (long)uid);
        return err_next(e, "ask whoever looks after this machine for visibility = summary");
    }
    err_set(e, WATTQ_E_FORBIDDEN, "this wattqd serves uid %ld only, you are uid %ld",
            (long)p->owner, (long)uid);
    return err_next(e, "start your own: wattqd &  (or ask its owner for --visibility summary)");
}

int rights_check_priority(const struct rights_policy *p, const struct rights *r, int64_t priority,
                          struct err *e)
{
    if (!p->system || r->admin || priority <= 0)
        return 0;
    err_set(e, WATTQ_E_FORBIDDEN,
            "on this machine, which many share, priorities above 0 are for its admins");
    return err_next(e, "leave --priority out; a negative one lets others go first");
}

/* ---- operations ----------------------------------------------------------------------------------- */

const char *rights_class_name(enum rights_class c)
{
    static const char *const names[] = {"undecided", "any",    "own",   "detail",  "whole",
                                        "raw",       "submit", "admin", "database"};
    _Static_assert(ARRAY_LEN(names) == RIGHTS_CLASSES, "a name for each class");
    return names[c];
}

int rights_check(const struct rights *r, enum rights_class c, const char *op, struct err *e)
{
    switch (c) {
    case RIGHTS_ANY:
    case RIGHTS_OWN:
    case RIGHTS_DETAIL:
        if (r->admitted)
            return 0;
        break;
    case RIGHTS_WHOLE:
        if (r->details)
            return 0;
        err_set(e, WATTQ_E_FORBIDDEN, "%s shows what belongs to other users of this wattqd", op);
        return err_next(e, "ask its owner: --visibility full, or membership of its admin group");
    case RIGHTS_RAW:
        if (r->details && r->raw)
            return 0;
        err_set(e, WATTQ_E_FORBIDDEN,
                "%s hands out every reading and every run, which this wattqd shows to its owner",
                op);
        return err_next(e, "ask its owner for an export of what you need: wattq export");
    case RIGHTS_SUBMIT:
        if (r->may_submit)
            return 0;
        err_set(e, WATTQ_E_FORBIDDEN,
                "this wattqd starts programs as its owner, so only its owner may add runs (%s)",
                op);
        return err_next(e, "start your own wattqd (wattqd &), or be that user");
    case RIGHTS_ADMIN:
        if (r->admin)
            return 0;
        err_set(e, WATTQ_E_FORBIDDEN, "%s is for the owner of this wattqd and its admins", op);
        return err_next(e, "ask its owner: membership of the group of its --admin-group");
    case RIGHTS_DATABASE:
        if (r->admin && r->details && r->raw)
            return 0;
        err_set(e, WATTQ_E_FORBIDDEN, "%s hands out the whole database, every reading of it", op);
        return err_next(e, "it takes its owner, root, or an admin who is in the meter group too");
    case RIGHTS_UNDECIDED:
    case RIGHTS_CLASSES:
        break;
    }
    return err_set(e, WATTQ_E_FORBIDDEN, "nobody may call %s here", op);
}
