/* SPDX-License-Identifier: MIT */
/* Samples of several rounds, and the table of what was aimed at and what was reached. */
#ifndef LXDB_BENCH_REPORT_H
#define LXDB_BENCH_REPORT_H

#include <stddef.h>

#define REPORT_ROUNDS_MAX 99
#define REPORT_TARGETS_MAX 32

/* One measurement, once a round. */
struct sample {
    double value[REPORT_ROUNDS_MAX];
    size_t n;
};

void sample_add(struct sample *sample, double value);
double sample_median(const struct sample *sample);
double sample_min(const struct sample *sample);
double sample_max(const struct sample *sample);

enum report_aim { REPORT_AT_MOST, REPORT_BELOW, REPORT_AT_LEAST };

struct report {
    struct report_line {
        char *name;
        const char *unit;
        double measured, min, max;
        double target;
        enum report_aim aim;
    } line[REPORT_TARGETS_MAX];
    size_t n;
};

/* Note what was measured for a target: the median of `sample` is judged. `unit` has static
 * storage. */
void report_add(struct report *report, const char *name, const struct sample *sample,
                const char *unit, enum report_aim aim, double target);
/* Print the table: name, measured, target, met or not. */
void report_print(const struct report *report);
void report_free(struct report *report);

#endif
