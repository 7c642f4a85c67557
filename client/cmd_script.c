/* script: queue a file whose options stand in it; what runs is what it holds now. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/script.h"
#include "client/submit.h"
#include "client/sweep.h"
#include "common/carried.h"

#define ARRAY_KEY      "array_task_id"
#define ARRAY_TEXT_MAX (256u << 20) /* bytes, over all runs */

struct words {
    char **at; /* NULL-terminated, owned */
    size_t n;
};

static void words_finip(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->at[i]);
    free(w->at);
}

/* Takes word. */
static void words_put(struct words *w, char *word)
{
    char **list = reallocarray(w->at, w->n + 2, sizeof *list);
    if (!list)
        abort();
    w->at = list;
    list[w->n++] = word;
    list[w->n] = NULL;
}

/* Text in which a sweep finds nothing to replace. */
static char *literal(const char *text)
{
    size_t n = strlen(text);
    char *out = base_alloc(2 * n + 1);
    char *o = out;
    for (const char *p = text; *p; p++) {
        *o++ = *p;
        if (*p == '{')
            *o++ = '{';
    }
    return out;
}

/* ---- the file -------------------------------------------------------------------------------------- */

static int no_script(const char *path, struct err *e)
{
    int errnum = errno;
    err_errno(e, errnum == EACCES ? WATTQ_E_FORBIDDEN : WATTQ_E_NOT_FOUND,
              "cannot read the script %.200s", path);
    if (errnum == EFBIG)
        return err_next(e, "a script may have %u KiB; keep the rest in files that it calls",
                        (CARRIED_BYTES_MAX + 1) >> 10);
    return err_next(e, "check the name; a program is queued by wattq submit -- %.60s", path);
}

static int read_script(const char *path, char **out, struct err *e)
{
    char *program = NULL;
    char *arg = NULL;
    size_t bytes = 0;
    char *text = base_read_file(AT_FDCWD, path, CARRIED_BYTES_MAX, &bytes);
    if (!text)
        return no_script(path, e);
    *out = text;
    if (strlen(text) != bytes || !wire_utf8_ok(text, bytes)) {
        err_set(e, WATTQ_E_INVALID, "%.200s is no text in UTF-8", path);
        return err_next(e, "a program is queued by wattq submit -- %.60s", path);
    }
    bool names = carried_interpreter(text, &program, &arg);
    bool dos = names && (strchr(program, '\r') || strchr(arg, '\r'));
    free(program);
    free(arg);
    if (dos) {
        err_set(e, WATTQ_E_INVALID, "the lines of %.200s end as in DOS, with a carriage return",
                path);
        return err_next(e, "sed -i 's/\\r$//' %.100s", path);
    }
    if (names)
        return 0;
    err_set(e, WATTQ_E_INVALID, "the first line of %.200s does not say what runs it", path);
    return err_next(e, "begin it with a line like #!/bin/bash or #!/usr/bin/env python3");
}

/* The program that a script's run begins as, where an installation or a build puts it: beside this one. */
static char *find_carrier(struct err *e)
{
    static const char *const places[] = {"", "../daemon/"};
    char exe[WATTQ_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
        char *path CLEANUP(base_freep) =
            base_printf("%.*s/%s" CARRIED_PROGRAM, (int)(slash - exe), exe, places[i]);
        if (access(path, X_OK) == 0)
            return realpath(path, NULL);
    }
    err_set(e, WATTQ_E_NOT_FOUND, CARRIED_PROGRAM " is not installed beside this program");
    err_next(e, "cmake --install build puts the programs where each finds the others");
    return NULL;
}

/* ---- the command line that carries it ---------------------------------------------------------------- */

struct filing {
    const char *path;
    char *text;
    struct script file;
    struct args args; /* of the command line and of the file */
    struct script_array array;
    bool is_array;
    struct words argv;
};

static void filing_finip(struct filing *o)
{
    free(o->text);
    args_fini(&o->args);
    script_fini(&o->file);
    script_array_fini(&o->array);
    words_finip(&o->argv);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void put_literal(struct filing *o, const char *text)
{
    words_put(&o->argv, o->is_array ? literal(text) : base_strdup(text));
}

static void set_text(struct filing *o, const char *name, const char *value)
{
    char *pair CLEANUP(base_freep) = base_printf("%s=%s", name, value);
    words_put(&o->argv, base_strdup("--set"));
    put_literal(o, pair);
}

static void set_number(struct filing *o, const char *name, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    if (value > 0)
        set_text(o, name, text);
}

/* Which of the array's tasks it is: filled in by the sweep. */
static void set_task(struct filing *o, const char *prefix)
{
    const struct script_array *a = &o->array;
    const struct {
        const char *name;
        int64_t value;
    } facts[] = {{"COUNT", (int64_t)a->n}, {"MIN", a->ids[0]}, {"MAX", a->ids[a->n - 1]}};
    words_put(&o->argv, base_strdup("--set"));
    words_put(&o->argv, base_printf("%s_ARRAY_TASK_ID={" ARRAY_KEY "}", prefix));
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
        words_put(&o->argv, base_strdup("--set"));
        words_put(&o->argv,
                  base_printf("%s_ARRAY_TASK_%s=%" PRId64, prefix, facts[i].name, facts[i].value));
    }
}

static void set_slurm(struct filing *o, const char *cwd)
{
    words_put(&o->argv, base_strdup("--slurm"));
    set_text(o, "SLURM_SUBMIT_DIR", cwd);
    set_text(o, "SLURM_JOB_NAME", args_str(&o->args, OPT_LABEL, ""));
    set_number(o, "SLURM_JOB_NUM_NODES", 1);
    set_number(o, "SLURM_NNODES", 1);
    set_number(o, "SLURM_NTASKS", o->file.slurm.ntasks);
    set_number(o, "SLURM_CPUS_PER_TASK", o->file.slurm.cpus_per_task);
    if (o->is_array)
        set_task(o, "SLURM");
}

static int build_argv(struct filing *o, char *const *rest, size_t nrest, struct err *e)
{
    char *carrier = find_carrier(e);
    if (!carrier)
        return WATTQ_E_NOT_FOUND;
    char *full CLEANUP(base_freep) = realpath(o->path, NULL);
    char *cwd CLEANUP(base_freep) = getcwd(NULL, 0);
    words_put(&o->argv, carrier);
    set_text(o, "WATTQ_SCRIPT", full ? full : o->path);
    if (o->is_array)
        set_task(o, "WATTQ");
    if (args_has(&o->args, OPT_SLURM_ENV))
        set_slurm(o, cwd ? cwd : "");
    words_put(&o->argv, base_strdup("--"));
    put_literal(o, base_name(o->path));
    put_literal(o, o->text);
    for (size_t i = 0; i < nrest; i++)
        put_literal(o, rest[i]);
    return 0;
}

/* ---- as a run, as a sweep ---------------------------------------------------------------------------- */

static int array_refuses(const struct filing *o, struct err *e)
{
    if (args_has(&o->args, OPT_WAIT)) {
        err_set(e, WATTQ_E_USAGE, "--wait is for one run, and --array makes many");
        return err_next(e, "wattq wait sweep:ID, with the id that is printed");
    }
    if (args_has(&o->args, OPT_PARAM)) {
        err_set(e, WATTQ_E_USAGE, "--param beside --array would be a list of values as well");
        return err_next(e, "a grid is asked for by wattq sweep -p ...");
    }
    if (strlen(o->text) * o->array.n > ARRAY_TEXT_MAX) {
        err_set(e, WATTQ_E_INVALID, "%zu runs of a script of %zu KiB: it is kept with each of them",
                o->array.n, strlen(o->text) >> 10);
        return err_next(e, "keep most of it in a file that it calls");
    }
    return 0;
}

/* Options of the run as words of `wattq sweep`; a label is text there in which {key} is replaced. */
static void put_options(struct words *w, const struct args *a)
{
    static const enum opt_id others[] = {OPT_HELP, OPT_JSON,  OPT_SOCKET, OPT_COLOR,    OPT_ASCII,
                                         OPT_BARE, OPT_ARRAY, OPT_WAIT,   OPT_SLURM_ENV};
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++) {
        bool skip = false;
        for (size_t k = 0; k < ARRAY_LEN(others); k++)
            skip = skip || others[k] == (enum opt_id)i;
        for (size_t k = 0; !skip && k < a->n[i]; k++)
            words_put(w, opt_defs[i].value
                             ? base_printf("--%s=%s", opt_defs[i].name, a->value[i][k])
                             : base_printf("--%s", opt_defs[i].name));
    }
}

static int queue_array(struct app *app, struct filing *o, struct err *e)
{
    struct words w CLEANUP(words_finip) = {0};
    char *ids = NULL;
    size_t bytes = 0;
    int rc = array_refuses(o, e);
    if (rc < 0)
        return rc;
    FILE *f = open_memstream(&ids, &bytes);
    if (!f)
        abort();
    for (size_t i = 0; i < o->array.n; i++)
        (void)fprintf(f, "%s%" PRId64, i ? "," : "", o->array.ids[i]);
    (void)fclose(f);
    put_options(&w, &o->args);
    words_put(&w, base_strdup("--order=given"));
    if (o->array.at_once > 0)
        words_put(&w, base_printf("--max-running=%" PRId64, o->array.at_once));
    if (o->array.n > 1000) /* whoever wrote an array means all of it */
        words_put(&w, base_strdup("--yes"));
    words_put(&w, base_printf("--param=" ARRAY_KEY "=%s", ids));
    words_put(&w, base_strdup("--"));
    for (size_t i = 0; i < o->argv.n; i++)
        words_put(&w, base_strdup(o->argv.at[i]));
    free(ids);
    return sweep_queue(app, w.at, w.n, NULL, e);
}

/* To whole characters of what a label may hold. */
static void cut_label(char *label)
{
    size_t n = strlen(label);
    if (n <= SPEC_LABEL_MAX)
        return;
    for (n = SPEC_LABEL_MAX; n > 0 && ((unsigned char)label[n] & 0xc0) == 0x80;)
        n--;
    label[n] = '\0';
}

static int read_filing(struct filing *o, const struct app *app, const char *path, struct err *e)
{
    int rc = read_script(path, &o->text, e);
    if (rc == 0)
        rc = script_parse(&o->file, path, o->text, cmd_find("script")->options, e);
    if (rc < 0)
        return rc;
    o->path = path;
    args_override(&o->args, &o->file.args);
    args_override(&o->args, &app->args);
    const char *array = args_str(&o->args, OPT_ARRAY, NULL);
    o->is_array = array != NULL;
    rc = array ? script_array_parse(&o->array, array, e) : 0;
    if (rc == 0 && !args_has(&o->args, OPT_LABEL)) {
        char *label = o->is_array ? literal(base_name(path)) : base_strdup(base_name(path));
        cut_label(label);
        args_put(&o->args, OPT_LABEL, script_word(&o->file, label));
    }
    return rc;
}

int submit_script(struct app *app, const char *path, char *const *rest, size_t nrest, struct err *e)
{
    struct filing o CLEANUP(filing_finip) = {0};
    int rc = read_filing(&o, app, path, e);
    if (rc == 0)
        rc = build_argv(&o, rest, nrest, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < o.file.nnotes; i++)
        cmd_say(app, "%s", o.file.notes[i]);
    struct app mine = *app;
    mine.args = o.args;
    return o.is_array ? queue_array(app, &o, e) : submit_command(&mine, o.argv.at, o.argv.n, e);
}

bool submit_is_script(const char *path)
{
    struct stat st;
    size_t bytes = 0;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    char *text CLEANUP(base_freep) = base_read_file(AT_FDCWD, path, CARRIED_BYTES_MAX, &bytes);
    return text && strncmp(text, "#!", 2) == 0 && script_has_lines(text);
}

int cmd_script(struct app *app, struct err *e)
{
    int rc = cmd_need(app, 1, "a script", e);
    if (rc < 0)
        return rc;
    return submit_script(app, app->args.pos[0], app->args.pos + 1, app->args.npos - 1, e);
}
