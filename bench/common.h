/* SPDX-License-Identifier: MIT */
/*
 * What every bench program needs: a clock, random orders that are the same in every run, memory
 * that is there or the program ends, and a scratch directory that is gone at the end, however it
 * comes.
 */
#ifndef LXDB_BENCH_COMMON_H
#define LXDB_BENCH_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

/* How a program ends. A timing is never a failure. */
enum {
    BENCH_WRONG = 1, /* data was lost, changed or made up */
    BENCH_USAGE = 2, /* an argument is wrong */
    BENCH_BROKEN =
        3 /* the measurement could not be made: no memory, no disk, an engine's refusal */
};

/* Print a line to stderr, after what stdout holds, and exit with `status`. */
noreturn void bench_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Nanoseconds on CLOCK_MONOTONIC. */
uint64_t bench_now(void);

/* `count` zeroed elements, or the end of the program. Freed with free(). */
void *bench_alloc(size_t count, size_t size);

/* A formatted string of the caller's, to be freed with free(). */
char *bench_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A bijection of 64-bit numbers that looks random (the finaliser of splitmix64). */
static inline uint64_t bench_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Fill `order` with the numbers 0..n-1, in an order that `seed` determines. */
void bench_shuffle(uint32_t *order, size_t n, uint64_t seed);

/* Read a whole number from an option's argument: 1..max, with an optional k or m (thousand,
 * million). */
size_t bench_parse_count(const char *option, const char *text, size_t max);

/*
 * Make a fresh directory under `parent` (NULL: ${TMPDIR:-/tmp}), call run(dir, arg) in a child
 * process, remove the directory with everything in it, and return run's result. The caller's own
 * process only waits, so the directory also goes when the child crashes or a SIGINT, SIGTERM or
 * SIGHUP arrives; then the child is killed first and this process ends by the same signal.
 */
int bench_run_in_scratch(const char *parent, int (*run)(const char *dir, void *arg), void *arg);

/* Remove everything in `dir`, but not `dir`. */
void bench_empty(const char *dir);

/*
 * Tie a forked worker to its parent: it dies when the parent does. To be called first in the
 * worker.
 */
void bench_follow_parent(void);

#endif
