/* Warrants (common/warrant.h) on wattqd's side, in system mode: what a peer hands in before it submits, which of
 * them covers which run, and the files they are kept in, <state>/warrants/<SHA-256 of the file>, 0600, until they
 * expire. A file is named by what is in it, so that nobody's can take the place of another's.
 * wattqd has no key: whether a warrant is genuine shows at the start. What is checked here is what would be
 * refused there, so that a person hears of it at once.
 *
 * No thread of its own: a struct warrants belongs to one thread at a time. Those that touch files block: the
 * storage thread, or before there are threads. */
#ifndef DAEMON_QUEUE_WARRANTS_H
#define DAEMON_QUEUE_WARRANTS_H

#include "common/durable.h"
#include "common/spec.h"
#include "common/warrant.h"

#define WARRANTS_MAX (SPEC_SWEEP_RUNS / WARRANT_RUNS_MAX + 1) /* of one submission */

struct warrants; /* in the order they were handed in */

struct warrants *warrants_new(void);
void warrants_free(struct warrants *w); /* NULL is fine */
size_t warrants_count(const struct warrants *w);
/* From untrusted bytes. WATTQ_E_INVALID: it is none; WATTQ_E_FORBIDDEN: of another user, or expired;
 * WATTQ_E_LIMIT: WARRANTS_MAX are there. */
int warrants_add(struct warrants *w, const void *data, size_t bytes, int64_t uid, int64_t now_utc_s,
                 struct err *e) MUST_USE;
/* Which covers run i of a submission: the runs were signed in their order, WARRANT_RUNS_MAX by
 * WARRANT_RUNS_MAX. env_hash as queue_env has it. WATTQ_E_FORBIDDEN: none does; also for w = NULL. */
int warrants_cover(const struct warrants *w, size_t i, const struct spec *s, const char *env_hash,
                   struct err *e) MUST_USE;
/* Of a run that is covered: the name of its warrant's file; lives with w. */
const char *warrants_name(const struct warrants *w, size_t i);

/* Those of the first `runs` runs to files, which are durable once durable_wait(files) says so. The directory is made
 * when it is missing. */
int warrants_store(const struct warrants *w, size_t runs, const char *dir, struct durable *files,
                   struct err *e) MUST_USE;
/* WATTQ_E_NOT_FOUND: it has expired; submit the run again. */
int warrants_load(const char *dir, const char *name, int64_t now_utc_s, struct warrant *out,
                  struct err *e) MUST_USE;
/* Remove the files of those that have expired. */
void warrants_expire(const char *dir, int64_t now_utc_s);

#endif
