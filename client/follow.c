#include "client/follow.h"

#include <string.h>
#include <unistd.h>

#include "common/units.h"

#define QUIET_NS (2 * NS_PER_S)  /* shorter waits need no progress */
#define PLAIN_NS (30 * NS_PER_S) /* between lines when not on a terminal */
#define STEP_MS  500

struct progress {
    const struct app *app;
    bool tty;
    bool shown;       /* a line stands there that must be wiped */
    int64_t start_ns; /* CLOCK_MONOTONIC */
    int64_t last_ns;
    struct conn *conn; /* asks how it goes, beside the wait; NULL until needed */
};

static void wipe(struct progress *p)
{
    if (p->shown)
        (void)fputs("\r\033[K", stderr);
    p->shown = false;
}

static void put_line(struct progress *p, const struct wire_val *reply, size_t left, size_t all)
{
    char time[40];
    const struct wire_val *runs = wire_get(reply, "runs");
    const struct wire_val *now = NULL;
    for (size_t i = 0; i < wire_len(runs) && !now; i++)
        if (strcmp(wire_str(wire_at(runs, i), "state", ""), "running") == 0)
            now = wire_at(runs, i);
    char *power CLEANUP(base_freep) = print_power_line(wire_get(reply, "power"));
    print_duration(time, sizeof time, clock_mono_ns() - p->start_ns);
    wipe(p);
    (void)fprintf(stderr, "%zu of %zu ended  %s  ", all - left, all, time);
    if (now)
        (void)fprintf(stderr, "run %lld %.30s  ", (long long)wire_int(now, "run", 0),
                      wire_str(now, "label", ""));
    (void)fputs(power, stderr);
    p->shown = p->tty;
    if (!p->tty)
        (void)fputc('\n', stderr);
    (void)fflush(stderr);
}

/* Best effort: a wait must not fail because its progress could not be shown. */
static void show(struct progress *p, size_t left, size_t all)
{
    int64_t now = clock_mono_ns();
    int64_t pace = p->tty ? NS_PER_S : PLAIN_NS;
    if (p->app->quiet || p->app->json || now - p->start_ns < QUIET_NS || now - p->last_ns < pace)
        return;
    p->last_ns = now;
    if (!p->conn && cmd_connect(p->app, &p->conn, NULL) < 0)
        return;
    (void)conn_begin(p->conn, "queue");
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    if (conn_call(p->conn, &m, NULL) == 0)
        put_line(p, wire_msg_root(m), left, all);
}

static int next_timeout_ms(const struct follow *f, int64_t start_ns)
{
    if (f->timeout_ns == FOLLOW_FOREVER)
        return STEP_MS;
    int64_t left = start_ns + f->timeout_ns - clock_mono_ns();
    if (left < 0)
        return -1;
    return left / NS_PER_MS < STEP_MS ? (int)(left / NS_PER_MS) + 1 : STEP_MS;
}

struct wire_msg *follow_whole(const struct app *app, const struct wire_val *run)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    bool ended = wire_type(wire_get(run, "ended_utc_ns")) == WIRE_INT;
    if (!ended || wire_get(run, "energy_parts") || cmd_connect(app, &c, NULL) < 0)
        return NULL;
    return cmd_whole_run(c, wire_int(run, "run", 0));
}

static int take_frame(const struct follow *f, struct conn *c, struct progress *p, size_t *left,
                      struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = conn_recv(c, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *run = wire_get(wire_msg_root(m), "run");
    if (wire_type(run) == WIRE_MAP) {
        struct wire_msg *whole CLEANUP(wire_msg_freep) = follow_whole(f->app, run);
        wipe(p);
        f->on_run(f->arg, whole ? wire_get(wire_msg_root(whole), "run") : run);
        *left -= *left > 0;
    }
    if (!conn_more(m))
        *left = 0;
    return 0;
}

static int loop(const struct follow *f, struct conn *c, struct progress *p, size_t all,
                struct err *e)
{
    size_t left = all;
    while (left > 0) {
        int ms = next_timeout_ms(f, p->start_ns);
        if (ms < 0)
            return 1;
        int rc = conn_poll(c, ms, e);
        if (rc > 0)
            rc = take_frame(f, c, p, &left, e);
        else if (rc == 0)
            show(p, left, all);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int follow_runs(const struct follow *f, const struct sel *runs, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    if (runs->n == 0)
        return 0;
    int rc = cmd_connect(f->app, &c, e);
    if (rc < 0)
        return rc;
    struct wire_out *o = conn_begin(c, "wait");
    sel_put(runs, o);
    wire_put_str(o, "for", f->until);
    rc = conn_send(c, e);
    if (rc < 0)
        return rc;
    struct progress p = {.app = f->app, .tty = isatty(2) == 1, .start_ns = clock_mono_ns()};
    rc = loop(f, c, &p, runs->n, e);
    wipe(&p);
    conn_close(p.conn);
    return rc;
}

void follow_print_end(const struct app *app, FILE *out, const struct wire_val *run)
{
    char *line CLEANUP(base_freep) = print_cost_line(run);
    enum tone tone = print_tone_of(wire_str(run, "state", ""));
    bool colour = app->print.colour && (out == app->print.out || isatty(fileno(out)) == 1);
    (void)fprintf(out, "%s%s%s\n", colour ? print_tone_on(&app->print, tone) : "", line,
                  colour ? print_tone_off(&app->print, tone) : "");
}
