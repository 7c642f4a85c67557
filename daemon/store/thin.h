/* Thinned chunks: what is kept of the samples of a stretch of time. Pure but for memory; any thread.
 *
 * Kept are true ticks: the first of each interval, the first and last of the stretch, both ends of every gap of
 * every channel, and every channel's last sample; and between them the lowest and highest power, rounded outward.
 * So E at a kept tick is what it was (gauges; counters whose register moved at it), what is unknown or bridged is
 * exactly as long as it was, and between kept ticks E is linear.
 *
 * The blob is that of codec.h with the flag CODEC_THIN; for C channels it has 3 C columns:
 *   c          counters, CPU times, companions: the reading; gauges and averages: E in uJ. 0x40: what lies between
 *              the value before and this one is unknown; 0x80: it is bridged
 *   C + c      the lowest power (companions: value) since the value before, as a level; no value = not known
 *   2 C + c    the highest, in levels above the lowest */
#ifndef DAEMON_STORE_THIN_H
#define DAEMON_STORE_THIN_H

#include "daemon/store/codec.h"
#include "daemon/store/walk.h"

/* Levels: whole numbers up to 1023 are themselves, above that numbers of 10 significant bits are counted on:
 * 0 .. 1023, 1024, 1026 .. 2046, 2048, 2052 ... Negative ones likewise. A picture's pixels are no finer than a hundredth,
 * so from 1024 on only every eighth is written, which takes three bits less. */
int64_t thin_level_down(int64_t value); /* largest level that is written whose value is not above */
int64_t thin_level_up(int64_t value);   /* smallest one whose value is not below */
int64_t thin_level_value(int64_t level);

static inline bool thin_is(const struct codec_view *v)
{
    return (v->flags & CODEC_THIN) != 0;
}
/* Of the group, whichever kind of blob it is. */
static inline uint32_t thin_channels(const struct codec_view *v)
{
    return thin_is(v) ? v->channels / 3 : v->channels;
}

/* Along one channel of a blob of either kind, from tick 0; at most v->n times. */
struct thin_cursor {
    struct codec_view *view;
    uint32_t at; /* next tick */
    struct codec_cursor value;
    struct codec_cursor lo, width; /* thinned ones only */
};
/* slot < thin_channels(v). */
void thin_cursor_open(struct thin_cursor *c, struct codec_view *v, uint32_t slot);
static inline struct walk_sample thin_cursor_sample(struct thin_cursor *c)
{
    struct walk_sample x = {.t_ns = codec_time(c->view, c->at),
                            .flags = codec_flags(c->view, c->at)};
    x.value = codec_cursor_next(&c->value, &x.state);
    c->at++;
    return x;
}
/* Of samples: go on behind mark k > 0, as codec_cursor_skip. */
bool thin_cursor_skip(struct thin_cursor *c, uint32_t k, struct codec_mark *out);
/* Of samples: walk_pass of the next ones before t, of as many as can be taken at once. False = there is none. */
bool thin_cursor_pass(struct thin_cursor *c, const struct walk_rule *r, struct walk_state *s,
                      int64_t t_ns);
/* Thinned ones: with lo and hi. */
struct walk_kept thin_cursor_kept(struct thin_cursor *c);

/* What is thinned: blocks of one group that follow each other in an epoch, all of samples or all thinned. */
struct thin_job {
    struct codec_view *blocks;
    size_t n;
    int64_t interval_ns;
    uint32_t channels;
    const struct walk_rule *rules; /* one per channel */
    const struct walk_state
        *starts; /* at the first tick of blocks[0], or at the channel's first valid sample after
                                        that; last_ns WALK_NONE: none is in these blocks */
};
/* Caller frees *blob. 0; WATTQ_E_LIMIT: more channels than a blob has room for; WATTQ_E_STORAGE. */
int thin_build(const struct thin_job *j, uint8_t **blob, size_t *bytes, struct err *e) MUST_USE;

#endif
