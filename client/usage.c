#include "client/usage.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UJ_PER_KWH 3.6e12

const char *usage_quality_name(enum usage_quality q)
{
    static const char *const names[] = {"measured", "modelled", "estimated", "apportioned"};
    return names[q];
}

const char *usage_reason_text(enum usage_reason r)
{
    static const char *const texts[] = {"no meter told their energy",
                                        "they ran beside others, and their share is not known"};
    return texts[r];
}

void usage_init(struct usage *u)
{
    *u = (struct usage){.total = {.name = base_strdup("total")}};
}

void usage_fini(struct usage *u)
{
    for (size_t i = 0; i < u->n; i++)
        free(u->groups[i].name);
    free(u->groups);
    free(u->total.name);
    *u = (struct usage){0};
}

static struct usage_group *group_of(struct usage *u, const char *name)
{
    for (size_t i = u->n; i-- > 0;) /* days come in order: the newest is the likeliest */
        if (strcmp(u->groups[i].name, name) == 0)
            return &u->groups[i];
    if ((u->n & (u->n - 1)) == 0) {
        u->groups = realloc(u->groups, (u->n ? 2 * u->n : 1) * sizeof *u->groups);
        if (!u->groups)
            abort();
    }
    u->groups[u->n] = (struct usage_group){.name = base_strdup(name)};
    return &u->groups[u->n++];
}

static enum usage_quality quality_of(const char *name)
{
    int q = 0;
    while (q < USAGE_APPORTIONED && strcmp(name, usage_quality_name((enum usage_quality)q)) != 0)
        q++;
    return q == USAGE_APPORTIONED ? USAGE_QUALITIES : (enum usage_quality)q;
}

/* A share of a guess is a guess; any other is a rule, not a measurement. */
static void add_share(struct usage_group *g, const struct usage_run *r, enum usage_quality q)
{
    struct usage_sum *s = &g->sum[q == USAGE_ESTIMATED ? USAGE_ESTIMATED : USAGE_APPORTIONED];
    if (r->attributed_uj == USAGE_UNKNOWN || q == USAGE_QUALITIES) {
        g->unknown[USAGE_SHARED]++;
        return;
    }
    s->runs++;
    s->uj += r->attributed_uj;
}

static void add_to(struct usage_group *g, const struct usage_run *r)
{
    enum usage_quality q = quality_of(r->quality ? r->quality : "");
    g->runs++;
    g->run_ns += r->run_ns == USAGE_UNKNOWN ? 0 : r->run_ns;
    g->cpu_ns += r->cpu_ns == USAGE_UNKNOWN ? 0 : r->cpu_ns;
    g->cpu_unknown += r->cpu_ns == USAGE_UNKNOWN;
    if (r->gpu_ns != USAGE_UNKNOWN) {
        g->gpu_ns += r->gpu_ns;
        g->gpu_runs++;
    }
    if (r->shared) {
        add_share(g, r, q);
        return;
    }
    if (r->energy_uj == USAGE_UNKNOWN || q == USAGE_QUALITIES) {
        g->unknown[USAGE_NO_FIGURE]++;
        return;
    }
    struct usage_sum *s = &g->sum[q];
    s->runs++;
    s->uj += r->energy_uj;
    if (r->lo_uj == USAGE_UNKNOWN || r->hi_uj == USAGE_UNKNOWN)
        return;
    s->bounded++;
    s->lo_uj += r->lo_uj;
    s->hi_uj += r->hi_uj;
}

void usage_add(struct usage *u, const char *group, const struct usage_run *r)
{
    add_to(group_of(u, group), r);
    add_to(&u->total, r);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct usage_group *)a)->name, ((const struct usage_group *)b)->name);
}

void usage_sort(struct usage *u)
{
    if (u->n > 1)
        qsort(u->groups, u->n, sizeof *u->groups, by_name);
}

double usage_kwh(int64_t uj)
{
    return (double)uj / UJ_PER_KWH;
}

/* ---- factors -------------------------------------------------------------------------------------- */

/* A number at least 0; *unit behind it, blanks skipped. false: there is none. */
static bool number(const char *text, double *v, const char **unit)
{
    char *end;
    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return false;
    *v = strtod(text, &end);
    *unit = end + strspn(end, " ");
    return end != text && isfinite(*v) && *v >= 0;
}

int usage_parse_price(const char *text, struct usage_factors *f, struct err *e)
{
    const char *unit = "";
    double v;
    if (number(text, &v, &unit)) {
        const char *slash = strchr(unit, '/');
        size_t n = slash ? (size_t)(slash - unit) : 0;
        while (n > 0 && unit[n - 1] == ' ')
            n--;
        if (n > 0 && n < sizeof f->currency && strcmp(slash, "/kWh") == 0) {
            f->price = v;
            memcpy(f->currency, unit, n);
            f->currency[n] = '\0';
            return 0;
        }
    }
    err_set(e, WATTQ_E_USAGE, "--price: '%.60s' is no price of energy", text);
    return err_next(e, "write --price 0.30EUR/kWh");
}

int usage_parse_co2(const char *text, struct usage_factors *f, struct err *e)
{
    const char *unit = "";
    double v;
    if (number(text, &v, &unit) && (strcmp(unit, "g/kWh") == 0 || strcmp(unit, "kg/kWh") == 0)) {
        f->co2_g = unit[0] == 'k' ? v * 1000 : v;
        return 0;
    }
    err_set(e, WATTQ_E_USAGE, "--co2: '%.60s' is no emission of energy", text);
    return err_next(e, "write --co2 380g/kWh");
}
