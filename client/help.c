/* Help texts and the man page, from the tables of commands and options. */
#include <ctype.h>
#include <string.h>

#include "client/cmd.h"

static void put_option(FILE *f, const struct opt_def *d)
{
    char left[48];
    char letter[6] = "    ";
    if (d->letter)
        (void)snprintf(letter, sizeof letter, "-%c, ", d->letter);
    (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, d->name, d->value ? " " : "",
                   d->value ? d->value : "");
    (void)fprintf(f, "  %-26s %s\n", left, d->help);
}

static void put_options(FILE *f, opt_set set)
{
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++)
        if (set >> i & 1)
            put_option(f, &opt_defs[i]);
}

void help_overview(FILE *f)
{
    (void)fputs("wattq: queue experiments on this machine and know what each one cost.\n\n"
                "  wattq                      what runs and waits, the last five, power now\n"
                "  wattq COMMAND --help       more about a command\n\nCommands:\n",
                f);
    for (size_t i = 0; i < cmd_count; i++)
        (void)fprintf(f, "  %-9s %s\n", cmd_table[i].name, cmd_table[i].summary);
    (void)fputs(
        "\nRUN is an id (17), a range (3-9), a list (2,5,8-10), last, last-2 (the one two before "
        "it),\nsweep:12, or a filter: 'state=failed and energy > 2kJ'. Every command takes:\n",
        f);
    put_options(f, OPT_COMMON);
    (void)fputs("\nTry: wattq submit -- sleep 5; wattq top; man wattq\n", f);
}

void help_command(FILE *f, const struct cmd *c)
{
    (void)fprintf(f, "wattq %s %s\n\n%c%s.\n", c->name, c->usage,
                  toupper((unsigned char)c->summary[0]), c->summary + (c->summary[0] != '\0'));
    if (c->alias)
        (void)fprintf(f, "Also called: wattq %s\n", c->alias);
    (void)fputs("\nOptions:\n", f);
    put_options(f, c->options | OPT_COMMON);
    (void)fprintf(f, "\nExample: %s\n", c->example);
    if (c->run == cmd_sql)
        sql_help(f);
}

/* ---- the man page -------------------------------------------------------------------------------- */

/* roff: a backslash or a dash as it is meant, and no line that begins with a control character. */
static void put_roff(FILE *f, const char *s)
{
    if (*s == '.' || *s == '\'')
        (void)fputs("\\&", f);
    for (; *s; s++) {
        if (*s == '\\')
            (void)fputs("\\e", f);
        else if (*s == '-')
            (void)fputs("\\-", f);
        else
            (void)fputc(*s, f);
    }
}

static void man_option(FILE *f, const struct opt_def *d)
{
    (void)fputs(".TP\n.B ", f);
    if (d->letter)
        (void)fprintf(f, "\\-%c, ", d->letter);
    (void)fputs("\\-\\-", f);
    put_roff(f, d->name);
    if (d->value)
        (void)fprintf(f, " \\fI%s\\fR", d->value);
    (void)fputc('\n', f);
    put_roff(f, d->help);
    (void)fputs(".\n", f);
}

static void man_command(FILE *f, const struct cmd *c)
{
    (void)fprintf(f, ".SS %s\n.B wattq %s\n", c->name, c->name);
    put_roff(f, c->usage);
    (void)fputs("\n.PP\n", f);
    (void)fputc(toupper((unsigned char)c->summary[0]), f);
    put_roff(f, c->summary + 1);
    (void)fputs(".\n", f);
    if (c->alias)
        (void)fprintf(f, "Also called \\fB%s\\fR.\n", c->alias);
    const char *lead = "Options: ";
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++) {
        if (!(c->options >> i & 1))
            continue;
        (void)fprintf(f, "%s\\fB\\-\\-", lead);
        put_roff(f, opt_defs[i].name);
        (void)fputs("\\fR", f);
        lead = ", ";
    }
    if (c->options)
        (void)fputs(".\n", f);
    (void)fputs(".PP\n.EX\n", f);
    put_roff(f, c->example);
    (void)fputs("\n.EE\n", f);
}

static const char man_intro[] =
    ".\\\" Made from the tables in client/cmd.c and client/opt.h: WATTQ_UPDATE=1 test_client_cmd\n"
    ".TH WATTQ 1 \"\" \"wattq " WATTQ_VERSION "\" \"User Commands\"\n"
    ".SH NAME\nwattq \\- queue experiments, meter them, ask what each one cost\n"
    ".SH SYNOPSIS\n.B wattq\n.RI [ OPTIONS ]\n.RI [ COMMAND\n.RI [ ARGUMENTS ]]\n"
    ".SH DESCRIPTION\n"
    "wattq talks to\n.BR wattqd (8),\nwhich runs one experiment after the other, samples the power "
    "meters "
    "of the machine all\nthe time and knows the energy of every run and of any past stretch of "
    "time.\n"
    "Without a command it shows the queue, the last five runs and the power now.\n"
    ".PP\nA run is named by its id (17), a range (3\\-9), a list (2,5,8\\-10), \\fBlast\\fR, "
    "\\fBlast\\-2\\fR "
    "(the one two before\nthe last), \\fBsweep:12\\fR (all runs of that sweep), or by a filter "
    "(\\fBstate=failed\\fR).\n"
    ".PP\nEvery run that has ended is shown in one line:\n.PP\n.EX\n"
    "done 17  4m12s  31.2 kJ (30.9..31.5 counter)  GPU 24.0 CPU 7.2  0.0087 kWh  alone\n.EE\n"
    ".PP\nThe two numbers in brackets are hard bounds of the counter for this stretch of time, "
    "rounded "
    "outward; they do\nnot contain the meter's own calibration error. A missing bound is shown as "
    "\"\\-\". "
    "An estimate carries a\ntilde and the word; it is never added to a measurement. \\fBalone\\fR: "
    "nothing "
    "else that wattq knows of ran\nat the same time.\n";

static const char man_end[] =
    ".SH EXIT STATUS\n"
    ".TP\n0\nEverything went well.\n"
    ".TP\n1\nThe thing asked about failed, or does not exist.\n"
    ".TP\n2\nThe command line makes no sense.\n"
    ".TP\n3\nNot permitted.\n"
    ".TP\n4\nThe daemon is not running.\n"
    ".TP\n5\nThe state of the run does not allow it.\n"
    ".TP\n124\n\\fBwait \\-\\-timeout\\fR: the time was up.\n"
    ".TP\n125, 126, 127\n\\fBexec\\fR and \\fBsubmit \\-\\-wait\\fR pass the run's own code on "
    "(128 + n when "
    "signal n killed it);\n125 is a failure of wattq, 126 a command that cannot be run, 127 one "
    "that is not "
    "there.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.B WATTQ_SOCKET\nThe daemon's socket, when \\fB\\-\\-socket\\fR is not given.\n"
    ".TP\n.B WATTQ_RUN\nInside a run: its id; \\fBwattq phase\\fR uses it.\n"
    ".TP\n.B NO_COLOR\nNo colour when it is set and not empty.\n"
    ".SH FILES\n"
    ".TP\n.I $XDG_RUNTIME_DIR/wattq/wattqd.sock\nThe socket; without that directory\n"
    ".I ~/.local/state/wattq/run/wattqd.sock\n"
    ".SH SEE ALSO\n.BR wattqd (8)\n";

void help_man(FILE *f)
{
    (void)fputs(man_intro, f);
    (void)fputs(".SH COMMANDS\n", f);
    for (size_t i = 0; i < cmd_count; i++)
        man_command(f, &cmd_table[i]);
    (void)fputs(".SH OPTIONS\nA letter means the same in every command.\n", f);
    for (size_t i = 0; i < OPT_COUNT_OF_ALL; i++)
        man_option(f, &opt_defs[i]);
    help_filter_man(f);
    (void)fputs(man_end, f);
}
