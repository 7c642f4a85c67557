/* wattq-script: a run that is a script, carried in its command line (common/carried.h). Becomes the script's
 * interpreter. libc only. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/carried.h"

#define TEXT_FD      200 /* scripts use the low ones: exec 3>file */
#define NOT_RUNNABLE 126
#define NOT_FOUND    127
#define SEALS        (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define NAME_SHOWN   100 /* of the file in memory, as /proc shows it; the kernel takes 249 */

static const char help[] =
    "wattq-script: run a script that stands in the command line; wattq script submits it so\n"
    "\n"
    "  wattq-script [--set NAME=VALUE]... [--slurm] -- NAME TEXT [ARG...]\n"
    "\n"
    "  --set NAME=VALUE   set a variable of the script's environment\n"
    "  --slurm            SLURM_JOB_ID and SLURM_JOBID are the run's number\n";

static int set_variables(char **argv, size_t n)
{
    static const char *const ids[] = {"SLURM_JOB_ID", "SLURM_JOBID"};
    const char *run = getenv("WATTQ_RUN");
    for (size_t i = 1; i < n; i++) {
        if (strcmp(argv[i], "--set") == 0) {
            i++;
            if (strchr(argv[i], '=') && putenv(argv[i]) != 0)
                return -1;
            continue;
        }
        for (size_t k = 0; run && k < ARRAY_LEN(ids); k++)
            if (setenv(ids[k], run, 1) < 0)
                return -1;
    }
    return 0;
}

/* A file that nobody can change any more, open for the interpreter under a high number. */
static int put_text(const char *name, const char *text)
{
    char shown[NAME_SHOWN];
    base_strcpy(shown, sizeof shown, name);
    int fd = memfd_create(shown, MFD_ALLOW_SEALING | MFD_CLOEXEC);
    if (fd < 0 || base_write_all(fd, text, strlen(text)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        return -1;
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    int high = reader < 0 ? -1 : fcntl(reader, F_DUPFD, TEXT_FD);
    return high >= 0 ? high : reader < 0 ? -1 : fcntl(reader, F_DUPFD, 3);
}

static int fail(const char *name, const char *what)
{
    int code = errno == ENOENT ? NOT_FOUND : NOT_RUNNABLE;
    (void)fprintf(stderr, "wattq-script: %s: %s: %s\n", name, what, strerror(errno));
    return code;
}

static int become(const struct carried *c, char **argv, size_t argc)
{
    char *program = NULL;
    char *arg = NULL;
    char path[40];
    size_t n = 0;
    if (!carried_interpreter(c->text, &program, &arg)) {
        errno = ENOEXEC;
        return fail(c->name, "its first line names no interpreter");
    }
    int fd = put_text(c->name, c->text);
    if (fd < 0)
        return fail(c->name, "cannot keep its text in memory");
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char **line = base_alloc((argc - c->args + 4) * sizeof *line);
    line[n++] = program;
    if (*arg)
        line[n++] = arg;
    line[n++] = path;
    for (size_t i = c->args; i < argc; i++)
        line[n++] = argv[i];
    (void)execv(program, line);
    return fail(c->name, program);
}

int main(int argc, char **argv)
{
    struct carried c;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(help, stdout);
        return 0;
    }
    if (!carried_find((const char *const *)argv, (size_t)argc, &c)) {
        (void)fputs(help, stderr);
        return 2;
    }
    if (set_variables(argv, c.options) < 0)
        return fail(c.name, "cannot set its environment");
    return become(&c, argv, (size_t)argc);
}
