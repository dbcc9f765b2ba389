/* SPDX-License-Identifier: MIT */
/*
 * How long single puts of lxdb take: every one of a long load, and those beside a compaction.
 */
#include "bench/common.h"
#include "bench/peers/bench.h"
#include "bench/workload.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define BATCH 1000
/* Records that are made at a time, outside of the timing. */
#define CHUNK ((size_t)1 << 16)

static void note(const struct job *job, const char *row, const char *unit, double value)
{
    job_result(job, "load", row, unit, value);
}

static void fail_if_wrong(const char *after, size_t wrong)
{
    if (wrong > 0)
        bench_fail(BENCH_WRONG, "lxdb: wrong data after %s: %zu", after, wrong);
}

/* ---- A put, while the database grows --------------------------------------------------------- */

static long count_preemptions(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

/* Put the records of a chunk, with one reading of the clock between neighbours, until `stop` (NULL:
 * until its end); returns the nanoseconds. */
static uint64_t put_chunk(const struct engine *engine, void *db, const struct visit *visit,
                          struct histogram *histogram, const _Atomic int *stop)
{
    uint64_t start = bench_now();
    uint64_t before = start;

    for (size_t i = 0; i < visit->n; i++) {
        uint64_t now;

        /* acquire: pairs with the release of the compactor */
        if (stop != NULL && atomic_load_explicit(stop, memory_order_acquire))
            break;
        engine->put(db, &visit->pairs[i]);
        now = bench_now();
        histogram_add(histogram, now - before);
        before = now;
    }
    return before - start;
}

/* A sample of what was loaded is there, and nothing else. */
static void check_load(const struct engine *engine, void *db, struct visit *visit, size_t records)
{
    visit->n = CHUNK;
    visit_fill_sample(visit, &shape_fixed, 0, records, 7);
    fail_if_wrong("the load", visit_count_wrong(visit, engine, db));
    fail_if_wrong("the load", engine->count(db) != records);
}

static void measure_load(const struct job *job)
{
    const struct engine *engine = job->engine;
    size_t records = job->bench->settings.load;
    struct histogram *puts = bench_alloc(1, sizeof *puts);
    struct engine_config config = {.flags = ENGINE_NO_COMPACTION, .records = records};
    void *db = engine->open(job->path, &config);
    long preempted = 0;
    struct visit visit;
    uint64_t ns = 0;

    visit_init(&visit, CHUNK);
    for (size_t done = 0; done < records; done += visit.n) {
        long before;

        visit.n = records - done < CHUNK ? records - done : CHUNK;
        visit_fill_range(&visit, &shape_fixed, 0, (uint32_t)done);
        before = count_preemptions();
        ns += put_chunk(engine, db, &visit, puts, NULL);
        preempted += count_preemptions() - before;
    }
    check_load(engine, db, &visit, records);
    engine->close(db);
    note(job, "put", "ns", (double)ns / (double)records);
    note(job, "p50", "us", (double)histogram_quantile(puts, 0.5) / 1e3);
    note(job, "p99", "us", (double)histogram_quantile(puts, 0.99) / 1e3);
    note(job, "p99.9", "us", (double)histogram_quantile(puts, 0.999) / 1e3);
    note(job, "p99.99", "us", (double)histogram_quantile(puts, 0.9999) / 1e3);
    note(job, "max", "us", (double)puts->max / 1e3);
    note(job, "preempted", "times", (double)preempted);
    results_add_curve(job->bench->results, "load", "put", engine->name, puts);
    visit_free(&visit);
    free(puts);
}

/* ---- Puts beside a compaction ---------------------------------------------------------------- */

/* Stages of the two processes, each set by one of them and awaited by the other. */
enum { FILLING, FILLED, COMPACTING };

struct shared {
    _Atomic int stage;
    _Atomic int done; /* the compaction is; a word of its own, as it is read beside each put */
    uint64_t ns;      /* of the compaction */
};

/* release and acquire: what was done before a stage is seen by the one who awaits it. */
static void set_stage(struct shared *shared, int stage)
{
    atomic_store_explicit(&shared->stage, stage, memory_order_release);
}

static void await_stage(struct shared *shared, int stage)
{
    while (atomic_load_explicit(&shared->stage, memory_order_acquire) != stage)
        sched_yield();
}

static noreturn void compact(const struct job *job, const struct engine_config *config,
                             const char *path, struct shared *shared)
{
    uint64_t start;
    void *db;

    bench_follow_parent();
    await_stage(shared, FILLED);
    db = job->engine->open(path, config);
    set_stage(shared, COMPACTING);
    start = bench_now();
    job->engine->compact(db);
    shared->ns = bench_now() - start;
    atomic_store_explicit(&shared->done, 1, memory_order_release);
    job->engine->close(db);
    exit(0);
}

/* Every record twice, so that one half of the file is dead. */
static void fill_twice(const struct job *job, void *db, struct visit *visit)
{
    for (unsigned version = 0; version < 2; version++) {
        visit_fill(visit, &shape_fixed, version, 11 + job->round + version);
        visit_store(visit, job->engine, db, BATCH);
    }
}

static void measure_compaction(const struct job *job)
{
    const struct engine *engine = job->engine;
    struct engine_config config = {.flags = ENGINE_NO_COMPACTION,
                                   .records = job->bench->settings.large};
    struct histogram *puts = bench_alloc(1, sizeof *puts);
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *path = bench_text("%s/compacted", job->folder);
    struct visit visit;
    pid_t compactor;
    int status;
    void *db;

    if (shared == MAP_FAILED)
        bench_fail(BENCH_BROKEN, "no shared memory: %s", strerror(errno));
    fflush(NULL);
    compactor = fork();
    if (compactor < 0)
        bench_fail(BENCH_BROKEN, "cannot fork: %s", strerror(errno));
    if (compactor == 0)
        compact(job, &config, path, shared);

    db = engine->open(path, &config);
    visit_init(&visit, config.records);
    fill_twice(job, db, &visit);
    visit_fill(&visit, &shape_fixed, 2, 17 + job->round);
    set_stage(shared, FILLED);
    await_stage(shared, COMPACTING);
    while (!atomic_load_explicit(&shared->done, memory_order_acquire))
        put_chunk(engine, db, &visit, puts, &shared->done);
    if (waitpid(compactor, &status, 0) != compactor || status != 0)
        bench_fail(BENCH_BROKEN, "lxdb: the compacting process failed");
    fail_if_wrong("a compaction", visit_count_strange(&visit, &shape_fixed, 3, 0, engine, db));
    fail_if_wrong("a compaction", engine->count(db) != visit.n);
    engine->close(db);

    note(job, "compacting beside puts", "ms", (double)shared->ns / 1e6);
    note(job, "puts meanwhile", "", (double)puts->total);
    note(job, "p99.9 meanwhile", "us", (double)histogram_quantile(puts, 0.999) / 1e3);
    note(job, "longest meanwhile", "us", (double)puts->max / 1e3);
    results_add_curve(job->bench->results, "load", "put beside a compaction", engine->name, puts);
    visit_free(&visit);
    munmap(shared, sizeof *shared);
    free(path);
    free(puts);
}

static bool is_lxdb(const struct engine *engine)
{
    return strcmp(engine->name, "lxdb") == 0;
}

void workload_load(struct bench *bench)
{
    for (size_t round = 0; round < bench->settings.rounds; round++)
        bench_round(bench, round, is_lxdb,
                    (job_function *const[]){measure_load, measure_compaction, NULL}, NULL);
    printf("\nload: %zu puts of new keys %s, no compaction; then puts beside a compaction of %zu "
           "records, each of which was replaced once; medians of %zu rounds\n",
           bench->settings.load, shape_fixed.name, bench->settings.large, bench->settings.rounds);
    results_print(bench->results, "load");
}
