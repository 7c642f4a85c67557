/* Becoming somebody else, once and for all: the run's process its user, the shepherd the daemon's. Only in
 * wattq-shepherd when the launcher started it (as root); linked with PAM, which nothing else is. */
#ifndef DAEMON_LAUNCH_USER_SWITCH_H
#define DAEMON_LAUNCH_USER_SWITCH_H

#include "daemon/launch/shepherd.h"

struct user_switch {
    uid_t user_uid, daemon_uid;
    gid_t user_gid, daemon_gid;
    char *user_name, *daemon_name; /* owned */
    const char *pam_dir;           /* service files; NULL = the system's */
};

/* Looks both up, as root. WATTQ_E_NOT_FOUND when there is no such user. */
int user_switch_open(struct user_switch *u, uid_t user, uid_t daemon, const char *pam_dir,
                     struct err *e) MUST_USE;
void user_switch_close(struct user_switch *u);
/* Beforehand, and before it is known for whom: loads PAM's modules, as the service files are now. Nobody is looked up,
 * nothing is kept but program code. What is returned, NULL too, goes to user_switch_cool. (What the name services load
 * stays with the run's process, which alone needs it: a third of a megabyte for each run.) */
void *user_switch_warm(const char *pam_dir);
void user_switch_cool(void *warm); /* lets go of PAM's modules: the run's process has them */

/* In the run's process, before its gate, in two halves (struct shepherd_system); arg is a user_switch.
 *
 * user_switch_session: PAM service `wattq`: account, credentials, session. It is never closed: the modules
 * that belong here (pam_limits, pam_keyinit) undo nothing, and nobody with the right to is left at the end.
 * In the run's process and not in the shepherd, which would get pam_limits' limits too. Where there is no
 * service file `wattq`, PAM takes `other`.
 *
 * user_switch_become: initgroups -> setresgid -> setresuid, looked at again, and root must be out of reach. */
int user_switch_session(void *arg, struct child_report *c);
int user_switch_become(void *arg, struct child_report *c);

/* In the shepherd: the daemon's user and its own group alone (no name service is asked for others, which takes a
 * start half a millisecond and which it needs for nothing), CAP_KILL and nothing else for ever, not dumpable. */
int user_switch_leave_root(void *arg, struct err *e);

#endif
