/* One line per event on stderr: "<level>text key=value ...". journald reads the <level> prefix; a
 * terminal gets none. Written where an error is handled, once. Any thread. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include "common/err.h"

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

void log_set_level(enum log_level level); /* the only mutable global of the program */
int log_parse_level(const char *s, enum log_level *out); /* 0; 1 = no such level */
void log_write(enum log_level level, const char *fmt, ...) PRINTF(2, 3);
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
