#include "daemon/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/places.h"
#include "common/suggest.h"
#include "common/units.h"
#include "common/users.h"

#define CONFIG_FILE_BYTES (64u << 10)
#define AT(field)         offsetof(struct config, field)

const struct config_option config_options[] = {
    {"mode", CONFIG_STR, AT(mode), "user", "",
     "user: runs are this user's; system: everybody's, each started as its user by wattq-launcher",
     "user|system", 0, 0},
    {"launcher", CONFIG_STR, AT(launcher), PLACES_LAUNCHER, "path",
     "directory of wattq-launcher's sockets, in system mode", NULL, 0, 0},
    {"socket", CONFIG_STR, AT(socket), "", "path",
     "socket to listen on (default: wattqd.sock in the runtime directory)", NULL, 0, 0},
    {"state-dir", CONFIG_STR, AT(state_dir), "", "path",
     "database, logs and environments (default: $XDG_STATE_HOME/wattq)", NULL, 0, 0},
    {"runtime-dir", CONFIG_STR, AT(runtime_dir), "", "path",
     "socket directory (default: $XDG_RUNTIME_DIR/wattq, else run in the state directory)", NULL, 0,
     0},
    {"config", CONFIG_STR, AT(file), "", "path",
     "file with these options (default: $XDG_CONFIG_HOME/wattq/wattqd.conf, may be absent)", NULL,
     0, 0},
    {"restore", CONFIG_STR, AT(restore), "", "path",
     "put this backup in the place of the database, and end; - is the standard input", NULL, 0, 0},
    {"libexec-dir", CONFIG_STR, AT(libexec_dir), "", "path",
     "where wattq-shepherd and wattq-train are (default: beside wattqd)", NULL, 0, 0},
    {"sysfs-root", CONFIG_STR, AT(sysfs_root), "", "path",
     "look for meters below this directory instead of / (for tests)", NULL, 0, 0},
    {"script", CONFIG_STR, AT(script), "", "path",
     "add the meter whose power is the formula in this file", NULL, 0, 0},
    {"replay", CONFIG_STR, AT(replay), "", "path",
     "add a meter that plays back this recorded trace", NULL, 0, 0},
    {"meters", CONFIG_STR, AT(meters), "", "path",
     "file that names programs that are meters (default: meters.conf beside the config file)", NULL,
     0, 0},
    {"meters-socket", CONFIG_STR, AT(meters_socket), "", "path",
     "where wattq-meters listens, when it runs as a unit of its own (default: started here)", NULL,
     0, 0},
    {"nvml", CONFIG_STR, AT(nvml), "", "path",
     "NVIDIA management library (default: libnvidia-ml.so.1)", NULL, 0, 0},
    {"disable", CONFIG_STR, AT(disable), "", "names",
     "kinds of meters not to open, separated by commas", NULL, 0, 0},
    {"period", CONFIG_DURATION, AT(period_ns), "100ms", "duration",
     "time between two samples of the fast meters", NULL, NS_PER_MS, 60 * NS_PER_S},
    {"reprobe", CONFIG_DURATION, AT(reprobe_ns), "1m", "duration",
     "how often to look for meters that came or went", NULL, 10 * NS_PER_MS, 86400 * NS_PER_S},
    {"cpu-watts", CONFIG_INT, AT(cpu_watts), "0", "W",
     "what the CPUs draw at full load, for the estimate; 0 = a published constant", NULL, 0,
     100000},
    {"estimate", CONFIG_BOOL, AT(estimate), "no", "",
     "estimate from CPU time also where real meters answer", NULL, 0, 0},
    {"parallel", CONFIG_INT, AT(parallel), "1", "runs",
     "runs at the same time, of those that are not exclusive; 0 = as many as CPUs, memory and GPUs "
     "allow, the default in system mode",
     NULL, 0, 1024},
    {"default-time", CONFIG_DURATION, AT(limits.each.default_time_ns), "0s", "duration",
     "time limit of a run that does not say; 0s = none", NULL, 0, 365 * 86400 * NS_PER_S},
    {"cpus", CONFIG_INT, AT(cpus), "0", "CPUs",
     "given to runs that are not exclusive, all together; 0 = all that the daemon may use", NULL, 0,
     65536},
    {"mem", CONFIG_BYTES, AT(mem_bytes), "0B", "size",
     "memory that may be reserved with --mem, by all runs together; 0B = what the machine has",
     NULL, 0, INT64_C(1) << 50},
    {"max-pids", CONFIG_INT, AT(max_pids), "4096", "number",
     "processes and threads of one run, so that a fork bomb ends there; 0 = any number", NULL, 0,
     1 << 22},
    {"max-time", CONFIG_DURATION, AT(limits.each.max_time_ns), "0s", "duration",
     "the longest time limit that a run may have, and that of one that does not say; 0s = any",
     NULL, 0, 3650 * 86400 * NS_PER_S},
    {"default-mem", CONFIG_BYTES, AT(limits.each.default_mem_bytes), "0B", "size",
     "--mem of a run that is not exclusive and does not say; 0B = none", NULL, 0, INT64_C(1) << 50},
    {"max-mem", CONFIG_BYTES, AT(limits.each.max_mem_bytes), "0B", "size",
     "the most --mem that a run may have, and that of one that does not say; 0B = any", NULL, 0,
     INT64_C(1) << 50},
    {"max-log", CONFIG_BYTES, AT(limits.each.max_log_bytes), "0B", "size",
     "the most --log-cap that a run may have, of its log on the disk; 0B = any, or none", NULL, 0,
     INT64_C(1) << 50},
    {"max-queued", CONFIG_INT, AT(limits.each.max_queued), "0", "runs",
     "of each user that may wait, held ones too; 0 = any number", NULL, 0, 10000000},
    {"max-running", CONFIG_INT, AT(limits.each.max_running), "0", "runs",
     "of each user that may go on at once; 0 = any number", NULL, 0, 1024},
    {"default-gpus", CONFIG_INT, AT(default_gpus), "1", "GPUs",
     "given to a run that is not exclusive and does not say, where there are any", NULL, 0, 32},
    {"share-policy", CONFIG_STR, AT(share_policy), "equal", "",
     "how idle power is shared out among runs that go on at once", "none|equal|reserved|usage", 0,
     0},
    {"linger", CONFIG_DURATION, AT(linger_ns), "10s", "duration",
     "how long processes that a run left behind may stay", NULL, 0, 86400 * NS_PER_S},
    {"others-period", CONFIG_DURATION, AT(others_period_ns), "5s", "duration",
     "time between two looks at who else uses the CPUs", NULL, 100 * NS_PER_MS, 60 * NS_PER_S},
    {"disturbed", CONFIG_INT, AT(disturbed_percent), "2", "%",
     "of all CPUs, or of one of its GPUs: a run beside which others used more is flagged disturbed",
     NULL, 0, 100},
    {"idle-busy", CONFIG_INT, AT(idle_busy_percent), "5", "%",
     "of all CPUs: seconds in which they were busier are not taken for idle", NULL, 0, 100},
    {"idle-learn", CONFIG_DURATION, AT(idle_learn_ns), "90s", "duration",
     "idle time from which idle power is learned; two thirds of it must be calm (0s = never)", NULL,
     0, 600 * NS_PER_S},
    {"durability", CONFIG_STR, AT(durability), "normal", "",
     "normal: a power cut may lose 10 s of samples; full: none", "normal|full", 0, 0},
    {"budget", CONFIG_BYTES, AT(budget_bytes), "1GiB", "size",
     "of the database: above it the oldest samples are thinned out, but those of pinned runs; 0B = "
     "any, and they go by age only",
     NULL, 0, INT64_C(1) << 50},
    {"visibility", CONFIG_STR, AT(visibility), "private", "",
     "what other users of this machine may see", "private|summary|full", 0, 0},
    {"meter-group", CONFIG_STR, AT(meter_group), "", "group",
     "its members see readings at the rate they are taken, not by whole seconds", NULL, 0, 0},
    {"admin-group", CONFIG_STR, AT(admin_group), "", "group",
     "its members see every run and may stop it", NULL, 0, 0},
    {"log-level", CONFIG_STR, AT(log_level), "info", "", "how much to log", "error|warn|info|debug",
     0, 0},
};
const size_t config_option_count = ARRAY_LEN(config_options);
_Static_assert(ARRAY_LEN(config_options) <= 64, "one bit of config.given each");

bool config_system(const struct config *c)
{
    return strcmp(c->mode, "system") == 0;
}

/* ---- one value --------------------------------------------------------------------------------- */

static bool word_of(const char *words, const char *s)
{
    size_t n = strlen(s);
    for (const char *p = words; p;) {
        const char *bar = strchr(p, '|');
        size_t len = bar ? (size_t)(bar - p) : strlen(p);
        if (len == n && !memcmp(p, s, n))
            return true;
        p = bar ? bar + 1 : NULL;
    }
    return false;
}

static void *field(struct config *c, const struct config_option *o)
{
    return (char *)c + o->offset;
}

static int set_str(struct config *c, const struct config_option *o, const char *value,
                   struct err *e)
{
    if (o->words && !word_of(o->words, value))
        return err_set(e, WATTQ_E_USAGE, "%s must be one of %s, not '%.60s'", o->name, o->words,
                       value);
    if (strlen(value) >= WATTQ_PATH_MAX)
        return err_set(e, WATTQ_E_USAGE, "%s is longer than %d bytes", o->name, WATTQ_PATH_MAX - 1);
    char **s = field(c, o);
    free(*s);
    *s = base_strdup(value);
    return 0;
}

static int parse_number(enum config_type type, const char *value, int64_t *n, struct err *e)
{
    if (type == CONFIG_DURATION)
        return units_parse_duration(value, n, e);
    return type == CONFIG_BYTES ? units_parse_bytes(value, n, e) : units_parse_count(value, n, e);
}

static const char *show_number(enum config_type type, char *buf, size_t cap, int64_t n)
{
    if (type == CONFIG_DURATION)
        return units_show_duration(buf, cap, n);
    if (type == CONFIG_BYTES)
        return units_show_size(buf, cap, n);
    (void)snprintf(buf, cap, "%" PRId64, n);
    return buf;
}

static int take_number(const struct config_option *o, const char *value, int64_t *n, struct err *e)
{
    char lo[40];
    char hi[40];
    int rc = parse_number(o->type, value, n, e);
    if (rc < 0)
        return rc;
    if (*n < o->lo || *n > o->hi)
        return err_set(e, WATTQ_E_USAGE, "%s must be from %s to %s, not %.40s", o->name,
                       show_number(o->type, lo, sizeof(lo), o->lo),
                       show_number(o->type, hi, sizeof(hi), o->hi), value);
    return 0;
}

static int set_number(struct config *c, const struct config_option *o, const char *value,
                      struct err *e)
{
    int64_t n = 0;
    int rc = take_number(o, value, &n, e);
    if (rc == 0)
        *(int64_t *)field(c, o) = n;
    return rc;
}

static int set_bool(struct config *c, const struct config_option *o, const char *value,
                    struct err *e)
{
    bool on = word_of("yes|true|on|1", value);
    if (!on && !word_of("no|false|off|0", value))
        return err_set(e, WATTQ_E_USAGE, "%s must be yes or no, not '%.60s'", o->name, value);
    *(bool *)field(c, o) = on;
    return 0;
}

static int set_value(struct config *c, const struct config_option *o, const char *value,
                     struct err *e)
{
    c->given |= (uint64_t)1 << (o - config_options);
    switch (o->type) {
    case CONFIG_STR:
        return set_str(c, o, value, e);
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        return set_number(c, o, value, e);
    case CONFIG_BOOL:
        return set_bool(c, o, value, e);
    }
    return WATTQ_E_INTERNAL;
}

static const struct config_option *find_option(const char *name, size_t len)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (strlen(config_options[i].name) == len && !memcmp(config_options[i].name, name, len))
            return &config_options[i];
    return NULL;
}

/* dashes is "--" on the command line and "" in the file. */
static int unknown_option(const char *name, size_t len, const char *dashes, struct err *e)
{
    char word[80];
    snprintf(word, sizeof(word), "%.*s", (int)(len < 70 ? len : 70), name);
    struct suggest s;
    suggest_init(&s, word);
    for (size_t i = 0; i < config_option_count; i++)
        suggest_offer(&s, config_options[i].name);
    err_set(e, WATTQ_E_USAGE, "unknown option %s%s", dashes, word);
    if (s.best)
        return err_next(e, "did you mean %s%s?", dashes, s.best);
    return err_next(e, "wattqd --help lists them");
}

/* ---- limits of one user ------------------------------------------------------------------------ */

struct target {
    const struct config_option *option;
    const char *user; /* behind the @, not ended by len's end; NULL = everybody */
    size_t user_len;
};

/* "max-time" or "max-time@ada" */
static int find_target(const char *name, size_t len, const char *dashes, struct target *t,
                       struct err *e)
{
    const char *at = memchr(name, '@', len);
    size_t own = at ? (size_t)(at - name) : len;
    *t = (struct target){.option = find_option(name, own)};
    if (!t->option)
        return unknown_option(name, own, dashes, e);
    if (!at)
        return 0;
    t->user = at + 1;
    t->user_len = len - own - 1;
    if (t->option->offset >= AT(limits.each) &&
        t->option->offset < AT(limits.each) + sizeof(struct user_limits))
        return 0;
    err_set(e, WATTQ_E_USAGE, "%s is no limit of users: nobody has one of his own",
            t->option->name);
    return err_next(e, "write it without @%.40s", t->user);
}

static int set_own(struct config *c, const struct target *t, const char *value, struct err *e)
{
    struct config_own own = {.option = t->option};
    char *user CLEANUP(base_freep) = base_strdup_n(t->user, t->user_len);
    if (!users_find(user, &own.uid) || own.uid < 0) {
        err_set(e, WATTQ_E_USAGE, "%s@%.60s: there is no such user here", t->option->name, user);
        return err_next(e, "check the name, or give the uid: getent passwd");
    }
    int rc = take_number(t->option, value, &own.value, e);
    if (rc < 0)
        return rc;
    struct config_own *list = reallocarray(c->own, c->nown + 1, sizeof(*list));
    if (!list)
        abort();
    c->own = list;
    list[c->nown++] = own;
    return 0;
}

static int set_target(struct config *c, const struct target *t, const char *value, struct err *e)
{
    return t->user ? set_own(c, t, value, e) : set_value(c, t->option, value, e);
}

static struct user_limits *limits_of(struct config *c, int64_t uid)
{
    struct user_limits_table *t = &c->limits;
    for (size_t i = 0; i < t->n; i++)
        if (t->of[i].uid == uid)
            return &t->of[i].limits;
    struct user_limits_of *list = reallocarray(t->of, t->n + 1, sizeof(*list));
    if (!list)
        abort();
    t->of = list;
    list[t->n] = (struct user_limits_of){uid, t->each};
    return &list[t->n++].limits;
}

/* Once all are read, so that it does not matter which came first. */
static void settle_own(struct config *c)
{
    for (size_t i = 0; i < c->nown; i++) {
        const struct config_own *own = &c->own[i];
        char *limits = (char *)limits_of(c, own->uid);
        memcpy(limits + (own->option->offset - AT(limits.each)), &own->value, sizeof(own->value));
    }
}

/* ---- the file ---------------------------------------------------------------------------------- */

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    size_t n = strlen(s);
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        s[--n] = '\0';
    return s;
}

/* A # starts a comment at the line's start or after a blank, so that paths may hold one. */
static void cut_comment(char *line)
{
    for (char *p = line; *p; p++)
        if (*p == '#' && (p == line || isspace((unsigned char)p[-1]))) {
            *p = '\0';
            return;
        }
}

static int set_line(struct config *c, char *line, struct err *e)
{
    cut_comment(line);
    char *name = trim(line);
    if (*name == '\0')
        return 0;
    char *eq = strchr(name, '=');
    if (!eq)
        return err_set(e, WATTQ_E_USAGE, "'%.60s' is not of the form name = value", name);
    *eq = '\0';
    name = trim(name);
    struct target t;
    int rc = find_target(name, strlen(name), "", &t, e);
    if (rc < 0)
        return rc;
    const struct config_option *o = t.option;
    if (o->offset == AT(file) || o->offset == AT(restore))
        return err_set(e, WATTQ_E_USAGE, "'%s' has a meaning on the command line only", name);
    return set_target(c, &t, trim(eq + 1), e);
}

static int set_lines(struct config *c, const char *path, char *text, struct err *e)
{
    int number = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        struct err why = {0};
        number++;
        int rc = set_line(c, line, &why);
        if (rc < 0) {
            err_set(e, rc, "%.150s line %d: %s", path, number, why.text);
            return why.next[0] ? err_next(e, "%s", why.next) : rc;
        }
    }
    return 0;
}

/* named: --config asked for it, so it must be there. */
static int load_file(struct config *c, const char *path, bool named, struct err *e)
{
    size_t bytes = 0;
    char *text CLEANUP(base_freep) = base_read_file(AT_FDCWD, path, CONFIG_FILE_BYTES, &bytes);
    if (!text && errno == ENOENT && !named)
        return 0;
    if (!text) {
        err_errno(e, WATTQ_E_USAGE, "cannot read the config file %.200s", path);
        return err_next(e, "check the path given with --config");
    }
    return set_lines(c, path, text, e);
}

/* ---- the command line -------------------------------------------------------------------------- */

static void print_help(void)
{
    puts("wattqd - meters power all the time, queues and runs experiments\n\n"
         "Usage: wattqd [--OPTION VALUE]...\n\n"
         "Started without options it serves this user, from the default places.\n");
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        char head[64];
        snprintf(head, sizeof(head), "--%s %s", o->name, o->words ? o->words : o->unit);
        printf("  %-34s %s", head, o->help);
        printf(*o->dflt ? " (default %s)\n" : "\n", o->dflt);
    }
    puts(
        "  --help, -h                         print this\n"
        "  --version, -V                      print the version\n\n"
        "The same names work in the config file, as name = value. default-time, default-mem and "
        "what\n"
        "begins with max- but max-pids may be one user's: --max-time@ada 2h. Manual: man 8 wattqd");
}

/* One argument, and the next one when it is its value. *i is left at the last one used. */
static int set_argument(struct config *c, int argc, char **argv, int *i, struct err *e)
{
    const char *arg = argv[*i];
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') {
        err_set(e, WATTQ_E_USAGE, "unexpected argument '%.80s'", arg);
        return err_next(e, "wattqd --help lists the options");
    }
    size_t len = strcspn(arg + 2, "=");
    struct target t;
    int rc = find_target(arg + 2, len, "--", &t, e);
    if (rc < 0)
        return rc;
    const struct config_option *o = t.option;
    if (arg[2 + len] == '=')
        return set_target(c, &t, arg + 3 + len, e);
    if (o->type == CONFIG_BOOL)
        return set_value(c, o, "yes", e);
    if (*i + 1 >= argc)
        return err_set(e, WATTQ_E_USAGE, "--%s needs a value (%s)", o->name,
                       o->words ? o->words : o->unit);
    return set_target(c, &t, argv[++*i], e);
}

static int set_arguments(struct config *c, int argc, char **argv, struct err *e)
{
    int rc = 0;
    for (int i = 1; rc == 0 && i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            print_help();
            return 1;
        }
        if (!strcmp(argv[i], "--version") || !strcmp(argv[i], "-V")) {
            puts("wattqd " WATTQ_VERSION);
            return 1;
        }
        rc = set_argument(c, argc, argv, &i, e);
    }
    return rc;
}

static int set_defaults(struct config *c, struct err *e)
{
    *c = (struct config){0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < config_option_count; i++)
        rc = set_value(c, &config_options[i], config_options[i].dflt, e);
    c->given = 0;
    return rc;
}

static bool is_given(const struct config *c, const struct config_option *o)
{
    return c->given >> (o - config_options) & 1;
}

/* What others see of each other is not ours to choose for a whole machine, and that is to be filled. */
static int set_system(struct config *c, struct err *e)
{
    const struct config_option *o = find_option("visibility", strlen("visibility"));
    if (!config_system(c))
        return 0;
    if (!is_given(c, find_option("parallel", strlen("parallel"))))
        c->parallel = 0;
    if (is_given(c, o))
        return 0;
    err_set(e, WATTQ_E_USAGE, "in system mode what users see of each other must be chosen");
    return err_next(e, "visibility = %s (wattqd(8)); most choose summary", o->words);
}

/* The file of meters stands beside the config file. */
static void find_meters(struct config *c, const char *config_path)
{
    const char *slash = strrchr(config_path, '/');
    int dir = slash ? (int)(slash - config_path) : 0;
    free(c->meters);
    c->meters =
        slash ? base_printf("%.*s/meters.conf", dir, config_path) : base_strdup("meters.conf");
}

/* The command line is read twice: for --config, then, over the file's values, for everything. */
/* A default above its maximum would have every run refused that does not say. */
static int check_maxima(const struct user_limits *l, const char *whose, struct err *e)
{
    const struct {
        const char *name, *max_name;
        int64_t dflt, max;
    } pairs[] = {
        {"default-time", "max-time", l->default_time_ns, l->max_time_ns},
        {"default-mem", "max-mem", l->default_mem_bytes, l->max_mem_bytes},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (pairs[i].max > 0 && pairs[i].dflt > pairs[i].max) {
            err_set(e, WATTQ_E_USAGE, "%s is more than %s%s", pairs[i].name, pairs[i].max_name,
                    whose);
            return err_next(e, "lower the first, or raise the second");
        }
    return 0;
}

static int check_limits(struct config *c, struct err *e)
{
    char whose[USERS_NAME_MAX + 8], name[USERS_NAME_MAX];
    settle_own(c);
    int rc = check_maxima(&c->limits.each, "", e);
    for (size_t i = 0; rc == 0 && i < c->limits.n; i++) {
        snprintf(whose, sizeof(whose), " for %s", users_name(c->limits.of[i].uid, name));
        rc = check_maxima(&c->limits.of[i].limits, whose, e);
    }
    return rc;
}

static int load_all(struct config *c, int argc, char **argv, struct err *e)
{
    char path[WATTQ_PATH_MAX];
    int rc = set_defaults(c, e);
    if (rc == 0)
        rc = set_arguments(c, argc, argv, e);
    if (rc != 0)
        return rc;
    bool named = c->file[0] != '\0';
    if (named)
        base_strcpy(path, sizeof(path), c->file);
    else if (config_system(c))
        base_strcpy(path, sizeof(path), PLACES_SYSTEM_CONFIG);
    else if (places_config(path, NULL) < 0)
        return 0; /* no home: nothing to read there */
    config_fini(c);
    rc = set_defaults(c, e);
    if (rc == 0)
        rc = load_file(c, path, named, e);
    if (rc == 0)
        rc = set_arguments(c, argc, argv, e);
    if (rc == 0 && c->meters[0] == '\0')
        find_meters(c, path);
    if (rc == 0)
        rc = check_limits(c, e);
    return rc == 0 ? set_system(c, e) : rc;
}

int config_load(struct config *c, int argc, char **argv, struct err *e)
{
    int rc = load_all(c, argc, argv, e);
    if (rc != 0)
        config_fini(c);
    return rc;
}

void config_fini(struct config *c)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (config_options[i].type == CONFIG_STR)
            free(*(char **)field(c, &config_options[i]));
    free(c->own);
    free(c->limits.of);
    *c = (struct config){0};
}
