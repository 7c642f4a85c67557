/* meters allow | revoke: let one user read the root-only energy counters (powercap energy_uj) until the
 * next boot, and take it back.
 * The least that does it: the file keeps mode 0400 and changes its owner. Nobody else can read it then, root
 * still can, and sysfs forgets it all at a reboot. Symbolic links are not followed and only files named
 * energy_uj below the powercap directory are touched. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/json.h"

#define ZONES_MAX 256

struct zones {
    char *path[ZONES_MAX]; /* of the energy_uj files */
    size_t n;
};

static void zones_finip(struct zones *z)
{
    for (size_t i = 0; i < z->n; i++)
        free(z->path[i]);
}

/* Zones are directories (or links to them) named intel-rapl:0, intel-rapl:0:1, intel-rapl-mmio:0, ... */
static void find_zones(struct zones *z, const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *entry;
    while (d && (entry = readdir(d)) && z->n < ZONES_MAX) {
        if (!strchr(entry->d_name, ':'))
            continue;
        char *path = base_printf("%s/%s/energy_uj", dir, entry->d_name);
        struct stat st;
        if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
            z->path[z->n++] = path;
        else
            free(path);
    }
    if (d)
        (void)closedir(d);
}

/* Whom: --user, else who called sudo, else nobody is named. */
static int whom(const struct app *app, uid_t *uid, gid_t *gid, struct err *e)
{
    const char *name = args_str(&app->args, OPT_USER, NULL);
    const char *sudo = getenv("SUDO_UID");
    const struct passwd *pw;
    if (name)
        pw = getpwnam(name);
    else
        pw = getpwuid(sudo ? (uid_t)strtoul(sudo, NULL, 10) : getuid());
    if (!pw) {
        err_set(e, WATTQ_E_NOT_FOUND, "there is no user '%.60s'", name ? name : "who called this");
        return err_next(e, "name one: wattq meters allow --user NAME");
    }
    if (pw->pw_uid == 0) {
        err_set(e, WATTQ_E_USAGE, "root may read the energy counters anyway");
        return err_next(e, "name the user who runs wattqd: wattq meters allow --user NAME");
    }
    *uid = pw->pw_uid;
    *gid = pw->pw_gid;
    return 0;
}

static int no_right(bool allow, struct err *e)
{
    err_set(e, WATTQ_E_FORBIDDEN, "changing who may read the energy counters takes root");
    return err_next(e, "sudo wattq meters %s", allow ? "allow" : "revoke");
}

static int change(const char *path, uid_t uid, gid_t gid, bool allow, struct err *e)
{
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == EACCES ? no_right(allow, e)
                               : err_errno(e, WATTQ_E_IO, "cannot open %.200s", path);
    if (fchown(fd, uid, gid) < 0)
        return errno == EPERM ? no_right(allow, e)
                              : err_errno(e, WATTQ_E_IO, "cannot change the owner of %.180s", path);
    if (fchmod(fd, 0400) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot change the mode of %.180s", path);
    return 0;
}

static const char risk[] = "This lets that user read the CPU's energy counters until the next boot "
                           "(or wattq meters revoke).\n"
                           "The risk: energy read at a high rate is a side channel. PLATYPUS "
                           "(CVE-2020-8694) recovered keys from\n"
                           "other programs on the same CPU with it, which is why Linux made these "
                           "files root-only. Do it on a\n"
                           "machine whose other users, virtual machines and services you would "
                           "also let debug your programs.\n";

/* Yes by --yes, or by an answer on a terminal. */
static int confirm(const struct app *app, struct err *e)
{
    char answer[16] = "";
    if (!app->quiet || !args_has(&app->args, OPT_YES))
        (void)fputs(risk, stderr);
    if (args_has(&app->args, OPT_YES))
        return 0;
    if (isatty(0) == 1) {
        (void)fputs("Allow it? [y/N] ", stderr);
        (void)fflush(stderr);
        if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
            return 0;
    }
    err_set(e, WATTQ_E_CONFLICT, "nothing was changed");
    return err_next(e, "to allow it: wattq meters allow --yes");
}

/* Who is not root asks sudo, which asks for the password; comes back only when there is no sudo. */
static int by_sudo(const struct app *app, uid_t uid, bool allow, struct err *e)
{
    char exe[WATTQ_PATH_MAX];
    char user[24];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    bool may_ask = isatty(0) == 1 && !args_has(&app->args, OPT_SYSFS_ROOT);
    const struct passwd *pw = getpwuid(uid);
    if (n <= 0 || !may_ask)
        return no_right(allow, e);
    exe[n] = '\0';
    if (allow && pw && base_strcpy(user, sizeof user, pw->pw_name)) {
        cmd_say(app, "sudo wattq meters allow --user %s", user);
        (void)execlp("sudo", "sudo", "--", exe, "meters", "allow", "--yes", "--quiet", "--user",
                     user, (char *)NULL);
    } else if (!allow) {
        cmd_say(app, "sudo wattq meters revoke");
        (void)execlp("sudo", "sudo", "--", exe, "meters", "revoke", (char *)NULL);
    }
    return no_right(allow, e);
}

static int report(const struct app *app, const struct zones *z, uid_t uid, bool allow,
                  struct err *e)
{
    const char *verb = allow ? "allow" : "revoke";
    if (!app->json) {
        for (size_t i = 0; i < z->n && !app->quiet; i++)
            (void)fprintf(app->print.out, "%s\n", z->path[i]);
        if (allow)
            cmd_say(app,
                    "user %u may read these until the next boot; wattqd takes them up within 10 s",
                    (unsigned)uid);
        else
            cmd_say(app, "only root may read these again");
        return 0;
    }
    json_t *files = json_array();
    for (size_t i = 0; i < z->n; i++)
        (void)json_array_append_new(files, json_string(z->path[i]));
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.meters_allow/1"));
    json_put(doc, "action", json_string(verb));
    json_put(doc, "uid", json_integer(uid));
    json_put(doc, "files", files);
    return json_write(app->print.out, doc, false, e);
}

int cmd_meters_allow(struct app *app, bool allow, struct err *e)
{
    struct zones z CLEANUP(zones_finip) = {.n = 0};
    const char *root = args_str(&app->args, OPT_SYSFS_ROOT, "");
    char *dir CLEANUP(base_freep) = base_printf("%s/sys/class/powercap", root);
    if (*root && access(dir, F_OK) != 0) { /* the root may also be the tree itself */
        free(dir);
        dir = base_printf("%s/class/powercap", root);
    }
    uid_t uid = 0;
    gid_t gid = 0;
    find_zones(&z, dir);
    if (z.n == 0) {
        err_set(e, WATTQ_E_UNAVAILABLE,
                "there is no energy counter of that kind on this machine: nothing "
                "named energy_uj below %.120s",
                dir);
        return err_next(e, "wattq meters shows what there is");
    }
    int rc = allow ? whom(app, &uid, &gid, e) : 0;
    if (rc == 0 && allow)
        rc = confirm(app, e);
    if (rc == 0 && geteuid() != 0)
        rc = by_sudo(app, uid, allow, e);
    for (size_t i = 0; rc == 0 && i < z.n; i++)
        rc = change(z.path[i], uid, gid, allow, e);
    return rc < 0 ? rc : report(app, &z, uid, allow, e);
}
