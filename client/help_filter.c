/* The filter language and the columns of a run, as help topics and as sections of the man page; from the
 * same tables that read them. */
#include <string.h>

#include "client/cmd.h"
#include "common/column.h"

struct piece {
    const char *what;
    const char *means;
};

static const struct piece language[] = {
    {"A and B, A or B, not A, (A)",
     "both; either; the opposite. not binds tightest, then and, then or"},
    {"= != < <= > >=", "as words: eq ne lt le gt ge, which no shell takes for itself"},
    {"label ~ lr*",
     "fits a pattern of * and ?; without one: holds this text. Upper and lower case are the same"},
    {"label !~ test", "the opposite"},
    {"state in [failed,lost]", "one of these; not in [..] none of them"},
    {"energy=2kJ..5kJ", "a range with both ends; 2kJ.. and ..5kJ are open; != is outside of it"},
    {"sweep is null", "not known; is not null: known. A text is null when it is empty"},
    {"tag.good", "has that tag; tag=good is the same, tag is null has none"},
    {"since -2h, until 09:30", "queued from then on, up to then"},
};

static const struct piece values[] = {
    {"energy", "2kJ 500mJ 0.2kWh"},
    {"power", "50W 1.5kW"},
    {"time, cpu", "90s 5m 2h30m"},
    {"start, submit, end", "-7d now 14:30 2026-01-31 \"2026-01-31 14:30\" 2026-01-31T14:30:00Z"},
    {"mem", "512M 2G (powers of 1024)"},
    {"size, id, ...", "4096 2^14 64k"},
    {"texts", "as they are; in quotes when a space or one of ,()[]=<>~! is in them"},
};

static const struct piece families[] = {
    {"param.K", "parameter K of the run, a number or a text as it was given"},
    {"info.K, summary.K", "what the program said of itself in its metrics lines"},
    {"metric.K", "newest value of metric K; metric.K.min .max .first .last .n of its curve"},
    {"tag.NAME", "does it have that tag"},
    {"energy.LABEL",
     "energy of one channel, by its label or uid: energy.package-0; energy.lo, energy.hi"},
};

static const char rules[] =
    "A bare number where a unit is needed is refused, as 2 could be J or kWh; 0 needs none.\n"
    "What is not known is neither true nor false: a run without energy is found by 'energy is "
    "null' only,\n"
    "neither by 'energy > 2kJ' nor by 'not energy > 2kJ'. A parameter is compared as a number with "
    "numbers\n"
    "and as a text with texts. Several filters in one command hold all at once.\n";

static void put_pieces(FILE *f, const struct piece *p, size_t n, int width)
{
    for (size_t i = 0; i < n; i++)
        (void)fprintf(f, "  %-*s  %s\n", width, p[i].what, p[i].means);
}

void help_filter(FILE *f)
{
    (void)fputs("A filter says which runs are meant, wherever RUN is taken:\n\n"
                "  wattq runs 'state=failed and energy > 2kJ'\n"
                "  wattq cancel sweep=12 'param.lr in [0.1,0.01]'\n"
                "  wattq runs energy gt 2kJ and start gt -7d\n\nLanguage:\n",
                f);
    put_pieces(f, language, ARRAY_LEN(language), 28);
    (void)fputs("\nValues:\n", f);
    put_pieces(f, values, ARRAY_LEN(values), 28);
    (void)fprintf(f, "\n%s\n", rules);
    help_columns(f);
}

void help_columns(FILE *f)
{
    (void)fputs("Columns, to filter by, list (--columns), sort (--sort) and group (--group-by):\n",
                f);
    for (size_t i = 0; i < COLUMN_FIXED; i++)
        (void)fprintf(f, "  %-12s %-9s %s\n", column_defs[i].name,
                      column_type_name(column_defs[i].type), column_defs[i].doc);
    (void)fputs("\nFamilies:\n", f);
    put_pieces(f, families, ARRAY_LEN(families), 20);
    (void)fputs("\nFigures of groups (--agg): n mean sd ci median min max sum, as in mean:energy. "
                "ci is half the\n"
                "width of the 95 % interval of the mean. Measured and estimated joules never meet "
                "in one figure:\n"
                "such a group shows -; --group-by quality tells them apart.\n",
                f);
}

/* ---- man page ------------------------------------------------------------------------------------ */

static void put_roff(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (*s == '\\')
            (void)fputs("\\e", f);
        else if (*s == '-')
            (void)fputs("\\-", f);
        else if (*s == '~')
            (void)fputs("\\(ti", f);
        else if (*s == '^')
            (void)fputs("\\(ha", f);
        else
            (void)fputc(*s, f);
    }
}

static void put_terms(FILE *f, const struct piece *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)fputs(".TP\n\\fB", f);
        put_roff(f, p[i].what);
        (void)fputs("\\fR\n", f);
        put_roff(f, p[i].means);
        (void)fputc('\n', f);
    }
}

void help_filter_man(FILE *f)
{
    (void)fputs(
        ".SH FILTERS\nWherever a command takes runs, a filter may say which are meant:\n.PP\n.EX\n"
        "wattq runs \\(aqstate=failed and energy > 2kJ\\(aq\n"
        "wattq runs energy gt 2kJ and start gt \\-7d\n.EE\n",
        f);
    put_terms(f, language, ARRAY_LEN(language));
    (void)fputs(".SS Values\n", f);
    put_terms(f, values, ARRAY_LEN(values));
    (void)fputs(".PP\n", f);
    put_roff(f, rules);
    (void)fputs(".SS Columns\n", f);
    for (size_t i = 0; i < COLUMN_FIXED; i++) {
        (void)fprintf(f, ".TP\n\\fB%s\\fR (%s)\n", column_defs[i].name,
                      column_type_name(column_defs[i].type));
        put_roff(f, column_defs[i].doc);
        (void)fputc('\n', f);
    }
    put_terms(f, families, ARRAY_LEN(families));
}
