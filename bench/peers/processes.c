/* SPDX-License-Identifier: MIT */
/*
 * What processes cost each other: one to four readers, a reader beside a writer, one to four
 * writers. Compactions of lxdb do not start by themselves in these rows, since whether one fell
 * into a row would be chance; a row of its own has them.
 *
 * Two processors need not give twice the throughput of one, even to programs that share nothing:
 * they may be two threads of one core. The readers of the floor show what the machine gives.
 */
#include "bench/common.h"
#include "bench/peers/crew.h"
#include "bench/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 1000
#define READERS_MAX 4
/* How long values are looked at in the end at most; keys are counted, all of them. */
#define LOOK_NS 1000000000u

static void note(const struct job *job, const char *row, const char *unit, double value)
{
    job_result(job, "processes", row, unit, value);
}

static struct engine_config config_of(const struct job *job)
{
    return (struct engine_config){.flags = ENGINE_NO_COMPACTION,
                                  .records = job->bench->settings.large};
}

/* ---- In processes of their own --------------------------------------------------------------- */

static void load(const struct job *job)
{
    struct engine_config config = config_of(job);
    void *db = job->engine->open(job->path, &config);

    visit_store(job->plan, job->engine, db, BATCH);
    job->engine->close(db);
}

static void check_all(const struct job *job)
{
    struct engine_config config = config_of(job);
    const struct visit *visit = job->plan;
    struct store store = {.engine = job->engine, .db = job->engine->open(job->path, &config)};
    size_t strange = visit_count_strange(visit, &shape_fixed, CREW_VERSIONS, LOOK_NS, job->engine,
                                         store.db);

    if (strange > 0 || store_count(&store) != visit->n)
        bench_fail(BENCH_WRONG, "%s: %zu wrong values after all processes", job->engine->name,
                   strange);
    job->engine->close(store.db);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static void measure_readers(const struct job *job, struct crew *crew, uint64_t seed)
{
    for (size_t i = 0; i < READERS_MAX; i++) {
        size_t readers = 1 + (i + job->round) % READERS_MAX;
        char *row = bench_text("%zu reader%s", readers, readers > 1 ? "s" : "");

        crew_run(crew, readers, 0, false, seed);
        note(job, row, "1/s", crew_rate(crew, 0, readers));
        free(row);
    }
}

static void note_latencies(const struct job *job, const char *who,
                           const struct histogram *histogram)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}, {"max", 1}};

    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        char *row = bench_text("%s %s", who, points[i].name);

        note(job, row, "us", (double)histogram_quantile(histogram, points[i].share) / 1e3);
        free(row);
    }
    results_add_curve(job->bench->results, "processes", who, job->engine->name, histogram);
}

static void measure_beside(const struct job *job, struct crew *crew, uint64_t seed)
{
    crew_run(crew, 1, 0, true, seed);
    note(job, "reader, timed", "1/s", crew_rate(crew, 0, 1));
    results_add_curve(job->bench->results, "processes", "reader alone", job->engine->name,
                      &crew->worker[0].histogram);
    crew_run(crew, 1, 1, true, seed);
    note(job, "reader beside", "1/s", crew_rate(crew, 0, 1));
    note(job, "writer beside", "1/s", crew_rate(crew, 1, 1));
    note_latencies(job, "reader", &crew->worker[0].histogram);
    note_latencies(job, "writer", &crew->worker[1].histogram);
    if (job->engine->traits & ENGINE_OURS) {
        crew->config.flags &= ~(unsigned)ENGINE_NO_COMPACTION;
        crew_run(crew, 1, 1, true, seed);
        note(job, "reader, compacting", "1/s", crew_rate(crew, 0, 1));
        note(job, "writer, compacting", "1/s", crew_rate(crew, 1, 1));
        crew->config.flags |= ENGINE_NO_COMPACTION;
    }
}

static void measure_writers(const struct job *job, struct crew *crew, uint64_t seed)
{
    crew_run(crew, 0, 1, false, seed);
    note(job, "1 writer", "1/s", crew_rate(crew, 0, 1));
    crew_run(crew, 0, 2, false, seed);
    note(job, "2 writers", "1/s", crew_rate(crew, 0, 2));
    note(job, "least of 2", "part", crew_least(crew, 0, 2));
    crew_run(crew, 0, 4, false, seed);
    note(job, "4 writers", "1/s", crew_rate(crew, 0, 4));
    note(job, "least of 4", "part", crew_least(crew, 0, 4));
}

static void measure(const struct job *job)
{
    const struct engine *engine = job->engine;
    struct engine_config config = config_of(job);
    struct crew *crew = crew_new(job, job->bench->settings.large, &config);
    uint64_t seed = 100 * (job->round + 1);
    void *server = engine->start != NULL ? engine->start(job->path, &config) : NULL;

    job_apart(job, load);
    measure_readers(job, crew, seed);
    if (engine->traits & ENGINE_SHARED) {
        measure_beside(job, crew, seed + 20);
        measure_writers(job, crew, seed + 40);
    }
    job_apart(job, check_all);
    if (engine->stop != NULL)
        engine->stop(server);
    crew_free(crew);
}

static bool is_shared(const struct engine *engine)
{
    return (engine->traits & (ENGINE_SHARED | ENGINE_READERS)) != 0;
}

void workload_processes(struct bench *bench)
{
    for (size_t round = 0; round < bench->settings.rounds; round++) {
        struct visit visit;

        visit_init(&visit, bench->settings.large);
        visit_fill(&visit, &shape_fixed, CREW_LOADED, 50 + round);
        bench_round(bench, round, is_shared, (job_function *const[]){measure, NULL}, &visit);
        visit_free(&visit);
    }
    printf("\nprocesses: over %zu records %s, no syncs; operations a second together, medians of "
           "%zu rounds of %zu ms\n",
           bench->settings.large, shape_fixed.name, bench->settings.rounds,
           bench->settings.work_ms);
    results_print(bench->results, "processes");
}
