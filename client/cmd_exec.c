/* exec: a run in our own foreground. The queue says when it is its turn; then the shepherd is forked here,
 * so that terminal, standard files and Ctrl-C are the run's, and the daemon opens its gate as always. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/follow.h"
#include "client/json.h"
#include "client/sign.h"
#include "client/standalone.h"
#include "client/submit.h"
#include "common/units.h"
#include "daemon/launch/result.h"
#include "daemon/launch/shepherd.h"

#define STEP_MS   100
#define IMPATIENT (2 * NS_PER_S)  /* after that we say what we wait for */
#define AFTER_NS  (10 * NS_PER_S) /* for the figures, once the shepherd has gone */
#define LINGER_NS (10 * NS_PER_S) /* leftovers' grace, as the daemon's default */

struct exec {
    struct app *app;
    struct job job;
    struct conn *conn; /* NULL once the daemon went away */
    int64_t run;
    int64_t token;
    char dir[WATTQ_PATH_MAX];
    pid_t pid;       /* of the shepherd; 0 = not started */
    int shepherd;    /* its connection */
    bool told;       /* "waiting for its turn" was said */
    int64_t gone_ns; /* when the shepherd was seen to have gone; 0 = not yet */
    int exit_code;
    bool ended;
};

/* ---- starting ------------------------------------------------------------------------------------ */

static void ignore_keys(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &ignore, NULL); /* Ctrl-C is for the run: it is in our process group */
    sigaction(SIGQUIT, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* our talk may be read by nobody; the run still is ours */
}

void exec_block(struct launch_block *b, const struct job *j)
{
    const struct spec *s = &j->spec;
    *b = (struct launch_block){
        .grace_ns = s->grace_ns,
        .linger_ns = LINGER_NS,
        .log_cap_bytes = s->log_cap_bytes,
        .time_limit_ns = s->time_limit_ns,
        .mem_max_bytes = s->mem_bytes,
        .nice = s->nice,
        .umask = s->umask,
        .flags = LAUNCH_FOREGROUND | (s->wait_children ? LAUNCH_WAIT_CHILDREN : 0),
        .argv = s->argv,
        .env = s->env,
        .cwd = s->cwd,
        .stdin_path = s->stdin_path,
    };
}

/* A foreground run keeps our standard input; --stdin is opened here, as the user. */
int exec_stdin(const struct job *j, struct err *e)
{
    if (!j->spec.stdin_path)
        return 0;
    int fd CLEANUP(base_closep) = open(j->spec.stdin_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || dup2(fd, 0) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot read %.150s", j->spec.stdin_path);
    return 0;
}

static int start(struct exec *x, struct err *e)
{
    struct launch_block b;
    exec_block(&b, &x->job);
    b.run_id = x->run;
    b.token = x->token;
    int64_t server = wire_int(conn_hello(x->conn), "uid", -1);
    if (server > 0 && server <= UINT32_MAX && server != (int64_t)geteuid())
        b.peer_uid = (uint32_t)server;
    ignore_keys();
    int rc = exec_stdin(&x->job, e);
    struct frame f;
    if (rc == 0)
        rc = shepherd_fork(x->dir, &b, &x->pid, &x->shepherd, e);
    if (rc == 0)
        rc = frame_recv(x->shepherd, &f, e);
    if (rc > 0)
        rc = err_set(e, WATTQ_E_IO, "the run's supervisor ended before the run began");
    return rc;
}

static int abort_run(struct exec *x, int rc, struct err *e)
{
    struct wire_out *o = conn_begin(x->conn, "exec_abort");
    wire_put_int(o, "run", x->run);
    wire_put_str(o, "reason", e->text);
    if (conn_send(x->conn, NULL) < 0)
        return rc; /* then the daemon sees us go, which ends the run as well */
    return rc;
}

static int ready(struct exec *x, struct err *e)
{
    struct wire_out *o = conn_begin(x->conn, "exec_ready");
    wire_put_int(o, "run", x->run);
    wire_put_int(o, "token", x->token);
    return conn_send(x->conn, e);
}

static int on_go(struct exec *x, const struct wire_val *reply, struct err *e)
{
    x->token = wire_int(reply, "token", 0);
    const char *dir = wire_str(reply, "run_dir", "");
    if (dir[0] != '/' || !base_strcpy(x->dir, sizeof x->dir, dir))
        return err_set(e, WATTQ_E_PROTOCOL, "wattqd named no directory for the run");
    x->job.spec.time_limit_ns = wire_int(reply, "time_limit_ns", x->job.spec.time_limit_ns);
    x->job.spec.mem_bytes = wire_int(reply, "mem_bytes", x->job.spec.mem_bytes);
    job_take_env(&x->job, wire_get(reply, "env"));
    int rc = start(x, e);
    return rc < 0 ? abort_run(x, rc, e) : ready(x, e);
}

/* ---- while it runs ------------------------------------------------------------------------------- */

static int on_end(struct exec *x, const struct wire_val *run, struct err *e)
{
    struct wire_msg *whole CLEANUP(wire_msg_freep) = follow_whole(x->app, run);
    if (whole)
        run = wire_get(wire_msg_root(whole), "run");
    x->ended = true;
    x->exit_code = cmd_pass_on(run);
    /* The output of the run is on stdout; what we say about it must not get between. */
    if (x->app->json) {
        json_t *doc = json_document("wattq.run/1", run);
        return json_write(stderr, doc, true, e);
    }
    if (!x->app->quiet)
        follow_print_end(x->app, stderr, run);
    return 0;
}

static int on_frame(struct exec *x, struct err *e)
{
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = conn_recv(x->conn, &m, e);
    if (rc < 0)
        return rc;
    const struct wire_val *r = wire_msg_root(m);
    const struct wire_val *run = wire_get(r, "run");
    if (wire_type(run) == WIRE_INT)
        x->run = wire_as_int(run, 0);
    if (wire_bool(r, "go", false) && x->pid == 0)
        return on_go(x, r, e);
    if (wire_type(run) == WIRE_MAP && !conn_more(m))
        return on_end(x, run, e);
    return 0;
}

/* Frames of the shepherd are for the daemon; we only keep its socket from filling up. */
static void drain(struct exec *x)
{
    char buf[1024];
    while (x->shepherd >= 0 && recv(x->shepherd, buf, sizeof buf, MSG_DONTWAIT) > 0)
        continue;
}

static void reap(struct exec *x)
{
    int status;
    if (x->pid > 0 && x->gone_ns == 0 && waitpid(x->pid, &status, WNOHANG) == x->pid)
        x->gone_ns = clock_mono_ns();
}

/* The daemon is away: the shepherd's own result says how the run ended. */
static int end_without_daemon(struct exec *x, struct err *e)
{
    struct result r;
    int dir CLEANUP(base_closep) = open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    result_init(&r);
    x->ended = true;
    x->exit_code = EXIT_OURS;
    int rc = dir < 0 ? 1 : result_read(dir, &r, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        x->exit_code = exec_exit_code(&r);
    cmd_say(x->app,
            "wattq: wattqd is away; run %lld has ended, and wattqd will take up its figures when "
            "it is started again: wattq show %lld",
            (long long)x->run, (long long)x->run);
    return 0;
}

int exec_exit_code(const struct result *r)
{
    if (r->cause == RESULT_NOT_STARTED)
        return r->exit_code == EXIT_NOT_RUNNABLE ? EXIT_NOT_RUNNABLE : EXIT_NOT_FOUND;
    if (r->term_signal != RESULT_NONE)
        return (int)(128 + r->term_signal);
    return r->exit_code == RESULT_NONE ? EXIT_OURS : (int)(r->exit_code & 0xff);
}

static void tell_waiting(struct exec *x, int64_t since_ns)
{
    if (x->told || x->pid > 0 || x->run == 0 || clock_mono_ns() - since_ns < IMPATIENT)
        return;
    x->told = true;
    cmd_say(x->app, "wattq: run %lld waits for its turn; what is before it: wattq queue",
            (long long)x->run);
}

static int step(struct exec *x, struct err *e)
{
    int rc = 0;
    if (x->conn) {
        rc = conn_poll(x->conn, STEP_MS, e);
        if (rc > 0)
            rc = on_frame(x, e);
        if (rc == WATTQ_E_NO_DAEMON && x->pid > 0) { /* the run goes on without it */
            conn_close(x->conn);
            x->conn = NULL;
            rc = 0;
        }
    } else {
        (void)poll(NULL, 0, STEP_MS);
    }
    drain(x);
    reap(x);
    if (rc < 0 || x->ended || x->gone_ns == 0)
        return rc;
    bool late = clock_mono_ns() - x->gone_ns > AFTER_NS;
    return !x->conn || late ? end_without_daemon(x, e) : 0;
}

static int attend(struct exec *x, struct err *e)
{
    int rc = cmd_connect(x->app, &x->conn, e);
    if (rc < 0)
        return rc;
    job_settle(&x->job, &x->app->args, conn_hello(x->conn));
    job_find_code(&x->job);
    rc = sign_runs(x->conn, &x->job.spec, 1, NULL, e);
    if (rc < 0)
        return rc;
    job_put(&x->job, conn_begin(x->conn, "exec_begin"));
    rc = conn_send(x->conn, e);
    int64_t since_ns = clock_mono_ns();
    while (rc == 0 && !x->ended) {
        rc = step(x, e);
        tell_waiting(x, since_ns);
    }
    return rc;
}

static void exec_finip(struct exec *x)
{
    job_fini(&x->job);
    conn_close(x->conn);
    base_closep(&x->shepherd);
}

int cmd_exec(struct app *app, struct err *e)
{
    const struct args *a = &app->args;
    struct exec x CLEANUP(exec_finip) = {.app = app, .shepherd = -1};
    int rc = cmd_need(app, 1, "a command to run", e);
    if (rc == 0 && args_has(a, OPT_STANDALONE) != args_has(a, OPT_OUT)) {
        err_set(e, WATTQ_E_USAGE, "--standalone and --out belong together");
        return err_next(e, "wattq exec --standalone --out run.jsonl -- COMMAND");
    }
    if (rc == 0 && args_has(a, OPT_STANDALONE) && args_has(a, OPT_QUIET)) {
        err_set(e, WATTQ_E_USAGE, "--quiet needs the daemon, which watches who else is at work");
        return err_next(e, "leave --quiet or --standalone out");
    }
    if (rc == 0 && args_has(a, OPT_STANDALONE) && args_has(a, OPT_IDLE_BRACKET)) {
        err_set(e, WATTQ_E_USAGE, "--idle-bracket needs the daemon, which keeps the machine idle");
        return err_next(e, "leave --idle-bracket or --standalone out");
    }
    if (rc == 0 && args_has(a, OPT_STANDALONE) && args_has(a, OPT_GPUS)) {
        err_set(e, WATTQ_E_USAGE, "--gpus needs the daemon, which knows who holds which GPU");
        return err_next(e, "leave --gpus or --standalone out, or set CUDA_VISIBLE_DEVICES");
    }
    if (rc == 0 && args_has(a, OPT_STANDALONE) && args_has(a, OPT_CPUS)) {
        err_set(e, WATTQ_E_USAGE, "--cpus needs the daemon, which knows who has which share");
        return err_next(e, "leave --cpus or --standalone out, or set OMP_NUM_THREADS");
    }
    if (rc == 0 && args_has(a, OPT_STANDALONE) && args_has(a, OPT_ENERGY_LIMIT)) {
        err_set(e, WATTQ_E_USAGE, "--energy-limit needs the daemon, which watches what has flowed");
        return err_next(e, "leave --energy-limit or --standalone out");
    }
    if (rc < 0)
        return rc;
    rc = job_init(&x.job, SPEC_EXEC, a, true, a->pos, a->npos, e);
    if (rc < 0)
        return submit_not_startable(app, rc, e);
    if (args_has(a, OPT_STANDALONE))
        return standalone_run(app, &x.job, args_str(a, OPT_OUT, NULL), e);
    rc = attend(&x, e);
    return rc < 0 ? rc : x.exit_code;
}
