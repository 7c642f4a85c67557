/* Names of users. Any thread; asks the system's user database, which may be a server: keep the answer. */
#ifndef COMMON_USERS_H
#define COMMON_USERS_H

#include "common/base.h"

#define USERS_NAME_MAX 64 /* with the NUL */

/* A user who has left is no uid of the system any more, whoever has that number now: the n-th to leave is
 * USERS_RETIRED - n, and is called "retired-n" (daemon/store/former.h). */
#define USERS_RETIRED (-1000)

/* The user's name, or the number where there is none that is text. Returns out. */
const char *users_name(int64_t uid, char out[USERS_NAME_MAX]);
/* By name, "retired-n" or number, which need not be anybody's any more. False = there is no such user. */
bool users_find(const char *name, int64_t *uid);

#endif
