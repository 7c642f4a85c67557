#include "daemon/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "common/places.h"

#define LOCK_TRIES 100 /* of 10 ms */

const char *paths_network_fs(long type)
{
    /* source: statfs(2) and linux/magic.h */
    static const struct {
        uint32_t magic;
        const char *name;
    } known[] = {
        {0x00006969, "NFS"},  {0x0000517b, "SMB"},    {0xff534d42, "CIFS"},   {0xfe534d42, "SMB2"},
        {0x5346414f, "AFS"},  {0x73757245, "Coda"},   {0x0bd00bd0, "Lustre"}, {0x00c36400, "Ceph"},
        {0x47504653, "GPFS"}, {0x19830326, "BeeGFS"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].magic == (uint32_t)type)
            return known[i].name;
    return NULL;
}

/* A directory to have, and the option that moves it elsewhere. */
struct place {
    const char *path;
    const char *what;
    const char *option;
    bool shared; /* others may go through it; nobody but us may write */
    bool opened; /* it is made 0711, so that they can */
};

static int no_dir(const struct place *p, struct err *e)
{
    err_errno(e, WATTQ_E_IO, "cannot create the %s %.200s", p->what, p->path);
    return err_next(e, "choose a directory you can write to: %s DIR", p->option);
}

/* mkdir -p, 0700 each. Components that are there already are left as they are. */
static int make_dirs(const struct place *p, struct err *e)
{
    char path[WATTQ_PATH_MAX];
    base_strcpy(path, sizeof(path), p->path);
    for (char *end = path + 1;; end++) {
        char c = *end;
        if (c && c != '/')
            continue;
        *end = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
            int saved = errno;
            if (access(path, F_OK) < 0) {
                errno = saved;
                return no_dir(p, e);
            }
        }
        *end = c;
        if (!c)
            return 0;
    }
}

static int check_owner(const struct place *p, struct err *e)
{
    struct stat st;
    if (stat(p->path, &st) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot look at the %s %.200s", p->what, p->path);
    if (!S_ISDIR(st.st_mode)) {
        err_set(e, WATTQ_E_IO, "the %s %.200s is not a directory", p->what, p->path);
        return err_next(e, "move it away, or choose another with %s DIR", p->option);
    }
    if (st.st_uid != geteuid()) {
        err_set(e, WATTQ_E_FORBIDDEN, "the %s %.200s belongs to uid %ld, not to you (uid %ld)",
                p->what, p->path, (long)st.st_uid, (long)geteuid());
        return err_next(e, "choose one of your own: %s DIR", p->option);
    }
    if (st.st_mode & (p->shared ? 022 : 077)) {
        err_set(e, WATTQ_E_FORBIDDEN, "the %s %.200s is open to others (mode %04o)", p->what,
                p->path, (unsigned)(st.st_mode & 07777));
        return err_next(e, "chmod %s %.150s", p->shared ? "711" : "700", p->path);
    }
    return 0;
}

static int check_fs(const struct place *p, struct err *e)
{
    struct statfs fs;
    if (statfs(p->path, &fs) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot look at the file system of %.200s", p->path);
    const char *net = paths_network_fs((long)fs.f_type);
    if (net) {
        err_set(e, WATTQ_E_UNAVAILABLE,
                "the %s %.180s is on %s, where locks and fsync cannot be trusted", p->what, p->path,
                net);
        return err_next(e, "choose a local disk: %s /var/tmp/wattq-$USER", p->option);
    }
    if (access(p->path, W_OK | X_OK) < 0) {
        err_errno(e, WATTQ_E_IO, "cannot write to the %s %.200s", p->what, p->path);
        return err_next(e, "choose a directory you can write to: %s DIR", p->option);
    }
    return 0;
}

static int open_dir(const struct place *p, struct err *e)
{
    int fd CLEANUP(base_closep) = open(p->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0711) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open the %s %.200s to others", p->what, p->path);
    return 0;
}

static int have_dir(const struct place *p, struct err *e)
{
    int rc = make_dirs(p, e);
    if (rc == 0)
        rc = check_owner(p, e);
    if (rc == 0 && p->opened)
        rc = open_dir(p, e);
    return rc == 0 ? check_fs(p, e) : rc;
}

/* An option's directory made absolute: the daemon's own directory may be any. */
static int take_dir(char *out, const char *given, struct err *e)
{
    char cwd[WATTQ_PATH_MAX];
    if (given[0] != '/' && !getcwd(cwd, sizeof(cwd)))
        return err_errno(e, WATTQ_E_IO, "cannot find out the current directory");
    int rc = given[0] == '/' ? 0 : places_join(out, cwd, given, e);
    if (given[0] == '/' && !base_strcpy(out, WATTQ_PATH_MAX, given))
        return err_set(e, WATTQ_E_LIMIT, "path %.100s... is too long", given);
    return rc;
}

static int default_state(struct paths *p, const struct config *c, struct err *e)
{
    if (!config_system(c))
        return places_state(p->state, e);
    base_strcpy(p->state, sizeof(p->state), PLACES_SYSTEM_STATE);
    return 0;
}

/* The runtime directory holds the socket, where systemd does not: system mode has none unless it is given. */
static int find_dirs(struct paths *p, const struct config *c, struct err *e)
{
    bool system = config_system(c);
    int rc = c->state_dir[0] ? take_dir(p->state, c->state_dir, e) : default_state(p, c, e);
    if (rc == 0 && c->runtime_dir[0])
        rc = take_dir(p->runtime, c->runtime_dir, e);
    else if (rc == 0 && !system)
        rc = places_runtime(p->runtime, p->state, e);
    if (rc == 0 && c->socket[0])
        rc = take_dir(p->socket, c->socket, e);
    else if (rc == 0 && system && !p->runtime[0])
        base_strcpy(p->socket, sizeof(p->socket), PLACES_SYSTEM_SOCKET);
    else if (rc == 0)
        rc = places_socket(p->socket, p->runtime, e);
    return rc == 0 ? places_check_socket(p->socket, e) : rc;
}

/* Programs beside wattqd, or in --libexec-dir. */
static int find_programs(struct paths *p, const struct config *c, struct err *e)
{
    char dir[WATTQ_PATH_MAX];
    int rc = 0;
    if (c->libexec_dir[0]) {
        rc = take_dir(dir, c->libexec_dir, e);
    } else {
        ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
        if (n < 0)
            return err_errno(e, WATTQ_E_IO, "cannot find out where wattqd is (/proc/self/exe)");
        dir[n] = '\0';
        *strrchr(dir, '/') = '\0';
    }
    if (rc == 0)
        rc = places_join(p->shepherd, dir, "wattq-shepherd", e);
    if (rc == 0)
        rc = places_join(p->train, dir, "wattq-train", e);
    if (rc == 0)
        rc = places_join(p->meters, dir, "wattq-meters", e);
    if (rc < 0 || access(p->shepherd, X_OK) == 0)
        return rc;
    err_errno(e, WATTQ_E_NOT_FOUND, "cannot run %.200s", p->shepherd);
    return err_next(e, "install it beside wattqd, or name its directory: --libexec-dir DIR");
}

int paths_init(struct paths *p, const struct config *c, bool shared, struct err *e)
{
    bool system = config_system(c);
    const struct place state = {p->state, "state directory", "--state-dir", system, system},
                       runtime = {p->runtime, "runtime directory", "--runtime-dir", shared, false},
                       runs = {p->runs, "directory of runs", "--state-dir", system, system},
                       envs = {p->envs, "directory of environments", "--state-dir", false, false};
    *p = (struct paths){0};
    int rc = find_dirs(p, c, e);
    if (rc == 0)
        rc = have_dir(&state, e);
    if (rc == 0 && p->runtime[0])
        rc = have_dir(&runtime, e);
    if (rc == 0)
        rc = places_join(p->database, p->state, "wattq.db", e);
    if (rc == 0)
        rc = places_join(p->backup, p->state, "backup.tmp", e);
    if (rc == 0)
        rc = places_join(p->runs, p->state, "runs", e);
    if (rc == 0)
        rc = places_join(p->envs, p->state, "env", e);
    if (rc == 0)
        rc = places_join(p->warrants, p->state, "warrants", e);
    if (rc == 0)
        rc = have_dir(&runs, e);
    if (rc == 0)
        rc = have_dir(&envs, e);
    return rc == 0 ? find_programs(p, c, e) : rc;
}

/* ---- for others ----------------------------------------------------------------------------------- */

/* By a descriptor: what is opened is what was checked to be ours. */
static int open_up(const char *path, struct err *e)
{
    struct stat st;
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open the runtime directory %.200s", path);
    if ((st.st_mode & 011) || st.st_uid != geteuid())
        return 0;
    return fchmod(fd, 0711) == 0 ? 0
                                 : err_errno(e, WATTQ_E_IO, "cannot open %.200s to others", path);
}

/* A group that may go through is enough: so the machine can be shared with that group alone. */
static int check_way(const char *path, struct err *e)
{
    char dir[WATTQ_PATH_MAX];
    struct stat st;
    base_strcpy(dir, sizeof(dir), path);
    for (char *slash; (slash = strrchr(dir, '/')) != NULL;) {
        slash[slash == dir] = '\0';
        if (stat(dir, &st) < 0)
            return err_errno(e, WATTQ_E_IO, "cannot look at %.200s", dir);
        if (!(st.st_mode & 011)) {
            err_set(e, WATTQ_E_FORBIDDEN,
                    "other users cannot reach the socket: %.160s is closed to them (mode %04o)",
                    dir, (unsigned)(st.st_mode & 07777));
            return err_next(e, "put it where they can: --runtime-dir /var/tmp/wattq-$USER");
        }
        if (slash == dir)
            break;
    }
    return 0;
}

int paths_share(const struct paths *p, struct err *e)
{
    size_t n = strlen(p->runtime);
    bool inside = n > 0 && strncmp(p->socket, p->runtime, n) == 0 && p->socket[n] == '/';
    int rc = inside ? open_up(p->runtime, e) : 0;
    return rc == 0 ? check_way(p->socket, e) : rc;
}

/* ---- the lock ------------------------------------------------------------------------------------- */

/* Whoever holds the lock has written its pid into the file. */
static void read_holder(int fd, char pid[16])
{
    ssize_t n = pread(fd, pid, 15, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
}

/* A wattqd that was killed while it started a program leaves the lock with that child until it has become
 * the program: moments. Waited for only when the holder is no more. */
static bool lock_now_or_soon(int fd)
{
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
        char pid[16];
        struct timespec ms10 = {.tv_nsec = 10 * NS_PER_MS};
        if (errno != EWOULDBLOCK || tries == LOCK_TRIES)
            return false;
        read_holder(fd, pid);
        if (kill((pid_t)strtol(pid, NULL, 10), 0) == 0 || errno != ESRCH) {
            errno = EWOULDBLOCK;
            return false;
        }
        (void)nanosleep(&ms10, NULL);
    }
    return true;
}

static int locked_by_other(int fd, const struct paths *p, struct err *e)
{
    char pid[16];
    read_holder(fd, pid);
    err_set(e, WATTQ_E_CONFLICT, "wattqd runs already on %.180s (pid %s)", p->state,
            pid[0] ? pid : "unknown");
    return err_next(e, "use it (wattq info), stop it (kill %s), or choose another --state-dir",
                    pid[0] ? pid : "PID");
}

int paths_lock(const struct paths *p, struct err *e)
{
    char path[WATTQ_PATH_MAX];
    int rc = places_join(path, p->state, "wattqd.lock", e);
    if (rc < 0)
        return rc;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot open the lock file %.200s", path);
    if (!lock_now_or_soon(fd)) {
        rc = errno == EWOULDBLOCK ? locked_by_other(fd, p, e)
                                  : err_errno(e, WATTQ_E_IO, "cannot lock %.200s", path);
        close(fd);
        return rc;
    }
    /* Informative only: the lock is the lock, so a full disk here is no reason to refuse. */
    if (ftruncate(fd, 0) == 0)
        (void)!dprintf(fd, "%ld\n", (long)getpid());
    return fd;
}
