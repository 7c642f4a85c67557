/* The key, and what is signed with it. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/launcher_private.h"

#define NAME            "key"
#define RATE_NS         (60 * NS_PER_S)
#define DAY_S           INT64_C(86400)
#define RANDOM_ALL(buf) (getrandom((buf), sizeof(buf), 0) == (ssize_t)sizeof(buf))

static int make(struct launcher *l, struct err *e)
{
    if (!RANDOM_ALL(l->key))
        return err_errno(e, WATTQ_E_IO, "no random bytes for a key");
    if (base_replace_file(l->state_fd, NAME, l->key, sizeof(l->key), 0600) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot keep the key in %s", l->cfg.state);
    return 0;
}

int key_open(struct launcher *l, bool anew, struct err *e)
{
    struct stat st;
    if (anew)
        return make(l, e);
    int fd CLEANUP(base_closep) = openat(l->state_fd, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return make(l, e);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot read the key in %s", l->cfg.state);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) ||
        read(fd, l->key, sizeof(l->key)) != (ssize_t)sizeof(l->key)) {
        err_set(e, WATTQ_E_CORRUPT, "the key in %s is not the file we made", l->cfg.state);
        err_next(e, "remove it: a new one is made, and what waits in the queue must be submitted "
                    "again");
        return WATTQ_E_CORRUPT;
    }
    return 0;
}

int key_user(const struct launcher *l, int64_t uid, struct err *e)
{
    if (uid == 0 && l->cfg.allow_root)
        return 0;
    if (uid < l->cfg.min_uid || uid > UINT32_MAX - 2) {
        err_set(e, WATTQ_E_FORBIDDEN,
                uid == 0 ? "nothing is run as root here" : "uid %lld is a system's, not a person's",
                (long long)uid);
        err_next(e, "submit it as yourself; the limit is wattq-launcher's option --min-uid");
        return WATTQ_E_FORBIDDEN;
    }
    if (uid == (int64_t)l->daemon_uid)
        return err_set(e, WATTQ_E_FORBIDDEN, "nothing is run as the daemon's own user");
    errno = 0;
    if (!getpwuid((uid_t)uid))
        return err_set(e, WATTQ_E_FORBIDDEN, "this machine knows no user with uid %lld",
                       (long long)uid);
    return 0;
}

/* One more warrant for uid: is it within its rate? */
static bool within_rate(struct launcher *l, uid_t uid)
{
    int64_t now_ns = clock_mono_ns();
    struct launcher_rate *r = NULL, *oldest = &l->rates[0];
    for (size_t i = 0; i < ARRAY_LEN(l->rates) && !r; i++) {
        if (l->rates[i].since_ns && l->rates[i].uid == uid)
            r = &l->rates[i];
        else if (l->rates[i].since_ns < oldest->since_ns)
            oldest = &l->rates[i];
    }
    if (!r) {
        r = oldest;
        *r = (struct launcher_rate){.uid = uid};
    }
    if (!r->since_ns || now_ns - r->since_ns > RATE_NS) {
        r->since_ns = now_ns;
        r->n = 0;
    }
    return r->n++ < LAUNCHER_SIGN_RATE;
}

int key_sign(struct launcher *l, uid_t uid, struct warrant *w, struct err *e)
{
    int rc = key_user(l, uid, e);
    if (rc < 0)
        return rc;
    if (!within_rate(l, uid)) {
        err_set(e, WATTQ_E_LIMIT, "more than %d submissions in a minute", LAUNCHER_SIGN_RATE);
        err_next(e, "wait a minute; one sweep takes one signature for %d runs", WARRANT_RUNS_MAX);
        return WATTQ_E_LIMIT;
    }
    /* A sweep may repeat one command as often as it has runs. */
    if (w->starts_max < 1 || w->starts_max > WARRANT_RUNS_MAX * WARRANT_RETRY)
        return err_set(e, WATTQ_E_INVALID, "one warrant can be signed for at most %d starts",
                       WARRANT_RUNS_MAX * WARRANT_RETRY);
    w->uid = uid;
    w->made_utc_s = clock_utc_ns() / NS_PER_S;
    w->until_utc_s = w->made_utc_s + WARRANT_DAYS * DAY_S;
    if (!RANDOM_ALL(w->id))
        return err_errno(e, WATTQ_E_IO, "no random bytes for a warrant");
    warrant_sign(w, l->key);
    return 0;
}
