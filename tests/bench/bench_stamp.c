/* The run of the benches that measure a start: prints CLOCK_BOOTTIME, ns, as its first act. Nothing is loaded for it,
 * so that this is the first of its instructions but for a few. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

int main(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return printf("%" PRId64 "\n", (int64_t)t.tv_sec * 1000000000 + t.tv_nsec) > 0 ? 0 : 1;
}
