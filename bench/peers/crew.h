/* SPDX-License-Identifier: MIT */
/*
 * Several processes on one database. Each opens it itself, visits some of its keys to have them
 * mapped, waits at a barrier in shared memory for the others, works for a fixed time, waits again,
 * and then checks what it visited: every value has to be one that was stored.
 */
#ifndef LXDB_BENCH_PEERS_CREW_H
#define LXDB_BENCH_PEERS_CREW_H

#include "bench/peers/bench.h"

#include <pthread.h>

#define CREW_MAX 16

/* Versions of the values: as they were loaded, and as the workers write them. */
enum { CREW_LOADED, CREW_WRITTEN, CREW_VERSIONS };

struct worker {
    /* What it does. */
    bool writes;
    bool timed; /* every operation, for the histogram; costs a reading of the clock each */
    uint64_t seed;
    /* What it did. */
    uint64_t operations;
    uint64_t ns;
    struct histogram histogram;
};

struct crew {
    const struct engine *engine;
    const char *path;
    struct engine_config config;
    size_t records; /* of the fixed shape, that are stored */
    uint64_t work_ns;
    size_t n; /* workers */
    struct worker worker[CREW_MAX];
    /* What the engine's counters say of the time of work, if it has such. */
    uint64_t commits, syncs;
    pthread_barrier_t start, end;
};

/* In memory that processes share. */
struct crew *crew_new(const struct job *job, size_t records, const struct engine_config *config);
void crew_free(struct crew *crew);

/* Let `readers` and, beside them, `writers` work together. */
void crew_run(struct crew *crew, size_t readers, size_t writers, bool timed, uint64_t seed);

/* Operations a second of the workers first..first+n-1, together. */
double crew_rate(const struct crew *crew, size_t first, size_t n);
/* The least rate of these, in terms of an equal part. */
double crew_least(const struct crew *crew, size_t first, size_t n);

#endif
