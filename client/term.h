/* A terminal taken over for a live picture: alternate screen, no echo, keys one by one; given back on
 * every way out - return, exit, signal, crash. One at a time per process. */
#ifndef CLIENT_TERM_H
#define CLIENT_TERM_H

#include "common/err.h"

int term_enter(struct err *e) MUST_USE;
void term_leave(void); /* also when it was not entered */
bool term_ended(void); /* a signal asked us to end */
/* A key that was pressed, 0 = none. */
int term_key(void);
void term_size(int *columns, int *lines);

#endif
