#include "common/users.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"

static const char retired[] = "retired-";

const char *users_name(int64_t uid, char out[USERS_NAME_MAX])
{
    struct passwd pw;
    struct passwd *found = NULL;
    char buf[4096];
    if (uid < USERS_RETIRED)
        (void)snprintf(out, USERS_NAME_MAX, "%s%lld", retired, (long long)(USERS_RETIRED - uid));
    else if (uid < 0 || getpwuid_r((uid_t)uid, &pw, buf, sizeof(buf), &found) != 0 || !found ||
             !wire_utf8_ok(pw.pw_name, strlen(pw.pw_name)) ||
             !base_strcpy(out, USERS_NAME_MAX, pw.pw_name))
        (void)snprintf(out, USERS_NAME_MAX, "%lld", (long long)uid);
    return out;
}

/* A whole number from 0 to most. */
static bool number(const char *text, long long most, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || n > most)
        return false;
    *out = n;
    return true;
}

bool users_find(const char *name, int64_t *uid)
{
    struct passwd pw;
    struct passwd *found = NULL;
    char buf[4096];
    int64_t n = 0;
    size_t prefix = sizeof(retired) - 1;
    if (strncmp(name, retired, prefix) == 0 && number(name + prefix, INT32_MAX, &n) && n > 0) {
        *uid = USERS_RETIRED - n;
        return true;
    }
    if (getpwnam_r(name, &pw, buf, sizeof(buf), &found) == 0 && found) {
        *uid = (int64_t)pw.pw_uid;
        return true;
    }
    return number(name, (long long)UINT32_MAX - 1, uid);
}
