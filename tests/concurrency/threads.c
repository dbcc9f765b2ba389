/* SPDX-License-Identifier: MIT */
/*
 * Many threads of one process on shared handles. Each thread owns its keys and knows exactly what
 * every call on them must give; on the keys of others it holds every value to be whole. Two handles
 * on the same file in one process, and a namespace for each thread. All state that threads share is
 * atomic, so that a build with the thread sanitizer sees the library's races only.
 */
#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 8u
#define KEYS 64u
#define STEPS 3000u
#define PARTS 5u
#define HANDLES 2u

struct crowd {
    lxdb *handles[HANDLES];
    _Atomic uint64_t running;
    _Atomic uint64_t compactions;
};

/* A thread and its model: the version of each of its keys, 0 = not there. */
struct actor {
    struct crowd *crowd;
    lxdb *db;
    lxdb *ns;
    unsigned number;
    uint64_t versions[KEYS];
    uint64_t ns_keys;
    uint64_t clock; /* the last version it made */
    harness_rng rng;
    pthread_t thread;
};

static size_t key_make(char *key, size_t cap, unsigned thread, unsigned number)
{
    return (size_t)snprintf(key, cap, "thread-%u/%u", thread, number);
}

static size_t random_len(harness_rng *rng)
{
    return HARNESS_VALUE_MIN + harness_below(rng, harness_below(rng, 10) == 0 ? 20000 : 200);
}

/* ---- Steps on one key ------------------------------------------------------------------------ */

enum { STEP_CREATE, STEP_WRITE, STEP_UPDATE, STEP_DELETE, STEP_CAS, STEP_KINDS };

static int change(struct actor *me, unsigned kind, const char *key, size_t key_len,
                  uint64_t version)
{
    static _Thread_local unsigned char value[HARNESS_VALUE_MIN + 20000];
    static _Thread_local unsigned char before[sizeof(value)];
    size_t len = random_len(&me->rng), before_len = 0;
    int rc;

    harness_value_fill(value, len, key, key_len, version);
    switch (kind) {
    case STEP_CREATE:
        return lxdb_create(me->db, key, key_len, value, len);
    case STEP_WRITE:
        return lxdb_write(me->db, key, key_len, value, len);
    case STEP_UPDATE:
        return lxdb_update(me->db, key, key_len, value, len);
    case STEP_DELETE:
        return lxdb_delete(me->db, key, key_len);
    default:
        rc = lxdb_read(me->db, key, key_len, before, sizeof(before), &before_len);
        return lxdb_cas(me->db, key, key_len, rc == LXDB_OK ? before : NULL, before_len, value,
                        len);
    }
}

static void step_change(struct actor *me)
{
    unsigned i = (unsigned)harness_below(&me->rng, KEYS);
    unsigned kind = (unsigned)harness_below(&me->rng, STEP_KINDS);
    bool there = me->versions[i] != 0;
    uint64_t version = ++me->clock;
    int want = LXDB_OK;
    char key[32];
    size_t key_len = key_make(key, sizeof(key), me->number, i);

    if (kind == STEP_CREATE && there)
        want = LXDB_EXISTS;
    if ((kind == STEP_UPDATE || kind == STEP_DELETE) && !there)
        want = LXDB_NOTFOUND;
    CHECK_RC(me->db, want, change(me, kind, key, key_len, version));
    if (want == LXDB_OK)
        me->versions[i] = kind == STEP_DELETE ? 0 : version;
    harness_count("changes", 1);
}

static void step_read(struct actor *me)
{
    unsigned owner = (unsigned)harness_below(&me->rng, THREADS);
    unsigned i = (unsigned)harness_below(&me->rng, KEYS);
    char key[32];
    size_t key_len = key_make(key, sizeof(key), owner, i);
    uint64_t version = harness_value_read(me->db, key, key_len);

    if (owner == me->number) {
        CHECK(version == me->versions[i], "%s: version %llu, expected %llu", key,
              (unsigned long long)version, (unsigned long long)me->versions[i]);
        CHECK_RC(me->db, version != 0 ? LXDB_OK : LXDB_NOTFOUND, lxdb_exists(me->db, key, key_len));
    }
    harness_count("reads", 1);
}

/* ---- Steps on many keys ---------------------------------------------------------------------- */

static void step_batch(struct actor *me)
{
    unsigned char value[256];
    size_t deleted = 0, expected = 0, n = 1 + harness_below(&me->rng, 12);
    lxdb_batch *batch;
    unsigned i;
    char key[32];
    size_t key_len;

    CHECK_OK(me->db, lxdb_batch_begin(me->db, &batch));
    for (size_t step = 0; step < n; step++) {
        i = (unsigned)harness_below(&me->rng, KEYS);
        key_len = key_make(key, sizeof(key), me->number, i);
        if (harness_below(&me->rng, 3) == 0) {
            CHECK_OK(me->db, lxdb_batch_delete(batch, key, key_len));
            expected += me->versions[i] != 0;
            me->versions[i] = 0;
        } else {
            me->versions[i] = ++me->clock;
            harness_value_fill(value, sizeof(value), key, key_len, me->clock);
            CHECK_OK(me->db, lxdb_batch_write(batch, key, key_len, value, sizeof(value)));
        }
    }
    CHECK_OK(me->db, lxdb_batch_commit(batch, &deleted, NULL));
    CHECK(deleted == expected, "%zu deleted, expected %zu", deleted, expected);
    harness_count("batches", 1);
}

static void step_iterate(struct actor *me)
{
    uint64_t left = 0, version;
    const void *key, *value;
    size_t key_len, value_len;
    lxdb_iter *iter;
    char prefix[32], text[32];
    int rc, prefix_len = snprintf(prefix, sizeof(prefix), "thread-%u/", me->number);
    unsigned i;

    for (i = 0; i < KEYS; i++)
        left += me->versions[i] != 0;
    CHECK_OK(me->db, lxdb_iter_open(me->db, prefix, (size_t)prefix_len, 0, &iter));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK) {
        CHECK(key_len < sizeof(text), "a key of %zu bytes", key_len);
        memcpy(text, key, key_len);
        text[key_len] = '\0';
        i = (unsigned)strtoul(text + prefix_len, NULL, 10);
        version = harness_value_check(value, value_len, key, key_len);
        CHECK(i < KEYS && me->versions[i] == version, "%s: version %llu", text,
              (unsigned long long)version);
        CHECK(left > 0, "more keys than there are");
        left--;
    }
    CHECK_RC(me->db, LXDB_NOTFOUND, rc);
    CHECK(left == 0, "%llu keys did not come", (unsigned long long)left);
    lxdb_iter_close(iter);
    harness_count("iterations", 1);
}

static void step_peek(struct actor *me)
{
    char keys[8][32];
    lxdb_item items[8] = {{0}};
    unsigned numbers[8];
    uint64_t version;

    for (unsigned i = 0; i < 8; i++) {
        numbers[i] = (unsigned)harness_below(&me->rng, KEYS);
        items[i].key_len = key_make(keys[i], sizeof(keys[i]), me->number, numbers[i]);
        items[i].key = keys[i];
    }
    CHECK_OK(me->db, lxdb_read_begin(me->db));
    CHECK_OK(me->db, lxdb_peek_many(me->db, items, 8));
    for (unsigned i = 0; i < 8; i++) {
        version = items[i].rc == LXDB_OK ? harness_value_check(items[i].value, items[i].value_len,
                                                               items[i].key, items[i].key_len)
                                         : 0;
        CHECK(items[i].rc == LXDB_OK || items[i].rc == LXDB_NOTFOUND, "%s",
              lxdb_strerror(items[i].rc));
        CHECK(version == me->versions[numbers[i]], "%s: version %llu", keys[i],
              (unsigned long long)version);
    }
    lxdb_read_end(me->db);
    harness_count("peeks", 1);
}

static void step_namespace(struct actor *me)
{
    uint64_t count = 0, deleted = 0;
    char key[32];
    size_t key_len;

    if (harness_below(&me->rng, 20) == 0) {
        CHECK_OK(me->ns, lxdb_clear(me->ns, &deleted));
        CHECK(deleted == me->ns_keys, "%llu cleared of %llu", (unsigned long long)deleted,
              (unsigned long long)me->ns_keys);
        me->ns_keys = 0;
    }
    me->clock++;
    key_len = (size_t)snprintf(key, sizeof(key), "own-%llu", (unsigned long long)me->clock);
    CHECK_OK(me->ns, lxdb_set_int(me->ns, key, key_len, (int64_t)me->clock));
    me->ns_keys++;
    CHECK_OK(me->ns, lxdb_count(me->ns, &count));
    CHECK(count == me->ns_keys, "%llu keys, expected %llu", (unsigned long long)count,
          (unsigned long long)me->ns_keys);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void *actor_run(void *arg)
{
    struct actor *me = arg;
    unsigned steps = harness_rounds(STEPS);
    uint64_t dice;

    for (unsigned step = 0; step < steps; step++) {
        /* else a fast machine is done before the first compaction */
        if (step % (steps / PARTS) == 0)
            harness_until_least("compaction", &me->crowd->compactions, step / (steps / PARTS));
        dice = harness_below(&me->rng, 100);
        if (dice < 45)
            step_change(me);
        else if (dice < 80)
            step_read(me);
        else if (dice < 88)
            step_batch(me);
        else if (dice < 96)
            step_peek(me);
        else if (dice < 98)
            step_namespace(me);
        else
            step_iterate(me);
        harness_progress();
    }
    (void)atomic_fetch_sub(&me->crowd->running, 1);
    return NULL;
}

static void *compactor_run(void *arg)
{
    struct crowd *crowd = arg;
    lxdb_stat_info info;

    while (atomic_load(&crowd->running) > 0) {
        CHECK_OK(crowd->handles[0], lxdb_compact(crowd->handles[0], NULL));
        CHECK_OK(crowd->handles[1], lxdb_stat(crowd->handles[1], &info));
        CHECK(info.handles == HANDLES, "%llu handles", (unsigned long long)info.handles);
        (void)atomic_fetch_add(&crowd->compactions, 1);
        harness_count("compactions", 1);
    }
    return NULL;
}

static void actors_check(const char *path, const struct actor *actors)
{
    lxdb *db = harness_open(path, (lxdb_options){.flags = LXDB_NOCREATE});
    uint64_t records = 0;
    char key[32];
    size_t key_len;

    for (unsigned t = 0; t < THREADS; t++) {
        records += actors[t].ns_keys;
        for (unsigned i = 0; i < KEYS; i++) {
            key_len = key_make(key, sizeof(key), t, i);
            CHECK(harness_value_read(db, key, key_len) == actors[t].versions[i], "%s", key);
            records += actors[t].versions[i] != 0;
        }
    }
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(path, records);
}

static void threads_on_shared_handles_see_their_own_model(void)
{
    static struct actor actors[THREADS];
    static struct crowd crowd;
    const char *path = harness_path("threads");
    pthread_t compactor;
    char name[16];

    harness_phase("threads");
    for (unsigned i = 0; i < HANDLES; i++)
        crowd.handles[i] = harness_open(path, (lxdb_options){0});
    atomic_store(&crowd.running, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        actors[i] = (struct actor){.crowd = &crowd,
                                   .db = crowd.handles[i % HANDLES],
                                   .number = i,
                                   .rng = harness_rng_make(i)};
        (void)snprintf(name, sizeof(name), "space-%u", i);
        CHECK_OK(actors[i].db, lxdb_namespace(actors[i].db, name, &actors[i].ns));
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&actors[i].thread, NULL, actor_run, &actors[i]) == 0, "no thread");
    CHECK(pthread_create(&compactor, NULL, compactor_run, &crowd) == 0, "no thread");
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(actors[i].thread, NULL) == 0, "no join");
        CHECK_OK(NULL, lxdb_close(actors[i].ns));
    }
    CHECK(pthread_join(compactor, NULL) == 0, "no join");
    for (unsigned i = 0; i < HANDLES; i++)
        CHECK_OK(NULL, lxdb_close(crowd.handles[i]));
    harness_phase("check");
    actors_check(path, actors);
    harness_count_least("changes", 5000);
    harness_count_least("reads", 5000);
    harness_count_least("batches", 500);
    harness_count_least("iterations", 100);
    harness_count_least("compactions", 3);
}

/* ---- Threads that come and go ---------------------------------------------------------------- */

static void *open_close_run(void *arg)
{
    const char *path = arg;
    lxdb *db;

    for (unsigned i = 0; i < harness_rounds(60); i++) {
        db = harness_open(path, (lxdb_options){0});
        CHECK_OK(db, lxdb_incr(db, "sum", 3, 1, NULL));
        CHECK_OK(NULL, lxdb_close(db));
        harness_progress();
    }
    return NULL;
}

static void threads_open_and_close_the_same_file_lose_nothing(void)
{
    const char *path = harness_path("open-close");
    pthread_t threads[4];
    int64_t sum = 0;
    lxdb *db;

    harness_phase("opening and closing");
    for (unsigned i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, open_close_run, (void *)(uintptr_t)path) == 0,
              "no thread");
    for (unsigned i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0, "no join");
    harness_check_closed(path, 1);
    db = harness_open(path, (lxdb_options){0});
    CHECK_OK(db, lxdb_get_int(db, "sum", 3, &sum));
    CHECK(sum == 4 * (int64_t)harness_rounds(60), "sum %lld", (long long)sum);
    CHECK_OK(NULL, lxdb_close(db));
}

/* ---- A handle closed while what it replaced is still being freed ----------------------------- */

static void threads_handle_closed_right_after_compaction_leaves_others_alone(void)
{
    const char *path = harness_path("closed-early");
    lxdb *stays = harness_open(path, (lxdb_options){0});
    unsigned rounds = harness_rounds(60);
    lxdb *goes;

    harness_phase("compact and close");
    for (uint64_t round = 1; round <= rounds; round++) {
        goes = harness_open(path, (lxdb_options){0});
        CHECK_OK(goes, harness_value_write(goes, "key", 3, round, 100));
        CHECK_OK(goes, lxdb_compact(goes, NULL)); /* its view is replaced, and so is the other's */
        CHECK(harness_value_read(stays, "key", 3) == round, "the other handle's read");
        CHECK_OK(NULL, lxdb_close(goes));
        CHECK(harness_value_read(stays, "key", 3) == round, "the other handle's read");
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(stays));
    harness_check_closed(path, 1);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(threads_on_shared_handles_see_their_own_model),
        HARNESS_CASE(threads_open_and_close_the_same_file_lose_nothing),
        HARNESS_CASE(threads_handle_closed_right_after_compaction_leaves_others_alone),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
