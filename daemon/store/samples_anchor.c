#include "common/units.h"
#include "daemon/store/samples_internal.h"
#include "daemon/store/stmt.h"

#define ANCHOR_EVERY_NS (INT64_C(600) * NS_PER_S)
#define STEP_NS         (50 * NS_PER_MS) /* more than slewing (500 ppm) can do between two looks */
#define PAIR_NS         (50 * NS_PER_US) /* a pair read further apart than this is read again */
#define PAIR_TRIES      20

/* Boot, real, boot: the real time belongs to the middle, if nobody interrupted us. */
static void read_machine(int64_t *boot_ns, int64_t *utc_ns)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < PAIR_TRIES && best > PAIR_NS; i++) {
        int64_t before = clock_boot_ns(), utc = clock_utc_ns(), after = clock_boot_ns();
        if (after - before >= best)
            continue;
        best = after - before;
        *boot_ns = codec_middle(before, after);
        *utc_ns = utc;
    }
}

static int insert_anchor(struct samples *w, int64_t boot_ns, int64_t utc_ns, bool step,
                         struct err *e)
{
    STMT_USE(st, w->store, ANCHOR_INSERT);
    stmt_bind_int(st, 1, store_boot(w->store));
    stmt_bind_int(st, 2, boot_ns);
    stmt_bind_int(st, 3, utc_ns);
    stmt_bind_int(st, 4, step);
    int rc = stmt_run(st, e);
    if (rc == 0) {
        w->now.anchor_ns = boot_ns;
        w->now.anchor_offset_ns = utc_ns - boot_ns;
    }
    return rc;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

void anchor_load(struct samples *w)
{
    STMT_USE(st, w->store, ANCHOR_AT);
    stmt_bind_int(st, 1, store_boot(w->store));
    stmt_bind_int(st, 2, INT64_MAX);
    w->now.anchor_ns = WALK_NONE;
    w->now.seen_ns = WALK_NONE;
    if (stmt_step(st, NULL) <= 0)
        return;
    w->now.seen_ns = stmt_int(st, 0);
    w->now.seen_offset_ns = stmt_int(st, 1) - stmt_int(st, 0);
}

int anchor_check(struct samples *w, struct err *e)
{
    int64_t boot = 0, utc = 0;
    if (w->read_clocks)
        w->read_clocks(w->clocks_arg, &boot, &utc);
    else
        read_machine(&boot, &utc);
    int64_t offset = utc - boot;
    bool known = w->now.seen_ns != WALK_NONE;
    /* Both clocks are slewed by at most 500 ppm against each other; what is more was set. */
    bool step = known && distance(offset, w->now.seen_offset_ns) >
                             STEP_NS + distance(boot, w->now.seen_ns) / 2000;
    bool due = w->now.anchor_ns == WALK_NONE || boot - w->now.anchor_ns >= ANCHOR_EVERY_NS ||
               distance(offset, w->now.anchor_offset_ns) > STEP_NS;
    w->now.seen_ns = boot;
    w->now.seen_offset_ns = offset;
    return step || due ? insert_anchor(w, boot, utc, step, e) : 0;
}
