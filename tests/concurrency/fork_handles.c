/* SPDX-License-Identifier: MIT */
/*
 * Handles that cross a fork. The child's first use attaches afresh; until then it holds nothing of
 * the parent's: no descriptor, no mapping, and so no lock that would keep a dead parent alive.
 * Iterators, batches and read sections stay behind.
 */
#include "harness.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHILDREN 12u
#define THREADS 2u
#define BATCH 16u
#define KILL_ROUNDS 12u

struct family {
    const char *path;
    _Atomic uint64_t go; /* orphans wait for it */
    _Atomic uint64_t stop;
    _Atomic int64_t sum; /* increments that were acknowledged */
    _Atomic int child;   /* worker number of the child of a parent that is to die, + 1 */
    _Atomic uint64_t acked, begun;
};

struct member {
    struct family *family;
    lxdb *db;
    unsigned number;
    unsigned generation; /* 1: child, 2: grandchild */
};

static struct family *family_new(const char *name)
{
    struct family *family = harness_shared(sizeof(*family));

    family->path = harness_path(name);
    return family;
}

static size_t key_make(char *key, size_t cap, const char *kind, unsigned number)
{
    return (size_t)snprintf(key, cap, "%s/%u", kind, number);
}

/* ---- What a child holds ---------------------------------------------------------------------- */

/* Before its first use of a handle, a child of fork has nothing of the database open or mapped. */
static void holds_nothing(const char *path)
{
    char link[512], target[4096], line[4096];
    struct dirent *entry;
    FILE *maps;
    ssize_t n;
    DIR *fds = opendir("/proc/self/fd");

    CHECK(fds != NULL, "no /proc");
    while ((entry = readdir(fds)) != NULL) {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%s", entry->d_name);
        n = readlink(link, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        CHECK(strstr(target, path) == NULL, "descriptor %s is %s", entry->d_name, target);
    }
    (void)closedir(fds);
    maps = fopen("/proc/self/maps", "re");
    CHECK(maps != NULL, "no /proc");
    while (fgets(line, sizeof(line), maps) != NULL)
        CHECK(strstr(line, path) == NULL, "mapping %s", line);
    (void)fclose(maps);
    harness_count("children found to hold nothing", 1);
}

/* ---- Children and grandchildren beside a busy parent ----------------------------------------- */

static void use_handle(struct member *member, const char *kind)
{
    char key[32];
    size_t key_len = key_make(key, sizeof(key), "parent", member->number);

    CHECK(harness_value_read(member->db, key, key_len) == member->number + 1,
          "what the parent wrote before the fork");
    key_len = key_make(key, sizeof(key), kind, member->number);
    CHECK_OK(member->db, harness_value_write(member->db, key, key_len, member->number + 1, 300));
    CHECK(harness_value_read(member->db, key, key_len) == member->number + 1, "own write");
    CHECK_OK(member->db, lxdb_incr(member->db, "sum", 3, 1, NULL));
    (void)atomic_fetch_add(&member->family->sum, 1);
}

static void descendant_run(void *arg)
{
    struct member *member = arg;
    struct member next = *member;
    bool last = member->generation == 2;
    int worker = -1;

    harness_stage("inherited handle");
    holds_nothing(member->family->path);
    next.generation = 2;
    /* half of the grandchildren inherit a handle that was never used in between */
    if (!last && member->number % 2 == 0)
        worker = harness_start("grandchild", descendant_run, &next);
    use_handle(member, last ? "grandchild" : "child");
    if (!last && member->number % 2 == 1)
        worker = harness_start("grandchild", descendant_run, &next);
    if (worker >= 0)
        harness_wait(worker);
    if (member->number % 3 != 0)
        CHECK_OK(NULL, lxdb_close(member->db));
    harness_count("descendants that used a handle", 1);
}

static void *incrementing(void *arg)
{
    struct member *member = arg;

    while (atomic_load(&member->family->stop) == 0) {
        CHECK_OK(member->db, lxdb_incr(member->db, "sum", 3, 1, NULL));
        (void)atomic_fetch_add(&member->family->sum, 1);
    }
    return NULL;
}

static void busy_parent(void *arg)
{
    struct family *family = arg;
    struct member member = {family, harness_open(family->path, (lxdb_options){0}), 0, 1};
    struct member own = member; /* of the threads: `member` changes with each child */
    pthread_t threads[THREADS];
    int children[CHILDREN];
    char key[32];
    size_t key_len;

    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, incrementing, &own) == 0, "no thread");
    for (unsigned i = 0; i < CHILDREN; i++) {
        harness_stage("fork");
        member.number = i;
        key_len = key_make(key, sizeof(key), "parent", i);
        CHECK_OK(member.db, harness_value_write(member.db, key, key_len, i + 1, 300));
        children[i] = harness_start("child", descendant_run, &member);
        if (i % 4 == 3) {
            harness_stage("children");
            for (unsigned j = i - 3; j <= i; j++)
                harness_wait(children[j]);
        }
    }
    harness_stage("end");
    atomic_store(&family->stop, 1);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0, "no join");
    for (unsigned i = 0; i < CHILDREN; i++) {
        key_len = key_make(key, sizeof(key), "child", i);
        CHECK(harness_value_read(member.db, key, key_len) == i + 1, "key of child %u", i);
        key_len = key_make(key, sizeof(key), "grandchild", i);
        CHECK(harness_value_read(member.db, key, key_len) == i + 1, "key of grandchild %u", i);
    }
    CHECK_OK(NULL, lxdb_close(member.db));
}

static void fork_descendants_of_threaded_parent_use_its_handle(void)
{
    struct family *family;
    int64_t sum;
    lxdb *db;

    for (unsigned round = 0; round < harness_rounds(3); round++) {
        family = family_new("threaded");
        harness_phase("parent, children, grandchildren");
        harness_wait(harness_start("parent", busy_parent, family));
        db = harness_open(family->path, (lxdb_options){0});
        CHECK_OK(db, lxdb_get_int(db, "sum", 3, &sum));
        CHECK(sum == family->sum, "sum %lld, acknowledged %lld", (long long)sum,
              (long long)family->sum);
        CHECK_OK(NULL, lxdb_close(db));
        harness_check_closed(family->path, (uint64_t)3 * CHILDREN + 1);
    }
    harness_count_least("descendants that used a handle", (uint64_t)3 * 2 * CHILDREN);
}

/* ---- Fork in the middle of a compaction ------------------------------------------------------ */

/* One compaction for each that is asked for: a loop would leave the child no gap for its own. */
static void *compacting(void *arg)
{
    struct member *member = arg;

    for (uint64_t i = 1; i <= harness_rounds(CHILDREN); i++) {
        harness_until_least("fork to come", &member->family->go, i);
        CHECK_OK(member->db, lxdb_compact(member->db, NULL));
    }
    return NULL;
}

static void compacting_child_run(void *arg)
{
    struct member *member = arg;

    harness_stage("child's own compaction");
    CHECK_OK(member->db, lxdb_incr(member->db, "sum", 3, 1, NULL));
    (void)atomic_fetch_add(&member->family->sum, 1);
    CHECK_OK(member->db, lxdb_compact(member->db, NULL));
    CHECK_OK(NULL, lxdb_close(member->db));
}

static void compacting_parent(void *arg)
{
    struct family *family = arg;
    struct member member = {family, harness_open(family->path, (lxdb_options){0}), 0, 1};
    harness_rng rng = harness_rng_make(6);
    pthread_t thread;

    CHECK_OK(member.db, lxdb_set_int(member.db, "sum", 3, 0));
    CHECK(pthread_create(&thread, NULL, compacting, &member) == 0, "no thread");
    for (unsigned i = 0; i < harness_rounds(CHILDREN); i++) {
        (void)atomic_fetch_add(&family->go, 1);
        harness_dawdle(&rng, 5000000);
        harness_wait(harness_start("child", compacting_child_run, &member));
        harness_count("children forked beside a compaction", 1);
    }
    CHECK(pthread_join(thread, NULL) == 0, "no join");
    CHECK_OK(NULL, lxdb_close(member.db));
}

static void fork_child_of_compacting_parent_compacts_too(void)
{
    struct family *family = family_new("compacting");
    int64_t sum = 0;
    lxdb *db;

    harness_phase("compaction in parent and children");
    harness_wait(harness_start("parent", compacting_parent, family));
    db = harness_open(family->path, (lxdb_options){0});
    CHECK_OK(db, lxdb_get_int(db, "sum", 3, &sum));
    CHECK(sum == family->sum, "sum %lld, acknowledged %lld", (long long)sum,
          (long long)family->sum);
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(family->path, 1);
}

/* ---- Iterators, batches, sections ------------------------------------------------------------ */

struct belongings {
    struct family *family;
    lxdb *db;
    lxdb_iter *iter;
    lxdb_batch *kept;
    lxdb_batch *dropped;
};

static void heir_run(void *arg)
{
    struct belongings *mine = arg;
    const void *key, *value;
    size_t key_len, value_len;
    int rc;

    harness_stage("inherited section");
    CHECK_RC(mine->db, LXDB_INVALID, lxdb_peek(mine->db, "a", 1, &value, &value_len));
    harness_stage("inherited iterator");
    rc = lxdb_iter_next(mine->iter, &key, &key_len, &value, &value_len);
    CHECK(rc != LXDB_OK && rc != LXDB_NOTFOUND, "an inherited iterator gave %s", lxdb_strerror(rc));
    lxdb_iter_close(mine->iter);
    harness_stage("inherited batch");
    rc = lxdb_batch_commit(mine->kept, NULL, NULL); /* refused or done, and it says which */
    CHECK((harness_value_read(mine->db, "batch", 5) == 1) == (rc == LXDB_OK),
          "an inherited batch gave %s", lxdb_strerror(rc));
    lxdb_batch_abort(mine->dropped);
    CHECK(harness_value_read(mine->db, "dropped", 7) == 0, "an aborted batch took effect");
    harness_stage("inherited handle");
    CHECK(harness_value_read(mine->db, "a", 1) == 1, "the child's own read");
    CHECK_OK(mine->db, lxdb_iter_open(mine->db, NULL, 0, 0, &mine->iter));
    CHECK_OK(mine->db, lxdb_iter_next(mine->iter, &key, &key_len, &value, &value_len));
    lxdb_iter_close(mine->iter);
    CHECK_OK(NULL, lxdb_close(mine->db));
}

static void testator_run(void *arg)
{
    struct family *family = arg;
    struct belongings mine = {family, harness_open(family->path, (lxdb_options){0}), NULL, NULL,
                              NULL};
    unsigned char value[64];
    const void *key, *peeked, *out;
    size_t key_len, peeked_len, out_len;

    CHECK_OK(mine.db, harness_value_write(mine.db, "a", 1, 1, 64));
    CHECK_OK(mine.db, harness_value_write(mine.db, "b", 1, 1, 64));
    CHECK_OK(mine.db, lxdb_iter_open(mine.db, NULL, 0, 0, &mine.iter));
    CHECK_OK(mine.db, lxdb_iter_next(mine.iter, &key, &key_len, &out, &out_len));
    harness_value_fill(value, sizeof(value), "batch", 5, 1);
    CHECK_OK(mine.db, lxdb_batch_begin(mine.db, &mine.kept));
    CHECK_OK(mine.db, lxdb_batch_write(mine.kept, "batch", 5, value, sizeof(value)));
    CHECK_OK(mine.db, lxdb_batch_begin(mine.db, &mine.dropped));
    CHECK_OK(mine.db, lxdb_batch_write(mine.dropped, "dropped", 7, "x", 1));
    CHECK_OK(mine.db, lxdb_read_begin(mine.db));
    CHECK_OK(mine.db, lxdb_peek(mine.db, "a", 1, &peeked, &peeked_len));
    harness_wait(harness_start("heir", heir_run, &mine));
    harness_stage("parent's own");
    CHECK(harness_value_check(peeked, peeked_len, "a", 1) == 1, "the parent's pointer");
    lxdb_read_end(mine.db);
    CHECK_OK(mine.db, lxdb_iter_next(mine.iter, &key, &key_len, &out, &out_len));
    CHECK(key_len == 1 && memcmp(key, "b", 1) == 0, "the parent's iterator");
    CHECK_RC(mine.db, LXDB_NOTFOUND, lxdb_iter_next(mine.iter, &key, &key_len, &out, &out_len));
    lxdb_iter_close(mine.iter);
    CHECK_OK(mine.db, lxdb_batch_commit(mine.kept, NULL, NULL));
    lxdb_batch_abort(mine.dropped);
    CHECK(harness_value_read(mine.db, "batch", 5) == 1, "the parent's batch");
    CHECK_OK(NULL, lxdb_close(mine.db));
}

static void fork_iterators_batches_and_sections_stay_with_the_parent(void)
{
    struct family *family = family_new("belongings");

    harness_phase("belongings");
    harness_wait(harness_start("parent", testator_run, family));
    harness_check_closed(family->path, 3);
}

/* ---- The parent ends first ------------------------------------------------------------------- */

static void orphan_run(void *arg)
{
    struct member *member = arg;
    char key[32];
    size_t key_len;

    if (member->number % 2 == 0) /* attached before the parent's end */
        CHECK(harness_value_read(member->db, "first", 5) == 1, "first key");
    harness_progress();
    harness_until_least("parent's end", &member->family->go, 1);
    harness_stage("orphaned");
    CHECK(harness_value_read(member->db, "first", 5) == 1, "first key");
    for (unsigned i = 0; i < 50; i++) {
        key_len = key_make(key, sizeof(key), "orphan", i);
        CHECK_OK(member->db, harness_value_write(member->db, key, key_len, i + 1, 500));
        CHECK(harness_value_read(member->db, key, key_len) == i + 1, "own write");
    }
    CHECK_OK(NULL, lxdb_close(member->db));
}

static void leaving_parent(void *arg)
{
    struct member *member = arg;

    member->db = harness_open(member->family->path, (lxdb_options){0});
    CHECK_OK(member->db, harness_value_write(member->db, "first", 5, 1, 64));
    atomic_store(&member->family->child, harness_start("orphan", orphan_run, member) + 1);
    CHECK_OK(NULL, lxdb_close(member->db));
}

static void fork_orphan_goes_on_after_parent_closed_and_exited(void)
{
    struct member member = {NULL, NULL, 0, 1};

    for (member.number = 0; member.number < 4; member.number++) {
        member.family = family_new("leaving");
        harness_phase("parent leaves");
        harness_wait(harness_start("parent", leaving_parent, &member));
        atomic_store(&member.family->go, 1);
        harness_phase("orphan goes on");
        harness_wait(atomic_load(&member.family->child) - 1);
        harness_check_closed(member.family->path, 51);
    }
}

static void dying_parent(void *arg)
{
    static unsigned char value[3000];
    struct member *member = arg;
    struct family *family = member->family;
    lxdb_batch *batch;
    size_t key_len;
    char key[32];

    member->db = harness_open(family->path, (lxdb_options){0});
    CHECK_OK(member->db, harness_value_write(member->db, "first", 5, 1, 64));
    atomic_store(&family->child, harness_start("orphan", orphan_run, member) + 1);
    harness_stage("writing until killed");
    for (uint64_t version = 1;; version++) {
        CHECK_OK(member->db, lxdb_batch_begin(member->db, &batch));
        for (unsigned i = 0; i < BATCH; i++) {
            key_len = key_make(key, sizeof(key), "batch", i);
            harness_value_fill(value, sizeof(value), key, key_len, version);
            CHECK_OK(member->db, lxdb_batch_write(batch, key, key_len, value, sizeof(value)));
        }
        atomic_store(&family->begun, version);
        CHECK_OK(member->db, lxdb_batch_commit(batch, NULL, NULL));
        atomic_store(&family->acked, version);
        harness_progress();
    }
}

/* A fresh process, while the orphan has the handle too. */
static void stranger_run(void *arg)
{
    struct member *member = arg;
    struct family *family = member->family;
    lxdb *db = harness_open(family->path, (lxdb_options){.busy_timeout_ms = 5000});
    uint64_t version, first = 0;
    lxdb_report report;
    size_t key_len;
    char key[32];

    /* an orphan that never used its handle is not attached: this open was alone and recovered */
    if (member->number % 2 == 1) {
        CHECK_OK(db, lxdb_recovery(db, &report));
        CHECK(report.crashed == 1, "no crash in the receipt");
        harness_count("recoveries beside an idle orphan", 1);
    }
    CHECK_OK(db, harness_value_write(db, "stranger", 8, 1, 64));
    for (unsigned i = 0; i < BATCH; i++) {
        key_len = key_make(key, sizeof(key), "batch", i);
        version = harness_value_read(db, key, key_len);
        first = i == 0 ? version : first;
        CHECK(version == first, "batch torn: %llu and %llu", (unsigned long long)first,
              (unsigned long long)version);
    }
    CHECK(first >= family->acked && first <= family->begun,
          "version %llu, acknowledged %llu, begun %llu", (unsigned long long)first,
          (unsigned long long)family->acked, (unsigned long long)family->begun);
    CHECK_OK(NULL, lxdb_close(db));
    if (member->number % 2 == 1)
        harness_check_closed(family->path, BATCH + 2);
}

static void fork_orphan_of_killed_parent_keeps_no_lock_alive(void)
{
    struct member member = {NULL, NULL, 0, 1};
    harness_rng rng = harness_rng_make(5);
    unsigned rounds = harness_rounds(KILL_ROUNDS);
    int parent, orphan;

    for (member.number = 0; member.number < rounds; member.number++) {
        member.family = family_new("dying");
        harness_phase("parent is killed");
        parent = harness_start("parent", dying_parent, &member);
        harness_await_progress(parent, 1 + harness_below(&rng, 30));
        orphan = atomic_load(&member.family->child) - 1;
        harness_await_steps(orphan, 1);
        harness_dawdle(&rng, 500000);
        harness_kill(parent);
        harness_phase("a stranger comes");
        harness_wait(harness_start("stranger", stranger_run, &member));
        harness_phase("the orphan goes on");
        atomic_store(&member.family->go, 1);
        harness_wait(orphan);
        harness_check_closed(member.family->path, BATCH + 2 + 50);
        harness_count("parents killed", 1);
    }
    harness_count_least("recoveries beside an idle orphan", KILL_ROUNDS / 2);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(fork_descendants_of_threaded_parent_use_its_handle),
        HARNESS_CASE(fork_child_of_compacting_parent_compacts_too),
        HARNESS_CASE(fork_iterators_batches_and_sections_stay_with_the_parent),
        HARNESS_CASE(fork_orphan_goes_on_after_parent_closed_and_exited),
        HARNESS_CASE(fork_orphan_of_killed_parent_keeps_no_lock_alive),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
