/* The page: its head, what it says first, its sections, the machine. */
#include <stdlib.h>
#include <string.h>

#include "client/print.h"
#include "client/report.h"
#include "common/units.h"

/* Contrast of all text is at least 4.5:1 in both schemes; nothing is smaller than 13 px. */
static const char style[] =
    "*{box-sizing:border-box}\n"
    "html{-webkit-text-size-adjust:100%}\n"
    "body{margin:0 auto;padding:1rem;max-width:60rem;font:16px/1.5 system-ui,sans-serif;"
    "color:var(--ink);background:var(--paper);overflow-wrap:break-word}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0}\n"
    "h2{font-size:1.3rem;margin:2.5rem 0 .5rem;border-bottom:1px solid var(--soft)}\n"
    "h3{font-size:1.08rem;margin:1.6rem 0 .4rem}\n"
    ".by{color:var(--faint);margin:0 0 1rem}\n"
    "nav ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.3rem 1.2rem}\n"
    "a{color:var(--s0)}\n"
    ".note{border-left:4px solid var(--s1);padding:.4rem .8rem;background:var(--tint)}\n"
    ":root{--tint:#f3f5f7;--good:#0a6640;--bad:#a11212}\n"
    "@media screen and "
    "(prefers-color-scheme:dark){:root{--tint:#20252b;--good:#5fd39c;--bad:#ff9c9c}}\n"
    ".wide{overflow-x:auto;max-width:100%}\n"
    ".wide:focus-visible,summary:focus-visible,a:focus-visible{outline:3px solid var(--s0);"
    "outline-offset:2px}\n"
    "figure{margin:1.2rem 0}figure .wide "
    "svg{display:block;width:100%;min-width:40rem;height:auto}\n"
    "figcaption,caption{font-size:.9rem;color:var(--faint);text-align:left;padding:.3rem 0}\n"
    "figcaption strong{color:var(--ink)}\n"
    "table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums;margin:."
    "3rem 0}\n"
    "th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid "
    "var(--soft);"
    "font-weight:normal}\n"
    "thead th{font-weight:600;border-bottom:2px solid var(--faint)}\n"
    "td.n,th.n{text-align:right;white-space:nowrap}\n"
    "tr.yes td:nth-child(2){color:var(--good);font-weight:600}\n"
    "tr.no td:nth-child(2){color:var(--bad);font-weight:600}\n"
    "table.cards td{min-width:9rem}\n"
    "summary{cursor:pointer;padding:.4rem 0}\n"
    "dt{font-weight:600;margin-top:.6rem}dd{margin:0 0 0 1rem}\n"
    "@media (max-width:44rem){table.cards "
    "thead{position:absolute;width:1px;height:1px;overflow:hidden;"
    "clip-path:inset(50%)}\n"
    "table.cards,table.cards tbody,table.cards tr,table.cards th,table.cards td,table.cards "
    "caption{"
    "display:block}\n"
    "table.cards tr{border:1px solid var(--soft);border-radius:6px;margin:.6rem 0;padding:.3rem}\n"
    "table.cards th,table.cards td{border:0;padding:.15rem .5rem}\n"
    "table.cards [data-head]::before{content:attr(data-head) \": "
    "\";color:var(--faint);font-weight:normal}}\n"
    "@media print{body{max-width:none;padding:0;font-size:10.5pt}nav{display:none}"
    "figure,tr{break-inside:avoid}h2,h3{break-after:avoid}.wide{overflow:visible}"
    "figure .wide svg{min-width:0}table{font-size:8.5pt}th,td{padding:.15rem .3rem}}\n";

static void put_head(struct html *h, const struct report *r)
{
    html_raw(h, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
                "<meta name=\"generator\" content=\"wattq " WATTQ_VERSION "\"/>\n");
    html_element(h, "title", r->title);
    html_rawf(h, "<style>\n%s%s</style>\n</head>\n<body>\n", svg_style(), style);
}

/* ---- what is said first -------------------------------------------------------------------------- */

static void put_quality(struct html *h, const struct report *r)
{
    if (r->study.n == 0)
        return;
    if (r->estimated > 0 && r->measured == 0)
        html_element(
            h, "p class=\"note\"",
            "The joules of these runs are estimates: no meter measured them. Everything on "
            "this page is therefore about time; where joules are shown at all they carry a "
            "tilde and the word estimated, and they decide nothing.");
    else if (r->estimated > 0)
        html_elementf(
            h, "p class=\"note\"",
            "The joules of %zu of %zu runs are estimates: they carry a tilde and the word "
            "estimated, and enter no chart, model or verdict about energy.",
            r->estimated, r->study.n);
    else if (r->measured == 0)
        html_element(h, "p class=\"note\"",
                     "These runs have no energy figure: everything on this page is about time.");
    if (r->study.covers[0] && r->measured > 0)
        html_elementf(h, "p", "What the joules cover, and what not: %s.", r->study.covers);
}

static void put_empty(struct html *h, const struct report *r)
{
    html_elementf(
        h, "p class=\"note\"",
        "There is no finished training run in this selection%s%s%s. A report needs runs of "
        "the built-in trainer: wattq sweep train --dataset standin:mnist --shape rectangle "
        "--depth 2,4 --size 2^8,2^12,2^16 queues some, wattq runs lists what there is.",
        r->selection && *r->selection ? " (" : "", r->selection ? r->selection : "",
        r->selection && *r->selection ? ")" : "");
}

static void put_contents(struct html *h)
{
    static const char *const at[][2] = {
        {"verdicts", "Findings"},  {"cost", "Cost"}, {"loss", "Loss"},      {"model", "Model"},
        {"method", "Measurement"}, {"runs", "Runs"}, {"machine", "Machine"}};
    html_raw(h, "<nav aria-label=\"Contents\"><ul>\n");
    for (size_t i = 0; i < ARRAY_LEN(at); i++)
        html_rawf(h, "<li><a href=\"#%s\">%s</a></li>\n", at[i][0], at[i][1]);
    html_raw(h, "</ul></nav>\n");
}

static void put_opening(struct html *h, const struct report *r)
{
    char when[40];
    units_show_utc(when, sizeof when, r->made_utc_ns); /* 2026-11-23T23:10:04.512Z */
    html_raw(h, "<header>\n");
    html_element(h, "h1", r->title);
    html_elementf(h, "p class=\"by\"", "%zu training runs%s%s, %s%smade %.10s %.5s UTC by wattq %s",
                  r->study.n, r->selection && *r->selection ? " of " : "",
                  r->selection ? r->selection : "", r->host, r->host[0] ? ", " : "", when,
                  when + 11, WATTQ_VERSION);
    put_quality(h, r);
    if (r->study.n == 0)
        put_empty(h, r);
    put_contents(h);
    html_raw(h, "</header>\n<main>\n");
}

/* ---- the machine --------------------------------------------------------------------------------- */

static void fact(struct html_table *t, const char *what, const char *value)
{
    html_cell(t, what);
    html_cell(t, value);
}

static void put_others(struct html_table *t, const struct report *r)
{
    char list[300] = "";
    for (size_t i = 0; i < r->study.n; i++) {
        const char *m = r->study.runs[i].machine;
        size_t used = strlen(list);
        if (*m && strcmp(m, r->host) != 0 && !strstr(list, m) && used + 80 < sizeof list)
            (void)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", m);
    }
    if (list[0])
        fact(t, "Runs of other machines", list);
}

void report_machine(struct html *h, const struct report *r)
{
    static const char *const heads[] = {"What", "Value"};
    char buf[200];
    struct html_table t;
    html_element(h, "h2 id=\"machine\"", "Machine and software");
    html_table_begin(&t, h, "Where this page was made", heads, ARRAY_LEN(heads));
    fact(&t, "Machine", r->host);
    fact(&t, "Processor", r->cpu);
    (void)snprintf(buf, sizeof buf, "%d CPUs, %d cores", r->study.caches.cpus,
                   r->study.caches.cores);
    fact(&t, "Processors in use", r->study.caches.n > 0 ? buf : "-");
    fact(&t, "Caches (of one unit, x units)",
         r->study.caches.n > 0 ? caches_show(buf, sizeof buf, &r->study.caches) : "-");
    fact(&t, "System", r->kernel);
    fact(&t, "wattq", WATTQ_VERSION);
    if (r->info)
        fact(&t, "wattqd", wire_str(wire_msg_root(r->info), "daemon", "-"));
    put_others(&t, r);
    html_table_end(&t);
    html_element(
        h, "p",
        "The study: BUTTER-E, arXiv 2403.08151; its data: OEDI 5991 (CC BY 4.0). Working sets "
        "and their placement are computed as in its published analysis.");
}

void report_page(struct html *h, const struct report *r)
{
    put_head(h, r);
    put_opening(h, r);
    report_verdicts(h, r);
    report_costs(h, r);
    report_losses(h, r);
    report_models(h, r);
    report_method(h, r);
    report_runs(h, r);
    report_machine(h, r);
    html_raw(h, "</main>\n</body>\n</html>\n");
}
