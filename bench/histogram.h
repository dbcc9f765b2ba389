/* SPDX-License-Identifier: MIT */
/*
 * A log-linear histogram of 64-bit numbers. Numbers below 128 have a bucket each; above, every
 * power of two is divided into 64 buckets, so a reported number is at most 1.6 % over the true one.
 * Adding costs a shift and an increment; the whole histogram is 30 kB, whatever it counts.
 */
#ifndef LXDB_BENCH_HISTOGRAM_H
#define LXDB_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_SUB (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB)

struct histogram {
    uint64_t total; /* numbers added */
    uint64_t max;   /* the largest of them, exact */
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

/* How far the numbers of a bucket lie apart, as a power of two. */
static inline unsigned histogram_shift(uint64_t number)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(number | 1);

    return bits > HISTOGRAM_SUB_BITS + 1 ? bits - HISTOGRAM_SUB_BITS - 1 : 0;
}

static inline void histogram_add(struct histogram *histogram, uint64_t number)
{
    unsigned shift = histogram_shift(number);

    /* number >> shift keeps its top bit from 128 on, so each shift fills 64 buckets of its own. */
    histogram->bucket[(number >> shift) + (uint64_t)shift * HISTOGRAM_SUB]++;
    histogram->total++;
    if (number > histogram->max)
        histogram->max = number;
}

/* Add all numbers of another histogram. */
static inline void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
    into->total += from->total;
    if (from->max > into->max)
        into->max = from->max;
}

/* The largest number of a bucket. */
static inline uint64_t histogram_bound(size_t bucket)
{
    size_t shift = bucket < 2 * HISTOGRAM_SUB ? 0 : bucket / HISTOGRAM_SUB - 1;
    uint64_t mantissa = bucket - shift * HISTOGRAM_SUB;

    return (mantissa << shift) + (((uint64_t)1 << shift) - 1);
}

/* A number that `share` (0 to 1) of all numbers do not exceed: the upper end of its bucket. */
static inline uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)((double)histogram->total * share);
    uint64_t seen = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->bucket[i];
        if (seen > wanted) {
            uint64_t bound = histogram_bound(i);

            return bound < histogram->max ? bound : histogram->max;
        }
    }
    return histogram->max;
}

/* How many numbers lie in buckets above the one of `limit`. */
static inline uint64_t histogram_above(const struct histogram *histogram, uint64_t limit)
{
    unsigned shift = histogram_shift(limit);
    size_t first = (size_t)(limit >> shift) + (size_t)shift * HISTOGRAM_SUB + 1;
    uint64_t count = 0;

    for (size_t i = first; i < HISTOGRAM_BUCKETS; i++)
        count += histogram->bucket[i];
    return count;
}

#endif
