#include "daemon/meter/line.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/meter/attr.h"

#define FILE_BYTES (64u << 10)
#define VALUE_MAX  9e18L /* uJ or uW: what an int64 holds, with room */

struct unit {
    const char *name;
    bool energy;
    long double factor; /* to uW or uJ */
};
static const struct unit units[] = {
    {"uW", false, 1},    {"mW", false, 1e3L},   {"W", false, 1e6L}, {"kW", false, 1e9L},
    {"uJ", true, 1},     {"mJ", true, 1e3L},    {"J", true, 1e6L},  {"kJ", true, 1e9L},
    {"Wh", true, 36e8L}, {"kWh", true, 36e11L},
};

static bool name_ok(const char *s, size_t cap)
{
    size_t n = strlen(s);
    if (n == 0 || n >= cap || !isalpha((unsigned char)s[0]))
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_' && *s != '-')
            return false;
    return true;
}

/* Decimal, with or without an exponent; not "inf", not "0x1". */
static bool number(const char *s, long double *out)
{
    char *end = NULL;
    if (!*s || strspn(s, "0123456789+-.eE") != strlen(s))
        return false;
    *out = strtold(s, &end);
    return *end == '\0' && isfinite(*out);
}

static bool take_value(struct line *l, const char *value, const char *unit)
{
    long double v = 0;
    for (size_t i = 0; unit && i < ARRAY_LEN(units); i++) {
        if (strcmp(units[i].name, unit) != 0)
            continue;
        if (!number(value, &v) || fabsl(v * units[i].factor) > VALUE_MAX)
            return false;
        l->energy = units[i].energy;
        l->value = (int64_t)rintl(v * units[i].factor);
        l->state = READING_OK;
        return true;
    }
    return false;
}

static bool take_reason(struct line *l, const char *word)
{
    for (int s = READING_NO_PERMISSION; word && s < READING_STATES; s++) {
        if (strcmp(reading_state_name((enum reading_state)s), word) == 0) {
            l->state = (enum reading_state)s;
            return true;
        }
    }
    return false;
}

static bool take_keys(struct line *l, char **rest)
{
    for (char *word; (word = strtok_r(NULL, " \t", rest));) {
        if (strncmp(word, "lag=", 4) == 0
                ? !channel_text_duration(word + 4, &l->lag_ns)
                : strncmp(word, "box=", 4) != 0 || !channel_text_duration(word + 4, &l->box_ns))
            return false;
    }
    return true;
}

static int comment(const char *text)
{
    int version = LINE_VERSION;
    if (sscanf(text, "#wattq-line %d", &version) == 1 && version != LINE_VERSION)
        return 2;
    return 1;
}

int line_parse(const char *text, size_t n, struct line *out)
{
    char copy[LINE_MAX + 1];
    char *rest = NULL;
    *out = (struct line){.state = READING_GARBLED, .lag_ns = -1, .box_ns = -1};
    if (n > LINE_MAX || memchr(text, '\0', n))
        return WATTQ_E_INVALID;
    memcpy(copy, text, n);
    copy[n] = '\0';
    if (n > 0 && copy[n - 1] == '\r')
        copy[n - 1] = '\0';
    if (copy[0] == '#')
        return comment(copy);
    char *word = strtok_r(copy, " \t", &rest);
    if (!word)
        return 1;
    if (name_ok(word, sizeof(out->name))) {
        (void)base_strcpy(out->name, sizeof(out->name), word);
        word = strtok_r(NULL, " \t", &rest);
    }
    const char *second = word ? strtok_r(NULL, " \t", &rest) : NULL;
    if (word && strcmp(word, "-") == 0)
        return take_reason(out, second) ? 0 : WATTQ_E_INVALID;
    if (!word || !take_value(out, word, second) || !take_keys(out, &rest)) {
        out->state = READING_GARBLED;
        return WATTQ_E_INVALID;
    }
    return 0;
}

/* ---- the file ----------------------------------------------------------------------------------- */

void line_file_free(struct line_file *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        free(f->meters[i].command);
    free(f);
}

static bool known(const struct line_file *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->meters[i].name, name) == 0)
            return true;
    return false;
}

static int take_run(struct line_file *f, char *rest, struct err *e)
{
    char *command = NULL;
    const char *name = strtok_r(rest, " \t", &command);
    command += command ? strspn(command, " \t") : 0;
    if (!name || !command || !*command || !name_ok(name, LINE_NAME_MAX) || known(f, name))
        return err_set(e, WATTQ_E_INVALID, "'run' wants a name of its own and a command");
    if (f->n == LINE_METERS_MAX)
        return err_set(e, WATTQ_E_LIMIT, "more than %d meters", LINE_METERS_MAX);
    (void)base_strcpy(f->meters[f->n].name, LINE_NAME_MAX, name);
    f->meters[f->n++].command = base_strdup(command);
    return 0;
}

static int take_channel(struct line_file *f, const char *rest, struct err *e)
{
    /* What a program prints refreshes as it likes: nobody has declared a period. */
    bool paced = strstr(rest, " period=") != NULL;
    char *line CLEANUP(base_freep) =
        base_printf("%s%s", rest, paced ? "" : " period=1s declared=no");
    int rc = channel_text_add(&f->channels, "line", line, e);
    if (rc < 0)
        return rc;
    const char *name = f->channels.names[f->channels.n - 1];
    char meter[LINE_NAME_MAX] = "";
    size_t n = strcspn(name, "/");
    if (n < sizeof(meter))
        memcpy(meter, name, n);
    if (!name_ok(meter, sizeof(meter)) || (name[n] && !name_ok(name + n + 1, LINE_NAME_MAX)))
        return err_set(e, WATTQ_E_INVALID, "channel %.60s is not METER or METER/NAME", name);
    return 0;
}

static int take_line(struct line_file *f, char *text, struct err *e)
{
    text += strspn(text, " \t");
    if (*text == '\0' || *text == '#')
        return 0;
    if (strncmp(text, "run ", 4) == 0)
        return take_run(f, text + 4, e);
    if (strncmp(text, "channel ", 8) == 0)
        return take_channel(f, text + 8, e);
    return err_set(e, WATTQ_E_INVALID, "'%.40s' is neither run nor channel", text);
}

/* Every channel is of a meter that is there. */
static int check(const struct line_file *f, struct err *e)
{
    for (size_t i = 0; i < f->channels.n; i++) {
        char meter[LINE_NAME_MAX] = "";
        memcpy(meter, f->channels.names[i], strcspn(f->channels.names[i], "/"));
        if (!known(f, meter))
            return err_set(e, WATTQ_E_INVALID, "channel %.60s: no 'run %s' is in the file",
                           f->channels.names[i], meter);
    }
    return 0;
}

int line_file_load(struct line_file **out, const char *path, struct err *e)
{
    size_t bytes = 0;
    char *text CLEANUP(base_freep) = base_read_file(AT_FDCWD, path, FILE_BYTES, &bytes);
    if (!text)
        return err_errno(e, WATTQ_E_IO, "cannot read the file of meters %.200s", path);
    struct line_file *f = base_alloc(sizeof(*f));
    char *rest = text;
    int rc = 0;
    int number = 0;
    for (char *line; rc == 0 && (line = strsep(&rest, "\n"));) {
        struct err why = {0};
        number++;
        rc = take_line(f, line, &why);
        if (rc < 0)
            err_set(e, rc, "%.150s line %d: %.200s", path, number, why.text);
    }
    if (rc == 0)
        rc = check(f, e);
    if (rc < 0) {
        line_file_free(f);
        return rc;
    }
    *out = f;
    return 0;
}
