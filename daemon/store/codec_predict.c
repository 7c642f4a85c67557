#include "daemon/store/codec_private.h"

#define HELD_MAX   (INT64_C(1) << 60) /* its codes are one more than a zigzag */
#define PIECE      256u               /* codes that are compared at once, whole blocks */
#define PIECE_MARK 512u               /* of each stretch, behind its mark */
#define SLACK_BITS 512u               /* the noise of a comparison */

static inline __attribute__((always_inline)) void make_as(struct column_room *r,
                                                          struct codec_guess *from, uint32_t i,
                                                          uint32_t end, uint8_t predictor)
{
    struct codec_guess g = *from;
    g.predictor = predictor;
    for (; i < end; i++)
        r->code[i - 1] = guess_code(&g, r->d[i], r->longer[i]);
    *from = g;
}

/* The codes of samples i .. end-1 as g goes on. Each predictor has a loop of its own, which knows it. */
static void make_stretch(struct column_room *r, struct codec_guess *g, uint32_t i, uint32_t end)
{
    switch ((enum codec_predictor)g->predictor) {
    case PREDICT_LAST:
        make_as(r, g, i, end, PREDICT_LAST);
        break;
    case PREDICT_RATE:
        make_as(r, g, i, end, PREDICT_RATE);
        break;
    case PREDICT_QUICK:
        make_as(r, g, i, end, PREDICT_QUICK);
        break;
    case PREDICT_MEAN:
        make_as(r, g, i, end, PREDICT_MEAN);
        break;
    case PREDICT_HELD:
        make_as(r, g, i, end, PREDICT_HELD);
        break;
    case PREDICT_LEVEL:
        make_as(r, g, i, end, PREDICT_LEVEL);
        break;
    case PREDICT_NOTHING:
    case PREDICT_EMPTY:
        make_as(r, g, i, end, PREDICT_NOTHING);
    }
}

static uint32_t end_of(const struct column_room *r, uint32_t i, uint32_t piece)
{
    return r->n - i < piece ? r->n : i + piece;
}

void codes_make(struct column_room *r, uint8_t predictor, uint32_t stretch)
{
    struct codec_guess g = {.predictor = predictor};
    for (uint32_t i = 1, k = 0; i < r->n; i += stretch, k++) {
        if (k > 0)
            guess_restart(&g, r->mark[k - 1].units, stretch);
        make_stretch(r, &g, i, end_of(r, i, stretch));
    }
}

/* ---- the best one ------------------------------------------------------------------------------- */

/* All predictors run over the same pieces of a column; who falls far behind does not run on. Of a column with marks a
 * piece is the beginning of a stretch, which is told nothing of what was before: so they are taken from all over it, and
 * no one is judged by a quiet beginning. Else pieces follow each other, and who leads a row of the tail early has won. */
struct race {
    struct codec_guess guess[PREDICTORS_2];
    uint64_t bits[PREDICTORS_2];
    bool out[PREDICTORS_2];
    uint32_t running;
};

static bool can_hold(const struct column_room *r)
{
    bool far = false;
    for (uint32_t i = 1; i < r->n; i++)
        far |= r->d[i] >= HELD_MAX || r->d[i] <= -HELD_MAX;
    return !far;
}

static void leave(struct race *x, uint8_t predictor)
{
    x->running -= !x->out[predictor];
    x->out[predictor] = true;
}

static void race_init(struct race *x, const struct column_room *r)
{
    *x = (struct race){.running = r->predictors};
    for (uint8_t p = 0; p < r->predictors; p++)
        x->guess[p].predictor = p;
    if (!can_hold(r))
        leave(x, PREDICT_HELD);
}

/* Samples i .. end-1, from stretch k on where it is not 0. */
static void run_piece(struct race *x, struct column_room *r, uint32_t i, uint32_t end, uint32_t k)
{
    for (uint8_t p = 0; p < r->predictors; p++) {
        if (x->out[p])
            continue;
        if (k > 0)
            guess_restart(&x->guess[p], r->mark[k - 1].units, r->stretch);
        make_stretch(r, &x->guess[p], i, end);
        x->bits[p] += rice_bits(r->code + i - 1, end - i);
    }
}

static uint8_t first_of(const struct race *x, uint8_t predictors)
{
    uint8_t best = PREDICT_NOTHING;
    for (uint8_t p = 0; p < predictors; p++)
        if (!x->out[p] && (x->out[best] || x->bits[p] < x->bits[best]))
            best = p;
    return best;
}

static void drop_far(struct race *x, uint8_t predictors, uint32_t slack_bits)
{
    uint64_t least = x->bits[first_of(x, predictors)];
    for (uint8_t p = 0; p < predictors; p++)
        if (x->bits[p] > least + least / 8 + slack_bits)
            leave(x, p);
}

static void run_on(struct race *x, struct column_room *r)
{
    uint32_t slack_bits = r->n > CODEC_BRIEF ? SLACK_BITS : 0;
    for (uint32_t i = 1; i < r->n && x->running > 1; i += PIECE) {
        run_piece(x, r, i, end_of(r, i, PIECE), 0);
        drop_far(x, r->predictors, slack_bits);
    }
}

/* The lowest `bits` of i in the other order: 0, 1, 2, 3 of two become 0, 2, 1, 3. source: van der Corput. */
static uint32_t reversed(uint32_t i, unsigned bits)
{
    uint32_t r = 0;
    for (unsigned k = 0; k < bits; k++)
        r |= (i >> k & 1) << (bits - 1 - k);
    return r;
}

static void run_spread(struct race *x, struct column_room *r)
{
    uint32_t stretches = (r->n - 2) / r->stretch + 1;
    unsigned bits = stretches < 2 ? 0 : 32 - (unsigned)__builtin_clz(stretches - 1);
    for (uint32_t i = 0; i < 1u << bits && x->running > 1; i++) {
        uint32_t k = reversed(i, bits), from = 1 + k * r->stretch;
        if (k >= stretches)
            continue;
        run_piece(x, r, from, end_of(r, from, PIECE_MARK), k);
        drop_far(x, r->predictors, SLACK_BITS);
    }
}

#define TELLING 64u /* values; of fewer any predictor may be the best one */

uint8_t codes_best(struct column_room *r, bool marked, uint8_t *won)
{
    struct race x;
    if (r->n <= CODEC_BRIEF && *won < r->predictors && (*won != PREDICT_HELD || can_hold(r)))
        return *won;
    race_init(&x, r);
    if (marked)
        run_spread(&x, r);
    else
        run_on(&x, r);
    uint8_t best = first_of(&x, r->predictors);
    if (r->n >= TELLING)
        *won = best;
    return best;
}
