/* Names of users. Any thread; asks the system's user database, which may be a server: keep the answer. */
#ifndef COMMON_USERS_H
#define COMMON_USERS_H

#include "common/base.h"

#define USERS_NAME_MAX 64 /* with the NUL */

/* The user's name, or the number where there is none that is text. Returns out. */
const char *users_name(int64_t uid, char out[USERS_NAME_MAX]);

#endif
