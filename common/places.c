#include "common/places.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The XDG rules say that a relative path in these variables is to be ignored. */
static const char *absolute_env(const char *name)
{
    const char *v = getenv(name);
    return v && v[0] == '/' ? v : NULL;
}

int places_join(char *out, const char *dir, const char *name, struct err *e)
{
    int n = snprintf(out, WATTQ_PATH_MAX, "%s/%s", dir, name);
    if (n >= WATTQ_PATH_MAX)
        return err_set(e, WATTQ_E_LIMIT, "path %.100s... is longer than %d bytes", dir,
                       WATTQ_PATH_MAX - 1);
    return 0;
}

/* variable, else ~/fallback; then /wattq. */
static int base_dir(char *out, const char *variable, const char *fallback, struct err *e)
{
    char base[WATTQ_PATH_MAX];
    const char *dir = absolute_env(variable);
    if (!dir) {
        const char *home = absolute_env("HOME");
        const struct passwd *pw = home ? NULL : getpwuid(geteuid());
        if (!home && (!pw || pw->pw_dir[0] != '/')) {
            err_set(e, WATTQ_E_NOT_FOUND, "uid %ld has no home directory", (long)geteuid());
            return err_next(e, "set HOME or %s", variable);
        }
        int rc = places_join(base, home ? home : pw->pw_dir, fallback, e);
        if (rc < 0)
            return rc;
        dir = base;
    }
    return places_join(out, dir, "wattq", e);
}

int places_state(char *out, struct err *e)
{
    return base_dir(out, "XDG_STATE_HOME", ".local/state", e);
}

int places_config(char *out, struct err *e)
{
    char dir[WATTQ_PATH_MAX];
    int rc = base_dir(dir, "XDG_CONFIG_HOME", ".config", e);
    return rc < 0 ? rc : places_join(out, dir, "wattqd.conf", e);
}

int places_runtime(char *out, const char *state, struct err *e)
{
    const char *dir = absolute_env("XDG_RUNTIME_DIR");
    struct stat st;
    /* After `su` the variable still names another user's directory. */
    if (dir && stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
        return places_join(out, dir, "wattq", e);
    char own[WATTQ_PATH_MAX];
    int rc = state ? 0 : places_state(own, e);
    return rc < 0 ? rc : places_join(out, state ? state : own, "run", e);
}

int places_socket(char *out, const char *runtime, struct err *e)
{
    char own[WATTQ_PATH_MAX];
    int rc = runtime ? 0 : places_runtime(own, NULL, e);
    return rc < 0 ? rc : places_join(out, runtime ? runtime : own, "wattqd.sock", e);
}

int places_check_socket(const char *path, struct err *e)
{
    size_t n = strlen(path);
    if (n <= PLACES_SOCKET_MAX)
        return 0;
    err_set(e, WATTQ_E_USAGE, "socket path of %zu bytes is too long, the kernel takes %d: %.120s",
            n, PLACES_SOCKET_MAX, path);
    return err_next(e, "name a shorter one: --socket /tmp/wattq-$USER/wattqd.sock");
}
