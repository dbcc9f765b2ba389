/* SPDX-License-Identifier: MIT */
/*
 * The floor under each row: the least that any store of this design has to do for it, in memory
 * that is warm and files that are there. How far a store is from it is what is left to gain.
 */
#ifndef LXDB_BENCH_ROWS_FLOOR_H
#define LXDB_BENCH_ROWS_FLOOR_H

#include "bench/engine.h"

#include <stdbool.h>
#include <stddef.h>

enum floor_kind {
    FLOOR_GET,    /* probe an open-addressing table in memory, and copy the value out */
    FLOOR_PUT,    /* copy header, key and value into a mapped file, with their CRC-32 */
    FLOOR_DELETE, /* the same without a value */
    FLOOR_COPY,   /* copy the records from one mapped file to another */
    FLOOR_SCAN    /* the CRC-32 of a mapped file of the records */
};

struct floor;

/* Files in `dir` for `n` records, which must stay where they are until floor_close(). */
struct floor *floor_open(const char *dir, const struct pair *pairs, size_t n);
/* Do the work for all records. Returns the seconds that it took. */
double floor_run(struct floor *floor, enum floor_kind kind);
/* Whether the work was done. */
bool floor_verify(const struct floor *floor, enum floor_kind kind);
void floor_close(struct floor *floor);

#endif
