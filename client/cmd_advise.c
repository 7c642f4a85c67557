/* advise: which network to train on a data set, and why. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/advise.h"
#include "client/chart.h"
#include "client/cmd.h"
#include "client/json.h"
#include "client/study_load.h"

#define BAR 24

static void head(const struct app *app, const char *title)
{
    (void)fprintf(app->print.out, "\n%s%s%s\n", print_tone_on(&app->print, TONE_BOLD), title,
                  print_tone_off(&app->print, TONE_BOLD));
}

/* 4096 as 2^12; other numbers as they are. */
static const char *size_text(char *buf, size_t cap, int64_t size)
{
    int k = 0;
    while (k < 62 && INT64_C(1) << k < size)
        k++;
    if (size >= 32 && INT64_C(1) << k == size)
        (void)snprintf(buf, cap, "2^%d", k);
    else
        print_count(buf, cap, size);
    return buf;
}

static const char *net_text(char *buf, size_t cap, const struct study_run *r)
{
    char size[40];
    (void)snprintf(buf, cap, "%s depth %d size %s", r->shape, r->net.depth,
                   size_text(size, sizeof size, r->size));
    return buf;
}

/* "1.2 kJ" or "3.4 s": what this group goes by. */
static const char *cost_text(char *buf, size_t cap, const struct advise_group *g,
                             const struct isoloss_cost *c)
{
    return g->by == ISOLOSS_ENERGY ? print_joules(buf, cap, c->energy_j)
                                   : print_seconds(buf, cap, c->time_s);
}

/* ---- the iso-loss curve --------------------------------------------------------------------------- */

static double dearest(const struct advise_group *g)
{
    double most = 0;
    for (size_t i = 0; i < g->iso.n; i++)
        if (g->nets[i].reaches)
            most = fmax(most, isoloss_cost_of(&g->nets[i].cost, g->by));
    return most;
}

static void put_net(const struct app *app, const struct advise *a, const struct advise_group *g,
                    int i, double most)
{
    const struct advise_net *n = &g->nets[i];
    const struct study_run *r = advise_run(g, i);
    char net[80];
    char cost[40];
    char time[40];
    char bar[CHART_TEXT];
    (void)fprintf(app->print.out, "%s %-38s", i == g->best ? " *" : "  ",
                  net_text(net, sizeof net, r));
    if (!n->reaches) {
        (void)fprintf(app->print.out, " never; its best is %.4g\n",
                      exp(g->iso.config[n->config].x_lo));
        return;
    }
    chart_bar(bar, sizeof bar, isoloss_cost_of(&n->cost, g->by), most, BAR, app->print.unicode);
    (void)fprintf(app->print.out, " %10s %s%*s %10s %8.0f  %s\n",
                  cost_text(cost, sizeof cost, g, &n->cost), bar, (int)(BAR - print_width(bar)), "",
                  print_seconds(time, sizeof time, n->cost.time_s), ceil(n->cost.epochs),
                  advise_home(a, r, true));
}

static void show_nets(const struct app *app, const struct advise *a, const struct advise_group *g)
{
    char title[160];
    (void)snprintf(title, sizeof title, "To reach test loss %.4g (%s)", g->loss,
                   isnan(a->asked) ? "half of the networks do; another one: --loss X" : "as asked");
    head(app, title);
    (void)fprintf(app->print.out, "   %-38s %10s %*s %10s %8s  %s\n", "NETWORK",
                  g->by == ISOLOSS_ENERGY ? "ENERGY" : "TIME", BAR, "", "TIME", "EPOCHS",
                  "LIVES IN");
    double most = dearest(g);
    for (size_t i = 0; i < g->iso.n; i++)
        put_net(app, a, g, (int)i, most);
}

/* ---- the frontier --------------------------------------------------------------------------------- */

static void show_frontier(const struct app *app, const struct advise_group *g)
{
    head(app, g->by == ISOLOSS_ENERGY
                  ? "Frontier of energy and loss (no network is both cheaper and better)"
                  : "Frontier of time and loss (no network is both quicker and better)");
    for (size_t i = 0; i < g->nfrontier; i++) {
        const struct isoloss_step *s = &g->frontier[i];
        char net[80];
        char from[40];
        char to[40];
        (void)fprintf(app->print.out, "  loss %8.4g .. %-8.4g  %10s .. %-10s  %s\n", s->loss_hi,
                      s->loss_lo, cost_text(from, sizeof from, g, &s->cost_hi),
                      cost_text(to, sizeof to, g, &s->cost_lo),
                      net_text(net, sizeof net, &g->runs[g->iso.config[s->config].first]));
    }
}

/* ---- the choice ----------------------------------------------------------------------------------- */

static void put_neighbour(const struct app *app, const struct advise_group *g, int i,
                          const char *which)
{
    char size[40];
    if (i < 0)
        return;
    const struct advise_net *n = &g->nets[i];
    size_text(size, sizeof size, advise_run(g, i)->size);
    if (n->reaches)
        (void)fprintf(app->print.out, "  the next %s, %s, costs %.2f x as much\n", which, size,
                      isoloss_cost_of(&n->cost, g->by) /
                          isoloss_cost_of(&g->nets[g->best].cost, g->by));
    else
        (void)fprintf(app->print.out, "  the next %s, %s, never got there\n", which, size);
}

static void put_home(const struct app *app, const struct advise *a, const struct advise_group *g)
{
    const struct study_run *r = advise_run(g, g->best);
    const struct isoloss_config *c = &g->iso.config[g->nets[g->best].config];
    const char *home = advise_home(a, r, true);
    char f[40];
    char b[40];
    if (*home == '-')
        return;
    (void)fprintf(app->print.out, "  it computes in %s (%s) and lives in %s while it trains (%s)\n",
                  advise_home(a, r, false), print_bytes(f, sizeof f, (int64_t)c->f_bytes), home,
                  print_bytes(b, sizeof b, (int64_t)c->b_bytes));
    if (g->larger >= 0 && strcmp(advise_home(a, advise_run(g, g->larger), true), home) != 0)
        (void)fprintf(app->print.out,
                      "  it is the largest of its shape and depth here that lives in %s\n", home);
}

static void show_choice(const struct app *app, const struct advise *a, const struct advise_group *g)
{
    char net[80];
    char title[160];
    char cost[40];
    char time[40];
    if (g->best < 0)
        return;
    const struct advise_net *n = &g->nets[g->best];
    const struct study_run *r = advise_run(g, g->best);
    (void)snprintf(title, sizeof title, "Choose %s", net_text(net, sizeof net, r));
    head(app, title);
    (void)fprintf(app->print.out,
                  "  the cheapest of %zu networks that get there: %s, %s%s%.0f epochs\n",
                  g->reached, cost_text(cost, sizeof cost, g, &n->cost),
                  g->by == ISOLOSS_ENERGY ? print_seconds(time, sizeof time, n->cost.time_s) : "",
                  g->by == ISOLOSS_ENERGY ? ", " : "", ceil(n->cost.epochs));
    put_home(app, a, g);
    put_neighbour(app, g, g->smaller, "smaller");
    put_neighbour(app, g, g->larger, "larger");
    if (n->at_once)
        (void)fputs("  it was that good at the first epoch its loss was looked at: less may do\n",
                    app->print.out);
}

/* ---- one machine ---------------------------------------------------------------------------------- */

static void show_excluded(const struct app *app, const struct advise_group *g)
{
    for (unsigned x = 0; x < STUDY_X_COUNT; x++)
        if (g->excluded[x] > 0)
            (void)fprintf(app->print.out, "  left out %zu: %s\n", g->excluded[x],
                          study_exclusion_text((enum study_exclusion)x));
}

static void show_group(const struct app *app, const struct advise *a, const struct advise_group *g)
{
    const struct study_run *r = &g->runs[0];
    (void)fprintf(app->print.out, "%s on %s, %s: %zu networks, %zu of %zu runs\n", a->dataset,
                  r->machine, r->backend, g->iso.n, g->used, g->n);
    if (g->by == ISOLOSS_ENERGY)
        (void)fprintf(
            app->print.out,
            "  by energy: joules of %s, what the machine draws for nothing inside of them\n",
            r->scope);
    else
        (void)fprintf(app->print.out, "  by time, not by energy: %s\n", g->why_time);
    if (g->iso.apportioned && g->by == ISOLOSS_ENERGY)
        (void)fputs("  joules of some runs are spread evenly over their epochs\n", app->print.out);
    show_excluded(app, g);
    if (g->iso.n > 0) {
        show_nets(app, a, g);
        show_frontier(app, g);
        show_choice(app, a, g);
    }
    if (g->enough)
        return;
    head(app, "Not enough yet");
    (void)fprintf(app->print.out, "  %s\n  %s\n", g->missing, g->command);
}

static void show(const struct app *app, const struct advise *a)
{
    for (size_t i = 0; i < a->n; i++) {
        if (i > 0)
            (void)fputc('\n', app->print.out);
        show_group(app, a, &a->group[i]);
    }
    if (a->standins > 0)
        (void)fprintf(app->print.out,
                      "\n%zu runs on the stand-in of this data set are left out: their loss says "
                      "nothing about it\n",
                      a->standins);
}

static bool any_choice(const struct advise *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->group[i].best >= 0)
            return true;
    return false;
}

/* ---- the command ---------------------------------------------------------------------------------- */

static int read_loss(const struct app *app, double *loss, struct err *e)
{
    const char *text = args_str(&app->args, OPT_LOSS, NULL);
    char *end = NULL;
    *loss = NAN;
    if (!text)
        return 0;
    *loss = strtod(text, &end);
    if (end != text && *end == '\0' && isfinite(*loss) && *loss > 0)
        return 0;
    err_set(e, WATTQ_E_USAGE, "--loss: '%.40s' is no loss", text);
    return err_next(e, "write a number above 0, such as --loss 0.25");
}

static int advise(const struct app *app, struct conn *c, const struct study *s, double loss,
                  struct err *e)
{
    struct study_loss curves;
    struct advise a;
    int rc = study_loss_load(&curves, c, s, e);
    if (rc < 0)
        return rc;
    rc = advise_make(&a, s, &curves, args_str(&app->args, OPT_DATASET, ""),
                     args_str(&app->args, OPT_BACKEND, NULL), loss, e);
    if (rc == 0) {
        if (app->json)
            rc = json_write(app->print.out, advise_json(&a), false, e);
        else
            show(app, &a);
        if (rc == 0 && !any_choice(&a))
            rc = EXIT_ASKED_FAILED;
        advise_fini(&a);
    }
    study_loss_fini(&curves);
    return rc;
}

int cmd_advise(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct study s;
    double loss;
    int rc = read_loss(app, &loss, e);
    if (rc == 0 && !args_has(&app->args, OPT_DATASET)) {
        err_set(e, WATTQ_E_USAGE, "wattq advise needs a data set");
        rc = err_next(e, "for example: %s", app->cmd->example);
    }
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    rc = study_load_words(&s, c, app->args.pos, app->args.npos, NULL, e);
    if (rc == 0)
        rc = advise(app, c, &s, loss, e);
    study_fini(&s);
    return rc;
}
