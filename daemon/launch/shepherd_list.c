#include "daemon/launch/shepherd_list.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/places.h"
#include "common/units.h"
#include "daemon/launch/frames.h"
#include "daemon/launch/result.h"

#define ANSWER_S 2  /* a shepherd that lives answers at once */
#define GRACE_S  30 /* between TERM and KILL, as wattq cancel has it */
#define PATIENCE 30 /* s beyond that, for what cannot be killed */
#define COMMAND  60 /* characters of it that are shown */

/* ---- directories -------------------------------------------------------------------------------- */

/* Into out[WATTQ_PATH_MAX]. */
static int find_state(const struct shepherd_choice *c, char *out, struct err *e)
{
    const char *given = c->state_dir ? c->state_dir : geteuid() == 0 ? PLACES_SYSTEM_STATE : NULL;
    if (!given)
        return places_state(out, e);
    return base_strcpy(out, WATTQ_PATH_MAX, given)
               ? 0
               : err_set(e, WATTQ_E_LIMIT, "path %.100s... is too long", given);
}

static int open_runs(const char *state, struct err *e)
{
    char *path CLEANUP(base_freep) = base_printf("%s/runs", state);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    err_errno(e, errno == EACCES ? WATTQ_E_FORBIDDEN : WATTQ_E_NOT_FOUND, "cannot open %s", path);
    return err_next(e,
                    errno == EACCES ? "run it as root" : "wattq-shepherd --list --state-dir DIR");
}

/* The lock that a wattqd holds as long as it lives. */
static int need_no_daemon(const char *state, struct err *e)
{
    char *path CLEANUP(base_freep) = base_printf("%s/wattqd.lock", state);
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;
    err_set(e, WATTQ_E_CONFLICT, "wattqd is running, and would start the next run");
    return err_next(e, "wattq cancel RUN, or stop wattqd first");
}

/* ---- one shepherd ------------------------------------------------------------------------------- */

struct live {
    struct result_shepherd file;
    struct frame state; /* its first word */
    int conn;
};

static void live_fini(struct live *l)
{
    base_closep(&l->conn);
}

static void set_timeout(int fd, int64_t seconds)
{
    const struct timeval t = {.tv_sec = seconds};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

/* 0; 1 = no shepherd lives in that directory. */
static int meet(int runs, const char *name, struct live *l, struct err *e)
{
    bool alive = false;
    *l = (struct live){.conn = -1};
    int dir CLEANUP(base_closep) =
        openat(runs, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0 || result_shepherd_read(dir, &l->file, &alive) != 0 || !alive)
        return 1;
    l->conn = frame_connect(dir, "ctl", e);
    if (l->conn < 0)
        return e->code == WATTQ_E_NOT_FOUND ? 1 : e->code;
    set_timeout(l->conn, ANSWER_S);
    int rc = frame_recv(l->conn, &l->state, e);
    return rc > 0 ? 1 : rc;
}

static bool is_run(const char *name)
{
    if (!*name)
        return false;
    while (isdigit((unsigned char)*name))
        name++;
    return *name == 0;
}

static bool is_chosen(const struct shepherd_choice *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->runs[i], name) == 0)
            return true;
    return c->all;
}

/* ---- list --------------------------------------------------------------------------------------- */

static const char *phase_name(uint16_t phase)
{
    static const char *const names[] = {"starting", "running", "paused", "stopping", "ended"};
    return phase < ARRAY_LEN(names) ? names[phase] : "unknown";
}

/* What the main process is, as far as /proc shows it to us; spaces between the words. */
static void command_of(int pid, char *out, size_t cap)
{
    char path[40];
    size_t n = 0;
    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, out, cap - 1);
    for (n = 0; got > 0 && n < (size_t)got; n++)
        if (!isprint((unsigned char)out[n]))
            out[n] = out[n] ? '?' : ' ';
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = 0;
}

static void user_of(int pid, char *out, size_t cap)
{
    char path[40];
    struct stat st;
    snprintf(path, sizeof(path), "/proc/%d", pid);
    base_strcpy(out, cap, "-");
    if (stat(path, &st) != 0)
        return;
    const struct passwd *pw = getpwuid(st.st_uid);
    if (pw)
        base_strcpy(out, cap, pw->pw_name);
    else
        snprintf(out, cap, "%u", (unsigned)st.st_uid);
}

static void age_of(int64_t t0_ns, char *out, size_t cap)
{
    int64_t s = (clock_boot_ns() - t0_ns) / NS_PER_S;
    if (t0_ns <= 0)
        base_strcpy(out, cap, "-");
    else
        snprintf(out, cap, "%" PRId64 ":%02" PRId64 ":%02" PRId64, s / 3600, s / 60 % 60, s % 60);
}

static void print_live(const struct live *l)
{
    char user[40], age[32], command[COMMAND + 1];
    user_of(l->state.pid, user, sizeof(user));
    age_of(l->state.t0_ns, age, sizeof(age));
    command_of(l->state.pid, command, sizeof(command));
    printf("%8" PRId64 "  %-12s  %-8s  %10s  %8d  %s\n", l->file.run_id, user,
           phase_name(l->state.phase), age, l->file.pid, command);
}

int shepherd_list_print(const struct shepherd_choice *c, struct err *e)
{
    char state[WATTQ_PATH_MAX];
    int runs CLEANUP(base_closep) = find_state(c, state, e) == 0 ? open_runs(state, e) : -1;
    if (runs < 0)
        return e->code;
    DIR *d = fdopendir(dup(runs));
    if (!d)
        return err_errno(e, WATTQ_E_IO, "cannot read the runs in %s", state);
    printf("     RUN  USER          STATE            TIME  SHEPHERD  COMMAND\n");
    for (const struct dirent *x; (x = readdir(d));) {
        struct live l CLEANUP(live_fini) = {.conn = -1};
        struct err why = {0};
        if (is_run(x->d_name) && meet(runs, x->d_name, &l, &why) == 0)
            print_live(&l);
        else if (why.code)
            fprintf(stderr, "wattq-shepherd: run %s: %s\n", x->d_name, why.text);
    }
    closedir(d);
    return 0;
}

/* ---- stop --------------------------------------------------------------------------------------- */

/* TERM, the grace, KILL: the shepherd's ladder; it ends when its result is on disk. */
static int stop_one(const struct live *l, struct err *e)
{
    const struct frame stop = {.magic = FRAME_MAGIC,
                               .kind = FRAME_STOP,
                               .token = l->file.token,
                               .a = SIGTERM,
                               .b = GRACE_S * NS_PER_S,
                               .pid = getpid()};
    struct frame f = l->state;
    int rc = frame_send(l->conn, &stop, e);
    set_timeout(l->conn, GRACE_S + PATIENCE);
    while (rc == 0 && f.phase != SHEPHERD_ENDED)
        rc = frame_recv(l->conn, &f, e);
    return rc < 0 ? rc : 0; /* it closes when it is through */
}

/* One that does not answer is told of by name and does not spare the others. */
static void stop_chosen(int runs, const char *name, size_t *stopped, size_t *failed)
{
    struct live l CLEANUP(live_fini) = {.conn = -1};
    struct err e = {0};
    int rc = meet(runs, name, &l, &e);
    if (rc == 0)
        rc = stop_one(&l, &e);
    if (rc == 0) {
        printf("run %s is stopped; the next wattqd takes its result in\n", name);
        ++*stopped;
    } else if (rc < 0) {
        fprintf(stderr, "wattq-shepherd: run %s: %s\n", name, e.text);
        ++*failed;
    }
}

int shepherd_list_stop(const struct shepherd_choice *c, struct err *e)
{
    char state[WATTQ_PATH_MAX];
    int runs CLEANUP(base_closep) = find_state(c, state, e) == 0 ? open_runs(state, e) : -1;
    if (runs < 0 || need_no_daemon(state, e) < 0)
        return e->code;
    DIR *d = fdopendir(dup(runs));
    if (!d)
        return err_errno(e, WATTQ_E_IO, "cannot read the runs in %s", state);
    size_t stopped = 0, failed = 0;
    for (const struct dirent *x; (x = readdir(d));)
        if (is_run(x->d_name) && is_chosen(c, x->d_name))
            stop_chosen(runs, x->d_name, &stopped, &failed);
    closedir(d);
    if (failed)
        return err_set(e, WATTQ_E_IO, "%zu of the runs could not be stopped", failed);
    if (stopped < c->n)
        return err_set(e, WATTQ_E_NOT_FOUND, "%zu of the runs named have no live shepherd",
                       c->n - stopped);
    return 0;
}
