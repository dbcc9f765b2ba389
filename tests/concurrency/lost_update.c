/* SPDX-License-Identifier: MIT */
/*
 * Read-decide-write steps of many processes and threads on the same keys: no step may be lost, and
 * no two may have decided on the same state.
 */
#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES 6u
#define THREADS 3u
#define COUNTERS 3u
#define STEPS 2000u
#define PARTS 4u
#define THREAD_STEPS 3000u
#define RACED_KEYS 300u

struct race {
    const char *path;
    unsigned steps;
    harness_barrier *barrier;
    _Atomic uint64_t next;       /* hands out streams of chance */
    _Atomic uint64_t steps_left; /* of all who increment, for the compactor */
    _Atomic uint64_t compactions;
    _Atomic int64_t expected[COUNTERS];
    _Atomic unsigned char *seen[COUNTERS]; /* by sum: given out already */
    _Atomic unsigned winner[RACED_KEYS];
};

/* `actors` come to the barrier, each with `threads` that make `steps`. */
static struct race *race_new(const char *name, unsigned actors, unsigned threads, unsigned steps)
{
    struct race *race = harness_shared(sizeof(*race));

    race->path = harness_path(name);
    race->steps = steps;
    race->barrier = harness_barrier_new(actors);
    for (unsigned i = 0; i < COUNTERS; i++)
        race->seen[i] = harness_shared((size_t)actors * threads * steps + 1);
    return race;
}

static size_t counter_name(char *key, size_t cap, unsigned counter)
{
    return (size_t)snprintf(key, cap, "counter-%u", counter);
}

static void sum_take(struct race *race, unsigned counter, int64_t sum)
{
    CHECK(sum > 0, "sum %lld", (long long)sum);
    CHECK(atomic_exchange(&race->seen[counter][sum], 1) == 0, "counter %u gave %lld twice", counter,
          (long long)sum);
}

static void race_check(struct race *race)
{
    lxdb *db = harness_open(race->path, (lxdb_options){0});
    int64_t sum;
    char key[32];

    for (unsigned i = 0; i < COUNTERS; i++) {
        sum = 0;
        CHECK_OK(db, lxdb_get_int(db, key, counter_name(key, sizeof(key), i), &sum));
        CHECK(sum == race->expected[i], "counter %u is %lld, expected %lld", i, (long long)sum,
              (long long)race->expected[i]);
        for (int64_t given = 1; given <= sum; given++)
            CHECK(race->seen[i][given] == 1, "counter %u never gave %lld", i, (long long)given);
    }
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(race->path, COUNTERS);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void incr_step(struct race *race, lxdb *db, unsigned counter)
{
    int64_t sum = 0;
    char key[32];

    CHECK_OK(db, lxdb_incr(db, key, counter_name(key, sizeof(key), counter), 1, &sum));
    sum_take(race, counter, sum);
    (void)atomic_fetch_add(&race->expected[counter], 1);
    harness_count("increments", 1);
}

/* The same by compare-and-set, in the stored form of a typed integer: JSON's tag and digits. */
static void cas_step(struct race *race, lxdb *db, unsigned counter)
{
    char before[32], after[32], key[32];
    size_t key_len = counter_name(key, sizeof(key), counter);
    size_t before_len = 0;
    int after_len, rc;
    int64_t sum;

    do {
        rc = lxdb_read(db, key, key_len, before, sizeof(before) - 1, &before_len);
        CHECK(rc == LXDB_OK || rc == LXDB_NOTFOUND, "%s", lxdb_errmsg(db));
        before[rc == LXDB_OK ? before_len : 0] = '\0';
        CHECK(rc == LXDB_NOTFOUND || before[0] == '\1', "tag %d", before[0]);
        sum = rc == LXDB_OK ? strtoll(before + 1, NULL, 10) + 1 : 1;
        after_len = snprintf(after, sizeof(after), "\1%lld", (long long)sum);
        rc = lxdb_cas(db, key, key_len, rc == LXDB_OK ? before : NULL,
                      rc == LXDB_OK ? before_len : 0, after, (size_t)after_len);
        if (rc == LXDB_CONFLICT)
            harness_count("lost compare-and-sets, tried again", 1);
    } while (rc == LXDB_CONFLICT);
    CHECK_OK(db, rc);
    sum_take(race, counter, sum);
    (void)atomic_fetch_add(&race->expected[counter], 1);
    harness_count("compare-and-sets", 1);
}

enum mix { ONLY_INCR, ONLY_CAS, BOTH };

static void steps_run(struct race *race, lxdb *db, enum mix mix)
{
    harness_rng rng = harness_rng_make(atomic_fetch_add(&race->next, 1));
    unsigned counter;

    for (unsigned i = 0; i < race->steps; i++) {
        counter = (unsigned)harness_below(&rng, COUNTERS);
        if (mix == ONLY_INCR || (mix == BOTH && harness_below(&rng, 2) == 0))
            incr_step(race, db, counter);
        else
            cas_step(race, db, counter);
        (void)atomic_fetch_sub(&race->steps_left, 1);
        harness_progress();
    }
}

/* ---- Processes ------------------------------------------------------------------------------- */

static void process_run(struct race *race, enum mix mix)
{
    lxdb *db = harness_open(race->path, (lxdb_options){0});

    harness_stage("barrier");
    harness_barrier_wait(race->barrier);
    harness_stage("stepping");
    steps_run(race, db, mix);
    CHECK_OK(NULL, lxdb_close(db));
}

static void incr_worker(void *arg)
{
    process_run(arg, ONLY_INCR);
}

static void cas_worker(void *arg)
{
    process_run(arg, ONLY_CAS);
}

static void processes_run(const char *name, harness_work work)
{
    struct race *race = race_new(name, PROCESSES, 1, harness_rounds(STEPS));
    int workers[PROCESSES];

    harness_phase("processes stepping");
    for (unsigned i = 0; i < PROCESSES; i++)
        workers[i] = harness_start("stepper", work, race);
    for (unsigned i = 0; i < PROCESSES; i++)
        harness_wait(workers[i]);
    harness_phase("sums");
    race_check(race);
}

static void lost_update_increments_of_processes_add_up(void)
{
    processes_run("incr", incr_worker);
    harness_count_least("increments", (uint64_t)PROCESSES * STEPS);
}

static void lost_update_compare_and_set_loops_of_processes_add_up(void)
{
    processes_run("cas", cas_worker);
    harness_count_least("compare-and-sets", (uint64_t)PROCESSES * STEPS);
    /* without a conflict nobody raced */
    harness_count_least("lost compare-and-sets, tried again", 10);
}

/* ---- Processes with threads that share a handle, beside a compactor -------------------------- */

struct thread {
    struct race *race;
    lxdb *db;
};

/* In parts, with a compaction between them: else a fast machine is done before the first. */
static void *thread_run(void *arg)
{
    struct thread *thread = arg;

    for (unsigned part = 0; part < PARTS; part++) {
        harness_until_least("compaction", &thread->race->compactions, part);
        steps_run(thread->race, thread->db, BOTH);
    }
    return NULL;
}

static void threads_worker(void *arg)
{
    struct race *race = arg;
    struct thread thread = {race, harness_open(race->path, (lxdb_options){0})};
    pthread_t threads[THREADS];

    harness_barrier_wait(race->barrier);
    harness_stage("threads stepping");
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, thread_run, &thread) == 0, "no thread");
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0, "no join");
    CHECK_OK(NULL, lxdb_close(thread.db));
}

static void compactor(void *arg)
{
    struct race *race = arg;
    lxdb *db = harness_open(race->path, (lxdb_options){0});

    harness_barrier_wait(race->barrier);
    harness_stage("compacting");
    while (atomic_load(&race->steps_left) > 0) {
        CHECK_OK(db, lxdb_compact(db, NULL));
        (void)atomic_fetch_add(&race->compactions, 1);
        harness_count("compactions", 1);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

static void lost_update_threads_in_processes_beside_compaction_add_up(void)
{
    unsigned actors = PROCESSES / 2;
    unsigned steps = harness_rounds(THREAD_STEPS);
    struct race *race = race_new("threads", actors + 1, THREADS, PARTS * steps);
    int workers[PROCESSES];

    race->steps = steps;
    race->steps_left = (uint64_t)actors * THREADS * PARTS * steps;
    harness_phase("threads stepping");
    for (unsigned i = 0; i < actors; i++)
        workers[i] = harness_start("threads", threads_worker, race);
    workers[actors] = harness_start("compactor", compactor, race);
    for (unsigned i = 0; i <= actors; i++)
        harness_wait(workers[i]);
    harness_phase("sums");
    race_check(race);
    harness_count_least("compactions", 3);
}

/* ---- Who creates a key ----------------------------------------------------------------------- */

/* Three ways to create: each key has one winner, whatever way it came. */
static int create_somehow(lxdb *db, unsigned way, const char *key, size_t key_len, uint64_t version)
{
    unsigned char value[64];
    lxdb_batch *batch = NULL;

    harness_value_fill(value, sizeof(value), key, key_len, version);
    if (way == 0)
        return lxdb_create(db, key, key_len, value, sizeof(value));
    if (way == 1)
        return lxdb_cas(db, key, key_len, NULL, 0, value, sizeof(value));
    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    CHECK_OK(db, lxdb_batch_create(batch, key, key_len, value, sizeof(value)));
    return lxdb_batch_commit(batch, NULL, NULL);
}

static void creator(void *arg)
{
    struct race *race = arg;
    unsigned me = (unsigned)atomic_fetch_add(&race->next, 1) + 1;
    lxdb *db = harness_open(race->path, (lxdb_options){0});
    char key[32];
    size_t key_len;
    unsigned way;
    int rc;

    harness_barrier_wait(race->barrier);
    harness_stage("creating");
    for (unsigned i = 0; i < RACED_KEYS; i++) {
        key_len = (size_t)snprintf(key, sizeof(key), "raced-%u", i);
        way = (me + i) % 3;
        rc = create_somehow(db, way, key, key_len, me);
        if (rc == LXDB_OK)
            CHECK(atomic_exchange(&race->winner[i], me) == 0, "%s was created twice", key);
        else
            CHECK_RC(db, way == 1 ? LXDB_CONFLICT : LXDB_EXISTS, rc);
        CHECK(harness_value_read(db, key, key_len) != 0, "%s is not there", key);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

static void lost_update_raced_creation_has_one_winner(void)
{
    struct race *race = race_new("create", PROCESSES, 1, 1);
    int workers[PROCESSES];
    char key[32];
    size_t key_len;
    lxdb *db;

    harness_phase("creating");
    for (unsigned i = 0; i < PROCESSES; i++)
        workers[i] = harness_start("creator", creator, race);
    for (unsigned i = 0; i < PROCESSES; i++)
        harness_wait(workers[i]);
    db = harness_open(race->path, (lxdb_options){0});
    for (unsigned i = 0; i < RACED_KEYS; i++) {
        key_len = (size_t)snprintf(key, sizeof(key), "raced-%u", i);
        CHECK(harness_value_read(db, key, key_len) == race->winner[i], "%s is not its winner's",
              key);
    }
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(race->path, RACED_KEYS);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(lost_update_increments_of_processes_add_up),
        HARNESS_CASE(lost_update_compare_and_set_loops_of_processes_add_up),
        HARNESS_CASE(lost_update_threads_in_processes_beside_compaction_add_up),
        HARNESS_CASE(lost_update_raced_creation_has_one_winner),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
