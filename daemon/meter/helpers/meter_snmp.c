/* wattq-meter-snmp: a PDU, or whatever else says its power by SNMP. */
#include <net-snmp/net-snmp-config.h>
/* net-snmp's headers want their configuration first. */
#include <net-snmp/net-snmp-includes.h>

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/meter/helpers/helper.h"

static const char help[] =
    "wattq-meter-snmp: print what a power distribution unit says by SNMP\n"
    "\n"
    "  --host HOST[:PORT]     whom to ask (UDP)\n"
    "  --power OID            object that holds the power now, with --power-scale X: what one of "
    "it is in\n"
    "                         W (default 1; 0.1 for a PDU that counts tenths)\n"
    "  --energy OID           object that holds the energy, a counter that only rises, with "
    "--energy-scale X:\n"
    "                         what one of it is in Wh (default 1; 100 for tenths of kWh)\n"
    "  --community-file FILE  SNMP v2c: file (mode 0600) with the community\n"
    "  --user NAME            SNMP v3 with SHA and AES: with --auth-file and --priv-file, files "
    "(mode\n"
    "                         0600) with the two pass phrases\n"
    "  --period TIME          between two questions (1s)\n"
    "  --once                 ask once, to try it\n";

#define TIMEOUT_US 2000000L

struct object {
    const char *name;
    const char *unit;
    oid id[MAX_OID_LEN];
    size_t length; /* 0 = not asked for */
    double scale;
};

struct pdu {
    struct helper *h;
    char *host, *community, *user, *auth, *priv;
    struct object power, energy;
    struct snmp_session *session;
};

static bool number(const struct variable_list *v, double *out)
{
    switch (v->type) {
    case ASN_INTEGER:
        *out = (double)*v->val.integer;
        return true;
    case ASN_GAUGE:
    case ASN_COUNTER:
    case ASN_TIMETICKS:
        *out = (double)(unsigned long)*v->val.integer;
        return true;
    case ASN_COUNTER64:
        *out = (double)v->val.counter64->high * 4294967296.0 + (double)v->val.counter64->low;
        return true;
    default:
        return false;
    }
}

static void put_answer(struct pdu *p, const struct object *o, const struct snmp_pdu *answer)
{
    double v = 0;
    if (answer->errstat != SNMP_ERR_NOERROR)
        helper_none(p->h, o->name, HELPER_UNSUPPORTED, "%s", snmp_errstring((int)answer->errstat));
    else if (!answer->variables || answer->variables->type == SNMP_NOSUCHOBJECT ||
             answer->variables->type == SNMP_NOSUCHINSTANCE)
        helper_none(p->h, o->name, HELPER_UNSUPPORTED, "it has no such object");
    else if (!number(answer->variables, &v))
        helper_none(p->h, o->name, HELPER_GARBLED, "the object is not a number");
    else
        helper_put(p->h, o->name, v * o->scale, o->unit);
}

static void ask(struct pdu *p, const struct object *o)
{
    struct snmp_pdu *answer = NULL;
    if (o->length == 0)
        return;
    struct snmp_pdu *question = snmp_pdu_create(SNMP_MSG_GET);
    snmp_add_null_var(question, o->id, o->length);
    int rc = snmp_synch_response(p->session, question, &answer);
    if (rc == STAT_SUCCESS && answer)
        put_answer(p, o, answer);
    else
        helper_none(p->h, o->name, HELPER_IO, "%s",
                    rc == STAT_TIMEOUT ? "it does not answer" : "the question failed");
    if (answer)
        snmp_free_pdu(answer);
}

/* source: net-snmp, snmp_api(3): SHA and AES, authPriv. */
static void use_v3(struct pdu *p, struct snmp_session *s)
{
    s->version = SNMP_VERSION_3;
    s->securityName = p->user;
    s->securityNameLen = strlen(p->user);
    s->securityLevel = SNMP_SEC_LEVEL_AUTHPRIV;
    s->securityAuthProto = snmp_duplicate_objid(usmHMACSHA1AuthProtocol, USM_AUTH_PROTO_SHA_LEN);
    s->securityAuthProtoLen = USM_AUTH_PROTO_SHA_LEN;
    s->securityPrivProto = snmp_duplicate_objid(usmAESPrivProtocol, USM_PRIV_PROTO_AES_LEN);
    s->securityPrivProtoLen = USM_PRIV_PROTO_AES_LEN;
    s->securityAuthKeyLen = s->securityPrivKeyLen = USM_AUTH_KU_LEN;
    if (generate_Ku(s->securityAuthProto, (u_int)s->securityAuthProtoLen, (u_char *)p->auth,
                    strlen(p->auth), s->securityAuthKey,
                    &s->securityAuthKeyLen) != SNMPERR_SUCCESS ||
        generate_Ku(s->securityAuthProto, (u_int)s->securityAuthProtoLen, (u_char *)p->priv,
                    strlen(p->priv), s->securityPrivKey, &s->securityPrivKeyLen) != SNMPERR_SUCCESS)
        helper_usage(p->h, "the pass phrases must have at least 8 characters");
}

static void open_session(struct pdu *p)
{
    struct snmp_session s;
    /* No configuration of the user's or the system's, and no file of ours. */
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE, 1);
    snmp_disable_log();
    init_snmp("wattq");
    snmp_sess_init(&s);
    s.peername = p->host;
    s.timeout = TIMEOUT_US;
    s.retries = 1;
    if (p->user) {
        use_v3(p, &s);
    } else {
        s.version = SNMP_VERSION_2c;
        s.community = (u_char *)p->community;
        s.community_len = strlen(p->community);
    }
    p->session = snmp_open(&s);
    free(s.securityAuthProto);
    free(s.securityPrivProto);
}

enum { HOST = 256, POWER, POWER_SCALE, ENERGY, ENERGY_SCALE, COMMUNITY, USER, AUTH, PRIV };

static const struct option options[] = {HELPER_LONG_OPTIONS,
                                        {"host", required_argument, NULL, HOST},
                                        {"power", required_argument, NULL, POWER},
                                        {"power-scale", required_argument, NULL, POWER_SCALE},
                                        {"energy", required_argument, NULL, ENERGY},
                                        {"energy-scale", required_argument, NULL, ENERGY_SCALE},
                                        {"community-file", required_argument, NULL, COMMUNITY},
                                        {"user", required_argument, NULL, USER},
                                        {"auth-file", required_argument, NULL, AUTH},
                                        {"priv-file", required_argument, NULL, PRIV},
                                        {0}};

/* Numbers only: names would need MIB files. */
static void take_oid(const struct helper *h, struct object *o, const char *text)
{
    const char *p = text + (*text == '.');
    o->length = 0;
    for (bool more = true; more && o->length < MAX_OID_LEN;) {
        char *end = NULL;
        unsigned long n = strtoul(p, &end, 10);
        if (*p < '0' || *p > '9' || n > UINT32_MAX)
            break;
        o->id[o->length++] = n;
        more = *end == '.';
        p = end + more;
    }
    if (*p || o->length < 2)
        helper_usage(h, "'%.60s' is not an object id in numbers, like .1.3.6.1.4.1.318.1", text);
}

static double scale_of(const struct helper *h, const char *text)
{
    char *end = NULL;
    double x = strtod(text, &end);
    if (end == text || *end || !(x > 0 && x < 1e9))
        helper_usage(h, "'%.20s' is not a scale above 0", text);
    return x;
}

static void take_option(struct pdu *p, int c)
{
    if (helper_option(p->h, c, optarg))
        return;
    switch (c) {
    case HOST:
        p->host = optarg;
        break;
    case POWER:
        take_oid(p->h, &p->power, optarg);
        break;
    case POWER_SCALE:
        p->power.scale = scale_of(p->h, optarg);
        break;
    case ENERGY:
        take_oid(p->h, &p->energy, optarg);
        break;
    case ENERGY_SCALE:
        p->energy.scale = scale_of(p->h, optarg);
        break;
    case COMMUNITY:
        p->community = helper_secret(p->h, optarg);
        break;
    case USER:
        p->user = optarg;
        break;
    case AUTH:
        p->auth = helper_secret(p->h, optarg);
        break;
    case PRIV:
        p->priv = helper_secret(p->h, optarg);
        break;
    case 'h':
        (void)fputs(help, stdout);
        exit(0);
    default:
        helper_usage(p->h, "it does not know that option");
    }
}

int main(int argc, char **argv)
{
    struct helper h = {.program = "wattq-meter-snmp", .period_ns = NS_PER_S};
    struct pdu p = {.h = &h,
                    .power = {.name = "power", .unit = "W", .scale = 1},
                    .energy = {.name = "energy", .unit = "Wh", .scale = 1}};
    for (int c; (c = getopt_long(argc, argv, "p:1h", options, NULL)) != -1;)
        take_option(&p, c);
    if (optind < argc || !p.host || (p.power.length == 0 && p.energy.length == 0))
        helper_usage(&h, "it needs --host and --power OID or --energy OID");
    if (p.user ? !p.auth || !p.priv : !p.community)
        helper_usage(&h, "it needs --community-file, or --user, --auth-file and --priv-file");
    open_session(&p);
    do {
        if (p.session) {
            ask(&p, &p.power);
            ask(&p, &p.energy);
        } else {
            helper_none(&h, "power", HELPER_IO, "there is no such host");
            open_session(&p);
        }
    } while (helper_next(&h));
    if (p.session)
        snmp_close(p.session);
    free(p.community);
    free(p.auth);
    free(p.priv);
    return helper_exit(&h);
}
