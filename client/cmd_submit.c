/* submit and train: queue one run. */
#include <string.h>

#include "client/follow.h"
#include "client/job.h"
#include "client/json.h"
#include "client/sign.h"
#include "client/submit.h"
#include "common/units.h"

struct end {
    struct app *app;
    int exit_code;
    int json_rc;
    struct err *e;
};

static void on_end(void *arg, const struct wire_val *run)
{
    struct end *end = arg;
    end->exit_code = cmd_pass_on(run);
    if (end->app->json)
        end->json_rc = cmd_print_jsonl(end->app, "run", run, end->e);
    else if (!end->app->quiet)
        follow_print_end(end->app, stderr, run);
    if (end->exit_code != 0 && !end->app->json)
        cmd_say(end->app, "its output: wattq logs %lld", (long long)wire_int(run, "run", 0));
}

static int wait_for(struct app *app, int64_t run, struct err *e)
{
    struct end end = {.app = app, .exit_code = EXIT_OURS, .e = e};
    struct sel s = {.ids = &run, .n = 1};
    struct follow f = {
        .app = app, .timeout_ns = FOLLOW_FOREVER, .until = "ended", .on_run = on_end, .arg = &end};
    int rc = follow_runs(&f, &s, e);
    if (rc == 0)
        rc = end.json_rc;
    return rc < 0 ? rc : end.exit_code;
}

/* " (1 GPU, 2 CPUs)": what it will be given; "" where nothing is counted out to it. And the time it has, where
 * nobody asked for a limit. */
static void say_given(const struct args *a, const struct wire_val *reply, char *buf, size_t cap)
{
    char third[60] = "", time[40];
    int64_t gpus = wire_int(reply, "gpus", PRINT_NONE);
    int64_t cpus = wire_int(reply, "cpus", PRINT_NONE);
    char first[40] = "", second[40] = "";
    if (gpus == 0)
        (void)snprintf(first, sizeof first, "no GPU");
    else if (gpus != PRINT_NONE)
        (void)snprintf(first, sizeof first, "%lld GPU%s", (long long)gpus, gpus == 1 ? "" : "s");
    if (cpus != PRINT_NONE)
        (void)snprintf(second, sizeof second, "%lld CPU%s", (long long)cpus, cpus == 1 ? "" : "s");
    int64_t limit = wire_int(reply, "time_limit_ns", 0);
    if (limit > 0 && !args_has(a, OPT_TIME))
        (void)snprintf(third, sizeof third, "at most %s",
                       units_show_duration(time, sizeof time, limit));
    const char *const parts[] = {first, second, third};
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i][0] && used < cap)
            used += (size_t)snprintf(buf + used, cap - used, "%s%s", used ? ", " : " (", parts[i]);
    if (used > 0 && used < cap)
        (void)snprintf(buf + used, cap - used, ")");
}

static int report(struct app *app, const struct wire_val *reply, struct err *e)
{
    long long run = (long long)wire_int(reply, "run", 0);
    if (app->json)
        return args_has(&app->args, OPT_WAIT) ? 0 : cmd_print_json(app, "submit", reply, e);
    (void)fprintf(app->print.out, "%lld\n", run);
    (void)fflush(app->print.out);
    char given[160];
    say_given(&app->args, reply, given, sizeof given);
    if (args_has(&app->args, OPT_HOLD))
        cmd_say(app, "held as run %lld%s; let it go: wattq release %lld", run, given, run);
    else if (!args_has(&app->args, OPT_WAIT))
        cmd_say(app, "queued as run %lld%s; its output: wattq logs -f %lld", run, given, run);
    return 0;
}

int submit_job(struct app *app, struct job *j, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    job_settle(j, &app->args, conn_hello(c));
    job_find_code(j);
    rc = sign_runs(c, &j->spec, 1, NULL, e);
    if (rc < 0)
        return rc;
    job_put(j, conn_begin(c, "submit"));
    rc = conn_call(c, &m, e);
    if (rc == 0)
        rc = report(app, wire_msg_root(m), e);
    if (rc < 0 || !args_has(&app->args, OPT_WAIT))
        return rc;
    return wait_for(app, wire_int(wire_msg_root(m), "run", 0), e);
}

static void job_finip(struct job *j)
{
    job_fini(j);
}

static int wait_and_hold(const struct args *a, struct err *e)
{
    if (!args_has(a, OPT_WAIT) || !args_has(a, OPT_HOLD))
        return 0;
    err_set(e, WATTQ_E_USAGE, "--wait would wait for ever for a run that is held");
    return err_next(e, "leave one of --wait and --hold out");
}

int cmd_submit(struct app *app, struct err *e)
{
    const struct args *a = &app->args;
    int rc = cmd_need(app, 1, "a command to queue", e);
    if (rc < 0)
        return rc;
    if (a->dashes || !submit_is_script(a->pos[0]))
        return submit_command(app, a->pos, a->npos, e);
    cmd_say(app, "options are taken from the lines in %s; without them: wattq submit -- %s",
            a->pos[0], a->pos[0]);
    return submit_script(app, a->pos[0], a->pos + 1, a->npos - 1, e);
}

int submit_command(struct app *app, char *const *argv, size_t argc, struct err *e)
{
    const struct args *a = &app->args;
    int rc = wait_and_hold(a, e);
    if (rc < 0)
        return rc;
    struct job j CLEANUP(job_finip) = {0};
    rc = job_init(&j, SPEC_COMMAND, a, true, argv, argc, e);
    if (rc < 0 && args_has(a, OPT_WAIT) && e->code != WATTQ_E_USAGE)
        return submit_not_startable(app, rc, e);
    return rc < 0 ? rc : submit_job(app, &j, e);
}

/* The shell's habit: 127 for a program that is not there, 126 for one that cannot be run. */
int submit_not_startable(const struct app *app, int rc, struct err *e)
{
    if (rc != WATTQ_E_NOT_FOUND && rc != WATTQ_E_FORBIDDEN)
        return rc;
    cmd_say(app, "wattq: %s\n       %s", e->text, e->next);
    return rc == WATTQ_E_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

/* The data set as the trainer will find it, whatever directory it is started in. */
static int settle_dataset(struct train_args *t, struct err *e)
{
    const char *dataset = train_args_get(t, "dataset");
    if (!dataset) {
        err_set(e, WATTQ_E_USAGE, "which data set? --dataset is missing");
        return err_next(e, "try --dataset standin:mnist, or a .tsv.gz, .csv or IDX file");
    }
    char *full CLEANUP(base_freep) = NULL;
    int rc = train_dataset(&full, t, dataset, e);
    if (rc == 0)
        train_args_set(t, "dataset", full);
    return rc;
}

/* A bad network or file is better refused now than in an hour's time. */
static int check_now(struct app *app, const struct train_args *t, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    return train_check(conn_train_path(c), t);
}

int cmd_train(struct app *app, struct err *e)
{
    const struct args *a = &app->args;
    struct train_args t CLEANUP(train_args_finip) = {0};
    struct job j CLEANUP(job_finip) = {0};
    int rc = cmd_need(app, 1, "a data set and a network", e);
    if (rc == 0)
        rc = wait_and_hold(a, e);
    if (rc == 0)
        rc = train_args_init(&t, a, 0, e);
    if (rc == 0)
        rc = settle_dataset(&t, e);
    if (rc == 0)
        rc = check_now(app, &t, e);
    if (rc != 0)
        return rc;
    rc = job_init(&j, SPEC_TRAIN, a, true, t.argv, t.n, e);
    if (rc == 0)
        rc = train_params(&j.spec, &t, e);
    return rc < 0 ? rc : submit_job(app, &j, e);
}
