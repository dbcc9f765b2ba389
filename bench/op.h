/* SPDX-License-Identifier: MIT */
/*
 * The single operations of the library, each ready to be repeated any number of times, for
 * whoever counts: bench/ops its time, bench/cost its instructions.
 *
 * A store is a database of `n` records of shape_fixed, visited in one shuffled order over and over.
 * Creating and deleting use n more keys, which are stored before and gone after deleting: when an
 * operation has used them up, it must be rewound before it can go on.
 */
#ifndef LXDB_BENCH_OP_H
#define LXDB_BENCH_OP_H

#include "bench/workload.h"

#include <lxdb.h>
#include <stdbool.h>
#include <stddef.h>

struct op_store {
    lxdb *db;
    size_t n;
    struct visit present; /* stored from the start; values of version 0 */
    struct visit other;   /* the same keys, values of version 1 and the same size */
    struct visit fresh;   /* not stored */
    struct visit missing; /* keys that are never stored */
    size_t at;            /* where in a visit the next operation is */
    lxdb_iter *iter;      /* what op "iterate" goes through; NULL: at its end */
};

struct op {
    const char *name;
    /* Make the store ready for n operations, at the start and after each n. May be NULL. */
    void (*rewind)(struct op_store *store);
    /* Do `count` operations. store->at + count is at most n if there is a rewind. */
    void (*run)(struct op_store *store, size_t count);
    bool by_rounds; /* what it costs is spread over n operations: measure multiples of n */
};

/* The keys that op_peek_many asks for at once, the records in a batch of op_batch_put. */
#define OP_PEEK_MANY 16
#define OP_BATCH 1000

extern const struct op ops[];
extern const size_t ops_n;

/* The operation of that name, or NULL. */
const struct op *op_find(const char *name);

/* Make a database with `n` records in `dir`. `n` is a multiple of OP_BATCH. */
void op_store_open(struct op_store *store, const char *dir, size_t n);
void op_store_close(struct op_store *store);

/* From the start with `op`: to be called before its first operation. */
void op_begin(const struct op *op, struct op_store *store);

#endif
