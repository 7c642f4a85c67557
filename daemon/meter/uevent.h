/* What the kernel says when a device or driver comes or goes: the uevent netlink group, which needs no
 * privilege. Only a reason to look for meters sooner; nothing in a message is believed.
 * source: lib/kobject_uevent.c, "ACTION@DEVPATH" and KEY=VALUE strings, each ended by a zero byte. */
#ifndef DAEMON_METER_UEVENT_H
#define DAEMON_METER_UEVENT_H

#include "common/base.h"

struct uevents; /* a thread that listens */
/* fn is called on that thread, half a second after something that matters. NULL = there is nothing to hear. */
struct uevents *uevents_start(void (*fn)(void *arg), void *arg);
void uevents_stop(struct uevents *u); /* NULL is fine */

int uevent_open(
    void); /* a non-blocking socket, or -1: then meters are found at the next regular look */
/* Take everything that has come; true = some of it may be a meter. */
bool uevent_drain(int fd);
/* Does this message say that a device or driver of a kind that meters hang on came, went or was bound? */
bool uevent_matters(const char *text, size_t bytes);

#endif
