/* who: which run holds each device, since when, and who else is on it. */
#include <string.h>

#include "client/cmd.h"
#include "client/print.h"
#include "client/table.h"
#include "common/units.h"

static const char *const heads[] = {"!DEVICE", "!WHO", "WHAT", ">SINCE", ">USES", "LABEL"};

static void put_run_row(struct table *t, const char *device, const struct wire_val *run)
{
    char buf[40];
    table_put(t, "%s", device);
    table_put(t, "%s", wire_str(run, "user", "?"));
    table_put(t, "run %lld, %s", (long long)wire_int(run, "run", 0), wire_str(run, "state", "?"));
    table_put(t, "%s", print_duration(buf, sizeof buf, wire_int(run, "elapsed_ns", PRINT_NONE)));
    table_put(t, "-");
    table_put(t, "%s", wire_str(run, "label", ""));
}

static void put_other_row(struct table *t, const struct wire_val *device,
                          const struct wire_val *other)
{
    char buf[40];
    double span_us = (double)wire_int(device, "interval_ns", 0) / 1e3;
    double cpus = (double)wire_int(device, "cpus", 1);
    double busy_us = (double)wire_int(other, "busy_us", 0);
    table_put(t, "%s", wire_str(device, "device", "?"));
    table_put(t, "%s", wire_str(other, "owner", "?"));
    table_put(t, "%s", wire_str(other, "kind", "?"));
    table_put(t, "%s",
              print_duration(buf, sizeof buf,
                             clock_utc_ns() - wire_int(other, "since_utc_ns", clock_utc_ns())));
    if (span_us > 0)
        table_put(t, "%.1f %%", 100 * busy_us / span_us / cpus);
    else
        table_put(t, "-");
    table_put(t, "-");
}

static void put_process_row(struct table *t, const struct wire_val *gpu, const struct wire_val *p)
{
    char buf[40];
    int64_t busy = wire_int(p, "busy_ppm", PRINT_NONE);
    int64_t now = clock_utc_ns();
    table_put(t, "%s", wire_str(gpu, "label", "?"));
    table_put(t, "%s", wire_str(p, "user", "?"));
    table_put(t, "%sprocess %lld, %s", wire_bool(p, "intruder", false) ? "INTRUDER, " : "",
              (long long)wire_int(p, "pid", 0),
              print_bytes(buf, sizeof buf, wire_int(p, "memory_bytes", PRINT_NONE)));
    table_put(t, "%s", print_duration(buf, sizeof buf, now - wire_int(p, "since_utc_ns", now)));
    if (busy == PRINT_NONE)
        table_put(t, "-");
    else
        table_put(t, "%.1f %%", (double)busy / 1e4);
    int64_t run = wire_int(p, "run", PRINT_NONE);
    if (run == PRINT_NONE)
        table_put(t, "-");
    else
        table_put(t, "of run %lld", (long long)run);
}

static void put_holder_row(struct table *t, const struct wire_val *gpu, const struct wire_val *h)
{
    char buf[40];
    int64_t now = clock_utc_ns();
    table_put(t, "%s", wire_str(gpu, "label", "?"));
    table_put(t, "%s", wire_str(h, "user", "?"));
    table_put(t, "run %lld holds it", (long long)wire_int(h, "run", 0));
    table_put(t, "%s", print_duration(buf, sizeof buf, now - wire_int(h, "since_utc_ns", now)));
    table_put(t, "-");
    table_put(t, "%s", wire_str(h, "label", ""));
}

static void put_gpu(struct table *t, const struct wire_val *gpu, const struct wire_val *processes)
{
    const struct wire_val *holder = wire_get(gpu, "holder");
    bool held = wire_type(holder) == WIRE_MAP;
    if (held)
        put_holder_row(t, gpu, holder);
    for (size_t i = 0; i < wire_len(processes); i++)
        put_process_row(t, gpu, wire_at(processes, i));
    if (held || wire_len(processes) > 0)
        return;
    bool nobody = wire_bool(gpu, "known", false) && wire_int(gpu, "more", 0) == 0 &&
                  wire_int(gpu, "hidden", 0) == 0;
    table_put(t, "%s", wire_str(gpu, "label", "?"));
    table_put(t, nobody ? "nobody" : "-");
    for (size_t i = 2; i < ARRAY_LEN(heads); i++)
        table_put(t, "-");
}

/* Idle since before it was given away says nothing of who has it now. */
static void put_idle_held(const struct app *app, const struct wire_val *gpu,
                          const struct wire_val *holder, int64_t idle_ns)
{
    char buf[40];
    int64_t now = clock_utc_ns();
    int64_t held_ns = now - wire_int(holder, "since_utc_ns", now);
    (void)fprintf(app->print.out, "%s is allocated to run %lld, 0 %% for %s\n",
                  wire_str(gpu, "label", "?"), (long long)wire_int(holder, "run", 0),
                  print_duration(buf, sizeof buf, idle_ns < held_ns ? idle_ns : held_ns));
}

/* Held and not used is what somebody who waits for a GPU wants to know. */
static void put_gpu_line(const struct app *app, const struct wire_val *gpu)
{
    char buf[40];
    const char *label = wire_str(gpu, "label", "?");
    int64_t idle_ns = wire_int(gpu, "idle_ns", PRINT_NONE);
    long long n =
        (long long)wire_len(wire_get(gpu, "processes")) + (long long)wire_int(gpu, "more", 0);
    FILE *out = app->print.out;
    const struct wire_val *holder = wire_get(gpu, "holder");
    if (wire_str(gpu, "out", NULL))
        (void)fprintf(out, "%s is given to no new run: %s\n", label, wire_str(gpu, "out", ""));
    if (!wire_bool(gpu, "known", false))
        (void)fprintf(out, "who is on %s is not known: %s\n", label,
                      wire_str(gpu, "reason", "no reason"));
    else if (idle_ns != PRINT_NONE && wire_type(holder) == WIRE_MAP)
        put_idle_held(app, gpu, holder, idle_ns);
    else if (n > 0 && idle_ns != PRINT_NONE)
        (void)fprintf(out, "%s is allocated (%lld process%s), 0 %% for %s\n", label, n,
                      n == 1 ? "" : "es", print_duration(buf, sizeof buf, idle_ns));
    long long hidden = (long long)wire_int(gpu, "hidden", 0);
    if (hidden > 0)
        (void)fprintf(out, "%lld process%s of others may be on %s too: the daemon may not look\n",
                      hidden, hidden == 1 ? "" : "es", label);
}

static void put_device(struct table *t, const struct wire_val *device)
{
    const struct wire_val *processes = wire_get(device, "processes");
    if (processes) {
        put_gpu(t, device, processes);
        return;
    }
    const struct wire_val *runs = wire_get(device, "runs");
    const struct wire_val *others = wire_get(device, "others");
    for (size_t i = 0; i < wire_len(runs); i++)
        put_run_row(t, wire_str(device, "device", "?"), wire_at(runs, i));
    for (size_t i = 0; i < wire_len(others); i++)
        put_other_row(t, device, wire_at(others, i));
    if (wire_len(runs) + wire_len(others) > 0)
        return;
    table_put(t, "%s", wire_str(device, "device", "?"));
    table_put(t, "nobody");
    for (size_t i = 2; i < ARRAY_LEN(heads); i++)
        table_put(t, "-");
}

static void put_sum(const struct app *app, const struct wire_val *device)
{
    if (wire_get(device, "processes")) {
        put_gpu_line(app, device);
        return;
    }
    int64_t ppm = wire_int(device, "others_ppm", PRINT_NONE);
    if (ppm == PRINT_NONE)
        (void)fprintf(app->print.out, "what others use of %s is not known: %s\n",
                      wire_str(device, "device", "?"), wire_str(device, "reason", "no reason"));
    else
        (void)fprintf(app->print.out,
                      "others use %.1f %% of %s (at least: what ends between two "
                      "looks is not seen)\n",
                      (double)ppm / 1e4, wire_str(device, "device", "?"));
}

int cmd_who(struct app *app, struct err *e)
{
    struct conn *c CLEANUP(conn_closep) = NULL;
    struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
    int rc = cmd_connect(app, &c, e);
    if (rc < 0)
        return rc;
    conn_begin(c, "who");
    rc = conn_call(c, &m, e);
    if (rc < 0 || app->json)
        return rc < 0 ? rc : cmd_print_json(app, "who", wire_msg_root(m), e);
    const struct wire_val *devices = wire_get(wire_msg_root(m), "devices");
    struct table t;
    table_init(&t, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < wire_len(devices); i++)
        put_device(&t, wire_at(devices, i));
    table_print(&t, &app->print);
    table_fini(&t);
    for (size_t i = 0; i < wire_len(devices); i++)
        put_sum(app, wire_at(devices, i));
    return 0;
}
