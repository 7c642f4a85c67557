/* The option lines of a script, arrays, Slurm's times, and the interpreter of a first line. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/script.h"
#include "common/carried.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_array(const char *text)
{
    struct script_array a;
    if (script_array_parse(&a, text, NULL) < 0)
        return;
    if (a.n == 0 || a.at_once < 0)
        abort();
    for (size_t i = 0; i < a.n; i++)
        if (a.ids[i] < 0 || a.ids[i] > SCRIPT_ARRAY_ID_MAX || (i > 0 && a.ids[i] <= a.ids[i - 1]))
            abort();
    script_array_fini(&a);
}

static void check_lines(const char *text)
{
    struct script s;
    struct err e = {0};
    int rc = script_parse(&s, "f", text, cmd_find("script")->options, &e);
    if (rc < 0 && !e.text[0])
        abort();
    if (rc == 0 && s.lines > 0 && !script_has_lines(text))
        abort();
    for (size_t i = 0; i < s.nnotes; i++)
        if (strncmp(s.notes[i], "f:", 2) != 0)
            abort();
    script_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    int64_t seconds = 0;
    char *program = NULL;
    char *arg = NULL;
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_lines(text);
    check_array(text);
    if (script_slurm_time(text, &seconds, NULL) == 0 && seconds < 0)
        abort();
    if (carried_interpreter(text, &program, &arg) && (!*program || strchr(program, '\n')))
        abort();
    free(program);
    free(arg);
    free(text);
    return 0;
}
