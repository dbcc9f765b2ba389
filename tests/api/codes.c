/* SPDX-License-Identifier: MIT */
/*
 * The codes that take a failing system to reach: no memory, a disk that does not sync, a full file
 * system, a process that is stopped in the middle, helper files of another layout, a file system
 * that is refused. The faults are made at the doors to the system: the table of file operations,
 * and malloc and its siblings, statx and fstatfs, which the linker leads through this file.
 */
#include "harness.h"
#include "store/layout.h"
#include "sys/io.h"
#include "tests/coverage/keep.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHORT_MS 50u
#define NFS_MAGIC 0x6969

/* ---- Faults ---------------------------------------------------------------------------------- */

/* What is to go wrong in this process; nothing, when all is 0. */
static struct {
    int sync_errno;     /* of every sync */
    int map_errno;      /* of every mapping */
    bool stop_at_store; /* the process stops itself at its next store into the log */
    bool stop_at_map;   /* at its next mapping */
    long magic;         /* of every file system */
} fault;

/* Of this thread alone: `left` allocations succeed, then one fails. */
static _Thread_local struct {
    bool counting;
    bool failed;
    long left;
} allocation;

static void stop_once(bool *armed)
{
    if (!*armed)
        return;
    *armed = false;
    raise(SIGSTOP);
}

static int faulty_fdatasync(int fd)
{
    if (fault.sync_errno == 0)
        return lx_io_system.fdatasync(fd);
    errno = fault.sync_errno;
    return -1;
}

static int faulty_msync(void *addr, size_t len, int fd)
{
    if (fault.sync_errno == 0)
        return lx_io_system.msync(addr, len, fd);
    errno = fault.sync_errno;
    return -1;
}

static int faulty_fsync(int fd)
{
    if (fault.sync_errno == 0)
        return lx_io_system.fsync(fd);
    errno = fault.sync_errno;
    return -1;
}

static void *faulty_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    stop_once(&fault.stop_at_map);
    if (fault.map_errno == 0)
        return lx_io_system.mmap(addr, len, prot, flags, fd, off);
    errno = fault.map_errno;
    return (void *)-1; /* MAP_FAILED */
}

static void faulty_store(void *to, const void *from, size_t len)
{
    stop_once(&fault.stop_at_store);
    lx_io_system.store(to, from, len);
}

/* The log is stored through it where a mapping will not do, under the same lock. */
static ssize_t faulty_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    stop_once(&fault.stop_at_store);
    return lx_io_system.pwrite(fd, buf, len, off);
}

static bool refused(void)
{
    if (!allocation.counting || allocation.failed || allocation.left-- > 0)
        return false;
    allocation.failed = true;
    errno = ENOMEM;
    return true;
}

/* What fstatfs() is called where file offsets of 64 bits are an option. */
#ifdef __USE_FILE_OFFSET64
#define REAL_FSTATFS __real_fstatfs64
#define WRAP_FSTATFS __wrap_fstatfs64
#else
#define REAL_FSTATFS __real_fstatfs
#define WRAP_FSTATFS __wrap_fstatfs
#endif

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
int __real_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx);
int REAL_FSTATFS(int fd, struct statfs *fs);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __wrap_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx);
int WRAP_FSTATFS(int fd, struct statfs *fs);

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return refused() ? NULL : __real_realloc(memory, size);
}

/* With a magic to tell, mounts are not known by name. */
int __wrap_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
    if (fault.magic == 0)
        return __real_statx(dirfd, path, flags, mask, stx);
    errno = ENOSYS;
    return -1;
}

int WRAP_FSTATFS(int fd, struct statfs *fs)
{
    int rc = REAL_FSTATFS(fd, fs);

    if (fault.magic != 0)
        fs->f_type = fault.magic;
    return rc;
}

static int remove_all_and_faults(void **state)
{
    memset(&fault, 0, sizeof fault);
    return remove_all(state);
}

#define in_directory_test(function)                                                                \
    cmocka_unit_test_setup_teardown(function, fresh_directory, remove_all_and_faults)
#define in_database_test(function)                                                                 \
    cmocka_unit_test_setup_teardown(function, fresh_database, remove_all_and_faults)

/* ---- Helpers --------------------------------------------------------------------------------- */

static lxdb *open_impatient(const char *path)
{
    lxdb_options options = {.size = sizeof options, .busy_timeout_ms = SHORT_MS};
    lxdb *db = NULL;
    assert_ok(lxdb_open(path, &options, &db));
    return db;
}

/* Every kind of change. `db` has the key "key" with a value, and "number" with an integer. */
static void check_every_change(lxdb *db, int want)
{
    lxdb_batch *batch = NULL;
    uint64_t deleted = 77;
    int64_t sum = 77;
    assert_code(lxdb_create(db, "new", 3, "v", 1), want);
    assert_code(lxdb_write(db, "key", 3, "changed", 7), want);
    assert_code(lxdb_update(db, "key", 3, "changed", 7), want);
    assert_code(lxdb_delete(db, "key", 3), want);
    assert_code(lxdb_set_str(db, "key", 3, "changed", 7), want);
    assert_code(lxdb_cas(db, "key", 3, "value", 5, "changed", 7), want);
    assert_code(lxdb_incr(db, "number", 6, 1, &sum), want);
    assert_int_equal(sum, 77);
    assert_ok(lxdb_batch_begin(db, &batch));
    assert_ok(lxdb_batch_write(batch, "new", 3, "v", 1));
    assert_ok(lxdb_batch_delete(batch, "key", 3));
    assert_code(lxdb_batch_commit(batch, NULL, NULL), want);
    assert_code(lxdb_clear(db, &deleted), want);
    assert_int_equal(deleted, 77);
}

static void put_both(lxdb *db)
{
    put(db, "key", "value");
    assert_ok(lxdb_set_int(db, "number", 6, 5));
}

static void check_both(lxdb *db)
{
    int64_t number = 0;
    check_value(db, "key", "value");
    assert_ok(lxdb_get_int(db, "number", 6, &number));
    assert_int_equal(number, 5);
    check_count(db, 2);
}

/* A child that runs `body` until it stops itself. It does not outlive this program. */
static pid_t start_stopping(void (*body)(const struct fixture *), const struct fixture *fixture)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child_require(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "prctl");
        body(fixture);
        coverage_keep();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

static void let_finish(pid_t pid)
{
    int status;
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- LXDB_IO --------------------------------------------------------------------------------- */

static void fail_a_sync(const struct fixture *fixture)
{
    lxdb *db = NULL;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_write(db, "late", 4, "v", 1), LXDB_OK, "write");
    fault.sync_errno = EIO;
    child_require_code(lxdb_flush(db), LXDB_IO, "flush");
    child_require(strstr(lxdb_errmsg(db), strerror(EIO)) != NULL, "the message has the errno");
    fault.sync_errno = 0;
    child_require_code(lxdb_write(db, "late", 4, "w", 1), LXDB_IO, "write after a failed sync");
    child_require_code(lxdb_flush(db), LXDB_IO, "flush after a failed sync");
}

static int sync_errno_of(lxdb *db)
{
    lxdb_stat_info info;
    assert_ok(lxdb_stat(db, &info));
    return info.sync_errno;
}

static void failed_sync_refuses_changes_in_every_process_and_reads_go_on(void **state)
{
    struct fixture *fixture = *state;
    put_both(fixture->db);
    assert_int_equal(sync_errno_of(fixture->db), 0);
    run_child(fail_a_sync, fixture);
    check_value(fixture->db, "late", "v");
    assert_int_equal(sync_errno_of(fixture->db), EIO);
    check_every_change(fixture->db, LXDB_IO);
    assert_non_null(strstr(lxdb_errmsg(fixture->db), strerror(EIO)));
    check_keys(fixture->db, "", 0, "key number late");
    assert_ok(lxdb_compact(fixture->db, NULL));
}

static void failed_sync_outlives_reopening(void **state)
{
    struct fixture *fixture = *state;
    lxdb *db = fixture->db;
    put_both(db);
    run_child(fail_a_sync, fixture);
    fixture->db = NULL;
    assert_code(lxdb_close(db), LXDB_IO); /* the end is not clean */
    fixture->db = open_database(fixture->path);
    assert_int_equal(sync_errno_of(fixture->db), EIO);
    check_value(fixture->db, "key", "value");
    check_value(fixture->db, "late", "v");
    check_every_change(fixture->db, LXDB_IO);
    assert_ok(lxdb_compact(fixture->db, NULL));
}

static void compaction_ends_the_refusal_in_every_process(void **state)
{
    struct fixture *fixture = *state;
    put_both(fixture->db);
    lxdb *other = open_database(fixture->path);
    run_child(fail_a_sync, fixture);
    assert_ok(lxdb_compact(other, NULL));
    assert_int_equal(sync_errno_of(fixture->db), 0);
    put(fixture->db, "after", "v");
    put(other, "other", "w");
    assert_ok(lxdb_flush(fixture->db));
    assert_ok(lxdb_close(other));
    reopen(fixture);
    check_keys(fixture->db, "", 0, "key number late after other");
    put(fixture->db, "again", "v");
}

static void compaction_whose_sync_fails_is_io_and_leaves_the_old_file(void **state)
{
    struct fixture *fixture = *state;
    put_both(fixture->db);
    fault.sync_errno = EIO;
    assert_code(lxdb_compact(fixture->db, NULL), LXDB_IO);
    fault.sync_errno = 0;
    check_both(fixture->db);
    check_files(fixture, "test.lxdb test.lxdb-index test.lxdb-lock");
    put(fixture->db, "after", "v"); /* the file in force has not failed */
    assert_ok(lxdb_compact(fixture->db, NULL));
}

static void first_write_whose_sync_fails_is_io_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    put_both(fixture->db);
    reopen(fixture);
    fault.sync_errno = EIO;
    assert_code(lxdb_write(fixture->db, "key", 3, "w", 1), LXDB_IO);
    fault.sync_errno = 0;
    check_both(fixture->db);
    check_every_change(fixture->db, LXDB_IO);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_both(fixture->db);
    put(fixture->db, "after", "v");
}

static void clean_close_whose_sync_fails_is_io_and_loses_nothing(void **state)
{
    struct fixture *fixture = *state;
    lxdb *db = fixture->db;
    put_both(db);
    fixture->db = NULL;
    fault.sync_errno = ENOSPC; /* some file systems only find out now */
    int rc = lxdb_close(db);
    fault.sync_errno = 0;
    assert_true(rc == LXDB_IO || rc == LXDB_NOSPACE);
    fixture->db = open_database(fixture->path);
    check_both(fixture->db);
    assert_ok(lxdb_compact(fixture->db, NULL));
}

/* ---- LXDB_BUSY ------------------------------------------------------------------------------- */

static void stop_under_the_lock(const struct fixture *fixture)
{
    lxdb *db = NULL;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_write(db, "child", 5, "1", 1), LXDB_OK, "write");
    fault.stop_at_store = true;
    child_require_code(lxdb_write(db, "child", 5, "2", 1), LXDB_OK, "write that is stopped");
    child_require_code(lxdb_close(db), LXDB_OK, "close");
}

static void lock_of_a_stopped_process_is_busy_with_its_pid(void **state)
{
    struct fixture *fixture = *state;
    lxdb_stat_info info;
    char pid_text[32];
    put_both(fixture->db);
    close_database(fixture);
    fixture->db = open_impatient(fixture->path);
    pid_t pid = start_stopping(stop_under_the_lock, fixture);
    check_every_change(fixture->db, LXDB_BUSY);
    snprintf(pid_text, sizeof pid_text, "process %d ", (int)pid);
    assert_non_null(strstr(lxdb_errmsg(fixture->db), pid_text));
    assert_ok(lxdb_stat(fixture->db, &info));
    assert_int_equal(info.lock_pid, pid);
    check_value(fixture->db, "key", "value");
    check_value(fixture->db, "child", "1");
    assert_code(lxdb_compact(fixture->db, NULL), LXDB_BUSY);
    let_finish(pid);
    check_keys(fixture->db, "", 0, "key number child");
    check_value(fixture->db, "child", "2");
    put(fixture->db, "key", "changed");
}

static void stop_behind_the_gate(const struct fixture *fixture)
{
    lxdb *db = NULL;
    fault.stop_at_map = true;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open that is stopped");
    child_require_code(lxdb_close(db), LXDB_OK, "close");
}

static void open_beside_a_stopped_opener_is_busy(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .busy_timeout_ms = SHORT_MS};
    lxdb *untouched = NULL;
    put_both(fixture->db);
    pid_t pid = start_stopping(stop_behind_the_gate, fixture);
    assert_code(lxdb_open(fixture->path, &options, &untouched), LXDB_BUSY);
    assert_null(untouched);
    assert_non_null(strstr(lxdb_errmsg(NULL), "test.lxdb"));
    put(fixture->db, "key", "value"); /* who has it open does not notice */
    check_both(fixture->db);
    let_finish(pid);
    assert_ok(lxdb_close(open_impatient(fixture->path)));
}

static void close_beside_a_stopped_opener_is_busy_and_loses_nothing(void **state)
{
    struct fixture *fixture = *state;
    close_database(fixture);
    lxdb *db = open_impatient(fixture->path);
    put_both(db);
    pid_t pid = start_stopping(stop_behind_the_gate, fixture);
    assert_code(lxdb_close(db), LXDB_BUSY);
    let_finish(pid);
    fixture->db = open_database(fixture->path);
    check_both(fixture->db);
}

static int stop_in_progress(void *arg, uint64_t done, uint64_t total)
{
    bool *armed = arg;
    (void)done;
    (void)total;
    stop_once(armed);
    return 0;
}

static void stop_while_compacting(const struct fixture *fixture)
{
    bool armed = true;
    lxdb_progress progress = {stop_in_progress, &armed};
    lxdb *db = NULL;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_compact(db, &progress), LXDB_OK, "compact");
    child_require(!armed, "the compaction made progress");
    child_require_code(lxdb_close(db), LXDB_OK, "close");
}

static void compaction_beside_a_stopped_one_is_busy_and_changes_go_on(void **state)
{
    struct fixture *fixture = *state;
    close_database(fixture);
    fixture->db = open_impatient(fixture->path);
    fill(fixture->db, 100);
    pid_t pid = start_stopping(stop_while_compacting, fixture);
    assert_code(lxdb_compact(fixture->db, NULL), LXDB_BUSY);
    assert_non_null(strstr(lxdb_errmsg(fixture->db), "compaction"));
    fill(fixture->db, 120);
    check_filled(fixture->db, 120);
    drop(fixture->db, "key-119");
    let_finish(pid);
    check_filled(fixture->db, 119);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_filled(fixture->db, 119);
}

/* ---- LXDB_NOSPACE ---------------------------------------------------------------------------- */

static char large[60000];

/* Put large values until one is refused; how many were not. */
static unsigned fill_up(lxdb *db)
{
    char key[32];
    unsigned n = 0;
    int rc = LXDB_OK;
    while (rc == LXDB_OK && n < 2000) {
        snprintf(key, sizeof key, "large-%u", n);
        rc = lxdb_write(db, key, strlen(key), large, sizeof large);
        n += rc == LXDB_OK;
    }
    child_require_code(rc, LXDB_NOSPACE, "write to what is full");
    child_require(n >= 10, "some values found room");
    return n;
}

/* With no room: changes that need it are refused and change nothing; what is there is read. */
static void require_full(lxdb *db, unsigned n)
{
    lxdb_batch *batch = NULL;
    uint64_t before = 0, after = 0, count = 0;
    size_t len = 0;
    char byte;
    child_require_code(lxdb_position(db, &before), LXDB_OK, "position");
    child_require_code(lxdb_update(db, "large-0", 7, large, sizeof large - 1), LXDB_NOSPACE,
                       "update when full");
    child_require_code(lxdb_create(db, "new", 3, large, sizeof large), LXDB_NOSPACE,
                       "create when full");
    child_require_code(lxdb_batch_begin(db, &batch), LXDB_OK, "begin");
    child_require_code(lxdb_batch_delete(batch, "large-1", 7), LXDB_OK, "to a batch");
    child_require_code(lxdb_batch_write(batch, "new", 3, large, sizeof large), LXDB_OK,
                       "to a batch");
    child_require_code(lxdb_batch_commit(batch, NULL, NULL), LXDB_NOSPACE, "batch when full");
    child_require_code(lxdb_position(db, &after), LXDB_OK, "position");
    child_require(before == after, "nothing was appended");
    child_require_code(lxdb_count(db, &count), LXDB_OK, "count");
    child_require(count == n, "nothing was added or removed");
    child_require_code(lxdb_read(db, "large-0", 7, &byte, 1, &len), LXDB_TOOBIG, "read");
    child_require(len == sizeof large, "the old value is there");
    child_require_code(lxdb_exists(db, "large-1", 7), LXDB_OK, "exists");
}

static void delete_large(lxdb *db, unsigned from, unsigned to)
{
    char key[32];
    for (unsigned i = from; i < to; i++) {
        snprintf(key, sizeof key, "large-%u", i);
        child_require_code(lxdb_delete(db, key, strlen(key)), LXDB_OK, "delete when full");
    }
}

static void fill_up_to_a_limit(const struct fixture *fixture)
{
    struct rlimit limit, old;
    lxdb *db = NULL;
    child_require(getrlimit(RLIMIT_FSIZE, &old) == 0, "getrlimit");
    limit = old;
    limit.rlim_cur = 4u << 20;
    child_require(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    unsigned n = fill_up(db);
    require_full(db, n);
    delete_large(db, 0, 2);
    child_require(setrlimit(RLIMIT_FSIZE, &old) == 0, "the limit goes");
    child_require_code(lxdb_write(db, "large-0", 7, large, sizeof large), LXDB_OK,
                       "write without a limit");
    child_require_code(lxdb_close(db), LXDB_OK, "close");
}

static void size_limit_is_nospace_until_it_is_raised(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    run_child(fill_up_to_a_limit, fixture);
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
    fixture->db = open_database(fixture->path);
    check_bytes(fixture->db, "large-0", 7, large, sizeof large);
    check_missing(fixture->db, "large-1");
}

static void make_filler(const char *path, off_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    child_require(fd >= 0 && posix_fallocate(fd, 0, size) == 0 && close(fd) == 0, "a filler");
}

/* The old file of a compaction is let go of by another thread, a moment after the call. */
static void put_large_once_there_is_room(lxdb *db, unsigned i)
{
    char key[32];
    int rc = LXDB_NOSPACE;
    snprintf(key, sizeof key, "large-%u", i);
    for (unsigned tries = 0; rc == LXDB_NOSPACE && tries < 10000; tries++) {
        if (tries > 0)
            nanosleep(&(const struct timespec){0, 1000000}, NULL);
        rc = lxdb_write(db, key, strlen(key), large, sizeof large);
    }
    child_require_code(rc, LXDB_OK, "write into the room that compaction made");
}

/* The life of a database on a small file system, mounted at `dir`, that is full until somebody
 * removes another file. */
static void live_on_a_full_disk(const char *dir)
{
    char path[320], filler[320];
    lxdb_report report;
    lxdb *db = NULL;
    snprintf(path, sizeof path, "%s/test.lxdb", dir);
    snprintf(filler, sizeof filler, "%s/filler", dir);
    make_filler(filler, 2 << 20);
    child_require_code(lxdb_open(path, NULL, &db), LXDB_OK, "open");
    unsigned n = fill_up(db);
    require_full(db, n);
    child_require_code(lxdb_compact(db, NULL), LXDB_NOSPACE, "compact when full");
    require_full(db, n);
    delete_large(db, 2, n);
    child_require(unlink(filler) == 0, "remove the filler");
    child_require_code(lxdb_compact(db, NULL), LXDB_OK, "compact beside the old file");
    for (unsigned i = 2; i < n; i++)
        put_large_once_there_is_room(db, i);
    child_require_code(lxdb_close(db), LXDB_OK, "close");
    child_require_code(lxdb_verify(path, &report, NULL), LXDB_OK, "verify");
    child_require(report.records_live == n, "every value is there");
}

static void need_a_mount(const char *kind)
{
    if (geteuid() != 0) {
        print_message("skipped: only root can mount %s\n", kind);
        skip();
    }
}

/* A name space of mounts of the child's own: what it mounts ends with it. */
static void enter_mounts(const struct fixture *fixture, char *ret_dir, size_t size)
{
    snprintf(ret_dir, size, "%s/mnt", fixture->dir);
    child_require(unshare(CLONE_NEWNS) == 0, "unshare");
    child_require(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
    child_require(mkdir(ret_dir, 0700) == 0, "mkdir");
}

static void live_on_a_full_tmpfs(const struct fixture *fixture)
{
    char dir[300];
    enter_mounts(fixture, dir, sizeof dir);
    child_require(mount("none", dir, "tmpfs", 0, "size=8m") == 0, "mount a tmpfs");
    live_on_a_full_disk(dir);
}

static void full_tmpfs_is_nospace_and_deletes_and_compaction_help(void **state)
{
    need_a_mount("a tmpfs");
    run_child(live_on_a_full_tmpfs, *state);
}

static void live_on_a_full_ext4(const struct fixture *fixture)
{
    char dir[300], command[2048];
    enter_mounts(fixture, dir, sizeof dir);
    snprintf(command, sizeof command,
             "truncate -s 8M '%s/image' && mkfs.ext4 -q -m 0 -O ^has_journal '%s/image' && "
             "mount -o loop '%s/image' '%s'",
             fixture->dir, fixture->dir, fixture->dir, dir);
    child_require(system(command) == 0, "make and mount an ext4");
    live_on_a_full_disk(dir);
    child_require(umount(dir) == 0, "umount"); /* no handle on it is left */
}

static void full_ext4_is_nospace_and_deletes_and_compaction_help(void **state)
{
    need_a_mount("an ext4");
    if (system("command -v mkfs.ext4 mount truncate >/dev/null && test -e /dev/loop-control") != 0)
        skip();
    run_child(live_on_a_full_ext4, *state);
}

static void create_on_a_full_disk(const struct fixture *fixture)
{
    char dir[300], filler[320], path[320];
    lxdb *db = NULL;
    enter_mounts(fixture, dir, sizeof dir);
    child_require(mount("none", dir, "tmpfs", 0, "size=1m") == 0, "mount a tmpfs");
    snprintf(filler, sizeof filler, "%s/filler", dir);
    snprintf(path, sizeof path, "%s/test.lxdb", dir);
    make_filler(filler, 1 << 20);
    child_require_code(lxdb_open(path, NULL, &db), LXDB_NOSPACE, "open on a full disk");
    child_require(db == NULL, "no handle");
    child_require(unlink(filler) == 0, "make room");
    child_require_code(lxdb_open(path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_write(db, "key", 3, "v", 1), LXDB_OK, "write");
    child_require_code(lxdb_close(db), LXDB_OK, "close");
}

static void creating_on_a_full_disk_is_nospace(void **state)
{
    need_a_mount("a tmpfs");
    run_child(create_on_a_full_disk, *state);
}

/* ---- LXDB_NOMEM ------------------------------------------------------------------------------ */

/* The state of a sweep: a database with records and namespaces, and what a call gave. */
struct sweep {
    const struct fixture *fixture;
    lxdb *db, *ns;
    void *out; /* must stay NULL when the call fails */
    size_t len;
};

/* A call, and what takes it back once it succeeded. */
struct swept {
    const char *name;
    int (*call)(struct sweep *sweep);
    void (*undo)(struct sweep *sweep);
};

static char long_key[2000];

static int call_open(struct sweep *sweep)
{
    return lxdb_open(sweep->fixture->path, NULL, (lxdb **)&sweep->out);
}

static int call_namespace(struct sweep *sweep)
{
    return lxdb_namespace(sweep->db, "space", (lxdb **)&sweep->out);
}

static void undo_handle(struct sweep *sweep)
{
    assert_ok(lxdb_close(sweep->out));
}

static int call_read_alloc(struct sweep *sweep)
{
    return lxdb_read_alloc(sweep->db, "key", 3, &sweep->out, &sweep->len);
}

static int call_get_str(struct sweep *sweep)
{
    return lxdb_get_str(sweep->db, "str", 3, (char **)&sweep->out, &sweep->len);
}

static int call_get_json(struct sweep *sweep)
{
    return lxdb_get_json(sweep->db, "str", 3, (char **)&sweep->out, &sweep->len);
}

static int call_namespaces(struct sweep *sweep)
{
    return lxdb_namespaces(sweep->db, (lxdb_namespace_info **)&sweep->out, &sweep->len);
}

static void undo_memory(struct sweep *sweep)
{
    lxdb_free(sweep->out);
}

static int call_batch_begin(struct sweep *sweep)
{
    return lxdb_batch_begin(sweep->db, (lxdb_batch **)&sweep->out);
}

static void undo_batch(struct sweep *sweep)
{
    lxdb_batch_abort(sweep->out);
}

static int call_iter_open(struct sweep *sweep)
{
    return lxdb_iter_open(sweep->db, "k", 1, 0, (lxdb_iter **)&sweep->out);
}

static void undo_iter(struct sweep *sweep)
{
    lxdb_iter_close(sweep->out);
}

static int call_create_long(struct sweep *sweep)
{
    return lxdb_create(sweep->ns, long_key, sizeof long_key, "v", 1);
}

static void undo_create_long(struct sweep *sweep)
{
    assert_ok(lxdb_delete(sweep->ns, long_key, sizeof long_key));
}

static int call_clear(struct sweep *sweep)
{
    return lxdb_clear(sweep->ns, NULL);
}

static void undo_clear(struct sweep *sweep)
{
    put(sweep->ns, "key", "in a name space");
}

static int call_set_str(struct sweep *sweep)
{
    return lxdb_set_str(sweep->db, "str", 3, large, sizeof large);
}

static int call_compact(struct sweep *sweep)
{
    return lxdb_compact(sweep->db, NULL);
}

static int call_verify(struct sweep *sweep)
{
    lxdb_report report;
    return lxdb_verify(sweep->fixture->path, &report, NULL);
}

static void undo_nothing(struct sweep *sweep)
{
    (void)sweep;
}

/* Let the first allocation of a call fail, then the second and so on, until it needs no more. A
 * call may do without one of them; else it is LXDB_NOMEM. How often it was that. */
static unsigned sweep_allocations(struct sweep *sweep, const struct swept *swept)
{
    unsigned refusals = 0;
    for (long n = 0; n < 1000; n++) {
        sweep->out = NULL;
        allocation.failed = false;
        allocation.left = n;
        allocation.counting = true;
        int rc = swept->call(sweep);
        allocation.counting = false;
        if (rc == LXDB_OK) {
            swept->undo(sweep);
            if (!allocation.failed)
                return refusals;
            continue;
        }
        assert_true(allocation.failed);
        if (rc != LXDB_NOMEM)
            print_error("%s, allocation %ld:\n", swept->name, n);
        assert_code(rc, LXDB_NOMEM);
        assert_true(strlen(lxdb_errmsg(NULL)) > 0);
        assert_null(sweep->out);
        refusals++;
    }
    fail_msg("%s: still allocates", swept->name);
    return 0;
}

static void calls_without_memory_are_nomem_and_change_nothing(void **state)
{
    static const struct swept all[] = {
        {"open", call_open, undo_handle},
        {"namespace", call_namespace, undo_handle},
        {"read_alloc", call_read_alloc, undo_memory},
        {"get_str", call_get_str, undo_memory},
        {"get_json", call_get_json, undo_memory},
        {"namespaces", call_namespaces, undo_memory},
        {"batch_begin", call_batch_begin, undo_batch},
        {"iter_open", call_iter_open, undo_iter},
        {"create", call_create_long, undo_create_long},
        {"clear", call_clear, undo_clear},
        {"set_str", call_set_str, undo_nothing},
        {"compact", call_compact, undo_nothing},
        {"verify", call_verify, undo_nothing},
    };
    struct fixture *fixture = *state;
    struct sweep sweep = {.fixture = fixture, .db = fixture->db};
    put(fixture->db, "key", "value");
    assert_ok(lxdb_set_str(fixture->db, "str", 3, "text", 4));
    assert_ok(lxdb_namespace(fixture->db, "name", &sweep.ns));
    put(sweep.ns, "key", "in a name space");
    memset(long_key, 'l', sizeof long_key);
    memset(large, '"', sizeof large); /* grows when it is quoted */
    for (size_t i = 0; i < COUNT(all); i++) {
        if (sweep_allocations(&sweep, &all[i]) == 0)
            fail_msg("%s never needed memory", all[i].name);
        check_value(fixture->db, "key", "value");
        check_value(sweep.ns, "key", "in a name space");
        check_count(fixture->db, 3);
    }
    assert_ok(lxdb_close(sweep.ns));
    reopen(fixture);
    check_count(fixture->db, 3);
}

static void change_refused_by_memory_leaves_its_batch_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    lxdb_batch *batch = NULL;
    memset(long_key, 'l', sizeof long_key);
    assert_ok(lxdb_batch_begin(fixture->db, &batch));
    assert_ok(lxdb_batch_write(batch, "first", 5, "v", 1));
    allocation.failed = false;
    allocation.left = 0;
    allocation.counting = true;
    int rc = lxdb_batch_write(batch, long_key, sizeof long_key, large, sizeof large);
    allocation.counting = false;
    assert_code(rc, LXDB_NOMEM);
    assert_ok(lxdb_batch_write(batch, "second", 6, "w", 1));
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_keys(fixture->db, "", 0, "first second");
}

static void open_without_address_space_is_nomem(void **state)
{
    struct fixture *fixture = *state;
    lxdb *untouched = NULL;
    put_both(fixture->db);
    close_database(fixture);
    fault.map_errno = ENOMEM;
    assert_code(lxdb_open(fixture->path, NULL, &untouched), LXDB_NOMEM);
    fault.map_errno = 0;
    assert_null(untouched);
    fixture->db = open_database(fixture->path);
    check_both(fixture->db);
}

/* ---- LXDB_CLOSED ----------------------------------------------------------------------------- */

static lxdb_batch *inherited_batch;
static lxdb_iter *inherited_iter;

static void use_what_does_not_cross_fork(const struct fixture *fixture)
{
    const void *key = NULL;
    size_t key_len = 0;
    child_require_code(lxdb_iter_next(inherited_iter, &key, &key_len, NULL, NULL), LXDB_CLOSED,
                       "the parent's iterator");
    child_require(key == NULL, "no key");
    child_require_code(lxdb_batch_commit(inherited_batch, NULL, NULL), LXDB_CLOSED,
                       "the parent's batch");
    child_require_code(lxdb_exists(fixture->db, "new", 3), LXDB_NOTFOUND, "its change");
    child_require_code(lxdb_exists(fixture->db, "key", 3), LXDB_OK, "the handle itself");
    lxdb_iter_close(inherited_iter);
    child_require_code(lxdb_close(fixture->db), LXDB_OK, "close");
}

static void batch_and_iterator_of_the_parent_are_closed_in_a_child(void **state)
{
    struct fixture *fixture = *state;
    const void *key;
    size_t key_len;
    put_both(fixture->db);
    assert_ok(lxdb_batch_begin(fixture->db, &inherited_batch));
    assert_ok(lxdb_batch_write(inherited_batch, "new", 3, "v", 1));
    assert_ok(lxdb_iter_open(fixture->db, NULL, 0, 0, &inherited_iter));
    run_child(use_what_does_not_cross_fork, fixture);
    assert_ok(lxdb_iter_next(inherited_iter, &key, &key_len, NULL, NULL));
    assert_memory_equal(key, "key", 3);
    lxdb_iter_close(inherited_iter);
    assert_ok(lxdb_batch_commit(inherited_batch, NULL, NULL));
    check_value(fixture->db, "new", "v");
}

/* ---- LXDB_VERSION, LXDB_UNSUPPORTED ---------------------------------------------------------- */

/* What another layout would have there. */
static void change_signature(const struct fixture *fixture)
{
    uint64_t other = ~lx_layout_signature();
    int fd = open(in_directory(fixture, "test.lxdb-lock"), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &other, sizeof other, offsetof(struct lx_control_head, signature)),
                     sizeof other);
    assert_int_equal(close(fd), 0);
}

static void restore_signature(const struct fixture *fixture)
{
    uint64_t ours = lx_layout_signature();
    int fd = open(in_directory(fixture, "test.lxdb-lock"), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &ours, sizeof ours, offsetof(struct lx_control_head, signature)),
                     sizeof ours);
    assert_int_equal(close(fd), 0);
}

static void lock_file_of_another_layout_in_use_is_version(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .flags = LXDB_RDONLY};
    lxdb *untouched = NULL;
    put_both(fixture->db);
    change_signature(fixture);
    assert_code(lxdb_open(fixture->path, NULL, &untouched), LXDB_VERSION);
    assert_non_null(strstr(lxdb_errmsg(NULL), "test.lxdb"));
    assert_code(lxdb_open(fixture->path, &options, &untouched), LXDB_VERSION);
    assert_null(untouched);
    check_both(fixture->db); /* who has it open goes on */
    put(fixture->db, "key", "value");
    restore_signature(fixture);
    reopen(fixture);
    check_both(fixture->db);
}

static void lock_file_of_another_layout_at_rest_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .helpers = LXDB_HELPERS_KEEP};
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    put_both(fixture->db);
    close_database(fixture);
    change_signature(fixture);
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    check_both(fixture->db);
    put(fixture->db, "key", "value");
    lxdb *other = open_database(fixture->path);
    check_both(other);
    assert_ok(lxdb_close(other));
}

static void network_file_system_is_unsupported_and_left_alone(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .flags = LXDB_NOCREATE};
    lxdb *untouched = NULL;
    lxdb_report report;
    put_both(fixture->db);
    close_database(fixture);
    fault.magic = NFS_MAGIC;
    assert_code(lxdb_open(fixture->path, &options, &untouched), LXDB_UNSUPPORTED);
    assert_non_null(strstr(lxdb_errmsg(NULL), "nfs"));
    options.flags = LXDB_RDONLY;
    assert_code(lxdb_open(fixture->path, &options, &untouched), LXDB_UNSUPPORTED);
    assert_null(untouched);
    check_files(fixture, "test.lxdb");
    fault.magic = 0;
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
}

static void anyfs_opens_on_a_network_file_system(void **state)
{
    struct fixture *fixture = *state;
    fault.magic = NFS_MAGIC;
    fixture->db = open_with(fixture->path, LXDB_ANYFS);
    put_both(fixture->db);
    lxdb *other = open_with(fixture->path, LXDB_ANYFS | LXDB_RDONLY);
    check_both(other);
    assert_ok(lxdb_close(other));
    close_database(fixture);
    fault.magic = 0;
    fixture->db = open_database(fixture->path);
    check_both(fixture->db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_database_test(failed_sync_refuses_changes_in_every_process_and_reads_go_on),
        in_database_test(failed_sync_outlives_reopening),
        in_database_test(compaction_ends_the_refusal_in_every_process),
        in_database_test(compaction_whose_sync_fails_is_io_and_leaves_the_old_file),
        in_database_test(first_write_whose_sync_fails_is_io_and_changes_nothing),
        in_database_test(clean_close_whose_sync_fails_is_io_and_loses_nothing),
        in_database_test(lock_of_a_stopped_process_is_busy_with_its_pid),
        in_database_test(open_beside_a_stopped_opener_is_busy),
        in_database_test(close_beside_a_stopped_opener_is_busy_and_loses_nothing),
        in_database_test(compaction_beside_a_stopped_one_is_busy_and_changes_go_on),
        in_directory_test(size_limit_is_nospace_until_it_is_raised),
        in_directory_test(full_tmpfs_is_nospace_and_deletes_and_compaction_help),
        in_directory_test(full_ext4_is_nospace_and_deletes_and_compaction_help),
        in_directory_test(creating_on_a_full_disk_is_nospace),
        in_database_test(calls_without_memory_are_nomem_and_change_nothing),
        in_database_test(change_refused_by_memory_leaves_its_batch_as_it_was),
        in_database_test(open_without_address_space_is_nomem),
        in_database_test(batch_and_iterator_of_the_parent_are_closed_in_a_child),
        in_database_test(lock_file_of_another_layout_in_use_is_version),
        in_directory_test(lock_file_of_another_layout_at_rest_is_made_again),
        in_database_test(network_file_system_is_unsupported_and_left_alone),
        in_directory_test(anyfs_opens_on_a_network_file_system),
    };
    struct lx_io io = lx_io_system;

    io.fdatasync = faulty_fdatasync;
    io.fsync = faulty_fsync;
    io.msync = faulty_msync;
    io.mmap = faulty_mmap;
    io.store = faulty_store;
    io.pwrite = faulty_pwrite;
    lx_io = &io;
    return cmocka_run_group_tests_name("codes", tests, NULL, NULL);
}
