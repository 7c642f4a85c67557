/* JSON over HTTP for helpers: libcurl, jansson. One thread. */
#ifndef DAEMON_METER_HELPERS_HELPER_HTTP_H
#define DAEMON_METER_HELPERS_HELPER_HTTP_H

#include <jansson.h>

#include "daemon/meter/helpers/helper.h"

struct helper_http; /* a connection that is kept */

struct helper_http_config {
    const char *user, *password; /* NULL = none; HTTP basic, over what the URL says */
    const char *cacert;          /* file; NULL = the system's */
    bool insecure;               /* do not ask who the server is */
};
/* --user, --password-file, --cacert, --insecure: true = it was one of them and is done. */
#define HELPER_HTTP_USER     1001
#define HELPER_HTTP_PASSWORD 1002
#define HELPER_HTTP_CACERT   1003
#define HELPER_HTTP_INSECURE 1004
#define HELPER_HTTP_LONG_OPTIONS                                                                   \
    {"user", required_argument, NULL, HELPER_HTTP_USER},                                           \
        {"password-file", required_argument, NULL, HELPER_HTTP_PASSWORD},                          \
        {"cacert", required_argument, NULL, HELPER_HTTP_CACERT},                                   \
    {                                                                                              \
        "insecure", no_argument, NULL, HELPER_HTTP_INSECURE                                        \
    }
bool helper_http_option(const struct helper *h, struct helper_http_config *cfg, int c,
                        const char *value);
struct helper_http *helper_http_new(const struct helper *h, const struct helper_http_config *cfg);
void helper_http_free(struct helper_http *x);
/* GET; at most 5 s and HELPER_BODY_MAX. NULL: *word and why say what came instead. Caller decrefs. */
json_t *helper_http_get(struct helper_http *x, const char *url, const char **word, char why[160]);
/* "a.b[0].c" in the document; a key holds no dot and no bracket. NULL = there is none. Borrowed. */
const json_t *helper_json_at(const json_t *doc, const char *path);
/* A number, or a string that is nothing but one. */
bool helper_json_number(const json_t *v, double *out);

#endif
