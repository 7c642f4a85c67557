#include "daemon/launch/provenance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/carried.h"
#include "common/units.h"
#include "daemon/launch/spawn.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* ---- git ---------------------------------------------------------------------------------------- */

/* Nothing in the repository's own configuration may start a program or write to it. */
#define GIT_SAFELY "git --no-optional-locks -c core.fsmonitor=false -c core.hooksPath=/dev/null -C"
#define WORDS_MAX  24

static size_t split(char *words, char **argv, size_t n)
{
    char *save = NULL;
    for (char *w = strtok_r(words, " ", &save); w && n < WORDS_MAX - 1;
         w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    return n;
}

/* args is split at spaces; cwd is not. */
static int git(const char *cwd, const char *args, int64_t deadline_ns, char *out, size_t cap,
               bool *cut)
{
    char *argv[WORDS_MAX] = {NULL};
    char *before CLEANUP(base_freep) = base_strdup(GIT_SAFELY);
    char *dir CLEANUP(base_freep) = base_strdup(cwd);
    char *behind CLEANUP(base_freep) = base_strdup(args);
    size_t n = split(before, argv, 0);
    argv[n++] = dir;
    split(behind, argv, n);
    return spawn_capture(argv, NULL, deadline_ns, out, cap, cut);
}

static bool is_hex(const char *s)
{
    return *s && s[strspn(s, "0123456789abcdef")] == 0;
}

static void take_diff(struct provenance *p, const char *cwd, int64_t deadline_ns)
{
    p->diff = base_alloc(PROVENANCE_DIFF_MAX + 1);
    int rc = git(cwd, "diff --no-ext-diff --no-textconv --no-color HEAD", deadline_ns, p->diff,
                 PROVENANCE_DIFF_MAX + 1, &p->diff_cut);
    if (rc != 0)
        p->diff_cut = true;
    char *last = p->diff_cut ? strrchr(p->diff, '\n') : NULL;
    if (last)
        last[1] = 0;
    if (!p->diff[0]) {
        free(p->diff);
        p->diff = NULL;
    }
}

static void take_git(struct provenance *p, const char *cwd, int64_t deadline_ns)
{
    char out[4096];
    bool cut;
    if (git(cwd, "rev-parse --verify HEAD", deadline_ns, out, sizeof(out), &cut) != 0)
        return;
    out[strcspn(out, "\n")] = 0;
    if (!is_hex(out) || !base_strcpy(p->commit_id, sizeof(p->commit_id), out)) {
        p->commit_id[0] = 0;
        return;
    }
    if (git(cwd, "status --porcelain --untracked-files=no --ignore-submodules=dirty", deadline_ns,
            out, sizeof(out), &cut) != 0)
        return;
    p->dirty = out[0] != 0;
    if (p->dirty)
        take_diff(p, cwd, deadline_ns);
}

/* ---- the script --------------------------------------------------------------------------------- */

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* name as seen from cwd, if it is a regular file. */
static bool from_cwd(const char *cwd, const char *name, char *out)
{
    int n = name[0] == '/' ? snprintf(out, WATTQ_PATH_MAX, "%s", name)
                           : snprintf(out, WATTQ_PATH_MAX, "%s/%s", cwd, name);
    return n > 0 && n < WATTQ_PATH_MAX && is_file(out);
}

static bool find_program(const char *cwd, const char *name, const char *path, char *out)
{
    char dir[WATTQ_PATH_MAX];
    if (strchr(name, '/'))
        return from_cwd(cwd, name, out);
    for (const char *p = path && *path ? path : DEFAULT_PATH; *name && p;) {
        int len = (int)strcspn(p, ":");
        int n = snprintf(dir, sizeof(dir), "%.*s/%s", len ? len : 1, len ? p : ".", name);
        if (n > 0 && (size_t)n < sizeof(dir) && from_cwd(cwd, dir, out) && access(out, X_OK) == 0)
            return true;
        p = p[len] ? p + len + 1 : NULL;
    }
    return false;
}

/* A path with all links resolved, or as it is. */
static void resolve(const char *path, char *out)
{
    char *real CLEANUP(base_freep) = realpath(path, NULL);
    base_strcpy(out, WATTQ_PATH_MAX, real ? real : path);
}

static void hash_file(const char *path, int64_t deadline_ns, char out[SHA256_HEX])
{
    char *buf CLEANUP(base_freep) = base_alloc(64u << 10);
    struct stat st;
    struct sha256 h;
    ssize_t n = 1;
    int fd CLEANUP(base_closep) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > (off_t)PROVENANCE_FILE_MAX)
        return;
    sha256_init(&h);
    while (n > 0 && clock_mono_ns() < deadline_ns) {
        n = read(fd, buf, 64u << 10);
        if (n > 0)
            sha256_add(&h, buf, (size_t)n);
    }
    if (n == 0)
        sha256_end_hex(&h, out);
}

/* Programs whose first argument that is a file is what is really run. */
static bool is_interpreter(const char *program)
{
    static const char *const known[] = {"python", "pypy", "bash",  "dash",    "sh",
                                        "zsh",    "perl", "ruby",  "Rscript", "julia",
                                        "node",   "lua",  "octave"};
    const char *base = strrchr(program, '/');
    base = base ? base + 1 : program;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t n = strlen(known[i]);
        /* "python3.11" is one, "shuf" is not */
        if (strncmp(base, known[i], n) == 0 && base[n + strspn(base + n, "0123456789.-")] == 0)
            return true;
    }
    return false;
}

/* The program in "#!/usr/bin/env python3" or "#!/bin/sh -e", which begins text; false = no such line. */
static bool named_in(const char *text, const char *cwd, const char *path, char *out)
{
    char line[512];
    base_strcpy(line, sizeof(line), text);
    if (strncmp(line, "#!", 2) != 0)
        return false;
    line[strcspn(line, "\n")] = 0;
    char *save = NULL, *word = strtok_r(line + 2, " \t", &save);
    const char *base = word ? strrchr(word, '/') : NULL;
    if (base && strcmp(base, "/env") == 0)
        do
            word = strtok_r(NULL, " \t", &save);
        while (word && (word[0] == '-' || strchr(word, '=')));
    char found[WATTQ_PATH_MAX];
    if (!word || !find_program(cwd, word, path, found))
        return false;
    resolve(found, out);
    return true;
}

static bool shebang(const char *script, const char *cwd, const char *path, char *out)
{
    char line[512] = "";
    int fd CLEANUP(base_closep) = open(script, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;
    return n >= 3 && named_in(line, cwd, path, out);
}

/* A script whose text stands in the command line: the text is what is run, whatever the file is by now. */
static bool take_carried(struct provenance *p, const char *cwd, char *const argv[],
                         const char *path)
{
    struct carried c;
    size_t n = 0;
    while (argv[n])
        n++;
    if (!carried_find((const char *const *)argv, n, &c))
        return false;
    base_strcpy(p->script, sizeof(p->script), c.name);
    sha256_hex(c.text, strlen(c.text), p->script_sha256);
    named_in(c.text, cwd, path, p->interpreter);
    return true;
}

static void take_script(struct provenance *p, const char *cwd, char *const argv[], const char *path)
{
    char program[WATTQ_PATH_MAX];
    if (!argv[0] || !find_program(cwd, argv[0], path, program))
        return;
    if (!is_interpreter(program)) {
        base_strcpy(p->script, sizeof(p->script), program);
        shebang(program, cwd, path, p->interpreter);
        return;
    }
    resolve(program, p->interpreter);
    /* `-c CODE` and `-m MODULE` run no file; their argument is in argv, which is kept anyway. */
    for (size_t i = 1; argv[i] && strcmp(argv[i], "-c") != 0 && strcmp(argv[i], "-m") != 0; i++)
        if (argv[i][0] != '-' && from_cwd(cwd, argv[i], p->script))
            return;
    p->script[0] = 0;
}

/* ---- together ----------------------------------------------------------------------------------- */

static void add_text(struct sha256 *h, const char *s)
{
    sha256_add(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

void provenance_collect(struct provenance *p, const char *cwd, char *const argv[], const char *path)
{
    int64_t deadline_ns = clock_mono_ns() + PROVENANCE_LIMIT_NS;
    memset(p, 0, sizeof(*p));
    p->dirty = -1;
    if (!take_carried(p, cwd, argv, path)) {
        take_script(p, cwd, argv, path);
        if (p->script[0])
            hash_file(p->script, deadline_ns, p->script_sha256);
    }
    take_git(p, cwd, deadline_ns);
    struct sha256 h;
    char dirty = (char)('1' + p->dirty);
    sha256_init(&h);
    add_text(&h, p->commit_id);
    sha256_add(&h, &dirty, 1);
    add_text(&h, p->diff);
    add_text(&h, p->script);
    add_text(&h, p->script_sha256);
    add_text(&h, p->interpreter);
    sha256_end_hex(&h, p->hash);
}

void provenance_fini(struct provenance *p)
{
    free(p->diff);
    p->diff = NULL;
}
