/* A plug-in of ipmi_sim: its management controller answers DCMI Get Power Reading with the four numbers of a
 * text file (current, least, most, mean watts), and "node busy" while there is no such file.
 * Built by the test that uses it, against OpenIPMI's headers; nothing of wattq links it. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <OpenIPMI/serv.h>
/* mcserv.h wants serv.h before it. */
#include <OpenIPMI/mcserv.h>

#define GROUP       0xdc
#define CMD_CAPABLE 0x01
#define CMD_POWER   0x02
#define CC_BUSY     0xc0
#define CC_UNKNOWN  0xc1
#define MEASURING   0x40

static char path[512];

static unsigned char *put(unsigned char *p, uint32_t v, int bytes)
{
    while (bytes-- > 0) {
        *p++ = (unsigned char)v;
        v >>= 8;
    }
    return p;
}

static void power(unsigned char *r, unsigned int *len)
{
    unsigned w[4] = {0};
    FILE *f = fopen(path, "r");
    int n = f ? fscanf(f, "%u %u %u %u", &w[0], &w[1], &w[2], &w[3]) : 0;
    if (f)
        fclose(f);
    r[0] = n == 4 ? 0 : CC_BUSY;
    *len = 1;
    if (n != 4)
        return;
    unsigned char *p = put(r + 1, GROUP, 1);
    for (int i = 0; i < 4; i++)
        p = put(p, w[i], 2);
    p = put(p, (uint32_t)time(NULL), 4);
    p = put(p, 1000, 4);
    p = put(p, MEASURING, 1);
    *len = (unsigned)(p - r);
}

static void answer(lmc_data_t *mc, msg_t *m, unsigned char *r, unsigned int *len, void *arg)
{
    static const unsigned char capable[] = {0, GROUP, 1, 5, 2, 0, 1, 7};
    (void)mc;
    (void)arg;
    r[0] = CC_UNKNOWN;
    *len = 1;
    if (m->cmd == CMD_POWER) {
        power(r, len);
    } else if (m->cmd == CMD_CAPABLE) {
        for (*len = 0; *len < sizeof capable; ++*len)
            r[*len] = capable[*len];
    }
}

int ipmi_sim_module_print_version(sys_data_t *sys, char *options)
{
    (void)sys;
    (void)options;
    return puts("wattq test DCMI 1") < 0;
}

int ipmi_sim_module_init(sys_data_t *sys, const char *options)
{
    (void)sys;
    snprintf(path, sizeof path, "%s", options ? options : "");
    ipmi_emu_register_group_extension_handler(GROUP, answer, NULL);
    return 0;
}

int ipmi_sim_module_post_init(sys_data_t *sys)
{
    (void)sys;
    return 0;
}
