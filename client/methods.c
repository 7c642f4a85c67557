#include "client/methods.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"

#define ROWS_SHOWN 60

static void words_fini(struct methods_words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->at[i]);
    free(w->at);
}

void methods_word(struct methods_words *w, const char *text)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->at[i], text) == 0)
            return;
    if (!*text)
        return;
    char **at = realloc(w->at, (w->n + 1) * sizeof *at);
    if (!at)
        abort();
    w->at = at;
    w->at[w->n++] = base_strdup(text);
}

void methods_fini(struct methods *m)
{
    struct methods_words *words[] = {&m->machines, &m->software, &m->basis, &m->blocks,
                                     &m->origins};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        words_fini(words[i]);
    for (size_t i = 0; i < m->nmeters; i++) {
        free(m->meters[i].label);
        free(m->meters[i].scope);
        free(m->meters[i].source);
        free(m->meters[i].quality);
    }
    free(m->meters);
    free(m->half_widths);
    free(m->selection);
    free(m->covers);
    free(m->hardware);
    free(m->version);
    compare_fini(&m->runs);
    *m = (struct methods){0};
}

/* ---- the two formats ------------------------------------------------------------------------------ */

/* A character that means something to LaTeX, as text. */
static const char *latex_of(char c)
{
    static const char *const special[][2] = {{"\\", "\\textbackslash{}"},
                                             {"{", "\\{"},
                                             {"}", "\\}"},
                                             {"$", "\\$"},
                                             {"&", "\\&"},
                                             {"#", "\\#"},
                                             {"_", "\\_"},
                                             {"%", "\\%"},
                                             {"~", "\\textasciitilde{}"},
                                             {"^", "\\textasciicircum{}"},
                                             {"<", "\\textless{}"},
                                             {">", "\\textgreater{}"},
                                             {"|", "\\textbar{}"}};
    for (size_t i = 0; i < ARRAY_LEN(special); i++)
        if (special[i][0][0] == c)
            return special[i][1];
    return NULL;
}

/* "\"" needs an encoding of its own in LaTeX; two straight quotes are read the same. */
static void put_latex(FILE *f, char c)
{
    const char *text = latex_of(c);
    if (c == '"')
        (void)fputs("''", f);
    else if (text)
        (void)fputs(text, f);
    else
        (void)fputc(c, f);
}

static void put_markdown(FILE *f, char c)
{
    if (strchr("\\`*_[]<>|#~", c))
        (void)fputc('\\', f);
    (void)fputc(c, f);
}

/* The one character beyond ASCII that we ourselves write. */
static const char plus_minus[] = "\xc2\xb1";

static void put_text(FILE *f, const char *text, enum methods_format format)
{
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f) {
            (void)fputc(' ', f);
        } else if (format == METHODS_LATEX && strncmp(p, plus_minus, 2) == 0) {
            (void)fputs("$\\pm$", f);
            p++;
        } else if (format == METHODS_LATEX) {
            put_latex(f, *p);
        } else {
            put_markdown(f, *p);
        }
    }
}

static FILE *start(char **text, size_t *bytes)
{
    FILE *f = open_memstream(text, bytes);
    if (!f)
        abort();
    return f;
}

static void finish(FILE *f)
{
    if (fclose(f) != 0)
        abort();
}

char *methods_escape(const char *text, enum methods_format format)
{
    char *out = NULL;
    size_t bytes = 0;
    FILE *f = start(&out, &bytes);
    put_text(f, text, format);
    finish(f);
    return out;
}

/* The page as it grows. */
struct page {
    FILE *f;
    enum methods_format format;
    const struct methods *m;
};

static void say(const struct page *p, const char *fmt, ...) PRINTF(2, 3);
static void say(const struct page *p, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    put_text(p->f, text, p->format);
    free(text);
}

static void paragraph(const struct page *p, const char *title)
{
    (void)fprintf(p->f, p->format == METHODS_LATEX ? "\n\\paragraph{%s.} " : "\n\n**%s.** ", title);
}

/* "a", "a and b", "a, b and c" */
static char *list(const struct methods_words *w)
{
    char *text = base_strdup("");
    for (size_t i = 0; i < w->n; i++) {
        const char *gap = i == 0 ? "" : i + 1 == w->n ? " and " : ", ";
        char *longer = base_printf("%s%s%s", text, gap, w->at[i]);
        free(text);
        text = longer;
    }
    return text;
}

/* ---- paragraphs ----------------------------------------------------------------------------------- */

static void say_repeats(const struct page *p)
{
    const struct compare *c = &p->m->runs;
    size_t least = SIZE_MAX;
    size_t most = 0;
    for (size_t g = 0; g < c->ngroups; g++) {
        least = c->groups[g].n < least ? c->groups[g].n : least;
        most = c->groups[g].n > most ? c->groups[g].n : most;
    }
    if (c->ngroups == 0)
        return;
    if (most == 1)
        say(p, " Nothing was repeated, so no scatter is known.");
    else if (least == most)
        say(p, " Each configuration was run %zu times.", most);
    else
        say(p, " Each configuration was run %zu to %zu times.", least, most);
    if (p->m->blocks.n > 1)
        say(p, " The runs were executed in %zu blocks.", p->m->blocks.n);
}

/* Why one of something was left out; NULL = it was not. */
typedef const char *(*reason_of)(const struct compare *c, size_t i);

static const char *left_reason(const struct compare *c, size_t i)
{
    return c->left[i].reason;
}

static const char *energy_reason(const struct compare *c, size_t i)
{
    return c->runs[i].why_no_energy;
}

static bool same_reason(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* " (2: it did not end well; 1: ...)." in order of appearance. */
static void say_reasons(const struct page *p, reason_of reason, size_t n)
{
    const struct compare *c = &p->m->runs;
    const char *gap = " (";
    for (size_t i = 0; i < n; i++) {
        const char *why = reason(c, i);
        size_t times = 0;
        size_t first = n;
        for (size_t k = n; k-- > 0;) {
            if (!same_reason(reason(c, k), why))
                continue;
            times++;
            first = k;
        }
        if (!why || first != i)
            continue;
        say(p, "%s%zu: %s", gap, times, why);
        gap = "; ";
    }
    say(p, ").");
}

static void say_left(const struct page *p)
{
    const struct compare *c = &p->m->runs;
    if (c->nleft == 0) {
        say(p, " No run was excluded.");
        return;
    }
    say(p, " %zu run%s excluded", c->nleft, c->nleft == 1 ? " was" : "s were");
    say_reasons(p, left_reason, c->nleft);
}

/* Runs that take part with their time only. */
static void say_without_energy(const struct page *p)
{
    const struct compare *c = &p->m->runs;
    size_t n = 0;
    for (size_t i = 0; i < c->nruns; i++)
        n += c->runs[i].why_no_energy != NULL;
    if (n == 0)
        return;
    say(p, " Of %zu run%s the time was used and not the energy", n, n == 1 ? "" : "s");
    say_reasons(p, energy_reason, c->nruns);
}

static void say_runs(const struct page *p)
{
    const struct methods *m = p->m;
    paragraph(p, "Runs");
    say(p, "%zu run%s of %zu configuration%s %s evaluated (selection: %s).", m->runs.nruns,
        m->runs.nruns == 1 ? "" : "s", m->runs.ngroups, m->runs.ngroups == 1 ? "" : "s",
        m->runs.nruns == 1 ? "was" : "were", m->selection);
    say_repeats(p);
    say_left(p);
    if (m->shared == 0)
        say(p, " Every run had the machine's queue to itself.");
    else
        say(p, " %zu of the runs shared their time with others; their energy was not used.",
            m->shared);
}

static void say_machine(const struct page *p)
{
    const struct methods *m = p->m;
    char *machines CLEANUP(base_freep) = list(&m->machines);
    char *software CLEANUP(base_freep) = list(&m->software);
    paragraph(p, "Machine and software");
    say(p, "The runs were executed on %s%s%s%s by wattq %s.", *machines ? machines : "one machine",
        *m->hardware ? " (" : "", m->hardware, *m->hardware ? ")" : "", m->version);
    if (*software)
        say(p, " Networks were trained with the backend %s.", software);
    if (m->origins.n > 0)
        say(p, " Runs of %zu import%s are among them.", m->origins.n, m->origins.n == 1 ? "" : "s");
}

static void say_meter(const struct page *p, const struct methods_meter *meter)
{
    char buf[40];
    say(p, " %s (scope %s, source %s) updates ", meter->label, meter->scope, meter->source);
    if (meter->period_ns == PRINT_NONE)
        say(p, "at a pace that its maker does not state");
    else
        say(p, "every %s%s", print_duration(buf, sizeof buf, meter->period_ns),
            meter->declared ? "" : " as observed");
    if (isnan(meter->accuracy))
        say(p, "; its maker states no accuracy.");
    else
        say(p, "; its stated accuracy is \xc2\xb1%.3g %%.", meter->accuracy * 100);
}

static void say_bounds(const struct page *p)
{
    const struct methods *m = p->m;
    double *v CLEANUP(base_freep) = base_alloc((m->nbounded + 1) * sizeof *v);
    char *basis CLEANUP(base_freep) = list(&m->basis);
    if (m->nbounded == 0) {
        say(p, " The figures have no hard bounds.");
        return;
    }
    memcpy(v, m->half_widths, m->nbounded * sizeof *v);
    say(p,
        " Cumulative counters were read before the program was released and after its last process "
        "had ended, so that each energy has hard bounds (basis: %s); their median half width is "
        "%.2g %% of the energy.",
        basis, stats_median(v, m->nbounded) * 100);
}

static void say_energy(const struct page *p)
{
    const struct methods *m = p->m;
    size_t known = m->measured + m->modelled + m->estimated;
    paragraph(p, "Energy");
    if (known == 0) {
        say(p, "No energy is known of these runs.");
        return;
    }
    if (m->measured + m->modelled == 0)
        say(p,
            "No meter covered these runs: all joules are estimates and no measurements. They are "
            "marked with a tilde and no conclusion rests on them.");
    else
        say(p,
            "The energy of a run is that of the whole machine, as far as its meters cover it, from "
            "the release of the program to the end of its last process.");
    for (size_t i = 0; i < m->nmeters; i++)
        say_meter(p, &m->meters[i]);
    if (m->measured + m->modelled > 0)
        say_bounds(p);
    if (m->estimated > 0 && m->measured + m->modelled > 0)
        say(p,
            " The joules of %zu runs are estimates, marked with a tilde, and enter no mean with "
            "measured ones.",
            m->estimated);
    if (m->modelled > 0)
        say(p, " The joules of %zu runs are modelled by the hardware.", m->modelled);
    if (m->nmeters > 0 && m->measured + m->modelled > 0)
        say(p, " A gain error of a meter is the same in all runs: it cancels in ratios and not in "
               "absolute values.");
    say_without_energy(p);
    if (*m->covers)
        say(p, " Covered: %s.", m->covers);
}

static void say_idle(const struct page *p)
{
    const struct methods *m = p->m;
    char a[40];
    char b[40];
    paragraph(p, "Idle power");
    say(p, "Idle power is part of every energy and was not subtracted.");
    if (isnan(m->idle_w))
        say(p, " It was not measured around these runs.");
    else
        say(p, " Around the runs, with no run on, the machine drew %s%s%s%s%s%s.",
            m->idle_estimated ? "~" : "", print_power_w(a, sizeof a, m->idle_w),
            isnan(m->idle_sd_w) ? "" : " (robust sd ",
            isnan(m->idle_sd_w) ? "" : print_power_w(b, sizeof b, m->idle_sd_w),
            isnan(m->idle_sd_w) ? "" : ")", m->idle_estimated ? ", estimated" : "");
}

/* ---- the table ------------------------------------------------------------------------------------ */

static char *mean_sd(const struct compare_side *s, size_t quantity)
{
    char a[40];
    char b[40];
    const char *(*show)(char *, size_t, double) = quantity == COMPARE_TIME     ? print_seconds
                                                  : quantity == COMPARE_ENERGY ? print_joules
                                                                               : print_power_w;
    if (s->n == 0)
        return base_strdup("-");
    if (isnan(s->sd))
        return base_printf("%s%s", s->estimated ? "~" : "", show(a, sizeof a, s->mean));
    return base_printf("%s%s \xc2\xb1 %s", s->estimated ? "~" : "", show(a, sizeof a, s->mean),
                       show(b, sizeof b, s->sd));
}

static void row(const struct page *p, const char *const cells[5])
{
    bool latex = p->format == METHODS_LATEX;
    (void)fputs(latex ? "" : "| ", p->f);
    for (int i = 0; i < 5; i++) {
        if (i > 0)
            (void)fputs(latex ? " & " : " | ", p->f);
        put_text(p->f, cells[i], p->format);
    }
    (void)fputs(latex ? " \\\\\n" : " |\n", p->f);
}

static void put_group(const struct page *p, size_t g)
{
    const struct compare *c = &p->m->runs;
    char n[24];
    char *text[COMPARE_METRICS];
    for (size_t q = 0; q < COMPARE_METRICS; q++) {
        struct compare_side s;
        compare_side(c, g, q, &s);
        text[q] = mean_sd(&s, q);
    }
    (void)snprintf(n, sizeof n, "%zu", c->groups[g].n);
    row(p, (const char *const[]){c->groups[g].name, n, text[0], text[1], text[2]});
    for (size_t q = 0; q < COMPARE_METRICS; q++)
        free(text[q]);
}

static void put_table(const struct page *p)
{
    const struct compare *c = &p->m->runs;
    size_t shown = c->ngroups < ROWS_SHOWN ? c->ngroups : ROWS_SHOWN;
    bool latex = p->format == METHODS_LATEX;
    static const char *const heads[] = {"Configuration", "n", "Time", "Energy", "Mean power"};
    if (shown == 0)
        return;
    (void)fputs(latex ? "\n\n\\begin{table}\n\\centering\n\\begin{tabular}{lrrrr}\n\\hline\n"
                      : "\n\n",
                p->f);
    row(p, heads);
    (void)fputs(latex ? "\\hline\n" : "|---|---:|---:|---:|---:|\n", p->f);
    for (size_t g = 0; g < shown; g++)
        put_group(p, g);
    (void)fputs(latex ? "\\hline\n\\end{tabular}\n\\caption{" : "\n", p->f);
    say(p, "Mean \xc2\xb1 standard deviation over n runs.");
    if (p->m->estimated > 0)
        say(p, " A tilde marks an estimate.");
    if (shown < c->ngroups)
        say(p, " The first %zu of %zu configurations.", shown, c->ngroups);
    (void)fputs(latex ? "}\n\\end{table}\n" : "\n", p->f);
}

char *methods_text(const struct methods *m, enum methods_format format)
{
    char *out = NULL;
    size_t bytes = 0;
    struct page p = {start(&out, &bytes), format, m};
    (void)fputs(format == METHODS_LATEX ? "\\subsection*{Methods}\n" : "## Methods", p.f);
    say_runs(&p);
    say_machine(&p);
    say_energy(&p);
    say_idle(&p);
    put_table(&p);
    finish(p.f);
    return out;
}
