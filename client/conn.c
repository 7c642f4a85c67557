#include "client/conn.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/places.h"
#include "common/units.h"
#include "common/users.h"

struct conn {
    int fd;
    int64_t id;  /* of the newest request */
    uint8_t *in; /* bytes received and not yet taken */
    size_t have;
    size_t cap;
    bool eof;
    int64_t stranger;     /* conn_stranger */
    bool trusted;         /* it is our own: what it names may be run */
    bool named;           /* by --socket or WATTQ_SOCKET */
    char *train;          /* conn_train_path */
    bool has_environment; /* the request under way */
    struct wire_out out;
    struct wire_msg *hello;
    char path[WATTQ_PATH_MAX];
};

/* ---- where ------------------------------------------------------------------------------------- */

int conn_path(const char *given, char *out, struct err *e)
{
    if (!given || !*given)
        given = getenv("WATTQ_SOCKET");
    if (given && *given)
        base_strcpy(out, WATTQ_PATH_MAX, given);
    else if (places_socket(out, NULL, e) < 0)
        return err_next(e, "or name the socket: --socket PATH, or WATTQ_SOCKET in the environment");
    return places_check_socket(given && *given ? given : out, e);
}

/* ---- connect ----------------------------------------------------------------------------------- */

/* The wattqd that lies where a build puts it beside this program; else the one in the PATH. */
static void find_daemon(char *out, size_t cap)
{
    char exe[WATTQ_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    char *built CLEANUP(base_freep) = base_printf("%s/../daemon/wattqd", exe);
    char *full CLEANUP(base_freep) = slash ? realpath(built, NULL) : NULL;
    base_strcpy(out, cap, full ? full : "wattqd");
}

static void say_start(const char *path, bool named, struct err *e)
{
    char program[WATTQ_PATH_MAX];
    find_daemon(program, sizeof program);
    if (named)
        err_next(e, "start it: %.80s --socket %.100s &", program, path);
    else
        err_next(e, "start it: %.150s &", program);
}

/* wattqd as a service of the machine. */
static bool is_service(uid_t uid)
{
    struct passwd pw;
    struct passwd *found = NULL;
    char buf[4096];
    return getpwnam_r("wattq", &pw, buf, sizeof buf, &found) == 0 && found && found->pw_uid == uid;
}

/* Only he himself, or root, can have put a socket there. */
static bool owns_directory(uid_t uid, const char *path)
{
    struct stat st;
    char dir[WATTQ_PATH_MAX];
    base_strcpy(dir, sizeof dir, path);
    char *slash = strrchr(dir, '/');
    if (!slash)
        return false;
    slash[slash == dir] = '\0';
    return stat(dir, &st) == 0 && st.st_uid == uid && (st.st_mode & 022) == 0;
}

static int check_server(struct conn *c, struct err *e)
{
    const char *path = c->path;
    struct ucred cred;
    socklen_t n = sizeof cred;
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
        return err_errno(e, WATTQ_E_IO, "cannot tell who listens on %.120s", path);
    /* A socket that the system's manager has opened (pid 1) is behind it whosever it gives it to. */
    c->trusted = cred.uid == geteuid() && cred.pid != 1;
    if (c->trusted || cred.uid == 0 || is_service(cred.uid))
        return 0;
    if (c->named && owns_directory(cred.uid, path)) {
        c->stranger = (int64_t)cred.uid;
        return 0;
    }
    err_set(e, WATTQ_E_FORBIDDEN,
            "the program that listens on %.120s belongs to user %u, not to you: nothing was sent",
            path, (unsigned)cred.uid);
    return err_next(e, "start your own wattqd, or name its socket with --socket");
}

/* 0; 1 = nobody listens there. */
static int dial(struct conn *c, struct err *e)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    base_strcpy(addr.sun_path, sizeof addr.sun_path, c->path);
    base_closep(&c->fd);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return err_errno(e, WATTQ_E_IO, "cannot make a socket");
    if (connect(c->fd, (struct sockaddr *)&addr, sizeof addr) == 0)
        return check_server(c, e);
    if (errno == ENOENT || errno == ECONNREFUSED)
        return 1;
    if (errno == EACCES) {
        err_set(e, WATTQ_E_FORBIDDEN, "you may not connect to %.150s", c->path);
        return err_next(e, "start your own wattqd, or name its socket with --socket");
    }
    return err_errno(e, WATTQ_E_NO_DAEMON, "cannot connect to %.150s", c->path);
}

/* The one that was named; else our own where somebody listens, else the machine's. */
static int find(struct conn *c, const char *given, struct err *e)
{
    const char *env = getenv("WATTQ_SOCKET");
    struct err why;
    char own[WATTQ_PATH_MAX];
    c->named = (given && *given) || (env && *env);
    int rc = conn_path(given, c->path, e);
    if (rc == 0)
        rc = dial(c, e);
    if (!c->named && (rc > 0 || rc == WATTQ_E_NOT_FOUND)) { /* not found: a user without a home */
        base_strcpy(own, sizeof own, c->path);
        base_strcpy(c->path, sizeof c->path, PLACES_SYSTEM_SOCKET);
        int machine = dial(c, &why);
        if (machine < 0)
            *e = why;
        if (machine <= 0)
            return machine;
        base_strcpy(c->path, sizeof c->path, own);
    }
    if (rc <= 0)
        return rc;
    err_set(e, WATTQ_E_NO_DAEMON, "wattqd is not running: nobody listens on %.150s", c->path);
    say_start(c->path, c->named, e);
    return WATTQ_E_NO_DAEMON;
}

/* Could nobody but root have put it there? path is cut. */
static bool is_roots(char *path)
{
    struct stat st;
    for (char *end = path + strlen(path);; end = strrchr(path, '/')) {
        bool top = end == path;
        end[top] = '\0';
        if (stat(path, &st) < 0 || st.st_uid != 0)
            return false;
        bool sticky = S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX);
        if ((st.st_mode & 022) && !sticky)
            return false;
        if (top)
            return true;
    }
}

/* A wattqd that was taken over must not get us to run what it likes. */
static char *find_train(const struct conn *c)
{
    const char *named = wire_str(wire_msg_root(c->hello), "train_path", NULL);
    if (!named || c->trusted)
        return named ? base_strdup(named) : NULL;
    char *real CLEANUP(base_freep) = realpath(named, NULL);
    const char *name = real ? strrchr(real, '/') : NULL;
    if (!name || strcmp(name, "/wattq-train") != 0)
        return NULL;
    char *cut CLEANUP(base_freep) = base_strdup(real);
    return is_roots(cut) ? base_strdup(real) : NULL;
}

static int greet(struct conn *c, struct err *e)
{
    struct wire_out *o = conn_begin(c, "hello");
    wire_put_int(o, "version", WIRE_VERSION);
    wire_put_str(o, "client", "wattq " WATTQ_VERSION);
    int rc = conn_call(c, &c->hello, e);
    if (rc < 0)
        return rc;
    int64_t version = wire_int(wire_msg_root(c->hello), "version", -1);
    if (version == WIRE_VERSION) {
        c->train = find_train(c);
        return 0;
    }
    err_set(e, WATTQ_E_VERSION, "wattqd speaks protocol version %lld, this wattq speaks %d",
            (long long)version, WIRE_VERSION);
    return err_next(e, "use the wattq that was installed with this wattqd");
}

int conn_open(struct conn **out, const char *given, struct err *e)
{
    struct conn *c = base_alloc(sizeof *c);
    c->fd = -1;
    c->stranger = -1;
    int rc = find(c, given, e);
    if (rc == 0)
        rc = greet(c, e);
    if (rc < 0) {
        conn_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void conn_close(struct conn *c)
{
    if (!c)
        return;
    base_closep(&c->fd);
    free(c->in);
    wire_out_free(&c->out);
    wire_msg_free(c->hello);
    free(c->train);
    free(c);
}

void conn_closep(struct conn **c)
{
    conn_close(*c);
}

const struct wire_val *conn_hello(const struct conn *c)
{
    return wire_msg_root(c->hello);
}

int64_t conn_stranger(const struct conn *c)
{
    return c->stranger;
}

const char *conn_train_path(const struct conn *c)
{
    return c->train;
}

int conn_fd(const struct conn *c)
{
    return c->fd;
}

/* ---- talk -------------------------------------------------------------------------------------- */

static bool carries_environment(const char *op)
{
    static const char *const ops[] = {"submit", "sweep", "sweep_begin", "sweep_rows", "exec_begin"};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (strcmp(ops[i], op) == 0)
            return true;
    return false;
}

static int to_a_stranger(const struct conn *c, struct err *e)
{
    char user[USERS_NAME_MAX];
    err_set(e, WATTQ_E_FORBIDDEN,
            "the wattqd on %.100s is %s's: your environment is not sent to it, and it would run "
            "programs as that user",
            c->path, users_name(c->stranger, user));
    return err_next(e, "start your own wattqd (wattqd &) and leave --socket and WATTQ_SOCKET out");
}

struct wire_out *conn_begin(struct conn *c, const char *op)
{
    c->has_environment = carries_environment(op);
    wire_out_reset(&c->out);
    wire_put_str(&c->out, "op", op);
    wire_put_int(&c->out, "id", ++c->id);
    return &c->out;
}

static int gone(const struct conn *c, struct err *e)
{
    err_set(e, WATTQ_E_NO_DAEMON, "wattqd went away; queued and running runs are not affected");
    return err_next(e, "start it again (wattqd &) and repeat the command; it listened on %.110s",
                    c->path);
}

int conn_send(struct conn *c, struct err *e)
{
    if (c->has_environment && c->stranger >= 0)
        return to_a_stranger(c, e);
    int rc = wire_out_finish(&c->out, e);
    if (rc < 0)
        return rc;
    /* A daemon that refuses a request may close while we still write; its answer is then already here,
     * so a failed write is not the last word. */
    for (size_t at = 0; at < c->out.bytes;) {
        ssize_t n = send(c->fd, c->out.data + at, c->out.bytes - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            break;
        if (n < 0)
            return err_errno(e, WATTQ_E_IO, "cannot write to wattqd");
        at += (size_t)n;
    }
    return 0;
}

/* Length of the frame at the start of the buffer: 0 = not yet known. */
static int frame_length(const struct conn *c, size_t *total, struct err *e)
{
    return wire_frame_bytes(c->in, c->have, WIRE_FRAME_MAX, total, e);
}

/* One read into the buffer, as much as is there. */
static int fill(struct conn *c, struct err *e)
{
    if (c->have == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16384;
        uint8_t *p = realloc(c->in, cap);
        if (!p)
            return err_set(e, WATTQ_E_LIMIT, "out of memory for a reply");
        c->in = p;
        c->cap = cap;
    }
    ssize_t n = read(c->fd, c->in + c->have, c->cap - c->have);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n < 0 && errno != ECONNRESET)
        return err_errno(e, WATTQ_E_IO, "cannot read from wattqd");
    if (n <= 0)
        c->eof = true;
    else
        c->have += (size_t)n;
    return 0;
}

static int whole(const struct conn *c, struct err *e)
{
    size_t total = 0;
    int rc = frame_length(c, &total, e);
    return rc < 0 ? rc : total > 0 && c->have >= total;
}

int conn_poll(struct conn *c, int timeout_ms, struct err *e)
{
    int64_t deadline = timeout_ms < 0 ? INT64_MAX : clock_mono_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        int rc = whole(c, e);
        if (rc != 0 || c->eof)
            return rc < 0 ? rc : 1;
        int64_t left = deadline == INT64_MAX ? -1 : (deadline - clock_mono_ns()) / NS_PER_MS;
        if (deadline != INT64_MAX && left < 0)
            left = 0;
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        int n = poll(&p, 1, (int)left);
        if (n == 0 || (n < 0 && errno == EINTR))
            return 0;
        if (n < 0)
            return err_errno(e, WATTQ_E_IO, "cannot wait for wattqd");
        rc = fill(c, e);
        if (rc < 0)
            return rc;
    }
}

/* What to look at when the daemon had no better idea. */
static const char *usual_next(int code)
{
    switch (code) {
    case WATTQ_E_CONFLICT:
        return "see what state it is in: wattq queue";
    case WATTQ_E_NOT_FOUND:
        return "see what there is: wattq runs";
    case WATTQ_E_STORAGE:
    case WATTQ_E_CORRUPT:
    case WATTQ_E_IO:
        return "see how the daemon is: wattq info, and its log";
    case WATTQ_E_USAGE:
    case WATTQ_E_INVALID:
    case WATTQ_E_LIMIT:
        return "change what was asked for; --help shows how it is written";
    default:
        return "see how the daemon is: wattq info";
    }
}

static int as_error(const struct wire_val *error, struct err *e)
{
    int code = err_from_name(wire_str(error, "code", "internal"));
    err_set(e, code, "%s", wire_str(error, "text", "wattqd refused without saying why"));
    return err_next(e, "%s", wire_str(error, "next", usual_next(code)));
}

int conn_recv(struct conn *c, struct wire_msg **out, struct err *e)
{
    size_t total = 0;
    for (;;) {
        int rc = frame_length(c, &total, e);
        if (rc < 0)
            return rc;
        if (total > 0 && c->have >= total)
            break;
        if (c->eof)
            return gone(c, e);
        rc = fill(c, e);
        if (rc < 0)
            return rc;
    }
    struct wire_msg *m = NULL;
    int rc = wire_msg_new(&m, c->in + WIRE_HEADER_BYTES, total - WIRE_HEADER_BYTES, e);
    memmove(c->in, c->in + total, c->have - total);
    c->have -= total;
    if (rc < 0)
        return rc;
    const struct wire_val *error = wire_get(wire_msg_root(m), "error");
    if (wire_type(error) == WIRE_MAP) {
        rc = as_error(error, e);
        wire_msg_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

int conn_call(struct conn *c, struct wire_msg **out, struct err *e)
{
    int rc = conn_send(c, e);
    return rc < 0 ? rc : conn_recv(c, out, e);
}

bool conn_more(const struct wire_msg *m)
{
    return wire_bool(wire_msg_root(m), "more", false);
}
