/* top: power per channel and the runs that go on, redrawn as it comes. Where there is no terminal it
 * prints one JSON line per sample instead. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/chart.h"
#include "client/cmd.h"
#include "client/term.h"
#include "common/units.h"

#define HISTORY      40
#define CHANNELS_MAX 64
#define POLL_MS      100

struct history {
    int64_t channel;
    double watt[HISTORY];
    double most;
};

struct top {
    struct app *app;
    struct history history[CHANNELS_MAX];
    size_t n;
    int64_t lost; /* samples dropped because we were slow */
};

static struct history *history_of(struct top *t, int64_t channel)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->history[i].channel == channel)
            return &t->history[i];
    if (t->n == CHANNELS_MAX)
        return NULL;
    struct history *h = &t->history[t->n++];
    *h = (struct history){.channel = channel};
    for (size_t i = 0; i < HISTORY; i++)
        h->watt[i] = NAN;
    return h;
}

static void push(struct history *h, double watt)
{
    memmove(h->watt, h->watt + 1, (HISTORY - 1) * sizeof *h->watt);
    h->watt[HISTORY - 1] = watt;
    h->most = isfinite(watt) && watt > h->most ? watt : h->most;
}

static double watt_of(const struct wire_val *ch)
{
    int64_t uw = wire_int(ch, "power_uw", PRINT_NONE);
    return uw == PRINT_NONE ? (double)NAN : (double)uw / 1e6;
}

static bool is_power(const struct wire_val *ch)
{
    return wire_type(wire_get(ch, "power_uw")) == WIRE_INT || wire_bool(ch, "in_total", false);
}

/* The machine is the sum of its antichain: unknown when one part is. */
static void put_machine(FILE *f, const struct wire_val *channels)
{
    double sum = 0;
    bool estimate = false;
    size_t n = 0;
    char buf[40];
    for (size_t i = 0; i < wire_len(channels); i++) {
        const struct wire_val *ch = wire_at(channels, i);
        if (!wire_bool(ch, "in_total", false))
            continue;
        sum += watt_of(ch);
        estimate = estimate || strcmp(wire_str(ch, "quality", ""), "estimated") == 0;
        n++;
    }
    print_power_w(buf, sizeof buf, n > 0 ? sum : (double)NAN);
    (void)fprintf(f, "machine %s%s%s", estimate && *buf != '-' ? "~" : "", buf,
                  estimate && *buf != '-' ? " estimated" : "");
}

static void put_channels(struct top *t, FILE *f, const struct wire_val *channels)
{
    for (size_t i = 0; i < wire_len(channels); i++) {
        const struct wire_val *ch = wire_at(channels, i);
        struct history *h =
            is_power(ch) ? history_of(t, wire_int(ch, "channel", (int64_t)i)) : NULL;
        char line[CHART_TEXT];
        char now[40];
        if (!h)
            continue;
        push(h, watt_of(ch));
        chart_line(line, sizeof line, h->watt, HISTORY, h->most, t->app->print.unicode);
        bool estimate = strcmp(wire_str(ch, "quality", ""), "estimated") == 0;
        print_power_w(now, sizeof now, h->watt[HISTORY - 1]);
        (void)fprintf(f, "%-14.14s %s%9s  %s%*s  %s\033[K\r\n", wire_str(ch, "label", "?"),
                      estimate ? "~" : " ", now, line, (int)(HISTORY - print_width(line)), "",
                      *now == '-' ? wire_str(ch, "reason", "no value yet")
                                  : wire_str(ch, "quality", ""));
    }
}

static void put_runs(FILE *f, const struct wire_val *runs, int lines)
{
    (void)fprintf(f, "\033[K\r\n%7s %-9s %10s %-10s %s\033[K\r\n", "RUN", "STATE", "TIME", "USER",
                  "LABEL");
    if (wire_len(runs) == 0)
        (void)fputs("        nobody runs anything\033[K\r\n", f);
    for (size_t i = 0; i < wire_len(runs) && lines > 0; i++, lines--) {
        const struct wire_val *run = wire_at(runs, i);
        char time[40];
        (void)fprintf(f, "%7lld %-9.9s %10s %-10.10s %.40s\033[K\r\n",
                      (long long)wire_int(run, "run", 0), wire_str(run, "state", "?"),
                      print_duration(time, sizeof time, wire_int(run, "elapsed_ns", PRINT_NONE)),
                      wire_str(run, "user", ""), wire_str(run, "label", ""));
    }
}

static void draw(struct top *t, const struct wire_val *frame)
{
    char *text = NULL;
    size_t bytes = 0;
    int columns;
    int lines;
    char now[40];
    time_t seconds = (time_t)(wire_int(frame, "t_utc_ns", clock_utc_ns()) / NS_PER_S);
    struct tm tm;
    FILE *f = open_memstream(&text, &bytes);
    if (!f)
        return;
    term_size(&columns, &lines);
    if (!localtime_r(&seconds, &tm) || !strftime(now, sizeof now, "%H:%M:%S", &tm))
        now[0] = '\0';
    t->lost += wire_int(frame, "lost", 0);
    (void)fprintf(f, "\033[H\033[?7lwattq %s  ", now);
    put_machine(f, wire_get(frame, "channels"));
    (void)fprintf(f, "  q quits");
    if (t->lost > 0)
        (void)fprintf(f, "  (%lld samples were not shown: this terminal is slow)",
                      (long long)t->lost);
    const char *trouble = wire_str(frame, "degraded", NULL);
    (void)fprintf(f, "\033[K\r\n%s%s\033[K\r\n",
                  trouble ? "STORAGE IS DEGRADED, no run is started: " : "",
                  trouble ? trouble : "");
    put_channels(t, f, wire_get(frame, "channels"));
    put_runs(f, wire_get(frame, "runs"), lines - (int)t->n - 6);
    (void)fputs("\033[J\033[?7h", f);
    if (fclose(f) == 0 && base_write_all(1, text, bytes) < 0)
        t->lost++;
    free(text);
}

static bool wants_end(void)
{
    int key = term_key();
    return key == 'q' || key == 'Q' || key == 3 || term_ended();
}

static int watch(struct top *t, struct conn *c, int64_t count, struct err *e)
{
    while (count > 0 && !wants_end()) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        int rc = conn_poll(c, POLL_MS, e);
        if (rc == 0)
            continue;
        if (rc > 0)
            rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        draw(t, wire_msg_root(m));
        count--;
        if (!conn_more(m))
            break;
    }
    return 0;
}

static int lines(struct app *app, struct conn *c, int64_t count, struct err *e)
{
    for (int64_t i = 0; i < count; i++) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        int rc = conn_recv(c, &m, e);
        if (rc == 0)
            rc = cmd_print_jsonl(app, "top", wire_msg_root(m), e);
        if (rc < 0)
            return rc;
        if (!conn_more(m))
            break;
    }
    return 0;
}

int cmd_top(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    int64_t interval = NS_PER_S;
    int64_t count = INT64_MAX;
    int rc = args_duration(&app->args, OPT_INTERVAL, &interval, e);
    if (rc == 0)
        rc = args_int(&app->args, OPT_COUNT, 1, INT64_MAX, &count, e);
    if (rc == 0)
        rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    struct wire_out *o = conn_begin(c, "power");
    wire_put_bool(o, "live", true);
    wire_put_int(o, "interval_ns", interval);
    rc = conn_send(c, e);
    if (rc < 0)
        return rc;
    if (app->json || isatty(0) != 1 || isatty(1) != 1)
        return lines(app, c, count, e);
    struct top t = {.app = app};
    rc = term_enter(e);
    if (rc == 0)
        rc = watch(&t, c, count, e);
    term_leave();
    return rc;
}
