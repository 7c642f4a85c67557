/* Space that is kept for a full disk: a file beside the database, <database>-reserve, whose blocks are given back
 * when the end of a run must be written down and there is nowhere to. Any thread; blocks. */
#ifndef DAEMON_STORE_RESERVE_H
#define DAEMON_STORE_RESERVE_H

#include "common/base.h"

/* Make it `bytes` long, if that leaves `spare` bytes free. true = it is that long, or was longer. */
bool reserve_hold(const char *database, int64_t bytes, int64_t spare);
/* As much as there is room for, at most `bytes`: half of what is free, but for less than 64 KiB. */
void reserve_scrape(const char *database, int64_t bytes);
/* Give back all but `keep` bytes. true = that freed something. */
bool reserve_cut(const char *database, int64_t keep);

#endif
