/* A stand-in for the kernel's `power` PMU: events energy-pkg (0x02) and energy-ram (0x03) in 2^-32 J, of
 * watts x CLOCK_MONOTONIC; DRAM takes a quarter. Counted on CPU 0. Parameter: watts. */
#include <linux/cpumask.h>
#include <linux/device.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/perf_event.h>

#define EVENT_PACKAGE 0x02
#define EVENT_RAM     0x03

static ulong watts = 42;
module_param(watts, ulong, 0444);

/* ns x W = nJ; 2^32 / 10^9 of it is the count: by parts, so that 64 bits hold it. */
static u64 count_now(const struct perf_event *event)
{
    u64 nj = ktime_get_ns() * watts;
    u32 rest;
    u64 joules;

    if (event->attr.config == EVENT_RAM)
        nj = div64_u64(nj, 4);
    joules = div_u64_rem(nj, 1000000000, &rest);
    return (joules << 32) + div_u64((u64)rest << 32, 1000000000);
}

static void fake_read(struct perf_event *event)
{
    u64 now = count_now(event);
    u64 before = local64_xchg(&event->hw.prev_count, now);

    local64_add(now - before, &event->count);
}

static void fake_start(struct perf_event *event, int flags)
{
    local64_set(&event->hw.prev_count, count_now(event));
    event->hw.state = 0;
}

static void fake_stop(struct perf_event *event, int flags)
{
    if (event->hw.state & PERF_HES_STOPPED)
        return;
    fake_read(event);
    event->hw.state |= PERF_HES_STOPPED | PERF_HES_UPTODATE;
}

static int fake_add(struct perf_event *event, int flags)
{
    event->hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE;
    if (flags & PERF_EF_START)
        fake_start(event, flags);
    return 0;
}

static void fake_del(struct perf_event *event, int flags)
{
    fake_stop(event, PERF_EF_UPDATE);
}

static struct pmu pmu;

static int fake_event_init(struct perf_event *event)
{
    if (event->attr.type != pmu.type)
        return -ENOENT;
    if (event->cpu < 0 || event->attr.sample_period)
        return -EINVAL;
    if (event->attr.config != EVENT_PACKAGE && event->attr.config != EVENT_RAM)
        return -EINVAL;
    event->cpu = 0;
    return 0;
}

static ssize_t cpumask_show(struct device *dev, struct device_attribute *attr, char *buf)
{
    return sysfs_emit(buf, "0\n");
}
static DEVICE_ATTR_RO(cpumask);
static struct attribute *cpumask_attrs[] = {&dev_attr_cpumask.attr, NULL};
static const struct attribute_group cpumask_group = {.attrs = cpumask_attrs};

PMU_FORMAT_ATTR(event, "config:0-7");
static struct attribute *format_attrs[] = {&format_attr_event.attr, NULL};
static const struct attribute_group format_group = {.name = "format", .attrs = format_attrs};

/* The macro makes a string of its first argument: blanks would be part of the name. */
// clang-format off
PMU_EVENT_ATTR_STRING(energy-pkg, package_event, "event=0x02");
PMU_EVENT_ATTR_STRING(energy-pkg.unit, package_unit, "Joules");
PMU_EVENT_ATTR_STRING(energy-pkg.scale, package_scale, "2.3283064365386962890625e-10");
PMU_EVENT_ATTR_STRING(energy-ram, ram_event, "event=0x03");
PMU_EVENT_ATTR_STRING(energy-ram.unit, ram_unit, "Joules");
PMU_EVENT_ATTR_STRING(energy-ram.scale, ram_scale, "2.3283064365386962890625e-10");
// clang-format on
static struct attribute *event_attrs[] = {&package_event.attr.attr,
                                          &package_unit.attr.attr,
                                          &package_scale.attr.attr,
                                          &ram_event.attr.attr,
                                          &ram_unit.attr.attr,
                                          &ram_scale.attr.attr,
                                          NULL};
static const struct attribute_group event_group = {.name = "events", .attrs = event_attrs};
static const struct attribute_group *groups[] = {&cpumask_group, &format_group, &event_group, NULL};

static struct pmu pmu = {
    .module = THIS_MODULE,
    .task_ctx_nr = perf_invalid_context,
    .capabilities = PERF_PMU_CAP_NO_EXCLUDE,
    .attr_groups = groups,
    .event_init = fake_event_init,
    .add = fake_add,
    .del = fake_del,
    .start = fake_start,
    .stop = fake_stop,
    .read = fake_read,
};

static int __init fake_init(void)
{
    return perf_pmu_register(&pmu, "power", -1);
}

static void __exit fake_exit(void)
{
    perf_pmu_unregister(&pmu);
}

module_init(fake_init);
module_exit(fake_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("a power PMU of known power");
