/* A warrant: the launcher's word that a user has asked for certain commands. In system mode nothing is
 * started in a user's name without one, so that a wattqd that was taken over cannot run what nobody
 * submitted (docs/security.md).
 *
 *   client                        wattqd                     wattq-launcher (root)
 *   order_hash of each run  --------------------- SIGN ----> knows the uid by SO_PEERCRED
 *   <------------------------------------------ warrant ---- mac = HMAC(key, all of it)
 *   submit + warrant  ----------> keeps it with the runs
 *                                 START + warrant + memfd -> hashes what is in the memfd, finds it among the
 *                                                            warrant's, checks mac, time and number of starts
 *
 * What is hashed is all that gives authority over the user's account: program, arguments, environment,
 * directory, input, umask, the command that is run after it. What wattqd may choose itself (limits, grace, the GPU that was given) is not.
 * Pure, any thread. No msgpack, no libuv: the launcher links it. */
#ifndef COMMON_WARRANT_H
#define COMMON_WARRANT_H

#include "common/err.h"
#include "common/sha256.h"

#define WARRANT_RUNS_MAX 256 /* commands under one warrant; a larger sweep takes several */
#define WARRANT_VERSION  1

enum order_kind {
    ORDER_COMMAND,
    ORDER_TRAIN /* the built-in trainer: argv are its arguments, the program is the launcher's */
};
/* One run as its user means it. Strings are borrowed; argv is NULL-terminated. */
struct order {
    uint32_t kind; /* enum order_kind */
    uint32_t umask;
    const char *cwd;        /* absolute */
    const char *stdin_path; /* NULL or "" = /dev/null */
    char *const *argv;
    const char
        *env_hash; /* SHA-256 in hex of the environment block "K=V\0K=V\0", as queue_env has it */
    const char *on_end; /* command that is run once it has ended; NULL or "" = none */
};
/* Each field is hashed with its length in front, so that no two orders have the same bytes. on_end is the last and
 * only there where there is one: orders without are what they were before there was any. */
void order_hash(const struct order *o, uint8_t out[SHA256_BYTES]);
/* env is NULL-terminated or NULL. */
void order_env_hash(char *const *env, char out[SHA256_HEX]);

/* As it travels and is kept: these bytes, native byte order (both ends are the same machine). */
struct warrant {
    uint32_t version; /* WARRANT_VERSION */
    uint32_t n;       /* leaves */
    int64_t uid;
    int64_t made_utc_s, until_utc_s;
    uint32_t starts_max; /* of all its runs together; a retry is a start */
    uint32_t reserved;
    uint8_t id[16];            /* random: under which starts are counted */
    uint8_t mac[SHA256_BYTES]; /* HMAC-SHA256 of everything else, leaves included */
    uint8_t leaves[WARRANT_RUNS_MAX][SHA256_BYTES];
};
_Static_assert(offsetof(struct warrant, leaves) == 88, "no padding: all of it is under the mac");
/* How many bytes of it are used: up to the last leaf. */
size_t warrant_bytes(const struct warrant *w);
/* From untrusted bytes: the version, n in 1 .. WARRANT_RUNS_MAX, exactly as many bytes as n says, no leaf
 * twice. Says nothing about the mac. WATTQ_E_INVALID. */
int warrant_parse(struct warrant *w, const void *data, size_t bytes, struct err *e) MUST_USE;
/* Index of that order, or -1. */
int warrant_find(const struct warrant *w, const uint8_t leaf[SHA256_BYTES]);
void warrant_sign(struct warrant *w, const uint8_t key[SHA256_BYTES]);
/* In constant time. */
bool warrant_genuine(const struct warrant *w, const uint8_t key[SHA256_BYTES]);

#endif
