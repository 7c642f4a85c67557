/* One run as the operation `runs` answers it (energy and params) -> struct study_run. Pure. */
#ifndef CLIENT_STUDY_RUN_H
#define CLIENT_STUDY_RUN_H

#include "common/wire.h"
#include "daemon/model/caches.h"
#include "daemon/model/study.h"

/* Why it is no row of the study: new memory; NULL = it is one. */
char *study_run_reason(const struct wire_val *run);
/* "run 17 banana rectangle depth 3 size 1024": new memory. */
char *study_run_what(const struct wire_val *run);
/* The memory of the card that a run on a GPU names in its info (device_*). 0; 1 = it names none. */
int study_run_card(struct caches *out, const struct wire_val *run) MUST_USE;
/* Everything but idle power and exclusions, which need more than one run. */
void study_run_read(struct study_run *r, const struct wire_val *run);

#endif
