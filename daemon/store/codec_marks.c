#include "daemon/store/codec_private.h"
#include "daemon/store/walk.h"

/* A mark costs some bytes a column, and what lies between two is what a reader unpacks in vain. Slow groups are what
 * years are kept of. */
#define STRETCH_SLOW 1024u
#define STRETCH_FAST 2048u
#define SLOW_NS      (NS_PER_S / 2)

uint32_t marks_stretch(const struct codec_block *b, uint32_t n, uint8_t flags)
{
    uint32_t stretch = b->period_ns >= SLOW_NS ? STRETCH_SLOW : STRETCH_FAST;
    /* Kept ticks are few, and their curve goes otherwise. */
    bool thinned = (flags & CODEC_THIN) != 0;
    return thinned || n <= stretch ? CODEC_TICKS_MAX : stretch;
}

static void take_mark(struct column_mark *m, const struct walk_state *s,
                      const struct walk_state *before, enum channel_kind kind)
{
    *m = (struct column_mark){0};
    if (channel_kind_integrates(kind)) {
        m->e_uj = diff64(s->e_uj, before->e_uj);
        m->rem = (uint64_t)s->rem;
    }
    if (channel_kind_counts(kind) && s->knot_ns != s->last_ns)
        m->knot = s->knot_ns == before->knot_ns ? 1 : (uint64_t)diff64(s->last_ns, s->knot_ns) + 1;
}

/* Nothing but regular steps so far, and sums that surely fit. */
static bool is_plain(const struct walk_state *s, int64_t t_ns)
{
    return s->last_ns == t_ns && s->unknown_ns == 0 && s->bridged_ns == 0 &&
           s->e_uj < WALK_VALUE_MAX && s->e_uj > -WALK_VALUE_MAX;
}

/* Samples [from, to). */
static void pass(const struct column_room *r, const struct walk_rule *rule, struct walk_state *s,
                 uint32_t from, uint32_t to)
{
    while (from < to) {
        const struct walk_sample one = {.t_ns = r->t_ns[from], .value = r->value[from]};
        const struct walk_values all = {r->t_ns + from, r->t_ns + from, r->value + from, to - from};
        uint32_t n = walk_pass_many(rule, s, &all, INT64_MAX);
        if (n == 0)
            walk_pass(rule, s, &one);
        from += n > 0 ? n : 1;
    }
}

bool marks_find(struct column_room *r, enum channel_kind kind, int64_t period_ns)
{
    const struct walk_rule rule = {kind, walk_stall_ns(period_ns)};
    struct walk_state s = {.last_ns = WALK_NONE}, before;
    pass(r, &rule, &s, 0, 1);
    for (uint32_t at = r->stretch; is_plain(&s, r->t_ns[at - r->stretch]); at += r->stretch) {
        if (at >= r->n)
            return true;
        struct column_mark *m = &r->mark[at / r->stretch - 1];
        int64_t units = 0;
        before = s;
        pass(r, &rule, &s, at - r->stretch + 1, at + 1);
        take_mark(m, &s, &before, kind);
        for (uint32_t i = at - r->stretch + 1; i <= at; i++)
            units = sum64(units, r->d[i]);
        m->units = units;
    }
    return false;
}

void marks_put(struct bytes_out *o, enum channel_kind kind, const struct column_mark *m)
{
    bytes_put_varint(o, m->bytes);
    bytes_put_varint(o, bits_zigzag(m->units));
    if (channel_kind_counts(kind))
        bytes_put_varint(o, m->knot);
    if (channel_kind_integrates(kind)) {
        bytes_put_varint(o, bits_zigzag(m->e_uj));
        bytes_put_varint(o, m->rem);
    }
}

void marks_get(struct bytes_in *in, enum channel_kind kind, struct column_mark *m)
{
    *m = (struct column_mark){0};
    m->bytes = bytes_get_varint(in);
    m->units = bits_unzigzag(bytes_get_varint(in));
    if (channel_kind_counts(kind))
        m->knot = bytes_get_varint(in);
    if (channel_kind_integrates(kind)) {
        m->e_uj = bits_unzigzag(bytes_get_varint(in));
        m->rem = bytes_get_varint(in);
    }
}
