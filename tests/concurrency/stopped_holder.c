/* SPDX-License-Identifier: MIT */
/*
 * A writer that is stopped while it holds the writer lock. It is never robbed: other writers get
 * LXDB_BUSY at their deadline, with its pid; readers and openers do not notice; once it goes on, so
 * do all, and nothing was lost. Killed instead, it is replaced.
 */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 6u
#define BATCH 64u
#define DEADLINE_MS 200u

struct scene {
    const char *path;
    _Atomic uint64_t stop;
    _Atomic uint64_t acked; /* version of the batch that was acknowledged last */
    _Atomic uint64_t begun;
    _Atomic uint64_t other; /* version of the other writer's key */
};

static size_t key_make(char *key, size_t cap, unsigned number)
{
    return (size_t)snprintf(key, cap, "batch/%u", number);
}

/* ---- Workers --------------------------------------------------------------------------------- */

/* Spends most of its time under the lock: batches of many values. */
static void holder_run(void *arg)
{
    static unsigned char value[2000];
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, (lxdb_options){0});
    uint64_t version;
    lxdb_batch *batch;
    size_t key_len;
    char key[32];

    harness_stage("writing batches");
    while (atomic_load(&scene->stop) == 0) {
        version = atomic_load(&scene->acked) + 1;
        CHECK_OK(db, lxdb_batch_begin(db, &batch));
        for (unsigned i = 0; i < BATCH; i++) {
            key_len = key_make(key, sizeof(key), i);
            harness_value_fill(value, sizeof(value), key, key_len, version);
            CHECK_OK(db, lxdb_batch_write(batch, key, key_len, value, sizeof(value)));
        }
        atomic_store(&scene->begun, version);
        CHECK_OK(db, lxdb_batch_commit(batch, NULL, NULL));
        atomic_store(&scene->acked, version);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

/* Whole values, never older than acknowledged, and their versions never go backwards. */
static void reader_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, (lxdb_options){0});
    harness_rng rng = harness_rng_make(1);
    uint64_t least, version;
    size_t key_len;
    char key[32];

    harness_stage("reading");
    while (atomic_load(&scene->stop) == 0) {
        least = atomic_load(&scene->acked);
        key_len = key_make(key, sizeof(key), (unsigned)harness_below(&rng, BATCH));
        version = harness_value_read(db, key, key_len);
        CHECK(version >= least && version <= atomic_load(&scene->begun),
              "%s: version %llu, acknowledged %llu", key, (unsigned long long)version,
              (unsigned long long)least);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

/* Attaching and reading ask for no writer lock, and neither does a close beside others. */
static void visitor_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db;

    harness_stage("open beside a stopped holder");
    db = harness_open(scene->path, (lxdb_options){.flags = LXDB_NOCREATE, .busy_timeout_ms = 3000});
    CHECK(harness_value_read(db, "other", 5) == scene->other, "other writer's key");
    harness_stage("close beside a stopped holder");
    CHECK_OK(NULL, lxdb_close(db));
}

/* ---- The director ---------------------------------------------------------------------------- */

/* Stop the holder again and again until that happens to be inside the lock. */
static void catch_holder(lxdb *db, int holder, harness_rng *rng)
{
    lxdb_stat_info info;

    for (;;) {
        harness_dawdle(rng, 300000);
        harness_stop(holder);
        harness_count("stops", 1);
        CHECK_OK(db, lxdb_stat(db, &info));
        if (info.lock_pid == (uint32_t)harness_pid(holder))
            break;
        harness_continue(holder);
    }
    harness_count("stops inside the lock", 1);
}

static void check_busy(lxdb *db, int holder, const char *call, int rc, uint64_t start_ms)
{
    uint64_t took = harness_now_ms() - start_ms;
    const char *message = lxdb_errmsg(db);
    char pid[16];

    (void)snprintf(pid, sizeof(pid), "%d", harness_pid(holder));
    CHECK(rc == LXDB_BUSY, "%s beside a stopped holder gave %s: %s", call, lxdb_strerror(rc),
          message);
    CHECK(strstr(message, pid) != NULL, "pid %s is not in: %s", pid, message);
    CHECK(took >= DEADLINE_MS - 1, "%s gave up after %llu ms", call, (unsigned long long)took);
    harness_count_max("longest wait for BUSY, ms", took);
}

/* Every kind of change is refused by the deadline and changes nothing. */
static void changes_are_busy(lxdb *db, int holder, struct scene *scene)
{
    lxdb_batch *batch = NULL;
    uint64_t start = harness_now_ms();

    check_busy(db, holder, "write", harness_value_write(db, "other", 5, scene->other + 1, 100),
               start);
    start = harness_now_ms();
    check_busy(db, holder, "delete", lxdb_delete(db, "other", 5), start);
    start = harness_now_ms();
    check_busy(db, holder, "incr", lxdb_incr(db, "sum", 3, 1, NULL), start);
    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    CHECK_OK(db, lxdb_batch_delete(batch, "other", 5));
    start = harness_now_ms();
    check_busy(db, holder, "batch", lxdb_batch_commit(batch, NULL, NULL), start);
    CHECK(harness_value_read(db, "other", 5) == scene->other, "a refused change took effect");
}

static void age_grows(lxdb *db, int holder)
{
    lxdb_stat_info info;

    CHECK_OK(db, lxdb_stat(db, &info));
    CHECK(info.lock_pid == (uint32_t)harness_pid(holder), "the stopped holder lost the lock");
    CHECK(info.lock_age_ms >= DEADLINE_MS, "the lock's age is %llu ms",
          (unsigned long long)info.lock_age_ms);
    CHECK(info.lock_command[0] != '\0', "the holder has no name");
}

static void others_go_on(lxdb *db, struct scene *scene)
{
    CHECK_OK(db, harness_value_write(db, "other", 5, scene->other + 1, 100));
    scene->other++;
    CHECK(harness_value_read(db, "other", 5) == scene->other, "own write");
    CHECK_OK(db, lxdb_incr(db, "sum", 3, 1, NULL));
}

static void batch_check(lxdb *db, const struct scene *scene)
{
    uint64_t first = 0, version;
    size_t key_len;
    char key[32];

    for (unsigned i = 0; i < BATCH; i++) {
        key_len = key_make(key, sizeof(key), i);
        version = harness_value_read(db, key, key_len);
        first = i == 0 ? version : first;
        CHECK(version == first, "batch torn: %llu and %llu", (unsigned long long)first,
              (unsigned long long)version);
    }
    CHECK(first >= scene->acked && first <= scene->begun,
          "version %llu, acknowledged %llu, begun %llu", (unsigned long long)first,
          (unsigned long long)scene->acked, (unsigned long long)scene->begun);
}

static struct scene *scene_new(const char *name, lxdb **ret_db)
{
    struct scene *scene = harness_shared(sizeof(*scene));

    scene->path = harness_path(name);
    *ret_db = harness_open(scene->path, (lxdb_options){.busy_timeout_ms = DEADLINE_MS});
    scene->other = 1;
    CHECK_OK(*ret_db, harness_value_write(*ret_db, "other", 5, 1, 100));
    return scene;
}

static void stopped_holder_gives_busy_with_its_pid_while_readers_go_on(void)
{
    harness_rng rng = harness_rng_make(2);
    lxdb *db;
    struct scene *scene = scene_new("stopped", &db);
    int holder = harness_start("holder", holder_run, scene);
    int reader = harness_start("reader", reader_run, scene);
    lxdb *patient = harness_open(scene->path, (lxdb_options){0});

    for (unsigned round = 0; round < harness_rounds(ROUNDS); round++) {
        harness_phase("catch the holder in the lock");
        harness_await_progress(holder, 1);
        catch_holder(db, holder, &rng);
        harness_phase("beside the stopped holder");
        changes_are_busy(db, holder, scene);
        age_grows(db, holder);
        harness_await_progress(reader, 5000);
        harness_wait(harness_start("visitor", visitor_run, scene));
        harness_phase("holder goes on");
        harness_continue(holder);
        harness_await_progress(holder, 2);
        others_go_on(patient, scene);
    }
    harness_phase("end");
    atomic_store(&scene->stop, 1);
    harness_wait(holder);
    harness_wait(reader);
    CHECK(scene->begun == scene->acked, "the holder ended in the middle");
    batch_check(db, scene);
    CHECK_OK(NULL, lxdb_close(patient));
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(scene->path, BATCH + 2);
    harness_count_least("stops inside the lock", 2 * ROUNDS);
}

static void stopped_holder_killed_is_replaced_and_repaired(void)
{
    harness_rng rng = harness_rng_make(3);
    lxdb *db;
    struct scene *scene = scene_new("killed", &db);
    int reader = harness_start("reader", reader_run, scene);
    lxdb *patient = harness_open(scene->path, (lxdb_options){0});
    int holder;

    for (unsigned round = 0; round < harness_rounds(ROUNDS); round++) {
        harness_phase("catch the holder in the lock");
        holder = harness_start("holder", holder_run, scene);
        harness_await_progress(holder, 1 + harness_below(&rng, 4));
        catch_holder(db, holder, &rng);
        harness_phase("kill the stopped holder");
        harness_kill(holder);
        others_go_on(patient, scene);
        batch_check(db, scene);
        if (scene->acked != scene->begun) /* which of both, is now settled */
            scene->acked = scene->begun = harness_value_read(db, "batch/0", 7);
        harness_await_progress(reader, 100);
        harness_count("holders killed in the lock", 1);
    }
    harness_phase("end");
    atomic_store(&scene->stop, 1);
    harness_wait(reader);
    CHECK_OK(NULL, lxdb_close(patient));
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(scene->path, BATCH + 2);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(stopped_holder_gives_busy_with_its_pid_while_readers_go_on),
        HARNESS_CASE(stopped_holder_killed_is_replaced_and_repaired),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
