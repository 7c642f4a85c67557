/* The views over exported tables: what people, CSV and JSON lines see. Base units, UTC text beside
 * nanoseconds, every column of the table behind it, so that an export can be imported again. Pure. */
#ifndef CLIENT_VIEWS_H
#define CLIENT_VIEWS_H

#include "common/base.h"

struct view {
    const char *name;  /* "runs" */
    const char *table; /* the table whose rows it shows */
    const char *what;  /* one line for people */
    const char *sql;   /* SELECT */
    bool curve;        /* long: left out of an export unless asked for */
};
extern const struct view view_list[];
extern const size_t view_count;

const struct view *view_find(const char *name); /* NULL */
/* "runs, params, ...: wattq help sql" for messages: as many names as fit. */
const char *view_names(char *buf, size_t cap);

#endif
