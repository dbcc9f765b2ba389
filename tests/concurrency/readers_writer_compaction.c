/* SPDX-License-Identifier: MIT */
/*
 * Readers, writers and a compactor on one database of several megabytes, each a process of its own.
 *
 * What every read is held to: the value is whole and belongs to its key; its version is not older
 * than what was acknowledged before the read began, not newer than what was begun before it ended,
 * and never goes backwards. Two keys that always change in one batch are equal to whoever reads
 * them together.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 400u
#define PAIRS 40u
#define LEN_LEAST 1500u
#define LEN_SPREAD 12000u
#define SPACE_MOST (UINT64_C(1) << 30) /* for some 3 MiB of live data */

struct work {
    const char *path;
    _Atomic uint64_t stop;
    _Atomic uint64_t compactions;
    _Atomic uint64_t readers; /* hands out their streams of chance */
    _Atomic uint64_t reads, iterations, peeks, pairs_written, writes;
    _Atomic uint64_t begun[KEYS]; /* version that the writer set out to write */
    _Atomic uint64_t acked[KEYS]; /* version that was acknowledged */
};

static int key_make(char *key, size_t cap, const char *kind, uint64_t number)
{
    return snprintf(key, cap, "%s/%llu", kind, (unsigned long long)number);
}

static bool stopped(const struct work *work)
{
    return atomic_load_explicit(&work->stop, memory_order_relaxed) != 0;
}

/* ---- Writers --------------------------------------------------------------------------------- */

/* Compaction has to keep up with a writer at full speed. */
static void space_check(lxdb *db)
{
    lxdb_stat_info info;

    CHECK_OK(db, lxdb_stat(db, &info));
    CHECK(info.data_size < SPACE_MOST, "%llu live bytes take %llu",
          (unsigned long long)info.live_bytes, (unsigned long long)info.data_size);
    harness_count_max("largest data file, MiB", info.data_size >> 20);
}

static void writer(void *arg)
{
    struct work *work = arg;
    harness_rng rng = harness_rng_make(1);
    lxdb *db = harness_open(work->path, (lxdb_options){0});
    uint64_t number, version;
    char key[32];
    int key_len;

    harness_stage("writing");
    while (!stopped(work)) {
        number = harness_below(&rng, KEYS);
        version = work->acked[number] + 1;
        key_len = key_make(key, sizeof(key), "key", number);
        atomic_store(&work->begun[number], version);
        CHECK_OK(db, harness_value_write(db, key, (size_t)key_len, version,
                                         LEN_LEAST + harness_below(&rng, LEN_SPREAD)));
        atomic_store(&work->acked[number], version);
        if ((atomic_fetch_add(&work->writes, 1) & 255) == 0)
            space_check(db);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

/* Both keys of a pair, always in one batch; now and then the pair is deleted, also in one. */
static void pair_change(lxdb *db, harness_rng *rng, uint64_t number, uint64_t version)
{
    unsigned char value[600];
    lxdb_batch *batch = NULL;
    bool delete = harness_below(rng, 16) == 0;
    size_t len;
    char key[32];
    int key_len;

    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    for (unsigned side = 0; side < 2; side++) {
        key_len = key_make(key, sizeof(key), side == 0 ? "left" : "right", number);
        len = HARNESS_VALUE_MIN + harness_below(rng, sizeof(value) - HARNESS_VALUE_MIN);
        harness_value_fill(value, len, key, (size_t)key_len, version);
        if (delete)
            CHECK_OK(db, lxdb_batch_delete(batch, key, (size_t)key_len));
        else
            CHECK_OK(db, lxdb_batch_write(batch, key, (size_t)key_len, value, len));
    }
    CHECK_OK(db, lxdb_batch_commit(batch, NULL, NULL));
}

static void pair_writer(void *arg)
{
    struct work *work = arg;
    harness_rng rng = harness_rng_make(2);
    lxdb *db = harness_open(work->path, (lxdb_options){0});
    uint64_t version = 1;

    harness_stage("writing pairs");
    while (!stopped(work)) {
        pair_change(db, &rng, harness_below(&rng, PAIRS), ++version);
        (void)atomic_fetch_add(&work->pairs_written, 1);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

static void compactor(void *arg)
{
    struct work *work = arg;
    lxdb *db = harness_open(work->path, (lxdb_options){0});

    harness_stage("compacting");
    while (!stopped(work)) {
        CHECK_OK(db, lxdb_compact(db, NULL));
        (void)atomic_fetch_add(&work->compactions, 1);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

/* ---- Readers --------------------------------------------------------------------------------- */

/* Counters come from words that a compaction switches: never a figure of no instant at all. */
static void count_check(lxdb *db)
{
    lxdb_stat_info info;
    uint64_t count = 0;

    CHECK_OK(db, lxdb_count(db, &count));
    CHECK(count >= KEYS && count <= KEYS + 2 * PAIRS && count % 2 == KEYS % 2, "%llu keys",
          (unsigned long long)count);
    CHECK_OK(db, lxdb_stat(db, &info));
    CHECK(info.records >= KEYS && info.records <= KEYS + 2 * PAIRS, "%llu records",
          (unsigned long long)info.records);
    CHECK(info.live_bytes >= (uint64_t)KEYS * LEN_LEAST, "%llu live bytes",
          (unsigned long long)info.live_bytes);
}

static void reader(void *arg)
{
    struct work *work = arg;
    harness_rng rng = harness_rng_make(100 + atomic_fetch_add(&work->readers, 1));
    lxdb *db = harness_open(work->path, (lxdb_options){0});
    uint64_t seen[KEYS] = {0};
    uint64_t number, version, least, most;
    char key[32];
    int key_len;

    harness_stage("reading");
    while (!stopped(work)) {
        number = harness_below(&rng, KEYS);
        key_len = key_make(key, sizeof(key), "key", number);
        least = atomic_load(&work->acked[number]);
        version = harness_value_read(db, key, (size_t)key_len);
        most = atomic_load(&work->begun[number]);
        CHECK(version >= least, "%s: version %llu, %llu was acknowledged before", key,
              (unsigned long long)version, (unsigned long long)least);
        CHECK(version <= most, "%s: version %llu, only %llu was begun", key,
              (unsigned long long)version, (unsigned long long)most);
        CHECK(version >= seen[number], "%s: version %llu after %llu", key,
              (unsigned long long)version, (unsigned long long)seen[number]);
        seen[number] = version;
        if (harness_below(&rng, 16) == 0)
            count_check(db);
        (void)atomic_fetch_add(&work->reads, 1);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

struct wait_compaction {
    struct work *work;
    uint64_t compactions;
};

static bool compacted_or_stopped(void *arg)
{
    const struct wait_compaction *wait = arg;

    return stopped(wait->work) || atomic_load(&wait->work->compactions) >= wait->compactions;
}

/* In one section: both sides of a pair at once; the pointers stay good over a compaction. */
static void peek_pair(lxdb *db, struct work *work, harness_rng *rng, bool over_compaction)
{
    char keys[2][32];
    lxdb_item items[2] = {{0}};
    uint64_t number = harness_below(rng, PAIRS);
    uint64_t versions[2] = {0};
    /* the one under way, and another that began in this section */
    struct wait_compaction wait = {work, atomic_load(&work->compactions) + 2};

    CHECK_OK(db, lxdb_read_begin(db));
    for (unsigned side = 0; side < 2; side++) {
        items[side].key_len = (size_t)key_make(keys[side], sizeof(keys[side]),
                                               side == 0 ? "left" : "right", number);
        items[side].key = keys[side];
    }
    CHECK_OK(db, lxdb_peek_many(db, items, 2));
    CHECK(items[0].rc == items[1].rc, "pair %llu: %s and %s", (unsigned long long)number,
          lxdb_strerror(items[0].rc), lxdb_strerror(items[1].rc));
    CHECK(items[0].rc == LXDB_OK || items[0].rc == LXDB_NOTFOUND, "%s", lxdb_strerror(items[0].rc));
    if (over_compaction)
        harness_until("section over a compaction", compacted_or_stopped, &wait);
    for (unsigned side = 0; items[0].rc == LXDB_OK && side < 2; side++)
        versions[side] = harness_value_check(items[side].value, items[side].value_len,
                                             items[side].key, items[side].key_len);
    CHECK(versions[0] == versions[1], "pair %llu torn: versions %llu and %llu",
          (unsigned long long)number, (unsigned long long)versions[0],
          (unsigned long long)versions[1]);
    lxdb_read_end(db);
}

static void peeker(void *arg)
{
    struct work *work = arg;
    harness_rng rng = harness_rng_make(3);
    lxdb *db = harness_open(work->path, (lxdb_options){0});

    harness_stage("peeking");
    while (!stopped(work)) {
        peek_pair(db, work, &rng, harness_below(&rng, 500) == 0);
        (void)atomic_fetch_add(&work->peeks, 1);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

/* What one iteration saw: each key at most once, with the version. */
struct sight {
    uint64_t plain[KEYS];
    uint64_t pairs[2][PAIRS];
};

static void sight_note(struct sight *sight, const void *key, size_t key_len, const void *value,
                       size_t value_len)
{
    uint64_t version = harness_value_check(value, value_len, key, key_len);
    char text[32] = {0};
    uint64_t *place;
    uint64_t number;

    CHECK(key_len < sizeof(text), "a key of %zu bytes", key_len);
    memcpy(text, key, key_len);
    number = strtoull(strchr(text, '/') + 1, NULL, 10);
    if (text[0] == 'k') {
        CHECK(number < KEYS, "unknown key %s", text);
        place = &sight->plain[number];
    } else {
        CHECK(number < PAIRS, "unknown key %s", text);
        place = &sight->pairs[text[0] == 'l' ? 0 : 1][number];
    }
    CHECK(*place == 0, "%s came twice, versions %llu and %llu", text, (unsigned long long)*place,
          (unsigned long long)version);
    *place = version;
}

static void sight_check(const struct sight *sight, const uint64_t *least)
{
    for (unsigned i = 0; i < KEYS; i++)
        CHECK(sight->plain[i] >= least[i], "key/%u: version %llu, %llu was acknowledged before", i,
              (unsigned long long)sight->plain[i], (unsigned long long)least[i]);
    for (unsigned i = 0; i < PAIRS; i++)
        CHECK(sight->pairs[0][i] == sight->pairs[1][i], "pair %u torn: versions %llu and %llu", i,
              (unsigned long long)sight->pairs[0][i], (unsigned long long)sight->pairs[1][i]);
}

static void iterator(void *arg)
{
    struct work *work = arg;
    lxdb *db = harness_open(work->path, (lxdb_options){0});
    const void *key, *value;
    size_t key_len, value_len;
    uint64_t least[KEYS];
    uint32_t flags = 0;
    lxdb_iter *iter;
    int rc;

    harness_stage("iterating");
    while (!stopped(work)) {
        struct sight sight = {{0}, {{0}}};

        for (unsigned i = 0; i < KEYS; i++)
            least[i] = atomic_load(&work->acked[i]);
        CHECK_OK(db, lxdb_iter_open(db, NULL, 0, flags, &iter));
        while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK)
            sight_note(&sight, key, key_len, value, value_len);
        CHECK_RC(db, LXDB_NOTFOUND, rc);
        lxdb_iter_close(iter);
        sight_check(&sight, least);
        flags ^= LXDB_ITER_REVERSE;
        (void)atomic_fetch_add(&work->iterations, 1);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

/* ---- The case -------------------------------------------------------------------------------- */

static void fill(struct work *work, lxdb *db)
{
    harness_rng rng = harness_rng_make(4);
    char key[32];
    int key_len;

    for (unsigned i = 0; i < KEYS; i++) {
        key_len = key_make(key, sizeof(key), "key", i);
        work->begun[i] = work->acked[i] = 1;
        CHECK_OK(db, harness_value_write(db, key, (size_t)key_len, 1,
                                         LEN_LEAST + harness_below(&rng, LEN_SPREAD)));
    }
    for (unsigned i = 0; i < PAIRS; i++)
        pair_change(db, &rng, i, 1);
}

static void final_check(struct work *work)
{
    lxdb *db = harness_open(work->path, (lxdb_options){0});
    uint64_t count = 0;
    char key[32];
    int key_len;

    for (unsigned i = 0; i < KEYS; i++) {
        key_len = key_make(key, sizeof(key), "key", i);
        CHECK(harness_value_read(db, key, (size_t)key_len) == work->acked[i], "%s", key);
    }
    CHECK_OK(db, lxdb_count(db, &count));
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(work->path, count);
}

static void readers_beside_writers_and_compaction_see_whole_current_states(void)
{
    static const harness_work roles[] = {writer, pair_writer, compactor, reader,
                                         reader, peeker,      iterator};
    static const char *const names[] = {"writer", "pair writer", "compactor", "reader",
                                        "reader", "peeker",      "iterator"};
    enum { N = sizeof(roles) / sizeof(roles[0]) };
    struct work *work = harness_shared(sizeof(*work));
    uint64_t rounds = harness_rounds(1);
    int workers[N];
    lxdb *db;

    work->path = harness_path("mixed");
    db = harness_open(work->path, (lxdb_options){0});
    fill(work, db);
    harness_phase("readers, writers, compactor");
    for (unsigned i = 0; i < N; i++)
        workers[i] = harness_start(names[i], roles[i], work);
    harness_until_least("compactions", &work->compactions, 12 * rounds);
    harness_until_least("writes", &work->writes, 2000 * rounds);
    harness_until_least("pairs", &work->pairs_written, 2000 * rounds);
    harness_until_least("reads", &work->reads, 10000 * rounds);
    harness_until_least("peeks", &work->peeks, 2000 * rounds);
    harness_until_least("iterations", &work->iterations, 20 * rounds);
    CHECK_OK(NULL, lxdb_close(db));
    atomic_store(&work->stop, 1);
    for (unsigned i = 0; i < N; i++)
        harness_wait(workers[i]);
    harness_phase("check at the end");
    final_check(work);
    harness_count("writes", work->writes);
    harness_count("pair batches", work->pairs_written);
    harness_count("compactions", work->compactions);
    harness_count("verified reads", work->reads);
    harness_count("verified pairs", work->peeks);
    harness_count("iterations", work->iterations);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(readers_beside_writers_and_compaction_see_whole_current_states),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
