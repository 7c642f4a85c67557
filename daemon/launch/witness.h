/* What a shepherd that the launcher started tells it through a pipe, so that the launcher can be its
 * witness: should the shepherd be killed, the run's main process becomes the launcher's child, and how it
 * ended is not lost. The first message is written while the shepherd is still root, before the gate; what it
 * says about processes and cgroup is believed. Later ones come from the daemon's uid and only tell an end. */
#ifndef DAEMON_LAUNCH_WITNESS_H
#define DAEMON_LAUNCH_WITNESS_H

#include <stdint.h>

#define WITNESS_LEAF_MAX 512

enum witness_kind { WITNESS_FORKED = 1, WITNESS_MAIN_ENDED };
struct witness {
    int32_t kind;
    int32_t pid;    /* FORKED: of the main process */
    int32_t status; /* MAIN_ENDED: as waitpid gave it */
    int32_t reserved;
    int64_t t_ns;                /* MAIN_ENDED: CLOCK_BOOTTIME */
    char leaf[WITNESS_LEAF_MAX]; /* FORKED: the run's cgroup, "" = none */
};

#endif
