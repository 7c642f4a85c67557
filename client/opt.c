#include "client/opt.h"

#include <stdlib.h>
#include <string.h>

#include "common/suggest.h"
#include "common/units.h"

const struct opt_def opt_defs[OPT_COUNT_OF_ALL] = {
#define X(id, name, letter, value, repeats, help) [OPT_##id] = {name, letter, value, repeats, help},
    OPT_TABLE(X)
#undef X
};
_Static_assert(OPT_COUNT_OF_ALL <= 128, "opt_set has 128 bits");

static bool in_set(opt_set set, size_t id)
{
    return (set >> id & 1) != 0;
}

static int find_long(opt_set allowed, const char *name, size_t bytes)
{
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++)
        if (in_set(allowed, i) && strlen(opt_defs[i].name) == bytes &&
            memcmp(opt_defs[i].name, name, bytes) == 0)
            return (int)i;
    return -1;
}

static int find_letter(opt_set allowed, char letter)
{
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++)
        if (in_set(allowed, i) && opt_defs[i].letter == letter)
            return (int)i;
    return -1;
}

/* The option of this command that is nearest to what was typed, if near enough. */
static const char *nearest(opt_set allowed, const char *name)
{
    struct suggest s;
    suggest_init(&s, name);
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++)
        if (in_set(allowed, i))
            suggest_offer(&s, opt_defs[i].name);
    return s.best;
}

static int unknown(opt_set allowed, const char *arg, struct err *e)
{
    char name[64];
    base_strcpy(name, sizeof name, arg + strspn(arg, "-"));
    name[strcspn(name, "=")] = '\0';
    err_set(e, WATTQ_E_USAGE, "there is no option '%.60s' here", arg);
    const char *near = strlen(name) > 1 ? nearest(allowed, name) : NULL;
    if (near)
        return err_next(e, "did you mean --%s?", near);
    return err_next(e, "see the options with --help; what belongs to the run goes behind --");
}

void args_put(struct args *a, enum opt_id id, const char *value)
{
    size_t n = a->n[id];
    const char **v = realloc(a->value[id], (n + 1) * sizeof *v);
    if (!v)
        abort();
    v[n] = value;
    a->value[id] = v;
    a->n[id] = n + 1;
}

static void put_pos(struct args *a, char *arg)
{
    char **p = realloc(a->pos, (a->npos + 2) * sizeof *p);
    if (!p)
        abort();
    p[a->npos++] = arg;
    p[a->npos] = NULL;
    a->pos = p;
}

/* What is being parsed: where we are, and what is allowed. */
struct scan {
    struct args *a;
    opt_set allowed;
    enum opt_mode mode;
    int argc;
    char **argv;
    int i;
};

static int needs_value(int id, struct err *e)
{
    const struct opt_def *d = &opt_defs[id];
    err_set(e, WATTQ_E_USAGE, "--%s needs a value", d->name);
    return err_next(e, "write --%s %s", d->name, d->value);
}

static int scan_long(struct scan *s, char *arg, struct err *e)
{
    const char *name = arg + 2;
    const char *equals = strchr(name, '=');
    int id = find_long(s->allowed, name, equals ? (size_t)(equals - name) : strlen(name));
    if (id < 0) {
        if (s->mode != OPT_PASS)
            return unknown(s->allowed, arg, e);
        put_pos(s->a, arg);
        return 0;
    }
    if (!opt_defs[id].value) {
        if (equals)
            return err_set(e, WATTQ_E_USAGE, "--%s is a switch and takes no value",
                           opt_defs[id].name);
        args_put(s->a, (enum opt_id)id, "");
        return 0;
    }
    if (!equals && s->i + 1 >= s->argc)
        return needs_value(id, e);
    args_put(s->a, (enum opt_id)id, equals ? equals + 1 : s->argv[++s->i]);
    return 0;
}

/* Is every letter up to one that takes a value an option of ours? Else the word is somebody else's. */
static bool knows_letters(const struct scan *s, const char *arg)
{
    for (const char *p = arg + 1; *p; p++) {
        int id = find_letter(s->allowed, *p);
        if (id < 0 || opt_defs[id].value)
            return id >= 0;
    }
    return true;
}

/* -qf, -t5m, -t 5m */
static int scan_letters(struct scan *s, char *arg, struct err *e)
{
    if (s->mode == OPT_PASS && !knows_letters(s, arg)) {
        put_pos(s->a, arg);
        return 0;
    }
    for (const char *p = arg + 1; *p; p++) {
        int id = find_letter(s->allowed, *p);
        if (id < 0)
            return unknown(s->allowed, arg, e);
        if (!opt_defs[id].value) {
            args_put(s->a, (enum opt_id)id, "");
            continue;
        }
        if (!p[1] && s->i + 1 >= s->argc)
            return needs_value(id, e);
        args_put(s->a, (enum opt_id)id, p[1] ? p + 1 : s->argv[++s->i]);
        return 0;
    }
    return 0;
}

int opt_parse(struct args *a, opt_set allowed, enum opt_mode mode, int argc, char **argv,
              struct err *e)
{
    struct scan s = {.a = a, .allowed = allowed, .mode = mode, .argc = argc, .argv = argv};
    bool options = true;
    for (; s.i < argc; s.i++) {
        char *arg = argv[s.i];
        int rc = 0;
        if (options && strcmp(arg, "--") == 0) {
            options = false;
            a->dashes = a->dashes || a->npos == 0;
        } else if (options && arg[0] == '-' && arg[1] == '-') {
            rc = scan_long(&s, arg, e);
        } else if (options && arg[0] == '-' && arg[1] && !(arg[1] >= '0' && arg[1] <= '9')) {
            rc = scan_letters(&s, arg, e);
        } else {
            put_pos(a, arg);
            options = options && mode != OPT_COMMAND;
        }
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++)
        if (a->n[i] > 1 && opt_defs[i].value && !opt_defs[i].repeats)
            return err_set(e, WATTQ_E_USAGE, "--%s was given %zu times; give it once",
                           opt_defs[i].name, a->n[i]);
    return 0;
}

void args_fini(struct args *a)
{
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++)
        free(a->value[i]);
    free(a->pos);
    *a = (struct args){0};
}

static void forget(struct args *a, enum opt_id id)
{
    free(a->value[id]);
    a->value[id] = NULL;
    a->n[id] = 0;
}

void args_override(struct args *a, const struct args *over)
{
    if (args_has(over, OPT_EXCLUSIVE) || args_has(over, OPT_SHARED)) {
        forget(a, OPT_EXCLUSIVE);
        forget(a, OPT_SHARED);
    }
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++) {
        if (over->n[i] > 0 && !opt_defs[i].repeats)
            forget(a, (enum opt_id)i);
        for (size_t k = 0; k < over->n[i]; k++)
            args_put(a, (enum opt_id)i, over->value[i][k]);
    }
}

bool args_has(const struct args *a, enum opt_id id)
{
    return a->n[id] > 0;
}

const char *args_str(const struct args *a, enum opt_id id, const char *dflt)
{
    return a->n[id] ? a->value[id][a->n[id] - 1] : dflt;
}

/* Put the option's name in front of what a parser said. */
static int named(enum opt_id id, int rc, struct err *e)
{
    if (rc < 0 && e) {
        char text[sizeof e->text];
        memcpy(text, e->text, sizeof text);
        (void)snprintf(e->text, sizeof e->text, "--%s: %.280s", opt_defs[id].name, text);
    }
    return rc;
}

int args_int(const struct args *a, enum opt_id id, int64_t lo, int64_t hi, int64_t *out,
             struct err *e)
{
    const char *s = args_str(a, id, NULL);
    if (!s)
        return 0;
    char *end;
    long long v = strtoll(s, &end, 10);
    if (end == s || *end || v < lo || v > hi) {
        err_set(e, WATTQ_E_USAGE, "--%s: '%.40s' is not a number from %lld to %lld",
                opt_defs[id].name, s, (long long)lo, (long long)hi);
        return err_next(e, "write --%s %lld", opt_defs[id].name, (long long)(lo > 0 ? lo : 0));
    }
    *out = v;
    return 0;
}

int args_duration(const struct args *a, enum opt_id id, int64_t *out_ns, struct err *e)
{
    const char *s = args_str(a, id, NULL);
    return s ? named(id, units_parse_duration(s, out_ns, e), e) : 0;
}

int args_bytes(const struct args *a, enum opt_id id, int64_t *out, struct err *e)
{
    const char *s = args_str(a, id, NULL);
    return s ? named(id, units_parse_bytes(s, out, e), e) : 0;
}

int args_time(const struct args *a, enum opt_id id, int64_t *out_utc_ns, struct err *e)
{
    const char *s = args_str(a, id, NULL);
    return s ? named(id, units_parse_time(s, clock_utc_ns(), out_utc_ns, e), e) : 0;
}
