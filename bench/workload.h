/* SPDX-License-Identifier: MIT */
/*
 * The records that are measured with, and the order in which a loop visits them.
 *
 * A record is a function of its number and a version, so any process can make it again and compare.
 * A visit lays out chosen records in visiting order, in memory of its own, so that a timed loop
 * reads its arguments front to back and spends its cache misses in the store.
 */
#ifndef LXDB_BENCH_WORKLOAD_H
#define LXDB_BENCH_WORKLOAD_H

#include "bench/engine.h"

#include <stddef.h>
#include <stdint.h>

#define WORKLOAD_KEY_MAX 24
#define WORKLOAD_VALUE_MAX 128

/* A shape of records. Each function returns a length. */
struct shape {
    const char *name;
    size_t (*key)(uint32_t id, char buf[WORKLOAD_KEY_MAX]);
    /* A key that no id has, near that of `id`. */
    size_t (*missing)(uint32_t id, char buf[WORKLOAD_KEY_MAX]);
    /* The same size for every version below 10; in the README's shape longer from 10 on. */
    size_t (*value)(uint32_t id, unsigned version, char buf[WORKLOAD_VALUE_MAX]);
};

extern const struct shape shape_readme; /* keys like key_000123, JSON values of some 80 bytes */
extern const struct shape shape_fixed;  /* keys of 16 bytes, values of 100 */

struct visit {
    struct pair *pairs;
    uint32_t *ids;
    size_t n;
    char *keys;
    char *values;
};

/* Make a visit that can hold `n` records; it is empty of content until it is filled. */
void visit_init(struct visit *visit, size_t n);
void visit_free(struct visit *visit);

/* The records 0..n-1 in an order that `seed` determines. */
void visit_fill(struct visit *visit, const struct shape *shape, unsigned version, uint64_t seed);
/* The records first..first+n-1, in that order. */
void visit_fill_range(struct visit *visit, const struct shape *shape, unsigned version,
                      uint32_t first);
/* n records out of 0..records-1, each at random: some may come twice. */
void visit_fill_sample(struct visit *visit, const struct shape *shape, unsigned version,
                       size_t records, uint64_t seed);
/* n missing keys, in an order that `seed` determines. */
void visit_fill_missing(struct visit *visit, const struct shape *shape, uint64_t seed);

/* The number of pairs whose value is not the one stored. */
size_t visit_count_wrong(const struct visit *visit, const struct engine *engine, void *db);
/* The number of pairs whose key is stored. */
size_t visit_count_found(const struct visit *visit, const struct engine *engine, void *db);
/* The number of pairs whose value is of none of the versions 0..versions-1, among the first ones:
 * as many as can be looked at in `limit_ns` (0: all). */
size_t visit_count_strange(const struct visit *visit, const struct shape *shape, unsigned versions,
                           uint64_t limit_ns, const struct engine *engine, void *db);
/* What a tour sees if exactly the pairs are stored. */
void visit_tour(const struct visit *visit, struct tour *ret_tour);

/* Store the pairs in batches of up to `batch`. */
void visit_store(const struct visit *visit, const struct engine *engine, void *db, size_t batch);

#endif
