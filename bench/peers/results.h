/* SPDX-License-Identifier: MIT */
/*
 * What was measured: for each workload, row and engine a sample of one value a round, and for some
 * the distribution of single operations. Lies in memory that is shared with forked processes; one
 * process at a time may add to it.
 */
#ifndef LXDB_BENCH_PEERS_RESULTS_H
#define LXDB_BENCH_PEERS_RESULTS_H

#include "bench/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define RESULTS_ROUNDS_MAX 99
#define RESULTS_CELLS_MAX 2000
#define RESULTS_CURVES_MAX 96
#define RESULTS_TARGETS_MAX 64

/* One measurement, once a round. */
struct sample {
    double value[RESULTS_ROUNDS_MAX];
    size_t n;
};

void sample_add(struct sample *sample, double value);
double sample_median(const struct sample *sample);
double sample_min(const struct sample *sample);
double sample_max(const struct sample *sample);

struct cell {
    char workload[16];
    char row[40];
    char engine[20];
    char unit[16];
    struct sample sample;
};

/* Latencies, of all rounds together. */
struct curve {
    char workload[16];
    char row[40];
    char engine[20];
    struct histogram histogram;
};

enum aim { AT_MOST, AT_LEAST };

/* What is aimed at, and what was reached. */
struct target {
    char name[80];
    char unit[32];
    struct sample measured;
    double wanted;
    enum aim aim;
};

struct results {
    size_t n_cells, n_curves, n_targets;
    struct cell cell[RESULTS_CELLS_MAX];
    struct curve curve[RESULTS_CURVES_MAX];
    struct target target[RESULTS_TARGETS_MAX];
};

struct results *results_new(void);
void results_add(struct results *results, const char *workload, const char *row, const char *engine,
                 const char *unit, double value);
void results_add_curve(struct results *results, const char *workload, const char *row,
                       const char *engine, const struct histogram *histogram);
/* NULL: not measured. */
const struct sample *results_find(const struct results *results, const char *workload,
                                  const char *row, const char *engine);

bool target_is_met(const struct target *target);

/* Print the tables of a workload: a line per engine, a column per row, median and half the spread
 * in per cent. */
void results_print(const struct results *results, const char *workload);
void results_print_targets(const struct results *results);
/* The members "results", "curves" and "targets" of a JSON object, separated by commas. */
void results_write_json(const struct results *results, FILE *file);

#endif
