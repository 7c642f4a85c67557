#include "daemon/store/replace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/store/backup.h"
#include "daemon/store/damage.h"
#include "daemon/store/former.h"
#include "daemon/store/runs.h"
#include "daemon/store/stmt.h"

#define COPY_BYTES (1u << 20)

static const char *const log_suffix[] = {"-wal", "-shm"};

/* ---- the new one, beside the old one -------------------------------------------------------------- */

static int copy_all(int from, int to, const char *name, struct err *e)
{
    char *buf CLEANUP(base_freep) = base_alloc(COPY_BYTES);
    for (;;) {
        ssize_t n = read(from, buf, COPY_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, WATTQ_E_IO, "cannot read %.200s", name);
        if (n == 0)
            return fsync(to) == 0 ? 0 : err_errno(e, WATTQ_E_STORAGE, "cannot write the copy");
        if (base_write_all(to, buf, (size_t)n) < 0)
            return err_errno(e, WATTQ_E_STORAGE, "cannot write the copy beside the database");
    }
}

static int copy_in(const struct replace_ask *ask, const char *part, struct err *e)
{
    bool input = strcmp(ask->from, "-") == 0;
    backup_remove(part);
    int from =
        input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(ask->from, O_RDONLY | O_CLOEXEC);
    int to = from < 0 ? -1 : open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc;
    if (from < 0)
        rc = err_errno(e, WATTQ_E_IO, "cannot read %.200s", ask->from);
    else if (to < 0)
        rc = err_errno(e, WATTQ_E_STORAGE, "cannot make %.200s", part);
    else
        rc = copy_all(from, to, input ? "the standard input" : ask->from, e);
    base_closep(&from);
    base_closep(&to);
    return rc;
}

struct seen {
    int64_t n;
    char first[200];
};

static void on_damage(void *arg, const struct damage *d)
{
    struct seen *seen = arg;
    if (seen->n++ == 0)
        base_strcpy(seen->first, sizeof(seen->first), d->text);
}

static int check_whole(struct store *s, struct err *e)
{
    struct seen seen = {.n = 0};
    struct damage_walk w = {.of = 0};
    const struct damage_sink to = {.found = on_damage, .arg = &seen};
    int rc = damage_structure(s, &to, e);
    while (rc == 0 && (rc = damage_blocks(s, &w, NS_PER_S, &to, e)) > 0)
        rc = 0;
    if (rc < 0 || seen.n == 0)
        return rc;
    return err_set(e, WATTQ_E_CORRUPT, "%" PRId64 " things in it are damaged, the first: %s",
                   seen.n, seen.first);
}

/* What it is called here is of no use to whoever gave it another name. */
static int refuse(const struct replace_ask *ask, const char *part, int rc, struct err *e)
{
    char why[sizeof(e->text)];
    const char *at = strstr(e->text, part);
    base_strcpy(why, sizeof(why), at ? at + strlen(part) : e->text);
    err_set(e, rc, "%.200s is not restored: %s%s", strcmp(ask->from, "-") ? ask->from : "what came",
            at ? "it" : "", why);
    return err_next(e, rc == WATTQ_E_VERSION ? "use the newer wattqd; nothing was changed"
                                             : "try another backup; nothing was changed");
}

/* ---- runs ---------------------------------------------------------------------------------------- */

/* The largest number that a directory has. */
static int64_t newest_directory(const char *runs)
{
    int64_t max = 0;
    DIR *d = base_open_dir(runs);
    const struct dirent *entry;
    while (d && (entry = readdir(d))) {
        char *end;
        long long n = strtoll(entry->d_name, &end, 10);
        if (*end == '\0' && n > max)
            max = n;
    }
    if (d)
        (void)closedir(d);
    return max;
}

static bool has_begun(const char *runs, int64_t run)
{
    struct stat st;
    char *path CLEANUP(base_freep) = base_printf("%s/%" PRId64, runs, run);
    return lstat(path, &st) == 0;
}

static int raise_numbers(struct store *s, int64_t to, struct err *e)
{
    STMT_USE(raise, s, REPLACE_RAISE);
    STMT_USE(first, s, REPLACE_FIRST);
    stmt_bind_int(raise, 1, to);
    stmt_bind_int(first, 1, to);
    int rc = stmt_run(raise, e);
    return rc == 0 ? stmt_run(first, e) : rc;
}

struct waiting {
    struct {
        int64_t id;
        enum run_state state;
    } * run;
    size_t n, cap;
};

static int take_waiting(void *arg, const struct run_row *r)
{
    struct waiting *w = arg;
    if (r->state != RUN_QUEUED && r->state != RUN_HELD)
        return 0; /* what was going on, its directory tells, as after any restart */
    if (w->n == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 64;
        w->run = reallocarray(w->run, w->cap, sizeof(*w->run));
        if (!w->run)
            abort();
    }
    w->run[w->n].id = r->id;
    w->run[w->n++].state = r->state;
    return 0;
}

static int settle_run(struct store *s, const struct replace_ask *ask, int64_t run,
                      enum run_state state, struct replace_done *out, struct err *e)
{
    struct run_change c;
    run_change_init(&c);
    c.actor_uid = ask->by;
    c.t_ns = clock_boot_ns();
    if (has_begun(ask->runs, run)) {
        c.reason =
            "begun after the backup was made that is restored now: its directory has what it left";
        c.ended_utc_ns = clock_utc_ns();
        out->cancelled++;
        return runs_move(s, run, state, RUN_CANCELLED, &c, e);
    }
    if (state == RUN_HELD)
        return 0;
    c.reason = "waited in a backup that was restored";
    out->held++;
    return runs_move(s, run, state, RUN_HELD, &c, e);
}

static int count(struct store *s, struct replace_done *out, struct err *e)
{
    STMT_USE(st, s, REPLACE_NEWEST);
    int rc = stmt_step(st, e);
    if (rc > 0) {
        out->runs = stmt_int(st, 0);
        out->newest_utc_ns = stmt_opt(st, 1);
    }
    return rc < 0 ? rc : 0;
}

static int settle(struct store *s, const struct replace_ask *ask, struct replace_done *out,
                  struct err *e)
{
    struct waiting w = {.n = 0};
    int rc = count(s, out, e);
    if (rc == 0)
        rc = runs_live(s, take_waiting, &w, e);
    for (size_t i = 0; rc == 0 && i < w.n; i++)
        rc = settle_run(s, ask, w.run[i].id, w.run[i].state, out, e);
    if (rc == 0)
        rc = raise_numbers(s, newest_directory(ask->runs), e);
    if (rc == 0)
        rc = former_act(s, ask->by, "restore", "the database is that of a backup", e);
    free(w.run);
    return rc;
}

/* Opened as every database is, which also brings an older one to this schema. */
static int prepare(const struct replace_ask *ask, const char *part, struct replace_done *out,
                   struct err *e)
{
    struct store *s;
    int rc = store_open(&s, part, e);
    if (rc < 0)
        return refuse(ask, part, rc, e);
    rc = check_whole(s, e);
    if (rc == 0)
        rc = store_begin(s, true, e);
    if (rc == 0)
        rc = settle(s, ask, out, e);
    if (rc == 0)
        rc = store_commit(s, e);
    store_close(s);
    return rc < 0 ? refuse(ask, part, rc, e) : 0;
}

/* ---- the old one --------------------------------------------------------------------------------- */

/* What is in its log belongs to it: where it can, it is moved into the file, so that one name is all there is. */
static void fold(const char *path)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
        (void)sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_close(db);
}

/* A name that is free: one of this second may be left of a restore that was killed. */
static void name_aside(const char *database, char *out, size_t cap)
{
    char when[32];
    struct tm tm;
    struct stat st;
    time_t now = time(NULL);
    (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    (void)snprintf(out, cap, "%s.before-%s", database, when);
    for (int n = 2; lstat(out, &st) == 0; n++)
        (void)snprintf(out, cap, "%s.before-%s.%d", database, when, n);
}

/* A log that is left when this is a damaged one goes first: it must never be read into the new one. */
static int set_aside(const struct replace_ask *ask, struct replace_done *out, struct err *e)
{
    struct stat st;
    if (lstat(ask->database, &st) != 0)
        return 0;
    fold(ask->database);
    name_aside(ask->database, out->aside, sizeof(out->aside));
    for (size_t i = 0; i < ARRAY_LEN(log_suffix); i++) {
        char *from CLEANUP(base_freep) = base_printf("%s%s", ask->database, log_suffix[i]);
        char *to CLEANUP(base_freep) = base_printf("%s%s", out->aside, log_suffix[i]);
        if (rename(from, to) != 0 && errno != ENOENT)
            return err_errno(e, WATTQ_E_STORAGE, "cannot set %.200s aside", from);
    }
    if (link(ask->database, out->aside) != 0)
        return err_errno(e, WATTQ_E_STORAGE, "cannot set %.200s aside", ask->database);
    return 0;
}

static int sync_path(const char *path, int flags)
{
    int fd CLEANUP(base_closep) = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -1 : fsync(fd);
}

static int swap(const struct replace_ask *ask, const char *part, struct replace_done *out,
                struct err *e)
{
    char *dir CLEANUP(base_freep) = base_strdup(ask->database);
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = '\0';
    int rc = set_aside(ask, out, e);
    if (rc < 0)
        return rc;
    if (sync_path(part, O_RDONLY) != 0 || rename(part, ask->database) != 0 ||
        sync_path(slash ? dir : ".", O_RDONLY | O_DIRECTORY) != 0)
        return err_errno(e, WATTQ_E_STORAGE, "cannot put the new database in its place");
    return 0;
}

int replace_database(const struct replace_ask *ask, struct replace_done *out, struct err *e)
{
    char *part CLEANUP(base_freep) = base_printf("%s.restoring", ask->database);
    *out = (struct replace_done){.newest_utc_ns = INT64_MIN};
    int rc = copy_in(ask, part, e);
    if (rc == 0)
        rc = prepare(ask, part, out, e);
    if (rc == 0)
        rc = swap(ask, part, out, e);
    if (rc < 0)
        backup_remove(part);
    return rc;
}
