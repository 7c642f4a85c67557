/* Script files: the options that stand in a script itself, as `#WATTQ --option value` (the options of `wattq
 * submit`, one table) and as `#SBATCH` (the part of Slurm's that has a meaning on one machine). Pure, but for
 * --stdin and the like, which are looked at as they would be on a command line.
 *
 * Read are lines that begin with exactly "#WATTQ" or "#SBATCH" and a blank, up to the first line that is
 * neither empty nor a comment, as Slurm does. Words are split as a shell would without expanding anything:
 * '...', "...", \, and a # that begins a word ends the line. What says the same twice: the command line goes
 * before #WATTQ, that before #SBATCH; --env and --param add up.
 *
 * A directive of Slurm's that means nothing here is left out and named in a note; one without which the run
 * would be another run (--dependency, --begin, two nodes) is refused. docs/scripts.md lists them all.
 * source: sbatch(1) of Slurm 23.11 and 24.05, "OPTIONS" and "script directives". */
#ifndef CLIENT_SCRIPT_H
#define CLIENT_SCRIPT_H

#include "client/opt.h"

#define SCRIPT_ARRAY_ID_MAX 4000000 /* about Slurm's largest */

struct script_slurm { /* 0 = not said */
    int64_t ntasks, cpus_per_task, cpus_per_gpu;
    int64_t mem_bytes, mem_per_cpu_bytes, mem_per_gpu_bytes;
    int64_t gpus, gpus_per_task;
    bool no_gpus; /* said: none */
};
struct script {
    const char *name; /* for messages; borrowed */
    opt_set allowed;  /* in #WATTQ lines */
    struct args args; /* what stands in the file; values point into words */
    char **words;     /* owned */
    size_t nwords;
    char **notes; /* "job.sh:4: --partition is ignored: ..." */
    size_t nnotes;
    size_t lines;              /* of both kinds, that were read */
    struct script_slurm slurm; /* what several #SBATCH lines say together */
};

/* Errors name file and line. script_fini also after a failure. */
int script_parse(struct script *s, const char *name, const char *text, opt_set allowed,
                 struct err *e) MUST_USE;
void script_fini(struct script *s);
/* Are there such lines at all? */
bool script_has_lines(const char *text);

/* Task numbers of an array: "0-9%2", "1,3,5-7", "0-15:4", as Slurm writes them: sorted, each once. */
struct script_array {
    int64_t *ids;
    size_t n;
    int64_t at_once; /* how many may run at a time; 0 = any */
};
int script_array_parse(struct script_array *a, const char *text, struct err *e) MUST_USE;
void script_array_fini(struct script_array *a);

/* Slurm's time: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]]; *out_s = 0
 * for no limit. */
int script_slurm_time(const char *text, int64_t *out_s, struct err *e) MUST_USE;

/* ---- script.c and script_sbatch.c ---------------------------------------------------------------- */

/* One line's words, of which Slurm's options are taken into out; values that are made go to script_word. */
struct script_line {
    char **words;
    size_t n;
    int number;
};
int script_sbatch(struct script *s, const struct script_line *line, struct args *out,
                  struct err *e) MUST_USE;
/* What several directives say together: CPUs, memory. After the last line. */
int script_sbatch_end(struct script *s, struct args *out, struct err *e) MUST_USE;
char *script_word(struct script *s,
                  char *word); /* takes it; the same pointer, which lives as long as s */
void script_note(struct script *s, int line, const char *fmt, ...) PRINTF(3, 4);

#endif
