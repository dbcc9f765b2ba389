/* SPDX-License-Identifier: MIT */
/*
 * Promises that were broken once, or that no larger test is after, where it takes a death or a stop
 * at a named step of the library (built with LX_STEPS) to show it.
 */
#include "tests/api/harness.h"

#include "store/layout.h"
#include "sys/io.h"
#include "sys/ofd.h"
#include "tests/coverage/keep.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEYS 64u
#define BUSY_MS 5000u

/* What a library built with LX_STEPS calls; see base/assert.h. */
void lx_step(const char *name);

static const char *armed_step; /* NULL: none */
static int armed_signal;
static void (*armed_call)(void); /* in place of the signal */

void lx_step(const char *name)
{
    if (armed_step != NULL && strcmp(armed_step, name) == 0) {
        armed_step = NULL;
        if (armed_call != NULL) {
            armed_call();
        } else {
            coverage_keep();
            raise(armed_signal);
        }
    }
}

static void arm(const char *step, int signal)
{
    armed_call = NULL;
    armed_signal = signal;
    armed_step = step;
}

static void arm_call(const char *step, void (*call)(void))
{
    armed_call = call;
    armed_step = step;
}

static lxdb *open_quietly(const char *path, uint32_t flags, uint32_t busy_ms)
{
    lxdb_options options = {.size = sizeof options, .flags = flags, .busy_timeout_ms = busy_ms};
    lxdb *db = NULL;

    assert_ok(lxdb_open(path, &options, &db));
    return db;
}

/* ---- A swap that its compactor did not finish ------------------------------------------------ */

static const char *dying_at;

static void die_compacting(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    arm(dying_at, SIGKILL);
    (void)lxdb_compact(db, NULL);
}

static void compaction_after_a_compactor_died(struct fixture *fixture, const char *step)
{
    lxdb *third;

    for (int round = 0; round < 3; round++)
        fill(fixture->db, 10);
    dying_at = step;
    run_child_killed(die_compacting, fixture);
    assert_ok(lxdb_compact(fixture->db, NULL));
    put(fixture->db, "key-3", "after");
    check_value(fixture->db, "key-3", "after");
    third = open_quietly(fixture->path, 0, BUSY_MS);
    check_value(third, "key-3", "after");
    check_count(third, 10);
    assert_ok(lxdb_close(third));
}

static void compaction_finishes_a_swap_recorded_by_a_dead_compactor(void **state)
{
    compaction_after_a_compactor_died(*state, "compact-recorded");
}

static void compaction_finishes_a_swap_with_one_name_renamed(void **state)
{
    compaction_after_a_compactor_died(*state, "compact-data-renamed");
}

static void compaction_finishes_a_swap_with_both_names_renamed(void **state)
{
    compaction_after_a_compactor_died(*state, "compact-index-renamed");
}

static void compaction_finishes_a_swap_already_published(void **state)
{
    compaction_after_a_compactor_died(*state, "compact-published");
}

/* ---- Another boot ---------------------------------------------------------------------------- */

/* What the disk has after a loss of power is of moments of its own in each file: the lock file,
 * with what was under way in it, need not fit the data. */

static struct lx_control_file *read_control(const struct fixture *fixture)
{
    size_t len;
    uint8_t *bytes = read_file(in_directory(fixture, "test.lxdb-lock"), &len);

    assert_int_equal(len, sizeof(struct lx_control_file));
    return (struct lx_control_file *)(void *)bytes;
}

/* Put a lock file there that says the same, and was made in another boot. */
static void write_control_of_another_boot(const struct fixture *fixture,
                                          struct lx_control_file *control)
{
    assert_int_equal(control->head.ready, 1);
    control->head.boot_id ^= 1;
    write_file(in_directory(fixture, "test.lxdb-lock"), control, sizeof *control);
}

static uint64_t tail_of(const struct lx_control_file *control)
{
    return control->head.generation & 1 ? control->block1.tail : control->block0.tail;
}

static void die_putting(const struct fixture *fixture)
{
    static const char value[1000] = "value";
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_write(db, "kept", 4, "value", 5), LXDB_OK, "write");
    child_require_code(lxdb_flush(db), LXDB_OK, "flush");
    arm(dying_at, SIGKILL);
    (void)lxdb_write(db, "cut off", 7, value, sizeof value);
}

static void write_compact_and_die(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_write(db, "late", 4, "value", 5), LXDB_OK, "write");
    arm(dying_at, SIGKILL);
    (void)lxdb_compact(db, NULL);
}

static void put_later_and_die(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    for (char key = 'a'; key <= 'z'; key++)
        child_require_code(lxdb_write(db, &key, 1, "later", 5), LXDB_OK, "write");
    die_now();
}

static void check_after_a_reboot(struct fixture *fixture, uint64_t count)
{
    lxdb_report report;

    fixture->db = open_database(fixture->path);
    assert_ok(lxdb_recovery(fixture->db, &report));
    assert_int_equal(report.crashed, 1);
    assert_int_equal(report.records_live, count);
    check_value(fixture->db, "kept", "value");
    check_count(fixture->db, count);
    put(fixture->db, "after", "value");
    check_count(fixture->db, count + 1);
    reopen(fixture);
    check_value(fixture->db, "kept", "value");
    check_value(fixture->db, "after", "value");
    check_count(fixture->db, count + 1);
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
}

/* The lock file has a commit whose record never reached the disk. */
static void commit_in_a_lock_file_of_another_boot_is_not_believed(void **state)
{
    struct fixture *fixture = *state;
    struct lx_control_file *control;
    uint8_t *data;
    size_t len;

    dying_at = "commit-committed";
    run_child_killed(die_putting, fixture);
    control = read_control(fixture);
    assert_int_equal(control->lock.dirty, LX_DIRTY_COMMIT);
    data = read_file(fixture->path, &len);
    assert_true(tail_of(control) > 1000 && tail_of(control) <= len);
    memset(data + tail_of(control) - 1000, 0, 1000);
    write_file(fixture->path, data, len);
    free(data);
    write_control_of_another_boot(fixture, control);
    free(control);
    check_after_a_reboot(fixture, 1);
    check_missing(fixture->db, "cut off");
    assert_true(file_size(in_directory(fixture, "test.lxdb-lost")) > 0);
}

/* The lock file is older than the data, and has a commit under way where there are records now. */
static void intent_in_a_lock_file_of_another_boot_covers_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct lx_control_file *control;
    char key[2] = "a";

    dying_at = "commit-declared";
    run_child_killed(die_putting, fixture);
    control = read_control(fixture);
    assert_int_equal(control->lock.dirty, LX_DIRTY_COMMIT);
    assert_true(control->lock.intent_end > tail_of(control) + 1000);
    run_child_killed(put_later_and_die, fixture);
    write_control_of_another_boot(fixture, control);
    free(control);
    check_after_a_reboot(fixture, 27);
    for (; key[0] <= 'z'; key[0]++)
        check_value(fixture->db, key, "later");
}

/* The lock file says that files are to be renamed, which never reached the disk. */
static void swap_in_a_lock_file_of_another_boot_is_not_rolled_forward(void **state)
{
    struct fixture *fixture = *state;
    struct lx_control_file *control;

    put(fixture->db, "kept", "before");
    put(fixture->db, "kept", "value");
    assert_ok(lxdb_close(fixture->db));
    fixture->db = NULL;
    dying_at = "compact-recorded";
    run_child_killed(write_compact_and_die, fixture);
    control = read_control(fixture);
    assert_int_equal(control->lock.dirty, LX_DIRTY_SWAP);
    write_control_of_another_boot(fixture, control);
    free(control);
    assert_int_equal(unlink(in_directory(fixture, "test.lxdb-compact")), 0);
    assert_int_equal(unlink(in_directory(fixture, "test.lxdb-compact-index")), 0);
    check_after_a_reboot(fixture, 2);
    check_files(fixture, "test.lxdb test.lxdb-index test.lxdb-lock");
}

/* ---- Many keys while a batch is repaired ----------------------------------------------------- */

static lxdb *watcher; /* asked before every store of the repair; NULL: not now */
static unsigned asked, torn, wrong;

static void ask(void)
{
    lxdb *db = watcher;
    unsigned first = 0, last = KEYS - 1;
    lxdb_item items[2] = {{.key = &first, .key_len = sizeof first},
                          {.key = &last, .key_len = sizeof last}};
    int rc;

    if (db == NULL)
        return;
    watcher = NULL;
    asked++;
    if (lxdb_read_begin(db) != LXDB_OK)
        wrong++;
    rc = lxdb_peek_many(db, items, 2);
    if (rc == LXDB_OK && *(const char *)items[0].value != *(const char *)items[1].value)
        torn++;
    if (rc != LXDB_OK && rc != LXDB_BUSY)
        wrong++;
    lxdb_read_end(db);
    watcher = db;
}

static void asking_store(void *to, const void *from, size_t len)
{
    ask();
    lx_io_system.store(to, from, len);
}

static ssize_t asking_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    ask();
    return lx_io_system.pwrite(fd, buf, len, off);
}

static int commit_batch(lxdb *db, const char *value)
{
    lxdb_batch *batch = NULL;
    int rc = lxdb_batch_begin(db, &batch);

    for (unsigned i = 0; rc == LXDB_OK && i < KEYS; i++)
        rc = lxdb_batch_write(batch, &i, sizeof i, value, 1);
    return rc == LXDB_OK ? lxdb_batch_commit(batch, NULL, NULL) : rc;
}

static void die_committing(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    arm("commit-committed", SIGKILL);
    (void)commit_batch(db, "b");
}

static void peek_many_during_repair_of_a_batch_sees_all_or_none(void **state)
{
    struct fixture *fixture = *state;
    struct lx_io asking = lx_io_system;
    lxdb *reader;

    assert_ok(commit_batch(fixture->db, "a"));
    reader = open_quietly(fixture->path, LXDB_RDONLY, 1);
    run_child_killed(die_committing, fixture);
    asking.store = asking_store;
    asking.pwrite = asking_pwrite;
    asked = torn = wrong = 0;
    lx_io = &asking;
    watcher = reader;
    put(fixture->db, "other", "x");
    watcher = NULL;
    lx_io = &lx_io_system;
    assert_true(asked > KEYS);
    assert_int_equal(torn, 0);
    assert_int_equal(wrong, 0);
    assert_ok(lxdb_close(reader));
}

/* ---- Waiting for a stopped holder ------------------------------------------------------------ */

static _Atomic bool waiter_done;
static int waiter_rc;

static void *write_behind_holder(void *db)
{
    waiter_rc = lxdb_write(db, "waited", 6, "1", 1);
    atomic_store(&waiter_done, true);
    return NULL;
}

static pid_t stop_a_holder(const struct fixture *fixture)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        lxdb *db = NULL;

        child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
        arm("commit-declared", SIGSTOP);
        (void)lxdb_write(db, "held", 4, "1", 1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

/* Until somebody sleeps on the writer lock: its word says so. */
static void await_waiter(const struct fixture *fixture)
{
    int fd = open(in_directory(fixture, "test.lxdb-lock"), O_RDONLY | O_CLOEXEC);
    uint64_t word = 0;

    assert_true(fd >= 0);
    while ((word & 1) == 0 && !atomic_load(&waiter_done))
        assert_int_equal(pread(fd, &word, sizeof word, offsetof(struct lx_control_file, lock)),
                         sizeof word);
    close(fd);
}

/* `call` with a grace period to be waited for, and a thread of ours waiting for a stopped holder:
 * it is to return before that thread does. */
static void check_does_not_wait(struct fixture *fixture, void (*call)(lxdb *other))
{
    lxdb *other = open_with(in_directory(fixture, "other.lxdb"), 0);
    pthread_t waiter;
    bool waited;
    pid_t holder;

    put(other, "key", "value");
    close_database(fixture);
    fixture->db = open_quietly(fixture->path, 0, BUSY_MS);
    put(fixture->db, "key", "value");
    holder = stop_a_holder(fixture);
    atomic_store(&waiter_done, false);
    assert_int_equal(pthread_create(&waiter, NULL, write_behind_holder, fixture->db), 0);
    await_waiter(fixture);
    assert_ok(lxdb_compact(other, NULL));
    call(other);
    waited = atomic_load(&waiter_done);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    pthread_join(waiter, NULL);
    assert_false(waited);
    assert_ok(waiter_rc);
}

static void close_it(lxdb *other)
{
    assert_ok(lxdb_close(other));
}

/* Often enough that one falls into the grace period of the helper. */
static void fork_often(lxdb *other)
{
    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    }
    assert_ok(lxdb_close(other));
}

static void close_of_another_database_does_not_wait_for_a_stopped_holder(void **state)
{
    check_does_not_wait(*state, close_it);
}

static void fork_does_not_wait_for_a_stopped_holder(void **state)
{
    check_does_not_wait(*state, fork_often);
}

/* ---- A kept index and a loss of power -------------------------------------------------------- */

static ino_t index_ino;
static unsigned synced_before_clean;

/* Whether the index file, if `fd` is that, does not say yet that it is clean. */
static int watching_fdatasync(int fd)
{
    struct stat info;
    uint64_t clean = 1;
    off_t at = (off_t)(offsetof(struct lx_index_head, seal) +
                       offsetof(struct lx_index_seal, clean));

    if (fstat(fd, &info) == 0 && info.st_ino == index_ino &&
        pread(fd, &clean, sizeof clean, at) == sizeof clean && clean == 0)
        synced_before_clean++;
    return lx_io_system.fdatasync(fd);
}

/* Else a loss of power could leave a new head over old segments, whose own checksums are right. */
static void kept_index_is_synced_before_it_is_marked_clean(void **state)
{
    struct fixture *fixture = *state;
    struct lx_io watching = lx_io_system;
    lxdb_options options = {.size = sizeof options, .helpers = LXDB_HELPERS_KEEP};
    const char *index = in_directory(fixture, "test.lxdb-index");
    struct stat info;

    close_database(fixture);
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    put(fixture->db, "key", "value");
    assert_int_equal(stat(index, &info), 0);
    index_ino = info.st_ino;
    synced_before_clean = 0;
    watching.fdatasync = watching_fdatasync;
    lx_io = &watching;
    close_database(fixture);
    lx_io = &lx_io_system;
    assert_int_equal(stat(index, &info), 0);
    assert_int_equal(info.st_ino, index_ino);
    assert_true(synced_before_clean > 0);
}

/* ---- A compaction that is due when another ends ---------------------------------------------- */

#define LARGE_KEYS 600u /* of 2 KiB: more than a compaction leaves to its last step */

static pthread_t writing_thread;
static _Atomic unsigned syncs_begun, syncs_let_on;

/* The first two syncs of the helper's compaction, which come without the writer lock, wait until
 * they are let on. */
static int waiting_fdatasync(int fd)
{
    unsigned sync;

    if (!pthread_equal(pthread_self(), writing_thread) && atomic_load(&syncs_begun) < 2) {
        sync = atomic_fetch_add(&syncs_begun, 1);
        while (atomic_load(&syncs_let_on) <= sync)
            sched_yield();
    }
    return lx_io_system.fdatasync(fd);
}

static void let_syncs_wait(void)
{
    static struct lx_io waiting; /* should a test fail, it stays in force */

    waiting = lx_io_system;
    waiting.fdatasync = waiting_fdatasync;
    writing_thread = pthread_self();
    atomic_store(&syncs_begun, 0);
    atomic_store(&syncs_let_on, 0);
    lx_io = &waiting;
}

static void await_sync(unsigned sync)
{
    while (atomic_load(&syncs_begun) <= sync)
        sched_yield();
}

static void overwrite(lxdb *db, unsigned keys)
{
    static const char value[2048];

    for (unsigned key = 0; key < keys; key++)
        assert_ok(lxdb_write(db, &key, sizeof key, value, sizeof value));
}

/* A commit that comes meanwhile does not ask for one, and there may be no other. */
static void compaction_that_is_due_when_another_ends_is_made(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .compact_floor = 1u << 20};
    lxdb_stat_info info = {.dead_bytes = UINT64_MAX};

    close_database(fixture);
    let_syncs_wait();
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    overwrite(fixture->db, LARGE_KEYS);
    overwrite(fixture->db, LARGE_KEYS);
    overwrite(fixture->db, 1); /* more is dead than alive */
    for (unsigned sync = 0; sync < 2; sync++) {
        await_sync(sync);
        overwrite(fixture->db, LARGE_KEYS);
        atomic_store(&syncs_let_on, sync + 1);
    }
    for (unsigned ms = 0; ms < 60000 && info.dead_bytes > info.live_bytes; ms++) {
        nanosleep(&(const struct timespec){0, 1000000}, NULL);
        assert_ok(lxdb_stat(fixture->db, &info));
    }
    assert_true(info.dead_bytes <= info.live_bytes);
    assert_int_equal(info.compactions, 2);
    close_database(fixture);
    lx_io = &lx_io_system;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The one helper of this process is busy with another database. Else the file would grow as fast as
 * it can be written, for as long as that takes. */
static void writer_is_slowed_while_its_compaction_has_yet_to_begin(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .compact_floor = 64u << 10};
    const unsigned some = 200, more = 500; /* writes of 2 KiB: over four times the floor; a MB */
    lxdb *other;
    uint64_t from;

    close_database(fixture);
    let_syncs_wait();
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    assert_ok(lxdb_open(in_directory(fixture, "other.lxdb"), &options, &other));
    for (unsigned i = 0; i < some; i++)
        overwrite(other, 1);
    await_sync(0);
    for (unsigned i = 0; i < some; i++)
        overwrite(fixture->db, 1);
    from = now_ns();
    for (unsigned i = 0; i < more; i++)
        overwrite(fixture->db, 1);
    assert_true(now_ns() - from >= more * 2048u * 125u); /* 8 MB/s */
    atomic_store(&syncs_let_on, 2);
    assert_ok(lxdb_close(other));
    close_database(fixture);
    lx_io = &lx_io_system;
}

/* ---- A private reader and a recovery --------------------------------------------------------- */

static const char *scanned;
static unsigned maps, maps_held;

/* Whether somebody who wants to be alone would be refused, while the scan maps what it reads. */
static void *watching_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LX_BYTE_DATA, .l_len = 1};
    int probe = fd >= 0 ? open(scanned, O_RDWR | O_CLOEXEC) : -1;

    if (probe >= 0) {
        maps++;
        if (fcntl(probe, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
            maps_held++;
        close(probe);
    }
    return lx_io_system.mmap(addr, len, prot, flags, fd, off);
}

/* Else a recovery could cut the file under the scan, and a writer come and go unnoticed. */
static void private_reader_keeps_others_from_being_alone_while_it_scans(void **state)
{
    struct fixture *fixture = *state;
    struct lx_io watching = lx_io_system;

    fill(fixture->db, 100);
    close_database(fixture);
    scanned = fixture->path;
    maps = maps_held = 0;
    watching.mmap = watching_mmap;
    lx_io = &watching;
    fixture->db = open_with(fixture->path, LXDB_RDONLY);
    lx_io = &lx_io_system;
    assert_true(maps > 0);
    assert_int_equal(maps_held, maps);
    check_filled(fixture->db, 100);
}

/* ---- Alone with a file that has lost its name ------------------------------------------------ */

int __real_lx_ofd_set(int fd, enum lx_ofd_mode mode, uint64_t off);
int __wrap_lx_ofd_set(int fd, enum lx_ofd_mode mode, uint64_t off);

static void (*before_being_alone)(void); /* an opener has looked at the names; NULL: nothing */

int __wrap_lx_ofd_set(int fd, enum lx_ofd_mode mode, uint64_t off)
{
    void (*call)(void) = before_being_alone;

    if (call != NULL && mode == LX_OFD_EXCLUSIVE && off == LX_BYTE_PRESENCE) {
        before_being_alone = NULL;
        call();
    }
    return __real_lx_ofd_set(fd, mode, off);
}

static pid_t compactor;
static int go[2], there[2]; /* pipes: parent to child, and back */

/* A child that is attached, and dies in a compaction when it is told to go on. */
static void start_compactor(const struct fixture *fixture, const char *step)
{
    char byte;

    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(there), 0);
    compactor = fork();
    assert_true(compactor >= 0);
    if (compactor == 0) {
        lxdb *db = NULL;

        child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
        child_require(write(there[1], "", 1) == 1 && read(go[0], &byte, 1) == 1, "pipes");
        arm(step, SIGKILL);
        (void)lxdb_compact(db, NULL);
        _exit(1);
    }
    assert_int_equal(read(there[0], &byte, 1), 1);
}

static void let_compactor_die(void)
{
    int status = 0;

    assert_int_equal(write(go[1], "", 1), 1);
    assert_int_equal(waitpid(compactor, &status, 0), compactor);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(there[i]);
    }
}

/* Else the opener recovers, and writes to, a file that nobody will find again. */
static void opener_is_not_alone_with_a_file_that_a_dead_compactor_replaced(struct fixture *fixture,
                                                                           const char *step)
{
    fill(fixture->db, 10);
    close_database(fixture);
    start_compactor(fixture, step);
    before_being_alone = let_compactor_die;
    fixture->db = open_quietly(fixture->path, 0, BUSY_MS);
    assert_null(before_being_alone);
    put(fixture->db, "key-3", "after");
    reopen(fixture);
    check_value(fixture->db, "key-3", "after");
    check_count(fixture->db, 10);
}

static void
opener_beside_a_compactor_that_dies_after_one_rename_writes_to_the_new_file(void **state)
{
    opener_is_not_alone_with_a_file_that_a_dead_compactor_replaced(*state, "compact-data-renamed");
}

static void opener_beside_a_compactor_that_dies_at_the_end_writes_to_the_new_file(void **state)
{
    opener_is_not_alone_with_a_file_that_a_dead_compactor_replaced(*state, "compact-published");
}

/* ---- A view of an old generation; a lock file that somebody removed -------------------------- */

static void compact_and_close(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_compact(db, NULL), LXDB_OK, "compact");
    child_require_code(lxdb_close(db), LXDB_OK, "close");
}

/* The handle of the fixture is left with a view of the generation before. */
static void have_another_process_compact(struct fixture *fixture)
{
    fill(fixture->db, 10);
    run_child(compact_and_close, fixture);
}

static void remove_lock_file(const struct fixture *fixture)
{
    assert_int_equal(unlink(in_directory(fixture, "test.lxdb-lock")), 0);
}

/* Else two processes write to one file, each by a control block of its own. */
static void handle_whose_lock_file_was_removed_takes_no_new_view(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other;

    have_another_process_compact(fixture);
    remove_lock_file(fixture);
    other = open_quietly(fixture->path, 0, BUSY_MS);
    assert_code(lxdb_write(fixture->db, "key-3", 5, "lost", 4), LXDB_CORRUPT);
    assert_code(lxdb_close(fixture->db), LXDB_CORRUPT);
    fixture->db = other;
    put(fixture->db, "key-3", "after");
    reopen(fixture);
    check_value(fixture->db, "key-3", "after");
    check_count(fixture->db, 10);
}

static void compaction_without_a_lock_file_is_refused_and_writes_go_on(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture->db, 10);
    remove_lock_file(fixture);
    assert_code(lxdb_compact(fixture->db, NULL), LXDB_CORRUPT);
    put(fixture->db, "key-3", "after");
    reopen(fixture);
    check_value(fixture->db, "key-3", "after");
    check_count(fixture->db, 10);
}

static const char *cut;
static bool cut_is_guarded;

/* Whether a private reader would be kept away from the file. */
static void look_at_cut(void)
{
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = LX_BYTE_DATA, .l_len = 1};
    int probe = open(cut, O_RDWR | O_CLOEXEC);

    cut_is_guarded = probe >= 0 && fcntl(probe, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
    close(probe);
}

/* Else a reader that finds no lock file could map what is cut off a moment later. */
static void last_close_has_the_file_in_force_for_itself(void **state)
{
    struct fixture *fixture = *state;

    have_another_process_compact(fixture);
    cut = fixture->path;
    cut_is_guarded = false;
    arm_call("close-unmarked", look_at_cut);
    close_database(fixture);
    assert_true(cut_is_guarded);
}

/* ---- A new generation that cannot be opened -------------------------------------------------- */

static void incr_without_descriptors_for_a_new_generation_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit before, none;
    int64_t value = 0;
    int rc, wait_rc;

    assert_ok(lxdb_incr(fixture->db, "number", 6, 1, &value));
    run_child(compact_and_close, fixture);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    rc = lxdb_incr(fixture->db, "number", 6, 1, &value);
    wait_rc = lxdb_wait_durable(fixture->db, 1, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_code(rc, LXDB_IO);
    assert_code(wait_rc, LXDB_IO);
    assert_ok(lxdb_incr(fixture->db, "number", 6, 1, &value));
    assert_int_equal(value, 2);
}

/* ---- A damaged index, and a commit that is not in it yet ------------------------------------- */

static void die_with_a_commit_in_the_log(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    arm("commit-committed", SIGKILL);
    (void)lxdb_write(db, "last", 4, "words", 5);
}

static void commit_of_a_dead_writer_is_taken_from_the_log_when_the_index_is_damaged(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t wild = UINT32_MAX;
    int fd = open(in_directory(fixture, "test.lxdb-index"), O_WRONLY | O_CLOEXEC);

    fill(fixture->db, KEYS);
    run_child_killed(die_with_a_commit_in_the_log, fixture);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &wild, sizeof wild, LX_SEGMENT_SIZE), sizeof wild); /* its entry */
    close(fd);
    put(fixture->db, "later", "value");
    check_value(fixture->db, "last", "words");
    check_value(fixture->db, "later", "value");
    drop(fixture->db, "last");
    drop(fixture->db, "later");
    check_filled(fixture->db, KEYS);
}

static void batch_over_a_record_whose_status_byte_is_damaged_is_done(void **state)
{
    struct fixture *fixture = *state;
    lxdb_batch *batch = NULL;
    lxdb_stat_info info;
    int fd = open(fixture->path, O_WRONLY | O_CLOEXEC);

    put(fixture->db, "other", "1");
    assert_ok(lxdb_stat(fixture->db, &info));
    put(fixture->db, "key", "before");
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "", 1, (off_t)info.position), 1); /* an offset, at first */
    close(fd);
    assert_ok(lxdb_batch_begin(fixture->db, &batch));
    assert_ok(lxdb_batch_write(batch, "key", 3, "ours", 4));
    assert_ok(lxdb_batch_write(batch, "third", 5, "3", 1));
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_value(fixture->db, "key", "ours");
    check_value(fixture->db, "third", "3");
    check_count(fixture->db, 3);
}

/* No lock file of ours says so: it was damaged. */
static void intent_beyond_the_file_is_corrupt_and_covers_nothing(void **state)
{
    struct fixture *fixture = *state;
    int fd = open(in_directory(fixture, "test.lxdb-lock"), O_RDWR | O_CLOEXEC);
    struct lx_control_file *file = mmap(NULL, LX_CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                                        fd, 0);
    uint64_t size;

    assert_true(fd >= 0 && file != MAP_FAILED);
    close(fd);
    put(fixture->db, "key", "value");
    size = file_size(fixture->path);
    file->lock.intent_end = UINT64_C(1) << 40;
    file->lock.dirty = LX_DIRTY_COMMIT;
    assert_code(lxdb_write(fixture->db, "later", 5, "1", 1), LXDB_CORRUPT);
    check_value(fixture->db, "key", "value");
    assert_int_equal(file_size(fixture->path), size);
    file->lock.dirty = LX_CLEAN;
    assert_int_equal(munmap(file, LX_CONTROL_SIZE), 0);
    put(fixture->db, "later", "1");
}

static void die_with_half_a_batch_in_the_index(const struct fixture *fixture)
{
    lxdb_batch *batch = NULL;
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_batch_begin(db, &batch), LXDB_OK, "begin");
    for (char key = 'a'; key <= 'd'; key++)
        child_require_code(lxdb_batch_write(batch, &key, 1, "b", 1), LXDB_OK, "write");
    arm("commit-publishing", SIGKILL);
    (void)lxdb_batch_commit(batch, NULL, NULL);
}

/* No compaction can be made, and what was wrong with the index is gone when the next one looks. */
static void batch_of_a_dead_writer_stays_whole_when_a_compaction_for_it_fails(void **state)
{
    struct fixture *fixture = *state;
    const char *in_the_way = in_directory(fixture, "test.lxdb-compact");
    const uint64_t wild = UINT32_MAX;
    lxdb_item items[4] = {{0}};
    uint64_t entry;
    int fd = open(in_directory(fixture, "test.lxdb-index"), O_RDWR | O_CLOEXEC);

    fill(fixture->db, KEYS);
    run_child_killed(die_with_half_a_batch_in_the_index, fixture);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &entry, sizeof entry, LX_SEGMENT_SIZE), sizeof entry);
    assert_int_equal(pwrite(fd, &wild, sizeof wild, LX_SEGMENT_SIZE), sizeof wild);
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    assert_int_not_equal(lxdb_write(fixture->db, "later", 5, "value", 5), LXDB_OK);
    assert_int_equal(pwrite(fd, &entry, sizeof entry, LX_SEGMENT_SIZE), sizeof entry);
    close(fd);
    for (unsigned i = 0; i < 4; i++) {
        items[i].key = &"abcd"[i];
        items[i].key_len = 1;
    }
    assert_ok(lxdb_read_begin(fixture->db));
    assert_ok(lxdb_peek_many(fixture->db, items, 4));
    for (unsigned i = 0; i < 4; i++)
        assert_code(items[i].rc, LXDB_OK);
    lxdb_read_end(fixture->db);
    assert_int_equal(rmdir(in_the_way), 0);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_value(fixture->db, "d", "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_database(compaction_finishes_a_swap_recorded_by_a_dead_compactor),
        test_in_database(compaction_finishes_a_swap_with_one_name_renamed),
        test_in_database(compaction_finishes_a_swap_with_both_names_renamed),
        test_in_database(compaction_finishes_a_swap_already_published),
        test_in_directory(commit_in_a_lock_file_of_another_boot_is_not_believed),
        test_in_directory(intent_in_a_lock_file_of_another_boot_covers_nothing),
        test_in_database(swap_in_a_lock_file_of_another_boot_is_not_rolled_forward),
        test_in_database(peek_many_during_repair_of_a_batch_sees_all_or_none),
        test_in_database(kept_index_is_synced_before_it_is_marked_clean),
        test_in_database(private_reader_keeps_others_from_being_alone_while_it_scans),
        test_in_database(
            opener_beside_a_compactor_that_dies_after_one_rename_writes_to_the_new_file),
        test_in_database(opener_beside_a_compactor_that_dies_at_the_end_writes_to_the_new_file),
        test_in_database(handle_whose_lock_file_was_removed_takes_no_new_view),
        test_in_database(compaction_without_a_lock_file_is_refused_and_writes_go_on),
        test_in_database(last_close_has_the_file_in_force_for_itself),
        test_in_database(compaction_that_is_due_when_another_ends_is_made),
        test_in_database(writer_is_slowed_while_its_compaction_has_yet_to_begin),
        test_in_database(incr_without_descriptors_for_a_new_generation_changes_nothing),
        test_in_database(commit_of_a_dead_writer_is_taken_from_the_log_when_the_index_is_damaged),
        test_in_database(batch_over_a_record_whose_status_byte_is_damaged_is_done),
        test_in_database(intent_beyond_the_file_is_corrupt_and_covers_nothing),
        test_in_database(batch_of_a_dead_writer_stays_whole_when_a_compaction_for_it_fails),
        test_in_database(close_of_another_database_does_not_wait_for_a_stopped_holder),
        test_in_database(fork_does_not_wait_for_a_stopped_holder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
