/* Runs and figures as the protocol shows them (docs/protocol.md, "A run summary", "A figure"). Any
 * thread; the encoder belongs to one request. */
#ifndef DAEMON_API_ENCODE_H
#define DAEMON_API_ENCODE_H

#include "common/users.h"
#include "common/wire.h"
#include "daemon/api/rights.h"
#include "daemon/queue/queue.h"

struct
    encode { /* with the rights of whom it is for; all else zero: remembers the last name looked up */
    struct rights as;
    bool known;
    int64_t uid;
    char user[USERS_NAME_MAX];
};

/* The name of a user, remembered. */
const char *encode_user(struct encode *enc, int64_t uid);
/* Keys of a summary into the open map. live may be NULL: then all comes from the row. To whom may not see the
 * run's details `command` and `reason` are not shown and `hidden` is true. */
void encode_run(struct encode *enc, struct wire_out *o, const struct run_row *row,
                const struct queue_run *live);
void encode_opt(struct wire_out *o, const char *key, int64_t value); /* RUN_NONE = nil */
/* The whole map under key; stored figures, and computed ones with the channel they are of (NULL = the
 * total). As coarse as the peer's rights say (coarse.h). */
void encode_stored(struct wire_out *o, const char *key, const struct run_energy *f,
                   const struct rights *as);
struct encode_figure {
    const struct energy_figure *f;
    const struct channel_row *channel;
    const char *figure;
    const char *part;
    bool in_total;
};
void encode_figure(struct wire_out *o, const char *key, const struct encode_figure *f,
                   const struct rights *as);

#endif
