/* spec: the body of a request as `run`, accepted specs written and read back; and, as text, axes and
 * expansion. First byte: which. */
#include <stdlib.h>
#include <string.h>

#include "common/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_back(const struct spec *a)
{
    struct wire_out o = {0};
    struct wire_msg *m = NULL;
    struct spec b = {0};
    wire_out_reset(&o);
    spec_to_wire(a, &o, "run");
    if (wire_out_finish(&o, NULL) < 0 || wire_msg_new(&m, o.data + 4, o.bytes - 4, NULL) < 0 ||
        spec_from_wire(&b, wire_get(wire_msg_root(m), "run"), NULL) < 0)
        abort();
    if (b.argc != a->argc || b.envc != a->envc || b.nparams != a->nparams ||
        strcmp(b.cwd, a->cwd) != 0 || strcmp(b.label, a->label) != 0 || b.priority != a->priority ||
        b.umask != a->umask || b.gpus != a->gpus || spec_gpu_ids(&b) != spec_gpu_ids(a))
        abort();
    for (size_t i = 0; i < spec_gpu_ids(a); i++)
        if (strcmp(a->gpu_ids[i], b.gpu_ids[i]) != 0)
            abort();
    for (size_t i = 0; i < a->argc; i++)
        if (strcmp(a->argv[i], b.argv[i]) != 0)
            abort();
    spec_fini(&b);
    wire_msg_free(m);
    wire_out_free(&o);
}

static void fuzz_run(const uint8_t *data, size_t size)
{
    struct wire_msg *m = NULL;
    struct spec s = {0};
    if (wire_msg_new(&m, data, size, NULL) < 0)
        return;
    if (spec_from_wire(&s, wire_msg_root(m), NULL) == 0) {
        read_back(&s);
        spec_fini(&s);
    }
    wire_msg_free(m);
}

static void fuzz_text(const char *text)
{
    struct spec_axis a;
    char value[] = "1";
    const struct spec_param p = {"k", value};
    char *out = NULL;
    /* No file is opened for a fuzzer's sake. */
    if (!strstr(text, "=@") && spec_axis_parse(&a, text, NULL) == 0) {
        if (a.n == 0 || a.n > SPEC_SWEEP_RUNS || !spec_key_ok(a.key))
            abort();
        for (size_t i = 0; i < a.n; i++)
            if (!a.values[i][0])
                abort();
        spec_axis_fini(&a);
    }
    if (spec_expand(text, &p, 1, NULL, &out, NULL) == 0)
        free(out);
    (void)spec_param_type(text);
    struct spec s;
    spec_init(&s);
    if (spec_gpus_parse(&s, text, NULL) == 0 && s.gpus < (int)spec_gpu_ids(&s))
        abort();
    spec_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1) {
        fuzz_run(data + 1, size - 1);
        return 0;
    }
    char *text = malloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    fuzz_text(text);
    free(text);
    return 0;
}
