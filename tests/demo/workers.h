/* SPDX-License-Identifier: MIT */
/*
 * The processes at work. Each opens the database itself, as a program of its own would; what goes
 * wrong ends it with status 1 and a sentence.
 */
#ifndef LXDB_DEMO_WORKERS_H
#define LXDB_DEMO_WORKERS_H

#include "tests/demo/ledger.h"
#include "tests/demo/source.h"

#include <lxdb.h>
#include <stdint.h>

/* Dead bytes that start a compaction: low, so that several take place while all are at work. */
#define COMPACT_FLOOR (8u << 20)

/* A database with its namespaces: one a list, and the shared one. */
struct spaces {
    lxdb *db;
    lxdb *lists[SOURCE_LISTS];
    lxdb *shared;
};

void spaces_open(struct spaces *spaces, const struct source *source, const char *path);
void spaces_close(struct spaces *spaces);

/* The chunks that a writer stores, in this order, again and again. Freed with free(). */
uint32_t *writer_plan(const struct source *source, unsigned writer, size_t *ret_n);

struct writer_job {
    const struct source *source;
    struct ledger *ledger;
    const char *path;
    unsigned writer;
};

/* Go on with the step after those that the ledger shows as done, until all records of the plan are
 * stored and it is enough. */
void writer_run(const struct writer_job *job);

struct reader_job {
    const struct source *source;
    struct ledger *ledger;
    const char *path;
    unsigned reader;
    uint64_t seed;
};

/* Read and check until the writers have finished. */
void reader_run(const struct reader_job *job);

#endif
