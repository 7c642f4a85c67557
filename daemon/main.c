/* wattqd: options, then daemon_run (daemon.c) or restore_run, then an exit code (wattqd(8)). */
#include <stdio.h>

#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/restore.h"

static int fail(const struct err *e)
{
    fprintf(stderr, "wattqd: %s\n", e->text);
    if (e->next[0])
        fprintf(stderr, "  %s\n", e->next);
    return err_exit_code(e->code);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct config config;
    int rc = config_load(&config, argc, argv, &e);
    if (rc != 0)
        return rc > 0 ? 0 : fail(&e);
    enum log_level level = LOG_INFO;
    if (log_parse_level(config.log_level, &level) == 0)
        log_set_level(level);
    rc = config.restore[0] ? restore_run(&config, &e) : daemon_run(&config, &e);
    config_fini(&config);
    return rc < 0 ? fail(&e) : 0;
}
