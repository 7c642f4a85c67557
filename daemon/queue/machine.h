/* The state of the machine that can change what a run costs: clocks, power policies, memory policies, drivers.
 * Read at a run's two ends and kept with it (table machine), so that "the governor changed in between" is a
 * fact and not a guess. Pure reading of small files of sysfs and procfs; nothing here wakes a GPU. One
 * thread at a time; the queue calls it on the storage thread, after the gate has opened.
 *
 * source: Documentation/admin-guide/pm/cpufreq.rst and intel_pstate.rst, admin-guide/mm/transhuge.rst,
 * driver-api/edac.rst, arch/x86/resctrl.rst, proc(5); /proc/driver/nvidia as NVIDIA's driver README has it.
 *
 * Keys, each missing where the system does not tell:
 *   read once: cpu, vendor, family, model, stepping (text), hypervisor (bool), kernel, memory_bytes,
 *     numa_nodes, dimms ("4 x 16 GiB DDR5"), nvidia_driver, gpus ("NVIDIA A100 (BIOS 92.00.36.00.02)", ...)
 *   read every time: microcode, governor, epp, scaling_driver, max_khz, boost, smt, thp, numa_balancing,
 *     cpus_online, affinity, resctrl ("mounted", "available"), resctrl_l3
 * Where CPUs differ, the distinct values joined by commas. */
#ifndef DAEMON_QUEUE_MACHINE_H
#define DAEMON_QUEUE_MACHINE_H

#include "common/base.h"

struct machine;

/* root: prefix of /sys and /proc; NULL or "" = this machine. Reads nothing yet. */
struct machine *machine_open(const char *root);
void machine_close(struct machine *m); /* NULL is fine */
/* One JSON object, keys sorted, so that equal states are equal texts; new memory, never NULL. */
char *machine_facts(struct machine *m);

#endif
