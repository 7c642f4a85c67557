/* What a shepherd that only waits has no use for. Code and constants are read in again, from the page cache as a rule, a
 * few microseconds for each 64 KiB; what is below the stack's end is nobody's. */
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/launch/shepherd_private.h"

#define SPANS_MAX   64                  /* two for each library */
#define STACK_BYTES ((size_t)256 << 10) /* the kernel maps nothing else within 1 MiB of a stack */

struct span {
    uintptr_t from;
    size_t bytes;
};

struct spans {
    struct span at[SPANS_MAX];
    size_t n;
    uintptr_t page; /* bytes of one */
};

/* Nothing that may have been written to: that would come back as it is in the file. */
static int add_code(struct dl_phdr_info *o, size_t size, void *arg)
{
    struct spans *s = arg;
    (void)size;
    for (size_t i = 0; i < o->dlpi_phnum && s->n < SPANS_MAX; i++) {
        const ElfW(Phdr) *p = &o->dlpi_phdr[i];
        uintptr_t from = o->dlpi_addr + p->p_vaddr, to = from + p->p_memsz;
        from -= from % s->page;
        if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
            s->at[s->n++] = (struct span){from, to - from}; /* the kernel rounds up */
    }
    return 0;
}

/* All are looked for first: looking maps them again. */
void memory_let_go(void)
{
    struct spans s = {.page = (uintptr_t)sysconf(_SC_PAGESIZE)};
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    uintptr_t below = frame - frame % s.page - 2 * s.page; /* with room for what we call */
    s.at[s.n++] = (struct span){below - STACK_BYTES, STACK_BYTES};
    dl_iterate_phdr(add_code, &s);
    for (size_t i = 0; i < s.n; i++)
        (void)madvise((void *)s.at[i].from, s.at[i].bytes, MADV_DONTNEED);
}
