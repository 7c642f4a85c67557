/* A plug-in for ipmi_sim, which has no DCMI of its own: Get Power Reading answers the watts that stand in
 * the file given by loadlib; without the file the BMC is busy. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <OpenIPMI/mcserv.h>
#include <OpenIPMI/serv.h>

#define GROUP_DCMI 0xdc

static char path[512];

static void put(unsigned char *p, unsigned value, int bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        *p++ = value & 255;
}

static int read_watts(unsigned *watts)
{
    FILE *f = fopen(path, "r");
    int known = f && fscanf(f, "%u", watts) == 1;
    if (f)
        fclose(f);
    return known;
}

static void handle(lmc_data_t *mc, msg_t *msg, unsigned char *answer, unsigned int *bytes,
                   void *data)
{
    unsigned watts = 0;
    (void)mc;
    (void)data;
    *bytes = 1;
    if (msg->cmd != 0x02) {
        answer[0] = 0xc1;
    } else if (!read_watts(&watts)) {
        answer[0] = 0xc0;
    } else {
        memset(answer, 0, 19);
        answer[1] = GROUP_DCMI;
        put(answer + 2, watts, 2);
        put(answer + 4, watts / 2, 2); /* smallest, largest, mean: must not be taken */
        put(answer + 6, watts * 2, 2);
        put(answer + 8, watts + 99, 2);
        put(answer + 10, (unsigned)time(NULL), 4);
        put(answer + 14, 65530000, 4);
        answer[18] = 0x40;
        *bytes = 19;
    }
}

int ipmi_sim_module_print_version(sys_data_t *sys, char *options)
{
    (void)sys;
    (void)options;
    return 0;
}

int ipmi_sim_module_init(sys_data_t *sys, const char *options)
{
    (void)sys;
    snprintf(path, sizeof(path), "%s", options ? options : "");
    ipmi_emu_register_group_extension_handler(GROUP_DCMI, handle, NULL);
    return 0;
}

int ipmi_sim_module_post_init(sys_data_t *sys)
{
    (void)sys;
    return 0;
}
