/* A bundle: one SQLite file from which every joule of its runs can be computed again, on any machine,
 * without a daemon. It has the schema of the daemon's database (schema/), filled with the runs and what
 * belongs to them, the raw samples around their windows, and beside that:
 *   exclusion(run, name, text)     which quality filters keep a run out of fits, and why
 *   manifest(name, rows, sha256)   of every other table, over its rows in key order (localdb_hash); row
 *                                  '(all)': SHA-256 over the lines "name rows sha256" of the others, by name
 *   meta                           wattq_version, algo, made_utc_ns, selection
 * The samples that a bundle rests on are pinned in the daemon's database. */
#ifndef CLIENT_BUNDLE_H
#define CLIENT_BUNDLE_H

#include "client/cmd.h"
#include "client/localdb.h"
#include "client/sel.h"

/* Write `path` and pin the runs. WATTQ_E_CONFLICT when one of them has not ended. */
int bundle_write(const struct app *app, struct conn *c, const struct sel *runs, const char *path,
                 struct err *e) MUST_USE;

/* SHA-256 over the manifest's lines as they stand in the file. */
int bundle_manifest_hash(struct localdb *db, char out[65], struct err *e) MUST_USE;
/* Every table but `manifest`, as text with one name a line; caller frees. */
char *bundle_tables(struct localdb *db);

/* ---- verify -------------------------------------------------------------------------------------- */

enum verify_status { VERIFY_OK, VERIFY_DIFFERS, VERIFY_NOT };
struct verify_line {
    int64_t run;    /* 0 = the file itself */
    size_t figures; /* compared */
    char text[320]; /* what differs, or why it cannot be computed; "" for ok */
    enum verify_status status;
};
struct verify_report {
    struct verify_line *lines; /* tables that differ first, then every run, newest first */
    size_t n;
    size_t count[3]; /* runs by status */
    size_t damage;   /* lines that are of the file */
    size_t tables;
    size_t figures;
    char manifest[65];
};
/* Check the sums and compute every figure of a bundle again. 0 also when something differs; the report
 * is to be finished in any case. WATTQ_E_INVALID: this is no bundle. */
int verify_file(const char *path, struct verify_report *out, struct err *e) MUST_USE;
void verify_fini(struct verify_report *r);
const char *verify_status_name(enum verify_status s); /* "not recomputable" */

#endif
