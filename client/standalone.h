/* exec --standalone: a run metered without any daemon, with what this user may read himself. The record is
 * a file of JSON lines that explains itself:
 *   {"schema":"wattq.standalone/1","kind":"run", ...}   what is run, where, which code
 *   {"kind":"channel", ...}                              each energy channel found, readable or not
 *   {"kind":"sample","edge":"open"|"settle"|"tick"|"close"|"late","t0_ns","t1_ns","raw":[..]}
 *   {"kind":"result", ...}                               how it ended: exit code, window, CPU time
 *   {"kind":"figure", ...}                               per channel, and the total (channel null)
 * Bounds follow daemon/energy/energy.h from the four edge samples. */
#ifndef CLIENT_STANDALONE_H
#define CLIENT_STANDALONE_H

#include "client/cmd.h"
#include "client/job.h"
#include "daemon/launch/frames.h"
#include "daemon/launch/result.h"

/* Exit code of the run, or < 0 when it was not started. */
int standalone_run(const struct app *app, const struct job *j, const char *out, struct err *e);

/* ---- shared with exec ----------------------------------------------------------------------------- */
void exec_block(struct launch_block *b, const struct job *j); /* run id and token are left 0 */
int exec_stdin(const struct job *j, struct err *e);
int exec_exit_code(const struct result *r);

#endif
