#include "daemon/model/resctrl.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX  65536
#define FOUND_MAX 64

static char *read_below(const char *dir, const char *name)
{
    size_t bytes;
    char *path CLEANUP(base_freep) = base_printf("%s/%s", dir, name);
    return base_read_file(AT_FDCWD, path, FILE_MAX, &bytes);
}

/* The number of ways in the smallest mask of "0=fff;1=0ff"; 0 for a text that is none. */
static int fewest_ways(const char *text)
{
    int fewest = 0;
    while (*text && *text != '\n') {
        const char *equals = strchr(text, '=');
        char *end;
        if (!equals)
            return 0;
        unsigned long long mask = strtoull(equals + 1, &end, 16);
        int ways = __builtin_popcountll(mask);
        if (end == equals + 1 || ways == 0)
            return 0;
        fewest = fewest == 0 || ways < fewest ? ways : fewest;
        text = *end == ';' ? end + 1 : end;
        if (text == end && *end && *end != '\n')
            return 0;
    }
    return fewest;
}

/* What follows "L3:" or "L3DATA:" in a group's schemata; *resource is that word. NULL = no such line. */
static const char *l3_line(const char *schemata, const char **resource)
{
    static const char *const names[] = {"L3DATA", "L3"};
    for (const char *line = schemata; line; line = strchr(line, '\n')) {
        line += strspn(line, " \n");
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            size_t n = strlen(names[i]);
            if (strncmp(line, names[i], n) != 0 || line[n] != ':')
                continue;
            *resource = names[i];
            return line + n + 1;
        }
    }
    return NULL;
}

/* Percent of the ways that the group may fill; 0 = not told. */
static int percent_of(const char *root, const char *group)
{
    const char *resource = NULL;
    char *schemata CLEANUP(base_freep) = read_below(group, "schemata");
    const char *masks = schemata ? l3_line(schemata, &resource) : NULL;
    if (!masks)
        return 0;
    char *name CLEANUP(base_freep) = base_printf("info/%s/cbm_mask", resource);
    char *whole CLEANUP(base_freep) = read_below(root, name);
    int all = whole ? __builtin_popcountll(strtoull(whole, NULL, 16)) : 0;
    int ways = fewest_ways(masks);
    return all > 0 && ways <= all ? (100 * ways + all / 2) / all : 0;
}

/* A path that goes into a grid's value and a command line as it is. */
static bool plain(const char *path)
{
    return strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/") ==
           strlen(path);
}

static bool usable(struct resctrl_group *g, const char *root, const char *name)
{
    char *path CLEANUP(base_freep) = base_printf("%s/%s", root, name);
    char *tasks CLEANUP(base_freep) = base_printf("%s/tasks", path);
    if (name[0] == '.' || strlen(path) >= sizeof g->path || !plain(path) || access(tasks, W_OK) < 0)
        return false;
    base_strcpy(g->path, sizeof g->path, path);
    g->percent = percent_of(root, path);
    return g->percent > 0 && g->percent < 100;
}

static int by_part(const void *a, const void *b)
{
    const struct resctrl_group *x = a;
    const struct resctrl_group *y = b;
    return x->percent != y->percent ? y->percent - x->percent : strcmp(x->path, y->path);
}

size_t resctrl_groups(struct resctrl_group out[RESCTRL_GROUPS_MAX], const char *root)
{
    struct resctrl_group found[FOUND_MAX];
    size_t n = 0;
    size_t kept = 0;
    DIR *d = base_open_dir(root);
    if (!d)
        return 0;
    for (const struct dirent *entry; n < FOUND_MAX && (entry = readdir(d));)
        n += usable(&found[n], root, entry->d_name);
    (void)closedir(d);
    qsort(found, n, sizeof *found, by_part);
    for (size_t i = 0; i < n && kept < RESCTRL_GROUPS_MAX; i++)
        if (kept == 0 || out[kept - 1].percent != found[i].percent)
            out[kept++] = found[i];
    return kept;
}
