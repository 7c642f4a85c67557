/* The commands: one table, from which the parser, the help, the man page and the tests are fed. To add a
 * command: a line in CMD_TABLE's array in cmd.c, a function, and `WATTQ_UPDATE=1 test_client_cmd`, which
 * writes the man page anew. A command that is listed works. */
#ifndef CLIENT_CMD_H
#define CLIENT_CMD_H

#include "client/conn.h"
#include "client/opt.h"
#include "client/table.h"

#define EXIT_ASKED_FAILED 1   /* the thing asked about failed */
#define EXIT_TIMED_OUT    124 /* --timeout */
#define EXIT_OURS         125 /* exec, submit --wait: our own fault, not the run's */
#define EXIT_NOT_RUNNABLE 126
#define EXIT_NOT_FOUND    127

struct app {
    struct print print;
    struct args args;
    const struct cmd *cmd;
    bool json;
    bool quiet;
};

struct cmd {
    const char *name;
    const char *alias; /* NULL = none */
    const char *usage; /* what stands behind the name */
    const char *summary;
    const char *example; /* what to try; one line, shown in help and man page */
    opt_set options;     /* beside OPT_COMMON */
    enum opt_mode mode;
    int most;         /* arguments it takes; -1 = any number */
    bool passes_code; /* its exit code is the run's: our own failures are EXIT_OURS */
    /* Exit code, or < 0 with err. */
    int (*run)(struct app *app, struct err *e);
};
extern const struct cmd cmd_table[];
extern const size_t cmd_count;

const struct cmd *cmd_find(const char *name); /* by name or alias; NULL */
int cmd_main(int argc, char **argv);          /* the exit code of the program */

/* ---- for the commands --------------------------------------------------------------------------- */

int cmd_connect(const struct app *app, struct conn **c, struct err *e) MUST_USE;
/* Print a reply as JSON: {"schema": "wattq.NAME/1", ...}. 0 or < 0. */
int cmd_print_json(const struct app *app, const char *name, const struct wire_val *reply,
                   struct err *e) MUST_USE;
/* The same on one line, for streams. */
int cmd_print_jsonl(const struct app *app, const char *name, const struct wire_val *reply,
                    struct err *e) MUST_USE;
/* WATTQ_E_USAGE naming what is missing. */
int cmd_need(const struct app *app, size_t least, const char *what, struct err *e) MUST_USE;
/* Exit code that says how a run ended: 0 for done, else 1. */
int cmd_exit_of(const struct wire_val *run);
/* Exit code that passes the run's own on: code, 128 + signal, EXIT_OURS when it has none. */
int cmd_pass_on(const struct wire_val *run);
/* The whole summary of a run that has ended, with what it used part by part: what the daemon tells of a
 * run just gone by has only the total. NULL when it cannot be had; then the caller keeps what it has. */
struct wire_msg *cmd_whole_run(struct conn *c, int64_t run);
/* A talk line on stderr, unless --quiet. */
void cmd_say(const struct app *app, const char *fmt, ...) PRINTF(2, 3);

/* Figures as a table: wattq show, wattq energy. */
void show_figures(const struct app *app, const struct wire_val *figures);
/* What calibrations make of them: key `calibrated` of `energy`. */
void show_calibrated(const struct app *app, const struct wire_val *list);

/* What the daemon says of a run that was not alone ("shares" of the answer to `energy`); nothing for others. */
void show_shares(const struct app *app, const struct wire_val *shares);

/* ---- help.c ------------------------------------------------------------------------------------- */

void help_overview(FILE *f);
void help_command(FILE *f, const struct cmd *c);
void help_man(FILE *f); /* the whole page wattq(1) */
/* help_filter.c: topics that are no commands, and the same as a section of the man page. */
void help_filter(FILE *f);
void help_columns(FILE *f);
void help_filter_man(FILE *f);
void sql_help(FILE *f); /* cmd_sql.c: the views, after the options of wattq sql */

/* ---- one function per line of the table --------------------------------------------------------- */

int cmd_overview(struct app *app, struct err *e); /* bare `wattq` */
int cmd_submit(struct app *app, struct err *e);
int cmd_script(struct app *app, struct err *e);
int cmd_train(struct app *app, struct err *e);
int cmd_sweep(struct app *app, struct err *e);
int cmd_study(struct app *app, struct err *e);
int cmd_exec(struct app *app, struct err *e);
int cmd_queue(struct app *app, struct err *e);
int cmd_show(struct app *app, struct err *e);
int cmd_logs(struct app *app, struct err *e);
int cmd_wait(struct app *app, struct err *e);
int cmd_runs(struct app *app, struct err *e);
/* cmd_pin.c: `wattq runs pin|unpin RUN...` */
int runs_pinning(struct app *app, bool keep, struct err *e);
/* cmd_table.c: wattq runs where the columns are chosen, and in every form but the usual table. where: the
 * selection as a filter, NULL = every run. Is one of its options given? */
bool runs_table_wanted(const struct app *app);
int runs_table(struct app *app, struct conn *c, const char *where, struct err *e);
int cmd_cancel(struct app *app, struct err *e);
int cmd_hold(struct app *app, struct err *e);
int cmd_release(struct app *app, struct err *e);
int cmd_pause(struct app *app, struct err *e);
int cmd_resume(struct app *app, struct err *e);
int cmd_retry(struct app *app, struct err *e);
int cmd_bump(struct app *app, struct err *e);
int cmd_why(struct app *app, struct err *e);
int cmd_phase(struct app *app, struct err *e);
int cmd_compare(struct app *app, struct err *e);
int cmd_diff(struct app *app, struct err *e);
int cmd_methods(struct app *app, struct err *e);
int cmd_plot(struct app *app, struct err *e);
int cmd_usage(struct app *app, struct err *e);
int cmd_tag(struct app *app, struct err *e);
int cmd_note(struct app *app, struct err *e);
int cmd_label(struct app *app, struct err *e);
int cmd_metric(struct app *app, struct err *e);
int cmd_energy(struct app *app, struct err *e);
int cmd_power(struct app *app, struct err *e);
int cmd_meters(struct app *app, struct err *e);
int cmd_meters_calibrate(struct app *app, struct err *e);
int cmd_meters_record(struct app *app, const char *name, struct err *e);
/* What watching a meter showed, in one sentence; NULL = nothing is wrong. New memory. */
char *cmd_meters_doubt(const struct wire_val *ch);
int cmd_idle(struct app *app, struct err *e);
int cmd_who(struct app *app, struct err *e);
int cmd_top(struct app *app, struct err *e);
int cmd_model(struct app *app, struct err *e);
int cmd_finding(struct app *app, struct err *e);
int cmd_advise(struct app *app, struct err *e);
int cmd_predict(struct app *app, struct err *e);
int cmd_sql(struct app *app, struct err *e);
int cmd_export(struct app *app, struct err *e);
int cmd_verify(struct app *app, struct err *e);
int cmd_admin(struct app *app, struct err *e);
int cmd_audit(struct app *app, struct err *e);
int cmd_report(struct app *app, struct err *e);
int cmd_import(struct app *app, struct err *e);
int cmd_info(struct app *app, struct err *e);
int cmd_help(struct app *app, struct err *e);
int cmd_version(struct app *app, struct err *e);
/* wattq meters allow|revoke */
int cmd_meters_allow(struct app *app, bool allow, struct err *e);

#endif
