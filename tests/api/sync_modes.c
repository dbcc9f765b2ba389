/* SPDX-License-Identifier: MIT */
/*
 * What each sync mode promises, what lxdb_wait_durable() says, and how positions go on. The disk is
 * the system's, but for a door that counts its syncs, and can hold one back or let them fail.
 */
#include "harness.h"
#include "store/layout.h"
#include "sys/io.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define HOUR_MS 3600000u
#define DEADLINE_MS 1000u
#define PATIENCE_MS 20000u /* for what has to come by itself */

/* ---- The disk -------------------------------------------------------------------------------- */

static _Atomic unsigned syncs;     /* of data, so far */
static _Atomic int sync_errno;     /* of every further one */
static _Atomic bool hold_the_next; /* it then waits until it is let go */
static bool held, let_go;          /* guarded by the mutex */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static _Thread_local void (*at_store)(void); /* called once, before this thread's next store */

static void wait_until(const bool *flag)
{
    pthread_mutex_lock(&mutex);
    while (!*flag)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void set(bool *flag)
{
    pthread_mutex_lock(&mutex);
    *flag = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* False: it fails. */
static bool watch_sync(void)
{
    atomic_fetch_add(&syncs, 1);
    if (atomic_exchange(&hold_the_next, false)) {
        set(&held);
        wait_until(&let_go);
    }
    errno = atomic_load(&sync_errno);
    return errno == 0;
}

static int watched_fdatasync(int fd)
{
    return watch_sync() ? lx_io_system.fdatasync(fd) : -1;
}

static int watched_msync(void *addr, size_t len, int fd)
{
    return watch_sync() ? lx_io_system.msync(addr, len, fd) : -1;
}

static void call_at_store(void)
{
    void (*call)(void) = at_store;
    at_store = NULL;
    if (call != NULL)
        call();
}

static void watched_store(void *to, const void *from, size_t len)
{
    call_at_store();
    lx_io_system.store(to, from, len);
}

static ssize_t watched_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    call_at_store();
    return lx_io_system.pwrite(fd, buf, len, off);
}

/* ---- Helpers --------------------------------------------------------------------------------- */

static lxdb *open_in_mode(const char *path, int sync, uint32_t interval_ms, uint32_t busy_ms)
{
    lxdb_options options = {.size = sizeof options,
                            .sync = sync,
                            .sync_interval_ms = interval_ms,
                            .busy_timeout_ms = busy_ms};
    lxdb *db = NULL;
    assert_ok(lxdb_open(path, &options, &db));
    return db;
}

static uint64_t position_of(lxdb *db)
{
    uint64_t position = 0;
    assert_ok(lxdb_position(db, &position));
    return position;
}

static lxdb_stat_info stat_of(lxdb *db)
{
    lxdb_stat_info info;
    assert_ok(lxdb_stat(db, &info));
    return info;
}

static bool all_is_durable(lxdb *db)
{
    return stat_of(db).durable >= position_of(db);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Look again and again until it holds. */
static void await(bool (*condition)(lxdb *db), lxdb *db)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    while (!condition(db)) {
        const struct timespec pause = {0, 2000000};
        if (now_ms() > end)
            fail_msg("it did not come to be within %u ms", PATIENCE_MS);
        nanosleep(&pause, NULL);
    }
}

/* A thread that flushes, and is held back in its sync: it leads, whoever comes next follows. */
static pthread_t leader;
static int leader_rc;

static void *flush_in_thread(void *db)
{
    leader_rc = lxdb_flush(db);
    return NULL;
}

static void hold_a_leader(lxdb *db)
{
    held = let_go = false;
    leader_rc = 77;
    atomic_store(&hold_the_next, true);
    assert_int_equal(pthread_create(&leader, NULL, flush_in_thread, db), 0);
    wait_until(&held);
}

static void release_leader(void)
{
    set(&let_go);
    assert_int_equal(pthread_join(leader, NULL), 0);
    assert_ok(leader_rc);
}

/* ---- Modes ----------------------------------------------------------------------------------- */

static void none_syncs_nothing_by_itself(void **state)
{
    struct fixture *fixture = *state;
    fixture->db = open_in_mode(fixture->path, LXDB_SYNC_NONE, 0, 0);
    put(fixture->db, "first", "v"); /* makes the file ready, which takes syncs */
    unsigned before = atomic_load(&syncs);
    fill(fixture->db, 1000);
    assert_int_equal(atomic_load(&syncs), before);
    assert_false(all_is_durable(fixture->db));
    assert_ok(lxdb_flush(fixture->db));
    assert_true(all_is_durable(fixture->db));
    assert_int_equal(atomic_load(&syncs), before + 1);
}

static void interval_does_not_sync_before_its_time(void **state)
{
    struct fixture *fixture = *state;
    fixture->db = open_in_mode(fixture->path, LXDB_SYNC_INTERVAL, HOUR_MS, 0);
    put(fixture->db, "first", "v");
    unsigned before = atomic_load(&syncs);
    fill(fixture->db, 1000);
    assert_int_equal(atomic_load(&syncs), before);
    assert_false(all_is_durable(fixture->db));
}

static void interval_catches_up_without_a_call(void **state)
{
    struct fixture *fixture = *state;
    fixture->db = open_in_mode(fixture->path, LXDB_SYNC_INTERVAL, 20, 0);
    for (unsigned round = 0; round < 3; round++) {
        fill(fixture->db, 10);
        await(all_is_durable, fixture->db);
    }
}

static void interval_promise_is_kept_beside_handles_of_other_modes(void **state)
{
    struct fixture *fixture = *state;
    fixture->db = open_in_mode(fixture->path, LXDB_SYNC_NONE, 0, 0);
    lxdb *other = open_in_mode(fixture->path, LXDB_SYNC_INTERVAL, 20, 0);
    put(fixture->db, "none", "v");
    put(other, "interval", "v");
    await(all_is_durable, fixture->db);
    assert_ok(lxdb_close(other));
}

static bool is_poisoned(lxdb *db)
{
    return stat_of(db).sync_errno == EIO;
}

static void interval_flush_that_fails_refuses_later_changes(void **state)
{
    struct fixture *fixture = *state;
    fixture->db = open_in_mode(fixture->path, LXDB_SYNC_INTERVAL, 20, 0);
    put(fixture->db, "first", "v");
    await(all_is_durable, fixture->db);
    atomic_store(&sync_errno, EIO);
    int rc = lxdb_write(fixture->db, "key", 3, "v", 1);
    await(is_poisoned, fixture->db);
    atomic_store(&sync_errno, 0);
    assert_ok(rc);
    check_value(fixture->db, "key", "v");
    assert_code(lxdb_write(fixture->db, "key", 3, "w", 1), LXDB_IO);
    check_value(fixture->db, "key", "v");
    assert_ok(lxdb_compact(fixture->db, NULL));
    put(fixture->db, "key", "w");
}

#define check_durable(rc)                                                                          \
    do {                                                                                           \
        assert_ok(rc);                                                                             \
        assert_true(all_is_durable(fixture->db));                                                  \
    } while (0)

static void full_is_durable_when_any_change_returns(void **state)
{
    struct fixture *fixture = *state;
    lxdb_batch *batch = NULL;
    lxdb *db = fixture->db = open_in_mode(fixture->path, LXDB_SYNC_FULL, 0, 0);
    check_durable(lxdb_create(db, "key", 3, "a", 1));
    check_durable(lxdb_write(db, "key", 3, "b", 1));
    check_durable(lxdb_update(db, "key", 3, "c", 1));
    check_durable(lxdb_cas(db, "key", 3, "c", 1, "d", 1));
    check_durable(lxdb_delete(db, "key", 3));
    check_durable(lxdb_set_str(db, "text", 4, "e", 1));
    check_durable(lxdb_incr(db, "number", 6, 1, NULL));
    assert_ok(lxdb_batch_begin(db, &batch));
    assert_ok(lxdb_batch_write(batch, "one", 3, "f", 1));
    assert_ok(lxdb_batch_write(batch, "two", 3, "g", 1));
    check_durable(lxdb_batch_commit(batch, NULL, NULL));
    check_durable(lxdb_clear(db, NULL));
}

static void full_change_takes_the_changes_before_it_along(void **state)
{
    struct fixture *fixture = *state;
    fixture->db = open_in_mode(fixture->path, LXDB_SYNC_NONE, 0, 0);
    lxdb *other = open_in_mode(fixture->path, LXDB_SYNC_FULL, 0, 0);
    fill(fixture->db, 10);
    uint64_t position = position_of(fixture->db);
    assert_true(stat_of(fixture->db).durable < position);
    put(other, "full", "v");
    assert_true(stat_of(fixture->db).durable > position);
    put(fixture->db, "none", "v"); /* the mode is of a handle: this one did not get it */
    assert_false(all_is_durable(fixture->db));
    assert_ok(lxdb_close(other));
}

static void full_change_whose_sync_fails_is_io_and_visible(void **state)
{
    struct fixture *fixture = *state;
    fixture->db = open_in_mode(fixture->path, LXDB_SYNC_FULL, 0, 0);
    lxdb *other = open_in_mode(fixture->path, LXDB_SYNC_NONE, 0, 0);
    put(fixture->db, "key", "old");
    uint64_t durable = position_of(fixture->db);
    atomic_store(&sync_errno, EIO);
    int rc = lxdb_write(fixture->db, "key", 3, "new", 3);
    atomic_store(&sync_errno, 0);
    assert_code(rc, LXDB_IO);
    check_value(other, "key", "new");
    assert_code(lxdb_write(other, "key", 3, "later", 5), LXDB_IO);
    assert_code(lxdb_write(fixture->db, "key", 3, "later", 5), LXDB_IO);
    assert_ok(lxdb_wait_durable(other, durable, 0)); /* what was, is */
    assert_code(lxdb_wait_durable(other, position_of(other), -1), LXDB_IO);
    assert_int_equal(stat_of(other).durable, durable);
    assert_ok(lxdb_compact(other, NULL));
    assert_true(all_is_durable(fixture->db));
    assert_ok(lxdb_close(other));
    put(fixture->db, "key", "later");
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void wait_durable_of_what_is_durable_syncs_nothing(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 10);
    uint64_t position = position_of(fixture->db);
    assert_ok(lxdb_flush(fixture->db));
    put(fixture->db, "later", "v");
    unsigned before = atomic_load(&syncs);
    assert_ok(lxdb_wait_durable(fixture->db, position, 0));
    assert_ok(lxdb_wait_durable(fixture->db, 0, 0));
    assert_int_equal(atomic_load(&syncs), before);
    assert_false(all_is_durable(fixture->db));
}

static void wait_durable_without_time_makes_durable_when_nobody_syncs(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 10);
    assert_ok(lxdb_wait_durable(fixture->db, position_of(fixture->db), 0));
    assert_true(all_is_durable(fixture->db));
}

static void wait_durable_without_time_behind_a_sync_is_pending(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other = open_database(fixture->path);
    fill(fixture->db, 10);
    uint64_t position = position_of(fixture->db);
    hold_a_leader(fixture->db);
    int rc = lxdb_wait_durable(other, position, 0);
    bool words = strstr(lxdb_errmsg(other), "test.lxdb") != NULL;
    release_leader();
    assert_code(rc, LXDB_PENDING);
    assert_true(words);
    assert_ok(lxdb_wait_durable(other, position, 0));
    assert_ok(lxdb_close(other));
}

static void sync_that_hangs_delays_no_other_full_change(void **state)
{
    struct fixture *fixture = *state;
    fixture->db = open_in_mode(fixture->path, LXDB_SYNC_FULL, 0, 0);
    lxdb *other = open_in_mode(fixture->path, LXDB_SYNC_NONE, 0, 0);
    put(other, "key", "old");
    hold_a_leader(other);
    int rc = lxdb_write(fixture->db, "key", 3, "new", 3);
    bool durable = all_is_durable(fixture->db);
    release_leader();
    assert_ok(rc);
    assert_true(durable);
    assert_ok(lxdb_close(other));
}

/* A change in full mode whose deadline has passed when it comes to wait for its sync: it waited for
 * the writer lock first, and then its commit took long. */
static struct {
    lxdb *db;
    const struct lx_control_file *control;
    pthread_t thread;
    bool in_lock, out;
    int rc;
} holder;

static void stay_in_lock(void)
{
    set(&holder.in_lock);
    wait_until(&holder.out);
}

static void *write_and_stay(void *arg)
{
    (void)arg;
    at_store = stay_in_lock;
    holder.rc = lxdb_write(holder.db, "holder", 6, "v", 1);
    return NULL;
}

/* The deadline was set before the lock was had. */
static void stay_past_the_deadline(void)
{
    uint64_t passed = now_ms() + DEADLINE_MS + 1;
    while (now_ms() < passed)
        nanosleep(&(const struct timespec){0, 1000000}, NULL);
}

struct pending {
    lxdb *db;
    int rc;
};

static void *write_past_the_deadline(void *arg)
{
    struct pending *pending = arg;
    at_store = stay_past_the_deadline;
    pending->rc = lxdb_write(pending->db, "key", 3, "new", 3);
    return NULL;
}

static bool somebody_waits(lxdb *db)
{
    (void)db;
    return atomic_load(&holder.control->lock.word) & 1;
}

static void full_change_past_its_deadline_is_pending_and_visible(void **state)
{
    struct fixture *fixture = *state;
    struct pending pending = {.rc = 77};
    pthread_t thread;
    fixture->db = open_in_mode(fixture->path, LXDB_SYNC_NONE, 0, 0);
    put(fixture->db, "key", "old");
    pending.db = open_in_mode(fixture->path, LXDB_SYNC_FULL, 0, DEADLINE_MS);
    int fd = open(in_directory(fixture, "test.lxdb-lock"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    holder.control = mmap(NULL, LX_CONTROL_SIZE, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(holder.control != MAP_FAILED);
    hold_a_leader(fixture->db);
    holder.db = fixture->db;
    holder.in_lock = holder.out = false;
    assert_int_equal(pthread_create(&holder.thread, NULL, write_and_stay, NULL), 0);
    wait_until(&holder.in_lock);
    assert_int_equal(pthread_create(&thread, NULL, write_past_the_deadline, &pending), 0);
    await(somebody_waits, fixture->db);
    set(&holder.out);
    assert_int_equal(pthread_join(holder.thread, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    bool durable = all_is_durable(fixture->db);
    release_leader();
    munmap((void *)(uintptr_t)holder.control, LX_CONTROL_SIZE);
    close(fd);
    assert_ok(holder.rc);
    assert_code(pending.rc, LXDB_PENDING);
    assert_false(durable);
    check_value(fixture->db, "key", "new");
    assert_ok(lxdb_wait_durable(pending.db, position_of(pending.db), -1));
    assert_ok(lxdb_close(pending.db));
}

/* ---- Positions ------------------------------------------------------------------------------- */

static void compact_in_child(const struct fixture *fixture)
{
    lxdb *db = NULL;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_compact(db, NULL), LXDB_OK, "compact");
    child_require_code(lxdb_close(db), LXDB_OK, "close");
}

static void positions_go_on_across_compactions_for_every_handle(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other = open_database(fixture->path);
    uint64_t last = 0;
    for (unsigned round = 0; round < 4; round++) {
        fill(fixture->db, 200);
        uint64_t before = position_of(other);
        assert_true(before > last);
        if (round % 2 == 0)
            assert_ok(lxdb_compact(other, NULL));
        else
            run_child(compact_in_child, fixture);
        uint64_t after = position_of(fixture->db);
        assert_true(after >= before);
        assert_int_equal(position_of(other), after);
        assert_int_equal(stat_of(other).position, after);
        assert_ok(lxdb_wait_durable(fixture->db, before, 0)); /* the new file was synced whole */
        assert_true(stat_of(fixture->db).durable >= before);
        put(fixture->db, "key", "value");
        assert_int_equal(position_of(other), after + 11 + strlen("key") + strlen("value"));
        assert_code(lxdb_wait_durable(other, position_of(other) + 1, 0), LXDB_INVALID);
        last = position_of(other);
    }
    assert_ok(lxdb_close(other));
}

static void position_of_a_namespace_is_that_of_its_database(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = NULL;
    assert_ok(lxdb_namespace(fixture->db, "name", &ns));
    put(ns, "key", "value");
    assert_int_equal(position_of(ns), position_of(fixture->db));
    assert_ok(lxdb_wait_durable(ns, position_of(ns), -1));
    assert_true(all_is_durable(fixture->db));
    assert_ok(lxdb_close(ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(none_syncs_nothing_by_itself),
        test_in_directory(interval_does_not_sync_before_its_time),
        test_in_directory(interval_catches_up_without_a_call),
        test_in_directory(interval_promise_is_kept_beside_handles_of_other_modes),
        test_in_directory(interval_flush_that_fails_refuses_later_changes),
        test_in_directory(full_is_durable_when_any_change_returns),
        test_in_directory(full_change_takes_the_changes_before_it_along),
        test_in_directory(full_change_whose_sync_fails_is_io_and_visible),
        test_in_database(wait_durable_of_what_is_durable_syncs_nothing),
        test_in_database(wait_durable_without_time_makes_durable_when_nobody_syncs),
        test_in_database(wait_durable_without_time_behind_a_sync_is_pending),
        test_in_directory(sync_that_hangs_delays_no_other_full_change),
        test_in_directory(full_change_past_its_deadline_is_pending_and_visible),
        test_in_database(positions_go_on_across_compactions_for_every_handle),
        test_in_database(position_of_a_namespace_is_that_of_its_database),
    };
    struct lx_io io = lx_io_system;

    io.fdatasync = watched_fdatasync;
    io.msync = watched_msync;
    io.store = watched_store;
    io.pwrite = watched_pwrite;
    lx_io = &io;
    return cmocka_run_group_tests_name("sync_modes", tests, NULL, NULL);
}
