#include "client/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/json.h"
#include "common/suggest.h"
#include "common/users.h"

#define RUN_OPTIONS                                                                                \
    (OPT(TIME) | OPT(LABEL) | OPT(PROJECT) | OPT(PRIORITY) | OPT(EXCLUSIVE) | OPT(SHARED) |        \
     OPT(STDIN) | OPT(CHDIR) | OPT(EXPORT) | OPT(ENV) | OPT(PARAM) | OPT(GRACE) | OPT(LOG_CAP) |   \
     OPT(WAIT_CHILDREN) | OPT(IDLE_BRACKET) | OPT(QUIET) | OPT(GPUS) | OPT(MEM) |                  \
     OPT(ENERGY_LIMIT) | OPT(NICE))

const struct cmd cmd_table[] = {
    {"submit", "add", "[OPTIONS] -- COMMAND [ARG...]", "queue a command; prints its run id",
     "wattq submit -J nightly -t 2h -- python train.py --lr 0.1",
     RUN_OPTIONS | OPT(CPUS) | OPT(WAIT) | OPT(HOLD) | OPT(REQUEUE) | OPT(ON_END), OPT_COMMAND, -1,
     true, cmd_submit},
    {"script", NULL, "[OPTIONS] FILE [ARG...]",
     "queue a script as it is now, by the #WATTQ and #SBATCH lines in it", "wattq script job.sh",
     RUN_OPTIONS | OPT(CPUS) | OPT(WAIT) | OPT(HOLD) | OPT(REQUEUE) | OPT(ON_END) | OPT(ARRAY) |
         OPT(SLURM_ENV),
     OPT_COMMAND, -1, true, cmd_script},
    {"exec", "run", "[OPTIONS] -- COMMAND [ARG...]",
     "run a command here and now, metered; its exit code is passed on", "wattq exec -- make -j8",
     RUN_OPTIONS | OPT(CPUS) | OPT(STANDALONE) | OPT(OUT) | OPT(SYSFS_ROOT), OPT_COMMAND, -1, true,
     cmd_exec},
    {"train", NULL, "[OPTIONS] --dataset D --shape S --depth N --size P [TRAINER OPTIONS]",
     "queue the built-in trainer; options not listed here go to wattq-train",
     "wattq train --dataset standin:mnist --shape rectangle --depth 3 --size 2^12 --epochs 5",
     RUN_OPTIONS | OPT(WAIT) | OPT(HOLD) | OPT(ON_END) | OPT(DATA_DIR), OPT_PASS, -1, true,
     cmd_train},
    {"sweep", NULL, "[OPTIONS] -p K=V,V... -- COMMAND {K} | [OPTIONS] train --dataset D,D ...",
     "queue a family of runs: every combination of the given values",
     "wattq sweep -p lr=0.1,0.01 -p seed=1..5 -- python train.py --lr {lr} --seed {seed}",
     RUN_OPTIONS | OPT(CPUS) | OPT(HOLD) | OPT(REQUEUE) | OPT(ON_END) | OPT(REPEAT) |
         OPT(CANARY_EVERY) | OPT(CANARY_NET) | OPT(WARMUP) | OPT(PAUSE) | OPT(REL_ERROR) |
         OPT(ORDER) | OPT(SEED) | OPT(DRY_RUN) | OPT(MAX_FAILS) | OPT(MAX_RUNNING) | OPT(YES) |
         OPT(DATA_DIR),
     OPT_COMMAND, -1, false, cmd_sweep},
    {"study", NULL, "plan [OPTIONS] | cache [OPTIONS | RUN...] | canary [RUN...]",
     "repeat the study here: what to run, its caches put to the test, its control runs",
     "wattq study plan --budget 2h",
     OPT(GRID) | OPT(BUDGET) | OPT(QUEUE) | OPT(DRY_RUN) | OPT(DATA_DIR), OPT_PASS, -1, false,
     cmd_study},
    {"queue", "q", "[OPTIONS]", "what runs, what waits, what ended last", "wattq queue",
     OPT(ALL) | OPT(USER), OPT_MIXED, 0, false, cmd_queue},
    {"show", NULL, "RUN...", "everything about a run: energy, phases, epochs, events, code",
     "wattq show last", OPT(ENERGY), OPT_MIXED, -1, false, cmd_show},
    {"logs", "log", "[OPTIONS] RUN", "the output of a run", "wattq logs -f last",
     OPT(FOLLOW) | OPT(COUNT), OPT_MIXED, 1, false, cmd_logs},
    {"wait", NULL, "[OPTIONS] RUN...", "wait for runs to end; exit code 1 if one failed",
     "wattq wait 3-9 && echo all done", OPT(FOR) | OPT(TIMEOUT), OPT_MIXED, -1, false, cmd_wait},
    {"cancel", NULL, "[OPTIONS] RUN...", "end queued or running runs, with all their processes",
     "wattq cancel 17", OPT(SIGNAL) | OPT(GRACE) | OPT(REASON), OPT_MIXED, -1, false, cmd_cancel},
    {"hold", NULL, "RUN...", "keep queued runs from starting", "wattq hold 18", OPT(REASON),
     OPT_MIXED, -1, false, cmd_hold},
    {"release", NULL, "RUN...|sweep:ID", "let held runs, or a sweep that was held, go on",
     "wattq release 18", OPT(REASON), OPT_MIXED, -1, false, cmd_release},
    {"pause", NULL, "RUN...", "freeze running runs", "wattq pause 17", OPT(REASON), OPT_MIXED, -1,
     false, cmd_pause},
    {"resume", NULL, "RUN...", "let paused runs go on", "wattq resume 17", OPT(REASON), OPT_MIXED,
     -1, false, cmd_resume},
    {"retry", NULL, "RUN...", "queue ended runs again, as new runs linked to the old",
     "wattq retry 17", 0, OPT_MIXED, -1, false, cmd_retry},
    {"why", NULL, "RUN...", "why a run waits, and when it is likely to start (an estimate)",
     "wattq why last", 0, OPT_MIXED, -1, false, cmd_why},
    {"bump", NULL, "[OPTIONS] RUN...",
     "move queued runs to the front of their owner's; whose turn it is does not change",
     "wattq bump 21 20 --before 18", OPT(BEFORE) | OPT(FIRST), OPT_MIXED, -1, false, cmd_bump},
    {"runs", NULL, "[OPTIONS] [RUN...|FILTER...] | pin RUN... | unpin RUN...",
     "past and present runs with time and energy; keep the samples of some",
     "wattq runs 'state=failed and energy > 2kJ'",
     OPT(COUNT) | OPT(STATE) | OPT(SWEEP) | OPT(LABEL) | OPT(SINCE) | OPT(UNTIL) | OPT(ALL) |
         OPT(COLUMNS) | OPT(SORT) | OPT(TOP) | OPT(GROUP_BY) | OPT(AGG) | OPT(CSV) | OPT(JSONL) |
         OPT(REASON),
     OPT_MIXED, -1, false, cmd_runs},
    {"compare", NULL, "[OPTIONS] RUN RUN... | [OPTIONS] RUN --by COLUMN",
     "groups of runs against the first: effect with interval, test and verdict",
     "wattq compare sweep:3 --by param.lr --metric accuracy",
     OPT(REF) | OPT(BY) | OPT(CHANGED_ONLY) | OPT(METRIC) | OPT(WITHIN), OPT_MIXED, -1, false,
     cmd_compare},
    {"diff", NULL, "RUN RUN",
     "what tells two runs apart: command, parameters, environment, code, machine, limits; exit "
     "code 1 if anything does (how they went does not count)",
     "wattq diff last-1 last", 0, OPT_MIXED, 2, false, cmd_diff},
    {"plot", NULL, "[OPTIONS] RUN...",
     "power of runs over time, or a metric over epochs; with -o as an SVG file",
     "wattq plot last --metric test_loss", OPT(OUT) | OPT(CHANNEL) | OPT(METRIC), OPT_MIXED, -1,
     false, cmd_plot},
    {"usage", NULL, "[OPTIONS] [FILTER]",
     "who used how much: runs, hours, energy; cost and CO2 by your factors",
     "wattq usage --by project --since 2026-01-01 --price 0.30EUR/kWh",
     OPT(BY) | OPT(SINCE) | OPT(UNTIL) | OPT(PRICE) | OPT(CO2), OPT_MIXED, -1, false, cmd_usage},
    {"methods", NULL, "[OPTIONS] RUN...",
     "the methods paragraph and the table of a paper, from the runs themselves",
     "wattq methods sweep:3 --format latex", OPT(FORMAT), OPT_MIXED, -1, false, cmd_methods},
    {"tag", NULL, "RUN +TAG|-TAG...", "put tags on runs, or take them off",
     "wattq tag sweep:3 +keep -draft", 0, OPT_PASS, -1, false, cmd_tag},
    {"note", NULL, "RUN TEXT...", "write down what you know of a run",
     "wattq note last the fan was loud", 0, OPT_PASS, -1, false, cmd_note},
    {"label", NULL, "RUN TEXT...", "give runs another label", "wattq label 17 baseline", 0,
     OPT_PASS, -1, false, cmd_label},
    {"metric", NULL, "[OPTIONS] RUN NAME=NUMBER...",
     "give a run numbers of your own, as if its program had reported them",
     "wattq metric 17 accuracy=0.93", OPT(FORCE), OPT_PASS, -1, false, cmd_metric},
    {"energy", NULL, "RUN | --since TIME [--until TIME]",
     "energy of a run or of any past stretch of time, channel by channel",
     "wattq energy --since 09:00 --until 10:00",
     OPT(SINCE) | OPT(UNTIL) | OPT(POLICY) | OPT(CALIBRATED), OPT_MIXED, 1, false, cmd_energy},
    {"power", NULL, "[OPTIONS]", "power now, or as bars over a past stretch of time",
     "wattq power --since -1h",
     OPT(SINCE) | OPT(UNTIL) | OPT(CHANNEL) | OPT(INTERVAL) | OPT(COUNT) | OPT(FOLLOW) | OPT(ALL),
     OPT_MIXED, 0, false, cmd_power},
    {"meters", NULL, "[OPTIONS] [METER | allow | revoke | calibrate [METER --against METER]]",
     "the power meters of this machine, or one with its history; allow lets you read a root-only "
     "one until reboot; "
     "calibrate "
     "fits one to a better one over the last hour (--since, --until), or lists such fits",
     "wattq meters",
     OPT(ALL) | OPT(YES) | OPT(SYSFS_ROOT) | OPT(USER) | OPT(AGAINST) | OPT(SERIAL) | OPT(SINCE) |
         OPT(UNTIL),
     OPT_MIXED, 2, false, cmd_meters},
    {"idle", NULL, "[measure] [OPTIONS]",
     "what the machine draws when no run is on: in force, how it came about, and taken anew",
     "wattq idle measure --for 60s", OPT(FOR) | OPT(ALL), OPT_MIXED, 1, false, cmd_idle},
    {"phase", NULL, "[RUN] NAME", "mark where a part of a run begins; the name end closes it",
     "wattq phase train", 0, OPT_MIXED, 2, false, cmd_phase},
    {"top", NULL, "[OPTIONS]", "live power and runs; q ends it", "wattq top -d 500ms",
     OPT(INTERVAL) | OPT(COUNT), OPT_MIXED, 0, false, cmd_top},
    {"who", NULL, "", "who holds the CPUs and GPUs, since when, and who else is on them",
     "wattq who", 0, OPT_MIXED, 0, false, cmd_who},
    {"model", NULL, "[ls | show [MODEL] | fit [RUN...]]",
     "the energy model of this machine: fit it to runs, see what it says and how far to trust it",
     "wattq model fit sweep:3", OPT(BACKEND), OPT_MIXED, -1, false, cmd_model},
    {"finding", NULL, "[sweep:ID | RUN...]",
     "what a sweep of networks shows: time and energy against size and cache level",
     "wattq finding", 0, OPT_MIXED, -1, false, cmd_finding},
    {"predict", NULL, "[--model ID] --dataset D --shape S --depth N --size P [TRAINER OPTIONS]",
     "what training a network will take, before it is trained: time and energy with an interval",
     "wattq predict --dataset adult --shape rectangle --depth 4 --size 2^14 --epochs 30",
     OPT(MODEL) | OPT(DATA_DIR), OPT_PASS, -1, false, cmd_predict},
    {"advise", NULL, "--dataset D [--loss X] [RUN...]",
     "which network to train on a data set: what each needs to reach a loss, and why to take which",
     "wattq advise --dataset adult --loss 0.33", OPT(DATASET) | OPT(LOSS) | OPT(BACKEND), OPT_MIXED,
     -1, false, cmd_advise},
    {"sql", NULL, "[OPTIONS] 'SELECT ...' [RUN...]",
     "ask past runs in SQL: one statement that reads, over the views listed below",
     "wattq sql \"SELECT label, avg(energy_j) FROM runs WHERE quality = 'measured' GROUP BY "
     "label\"",
     OPT(CSV) | OPT(JSONL) | OPT(COUNT) | OPT(TIMEOUT), OPT_MIXED, -1, false, cmd_sql},
    {"export", NULL,
     "--csv DIR | --jsonl FILE | --sqlite FILE | --butter DIR | --bundle FILE [OPTIONS] [RUN...]",
     "write runs, figures and meters to files; - is the standard output",
     "wattq export --sqlite runs.db sweep:12",
     OPT(CSV) | OPT(JSONL) | OPT(SQLITE) | OPT(BUTTER) | OPT(BUNDLE) | OPT(TABLE) | OPT(CURVES),
     OPT_MIXED, -1, false, cmd_export},
    {"import", NULL, "FILE...",
     "take in runs measured elsewhere: exports, standalone records, the study's CSV",
     "wattq import other-machine.jsonl", 0, OPT_MIXED, -1, false, cmd_import},
    {"verify", NULL, "FILE",
     "compute every joule of a bundle again, without a daemon; exit code 1 if one differs",
     "wattq verify paper.bundle", 0, OPT_MIXED, 1, false, cmd_verify},
    {"audit", NULL, "[--since TIME]",
     "does all energy add up: accounts, shares of runs, chunks; exit code 1 where it does not",
     "wattq audit --since -1d", OPT(SINCE), OPT_MIXED, 0, false, cmd_audit},
    {"report", NULL, "[OPTIONS] [RUN...]",
     "one HTML page about training runs: the study's findings against them, figures, model",
     "wattq report -o sweep.html sweep:3", OPT(OUT) | OPT(TITLE), OPT_MIXED, -1, false, cmd_report},
    {"admin", NULL,
     "check | backup FILE | restore FILE | compact | retire USER | forget USER --yes | "
     "gpu GPU off|on | log",
     "for admins: is any of the database damaged, a copy of all of it, its free space given back; "
     "a user who leaves keeps no name, or nothing that "
     "tells of them; a GPU that no run is given; who did what",
     "wattq admin backup wattq-backup.db", OPT(YES) | OPT(COUNT) | OPT(REASON), OPT_MIXED, 3, false,
     cmd_admin},
    {"info", NULL, "",
     "the daemon: version, storage, queue, its own cost, what the trainer can use", "wattq info", 0,
     OPT_MIXED, 0, false, cmd_info},
    {"help", NULL, "[COMMAND|filter|columns]",
     "what a command does and its options; the filter language; the columns of a run",
     "wattq help filter", 0, OPT_MIXED, 1, false, cmd_help},
    {"version", NULL, "", "the version of this program", "wattq version", 0, OPT_MIXED, 0, false,
     cmd_version},
};
const size_t cmd_count = ARRAY_LEN(cmd_table);

static const struct cmd overview = {"queue", NULL,      "", "",    "",
                                    0,       OPT_MIXED, 0,  false, cmd_overview};

const struct cmd *cmd_find(const char *name)
{
    for (size_t i = 0; i < cmd_count; i++) {
        const struct cmd *c = &cmd_table[i];
        if (strcmp(name, c->name) == 0 || (c->alias && strcmp(name, c->alias) == 0))
            return c;
    }
    return NULL;
}

static int unknown_command(const char *name, struct err *e)
{
    struct suggest s;
    suggest_init(&s, name);
    for (size_t i = 0; i < cmd_count; i++)
        suggest_offer(&s, cmd_table[i].name);
    err_set(e, WATTQ_E_USAGE, "there is no command '%.60s'", name);
    if (s.best)
        return err_next(e, "did you mean wattq %s?", s.best);
    return err_next(e, "wattq help lists the commands; to queue a program: wattq submit -- %.60s",
                    name);
}

/* ---- shared by the commands --------------------------------------------------------------------- */

int cmd_connect(const struct app *app, struct conn **c, struct err *e)
{
    char user[USERS_NAME_MAX];
    int rc = conn_open(c, args_str(&app->args, OPT_SOCKET, NULL), e);
    if (rc == 0 && conn_stranger(*c) >= 0)
        cmd_say(app, "this wattqd is %s's; it shows what it lets others see",
                users_name(conn_stranger(*c), user));
    return rc;
}

static int print_document(const struct app *app, const char *name, const struct wire_val *reply,
                          bool one_line, struct err *e)
{
    char schema[64];
    (void)snprintf(schema, sizeof schema, "wattq.%s/1", name);
    return json_write(app->print.out, json_document(schema, reply), one_line, e);
}

int cmd_print_json(const struct app *app, const char *name, const struct wire_val *reply,
                   struct err *e)
{
    return print_document(app, name, reply, false, e);
}

int cmd_print_jsonl(const struct app *app, const char *name, const struct wire_val *reply,
                    struct err *e)
{
    int rc = print_document(app, name, reply, true, e);
    if (rc == 0 && fflush(app->print.out) != 0)
        rc = err_errno(e, WATTQ_E_IO, "cannot write to the standard output");
    return rc;
}

int cmd_need(const struct app *app, size_t least, const char *what, struct err *e)
{
    if (app->args.npos >= least)
        return 0;
    err_set(e, WATTQ_E_USAGE, "wattq %s needs %s", app->cmd->name, what);
    return err_next(e, "for example: %s", app->cmd->example);
}

int cmd_exit_of(const struct wire_val *run)
{
    return strcmp(wire_str(run, "state", ""), "done") == 0 ? 0 : EXIT_ASKED_FAILED;
}

int cmd_pass_on(const struct wire_val *run)
{
    int64_t sig = wire_int(run, "term_signal", 0);
    int64_t code = wire_int(run, "exit_code", -1);
    if (sig > 0)
        return (int)(128 + sig);
    if (code < 0)
        return EXIT_OURS;
    /* A run that was ended from outside and yet exited with 0 has not done what it was to do. */
    return code == 0 ? cmd_exit_of(run) : (int)(code & 0xff);
}

struct wire_msg *cmd_whole_run(struct conn *c, int64_t run)
{
    struct wire_msg *m = NULL;
    struct wire_out *o = conn_begin(c, "wait");
    wire_begin_array(o, "runs");
    wire_put_int(o, NULL, run);
    wire_end(o);
    if (conn_call(c, &m, NULL) < 0)
        return NULL;
    if (wire_type(wire_get(wire_msg_root(m), "run")) == WIRE_MAP && !conn_more(m))
        return m;
    wire_msg_free(m);
    return NULL;
}

void cmd_say(const struct app *app, const char *fmt, ...)
{
    if (app->quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)fflush(app->print.out);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
}

/* ---- help, version ------------------------------------------------------------------------------ */

int cmd_help(struct app *app, struct err *e)
{
    if (app->args.npos == 0) {
        help_overview(app->print.out);
        return 0;
    }
    const struct cmd *c = cmd_find(app->args.pos[0]);
    if (c)
        help_command(app->print.out, c);
    else if (strcmp(app->args.pos[0], "filter") == 0)
        help_filter(app->print.out);
    else if (strcmp(app->args.pos[0], "columns") == 0)
        help_columns(app->print.out);
    else
        return unknown_command(app->args.pos[0], e);
    return 0;
}

int cmd_version(struct app *app, struct err *e)
{
    if (!app->json) {
        (void)fprintf(app->print.out, "wattq %s\n", WATTQ_VERSION);
        return 0;
    }
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.version/1"));
    json_put(doc, "version", json_string(WATTQ_VERSION));
    json_put(doc, "protocol", json_integer(WIRE_VERSION));
    return json_write(app->print.out, doc, false, e);
}

/* ---- from argv to exit code --------------------------------------------------------------------- */

static int check_count(const struct app *app, struct err *e)
{
    int most = app->cmd->most;
    if (most < 0 || app->args.npos <= (size_t)most)
        return 0;
    err_set(e, WATTQ_E_USAGE, "wattq %s does not know what to do with '%.60s'", app->cmd->name,
            app->args.pos[most]);
    return err_next(e, "usage: wattq %s %s", app->cmd->name, app->cmd->usage);
}

/* Options may stand before the command too: wattq --json queue. */
static int parse(struct app *app, int argc, char **argv, struct err *e)
{
    int rc = opt_parse(&app->args, OPT_COMMON | OPT(VERSION), OPT_COMMAND, argc - 1, argv + 1, e);
    if (rc < 0)
        return rc;
    if (args_has(&app->args, OPT_VERSION)) {
        app->cmd = cmd_find("version");
    } else if (app->args.npos == 0) {
        app->cmd = args_has(&app->args, OPT_HELP) ? cmd_find("help") : &overview;
    } else {
        app->cmd = cmd_find(app->args.pos[0]);
        if (!app->cmd)
            return unknown_command(app->args.pos[0], e);
        int at = argc - (int)app->args.npos + 1; /* the first word behind the command */
        app->args.npos = 0;
        app->args.dashes = false;
        rc = opt_parse(&app->args, OPT_COMMON | app->cmd->options, app->cmd->mode, argc - at,
                       argv + at, e);
    }
    return rc < 0 ? rc : check_count(app, e);
}

static int run(struct app *app, struct err *e)
{
    app->json = args_has(&app->args, OPT_JSON);
    app->quiet = args_has(&app->args, OPT_BARE);
    int rc = print_init(&app->print, stdout, args_str(&app->args, OPT_COLOR, "auto"),
                        args_has(&app->args, OPT_ASCII), e);
    if (rc < 0)
        return rc;
    if (args_has(&app->args, OPT_HELP) && app->cmd->run != cmd_help) {
        help_command(stdout, app->cmd);
        return 0;
    }
    return app->cmd->run(app, e);
}

static void tell(const struct app *app, const struct err *e)
{
    (void)fflush(stdout);
    if (!app->json) {
        (void)fprintf(stderr, "wattq: %s\n", e->text);
        if (e->next[0])
            (void)fprintf(stderr, "       %s\n", e->next);
        return;
    }
    json_t *error = json_object();
    json_put(error, "code", json_string(err_name(e->code)));
    json_put(error, "text", json_text(e->text, strlen(e->text)));
    json_put(error, "next", e->next[0] ? json_text(e->next, strlen(e->next)) : json_null());
    json_t *doc = json_object();
    json_put(doc, "schema", json_string("wattq.error/1"));
    json_put(doc, "error", error);
    if (json_write(stderr, doc, true, NULL) < 0)
        return; /* nobody listens to us any more */
}

int cmd_main(int argc, char **argv)
{
    struct app app = {.print = {.out = stdout}};
    struct err e = {0};
    int rc = parse(&app, argc, argv, &e);
    if (rc == 0)
        rc = run(&app, &e);
    else
        for (int i = 1; i < argc; i++) /* what could not be parsed may still have asked for it */
            app.json = app.json || strcmp(argv[i], "--json") == 0;
    if (rc >= 0 && fflush(stdout) != 0 && errno != EPIPE)
        rc = err_errno(&e, WATTQ_E_IO, "cannot write to the standard output");
    if (rc < 0) {
        tell(&app, &e);
        bool ours = app.cmd && app.cmd->passes_code && rc != WATTQ_E_USAGE &&
                    (app.cmd->run == cmd_exec || args_has(&app.args, OPT_WAIT));
        rc = ours ? EXIT_OURS : err_exit_code(rc);
    }
    args_fini(&app.args);
    return rc;
}
