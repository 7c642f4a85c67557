/* Inside store/: a stream of unsigned numbers, most of them small, in blocks of 128. Each block carries
 * its own way of being packed, so that noise, staircases and silence lie next to each other cheaply.
 * Pure, any thread. Bit by bit in docs/storage.md.
 * source: Rice, Plaunt, "Adaptive variable-length coding", IEEE Trans. Commun. 19 (1971). */
#ifndef DAEMON_STORE_RICE_H
#define DAEMON_STORE_RICE_H

#include "daemon/store/bits.h"

#define RICE_BLOCK 128u

/* One block of n numbers, 1 <= n <= RICE_BLOCK. */
void rice_put_block(struct bits_out *o, const uint64_t *v, unsigned n);
/* Bits that rice_put_block would take. */
uint64_t rice_block_bits(const uint64_t *v, unsigned n);
/* n numbers, block after block, and the bits that they take. */
void rice_put(struct bits_out *o, const uint64_t *v, size_t n);
uint64_t rice_bits(const uint64_t *v, size_t n);
/* One block back, n as when it was put. Any bits give some numbers; in->over tells that they ended. */
void rice_get_block(struct bits_in *in, uint64_t *v, unsigned n);

#endif
