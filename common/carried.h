/* A script that travels in a command line: what `wattq script` submits, so that what runs is what stood in
 * the file at that moment, that no path is opened for it by anybody but the run, and that in system mode it
 * lies under the run's warrant like every other argument. Pure, any thread.
 *
 *   wattq-script [--set NAME=VALUE]... [--slurm] -- NAME TEXT [ARG...]
 *
 * wattq-script runs as the run itself, with its user's rights and no others: it sets the variables, puts TEXT
 * into a sealed memory file and becomes the interpreter of TEXT's first line with that file as its argument,
 * as the kernel does with a file on disk. NAME is for people. */
#ifndef COMMON_CARRIED_H
#define COMMON_CARRIED_H

#include "common/base.h"

#define CARRIED_PROGRAM "wattq-script"
/* One argument of a program: MAX_ARG_STRLEN of the kernel, 32 pages, its NUL included.
 * source: linux include/uapi/linux/binfmts.h */
#define CARRIED_BYTES_MAX ((128u << 10) - 1)

struct carried {
    size_t options; /* argv[1 .. options) are --set and --slurm */
    const char *name;
    const char *text;
    size_t args; /* index of the first argument of the script */
};
/* Is that such a command line? argc as in main. */
bool carried_find(const char *const *argv, size_t argc, struct carried *out);

/* The interpreter of "#!/usr/bin/env -S python3 -u" and the one argument that the kernel takes the rest of
 * the line for ("" = none), both in new memory. false = the text does not begin so. */
bool carried_interpreter(const char *text, char **program, char **arg);

#endif
