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
 * The same with two refusals at random. A build with AddressSanitizer finds memory that a failure
 * leaves behind.
 */
#include "tests/concurrency/harness.h"
#include "tests/coverage/keep.h"
#include "tests/crash/fault.h"
#include "tests/crash/ledger.h"

#include "format/header.h"
#include "format/record.h"
#include "store/control.h"
#include "tests/coverage/keep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LANES 3u
#define SMALL 20u
#define PAIRS 200u       /* of refusals, at random */
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
    {FAULT_RANDOM, 0, LXDB_IO, "getrandom"},
    {FAULT_LOCK, LXDB_NOMEM, LXDB_NOMEM, "lock ENOLCK"},
    {FAULT_REACH, LXDB_IO, LXDB_IO, "reach IO"},
    {FAULT_FIND, LXDB_IO, LXDB_IO, "find IO"},
    {FAULT_ROOM, LXDB_NOSPACE, LXDB_NOSPACE, "room NOSPACE"},
    /* These are mended, where others can see the index; in a private one they are damage. */
    {FAULT_REACH, LX_AGAIN, LXDB_OK, "reach AGAIN"},
    {FAULT_FIND, LX_AGAIN, LXDB_OK, "find AGAIN"},
    {FAULT_FIND, LX_DAMAGED, LXDB_OK, "find DAMAGED"},
    {FAULT_ROOM, LX_AGAIN, LXDB_OK, "room AGAIN"},
    {FAULT_ROOM, LX_DAMAGED, LXDB_OK, "room DAMAGED"},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* What one layer gives to another: only for deeds that ask for it. */
static bool is_inner(const struct kind *kind)
{
    return kind->call >= FAULT_REACH;
}

/* What the library sees to by itself, unless it comes again and again. */
static bool is_mended(const struct kind *kind)
{
    return is_inner(kind) && kind->code == LXDB_OK;
}

/* ---- A deed ---------------------------------------------------------------------------------- */

/* What is refused: the n-th call of a kind, also all that follow, and perhaps one of another. */
struct refusal {
    const struct kind *kind;
    unsigned nth;
    bool for_ever;
    const struct kind *too; /* NULL: no other */
    unsigned too_nth;
};

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
    bool inner;    /* also what layers give each other */
    bool waits;    /* for the lock of a dead holder, which has to be asked after */
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

static void check_after(struct world *world, const struct refusal *refusal, int rc)
{
    unsigned made;

    if (world->db == NULL)
        open_again(world);
    CHECK(rc == LXDB_OK || !world->deed->syncs || refusal->kind->call != FAULT_FDATASYNC ||
              refusal->too != NULL || sync_errno(world->db) != 0,
          "a sync of the data failed, and writes are not refused");
    settle(world);
    made = ledger_check(&world->book, world->db, "after a refusal");
    CHECK((rc != LXDB_NOSPACE && rc != LXDB_NOMEM) || sync_errno(world->db) != 0 ||
              !(made & 1u << LEDGER_VICTIM),
          "the code is %d (%s), and the change was made", rc, lxdb_strerror(rc));
    check_goes_on(world, refusal->nth % 2 == 0);
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

/* Whether a deed may answer with this code when a call of the kind was refused. */
static bool may_answer(const struct deed *deed, const struct kind *kind, int rc)
{
    /* LXDB_IO for any errno, where it would be wrong to say that nothing was changed: a sync failed
     * before, or a store behind the point of no return */
    bool or_io = kind->call == FAULT_FDATASYNC || (kind->call == FAULT_PWRITE && deed->pwrites);

    return rc == kind->code || (rc == LXDB_IO && or_io) ||
           (rc == LXDB_CORRUPT && is_mended(kind)) || (rc == LXDB_BUSY && deed->waits);
}

/* The deed, with calls refused. False: there are no such calls. */
static bool refuse(struct world *world, const struct refusal *refusal)
{
    const struct deed *deed = world->deed;
    const struct kind *kind = refusal->kind, *too = refusal->too;
    size_t before, after;
    unsigned fired, syncs;
    int rc;

    (void)snprintf(label, sizeof(label), "call %u refused%s: %s; call %u: %s", refusal->nth,
                   refusal->for_ever ? " and all after it" : "", kind->name, refusal->too_nth,
                   too != NULL ? too->name : "none");
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
    fault_arm(kind->call, kind->err, refusal->nth, refusal->for_ever);
    if (too != NULL)
        fault_arm_too(too->call, too->err, refusal->too_nth);
    rc = do_deed(world);
    fired = fault_disarm();
    CHECK(rc == LXDB_OK || (fired > 0 && (may_answer(deed, kind, rc) ||
                                          (too != NULL && may_answer(deed, too, rc)))),
          "it gave %d (%s): %s", rc, lxdb_strerror(rc), lxdb_errmsg(world->db));
    check_after(world, refusal, rc);
    CHECK(!deed->creates || fault_directory_syncs() > syncs,
          "writes were acknowledged, and the directory was never synced");
    after = descriptors();
    CHECK(after == before, "%zu descriptors were open before and %zu are", before, after);
    (void)atomic_fetch_add(&job->fired, fired > 0);
    harness_count("calls refused", fired);
    harness_count(rc == LXDB_OK ? "deeds done all the same" : "deeds failed", fired > 0);
    return fired > 0;
}

static bool is_met(const struct deed *deed, const struct kind *kind)
{
    bool room = kind->call == FAULT_FALLOCATE || kind->call == FAULT_MMAP ||
                kind->call == FAULT_MEMORY;

    return (!deed->grows || room) && (!is_inner(kind) || deed->inner);
}

static void set_lane(struct world *world)
{
    (void)snprintf(world->path, sizeof(world->path), "%s/lane%u.lxdb", harness_directory(),
                   (unsigned)(world - job->worlds));
}

static void work_lane(void *arg)
{
    struct world *world = arg;
    unsigned next;

    set_lane(world);
    while ((next = atomic_fetch_add(&job->next, 1)) < 2 * KINDS) {
        const struct kind *kind = &kinds[next / 2];
        struct refusal refusal = {.kind = kind, .nth = 1, .for_ever = next % 2 == 1};

        if (!is_met(world->deed, kind) || (refusal.for_ever && is_mended(kind)))
            continue;
        while (refuse(world, &refusal)) {
            CHECK(refusal.nth < NTH_MAX, "there is no end to calls that can be refused");
            /* the inner ones are many and alike */
            refusal.nth += is_inner(kind) ? 1 + refusal.nth / 16 : 1;
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

/* ---- What is wrong with it ------------------------------------------------------------------- */

/* The offset of the last record of a key in a file of plain records. */
static uint64_t find_record(const uint8_t *data, size_t size, uint32_t key, lx_record *ret_record)
{
    char text[LEDGER_KEY_LEN + 1];
    uint64_t found = 0;
    lx_record record;

    ledger_key(key, text);
    for (uint64_t at = LX_HEADER_SIZE; lx_record_parse(data, size, at, &record); at += record.len) {
        if (record.key_len == LEDGER_KEY_LEN && memcmp(record.key, text, LEDGER_KEY_LEN) == 0) {
            found = at;
            *ret_record = record;
        }
    }
    CHECK(found != 0, "key %u is not in the file", key);
    return found;
}

/* Change bytes of the record of a key: at `place` in it. */
static void damage_record(struct world *world, uint32_t key, uint64_t place, uint8_t with, size_t n)
{
    lx_record record;
    uint64_t at;
    void *bytes;
    size_t len;

    CHECK(harness_file_read(world->path, &bytes, &len), "%s is gone", world->path);
    at = find_record(bytes, len, key, &record) + place;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)bytes)[at + i] = with;
    harness_file_write(world->path, bytes, len);
    free(bytes);
}

static void damage_header(struct world *world, uint64_t watermark)
{
    uint8_t header[LX_HEADER_SIZE];
    void *bytes;
    size_t len;

    CHECK(harness_file_read(world->path, &bytes, &len), "%s is gone", world->path);
    lx_header_encode(header, lx_watermark_encode(watermark != 0 ? watermark : len));
    memcpy(bytes, header, sizeof(header));
    harness_file_write(world->path, bytes, len);
    free(bytes);
}

/* While it is open, the lengths of a record that was replaced. */
static void damage_replaced(struct world *world)
{
    static const uint8_t lengths[] = {0xff, 0xff, 0xff, 0xff};
    uint64_t at = LX_HEADER_SIZE;
    lx_record record;
    void *bytes;
    size_t len;
    int fd = open(world->path, O_WRONLY | O_CLOEXEC);

    CHECK(harness_file_read(world->path, &bytes, &len), "%s is gone", world->path);
    while (lx_record_parse(bytes, len, at, &record) &&
           (record.status != 0 || record.key_len != LEDGER_KEY_LEN))
        at += record.len;
    CHECK(pwrite(fd, lengths, sizeof(lengths), (off_t)at + 3) == sizeof(lengths), "%s: %s",
          world->path, strerror(errno));
    (void)close(fd);
    free(bytes);
}

static void make_plain(struct world *world)
{
    open_again(world);
    for (uint32_t key = 0; key < SMALL; key++)
        ledger_put(&world->book, LEDGER_VICTIM, world->db, key, 0);
    CHECK_OK(NULL, lxdb_close(world->db));
}

/* A record whose lengths lead nowhere: it is lost, and the file is made anew before a write. */
static void make_unsteppable(struct world *world)
{
    make_plain(world);
    damage_record(world, 4, 3, 0xff, 4);
    world->book.versions[4] = LEDGER_DEAD;
}

/* The same in a session that has crashed. */
static void make_crashed_unsteppable(struct world *world)
{
    make_unsteppable(world);
    damage_header(world, 0);
}

/* A crashed file in which a kill reached the disk and its cause did not; and a watermark that is
 * none: both to be set right by the next opening. */
static void make_crashed_with_a_kill(struct world *world)
{
    make_plain(world);
    damage_record(world, 4, 0, 0, 1);
    damage_record(world, 9, 0, 0, 1);
    damage_header(world, LX_HEADER_SIZE);
}

static void make_with_a_watermark_inside_a_record(struct world *world)
{
    make_plain(world);
    damage_header(world, LX_HEADER_SIZE + 5);
}

/* What another program may write: order and status bytes do not say the same. */
static void make_foreign(struct world *world)
{
    static uint8_t file[8192];
    uint8_t value[256];
    size_t size = LX_HEADER_SIZE;

    lx_header_encode(file, 0);
    for (uint32_t key = 0; key < SMALL; key++) {
        uint32_t first = ledger_next(&world->book), second = ledger_next(&world->book);
        unsigned kind = key % 4; /* 0: killed; 1: live, then dead; 2: live twice; 3: live */
        char text[LEDGER_KEY_LEN + 1];

        ledger_key(key, text);
        for (int copy = 0; copy < (kind == 1 || kind == 2 ? 2 : 1); copy++) {
            uint32_t version = copy == 0 ? first : second;
            uint32_t len = (uint32_t)ledger_value_len(key, version);

            ledger_value(key, version, value);
            lx_record_encode(file + size, 1, text, LEDGER_KEY_LEN, value, len);
            if (kind == 0 || (kind == 1 && copy == 1))
                file[size] = 0;
            size += lx_record_size(LEDGER_KEY_LEN, len);
        }
        world->book.versions[key] = kind == 0 ? LEDGER_DEAD : kind == 2 ? second : first;
        world->book.highest = key + 1;
    }
    world->book.unordered = true;
    harness_file_write(world->path, file, size);
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

/* Two records are dead, and nothing in the log says why. */
static int verify_kills(struct world *world)
{
    lxdb_report report = {0};
    int rc = lxdb_verify(world->path, &report, NULL);

    return rc == LXDB_CORRUPT && report.dead_without_cause == 2 ? LXDB_OK : rc;
}

/* While it is open. */
static int verify_open(struct world *world)
{
    lxdb_report report;
    lxdb_stat_info stat;
    int rc = lxdb_verify(world->path, &report, NULL);

    if (rc == LXDB_OK)
        rc = lxdb_stat(world->db, &stat);
    return rc;
}

static int read_in_namespace(lxdb *ns, const char *key, size_t len)
{
    lxdb_item items[2] = {{.key = key, .key_len = len}, {.key = key, .key_len = len - 1}};
    const void *value;
    uint64_t count;
    int64_t sum;
    size_t n;
    void *copy;
    int rc = lxdb_read_begin(ns);

    if (rc != LXDB_OK)
        return rc;
    rc = lxdb_peek(ns, key, len, &value, &n);
    if (rc == LXDB_NOTFOUND)
        rc = lxdb_peek_many(ns, items, 2);
    lxdb_read_end(ns);
    if (rc != LXDB_OK)
        return rc;
    for (int i = 0; i < 2; i++)
        if (items[i].rc != LXDB_NOTFOUND)
            return items[i].rc;
    rc = lxdb_exists(ns, key, len);
    if (rc == LXDB_NOTFOUND)
        rc = lxdb_read(ns, key, len, NULL, 0, &n);
    if (rc == LXDB_NOTFOUND)
        rc = lxdb_read_alloc(ns, key, len, &copy, &n);
    if (rc == LXDB_NOTFOUND)
        rc = lxdb_update(ns, key, len, "x", 1);
    if (rc == LXDB_NOTFOUND)
        rc = lxdb_delete(ns, key, len);
    if (rc == LXDB_NOTFOUND)
        rc = lxdb_cas(ns, key, len, "x", 1, "y", 1);
    if (rc == LXDB_CONFLICT)
        rc = lxdb_count(ns, &count);
    if (rc == LXDB_OK)
        rc = lxdb_clear(ns, &count);
    if (rc == LXDB_OK && lxdb_incr(ns, NULL, 0, 1, &sum) != LXDB_INVALID)
        rc = LXDB_INVALID;
    return rc;
}

/* Every call on a key that is too long for the stack, in a namespace that does not exist. */
static int use_namespace(struct world *world)
{
    char name[400], key[400];
    lxdb *ns;
    int rc;

    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    memset(key, 'k', sizeof(key));
    rc = lxdb_namespace(world->db, name, &ns);
    if (rc != LXDB_OK)
        return rc;
    rc = read_in_namespace(ns, key, sizeof(key));
    (void)lxdb_close(ns);
    return rc;
}

/* ---- What another process did before --------------------------------------------------------- */

/* In a process of its own, killed at a step of it. */
static void another_dies(struct world *world, const char *step, int (*act)(struct world *world))
{
    lxdb *ours = world->db; /* the world is shared */
    int status = 0;
    pid_t pid = fork();

    CHECK(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        open_again(world);
        fault_die_at(step);
        (void)act(world);
        _exit(1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
          "nobody died at %s: status %#x", step, (unsigned)status);
    world->db = ours;
}

static int heir_batch(struct world *world)
{
    const struct ledger_change batch[] = {{40, 1}, {7, 1}, {8, 0}, {41, 1}, {1, 1}};

    return ledger_try_batch(&world->book, LEDGER_HEIR, world->db, batch, 5);
}

static int heir_put_many(struct world *world)
{
    static struct ledger_change changes[3000];

    for (uint32_t i = 0; i < 3000; i++)
        changes[i] = (struct ledger_change){100 + i, 1};
    return ledger_try_batch(&world->book, LEDGER_HEIR, world->db, changes, 3000);
}

static void begin_beside_a_batch_cut_off(struct world *world)
{
    begin_session(world);
    another_dies(world, "commit-written", heir_batch);
}

static void begin_beside_a_batch_not_published(struct world *world)
{
    begin_session(world);
    another_dies(world, "commit-committed", heir_batch);
}

static void begin_beside_a_batch_half_published(struct world *world)
{
    begin_session(world);
    another_dies(world, "commit-publishing", heir_batch);
}

static void begin_beside_a_split(struct world *world)
{
    begin_session(world);
    another_dies(world, "split-recorded", heir_put_many);
}

static void begin_beside_a_swap(struct world *world)
{
    begin_session(world);
    another_dies(world, "compact-recorded", compact);
}

/* Another generation since we have looked. */
static void begin_beside_a_compaction(struct world *world)
{
    begin_session(world);
    another_dies(world, "compact-published", compact);
}

static void begin_and_let_a_replaced_record_rot(struct world *world)
{
    begin_session(world);
    damage_replaced(world);
}

/* ---- Cases: a refusal at every call ---------------------------------------------------------- */

/* clang-format off */
#define DEEDS(X) \
    X(creation_refused_anywhere, .creates = true, .least = 30) \
    X(open_refused_anywhere, .make = make_small, .least = 30) \
    X(open_with_a_kept_index_refused_anywhere, .make = make_small, \
      .helpers = LXDB_HELPERS_KEEP, .least = 30) \
    X(open_after_a_crash_refused_anywhere, .make = make_crashed, .syncs = true, \
      .least = 30) \
    X(open_after_a_torn_write_refused_anywhere, .make = make_torn, .inner = true, \
      .least = 40) \
    X(first_write_refused_anywhere, .make = make_small, .act = put_one, .syncs = true, \
      .inner = true, .least = 4) \
    X(writes_that_grow_the_log_refused_anywhere, .make = make_small, \
      .prepare = begin_session, .act = put_large, .inner = true, .least = 6) \
    X(synced_write_refused_anywhere, .make = make_small, .prepare = begin_session, \
      .act = put_one, .sync = LXDB_SYNC_FULL, .syncs = true, .least = 2) \
    X(batch_refused_anywhere, .make = make_small, .prepare = begin_session, \
      .act = put_batch, .inner = true, .least = 8) \
    X(writes_by_pwrite_refused_anywhere, .make = make_small, .prepare = begin_session, \
      .act = put_large, .pwrites = true, .least = 50) \
    X(first_write_by_pwrite_refused_anywhere, .make = make_small, .act = put_one, \
      .syncs = true, .pwrites = true, .least = 8) \
    X(batch_by_pwrite_refused_anywhere, .make = make_small, .prepare = begin_session, \
      .act = put_batch, .pwrites = true, .least = 30) \
    X(compaction_by_pwrite_refused_anywhere, .make = make_small, .prepare = begin_session, \
      .act = compact, .pwrites = true, .least = 80) \
    X(open_by_pwrite_after_a_crash_refused_anywhere, .make = make_torn, .pwrites = true, \
      .least = 40) \
    X(growth_of_the_index_refused_anywhere, .prepare = fill_index, .act = put_many, \
      .grows = true, .least = 8) \
    X(clear_refused_anywhere, .make = make_small, .prepare = begin_session, \
      .act = remove_all, .inner = true, .least = 4) \
    X(compaction_refused_anywhere, .make = make_small, .prepare = begin_session, \
      .act = compact, .inner = true, .least = 50) \
    X(compaction_of_a_closed_file_refused_anywhere, .make = make_small, .act = compact, \
      .inner = true, .least = 50) \
    X(reads_refused_anywhere, .make = make_small, .act = read_all, .inner = true, \
      .least = 10) \
    X(reads_of_a_closed_file_refused_anywhere, .make = make_small, .act = read_privately, \
      .unopened = true, .inner = true, .least = 30) \
    X(verification_refused_anywhere, .make = make_small, .act = verify, .unopened = true, \
      .inner = true, .least = 8) \
    X(flush_refused_anywhere, .make = make_small, .prepare = begin_session, .act = flush, \
      .syncs = true, .least = 2) \
    X(flush_between_intervals_refused_anywhere, .make = make_small, \
      .prepare = begin_session, .act = flush, .sync = LXDB_SYNC_INTERVAL, .syncs = true, \
      .least = 2) \
    X(wait_for_the_disk_refused_anywhere, .make = make_small, .prepare = begin_session, \
      .act = wait_durable, .syncs = true, .least = 2) \
    X(close_refused_anywhere, .make = make_small, .prepare = begin_session, \
      .closes = true, .syncs = true, .least = 8) \
    X(close_keeping_the_index_refused_anywhere, .make = make_small, \
      .prepare = begin_session, .closes = true, .helpers = LXDB_HELPERS_KEEP, \
      .syncs = true, .least = 6) \
    X(first_write_into_a_foreign_file_refused_anywhere, .make = make_foreign, \
      .act = put_one, .syncs = true, .inner = true, .least = 20) \
    X(first_write_by_pwrite_into_a_foreign_file_refused_anywhere, .make = make_foreign, \
      .act = put_one, .syncs = true, .pwrites = true, .least = 20) \
    X(first_write_behind_damage_refused_anywhere, .make = make_unsteppable, \
      .act = put_one, .inner = true, .least = 50) \
    X(first_write_behind_damage_and_a_crash_refused_anywhere, \
      .make = make_crashed_unsteppable, .act = put_one, .least = 50) \
    X(open_of_a_damaged_file_refused_anywhere, .make = make_unsteppable, .inner = true, \
      .least = 30) \
    X(open_that_undoes_a_kill_refused_anywhere, .make = make_crashed_with_a_kill, \
      .syncs = true, .inner = true, .least = 30) \
    X(open_by_pwrite_that_undoes_a_kill_refused_anywhere, \
      .make = make_crashed_with_a_kill, .syncs = true, .pwrites = true, .least = 30) \
    X(open_with_a_wrong_watermark_refused_anywhere, \
      .make = make_with_a_watermark_inside_a_record, .syncs = true, .least = 30) \
    X(verification_of_an_open_database_refused_anywhere, .make = make_small, \
      .prepare = begin_session, .act = verify_open, .inner = true, .least = 20) \
    X(verification_after_a_kill_refused_anywhere, .make = make_crashed_with_a_kill, \
      .act = verify_kills, .unopened = true, .inner = true, .least = 8) \
    X(compaction_behind_damage_refused_anywhere, .make = make_small, \
      .prepare = begin_and_let_a_replaced_record_rot, .act = compact, .inner = true, \
      .least = 80) \
    X(namespace_refused_anywhere, .make = make_small, .prepare = begin_session, \
      .act = use_namespace, .inner = true, .least = 20) \
    X(repair_of_a_batch_cut_off_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_batch_cut_off, .act = put_one, .inner = true, \
      .waits = true, .least = 5) \
    X(repair_of_a_batch_not_published_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_batch_not_published, .act = put_one, .inner = true, \
      .waits = true, .least = 10) \
    X(repair_of_a_batch_half_published_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_batch_half_published, .act = put_batch, .inner = true, \
      .waits = true, .least = 10) \
    X(repair_by_pwrite_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_batch_not_published, .act = put_one, .pwrites = true, \
      .waits = true, .least = 10) \
    X(cover_by_pwrite_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_batch_cut_off, .act = put_one, .pwrites = true, \
      .waits = true, .least = 10) \
    X(repair_of_a_split_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_split, .act = put_one, .inner = true, .waits = true, \
      .least = 5) \
    X(finish_of_a_swap_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_swap, .act = put_one, .waits = true, .least = 20) \
    X(compaction_after_a_swap_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_swap, .act = compact, .waits = true, .least = 60) \
    X(close_after_a_death_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_batch_not_published, .closes = true, .syncs = true, \
      .inner = true, .waits = true, .least = 10) \
    X(reads_of_a_new_generation_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_compaction, .act = read_all, .inner = true, .waits = true, \
      .least = 10) \
    X(write_in_a_new_generation_refused_anywhere, .make = make_small, \
      .prepare = begin_beside_a_compaction, .act = put_one, .inner = true, .waits = true, \
      .least = 10)
/* clang-format on */

#define DEED(name, ...)                                                                            \
    static void name(void)                                                                         \
    {                                                                                              \
        run_deed(&(const struct deed){__VA_ARGS__});                                               \
    }
#define ROW(name, ...) {__VA_ARGS__},
#define CASE(name, ...) HARNESS_CASE(name),

DEEDS(DEED)

static const struct deed deeds[] = {DEEDS(ROW)};
#define DEED_COUNT (sizeof(deeds) / sizeof(deeds[0]))

/* ---- Cases: two refusals --------------------------------------------------------------------- */

static const struct kind *any_kind(harness_rng *rng, const struct deed *deed)
{
    const struct kind *kind;

    do
        kind = &kinds[harness_below(rng, KINDS)];
    while (!is_met(deed, kind));
    return kind;
}

/* Mostly one of the first. */
static unsigned any_call(harness_rng *rng)
{
    return 1 + (unsigned)harness_below(rng, UINT64_C(1) << harness_below(rng, 6));
}

static void work_pairs(void *arg)
{
    struct world *world = arg;
    unsigned round;

    set_lane(world);
    while (harness_goes_on(round = atomic_fetch_add(&job->next, 1), PAIRS)) {
        harness_rng rng = harness_rng_make(round);
        struct refusal refusal;

        world->deed = &deeds[harness_below(&rng, DEED_COUNT)];
        refusal.kind = any_kind(&rng, world->deed);
        refusal.too = any_kind(&rng, world->deed);
        refusal.nth = any_call(&rng);
        refusal.too_nth = any_call(&rng);
        refusal.for_ever = !is_mended(refusal.kind) && harness_below(&rng, 4) == 0;
        (void)refuse(world, &refusal);
        harness_count("pairs of refusals", 1);
    }
    remove_files(world);
}

static void pairs_refused_anywhere(void)
{
    int workers[LANES];

    atomic_store(&job->next, 0);
    for (unsigned i = 0; i < LANES; i++)
        workers[i] = harness_start("lane", work_pairs, &job->worlds[i]);
    for (unsigned i = 0; i < LANES; i++)
        harness_wait(workers[i]);
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
    harness_count_least("pairs of refusals", PAIRS);
    harness_count_least("databases that refused writes after a failed sync", 10);
}

/* clang-format off */
static const harness_case cases[] = {
    DEEDS(CASE)
    HARNESS_CASE(pairs_refused_anywhere),
    HARNESS_CASE(failed_sync_stops_writers_of_every_process),
    HARNESS_CASE(failed_flush_of_the_helper_thread_stops_writers),
    HARNESS_CASE(failed_compaction_leaves_writers_stopped),
    HARNESS_CASE(refusals_were_many),
};
/* clang-format on */

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
