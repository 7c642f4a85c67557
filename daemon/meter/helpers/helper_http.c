#include "daemon/meter/helpers/helper_http.h"

#include <curl/curl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 3000L
#define TOTAL_MS   5000L

struct helper_http {
    CURL *curl;
    char *body;
    size_t bytes;
};

static size_t take(char *data, size_t size, size_t n, void *arg)
{
    struct helper_http *x = arg;
    size_t more = size * n;
    if (more > HELPER_BODY_MAX - x->bytes)
        return 0; /* libcurl ends the transfer */
    memcpy(x->body + x->bytes, data, more);
    x->bytes += more;
    return more;
}

bool helper_http_option(const struct helper *h, struct helper_http_config *cfg, int c,
                        const char *value)
{
    switch (c) {
    case HELPER_HTTP_USER:
        cfg->user = value;
        return true;
    case HELPER_HTTP_PASSWORD:
        cfg->password = helper_secret(h, value);
        return true;
    case HELPER_HTTP_CACERT:
        cfg->cacert = value;
        return true;
    case HELPER_HTTP_INSECURE:
        cfg->insecure = true;
        return true;
    default:
        return false;
    }
}

struct helper_http *helper_http_new(const struct helper *h, const struct helper_http_config *cfg)
{
    struct helper_http *x = base_alloc(sizeof(*x));
    x->body = base_alloc(HELPER_BODY_MAX);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    x->curl = curl_easy_init();
    if (!x->curl)
        helper_usage(h, "libcurl does not start");
    curl_easy_setopt(x->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(x->curl, CURLOPT_TIMEOUT_MS, TOTAL_MS);
    curl_easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->curl, CURLOPT_USERAGENT, "wattq/" WATTQ_VERSION);
    curl_easy_setopt(x->curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC | CURLAUTH_DIGEST);
    if (cfg->user)
        curl_easy_setopt(x->curl, CURLOPT_USERNAME, cfg->user);
    if (cfg->password)
        curl_easy_setopt(x->curl, CURLOPT_PASSWORD, cfg->password);
    if (cfg->cacert)
        curl_easy_setopt(x->curl, CURLOPT_CAINFO, cfg->cacert);
    if (cfg->insecure) {
        curl_easy_setopt(x->curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(x->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return x;
}

void helper_http_free(struct helper_http *x)
{
    if (!x)
        return;
    curl_easy_cleanup(x->curl);
    curl_global_cleanup();
    free(x->body);
    free(x);
}

json_t *helper_http_get(struct helper_http *x, const char *url, const char **word, char why[160])
{
    long status = 0;
    json_error_t bad;
    *word = HELPER_IO;
    x->bytes = 0;
    curl_easy_setopt(x->curl, CURLOPT_URL, url);
    CURLcode rc = curl_easy_perform(x->curl);
    if (rc != CURLE_OK) {
        (void)snprintf(why, 160, "%s", curl_easy_strerror(rc));
        return NULL;
    }
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        *word = status == 401 || status == 403   ? HELPER_PERMISSION
                : status == 404 || status == 405 ? HELPER_UNSUPPORTED
                                                 : HELPER_IO;
        (void)snprintf(why, 160, "HTTP status %ld", status);
        return NULL;
    }
    json_t *doc = json_loadb(x->body, x->bytes, 0, &bad);
    if (!doc) {
        *word = HELPER_GARBLED;
        (void)snprintf(why, 160, "its answer is no JSON");
    }
    return doc;
}

const json_t *helper_json_at(const json_t *doc, const char *path)
{
    while (doc && *path) {
        if (*path == '[') {
            char *end = NULL;
            unsigned long i = strtoul(path + 1, &end, 10);
            if (end == path + 1 || *end != ']')
                return NULL;
            doc = json_array_get(doc, i);
            path = end + 1;
        } else {
            char key[128];
            size_t n = strcspn(path, ".[");
            if (n == 0 || n >= sizeof(key))
                return NULL;
            memcpy(key, path, n);
            key[n] = '\0';
            doc = json_object_get(doc, key);
            path += n;
        }
        path += *path == '.';
    }
    return doc;
}

bool helper_json_number(const json_t *v, double *out)
{
    if (json_is_number(v)) {
        *out = json_number_value(v);
        return isfinite(*out);
    }
    const char *s = json_string_value(v);
    char *end = NULL;
    if (!s || !*s)
        return false;
    *out = strtod(s, &end);
    return *end == '\0' && isfinite(*out);
}
