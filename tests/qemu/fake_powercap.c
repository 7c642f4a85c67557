/* A stand-in for RAPL on the kernel's own powercap class: zones intel-rapl:0 "package-0" and
 * intel-rapl:0:0 "dram" whose energy is watts x CLOCK_MONOTONIC, in steps of 61 uJ, modulo max_uj + 1;
 * DRAM takes a quarter of it. Parameters: watts (may be changed while loaded), max_uj. */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/powercap.h>

static ulong watts = 42;
module_param(watts, ulong, 0644);
static ulong max_uj = 262143328850;
module_param(max_uj, ulong, 0444);

static struct powercap_control_type *type;
static struct powercap_zone package, dram;
static u64 spent_uj; /* until `since` */
static ktime_t since;
static ulong watts_then;
static DEFINE_SPINLOCK(lock);

/* Energy so far; a new value of `watts` counts from the first reading that sees it. */
static u64 energy_now(void)
{
    u64 uj;

    spin_lock(&lock);
    uj = spent_uj + (u64)ktime_us_delta(ktime_get(), since) * watts_then;
    if (watts != watts_then) {
        spent_uj = uj;
        since = ktime_get();
        watts_then = watts;
    }
    spin_unlock(&lock);
    return uj;
}

static int get_energy(struct powercap_zone *zone, u64 *out)
{
    u64 uj = zone == &dram ? div64_u64(energy_now(), 4) : energy_now();

    uj = div64_u64(uj, 61) * 61;
    div64_u64_rem(uj, (u64)max_uj + 1, out);
    return 0;
}

static int get_max(struct powercap_zone *zone, u64 *out)
{
    *out = max_uj;
    return 0;
}

static int release(struct powercap_zone *zone)
{
    return 0;
}

static const struct powercap_zone_ops zone_ops = {
    .get_max_energy_range_uj = get_max,
    .get_energy_uj = get_energy,
    .release = release,
};

/* The class wants a limit; it is stated and limits nothing. */
static int get_limit(struct powercap_zone *zone, int id, u64 *out)
{
    *out = 500000000;
    return 0;
}

static int get_window(struct powercap_zone *zone, int id, u64 *out)
{
    *out = 1000000;
    return 0;
}

static int refuse(struct powercap_zone *zone, int id, u64 value)
{
    return -EACCES;
}

static const struct powercap_zone_constraint_ops limit_ops = {
    .get_power_limit_uw = get_limit,
    .set_power_limit_uw = refuse,
    .get_time_window_us = get_window,
    .set_time_window_us = refuse,
};

static int __init fake_init(void)
{
    struct powercap_zone *zone;

    since = ktime_get();
    watts_then = watts;
    type = powercap_register_control_type(NULL, "intel-rapl", NULL);
    if (IS_ERR(type))
        return PTR_ERR(type);
    zone = powercap_register_zone(&package, type, "package-0", NULL, &zone_ops, 1, &limit_ops);
    if (IS_ERR(zone))
        goto no_package;
    zone = powercap_register_zone(&dram, type, "dram", &package, &zone_ops, 1, &limit_ops);
    if (IS_ERR(zone))
        goto no_dram;
    return 0;
no_dram:
    powercap_unregister_zone(type, &package);
no_package:
    powercap_unregister_control_type(type);
    return PTR_ERR(zone);
}

static void __exit fake_exit(void)
{
    powercap_unregister_zone(type, &dram);
    powercap_unregister_zone(type, &package);
    powercap_unregister_control_type(type);
}

module_init(fake_init);
module_exit(fake_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("powercap zones of known power");
