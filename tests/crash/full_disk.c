/* SPDX-License-Identifier: MIT */
/*
 * A disk that is really full: an ext4 in a file, mounted for this program alone. A filler grows and
 * shrinks at random moments while databases on it are worked on, and then takes the last block.
 * What is promised there:
 *
 *   - a change that finds no room is LXDB_NOSPACE and changes nothing; nobody gets a signal
 *   - what is there is read, and deletes go on through their reserve
 *   - a compaction is refused, leaves no file behind and the database as it was
 *   - the close is clean
 *   - after a death a recovery does without room, or is refused and has changed nothing; read-only
 *     handles need none
 *   - once there is room, all goes on
 *
 * A round has a user, which changes two databases, a reader beside it and the filler, each a
 * process of its own. The ledger (ledger.h) tells what the first database must hold; the second has
 * what the ledger does not know: numbers, compare-and-set, a handle in mode full.
 *
 * Needs root and a loop device. Each case makes its file system anew, so rounds are cheap.
 */
#include "tests/crash/ledger.h"

#include "format/record.h"
#include "tests/concurrency/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ROUNDS 10u
#define KEYS 2000u
#define LARGE_KEYS 40u /* that may have a value of 100 KiB */
#define DISK (UINT64_C(16) << 20)
#define ROOM (UINT64_C(2) << 20) /* that there is at least when the filler lets go of all */
#define BLOCK 4096u
#define REFUSALS 30u /* that a user meets in a round, before the disk is filled to stay so */
#define STEPS 300u   /* and operations */
#define RESERVE (UINT64_C(16) << 10)
#define DELETE_SIZE (LX_RECORD_OVERHEAD + LEDGER_KEY_LEN)
#define COMPACT_EXTRA (UINT64_C(512) << 10) /* an index, and less than that */
#define NUMBER "number"
#define WORD "word"
#define WORD_SIZE 32u

/* Of the filler. */
enum order { RANDOM = 1, FULL, EMPTY, QUIT };
/* Of the user. */
enum task { WORK, PUT_WITH_ROOM, WORK_FULL, CLOSE };

struct world {
    ledger book;
    const char *path, *side, *filler;
    bool compacts;                              /* by itself, and so at moments of its own */
    _Atomic uint64_t filler_order, filler_done; /* an order and a count of orders; the same */
    _Atomic uint64_t task, task_done;
    _Atomic uint64_t refusals;
    _Atomic uint64_t reader_end;
    /* Of the second database: what it holds, and what a change under way makes of it. */
    int64_t number, next_number;
    char word[WORD_SIZE], next_word[WORD_SIZE];
};

/* ---- The disk -------------------------------------------------------------------------------- */

static uint64_t disk_taken(void)
{
    struct statvfs info;

    CHECK(statvfs(harness_directory(), &info) == 0, "statvfs: %s", strerror(errno));
    return (info.f_blocks - info.f_bfree) * info.f_frsize;
}

static uint64_t files_taken(void)
{
    DIR *folder = opendir(harness_directory());
    uint64_t bytes = 0;
    struct dirent *entry;
    struct stat info;

    CHECK(folder != NULL, "%s: %s", harness_directory(), strerror(errno));
    while ((entry = readdir(folder)) != NULL)
        if (strcmp(entry->d_name, "..") != 0 &&
            fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)info.st_blocks * 512;
    (void)closedir(folder);
    return bytes;
}

/* What the empty file system takes for itself. */
static uint64_t disk_base;

/* Whether no file without a name is left, such as one that a compaction has replaced and a reader
 * is about to let go of: its blocks would come back while the disk is to be full. */
static bool all_have_names(void *arg)
{
    (void)arg;
    return disk_taken() == disk_base + files_taken();
}

/* A file system with such `features` over the directory of this run, in a name space of mounts that
 * ends with us. False: it cannot be had here, and the case is skipped. */
static bool disk_make(const char *features)
{
    const char *dir = harness_directory();
    char command[2 * 4096 + 256];

    if (geteuid() != 0) {
        harness_skip("only root can mount an ext4");
        return false;
    }
    if (system("command -v mkfs.ext4 mount truncate >/dev/null") != 0) {
        harness_skip("mkfs.ext4, mount or truncate is missing");
        return false;
    }
    CHECK(unshare(CLONE_NEWNS) == 0, "a name space of mounts: %s", strerror(errno));
    CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts: %s",
          strerror(errno));
    (void)snprintf(command, sizeof(command),
                   "truncate -s %llu '%s/image' && mkfs.ext4 -q -m 0 -b %u -O '%s' '%s/image'",
                   (unsigned long long)DISK, dir, BLOCK, features, dir);
    CHECK(system(command) == 0, "making an ext4");
    (void)snprintf(command, sizeof(command), "mount -o loop '%s/image' '%s'", dir, dir);
    if (system(command) != 0) {
        harness_skip("there is no loop device to mount an ext4 with");
        return false;
    }
    disk_base = disk_taken() - files_taken();
    return true;
}

/* Nobody holds a file of it any more. */
static void disk_end(void)
{
    CHECK(umount(harness_directory()) == 0, "umount: %s", strerror(errno));
}

static uint64_t disk_free(void)
{
    struct statvfs info;

    CHECK(statvfs(harness_directory(), &info) == 0, "statvfs: %s", strerror(errno));
    return info.f_bavail * info.f_frsize;
}

static uint64_t file_size(const char *path)
{
    struct stat info;

    CHECK(stat(path, &info) == 0, "%s: %s", path, strerror(errno));
    return (uint64_t)info.st_size;
}

static bool there_is(const struct world *world, const char *suffix)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s%s", world->path, suffix);
    return harness_file_exists(path);
}

/* ---- The filler ------------------------------------------------------------------------------ */

/* Take `most` bytes of the disk, or what there is of them. */
static void filler_grow(int fd, uint64_t most)
{
    struct stat info;

    CHECK(fstat(fd, &info) == 0, "filler: %s", strerror(errno));
    for (uint64_t part = most, size = (uint64_t)info.st_size; part >= BLOCK && most >= BLOCK;) {
        if (fallocate(fd, 0, (off_t)size, (off_t)part) == 0) {
            size += part;
            most -= part;
            part = part < most ? part : most;
        } else {
            CHECK(errno == ENOSPC || errno == EINTR, "filler: %s", strerror(errno));
            part /= errno == ENOSPC ? 2 : 1;
        }
    }
}

static void filler_shrink(int fd, uint64_t bytes)
{
    struct stat info;

    CHECK(fstat(fd, &info) == 0, "filler: %s", strerror(errno));
    if (bytes > (uint64_t)info.st_size)
        bytes = (uint64_t)info.st_size;
    CHECK(ftruncate(fd, info.st_size - (off_t)bytes) == 0, "filler: %s", strerror(errno));
}

/* Files beside the filler. The last block goes to one: the filler, which is of many pieces, would
 * need another block for its map of them. */
static void rest_take(const struct world *world, unsigned number, uint64_t most)
{
    char path[512];
    int fd;

    (void)snprintf(path, sizeof(path), "%s-%u", world->filler, number);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0, "%s: %s", path, strerror(errno));
    filler_grow(fd, most);
    CHECK(syncfs(fd) == 0 && close(fd) == 0, "%s: %s", path, strerror(errno));
}

static void rest_remove(const struct world *world, unsigned number)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s-%u", world->filler, number);
    CHECK(unlink(path) == 0, "%s: %s", path, strerror(errno));
}

/* To the last block. Some that were freed, or set aside for files that grow, may be free and not to
 * be had before a sync. */
static void filler_fill(const struct world *world, int fd, unsigned *rests)
{
    filler_grow(fd, DISK);
    while (disk_free() != 0)
        rest_take(world, (*rests)++, DISK);
}

static void filler_empty(const struct world *world, int fd, unsigned *rests)
{
    filler_shrink(fd, UINT64_MAX);
    while (*rests > 0)
        rest_remove(world, --*rests);
}

static void filler_run(void *arg)
{
    struct world *world = arg;
    harness_rng rng = harness_rng_make(1);
    int fd = open(world->filler, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    unsigned rests = 0;
    uint64_t order = 0;

    CHECK(fd >= 0, "filler: %s", strerror(errno));
    rest_take(world, rests++, ROOM);
    while (order % 8 != QUIT) {
        uint64_t next = atomic_load(&world->filler_order);

        if (next == order && order % 8 != RANDOM) {
            harness_until_least("idle", &world->filler_order, order + 1);
            continue;
        }
        order = next;
        if (order % 8 == FULL)
            filler_fill(world, fd, &rests);
        else if (order % 8 == EMPTY)
            filler_empty(world, fd, &rests);
        else if (harness_below(&rng, 3) == 0)
            filler_grow(fd, DISK);
        else if (harness_below(&rng, 2) == 0)
            filler_grow(fd, harness_below(&rng, disk_free() + 1));
        else
            filler_shrink(fd, harness_below(&rng, UINT64_C(1) << harness_below(&rng, 22)));
        atomic_store(&world->filler_done, order);
        harness_dawdle(&rng, 300000);
    }
    CHECK(close(fd) == 0, "filler: %s", strerror(errno));
}

/* Give the filler an order, and wait until it was carried out. */
static void filler_do(struct world *world, enum order what)
{
    uint64_t order = (atomic_load(&world->filler_order) / 8 + 1) * 8 + what;

    if (what == FULL)
        harness_until("old files to be gone", all_have_names, NULL);
    atomic_store(&world->filler_order, order);
    harness_until_least("the filler", &world->filler_done, order);
    if (what == FULL)
        harness_count("fillings to the last block", 1);
}

/* ---- The user: the database of the ledger ---------------------------------------------------- */

/* OK, or refused without a trace. */
static int settle(struct world *world, lxdb *db, int rc)
{
    CHECK(rc == LXDB_OK || rc == LXDB_NOSPACE, "a change gave %s: %s", lxdb_strerror(rc),
          lxdb_errmsg(db));
    harness_progress();
    if (rc == LXDB_NOSPACE) {
        ledger_withdraw(&world->book, LEDGER_VICTIM);
        (void)atomic_fetch_add(&world->refusals, 1);
        harness_count("changes refused", 1);
    } else {
        harness_count("changes made", 1);
    }
    return rc;
}

static int put(struct world *world, lxdb *db, uint64_t key, uint32_t size_bit)
{
    return settle(world, db,
                  ledger_try_put(&world->book, LEDGER_VICTIM, db, (uint32_t)key, size_bit));
}

/* The first live key from `key` on; KEYS if there is none. */
static uint32_t live_key(const struct world *world, uint32_t key)
{
    while (key < KEYS && world->book.versions[key] == LEDGER_DEAD)
        key++;
    return key;
}

static int drop(struct world *world, lxdb *db, uint32_t key)
{
    return settle(world, db, ledger_try_remove(&world->book, LEDGER_VICTIM, db, key));
}

static void put_and_drop_some(struct world *world, lxdb *db, harness_rng *rng)
{
    struct ledger_change changes[40];
    size_t n = 1 + harness_below(rng, 40);
    uint32_t key = (uint32_t)harness_below(rng, 20);

    for (size_t i = 0; i < n; i++, key += 1 + (uint32_t)harness_below(rng, 40)) {
        changes[i] = (struct ledger_change){key, 1};
        if (world->book.versions[key] != LEDGER_DEAD && harness_below(rng, 3) == 0)
            changes[i].version = LEDGER_DEAD;
        else if (harness_below(rng, 8) == 0)
            changes[i].version |= LEDGER_LARGE;
    }
    (void)settle(world, db, ledger_try_batch(&world->book, LEDGER_VICTIM, db, changes, n));
}

/* BUSY: the one that starts by itself is under way. */
static void compact(lxdb *db)
{
    int rc = lxdb_compact(db, NULL);

    CHECK(rc == LXDB_OK || rc == LXDB_NOSPACE || rc == LXDB_BUSY, "a compaction gave %s: %s",
          lxdb_strerror(rc), lxdb_errmsg(db));
    harness_count(rc == LXDB_OK ? "compactions made" : "compactions refused", 1);
}

/* ---- The user: the second database ----------------------------------------------------------- */

static int change_number(struct world *world, lxdb *side)
{
    int64_t number = 0;
    int rc;

    world->next_number = world->number + 1;
    rc = lxdb_incr(side, NUMBER, strlen(NUMBER), 1, &number);
    CHECK(rc != LXDB_OK || number == world->next_number, "a sum of %lld instead of %lld",
          (long long)number, (long long)world->next_number);
    if (rc == LXDB_OK)
        world->number = number;
    world->next_number = world->number;
    return rc;
}

static int change_word(struct world *world, lxdb *side, harness_rng *rng)
{
    int rc;

    (void)snprintf(world->next_word, WORD_SIZE, "%llx", (unsigned long long)harness_random(rng));
    rc = lxdb_cas(side, WORD, strlen(WORD), world->word[0] != '\0' ? world->word : NULL,
                  strlen(world->word), world->next_word, strlen(world->next_word));
    if (rc == LXDB_OK)
        memcpy(world->word, world->next_word, WORD_SIZE);
    memcpy(world->next_word, world->word, WORD_SIZE);
    return rc;
}

static void change_side(struct world *world, lxdb *side, harness_rng *rng)
{
    int rc = harness_below(rng, 2) == 0 ? change_number(world, side)
                                        : change_word(world, side, rng);

    CHECK(rc == LXDB_OK || rc == LXDB_NOSPACE, "a change gave %s: %s", lxdb_strerror(rc),
          lxdb_errmsg(side));
    harness_count(rc == LXDB_OK ? "changes made" : "changes refused", 1);
}

/* Settles what was under way when the user died. */
static void check_side(struct world *world, lxdb *side)
{
    char word[WORD_SIZE] = "";
    int64_t number = 0;
    size_t len = 0;
    int rc = lxdb_get_int(side, NUMBER, strlen(NUMBER), &number);

    CHECK(rc == LXDB_OK || rc == LXDB_NOTFOUND, "reading the number: %s", lxdb_errmsg(side));
    CHECK(number == world->number || number == world->next_number,
          "the number is %lld instead of %lld", (long long)number, (long long)world->number);
    rc = lxdb_read(side, WORD, strlen(WORD), word, WORD_SIZE - 1, &len);
    CHECK(rc == LXDB_OK || rc == LXDB_NOTFOUND, "reading the word: %s", lxdb_errmsg(side));
    CHECK(strcmp(word, world->word) == 0 || strcmp(word, world->next_word) == 0,
          "the word is \"%s\" instead of \"%s\"", word, world->word);
    world->number = world->next_number = number;
    memcpy(world->word, word, WORD_SIZE);
    memcpy(world->next_word, word, WORD_SIZE);
}

/* ---- The user -------------------------------------------------------------------------------- */

static void step(struct world *world, lxdb *db, lxdb *side, harness_rng *rng)
{
    uint64_t chance = harness_below(rng, 100);
    uint32_t key = (uint32_t)harness_below(rng, KEYS);

    if (chance < 35) {
        (void)put(world, db, key, 0);
    } else if (chance < 50) {
        (void)put(world, db, key % LARGE_KEYS, LEDGER_LARGE);
    } else if (chance < 70) {
        key = live_key(world, key);
        if (key < KEYS)
            (void)drop(world, db, key);
    } else if (chance < 80) {
        put_and_drop_some(world, db, rng);
    } else if (chance < 92) {
        change_side(world, side, rng);
    } else if (chance < 95) {
        compact(db);
    } else if (chance < 97) {
        CHECK_OK(db, lxdb_flush(db));
    } else if (chance < 99) {
        (void)ledger_check(&world->book, db, "while the disk fills up");
        check_side(world, side);
        harness_count("checks while the disk fills up", 1);
    } else {
        (void)settle(world, db, ledger_try_remove_all(&world->book, LEDGER_VICTIM, db));
    }
}

/* Until the log has no room left but the reserve. The last change had room. */
static void fill_log(struct world *world, lxdb *db, harness_rng *rng)
{
    while (put(world, db, harness_below(rng, LARGE_KEYS), LEDGER_LARGE) == LXDB_OK)
        continue;
    while (put(world, db, harness_below(rng, KEYS), 0) == LXDB_OK)
        continue;
}

static void refuse_compaction(struct world *world, lxdb *db)
{
    CHECK_RC(db, LXDB_NOSPACE, lxdb_compact(db, NULL));
    CHECK(!there_is(world, "-compact") && !there_is(world, "-compact-index"),
          "a compaction that was refused has left a file");
    harness_count("compactions refused", 1);
    (void)ledger_check(&world->book, db, "after a compaction on a full disk");
}

/* As many as the reserve has room for, of those that there are; then none, or any. */
static void drop_through_reserve(struct world *world, lxdb *db)
{
    struct ledger_change changes[20];
    uint64_t made = 0;
    uint32_t key = 0;
    size_t n = 0;

    for (; n < 20 && (key = live_key(world, key)) < KEYS; key++)
        changes[n++] = (struct ledger_change){key, LEDGER_DEAD};
    CHECK(settle(world, db, ledger_try_batch(&world->book, LEDGER_VICTIM, db, changes, n)) ==
              LXDB_OK,
          "a batch of deletes on a full disk: %s", lxdb_errmsg(db));
    for (made = n; (key = live_key(world, key)) < KEYS; made++)
        if (drop(world, db, key) != LXDB_OK)
            break;
    CHECK(key == KEYS || made >= RESERVE / DELETE_SIZE - 10, "only %llu deletes on a full disk",
          (unsigned long long)made);
    harness_count("deletes through the reserve", made);
}

/* Nobody makes or takes room. A compaction that started by itself might do, and then nothing could
 * be said of what finds room. */
static void work_full(struct world *world, lxdb *db, harness_rng *rng)
{
    fill_log(world, db, rng);
    (void)ledger_check(&world->book, db, "on a full disk");
    refuse_compaction(world, db);
    drop_through_reserve(world, db);
    (void)ledger_check(&world->book, db, "after deletes on a full disk");
    refuse_compaction(world, db);
}

static void user_run(void *arg)
{
    struct world *world = arg;
    harness_rng rng = harness_rng_make(2);
    lxdb *db = harness_open(world->path,
                            (lxdb_options){.flags = world->compacts ? 0 : LXDB_NOAUTOCOMPACT,
                                           .compact_floor = 256u << 10});
    lxdb *side = harness_open(world->side, (lxdb_options){.sync = LXDB_SYNC_FULL});
    uint64_t task;

    while ((task = atomic_load(&world->task)) != CLOSE) {
        harness_stage("changing");
        if (task == PUT_WITH_ROOM && task != world->task_done)
            CHECK(put(world, db, 0, 0) == LXDB_OK, "a put with room: %s", lxdb_errmsg(db));
        else if (task == WORK_FULL && task != world->task_done && !world->compacts)
            work_full(world, db, &rng);
        else if (task != PUT_WITH_ROOM)
            step(world, db, side, &rng);
        else
            harness_until_least("the disk being filled", &world->task, task + 1);
        atomic_store(&world->task_done, task);
    }
    harness_stage("closing on a full disk");
    CHECK_OK(NULL, lxdb_close(side));
    CHECK_OK(NULL, lxdb_close(db));
}

/* Reads on, whatever the disk is like: whole values of the right keys. */
static void reader_run(void *arg)
{
    struct world *world = arg;
    harness_rng rng = harness_rng_make(3);
    lxdb *db = harness_open(world->path,
                            (lxdb_options){.flags = world->compacts ? LXDB_RDONLY : 0});
    const void *key, *value;
    size_t key_len, value_len;
    char text[LEDGER_KEY_LEN + 1];
    lxdb_iter *iter;

    harness_stage("reading");
    while (atomic_load(&world->reader_end) == 0) {
        for (unsigned i = 0; i < 50; i++) {
            ledger_key((uint32_t)harness_below(&rng, KEYS), text);
            (void)harness_value_read(db, text, LEDGER_KEY_LEN);
        }
        CHECK_OK(db, lxdb_iter_open(db, NULL, 0, 0, &iter));
        while (lxdb_iter_next(iter, &key, &key_len, &value, &value_len) == LXDB_OK)
            (void)harness_value_check(value, value_len, key, key_len);
        lxdb_iter_close(iter);
        harness_count("iterations of the reader", 1);
        harness_progress();
        harness_dawdle(&rng, 1000000);
    }
    CHECK_OK(NULL, lxdb_close(db));
}

/* ---- The director ---------------------------------------------------------------------------- */

/* The only one, made anew. */
static struct world *world_new(const char *name)
{
    static struct world *world;

    if (world == NULL)
        world = harness_shared(sizeof(*world));
    memset(world, 0, sizeof(*world));
    world->path = harness_path(name);
    world->side = harness_path("side");
    world->filler = harness_path("filler");
    return world;
}

static void remove_files(const char *path)
{
    static const char *const suffixes[] = {"", "-lock", "-index", "-lost"};
    char name[512];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        CHECK(unlink(name) == 0 || errno == ENOENT, "%s: %s", name, strerror(errno));
    }
}

static lxdb *open_reading(const char *path)
{
    return harness_open(path, (lxdb_options){.flags = LXDB_RDONLY});
}

/* A read-only handle needs no room, and sees everything. */
static void check_reading(struct world *world, const char *when)
{
    lxdb *db = open_reading(world->path);
    lxdb *side = open_reading(world->side);

    (void)ledger_check(&world->book, db, when);
    check_side(world, side);
    CHECK_OK(NULL, lxdb_close(side));
    CHECK_OK(NULL, lxdb_close(db));
}

static int try_open(const char *path, lxdb **ret_db)
{
    const lxdb_options options = {.size = sizeof(options), .flags = LXDB_NOAUTOCOMPACT};

    *ret_db = NULL;
    return lxdb_open(path, &options, ret_db);
}

/* Open, change and close while the disk is full. Whether the opening found room. */
static bool visit_full(struct world *world)
{
    lxdb *db;
    int rc = try_open(world->path, &db);
    uint32_t key = live_key(world, 0);

    CHECK(rc == LXDB_OK || rc == LXDB_NOSPACE, "opening on a full disk gave %s: %s",
          lxdb_strerror(rc), lxdb_errmsg(NULL));
    if (rc == LXDB_NOSPACE) {
        CHECK(db == NULL, "a handle of a database that was not opened");
        harness_count("openings refused", 1);
        return false;
    }
    (void)ledger_check(&world->book, db, "opened on a full disk");
    (void)put(world, db, 0, LEDGER_LARGE);
    if (key < KEYS)
        (void)drop(world, db, key);
    (void)ledger_check(&world->book, db, "changed on a full disk");
    CHECK_OK(NULL, lxdb_close(db));
    harness_count("openings that needed no room", 1);
    return true;
}

/* A file that had grown over most of the disk still has no room for its live data beside it. */
static void compact_with_room(lxdb *db)
{
    lxdb_stat_info info;
    uint64_t room = disk_free();
    int rc = lxdb_compact(db, NULL);

    CHECK_OK(db, lxdb_stat(db, &info));
    CHECK(rc == LXDB_OK || (rc == LXDB_NOSPACE && room < info.live_bytes + COMPACT_EXTRA),
          "a compaction of %llu live bytes with %llu bytes of room gave %s: %s",
          (unsigned long long)info.live_bytes, (unsigned long long)room, lxdb_strerror(rc),
          lxdb_errmsg(db));
    harness_count(rc == LXDB_OK ? "compactions made" : "compactions refused", 1);
}

/* Both databases, once there is room again. */
static void visit_with_room(struct world *world)
{
    uint64_t records = 0;
    lxdb *db = harness_open(world->path, (lxdb_options){.flags = LXDB_NOCREATE});
    lxdb *side = harness_open(world->side, (lxdb_options){.flags = LXDB_NOCREATE});

    (void)ledger_check(&world->book, db, "with room again");
    check_side(world, side);
    for (uint32_t key = 0; key < 20; key++)
        ledger_put(&world->book, LEDGER_CHECKER, db, key, key % 10 == 0 ? LEDGER_LARGE : 0);
    compact_with_room(db);
    ledger_remove(&world->book, LEDGER_CHECKER, db, 0);
    (void)ledger_check(&world->book, db, "changed with room again");
    CHECK_OK(db, lxdb_count(db, &records));
    CHECK_OK(NULL, lxdb_close(side));
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(world->path, records);
    check_reading(world, "closed with room again");
}

/* Beside the user, which goes on: attaching, reading and leaving need no room. */
static void visit_beside(const struct world *world)
{
    lxdb *db = harness_open(world->path, (lxdb_options){.flags = LXDB_NOCREATE});
    char text[LEDGER_KEY_LEN + 1];

    for (uint32_t key = 0; key < 100; key++) {
        ledger_key(key, text);
        (void)harness_value_read(db, text, LEDGER_KEY_LEN);
    }
    CHECK_OK(NULL, lxdb_close(db));
    harness_count("visits beside others on a full disk", 1);
}

struct pair {
    int user, reader;
};

/* The same work in every round: the disk fills up at random, and then for good. */
static struct pair work(struct world *world)
{
    struct pair pair;

    harness_phase("the disk fills up now and then");
    pair.user = harness_start("user", user_run, world);
    harness_await_steps(pair.user, 1);
    pair.reader = harness_start("reader", reader_run, world);
    harness_await_steps(pair.reader, 1);
    filler_do(world, RANDOM);
    harness_until_least("refusals", &world->refusals, REFUSALS);
    harness_await_steps(pair.user, STEPS);
    harness_phase("the disk is full");
    filler_do(world, EMPTY);
    atomic_store(&world->task, PUT_WITH_ROOM);
    harness_until_least("a put with room", &world->task_done, PUT_WITH_ROOM);
    filler_do(world, FULL);
    atomic_store(&world->task, WORK_FULL);
    harness_until_least("work on the full disk", &world->task_done, WORK_FULL);
    visit_beside(world);
    return pair;
}

static void end_in_a_close(struct world *world, struct pair pair)
{
    uint64_t records = 0;
    lxdb *db;

    harness_phase("a close on a full disk");
    atomic_store(&world->reader_end, 1);
    harness_wait(pair.reader);
    atomic_store(&world->task, CLOSE);
    harness_wait(pair.user);
    db = open_reading(world->path);
    CHECK_OK(db, lxdb_count(db, &records));
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(world->path, records);
    harness_count("closes on a full disk", 1);
    filler_do(world, FULL);
    check_reading(world, "closed on a full disk");
    (void)visit_full(world);
}

/* Behind the tail, as a commit leaves them that was cut short. */
static void add_torn_bytes(const struct world *world, const lxdb_report *report)
{
    char torn[20];
    int fd = open(world->path, O_WRONLY | O_CLOEXEC);

    CHECK(report->file_size - report->tail >= sizeof(torn), "no room behind the tail");
    memset(torn, 0x5a, sizeof(torn));
    CHECK(fd >= 0 && pwrite(fd, torn, sizeof(torn), (off_t)report->tail) == sizeof(torn) &&
              close(fd) == 0,
          "%s: %s", world->path, strerror(errno));
}

static void check_same_bytes(const char *path, const void *before, size_t before_len)
{
    void *after;
    size_t len;

    CHECK(harness_file_read(path, &after, &len), "%s is gone", path);
    CHECK(len == before_len && memcmp(before, after, len) == 0,
          "a recovery that was refused has changed the file");
    free(after);
}

/* A recovery makes the index anew, in the room of the old one if that is enough. What it cuts off
 * is set aside first, and for that there is no room. If it is refused, nothing was changed. */
static void recover_full(struct world *world, bool torn)
{
    lxdb_report report;
    void *before;
    size_t len;
    /* what a compaction has left is removed first, and makes room */
    bool makes_room = there_is(world, "-compact");
    bool recovered;

    CHECK_OK(NULL, lxdb_verify(world->path, &report, NULL));
    CHECK(report.crashed == 1, "the dead have left a closed file");
    if (torn && report.bytes_cut == 0)
        add_torn_bytes(world, &report);
    torn |= report.bytes_cut != 0;
    CHECK(harness_file_read(world->path, &before, &len), "%s is gone", world->path);
    recovered = visit_full(world);
    CHECK(!recovered || !torn || makes_room, "a torn tail was cut without room to set it aside");
    if (!recovered)
        check_same_bytes(world->path, before, len);
    free(before);
    harness_count(recovered ? "recoveries that needed no room"
                            : (torn ? "recoveries refused for a torn tail"
                                    : "recoveries refused for an index"),
                  1);
}

static void end_in_deaths(struct world *world, struct pair pair, harness_rng *rng)
{
    harness_phase("deaths on a full disk");
    harness_await_progress(pair.user, 1 + harness_below(rng, 50));
    harness_kill(pair.user);
    harness_kill(pair.reader);
    harness_count("users killed", 1);
    filler_do(world, FULL);
    check_reading(world, "after deaths on a full disk");
    recover_full(world, harness_below(rng, 2) == 0);
    check_reading(world, "after recoveries on a full disk");
}

static void a_round(unsigned round, harness_rng *rng)
{
    struct world *world = world_new("full");
    int filler;
    struct pair pair;

    world->compacts = round % 4 == 3;
    filler = harness_start("filler", filler_run, world);
    pair = work(world);
    if (round % 2 == 0)
        end_in_a_close(world, pair);
    else
        end_in_deaths(world, pair, rng);
    harness_phase("there is room again");
    filler_do(world, EMPTY);
    visit_with_room(world);
    filler_do(world, QUIT);
    harness_wait(filler);
    remove_files(world->path);
    remove_files(world->side);
    remove_files(world->filler);
    harness_count("rounds", 1);
}

static void rounds(unsigned from, unsigned to)
{
    harness_rng rng = harness_rng_make(4);

    for (unsigned round = from; round < to; round++)
        a_round(round, &rng);
    harness_count_least("rounds", ROUNDS);
    harness_count_least("changes refused", ROUNDS * REFUSALS);
    harness_count_least("compactions refused", ROUNDS);
    harness_count_least("deletes through the reserve", ROUNDS * 100);
    harness_count_least("closes on a full disk", ROUNDS / 2);
    harness_count_least("visits beside others on a full disk", ROUNDS);
    harness_count_least("users killed", ROUNDS / 2);
}

static void disk_without_a_journal_fills_up_and_nothing_is_lost(void)
{
    if (!disk_make("^has_journal"))
        return;
    rounds(0, harness_rounds(ROUNDS) / 2);
    disk_end();
}

static void disk_with_a_journal_fills_up_and_nothing_is_lost(void)
{
    if (!disk_make("has_journal"))
        return;
    rounds(harness_rounds(ROUNDS) / 2, harness_rounds(ROUNDS));
    disk_end();
}

/* ---- The first change of a session ----------------------------------------------------------- */

#define SMALL_KEYS 100u
#define SMALL_KEY_LEN 3u
#define SMALL_DELETE (LX_RECORD_OVERHEAD + SMALL_KEY_LEN)

/* A closed database that ends `slack` bytes before the end of a block, with its helper files. */
static void make_with_slack(const char *path, uint64_t slack)
{
    static const char padding[BLOCK];
    lxdb *db = harness_open(path, (lxdb_options){.helpers = LXDB_HELPERS_KEEP});
    uint64_t size = 10 + SMALL_KEYS * (SMALL_DELETE + 1) + LX_RECORD_OVERHEAD + 1;
    char key[16];

    for (unsigned i = 0; i < SMALL_KEYS; i++) {
        (void)snprintf(key, sizeof(key), "k%02u", i);
        CHECK_OK(db, lxdb_write(db, key, SMALL_KEY_LEN, "v", 1));
    }
    CHECK_OK(db, lxdb_write(db, "p", 1, padding, (2 * BLOCK - slack - size) % BLOCK));
    CHECK_OK(NULL, lxdb_close(db));
    CHECK((file_size(path) + slack) % BLOCK == 0, "the file has %llu bytes",
          (unsigned long long)file_size(path));
}

/* How many deletes find room. */
static uint64_t drop_small(lxdb *db)
{
    char key[16];
    uint64_t n = 0;
    int rc = LXDB_OK;

    while (rc == LXDB_OK && n < SMALL_KEYS) {
        (void)snprintf(key, sizeof(key), "k%02u", (unsigned)n);
        rc = lxdb_delete(db, key, SMALL_KEY_LEN);
        n += rc == LXDB_OK;
    }
    CHECK(n == SMALL_KEYS || rc == LXDB_NOSPACE, "a delete gave %s: %s", lxdb_strerror(rc),
          lxdb_errmsg(db));
    return n;
}

/* Nothing but those records. A first write that found no room may have left the file longer, by the
 * zeros to the end of its last block. */
static void check_small(const char *path, uint64_t records)
{
    lxdb_report report;

    CHECK_OK(NULL, lxdb_verify(path, &report, NULL));
    CHECK(report.crashed == 0 && report.bytes_cut == 0, "%s was not closed cleanly", path);
    CHECK(report.records_live == records, "%llu records instead of %llu",
          (unsigned long long)report.records_live, (unsigned long long)records);
    CHECK(report.file_size - report.tail < BLOCK, "%llu bytes behind the log",
          (unsigned long long)(report.file_size - report.tail));
}

/* A session begins with no more room than there is in the last block: so much of it as a PAD takes
 * has to stay free. */
static void deletes_of_a_new_session_on_a_full_disk_use_the_rest_of_the_last_block(void)
{
    static const uint64_t slacks[] = {0, 1, 24, 25, 38, 39, 40, 53, 100, 1000, 4000};
    struct world *world;
    int filler;

    if (!disk_make("^has_journal"))
        return;
    world = world_new("first");
    filler = harness_start("filler", filler_run, world);
    for (size_t i = 0; i < sizeof(slacks) / sizeof(slacks[0]); i++) {
        uint64_t room = slacks[i] < LX_PAD_SIZE_MIN ? 0 : slacks[i] - LX_PAD_SIZE_MIN;
        uint64_t most = room / SMALL_DELETE < SMALL_KEYS ? room / SMALL_DELETE : SMALL_KEYS;
        const char *path = harness_path("slack");
        uint64_t made;
        lxdb *db;

        make_with_slack(path, slacks[i]);
        filler_do(world, FULL);
        db = harness_open(path, (lxdb_options){.helpers = LXDB_HELPERS_KEEP});
        made = drop_small(db);
        CHECK(made == most, "%llu deletes in %llu bytes", (unsigned long long)made,
              (unsigned long long)slacks[i]);
        CHECK_OK(NULL, lxdb_close(db));
        check_small(path, SMALL_KEYS + 1 - made);
        filler_do(world, EMPTY);
        harness_count("first deletes made", made != 0);
        harness_count("first deletes refused", made == 0);
    }
    filler_do(world, QUIT);
    harness_wait(filler);
    disk_end();
}

/* ---- The room that a compaction needs -------------------------------------------------------- */

static void write_small(lxdb *db)
{
    static const char value[2000];
    char key[16];

    for (unsigned i = 0; i < SMALL_KEYS; i++) {
        (void)snprintf(key, sizeof(key), "k%02u", i);
        CHECK_OK(db, lxdb_write(db, key, SMALL_KEY_LEN, value, sizeof(value)));
    }
}

/* Compact while the disk has room for this and no more. */
static int compact_with(struct world *world, lxdb *db, uint64_t room)
{
    const char *spare = harness_path("spare");
    int fd = open(spare, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && fallocate(fd, 0, 0, (off_t)room) == 0 && close(fd) == 0, "%s: %s", spare,
          strerror(errno));
    filler_do(world, FULL);
    CHECK(unlink(spare) == 0, "%s: %s", spare, strerror(errno));
    return lxdb_compact(db, NULL);
}

static void compaction_needs_room_for_the_live_data_and_an_index_alone(void)
{
    struct world *world;
    lxdb_stat_info info;
    int filler;
    lxdb *db;

    if (!disk_make("^has_journal"))
        return;
    world = world_new("compact");
    filler = harness_start("filler", filler_run, world);
    db = harness_open(world->path, (lxdb_options){.flags = LXDB_NOAUTOCOMPACT});
    write_small(db);
    write_small(db);
    CHECK_OK(db, lxdb_stat(db, &info));
    CHECK_RC(db, LXDB_NOSPACE, compact_with(world, db, info.live_bytes));
    filler_do(world, EMPTY);
    CHECK_OK(db, compact_with(world, db, info.live_bytes + info.index_size + 2 * BLOCK));
    CHECK_OK(db, lxdb_stat(db, &info));
    CHECK(info.dead_bytes == 0 && info.records == SMALL_KEYS, "%llu records, %llu dead bytes",
          (unsigned long long)info.records, (unsigned long long)info.dead_bytes);
    filler_do(world, QUIT);
    harness_wait(filler);
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(world->path, SMALL_KEYS);
    disk_end();
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(disk_without_a_journal_fills_up_and_nothing_is_lost),
        HARNESS_CASE(disk_with_a_journal_fills_up_and_nothing_is_lost),
        HARNESS_CASE(deletes_of_a_new_session_on_a_full_disk_use_the_rest_of_the_last_block),
        HARNESS_CASE(compaction_needs_room_for_the_live_data_and_an_index_alone),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
