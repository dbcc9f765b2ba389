/* SPDX-License-Identifier: MIT */
/*
 * Google Benchmark for C: benchmarks are C functions, and this is all they see of it.
 *
 * Two things are opaque: a `gbench` is a registered benchmark, set up before gbench_run(); a
 * `gbench_state` is one run of it, and good for nothing after that run. A benchmark runs several
 * times: while the number of iterations is searched that fills the minimum time, then once for
 * every repetition, and all that for each of its arguments.
 *
 *     static void read_keys(gbench_state *state, void *user)
 *     {
 *         while (gbench_keep_running_batch(state, BATCH))
 *             read_some(user, BATCH);
 *         gbench_items(state, gbench_iterations_done(state));
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         gbench *bench;
 *         if (!gbench_init(&argc, argv))
 *             return 2;
 *         bench = gbench_register("read", read_keys, &store);
 *         gbench_range(bench, 1000, 1000000, 10);
 *         return gbench_run() > 0 ? 0 : 2;
 *     }
 *
 * Options are those of Google Benchmark; --benchmark_out=FILE writes its JSON. Not thread-safe:
 * one thread registers and runs. Running out of memory ends the program.
 */
#ifndef LXDB_BENCH_GBENCH_H
#define LXDB_BENCH_GBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gbench gbench;
typedef struct gbench_state gbench_state;

/* `user` is what was given to gbench_register(). */
typedef void gbench_function(gbench_state *state, void *user);

/* ---- The program ----------------------------------------------------------------------------- */

/* Take Google Benchmark's options out of argv. With anything else left in it, print that and return
 * false. */
bool gbench_init(int *argc, char **argv);
/* A line of the report's head, and a member of "context" in its JSON. Copied. After gbench_init()
 * and before gbench_run(); a key that is there already keeps its value. */
void gbench_context(const char *key, const char *value);
/* Run what --benchmark_filter selects, or list it. Returns the number of benchmarks selected. */
size_t gbench_run(void);

/* ---- Registration ---------------------------------------------------------------------------- */

/* A benchmark that lives as long as the program. The name is copied; the caller keeps `user`. */
gbench *gbench_register(const char *name, gbench_function *run, void *user);

/* Called before and after each run, off the clock, with its state. After gbench_skip() in `setup`
 * there is no run, but `teardown` is called. */
void gbench_setup(gbench *bench, gbench_function *setup);
void gbench_teardown(gbench *bench, gbench_function *teardown);

/* Each call adds runs: with this argument; with these, a tuple; with first, powers of `multiplier`
 * between, and last; with first, first + step and on to last; with each tuple of one element from
 * each of `n` lists. All calls on one benchmark give tuples of the same length. */
void gbench_arg(gbench *bench, int64_t arg);
void gbench_args(gbench *bench, const int64_t *args, size_t n);
void gbench_range(gbench *bench, int64_t first, int64_t last, int multiplier);
void gbench_dense_range(gbench *bench, int64_t first, int64_t last, int step);
void gbench_args_product(gbench *bench, const int64_t *const *lists, const size_t *list_lens,
                         size_t n);
/* What the report calls each argument: n names. */
void gbench_arg_names(gbench *bench, const char *const *names, size_t n);

/* How long a run is: so many iterations, or (without that) at least so many seconds. */
void gbench_iterations(gbench *bench, int64_t iterations);
void gbench_min_time(gbench *bench, double seconds);
void gbench_repetitions(gbench *bench, int repetitions);
/* The report has mean, median, deviation of the repetitions, and not each of them. */
void gbench_aggregates_only(gbench *bench);

/* The clock that fills the minimum time: processor time of this process unless one of these is
 * called. Manual: the sum of gbench_set_iteration_time(). */
void gbench_use_real_time(gbench *bench);
void gbench_use_manual_time(gbench *bench);

typedef enum gbench_unit {
    GBENCH_NANOSECONDS,
    GBENCH_MICROSECONDS,
    GBENCH_MILLISECONDS,
    GBENCH_SECONDS
} gbench_unit;

/* In which the report gives times. */
void gbench_time_unit(gbench *bench, gbench_unit unit);

/* ---- A run ----------------------------------------------------------------------------------- */

/* Whether there is more to do; the clock runs from the first call to the first that says no. A call
 * is one iteration, or `n` (at least 1) of which the last batch may overshoot. Call until it says
 * no. */
bool gbench_keep_running(gbench_state *state);
bool gbench_keep_running_batch(gbench_state *state, int64_t n);

/* Stop the clock and start it again, inside the loop. Costs some 100 ns: not for a loop body of
 * that size. */
void gbench_pause(gbench_state *state);
void gbench_resume(gbench_state *state);

/* With gbench_use_manual_time(), once in each iteration: what it took. In a batch: in total. */
void gbench_set_iteration_time(gbench_state *state, double seconds);

/* Give up: the report has the message in place of times. The loop ends at its next turn. */
void gbench_skip(gbench_state *state, const char *message);
bool gbench_skipped(const gbench_state *state);

/* Argument `i` of this run; i is less than their number. */
int64_t gbench_arg_of(const gbench_state *state, size_t i);
/* Iterations so far; after the loop all, with what a batch overshot. */
int64_t gbench_iterations_done(const gbench_state *state);

/* ---- What the report says of a run: after its loop ------------------------------------------- */

typedef enum gbench_counter_kind {
    GBENCH_PLAIN,         /* as it is */
    GBENCH_RATE,          /* per second of the run */
    GBENCH_PER_ITERATION, /* divided by the number of iterations */
    GBENCH_RATE_INVERSE   /* seconds of the run for each */
} gbench_counter_kind;

/* Set a counter; the name is copied. */
void gbench_counter(gbench_state *state, const char *name, double value, gbench_counter_kind kind);
/* Processed in this run: shown as items and bytes per second. */
void gbench_items(gbench_state *state, int64_t items);
void gbench_bytes(gbench_state *state, int64_t bytes);
/* A note at the end of the line; copied. */
void gbench_label(gbench_state *state, const char *text);

/* Have what `memory` points to computed and stored here: the compiler must not drop it. */
static inline void gbench_keep(const void *memory)
{
    __asm__ volatile("" : : "g"(memory) : "memory");
}

#ifdef __cplusplus
}
#endif
#endif
