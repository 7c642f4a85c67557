/* import: files of runs that were measured elsewhere. A reader fills a localdb with the tables of the schema
 * (import.c: another wattq's files; import_record.c: exec --standalone; import_study.c: the published
 * study's CSV), or the file is such a database itself; import_send hands them to the daemon, which takes all
 * or nothing. Everything is parsed here, as the user. */
#ifndef CLIENT_IMPORT_H
#define CLIENT_IMPORT_H

#include "client/conn.h"
#include "client/localdb.h"

struct import_file {
    const char *path;
    const char *name; /* its last part, for messages */
    struct localdb *db;
    char machine[64];
    const char *format; /* "wattq", "standalone", "butter" */
    char sha256[65];
    char *facts; /* JSON; NULL = {} */
};
struct import_result {
    int64_t imported, known, origin;
    int64_t live; /* runs in the file that had not ended: left out */
};

/* Read a file, whatever it is. WATTQ_E_INVALID with file, line and column. import_close in any case. */
int import_open(struct import_file *f, const char *path, struct err *e) MUST_USE;
void import_close(struct import_file *f);
int import_send(struct import_file *f, struct conn *c, struct import_result *out,
                struct err *e) MUST_USE;

/* The readers; the stream stands at the first byte. */
int import_jsonl(struct import_file *f, FILE *in, struct err *e) MUST_USE;
int import_record(struct import_file *f, FILE *in, struct err *e) MUST_USE;
int import_study(struct import_file *f, FILE *in, struct err *e) MUST_USE;

/* WATTQ_E_INVALID "FILE:LINE: what". */
int import_bad(const struct import_file *f, int64_t line, struct err *e, const char *fmt, ...)
    PRINTF(4, 5);
/* A UUID made of a text: the same text gives the same one. */
void import_uuid(const char *text, char out[37]);

#endif
