/* In system mode nothing is started in a user's name that wattq-launcher, which is root, was not asked by this user to
 * sign (docs/protocol.md, "Warrants"). What asks it here is this program, with the uid that the kernel gives it. */
#ifndef CLIENT_SIGN_H
#define CLIENT_SIGN_H

#include "client/conn.h"
#include "common/spec.h"

#define SIGN_STARTS 11 /* of each run: the first one and ten retries */

/* Before these runs are submitted on c, in their order: have them signed and hand the warrants in. Specs without an
 * environment have that of base (NULL = each has its own). Nothing to do where wattqd is in user mode, or will not
 * be sent an environment. WATTQ_E_UNAVAILABLE: no launcher is there; or what it refused, in its words. */
int sign_runs(struct conn *c, const struct spec *specs, size_t n, const struct spec *base,
              struct err *e) MUST_USE;

#endif
