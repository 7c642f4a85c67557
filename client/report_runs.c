/* Every run with its bounds and quality, and what was kept out of fits and verdicts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"
#include "client/report.h"
#include "common/units.h"

#define IDS_SHOWN 24

/* ---- exclusions ---------------------------------------------------------------------------------- */

static void put_ids(struct html_table *t, const struct report *r, uint32_t bit)
{
    char text[320] = "";
    size_t n = 0;
    for (size_t i = 0; i < r->study.n; i++) {
        if (!(r->study.runs[i].excluded & bit))
            continue;
        size_t used = strlen(text);
        if (n++ < IDS_SHOWN)
            (void)snprintf(text + used, sizeof text - used, "%s%lld", used ? " " : "",
                           (long long)r->study.runs[i].run);
    }
    html_cellf(t, n > IDS_SHOWN ? "%s and %zu more" : "%s", text, n - IDS_SHOWN);
}

static const char *kept_out_of(uint32_t bit)
{
    if (bit & STUDY_X_TIME)
        return "time and energy";
    return bit & STUDY_X_JOULES ? "energy" : "loss";
}

static void put_excluded(struct html *h, const struct report *r)
{
    static const char *const heads[] = {"Filter", ">Runs", "Kept out of", "Because", "Which"};
    uint32_t any = 0;
    struct html_table t;
    html_element(h, "h3", "What was kept out, and why");
    for (size_t i = 0; i < r->study.n; i++)
        any |= r->study.runs[i].excluded;
    if (any == 0) {
        html_element(h, "p", "Nothing: every run passes the quality filters.");
        return;
    }
    html_table_begin(&t, h, "Runs that do not enter every fit and verdict", heads,
                     ARRAY_LEN(heads));
    for (int x = 0; x < STUDY_X_COUNT; x++) {
        uint32_t bit = UINT32_C(1) << x;
        if (!(any & bit))
            continue;
        html_cell(&t, study_exclusion_name((enum study_exclusion)x));
        html_cellf(&t, "%zu", qc_count(r->study.runs, r->study.n, bit));
        html_cell(&t, kept_out_of(bit));
        html_cell(&t, study_exclusion_text((enum study_exclusion)x));
        put_ids(&t, r, bit);
    }
    html_table_end(&t);
}

static void put_left(struct html *h, const struct report *r)
{
    static const char *const heads[] = {"Run", "Why it is not a training run of a study"};
    struct html_table t;
    if (r->study.nleft == 0)
        return;
    html_rawf(h, "<details><summary>%zu selected runs are not finished training runs</summary>\n",
              r->study.nleft);
    html_table_begin(&t, h, NULL, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < r->study.nleft; i++) {
        html_cell(&t, r->study.left[i].what);
        html_cell(&t, r->study.left[i].reason);
    }
    html_table_end(&t);
    html_raw(h, "</details>\n");
}

/* ---- the table ----------------------------------------------------------------------------------- */

static const char *joules(char *buf, size_t cap, const struct study_run *run, double v)
{
    char n[32];
    if (!isfinite(v))
        (void)snprintf(buf, cap, "-");
    else if (run->quality == STUDY_ESTIMATED)
        (void)snprintf(buf, cap, "~%s estimated", svg_number(n, sizeof n, v, "J"));
    else
        return svg_number(buf, cap, v, "J");
    return buf;
}

static void put_bounds(struct html_table *t, const struct study_run *run)
{
    char lo[32];
    char hi[32];
    if (run->quality == STUDY_ESTIMATED || !isfinite(run->lo_j) || !isfinite(run->hi_j))
        html_cell(t, "-");
    else
        html_cellf(t, "%s .. %s", print_bound(lo, sizeof lo, run->lo_j, false),
                   print_bound(hi, sizeof hi, run->hi_j, true));
}

static void put_reasons(struct html_table *t, const struct study_run *run)
{
    char text[240] = "";
    for (int x = 0; x < STUDY_X_COUNT; x++) {
        size_t used = strlen(text);
        if (run->excluded & UINT32_C(1) << x)
            (void)snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "",
                           study_exclusion_name((enum study_exclusion)x));
    }
    html_cell(t, text);
}

static void put_number(struct html_table *t, double v, const char *unit)
{
    char buf[32];
    html_cell(t, svg_number(buf, sizeof buf, v, unit));
}

static void put_run(struct html_table *t, const struct study_run *run)
{
    char buf[80];
    html_cellf(t, "%lld", (long long)run->run);
    html_cellf(t, "%s%s", run->dataset, run->standin ? " (stand-in)" : "");
    html_cell(t, run->shape);
    html_cellf(t, "%d", run->net.depth);
    html_cell(t, svg_number(buf, sizeof buf, (double)run->size, "2^"));
    html_cell(t, print_count(buf, sizeof buf, run->net.params > 0 ? run->net.params : PRINT_NONE));
    html_cell(t, run->backend);
    html_cellf(t, "%d", run->threads);
    put_number(t, run->epochs, NULL);
    put_number(t, run->run_s, "s");
    html_cell(t, joules(buf, sizeof buf, run, run->run_j));
    put_bounds(t, run);
    put_number(t, study_datum_s(run), "s");
    html_cell(t, joules(buf, sizeof buf, run, study_datum_j(run)));
    put_number(t, run->test_loss, NULL);
    html_cell(t, study_quality_name(run->quality));
    html_cell(t, run->meter);
    html_cell(t, run->flags);
    put_reasons(t, run);
}

static void put_table(struct html *h, const struct report *r)
{
    static const char *const heads[] = {
        "Run",        "Data set", "Shape", ">Depth",  ">Size",      ">Parameters", "Backend",
        ">Threads",   ">Epochs",  ">Time", ">Energy", ">Bounds",    ">s/datum",    ">J/datum",
        ">Test loss", "Quality",  "Meter", "Flags",   "Kept out by"};
    struct html_table t;
    if (r->study.n == 0)
        return;
    html_rawf(h, "<details><summary>All %zu runs: bounds, quality, flags</summary>\n", r->study.n);
    html_table_begin(&t, h, "Runs of this report", heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < r->study.n; i++)
        put_run(&t, &r->study.runs[i]);
    html_table_end(&t);
    html_raw(h, "</details>\n");
}

void report_runs(struct html *h, const struct report *r)
{
    html_element(h, "h2 id=\"runs\"", "The runs");
    put_excluded(h, r);
    put_left(h, r);
    put_table(h, r);
}
