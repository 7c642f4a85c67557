#include "daemon/store/gpu_out.h"

#include "common/units.h"
#include "common/users.h"
#include "daemon/store/former.h"
#include "daemon/store/stmt.h"

static void put_text(char text[GPU_OUT_WHY_MAX], int64_t by, const char *why)
{
    char name[USERS_NAME_MAX];
    if (by == STMT_NULL)
        (void)base_strcpy(text, GPU_OUT_WHY_MAX, why);
    else
        (void)snprintf(text, GPU_OUT_WHY_MAX, "%s took it out%s%s", users_name(by, name),
                       why[0] ? ": " : "", why);
}

static int note(struct store *s, const struct gpu_out *g, const char *act, struct err *e)
{
    char text[400];
    (void)snprintf(text, sizeof(text), "%s %s%s%s", g->label, g->uuid, g->why[0] ? ": " : "",
                   g->why);
    return former_act(s, g->by, act, text, e);
}

int gpu_out_put(struct store *s, const struct gpu_out *g, char text[GPU_OUT_WHY_MAX], struct err *e)
{
    STMT_USE(st, s, GPU_OUT_PUT);
    stmt_bind_text(st, 1, g->uuid);
    stmt_bind_text(st, 2, g->why);
    stmt_bind_opt(st, 3, g->by);
    stmt_bind_opt(st, 4, g->by == STMT_NULL ? store_boot(s) : STMT_NULL);
    stmt_bind_int(st, 5, clock_utc_ns());
    int rc = stmt_run(st, e);
    put_text(text, g->by, g->why);
    return rc < 0 ? rc : note(s, g, "gpu off", e);
}

int gpu_out_drop(struct store *s, const struct gpu_out *g, struct err *e)
{
    STMT_USE(st, s, GPU_OUT_DROP);
    stmt_bind_text(st, 1, g->uuid);
    int rc = stmt_run(st, e);
    return rc < 0 || stmt_changes(s) == 0 ? rc : note(s, g, "gpu on", e);
}

int gpu_out_list(struct store *s, void (*fn)(void *arg, const char *uuid, const char *text),
                 void *arg, struct err *e)
{
    char text[GPU_OUT_WHY_MAX];
    STMT_USE(st, s, GPU_OUT_LIST);
    stmt_bind_int(st, 1, store_boot(s));
    int rc = 0;
    while ((rc = stmt_step(st, e)) > 0) {
        put_text(text, stmt_opt(st, 2), stmt_text(st, 1));
        fn(arg, stmt_text(st, 0), text);
    }
    return rc;
}

int gpu_out_expire(struct store *s, struct err *e)
{
    STMT_USE(st, s, GPU_OUT_EXPIRE);
    stmt_bind_int(st, 1, store_boot(s));
    return stmt_run(st, e);
}
