#include "client/show_beside.h"

#include <stdlib.h>
#include <string.h>

#include "client/print.h"

/* What stands in one line: a device, or all that is of no GPU. */
static bool is_of(const struct wire_val *c, const char *gpu)
{
    bool on_gpu = strcmp(wire_str(c, "scope", ""), "gpu") == 0;
    return on_gpu ? gpu && strcmp(wire_str(c, "device", ""), gpu) == 0 : !gpu;
}

/* Of several the one with the largest value there: the hottest, the fastest, the longest. NULL = none. */
static const struct wire_val *largest(const struct wire_val *list, const char *gpu,
                                      const char *unit, const char *key)
{
    const struct wire_val *best = NULL;
    for (size_t i = 0; i < wire_len(list); i++) {
        const struct wire_val *c = wire_at(list, i);
        int64_t v = wire_int(c, key, PRINT_NONE);
        if (is_of(c, gpu) && (!unit || strcmp(wire_str(c, "unit", ""), unit) == 0) &&
            v != PRINT_NONE && (!best || v > wire_int(best, key, PRINT_NONE)))
            best = c;
    }
    return best;
}

/* bytes: what open_memstream has counted up to the newest flush. */
static const char *gap(size_t bytes)
{
    return bytes > 0 ? ", " : "";
}

static void put_time(FILE *f, const size_t *bytes, const char *what, const struct wire_val *c,
                     const char *key)
{
    char buf[40];
    int64_t ns = wire_int(c, key, 0);
    if (c && ns > 0) {
        (void)fprintf(f, "%s%s %s", gap(*bytes), what, print_duration(buf, sizeof buf, ns));
        (void)fflush(f);
    }
}

/* The mean over all CPUs, not the fastest one's; of a GPU that of its multiprocessors, listed first. */
static const struct wire_val *clock_of(const struct wire_val *list, const char *gpu)
{
    const struct wire_val *first = NULL;
    for (size_t i = 0; i < wire_len(list); i++) {
        const struct wire_val *c = wire_at(list, i);
        if (!is_of(c, gpu) || strcmp(wire_str(c, "unit", ""), "kHz") != 0 ||
            wire_int(c, "mean", PRINT_NONE) == PRINT_NONE)
            continue;
        if (strcmp(wire_str(c, "uid", ""), "thermal/cpufreq/mean") == 0)
            return c;
        first = first ? first : c;
    }
    return first;
}

static void put_limits(FILE *f, const size_t *bytes, const struct wire_val *list, const char *gpu)
{
    for (size_t i = 0; i < wire_len(list); i++) {
        char a[40];
        char b[40];
        const struct wire_val *c = wire_at(list, i);
        int64_t least = wire_int(c, "min", PRINT_NONE);
        int64_t rated = wire_int(c, "default_uw", PRINT_NONE);
        if (!is_of(c, gpu) || strcmp(wire_str(c, "unit", ""), "uW") != 0 || least == PRINT_NONE ||
            rated == PRINT_NONE || least >= rated - rated / 100)
            continue;
        (void)fprintf(f, "%s%s limited to %s (default %s)", gap(*bytes), wire_str(c, "label", ""),
                      print_power(a, sizeof a, least), print_power(b, sizeof b, rated));
        (void)fflush(f);
    }
}

static void show_one(const struct app *app, const struct wire_val *list, const char *name,
                     const char *gpu)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    if (!f)
        abort();
    const struct wire_val *heat = largest(list, gpu, "mC", "max");
    const struct wire_val *clock = clock_of(list, gpu);
    if (heat)
        (void)fprintf(f, "%.0f..%.0f C", (double)wire_int(heat, "min", 0) / 1e3,
                      (double)wire_int(heat, "max", 0) / 1e3);
    if (heat && wire_int(heat, "mean", PRINT_NONE) != PRINT_NONE)
        (void)fprintf(f, " (mean %.0f)", (double)wire_int(heat, "mean", 0) / 1e3);
    (void)fflush(f);
    if (clock)
        (void)fprintf(f, "%s%.2f GHz mean", gap(bytes), (double)wire_int(clock, "mean", 0) / 1e6);
    (void)fflush(f);
    put_time(f, &bytes, "throttled", largest(list, gpu, NULL, "limited_ns"), "limited_ns");
    put_time(f, &bytes, "at its power limit", largest(list, gpu, NULL, "capped_ns"), "capped_ns");
    put_limits(f, &bytes, list, gpu);
    (void)fclose(f);
    if (text && *text)
        (void)fprintf(app->print.out, "  %-10s %s\n", name, text);
    free(text);
}

/* Its first channel here? "gpu0 temperature" is of gpu0. */
static bool begins(const struct wire_val *list, size_t at)
{
    const char *device = wire_str(wire_at(list, at), "device", "");
    for (size_t i = 0; i < at; i++)
        if (is_of(wire_at(list, i), device))
            return false;
    return is_of(wire_at(list, at), device);
}

void show_beside(const struct app *app, const struct wire_val *run)
{
    const struct wire_val *list = wire_get(run, "companions");
    show_one(app, list, "CPU", NULL);
    for (size_t i = 0; i < wire_len(list); i++) {
        char name[24];
        if (!begins(list, i))
            continue;
        const char *label = wire_str(wire_at(list, i), "label", "GPU");
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(label, " "), label);
        show_one(app, list, name, wire_str(wire_at(list, i), "device", ""));
    }
}
