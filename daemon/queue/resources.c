#include "daemon/queue/resources.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"

/* ---- the table ---------------------------------------------------------------------------------- */

bool resources_can_give(const char *uuid)
{
    static const char form[] = "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t n = strlen(form);
    if (strlen(uuid) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool good = form[i] == 'x' ? isxdigit((unsigned char)uuid[i]) != 0 : uuid[i] == form[i];
        if (!good)
            return false;
    }
    return true;
}

static int index_of(const struct resources *r, const char *uuid)
{
    for (size_t i = 0; i < r->ngpus; i++)
        if (strcmp(r->gpus[i].uuid, uuid) == 0)
            return (int)i;
    return -1;
}

void resources_see(struct resources *r, const char *uuid, const char *label, bool here,
                   unsigned strangers)
{
    int i = index_of(r, uuid);
    if (i < 0 && (r->ngpus == RESOURCES_GPUS_MAX || strlen(uuid) >= RESOURCES_NAME_SIZE))
        return;
    if (i < 0) {
        i = (int)r->ngpus++;
        r->gpus[i] = (struct resources_gpu){.number = UINT32_MAX, .run = RESOURCES_NOBODY};
        base_strcpy(r->gpus[i].uuid, sizeof(r->gpus[i].uuid), uuid);
    }
    struct resources_gpu *g = &r->gpus[i];
    if (label[0]) {
        base_strcpy(g->label, sizeof(g->label), label);
        if (sscanf(label, "gpu%u", &g->number) != 1)
            g->number = UINT32_MAX;
    }
    g->here = here && !g->out[0];
    g->strangers = strangers;
}

bool resources_fault(struct resources *r, const char *uuid, const char *fault)
{
    int i = index_of(r, uuid);
    if (i < 0)
        return false;
    bool news = (r->gpus[i].fault != NULL) != (fault != NULL);
    r->gpus[i].fault = fault;
    r->gpus[i].here = r->gpus[i].here && !fault;
    return news;
}

void resources_out(struct resources *r, const char *uuid, const char *why)
{
    if (index_of(r, uuid) < 0)
        resources_see(r, uuid, "", false, 0);
    int i = index_of(r, uuid);
    if (i < 0)
        return;
    (void)base_strcpy(r->gpus[i].out, sizeof(r->gpus[i].out), why);
    r->gpus[i].here = r->gpus[i].here && !why[0];
}

const char *resources_against(const struct resources_gpu *g)
{
    return g->out[0] ? g->out : g->fault;
}

size_t resources_here(const struct resources *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->ngpus; i++)
        n += r->gpus[i].here;
    return n;
}

static int by_number(const struct resources *r, const char *digits)
{
    unsigned long number = strlen(digits) > 6 ? UINT32_MAX : strtoul(digits, NULL, 10);
    for (size_t i = 0; number < UINT32_MAX && i < r->ngpus; i++)
        if (r->gpus[i].number == number)
            return (int)i;
    return -1;
}

int resources_find(const struct resources *r, const char *name)
{
    int found = index_of(r, name);
    const char *digits = strncmp(name, "gpu", 3) == 0 ? name + 3 : name;
    if (found >= 0)
        return found;
    if (*digits && strspn(digits, "0123456789") == strlen(digits))
        return by_number(r, digits);
    for (size_t i = 0; strlen(name) >= RESOURCES_ID_LEAST && i < r->ngpus; i++) {
        if (strncmp(r->gpus[i].uuid, name, strlen(name)) != 0)
            continue;
        if (found >= 0)
            return -2;
        found = (int)i;
    }
    return found;
}

/* ---- what is counted ---------------------------------------------------------------------------- */

static void show_cpus(int64_t n, char buf[40])
{
    (void)snprintf(buf, 40, "%" PRId64 " CPU%s", n, n == 1 ? "" : "s");
}

static void show_mem(int64_t n, char buf[40])
{
    char size[32];
    (void)snprintf(buf, 40, "%s of memory", units_show_size(size, sizeof(size), n));
}

static const struct counted {
    size_t field;     /* of spec, an int64_t; 0 there = it did not say */
    int64_t least;    /* what a shared run gets that did not say */
    const char *name; /* in answers */
    const char *option;
    void (*show)(int64_t n, char buf[40]);
} counted[RESOURCES_KINDS] = {
    [RESOURCES_CPUS] = {offsetof(struct spec, cpus), 1, "cpus", "--cpus", show_cpus},
    [RESOURCES_MEM] = {offsetof(struct spec, mem_bytes), 0, "mem", "--mem", show_mem},
};

static int64_t said_of(const struct spec *s, enum resources_kind k)
{
    int64_t n;
    memcpy(&n, (const char *)s + counted[k].field, sizeof(n));
    return n;
}

const char *resources_kind_name(enum resources_kind k)
{
    return counted[k].name;
}

const char *resources_amount(enum resources_kind k, int64_t n, char buf[40])
{
    counted[k].show(n, buf);
    return buf;
}

int64_t resources_cpus(const struct resources *r, const struct spec *s)
{
    if (s->cpus > 0)
        return s->cpus;
    return s->exclusive ? r->have.n[RESOURCES_CPUS] : counted[RESOURCES_CPUS].least;
}

/* ---- submission --------------------------------------------------------------------------------- */

static int too_many(const struct resources *r, size_t want, struct err *e)
{
    size_t have = resources_here(r);
    if (have == 0)
        err_set(e, WATTQ_E_USAGE, "%zu GPU%s asked for, but this machine has none that answers",
                want, want == 1 ? " was" : "s were");
    else
        err_set(e, WATTQ_E_USAGE, "%zu GPU%s asked for, but this machine has %zu", want,
                want == 1 ? " was" : "s were", have);
    return have ? err_next(e, "ask for at most --gpus %zu", have)
                : err_next(e, "wattq meters lists what answers");
}

static int no_such(const struct resources *r, const char *name, int why, struct err *e)
{
    if (why == -2)
        err_set(e, WATTQ_E_USAGE, "several of the %zu GPUs here begin with '%.60s'", r->ngpus,
                name);
    else
        err_set(e, WATTQ_E_USAGE, "no GPU here is called '%.60s'; this machine has %zu", name,
                resources_here(r));
    return err_next(e, "wattq who lists them");
}

static int settle_names(const struct resources *r, struct spec *s, struct err *e)
{
    char *uuids[SPEC_GPUS_MAX];
    size_t n = spec_gpu_ids(s);
    for (size_t i = 0; i < n; i++) {
        int at = resources_find(r, s->gpu_ids[i]);
        if (at < 0)
            return no_such(r, s->gpu_ids[i], at, e);
        uuids[i] = (char *)(uintptr_t)r->gpus[at].uuid; /* copied, never written */
        for (size_t k = 0; k < i; k++)
            if (uuids[k] == uuids[i])
                return err_set(e, WATTQ_E_USAGE, "%.60s is named twice", s->gpu_ids[i]);
    }
    spec_gpus_set(s, (int)n, uuids, n);
    return 0;
}

/* Those that were taken out come back: who wants them waits. */
static size_t to_wait_for(const struct resources *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->ngpus; i++)
        n += r->gpus[i].here || r->gpus[i].out[0];
    return n;
}

static int settle_gpus(const struct resources *r, struct spec *s, size_t deflt, struct err *e)
{
    size_t have = to_wait_for(r);
    if (spec_gpu_ids(s) > 0)
        return settle_names(r, s, e);
    if (s->gpus == SPEC_GPUS_DEFAULT && !s->exclusive && have > 0)
        s->gpus = (int)(deflt < have ? deflt : have);
    return s->gpus > 0 && (size_t)s->gpus > have ? too_many(r, (size_t)s->gpus, e) : 0;
}

/* --threads of the built-in trainer, the last one; 1 where it says nothing, as there. */
static int64_t train_threads(const struct spec *s)
{
    int64_t n = 1;
    for (size_t i = 0; i < s->argc; i++) {
        const char *text = NULL;
        if (strncmp(s->argv[i], "--threads=", 10) == 0)
            text = s->argv[i] + 10;
        else if (strcmp(s->argv[i], "--threads") == 0 && i + 1 < s->argc)
            text = s->argv[++i];
        struct err ignored;
        if (text && (units_parse_count(text, &n, &ignored) < 0 || n < 1))
            n = 1; /* the trainer refuses it in its own words */
    }
    return n < SPEC_CPUS_MAX ? n : SPEC_CPUS_MAX;
}

static int settle_count(const struct resources *r, const struct spec *s, enum resources_kind k,
                        struct err *e)
{
    char want[40], have[40];
    if (r->have.n[k] == 0 || said_of(s, k) <= r->have.n[k])
        return 0;
    err_set(e, WATTQ_E_USAGE, "%s were asked for, but this machine has %s for runs",
            resources_amount(k, said_of(s, k), want), resources_amount(k, r->have.n[k], have));
    return err_next(e, "ask for no more with %s", counted[k].option);
}

int resources_settle(const struct resources *r, struct spec *s, const struct resources_defaults *d,
                     struct err *e)
{
    int rc = settle_gpus(r, s, d->gpus, e);
    if (s->cpus == 0 && !s->exclusive)
        s->cpus = s->kind == SPEC_TRAIN ? train_threads(s) : 1;
    for (int k = 0; rc == 0 && k < RESOURCES_KINDS; k++)
        rc = settle_count(r, s, (enum resources_kind)k, e);
    return rc;
}

bool resources_want(const struct resources *r, const struct spec *s, struct resources_want *out)
{
    *out = (struct resources_want){.all = s->exclusive, .gpus = s->gpus > 0 ? (size_t)s->gpus : 0};
    for (size_t i = 0; i < spec_gpu_ids(s); i++) {
        int at = resources_find(r, s->gpu_ids[i]);
        if (at < 0)
            return false;
        out->named |= (gpu_set)1 << at;
    }
    for (int k = 0; k < RESOURCES_KINDS; k++) {
        int64_t said = said_of(s, (enum resources_kind)k);
        out->count.n[k] = said > 0 || s->exclusive ? said : counted[k].least;
    }
    return true;
}

/* ---- giving ------------------------------------------------------------------------------------- */

static bool has(gpu_set set, size_t i)
{
    return (set >> i & 1) != 0;
}

/* Better first: nobody on it, then the driver's order, then ours. */
static bool better(const struct resources_gpu *a, const struct resources_gpu *b)
{
    if ((a->strangers > 0) != (b->strangers > 0))
        return a->strangers == 0;
    return a->number < b->number;
}

static int best_of(const struct resources *r, gpu_set from)
{
    int best = -1;
    for (size_t i = 0; i < r->ngpus; i++)
        if (has(from, i) && (best < 0 || better(&r->gpus[i], &r->gpus[best])))
            best = (int)i;
    return best;
}

static enum resources_answer choose_all(const struct resources *r, gpu_set *out)
{
    *out = 0;
    for (size_t i = 0; i < r->ngpus; i++) {
        if (r->gpus[i].run != RESOURCES_NOBODY)
            return RESOURCES_WAIT;
        *out |= (gpu_set)1 << i;
    }
    return RESOURCES_FIT;
}

/* An exclusive run that wants to see some must have them too: it is alone, so that none is held. */
enum resources_answer resources_choose_gpus(const struct resources *r,
                                            const struct resources_want *w, gpu_set aside,
                                            gpu_set *out)
{
    gpu_set here = 0, open = 0;
    *out = 0;
    for (size_t i = 0; i < r->ngpus; i++) {
        if (!r->gpus[i].here || (w->named && !has(w->named, i)))
            continue;
        here |= (gpu_set)1 << i;
        open |= r->gpus[i].run == RESOURCES_NOBODY && !has(aside, i) ? (gpu_set)1 << i : 0;
    }
    if ((size_t)__builtin_popcount(here) < w->gpus)
        return RESOURCES_GONE;
    if (w->all)
        return choose_all(r, out);
    if ((size_t)__builtin_popcount(open) < w->gpus)
        return RESOURCES_WAIT;
    for (size_t n = 0; n < w->gpus; n++) {
        int i = best_of(r, open & ~*out);
        *out |= i >= 0 ? (gpu_set)1 << i : 0;
    }
    return RESOURCES_FIT;
}

enum resources_answer resources_choose_count(const struct resources *r,
                                             const struct resources_want *w, enum resources_kind k,
                                             int64_t aside)
{
    int64_t have = r->have.n[k];
    if (have == 0)
        return RESOURCES_FIT;
    if (w->count.n[k] > have)
        return RESOURCES_GONE;
    int64_t want = w->all ? have : w->count.n[k];
    return want <= have - r->given.n[k] - aside ? RESOURCES_FIT : RESOURCES_WAIT;
}

static enum resources_answer worse(enum resources_answer a, enum resources_answer b)
{
    return a > b ? a : b;
}

enum resources_answer resources_choose(const struct resources *r, const struct resources_want *w,
                                       const struct resources_aside *aside, gpu_set *out)
{
    static const struct resources_aside nothing = {0};
    const struct resources_aside *keep = aside ? aside : &nothing;
    enum resources_answer a = resources_choose_gpus(r, w, keep->gpus, out);
    for (int k = 0; k < RESOURCES_KINDS; k++)
        a = worse(a, resources_choose_count(r, w, (enum resources_kind)k, keep->count.n[k]));
    return a;
}

bool resources_waits_gpus(const struct resources *r, const struct resources_want *w,
                          const struct resources_aside *aside)
{
    for (int k = 0; k < RESOURCES_KINDS; k++)
        if (resources_choose_count(r, w, (enum resources_kind)k, aside->count.n[k]) !=
            RESOURCES_FIT)
            return false;
    return true;
}

void resources_set_aside(const struct resources_want *w, gpu_set gpus,
                         struct resources_aside *aside)
{
    for (int k = 0; k < RESOURCES_KINDS; k++)
        aside->count.n[k] += w->count.n[k];
    aside->gpus |= gpus;
}

static void add_text(char buf[RESOURCES_TEXT], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add_text(char buf[RESOURCES_TEXT], const char *format, ...)
{
    size_t n = strlen(buf);
    va_list args;
    va_start(args, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-14 loses va_start over files
    (void)vsnprintf(buf + n, RESOURCES_TEXT - n, format, args);
    va_end(args);
}

static const char *name_of(const struct resources_gpu *g, char buf[24])
{
    if (g->number == UINT32_MAX)
        (void)snprintf(buf, 24, "%.12s", g->uuid);
    else
        (void)snprintf(buf, 24, "gpu%u", g->number);
    return buf;
}

/* The runs that hold what is wanted, each once. */
static void add_holders(const struct resources *r, gpu_set from, char buf[RESOURCES_TEXT])
{
    const char *before = ": held by run";
    for (size_t i = 0; i < r->ngpus; i++) {
        bool told = !has(from, i) || r->gpus[i].run == RESOURCES_NOBODY;
        for (size_t k = 0; !told && k < i; k++)
            told = has(from, k) && r->gpus[k].run == r->gpus[i].run;
        if (told)
            continue;
        add_text(buf, "%s %" PRId64, before, r->gpus[i].run);
        before = ", run";
    }
}

/* Those that it would have had a right to and that are given to nobody. */
static void add_faults(const struct resources *r, gpu_set from, char buf[RESOURCES_TEXT])
{
    char name[24];
    for (size_t i = 0; i < r->ngpus; i++)
        if (has(from, i) && resources_against(&r->gpus[i]))
            add_text(buf, "; %s is given to nobody: %s", name_of(&r->gpus[i], name),
                     resources_against(&r->gpus[i]));
}

static void why_gpus(const struct resources *r, const struct resources_want *w,
                     enum resources_answer a, char buf[RESOURCES_TEXT])
{
    gpu_set from = w->named ? w->named : ~(gpu_set)0;
    char name[24];
    if (w->named) {
        for (size_t i = 0, n = 0; i < r->ngpus; i++)
            if (has(w->named, i))
                add_text(buf, "%s%s", n++ ? ", " : "", name_of(&r->gpus[i], name));
    } else {
        add_text(buf, "%zu GPU%s", w->gpus, w->gpus == 1 ? "" : "s");
    }
    if (a == RESOURCES_GONE)
        add_text(buf, ": %zu of the %zu here can be given", resources_here(r), r->ngpus);
    else if (a == RESOURCES_WAIT)
        add_holders(r, from, buf);
    else
        add_text(buf, ": kept for the run before it");
    add_faults(r, from, buf);
}

static void why_count(const struct resources *r, const struct resources_want *w,
                      enum resources_kind k, enum resources_answer a, char buf[RESOURCES_TEXT])
{
    char want[40], have[40], left[40];
    int64_t free = r->have.n[k] - r->given.n[k];
    resources_amount(k, w->all ? r->have.n[k] : w->count.n[k], want);
    resources_amount(k, r->have.n[k], have);
    add_text(buf, "%s%s: ", buf[0] ? "; " : "", want);
    if (a == RESOURCES_GONE)
        add_text(buf, "there are %s", have);
    else if (free <= 0)
        add_text(buf, "all %s are given", have);
    else
        add_text(buf, "of %s only %s left", have, resources_amount(k, free, left));
}

const char *resources_why(const struct resources *r, const struct resources_want *w,
                          char buf[RESOURCES_TEXT])
{
    gpu_set ignored;
    buf[0] = '\0';
    enum resources_answer a = resources_choose_gpus(r, w, 0, &ignored);
    if (a != RESOURCES_FIT)
        why_gpus(r, w, a, buf);
    for (int k = 0; k < RESOURCES_KINDS; k++) {
        a = resources_choose_count(r, w, (enum resources_kind)k, 0);
        if (a != RESOURCES_FIT)
            why_count(r, w, (enum resources_kind)k, a, buf);
    }
    if (!buf[0] && w->gpus > 0)
        why_gpus(r, w, RESOURCES_FIT, buf);
    else if (!buf[0])
        add_text(buf, "%s: kept for the run before it",
                 resources_amount(RESOURCES_CPUS, w->count.n[RESOURCES_CPUS], (char[40]){0}));
    return buf;
}

void resources_take(struct resources *r, const struct resources_want *w, gpu_set set, int64_t run,
                    int64_t now_ns, struct resources_count *share)
{
    for (int k = 0; k < RESOURCES_KINDS; k++) {
        share->n[k] = w->all ? r->have.n[k] : w->count.n[k];
        r->given.n[k] += share->n[k];
    }
    for (size_t i = 0; i < r->ngpus; i++) {
        if (!has(set, i))
            continue;
        r->gpus[i].run = run;
        r->gpus[i].since_ns = now_ns;
    }
}

void resources_free(struct resources *r, int64_t run, struct resources_count *share)
{
    for (int k = 0; k < RESOURCES_KINDS; k++)
        r->given.n[k] -= share->n[k];
    *share = (struct resources_count){0};
    for (size_t i = 0; i < r->ngpus; i++)
        if (r->gpus[i].run == run)
            r->gpus[i].run = RESOURCES_NOBODY;
}

gpu_set resources_held(const struct resources *r, int64_t run)
{
    gpu_set set = 0;
    for (size_t i = 0; i < r->ngpus; i++)
        set |= r->gpus[i].run == run ? (gpu_set)1 << i : 0;
    return set;
}

gpu_set resources_visible(const struct resources *r, const struct resources_want *w, gpu_set held)
{
    gpu_set set = 0, sound = held;
    if (!w->all)
        return held;
    for (size_t i = 0; i < r->ngpus; i++)
        sound &= resources_against(&r->gpus[i]) ? ~((gpu_set)1 << i) : ~(gpu_set)0;
    if (w->gpus == 0)
        return sound;
    for (size_t n = 0; n < w->gpus; n++) {
        int i = best_of(r, (w->named ? w->named : sound) & ~set);
        set |= i >= 0 ? (gpu_set)1 << i : 0;
    }
    return set;
}

static int lowest(const struct resources *r, gpu_set from)
{
    int low = -1;
    for (size_t i = 0; i < r->ngpus; i++)
        if (has(from, i) && (low < 0 || r->gpus[i].number < r->gpus[low].number))
            low = (int)i;
    return low;
}

char *resources_uuids(const struct resources *r, gpu_set set)
{
    size_t cap = r->ngpus * (RESOURCES_NAME_SIZE + 1) + 1;
    char *text = base_alloc(cap);
    size_t n = 0;
    for (int i; (i = lowest(r, set)) >= 0; set &= ~((gpu_set)1 << i)) {
        int more = snprintf(text + n, cap - n, "%s%s", n ? "," : "", r->gpus[i].uuid);
        n += more > 0 ? (size_t)more : 0;
    }
    return text;
}

/* ---- a run's environment ------------------------------------------------------------------------ */

static size_t gpus_env(const struct spec *s, const struct resources_told *told, char **env)
{
    size_t n = 0;
    bool asked = s->gpus != SPEC_GPUS_DEFAULT;
    if (!asked && !told->uuids[0])
        return 0;
    if (asked || !told->own_cuda) { /* the order would give his own numbers another meaning */
        env[n++] = base_printf("CUDA_VISIBLE_DEVICES=%s", told->uuids);
        env[n++] = base_strdup("CUDA_DEVICE_ORDER=PCI_BUS_ID");
    }
    env[n++] = base_printf("WATTQ_GPUS=%s", told->uuids);
    return n;
}

char **resources_env(const struct spec *s, const struct resources_told *told)
{
    char **env = base_alloc(6 * sizeof(*env));
    size_t n = gpus_env(s, told, env);
    if (told->cpus > 0)
        env[n++] = base_printf("WATTQ_CPUS=%" PRId64, told->cpus);
    if (told->cpus > 0 && !told->own_threads && (s->cpus > 0 || !s->exclusive))
        env[n++] = base_printf("OMP_NUM_THREADS=%" PRId64, told->cpus);
    return env;
}

void resources_env_free(char **env)
{
    for (size_t i = 0; env && env[i]; i++)
        free(env[i]);
    free(env);
}
