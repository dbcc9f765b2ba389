/* SPDX-License-Identifier: MIT */
/*
 * What processes cost each other. Workers open the database themselves, visit a sample of its keys
 * once to have everything mapped, meet at a barrier and work for a fixed time. Configurations take
 * turns within a round, and a round's ratio compares neighbours in time.
 *
 * Two processors need not give twice the throughput of one, even to programs that share nothing:
 * they may be two threads of one core, or the host may be busy. The same workers over a plain
 * array, which have no store to wait for, show what the machine itself gives; so do those of LMDB.
 */
#include "bench/common.h"
#include "bench/engine.h"
#include "bench/parts.h"
#include "bench/workload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 1000
#define WORKERS_MAX 2
/* Keys that a worker visits, round and round. */
#define VISITED ((size_t)200000)
/* Operations between two looks at the clock. */
#define STRIDE ((size_t)256)

/* What a worker does and did, in memory that parent and workers share. */
struct worker {
    const struct engine *engine; /* NULL: read the plain array */
    const char *path;
    unsigned flags;
    int writes;
    uint64_t seed;
    /* Results. */
    uint64_t operations;
    uint64_t ns;
};

struct crew {
    pthread_barrier_t start;
    size_t records;
    uint64_t work_ns;
    const char *array; /* of `records` values, WORKLOAD_VALUE_MAX bytes apart */
    struct worker worker[WORKERS_MAX];
};

/* ---- In the worker --------------------------------------------------------------------------- */

/* Read or write `n` pairs; returns how many answers were wrong. */
static size_t work_stride(const struct crew *crew, const struct worker *worker, void *db,
                          const struct visit *visit, size_t from, size_t n)
{
    char buf[WORKLOAD_VALUE_MAX];
    size_t wrong = 0;

    for (size_t i = from; i < from + n; i++) {
        const struct pair *pair = &visit->pairs[i];
        size_t len = 0;

        if (worker->engine == NULL) {
            memcpy(buf, crew->array + (size_t)visit->ids[i] * WORKLOAD_VALUE_MAX, pair->value_len);
            wrong += memcmp(buf, pair->value, sizeof(uint64_t)) != 0;
        } else if (worker->writes) {
            wrong += worker->engine->put(db, pair) != ENGINE_OK;
        } else {
            wrong += worker->engine->get(db, pair, buf, sizeof buf, &len) != ENGINE_OK;
            wrong += len != pair->value_len;
        }
    }
    return wrong;
}

/* Every visited value is one that was stored: version 0, or version 1 from the writer. */
static size_t count_torn(const struct worker *worker, void *db, const struct visit *visit)
{
    char buf[WORKLOAD_VALUE_MAX], other[WORKLOAD_VALUE_MAX];
    size_t torn = 0;

    for (size_t i = 0; i < visit->n; i++) {
        const struct pair *pair = &visit->pairs[i];
        size_t len;

        if (worker->engine->get(db, pair, buf, sizeof buf, &len) != ENGINE_OK ||
            len != pair->value_len) {
            torn++;
        } else if (memcmp(buf, pair->value, len) != 0) {
            shape_fixed.value(visit->ids[i], worker->writes ? 0 : 1, other);
            torn += memcmp(buf, other, len) != 0;
        }
    }
    return torn;
}

static int run_worker(struct crew *crew, struct worker *worker)
{
    struct visit visit;
    uint64_t start, now;
    size_t wrong;
    void *db = NULL;

    visit_init(&visit, VISITED);
    visit_fill_sample(&visit, &shape_fixed, worker->writes ? 1 : 0, crew->records, worker->seed);
    if (worker->engine != NULL)
        db = worker->engine->open(worker->path, worker->flags);
    wrong = worker->engine != NULL ? count_torn(worker, db, &visit)
                                   : work_stride(crew, worker, db, &visit, 0, visit.n);

    pthread_barrier_wait(&crew->start);
    start = now = bench_now();
    for (size_t at = 0; now - start < crew->work_ns; at = (at + STRIDE) % (VISITED - STRIDE)) {
        wrong += work_stride(crew, worker, db, &visit, at, STRIDE);
        worker->operations += STRIDE;
        now = bench_now();
    }
    worker->ns = now - start;

    if (worker->engine != NULL) {
        wrong += count_torn(worker, db, &visit);
        worker->engine->close(db);
    }
    visit_free(&visit);
    return wrong > 0 ? BENCH_WRONG : 0;
}

/* ---- In the parent --------------------------------------------------------------------------- */

static void kill_all(const pid_t *pids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
}

/* Wait for all workers. If one fails, the others may wait at the barrier for ever: end them. */
static int reap(pid_t *pids, size_t n)
{
    int failure = 0;

    for (size_t left = n; left > 0; left--) {
        int status;
        pid_t pid = wait(&status);

        for (size_t i = 0; i < n; i++)
            if (pids[i] == pid)
                pids[i] = 0;
        if (failure == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
            failure = WIFEXITED(status) ? WEXITSTATUS(status) : BENCH_BROKEN;
            kill_all(pids, n);
        }
    }
    return failure;
}

/* Run the crew's first `n` workers together. */
static void run_crew(struct crew *crew, size_t n)
{
    pthread_barrierattr_t shared;
    pid_t pids[WORKERS_MAX];
    int failure;

    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&crew->start, &shared, (unsigned)n);
    fflush(stdout);
    for (size_t i = 0; i < n; i++) {
        crew->worker[i].operations = 0;
        pids[i] = fork();
        if (pids[i] < 0) {
            kill_all(pids, i);
            bench_fail(BENCH_BROKEN, "cannot fork: %s", strerror(errno));
        }
        if (pids[i] == 0) {
            bench_follow_parent();
            exit(run_worker(crew, &crew->worker[i]));
        }
    }
    failure = reap(pids, n);
    if (failure != 0)
        bench_fail(failure, "a worker failed%s", failure == BENCH_WRONG ? ": wrong data" : "");
    pthread_barrierattr_destroy(&shared);
}

static double rate(const struct worker *worker)
{
    return (double)worker->operations / (double)worker->ns * 1e9;
}

/* One subject of the measurement, and what came out of it. */
struct subject {
    const char *name;
    const struct engine *engine;
    char *path;
    struct sample one;     /* reads a second of one reader */
    struct sample two;     /* two readers together, in terms of one */
    struct sample beside;  /* a reader beside a writer, in terms of one alone */
    struct sample compact; /* the same, with automatic compaction in the writer */
    struct sample writer;  /* writes a second, beside the reader */
};

/* The rate of the first worker, or of all readers together. */
static double measure(struct crew *crew, const struct subject *subject, size_t readers,
                      size_t writers, unsigned flags, uint64_t seed)
{
    double sum = 0;

    for (size_t i = 0; i < readers + writers; i++)
        crew->worker[i] = (struct worker){.engine = subject->engine,
                                          .path = subject->path,
                                          .flags = flags,
                                          .writes = i >= readers,
                                          .seed = seed + i};
    run_crew(crew, readers + writers);
    for (size_t i = 0; i < readers; i++)
        sum += rate(&crew->worker[i]);
    return sum;
}

static void store_records(const struct subject *subject, const struct visit *visit)
{
    void *db;

    if (subject->engine == NULL)
        return;
    db = subject->engine->open(subject->path, 0);
    visit_store(visit, subject->engine, db, BATCH);
    subject->engine->close(db);
}

/* One reader and two, in changing order; then, of a store, one beside a writer, which leaves the
 * file larger. */
static void subject_round(struct crew *crew, struct subject *subject, size_t round)
{
    uint64_t seed = 100 * (round + 1);
    size_t first = 1 + round % 2;
    double reads[1 + WORKERS_MAX];
    double one;

    reads[first] = measure(crew, subject, first, 0, ENGINE_NO_COMPACTION, seed);
    reads[3 - first] = measure(crew, subject, 3 - first, 0, ENGINE_NO_COMPACTION, seed);
    one = reads[1];
    sample_add(&subject->one, one);
    sample_add(&subject->two, reads[2] / one);
    if (subject->engine == NULL)
        return;
    sample_add(&subject->beside, measure(crew, subject, 1, 1, ENGINE_NO_COMPACTION, seed) / one);
    sample_add(&subject->writer, rate(&crew->worker[1]));
    if (subject->engine == &engine_lxdb)
        sample_add(&subject->compact, measure(crew, subject, 1, 1, 0, seed) / one);
}

static void subject_print(const struct subject *subject)
{
    printf("  %-12s %12.0f  %6.3f (%.3f..%.3f)", subject->name, sample_median(&subject->one),
           sample_median(&subject->two), sample_min(&subject->two), sample_max(&subject->two));
    if (subject->beside.n > 0)
        printf("  %6.3f (%.3f..%.3f)  %11.0f", sample_median(&subject->beside),
               sample_min(&subject->beside), sample_max(&subject->beside),
               sample_median(&subject->writer));
    putchar('\n');
    if (subject->compact.n > 0)
        printf("  %-12s %35s  %6.3f (%.3f..%.3f)\n", "", "with automatic compaction",
               sample_median(&subject->compact), sample_min(&subject->compact),
               sample_max(&subject->compact));
}

static void *map_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        bench_fail(BENCH_BROKEN, "cannot map %zu bytes: %s", size, strerror(errno));
    return memory;
}

void part_readers(const struct settings *settings, struct report *report)
{
    struct subject subjects[] = {
        {.name = "lxdb", .engine = &engine_lxdb},
        {.name = "lmdb", .engine = &engine_lmdb},
        {.name = "plain array", .engine = NULL},
    };
    size_t n = sizeof subjects / sizeof subjects[0];
    size_t array_size = settings->large * WORKLOAD_VALUE_MAX;
    char *array = map_shared(array_size);
    struct crew *crew = map_shared(sizeof *crew);
    struct visit visit;

    crew->records = settings->large;
    crew->work_ns = settings->work_ms * 1000000u;
    crew->array = array;
    for (size_t i = 0; i < settings->large; i++)
        shape_fixed.value((uint32_t)i, 0, array + i * WORKLOAD_VALUE_MAX);
    visit_init(&visit, settings->large);
    for (size_t i = 0; i < n; i++)
        subjects[i].path = bench_text("%s/readers-%zu.db", settings->dir, i);

    for (size_t round = 0; round < settings->rounds; round++) {
        visit_fill(&visit, &shape_fixed, 0, 50 + round);
        for (size_t i = 0; i < n; i++) {
            store_records(&subjects[i], &visit);
            subject_round(crew, &subjects[i], round);
        }
        bench_empty(settings->dir);
    }

    printf("\nProcesses over %zu records %s, medians of %zu rounds of %zu ms\n", settings->large,
           shape_fixed.name, settings->rounds, settings->work_ms);
    printf("  %-12s %12s  %-21s  %-21s  %s\n", "", "reads/s", "two readers (of one)",
           "beside a writer", "its writes/s");
    for (size_t i = 0; i < n; i++)
        subject_print(&subjects[i]);
    report_add(report, "two reader processes", &subjects[0].two, "of one", REPORT_AT_LEAST, 1.9);
    report_add(report, "a reader beside a writer", &subjects[0].beside, "of alone", REPORT_AT_LEAST,
               0.85);

    for (size_t i = 0; i < n; i++)
        free(subjects[i].path);
    visit_free(&visit);
    munmap(array, array_size);
    munmap(crew, sizeof *crew);
}
