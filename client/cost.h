/* What a list of training runs will take, before any of them ran: hours and joules. Times of a step come
 * from a short calibration - wattq-train itself on three networks - unless a model of this machine is there
 * (client/predict.h, by the caller). All figures of this module are forecasts and are printed as such. */
#ifndef CLIENT_COST_H
#define CLIENT_COST_H

#include "client/conn.h"
#include "common/net.h"
#include "common/spec.h"

#define COST_POINTS 3

struct cost_point {
    double ops;    /* multiply-accumulates of a step of 256 rows */
    double step_s; /* as measured */
};

/* What is known of this machine. */
struct cost_rates {
    struct cost_point at[COST_POINTS]; /* rising */
    size_t n;                          /* 0 = not calibrated */
    double layer_s;                    /* of one layer more, in a step */
    double number_s;                   /* setup, per number of the data set */
    double load_w;                     /* the machine while it calibrated; NAN = not known */
    double idle_w;                     /* NAN = not known */
    bool estimate;                     /* the watts are an estimate */
    char reason[160]; /* why n = 0, or why load_w is not known; "" = all is known */
};

/* Runs wattq-train for about two seconds. extra: more of its arguments (backend, cpus), may be NULL.
 * Not while a run of the queue is on: then n = 0 with the reason. Never fails. */
void cost_calibrate(struct cost_rates *r, struct conn *c, char *const *extra, size_t nextra);
/* Can wattq-train train with this backend here? Lets it train a tiny network. */
bool cost_backend_works(struct conn *c, const char *backend);
/* Fills load_w, idle_w and estimate from the daemon; part of cost_calibrate. */
void cost_from_points(struct cost_rates *r, const struct cost_point *at, size_t n, int layers);

struct cost_run {
    double seconds; /* of the run itself; NAN = not known */
    double epochs;
};
/* One run: net on data, `epochs` of them (0 = as many as give min_s seconds of training). */
void cost_of_net(struct cost_run *out, const struct cost_rates *r, const struct net *net,
                 const struct net_dataset *data, double epochs, double min_s, double batch);

struct cost {
    size_t runs;
    size_t unknown; /* of them, on data we know nothing of: not in the sums */
    double run_s;   /* sum over runs */
    double pause_s; /* idle time between them */
    double longest_s;
    double energy_j; /* NAN = not known */
    bool estimate;
    const char *reason; /* of an energy that is not known */
};
/* Runs as a sweep of networks expands to; reads the trainer's arguments of each. */
void cost_of_specs(struct cost *out, const struct cost_rates *r, const struct spec *specs,
                   size_t n);
/* "about 2.4 h and 0.31 kWh"; with "~" and "estimated" where it is an estimate. */
const char *cost_say(char *buf, size_t cap, const struct cost *c);

#endif
