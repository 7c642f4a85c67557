/* The design of a measured sweep of networks: how long a run is, what stands around it, and in which
 * blocks. What is typed, what the meters need, and the defaults come together here; queue_expand makes
 * runs of it. docs/study.md says what each default is for. */
#ifndef CLIENT_DESIGN_H
#define CLIENT_DESIGN_H

#include "client/submit.h"
#include "daemon/queue/queue.h"

#define DESIGN_REPEAT       3
#define DESIGN_CANARY_EVERY 20
#define DESIGN_REL_ERROR    0.01
#define DESIGN_PAUSE_NS     (2 * NS_PER_S)
#define DESIGN_WARMUP_NS    (10 * NS_PER_S)
/* Big enough to feel clocks and caches, small enough to have many epochs in a second. */
#define DESIGN_CANARY_NET "dataset=standin:adult,shape=rectangle,depth=4,size=2^14"

/* How long the meters of this machine want a run to be. */
struct design_length {
    double seconds; /* of training; 0 = epochs were given, no meter was asked */
    double wanted;  /* relative error asked for */
    double reached; /* above wanted: no run short enough for us reaches it */
    char why[200];  /* "package-0 (counter, 1 ms refresh)"; "" = the seconds were given */
    bool estimate;  /* nothing here measures */
    bool unknown;   /* no daemon was there to tell the meters */
};

struct design {
    struct train_args canary;
    struct train_args warmup;
    struct design_length length;
    int64_t pause_ns;
};
void design_finip(struct design *d);

/* "1%", "0.5 %", "0.01". WATTQ_E_USAGE. */
int design_error_parse(const char *text, double *out, struct err *e) MUST_USE;
/* Longest that a channel of the machine's total wants; meters = the reply to `meters`. */
void design_meter(struct design_length *l, const struct wire_val *meters);

/* Options of a sweep of networks: sets repeat, canaries, warm-up of q, the length of the runs in t, the
 * pause in d. c may be NULL (a dry run without a daemon). d owns what q then points to. */
int design_init(struct design *d, const struct args *a, struct train_args *t, struct queue_sweep *q,
                struct conn *c, struct err *e) MUST_USE;
/* --pause, which any sweep takes; *out_ns keeps its default without it. */
int design_pause(const struct args *a, int64_t *out_ns, struct err *e) MUST_USE;
/* What is only for networks was asked of a sweep of commands: WATTQ_E_USAGE. */
int design_refuse(const struct args *a, struct err *e) MUST_USE;
/* "each run trains at least 5 s ...": one sentence into buf. */
const char *design_say_length(char *buf, size_t cap, const struct design_length *l);

#endif
