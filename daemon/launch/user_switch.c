#include "daemon/launch/user_switch.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SERVICE "wattq"

static int look_up(uid_t uid, gid_t *gid, char **name, struct err *e)
{
    const struct passwd *pw = getpwuid(uid);
    if (!pw)
        return err_set(e, WATTQ_E_NOT_FOUND, "this machine knows no user with uid %u", uid);
    *gid = pw->pw_gid;
    *name = base_strdup(pw->pw_name);
    return 0;
}

int user_switch_open(struct user_switch *u, uid_t user, uid_t daemon, const char *pam_dir,
                     struct err *e)
{
    *u = (struct user_switch){.user_uid = user, .daemon_uid = daemon, .pam_dir = pam_dir};
    int rc = look_up(user, &u->user_gid, &u->user_name, e);
    return rc < 0 ? rc : look_up(daemon, &u->daemon_gid, &u->daemon_name, e);
}

/* Nobody is there to be asked. */
static int no_talk(int n, const struct pam_message **m, struct pam_response **r, void *arg)
{
    (void)n, (void)m, (void)r, (void)arg;
    return PAM_CONV_ERR;
}

/* PAM's modules stay loaded as long as this first handle is there; what a run's process asks them, it asks anew, with
 * the configuration as it is then. */
void *user_switch_warm(const char *pam_dir)
{
    static const struct pam_conv conv = {.conv = no_talk};
    pam_handle_t *held = NULL;
    gid_t group;
    int n = 1;
    (void)getgrouplist("root", 0, &group, &n); /* for its modules: whose groups does not matter */
    int rc = pam_dir ? pam_start_confdir(SERVICE, NULL, &conv, pam_dir, &held)
                     : pam_start(SERVICE, NULL, &conv, &held);
    return rc == PAM_SUCCESS ? held : NULL;
}

void user_switch_cool(void *warm)
{
    if (warm)
        pam_end(warm, PAM_SUCCESS | PAM_DATA_SILENT);
}

void user_switch_close(struct user_switch *u)
{
    base_freep(&u->user_name);
    base_freep(&u->daemon_name);
}

/* ---- the run's process --------------------------------------------------------------------------- */

static int fail(struct child_report *c, enum child_step step, int error, const char *text)
{
    *c = (struct child_report){.step = (int32_t)step, .error = error};
    if (text)
        base_strcpy(c->text, sizeof(c->text), text);
    return -1;
}

int user_switch_session(void *arg, struct child_report *c)
{
    const struct user_switch *u = arg;
    const struct pam_conv conv = {.conv = no_talk};
    pam_handle_t *pam = NULL;
    enum child_step step = STEP_ACCOUNT;
    int rc = u->pam_dir ? pam_start_confdir(SERVICE, u->user_name, &conv, u->pam_dir, &pam)
                        : pam_start(SERVICE, u->user_name, &conv, &pam);
    if (rc == PAM_SUCCESS)
        rc = pam_acct_mgmt(pam, PAM_SILENT);
    if (rc == PAM_SUCCESS) {
        step = STEP_SESSION;
        rc = pam_setcred(pam, PAM_ESTABLISH_CRED | PAM_SILENT);
    }
    if (rc == PAM_SUCCESS)
        rc = pam_open_session(pam, PAM_SILENT);
    const char *why = rc == PAM_SUCCESS ? NULL : pam_strerror(pam, rc);
    if (why)
        fail(c, step, 0, why);
    if (pam)
        pam_end(pam, rc | PAM_DATA_SILENT); /* frees; says nothing and closes nothing */
    return why ? -1 : 0;
}

static bool is_wholly(uid_t uid, gid_t gid)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;
    return getresuid(&r, &e, &s) == 0 && getresgid(&rg, &eg, &sg) == 0 && r == uid && e == uid &&
           s == uid && rg == gid && eg == gid && sg == gid;
}

int user_switch_become(void *arg, struct child_report *c)
{
    const struct user_switch *u = arg;
    if (initgroups(u->user_name, u->user_gid) < 0)
        return fail(c, STEP_USER, errno, NULL);
    if (setresgid(u->user_gid, u->user_gid, u->user_gid) < 0 ||
        setresuid(u->user_uid, u->user_uid, u->user_uid) < 0)
        return fail(c, STEP_USER, errno, NULL);
    if (!is_wholly(u->user_uid, u->user_gid) ||
        (u->user_uid != 0 && (setuid(0) == 0 || seteuid(0) == 0)))
        return fail(c, STEP_USER, 0, "root could not be left for good");
    return 0;
}

/* ---- the shepherd -------------------------------------------------------------------------------- */

/* CAP_KILL, permitted and effective; the kernel kept all of them across setresuid as asked. */
static int keep_kill(void)
{
    struct __user_cap_header_struct self = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct kill_only[_LINUX_CAPABILITY_U32S_3] = {{0}};
    kill_only[CAP_TO_INDEX(CAP_KILL)].permitted = CAP_TO_MASK(CAP_KILL);
    kill_only[CAP_TO_INDEX(CAP_KILL)].effective = CAP_TO_MASK(CAP_KILL);
    return (int)syscall(SYS_capset, &self, kill_only);
}

int user_switch_leave_root(void *arg, struct err *e)
{
    const struct user_switch *u = arg;
    if (setgroups(1, &u->daemon_gid) < 0 ||
        setresgid(u->daemon_gid, u->daemon_gid, u->daemon_gid) < 0 ||
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
        setresuid(u->daemon_uid, u->daemon_uid, u->daemon_uid) < 0 || keep_kill() < 0 ||
        prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return err_errno(e, WATTQ_E_IO, "the shepherd cannot become the user %s", u->daemon_name);
    if (!is_wholly(u->daemon_uid, u->daemon_gid) || setuid(0) == 0)
        return err_set(e, WATTQ_E_INTERNAL, "the shepherd could not leave root for good");
    return 0;
}
