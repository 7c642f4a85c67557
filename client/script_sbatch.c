/* #SBATCH: one table of Slurm's options, each with what it is here. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/script.h"
#include "common/spec.h"
#include "common/suggest.h"

#define NICE_DEFAULT 100 /* what --nice without a number lowers the priority by */
#define LARGEST      INT64_C(1000000)

struct rule;
struct given { /* one option of one line */
    struct script *s;
    const struct rule *rule;
    struct args *out;
    int line;
    const char *value; /* NULL = it stands without one */
};

enum value { NONE, NEEDED, MAYBE };
struct rule {
    const char *name;
    char letter;
    enum value value;
    /* What is done with it; NULL with why: it is ignored, and that is why; NULL without: it says nothing. */
    int (*take)(const struct given *g, struct err *e);
    const char *why;
    enum opt_id becomes; /* for take_value and take_flag */
};

/* ---- numbers ------------------------------------------------------------------------------------- */

static int bad_value(const struct given *g, const char *form, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "--%s: '%.60s' is not %s", g->rule->name, g->value ? g->value : "",
            form);
    return err_next(e, "see sbatch(1); what is read of it stands in docs/scripts.md");
}

static bool whole(const char *text, size_t n, int64_t *out)
{
    int64_t v = 0;
    if (n == 0 || n > 9)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        v = v * 10 + (text[i] - '0');
    }
    *out = v;
    return true;
}

static int number(const struct given *g, int64_t lo, int64_t *out, struct err *e)
{
    int64_t v = 0;
    if (!whole(g->value, strlen(g->value), &v) || v < lo || v > LARGEST)
        return bad_value(g, "a number", e);
    *out = v;
    return 0;
}

/* "a:b:c" into at most 3 numbers; how many, 0 = it is not of that form. */
static size_t fields(const char *text, int64_t out[3])
{
    size_t n = 0;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ":");
        if (n == 3 || !whole(p, len, &out[n]))
            return 0;
        n++;
        p += len;
        if (!*p)
            return n;
    }
}

int script_slurm_time(const char *text, int64_t *out_s, struct err *e)
{
    static const char *const endless[] = {"UNLIMITED", "INFINITE", "-1"};
    const char *dash = strchr(text, '-');
    int64_t f[3] = {0};
    int64_t days = 0;
    for (size_t i = 0; i < ARRAY_LEN(endless); i++) {
        if (strcmp(text, endless[i]) == 0) {
            *out_s = 0;
            return 0;
        }
    }
    bool good = !dash || whole(text, (size_t)(dash - text), &days);
    size_t n = fields(dash ? dash + 1 : text, f);
    if (!good || n == 0 || days > 3660) {
        err_set(e, WATTQ_E_USAGE, "'%.60s' is not a time of Slurm's", text);
        return err_next(e, "write minutes, hours:minutes:seconds or days-hours, as in 90, 1:30:00, "
                           "2-12");
    }
    if (dash || n == 3)
        *out_s = ((days * 24 + f[0]) * 60 + f[1]) * 60 + f[2];
    else
        *out_s = f[0] * 60 + f[1];
    return 0;
}

/* Slurm's sizes: megabytes unless a letter follows; powers of 1024. */
static int size(const struct given *g, int64_t *out, struct err *e)
{
    static const char letters[] = "KMGT";
    size_t n = strspn(g->value, "0123456789");
    const char *unit = g->value + n;
    const char *which = *unit ? strchr(letters, toupper((unsigned char)*unit)) : letters + 1;
    int64_t v = 0;
    bool ends = !*unit || !unit[1] || (toupper((unsigned char)unit[1]) == 'B' && !unit[2]);
    if (!whole(g->value, n, &v) || !which || !ends)
        return bad_value(g, "a size like 4G", e);
    int shift = (int)(which - letters + 1) * 10;
    if (v > INT64_MAX >> (shift + 1))
        return bad_value(g, "a size like 4G", e);
    *out = v << shift;
    return 0;
}

/* ---- what becomes an option of ours ---------------------------------------------------------------- */

static int put(const struct given *g, enum opt_id id, char *value)
{
    args_put(g->out, id, script_word(g->s, value));
    return 0;
}

static int take_value(const struct given *g, struct err *e)
{
    (void)e;
    return put(g, g->rule->becomes, base_strdup(g->value));
}

/* Whatever its value. */
static int take_flag(const struct given *g, struct err *e)
{
    (void)e;
    return put(g, g->rule->becomes, base_strdup(""));
}

static int take_input(const struct given *g, struct err *e)
{
    if (strchr(g->value, '%')) {
        err_set(e, WATTQ_E_USAGE, "--input with %%, as in '%.60s', is not known here", g->value);
        return err_next(e, "name one file");
    }
    return strcmp(g->value, "none") == 0 ? 0 : put(g, OPT_STDIN, base_strdup(g->value));
}

static int take_array(const struct given *g, struct err *e)
{
    struct script_array a;
    int rc = script_array_parse(&a, g->value, e);
    if (rc < 0)
        return rc;
    script_array_fini(&a);
    return put(g, OPT_ARRAY, base_strdup(g->value));
}

static int take_time(const struct given *g, struct err *e)
{
    int64_t seconds = 0;
    int rc = script_slurm_time(g->value, &seconds, e);
    if (rc < 0 || seconds == 0)
        return rc;
    return put(g, OPT_TIME, base_printf("%" PRId64 "s", seconds));
}

/* Slurm's is an adjustment of the place in the queue, and so is our priority: not nice(2). */
static int take_nice(const struct given *g, struct err *e)
{
    int64_t v = NICE_DEFAULT;
    bool up = g->value && g->value[0] == '-';
    if (g->value && !whole(g->value + up, strlen(g->value + up), &v))
        return bad_value(g, "a number", e);
    if (v > 1000)
        v = 1000;
    if (v == 0)
        return 0;
    return put(g, OPT_PRIORITY, base_printf("%s%" PRId64, up ? "" : "-", v));
}

/* "ALL", "NONE", "ALL,A=1,B" */
static int take_export(const struct given *g, struct err *e)
{
    char *names = base_strdup("");
    (void)e;
    for (const char *p = g->value; p;) {
        size_t n = strcspn(p, ",");
        if (memchr(p, '=', n)) {
            args_put(g->out, OPT_ENV, script_word(g->s, base_strdup_n(p, n)));
        } else if (n > 0) {
            char *longer = base_printf("%s%s%.*s", names, *names ? "," : "", (int)n, p);
            free(names);
            names = longer;
        }
        p = p[n] ? p + n + 1 : NULL;
    }
    if (!*names) { /* variables alone: only these */
        free(names);
        names = base_strdup("NONE");
    }
    return put(g, OPT_EXPORT, names);
}

/* ---- what several say together --------------------------------------------------------------------- */

static int take_ntasks(const struct given *g, struct err *e)
{
    return number(g, 1, &g->s->slurm.ntasks, e);
}

static int take_cpus(const struct given *g, struct err *e)
{
    return number(g, 1, &g->s->slurm.cpus_per_task, e);
}

static int take_mem(const struct given *g, struct err *e)
{
    return size(g, &g->s->slurm.mem_bytes, e); /* 0 = all there is, which is what no limit gives */
}

static int take_mem_per_cpu(const struct given *g, struct err *e)
{
    return size(g, &g->s->slurm.mem_per_cpu_bytes, e);
}

static int take_cpus_per_gpu(const struct given *g, struct err *e)
{
    return number(g, 1, &g->s->slurm.cpus_per_gpu, e);
}

static int take_mem_per_gpu(const struct given *g, struct err *e)
{
    return size(g, &g->s->slurm.mem_per_gpu_bytes, e);
}

/* "2", "a100:2", "a100:2,h100:1" */
static int count_gpus(const struct given *g, int64_t *out, struct err *e)
{
    int64_t sum = 0;
    for (const char *p = g->value; p;) {
        size_t n = strcspn(p, ",");
        const char *colon = memchr(p, ':', n);
        const char *digits = colon ? colon + 1 : p;
        int64_t v = 0;
        if (!whole(digits, n - (size_t)(digits - p), &v) || sum + v > 1000)
            return bad_value(g, "a number of GPUs", e);
        if (colon)
            script_note(g->s, g->line, "the kind of GPU in --%s=%.40s is not looked at: %s",
                        g->rule->name, g->value, "this machine has those it has (wattq who)");
        sum += v;
        p = p[n] ? p + n + 1 : NULL;
    }
    *out = sum;
    return 0;
}

static void set_gpus(struct script *s, int64_t n)
{
    s->slurm.gpus = n;
    s->slurm.no_gpus = n == 0;
}

static int take_gpus(const struct given *g, struct err *e)
{
    int64_t n = 0;
    int rc = count_gpus(g, &n, e);
    if (rc == 0)
        set_gpus(g->s, n);
    return rc;
}

static int take_gpus_per_task(const struct given *g, struct err *e)
{
    return count_gpus(g, &g->s->slurm.gpus_per_task, e);
}

/* One of "gpu", "gpu:2", "gpu:a100:2", "gpu:2(S:0-1)"; n bytes. */
static int one_gres(const struct given *g, const char *p, size_t n, int64_t *gpus, struct err *e)
{
    size_t name = 0;
    while (name < n && p[name] != ':' && p[name] != '=')
        name++;
    if (name == 5 && (strncmp(p, "shard", 5) == 0)) {
        err_set(e, WATTQ_E_USAGE, "a part of a GPU (gres shard) cannot be asked for here");
        return err_next(e, "ask for a whole one: #SBATCH --gres=gpu:1");
    }
    if (name != 3 || strncmp(p, "gpu", 3) != 0) {
        script_note(g->s, g->line, "--gres=%.*s is ignored: only gpu is known here",
                    n > 60 ? 60 : (int)n, p);
        return 0;
    }
    size_t end = name;
    while (end < n && p[end] != '(')
        end++;
    size_t last = end;
    while (last > name && p[last - 1] != ':' && p[last - 1] != '=')
        last--;
    int64_t v = 1;
    bool counted = last > name && whole(p + last, end - last, &v);
    if (!counted && last > name && isdigit((unsigned char)p[last]) && end - last > 9)
        return bad_value(g, "a number of GPUs", e);
    if (v > 1000)
        return bad_value(g, "a number of GPUs", e);
    if (end > name + 1 && (!counted || last > name + 1))
        script_note(g->s, g->line, "the kind of GPU in --gres=%.*s is not looked at",
                    n > 60 ? 60 : (int)n, p);
    *gpus += v;
    return 0;
}

static int take_gres(const struct given *g, struct err *e)
{
    int64_t gpus = 0;
    bool any = false;
    for (const char *p = g->value; p && strcmp(g->value, "none") != 0;) {
        size_t n = strcspn(p, ",");
        int64_t before = gpus;
        bool names_gpu = strncmp(p, "gpu", 3) == 0 && (n == 3 || p[3] == ':' || p[3] == '=');
        int rc = one_gres(g, p, n, &gpus, e);
        if (rc < 0)
            return rc;
        any = any || names_gpu || gpus > before;
        p = p[n] ? p + n + 1 : NULL;
    }
    if (any && g->s->slurm.gpus == 0)
        set_gpus(g->s, gpus);
    return 0;
}

/* ---- what would make another run of it -------------------------------------------------------------- */

static int refuse(const struct given *g, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "#SBATCH --%s%s%.60s cannot be done here: %s", g->rule->name,
            g->value ? "=" : "", g->value ? g->value : "", g->rule->why);
    return err_next(e, "take the line out if the run is right without it");
}

static int take_nodes(const struct given *g, struct err *e)
{
    int64_t n = 0;
    bool one = whole(g->value, strcspn(g->value, "-"), &n) && n == 1;
    return one ? 0 : refuse(g, e);
}

static int take_begin(const struct given *g, struct err *e)
{
    return strcmp(g->value, "now") == 0 ? 0 : refuse(g, e);
}

static const char one_machine[] = "there is one machine here";
static const char in_log[] = "the output is kept for you: wattq logs RUN";
static const char no_mail[] = "no mail is sent";
static const char no_placing[] = "processes are not placed one by one here";
static const char others_may[] = "the queue here has one order for all";

/* Letters as in sbatch(1). */
static const struct rule rules[] = {
    {"job-name", 'J', NEEDED, .take = take_value, .becomes = OPT_LABEL},
    {"time", 't', NEEDED, .take = take_time},
    {"array", 'a', NEEDED, .take = take_array},
    {"account", 'A', NEEDED, .take = take_value, .becomes = OPT_PROJECT},
    {"chdir", 'D', NEEDED, .take = take_value, .becomes = OPT_CHDIR},
    {"workdir", 0, NEEDED, .take = take_value, .becomes = OPT_CHDIR},
    {"input", 'i', NEEDED, .take = take_input},
    {"hold", 'H', NONE, .take = take_flag, .becomes = OPT_HOLD},
    {"wait", 'W', NONE, .take = take_flag, .becomes = OPT_WAIT},
    {"exclusive", 0, MAYBE, .take = take_flag, .becomes = OPT_EXCLUSIVE},
    {"oversubscribe", 's', NONE, .take = take_flag, .becomes = OPT_SHARED},
    {"share", 0, NONE, .take = take_flag, .becomes = OPT_SHARED},
    {"nice", 0, MAYBE, .take = take_nice},
    {"export", 0, NEEDED, .take = take_export},
    {"ntasks", 'n', NEEDED, .take = take_ntasks},
    {"ntasks-per-node", 0, NEEDED, .take = take_ntasks},
    {"cpus-per-task", 'c', NEEDED, .take = take_cpus},
    {"mem", 0, NEEDED, .take = take_mem},
    {"mem-per-cpu", 0, NEEDED, .take = take_mem_per_cpu},
    {"mem-per-gpu", 0, NEEDED, .take = take_mem_per_gpu},
    {"cpus-per-gpu", 0, NEEDED, .take = take_cpus_per_gpu},
    {"gpus", 'G', NEEDED, .take = take_gpus},
    {"gpus-per-node", 0, NEEDED, .take = take_gpus},
    {"gpus-per-task", 0, NEEDED, .take = take_gpus_per_task},
    {"gres", 0, NEEDED, .take = take_gres},
    {"nodes", 'N', NEEDED, .take = take_nodes, .why = one_machine},
    {"begin", 'b', NEEDED, .take = take_begin, .why = "a run cannot be told to wait for a time"},
    {"dependency", 'd', NEEDED, .take = refuse, .why = "a run cannot wait for another one"},
    {"signal", 0, NEEDED, .take = refuse,
     .why = "at its time limit a run gets TERM, and KILL after --grace"},
    {"deadline", 0, NEEDED, .take = refuse,
     .why = "a run has a limit for its length, not for its end"},
    {"test-only", 0, NONE, .take = refuse, .why = "what is submitted is queued"},
    {"uid", 0, NEEDED, .take = refuse, .why = "a run is its user's"},
    {"gid", 0, NEEDED, .take = refuse, .why = "a run is its user's"},
    {"cluster-constraint", 0, NEEDED, .take = refuse, .why = one_machine},
    {"output", 'o', NEEDED, .why = in_log},
    {"error", 'e', NEEDED, .why = in_log},
    {"open-mode", 0, NEEDED, .why = in_log},
    {"mail-type", 0, NEEDED, .why = no_mail},
    {"mail-user", 0, NEEDED, .why = no_mail},
    {"partition", 'p', NEEDED, .why = one_machine},
    {"qos", 'q', NEEDED, .why = one_machine},
    {"clusters", 'M', NEEDED, .why = one_machine},
    {"nodelist", 'w', NEEDED, .why = one_machine},
    {"nodefile", 'F', NEEDED, .why = one_machine},
    {"exclude", 'x', NEEDED, .why = one_machine},
    {"constraint", 'C', NEEDED, .why = one_machine},
    {"contiguous", 0, NONE, .why = one_machine},
    {"switches", 0, NEEDED, .why = one_machine},
    {"spread-job", 0, NONE, .why = one_machine},
    {"use-min-nodes", 0, NONE, .why = one_machine},
    {"no-kill", 'k', MAYBE, .why = one_machine},
    {"reservation", 0, NEEDED, .why = "nothing can be reserved here"},
    {"licenses", 'L', NEEDED, .why = "licences are not counted here"},
    {"priority", 0, NEEDED, .why = others_may},
    {"time-min", 0, NEEDED, .why = "--time is not shortened"},
    {"requeue", 0, NONE, .take = take_flag, .becomes = OPT_REQUEUE},
    {"no-requeue", 0, NONE, .why = NULL},
    {"comment", 0, NEEDED, .why = "write it down with wattq note"},
    {"tmp", 0, NEEDED, .why = "space on disks is not counted here"},
    {"get-user-env", 0, MAYBE, .why = "the environment is that of the submission"},
    {"propagate", 0, MAYBE, .why = "limits are those of the submission"},
    {"distribution", 'm', NEEDED, .why = no_placing},
    {"cpu-bind", 0, NEEDED, .why = no_placing},
    {"mem-bind", 0, NEEDED, .why = no_placing},
    {"gpu-bind", 0, NEEDED, .why = no_placing},
    {"hint", 0, NEEDED, .why = no_placing},
    {"ntasks-per-core", 0, NEEDED, .why = no_placing},
    {"ntasks-per-socket", 0, NEEDED, .why = no_placing},
    {"ntasks-per-gpu", 0, NEEDED, .why = no_placing},
    {"sockets-per-node", 0, NEEDED, .why = no_placing},
    {"cores-per-socket", 0, NEEDED, .why = no_placing},
    {"threads-per-core", 0, NEEDED, .why = no_placing},
    {"core-spec", 'S', NEEDED, .why = no_placing},
    {"thread-spec", 0, NEEDED, .why = no_placing},
    {"extra-node-info", 'B', NEEDED, .why = no_placing},
    {"overcommit", 'O', NONE, .why = no_placing},
    {"gpu-freq", 0, NEEDED, .why = "clocks are not set by a run"},
    {"cpu-freq", 0, NEEDED, .why = "clocks are not set by a run"},
    {"acctg-freq", 0, NEEDED, .why = "the meters are read at the daemon's own pace"},
    {"profile", 0, NEEDED, .why = "power and energy are kept anyway"},
    {"parsable", 0, NONE, .why = NULL},
    {"quiet", 'Q', NONE, .why = NULL},
    {"verbose", 'v', NONE, .why = NULL},
};

static const struct rule *by_name(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (strlen(rules[i].name) == n && strncmp(rules[i].name, name, n) == 0)
            return &rules[i];
    return NULL;
}

static const struct rule *by_letter(char letter)
{
    for (size_t i = 0; letter && i < ARRAY_LEN(rules); i++)
        if (rules[i].letter == letter)
            return &rules[i];
    return NULL;
}

static void unknown(struct script *s, int line, const char *word)
{
    struct suggest near;
    char name[64];
    base_strcpy(name, sizeof name, word + strspn(word, "-"));
    name[strcspn(name, "=")] = '\0';
    suggest_init(&near, name);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        suggest_offer(&near, rules[i].name);
    if (near.best)
        script_note(s, line, "%.60s is ignored: it is not known; --%s is", word, near.best);
    else
        script_note(s, line, "%.60s is ignored: it is not known", word);
}

static int apply(const struct given *g, struct err *e)
{
    if (g->rule->take)
        return g->rule->take(g, e);
    if (g->rule->why)
        script_note(g->s, g->line, "--%s is ignored: %s", g->rule->name, g->rule->why);
    return 0;
}

static int needs_value(const struct given *g, struct err *e)
{
    return err_set(e, WATTQ_E_USAGE, "--%s needs a value", g->rule->name);
}

/* The word at *i, and the one behind it where that is its value. */
static int take_word(struct given *g, const struct script_line *l, size_t *i, struct err *e)
{
    const char *word = l->words[*i];
    bool is_long = word[1] == '-';
    const char *name = word + 1 + is_long;
    size_t n = is_long ? strcspn(name, "=") : 1;
    g->rule = is_long ? by_name(name, n) : by_letter(name[0]);
    if (!g->rule) {
        unknown(g->s, g->line, word);
        /* What follows and is no option may be its value. */
        if (!strchr(word, '=') && *i + 1 < l->n && l->words[*i + 1][0] != '-')
            (*i)++;
        return 0;
    }
    g->value = NULL;
    if (name[n])
        g->value = is_long ? name + n + 1 : name + n;
    if (g->rule->value == NONE && g->value)
        return err_set(e, WATTQ_E_USAGE, "--%s takes no value", g->rule->name);
    if (g->rule->value == NEEDED && !g->value) {
        if (*i + 1 == l->n)
            return needs_value(g, e);
        g->value = l->words[++*i];
    }
    return g->value && !*g->value ? needs_value(g, e) : apply(g, e);
}

int script_sbatch(struct script *s, const struct script_line *line, struct args *out, struct err *e)
{
    struct given g = {.s = s, .out = out, .line = line->number};
    for (size_t i = 0; i < line->n; i++) {
        const char *word = line->words[i];
        if (word[0] != '-' || !word[1] || strcmp(word, "--") == 0) {
            script_note(s, line->number, "'%.60s' is ignored: it is no option", word);
            continue;
        }
        int rc = take_word(&g, line, &i, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* #SBATCH asks for memory by the machine, by CPU or by GPU; 0 = none was asked for, or all there is. */
static int memory(const struct script *s, int64_t cpus, int64_t gpus, int64_t *out, struct err *e)
{
    const struct script_slurm *m = &s->slurm;
    int64_t each = m->mem_per_cpu_bytes > 0 ? m->mem_per_cpu_bytes : m->mem_per_gpu_bytes;
    *out = m->mem_bytes;
    if (m->mem_bytes > 0 || each == 0)
        return 0;
    if (__builtin_mul_overflow(each, m->mem_per_cpu_bytes > 0 ? cpus : gpus, out))
        return err_set(e, WATTQ_E_USAGE,
                       "the memory that #SBATCH lines ask for is more than any "
                       "machine has");
    return 0;
}

int script_sbatch_end(struct script *s, struct args *out, struct err *e)
{
    const struct script_slurm *m = &s->slurm;
    int64_t tasks = m->ntasks > 0 ? m->ntasks : 1;
    int64_t gpus = m->gpus > 0 || m->no_gpus ? m->gpus : m->gpus_per_task * tasks;
    int64_t cpus = m->cpus_per_task > 0 ? m->cpus_per_task * tasks : m->ntasks;
    int64_t mem_bytes = 0;
    if (cpus == 0)
        cpus = m->cpus_per_gpu * gpus;
    if (gpus > 0 || m->no_gpus)
        args_put(out, OPT_GPUS, script_word(s, base_printf("%" PRId64, gpus)));
    if (cpus > 0)
        args_put(out, OPT_CPUS, script_word(s, base_printf("%" PRId64, cpus)));
    int rc = memory(s, cpus > 0 ? cpus : 1, gpus, &mem_bytes, e);
    if (rc == 0 && mem_bytes > 0)
        args_put(out, OPT_MEM, script_word(s, base_printf("%" PRId64 "B", mem_bytes)));
    return rc;
}

/* ---- arrays -------------------------------------------------------------------------------------- */

static int bad_array(const char *text, struct err *e)
{
    err_set(e, WATTQ_E_USAGE, "--array: '%.60s' is not a list of task numbers up to %d", text,
            SCRIPT_ARRAY_ID_MAX);
    return err_next(e, "write --array 0-9, 1,3,5-7, 0-15:4, or 0-99%%4 for 4 at a time");
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* "7", "5-7", "0-15:4" of n bytes. */
static bool add_range(struct script_array *a, const char *p, size_t n)
{
    const char *dash = memchr(p, '-', n);
    const char *colon = memchr(p, ':', n);
    int64_t lo = 0;
    int64_t hi = 0;
    int64_t by = 1;
    const char *end = colon ? colon : p + n;
    if (!whole(p, (size_t)((dash ? dash : p + n) - p), &lo) || (colon && (!dash || colon < dash)))
        return false;
    if (dash && !whole(dash + 1, (size_t)(end - dash - 1), &hi))
        return false;
    if (colon && (!whole(colon + 1, (size_t)(p + n - colon - 1), &by) || by == 0))
        return false;
    hi = dash ? hi : lo;
    if (hi < lo || hi > SCRIPT_ARRAY_ID_MAX || (hi - lo) / by >= (int64_t)(SPEC_SWEEP_RUNS - a->n))
        return false;
    for (int64_t id = lo; id <= hi; id += by)
        a->ids[a->n++] = id;
    return true;
}

int script_array_parse(struct script_array *a, const char *text, struct err *e)
{
    size_t list = strcspn(text, "%");
    bool good = list > 0;
    *a = (struct script_array){.ids = base_alloc(SPEC_SWEEP_RUNS * sizeof *a->ids)};
    if (text[list] == '%')
        good = good && whole(text + list + 1, strlen(text + list + 1), &a->at_once) &&
               a->at_once > 0 && a->at_once <= SPEC_SWEEP_RUNS;
    for (const char *p = text; good && p;) {
        size_t n = strcspn(p, ",%");
        good = add_range(a, p, n);
        p = p[n] == ',' ? p + n + 1 : NULL;
    }
    if (!good) {
        script_array_fini(a);
        return bad_array(text, e);
    }
    qsort(a->ids, a->n, sizeof *a->ids, by_value);
    size_t kept = 0;
    for (size_t i = 0; i < a->n; i++)
        if (kept == 0 || a->ids[kept - 1] != a->ids[i])
            a->ids[kept++] = a->ids[i];
    a->n = kept;
    return 0;
}

void script_array_fini(struct script_array *a)
{
    free(a->ids);
    *a = (struct script_array){0};
}
