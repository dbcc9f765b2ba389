/* SPDX-License-Identifier: MIT */
/* The parts of bench/lmdb. Each prints what it measured and notes its targets in the report. */
#ifndef LXDB_BENCH_PARTS_H
#define LXDB_BENCH_PARTS_H

#include "bench/report.h"

#include <stddef.h>

struct settings {
    const char *dir; /* where databases may be made; emptied by every part */
    size_t rounds;   /* interleaved rounds, of which the median counts */
    size_t small;    /* records of the README's shape */
    size_t large;    /* records of 16 byte keys and 100 byte values */
    size_t load;     /* the same, for the latency of a put */
    size_t work_ms;  /* how long each reader process works in a round */
    unsigned flags;  /* ENGINE_* for opening lxdb in the get and put parts */
};

/* lxdb beside LMDB: random gets of keys that are there, and of keys that are not. */
void part_get(const struct settings *settings, struct report *report);
/* lxdb beside LMDB: single puts, new and again, batches of 1000, deletes. */
void part_put(const struct settings *settings, struct report *report);
/* The latency of every single put while a database grows to settings->load keys. */
void part_load(const struct settings *settings, struct report *report);
/* The time of lxdb_open(): beside another process, and with a kept index. */
void part_open(const struct settings *settings, struct report *report);
/* The throughput of two reader processes, and of a reader beside a writer. */
void part_readers(const struct settings *settings, struct report *report);

#endif
