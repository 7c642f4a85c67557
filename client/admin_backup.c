/* admin backup: the daemon's whole database into a file of ours. It gets its name when it is whole, on the disk and
 * looked at; until then it has another, and there never is a half one under the name that was asked for. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/admin.h"
#include "client/json.h"
#include "client/localdb.h"
#include "client/print.h"
#include "common/sha256.h"
#include "common/units.h"

struct backup {
    const struct app *app;
    const char *name;
    char *part; /* what it is called until it is whole; NULL = there is none */
    int fd;
    int64_t bytes;
    struct sha256 sum;
    char hex[SHA256_HEX];
    int64_t schema, runs; /* -1 = not known: of a newer version */
    char *damage;         /* NULL = none */
};

static void drop(struct backup *b)
{
    base_closep(&b->fd);
    if (b->part)
        (void)unlink(b->part);
    free(b->part);
    free(b->damage);
}

static int taken(const char *name, struct err *e)
{
    err_set(e, WATTQ_E_CONFLICT, "there is a file %.200s already", name);
    return err_next(e, "name another one, or move it away");
}

static int make_part(struct backup *b, struct err *e)
{
    struct stat st;
    if (lstat(b->name, &st) == 0)
        return taken(b->name, e);
    char *part = base_printf("%s.XXXXXX", b->name);
    b->fd = mkostemp(part, O_CLOEXEC); /* 0600 */
    if (b->fd < 0) {
        err_errno(e, WATTQ_E_IO, "cannot make %.200s", b->name);
        free(part);
        return err_next(e, "name a file in a directory that you can write to");
    }
    b->part = part;
    return 0;
}

/* A frame of it; or, while the daemon makes its copy, how far that is. */
static int take(struct backup *b, const struct wire_val *r, struct err *e)
{
    size_t bytes = 0;
    char done[40];
    char of[40];
    const void *data = wire_bin(r, "data", &bytes);
    if (!data) {
        if (wire_bool(r, "more", false))
            cmd_say(b->app, "copied %s of %s",
                    units_show_size(done, sizeof done, wire_int(r, "copied", 0)),
                    units_show_size(of, sizeof of, wire_int(r, "of", 0)));
        return 0;
    }
    if (wire_int(r, "offset", -1) != b->bytes)
        return err_set(e, WATTQ_E_PROTOCOL, "a piece of the backup is missing");
    if (base_write_all(b->fd, data, bytes) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot write %.200s", b->part);
    sha256_add(&b->sum, data, bytes);
    b->bytes += (int64_t)bytes;
    return 0;
}

static int receive(struct backup *b, struct conn *c, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    bool more = true;
    (void)conn_begin(c, "backup");
    int rc = conn_send(c, e);
    sha256_init(&b->sum);
    while (rc == 0 && more) {
        wire_msg_free(m);
        m = NULL;
        rc = conn_recv(c, &m, e);
        if (rc == 0)
            rc = take(b, wire_msg_root(m), e);
        more = rc == 0 && conn_more(m);
    }
    if (rc < 0)
        return rc;
    sha256_end_hex(&b->sum, b->hex);
    if (wire_int(wire_msg_root(m), "bytes", -1) != b->bytes)
        return err_set(e, WATTQ_E_PROTOCOL, "the end of the backup is missing");
    return fsync(b->fd) == 0 ? 0 : err_errno(e, WATTQ_E_IO, "cannot write %.200s", b->part);
}

/* Does what is there open as a database, and is it whole? One that is damaged at its source is kept: it may be all
 * that there is. */
static int look(struct backup *b, struct err *e)
{
    struct localdb *db = NULL;
    b->schema = b->runs = -1;
    int rc = localdb_open_file(&db, b->part, e);
    if (rc == WATTQ_E_VERSION)
        return 0;
    if (rc < 0)
        return rc;
    b->schema = localdb_int(db, "PRAGMA user_version", -1);
    b->runs = localdb_int(db, "SELECT count(*) FROM run", -1);
    b->damage = localdb_text(db, "PRAGMA integrity_check(1)");
    if (b->damage && strcmp(b->damage, "ok") == 0) {
        free(b->damage);
        b->damage = NULL;
    } else if (!b->damage) {
        b->damage = base_strdup("it cannot be read");
    }
    localdb_close(db);
    return 0;
}

static int sync_directory(const char *name)
{
    char *dir CLEANUP(base_freep) = base_strdup(name);
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = '\0';
    int fd CLEANUP(base_closep) = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

/* A link is refused where there is such a name, a rename would replace it; but some file systems have no links. */
static int give_name(struct backup *b, struct err *e)
{
    int rc = link(b->part, b->name);
    if (rc < 0 && errno == EEXIST)
        return taken(b->name, e);
    if (rc == 0)
        (void)unlink(b->part);
    else
        rc = renameat2(AT_FDCWD, b->part, AT_FDCWD, b->name, RENAME_NOREPLACE);
    if (rc < 0 || sync_directory(b->name) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot give %.200s its name", b->name);
    free(b->part);
    b->part = NULL;
    return 0;
}

static int show(const struct backup *b, struct err *e)
{
    char size[40];
    const struct app *app = b->app;
    if (app->json) {
        json_t *doc = json_object();
        json_put(doc, "schema", json_string("wattq.admin_backup/1"));
        json_put(doc, "file", json_text(b->name, strlen(b->name)));
        json_put(doc, "bytes", json_integer(b->bytes));
        json_put(doc, "sha256", json_string(b->hex));
        json_put(doc, "database_schema", b->schema < 0 ? json_null() : json_integer(b->schema));
        json_put(doc, "runs", b->runs < 0 ? json_null() : json_integer(b->runs));
        json_put(doc, "damage", b->damage ? json_string(b->damage) : json_null());
        return json_write(app->print.out, doc, false, e);
    }
    if (app->quiet)
        return 0;
    (void)fprintf(app->print.out, "%s: %s, ", b->name,
                  units_show_size(size, sizeof size, b->bytes));
    if (b->schema < 0)
        (void)fprintf(app->print.out, "of a newer wattq, not looked at\n");
    else
        (void)fprintf(app->print.out, "%lld runs, %s\n", (long long)b->runs,
                      b->damage ? b->damage : "sound");
    (void)fprintf(app->print.out, "sha256:%s\n", b->hex);
    return 0;
}

int admin_backup(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct backup b = {.app = app, .fd = -1};
    int rc = 0;
    if (app->args.npos < 2) {
        err_set(e, WATTQ_E_USAGE, "wattq admin backup needs the name of a new file");
        return err_next(e, "for example: %s", app->cmd->example);
    }
    b.name = app->args.pos[1];
    rc = cmd_connect(app, &c, e);
    if (rc == 0)
        rc = make_part(&b, e);
    if (rc == 0)
        rc = receive(&b, c, e);
    if (rc == 0)
        rc = look(&b, e);
    if (rc == 0)
        rc = give_name(&b, e);
    if (rc == 0)
        rc = show(&b, e);
    if (rc == 0 && b.damage)
        rc = EXIT_ASKED_FAILED;
    drop(&b);
    return rc;
}
