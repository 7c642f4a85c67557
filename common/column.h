/* The columns of a run: what can be filtered by, listed, sorted and grouped. One table feeds the filter
 * language (filter.h), the op `table`, `wattq runs --columns`, `wattq help columns` and the man page; how
 * a column is read from the database stands beside it in daemon/store/query_sql.c. Pure, any thread.
 *
 * Beside the fixed names there are families, whose last part is the user's own word:
 *   param.K              a parameter of the run (-p K=V)
 *   info.K  summary.K    what the program said in its metrics lines of that name
 *   metric.K             the newest value of a metric; metric.K.min .max .first .last .n of its curve.
 *                        A metric whose own name ends in such a word is written metric.K.min.last
 *   tag.NAME             does the run have this tag
 *   energy.LABEL         energy of one channel, by its label or uid; energy.lo, energy.hi: bounds of the total
 * A word with other characters than A-Z a-z 0-9 _ . - stands in quotes: energy."GPU 0". */
#ifndef COMMON_COLUMN_H
#define COMMON_COLUMN_H

#include "common/err.h"

/* How values are kept, compared and written; the unit is that of the wire. */
enum column_type {
    COLUMN_INT,
    COLUMN_REAL,
    COLUMN_TEXT,
    COLUMN_BOOL,
    COLUMN_TIME,     /* utc_ns */
    COLUMN_DURATION, /* ns */
    COLUMN_ENERGY,   /* uJ */
    COLUMN_POWER,    /* uW */
    COLUMN_BYTES,    /* B */
    COLUMN_ANY       /* a parameter: integer, real or text, each as it was given */
};

/* id, name, type, what it is. Order: as listed by help. */
#define COLUMNS(X)                                                                                 \
    X(ID, "id", INT, "number of the run")                                                          \
    X(UUID, "uuid", TEXT, "the run's name that is unique across machines")                         \
    X(STATE, "state", TEXT, "queued, running, done, failed, ...")                                  \
    X(KIND, "kind", TEXT, "command, train or exec")                                                \
    X(LABEL, "label", TEXT, "name given with -J")                                                  \
    X(PROJECT, "project", TEXT, "project given with -P")                                           \
    X(USER, "user", TEXT, "who queued it")                                                         \
    X(UID, "uid", INT, "the same as a number")                                                     \
    X(SWEEP, "sweep", INT, "sweep it belongs to")                                                  \
    X(INDEX, "index", INT, "its place in that sweep")                                              \
    X(PRIORITY, "priority", INT, "larger starts first")                                            \
    X(RETRY_OF, "retry_of", INT, "run that it repeats")                                            \
    X(SUBMIT, "submit", TIME, "when it was queued")                                                \
    X(START, "start", TIME, "when it started")                                                     \
    X(END, "end", TIME, "when its last process was gone")                                          \
    X(TIME, "time", DURATION, "how long it ran; unknown until it has ended")                       \
    X(ENERGY, "energy", ENERGY, "energy of the machine over the run")                              \
    X(LO, "lo", ENERGY, "lower bound of that energy")                                              \
    X(HI, "hi", ENERGY, "upper bound of that energy")                                              \
    X(ATTRIBUTED, "attributed", ENERGY,                                                            \
      "of that the run's own share; all of it where it was alone")                                 \
    X(MARGINAL, "marginal", ENERGY, "its share beyond an idle machine; may be below 0")            \
    X(QUALITY, "quality", TEXT, "of the energy: measured, modelled, estimated, none")              \
    X(FLAGS, "flags", TEXT, "words about the energy: overlap, bridged, unknown, ...")              \
    X(POWER, "power", POWER, "mean power: energy by time")                                         \
    X(CPU, "cpu", DURATION, "CPU time of all its processes")                                       \
    X(GPU, "gpu", DURATION, "time it held GPUs, times their number; unknown: held none")           \
    X(CPU_SHARE, "cpu_share", REAL, "CPU time by time: cores in use")                              \
    X(MEM, "mem", BYTES, "largest resident memory")                                                \
    X(EXIT, "exit", INT, "exit code")                                                              \
    X(SIGNAL, "signal", INT, "number of the signal that ended it")                                 \
    X(REASON, "reason", TEXT, "why it is in its state")                                            \
    X(COMMAND, "command", TEXT, "the command line")                                                \
    X(MODE, "mode", TEXT, "how it was supervised")                                                 \
    X(LEFTOVERS, "leftovers", INT, "processes killed after the main one ended")                    \
    X(TAG, "tag", TEXT, "its tags; a comparison holds if one of them fits")                        \
    X(NOTE, "note", TEXT, "its notes, in one text")                                                \
    X(ORIGIN, "origin", TEXT, "machine it was imported from; empty: run here")                     \
    X(DATASET, "dataset", TEXT, "data set of a training run")                                      \
    X(SHAPE, "shape", TEXT, "shape of its network")                                                \
    X(DEPTH, "depth", INT, "its layers")                                                           \
    X(SIZE, "size", INT, "parameters asked for")                                                   \
    X(PARAMS, "params", INT, "parameters it has")                                                  \
    X(EPOCHS, "epochs", INT, "epochs made; before it ends: asked for")                             \
    X(BACKEND, "backend", TEXT, "what computed it")                                                \
    X(J_PER_DATUM, "j_per_datum", REAL, "joules per training row seen")                            \
    X(TEST_LOSS, "test_loss", REAL, "newest test loss")                                            \
    X(BEST_LOSS, "best_loss", REAL, "least test loss")                                             \
    X(ACCURACY, "accuracy", REAL, "newest test accuracy, 0 to 1")

enum column_id {
#define X(id, name, type, doc) COLUMN_ID_##id,
    COLUMNS(X)
#undef X
        COLUMN_FIXED, /* how many fixed names there are; families follow */
    COLUMN_ID_PARAM = COLUMN_FIXED,
    COLUMN_ID_INFO,
    COLUMN_ID_SUMMARY,
    COLUMN_ID_METRIC,
    COLUMN_ID_TAG_OF,
    COLUMN_ID_CHANNEL,
    COLUMN_ALL
};

struct column_def {
    const char *name;
    enum column_type type;
    const char *doc;
};
extern const struct column_def column_defs[COLUMN_FIXED];

#define COLUMN_KEY_MAX  160 /* bytes of the user's part, with its NUL */
#define COLUMN_NAME_MAX 184 /* of a whole name */

enum column_part { COLUMN_LAST, COLUMN_MIN, COLUMN_MAX, COLUMN_FIRST, COLUMN_N };

struct column {
    enum column_id id;
    enum column_part part;    /* of a metric */
    char key[COLUMN_KEY_MAX]; /* of a family, else "" */
};

/* The column of that name (bytes long). WATTQ_E_USAGE: text says what is wrong, next what may be meant. */
int column_find(struct column *out, const char *name, size_t bytes, struct err *e) MUST_USE;
/* Its name as column_find reads it; buf is returned. */
const char *column_name(char *buf, size_t cap, const struct column *c);
enum column_type column_type(const struct column *c);
bool column_is_joule(
    const struct column *c); /* made of energy: never mixes measured and estimated */
bool column_is_number(
    const struct column *c); /* can be aggregated; COLUMN_ANY may turn out to be text */
const char *column_type_name(enum column_type t); /* "energy" */
const char *column_unit(enum column_type t);      /* of the wire: "uJ"; "" = none */
/* The only words that a text column can hold, NULL-terminated; NULL = any. */
const char *const *column_words(const struct column *c);
bool column_same(const struct column *a, const struct column *b);

#endif
