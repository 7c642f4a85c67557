/* Options: one table feeds the command line (--name value, --name=value; a bool may stand alone), the
 * config file (`name = value`, # comments), --help and the check of the man page. To add one: a line in
 * config_options, its field, and its paragraph in docs/wattqd.8. A wrong one names the nearest right one. Limits of
 * users (user_limits.h) are also taken as NAME@USER. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "common/err.h"
#include "daemon/queue/user_limits.h"

struct config_option;
enum config_type { CONFIG_STR, CONFIG_INT, CONFIG_DURATION, CONFIG_BYTES, CONFIG_BOOL };

/* A limit of one user, in place of what each has. */
struct config_own {
    int64_t uid;
    const struct config_option *option;
    int64_t value;
};

struct config {
    char *mode;     /* "user" or "system": whose runs, and where things are (paths.h) */
    char *launcher; /* system mode: directory of the launcher's sockets */
    char *socket;   /* path; "" = default place */
    char *state_dir;
    char *runtime_dir;
    char *file;        /* config file read; "" = default place, absent is fine */
    char *restore;     /* "" = serve; else a backup to put in the place of the database */
    char *libexec_dir; /* where wattq-shepherd and wattq-train are; "" = beside wattqd */
    char *sysfs_root;
    char *meters, *meters_socket;           /* programs that are meters (meter/line.h) */
    char *script, *replay, *nvml, *disable; /* meter_config */
    int64_t period_ns;                      /* sampling, default 100 ms (10 Hz) */
    int64_t cpu_watts; /* declared full-load CPU watts for `estimate`; 0 = default */
    bool estimate;     /* run `estimate` beside real meters */
    int64_t parallel;  /* runs at once that are not exclusive; 0 = what resources allow */
    int64_t cpus;      /* given to runs; 0 = all that the daemon may use */
    int64_t mem_bytes; /* of the machine for runs that say --mem; 0 = all there is */
    int64_t max_pids;  /* processes and threads of one run; 0 = any number */
    struct user_limits_table limits; /* what each user may have, and some of their own; owned */
    struct config_own *own;          /* "max-time@ada", as they were given; owned */
    size_t nown;
    int64_t default_gpus;      /* of a shared run that did not say, where there are any */
    char *share_policy;        /* idle power among runs at once: energy/shares.h */
    int64_t linger_ns;         /* leftovers' grace after a run's main process; default 10 s */
    int64_t others_period_ns;  /* between two looks at who else uses the machine */
    int64_t disturbed_percent; /* of all CPUs used by others: more, and a run is `disturbed` */
    int64_t idle_busy_percent; /* idle power is learned from seconds that are no busier */
    int64_t idle_learn_ns;     /* ... of so long an idle time; 0 = never */
    int64_t budget_bytes;      /* of the database; 0 = any */
    char *durability;          /* "normal" or "full" */
    int64_t reprobe_ns;        /* how often to look for meters that came or went; default 60 s */
    char *visibility;          /* "private", "summary", "full", and two groups: api/rights.h */
    char *meter_group, *admin_group;
    char *log_level;
    uint64_t given; /* bit i: config_options[i] has a value from the file or the command line */
};

struct config_option {
    const char *name; /* "--name", and the key in the file */
    enum config_type type;
    size_t offset; /* into struct config */
    const char *dflt;
    const char *unit; /* "path", "duration", "W", "" */
    const char *help;
    const char *words; /* CONFIG_STR: the only values taken, separated by '|'; NULL = any */
    int64_t lo, hi;    /* CONFIG_INT and CONFIG_DURATION */
};
extern const struct config_option config_options[];
extern const size_t config_option_count;

/* Defaults, then the config file, then the command line. 0; 1 = --help or --version was printed. */
int config_load(struct config *c, int argc, char **argv, struct err *e) MUST_USE;
void config_fini(struct config *c);
bool config_system(const struct config *c);

#endif
