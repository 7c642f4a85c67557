/* Options of the client: one table for parser, help, man page and tests. Pure.
 * A letter means one thing in every command, and what it means elsewhere (-t time, -J label as in
 * sbatch; -n count, -G GPUs, -f follow as in tail). */
#ifndef CLIENT_OPT_H
#define CLIENT_OPT_H

#include "common/err.h"

/* id, name, letter (0 = none), name of its value (NULL = a switch), may be repeated, help */
#define OPT_TABLE(X)                                                                               \
    X(HELP, "help", 'h', NULL, 0, "show what a command does and its options")                      \
    X(JSON, "json", 0, NULL, 0, "print data as JSON; nanoseconds are strings, unknown is null")    \
    X(SOCKET, "socket", 0, "PATH", 0, "talk to the daemon on this socket")                         \
    X(COLOR, "color", 0, "WHEN", 0, "auto (default), always or never")                             \
    X(ASCII, "ascii", 0, NULL, 0, "draw bars with plain ASCII characters")                         \
    X(BARE, "bare", 'q', NULL, 0, "print only the bare value: ids, or nothing")                    \
    X(QUIET, "quiet", 0, "PART,TIME", 0,                                                           \
      "start when others have used at most PART of the CPUs for TIME: 1%,5m")                      \
    X(TIME, "time", 't', "DURATION", 0, "end the run after this time: 90s, 15m, 2h30m")            \
    X(LABEL, "label", 'J', "TEXT", 0, "name of the run; with runs: only runs of that name")        \
    X(PROJECT, "project", 'P', "TEXT", 0, "project the run belongs to")                            \
    X(PRIORITY, "priority", 0, "N", 0,                                                             \
      "-1000 to 1000, larger starts first (default 0; on a shared machine above 0 for admins)")    \
    X(EXCLUSIVE, "exclusive", 0, NULL, 0,                                                          \
      "alone on the machine (default in user mode, and of train)")                                 \
    X(SHARED, "shared", 0, NULL, 0, "may run beside other shared runs (default in system mode)")   \
    X(GPUS, "gpus", 'G', "N|NAME,..", 0,                                                           \
      "give it so many GPUs, or these (wattq who names them); 0 hides them all")                   \
    X(CPUS, "cpus", 'c', "N", 0,                                                                   \
      "give it so many CPUs (shared: 1; exclusive: all); OMP_NUM_THREADS says so")                 \
    X(MEM, "mem", 0, "SIZE", 0,                                                                    \
      "reserve so much memory, and end it beyond: 32G; all its processes together")                \
    X(ENERGY_LIMIT, "energy-limit", 0, "ENERGY", 0,                                                \
      "end it beyond so much: 500kJ; of --shared runs also by which figure: 500kJ,attributed")     \
    X(NICE, "nice", 0, "N", 0, "0 to 19, larger lets other programs go first (default 0)")         \
    X(WAIT, "wait", 'W', NULL, 0, "wait for the end and exit with the run's exit code")            \
    X(HOLD, "hold", 'H', NULL, 0, "queue it held, until wattq release")                            \
    X(STDIN, "stdin", 0, "FILE", 0, "what the run reads from its standard input")                  \
    X(CHDIR, "chdir", 'D', "DIR", 0, "directory the run starts in (default: the one you are in)")  \
    X(EXPORT, "export", 0, "ALL|NONE|NAME,..", 0,                                                  \
      "which variables of your environment it gets; NONE leaves HOME, PATH and the like")          \
    X(ENV, "env", 'e', "K=V", 1, "set or replace one environment variable of the run")             \
    X(PARAM, "param", 'p', "K=V", 1, "parameter of the run; with sweep an axis: a,b,c or 1..5")    \
    X(GRACE, "grace", 0, "DURATION", 0, "time between TERM and KILL (default 30s)")                \
    X(LOG_CAP, "log-cap", 0, "BYTES", 0, "keep at most this much output (default 256M)")           \
    X(WAIT_CHILDREN, "wait-children", 0, NULL, 0, "the run ends when its last process does")       \
    X(REQUEUE, "requeue", 0, NULL, 0, "submit it again if the machine goes down under it")         \
    X(ON_END, "on-end", 0, "COMMAND", 0,                                                           \
      "a shell command run once after it has ended, with WATTQ_RUN_ID and WATTQ_STATE set")        \
    X(STANDALONE, "standalone", 0, NULL, 0, "run and meter without any daemon; needs --out")       \
    X(OUT, "out", 'o', "FILE", 0,                                                                  \
      "file to write: a page (- = standard output), a picture, a standalone record")               \
    X(REPEAT, "repeat", 'r', "N", 0,                                                               \
      "run every point N times, in N shuffled passes (networks: 3)")                               \
    X(CANARY_EVERY, "canary-every", 0, "N", 0,                                                     \
      "a control run after every N networks (20; 0 none)")                                         \
    X(CANARY_NET, "canary-net", 0, "K=V,..", 0, "network of the control runs: size=2^14,depth=4")  \
    X(WARMUP, "warmup", 0, "DURATION", 0, "length of the run that is thrown away first (10s; 0)")  \
    X(PAUSE, "pause", 0, "DURATION", 0, "idle time before each run (2s for networks, else 0)")     \
    X(IDLE_BRACKET, "idle-bracket", 0, "DURATION", 0,                                              \
      "measure idle power for so long before and after the run; nothing else starts: 30s")         \
    X(AGAINST, "against", 0, "METER", 0, "the better meter that another one is fitted to")         \
    X(SERIAL, "serial", 0, "TEXT", 0, "serial number of the better meter, kept with the fit")      \
    X(CALIBRATED, "calibrated", 0, NULL, 0,                                                        \
      "also what meters that were fitted to a better one would have shown by it")                  \
    X(REL_ERROR, "rel-error", 0, "PART", 0, "train long enough for the meter to tell this (1%)")   \
    X(GRID, "grid", 0, "NAME", 0,                                                                  \
      "sizes around this machine's caches (caches) or the study's (study)")                        \
    X(BUDGET, "budget", 0, "DURATION", 0, "leave values out until it takes no longer (4h)")        \
    X(QUEUE, "queue", 0, NULL, 0, "queue it")                                                      \
    X(ORDER, "order", 0, "HOW", 0, "random (default) or given")                                    \
    X(SEED, "seed", 0, "N", 0, "seed of the random order, so that it can be had again")            \
    X(MAX_RUNNING, "max-running", 0, "N", 0, "so many of its runs at a time, at most")             \
    X(ARRAY, "array", 0, "0-9%2", 0,                                                               \
      "a sweep over WATTQ_ARRAY_TASK_ID: numbers, ranges, %N at a time")                           \
    X(SLURM_ENV, "slurm-env", 0, NULL, 0, "set SLURM_JOB_ID, SLURM_ARRAY_TASK_ID and the like")    \
    X(DRY_RUN, "dry-run", 0, NULL, 0, "show what would be queued, queue nothing")                  \
    X(MAX_FAILS, "max-fails", 0, "N", 0, "hold the sweep after N quick failures in a row (5)")     \
    X(YES, "yes", 'y', NULL, 0,                                                                    \
      "do not ask: queue more than 1000 runs, change permissions, forget")                         \
    X(DATA_DIR, "data-dir", 0, "DIR", 0, "where the data sets' files are (NAME.tsv.gz)")           \
    X(ALL, "all", 'a', NULL, 0, "everything: runs of everybody, every channel, all ended runs")    \
    X(ENERGY, "energy", 0, NULL, 0, "the record of its energy: bounds, meters, errors, rules met") \
    X(USER, "user", 'u', "NAME", 0, "only runs of this user")                                      \
    X(DATASET, "dataset", 0, "NAME", 0, "only runs trained on this data set")                      \
    X(BACKEND, "backend", 0, "NAME", 0, "only runs of this backend of wattq-train: openblas")      \
    X(MODEL, "model", 0, "ID", 0, "by this model instead of the newest one")                       \
    X(LOSS, "loss", 0, "X", 0, "the test loss to reach")                                           \
    X(COUNT, "count", 'n', "N", 0, "how many: lines of a log, runs of a list, samples, rows")      \
    X(FOLLOW, "follow", 'f', NULL, 0, "go on as more comes, until the run ends")                   \
    X(FOR, "for", 0, "WHAT", 0,                                                                    \
      "wait: ended (default) or started; idle measure: for how long (60s)")                        \
    X(TIMEOUT, "timeout", 0, "DURATION", 0,                                                        \
      "give up after this time (waiting: exit code 124; sql: 10s)")                                \
    X(STATE, "state", 0, "STATE", 0, "only runs in this state: done, failed, ...")                 \
    X(SWEEP, "sweep", 0, "ID", 0, "only runs of this sweep")                                       \
    X(REF, "ref", 0, "RUN", 0, "the group that the others are compared with; with --by its value") \
    X(BY, "by", 0, "COLUMN", 0,                                                                    \
      "what splits the runs: param.NAME, label, ...; usage: user, project, gpu, day")              \
    X(CHANGED_ONLY, "changed-only", 0, NULL, 0, "leave out parameters that are the same in all")   \
    X(METRIC, "metric", 0, "NAME", 1, "compare: this metric too; plot: this metric over epochs")   \
    X(WITHIN, "within", 0, "PERCENT", 0, "what counts as equivalent (default 2%)")                 \
    X(PRICE, "price", 0, "PRICE", 0, "cost at this price: 0.30EUR/kWh")                            \
    X(CO2, "co2", 0, "EMISSION", 0, "emissions at this rate: 380g/kWh")                            \
    X(FORMAT, "format", 0, "FORMAT", 0, "md (default) or latex")                                   \
    X(SINCE, "since", 'S', "TIME", 0, "from then on: -2h, 09:30, 2026-01-31, RFC 3339")            \
    X(UNTIL, "until", 'E', "TIME", 0, "up to then; as --since")                                    \
    X(POLICY, "policy", 0, "HOW", 0,                                                               \
      "share idle power among runs at once: none, equal, reserved, usage")                         \
    X(SIGNAL, "signal", 's', "NAME", 0, "first signal of a cancel: TERM (default), INT, KILL")     \
    X(BEFORE, "before", 0, "RUN", 0, "bump: to just before this run of the same owner")            \
    X(FIRST, "first", 0, NULL, 0, "bump: before everybody's runs, for admins")                     \
    X(REASON, "reason", 0, "TEXT", 0, "why; kept with the run's history, or the log of admins")    \
    X(INTERVAL, "interval", 'd', "DURATION", 0, "time between samples (default 1s)")               \
    X(CHANNEL, "channel", 0, "LABEL", 0, "only this channel")                                      \
    X(CSV, "csv", 0, NULL, 0, "comma-separated values, quoted by RFC 4180")                        \
    X(JSONL, "jsonl", 0, NULL, 0, "one JSON object a line")                                        \
    X(SQLITE, "sqlite", 0, NULL, 0, "one SQLite file with tables and views")                       \
    X(BUTTER, "butter", 0, NULL, 0, "the files of the published study, runs of networks only")     \
    X(BUNDLE, "bundle", 0, NULL, 0,                                                                \
      "one SQLite file from which every joule can be computed again")                              \
    X(TABLE, "table", 0, "NAME", 1, "only this table, by the names of wattq help sql")             \
    X(CURVES, "curves", 0, NULL, 0, "also every line of metrics, and training epoch by epoch")     \
    X(SYSFS_ROOT, "sysfs-root", 0, "DIR", 0, "use the sysfs tree below DIR instead of the real")   \
    X(COLUMNS, "columns", 0, "LIST", 0,                                                            \
      "columns of the table: a,b,c; or -a,+b from the usual ones")                                 \
    X(SORT, "sort", 0, "LIST", 0, "order: energy, -energy for largest first, several by commas")   \
    X(TOP, "top", 0, "N", 0, "only the first N in the order of --sort")                            \
    X(GROUP_BY, "group-by", 0, "LIST", 0, "one row per value of these columns: param.lr,dataset")  \
    X(AGG, "agg", 0, "LIST", 0,                                                                    \
      "figures of a group: n,mean:energy,ci:energy (or sd median min max sum)")                    \
    X(FORCE, "force", 0, NULL, 0, "write over a number that the program itself reported")          \
    X(TITLE, "title", 0, "TEXT", 0, "heading of the page")                                         \
    X(VERSION, "version", 'V', NULL, 0, "same as wattq version")

enum opt_id {
#define X(id, name, letter, value, repeats, help) OPT_##id,
    OPT_TABLE(X)
#undef X
        OPT_COUNT_OF_ALL
};

__extension__ typedef unsigned __int128 opt_set; /* one bit per option */
#define OPT(id) ((opt_set)1 << OPT_##id)
/* What every command takes. */
#define OPT_COMMON (OPT(HELP) | OPT(JSON) | OPT(SOCKET) | OPT(COLOR) | OPT(ASCII) | OPT(BARE))

struct opt_def {
    const char *name;
    char letter;       /* 0 = none */
    const char *value; /* NULL = a switch */
    bool repeats;
    const char *help;
};
extern const struct opt_def opt_defs[OPT_COUNT_OF_ALL];

enum opt_mode {
    OPT_MIXED,   /* options and arguments in any order, "--" ends options */
    OPT_COMMAND, /* the first argument begins somebody else's command line */
    OPT_PASS     /* an unknown option is an argument as well: wattq-train's, or a tag to drop */
};

/* Parsed arguments. Values point into argv; only the arrays are owned. */
struct args {
    const char **value[OPT_COUNT_OF_ALL];
    size_t n[OPT_COUNT_OF_ALL]; /* times given */
    char **pos;                 /* arguments that are no options; NULL-terminated */
    size_t npos;
    bool dashes; /* "--" stood before pos[0] */
};

/* Parse argv[0 .. argc), which does not contain the command's name; adds to what a holds already.
 * Zero-initialise a; args_fini also after a failure. WATTQ_E_USAGE with a suggestion. */
int opt_parse(struct args *a, opt_set allowed, enum opt_mode mode, int argc, char **argv,
              struct err *e) MUST_USE;
void args_fini(struct args *a);
/* As if it had been typed once more; value is borrowed. */
void args_put(struct args *a, enum opt_id id, const char *value);
/* What `over` says goes before what a says: a value instead of a's, one more of what may be repeated, and of
 * --exclusive and --shared the one that over names. Arguments that are no options stay a's. */
void args_override(struct args *a, const struct args *over);

bool args_has(const struct args *a, enum opt_id id);
const char *args_str(const struct args *a, enum opt_id id,
                     const char *dflt); /* the last one given */
/* Typed values; *out is untouched when the option was not given. WATTQ_E_USAGE names the option. */
int args_int(const struct args *a, enum opt_id id, int64_t lo, int64_t hi, int64_t *out,
             struct err *e) MUST_USE;
int args_duration(const struct args *a, enum opt_id id, int64_t *out_ns, struct err *e) MUST_USE;
int args_bytes(const struct args *a, enum opt_id id, int64_t *out, struct err *e) MUST_USE;
int args_time(const struct args *a, enum opt_id id, int64_t *out_utc_ns, struct err *e) MUST_USE;

#endif
