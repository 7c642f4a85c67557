#include "client/script.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/job.h"

#define LINE_WORDS 64

enum line_kind { LINE_OTHER, LINE_OURS, LINE_SLURM, LINE_BLANK };

static enum line_kind kind_of(const char *line, size_t n)
{
    static const struct {
        const char *mark;
        enum line_kind kind;
    } marks[] = {{"#WATTQ", LINE_OURS}, {"#SBATCH", LINE_SLURM}};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        size_t len = strlen(marks[i].mark);
        if (n > len && strncmp(line, marks[i].mark, len) == 0 &&
            (line[len] == ' ' || line[len] == '\t'))
            return marks[i].kind;
    }
    size_t blank = strspn(line, " \t\r");
    return blank >= n || line[blank] == '#' ? LINE_BLANK : LINE_OTHER;
}

char *script_word(struct script *s, char *word)
{
    char **list = reallocarray(s->words, s->nwords + 1, sizeof *list);
    if (!list)
        abort();
    s->words = list;
    list[s->nwords++] = word;
    return word;
}

void script_note(struct script *s, int line, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    char **list = reallocarray(s->notes, s->nnotes + 1, sizeof *list);
    if (!list)
        abort();
    s->notes = list;
    list[s->nnotes++] = base_printf("%s:%d: %s", s->name, line, text);
}

/* Put the file and line in front of what a parser said. */
static int at_line(const struct script *s, int line, int rc, struct err *e)
{
    if (rc < 0 && e) {
        char text[sizeof e->text];
        memcpy(text, e->text, sizeof text);
        (void)snprintf(e->text, sizeof e->text, "%.80s:%d: %.220s", s->name, line, text);
    }
    return rc;
}

/* ---- words --------------------------------------------------------------------------------------- */

/* One word at *p, which is behind it afterwards. false = a quote is not closed. */
static bool take_word(const char **p, const char *end, char *out)
{
    char quote = 0;
    const char *q = *p;
    for (; q < end && (quote || (*q != ' ' && *q != '\t')); q++) {
        bool escapes = *q == '\\' && quote != '\'' && q + 1 < end;
        if (escapes)
            *out++ = *++q;
        else if (quote && *q == quote)
            quote = 0;
        else if (!quote && (*q == '"' || *q == '\''))
            quote = *q;
        else
            *out++ = *q;
    }
    *out = '\0';
    *p = q;
    return quote == 0;
}

static int split(struct script *s, const char *line, const char *end, struct script_line *out,
                 struct err *e)
{
    const char *p = line;
    for (;;) {
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        if (p == end || *p == '#')
            return 0;
        if (out->n == LINE_WORDS)
            return err_set(e, WATTQ_E_USAGE, "more than %d words", LINE_WORDS);
        char *word = script_word(s, base_alloc((size_t)(end - p) + 1));
        if (!take_word(&p, end, word))
            return err_set(e, WATTQ_E_USAGE, "a quote is not closed");
        out->words[out->n++] = word;
    }
}

/* ---- lines --------------------------------------------------------------------------------------- */

static int once(const struct args *before, const struct args *line, struct err *e)
{
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++)
        if (before->n[i] > 0 && line->n[i] > 0 && !opt_defs[i].repeats)
            return err_set(e, WATTQ_E_USAGE, "--%s stands in a line above already",
                           opt_defs[i].name);
    return 0;
}

static int check_array(const struct args *a, struct err *e)
{
    struct script_array array;
    const char *text = args_str(a, OPT_ARRAY, NULL);
    int rc = text ? script_array_parse(&array, text, e) : 0;
    if (text && rc == 0)
        script_array_fini(&array);
    return rc;
}

static int ours(struct script *s, const struct script_line *l, struct args *own, struct err *e)
{
    struct args one = {0};
    int rc = opt_parse(&one, s->allowed, OPT_MIXED, (int)l->n, l->words, e);
    if (rc == 0 && one.npos > 0) {
        rc = err_set(e, WATTQ_E_USAGE, "'%.60s' is no option", one.pos[0]);
        err_next(e, "the command is the script itself; its arguments stand behind its name: wattq "
                    "script FILE ARG...");
    }
    if (rc == 0)
        rc = once(own, &one, e);
    if (rc == 0)
        rc = job_check(&one, e);
    if (rc == 0)
        rc = check_array(&one, e);
    if (rc == 0)
        args_override(own, &one);
    args_fini(&one);
    return rc;
}

static int slurms(struct script *s, const struct script_line *l, struct args *slurm, struct err *e)
{
    struct args one = {0};
    int rc = script_sbatch(s, l, &one, e);
    if (rc == 0)
        rc = job_check(&one, e);
    if (rc == 0)
        args_override(slurm, &one);
    args_fini(&one);
    return rc;
}

struct sets {
    struct args own;
    struct args slurm;
};

static int take_line(struct script *s, const char *line, const char *end, int number,
                     struct sets *sets, struct err *e)
{
    char *words[LINE_WORDS];
    struct script_line l = {.words = words, .number = number};
    enum line_kind kind = kind_of(line, (size_t)(end - line));
    while (end > line && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t'))
        end--;
    int rc = split(s, line + strcspn(line, " \t"), end, &l, e);
    s->lines++;
    if (rc == 0)
        rc = kind == LINE_OURS ? ours(s, &l, &sets->own, e) : slurms(s, &l, &sets->slurm, e);
    return at_line(s, number, rc, e);
}

static int take_lines(struct script *s, const char *text, struct sets *sets, struct err *e)
{
    int number = 1;
    bool over = false;
    for (const char *p = text; *p; number++) {
        size_t n = strcspn(p, "\n");
        enum line_kind kind = kind_of(p, n);
        int rc = 0;
        over = over || kind == LINE_OTHER;
        if (!over && (kind == LINE_OURS || kind == LINE_SLURM))
            rc = take_line(s, p, p + n, number, sets, e);
        else if (over && kind == LINE_OURS)
            script_note(s, number, "#WATTQ behind the first command is not read");
        else if (over && kind == LINE_SLURM)
            script_note(s, number, "#SBATCH behind the first command is not read, as with Slurm");
        if (rc < 0)
            return rc;
        p += n + (p[n] == '\n');
    }
    return 0;
}

int script_parse(struct script *s, const char *name, const char *text, opt_set allowed,
                 struct err *e)
{
    struct sets sets = {0};
    *s = (struct script){.name = name, .allowed = allowed};
    int rc = take_lines(s, text, &sets, e);
    if (rc == 0)
        rc = script_sbatch_end(s, &sets.slurm, e);
    args_override(&s->args, &sets.slurm);
    args_override(&s->args, &sets.own);
    args_fini(&sets.slurm);
    args_fini(&sets.own);
    return rc;
}

bool script_has_lines(const char *text)
{
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        enum line_kind kind = kind_of(p, n);
        if (kind == LINE_OTHER)
            return false;
        if (kind == LINE_OURS || kind == LINE_SLURM)
            return true;
        p += n + (p[n] == '\n');
    }
    return false;
}

void script_fini(struct script *s)
{
    args_fini(&s->args);
    for (size_t i = 0; i < s->nwords; i++)
        free(s->words[i]);
    for (size_t i = 0; i < s->nnotes; i++)
        free(s->notes[i]);
    free(s->words);
    free(s->notes);
    *s = (struct script){0};
}
