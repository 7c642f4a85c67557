/* Directories of runs that are over, when their user has left: <runs>/ID (result.h). Any thread; nobody else is at
 * work in them then. runs_fd is the open directory of runs. In user mode all of them are ours; in system mode ours
 * with files of the user in them, or (wattq exec) the user's, in which our group may make and remove names. */
#ifndef DAEMON_LAUNCH_LAUNCH_DIRS_H
#define DAEMON_LAUNCH_LAUNCH_DIRS_H

#include "common/base.h"

/* Nobody but us reaches the files any more, whoever they belong to. False = it could not be had. One that is not there
 * is fine, here and below. */
bool launch_dir_close(int runs_fd, int64_t run);
/* With all that is in it. */
bool launch_dir_remove(int runs_fd, int64_t run);

#endif
