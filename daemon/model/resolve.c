#include "daemon/model/resolve.h"

#include <math.h>

static double most(double a, double b)
{
    return a > b ? a : b;
}

static double counter_slack(const struct resolve_meter *m)
{
    double window = 4 * (m->refresh_s + m->lag_s) + 4 * m->sweep_s;
    if (m->power_w > 0) {
        window += (m->most_w > m->power_w ? m->most_w / m->power_w : 1) * m->sweep_s;
        window += 2 * m->quantum_j / m->power_w;
    }
    return most(window, m->sample_s / 2);
}

double resolve_slack_s(const struct resolve_meter *m)
{
    switch (m->kind) {
    case RESOLVE_COUNTER:
        return counter_slack(m);
    case RESOLVE_GAUGE:
        return most(most(m->sample_s, m->refresh_s), m->box_s) + m->lag_s;
    case RESOLVE_ESTIMATE:
        return 2 * m->tick_s;
    }
    return 0;
}

double resolve_seconds(const struct resolve_meter *m, double rel, double *reached)
{
    double slack = resolve_slack_s(m);
    double seconds = slack / rel;
    if (m->kind == RESOLVE_GAUGE)
        seconds = most(seconds, RESOLVE_VALUES * most(m->sample_s, m->refresh_s));
    seconds = most(seconds, RESOLVE_LEAST_S);
    seconds = seconds > RESOLVE_MOST_S ? RESOLVE_MOST_S : seconds;
    if (reached)
        *reached = slack / seconds;
    return seconds;
}
