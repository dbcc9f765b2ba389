/* SPDX-License-Identifier: MIT */
/* Engines taking turns, each in processes of its own. */
#include "bench/common.h"
#include "bench/peers/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* An engine that hangs is ended after so many seconds, and left out like any that fails. */
#define STEP_SECONDS 900

/* Run one step in a child, and return how it ended. */
static int run_step(const struct job *job, job_function *step)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child < 0)
        bench_fail(BENCH_BROKEN, "cannot fork: %s", strerror(errno));
    if (child == 0) {
        bench_follow_parent();
        alarm(STEP_SECONDS);
        step(job);
        exit(0);
    }
    if (waitpid(child, &status, 0) != child)
        bench_fail(BENCH_BROKEN, "cannot wait for a child: %s", strerror(errno));
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "bench: %s: %s\n", job->engine->name, strsignal(WTERMSIG(status)));
        return BENCH_BROKEN;
    }
    return WEXITSTATUS(status);
}

/* Runs last long: where somebody looks on, say what is being done. */
static void show(const char *engine, size_t round)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rround %zu: %-20s\r", round + 1, engine);
}

static void take_turn(struct bench *bench, size_t which, size_t round, job_function *const *steps,
                      const void *plan)
{
    const struct engine *engine = bench->engines[which];
    char *folder = bench_text("%s/%s", bench->dir, engine->name);
    char *path = bench_text("%s/db", folder);
    struct job job = {bench, engine, path, folder, round, plan};

    if (mkdir(folder, 0700) != 0)
        bench_fail(BENCH_BROKEN, "cannot make %s: %s", folder, strerror(errno));
    show(engine->name, round);
    for (size_t i = 0; steps[i] != NULL && !bench->failed[which]; i++) {
        int status = run_step(&job, steps[i]);

        if (status != 0) {
            fprintf(stderr, "bench: %s failed and is left out from here on\n", engine->name);
            bench->failed[which] = true;
            if (bench->status != BENCH_WRONG)
                bench->status = status;
        }
    }
    bench_empty(folder);
    if (rmdir(folder) != 0)
        bench_fail(BENCH_BROKEN, "cannot remove %s: %s", folder, strerror(errno));
    free(path);
    free(folder);
}

void bench_round(struct bench *bench, size_t round, bool (*fits)(const struct engine *),
                 job_function *const *steps, const void *plan)
{
    for (size_t i = 0; i < bench->n_engines; i++) {
        size_t which = (i + round) % bench->n_engines;

        if (!bench->failed[which] && (fits == NULL || fits(bench->engines[which])))
            take_turn(bench, which, round, steps, plan);
    }
}

void job_apart(const struct job *job, job_function *part)
{
    int status = run_step(job, part);

    if (status != 0)
        exit(status);
}

void job_result(const struct job *job, const char *workload, const char *row, const char *unit,
                double value)
{
    results_add(job->bench->results, workload, row, job->engine->name, unit, value);
}

void store_open(struct store *store, const struct engine *engine, const char *path,
                const struct engine_config *config)
{
    *store = (struct store){.engine = engine};
    if (engine->start != NULL)
        store->server = engine->start(path, config);
    store->db = engine->open(path, config);
}

void store_close(struct store *store)
{
    store->engine->close(store->db);
    if (store->engine->stop != NULL)
        store->engine->stop(store->server);
}

uint64_t store_count(const struct store *store)
{
    struct tour tour = {0};

    if (store->engine->count != NULL)
        return store->engine->count(store->db);
    store->engine->tour(store->db, &tour);
    return tour.records;
}
