/* A run as it stands in a request: shared by submit, sweep and exec. */
#ifndef DAEMON_API_RUN_REQUEST_H
#define DAEMON_API_RUN_REQUEST_H

#include "daemon/api/ops.h"

/* Key "run" of the request into a new spec; code points into the request. */
int request_run(const struct op_call *c, struct spec **out, struct run_code *code,
                struct err *e) MUST_USE;
/* Key "code" of a run map; hash is "" when nothing is known. */
void request_code(const struct wire_val *run, struct run_code *c);

#endif
