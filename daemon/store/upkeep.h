/* What the storage thread does to samples that are there: tiers are made (tiers.h), old samples go (retention.h).
 * A little at a time, between transactions, so that nobody who waits for the thread waits long. Storage thread. */
#ifndef DAEMON_STORE_UPKEEP_H
#define DAEMON_STORE_UPKEEP_H

#include "daemon/store/retention.h"

struct upkeep {
    int64_t budget_bytes; /* as retention_ask */
    int64_t due_ns;       /* clock_mono_ns from which on it is worth a look */
    bool told_over;       /* the budget cannot be kept, and the log says so */
    struct retention_state state;
};
/* Outside a transaction. When it is due: about 20 ms of work, or one long piece. A failure is logged, and tried
 * again ten minutes later. */
void upkeep_run(struct upkeep *u, struct store *s, int64_t mono_ns);

#endif
