/* The report of a fitted model as JSON and back (docs/model.md lists the keys). One description of each
 * struct serves both ways, so that what is written can be read. Pure. Unknown numbers are null and NAN. */
#ifndef CLIENT_MODEL_JSON_H
#define CLIENT_MODEL_JSON_H

#include <jansson.h>

#include "daemon/model/fit.h"

json_t *model_report_json(const struct fit *f); /* new references */
json_t *model_caches_json(const struct caches *c);

/* Fills all of f but its terms' texts and run list. WATTQ_E_CORRUPT naming what is missing. */
int model_report_read(struct fit *f, const json_t *report, struct err *e) MUST_USE;
int model_caches_read(struct caches *c, const json_t *v, struct err *e) MUST_USE;

#endif
