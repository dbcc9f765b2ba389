/* SPDX-License-Identifier: MIT */
/*
 * Puts that are on the disk when they return, one by one, by 1, 4 and 16 processes: how many
 * commits a sync carries. Stores that a single process opens have the first row alone.
 */
#include "bench/common.h"
#include "bench/peers/crew.h"
#include "bench/workload.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH 1000
#define RECORDS ((size_t)10000)

static const struct engine_config config = {.flags = ENGINE_DURABLE, .records = RECORDS};

static void load(const struct job *job)
{
    void *db = job->engine->open(job->path, &config);

    visit_store(job->plan, job->engine, db, BATCH);
    job->engine->close(db);
}

static void check_all(const struct job *job)
{
    const struct visit *visit = job->plan;
    struct store store = {.engine = job->engine, .db = job->engine->open(job->path, &config)};
    size_t strange = visit_count_strange(visit, &shape_fixed, CREW_VERSIONS, 0, job->engine,
                                         store.db);

    if (strange > 0 || store_count(&store) != visit->n)
        bench_fail(BENCH_WRONG, "%s: %zu wrong values after durable puts", job->engine->name,
                   strange);
    job->engine->close(store.db);
}

static void note(const struct job *job, const char *row, size_t n, const char *unit, double value)
{
    char *text = bench_text("%s %zu", row, n);

    job_result(job, "durable", text, unit, value);
    free(text);
}

static void measure_with(const struct job *job, struct crew *crew, size_t n)
{
    struct histogram *all = bench_alloc(1, sizeof *all);

    crew_run(crew, 0, n, true, 100 * (job->round + 1));
    for (size_t i = 0; i < n; i++)
        histogram_merge(all, &crew->worker[i].histogram);
    note(job, "puts by", n, "1/s", crew_rate(crew, 0, n));
    note(job, "p99 of", n, "us", (double)histogram_quantile(all, 0.99) / 1e3);
    if (n > 1)
        note(job, "least of", n, "part", crew_least(crew, 0, n));
    if (job->engine->counters != NULL)
        note(job, "syncs/commit of", n, "", (double)crew->syncs / (double)crew->commits);
    free(all);
}

static void measure(const struct job *job)
{
    const struct engine *engine = job->engine;
    struct crew *crew = crew_new(job, RECORDS, &config);
    void *server = engine->start != NULL ? engine->start(job->path, &config) : NULL;

    job_apart(job, load);
    measure_with(job, crew, 1);
    if (engine->traits & (ENGINE_SHARED | ENGINE_FLOOR)) {
        measure_with(job, crew, 4);
        measure_with(job, crew, 16);
    }
    job_apart(job, check_all);
    if (engine->stop != NULL)
        engine->stop(server);
    crew_free(crew);
}

static bool is_durable(const struct engine *engine)
{
    return engine->durable != NULL;
}

void workload_durable(struct bench *bench)
{
    for (size_t round = 0; round < bench->settings.rounds; round++) {
        struct visit visit;

        visit_init(&visit, RECORDS);
        visit_fill(&visit, &shape_fixed, CREW_LOADED, 70 + round);
        bench_round(bench, round, is_durable, (job_function *const[]){measure, NULL}, &visit);
        visit_free(&visit);
    }
    printf("\ndurable: single puts over %zu records %s, each on the disk when it returns; medians "
           "of %zu rounds of %zu ms\n",
           RECORDS, shape_fixed.name, bench->settings.rounds, bench->settings.work_ms);
    results_print(bench->results, "durable");
}
