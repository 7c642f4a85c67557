/* A model as people read it. Pure but for the stream it writes to. */
#ifndef CLIENT_MODEL_PAGE_H
#define CLIENT_MODEL_PAGE_H

#include "client/model_load.h"
#include "client/print.h"

void model_page(const struct print *p, const struct model *m);
/* "s/step = step + layer D + op O + ...", for a line of text. */
const char *model_law_text(char *buf, size_t cap, const struct fit *f);

#endif
