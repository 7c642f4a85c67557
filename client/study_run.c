#include "client/study_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/datum.h"
#include "client/print.h"
#include "common/units.h"

/* What the program said of itself, else the parameter it was queued with. */
static const char *word_of(const struct wire_val *run, const char *key)
{
    const char *said = wire_str(wire_get(run, "info"), key, NULL);
    return said ? said : wire_str(wire_get(run, "params"), key, "");
}

static int64_t count_of(const struct wire_val *run, const char *key)
{
    int64_t n = wire_int(wire_get(run, "info"), key, 0);
    const char *asked = wire_str(wire_get(run, "params"), key, NULL);
    if (n == 0 && asked && units_parse_count(asked, &n, NULL) < 0)
        n = 0;
    return n;
}

static double seconds(int64_t ns)
{
    return ns == PRINT_NONE ? (double)NAN : (double)ns / 1e9;
}

static double joule(const struct wire_val *figure, const char *key)
{
    int64_t uj = wire_int(figure, key, PRINT_NONE);
    return uj == PRINT_NONE ? (double)NAN : (double)uj / 1e6;
}

/* ---- is it one? ----------------------------------------------------------------------------------- */

static bool is_trainer(const struct wire_val *run)
{
    const char *backend = wire_str(wire_get(run, "info"), "backend", "");
    if (strcmp(wire_str(run, "kind", ""), "train") == 0)
        return true;
    return strncmp(backend, "torch", strlen("torch")) == 0 ||
           (*backend && wire_type(wire_get(run, "origin")) == WIRE_INT);
}

char *study_run_reason(const struct wire_val *run)
{
    const char *state = wire_str(run, "state", "?");
    const char *reason = wire_str(run, "reason", "");
    if (!is_trainer(run))
        return base_strdup("it is not a run of the built-in trainer");
    if (strcmp(state, "done") != 0)
        return base_printf("%s%s%s", state, *reason ? ": " : "", reason);
    if (wire_len(wire_get(run, "info")) == 0)
        return base_strdup("the trainer said nothing about its network");
    return NULL;
}

char *study_run_what(const struct wire_val *run)
{
    const struct wire_val *params = wire_get(run, "params");
    long long id = (long long)wire_int(run, "run", 0);
    if (!is_trainer(run))
        return base_printf("run %lld %.60s", id, wire_str(run, "command", ""));
    return base_printf("run %lld %s %s depth %s size %s", id, word_of(run, "dataset"),
                       word_of(run, "shape"), wire_str(params, "depth", "?"),
                       wire_str(params, "size", "?"));
}

/* ---- what it was ---------------------------------------------------------------------------------- */

/* "[670,575,7]": the trainer's widths, which are kept as text. */
static void read_widths(struct net *net, const char *text)
{
    for (const char *p = text; (*p == '[' || *p == ',') && net->depth < NET_DEPTH_MAX;) {
        char *end;
        int64_t width = strtoll(p + 1, &end, 10);
        if (end == p + 1 || width < 1 || width > NET_WIDTH_MAX)
            break;
        net->widths[net->depth++] = width;
        p = end;
    }
}

/* Depth 2 has one hidden layer, whatever its shape is called: the study calls it a rectangle. */
static void read_net(struct study_run *r, const struct wire_val *run)
{
    const struct wire_val *info = wire_get(run, "info");
    const char *shape = word_of(run, "shape");
    r->net.shape = NET_FREE;
    r->net.inputs = wire_int(info, "inputs", 0);
    read_widths(&r->net, wire_str(info, "widths", ""));
    if (r->net.depth == 0)
        r->net.depth = (int)count_of(run, "depth");
    if (net_shape_parse(shape, &r->net.shape, NULL) < 0)
        r->net.shape = NET_FREE;
    if (r->net.depth == 2 && r->net.shape != NET_FREE) {
        r->net.shape = NET_RECTANGLE;
        shape = net_shape_name(NET_RECTANGLE);
    }
    base_strcpy(r->shape, sizeof r->shape, shape);
    r->net.params = wire_int(info, "params", 0);
    r->size = count_of(run, "size");
    if (r->size == 0)
        r->size = r->net.params;
}

static void read_data(struct study_run *r, const struct wire_val *run)
{
    const struct wire_val *info = wire_get(run, "info");
    const char *dataset = word_of(run, "dataset");
    r->standin = wire_bool(info, "standin", strncmp(dataset, "standin:", 8) == 0);
    base_strcpy(r->dataset, sizeof r->dataset,
                strncmp(dataset, "standin:", 8) == 0 ? dataset + 8 : dataset);
    r->rows_train = wire_int(info, "rows_train", 0);
    r->rows_test = wire_int(info, "rows_test", 0);
    r->raw_features = wire_int(info, "raw_features", 0);
    r->classes = wire_int(info, "classes", 0);
    r->batch = count_of(run, "batch");
}

static void read_machine(struct study_run *r, const struct wire_val *run)
{
    const struct wire_val *info = wire_get(run, "info");
    const char *backend = wire_str(info, "backend", "");
    const char *precision = wire_str(info, "precision", "f32");
    base_strcpy(r->machine, sizeof r->machine, wire_str(run, "machine", ""));
    (void)snprintf(r->backend, sizeof r->backend, "%.16s %.6s", backend, precision);
    base_strcpy(r->isa, sizeof r->isa, wire_str(info, "isa", ""));
    r->gpu = strstr(backend, "cuda") != NULL || strstr(wire_str(info, "device", ""), "cuda") ||
             strstr(wire_str(info, "device", ""), "gpu");
    base_strcpy(r->hardware, sizeof r->hardware, wire_str(info, "hardware", ""));
    if (!r->hardware[0])
        (void)snprintf(r->hardware, sizeof r->hardware, "%.60s %.24s", r->machine, r->backend);
    r->threads = (int)wire_int(info, "threads", 1);
    r->number_bytes = strcmp(precision, "f64") == 0 ? 8 : 4;
}

int study_run_card(struct caches *out, const struct wire_val *run)
{
    const struct wire_val *info = wire_get(run, "info");
    const struct caches_gpu card = {.devices = 1,
                                    .sms = (int)wire_int(info, "device_sm_count", 0),
                                    .l1_bytes = wire_int(info, "device_l1_bytes_per_sm", 0),
                                    .l2_bytes = wire_int(info, "device_l2_bytes", 0),
                                    .memory_bytes = wire_int(info, "device_memory_bytes", 0)};
    return caches_of_gpu(out, &card);
}

static void read_design(struct study_run *r, const struct wire_val *run)
{
    const char *role = wire_str(wire_get(run, "params"), "role", "");
    r->run = wire_int(run, "run", 0);
    r->sweep = wire_int(run, "sweep", 0);
    r->origin = wire_int(run, "origin", 0);
    r->repeat = count_of(run, "repeat");
    r->block = count_of(run, "block");
    base_strcpy(r->variant, sizeof r->variant, wire_str(wire_get(run, "params"), "variant", ""));
    r->role = strcmp(role, "warmup") == 0   ? STUDY_WARMUP
              : strcmp(role, "canary") == 0 ? STUDY_CANARY
                                            : STUDY_NETWORK;
}

/* ---- how long, how much --------------------------------------------------------------------------- */

static void read_time(struct study_run *r, const struct wire_val *run)
{
    const struct wire_val *summary = wire_get(run, "summary");
    int64_t t0 = wire_int(run, "t0_ns", PRINT_NONE);
    int64_t first = wire_int(run, "first_batch_ns", PRINT_NONE);
    r->first_batch_ns = first == PRINT_NONE ? 0 : first;
    r->started_utc_ns = wire_int(run, "started_utc_ns", 0);
    r->run_s = seconds(wire_int(run, "elapsed_ns", PRINT_NONE));
    r->setup_s = t0 == PRINT_NONE || first == PRINT_NONE ? (double)NAN : seconds(first - t0);
    r->train_s = datum_number(run, "train_ns") / 1e9;
    r->test_s = datum_number(run, "test_ns") / 1e9;
    r->epochs = wire_f64(summary, "epochs", NAN) - wire_f64(summary, "epochs_warmup", 0);
    r->rows_seen = datum_number(run, "rows_train_seen");
    r->stopped = wire_bool(summary, "stopped", false);
}

static double phase_j(const struct wire_val *run, const char *name)
{
    const struct wire_val *phases = wire_get(run, "phase_energy");
    for (size_t i = 0; i < wire_len(phases); i++)
        if (strcmp(wire_str(wire_at(phases, i), "name", ""), name) == 0)
            return joule(wire_at(phases, i), "energy_uj");
    return NAN;
}

static enum study_quality quality_of(const struct wire_val *figure)
{
    const char *q = wire_str(figure, "quality", "none");
    for (int i = STUDY_MEASURED; i < STUDY_NO_ENERGY; i++)
        if (strcmp(q, study_quality_name((enum study_quality)i)) == 0)
            return (enum study_quality)i;
    return STUDY_NO_ENERGY;
}

/* "package-0 + dram-0": what the total was taken over, and "package + dram": what that is. */
static void read_meter(struct study_run *r, const struct wire_val *run)
{
    const struct wire_val *parts = wire_get(run, "energy_parts");
    for (size_t i = 0; i < wire_len(parts); i++) {
        const struct wire_val *p = wire_at(parts, i);
        size_t m = strlen(r->meter);
        size_t s = strlen(r->scope);
        (void)snprintf(r->meter + m, sizeof r->meter - m, "%s%s", i ? " + " : "",
                       wire_str(p, "label", "?"));
        (void)snprintf(r->scope + s, sizeof r->scope - s, "%s%s", i ? " + " : "",
                       wire_str(p, "scope", "?"));
    }
}

static void read_energy(struct study_run *r, const struct wire_val *run)
{
    const struct wire_val *total = print_total(run, "window");
    int64_t gain = wire_int(total, "gain_ppm", PRINT_NONE);
    r->quality = quality_of(total);
    r->run_j = joule(total, "energy_uj");
    r->lo_j = joule(total, "lo_uj");
    r->hi_j = joule(total, "hi_uj");
    r->setup_j = phase_j(run, "setup");
    r->train_j = wire_f64(wire_get(run, "j_per_datum"), "exact", NAN) * r->rows_seen;
    r->test_j = phase_j(run, "train") - r->train_j;
    if (!isnan(phase_j(run, "test")))
        r->test_j += phase_j(run, "test");
    r->gain = gain == PRINT_NONE ? (double)NAN : (double)gain / 1e6;
    r->random_j = joule(total, "random_uj");
    r->unknown_s = (double)wire_int(total, "unknown_ns", 0) / 1e9;
    /* Copies that trained beside it shared its time and its joules, as other runs would have. */
    (void)snprintf(r->flags, sizeof r->flags, "%.110s%s", wire_str(total, "flags", ""),
                   wire_int(wire_get(run, "info"), "beside", 0) > 0 ? " overlap" : "");
    read_meter(r, run);
}

void study_run_read(struct study_run *r, const struct wire_val *run)
{
    *r = (struct study_run){.idle_w = NAN, .idle_sd_w = NAN};
    read_design(r, run);
    read_data(r, run);
    read_net(r, run);
    read_machine(r, run);
    read_time(r, run);
    read_energy(r, run);
    r->test_loss = datum_number(run, "test_loss");
    r->best_loss = datum_number(run, "best_test_loss");
    r->accuracy = datum_number(run, "test_accuracy");
}
