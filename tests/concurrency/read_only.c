/* SPDX-License-Identifier: MIT */
/*
 * Handles opened with LXDB_RDONLY: beside writers, alone on a file that a crash left, and alone on
 * a file when a writer comes later. They change no byte of any file and see what the others see.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEYS 32u
#define GROUP 6u
#define SESSIONS 6u

struct scene {
    const char *path;
    _Atomic uint64_t stop;
    _Atomic uint64_t acked[KEYS], begun[KEYS];
    _Atomic uint64_t group_acked, group_begun;
    _Atomic uint64_t reads;
    uint64_t found[KEYS]; /* what the last look saw; of one process at a time */
    uint64_t found_group;
};

static const lxdb_options read_only = {.flags = LXDB_RDONLY};

static struct scene *scene_new(const char *name)
{
    struct scene *scene = harness_shared(sizeof(*scene));

    scene->path = harness_path(name);
    return scene;
}

static size_t key_make(char *key, size_t cap, const char *kind, unsigned number)
{
    return (size_t)snprintf(key, cap, "%s/%u", kind, number);
}

/* ---- A writer with a ledger ------------------------------------------------------------------ */

static void group_write(lxdb *db, struct scene *scene)
{
    uint64_t version = atomic_load(&scene->group_acked) + 1;
    static unsigned char value[3000];
    lxdb_batch *batch;
    size_t key_len;
    char key[32];

    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    for (unsigned i = 0; i < GROUP; i++) {
        key_len = key_make(key, sizeof(key), "group", i);
        harness_value_fill(value, sizeof(value), key, key_len, version);
        CHECK_OK(db, lxdb_batch_write(batch, key, key_len, value, sizeof(value)));
    }
    atomic_store(&scene->group_begun, version);
    CHECK_OK(db, lxdb_batch_commit(batch, NULL, NULL));
    atomic_store(&scene->group_acked, version);
}

static void key_write(lxdb *db, struct scene *scene, harness_rng *rng)
{
    unsigned i = (unsigned)harness_below(rng, KEYS);
    uint64_t version = atomic_load(&scene->acked[i]) + 1;
    char key[32];
    size_t key_len = key_make(key, sizeof(key), "key", i);

    atomic_store(&scene->begun[i], version);
    CHECK_OK(db, harness_value_write(db, key, key_len, version, 32 + harness_below(rng, 2000)));
    atomic_store(&scene->acked[i], version);
}

static void writer_run(void *arg)
{
    struct scene *scene = arg;
    harness_rng rng = harness_rng_make(1);
    lxdb *db = harness_open(scene->path, (lxdb_options){0});

    harness_stage("writing");
    while (atomic_load(&scene->stop) == 0) {
        if (harness_below(&rng, 4) == 0)
            group_write(db, scene);
        else
            key_write(db, scene, &rng);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

static void compactor_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, (lxdb_options){0});

    harness_stage("compacting");
    while (atomic_load(&scene->stop) == 0) {
        CHECK_OK(db, lxdb_compact(db, NULL));
        harness_count("compactions", 1);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

/* What happened to take effect without an acknowledgement counts from now on. */
static void ledger_settle(struct scene *scene)
{
    for (unsigned i = 0; i < KEYS; i++)
        scene->acked[i] = scene->begun[i] = scene->found[i];
    scene->group_acked = scene->group_begun = scene->found_group;
}

/* ---- Looking --------------------------------------------------------------------------------- */

/* Every key at or after what is acknowledged, at or before what was begun. */
static void look(lxdb *db, struct scene *scene)
{
    uint64_t least, most, version;
    size_t key_len;
    char key[32];

    for (unsigned i = 0; i < KEYS; i++) {
        key_len = key_make(key, sizeof(key), "key", i);
        least = atomic_load(&scene->acked[i]);
        version = harness_value_read(db, key, key_len);
        most = atomic_load(&scene->begun[i]);
        CHECK(version >= least && version <= most,
              "%s: version %llu, acknowledged %llu, begun %llu", key, (unsigned long long)version,
              (unsigned long long)least, (unsigned long long)most);
        scene->found[i] = version;
    }
}

static void look_group(lxdb *db, struct scene *scene)
{
    uint64_t least = atomic_load(&scene->group_acked);
    lxdb_item items[GROUP] = {{0}};
    uint64_t versions[GROUP] = {0};
    char keys[GROUP][32];

    CHECK_OK(db, lxdb_read_begin(db));
    for (unsigned i = 0; i < GROUP; i++) {
        items[i].key_len = key_make(keys[i], sizeof(keys[i]), "group", i);
        items[i].key = keys[i];
    }
    CHECK_OK(db, lxdb_peek_many(db, items, GROUP));
    for (unsigned i = 0; i < GROUP; i++) {
        if (items[i].rc == LXDB_OK)
            versions[i] = harness_value_check(items[i].value, items[i].value_len, items[i].key,
                                              items[i].key_len);
        CHECK(versions[i] == versions[0], "batch torn: %llu and %llu",
              (unsigned long long)versions[0], (unsigned long long)versions[i]);
    }
    lxdb_read_end(db);
    CHECK(versions[0] >= least && versions[0] <= atomic_load(&scene->group_begun),
          "batch version %llu, acknowledged %llu", (unsigned long long)versions[0],
          (unsigned long long)least);
    scene->found_group = versions[0];
}

static void changes_are_refused(lxdb *db)
{
    lxdb_batch *batch = NULL;

    CHECK_RC(db, LXDB_READONLY, lxdb_write(db, "x", 1, "y", 1));
    CHECK_RC(db, LXDB_READONLY, lxdb_create(db, "x", 1, "y", 1));
    CHECK_RC(db, LXDB_READONLY, lxdb_update(db, "key/0", 5, "y", 1));
    CHECK_RC(db, LXDB_READONLY, lxdb_delete(db, "key/0", 5));
    CHECK_RC(db, LXDB_READONLY, lxdb_set_int(db, "x", 1, 1));
    CHECK_RC(db, LXDB_READONLY, lxdb_incr(db, "x", 1, 1, NULL));
    CHECK_RC(db, LXDB_READONLY, lxdb_cas(db, "x", 1, NULL, 0, "y", 1));
    CHECK_RC(db, LXDB_READONLY, lxdb_clear(db, NULL));
    CHECK_RC(db, LXDB_READONLY, lxdb_compact(db, NULL));
    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    CHECK_OK(db, lxdb_batch_write(batch, "x", 1, "y", 1));
    CHECK_RC(db, LXDB_READONLY, lxdb_batch_commit(batch, NULL, NULL));
    CHECK_RC(db, LXDB_NOTFOUND, lxdb_exists(db, "x", 1));
}

/* ---- Beside writers -------------------------------------------------------------------------- */

static void watcher_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, read_only);

    changes_are_refused(db);
    harness_stage("reading");
    while (atomic_load(&scene->stop) == 0) {
        look(db, scene);
        look_group(db, scene);
        (void)atomic_fetch_add(&scene->reads, 1);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

static void read_only_beside_writer_and_compaction_sees_writes_at_once(void)
{
    struct scene *scene = scene_new("beside");
    int workers[4];
    lxdb *db = harness_open(scene->path, (lxdb_options){0});

    CHECK_OK(db, harness_value_write(db, "first", 5, 1, 64));
    harness_phase("watching");
    workers[0] = harness_start("writer", writer_run, scene);
    workers[1] = harness_start("compactor", compactor_run, scene);
    workers[2] = harness_start("watcher", watcher_run, scene);
    workers[3] = harness_start("watcher", watcher_run, scene);
    harness_until_least("reads", &scene->reads, harness_rounds(2000));
    harness_await_progress(workers[1], 3);
    harness_await_progress(workers[0], 500);
    atomic_store(&scene->stop, 1);
    for (unsigned i = 0; i < 4; i++)
        harness_wait(workers[i]);
    CHECK_OK(NULL, lxdb_close(db));
    harness_count("looks at all keys beside writers", scene->reads);
}

/* ---- Alone on what a crash left -------------------------------------------------------------- */

#define FILES 4u

struct image {
    char path[4096];
    bool there;
    void *bytes;
    size_t len;
    struct stat info;
};

static void images_take(const struct scene *scene, struct image *images)
{
    static const char *const suffixes[FILES] = {"", "-lock", "-index", "-lost"};

    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(images[i].path, sizeof(images[i].path), "%s%s", scene->path, suffixes[i]);
        images[i].there = harness_file_read(images[i].path, &images[i].bytes, &images[i].len);
        if (images[i].there)
            CHECK(stat(images[i].path, &images[i].info) == 0, "stat of %s", images[i].path);
    }
}

static void images_free(struct image *images)
{
    for (unsigned i = 0; i < FILES; i++)
        free(images[i].bytes);
}

static void images_check(const struct scene *scene, const struct image *before, const char *when)
{
    static struct image now[FILES];

    images_take(scene, now);
    for (unsigned i = 0; i < FILES; i++) {
        CHECK(now[i].there == before[i].there, "%s: %s %s", when, now[i].path,
              now[i].there ? "appeared" : "vanished");
        if (!now[i].there)
            continue;
        CHECK(now[i].len == before[i].len && memcmp(now[i].bytes, before[i].bytes, now[i].len) == 0,
              "%s: the bytes of %s changed", when, now[i].path);
        CHECK(now[i].info.st_ino == before[i].info.st_ino, "%s: %s was replaced", when,
              now[i].path);
        CHECK(now[i].info.st_mtim.tv_sec == before[i].info.st_mtim.tv_sec &&
                  now[i].info.st_mtim.tv_nsec == before[i].info.st_mtim.tv_nsec,
              "%s: %s was written to", when, now[i].path);
    }
    images_free(now);
}

static void sole_reader_run(void *arg)
{
    struct scene *scene = arg;
    uint64_t keys = 0, expected = 0;
    lxdb_iter *iter;
    const void *key, *value;
    size_t key_len, value_len;
    lxdb *db;
    int rc;

    harness_stage("open alone");
    db = harness_open(scene->path, read_only);
    harness_stage("reading alone");
    look(db, scene);
    look_group(db, scene);
    changes_are_refused(db);
    CHECK_OK(db, lxdb_iter_open(db, NULL, 0, 0, &iter));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK) {
        (void)harness_value_check(value, value_len, key, key_len);
        keys++;
    }
    CHECK_RC(db, LXDB_NOTFOUND, rc);
    lxdb_iter_close(iter);
    for (unsigned i = 0; i < KEYS; i++)
        expected += scene->found[i] != 0;
    expected += scene->found_group != 0 ? GROUP : 0;
    CHECK(keys == expected, "an iteration gave %llu keys of %llu", (unsigned long long)keys,
          (unsigned long long)expected);
    harness_progress();
    harness_until_least("director to compare", &scene->stop, 1);
    CHECK_OK(NULL, lxdb_close(db));
}

/* Which helpers are missing when the reader comes. */
enum { NONE_MISSING, LOCK_MISSING, INDEX_MISSING, BOTH_MISSING, MISSING_KINDS };

static void crash(struct scene *scene, harness_rng *rng, unsigned missing)
{
    char path[4096];
    int writer;

    atomic_store(&scene->stop, 0);
    writer = harness_start("writer", writer_run, scene);
    harness_await_progress(writer, 20 + harness_below(rng, 300));
    harness_dawdle(rng, 200000);
    harness_kill(writer);
    if (missing == LOCK_MISSING || missing == BOTH_MISSING) {
        (void)snprintf(path, sizeof(path), "%s-lock", scene->path);
        CHECK(remove(path) == 0, "no lock file");
    }
    if (missing == INDEX_MISSING || missing == BOTH_MISSING) {
        (void)snprintf(path, sizeof(path), "%s-index", scene->path);
        CHECK(remove(path) == 0, "no index file");
    }
}

static void read_only_alone_on_crashed_file_sees_it_and_changes_nothing(void)
{
    static struct image before[FILES];
    harness_rng rng = harness_rng_make(3);
    struct scene *scene = scene_new("crashed");
    int reader;
    lxdb *db;

    for (unsigned round = 0; round < harness_rounds(4 * MISSING_KINDS); round++) {
        harness_phase("crash");
        crash(scene, &rng, round % MISSING_KINDS);
        images_take(scene, before);
        harness_phase("read-only, alone");
        reader = harness_start("reader", sole_reader_run, scene);
        harness_await_steps(reader, 1);
        images_check(scene, before, "while open");
        atomic_store(&scene->stop, 1);
        harness_wait(reader);
        images_check(scene, before, "after close");
        images_free(before);
        harness_phase("recovery by a writer");
        ledger_settle(scene); /* a writer must find exactly what the reader saw */
        db = harness_open(scene->path, (lxdb_options){0});
        look(db, scene);
        look_group(db, scene);
        CHECK_OK(NULL, lxdb_close(db));
        harness_count("crashed files read", 1);
    }
    harness_count_least("crashed files read", 16);
}

static void read_only_of_missing_file_is_refused_and_creates_nothing(void)
{
    const char *path = harness_path("missing");
    lxdb_options options = read_only;
    lxdb *db = NULL;

    options.size = sizeof(options);
    CHECK_RC(NULL, LXDB_NOTFOUND, lxdb_open(path, &options, &db));
    CHECK(db == NULL && !harness_file_exists(path), "something was created");
}

/* ---- A writer comes later -------------------------------------------------------------------- */

/* Attached alone on a closed file; then session after session of others, clean or killed. */
static void lone_watcher_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, read_only);
    uint64_t seen = 0, version, wanted, since = 0;

    harness_stage("waiting for writers");
    while (atomic_load(&scene->stop) == 0) {
        wanted = atomic_load(&scene->group_acked);
        version = harness_value_read(db, "group/0", 7);
        CHECK(version >= seen, "version %llu after %llu", (unsigned long long)version,
              (unsigned long long)seen);
        CHECK(version <= atomic_load(&scene->group_begun), "version %llu is not begun",
              (unsigned long long)version);
        seen = version;
        atomic_store(&scene->reads, seen);
        since = seen >= wanted ? 0 : since == 0 ? harness_now_ms() : since;
        if (since != 0)
            harness_count_max("longest until a lone reader saw a write, ms",
                              harness_now_ms() - since);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

struct session {
    struct scene *scene;
    bool killed;
    _Atomic uint64_t seen;
};

static void later_writer_run(void *arg)
{
    struct session *session = arg;
    struct scene *scene = session->scene;
    lxdb *db;

    harness_stage("open beside a lone reader");
    db = harness_open(scene->path, (lxdb_options){0});
    harness_stage("writing");
    for (unsigned i = 0; i < 20; i++)
        group_write(db, scene);
    harness_until_least("reader to see", &scene->reads, scene->group_acked);
    atomic_store(&session->seen, 1);
    if (session->killed)
        harness_until_least("being killed", &scene->stop, 1);
    harness_stage("close");
    CHECK_OK(NULL, lxdb_close(db));
}

static void read_only_attached_first_sees_writers_that_come_later(void)
{
    struct scene *scene = scene_new("later");
    struct session *session = harness_shared(sizeof(*session));
    int reader, writer;
    lxdb *db = harness_open(scene->path, (lxdb_options){0});

    group_write(db, scene);
    CHECK_OK(NULL, lxdb_close(db));
    harness_phase("reader attaches alone");
    reader = harness_start("lone reader", lone_watcher_run, scene);
    harness_await_progress(reader, 1);
    session->scene = scene;
    for (unsigned i = 0; i < harness_rounds(SESSIONS); i++) {
        harness_phase("a writer comes");
        session->killed = i % 3 == 1; /* the next one recovers beside the reader */
        atomic_store(&session->seen, 0);
        writer = harness_start("later writer", later_writer_run, session);
        harness_until_least("reader to see the writes", &session->seen, 1);
        if (session->killed)
            harness_kill(writer);
        else
            harness_wait(writer);
        harness_await_progress(reader, 100);
        harness_count("sessions beside a lone reader", 1);
    }
    harness_phase("end");
    atomic_store(&scene->stop, 1);
    harness_wait(reader);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(read_only_beside_writer_and_compaction_sees_writes_at_once),
        HARNESS_CASE(read_only_alone_on_crashed_file_sees_it_and_changes_nothing),
        HARNESS_CASE(read_only_of_missing_file_is_refused_and_creates_nothing),
        HARNESS_CASE(read_only_attached_first_sees_writers_that_come_later),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
