/* Lines of JSON about a run, appended to the file that WATTQ_METRICS names: what the daemon imports while
 * the run goes on (docs/trainer.md, "The metrics file"). One write(2) per line, O_APPEND. Without the
 * variable every call does nothing. A file that cannot be opened is an error at the start; one that cannot
 * be written later is reported once, and training goes on: the run matters more than its curve. */
#ifndef TRAINER_METRICS_H
#define TRAINER_METRICS_H

#include "common/err.h"

#define METRICS_LINE_MAX 4096

struct metrics {
    int fd; /* -1: none */
    bool failed;
};

/* 0, or WATTQ_E_IO. path NULL or "": no metrics are kept. */
int metrics_open(struct metrics *m, const char *path, struct err *e) MUST_USE;
void metrics_close(struct metrics *m);

/* One line under construction: an object, opened by json_start. Too long a line is never written. */
struct json {
    char text[METRICS_LINE_MAX];
    size_t used;
    bool comma;
    bool overflow;
};
void json_start(struct json *j);
void json_open(struct json *j, const char *key); /* a nested object; key NULL only by json_start */
void json_close(struct json *j);
void json_text(struct json *j, const char *key, const char *value); /* NULL: null */
void json_i64(struct json *j, const char *key, int64_t value);
void json_f64(struct json *j, const char *key, double value); /* 9 digits; not finite: null */
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);
void json_i64s(struct json *j, const char *key, const int64_t *values, size_t n);

/* Close the outermost object and append the line. */
void metrics_write(struct metrics *m, struct json *j);

#endif
