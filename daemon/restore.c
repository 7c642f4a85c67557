#include "daemon/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/units.h"
#include "daemon/paths.h"
#include "daemon/store/replace.h"

static void show(const struct paths *p, const struct replace_done *done)
{
    char when[40];
    printf("%s: %" PRId64 " runs", p->database, done->runs);
    if (done->newest_utc_ns != INT64_MIN)
        printf(", the newest of %s", units_show_utc(when, sizeof(when), done->newest_utc_ns));
    printf("\n");
    if (done->held > 0)
        printf("%" PRId64 " runs that waited are held now; wattq release lets them go on\n",
               done->held);
    if (done->cancelled > 0)
        printf("%" PRId64 " runs that waited have begun since, and are cancelled\n",
               done->cancelled);
    if (done->aside[0])
        printf("the database from before: %s\n", done->aside);
}

int restore_run(const struct config *cfg, struct err *e)
{
    struct paths p;
    struct replace_done done;
    int rc = paths_init(&p, cfg, true, e);
    if (rc < 0)
        return rc;
    int lock CLEANUP(base_closep) = paths_lock(&p, e);
    if (lock < 0)
        return lock;
    const struct replace_ask ask = {
        .from = cfg->restore, .database = p.database, .runs = p.runs, .by = (int64_t)getuid()};
    rc = replace_database(&ask, &done, e);
    if (rc == 0)
        show(&p, &done);
    return rc;
}
