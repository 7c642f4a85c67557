/* Texts of others that the client reads or writes on: a unified diff in one line, factors of usage, escapes. The
 * first byte chooses. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/diff.h"
#include "client/methods.h"
#include "client/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_diff(const char *text)
{
    char *line = diff_summary(text);
    if (strchr(line, '\n'))
        abort();
    free(line);
}

static void check_factors(const char *text)
{
    struct usage_factors f = {.price = NAN, .co2_g = NAN};
    struct err e = {0};
    if (usage_parse_price(text, &f, &e) == 0 && !(f.price >= 0 && f.currency[0]))
        abort();
    if (usage_parse_co2(text, &f, &e) == 0 && !(f.co2_g >= 0))
        abort();
}

/* No character keeps its meaning: a special one stands only behind a backslash or inside of a command. */
static void check_latex(const char *text)
{
    char *out = methods_escape(text, METHODS_LATEX);
    int depth = 0;
    for (const char *p = out; *p; p++) {
        if (*p == '\\' && p[1] && strchr("{}$&#_%", p[1])) {
            p++;
            continue;
        }
        if (strncmp(p, "$\\pm$", 5) == 0) {
            p += 4;
            continue;
        }
        depth += *p == '{' ? 1 : *p == '}' ? -1 : 0;
        if (depth < 0 || strchr("$&#_%~^<>|\"\n", *p))
            abort();
    }
    if (depth != 0)
        abort();
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    const char *rest = size > 0 ? text + 1 : text;
    switch (text[0]) {
    case 'd':
        check_diff(rest);
        break;
    case 'f':
        check_factors(rest);
        break;
    default:
        check_latex(rest);
        free(methods_escape(rest, METHODS_MARKDOWN));
    }
    free(text);
    return 0;
}
