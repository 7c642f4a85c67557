/* The study's findings, one by one. */
#include <math.h>
#include <string.h>

#include "client/report.h"

/* One of a claim's figures in its unit; "-" when it is not known. */
static const char *figure(char *buf, size_t cap, double v, const char *unit)
{
    if (!isfinite(v))
        (void)snprintf(buf, cap, "-");
    else if (*unit == '%')
        (void)snprintf(buf, cap, "%.1f", 100 * v);
    else if (strcmp(unit, "parameters") == 0)
        (void)snprintf(buf, cap, "2^%.1f", v > 0 ? log2(v) : 0);
    else
        (void)snprintf(buf, cap, "%.3g", v);
    return buf;
}

static void put_mine(struct html_table *t, const struct claim *c)
{
    char b[3][32];
    if (!isfinite(c->value)) {
        html_cell(t, "-");
        return;
    }
    figure(b[0], sizeof b[0], c->value, c->unit);
    figure(b[1], sizeof b[1], c->lo, c->unit);
    figure(b[2], sizeof b[2], c->hi, c->unit);
    const char *gap = *c->unit ? " " : "";
    if (isfinite(c->lo) && isfinite(c->hi))
        html_cellf(t, "%s (%s .. %s)%s%s", b[0], b[1], b[2], gap, c->unit);
    else
        html_cellf(t, "%s%s%s", b[0], gap, c->unit);
}

static void put_study(struct html_table *t, const struct claim *c)
{
    char b[32];
    if (isfinite(c->study_value))
        html_cellf(t, "%s; by the rule used here: %s%s%s", c->study,
                   figure(b, sizeof b, c->study_value, c->unit), *c->unit ? " " : "", c->unit);
    else
        html_cell(t, c->study);
}

static void put_table(struct html *h, const struct report *r)
{
    static const char *const heads[] = {
        "No.", "Verdict", "The study found", "Its figures", "These runs (95\xc2\xa0% interval)",
        "Why"};
    static const char *const classes[] = {"yes", "no", "open"};
    static const char *const marks[] = {"\xe2\x9c\x93", "\xe2\x9c\x97", "\xe2\x97\x8b"};
    struct html_table t;
    html_cards_begin(&t, h, "The study's findings against these runs", heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < r->nclaims; i++) {
        const struct claim *c = &r->claims[i];
        html_table_class(&t, classes[c->verdict]);
        html_cellf(&t, "%d", c->row);
        html_cellf(&t, "%s %s%s", marks[c->verdict], claim_verdict_name(c->verdict),
                   c->time && c->verdict != CLAIM_UNTESTABLE ? ", by time" : "");
        html_cell(&t, c->finding);
        put_study(&t, c);
        put_mine(&t, c);
        html_cell(&t, c->why);
    }
    html_table_end(&t);
}

static void put_rules(struct html *h, const struct report *r)
{
    html_raw(h, "<details><summary>How each verdict is decided</summary>\n");
    html_element(
        h, "p",
        "A slope is that of the logarithm of cost within groups of equal data set, shape and "
        "depth, so that it does not matter which networks exist at which size. Intervals: "
        "bootstrap over configurations. Absolute joules are never compared with the study's: "
        "its wall meters see a whole node, idle power included; slopes, ratios and places of "
        "minima are.");
    html_raw(h, "<dl>\n");
    for (size_t i = 0; i < r->nclaims; i++) {
        const struct claim *c = &r->claims[i];
        html_elementf(h, "dt", "%d. %s", c->row, c->finding);
        html_element(h, "dd", c->rule);
    }
    html_raw(h, "</dl></details>\n");
}

void report_verdicts(struct html *h, const struct report *r)
{
    size_t n[3] = {0};
    for (size_t i = 0; i < r->nclaims; i++)
        n[r->claims[i].verdict]++;
    html_element(h, "h2 id=\"verdicts\"", "The study's findings, one by one");
    html_elementf(
        h, "p",
        "BUTTER-E trained fully connected networks of 20 sizes, 8 shapes and 14 depths on 13 "
        "data sets and measured whole nodes (arXiv 2403.08151). Of its %zu findings below, "
        "%zu are reproduced by these runs, %zu are not, %zu cannot be tested with them.",
        r->nclaims, n[CLAIM_REPRODUCED], n[CLAIM_NOT], n[CLAIM_UNTESTABLE]);
    put_table(h, r);
    put_rules(h, r);
}
