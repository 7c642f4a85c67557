#include "common/users.h"

#include <pwd.h>
#include <string.h>

#include "common/wire.h"

const char *users_name(int64_t uid, char out[USERS_NAME_MAX])
{
    struct passwd pw;
    struct passwd *found = NULL;
    char buf[4096];
    if (getpwuid_r((uid_t)uid, &pw, buf, sizeof(buf), &found) == 0 && found &&
        wire_utf8_ok(pw.pw_name, strlen(pw.pw_name)) &&
        base_strcpy(out, USERS_NAME_MAX, pw.pw_name))
        return out;
    (void)snprintf(out, USERS_NAME_MAX, "%lld", (long long)uid);
    return out;
}
