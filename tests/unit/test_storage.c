/* The storage thread: what a job finds in the database, in which order answers come, what a kill costs,
 * who may read when. What a disk that fails does: test_storage_health.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/units.h"
#include "tests/support/storage_rig.h"

#define KILLS 20

/* ---- jobs --------------------------------------------------------------------------------------- */

struct job {
    struct storage_job base;
    struct rig *rig;
    const char *sql;
    int64_t tick_ns; /* this tick must be there when the job runs */
    bool found;
    int order, rc;
    char text[320];
};
static int order;

static int on_work(struct store *s, struct storage_job *base, struct err *e)
{
    struct job *j = container_of(base, struct job, base);
    struct sample near;
    if (j->tick_ns)
        j->found = samples_before(s, j->rig->rec.id[0], 1, j->tick_ns, &near, e) == 0 &&
                   near.after_ns == j->tick_ns;
    return j->sql ? stmt_exec(s, j->sql, e) : 0;
}

static void on_done(struct storage_job *base, int rc, const struct err *e)
{
    struct job *j = container_of(base, struct job, base);
    j->order = ++order;
    j->rc = rc;
    base_strcpy(j->text, sizeof(j->text), e->text);
}

static void submit(struct rig *r, struct job *j, const char *sql)
{
    memset(j, 0, sizeof(*j));
    j->base.work = on_work;
    j->base.done = on_done;
    j->rig = r;
    j->sql = sql;
    storage_submit(r->storage, &j->base);
}

static void wait_for(struct rig *r, struct job *j)
{
    while (j->order == 0)
        uv_run(&r->loop, UV_RUN_ONCE);
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    rec_init(&r->rec);
    rec_add(&r->rec, "c", CHANNEL_COUNTER);
    order = 0;
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    rec_fini(&r->rec);
    free(r);
    return 0;
}

static void test_tick_before_job(void **state)
{
    struct rig *r = *state;
    rig_open(r);
    for (int i = 0; i < 200; i++) {
        struct job j;
        int64_t t = rig_tick(r, i);
        submit(r, &j, NULL);
        struct job k = {.base = {.work = on_work, .done = on_done}, .rig = r, .tick_ns = t};
        storage_submit(r->storage, &k.base);
        wait_for(r, &k);
        assert_true(k.found);
        assert_int_equal(k.rc, 0);
        assert_true(j.order < k.order);
    }
    rig_close(r);
    assert_int_equal(rec_ask(&r->rec,
                             "SELECT sum(n) - sum(CASE WHEN t0_ns = (SELECT min(t0_ns) FROM chunk)"
                             " THEN 0 ELSE 1 END) FROM chunk"),
                     200);
    assert_int_equal(rec_ask(&r->rec, "SELECT count(*) FROM epoch WHERE reason = 'stop'"), 1);
}

static void test_savepoints_and_order(void **state)
{
    struct rig *r = *state;
    rig_open(r);
    enum { N = 300 };
    struct job *jobs = calloc(N, sizeof(*jobs));
    char(*sql)[80] = calloc(N, sizeof(*sql));
    for (int i = 0; i < N; i++) {
        /* Every third inserts twice the same key: its first row must go with it. */
        snprintf(sql[i], sizeof(sql[i]), "INSERT INTO meta VALUES('k%d', '1')%s%d%s", i,
                 i % 3 == 2 ? "; INSERT INTO meta VALUES('k" : "; SELECT ", i,
                 i % 3 == 2 ? "', '1')" : "");
        submit(r, &jobs[i], sql[i]);
        if (i % 50 == 49)
            wait_for(r, &jobs[i]);
    }
    wait_for(r, &jobs[N - 1]);
    for (int i = 0; i < N; i++) {
        assert_int_equal(jobs[i].order, i + 1);
        assert_int_equal(jobs[i].rc, i % 3 == 2 ? WATTQ_E_CONFLICT : 0);
    }
    rig_close(r);
    assert_int_equal(rec_ask(&r->rec, "SELECT count(*) FROM meta WHERE k LIKE 'k%'"), N * 2 / 3);
    free(jobs);
    free(sql);
}

static void test_stop_answers_everybody(void **state)
{
    struct rig *r = *state;
    struct job jobs[20], late;
    rig_open(r);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        submit(r, &jobs[i], NULL);
    rig_tick(r, 5);
    storage_stop(r->storage);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        assert_true(jobs[i].order > 0 && jobs[i].rc == 0);
    submit(r, &late, NULL); /* answered, not lost */
    rig_close(r);
    assert_true(late.order > 0);
    assert_int_equal(late.rc, WATTQ_E_UNAVAILABLE);
    assert_int_equal(rec_ask(&r->rec, "SELECT sum(n) FROM chunk"), 1);
    assert_int_equal(rec_ask(&r->rec, "SELECT count(*) FROM tail"), 0);
}

/* ---- readers ------------------------------------------------------------------------------------ */

struct query {
    struct reader_job base;
    int64_t boot;
    bool worked;
    int rc, order;
    unsigned sleep_us;
};
static int running_slow, worst_slow;

static int on_query(struct store *s, struct reader_job *base, struct err *e)
{
    struct query *q = container_of(base, struct query, base);
    if (base->slow) {
        int n = __atomic_add_fetch(&running_slow, 1, __ATOMIC_SEQ_CST);
        if (n > __atomic_load_n(&worst_slow, __ATOMIC_SEQ_CST))
            __atomic_store_n(&worst_slow, n, __ATOMIC_SEQ_CST);
    }
    usleep(q->sleep_us);
    q->worked = true;
    q->boot = store_boot(s);
    if (base->slow)
        __atomic_sub_fetch(&running_slow, 1, __ATOMIC_SEQ_CST);
    return stmt_exec(s, "INSERT INTO meta VALUES('no', 'no')", e) < 0 ? 0 : 7; /* it cannot write */
}

static void on_answer(struct reader_job *base, int rc, const struct err *e)
{
    struct query *q = container_of(base, struct query, base);
    (void)e;
    q->rc = rc;
    q->order = ++order;
}

static void test_readers(void **state)
{
    struct rig *r = *state;
    struct query q[12] = {0};
    rig_open(r);
    for (size_t i = 0; i < ARRAY_LEN(q); i++) {
        q[i].base.work = on_query;
        q[i].base.done = on_answer;
        q[i].base.slow = i < 4;
        q[i].sleep_us = i < 4 ? 50000 : 0;
        storage_read(r->storage, &q[i].base);
    }
    while (order < (int)ARRAY_LEN(q))
        uv_run(&r->loop, UV_RUN_ONCE);
    rig_close(r);
    for (size_t i = 0; i < ARRAY_LEN(q); i++)
        assert_true(q[i].order > 0 && q[i].rc == 0);
    assert_int_equal(worst_slow, 1);
    for (size_t i = 4; i < ARRAY_LEN(q); i++) /* quick ones pass the slow ones that wait */
        assert_true(q[i].order < q[3].order);
}

static bool never_wanted(const void *asker)
{
    (void)asker;
    return true;
}

/* A slow one is at work: those behind it whose asker has gone are not begun, nor is any at a stop. */
static void test_readers_dismiss(void **state)
{
    struct rig *r = *state;
    struct query q[4] = {0};
    rig_open(r);
    order = 0;
    for (size_t i = 0; i < ARRAY_LEN(q); i++) {
        q[i].base.work = on_query;
        q[i].base.done = on_answer;
        q[i].base.slow = true;
        q[i].base.gone = i == 1 ? never_wanted : NULL;
        q[i].sleep_us = 50000;
        storage_read(r->storage, &q[i].base);
    }
    while (!q[0].order)
        uv_run(&r->loop, UV_RUN_ONCE);
    rig_close(r);
    assert_int_equal(q[1].rc, WATTQ_E_UNAVAILABLE);
    assert_int_equal(q[1].order, 2);
    assert_int_equal(q[3].rc, WATTQ_E_UNAVAILABLE);
    for (size_t i = 0; i < ARRAY_LEN(q); i++)
        assert_true(q[i].order > 0 && q[i].worked == (q[i].rc == 0));
}

/* ---- kill -9 ------------------------------------------------------------------------------------ */

/* Writes 100 ticks per second, wakes the storage thread as the sampler does, and says through shared memory
 * where it began and how far it got. */
static void writer(struct rig *r, volatile int64_t *made)
{
    rig_open(r);
    int64_t value = r->rec.e0[0];
    for (int n = 1;; n++) {
        int64_t t = rig_tick(r, ++value);
        if (n % 85 == 0)
            storage_wake(r->storage);
        if (t) {
            made[1] = made[1] ? made[1] : t;
            made[0] = t;
        }
        usleep(10000);
    }
}

/* Rests so long, and meanwhile asks this disk for its slowest sync: a commit cannot be quicker. */
static int64_t rest_and_sync(const struct rig *r, int64_t rest_ns)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/sync", r->rec.dir);
    int fd CLEANUP(base_closep) = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int64_t slowest = 0, end = clock_mono_ns() + rest_ns;
    assert_true(fd >= 0);
    for (int64_t now; (now = clock_mono_ns()) < end; usleep(20000)) {
        assert_int_equal(pwrite(fd, &now, sizeof(now), 0), sizeof(now));
        assert_int_equal(fdatasync(fd), 0);
        int64_t took = clock_mono_ns() - now;
        slowest = took > slowest ? took : slowest;
    }
    return slowest;
}

static void test_kills(void **state)
{
    struct rig *r = *state;
    uint64_t seed = rec_seed();
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    volatile int64_t *made = shared;
    int64_t worst = 0, slowest = 0;
    r->rec.chunk_ticks = 40;
    r->rec.period_ns = 10 * NS_PER_MS;
    for (int i = 0; i < KILLS; i++) {
        made[0] = made[1] = 0;
        pid_t pid = fork();
        if (pid == 0)
            writer(r, made);
        int64_t sync = rest_and_sync(r, 200 * NS_PER_MS + rec_below(&seed, 1500 * NS_PER_MS));
        slowest = sync > slowest ? sync : slowest;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (!made[0])
            continue;
        int64_t stored =
            rec_ask(&r->rec, "SELECT max(t) FROM (SELECT max(t1_ns) t FROM tail UNION ALL"
                             " SELECT max(t1_ns) FROM chunk)");
        struct err e = {0};
        struct store *s;
        rec_must(store_open_boot(&s, r->rec.path, REC_BOOT, &e), &e,
                 "after a kill"); /* quick_check */
        store_close(s);
        if (stored < made[1])
            stored = made[1]; /* nothing of this life was committed yet */
        if (made[0] - stored > worst)
            worst = made[0] - stored;
    }
    printf("%d kills, at most %.0f ms of samples lost, the slowest sync %.0f ms\n", KILLS,
           (double)worst / 1e6, (double)slowest / 1e6);
    /* 1 s, and what a loaded machine and two syncs of its disk add. */
    assert_true(worst < 1500 * NS_PER_MS + 2 * slowest);
    /* No hole between what one life left and where the next began but the gap that says so. */
    rec_open_as(&r->rec, REC_BOOT, clock_boot_ns());
    assert_int_equal(rec_ask(&r->rec, "SELECT count(*) FROM tail"), 0);
    assert_int_equal(rec_ask(&r->rec, "SELECT count(*) FROM pragma_integrity_check WHERE"
                                      " integrity_check <> 'ok'"),
                     0);
    assert_int_equal(rec_ask(&r->rec,
                             "SELECT count(*) FROM head a JOIN head b ON a.channel = b.channel AND"
                             " a.t1_ns = b.t0_ns AND a.t0_ns < b.t0_ns WHERE a.e1_uj <> b.e0_uj"),
                     0);
    munmap(shared, 4096);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_kills),   T(test_tick_before_job), T(test_savepoints_and_order),
        T(test_readers), T(test_readers_dismiss), T(test_stop_answers_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
