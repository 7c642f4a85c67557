/* What a DRM driver says of an open file: the texts of three drivers, and how busy a client was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/units.h"
#include "daemon/meter/drm_fdinfo.h"

#define S NS_PER_S

static void amdgpu_counts_ns_and_says_memory(void **ctx)
{
    (void)ctx;
    struct drm_fdinfo f;
    assert_true(
        drm_fdinfo_parse("pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t685\npasid:\t32773\n"
                         "drm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\n"
                         "drm-client-id:\t71\ndrm-memory-vram:\t2048 KiB\n"
                         "drm-memory-gtt: \t512 KiB\ndrm-memory-cpu: \t0 KiB\n"
                         "amd-memory-visible-vram:\t1024 KiB\n"
                         "drm-engine-gfx:\t1500000000 ns\ndrm-engine-compute:\t7 ns\n",
                         &f));
    assert_string_equal(f.driver, "amdgpu");
    assert_string_equal(f.pdev, "0000:03:00.0");
    assert_int_equal(f.client, 71);
    assert_int_equal(f.memory_bytes, 2048 * 1024);
    assert_int_equal(f.n, 2);
    assert_string_equal(f.engines[0].name, "gfx");
    assert_int_equal(f.engines[0].busy, 1500000000);
    assert_int_equal(f.engines[0].total, 0);
    assert_int_equal(f.engines[0].units, 1);
}

static void resident_memory_goes_before_total(void **ctx)
{
    (void)ctx;
    struct drm_fdinfo f;
    assert_true(drm_fdinfo_parse("drm-driver: i915\ndrm-client-id: 3\ndrm-pdev: 0000:00:02.0\n"
                                 "drm-total-local0: 9 MiB\ndrm-resident-local0: 4 MiB\n"
                                 "drm-resident-local1: 1 MiB\ndrm-resident-system0: 77 MiB\n"
                                 "drm-engine-render: 250 ns\ndrm-engine-video: 10 ns\n"
                                 "drm-engine-capacity-video: 2\n",
                                 &f));
    assert_int_equal(f.memory_bytes, 5 * 1024 * 1024);
    assert_int_equal(f.n, 2);
    assert_int_equal(f.engines[1].units, 2);
    assert_true(drm_fdinfo_parse("drm-driver: i915\ndrm-resident-system0: 77 MiB\n", &f));
    assert_int_equal(f.memory_bytes, -1); /* the machine's memory is not the card's */
    assert_int_equal(f.client, -1);
}

static const char *const xe = "drm-driver:\txe\ndrm-client-id:\t3\ndrm-pdev:\t0000:03:00.0\n"
                              "drm-resident-vram0:\t23992 KiB\ndrm-cycles-rcs:\t%d\n"
                              "drm-total-cycles-rcs:\t%d\ndrm-cycles-ccs:\t%d\n"
                              "drm-total-cycles-ccs:\t%d\ndrm-engine-capacity-ccs:\t4\n";

static void xe_counts_cycles(void **ctx)
{
    (void)ctx;
    char text[512];
    struct drm_fdinfo a, b;
    snprintf(text, sizeof(text), xe, 100, 7000, 0, 7000);
    assert_true(drm_fdinfo_parse(text, &a));
    snprintf(text, sizeof(text), xe, 350, 8000, 2000, 8000);
    assert_true(drm_fdinfo_parse(text, &b));
    /* a quarter of the one rcs, half of the four ccs */
    assert_int_equal(drm_fdinfo_busy_ppm(&a, &b, S), 500000);
    assert_int_equal(b.memory_bytes, 23992 * 1024);
}

static void busy_is_the_busiest_engine(void **ctx)
{
    (void)ctx;
    struct drm_fdinfo a, b;
    assert_true(drm_fdinfo_parse("drm-driver: amdgpu\ndrm-engine-gfx: 100 ns\n", &a));
    assert_true(drm_fdinfo_parse("drm-driver: amdgpu\ndrm-engine-gfx: 300000100 ns\n"
                                 "drm-engine-dma: 750000000 ns\n",
                                 &b));
    assert_int_equal(drm_fdinfo_busy_ppm(&a, &b, S), 750000); /* dma was at 0: left out */
    assert_int_equal(drm_fdinfo_busy_ppm(&a, &b, S / 2), 1000000);
    assert_int_equal(drm_fdinfo_busy_ppm(&b, &a, S), 0); /* fell back: it will catch up */
    assert_int_equal(drm_fdinfo_busy_ppm(&a, &b, 0), 0);
}

static void other_texts_are_refused(void **ctx)
{
    (void)ctx;
    struct drm_fdinfo f;
    assert_false(drm_fdinfo_parse("", &f));
    assert_false(drm_fdinfo_parse("pos:\t0\nflags:\t02\nmnt_id:\t9\n", &f));
    assert_false(drm_fdinfo_parse("drm-driver\ndrm-driver:\n", &f));
    assert_true(
        drm_fdinfo_parse("drm-driver: xe\ndrm-client-id: -4\ndrm-engine-: 3 ns\n"
                         "drm-engine-gfx: 12 parsecs\ndrm-engine-dma: 1 2\n"
                         "drm-engine-capacity-x: 0\ndrm-memory-vram: 9223372036854775807 MiB\n"
                         "drm-engine-a-name-that-is-far-too-long: 4 ns",
                         &f));
    assert_int_equal(f.client, -1);
    assert_int_equal(f.memory_bytes, -1);
    for (size_t i = 0; i < f.n; i++)
        assert_int_equal(f.engines[i].busy, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amdgpu_counts_ns_and_says_memory),
        cmocka_unit_test(resident_memory_goes_before_total),
        cmocka_unit_test(xe_counts_cycles),
        cmocka_unit_test(busy_is_the_busiest_engine),
        cmocka_unit_test(other_texts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
