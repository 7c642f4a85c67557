/* The options of wattq-train: one table feeds the parser, --help and the defaults. Strings are borrowed
 * from argv and the environment. */
#ifndef TRAINER_OPTIONS_H
#define TRAINER_OPTIONS_H

#include "daemon/trainer/backend.h"

#define OPTIONS_AUTO 0 /* epochs: "auto" */

struct options {
    const char *dataset;
    const char *data_dir;
    const char *labels;
    const char *target;
    const char *shape;
    const char *layers;
    const char *backend;
    const char *cpus;    /* "0-3,8"; NULL = wherever the system puts it */
    const char *resctrl; /* a control group's directory; NULL = stays where it is */
    int64_t depth;
    int64_t size;   /* wanted parameters; 0 with layers */
    int64_t epochs; /* OPTIONS_AUTO: until min_seconds and min_epochs have passed */
    int64_t min_epochs;
    int64_t beside; /* copies of this training at the same time */
    int64_t batch;
    int64_t seed;
    int64_t threads;
    int64_t adam;      /* enum backend_adam */
    int64_t init;      /* enum network_init */
    int64_t precision; /* enum backend_precision */
    double lr;
    double eps;
    double min_seconds;    /* of training steps; 0 = not given */
    double warmup_seconds; /* 0 = no phase warmup */
    double max_seconds;    /* 0 = no limit */
    double loss_target;    /* 0 = none */
    bool describe;
    bool backends;
    bool help;
    bool version;
};

/* Defaults, then argv, then checks that need no data. 0, or WATTQ_E_USAGE. */
int options_parse(struct options *o, int argc, char **argv, struct err *e) MUST_USE;
void options_help(FILE *out);
/* The word of a choice: options_word("init", NETWORK_HE_UNIFORM) is "he". */
const char *options_word(const char *option, int64_t value);

#endif
