#include "daemon/queue/resources.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    g->here = here;
    g->strangers = strangers;
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

int resources_settle(const struct resources *r, struct spec *s, size_t deflt, struct err *e)
{
    size_t have = resources_here(r);
    if (spec_gpu_ids(s) > 0)
        return settle_names(r, s, e);
    if (s->gpus == SPEC_GPUS_DEFAULT && !s->exclusive && have > 0)
        s->gpus = (int)(deflt < have ? deflt : have);
    return s->gpus > 0 && (size_t)s->gpus > have ? too_many(r, (size_t)s->gpus, e) : 0;
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
enum resources_answer resources_choose(const struct resources *r, const struct resources_want *w,
                                       gpu_set barred, gpu_set *out)
{
    gpu_set here = 0, open = 0;
    *out = 0;
    for (size_t i = 0; i < r->ngpus; i++) {
        if (!r->gpus[i].here || (w->named && !has(w->named, i)))
            continue;
        here |= (gpu_set)1 << i;
        open |= r->gpus[i].run == RESOURCES_NOBODY && !has(barred, i) ? (gpu_set)1 << i : 0;
    }
    if ((size_t)__builtin_popcount(here) < w->gpus)
        return RESOURCES_GONE;
    if (w->all)
        return choose_all(r, out);
    if ((size_t)__builtin_popcount(open) < w->gpus)
        return RESOURCES_WAIT;
    for (size_t n = 0; n < w->gpus; n++) {
        int i = best_of(r, open & ~*out);
        *out |= (gpu_set)1 << i;
    }
    return RESOURCES_FIT;
}

static void add_text(char buf[RESOURCES_TEXT], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add_text(char buf[RESOURCES_TEXT], const char *format, ...)
{
    size_t n = strlen(buf);
    va_list args;
    va_start(args, format);
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

const char *resources_why(const struct resources *r, const struct resources_want *w,
                          char buf[RESOURCES_TEXT])
{
    gpu_set from = w->named ? w->named : ~(gpu_set)0;
    gpu_set ignored;
    char name[24];
    buf[0] = '\0';
    if (w->named) {
        for (size_t i = 0, n = 0; i < r->ngpus; i++)
            if (has(w->named, i))
                add_text(buf, "%s%s", n++ ? ", " : "", name_of(&r->gpus[i], name));
    } else {
        add_text(buf, "%zu GPU%s", w->gpus, w->gpus == 1 ? "" : "s");
    }
    enum resources_answer a = resources_choose(r, w, 0, &ignored);
    if (a == RESOURCES_GONE)
        add_text(buf, ": %zu of the %zu here answer", resources_here(r), r->ngpus);
    else if (a == RESOURCES_WAIT)
        add_holders(r, from, buf);
    else
        add_text(buf, ": kept for the run before it");
    return buf;
}

void resources_take(struct resources *r, gpu_set set, int64_t run, int64_t now_ns)
{
    for (size_t i = 0; i < r->ngpus; i++) {
        if (!has(set, i))
            continue;
        r->gpus[i].run = run;
        r->gpus[i].since_ns = now_ns;
    }
}

void resources_free(struct resources *r, int64_t run)
{
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
    gpu_set set = 0;
    if (!w->all || w->gpus == 0)
        return held;
    for (size_t n = 0; n < w->gpus; n++) {
        int i = best_of(r, (w->named ? w->named : held) & ~set);
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

char **resources_env(const struct spec *s, const char *uuids, bool own)
{
    char **env = base_alloc(4 * sizeof(*env));
    size_t n = 0;
    bool asked = s->gpus != SPEC_GPUS_DEFAULT;
    if (!asked && !uuids[0])
        return env;
    if (asked || !own) { /* the order would give his own numbers another meaning */
        env[n++] = base_printf("CUDA_VISIBLE_DEVICES=%s", uuids);
        env[n++] = base_strdup("CUDA_DEVICE_ORDER=PCI_BUS_ID");
    }
    env[n++] = base_printf("WATTQ_GPUS=%s", uuids);
    return env;
}

void resources_env_free(char **env)
{
    for (size_t i = 0; env && env[i]; i++)
        free(env[i]);
    free(env);
}
