/* SPDX-License-Identifier: MIT */
/*
 * The rows of the throughput table of lxcore 0.1.0, the Python original: what each does to lxdb,
 * and how it is verified. bench/table runs them once, bench/readme many times.
 *
 * A row is prepared, run and verified, in that order; every row is prepared from any state of the
 * database, so that rows may come in any order and any number. Only rows_run() is on the clock.
 */
#ifndef LXDB_BENCH_ROWS_H
#define LXDB_BENCH_ROWS_H

#include "bench/rows_floor.h"

#include <stddef.h>

enum row_unit { ROW_PER_SECOND, ROW_SECONDS };

/* The state of a database and the records of a row. */
struct rows;

struct row {
    const char *name;
    enum row_unit unit;
    double published; /* of lxcore 0.1.0 for 10,000 records, on its author's machine */
    enum floor_kind floor;
    void (*prepare)(struct rows *rows);
    void (*run)(struct rows *rows);
    /* The check in words, to be freed with free(), or NULL if it failed. */
    char *(*verify)(struct rows *rows);
};

#define ROWS 18
#define ROW_TREES 6

/* The table, in its order. Typed rows pass JSON text. */
extern const struct row row_table[ROWS];
/* The typed rows once more, from and to cJSON trees. */
extern const struct row row_trees[ROW_TREES];

/* A database in `dir`, which it has for itself, for rows of `n` records. */
struct rows *rows_open(const char *dir, size_t n);
void rows_close(struct rows *rows);

/* Make ready for `row`, off the clock. */
void rows_prepare(struct rows *rows, const struct row *row);
/* Do the operations of `row`. Returns the seconds that they took. */
double rows_run(struct rows *rows, const struct row *row);
/* Whether the database and what was read from it are as they must be, in words; NULL: they are not.
 */
char *rows_verify(struct rows *rows, const struct row *row);

/* The records that a prepared row stores or reads, n of them, until it is prepared again. */
const struct pair *rows_pairs(struct rows *rows);

#endif
