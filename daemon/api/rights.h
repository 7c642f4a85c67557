/* Who may see and do what: the whole policy, decided here and nowhere else (docs/security.md). Pure but for
 * rights_policy_init, which asks the group database once, at the start. Any thread.
 *
 * A peer is known by what the kernel says of its process when it connects: SO_PEERCRED (uid, gid) and
 * SO_PEERGROUPS. So no name service is asked while somebody waits, and a group counts for a process exactly where
 * it counts for files: a user who was put into a group has it from the next login on. Rights are kept
 * per connection.
 *
 *                      owner, root    admin group    visibility full    summary            private
 *   summaries          all            all            all                all                not answered
 *   details            all            all            all                of own runs         -
 *   readings as taken  yes            meter group    meter group        meter group         -
 *   act on runs        all            all            own                own                 -
 *   start programs     owner          no             no                 no                  -
 *
 * In system mode each run is started as its own user, so everybody who is answered may start some; and the owner
 * is a service, no person's account: it has no rights beyond those of every other user.
 *
 * Details: command line, directory, environment, code, log, parameters, metrics, tags, notes, reasons, phases,
 * the events of a run, and the paths of this daemon. A summary is the rest. Whoever has not the readings as
 * taken gets them by whole seconds (coarse.h). */
#ifndef DAEMON_API_RIGHTS_H
#define DAEMON_API_RIGHTS_H

#include <sys/types.h>

#include "common/err.h"

enum rights_visibility { RIGHTS_PRIVATE, RIGHTS_SUMMARY, RIGHTS_FULL };

#define RIGHTS_NO_GROUP ((gid_t)-1)

struct rights_policy {
    uid_t owner; /* whose daemon this is: in user mode runs start as this user */
    bool system; /* system mode: as whoever submits them */
    enum rights_visibility visibility;
    gid_t meter_group, admin_group; /* RIGHTS_NO_GROUP = nobody but root and the owner */
};

/* Of one peer. All zero: nobody. */
struct rights {
    int64_t uid;
    bool admitted;   /* is answered at all */
    bool admin;      /* acts on everybody's runs, and on the machine's (idle power, calibration) */
    bool details;    /* of everybody's runs */
    bool raw;        /* readings at the rate they are taken; else by whole seconds */
    bool may_submit; /* adds runs: in user mode programs run as the owner, so nobody else may */
};

/* visibility: "private", "summary" or "full" (checked with the options). Groups: a name or a number, "" = none.
 * WATTQ_E_USAGE for one that there is not. */
int rights_policy_init(struct rights_policy *out, uid_t owner, const char *visibility,
                       const char *meter_group, const char *admin_group, struct err *e) MUST_USE;
const char *rights_visibility_name(enum rights_visibility v);

/* Could read the meters and the database anyway. */
bool rights_trusted(const struct rights_policy *p, int64_t uid);
struct rights rights_of(const struct rights_policy *p, uid_t uid, const gid_t *groups, size_t n);
/* Is anybody but owner and root answered: then socket and directory are open to them. */
bool rights_shared(const struct rights_policy *p);

bool rights_may_see(const struct rights *r, int64_t run_uid); /* details of that user's runs */
bool rights_may_act(const struct rights *r, int64_t run_uid);
/* May he queue a run of that priority? In system mode those above 0 are for admins, or everybody would take one and
 * nobody wait for anybody. WATTQ_E_FORBIDDEN. */
int rights_check_priority(const struct rights_policy *p, const struct rights *r, int64_t priority,
                          struct err *e) MUST_USE;
/* Why not, with what to do: returns WATTQ_E_FORBIDDEN. */
int rights_refuse_peer(const struct rights_policy *p, uid_t uid, struct err *e);

/* What an operation asks of whoever calls it; each line of the table of operations names one. */
enum rights_class {
    RIGHTS_UNDECIDED, /* refused to everybody, and by a test */
    RIGHTS_ANY,       /* whoever is admitted; what is shown depends on the peer */
    RIGHTS_OWN,       /* names runs: each must be the peer's own, or of an admin's choice */
    RIGHTS_DETAIL,    /* shows details: of own runs, or of all with `details` */
    RIGHTS_WHOLE,     /* shows details of everybody, or the machine's books */
    RIGHTS_RAW,       /* hands out stored tables as they are: details and readings */
    RIGHTS_SUBMIT,
    RIGHTS_ADMIN,
    RIGHTS_DATABASE, /* hands out all there is: for whoever may act on everything and sees every reading */
    RIGHTS_CLASSES
};
const char *rights_class_name(enum rights_class c);
/* May the peer call such an operation at all? OWN and DETAIL also ask for each run (rights_may_*).
 * WATTQ_E_FORBIDDEN with one sentence and what to do. */
int rights_check(const struct rights *r, enum rights_class c, const char *op,
                 struct err *e) MUST_USE;

#endif
