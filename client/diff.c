#include "client/diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"

#define OUTCOME "outcome"

/* ---- values as text ------------------------------------------------------------------------------- */

/* Scalars only; NULL = absent, nil, or a container. */
static char *text_of(const struct wire_val *map, const char *key)
{
    const struct wire_val *v = wire_get(map, key);
    enum wire_type t = wire_type(v);
    if (t == WIRE_STR)
        return *wire_as_str(v, "") ? base_strdup(wire_as_str(v, "")) : NULL;
    if (t == WIRE_INT)
        return base_printf("%lld", (long long)wire_as_int(v, 0));
    if (t == WIRE_F64)
        return base_printf("%.9g", wire_as_f64(v, NAN));
    if (t == WIRE_BOOL)
        return base_strdup(wire_bool(map, key, false) ? "true" : "false");
    return NULL;
}

/* NULL = not known, or no limit. */
static char *duration_of(const struct wire_val *run, const char *key)
{
    char buf[40];
    int64_t ns = wire_int(run, key, PRINT_NONE);
    return ns == PRINT_NONE || ns == 0 ? NULL : base_strdup(print_duration(buf, sizeof buf, ns));
}

/* Counts of the lines of one file of a unified diff. */
struct file_diff {
    char *name;
    long added, removed;
};

static void tell_file(char **text, const struct file_diff *f)
{
    if (!f->name)
        return;
    char *longer =
        base_printf("%s%s%s +%ld -%ld", *text, **text ? ", " : "", f->name, f->added, f->removed);
    free(*text);
    *text = longer;
}

/* "+++ b/dir/file" without its prefix. A removed file is named on the line before. */
static char *file_name(const char *line, size_t n, const char *old)
{
    const char *name = line + 4;
    size_t len = n > 4 ? strcspn(name, "\t\n") : 0;
    len = len < n - 4 ? len : n - 4;
    if (len == strlen("/dev/null") && strncmp(name, "/dev/null", len) == 0)
        return base_strdup(old ? old : "?");
    if (len > 2 && name[1] == '/' && (name[0] == 'a' || name[0] == 'b'))
        return base_strdup_n(name + 2, len - 2);
    return base_strdup_n(name, len);
}

char *diff_summary(const char *text)
{
    char *out = base_strdup("");
    char *old CLEANUP(base_freep) = NULL;
    struct file_diff f = {0};
    bool header = true; /* before the first hunk of a file */
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        if (strncmp(p, "diff --git", 10) == 0) {
            header = true;
        } else if (header && strncmp(p, "--- ", 4) == 0) {
            free(old);
            old = file_name(p, n, NULL);
        } else if (header && strncmp(p, "+++ ", 4) == 0) {
            tell_file(&out, &f);
            free(f.name);
            f = (struct file_diff){.name = file_name(p, n, old)};
        } else if (strncmp(p, "@@", 2) == 0) {
            header = false;
        } else if (!header) {
            f.added += *p == '+';
            f.removed += *p == '-';
        }
        p += n + (p[n] ? 1 : 0);
    }
    tell_file(&out, &f);
    free(f.name);
    return out;
}

/* ---- items ---------------------------------------------------------------------------------------- */

/* Takes a and b. */
static void put(struct diff *d, const char *section, const char *key, char *a, char *b)
{
    if ((!a && !b) || (a && b && strcmp(a, b) == 0)) {
        free(a);
        free(b);
        return;
    }
    if ((d->n & (d->n - 1)) == 0) {
        d->items = realloc(d->items, (d->n ? 2 * d->n : 1) * sizeof *d->items);
        if (!d->items)
            abort();
    }
    d->items[d->n++] = (struct diff_item){section, base_strdup(key), a, b};
    d->differs = d->differs || strcmp(section, OUTCOME) != 0;
}

static void put_keys(struct diff *d, const char *section, const struct wire_val *a,
                     const struct wire_val *b, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(d, section, keys[i], text_of(a, keys[i]), text_of(b, keys[i]));
}

/* Every key of either map. */
static void put_map(struct diff *d, const char *section, const struct wire_val *a,
                    const struct wire_val *b)
{
    for (size_t i = 0; i < wire_len(a); i++) {
        const char *key = wire_key_at(a, i, NULL);
        put(d, section, key, text_of(a, key), text_of(b, key));
    }
    for (size_t i = 0; i < wire_len(b); i++) {
        const char *key = wire_key_at(b, i, NULL);
        if (!wire_get(a, key))
            put(d, section, key, NULL, text_of(b, key));
    }
}

static void put_code(struct diff *d, const struct wire_val *a, const struct wire_val *b)
{
    static const char *const keys[] = {"commit_id", "dirty", "script_sha256", "interpreter"};
    const char *ta = wire_str(a, "diff", "");
    const char *tb = wire_str(b, "diff", "");
    put_keys(d, "code", a, b, keys, ARRAY_LEN(keys));
    if (strcmp(ta, tb) == 0)
        return;
    char *sa = diff_summary(ta);
    char *sb = diff_summary(tb);
    if (strcmp(sa, sb) != 0) {
        put(d, "code", "uncommitted", sa, sb);
        return;
    }
    put(d, "code", "uncommitted", base_printf("%s (other text)", sa), sb);
    free(sa);
}

static void put_limits(struct diff *d, const struct wire_val *a, const struct wire_val *b)
{
    static const char *const times[] = {"time_limit_ns", "grace_ns", "pause_ns", "quiet_ns"};
    static const char *const keys[] = {"log_cap_bytes", "exclusive", "wait_children", "requeue",
                                       "gpus"};
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char name[32];
        base_strcpy(name, sizeof name, times[i]);
        name[strlen(name) - 3] = '\0';
        put(d, "limits", name, duration_of(a, times[i]), duration_of(b, times[i]));
    }
    put_keys(d, "limits", a, b, keys, ARRAY_LEN(keys));
}

static void put_outcome(struct diff *d, const struct wire_val *a, const struct wire_val *b)
{
    static const char *const keys[] = {"state", "exit_code", "term_signal", "alone"};
    put_keys(d, OUTCOME, a, b, keys, ARRAY_LEN(keys));
    put(d, OUTCOME, "time", duration_of(a, "elapsed_ns"), duration_of(b, "elapsed_ns"));
    const struct wire_val *ea = print_total(a, "window");
    const struct wire_val *eb = print_total(b, "window");
    put(d, OUTCOME, "energy", ea ? print_figure(ea) : NULL, eb ? print_figure(eb) : NULL);
    put_map(d, OUTCOME, wire_get(a, "last_metrics"), wire_get(b, "last_metrics"));
}

void diff_init(struct diff *d, const struct wire_val *a, const struct wire_val *b)
{
    static const char *const command[] = {"kind", "cwd", "stdin", "on_end", "umask"};
    static const char *const machine[] = {"machine", "mode", "user", "meter"};
    *d = (struct diff){0};
    put(d, "command", "command", print_command(a), print_command(b));
    put_keys(d, "command", a, b, command, ARRAY_LEN(command));
    put_map(d, "params", wire_get(a, "params"), wire_get(b, "params"));
    put_map(d, "environment", wire_get(a, "env"), wire_get(b, "env"));
    put_code(d, wire_get(a, "code"), wire_get(b, "code"));
    put_keys(d, "machine", a, b, machine, ARRAY_LEN(machine));
    put_map(d, "program", wire_get(a, "info"), wire_get(b, "info"));
    put_limits(d, a, b);
    put_outcome(d, a, b);
}

void diff_fini(struct diff *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->items[i].key);
        free(d->items[i].a);
        free(d->items[i].b);
    }
    free(d->items);
    *d = (struct diff){0};
}
