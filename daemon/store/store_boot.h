/* Which boot of the machine this is, as the database numbers them. Inside store/ only: store.c opens with it. Times of
 * samples are (boot, CLOCK_BOOTTIME); the civil time of one (store_utc_of, store_boot_of of store.h) is told here too, by
 * the anchors that sampling leaves. Thread: that of the store. */
#ifndef DAEMON_STORE_STORE_BOOT_H
#define DAEMON_STORE_STORE_BOOT_H

#include "daemon/store/store.h"

/* The running kernel's, as it calls itself. */
int boot_read_id(char *out, size_t cap, struct err *e) MUST_USE;
/* boot.id of it. 0; 1 = this boot has no row yet. */
int boot_find(struct store *s, const char *boot_id, int64_t *boot, struct err *e) MUST_USE;
/* The same with a row from now on, with what the machine is; epochs that a kill left open are closed. One transaction. */
int boot_register(struct store *s, const char *boot_id, int64_t *boot, struct err *e) MUST_USE;

#endif
