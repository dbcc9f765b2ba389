/* SPDX-License-Identifier: MIT */
/* Workers that are forked, and meet at barriers. */
#include "bench/peers/crew.h"

#include "bench/common.h"
#include "bench/workload.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Keys that a worker visits, round and round. */
#define VISITED ((size_t)200000)
/* Operations between two looks at the clock. */
#define STRIDE ((size_t)64)
/* How long it looks at values before and after its work at most. */
#define LOOK_NS ((uint64_t)100000000)
/* A worker that hangs is ended after so many seconds. */
#define WORKER_SECONDS 300

struct crew *crew_new(const struct job *job, size_t records, const struct engine_config *config)
{
    struct crew *crew = mmap(NULL, sizeof *crew, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                             -1, 0);

    if (crew == MAP_FAILED)
        bench_fail(BENCH_BROKEN, "no memory for a crew: %s", strerror(errno));
    crew->engine = job->engine;
    crew->path = job->path;
    crew->config = *config;
    crew->records = records;
    crew->work_ns = job->bench->settings.work_ms * 1000000u;
    return crew;
}

void crew_free(struct crew *crew)
{
    munmap(crew, sizeof *crew);
}

/* ---- In the worker --------------------------------------------------------------------------- */

static void work_stride(const struct crew *crew, const struct worker *worker, void *db,
                        const struct pair *pairs, size_t *wrong)
{
    char buf[WORKLOAD_VALUE_MAX];

    for (size_t i = 0; i < STRIDE; i++) {
        size_t len = 0;

        if (worker->writes) {
            *wrong += crew->engine->put(db, &pairs[i]) != ENGINE_OK;
        } else {
            *wrong += crew->engine->get(db, &pairs[i], buf, sizeof buf, &len) != ENGINE_OK;
            *wrong += len != pairs[i].value_len;
        }
    }
}

/* The same, with one reading of the clock between neighbours; ends early if the time is over. */
static size_t work_timed(const struct crew *crew, struct worker *worker, void *db,
                         const struct pair *pairs, uint64_t start, size_t *wrong)
{
    char buf[WORKLOAD_VALUE_MAX];
    uint64_t before = bench_now();
    size_t i = 0;

    while (i < STRIDE && before - start < crew->work_ns) {
        const struct pair *pair = &pairs[i++];
        uint64_t now;
        size_t len = 0;

        if (worker->writes)
            *wrong += crew->engine->put(db, pair) != ENGINE_OK;
        else
            *wrong += crew->engine->get(db, pair, buf, sizeof buf, &len) != ENGINE_OK ||
                      len != pair->value_len;
        now = bench_now();
        histogram_add(&worker->histogram, now - before);
        before = now;
    }
    return i;
}

static size_t work(const struct crew *crew, struct worker *worker, void *db,
                   const struct visit *visit)
{
    uint64_t start = bench_now();
    uint64_t now = start;
    size_t wrong = 0;

    for (size_t at = 0; now - start < crew->work_ns; at += STRIDE) {
        const struct pair *pairs = visit->pairs + at % (visit->n - STRIDE);

        if (worker->timed) {
            worker->operations += work_timed(crew, worker, db, pairs, start, &wrong);
        } else {
            work_stride(crew, worker, db, pairs, &wrong);
            worker->operations += STRIDE;
        }
        now = bench_now();
    }
    worker->ns = now - start;
    return wrong;
}

/* The number of values that nobody stored, among those that can be looked at in a short time. */
static size_t look(const struct crew *crew, void *db, const struct visit *visit)
{
    return visit_count_strange(visit, &shape_fixed, CREW_VERSIONS, LOOK_NS, crew->engine, db);
}

static int run_worker(struct crew *crew, struct worker *worker)
{
    bool counts = crew->engine->counters != NULL && worker == &crew->worker[0];
    struct engine_config config = crew->config;
    uint64_t commits = 0, syncs = 0;
    struct visit visit;
    size_t wrong;
    void *db;

    visit_init(&visit, crew->records < VISITED ? crew->records : VISITED);
    visit_fill_sample(&visit, &shape_fixed, worker->writes ? CREW_WRITTEN : CREW_LOADED,
                      crew->records, worker->seed);
    if (!worker->writes)
        config.flags |= ENGINE_READER;
    db = crew->engine->open(crew->path, &config);
    wrong = look(crew, db, &visit);
    if (worker->writes) /* the first write after opening may cost more: it is not what is asked */
        work_stride(crew, worker, db, visit.pairs, &wrong);

    pthread_barrier_wait(&crew->start);
    if (counts)
        crew->engine->counters(db, &commits, &syncs);
    wrong += work(crew, worker, db, &visit);
    pthread_barrier_wait(&crew->end);
    if (counts) {
        crew->engine->counters(db, &crew->commits, &crew->syncs);
        crew->commits -= commits;
        crew->syncs -= syncs;
    }
    pthread_barrier_wait(&crew->end);

    wrong += look(crew, db, &visit);
    crew->engine->close(db);
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

/* Wait for all workers. If one fails, the others may wait at a barrier for ever: end them. */
static int reap(pid_t *pids, size_t n)
{
    int failure = 0;

    for (size_t left = n; left > 0;) {
        int status;
        pid_t pid = wait(&status);
        size_t i = 0;

        if (pid < 0)
            bench_fail(BENCH_BROKEN, "cannot wait for a worker: %s", strerror(errno));
        while (i < n && pids[i] != pid)
            i++;
        if (i == n)
            continue; /* what runs beside the database: its end shows in the workers */
        pids[i] = 0;
        left--;
        if (failure == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
            failure = WIFEXITED(status) ? WEXITSTATUS(status) : BENCH_BROKEN;
            kill_all(pids, n);
        }
    }
    return failure;
}

static void init_barrier(pthread_barrier_t *barrier, size_t n)
{
    pthread_barrierattr_t shared;

    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(barrier, &shared, (unsigned)n);
    pthread_barrierattr_destroy(&shared);
}

void crew_run(struct crew *crew, size_t readers, size_t writers, bool timed, uint64_t seed)
{
    size_t n = readers + writers;
    pid_t pids[CREW_MAX];
    int failure;

    memset(crew->worker, 0, sizeof crew->worker);
    crew->n = n;
    init_barrier(&crew->start, n);
    init_barrier(&crew->end, n);
    fflush(NULL);
    for (size_t i = 0; i < n; i++) {
        struct worker *worker = &crew->worker[i];

        worker->writes = i >= readers;
        worker->timed = timed;
        worker->seed = seed + i;
        pids[i] = fork();
        if (pids[i] < 0) {
            kill_all(pids, i);
            bench_fail(BENCH_BROKEN, "cannot fork: %s", strerror(errno));
        }
        if (pids[i] == 0) {
            bench_follow_parent();
            alarm(WORKER_SECONDS);
            exit(run_worker(crew, worker));
        }
    }
    failure = reap(pids, n);
    if (failure != 0)
        bench_fail(failure, "%s: %zu readers and %zu writers: a worker failed%s",
                   crew->engine->name, readers, writers,
                   failure == BENCH_WRONG ? ": wrong data" : "");
}

static double rate(const struct worker *worker)
{
    return (double)worker->operations / (double)worker->ns * 1e9;
}

double crew_rate(const struct crew *crew, size_t first, size_t n)
{
    double sum = 0;

    for (size_t i = first; i < first + n; i++)
        sum += rate(&crew->worker[i]);
    return sum;
}

double crew_least(const struct crew *crew, size_t first, size_t n)
{
    double least = rate(&crew->worker[first]);

    for (size_t i = first + 1; i < first + n; i++)
        if (rate(&crew->worker[i]) < least)
            least = rate(&crew->worker[i]);
    return least * (double)n / crew_rate(crew, first, n);
}
