/* `wattq study`: one file per subcommand. */
#ifndef CLIENT_STUDY_CMD_H
#define CLIENT_STUDY_CMD_H

#include "client/cmd.h"
#include "client/submit.h"

/* args.pos[0] is the subcommand's name; the trainer's options stand among what follows. */
int study_plan(struct app *app, struct err *e) MUST_USE;
int study_cache(struct app *app, struct err *e) MUST_USE;
int study_canary(struct app *app, struct err *e) MUST_USE;

/* A growing command line; words are copied. */
struct words {
    char **at;
    size_t n;
};
void words_put(struct words *w, const char *text);
void words_finip(struct words *w);
/* All of them with a blank between, quoted for the shell where needed; new memory. */
char *words_line(const struct words *w, size_t from);

#endif
