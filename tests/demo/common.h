/* SPDX-License-Identifier: MIT */
/*
 * What each part of the demo needs: an end with a sentence, a clock, chance that a seed repeats,
 * numbers that people can read.
 */
#ifndef LXDB_DEMO_COMMON_H
#define LXDB_DEMO_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Say on stderr, in one line, what is wrong, and exit with status 1. */
noreturn void demo_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for a call into the library that gave `rc`: what, the code, lxdb_errmsg(). */
noreturn void demo_fail_call(const char *what, int rc);
/* End like that unless `rc` is LXDB_OK. */
void demo_require(int rc, const char *what);

/* `n` zeroed elements, or the end. Freed with free(). */
void *demo_alloc(size_t n, size_t size);

/* Nanoseconds on CLOCK_MONOTONIC, which is one clock for all processes. */
uint64_t demo_now(void);

/* The next number of a stream (splitmix64). */
uint64_t demo_random(uint64_t *stream);

/* "12,345", in static storage that the next seven calls leave alone. */
const char *demo_grouped(uint64_t n);
/* "1 writer", "12,345 writers"; `noun` in the singular. As demo_grouped(). */
const char *demo_counted(uint64_t n, const char *noun);

#endif
