/* Parts of the last cache, as an administrator may have set them aside by resctrl (Intel RDT, AMD QoS, Arm MPAM).
 * A control group is a directory with a bit mask of the cache's ways; a process that enters one fills those ways
 * only, and what it forks with it. Nothing here makes or changes a group: that takes root, and is a decision about
 * the whole machine.
 *
 * source: Linux, Documentation/arch/x86/resctrl.rst: schemata ("L3:0=fff;1=fff", also "L3DATA" where code and data
 * are told apart), info/L3/cbm_mask, tasks. Pure but for reading these small files; any thread.
 * wattq-train --resctrl enters one. */
#ifndef DAEMON_MODEL_RESCTRL_H
#define DAEMON_MODEL_RESCTRL_H

#include "common/base.h"

#define RESCTRL_ROOT       "/sys/fs/resctrl"
#define RESCTRL_GROUPS_MAX 4

struct resctrl_group {
    char path[96];
    int percent; /* of the last cache's ways, 1 to 99; of the domain that gives least */
};

/* The groups below root that hold a part of the last cache and that this process may enter, largest part first; of
 * equal parts the first by name. Gives their number; 0 also where resctrl is not mounted. */
size_t resctrl_groups(struct resctrl_group out[RESCTRL_GROUPS_MAX], const char *root) MUST_USE;

#endif
