/* SPDX-License-Identifier: MIT */
/*
 * bench/bench-peers: the frame in which every workload runs.
 *
 * A workload takes rounds. In a round every engine gets its turn, in an order that rotates from
 * round to round, in processes of its own: what one leaves behind (threads, memory, dirty pages of
 * a finished database) does not weigh on the next, and one that fails is named and left out from
 * then on while the others go on. Results lie in memory that all these processes share.
 */
#ifndef LXDB_BENCH_PEERS_BENCH_H
#define LXDB_BENCH_PEERS_BENCH_H

#include "bench/engine.h"
#include "bench/peers/results.h"

#include <stdbool.h>

/* All engines that this program was built with; ends with NULL. */
extern const struct engine *const all_engines[];
/* The names of those that it was built without; ends with NULL. */
extern const char *const absent_engines[];

#define ENGINES_MAX 24

struct settings {
    size_t rounds;
    size_t small_rounds; /* of the workload `small` */
    size_t small;        /* records of the README's shape */
    size_t large;        /* records of 16 byte keys and 100 byte values */
    size_t load;         /* the same, for the long load */
    size_t scale;        /* the same, the most of the workload `scaling` */
    size_t section_ms;   /* the least that a row of `small` lasts */
    size_t work_ms;      /* how long a row of the others lasts */
};

struct bench {
    const char *dir; /* where databases may be made */
    struct settings settings;
    struct results *results;
    const struct engine *engines[ENGINES_MAX]; /* the chosen ones */
    size_t n_engines;
    bool failed[ENGINES_MAX];
    int status;  /* how the program will end */
    double load; /* of the machine, when it began */
};

/* What a process that measures one engine is given. */
struct job {
    struct bench *bench;
    const struct engine *engine;
    const char *path; /* of the database, in a folder of the engine's own */
    const char *folder;
    size_t round;
    const void *plan; /* of the workload */
};

typedef void job_function(const struct job *job);

/*
 * Let every chosen engine have its turn in `round`: a fresh folder, the functions of `steps`, up to
 * the first NULL, one after the other, each in a process of its own, and the folder is emptied.
 * `fits` (NULL: all) chooses among the engines.
 */
void bench_round(struct bench *bench, size_t round, bool (*fits)(const struct engine *),
                 job_function *const *steps, const void *plan);

/* Do a part of a job in a process of its own, and end as that does if it fails. */
void job_apart(const struct job *job, job_function *part);

/* Note a result of the job's engine. */
void job_result(const struct job *job, const char *workload, const char *row, const char *unit,
                double value);

/* A database that is open, with what must run beside it. */
struct store {
    const struct engine *engine;
    void *server;
    void *db;
};

void store_open(struct store *store, const struct engine *engine, const char *path,
                const struct engine_config *config);
void store_close(struct store *store);
uint64_t store_count(const struct store *store);

/* The workloads. Each prints its tables. */
void workload_small(struct bench *bench);
void workload_large(struct bench *bench);
void workload_processes(struct bench *bench);
void workload_durable(struct bench *bench);
void workload_load(struct bench *bench);
void workload_scaling(struct bench *bench);

/* Judge what was measured by what is aimed at, and print it. */
void targets_print(struct bench *bench);

#endif
