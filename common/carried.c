#include "common/carried.h"

#include <string.h>

bool carried_find(const char *const *argv, size_t argc, struct carried *out)
{
    if (argc < 4)
        return false;
    const char *base = strrchr(argv[0], '/');
    size_t i = 1;
    if (strcmp(base ? base + 1 : argv[0], CARRIED_PROGRAM) != 0)
        return false;
    while (i < argc && strcmp(argv[i], "--") != 0) {
        if (strcmp(argv[i], "--set") == 0)
            i++;
        else if (strcmp(argv[i], "--slurm") != 0)
            return false;
        i++;
    }
    if (i + 2 >= argc)
        return false;
    *out = (struct carried){.options = i, .name = argv[i + 1], .text = argv[i + 2], .args = i + 3};
    return true;
}

bool carried_interpreter(const char *text, char **program, char **arg)
{
    static const char blank[] = " \t";
    size_t line = strcspn(text, "\n");
    if (strncmp(text, "#!", 2) != 0)
        return false;
    const char *end = text + line;
    const char *p = text + 2 + strspn(text + 2, blank);
    size_t n = strcspn(p, " \t\n");
    if (n == 0 || p >= end)
        return false;
    const char *rest = p + n;
    rest += strspn(rest, blank);
    if (rest > end)
        rest = end;
    while (end > rest && strchr(blank, end[-1]))
        end--;
    *program = base_strdup_n(p, n);
    *arg = base_strdup_n(rest, (size_t)(end - rest));
    return true;
}
