/* Which code a run is made of: git commit and difference of its directory, hash of the script it runs,
 * the interpreter. Found by the client when it submits, as the user and in the user's time: git runs as
 * a program (no shell) and everything here may take up to PROVENANCE_LIMIT_NS. Never on a loop thread.
 * What cannot be found out stays empty or -1; provenance never stops a submission. */
#ifndef DAEMON_LAUNCH_PROVENANCE_H
#define DAEMON_LAUNCH_PROVENANCE_H

#include "common/sha256.h"

#define PROVENANCE_LIMIT_NS (2 * NS_PER_S) /* all of it together */
#define PROVENANCE_DIFF_MAX (256u << 10)   /* bytes of diff kept */
#define PROVENANCE_FILE_MAX (64u << 20)    /* larger scripts are not hashed */

struct provenance {
    char commit_id[65]; /* "" = cwd is in no git repository, or git is not there */
    int dirty;     /* 1 = tracked files differ from the commit, 0 = they do not, -1 = not known */
    char *diff;    /* against the commit; NULL = none or not known; ends at a line when cut */
    bool diff_cut; /* there was more than PROVENANCE_DIFF_MAX, or no time for it */
    char script[WATTQ_PATH_MAX];    /* the file that is run; "" = not found */
    char script_sha256[SHA256_HEX]; /* "" = not known */
    char interpreter
        [WATTQ_PATH_MAX];  /* resolved path of what runs it; "" = it is a program itself */
    char hash[SHA256_HEX]; /* of all of the above: equal code has equal hashes */
};

/* path is the run's PATH (NULL = a default). */
void provenance_collect(struct provenance *p, const char *cwd, char *const argv[],
                        const char *path);
void provenance_fini(struct provenance *p);

#endif
