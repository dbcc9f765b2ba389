/* SPDX-License-Identifier: MIT */
/* Cost against the number of keys, by powers of ten: get, put, opening and rebuilding. */
#include "bench/common.h"
#include "bench/peers/bench.h"
#include "bench/workload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 1000
#define CHUNK ((size_t)1 << 16)
/* Records that gets and puts visit at most. */
#define VISITED ((size_t)500000)
#define STRIDE ((size_t)64)
/* More than so many are loaded in one round only. */
#define ONCE 1000000

/* The records of this step of the scale. */
struct scale {
    size_t n;
    struct visit gets;
    struct visit puts;
};

static void note(const struct job *job, const char *what, const char *unit, double value)
{
    const struct scale *scale = job->plan;
    char *row = bench_text("%s %zu", what, scale->n);

    job_result(job, "scaling", row, unit, value);
    free(row);
}

static void fail_if_wrong(const struct job *job, const char *after, size_t wrong)
{
    if (wrong > 0)
        bench_fail(BENCH_WRONG, "%s: wrong data after %s: %zu", job->engine->name, after, wrong);
}

static struct engine_config config_of(const struct job *job)
{
    const struct scale *scale = job->plan;

    return (struct engine_config){.flags = ENGINE_KEEP_INDEX, .records = scale->n};
}

static void load(const struct job *job, void *db)
{
    const struct scale *scale = job->plan;
    struct visit visit;
    uint64_t ns = 0;

    visit_init(&visit, CHUNK);
    for (size_t done = 0; done < scale->n; done += visit.n) {
        uint64_t start;

        visit.n = scale->n - done < CHUNK ? scale->n - done : CHUNK;
        visit_fill_range(&visit, &shape_fixed, 0, (uint32_t)done);
        start = bench_now();
        visit_store(&visit, job->engine, db, BATCH);
        ns += bench_now() - start;
    }
    note(job, "load", "ns", (double)ns / (double)scale->n);
    visit_free(&visit);
}

/* Visit the records, again and again if they are few, until a section's time is over. */
static void run_row(const struct job *job, void *db, const char *row, const struct visit *visit,
                    bool puts)
{
    uint64_t limit = job->bench->settings.work_ms * 1000000u;
    char buf[WORKLOAD_VALUE_MAX];
    uint64_t start = bench_now();
    uint64_t now = start;
    size_t wrong = 0;
    size_t done = 0;

    while (now - start < limit) {
        for (size_t i = 0; i < STRIDE; i++, done++) {
            const struct pair *pair = &visit->pairs[done % visit->n];
            size_t len = pair->value_len;

            wrong += (puts ? job->engine->put(db, pair)
                           : job->engine->get(db, pair, buf, sizeof buf, &len)) != ENGINE_OK;
            wrong += len != pair->value_len;
        }
        now = bench_now();
    }
    note(job, row, "ns", (double)(now - start) / (double)done);
    fail_if_wrong(job, row, wrong);
}

static void measure(const struct job *job)
{
    const struct scale *scale = job->plan;
    struct engine_config config = config_of(job);
    struct store store;

    store_open(&store, job->engine, job->path, &config);
    load(job, store.db);
    fail_if_wrong(job, "load", visit_count_wrong(&scale->gets, job->engine, store.db));
    run_row(job, store.db, "get", &scale->gets, false);
    run_row(job, store.db, "put", &scale->puts, true);
    fail_if_wrong(job, "put",
                  visit_count_strange(&scale->puts, &shape_fixed, 2, 0, job->engine, store.db));
    fail_if_wrong(job, "put", store_count(&store) != scale->n);
    store_close(&store);
}

static void open_again(const struct job *job, const char *row)
{
    const struct scale *scale = job->plan;
    struct engine_config config = config_of(job);
    uint64_t start = bench_now();
    struct store store;

    store_open(&store, job->engine, job->path, &config);
    note(job, row, "ms", (double)(bench_now() - start) / 1e6);
    fail_if_wrong(job, row, store_count(&store) != scale->n);
    store_close(&store);
}

static void measure_cold(const struct job *job)
{
    static const char *const helpers[] = {"lock", "index"};

    open_again(job, "reopen");
    if ((job->engine->traits & ENGINE_OURS) == 0)
        return;
    for (size_t i = 0; i < sizeof helpers / sizeof helpers[0]; i++) {
        char *path = bench_text("%s-%s", job->path, helpers[i]);

        if (unlink(path) != 0 && errno != ENOENT)
            bench_fail(BENCH_BROKEN, "cannot remove %s: %s", path, strerror(errno));
        free(path);
    }
    open_again(job, "rebuild");
}

static bool is_scaled(const struct engine *engine)
{
    return strcmp(engine->name, "lxdb") == 0 || strcmp(engine->name, "lmdb-writemap") == 0 ||
           strcmp(engine->name, "kyoto") == 0;
}

static void scale_round(struct bench *bench, size_t round, size_t n)
{
    size_t visited = n < VISITED ? n : VISITED;
    struct scale scale = {.n = n};

    visit_init(&scale.gets, visited);
    visit_init(&scale.puts, visited);
    visit_fill_sample(&scale.gets, &shape_fixed, 0, n, 300 + round);
    visit_fill_sample(&scale.puts, &shape_fixed, 1, n, 400 + round);
    bench_round(bench, round, is_scaled, (job_function *const[]){measure, measure_cold, NULL},
                &scale);
    visit_free(&scale.gets);
    visit_free(&scale.puts);
}

void workload_scaling(struct bench *bench)
{
    for (size_t n = 1000; n <= bench->settings.scale; n *= 10)
        for (size_t round = 0; round < (n > ONCE ? 1 : bench->settings.rounds); round++)
            scale_round(bench, round, n);
    printf("\nscaling: records %s, one process, no syncs; medians of %zu rounds, over %d records "
           "of one\n",
           shape_fixed.name, bench->settings.rounds, ONCE);
    results_print(bench->results, "scaling");
}
