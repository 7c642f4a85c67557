#include "daemon/meter/slots.h"

#include "common/units.h"
#include "daemon/meter/attr.h"
#include "daemon/meter/cpustat.h"
#include "daemon/meter/proc_stat.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAT_BYTES     1024
#define CHILDREN_BYTES 4096
#define TREE_MAX       512 /* processes of one run that are followed through /proc */
#define US_PER_S       INT64_C(1000000)

struct slot {
    bool taken;
    int fd;           /* cpu.stat, or -1 */
    pid_t pid;        /* root of the tree, without a cgroup */
    int64_t start_us; /* what the occupant had used when it came */
    int64_t most_us;  /* largest seen of this occupant, start taken off */
    int64_t past_us;  /* of all earlier occupants */
};

struct slots {
    pthread_mutex_t lock;
    size_t n;
    int64_t hz;
    struct slot slots[SLOTS_MAX];
};

/* ---- where a run's CPU time stands ------------------------------------------------------------- */

static int64_t cgroup_us(int fd)
{
    char text[STAT_BYTES];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    if (n <= 0) {
        return -1;
    }
    text[n] = '\0';
    static const char key[] = "usage_usec ";
    const char *at = strstr(text, key);
    if (!at || (at != text && at[-1] != '\n')) {
        return -1;
    }
    const char *number = at + strlen(key);
    int64_t us = 0;
    return attr_parse(number, strcspn(number, "\n"), &us) && us >= 0 ? us : -1;
}

/* utime + stime of a process and of the children it has waited for, ticks; -1 = gone. */
static int64_t process_ticks(pid_t pid)
{
    struct proc_stat stat;
    return proc_stat_read("", pid, &stat) ? stat.ticks + stat.waited_ticks : -1;
}

struct tree {
    pid_t pids[TREE_MAX];
    size_t n;
};

/* Children of one thread. source: proc(5), /proc/pid/task/tid/children */
static void add_children(struct tree *t, pid_t pid, const char *tid)
{
    char name[300];
    char text[CHILDREN_BYTES];
    (void)snprintf(name, sizeof(name), "task/%s/children", tid);
    if (proc_stat_slurp("", pid, name, text, sizeof(text)) <= 0) {
        return;
    }
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word && t->n < TREE_MAX;
         word = strtok_r(NULL, " ", &rest)) {
        int64_t child = 0;
        if (attr_parse(word, strlen(word), &child) && child > 0 && child <= INT32_MAX) {
            t->pids[t->n++] = (pid_t)child;
        }
    }
}

static void add_threads(struct tree *t, pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    struct dirent **list = NULL;
    int n = scandir(path, &list, NULL, NULL);
    for (int i = 0; i < n; i++) {
        if (list[i]->d_name[0] != '.') {
            add_children(t, pid, list[i]->d_name);
        }
        free(list[i]);
    }
    free(list);
}

static int64_t tree_us(pid_t root, int64_t hz)
{
    struct tree t = {.pids = {root}, .n = 1};
    int64_t ticks = -1;
    for (size_t i = 0; i < t.n; i++) {
        int64_t own = process_ticks(t.pids[i]);
        if (own >= 0) {
            ticks = (ticks > 0 ? ticks : 0) + own;
            add_threads(&t, t.pids[i]);
        }
    }
    return ticks < 0 ? -1 : units_muldiv_floor(ticks, US_PER_S, hz);
}

/* Under the lock. A run that is gone keeps what it was last seen at. */
static void refresh(const struct slots *s, struct slot *x)
{
    int64_t us = x->fd >= 0 ? cgroup_us(x->fd) : tree_us(x->pid, s->hz);
    if (us >= 0 && us - x->start_us > x->most_us) {
        x->most_us = us - x->start_us;
    }
}

/* ---- slots.h ----------------------------------------------------------------------------------- */

struct slots *slots_new(size_t n)
{
    struct slots *s = base_alloc(sizeof(*s));
    pthread_mutex_init(&s->lock, NULL);
    s->n = n < SLOTS_MAX ? n : SLOTS_MAX;
    s->hz = cpustat_hz();
    for (size_t i = 0; i < SLOTS_MAX; i++) {
        s->slots[i].fd = -1;
    }
    return s;
}

void slots_free(struct slots *s)
{
    if (!s) {
        return;
    }
    for (size_t i = 0; i < SLOTS_MAX; i++) {
        base_closep(&s->slots[i].fd);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

size_t slots_count(const struct slots *s)
{
    return s->n;
}

int slots_assign(struct slots *s, size_t slot, int cpu_stat_fd, pid_t pid, struct err *e)
{
    int fd = -1;
    if (cpu_stat_fd >= 0 && (fd = fcntl(cpu_stat_fd, F_DUPFD_CLOEXEC, 3)) < 0) {
        return err_errno(e, WATTQ_E_IO, "cannot keep the run's cpu.stat open");
    }
    pthread_mutex_lock(&s->lock);
    bool free_slot = slot < s->n && !s->slots[slot].taken;
    if (free_slot) {
        struct slot *x = &s->slots[slot];
        x->taken = true;
        x->fd = fd;
        x->pid = pid;
        x->most_us = 0;
        int64_t us = fd >= 0 ? cgroup_us(fd) : tree_us(pid, s->hz);
        x->start_us = us > 0 ? us : 0;
    }
    pthread_mutex_unlock(&s->lock);
    if (!free_slot) {
        base_closep(&fd);
        return err_set(e, WATTQ_E_CONFLICT, "CPU time slot %zu is taken", slot);
    }
    return 0;
}

void slots_clear(struct slots *s, size_t slot)
{
    pthread_mutex_lock(&s->lock);
    if (slot < s->n && s->slots[slot].taken) {
        struct slot *x = &s->slots[slot];
        refresh(s, x);
        base_closep(&x->fd);
        x->fd = -1;
        x->past_us += x->most_us;
        x->most_us = 0;
        x->taken = false;
    }
    pthread_mutex_unlock(&s->lock);
}

int slots_find(struct slots *s, int64_t shepherd)
{
    int found = -1;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; shepherd > 0 && found < 0 && i < s->n; i++) {
        if (s->slots[i].taken && s->slots[i].pid == (pid_t)shepherd) {
            found = (int)i;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

bool slots_taken(struct slots *s, size_t slot)
{
    pthread_mutex_lock(&s->lock);
    bool taken = slot < s->n && s->slots[slot].taken;
    pthread_mutex_unlock(&s->lock);
    return taken;
}

int64_t slots_read(struct slots *s, size_t slot)
{
    pthread_mutex_lock(&s->lock);
    struct slot *x = &s->slots[slot];
    if (x->taken) {
        refresh(s, x);
    }
    int64_t us = x->past_us + x->most_us;
    pthread_mutex_unlock(&s->lock);
    return us;
}
