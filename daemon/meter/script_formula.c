#include "daemon/meter/script_formula.h"

#include "daemon/meter/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX  1024
#define SINE_STEPS 256
#define FAULTS_MAX 64
#define UJ_FJ      INT64_C(1000000000) /* 1 uJ = 1e9 uW ns */

__extension__ typedef __int128 wide; /* fJ: int64 would end at 9 kJ */

struct fault {
    int64_t from_ns, to_ns;
    enum reading_state state;
};

struct curve {
    int64_t at_ns[STEPS_MAX]; /* step i holds from at_ns[i] */
    int64_t uw[STEPS_MAX];
    size_t n;
    int64_t repeat_ns; /* 0 = the last step holds for ever */
    int64_t start_uj;
    int64_t resets[FAULTS_MAX]; /* ascending */
    size_t nresets;
    struct fault faults[FAULTS_MAX];
    size_t nfaults;
};

struct formula {
    struct channel_text channels;
    struct curve *curves[CHANNEL_TEXT_MAX];
    int64_t origin_ns;
};

/* ---- arithmetic -------------------------------------------------------------------------------- */

/* Integral from 0 to t within one pass over the steps. */
static wide pass_fj(const struct curve *c, int64_t t)
{
    wide sum = 0;
    for (size_t i = 0; i < c->n && c->at_ns[i] < t; i++) {
        int64_t end = i + 1 < c->n && c->at_ns[i + 1] < t ? c->at_ns[i + 1] : t;
        sum += (wide)c->uw[i] * (end - c->at_ns[i]);
    }
    return sum;
}

static wide energy_fj(const struct curve *c, int64_t t)
{
    if (t <= 0) {
        return 0;
    }
    if (c->repeat_ns == 0) {
        return pass_fj(c, t);
    }
    return pass_fj(c, c->repeat_ns) * (t / c->repeat_ns) + pass_fj(c, t % c->repeat_ns);
}

static int64_t power_at(const struct curve *c, int64_t t)
{
    if (t < 0 || c->n == 0) {
        return 0;
    }
    if (c->repeat_ns > 0) {
        t %= c->repeat_ns;
    }
    int64_t uw = 0;
    for (size_t i = 0; i < c->n && c->at_ns[i] <= t; i++) {
        uw = c->uw[i];
    }
    return uw;
}

static int64_t register_uj(const struct curve *c, const struct channel_desc *d, int64_t t)
{
    wide from = 0;
    int64_t start = c->start_uj;
    for (size_t i = 0; i < c->nresets && c->resets[i] <= t; i++) {
        from = energy_fj(c, c->resets[i]);
        start = 0;
    }
    wide fj = energy_fj(c, t) - from;
    int64_t uj = start + (fj > 0 ? (int64_t)(fj / UJ_FJ) : 0); /* a lagging register stands at 0 */
    uj -= uj % d->quantum;
    return d->wrap_uj > 0 ? uj % d->wrap_uj : uj;
}

int64_t formula_energy_uj(const struct formula *f, size_t i, int64_t boot_ns)
{
    return (int64_t)(energy_fj(f->curves[i], boot_ns - f->origin_ns) / UJ_FJ);
}

int64_t formula_power_uw(const struct formula *f, size_t i, int64_t boot_ns)
{
    return power_at(f->curves[i], boot_ns - f->origin_ns);
}

struct reading formula_read(const struct formula *f, size_t i, int64_t boot_ns)
{
    const struct curve *c = f->curves[i];
    const struct channel_desc *d = &f->channels.descs[i];
    int64_t t = boot_ns - f->origin_ns;
    for (size_t k = 0; k < c->nfaults; k++) {
        if (t >= c->faults[k].from_ns && t < c->faults[k].to_ns) {
            return (struct reading){.state = c->faults[k].state};
        }
    }
    int64_t shown = (t > 0 ? t - t % d->period_ns : 0) - d->lag_ns;
    struct reading r = {.state = READING_OK};
    if (d->kind == CHANNEL_COUNTER) {
        r.value = register_uj(c, d, shown);
    } else if (d->kind == CHANNEL_AVERAGE) {
        r.value = (int64_t)((energy_fj(c, shown) - energy_fj(c, shown - d->box_ns)) / d->box_ns);
    } else {
        r.value = power_at(c, shown);
    }
    return r;
}

/* ---- reading the file -------------------------------------------------------------------------- */

static int bad(struct err *e, const char *what, const char *word)
{
    return err_set(e, WATTQ_E_INVALID, "formula: '%s' is not %s", word ? word : "", what);
}

static int step(struct curve *c, int64_t at_ns, int64_t uw, struct err *e)
{
    if (c->n == STEPS_MAX || (c->n > 0 && at_ns <= c->at_ns[c->n - 1])) {
        return err_set(e, WATTQ_E_INVALID, "formula: steps must rise in time, at most %d of them",
                       STEPS_MAX);
    }
    c->at_ns[c->n] = at_ns;
    c->uw[c->n++] = uw;
    return 0;
}

static int parse_sine(struct curve *c, char **rest, struct err *e)
{
    int64_t mean = 0;
    int64_t amp = 0;
    int64_t period = 0;
    const char *a = strtok_r(NULL, " \t", rest);
    const char *b = strtok_r(NULL, " \t", rest);
    const char *p = strtok_r(NULL, " \t", rest);
    if (!a || !b || !p || !channel_text_power(a, &mean) || !channel_text_power(b, &amp) ||
        !channel_text_duration(p, &period) || amp > mean || period < SINE_STEPS) {
        return bad(e, "a sine: mean, amplitude up to the mean, period", p);
    }
    for (int k = 0; k < SINE_STEPS; k++) {
        double angle = 2.0 * M_PI * (k + 0.5) / SINE_STEPS;
        int64_t uw = mean + (int64_t)llrint((double)amp * sin(angle));
        int rc = step(c, (int64_t)((wide)period * k / SINE_STEPS), uw, e);
        if (rc < 0) {
            return rc;
        }
    }
    c->repeat_ns = period;
    return 0;
}

static int parse_piecewise(struct curve *c, char **rest, struct err *e)
{
    for (char *word = strtok_r(NULL, " \t", rest); word; word = strtok_r(NULL, " \t", rest)) {
        if (strcmp(word, "repeat") == 0) {
            const char *period = strtok_r(NULL, " \t", rest);
            if (!period || !channel_text_duration(period, &c->repeat_ns) || c->n == 0 ||
                c->repeat_ns <= c->at_ns[c->n - 1]) {
                return bad(e, "a repetition longer than the last step", period);
            }
            return 0;
        }
        char *colon = strchr(word, ':');
        int64_t at = 0;
        int64_t uw = 0;
        if (colon) {
            *colon = '\0';
        }
        if (!colon || !channel_text_duration(word, &at) || !channel_text_power(colon + 1, &uw)) {
            return bad(e, "a step like 10s:120W", word);
        }
        int rc = step(c, at, uw, e);
        if (rc < 0) {
            return rc;
        }
    }
    return c->n > 0 ? 0 : bad(e, "a list of steps", "piecewise");
}

static int parse_power(struct curve *c, char **rest, struct err *e)
{
    const char *equals = strtok_r(NULL, " \t", rest);
    const char *form = strtok_r(NULL, " \t", rest);
    c->n = 0;
    c->repeat_ns = 0;
    if (!equals || strcmp(equals, "=") != 0 || !form) {
        return bad(e, "'= constant|piecewise|sine'", equals);
    }
    if (strcmp(form, "piecewise") == 0) {
        return parse_piecewise(c, rest, e);
    }
    if (strcmp(form, "sine") == 0) {
        return parse_sine(c, rest, e);
    }
    const char *value = strtok_r(NULL, " \t", rest);
    int64_t uw = 0;
    if (strcmp(form, "constant") != 0 || !value || !channel_text_power(value, &uw)) {
        return bad(e, "a constant power", value ? value : form);
    }
    return step(c, 0, uw, e);
}

static bool fault_state(const char *word, enum reading_state *out)
{
    static const struct {
        const char *word;
        enum reading_state state;
    } words[] = {{"EIO", READING_IO},           {"EACCES", READING_NO_PERMISSION},
                 {"ENOENT", READING_GONE},      {"ENODEV", READING_GONE},
                 {"ENODATA", READING_DISABLED}, {"GARBLED", READING_GARBLED},
                 {"STALE", READING_STALE},      {"IMPLAUSIBLE", READING_IMPLAUSIBLE}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i].word, word) == 0) {
            *out = words[i].state;
            return true;
        }
    }
    return false;
}

static int parse_fail(struct curve *c, char **rest, struct err *e)
{
    char *range = strtok_r(NULL, " \t", rest);
    const char *word = strtok_r(NULL, " \t", rest);
    char *dots = range ? strstr(range, "..") : NULL;
    struct fault x = {0};
    if (dots) {
        *dots = '\0';
    }
    if (c->nfaults == FAULTS_MAX || !dots || !word || !channel_text_duration(range, &x.from_ns) ||
        !channel_text_duration(dots + 2, &x.to_ns) || !fault_state(word, &x.state)) {
        return bad(e, "a fault like 4s..5s EIO", word ? word : range);
    }
    c->faults[c->nfaults++] = x;
    return 0;
}

static int parse_reset(struct curve *c, const char *at, struct err *e)
{
    int64_t t = 0;
    if (c->nresets == FAULTS_MAX || !at || !channel_text_duration(at, &t) ||
        (c->nresets > 0 && t <= c->resets[c->nresets - 1])) {
        return bad(e, "a moment after the previous reset", at);
    }
    c->resets[c->nresets++] = t;
    return 0;
}

static int parse_channel(struct formula *f, char *line, struct err *e)
{
    int rc = channel_text_add(&f->channels, "script", line, e);
    if (rc == 0) {
        f->curves[f->channels.n - 1] = base_alloc(sizeof(struct curve));
    }
    return rc;
}

static int parse_line(struct formula *f, char *line, struct err *e)
{
    line[strcspn(line, "#\r")] = '\0';
    char *rest = NULL;
    const char *verb = strtok_r(line, " \t", &rest);
    if (!verb) {
        return 0;
    }
    if (strcmp(verb, "channel") == 0) {
        return parse_channel(f, rest, e);
    }
    const char *name = strtok_r(NULL, " \t", &rest);
    if (strcmp(verb, "origin") == 0) {
        return name && attr_parse(name, strlen(name), &f->origin_ns)
                   ? 0
                   : bad(e, "an instant in ns", name);
    }
    int i = name ? channel_text_find(&f->channels, name) : -1;
    if (i < 0) {
        return bad(e, "a channel described above", name);
    }
    struct curve *c = f->curves[i];
    if (strcmp(verb, "power") == 0) {
        return parse_power(c, &rest, e);
    }
    if (strcmp(verb, "fail") == 0) {
        return parse_fail(c, &rest, e);
    }
    const char *word = strtok_r(NULL, " \t", &rest);
    if (strcmp(verb, "reset") == 0) {
        return parse_reset(c, word, e);
    }
    if (strcmp(verb, "start") == 0 && word && attr_parse(word, strlen(word), &c->start_uj) &&
        c->start_uj >= 0) {
        return 0;
    }
    return bad(e, "one of origin, channel, power, start, reset, fail", verb);
}

int formula_parse(struct formula **out, const char *text, struct err *e)
{
    struct formula *f = base_alloc(sizeof(*f));
    char *copy CLEANUP(base_freep) = base_strdup(text);
    char *rest = NULL;
    int rc = 0;
    for (char *line = strtok_r(copy, "\n", &rest); line && rc == 0;
         line = strtok_r(NULL, "\n", &rest)) {
        rc = parse_line(f, line, e);
    }
    for (size_t i = 0; rc == 0 && i < f->channels.n; i++) {
        if (f->curves[i]->n == 0) {
            rc = err_set(e, WATTQ_E_INVALID, "formula: channel %s has no power line",
                         f->channels.names[i]);
        }
    }
    if (rc == 0 && f->channels.n == 0) {
        rc = err_set(e, WATTQ_E_INVALID, "formula: no channel");
    }
    if (rc < 0) {
        formula_free(f);
        return rc;
    }
    *out = f;
    return 0;
}

int formula_load(struct formula **out, const char *path, struct err *e)
{
    size_t bytes = 0;
    char *text CLEANUP(base_freep) = base_read_file(AT_FDCWD, path, FORMULA_BYTES_MAX, &bytes);
    if (!text) {
        return err_errno(e, WATTQ_E_IO, "cannot read the formula file %s", path);
    }
    return formula_parse(out, text, e);
}

void formula_free(struct formula *f)
{
    for (size_t i = 0; f && i < f->channels.n; i++) {
        free(f->curves[i]);
    }
    free(f);
}

size_t formula_count(const struct formula *f)
{
    return f->channels.n;
}

const struct channel_desc *formula_descs(const struct formula *f)
{
    return f->channels.descs;
}

int formula_find(const struct formula *f, const char *name)
{
    return channel_text_find(&f->channels, name);
}

int64_t formula_origin_ns(const struct formula *f)
{
    return f->origin_ns;
}
