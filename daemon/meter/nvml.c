#include "daemon/meter/nvml.h"

#include <dlfcn.h>
#include <string.h>

#include "common/units.h"

#define DEFAULT_LIB "libnvidia-ml.so.1"
#define SAMPLES_MAX 1024

bool nvml_load(struct nvml *c, const char *path)
{
    c->library = dlopen(path ? path : DEFAULT_LIB, RTLD_NOW | RTLD_LOCAL);
    if (!c->library) {
        return false;
    }
    /* ISO C has no cast from data to function pointer; POSIX promises the representation is the same. */
#define X(field, name, params)                                                                     \
    {                                                                                              \
        void *symbol = dlsym(c->library, name);                                                    \
        memcpy(&c->field, &symbol, sizeof(symbol));                                                \
    }
    NVML_CALLS(X)
#undef X
    return c->init && c->shutdown && c->count && c->by_index && c->uuid;
}

void nvml_unload(struct nvml *c)
{
    if (c->library) {
        dlclose(c->library);
        c->library = NULL;
    }
}

enum reading_state nvml_state(nvml_return rc)
{
    switch (rc) {
    case NVML_OK:
        return READING_OK;
    case NVML_NOT_SUPPORTED:
    case NVML_NO_FUNCTION:
        return READING_UNSUPPORTED;
    case NVML_NO_PERMISSION:
        return READING_NO_PERMISSION;
    case NVML_UNINITIALIZED:
    case NVML_NOT_FOUND:
    case NVML_NO_DRIVER:
    case NVML_GPU_IS_LOST:
    case NVML_RESET_REQUIRED:
        return READING_GONE;
    default:
        return READING_IO;
    }
}

struct reading nvml_reading(nvml_return rc, unsigned long long v, int64_t factor, bool wide)
{
    struct reading r = {.state = nvml_state(rc)};
    if (r.state != READING_OK) {
        return r;
    }
    if ((!wide && v >= UINT32_MAX) || v > (unsigned long long)(INT64_MAX / factor)) {
        r.state = READING_IMPLAUSIBLE;
        return r;
    }
    r.value = (int64_t)v * factor;
    return r;
}

/* ---- who is there ------------------------------------------------------------------------------ */

typedef nvml_return (*list_call)(nvml_device device, unsigned *count, struct nvml_process *out);

static const struct gpu_proc *find(const struct gpu_use *u, int64_t pid)
{
    for (size_t i = 0; i < u->n; i++) {
        if (u->procs[i].pid == pid) {
            return &u->procs[i];
        }
    }
    return NULL;
}

/* The list may hold rows of processes that have ended. */
static void add_row(const struct nvml_who *w, struct gpu_use *u, const struct nvml_process *row,
                    bool graphics)
{
    struct gpu_proc *who = gpu_procs_row(u, w->root, row->pid);
    if (!who) {
        return;
    }
    if (row->bytes <= INT64_MAX && (int64_t)row->bytes > who->memory_bytes) {
        who->memory_bytes = (int64_t)row->bytes;
    }
    who->graphics = who->graphics || graphics;
    who->compute = who->compute || !graphics;
}

static nvml_return list(const struct nvml_who *w, nvml_device device, list_call call, bool graphics,
                        struct gpu_use *u)
{
    struct nvml_process rows[2 * GPU_PROCS_MAX];
    unsigned count = ARRAY_LEN(rows);
    nvml_return rc = call ? call(device, &count, rows) : NVML_NO_FUNCTION;
    if (rc == NVML_INSUFFICIENT_SIZE) {
        u->more += count; /* more than can be shown: how many is all that is told */
        return NVML_OK;
    }
    for (unsigned i = 0; rc == NVML_OK && i < count && i < ARRAY_LEN(rows); i++) {
        add_row(w, u, &rows[i], graphics);
    }
    return rc;
}

/* Rows of more than 100 % and of processes that are not listed are what drivers have been seen to leave
 * behind. A listed process without a row did nothing. */
static void add_use(struct nvml_who *w, struct gpu_use *u, const struct nvml_process_sample *rows,
                    unsigned count)
{
    int64_t sum[GPU_PROCS_MAX] = {0};
    int64_t n[GPU_PROCS_MAX] = {0};
    unsigned long long newest = w->last_seen_us;
    for (unsigned i = 0; i < count; i++) {
        const struct gpu_proc *p = find(u, rows[i].pid);
        newest = rows[i].stamp_us > newest ? rows[i].stamp_us : newest;
        if (p && rows[i].sm <= 100 && rows[i].stamp_us > w->last_seen_us) {
            sum[p - u->procs] += rows[i].sm;
            n[p - u->procs]++;
        }
    }
    for (size_t i = 0; i < u->n; i++) {
        u->procs[i].busy_ppm = n[i] > 0 ? sum[i] * 10000 / n[i] : 0;
    }
    w->last_seen_us = newest;
}

static void look_use(const struct nvml *c, nvml_device device, struct nvml_who *w,
                     struct gpu_use *u)
{
    struct nvml_process_sample rows[SAMPLES_MAX];
    struct nvml_utilization rates = {0};
    unsigned count = SAMPLES_MAX;
    u->busy_ppm = -1;
    if (w->mig) {
        return;
    }
    if (c->utilization && c->utilization(device, &rates) == NVML_OK && rates.gpu <= 100) {
        u->busy_ppm = (int64_t)rates.gpu * 10000;
    }
    nvml_return rc =
        c->process_use ? c->process_use(device, rows, &count, w->last_seen_us) : NVML_NO_FUNCTION;
    if (rc == NVML_NOT_FOUND) {
        add_use(w, u, rows, 0); /* no sample since: nobody did anything */
    } else if (rc == NVML_OK && count <= SAMPLES_MAX) {
        add_use(w, u, rows, count);
    }
}

/* Rows are remapped since Ampere, pages retired before: each call is unsupported on the other kind. */
const char *nvml_fault(const struct nvml *c, nvml_device device)
{
    unsigned correctable = 0, uncorrectable = 0, pending = 0, failed = 0;
    unsigned long long errors = 0;
    int pages = 0;
    if (c->remapped_rows &&
        c->remapped_rows(device, &correctable, &uncorrectable, &pending, &failed) == NVML_OK) {
        if (failed)
            return "its memory has a bad row that could not be remapped";
        if (pending)
            return "a bad row of its memory waits for a reset to be remapped";
    }
    if (c->pages_pending && c->pages_pending(device, &pages) == NVML_OK && pages)
        return "a bad page of its memory waits for a reset to be retired";
    if (c->ecc && c->ecc(device, NVML_ECC_UNCORRECTED, NVML_ECC_VOLATILE, &errors) == NVML_OK &&
        errors > 0)
        return "its memory had errors that could not be corrected since its last reset";
    return NULL;
}

void nvml_who_look(const struct nvml *c, nvml_device device, struct nvml_who *w)
{
    struct gpu_use u = {.state = READING_OK};
    nvml_return rc = list(w, device, c->compute_v3 ? c->compute_v3 : c->compute_v2, false, &u);
    nvml_return graphics =
        list(w, device, c->graphics_v3 ? c->graphics_v3 : c->graphics_v2, true, &u);
    if (rc == NVML_OK && graphics != NVML_OK && nvml_state(graphics) != READING_UNSUPPORTED) {
        rc = graphics; /* half a list would call an intruder absent */
    }
    u.state = nvml_state(rc);
    if (u.state == READING_OK) {
        look_use(c, device, w, &u);
    }
    u.fault = nvml_fault(c, device);
    u.xid = w->watch.xid;
    u.xid_ns = w->watch.xid_ns;
    u.stamp_ns = clock_boot_ns();
    gpu_procs_put(w->procs, w->index, &u);
}
