#include "client/sign.h"

#include <string.h>

#include "daemon/launch/launcher.h"

/* Warrants in one request, which must stay below WIRE_FRAME_MAX. */
#define BATCH 100
_Static_assert(BATCH *(sizeof(struct warrant) + 8) + 4096 < WIRE_FRAME_MAX, "a batch fits a frame");

static void leaf_of(const struct spec *s, const char *env_hash, uint8_t out[SHA256_BYTES])
{
    const struct order o = {.kind = s->kind == SPEC_TRAIN ? ORDER_TRAIN : ORDER_COMMAND,
                            .umask = s->umask,
                            .cwd = s->cwd,
                            .stdin_path = s->stdin_path,
                            .on_end = s->on_end,
                            .argv = s->argv,
                            .env_hash = env_hash};
    order_hash(&o, out);
}

/* The next WARRANT_RUNS_MAX of them; each command once, however often it is repeated. */
static void fill(struct warrant *w, const struct spec *specs, size_t n, const char *base_hash)
{
    uint8_t leaf[SHA256_BYTES];
    char own[SHA256_HEX];
    *w = (struct warrant){.version = WARRANT_VERSION, .starts_max = (uint32_t)n * SIGN_STARTS};
    for (size_t i = 0; i < n; i++) {
        if (specs[i].env)
            order_env_hash(specs[i].env, own);
        leaf_of(&specs[i], specs[i].env ? own : base_hash, leaf);
        if (warrant_find(w, leaf) < 0)
            memcpy(w->leaves[w->n++], leaf, sizeof leaf);
    }
}

static int hand_in(struct conn *c, const struct warrant *all, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i += BATCH) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        struct wire_out *o = conn_begin(c, "warrants");
        wire_begin_array(o, "warrants");
        for (size_t k = i; k < n && k < i + BATCH; k++)
            wire_put_bin(o, NULL, &all[k], warrant_bytes(&all[k]));
        wire_end(o);
        int rc = conn_call(c, &m, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int sign_runs(struct conn *c, const struct spec *specs, size_t n, const struct spec *base,
              struct err *e)
{
    char base_hash[SHA256_HEX] = "";
    const char *dir = wire_str(conn_hello(c), "launcher", NULL);
    if (!dir || conn_stranger(c) >= 0)
        return 0;
    if (base)
        order_env_hash(base->env, base_hash);
    size_t count = (n + WARRANT_RUNS_MAX - 1) / WARRANT_RUNS_MAX;
    struct warrant *all CLEANUP(base_freep) = base_alloc((count + 1) * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        size_t first = i * WARRANT_RUNS_MAX;
        size_t some = n - first < WARRANT_RUNS_MAX ? n - first : WARRANT_RUNS_MAX;
        fill(&all[i], specs + first, some, base_hash);
        int rc = launcher_sign(dir, &all[i], e);
        if (rc < 0)
            return rc;
    }
    return hand_in(c, all, count, e);
}
