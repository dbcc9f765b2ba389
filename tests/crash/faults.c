/* SPDX-License-Identifier: MIT */
/*
 * Every call that the library makes may be refused. A deed (an opening, a put, a compaction ...) is
 * done with the n-th call of a kind refused, once or from there on, for every n until it comes
 * through without a refusal (fault.h). After each
 *
 *   - the code is one that lxdb.h has for such a refusal,
 *   - nothing acknowledged is lost, and after LXDB_NOSPACE or LXDB_NOMEM nothing is changed,
 *   - the handle still reads and, with the system willing again, writes; or it says that a sync has
 *     failed, and writes again after a compaction,
 *   - closing leaves no descriptor behind, and the next opening finds the same.
 *
 * A build with AddressSanitizer finds memory that a failure leaves behind.
 */
#include "tests/concurrency/harness.h"
#include "tests/coverage/keep.h"
#include "tests/crash/fault.h"
#include "tests/crash/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LANES 3u
#define SMALL 20u
#define NTH_MAX 400u     /* no deed makes more calls of a kind */
#define DEADLINE_MS 300u /* for locks: nobody holds any */

/* ---- Kinds of refusals ----------------------------------------------------------------------- */

struct kind {
    enum fault_call call;
    int err;
    int code; /* that answers it */
    const char *name;
};

static const struct kind kinds[] = {
    {FAULT_OPENAT, EMFILE, LXDB_IO, "openat EMFILE"},
    {FAULT_OPENAT, EIO, LXDB_IO, "openat EIO"},
    {FAULT_FSTAT, EIO, LXDB_IO, "fstat EIO"},
    {FAULT_FSTATAT, EIO, LXDB_IO, "fstatat EIO"},
    {FAULT_PREAD, EIO, LXDB_IO, "pread EIO"},
    {FAULT_PWRITE, EIO, LXDB_IO, "pwrite EIO"},
    {FAULT_PWRITE, ENOSPC, LXDB_NOSPACE, "pwrite ENOSPC"},
    {FAULT_FTRUNCATE, EIO, LXDB_IO, "ftruncate EIO"},
    {FAULT_FALLOCATE, EIO, LXDB_IO, "fallocate EIO"},
    {FAULT_FALLOCATE, ENOSPC, LXDB_NOSPACE, "fallocate ENOSPC"},
    {FAULT_FALLOCATE, EDQUOT, LXDB_NOSPACE, "fallocate EDQUOT"},
    {FAULT_FALLOCATE, EOPNOTSUPP, LXDB_OK, "fallocate EOPNOTSUPP"}, /* there is another way */
    {FAULT_FDATASYNC, EIO, LXDB_IO, "fdatasync EIO"},
    {FAULT_FDATASYNC, ENOSPC, LXDB_NOSPACE, "fdatasync ENOSPC"},
    {FAULT_FSYNC, EIO, LXDB_IO, "fsync EIO"},
    {FAULT_RENAMEAT, EIO, LXDB_IO, "renameat EIO"},
    {FAULT_UNLINKAT, EIO, LXDB_IO, "unlinkat EIO"},
    {FAULT_MMAP, ENOMEM, LXDB_NOMEM, "mmap ENOMEM"},
    {FAULT_MEMORY, ENOMEM, LXDB_NOMEM, "malloc ENOMEM"},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- A deed ---------------------------------------------------------------------------------- */

struct world;

struct deed {
    /* In a process of its own: what is there before. NULL: no file. */
    void (*make)(struct world *world);
    /* With the database open, before calls are refused. */
    void (*prepare)(struct world *world);
    /* What may fail, with the database open, its code; NULL: the opening is the deed. */
    int (*act)(struct world *world);
    bool closes;   /* the closing is the deed */
    bool unopened; /* `act` opens what it needs */
    bool syncs;    /* the data: when such a sync is refused, the database has to know */
    bool creates;  /* a database whose name has to be made durable */
    bool pwrites;  /* the data file is not written through its mapping */
    bool grows;    /* only memory and room are refused */
    int sync;
    int helpers;
    unsigned least; /* runs with a refusal that there must have been */
};

struct world {
    ledger book; /* shared with the maker */
    const struct deed *deed;
    lxdb *db;
    char path[512];
};

/* In memory that every process shares. */
static struct job {
    struct world worlds[LANES];
    _Atomic unsigned next;
    _Atomic unsigned fired;
} * job;

static char label[256];

static size_t descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t n = 0;

    CHECK(folder != NULL, "/proc/self/fd: %s", strerror(errno));
    while (readdir(folder) != NULL)
        n++;
    (void)closedir(folder);
    return n;
}

static void remove_files(const struct world *world)
{
    static const char *const suffixes[] = {"",         "-lock",          "-index",
                                           "-compact", "-compact-index", "-lost"};
    char name[600];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", world->path, suffixes[i]);
        CHECK(unlink(name) == 0 || errno == ENOENT, "%s: %s", name, strerror(errno));
    }
}

static int try_open(struct world *world, lxdb **ret_db)
{
    const lxdb_options options = {.size = sizeof(options),
                                  .sync = world->deed->sync,
                                  .helpers = world->deed->helpers,
                                  .busy_timeout_ms = DEADLINE_MS,
                                  .flags = LXDB_NOAUTOCOMPACT};

    return lxdb_open(world->path, &options, ret_db);
}

static void open_again(struct world *world)
{
    CHECK_OK(NULL, try_open(world, &world->db));
}

static int sync_errno(lxdb *db)
{
    lxdb_stat_info stat;

    CHECK_OK(db, lxdb_stat(db, &stat));
    return stat.sync_errno;
}

/* ---- After a refusal ------------------------------------------------------------------------- */

/* A sync has failed: no change is made any more, until a compaction. */
static void check_poisoned(struct world *world)
{
    ledger *book = &world->book;
    const struct ledger_change batch[] = {{60, 1}, {61, 1}};

    CHECK_RC(world->db, LXDB_IO, ledger_try_put(book, LEDGER_CHECKER, world->db, 60, 0));
    ledger_withdraw(book, LEDGER_CHECKER);
    CHECK_RC(world->db, LXDB_IO, ledger_try_remove(book, LEDGER_CHECKER, world->db, 2));
    ledger_withdraw(book, LEDGER_CHECKER);
    CHECK_RC(world->db, LXDB_IO, ledger_try_batch(book, LEDGER_CHECKER, world->db, batch, 2));
    ledger_withdraw(book, LEDGER_CHECKER);
    (void)ledger_check(book, world->db, "after a failed sync");
    harness_count("databases that refused writes after a failed sync", 1);
}

/* The system is willing again. */
static void check_goes_on(struct world *world, bool reopens)
{
    ledger *book = &world->book;

    if (sync_errno(world->db) != 0) {
        check_poisoned(world);
        if (reopens) { /* it is known beyond the last close */
            CHECK_RC(NULL, LXDB_IO, lxdb_close(world->db));
            open_again(world);
            CHECK(sync_errno(world->db) != 0, "a new opening has forgotten the failed sync");
            check_poisoned(world);
        }
        CHECK_OK(world->db, lxdb_compact(world->db, NULL));
        CHECK(sync_errno(world->db) == 0, "a compaction did not settle the failed sync");
    }
    ledger_put(book, LEDGER_CHECKER, world->db, 50, 0);
    ledger_put(book, LEDGER_CHECKER, world->db, 1, 0);
    (void)ledger_check(book, world->db, "written after a refusal");
}

/* What is in doubt is whole or absent already, and settled when the lock was taken once more: a
 * commit may have reached the log and not the index. */
static void settle(struct world *world)
{
    static ledger_state state;
    unsigned before, after;
    int rc;

    CHECK_OK(world->db, ledger_read_iterating(&world->book, world->db, &state));
    before = ledger_compare(&world->book, &state);
    rc = lxdb_cas(world->db, "no such key", 11, "x", 1, "y", 1);
    CHECK_RC(world->db, sync_errno(world->db) != 0 ? LXDB_IO : LXDB_CONFLICT, rc);
    CHECK_OK(world->db, ledger_read_iterating(&world->book, world->db, &state));
    after = ledger_compare(&world->book, &state);
    CHECK((before & ~after) == 0, "a change was visible and is not any more");
}

static void check_after(struct world *world, const struct kind *kind, int rc, unsigned nth)
{
    unsigned made;

    if (world->db == NULL)
        open_again(world);
    CHECK(rc == LXDB_OK || !world->deed->syncs || kind->call != FAULT_FDATASYNC ||
              sync_errno(world->db) != 0,
          "a sync of the data failed, and writes are not refused");
    settle(world);
    made = ledger_check(&world->book, world->db, "after a refusal");
    CHECK((rc != LXDB_NOSPACE && rc != LXDB_NOMEM) || sync_errno(world->db) != 0 ||
              !(made & 1u << LEDGER_VICTIM),
          "the code is %d (%s), and the change was made", rc, lxdb_strerror(rc));
    check_goes_on(world, nth % 2 == 0);
    CHECK_OK(NULL, lxdb_close(world->db));
    open_again(world);
    (void)ledger_check(&world->book, world->db, "opened again");
    CHECK_OK(NULL, lxdb_close(world->db));
    world->db = NULL;
}

static void be_maker(void *arg)
{
    struct world *world = arg;

    world->deed->make(world);
    coverage_keep();
    _exit(0);
}

static int do_deed(struct world *world)
{
    const struct deed *deed = world->deed;
    lxdb *db = world->db;

    if (deed->act != NULL)
        return deed->act(world);
    if (!deed->closes)
        return try_open(world, &world->db);
    world->db = NULL;
    return lxdb_close(db);
}

/* The deed with the n-th call refused. False: there is no n-th call. */
static bool refuse(struct world *world, const struct kind *kind, unsigned nth, bool for_ever)
{
    const struct deed *deed = world->deed;
    size_t before, after;
    unsigned fired, syncs;
    bool or_io;
    int rc;

    (void)snprintf(label, sizeof(label), "call %u refused%s: %s", nth,
                   for_ever ? " and all after it" : "", kind->name);
    harness_stage(label);
    remove_files(world);
    ledger_clear(&world->book);
    if (deed->make != NULL)
        harness_wait(harness_start("maker", be_maker, world));
    fault_store_by_pwrite(deed->pwrites);
    before = descriptors();
    syncs = fault_directory_syncs();
    world->db = NULL;
    if ((deed->act != NULL && !deed->unopened) || deed->closes)
        open_again(world);
    if (deed->prepare != NULL)
        deed->prepare(world);
    fault_arm(kind->call, kind->err, nth, for_ever);
    rc = do_deed(world);
    fired = fault_disarm();
    /* LXDB_IO for any errno, where it would be wrong to say that nothing was changed: a sync failed
     * before, or a store behind the point of no return */
    or_io = kind->call == FAULT_FDATASYNC || (kind->call == FAULT_PWRITE && deed->pwrites);
    CHECK(rc == LXDB_OK || (fired > 0 && (rc == kind->code || (rc == LXDB_IO && or_io))),
          "it gave %d (%s): %s", rc, lxdb_strerror(rc), lxdb_errmsg(world->db));
    check_after(world, kind, rc, nth);
    CHECK(!deed->creates || fault_directory_syncs() > syncs,
          "writes were acknowledged, and the directory was never synced");
    after = descriptors();
    CHECK(after == before, "%zu descriptors were open before and %zu are", before, after);
    (void)atomic_fetch_add(&job->fired, fired > 0);
    harness_count("calls refused", fired);
    harness_count(rc == LXDB_OK ? "deeds done all the same" : "deeds failed", fired > 0);
    return fired > 0;
}

static void work_lane(void *arg)
{
    struct world *world = arg;
    unsigned next;

    (void)snprintf(world->path, sizeof(world->path), "%s/lane%u.lxdb", harness_directory(),
                   (unsigned)(world - job->worlds));
    while ((next = atomic_fetch_add(&job->next, 1)) < 2 * KINDS) {
        const struct kind *kind = &kinds[next / 2];
        bool room = kind->call == FAULT_FALLOCATE || kind->call == FAULT_MMAP ||
                    kind->call == FAULT_MEMORY;
        unsigned nth = 1;

        if (world->deed->grows && !room)
            continue;
        while (refuse(world, kind, nth, next % 2 == 1)) {
            CHECK(nth < NTH_MAX, "there is no end to calls that can be refused");
            nth++;
        }
    }
    remove_files(world);
}

static void run_deed(const struct deed *deed)
{
    int workers[LANES];

    atomic_store(&job->next, 0);
    atomic_store(&job->fired, 0);
    for (unsigned i = 0; i < LANES; i++) {
        job->worlds[i].deed = deed;
        workers[i] = harness_start("lane", work_lane, &job->worlds[i]);
    }
    for (unsigned i = 0; i < LANES; i++)
        harness_wait(workers[i]);
    CHECK(job->fired >= deed->least, "only %u deeds met a refusal", job->fired);
}

/* ---- What is there before -------------------------------------------------------------------- */

static void put_range(struct world *world, uint32_t from, uint32_t to)
{
    static struct ledger_change changes[LEDGER_KEYS];
    uint32_t n = 0;

    for (uint32_t key = from; key < to; key++)
        changes[n++] = (struct ledger_change){key, 1};
    ledger_batch(&world->book, LEDGER_VICTIM, world->db, changes, n);
}

static void fill_small(struct world *world)
{
    put_range(world, 0, SMALL);
    for (uint32_t key = 0; key < SMALL; key += 4)
        ledger_put(&world->book, LEDGER_VICTIM, world->db, key, 0);
    ledger_remove(&world->book, LEDGER_VICTIM, world->db, 3);
}

static void make_small(struct world *world)
{
    open_again(world);
    fill_small(world);
    CHECK_OK(NULL, lxdb_close(world->db));
}

/* A process died between two changes. */
static void make_crashed(struct world *world)
{
    open_again(world);
    fill_small(world);
}

/* A process died while it wrote: what it left has to be set aside. */
static void make_torn(struct world *world)
{
    static const char piece[200] = "\1\0\3\0\0\1\0key and a value that ends too early";
    uint64_t tail;
    FILE *file;

    make_crashed(world);
    CHECK_OK(world->db, lxdb_position(world->db, &tail));
    file = fopen(world->path, "r+");
    CHECK(file != NULL && fseek(file, (long)tail, SEEK_SET) == 0 &&
              fwrite(piece, sizeof(piece), 1, file) == 1 && fclose(file) == 0,
          "%s: %s", world->path, strerror(errno));
}

static void begin_session(struct world *world)
{
    ledger_put(&world->book, LEDGER_VICTIM, world->db, 1, 0);
}

static void fill_index(struct world *world)
{
    put_range(world, 0, 20000);
}

/* ---- Deeds ----------------------------------------------------------------------------------- */

static int put_one(struct world *world)
{
    return ledger_try_put(&world->book, LEDGER_VICTIM, world->db, 30, 0);
}

static int put_large(struct world *world)
{
    int rc = LXDB_OK;

    for (uint32_t key = 5; key < 10 && rc == LXDB_OK; key++)
        rc = ledger_try_put(&world->book, LEDGER_VICTIM, world->db, key, LEDGER_LARGE);
    if (rc == LXDB_OK)
        rc = ledger_try_remove(&world->book, LEDGER_VICTIM, world->db, 6);
    return rc;
}

static int put_batch(struct world *world)
{
    const struct ledger_change batch[] = {{30, LEDGER_LARGE}, {5, 1}, {6, 0}, {31, LEDGER_LARGE},
                                          {9, LEDGER_LARGE},  {10, 0}};

    return ledger_try_batch(&world->book, LEDGER_VICTIM, world->db, batch, 6);
}

static int put_many(struct world *world)
{
    static struct ledger_change changes[10000];

    for (uint32_t i = 0; i < 10000; i++)
        changes[i] = (struct ledger_change){19990 + i, 1};
    return ledger_try_batch(&world->book, LEDGER_VICTIM, world->db, changes, 10000);
}

static int remove_all(struct world *world)
{
    return ledger_try_remove_all(&world->book, LEDGER_VICTIM, world->db);
}

static int compact(struct world *world)
{
    return lxdb_compact(world->db, NULL);
}

static int flush(struct world *world)
{
    return lxdb_flush(world->db);
}

static int wait_durable(struct world *world)
{
    uint64_t position;
    int rc = lxdb_position(world->db, &position);

    return rc == LXDB_OK ? lxdb_wait_durable(world->db, position, 1000) : rc;
}

/* Each way of reading; what it gives is compared with the ledger. */
static int read_all(struct world *world)
{
    static ledger_state state;
    lxdb_namespace_info *names = NULL;
    char key[LEDGER_KEY_LEN + 1];
    const void *value;
    size_t len, n;
    void *copy;
    int rc = ledger_read_iterating(&world->book, world->db, &state);

    if (rc != LXDB_OK)
        return rc;
    (void)ledger_compare(&world->book, &state);
    ledger_key(1, key);
    rc = lxdb_read_alloc(world->db, key, LEDGER_KEY_LEN, &copy, &len);
    if (rc != LXDB_OK)
        return rc;
    CHECK(harness_value_check(copy, len, key, LEDGER_KEY_LEN) == world->book.versions[1],
          "another version");
    lxdb_free(copy);
    rc = lxdb_read_begin(world->db);
    if (rc != LXDB_OK)
        return rc;
    rc = lxdb_peek(world->db, key, LEDGER_KEY_LEN, &value, &len);
    lxdb_read_end(world->db);
    if (rc == LXDB_OK)
        rc = lxdb_namespaces(world->db, &names, &n);
    lxdb_free(names);
    return rc;
}

/* In an index of its own, since nobody else is there. */
static int read_privately(struct world *world)
{
    const lxdb_options options = {.size = sizeof(options), .flags = LXDB_RDONLY};
    int rc = lxdb_open(world->path, &options, &world->db);

    if (rc == LXDB_OK)
        rc = read_all(world);
    (void)lxdb_close(world->db);
    world->db = NULL;
    return rc;
}

static int verify(struct world *world)
{
    lxdb_report report;

    return lxdb_verify(world->path, &report, NULL);
}

/* ---- Cases: a refusal at every call ---------------------------------------------------------- */

static void creation_refused_anywhere(void)
{
    run_deed(&(struct deed){.creates = true, .least = 30});
}

static void open_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small, .least = 30});
}

static void open_with_a_kept_index_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small, .helpers = LXDB_HELPERS_KEEP, .least = 30});
}

static void open_after_a_crash_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_crashed, .syncs = true, .least = 30});
}

static void open_after_a_torn_write_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_torn, .least = 40});
}

static void first_write_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small, .act = put_one, .syncs = true, .least = 4});
}

static void writes_that_grow_the_log_refused_anywhere(void)
{
    run_deed(
        &(struct deed){.make = make_small, .prepare = begin_session, .act = put_large, .least = 6});
}

static void synced_write_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small,
                            .prepare = begin_session,
                            .act = put_one,
                            .syncs = true,
                            .sync = LXDB_SYNC_FULL,
                            .least = 2});
}

static void batch_refused_anywhere(void)
{
    run_deed(
        &(struct deed){.make = make_small, .prepare = begin_session, .act = put_batch, .least = 8});
}

static void writes_by_pwrite_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small,
                            .prepare = begin_session,
                            .act = put_large,
                            .pwrites = true,
                            .least = 50});
}

static void first_write_by_pwrite_refused_anywhere(void)
{
    run_deed(&(struct deed){
        .make = make_small, .act = put_one, .syncs = true, .pwrites = true, .least = 8});
}

static void batch_by_pwrite_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small,
                            .prepare = begin_session,
                            .act = put_batch,
                            .pwrites = true,
                            .least = 30});
}

static void compaction_by_pwrite_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small,
                            .prepare = begin_session,
                            .act = compact,
                            .pwrites = true,
                            .least = 80});
}

static void open_by_pwrite_after_a_crash_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_torn, .pwrites = true, .least = 40});
}

static void growth_of_the_index_refused_anywhere(void)
{
    run_deed(&(struct deed){.prepare = fill_index, .act = put_many, .grows = true, .least = 8});
}

static void clear_refused_anywhere(void)
{
    run_deed(&(struct deed){
        .make = make_small, .prepare = begin_session, .act = remove_all, .least = 4});
}

static void compaction_refused_anywhere(void)
{
    run_deed(
        &(struct deed){.make = make_small, .prepare = begin_session, .act = compact, .least = 50});
}

static void compaction_of_a_closed_file_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small, .act = compact, .least = 50});
}

static void reads_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small, .act = read_all, .least = 10});
}

static void reads_of_a_closed_file_refused_anywhere(void)
{
    run_deed(
        &(struct deed){.make = make_small, .act = read_privately, .unopened = true, .least = 30});
}

static void verification_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small, .act = verify, .unopened = true, .least = 8});
}

static void flush_refused_anywhere(void)
{
    run_deed(&(struct deed){
        .make = make_small, .prepare = begin_session, .act = flush, .syncs = true, .least = 2});
}

static void flush_between_intervals_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small,
                            .prepare = begin_session,
                            .act = flush,
                            .syncs = true,
                            .sync = LXDB_SYNC_INTERVAL,
                            .least = 2});
}

static void wait_for_the_disk_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small,
                            .prepare = begin_session,
                            .act = wait_durable,
                            .syncs = true,
                            .least = 2});
}

static void close_refused_anywhere(void)
{
    run_deed(&(struct deed){
        .make = make_small, .prepare = begin_session, .closes = true, .syncs = true, .least = 8});
}

static void close_keeping_the_index_refused_anywhere(void)
{
    run_deed(&(struct deed){.make = make_small,
                            .prepare = begin_session,
                            .closes = true,
                            .syncs = true,
                            .helpers = LXDB_HELPERS_KEEP,
                            .least = 6});
}

/* ---- Cases: a failed sync is known to all ---------------------------------------------------- */

struct crowd {
    ledger book;
    char path[512];
    volatile int refusing;
    harness_barrier *step;
};

static struct crowd *crowd;

static lxdb *open_crowd(int sync, uint32_t interval_ms)
{
    return harness_open(
        crowd->path,
        (lxdb_options){.sync = sync, .sync_interval_ms = interval_ms, .flags = LXDB_NOAUTOCOMPACT});
}

static void crowd_begin(const char *name)
{
    ledger_clear(&crowd->book);
    (void)snprintf(crowd->path, sizeof(crowd->path), "%s/%s.lxdb", harness_directory(), name);
    crowd->step = harness_barrier_new(2);
    crowd->refusing = 0;
}

static void write_refused(lxdb *db, uint32_t key)
{
    CHECK_RC(db, LXDB_IO, ledger_try_put(&crowd->book, LEDGER_CHECKER, db, key, 0));
    ledger_withdraw(&crowd->book, LEDGER_CHECKER);
}

static void be_bystander(void *arg)
{
    lxdb *db = open_crowd(LXDB_SYNC_NONE, 0);

    (void)arg;
    ledger_put(&crowd->book, LEDGER_CHECKER, db, 1, 0);
    harness_barrier_wait(crowd->step);
    harness_barrier_wait(crowd->step); /* a sync of the other has failed */
    (void)ledger_check(&crowd->book, db, "the bystander");
    write_refused(db, 2);
    CHECK_RC(db, LXDB_IO, lxdb_flush(db));
    harness_barrier_wait(crowd->step);
    harness_barrier_wait(crowd->step); /* it has compacted */
    ledger_put(&crowd->book, LEDGER_CHECKER, db, 3, 0);
    (void)ledger_check(&crowd->book, db, "the bystander, after the compaction");
    CHECK_OK(NULL, lxdb_close(db));
    harness_barrier_wait(crowd->step);
}

static void be_writer(void *arg)
{
    lxdb *db = open_crowd(LXDB_SYNC_FULL, 0), *third;

    (void)arg;
    harness_barrier_wait(crowd->step);
    ledger_put(&crowd->book, LEDGER_VICTIM, db, 4, 0);
    crowd->refusing = EIO;
    CHECK_RC(db, LXDB_IO, ledger_try_put(&crowd->book, LEDGER_VICTIM, db, 5, 0));
    crowd->refusing = 0;
    CHECK(ledger_check(&crowd->book, db, "the writer") == 1u << LEDGER_VICTIM,
          "what was not acknowledged is not visible");
    write_refused(db, 6); /* the system is willing again: that proves nothing */
    harness_barrier_wait(crowd->step);
    harness_barrier_wait(crowd->step);
    third = open_crowd(LXDB_SYNC_NONE, 0);
    write_refused(third, 7);
    CHECK_OK(NULL, lxdb_close(third));
    CHECK_OK(db, lxdb_compact(db, NULL));
    harness_barrier_wait(crowd->step);
    harness_barrier_wait(crowd->step);
    ledger_put(&crowd->book, LEDGER_VICTIM, db, 8, 0);
    CHECK_OK(NULL, lxdb_close(db));
}

static void failed_sync_stops_writers_of_every_process(void)
{
    int other, writer;

    crowd_begin("crowd");
    other = harness_start("bystander", be_bystander, NULL);
    writer = harness_start("writer", be_writer, NULL);
    harness_wait(other);
    harness_wait(writer);
}

static bool has_noticed(void *arg)
{
    return sync_errno(arg) != 0;
}

static void be_interval_writer(void *arg)
{
    lxdb *db = open_crowd(LXDB_SYNC_INTERVAL, 5);

    (void)arg;
    ledger_put(&crowd->book, LEDGER_VICTIM, db, 1, 0);
    crowd->refusing = EIO;
    (void)ledger_try_put(&crowd->book, LEDGER_VICTIM, db, 2, 0);
    harness_until("the flush at its due time has failed", has_noticed, db);
    crowd->refusing = 0;
    (void)ledger_check(&crowd->book, db, "after a failed flush");
    write_refused(db, 3);
    CHECK_RC(NULL, LXDB_IO, lxdb_close(db));
    db = open_crowd(LXDB_SYNC_NONE, 0);
    write_refused(db, 3);
    (void)ledger_check(&crowd->book, db, "opened again");
    CHECK_OK(db, lxdb_compact(db, NULL));
    ledger_put(&crowd->book, LEDGER_VICTIM, db, 3, 0);
    CHECK_OK(NULL, lxdb_close(db));
}

static void failed_flush_of_the_helper_thread_stops_writers(void)
{
    crowd_begin("interval");
    harness_wait(harness_start("writer", be_interval_writer, NULL));
}

/* A compaction that fails does not settle what a failed sync has left in doubt. */
static void be_failing_compactor(void *arg)
{
    lxdb *db = open_crowd(LXDB_SYNC_NONE, 0);

    (void)arg;
    ledger_put(&crowd->book, LEDGER_VICTIM, db, 1, 0);
    crowd->refusing = EIO;
    CHECK_RC(db, LXDB_IO, lxdb_flush(db));
    CHECK_RC(db, LXDB_IO, lxdb_compact(db, NULL));
    crowd->refusing = 0;
    write_refused(db, 2);
    (void)ledger_check(&crowd->book, db, "after a failed compaction");
    CHECK_OK(db, lxdb_compact(db, NULL));
    ledger_put(&crowd->book, LEDGER_VICTIM, db, 2, 0);
    CHECK_OK(NULL, lxdb_close(db));
}

static void failed_compaction_leaves_writers_stopped(void)
{
    crowd_begin("compaction");
    harness_wait(harness_start("compactor", be_failing_compactor, NULL));
}

static void refusals_were_many(void)
{
    harness_count_least("calls refused", 2000);
    harness_count_least("deeds failed", 700);
    harness_count_least("databases that refused writes after a failed sync", 10);
}

static const harness_case cases[] = {
    HARNESS_CASE(creation_refused_anywhere),
    HARNESS_CASE(open_refused_anywhere),
    HARNESS_CASE(open_with_a_kept_index_refused_anywhere),
    HARNESS_CASE(open_after_a_crash_refused_anywhere),
    HARNESS_CASE(open_after_a_torn_write_refused_anywhere),
    HARNESS_CASE(first_write_refused_anywhere),
    HARNESS_CASE(writes_that_grow_the_log_refused_anywhere),
    HARNESS_CASE(synced_write_refused_anywhere),
    HARNESS_CASE(batch_refused_anywhere),
    HARNESS_CASE(writes_by_pwrite_refused_anywhere),
    HARNESS_CASE(first_write_by_pwrite_refused_anywhere),
    HARNESS_CASE(batch_by_pwrite_refused_anywhere),
    HARNESS_CASE(compaction_by_pwrite_refused_anywhere),
    HARNESS_CASE(open_by_pwrite_after_a_crash_refused_anywhere),
    HARNESS_CASE(growth_of_the_index_refused_anywhere),
    HARNESS_CASE(clear_refused_anywhere),
    HARNESS_CASE(compaction_refused_anywhere),
    HARNESS_CASE(compaction_of_a_closed_file_refused_anywhere),
    HARNESS_CASE(reads_refused_anywhere),
    HARNESS_CASE(reads_of_a_closed_file_refused_anywhere),
    HARNESS_CASE(verification_refused_anywhere),
    HARNESS_CASE(flush_refused_anywhere),
    HARNESS_CASE(flush_between_intervals_refused_anywhere),
    HARNESS_CASE(wait_for_the_disk_refused_anywhere),
    HARNESS_CASE(close_refused_anywhere),
    HARNESS_CASE(close_keeping_the_index_refused_anywhere),
    HARNESS_CASE(failed_sync_stops_writers_of_every_process),
    HARNESS_CASE(failed_flush_of_the_helper_thread_stops_writers),
    HARNESS_CASE(failed_compaction_leaves_writers_stopped),
    HARNESS_CASE(refusals_were_many),
};

int main(int argc, char **argv)
{
    job = mmap(NULL, sizeof(*job), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (job == MAP_FAILED || crowd == MAP_FAILED) {
        perror("faults");
        return 1;
    }
    fault_install();
    fault_sync_while(&crowd->refusing);
    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
