/* wattq-meter-redfish: the power of a machine as its management controller says it by Redfish. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/meter/helpers/helper_http.h"

static const char help[] =
    "wattq-meter-redfish: print the power that a management controller (BMC) reports by Redfish\n"
    "\n"
    "  --url URL              of the controller, as in https://bmc.example\n"
    "  --chassis ID           which chassis, where there are several\n"
    "  --control N            which PowerControl entry, where there are several (from 0)\n"
    "  --user NAME            with --password-file FILE (mode 0600)\n"
    "  --cacert FILE          whom to believe over HTTPS; --insecure: anybody\n"
    "  --period TIME          between two questions (5s)\n"
    "  --once                 ask once, to try it\n"
    "\n"
    "It asks EnvironmentMetrics (PowerWatts, EnergykWh) and, where there is none, the older Power\n"
    "(PowerControl, PowerConsumedWatts). IntervalInMin is a window of statistics, not how often "
    "the\n"
    "value is refreshed, and is not used.\n";

/* Where the numbers are; found at the first answer and after an error. */
struct place {
    char *environment; /* URL of EnvironmentMetrics; NULL = has none */
    char *power;       /* URL of the older Power */
};

struct redfish {
    struct helper *h;
    struct helper_http *http;
    const char *base;
    const char *chassis;
    long control; /* -1 = the only one */
    struct place at;
    const char *word;
    char why[160];
};

static char *link_of(const struct redfish *r, const json_t *doc, const char *name)
{
    const json_t *link = json_object_get(json_object_get(doc, name), "@odata.id");
    const char *path = json_string_value(link);
    return path && path[0] == '/' ? base_printf("%s%s", r->base, path) : NULL;
}

static json_t *get(struct redfish *r, const char *url)
{
    return helper_http_get(r->http, url, &r->word, r->why);
}

static int none(struct redfish *r, const char *word, const char *why)
{
    r->word = word;
    (void)snprintf(r->why, sizeof(r->why), "%s", why);
    return -1;
}

/* The only chassis, or the one that was named; guessing would meter another machine. */
static char *chassis_url(struct redfish *r)
{
    if (r->chassis)
        return base_printf("%s/redfish/v1/Chassis/%s", r->base, r->chassis);
    char *url CLEANUP(base_freep) = base_printf("%s/redfish/v1/Chassis", r->base);
    json_t *doc = get(r, url);
    const json_t *members = json_object_get(doc, "Members");
    const char *path = json_string_value(json_object_get(json_array_get(members, 0), "@odata.id"));
    char *found = NULL;
    if (doc && json_array_size(members) != 1)
        (void)none(r, HELPER_UNSUPPORTED, "it has not just one chassis: name one by --chassis ID");
    else if (doc && (!path || path[0] != '/'))
        (void)none(r, HELPER_GARBLED, "its list of chassis cannot be understood");
    else if (doc)
        found = base_printf("%s%s", r->base, path);
    json_decref(doc);
    return found;
}

static void forget(struct place *p)
{
    free(p->environment);
    free(p->power);
    *p = (struct place){0};
}

static int find(struct redfish *r)
{
    if (r->at.environment || r->at.power)
        return 0;
    char *url CLEANUP(base_freep) = chassis_url(r);
    json_t *doc = url ? get(r, url) : NULL;
    if (!doc)
        return -1;
    r->at.environment = link_of(r, doc, "EnvironmentMetrics");
    r->at.power = link_of(r, doc, "Power");
    json_decref(doc);
    return r->at.environment || r->at.power
               ? 0
               : none(r, HELPER_UNSUPPORTED, "the chassis reports no power");
}

/* 0; 1 = it says neither; -1 = could not be asked. */
static int ask_environment(struct redfish *r)
{
    double power = 0, energy = 0;
    json_t *doc = r->at.environment ? get(r, r->at.environment) : NULL;
    if (!doc)
        return r->at.environment ? -1 : 1;
    bool has_power = helper_json_number(helper_json_at(doc, "PowerWatts.Reading"), &power);
    bool has_energy = helper_json_number(helper_json_at(doc, "EnergykWh.Reading"), &energy);
    if (has_power)
        helper_put(r->h, "power", power, "W");
    if (has_energy)
        helper_put(r->h, "energy", energy, "kWh");
    json_decref(doc);
    return has_power || has_energy ? 0 : 1;
}

static int ask_power(struct redfish *r)
{
    double power = 0;
    json_t *doc = r->at.power ? get(r, r->at.power) : NULL;
    if (!doc)
        return r->at.power ? -1 : none(r, HELPER_UNSUPPORTED, "the chassis reports no power");
    const json_t *list = json_object_get(doc, "PowerControl");
    size_t n = json_array_size(list);
    size_t i = r->control >= 0 ? (size_t)r->control : 0;
    bool ok =
        (r->control >= 0 || n == 1) &&
        helper_json_number(json_object_get(json_array_get(list, i), "PowerConsumedWatts"), &power);
    if (ok)
        helper_put(r->h, "power", power, "W");
    else if (n > 1 && r->control < 0)
        (void)none(r, HELPER_UNSUPPORTED,
                   "it has several PowerControl entries: choose one by --control N");
    else
        (void)none(r, HELPER_UNSUPPORTED, "it says no PowerConsumedWatts");
    json_decref(doc);
    return ok ? 0 : -1;
}

static void ask(struct redfish *r)
{
    int rc = find(r);
    if (rc == 0)
        rc = ask_environment(r);
    if (rc == 1)
        rc = ask_power(r);
    if (rc == 0)
        return;
    helper_none(r->h, "power", r->word, "%s", r->why);
    forget(&r->at);
}

enum { URL = 256, CHASSIS, CONTROL };

static const struct option options[] = {HELPER_LONG_OPTIONS,
                                        {"url", required_argument, NULL, URL},
                                        {"chassis", required_argument, NULL, CHASSIS},
                                        {"control", required_argument, NULL, CONTROL},
                                        HELPER_HTTP_LONG_OPTIONS,
                                        {0}};

static void take_option(struct redfish *r, struct helper_http_config *cfg, int c)
{
    char *end = NULL;
    if (helper_option(r->h, c, optarg) || helper_http_option(r->h, cfg, c, optarg))
        return;
    switch (c) {
    case URL:
        r->base = optarg;
        break;
    case CHASSIS:
        r->chassis = optarg;
        break;
    case CONTROL:
        r->control = strtol(optarg, &end, 10);
        if (*end || end == optarg || r->control < 0 || r->control > 1000)
            helper_usage(r->h, "--control: '%.20s' is not a number from 0", optarg);
        break;
    case 'h':
        (void)fputs(help, stdout);
        exit(0);
    default:
        helper_usage(r->h, "it does not know that option");
    }
}

int main(int argc, char **argv)
{
    struct helper h = {.program = "wattq-meter-redfish", .period_ns = 5 * NS_PER_S};
    struct redfish r = {.h = &h, .control = -1};
    struct helper_http_config cfg = {0};
    for (int c; (c = getopt_long(argc, argv, "p:1h", options, NULL)) != -1;)
        take_option(&r, &cfg, c);
    if (optind < argc || !r.base || (strncmp(r.base, "http", 4) != 0))
        helper_usage(&h, "it needs --url http(s)://HOST");
    r.http = helper_http_new(&h, &cfg);
    do
        ask(&r);
    while (helper_next(&h));
    helper_http_free(r.http);
    forget(&r.at);
    return helper_exit(&h);
}
