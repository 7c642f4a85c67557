/* wattq-meter-http: a plug or meter that says its power in JSON over HTTP. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/meter/helpers/helper_http.h"

static const char help[] =
    "wattq-meter-http: print the power and energy of a plug that answers in JSON over HTTP\n"
    "\n"
    "  --shelly HOST[,ID]     Shelly Gen2 and later, switch ID (default 0)\n"
    "  --shelly1 HOST[,ID]    Shelly Gen1, meter ID (default 0)\n"
    "  --tasmota HOST         Tasmota\n"
    "  --url URL              anything else, with\n"
    "  --power PATH           where its power stands, as in sensors[0].power\n"
    "  --power-unit UNIT      W (default), mW, kW\n"
    "  --energy PATH          where its energy stands: a counter that only rises\n"
    "  --energy-unit UNIT     Wh (default), kWh, J, kJ\n"
    "  --user NAME            with --password-file FILE (mode 0600)\n"
    "  --cacert FILE          whom to believe over HTTPS; --insecure: anybody\n"
    "  --period TIME          between two questions (1s)\n"
    "  --once                 ask once, to try it\n";

struct source {
    char *url;
    const char *power, *power_unit;
    const char *energy, *energy_unit;
    double energy_scale; /* Gen1 counts watt-minutes */
};

/* "HOST,ID" into its parts. */
static char *host_of(const char *text, unsigned *id)
{
    const char *comma = strchr(text, ',');
    *id = comma ? (unsigned)strtoul(comma + 1, NULL, 10) : 0;
    return base_strdup_n(text, comma ? (size_t)(comma - text) : strlen(text));
}

/* source: Shelly Gen2+ RPC, Switch.GetStatus: apower W, aenergy.total Wh. */
static void shelly(struct source *s, const char *text)
{
    unsigned id;
    char *host CLEANUP(base_freep) = host_of(text, &id);
    s->url = base_printf("http://%s/rpc/Switch.GetStatus?id=%u", host, id);
    s->power = "apower";
    s->energy = "aenergy.total";
}

/* source: Shelly Gen1 API, /meter/N: power W, total in watt-minutes, is_valid. */
static void shelly1(struct source *s, const char *text)
{
    unsigned id;
    char *host CLEANUP(base_freep) = host_of(text, &id);
    s->url = base_printf("http://%s/meter/%u", host, id);
    s->power = "power";
    s->energy = "total";
    s->energy_scale = 1.0 / 60;
}

/* source: Tasmota, Status 8: StatusSNS.ENERGY.Power W, Total kWh. */
static void tasmota(struct source *s, const char *host)
{
    s->url = base_printf("http://%s/cm?cmnd=Status%%208", host);
    s->power = "StatusSNS.ENERGY.Power";
    s->energy = "StatusSNS.ENERGY.Total";
    s->energy_unit = "kWh";
}

/* A plug that knows that its value means nothing says so. */
static bool says_invalid(const json_t *doc)
{
    const json_t *valid = json_object_get(doc, "is_valid");
    return valid && json_is_false(valid);
}

static void put(struct helper *h, const json_t *doc, const char *name, const char *path,
                const char *unit, double scale)
{
    double v = 0;
    const json_t *at = path ? helper_json_at(doc, path) : NULL;
    if (!path)
        return;
    if (!at || json_is_null(at))
        helper_none(h, name, HELPER_UNSUPPORTED, "its answer has no %.60s", path);
    else if (says_invalid(doc))
        helper_none(h, name, HELPER_DISABLED, "the plug says that its value is not valid");
    else if (!helper_json_number(at, &v))
        helper_none(h, name, HELPER_GARBLED, "%.60s is not a number", path);
    else
        helper_put(h, name, v * scale, unit);
}

static void ask(struct helper *h, struct helper_http *x, const struct source *s)
{
    char why[160];
    const char *word;
    json_t *doc = helper_http_get(x, s->url, &word, why);
    if (doc) {
        put(h, doc, "power", s->power, s->power_unit, 1);
        put(h, doc, "energy", s->energy, s->energy_unit, s->energy_scale);
    } else {
        if (s->power)
            helper_none(h, "power", word, "%s", why);
        if (s->energy)
            helper_none(h, "energy", word, "%s", why);
    }
    json_decref(doc);
}

enum { SHELLY = 256, SHELLY1, TASMOTA, URL, POWER, POWER_UNIT, ENERGY, ENERGY_UNIT };

static const struct option options[] = {HELPER_LONG_OPTIONS,
                                        {"shelly", required_argument, NULL, SHELLY},
                                        {"shelly1", required_argument, NULL, SHELLY1},
                                        {"tasmota", required_argument, NULL, TASMOTA},
                                        {"url", required_argument, NULL, URL},
                                        {"power", required_argument, NULL, POWER},
                                        {"power-unit", required_argument, NULL, POWER_UNIT},
                                        {"energy", required_argument, NULL, ENERGY},
                                        {"energy-unit", required_argument, NULL, ENERGY_UNIT},
                                        HELPER_HTTP_LONG_OPTIONS,
                                        {0}};

static const char *unit_of(const struct helper *h, const char *text, const char *const *units)
{
    for (; *units; units++)
        if (strcmp(*units, text) == 0)
            return *units;
    helper_usage(h, "'%.20s' is not a unit it knows", text);
}

static void take_option(struct helper *h, struct source *s, struct helper_http_config *cfg, int c)
{
    static const char *const power[] = {"W", "mW", "kW", NULL};
    static const char *const energy[] = {"Wh", "kWh", "J", "kJ", NULL};
    if (helper_option(h, c, optarg) || helper_http_option(h, cfg, c, optarg))
        return;
    if ((c == SHELLY || c == SHELLY1 || c == TASMOTA || c == URL) && s->url)
        helper_usage(h, "one device at a time: start it once for each");
    switch (c) {
    case SHELLY:
        shelly(s, optarg);
        break;
    case SHELLY1:
        shelly1(s, optarg);
        break;
    case TASMOTA:
        tasmota(s, optarg);
        break;
    case URL:
        s->url = base_strdup(optarg);
        break;
    case POWER:
        s->power = optarg;
        break;
    case POWER_UNIT:
        s->power_unit = unit_of(h, optarg, power);
        break;
    case ENERGY:
        s->energy = optarg;
        break;
    case ENERGY_UNIT:
        s->energy_unit = unit_of(h, optarg, energy);
        break;
    case 'h':
        (void)fputs(help, stdout);
        exit(0);
    default:
        helper_usage(h, "it does not know that option");
    }
}

int main(int argc, char **argv)
{
    struct helper h = {.program = "wattq-meter-http", .period_ns = NS_PER_S};
    struct source s = {.power_unit = "W", .energy_unit = "Wh", .energy_scale = 1};
    struct helper_http_config cfg = {0};
    for (int c; (c = getopt_long(argc, argv, "p:1h", options, NULL)) != -1;)
        take_option(&h, &s, &cfg, c);
    if (optind < argc || !s.url)
        helper_usage(&h, "it needs --shelly, --shelly1, --tasmota or --url");
    if (!s.power && !s.energy)
        helper_usage(&h, "--url needs --power PATH or --energy PATH");
    struct helper_http *x = helper_http_new(&h, &cfg);
    do
        ask(&h, x, &s);
    while (helper_next(&h));
    helper_http_free(x);
    free(s.url);
    return helper_exit(&h);
}
