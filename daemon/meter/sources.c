/* The list of meters, and the names that the database, the wire and people use. */
#include "daemon/meter/source.h"

extern const struct source_ops source_script;
extern const struct source_ops source_replay;
extern const struct source_ops source_perf;
extern const struct source_ops source_perf_core;
extern const struct source_ops source_powercap;
extern const struct source_ops source_hwmon;
extern const struct source_ops source_iio;
extern const struct source_ops source_cray;
extern const struct source_ops source_battery;
extern const struct source_ops source_ipmi;
extern const struct source_ops source_nvml;
extern const struct source_ops source_drm;
extern const struct source_ops source_line;
extern const struct source_ops source_thermal;
extern const struct source_ops source_throttle;
extern const struct source_ops source_slots;
extern const struct source_ops source_estimate;

/* Order = preference where two of them meter the same thing; `estimate` is last because it is opened
 * only when nothing before it can be read. */
const struct source_ops *const source_list[] = {
    &source_script,   &source_replay,   &source_perf,
    &source_powercap, &source_hwmon,    &source_iio,
    &source_cray,     &source_battery,  &source_ipmi,
    &source_nvml,     &source_drm,      &source_perf_core,
    &source_line,     &source_thermal,  &source_throttle,
    &source_slots,    &source_estimate, NULL,
};

const char *reading_state_name(enum reading_state s)
{
    static const char *const names[READING_STATES] = {
        [READING_OK] = "ok",
        [READING_NOT_YET] = "not_yet",
        [READING_NO_PERMISSION] = "no_permission",
        [READING_GONE] = "gone",
        [READING_DISABLED] = "disabled",
        [READING_UNSUPPORTED] = "unsupported",
        [READING_IO] = "io",
        [READING_GARBLED] = "garbled",
        [READING_IMPLAUSIBLE] = "implausible",
        [READING_STALE] = "stale",
        [READING_ASLEEP] = "asleep",
    };
    return (unsigned)s < READING_STATES ? names[s] : "unknown";
}

const char *reading_state_text(enum reading_state s)
{
    static const char *const texts[READING_STATES] = {
        [READING_OK] = "working",
        [READING_NOT_YET] = "not read yet",
        [READING_NO_PERMISSION] = "permission denied",
        [READING_GONE] = "the device is gone",
        [READING_DISABLED] = "the sensor is switched off",
        [READING_UNSUPPORTED] = "the device does not have this",
        [READING_IO] = "the read failed",
        [READING_GARBLED] = "what it says is not a number",
        [READING_IMPLAUSIBLE] = "what it says cannot be true",
        [READING_STALE] = "no answer in time",
        [READING_ASLEEP] = "asleep, left so",
    };
    return (unsigned)s < READING_STATES ? texts[s] : "unknown";
}

const char *channel_kind_name(enum channel_kind k)
{
    static const char *const names[] = {
        [CHANNEL_COUNTER] = "counter",   [CHANNEL_GAUGE] = "gauge",
        [CHANNEL_AVERAGE] = "average",   [CHANNEL_COMPANION] = "companion",
        [CHANNEL_CPU_TIME] = "cpu_time",
    };
    return (unsigned)k < ARRAY_LEN(names) ? names[k] : "unknown";
}

const char *channel_quality_name(enum channel_quality q)
{
    static const char *const names[] = {
        [QUALITY_MEASURED] = "measured",
        [QUALITY_MODELLED] = "modelled",
        [QUALITY_ESTIMATED] = "estimated",
        [QUALITY_NONE] = "none",
    };
    return (unsigned)q < ARRAY_LEN(names) ? names[q] : "unknown";
}

const char *channel_scope_name(enum channel_scope s)
{
    static const char *const names[] = {
        [SCOPE_NODE] = "node",   [SCOPE_PSYS] = "psys",     [SCOPE_PACKAGE] = "package",
        [SCOPE_DRAM] = "dram",   [SCOPE_CORE] = "core",     [SCOPE_UNCORE] = "uncore",
        [SCOPE_GPU] = "gpu",     [SCOPE_MODULE] = "module", [SCOPE_CPU] = "cpu",
        [SCOPE_OTHER] = "other",
    };
    return (unsigned)s < ARRAY_LEN(names) ? names[s] : "unknown";
}
