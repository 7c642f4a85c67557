/* A launch.h of one's own, in a loop of its own, with runs under real shepherds: what comes of them is kept, and waited for.
 * Every test in the cgroup mode, where this machine has one for us, and in the subreaper mode. */
#ifndef TESTS_SUPPORT_LAUNCH_RIG_H
#define TESTS_SUPPORT_LAUNCH_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/launch/cgroup.h"
#include "daemon/launch/launch.h"

#define EVENTS_MAX 64
#define WAIT_MS    20000
#define TOKEN      41

struct seen {
    enum launch_event_kind kind;
    int64_t t_ns;
    char text[256], mode[40];
    int pid;
};
struct fix {
    char dir[512];
    char out[512]; /* a file for the run to write to */
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct launch *l;
    struct seen seen[EVENTS_MAX];
    size_t n;
    struct result r;
    int64_t until_ns;
    bool expired, closed;
};

static inline void on_event(void *arg, const struct launch_event *ev)
{
    struct fix *f = arg;
    assert_true(f->n < EVENTS_MAX);
    struct seen *s = &f->seen[f->n++];
    *s = (struct seen){.kind = ev->kind, .t_ns = ev->t_ns, .pid = ev->pid};
    base_strcpy(s->text, sizeof(s->text), ev->text ? ev->text : "");
    base_strcpy(s->mode, sizeof(s->mode), ev->mode ? ev->mode : "");
    if (ev->kind == LAUNCH_ENDED)
        f->r = *ev->result;
}

static inline void open_launch(struct fix *f)
{
    const char *bin = getenv("WATTQ_BIN");
    char *path = base_printf("%s/daemon/wattq-shepherd", bin ? bin : ".");
    char *runs = base_printf("%s/runs", f->dir);
    struct launch_config cfg = {
        .runs_dir = runs, .shepherd_path = path, .on_event = on_event, .arg = f};
    struct err e;
    if (launch_open(&f->l, &f->loop, &cfg, &e) != 0)
        fail_msg("%s", e.text);
    free(path);
    free(runs);
}

static inline void on_closed(void *arg)
{
    ((struct fix *)arg)->closed = true;
}

static inline void close_launch(struct fix *f)
{
    f->closed = false;
    launch_close(f->l, on_closed, f);
    while (!f->closed)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static inline int set_up_in(void **state, const char *cgroup, const char *deep)
{
    struct fix *f = base_alloc(sizeof(*f));
    setenv("WATTQ_CGROUP", cgroup, 1);
    strcpy(f->dir, "/tmp/wattq-launch-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    if (deep) {
        strcat(f->dir, deep);
        assert_int_equal(mkdir(f->dir, 0700), 0);
    }
    char *runs = base_printf("%s/runs", f->dir);
    assert_int_equal(mkdir(runs, 0700), 0);
    free(runs);
    snprintf(f->out, sizeof(f->out), "%s/out", f->dir);
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->watchdog);
    open_launch(f);
    *state = f;
    return 0;
}

static inline int set_up_subreaper(void **state)
{
    return set_up_in(state, "none", NULL);
}

/* Our own cgroup; "" would be the same, but also "not set". */
static inline int set_up_cgroup(void **state)
{
    char base[512];
    unsetenv("WATTQ_CGROUP");
    return set_up_in(state, cgroup_find(NULL, base, sizeof(base)) == 0 ? base : "none", NULL);
}

static inline int set_up_deep(void **state)
{
    static const char name[] =
        "/a-directory-whose-name-is-far-too-long-for-the-107-bytes-that-a-unix-"
        "socket-address-can-hold-and-then-some-more";
    return set_up_in(state, "none", name);
}

static inline int tear_down(void **state)
{
    struct fix *f = *state;
    close_launch(f);
    uv_close((uv_handle_t *)&f->watchdog, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    char *cmd = base_printf("rm -rf %.24s", f->dir); /* the XXXXXX directory itself */
    (void)!system(cmd);
    free(cmd);
    free(f);
    return 0;
}

/* ---- steps --------------------------------------------------------------------------------------- */

/* Ticks, because UV_RUN_ONCE goes on to wait for I/O after a timer's event. */
static inline void on_watchdog(uv_timer_t *t)
{
    struct fix *f = container_of(t, struct fix, watchdog);
    f->expired = clock_mono_ns() >= f->until_ns;
}

static inline void watch(struct fix *f, int ms)
{
    f->expired = false;
    f->until_ns = clock_mono_ns() + ms * NS_PER_MS;
    uv_timer_start(&f->watchdog, on_watchdog, 1, 5);
}

static inline size_t count(const struct fix *f, enum launch_event_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        n += f->seen[i].kind == kind;
    return n;
}

/* Until the run is over, or `kind` was seen `times` times. */
static inline const struct seen *wait_event(struct fix *f, enum launch_event_kind kind,
                                            size_t times)
{
    watch(f, WAIT_MS);
    while (count(f, kind) < times) {
        uv_run(&f->loop, UV_RUN_ONCE);
        if (f->expired)
            fail_msg("event %d did not come; %zu events, the last one %d: %s", kind, f->n,
                     f->n ? (int)f->seen[f->n - 1].kind : -1, f->n ? f->seen[f->n - 1].text : "");
    }
    uv_timer_stop(&f->watchdog);
    for (size_t i = f->n; i-- > 0;)
        if (f->seen[i].kind == kind)
            return &f->seen[i];
    return NULL;
}

static inline void turn(struct fix *f, int ms)
{
    watch(f, ms);
    while (!f->expired)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static char *default_env[] = {(char[]){"PATH=/usr/bin:/bin"}, (char[]){"X=y"}, NULL};

static inline struct launch_block block(char **argv)
{
    static char root[] = "/";
    return (struct launch_block){.run_id = 1,
                                 .token = TOKEN,
                                 .grace_ns = 5 * NS_PER_S,
                                 .linger_ns = NS_PER_S / 2,
                                 .umask = 022,
                                 .argv = argv,
                                 .env = default_env,
                                 .cwd = root};
}

static inline void start(struct fix *f, const struct launch_block *b)
{
    struct err e;
    if (launch_start(f->l, b, NULL, &e) != 0)
        fail_msg("%s", e.text);
    wait_event(f, LAUNCH_AT_GATE, 1);
}

static inline void go(struct fix *f)
{
    struct err e;
    assert_int_equal(launch_go(f->l, 1, TOKEN, &e), 0);
    wait_event(f, LAUNCH_STARTED, 1);
}

/* $OUT in the script is f->out. */
static inline char *script(const struct fix *f, const char *text)
{
    return base_printf("OUT=%s; %s", f->out, text);
}

static inline void start_script(struct fix *f, const char *text,
                                void (*change)(struct launch_block *))
{
    char *s = script(f, text);
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, s, NULL};
    char *cwd = base_strdup("/");
    struct launch_block b = block(argv);
    b.cwd = cwd;
    if (change)
        change(&b);
    start(f, &b);
    free(cwd);
    free(s);
}

static inline void run_script(struct fix *f, const char *text,
                              void (*change)(struct launch_block *))
{
    start_script(f, text, change);
    go(f);
    wait_event(f, LAUNCH_ENDED, 1);
    launch_ack(f->l, 1);
}

static inline char *file_text(const char *path)
{
    size_t n;
    char *t = base_read_file(AT_FDCWD, path, 64u << 20, &n);
    return t ? t : base_strdup("");
}

static inline char *run_file(struct fix *f, const char *name)
{
    char *path = base_printf("%s/runs/1/%s", f->dir, name);
    char *t = file_text(path);
    free(path);
    return t;
}

/* The pids the script wrote to $OUT, one a line, must all be dead; a zombie is. */
static inline size_t alive_of(const struct fix *f, size_t *total)
{
    char *t = file_text(f->out), *save = NULL;
    size_t n = 0;
    *total = 0;
    for (char *w = strtok_r(t, "\n", &save); w; w = strtok_r(NULL, "\n", &save)) {
        char path[64], buf[256] = "";
        snprintf(path, sizeof(path), "/proc/%d/stat", atoi(w));
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : 0;
        const char *p = got > 0 ? strrchr(buf, ')') : NULL;
        n += p && p[2] != 'Z' && p[2] != 'X';
        if (fd >= 0)
            close(fd);
        (*total)++;
    }
    free(t);
    return n;
}

static inline void wait_file(struct fix *f, const char *what)
{
    for (int i = 0; i < 1000; i++) {
        char *t = file_text(f->out);
        bool there = strstr(t, what);
        free(t);
        if (there)
            return;
        turn(f, 10);
    }
    fail_msg("the run did not write %s", what);
}

static inline int shepherd_pid(struct fix *f)
{
    char *t = run_file(f, "shepherd");
    const char *p = strstr(t, "\npid=");
    assert_non_null(p);
    int pid = atoi(p + 5);
    free(t);
    return pid;
}

/* Four ways to get away, each writes its pid; then the main process stays, deaf to TERM. */
#define ESCAPES                                                                                    \
    "me() { echo $$ >> $OUT; }; export OUT;"                                                       \
    "setsid sh -c 'trap \"\" TERM; echo $$ >> $OUT; while :; do sleep 1; done' & "                 \
    "(setsid sh -c 'trap \"\" TERM; echo $$ >> $OUT; while :; do sleep 1; done' & ) ; "            \
    "nohup sh -c 'trap \"\" TERM; echo $$ >> $OUT; exec env -i sleep 1000' >/dev/null 2>&1 & "     \
    "sh -c 'sh -c \"echo \\$\\$ >> $OUT; exec setsid -f sleep 1000\"' & "

static inline void wait_lines(struct fix *f, size_t lines)
{
    size_t total = 0;
    for (int i = 0; i < 1000 && total < lines; i++) {
        turn(f, 10);
        alive_of(f, &total);
    }
    assert_true(total >= lines);
}

#define BOTH(name)                                                                                 \
    {#name " (cgroup)", name, set_up_cgroup, tear_down, NULL},                                     \
    {                                                                                              \
#name " (subreaper)", name, set_up_subreaper, tear_down, NULL                              \
    }
#define ONCE(name, set_up)                                                                         \
    {                                                                                              \
#name, name, set_up, tear_down, NULL                                                       \
    }

#endif
