/* SPDX-License-Identifier: MIT */
/*
 * Many processes open one database at the same instant: one that nobody has made yet, and one that
 * others are just closing for the last time. Nobody may see an error, and no key may be missing.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORM 64

struct storm {
    const char *path;
    harness_barrier *barrier;
    lxdb_options options;
    _Atomic uint64_t winners;
    _Atomic uint64_t next; /* hands out worker numbers */
};

static struct storm *storm_new(const char *name, unsigned workers)
{
    struct storm *storm = harness_shared(sizeof(*storm));

    storm->path = harness_path(name);
    storm->barrier = harness_barrier_new(workers);
    return storm;
}

static int key_make(char *key, size_t cap, unsigned worker, unsigned round)
{
    return snprintf(key, cap, "worker-%u-round-%u", worker, round);
}

/* ---- First open ------------------------------------------------------------------------------ */

static void storm_worker(void *arg)
{
    struct storm *storm = arg;
    unsigned me = (unsigned)atomic_fetch_add(&storm->next, 1);
    char key[64];
    size_t key_len = (size_t)key_make(key, sizeof(key), me, 0);
    lxdb *db;

    harness_stage("barrier");
    harness_barrier_wait(storm->barrier);
    harness_stage("open");
    db = harness_open(storm->path, storm->options);
    harness_stage("write");
    CHECK_OK(db, harness_value_write(db, key, key_len, me + 1, 200));
    CHECK(harness_value_read(db, key, key_len) == me + 1, "own key of worker %u", me);
    harness_stage("close");
    CHECK_OK(NULL, lxdb_close(db));
    harness_count("first opens", 1);
}

static void storm_check(const struct storm *storm)
{
    lxdb_options options = {.flags = LXDB_NOCREATE, .helpers = storm->options.helpers};
    lxdb *db = harness_open(storm->path, options);
    uint64_t count = 0;
    char key[64];
    int key_len;

    CHECK_OK(db, lxdb_count(db, &count));
    CHECK(count == STORM, "%llu keys", (unsigned long long)count);
    for (unsigned i = 0; i < STORM; i++) {
        key_len = key_make(key, sizeof(key), i, 0);
        CHECK(harness_value_read(db, key, (size_t)key_len) == i + 1, "key of worker %u", i);
    }
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(storm->path, STORM);
}

static void helpers_check(const struct storm *storm)
{
    char lock[4096], index[4096];

    (void)snprintf(lock, sizeof(lock), "%s-lock", storm->path);
    (void)snprintf(index, sizeof(index), "%s-index", storm->path);
    if (storm->options.helpers == LXDB_HELPERS_KEEP) {
        CHECK(harness_file_exists(index), "the index was to be kept");
    } else {
        /* so few keys are rebuilt in no time: auto removes them as well */
        CHECK(!harness_file_exists(index), "the index was to be removed");
        CHECK(!harness_file_exists(lock), "the lock file was to be removed");
    }
}

static void storm_run(int helpers)
{
    unsigned rounds = harness_rounds(3);
    struct storm *storm;
    int workers[STORM];

    for (unsigned round = 0; round < rounds; round++) {
        harness_phase("storm of first opens");
        storm = storm_new("first", STORM);
        storm->options.helpers = helpers;
        for (unsigned i = 0; i < STORM; i++)
            workers[i] = harness_start("opener", storm_worker, storm);
        for (unsigned i = 0; i < STORM; i++)
            harness_wait(workers[i]);
        harness_phase("check after the storm");
        helpers_check(storm);
        storm_check(storm);
        helpers_check(storm);
    }
    harness_count_least("first opens", 3 * STORM);
}

static void open_storm_of_new_database_keeps_every_key_helpers_auto(void)
{
    storm_run(LXDB_HELPERS_AUTO);
}

static void open_storm_of_new_database_keeps_every_key_helpers_keep(void)
{
    storm_run(LXDB_HELPERS_KEEP);
}

static void open_storm_of_new_database_keeps_every_key_helpers_remove(void)
{
    storm_run(LXDB_HELPERS_REMOVE);
}

/* ---- Exclusive creation ---------------------------------------------------------------------- */

static void exclusive_worker(void *arg)
{
    struct storm *storm = arg;
    lxdb_options options = {.size = sizeof(options), .flags = LXDB_EXCL};
    lxdb *db = NULL;
    int rc;

    harness_stage("barrier");
    harness_barrier_wait(storm->barrier);
    harness_stage("open");
    rc = lxdb_open(storm->path, &options, &db);
    CHECK(rc == LXDB_OK || rc == LXDB_EXISTS, "open gave %s: %s", lxdb_strerror(rc),
          lxdb_errmsg(NULL));
    if (rc == LXDB_OK) {
        (void)atomic_fetch_add(&storm->winners, 1);
        CHECK_OK(NULL, lxdb_close(db));
    } else {
        CHECK(db == NULL, "a failed open gave a handle");
    }
}

static void open_storm_of_exclusive_creation_has_one_winner(void)
{
    unsigned rounds = harness_rounds(3);
    struct storm *storm;
    int workers[STORM];

    for (unsigned round = 0; round < rounds; round++) {
        harness_phase("storm of exclusive creation");
        storm = storm_new("exclusive", STORM);
        for (unsigned i = 0; i < STORM; i++)
            workers[i] = harness_start("creator", exclusive_worker, storm);
        for (unsigned i = 0; i < STORM; i++)
            harness_wait(workers[i]);
        CHECK(storm->winners == 1, "%llu winners", (unsigned long long)storm->winners);
        harness_check_closed(storm->path, 0);
    }
}

/* ---- Last close against next open ------------------------------------------------------------ */

#define LOOP_ROUNDS 40

/* With so few processes most closes are last closes, and each races the next open. */
static void loop_worker(void *arg)
{
    static const int helpers[] = {LXDB_HELPERS_AUTO, LXDB_HELPERS_KEEP, LXDB_HELPERS_REMOVE};
    struct storm *storm = arg;
    unsigned me = (unsigned)atomic_fetch_add(&storm->next, 1);
    unsigned rounds = harness_rounds(LOOP_ROUNDS);
    harness_rng rng = harness_rng_make(1000 + me);
    lxdb_options options = {0};
    char key[64];
    int key_len;
    lxdb *db;

    harness_barrier_wait(storm->barrier);
    for (unsigned round = 0; round < rounds; round++) {
        options.helpers = helpers[harness_below(&rng, 3)];
        harness_stage("open");
        db = harness_open(storm->path, options);
        if (round > 0) {
            key_len = key_make(key, sizeof(key), me, round - 1);
            CHECK(harness_value_read(db, key, (size_t)key_len) == round,
                  "worker %u lost its key of round %u", me, round - 1);
        }
        key_len = key_make(key, sizeof(key), me, round);
        harness_stage("write");
        CHECK_OK(db, harness_value_write(db, key, (size_t)key_len, round + 1, 64));
        CHECK_OK(db, lxdb_incr(db, "rounds", 6, 1, NULL));
        harness_stage("close");
        CHECK_OK(NULL, lxdb_close(db));
        harness_dawdle(&rng, 200000);
        harness_progress();
    }
    harness_count("reopenings", rounds);
}

static void loop_run(unsigned n)
{
    unsigned rounds = harness_rounds(LOOP_ROUNDS);
    struct storm *storm = storm_new("loop", n);
    lxdb_options options = {0};
    int64_t sum = 0;
    int workers[8];
    char key[64];
    int key_len;
    lxdb *db;

    harness_phase("last closes against next opens");
    for (unsigned i = 0; i < n; i++)
        workers[i] = harness_start("reopener", loop_worker, storm);
    for (unsigned i = 0; i < n; i++)
        harness_wait(workers[i]);
    harness_check_closed(storm->path, (uint64_t)n * rounds + 1);
    db = harness_open(storm->path, options);
    CHECK_OK(db, lxdb_get_int(db, "rounds", 6, &sum));
    CHECK(sum == (int64_t)n * rounds, "%lld of %u increments", (long long)sum, n * rounds);
    for (unsigned i = 0; i < n * rounds; i++) {
        key_len = key_make(key, sizeof(key), i / rounds, i % rounds);
        CHECK(harness_value_read(db, key, (size_t)key_len) == i % rounds + 1, "key %s", key);
    }
    CHECK_OK(NULL, lxdb_close(db));
}

static void open_storm_two_processes_last_close_races_next_open(void)
{
    loop_run(2);
}

static void open_storm_six_processes_last_close_races_next_open(void)
{
    loop_run(6);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(open_storm_of_new_database_keeps_every_key_helpers_auto),
        HARNESS_CASE(open_storm_of_new_database_keeps_every_key_helpers_keep),
        HARNESS_CASE(open_storm_of_new_database_keeps_every_key_helpers_remove),
        HARNESS_CASE(open_storm_of_exclusive_creation_has_one_winner),
        HARNESS_CASE(open_storm_two_processes_last_close_races_next_open),
        HARNESS_CASE(open_storm_six_processes_last_close_races_next_open),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
