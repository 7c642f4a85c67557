/* Another database in the place of ours: a backup is restored. For whoever holds the lock of the state directory, so no
 * wattqd runs; any thread.
 *
 * Nothing is touched before the new one is whole: it is copied beside the old one, brought to this version's schema there,
 * looked at, every page and every block of samples, and on the disk. Then the old one is set aside under a name with the time,
 * with its log, and the new one gets its name; a power cut leaves one or the other.
 *
 * What happened since the backup was made did happen. So no run starts by itself because of it: those that waited then
 * are held; one that has begun since is cancelled, and its directory keeps what it left. Runs that were made since are in
 * no table any more; their directories stay, and their numbers are not given again. */
#ifndef DAEMON_STORE_REPLACE_H
#define DAEMON_STORE_REPLACE_H

#include "daemon/store/store.h"

struct replace_ask {
    const char *from;     /* a file; "-" = the standard input */
    const char *database; /* <state>/wattq.db, which may be missing */
    const char *runs;     /* <state>/runs: one directory for each run that has begun */
    int64_t by;           /* uid, for the log of admins */
};
struct replace_done {
    int64_t runs, held, cancelled;
    int64_t newest_utc_ns;      /* when its newest run was submitted; INT64_MIN = it has none */
    char aside[WATTQ_PATH_MAX]; /* where the old one is; "" = there was none */
};
/* WATTQ_E_VERSION: it is of a newer wattq. WATTQ_E_CORRUPT: it is damaged, or no database of ours. */
int replace_database(const struct replace_ask *ask, struct replace_done *out,
                     struct err *e) MUST_USE;

#endif
