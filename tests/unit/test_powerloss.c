/* A session of the real storage thread - samples, runs that move, chunks, checkpoints, a foreign reader - is
 * recorded down to each write and sync (tests/support/disk.h), and the power goes at random moments of it. What
 * each moment leaves is opened as wattqd opens it after a reboot: nothing is damaged, at most 10 s of samples are
 * lost (with `durability = full` none that was committed), no move of a run that was acknowledged is lost - also
 * where syncs have failed before, after which a later sync that works says nothing of what was not written.
 * That this can fail at all is shown with a disk that answers a sync and does nothing.
 *
 * WATTQ_IMAGES: how many moments (default 50); WATTQ_SEED: which (printed). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/store/runs.h"
#include "tests/support/disk.h"
#include "tests/support/storage_rig.h"

#define STEPS     240 /* commits of samples, 0.8 to 1 s apart in replayed time */
#define TICK_NS   (100 * NS_PER_MS)
#define START_NS  (1000 * NS_PER_S)
#define LOST_MAX  (10 * NS_PER_S)
#define RUNS_MAX  64
#define NEXT_BOOT "22222222-2222-2222-2222-222222222222"

enum mark { MARK_TICK, MARK_COMMITTED, MARK_MOVED };

struct session {
    struct rig rig;
    struct disk disk;
    uint64_t seed;
    int64_t ticks;  /* made so far */
    int64_t now_ns; /* of the newest */
    int64_t runs;
    enum run_state state[RUNS_MAX + 1]; /* by id, as acknowledged */
};

/* ---- the session -------------------------------------------------------------------------------- */

static void make_samples(struct session *x)
{
    int64_t n = 8 + rec_below(&x->seed, 3);
    x->now_ns = START_NS + (x->ticks + n) * TICK_NS;
    disk_mark(&x->disk, MARK_TICK, x->now_ns);
    while (n-- > 0) {
        x->ticks++;
        assert_true(rig_tick_at(&x->rig, x->ticks, START_NS + x->ticks * TICK_NS) > 0);
    }
    storage_wake(x->rig.storage);
}

static void wait_stored(struct session *x)
{
    struct storage_status st;
    do {
        usleep(100);
        storage_get_status(x->rig.storage, &st);
        assert_false(st.health.degraded);
    } while (st.samples < x->ticks);
    disk_mark(&x->disk, MARK_COMMITTED, x->now_ns);
}

static void step_samples(struct session *x)
{
    make_samples(x);
    wait_stored(x);
}

/* A run that is new or goes on by one. */
struct move_job {
    struct storage_job base;
    struct session *session;
    int64_t run; /* 0 = a new one */
    enum run_state to;
    bool done;
    int rc;
};

static enum run_state next_state(enum run_state s)
{
    return s == RUN_RUNNING ? RUN_STOPPING : (enum run_state)(s + 1);
}

static int insert_run(struct store *s, int64_t *id, struct err *e)
{
    struct spec spec = {0};
    spec_init(&spec);
    spec.argc = 1;
    spec.argv = base_alloc(2 * sizeof(char *));
    spec.argv[0] = base_strdup("true");
    spec.cwd = base_strdup("/");
    const struct run_new n = {.spec = &spec,
                              .uid = 1000,
                              .submitted_utc_ns = 1,
                              .sweep = RUN_NONE,
                              .sweep_index = RUN_NONE,
                              .retry_of = RUN_NONE};
    int rc = runs_insert(s, &n, id, e);
    spec_fini(&spec);
    return rc;
}

static int on_move(struct store *s, struct storage_job *base, struct err *e)
{
    struct move_job *j = container_of(base, struct move_job, base);
    struct run_change c;
    if (j->run == 0)
        return insert_run(s, &j->run, e);
    run_change_init(&c);
    c.reason = "test";
    return runs_move(s, j->run, j->session->state[j->run], j->to, &c, e);
}

static void on_moved(struct storage_job *base, int rc, const struct err *e)
{
    struct move_job *j = container_of(base, struct move_job, base);
    (void)e;
    j->done = true;
    j->rc = rc;
    if (rc)
        return;
    j->session->state[j->run] = j->to;
    disk_mark(&j->session->disk, MARK_MOVED, j->run * RUN_STATES + (int64_t)j->to);
}

/* false = it could not be written down. */
static bool step_runs(struct session *x)
{
    struct move_job j = {
        .base = {.work = on_move, .done = on_moved}, .session = x, .to = RUN_QUEUED};
    int64_t pick = 1 + rec_below(&x->seed, x->runs + 1);
    if (pick <= x->runs && x->state[pick] != RUN_DONE) {
        j.run = pick;
        j.to = next_state(x->state[pick]);
    } else if (x->runs == RUNS_MAX) {
        return true;
    }
    storage_submit(x->rig.storage, &j.base);
    while (!j.done)
        uv_run(&x->rig.loop, UV_RUN_ONCE);
    if (j.rc == 0 && j.run > x->runs)
        x->runs = j.run;
    return j.rc == 0;
}

/* Syncs fail for a while. Who is told so tries again, and then it works. */
static void step_fault(struct session *x)
{
    atomic_store(&x->disk.fail_sync, SQLITE_IOERR_FSYNC);
    for (int i = 0; i < 3; i++) {
        make_samples(x);
        usleep(1000);
    }
    while (step_runs(x)) /* but for one there was nothing to do for */
        continue;
    atomic_store(&x->disk.fail_sync, 0);
    while (!step_runs(x))
        continue;
    wait_stored(x);
}

/* Somebody else's reader holds the log for a while. */
static sqlite3 *begin_reader(struct session *x)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(x->rig.rec.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM run", NULL, NULL, NULL),
                     SQLITE_OK);
    return db;
}

enum kind { AS_CONFIGURED, FULL, SYNCS_FAIL, LIES };

/* 40 commits of samples alone, then 40 between which runs move, and so on. */
static void record_session(struct session *x, enum kind kind)
{
    sqlite3 *reader = NULL;
    rec_init(&x->rig.rec);
    rec_add(&x->rig.rec, "a", CHANNEL_COUNTER);
    rec_add(&x->rig.rec, "b", CHANNEL_COUNTER);
    x->rig.rec.chunk_ticks = 150;
    x->rig.rec.period_ns = TICK_NS;
    x->rig.flush_ns = 1;
    x->seed = 0x5eed;
    disk_install(&x->disk);
    atomic_store(&x->disk.lies, kind == LIES);
    rig_open_at(&x->rig, START_NS);
    storage_set_full(x->rig.storage, kind == FULL || kind == LIES);
    for (int i = 0; i < STEPS; i++) {
        step_samples(x);
        for (int64_t n = i / 40 % 2 ? rec_below(&x->seed, 4) : 0; n > 0; n--)
            assert_true(step_runs(x));
        if (kind == SYNCS_FAIL && i % 20 == 9 && !reader)
            step_fault(x);
        if (i == STEPS / 3)
            reader = begin_reader(x);
        if (i == STEPS / 2) {
            sqlite3_close(reader);
            reader = NULL;
        }
    }
    rig_close(&x->rig);
    atomic_store(&x->disk.off, true);
}

static void forget_session(struct session *x)
{
    disk_remove(&x->disk);
    rec_fini(&x->rig.rec);
    free(x);
}

/* ---- one image ---------------------------------------------------------------------------------- */

struct verdict {
    bool damaged;
    char why[400];
    int64_t lost_ns;
    bool lost_committed;
    int moves, lost_moves; /* acknowledged, and of these not there */
};
struct seen {
    int64_t tick_ns, committed_ns;
    int moves;
    enum run_state state[RUNS_MAX + 1];
};

static void on_mark(void *arg, int kind, int64_t value)
{
    struct seen *s = arg;
    if (kind == MARK_TICK)
        s->tick_ns = value;
    if (kind == MARK_COMMITTED)
        s->committed_ns = value;
    if (kind != MARK_MOVED)
        return;
    s->state[value / RUN_STATES] = (enum run_state)(value % RUN_STATES);
    s->moves++;
}

static bool must(struct verdict *v, bool ok, const char *what)
{
    if (!ok && !v->damaged) {
        v->damaged = true;
        base_strcpy(v->why, sizeof(v->why), what);
    }
    return ok;
}

/* As wattqd does after a reboot. */
static bool reopen(struct recorder *img, struct verdict *v)
{
    struct err e = {0};
    struct samples_setup u = {
        .channels = img->list,
        .n = img->n,
        .periods_ns = &img->period_ns,
        .groups = 1,
        .now_ns = START_NS,
        .set_base = rec_set_base,
        .read_clocks = rec_clocks,
        .arg = img,
    };
    if (!must(v, store_open_boot(&img->store, img->path, NEXT_BOOT, &e) == 0, e.text))
        return false;
    return must(v, samples_open_as(&img->samples, img->store, &u, &e) == 0, e.text);
}

/* Every tick up to the newest one that is stored is there, and the curve goes through all of them. */
static void check_samples(struct recorder *img, const struct seen *seen, struct verdict *v)
{
    int64_t stored = rec_ask(img, "SELECT ifnull(max(t1_ns), 0) FROM chunk");
    int64_t ticks = stored ? (stored - START_NS) / TICK_NS : 0;
    v->lost_ns = seen->tick_ns ? seen->tick_ns - (stored ? stored : START_NS) : 0;
    v->lost_committed = seen->committed_ns > stored;
    must(v, rec_ask(img, "SELECT count(*) FROM tail") == 0, "tail rows are left");
    must(v, rec_ask(img, "SELECT ifnull(sum(n) - count(*) + 1, 0) FROM chunk") == ticks,
         "samples are missing in between");
    must(v, rec_ask(img, "SELECT ifnull(max(e1_uj), -1) FROM head") == ticks - 1,
         "the curve is another");
    must(
        v,
        rec_ask(
            img,
            "SELECT count(*) FROM head a JOIN head b ON a.channel = b.channel AND a.t1_ns = b.t0_ns"
            " AND a.t0_ns < b.t0_ns WHERE a.e1_uj <> b.e0_uj") == 0,
        "the curve is torn");
}

static void check_runs(struct recorder *img, const struct seen *seen, struct verdict *v)
{
    v->moves = seen->moves;
    for (int64_t id = 1; id <= RUNS_MAX; id++) {
        struct run_row row;
        struct err e = {0};
        if (seen->state[id] == 0)
            continue;
        int rc = runs_get(img->store, id, &row, &e);
        must(v, rc >= 0, e.text);
        if (rc != 0 || row.state < seen->state[id])
            v->lost_moves++;
        if (rc == 0)
            run_row_fini(&row);
    }
    must(
        v,
        rec_ask(
            img,
            "SELECT count(*) FROM run r WHERE state <> (SELECT to_state FROM event WHERE run = r.id"
            " ORDER BY id DESC LIMIT 1)") == 0,
        "a run is not what its events say");
}

static struct verdict look_at(struct session *x, size_t cut, uint64_t seed)
{
    struct verdict v = {0};
    struct seen seen = {0};
    struct recorder img;
    rec_init(&img);
    rec_add(&img, "a", CHANNEL_COUNTER);
    rec_add(&img, "b", CHANNEL_COUNTER);
    disk_marks(&x->disk, cut, on_mark, &seen);
    disk_image(&x->disk, cut, seed, img.dir);
    if (reopen(&img, &v)) {
        must(&v,
             rec_ask(&img,
                     "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'") ==
                 0,
             "integrity_check finds something");
        must(&v, rec_ask(&img, "SELECT count(*) FROM pragma_foreign_key_check") == 0,
             "foreign keys");
        check_samples(&img, &seen, &v);
        check_runs(&img, &seen, &v);
    }
    samples_close(img.samples);
    store_close(img.store);
    img.samples = NULL;
    img.store = NULL;
    rec_fini(&img);
    return v;
}

/* ---- many images -------------------------------------------------------------------------------- */

struct count {
    int images, damaged, committed, lost_moves;
    int64_t moves, worst_ns;
};

static int64_t images(void)
{
    const char *s = getenv("WATTQ_IMAGES");
    return s ? strtoll(s, NULL, 10) : 50;
}

/* Anywhere, and every third one at the worst moment: somebody has just been told that it is done. */
static size_t choose_cut(struct session *x, uint64_t *seed)
{
    size_t n = disk_length(&x->disk), cut = (size_t)rec_below(seed, (int64_t)n + 1);
    if (rec_below(seed, 3) > 0)
        return cut;
    struct seen before = {0}, here;
    disk_marks(&x->disk, cut, on_mark, &before);
    do {
        here = (struct seen){0};
        disk_marks(&x->disk, ++cut, on_mark, &here);
    } while (cut < n && here.moves == before.moves && here.committed_ns == before.committed_ns);
    return cut < n ? cut : n;
}

static struct count look_at_many(struct session *x, uint64_t seed, bool tell)
{
    struct count c = {0};
    for (; c.images < images(); c.images++) {
        size_t cut = choose_cut(x, &seed);
        struct verdict v = look_at(x, cut, seed);
        if (v.damaged && tell)
            printf("image %d, power lost after %zu: %s\n", c.images, cut, v.why);
        c.damaged += v.damaged;
        c.committed += v.lost_committed;
        c.lost_moves += v.lost_moves;
        c.moves += v.moves;
        if (v.lost_ns > c.worst_ns)
            c.worst_ns = v.lost_ns;
    }
    return c;
}

static void say(const char *what, const struct count *c)
{
    printf("power loss: %s: %d images, %d damaged, at most %.1f s of samples lost, %d times "
           "committed ones,"
           " %d of %lld acknowledged moves lost\n",
           what, c->images, c->damaged, (double)c->worst_ns / 1e9, c->committed, c->lost_moves,
           (long long)c->moves);
}

static void test_normal(void **state)
{
    uint64_t seed = *(uint64_t *)*state;
    struct session *x = calloc(1, sizeof(*x));
    record_session(x, AS_CONFIGURED);
    struct verdict all = look_at(x, disk_length(&x->disk), 1);
    assert_true(!all.damaged && all.lost_ns == 0 && all.moves > 100 && all.lost_moves == 0);
    struct count c = look_at_many(x, seed, true);
    say("as configured", &c);
    assert_int_equal(c.damaged, 0);
    assert_int_equal(c.lost_moves, 0);
    assert_true(c.worst_ns <= LOST_MAX);
    assert_true(c.committed > 0); /* or this session would not show what `full` is for */
    forget_session(x);
}

static void test_full(void **state)
{
    uint64_t seed = *(uint64_t *)*state;
    struct session *x = calloc(1, sizeof(*x));
    record_session(x, FULL);
    struct count c = look_at_many(x, seed, true);
    say("durability = full", &c);
    assert_int_equal(c.damaged, 0);
    assert_int_equal(c.lost_moves, 0);
    assert_int_equal(c.committed, 0);
    forget_session(x);
}

static void test_syncs_fail(void **state)
{
    uint64_t seed = *(uint64_t *)*state;
    struct session *x = calloc(1, sizeof(*x));
    record_session(x, SYNCS_FAIL);
    struct count c = look_at_many(x, seed, true);
    say("syncs fail now and then", &c);
    assert_int_equal(c.damaged, 0);
    assert_int_equal(c.lost_moves, 0);
    forget_session(x);
}

/* The control. */
static void test_disk_that_lies(void **state)
{
    uint64_t seed = *(uint64_t *)*state;
    struct session *x = calloc(1, sizeof(*x));
    record_session(x, LIES);
    struct count c = look_at_many(x, seed, false);
    say("control, syncs do nothing", &c);
    assert_true(c.damaged > 0 && c.committed > 0 && c.lost_moves > 0);
    forget_session(x);
}

int main(void)
{
    uint64_t seed = rec_seed();
#define T(f) cmocka_unit_test_prestate(f, &seed)
    const struct CMUnitTest tests[] = {T(test_normal), T(test_full), T(test_syncs_fail),
                                       T(test_disk_that_lies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
