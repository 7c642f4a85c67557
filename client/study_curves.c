/* Losses over the epochs, and the joules up to them: pages of the operation `curves`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/print.h"
#include "client/study_load.h"

#define PAGE 500

void study_curves_fini(struct study_curves *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->at[i].at);
    free(c->at);
    *c = (struct study_curves){0};
}

const struct study_curve *study_curve_of(const struct study_curves *c, int64_t run)
{
    size_t lo = 0;
    size_t hi = c->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (c->at[mid].run < run)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < c->n && c->at[lo].run == run ? &c->at[lo] : NULL;
}

static void add_curve(struct study_curves *out, const struct wire_val *v)
{
    const struct wire_val *points = wire_get(v, "points");
    struct study_curve *p = realloc(out->at, (out->n + 1) * sizeof *p);
    if (!p)
        abort();
    out->at = p;
    struct study_curve *c = &p[out->n++];
    *c = (struct study_curve){.run = wire_int(v, "run", 0), .n = wire_len(points)};
    c->at = base_alloc((c->n + 1) * sizeof *c->at);
    for (size_t i = 0; i < c->n; i++) {
        const struct wire_val *q = wire_at(points, i);
        int64_t uj = wire_as_int(wire_at(q, 3), PRINT_NONE);
        c->at[i] = (struct study_point){
            .epoch = wire_as_f64(wire_at(q, 0), NAN),
            .value = wire_as_f64(wire_at(q, 1), NAN),
            .t_ns = wire_as_int(wire_at(q, 2), 0),
            .energy_j = uj == PRINT_NONE ? (double)NAN : (double)uj / 1e6,
        };
    }
}

/* One request from run s->runs[*from] on; *from becomes the next one to ask for. */
static int load_page(struct study_curves *out, struct conn *c, const struct study *s, size_t *from,
                     struct err *e)
{
    int64_t next = 0;
    size_t end = s->n - *from < PAGE ? s->n : *from + PAGE;
    int rc = conn_send(c, e);
    for (bool again = true; rc == 0 && again;) {
        struct wire_msg *m CLEANUP(wire_msg_freep) = NULL;
        rc = conn_recv(c, &m, e);
        if (rc < 0)
            return rc;
        const struct wire_val *curves = wire_get(wire_msg_root(m), "curves");
        for (size_t i = 0; i < wire_len(curves); i++)
            add_curve(out, wire_at(curves, i));
        again = conn_more(m);
        next = wire_int(wire_msg_root(m), "next", 0);
    }
    size_t at = end;
    for (size_t i = *from + 1; next > 0 && i < end; i++)
        if (s->runs[i].run == next)
            at = i;
    *from = at;
    return rc;
}

int study_load_curves(struct study_curves *out, struct conn *c, const struct study *s,
                      const char *key, size_t points, enum study_curve_kind kind, struct err *e)
{
    *out = (struct study_curves){0};
    for (size_t from = 0; from < s->n;) {
        struct wire_out *o = conn_begin(c, "curves");
        wire_begin_array(o, "runs");
        for (size_t i = from; i < s->n && i < from + PAGE; i++)
            wire_put_int(o, NULL, s->runs[i].run);
        wire_end(o);
        wire_begin_array(o, "keys");
        wire_put_str(o, NULL, key);
        wire_end(o);
        wire_put_int(o, "points", (int64_t)points);
        wire_put_bool(o, "records", kind == STUDY_RECORDS);
        wire_put_bool(o, "energy", true);
        int rc = load_page(out, c, s, &from, e);
        if (rc < 0) {
            study_curves_fini(out);
            return rc;
        }
    }
    return 0;
}
