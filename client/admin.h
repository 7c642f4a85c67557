/* The parts of `wattq admin`: one function each, as a command's (cmd.h); pos[0] is the part's own name. */
#ifndef CLIENT_ADMIN_H
#define CLIENT_ADMIN_H

#include "client/cmd.h"

int admin_check(struct app *app, struct err *e);
int admin_backup(struct app *app, struct err *e);
int admin_restore(struct app *app, struct err *e);
int admin_compact(struct app *app, struct err *e);
int admin_gpu(struct app *app, struct err *e);

#endif
