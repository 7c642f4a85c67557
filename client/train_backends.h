/* What the wattq-train of this daemon can compute with: `wattq-train --backends`, run by the client, since
 * looking for a GPU may take a second and the daemon waits for nobody. */
#ifndef CLIENT_TRAIN_BACKENDS_H
#define CLIENT_TRAIN_BACKENDS_H

#include <jansson.h>

#include "common/err.h"

/* {"path", "version", "backends": {NAME: {...}}, "reason"}: new reference, never NULL. Where the program does not
 * answer, version and backends are null and reason says why. */
json_t *train_backends(const char *program);
/* "trainer: openblas (avx512+SkylakeX), reference; not usable here: cuda (there is no driver)"; in new memory. */
char *train_backends_line(const json_t *trainer);

#endif
