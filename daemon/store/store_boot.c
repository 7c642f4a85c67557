#include "daemon/store/store_boot.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/store/stmt.h"

/* ---- this boot ---------------------------------------------------------------------------------- */

static void read_cpu_model(char *out, size_t cap)
{
    FILE *f CLEANUP(base_fclosep) = fopen("/proc/cpuinfo", "re");
    char line[512];
    base_strcpy(out, cap, "");
    while (f && fgets(line, sizeof(line), f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon[strcspn(colon, "\n")] = '\0';
        base_strcpy(out, cap, colon + (colon[1] == ' ' ? 2 : 1));
        return;
    }
}

static char *machine_json(void)
{
    struct utsname u = {0};
    char model[200];
    uname(&u);
    read_cpu_model(model, sizeof(model));
    json_t *o = json_pack("{s:s?, s:s?, s:s?, s:s?, s:I}", "host", u.nodename, "kernel", u.release,
                          "arch", u.machine, "cpu", *model ? model : NULL, "cpus",
                          (json_int_t)sysconf(_SC_NPROCESSORS_CONF));
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(o);
    return text;
}

int boot_read_id(char *out, size_t cap, struct err *e)
{
    size_t n = 0;
    char *text CLEANUP(base_freep) =
        base_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, &n);
    if (!text)
        return err_errno(e, WATTQ_E_IO, "the kernel's boot id cannot be read");
    text[strcspn(text, "\n")] = '\0';
    base_strcpy(out, cap, text);
    return 0;
}

int boot_find(struct store *s, const char *boot_id, int64_t *boot, struct err *e)
{
    STMT_USE(st, s, BOOT_FIND);
    stmt_bind_text(st, 1, boot_id);
    int rc = stmt_step(st, e);
    if (rc > 0)
        *boot = stmt_int(st, 0);
    return rc > 0 ? 0 : rc < 0 ? rc : 1;
}

static int insert_boot(struct store *s, const char *boot_id, int64_t *boot, struct err *e)
{
    char *machine CLEANUP(base_freep) = machine_json();
    STMT_USE(st, s, BOOT_INSERT);
    stmt_bind_text(st, 1, boot_id);
    stmt_bind_text(st, 2, machine ? machine : "{}");
    int rc = stmt_run(st, e);
    if (rc == 0)
        *boot = stmt_last_id(s);
    return rc;
}

static int put_meta(struct store *s, const char *k, const char *v, struct err *e)
{
    STMT_USE(st, s, META_PUT);
    stmt_bind_text(st, 1, k);
    stmt_bind_text(st, 2, v);
    return stmt_run(st, e);
}

static int close_killed(struct store *s, struct err *e)
{
    STMT_USE(st, s, EPOCH_CLOSE_KILLED);
    return stmt_run(st, e);
}

int boot_register(struct store *s, const char *boot_id, int64_t *boot, struct err *e)
{
    char now[32];
    snprintf(now, sizeof(now), "%" PRId64, clock_utc_ns());
    int rc = store_begin(s, true, e);
    if (rc)
        return rc;
    rc = put_meta(s, "created_utc_ns", now, e);
    if (rc == 0)
        rc = boot_find(s, boot_id, boot, e);
    if (rc == 1)
        rc = insert_boot(s, boot_id, boot, e);
    if (rc == 0)
        rc = close_killed(s, e);
    if (rc == 0)
        return store_commit(s, e);
    store_rollback(s);
    return rc;
}

/* ---- civil time --------------------------------------------------------------------------------- */

/* 0; 1 = no anchor of that boot. */
static int find_anchor(struct store *s, int64_t boot, int64_t t_ns, int64_t *at_ns, int64_t *utc_ns)
{
    STMT_USE(st, s, ANCHOR_AT);
    stmt_bind_int(st, 1, boot);
    stmt_bind_int(st, 2, t_ns);
    STMT_USE(first, s, ANCHOR_FIRST);
    stmt_bind_int(first, 1, boot);
    sqlite3_stmt *hit = stmt_step(st, NULL) > 0 ? st : stmt_step(first, NULL) > 0 ? first : NULL;
    if (!hit)
        return 1;
    *at_ns = stmt_int(hit, 0);
    *utc_ns = stmt_int(hit, 1);
    return 0;
}

int64_t store_utc_of(struct store *s, int64_t boot, int64_t t_ns)
{
    int64_t at = 0, utc = 0;
    if (find_anchor(s, boot, t_ns, &at, &utc))
        return -1;
    return utc + (t_ns - at);
}

int store_boot_of(struct store *s, int64_t utc_ns, int64_t *boot, int64_t *t_ns)
{
    STMT_USE(st, s, ANCHOR_BY_UTC);
    stmt_bind_int(st, 1, utc_ns);
    if (stmt_step(st, NULL) <= 0)
        return 1;
    *boot = stmt_int(st, 0);
    *t_ns = stmt_int(st, 1) + (utc_ns - stmt_int(st, 2));
    /* A civil time that a forward step skipped belongs to the moment of the step. */
    STMT_USE(next, s, ANCHOR_NEXT);
    stmt_bind_int(next, 1, *boot);
    stmt_bind_int(next, 2, stmt_int(st, 1));
    if (stmt_step(next, NULL) > 0 && stmt_int(next, 0) < *t_ns)
        *t_ns = stmt_int(next, 0);
    return 0;
}
