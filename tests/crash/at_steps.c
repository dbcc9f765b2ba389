/* SPDX-License-Identifier: MIT */
/*
 * What may happen between two steps of another. Somebody stands at a named step of the library
 * (built with LX_STEPS), stopped there or dead, or a call of the test is made there, and whoever
 * comes meanwhile finds what is promised. Each case makes one interleaving, the same every time,
 * where tests of many processes need luck.
 */
#include "tests/api/harness.h"

#include "format/header.h"
#include "format/record.h"
#include "store/layout.h"
#include "sys/io.h"
#include "tests/coverage/keep.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYS 64u
#define BUSY_MS 60000u
#define SHORT_MS 50u
#define LARGE (1u << 20)

/* ---- Steps ----------------------------------------------------------------------------------- */

/* What a library built with LX_STEPS calls; see base/assert.h. */
void lx_step(const char *name);

/* Of this thread: the step, which hit of it, and what is done there. */
static _Thread_local const char *armed; /* NULL: none */
static _Thread_local unsigned hits_left;
static _Thread_local int armed_signal;
static _Thread_local void (*armed_call)(void); /* instead of the signal, at every step */

void lx_step(const char *name)
{
    if (armed_call != NULL)
        armed_call();
    if (armed != NULL && strcmp(armed, name) == 0 && --hits_left == 0) {
        armed = NULL;
        coverage_keep();
        raise(armed_signal);
    }
}

static void arm(const char *step, unsigned nth, int signal)
{
    armed_signal = signal;
    hits_left = nth;
    armed = step;
}

static lxdb *open_for(const char *path, uint32_t flags, uint32_t busy_ms, int helpers)
{
    lxdb_options options = {
        .size = sizeof options, .flags = flags, .busy_timeout_ms = busy_ms, .helpers = helpers};
    lxdb *db = NULL;

    assert_ok(lxdb_open(path, &options, &db));
    return db;
}

static pid_t stopped; /* by a test that fails before it has let it go; 0: nobody */

static int end_stopped(void **state)
{
    if (stopped != 0) {
        (void)kill(stopped, SIGKILL);
        (void)waitpid(stopped, NULL, 0);
        stopped = 0;
    }
    return remove_all(state);
}

/* A child that does `deed` with a handle of its own, and is stopped at the nth hit of a step. */
static pid_t stop_at(const struct fixture *fixture, void (*deed)(lxdb *db), const char *step,
                     unsigned nth)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        lxdb *db = NULL;

        child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
        arm(step, nth, SIGSTOP);
        deed(db);
        child_require(armed == NULL, "the step is come by");
        child_require_code(lxdb_close(db), LXDB_OK, "close");
        coverage_keep();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    stopped = pid;
    return pid;
}

static void let_go(pid_t pid)
{
    int status = 0;

    stopped = 0;
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- Changes of what was found before the lock was to be had --------------------------------- */

static struct {
    lxdb *db;
    int (*change)(lxdb *db);
    int rc;
    _Atomic bool done;
} waiter;

static void *change_in_thread(void *arg)
{
    (void)arg;
    waiter.rc = waiter.change(waiter.db);
    atomic_store(&waiter.done, true);
    return NULL;
}

/* `change` has had its first look, and waits for the lock, while `harm` is done, which may be NULL,
 * and then `deed` under the lock. */
static int change_behind_harm(const struct fixture *fixture, int (*change)(lxdb *db),
                              void (*harm)(const struct fixture *fixture), void (*deed)(lxdb *db))
{
    int fd = open(in_directory(fixture, "test.lxdb-lock"), O_RDONLY | O_CLOEXEC);
    pid_t holder = stop_at(fixture, deed, "lock-taken", 1);
    pthread_t thread;
    uint64_t word = 0;

    waiter.db = fixture->db;
    waiter.change = change;
    atomic_store(&waiter.done, false);
    assert_true(fd >= 0);
    assert_int_equal(pthread_create(&thread, NULL, change_in_thread, NULL), 0);
    while ((word & 1) == 0 && !atomic_load(&waiter.done)) /* until it is about to sleep */
        assert_int_equal(pread(fd, &word, sizeof word, offsetof(struct lx_control_file, lock)),
                         sizeof word);
    close(fd);
    if (harm != NULL)
        harm(fixture);
    let_go(holder);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return waiter.rc;
}

static int change_behind(const struct fixture *fixture, int (*change)(lxdb *db),
                         void (*deed)(lxdb *db))
{
    return change_behind_harm(fixture, change, NULL, deed);
}

static int create_key(lxdb *db)
{
    return lxdb_create(db, "key", 3, "ours", 4);
}

static int delete_key(lxdb *db)
{
    return lxdb_delete(db, "key", 3);
}

static int update_key(lxdb *db)
{
    return lxdb_update(db, "key", 3, "ours", 4);
}

static void write_key(lxdb *db)
{
    child_require_code(lxdb_write(db, "key", 3, "theirs", 6), LXDB_OK, "write");
}

static void write_other(lxdb *db)
{
    child_require_code(lxdb_write(db, "other", 5, "2", 1), LXDB_OK, "write");
}

static void remove_key(lxdb *db)
{
    child_require_code(lxdb_delete(db, "key", 3), LXDB_OK, "delete");
}

/* More than a segment of the index holds: those that there are go to new ones. */
static void write_many(lxdb *db)
{
    lxdb_batch *batch = NULL;
    int rc = lxdb_batch_begin(db, &batch);

    for (unsigned i = 0; rc == LXDB_OK && i < 2500; i++)
        rc = lxdb_batch_write(batch, &i, sizeof i, "", 0);
    child_require_code(rc, LXDB_OK, "batch");
    child_require_code(lxdb_batch_commit(batch, NULL, NULL), LXDB_OK, "commit");
}

static void create_of_what_is_created_meanwhile_is_exists(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->db, "other", "1");
    assert_code(change_behind(fixture, create_key, write_key), LXDB_EXISTS);
    check_value(fixture->db, "key", "theirs");
}

static void delete_of_what_is_deleted_meanwhile_is_notfound(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->db, "other", "1");
    put(fixture->db, "key", "before");
    assert_code(change_behind(fixture, delete_key, remove_key), LXDB_NOTFOUND);
    check_count(fixture->db, 1);
}

static void update_of_what_is_replaced_meanwhile_replaces_that(void **state)
{
    struct fixture *fixture = *state;
    lxdb_stat_info info;

    put(fixture->db, "key", "before");
    assert_ok(change_behind(fixture, update_key, write_key));
    check_value(fixture->db, "key", "ours");
    assert_ok(lxdb_stat(fixture->db, &info));
    assert_int_equal(info.live_bytes, 11 + 3 + 4);
}

static void update_in_a_segment_that_is_split_meanwhile_is_seen(void **state)
{
    struct fixture *fixture = *state;
    lxdb_stat_info info;

    put(fixture->db, "key", "before");
    assert_ok(change_behind(fixture, update_key, write_many));
    check_value(fixture->db, "key", "ours");
    check_count(fixture->db, 2501);
    assert_ok(lxdb_stat(fixture->db, &info));
    assert_int_equal(info.compactions, 0); /* and no index had to be made anew for that */
}

static uint64_t record_of_key; /* its offset */

static void kill_record_of_key(const struct fixture *fixture)
{
    int fd = open(fixture->path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "", 1, (off_t)record_of_key), 1);
    close(fd);
}

static void update_of_a_record_whose_status_byte_is_damaged_meanwhile_is_done(void **state)
{
    struct fixture *fixture = *state;
    lxdb_stat_info info;

    put(fixture->db, "other", "1");
    assert_ok(lxdb_stat(fixture->db, &info));
    record_of_key = info.position; /* in a first generation positions are offsets */
    put(fixture->db, "key", "before");
    assert_ok(change_behind_harm(fixture, update_key, kill_record_of_key, write_other));
    check_value(fixture->db, "key", "ours");
    check_value(fixture->db, "other", "2");
    check_count(fixture->db, 2);
}

static void die_after_writing(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_write(db, "key", 3, "1", 1), LXDB_OK, "write");
    die_now();
}

/* ---- A batch that is visible in part --------------------------------------------------------- */

static int commit_batch(lxdb *db, const char *value)
{
    lxdb_batch *batch = NULL;
    int rc = lxdb_batch_begin(db, &batch);

    for (unsigned i = 0; rc == LXDB_OK && i < KEYS; i++)
        rc = lxdb_batch_write(batch, &i, sizeof i, value, 1);
    return rc == LXDB_OK ? lxdb_batch_commit(batch, NULL, NULL) : rc;
}

static void commit_b(lxdb *db)
{
    child_require_code(commit_batch(db, "b"), LXDB_OK, "commit");
}

static char value_of(lxdb *db, unsigned key)
{
    char value = 0;

    assert_ok(lxdb_read(db, &key, sizeof key, &value, 1, NULL));
    return value;
}

static void peek_many_beside_a_stopped_publisher_sees_no_part_of_a_batch(void **state)
{
    struct fixture *fixture = *state;
    unsigned first = 0, last = KEYS - 1;
    lxdb_item items[2] = {{.key = &first, .key_len = sizeof first},
                          {.key = &last, .key_len = sizeof last}};
    lxdb *reader;
    pid_t publisher;

    assert_ok(commit_batch(fixture->db, "a"));
    reader = open_for(fixture->path, LXDB_RDONLY, SHORT_MS, LXDB_HELPERS_AUTO);
    publisher = stop_at(fixture, commit_b, "commit-publishing", KEYS / 2);
    assert_int_equal(value_of(reader, first), 'b'); /* single reads do see a part */
    assert_int_equal(value_of(reader, last), 'a');
    assert_ok(lxdb_read_begin(reader));
    assert_code(lxdb_peek_many(reader, items, 2), LXDB_BUSY);
    let_go(publisher);
    assert_ok(lxdb_peek_many(reader, items, 2));
    assert_int_equal(*(const char *)items[0].value, 'b');
    assert_int_equal(*(const char *)items[1].value, 'b');
    lxdb_read_end(reader);
    assert_ok(lxdb_close(reader));
}

static lxdb *publisher_handle; /* commits a batch when a reader asks for a size; NULL: not now */

static int publishing_fstat(int fd, struct stat *ret_stat)
{
    lxdb *db = publisher_handle;

    publisher_handle = NULL;
    if (db != NULL)
        assert_ok(commit_batch(db, "b"));
    return lx_io_system.fstat(fd, ret_stat);
}

/* The record of the second key lies where the file has grown since the reader has seen its size:
 * when it comes to that, with the first key looked up, it asks again. */
static void peek_many_during_a_whole_batch_sees_all_or_none(void **state)
{
    struct fixture *fixture = *state;
    unsigned first = 0, last = KEYS - 1;
    lxdb_item items[2] = {{.key = &first, .key_len = sizeof first},
                          {.key = &last, .key_len = sizeof last}};
    struct lx_io io = lx_io_system;
    uint8_t *large = noise(LARGE, 1);
    lxdb *reader;

    assert_ok(commit_batch(fixture->db, "a"));
    reader = open_for(fixture->path, LXDB_RDONLY, BUSY_MS, LXDB_HELPERS_AUTO);
    assert_int_equal(value_of(reader, first), 'a');
    assert_ok(lxdb_write(fixture->db, "large", 5, large, LARGE));
    free(large);
    assert_ok(lxdb_write(fixture->db, &last, sizeof last, "a", 1));
    assert_ok(lxdb_read_begin(reader));
    io.fstat = publishing_fstat;
    lx_io = &io;
    publisher_handle = fixture->db;
    assert_ok(lxdb_peek_many(reader, items, 2));
    lx_io = &lx_io_system;
    assert_null(publisher_handle);
    assert_int_equal(*(const char *)items[0].value, *(const char *)items[1].value);
    lxdb_read_end(reader);
    assert_ok(lxdb_close(reader));
}

/* How many keys an iteration gives, all of which have the same value: that is returned. */
static char iterate(lxdb *db, unsigned *ret_n)
{
    const void *key, *value;
    size_t key_len, value_len;
    lxdb_iter *iter = NULL;
    char seen = 0;
    int rc;

    *ret_n = 0;
    assert_ok(lxdb_iter_open(db, NULL, 0, 0, &iter));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK) {
        assert_true(seen == 0 || seen == *(const char *)value);
        seen = *(const char *)value;
        ++*ret_n;
    }
    assert_code(rc, LXDB_NOTFOUND);
    lxdb_iter_close(iter);
    return seen;
}

static void iteration_beside_a_stopped_publisher_has_the_whole_batch(void **state)
{
    struct fixture *fixture = *state;
    pid_t publisher;
    unsigned n;

    assert_ok(commit_batch(fixture->db, "a"));
    publisher = stop_at(fixture, commit_b, "commit-publishing", KEYS / 2);
    assert_int_equal(iterate(fixture->db, &n), 'b'); /* its first change can be seen already */
    assert_int_equal(n, KEYS);
    let_go(publisher);
}

static void check_none_of_a_batch_at(const struct fixture *fixture, const char *step)
{
    pid_t publisher;
    unsigned n;

    assert_ok(commit_batch(fixture->db, "a"));
    publisher = stop_at(fixture, commit_b, step, 1);
    assert_int_equal(iterate(fixture->db, &n), 'a');
    assert_int_equal(n, KEYS);
    let_go(publisher);
}

static void iteration_beside_a_writer_stopped_before_it_publishes_has_none_of_a_batch(void **state)
{
    check_none_of_a_batch_at(*state, "commit-committed");
}

static void iteration_beside_a_writer_stopped_after_its_kills_has_what_it_killed(void **state)
{
    check_none_of_a_batch_at(*state, "commit-killed");
}

static void
iteration_of_a_mostly_dead_log_beside_a_stopped_writer_begins_at_the_oldest(void **state)
{
    struct fixture *fixture = *state;
    unsigned oldest = KEYS, n;
    pid_t publisher;

    for (unsigned i = 0; i < 100; i++)
        assert_ok(commit_batch(fixture->db, "c"));
    assert_ok(lxdb_write(fixture->db, &oldest, sizeof oldest, "a", 1));
    assert_ok(commit_batch(fixture->db, "a"));
    publisher = stop_at(fixture, commit_b, "commit-killed", 1);
    assert_int_equal(iterate(fixture->db, &n), 'a');
    assert_int_equal(n, KEYS + 1);
    let_go(publisher);
    assert_ok(commit_batch(fixture->db, "a"));
    assert_int_equal(iterate(fixture->db, &n), 'a');
    assert_int_equal(n, KEYS + 1);
}

/* ---- Compactions in the middle of something -------------------------------------------------- */

static lxdb *interloper; /* what realloc() does something with, once; NULL: nothing */

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

/* Two compactions: the control block of the generation that was in force is that of the new one. In
 * between and afterwards the log grows, so that offsets of one mean nothing in the other. */
void *__wrap_realloc(void *memory, size_t size)
{
    lxdb *db = interloper;

    if (db != NULL) {
        interloper = NULL;
        assert_ok(lxdb_compact(db, NULL));
        assert_ok(commit_batch(db, "c"));
        assert_ok(lxdb_compact(db, NULL));
        for (int i = 0; i < 40; i++)
            assert_ok(commit_batch(db, "d"));
    }
    return __real_realloc(memory, size);
}

static void iteration_beside_two_compactions_is_of_one_instant(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other = open_database(fixture->path);
    unsigned n;
    char seen;

    for (int i = 0; i < 20; i++)
        assert_ok(commit_batch(fixture->db, "a"));
    interloper = other; /* the offsets of the first slots are noted in memory that has to grow */
    seen = iterate(fixture->db, &n);
    assert_null(interloper);
    assert_true(seen == 'a' || seen == 'd');
    assert_int_equal(n, KEYS);
    assert_ok(lxdb_close(other));
}

/* Where a value is copied to: the first store into it is held up until compactions are done. */
static struct {
    uint8_t *base;
    lxdb *db;
    const uint8_t
        *later; /* what the value is meanwhile: memory that is freed may be mapped again */
    unsigned faults;
} held_up;

static void compact_in_the_middle(int signal, siginfo_t *info, void *context)
{
    const uint8_t *at = info->si_addr;

    (void)context;
    if (held_up.faults++ != 0 || at < held_up.base || at >= held_up.base + LARGE) {
        (void)sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        return; /* to crash */
    }
    if (lxdb_write(held_up.db, "large", 5, held_up.later, LARGE) != LXDB_OK)
        abort();
    for (int i = 0; i < 20; i++) /* time enough for whoever would free what is still read */
        if (lxdb_compact(held_up.db, NULL) != LXDB_OK)
            abort();
    (void)mprotect(held_up.base, LARGE, PROT_READ | PROT_WRITE);
}

static void read_under_way_keeps_its_generation_through_compactions(void **state)
{
    struct fixture *fixture = *state;
    struct sigaction action = {.sa_sigaction = compact_in_the_middle, .sa_flags = SA_SIGINFO};
    struct sigaction before;
    uint8_t *large = noise(LARGE, 1), *later = noise(LARGE, 2);
    size_t len = 0;

    assert_ok(lxdb_write(fixture->db, "large", 5, large, LARGE));
    held_up.faults = 0;
    held_up.db = fixture->db;
    held_up.later = later;
    held_up.base = mmap(NULL, LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(held_up.base != MAP_FAILED);
    assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
    assert_ok(lxdb_read(fixture->db, "large", 5, held_up.base, LARGE, &len));
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    assert_int_equal(held_up.faults, 1);
    assert_int_equal(len, LARGE);
    assert_memory_equal(held_up.base, large, LARGE);
    assert_int_equal(munmap(held_up.base, LARGE), 0);
    free(later);
    free(large);
}

static void compact_it(lxdb *db)
{
    child_require_code(lxdb_compact(db, NULL), LXDB_OK, "compact");
}

static void open_beside_a_compactor_stopped_at(struct fixture *fixture, const char *step)
{
    pid_t compactor;
    lxdb *other;

    for (int round = 0; round < 3; round++)
        fill(fixture->db, 100);
    compactor = stop_at(fixture, compact_it, step, 1);
    other = open_database(fixture->path);
    check_filled(other, 100);
    let_go(compactor);
    put(fixture->db, "key-3", "after");
    check_value(other, "key-3", "after");
    assert_ok(lxdb_close(other));
}

static void open_beside_a_compactor_stopped_before_it_renames_reads_everything(void **state)
{
    open_beside_a_compactor_stopped_at(*state, "compact-recorded");
}

static void open_beside_a_compactor_stopped_between_two_names_reads_everything(void **state)
{
    open_beside_a_compactor_stopped_at(*state, "compact-data-renamed");
}

static void open_beside_a_compactor_stopped_behind_both_names_reads_everything(void **state)
{
    open_beside_a_compactor_stopped_at(*state, "compact-index-renamed");
}

/* ---- Locks that keep others out -------------------------------------------------------------- */

static struct {
    int lock_fd, data_fd; /* of the two files: descriptors that hold nothing */
    unsigned steps, presence, data, gate;
} guard;

static bool is_held(int fd, off_t byte, short mode)
{
    struct flock lock = {.l_type = mode, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
}

static void look_at_locks(void)
{
    guard.steps++;
    guard.presence += is_held(guard.lock_fd, LX_BYTE_PRESENCE, F_RDLCK);
    guard.data += is_held(guard.data_fd, LX_BYTE_DATA, F_RDLCK);
    guard.gate += is_held(guard.lock_fd, LX_BYTE_GATE, F_WRLCK);
}

static void watch_locks(const struct fixture *fixture)
{
    memset(&guard, 0, sizeof guard);
    guard.lock_fd = open(in_directory(fixture, "test.lxdb-lock"), O_RDWR | O_CLOEXEC);
    guard.data_fd = open(fixture->path, O_RDWR | O_CLOEXEC);
    assert_true(guard.lock_fd >= 0 && guard.data_fd >= 0);
    armed_call = look_at_locks;
}

static void unwatch_locks(void)
{
    armed_call = NULL;
    close(guard.lock_fd);
    close(guard.data_fd);
}

/* Else somebody could attach to what is just being made, or read what is just being cut. */
static void recovery_keeps_everybody_out_until_it_is_done(void **state)
{
    struct fixture *fixture = *state;

    close_database(fixture);
    run_child_killed(die_after_writing, fixture);
    watch_locks(fixture);
    fixture->db = open_database(fixture->path);
    unwatch_locks();
    assert_true(guard.steps >= 5);
    assert_int_equal(guard.presence, guard.steps);
    assert_int_equal(guard.data, guard.steps);
    assert_int_equal(guard.gate, guard.steps);
}

static void last_close_keeps_everybody_out_until_it_is_done(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->db, "key", "1");
    watch_locks(fixture);
    close_database(fixture);
    unwatch_locks();
    assert_true(guard.steps >= 3);
    assert_int_equal(guard.presence, guard.steps);
    assert_int_equal(guard.data, guard.steps);
    assert_int_equal(guard.gate, guard.steps);
}

/* Two readers who look at a database at rest at the same time may take each other for somebody who
 * is attached: they must not find a control block that nobody keeps up to date. */
static void reader_beside_a_reader_takes_no_control_block_that_is_not_ready(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {
        .size = sizeof options, .flags = LXDB_RDONLY, .busy_timeout_ms = SHORT_MS};
    struct flock lock = {.l_type = F_RDLCK, .l_start = LX_BYTE_PRESENCE, .l_len = 1};
    lxdb *reader = NULL;
    int fd;

    close_database(fixture);
    fixture->db = open_for(fixture->path, 0, SHORT_MS, LXDB_HELPERS_KEEP);
    fill(fixture->db, 10);
    close_database(fixture);
    fd = open(in_directory(fixture, "test.lxdb-lock"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
    assert_code(lxdb_open(fixture->path, &options, &reader), LXDB_BUSY);
    close(fd);
    assert_ok(lxdb_open(fixture->path, &options, &reader));
    check_filled(reader, 10);
    assert_ok(lxdb_close(reader));
}

static const char *vanishing; /* a name that is removed just after it was opened; NULL: none */

static int vanishing_openat(int dirfd, const char *name, int flags, mode_t mode)
{
    int fd = lx_io_system.openat(dirfd, name, flags, mode);

    if (fd >= 0 && vanishing != NULL && strcmp(name, vanishing) == 0) {
        vanishing = NULL;
        (void)unlinkat(dirfd, name, 0);
    }
    return fd;
}

/* The last to close removes the lock file, perhaps just after the next has opened it. */
static void open_of_a_lock_file_that_is_removed_meanwhile_takes_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct lx_io io = lx_io_system;
    lxdb *other;

    put(fixture->db, "key", "1");
    close_database(fixture);
    io.openat = vanishing_openat;
    lx_io = &io;
    vanishing = "test.lxdb-lock";
    fixture->db = open_for(fixture->path, 0, SHORT_MS, LXDB_HELPERS_AUTO);
    lx_io = &lx_io_system;
    assert_null(vanishing);
    other = open_for(fixture->path, 0, SHORT_MS, LXDB_HELPERS_AUTO);
    put(fixture->db, "key", "2");
    check_value(other, "key", "2");
    assert_ok(lxdb_close(other));
}

/* ---- Deaths ---------------------------------------------------------------------------------- */

static void die_committed(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    arm("commit-committed", 1, SIGKILL);
    (void)lxdb_write(db, "key", 3, "dead", 4);
}

/* With an index that is kept, nothing would look for the commit any more. */
static void last_close_beside_a_dead_writer_keeps_its_commit(void **state)
{
    struct fixture *fixture = *state;

    close_database(fixture);
    fixture->db = open_for(fixture->path, 0, BUSY_MS, LXDB_HELPERS_KEEP);
    put(fixture->db, "other", "1");
    run_child_killed(die_committed, fixture);
    close_database(fixture);
    fixture->db = open_database(fixture->path);
    check_value(fixture->db, "key", "dead");
    check_count(fixture->db, 2);
}

static void die_deleting_one(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    arm("commit-committed", 1, SIGKILL);
    (void)lxdb_delete(db, "key", 3);
}

/* Programs that know nothing of delete markers go by the status byte. */
static void repair_kills_what_a_dead_writer_had_deleted(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *file;
    size_t len;

    put(fixture->db, "key", "1");
    run_child_killed(die_deleting_one, fixture);
    put(fixture->db, "other", "1");
    check_missing(fixture->db, "key");
    close_database(fixture);
    file = read_file(fixture->path, &len);
    assert_int_equal(file[LX_HEADER_SIZE], 0);
    free(file);
}

static void die_published(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    arm("commit-publishing", 1, SIGKILL);
    (void)lxdb_write(db, "key", 3, "dead", 4);
}

/* As if it had died a store earlier: the slot is there, and the segment has not counted it. */
static void take_back_the_count(const struct fixture *fixture)
{
    int fd = open(in_directory(fixture, "test.lxdb-index"), O_RDWR | O_CLOEXEC);
    uint32_t counts[2]; /* used, live: of the only segment, behind head and directory */

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, counts, sizeof counts, 2 * LX_SEGMENT_SIZE), sizeof counts);
    assert_int_equal(counts[0], 3);
    counts[0]--;
    counts[1]--;
    assert_int_equal(pwrite(fd, counts, sizeof counts, 2 * LX_SEGMENT_SIZE), sizeof counts);
    close(fd);
}

static void repair_counts_what_a_dead_writer_had_not_counted(void **state)
{
    struct fixture *fixture = *state;
    lxdb_stat_info info;

    put(fixture->db, "first", "1");
    put(fixture->db, "second", "1");
    run_child_killed(die_published, fixture);
    take_back_the_count(fixture);
    put(fixture->db, "first", "2");
    assert_ok(lxdb_stat(fixture->db, &info));
    assert_int_equal(info.index_used, 3);
    check_value(fixture->db, "key", "dead");
}

static unsigned stores_left;

static void dying_store(void *to, const void *from, size_t len)
{
    if (stores_left-- == 0)
        die_now();
    lx_io_system.store(to, from, len);
}

static ssize_t dying_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    if (stores_left-- == 0)
        die_now();
    return lx_io_system.pwrite(fd, buf, len, off);
}

/* In the middle of a record that is too large for one store. */
static void die_torn(const struct fixture *fixture)
{
    struct lx_io io = lx_io_system;
    uint8_t *large = noise(10000, 1);
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    io.store = dying_store;
    io.pwrite = dying_pwrite;
    stores_left = 2;
    lx_io = &io;
    (void)lxdb_write(db, "large", 5, large, 10000);
}

/* The file is not cut beside a reader, and must not look damaged once it is closed. */
static void last_close_beside_a_reader_covers_what_a_dead_writer_left(void **state)
{
    struct fixture *fixture = *state;
    lxdb *reader = open_for(fixture->path, LXDB_RDONLY, BUSY_MS, LXDB_HELPERS_AUTO);
    lxdb_report report;

    put(fixture->db, "key", "1");
    run_child_killed(die_torn, fixture);
    close_database(fixture);
    assert_ok(lxdb_close(reader));
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
    assert_int_equal(report.records_live, 1);
}

/* Another program has deleted a key by its status byte alone, which says nothing once a session has
 * begun: from then on the order of the log decides. */
static void death_in_a_file_of_others_brings_no_deleted_key_back(void **state)
{
    struct fixture *fixture = *state;
    uint8_t bytes[LX_HEADER_SIZE + 64];
    size_t at = LX_HEADER_SIZE;

    lx_header_encode(bytes, 0);
    lx_record_encode(bytes + at, 1, "deleted", 7, "1", 1);
    bytes[at] = 0;
    at += lx_record_size(7, 1);
    write_file(fixture->path, bytes, at);
    run_child_killed(die_after_writing, fixture);
    fixture->db = open_database(fixture->path);
    check_missing(fixture->db, "deleted");
    check_value(fixture->db, "key", "1");
}

static int swap_fd; /* of the lock file */
static unsigned removed_too_early;

/* While a swap is recorded, its files are all that there is of the new generation. */
static int watching_unlinkat(int dirfd, const char *name)
{
    uint64_t dirty = 0;
    off_t at = (off_t)(offsetof(struct lx_control_file, lock) +
                       offsetof(struct lx_control_lock, dirty));

    if (strncmp(name, "test.lxdb-compact", 17) == 0 && faccessat(dirfd, name, F_OK, 0) == 0 &&
        pread(swap_fd, &dirty, sizeof dirty, at) == sizeof dirty && dirty & LX_DIRTY_SWAP)
        removed_too_early++;
    return lx_io_system.unlinkat(dirfd, name);
}

static void die_with_a_swap_recorded(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    arm("compact-recorded", 1, SIGKILL);
    (void)lxdb_compact(db, NULL);
}

static void compaction_removes_no_file_of_a_recorded_swap(void **state)
{
    struct fixture *fixture = *state;
    struct lx_io io = lx_io_system;

    fill(fixture->db, 10);
    run_child_killed(die_with_a_swap_recorded, fixture);
    swap_fd = open(in_directory(fixture, "test.lxdb-lock"), O_RDONLY | O_CLOEXEC);
    assert_true(swap_fd >= 0);
    removed_too_early = 0;
    io.unlinkat = watching_unlinkat;
    lx_io = &io;
    assert_ok(lxdb_compact(fixture->db, NULL));
    lx_io = &lx_io_system;
    close(swap_fd);
    assert_int_equal(removed_too_early, 0);
    check_filled(fixture->db, 10);
}

static int refusing_fallocate(int fd, int mode, off_t off, off_t len)
{
    (void)fd;
    (void)mode;
    (void)off;
    (void)len;
    errno = ENOSPC;
    return -1;
}

/* On a disk that is full: deletes until no more is accepted, and a death in the one that leaves no
 * room for a record behind it, should it be accepted. */
static void die_deleting(const struct fixture *fixture)
{
    struct lx_io io = lx_io_system;
    lxdb_stat_info info;
    lxdb *db = NULL;
    int rc = LXDB_OK;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    io.fallocate = refusing_fallocate;
    lx_io = &io;
    for (uint16_t i = 0; rc == LXDB_OK && i < UINT16_MAX; i++) {
        child_require_code(lxdb_stat(db, &info), LXDB_OK, "stat");
        if (file_size(fixture->path) - info.position < 25)
            arm("commit-declared", 1, SIGKILL);
        rc = lxdb_delete(db, &i, sizeof i);
    }
    child_require_code(rc, LXDB_NOSPACE, "the last delete");
    die_now();
}

static void dead_writer_at_the_end_of_a_full_file_can_be_repaired(void **state)
{
    struct fixture *fixture = *state;
    struct lx_io io = lx_io_system;
    int rc = LXDB_OK;

    put(fixture->db, "key", "1");
    io.fallocate = refusing_fallocate;
    lx_io = &io;
    for (uint16_t i = 0; rc == LXDB_OK && i < UINT16_MAX; i++)
        rc = lxdb_write(fixture->db, &i, sizeof i, "12345678", 8);
    assert_code(rc, LXDB_NOSPACE);
    lx_io = &lx_io_system;
    run_child_killed(die_deleting, fixture);
    put(fixture->db, "key", "2");
    check_value(fixture->db, "key", "2");
}

#define ended_in(setup, function) cmocka_unit_test_setup_teardown(function, setup, end_stopped)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ended_in(fresh_database, create_of_what_is_created_meanwhile_is_exists),
        ended_in(fresh_database, delete_of_what_is_deleted_meanwhile_is_notfound),
        ended_in(fresh_database, update_of_what_is_replaced_meanwhile_replaces_that),
        ended_in(fresh_database, update_in_a_segment_that_is_split_meanwhile_is_seen),
        ended_in(fresh_database, update_of_a_record_whose_status_byte_is_damaged_meanwhile_is_done),
        ended_in(fresh_database, peek_many_beside_a_stopped_publisher_sees_no_part_of_a_batch),
        ended_in(fresh_database, peek_many_during_a_whole_batch_sees_all_or_none),
        ended_in(fresh_database, iteration_beside_a_stopped_publisher_has_the_whole_batch),
        ended_in(fresh_database,
                 iteration_beside_a_writer_stopped_before_it_publishes_has_none_of_a_batch),
        ended_in(fresh_database,
                 iteration_beside_a_writer_stopped_after_its_kills_has_what_it_killed),
        ended_in(fresh_database,
                 iteration_of_a_mostly_dead_log_beside_a_stopped_writer_begins_at_the_oldest),
        ended_in(fresh_database, iteration_beside_two_compactions_is_of_one_instant),
        ended_in(fresh_database, read_under_way_keeps_its_generation_through_compactions),
        ended_in(fresh_database,
                 open_beside_a_compactor_stopped_before_it_renames_reads_everything),
        ended_in(fresh_database,
                 open_beside_a_compactor_stopped_between_two_names_reads_everything),
        ended_in(fresh_database,
                 open_beside_a_compactor_stopped_behind_both_names_reads_everything),
        ended_in(fresh_database, recovery_keeps_everybody_out_until_it_is_done),
        ended_in(fresh_database, last_close_keeps_everybody_out_until_it_is_done),
        ended_in(fresh_database, reader_beside_a_reader_takes_no_control_block_that_is_not_ready),
        ended_in(fresh_database, open_of_a_lock_file_that_is_removed_meanwhile_takes_the_next),
        ended_in(fresh_database, last_close_beside_a_dead_writer_keeps_its_commit),
        ended_in(fresh_database, repair_kills_what_a_dead_writer_had_deleted),
        ended_in(fresh_database, repair_counts_what_a_dead_writer_had_not_counted),
        ended_in(fresh_database, last_close_beside_a_reader_covers_what_a_dead_writer_left),
        ended_in(fresh_database, compaction_removes_no_file_of_a_recorded_swap),
        ended_in(fresh_directory, death_in_a_file_of_others_brings_no_deleted_key_back),
        ended_in(fresh_database, dead_writer_at_the_end_of_a_full_file_can_be_repaired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
