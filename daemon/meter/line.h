/* The line protocol, by which any program is a meter (docs/line-protocol.md), and the file that names such
 * programs. Pure; any thread.
 *
 *   #wattq-line 1                 optional first line: the version
 *   42.5 W                        a reading
 *   power 42.5 W lag=2s           the same of one quantity of several, 2 s old
 *   energy 12.345 kWh             a counter that only rises
 *   power - io no answer          no reading, why, and a text for people
 *   # anything                    is passed over
 */
#ifndef DAEMON_METER_LINE_H
#define DAEMON_METER_LINE_H

#include "daemon/meter/channel_text.h"

#define LINE_VERSION  1
#define LINE_MAX      512 /* bytes of a line; a longer one is garbled */
#define LINE_NAME_MAX 48  /* with the NUL */

struct line {
    char name[LINE_NAME_MAX]; /* of the quantity; "" = the meter has but one */
    enum reading_state state; /* READING_OK, or why there is no value */
    bool energy;              /* value is uJ of a counter; else uW of a gauge */
    int64_t value;
    int64_t lag_ns, box_ns; /* as the line says; -1 = it does not */
};
/* text[n] is a line without its newline. 0; 1 = nothing in it (comment, blank, our version); 2 = the program
 * speaks another version of the protocol; WATTQ_E_INVALID = garbled. */
int line_parse(const char *text, size_t n, struct line *out) MUST_USE;

/* A file of meters. Lines:
 *   run METER COMMAND             a shell command that prints the line protocol
 *   channel METER[/NAME] kind=gauge scope=node [key=value ...]   (channel_text.h; period=1s declared=no
 *                                 unless given): NAME as the meter's lines say it
 * METER is letters, digits, _ and -. */
#define LINE_METERS_MAX 32
struct line_meter {
    char name[LINE_NAME_MAX];
    char *command;
};
struct line_file {
    struct line_meter meters[LINE_METERS_MAX];
    size_t n;
    struct channel_text channels;
};
/* Caller frees with line_file_free, also NULL. WATTQ_E_IO, WATTQ_E_INVALID naming the line. */
int line_file_load(struct line_file **out, const char *path, struct err *e) MUST_USE;
void line_file_free(struct line_file *f);

#endif
