/* What programs read. One rule set turns any answer of the daemon into JSON, so that every command's
 * --json has the same names and units:
 *   energy_uj -> energy_j, power_uw -> power_w, cpu_us -> cpu_s   numbers in J, W, s
 *   t0_ns                                                          string: 2^53 is not enough
 *   elapsed_ns (a length of time)                                  string, and elapsed_s as a number
 *   started_utc_ns                                                 string, and started_utc in RFC 3339
 *   binary                                                         string, invalid UTF-8 replaced
 * Unknown is null; a map whose energy is null always has `reason`. Keys of params, metrics and the like
 * are the user's and stay as they are. Pure. */
#ifndef CLIENT_JSON_H
#define CLIENT_JSON_H

#include <jansson.h>

#include "common/wire.h"

json_t *json_from_wire(const struct wire_val *v); /* new reference; never NULL */
/* An answer as a document: {"schema": schema, ...}; op, id, ok and more are the protocol's and left out. */
json_t *json_document(const char *schema, const struct wire_val *reply);
/* Text that may not be UTF-8. */
json_t *json_text(const char *s, size_t bytes);
/* Length of the well-formed UTF-8 sequence at s; 0 = there is none. left > 0 bytes may be looked at. */
size_t json_utf8(const char *s, size_t left);
/* A number that prints without binary noise; null unless finite. */
json_t *json_number(double v);
/* One line (in a stream) or indented, with a newline; takes the reference. 0, or WATTQ_E_IO. */
int json_write(FILE *f, json_t *doc, bool one_line, struct err *e) MUST_USE;
void json_put(json_t *object, const char *key, json_t *value); /* takes value */
void json_freep(json_t **doc);

#endif
