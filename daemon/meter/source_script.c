/* A meter that follows a formula file with exact truth: the reference every other part is tested
 * against, end to end. The format is in script_formula.h. */
#include "daemon/meter/script_formula.h"

#include <stdlib.h>

struct source {
    struct formula *formula;
};

static int open_script(struct source **out, const struct meter_config *cfg, struct err *e)
{
    if (!cfg->script) {
        return 1;
    }
    struct formula *f = NULL;
    int rc = formula_load(&f, cfg->script, e);
    if (rc < 0) {
        return rc;
    }
    *out = base_alloc(sizeof(**out));
    (*out)->formula = f;
    return 0;
}

static size_t channels(struct source *s, const struct channel_desc **out)
{
    *out = formula_descs(s->formula);
    return formula_count(s->formula);
}

static void read_all(struct source *s, int64_t boot_ns, struct reading *out)
{
    for (size_t i = 0; i < formula_count(s->formula); i++) {
        out[i] = formula_read(s->formula, i, boot_ns);
    }
}

static void close_script(struct source *s)
{
    formula_free(s->formula);
    free(s);
}

const struct source_ops source_script = {
    .name = "script",
    .once = true,
    .open = open_script,
    .channels = channels,
    .read = read_all,
    .close = close_script,
};
