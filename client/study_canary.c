/* study canary: the control chart of the control runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/json.h"
#include "client/print.h"
#include "client/study_cmd.h"
#include "client/study_load.h"
#include "common/units.h"
#include "daemon/model/qc.h"

#define WIDE 40 /* columns of a chart */

static const char *quantity_name(enum qc_quantity q)
{
    return q == QC_TIME ? "time" : "energy";
}

static const char *show_value(char *buf, size_t cap, const struct qc_chart *c, double v)
{
    if (isnan(v))
        return "-";
    if (c->quantity == QC_TIME)
        return units_show_duration(buf, cap, llround(v * 1e9));
    (void)snprintf(buf, cap, "%.4g uJ", v * 1e6);
    return buf;
}

/* '|' the limits, ':' the centre, 'o' the value, 'X' a failing one; what lies beyond stands at the edge. */
static void draw(char line[WIDE + 1], const struct qc_chart *c, const struct qc_point *p)
{
    double half = isnan(c->lo) ? (double)NAN : 1.6 * (c->hi - c->centre);
    memset(line, ' ', WIDE);
    line[WIDE] = '\0';
    for (int k = 0; k < 4 && half > 0; k++) {
        const double v[] = {c->lo, c->hi, c->centre, p->value};
        double at = (v[k] - c->centre + half) / (2 * half) * (WIDE - 1);
        int i = at < 0 ? 0 : at > WIDE - 1 ? WIDE - 1 : (int)lround(at);
        line[i] = "||:o"[k];
        if (k == 3 && p->failing)
            line[i] = 'X';
    }
}

static void show_chart(const struct app *app, const struct qc_chart *c)
{
    static const char *const heads[] = {">BLOCK", ">RUN", ">VALUE", ">OFF", "CHART", ""};
    char a[32];
    char b[32];
    char d[32];
    char line[WIDE + 1];
    struct table t;
    FILE *f = app->print.out;
    (void)fprintf(f, "sweep %lld, %s per datum of %s (%s)\n", (long long)c->sweep,
                  quantity_name(c->quantity), c->network, c->backend);
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < c->n; i++) {
        const struct qc_point *p = &c->points[i];
        draw(line, c, p);
        table_put(&t, "%lld", (long long)p->block);
        table_put(&t, "%lld", (long long)p->run);
        table_put(&t, "%s", show_value(a, sizeof a, c, p->value));
        table_put(&t, "%+.2f %%", 100 * (p->value / c->centre - 1));
        table_put(&t, "%s", line);
        table_put(&t, "%s", p->failing ? "failing: its block is kept out of fits" : "");
    }
    table_print(&t, &app->print);
    table_fini(&t);
    if (isnan(c->lo))
        (void)fprintf(f, "centre %s; no limits from fewer than %d control runs\n\n",
                      show_value(a, sizeof a, c, c->centre), QC_CHART_LEAST);
    else
        (void)fprintf(f, "centre %s, limits %s to %s; %zu of %zu failing\n\n",
                      show_value(a, sizeof a, c, c->centre), show_value(b, sizeof b, c, c->lo),
                      show_value(d, sizeof d, c, c->hi), c->failing, c->n);
}

static json_t *chart_json(const struct qc_chart *c)
{
    json_t *o = json_object();
    json_t *points = json_array();
    for (size_t i = 0; i < c->n; i++) {
        const struct qc_point *p = &c->points[i];
        json_t *one = json_object();
        json_put(one, "run", json_integer(p->run));
        json_put(one, "block", p->block > 0 ? json_integer(p->block) : json_null());
        json_put(one, "value", json_number(p->value));
        json_put(one, "failing", json_boolean(p->failing));
        (void)json_array_append_new(points, one);
    }
    json_put(o, "sweep", json_integer(c->sweep));
    json_put(o, "machine", json_text(c->machine, strlen(c->machine)));
    json_put(o, "backend", json_string(c->backend));
    json_put(o, "network", json_text(c->network, strlen(c->network)));
    json_put(o, "quantity", json_string(quantity_name(c->quantity)));
    json_put(o, "unit", json_string(c->quantity == QC_TIME ? "s/datum" : "J/datum"));
    json_put(o, "centre", json_number(c->centre));
    json_put(o, "lo", json_number(c->lo));
    json_put(o, "hi", json_number(c->hi));
    json_put(o, "failing", json_integer((json_int_t)c->failing));
    json_put(o, "points", points);
    return o;
}

static int charts_json(const struct app *app, const struct qc_chart *charts, size_t n,
                       struct err *e)
{
    json_t *doc = json_object();
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(all, chart_json(&charts[i]));
    json_put(doc, "schema", json_string("wattq.study_canary/1"));
    json_put(doc, "charts", all);
    return json_write(app->print.out, doc, false, e);
}

int study_canary(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct study s;
    struct qc_chart *charts = NULL;
    size_t n = 0;
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    study_init(&s);
    rc = study_load_words(&s, c, app->args.pos + 1, app->args.npos - 1, NULL, e);
    if (rc == 0)
        n = qc_charts(&charts, s.runs, s.n);
    if (rc == 0 && app->json) {
        rc = charts_json(app, charts, n, e);
    } else if (rc == 0 && n == 0) {
        err_set(e, WATTQ_E_NOT_FOUND, "there are no finished control runs among these");
        rc = err_next(e, "wattq sweep train has one every 20 runs: --canary-every N");
    } else if (rc == 0) {
        for (size_t i = 0; i < n; i++)
            show_chart(app, &charts[i]);
    }
    qc_charts_free(charts, n);
    study_fini(&s);
    return rc;
}
