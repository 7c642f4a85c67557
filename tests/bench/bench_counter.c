/* A counter that bench_edges.py meters: the tree of one powercap zone whose energy_uj another process (this
 * one) refreshes every millisecond. Power is a square wave, so the energy of any window is known exactly.
 *
 *   bench_counter DIR LOW_W HIGH_W HALF_MS [TDP_W]
 *
 * Says "start NS LOW_UW HIGH_UW HALF_NS" once the tree is there, then "late NS GAP_NS" for each refresh that
 * came more than 1.1 ms after the one before: then it was no 1-ms counter for a moment. Runs until killed,
 * with a real-time priority where that is permitted. */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/units.h"

#define REFRESH_NS NS_PER_MS
#define LATE_NS    (REFRESH_NS + REFRESH_NS / 10)
#define STEP_UJ    61

struct wave {
    int64_t low_uw, high_uw, half_ns;
};

/* Low first, then high, again and again; whole uJ. */
static int64_t energy_uj(const struct wave *w, int64_t t_ns)
{
    int64_t cycles = t_ns / (2 * w->half_ns);
    int64_t rest = t_ns % (2 * w->half_ns);
    int64_t low = rest < w->half_ns ? rest : w->half_ns;
    int64_t uj = units_muldiv_floor(w->low_uw + w->high_uw, cycles * w->half_ns, NS_PER_S);
    /* Halves are whole ms, so each term but the last is a whole number of uJ. */
    return uj + units_muldiv_floor(w->low_uw, low, NS_PER_S) +
           units_muldiv_floor(w->high_uw, rest - low, NS_PER_S);
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static int make_zone(const char *root, const char *tdp)
{
    static const char *const parts[] = {"", "/sys", "/sys/class", "/sys/class/powercap",
                                        "/sys/class/powercap/intel-rapl:0"};
    char dir[400];
    char path[512];
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        snprintf(dir, sizeof(dir), "%s%s", root, parts[i]);
        mkdir(dir, 0755);
    }
    put(dir, "name", "package-0\n");
    put(dir, "max_energy_range_uj", "262143328850\n");
    snprintf(path, sizeof(path), "%s000000\n", tdp);
    put(dir, "constraint_0_max_power_uw", path);
    put(dir, "energy_uj", "0\n");
    snprintf(path, sizeof(path), "%s/energy_uj", dir);
    return open(path, O_WRONLY | O_CLOEXEC);
}

static void refresh(int fd, int64_t uj)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%" PRId64 "\n", uj - uj % STEP_UJ);
    if (pwrite(fd, text, (size_t)n, 0) != n) {
        perror("energy_uj");
        exit(1);
    }
}

static void run(int fd, const struct wave *w)
{
    int64_t start = clock_boot_ns();
    int64_t due = clock_mono_ns();
    int64_t before = start;
    printf("start %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", start, w->low_uw, w->high_uw,
           w->half_ns);
    fflush(stdout);
    for (;;) {
        due += REFRESH_NS;
        struct timespec t = {.tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        int64_t now = clock_boot_ns();
        refresh(fd, energy_uj(w, now - start));
        int64_t after = clock_boot_ns(); /* the old value stood until here */
        if (after - before > LATE_NS) {
            printf("late %" PRId64 " %" PRId64 "\n", after, after - before);
            fflush(stdout);
            due = clock_mono_ns();
        }
        before = now;
    }
}

int main(int argc, char **argv)
{
    const struct sched_param prio = {.sched_priority = 10};
    if (argc < 5) {
        fprintf(stderr, "usage: bench_counter DIR LOW_W HIGH_W HALF_MS [TDP_W]\n");
        return 2;
    }
    struct wave w = {atoll(argv[2]) * 1000000, atoll(argv[3]) * 1000000,
                     atoll(argv[4]) * NS_PER_MS};
    int fd = make_zone(argv[1], argc > 5 ? argv[5] : "125");
    if (fd < 0 || w.half_ns <= 0) {
        return 1;
    }
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    (void)sched_setscheduler(0, SCHED_FIFO, &prio);
    (void)mlockall(MCL_CURRENT);
    run(fd, &w);
}
