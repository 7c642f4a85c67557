/* The methods paragraph and the table of a paper, from the runs themselves: what was measured with which meter,
 * how joules were attributed, what was repeated, what was left out and why, what is not covered. As Markdown or as
 * LaTeX that needs no package. Pure.
 * Every text that is not ours is escaped for the format. An estimate is never called a measurement. */
#ifndef CLIENT_METHODS_H
#define CLIENT_METHODS_H

#include "client/compare.h"

enum methods_format { METHODS_MARKDOWN, METHODS_LATEX };

struct methods_words { /* each once, in order of appearance */
    char **at;
    size_t n;
};
void methods_word(struct methods_words *w, const char *text); /* "" is none */

struct methods_meter {
    char *label;
    char *scope;
    char *source;      /* "powercap" */
    char *quality;     /* "measured" */
    int64_t period_ns; /* PRINT_NONE = neither declared nor learned */
    bool declared;
    double accuracy; /* relative, as the maker states it; NAN = he states none */
};

struct methods {
    struct compare
        runs; /* a group per configuration, `left` with reasons; takes part = in the table */
    char *selection;
    struct methods_words machines;
    struct methods_words software; /* "openblas f32 (avx512)" */
    struct methods_words basis;    /* of the bounds: "monotone+pmax" */
    struct methods_words blocks;
    struct methods_words origins; /* of imported runs */
    struct methods_meter *meters; /* the channels of the totals */
    size_t nmeters;
    char *covers;
    double *half_widths; /* relative, of bounded energies */
    size_t nbounded;
    size_t measured, modelled, estimated; /* runs with an energy, by its quality */
    size_t alone, shared;
    double idle_w, idle_sd_w; /* NAN = not known */
    bool idle_estimated;
    char *hardware; /* "AMD EPYC 7763, Linux 6.1.0" of this machine; "" = not known */
    char *version;  /* of wattq */
};
void methods_fini(struct methods *m);

/* The text for the format, in new memory. */
char *methods_escape(const char *text, enum methods_format f);
char *methods_text(const struct methods *m, enum methods_format f);

#endif
