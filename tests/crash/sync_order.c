/* SPDX-License-Identifier: MIT */
/*
 * In what order the library touches the disk. Each operation is recorded at the table of file
 * operations, and what came is compared with the order that is written here beside it: whoever
 * changes the order of two calls, or leaves one out, has to change it here and to say why.
 *
 * A line of an order is a call and the file it is about:
 *
 *     create, open        openat; those that find nothing are left out, as are unlinkat's
 *     write, allocate, cut, sync, rename, unlink
 *                         pwrite, fallocate, ftruncate, fdatasync or fsync, renameat, unlinkat
 *     sync records of     msync, of that range
 *     store               into the data file, through its mapping or by pwrite; told apart by
 *                         place and length: `watermark`, `watermark 0`, `status`, `records`
 *     = something         no call: a word in a helper file has changed since the line before,
 *                         which is when other processes get to know of it
 *
 * No sizes, no offsets, and equal lines in a row are one. Left out is what touches pages that
 * nothing is in yet (zeros past the tail). Only calls of the thread that makes the operation are
 * recorded, the clock stands still unless a case moves it, and no sync reaches the disk.
 *
 * Whatever the orders say, these rules are checked at every call (struct rules has what they need
 * to know), so that a wrong order cannot be written down by mistake:
 *
 *   R1  what is called durable has been synced: at the answer in mode full, and when the word
 *       `durable` moves
 *   R2  no record and no status byte is stored before a watermark is on the disk
 *   R3  a watermark, 0 or not, is stored over synced data
 *   R4  a file is synced, with a watermark and but for status bytes, before it takes the name of
 *       the data file
 *   R5  the directory is synced after a name was made or moved: before others are let in, a new
 *       generation is published, the file is cut, or the call returns
 *   R6  the data file is cut when all of it is synced (close), or when what will be lost is kept
 *       aside and synced (recovery), and the cut is synced before the call returns
 *   R7  an index is synced before it is marked clean, and helper files go after the last sync
 */
#include "store/layout.h"
#include "sys/io.h"
#include "tests/concurrency/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILES_MOST 64u
#define MAPS_MOST 64u
#define ORDER_SIZE 4096u
#define WATERMARK_OFFSET 6
#define HEADER_SIZE 10

enum role {
    ROLE_OTHER,
    ROLE_DIRECTORY,
    ROLE_DATA,
    ROLE_LOCK,
    ROLE_INDEX,
    ROLE_COMPACT,
    ROLE_COMPACT_INDEX,
    ROLE_LOST,
    ROLE_OLD /* a data file or index whose name was taken by another */
};

static const char *const role_names[] = {
    [ROLE_OTHER] = "other",
    [ROLE_DIRECTORY] = "directory",
    [ROLE_DATA] = "data",
    [ROLE_LOCK] = "lock",
    [ROLE_INDEX] = "index",
    [ROLE_COMPACT] = "compact",
    [ROLE_COMPACT_INDEX] = "compact-index",
    [ROLE_LOST] = "lost",
    [ROLE_OLD] = "old",
};

/* An inode, and what of it is on the disk as far as its calls tell. */
struct file {
    dev_t dev;
    ino_t ino;
    enum role role;
    bool dirty;              /* something but the watermark was changed since the last sync */
    uint64_t from, to;       /* what of that is more than status bytes lies in between */
    uint32_t watermark;      /* in the page cache */
    uint32_t watermark_disk; /* at the last sync */
};

static struct file files[FILES_MOST];
static size_t n_files;

static struct mapping {
    const uint8_t *base;
    size_t len;
    struct file *file;
} maps[MAPS_MOST];

/* What the rules remember beside the files. */
static struct {
    bool directory_dirty; /* a name was made or moved */
    bool index_synced;    /* in this operation */
} rules;

static char base_name[256]; /* of the data file */
static const char *base_path;
static const char *operation; /* under way, for reports */
static char order[ORDER_SIZE];
static size_t order_len;
static _Thread_local bool recording;
static unsigned faults;
static uint64_t stopped_clock; /* 0: the clock goes */

/* Counted in every thread, recorded or not. */
static _Atomic uint64_t syncs;         /* of files that are not directories */
static _Atomic uint64_t stores;        /* and writes */
static _Atomic uint64_t stores_synced; /* how many there were when the last sync began */

/* ---- What is recorded ------------------------------------------------------------------------ */

static void rule(bool kept, const char *text)
{
    harness_count("rules applied", 1);
    if (kept)
        return;
    faults++;
    (void)printf("FAIL %s: %s\n  so far:\n%s", operation, text, order);
}

static void add_line(const char *line)
{
    size_t len = strlen(line);
    size_t last = order_len;

    while (last > 0 && (last == order_len || order[last - 1] != '\n'))
        last--;
    if (order_len - last == len + 1 && memcmp(order + last, line, len) == 0)
        return;
    CHECK(order_len + len + 2 <= ORDER_SIZE, "%s: too many calls:\n%s", operation, order);
    memcpy(order + order_len, line, len);
    order_len += len;
    order[order_len++] = '\n';
    order[order_len] = '\0';
}

static struct file *data_file(void)
{
    for (size_t i = 0; i < n_files; i++)
        if (files[i].role == ROLE_DATA)
            return &files[i];
    return NULL;
}

/* ---- Words that other processes see ---------------------------------------------------------- */

struct words {
    bool ready, session, swap, clean;
    uint64_t generation, tail, durable;
};

static struct words seen;

static bool read_beside(const char *suffix, void *buf, size_t len, off_t off)
{
    char path[4200];
    int fd;
    bool whole;

    (void)snprintf(path, sizeof(path), "%s%s", base_path, suffix);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    whole = pread(fd, buf, len, off) == (ssize_t)len;
    (void)close(fd);
    return whole;
}

static struct words words_now(void)
{
    static struct lx_control_file control;
    const struct lx_control_block *block;
    struct words now = {0};
    uint64_t clean;

    if (read_beside("-lock", &control, sizeof(control), 0) && atomic_load(&control.head.ready)) {
        now.ready = true;
        now.generation = atomic_load(&control.head.generation);
        block = (now.generation & 1) == 0 ? &control.block0 : &control.block1;
        now.tail = atomic_load(&block->tail);
        now.durable = atomic_load(&block->durable);
        now.session = atomic_load(&block->session) != 0;
        now.swap = (atomic_load(&control.lock.dirty) & LX_DIRTY_SWAP) != 0;
    }
    if (read_beside("-index", &clean, sizeof(clean), offsetof(struct lx_index_head, seal.clean)))
        now.clean = clean == 1;
    return now;
}

/* A change of more than a status byte. */
static void soil(struct file *file, uint64_t from, uint64_t to)
{
    bool clean = file->from == file->to;

    file->dirty = true;
    file->from = clean || from < file->from ? from : file->from;
    file->to = clean || to > file->to ? to : file->to;
}

static void soil_all(struct file *file)
{
    soil(file, 0, UINT64_MAX);
}

static void clean(struct file *file)
{
    file->dirty = false;
    file->from = file->to = 0;
    file->watermark_disk = file->watermark;
}

/* All that matters is on the disk: with a watermark there, status bytes do not. */
static bool is_on_disk(const struct file *file)
{
    return file->watermark != 0 && file->watermark_disk != 0 ? file->from == file->to
                                                             : !file->dirty;
}

static void note_durable(void)
{
    const struct file *data = data_file();

    add_line("= durable");
    rule(data != NULL && is_on_disk(data), "R1: `durable` moved over data that is not synced");
}

static void note_ready(bool ready)
{
    const struct file *data = data_file();

    add_line(ready ? "= ready" : "= not ready");
    if (!ready)
        return;
    rule(data != NULL && !data->dirty, "R3: others are let in before the data is synced");
    rule(!rules.directory_dirty, "R5: others are let in before the directory is synced");
}

/* What has changed since the last call. */
static void look(void)
{
    struct words now = words_now();

    if (now.swap && !seen.swap)
        add_line("= swap recorded");
    if (now.ready != seen.ready) {
        note_ready(now.ready);
    } else if (now.generation != seen.generation) {
        add_line("= generation");
        rule(!rules.directory_dirty, "R5: published before the directory is synced");
    } else if (now.ready) {
        if (now.tail != seen.tail)
            add_line("= tail");
        if (now.durable != seen.durable)
            note_durable();
        if (now.session != seen.session)
            add_line(now.session ? "= session" : "= no session");
    }
    if (now.clean != seen.clean) {
        add_line(now.clean ? "= index clean" : "= index not clean");
        if (now.clean)
            rule(rules.index_synced, "R7: the index is marked clean before it is synced");
    }
    seen = now;
}

static void note(const char *call, enum role role)
{
    char line[64];

    (void)snprintf(line, sizeof(line), "%s %s", call, role_names[role]);
    add_line(line);
    harness_count("calls recorded", 1);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static enum role role_of_name(const char *name)
{
    static const struct {
        const char *suffix;
        enum role role;
    } suffixes[] = {
        {"", ROLE_DATA},        {"-lock", ROLE_LOCK},
        {"-index", ROLE_INDEX}, {"-compact", ROLE_COMPACT},
        {"-lost", ROLE_LOST},   {"-compact-index", ROLE_COMPACT_INDEX},
    };
    size_t len = strlen(base_name);

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (strncmp(name, base_name, len) == 0 && strcmp(name + len, suffixes[i].suffix) == 0)
            return suffixes[i].role;
    return ROLE_OTHER;
}

static struct file *file_of(const struct stat *info)
{
    for (size_t i = 0; i < n_files; i++)
        if (files[i].dev == info->st_dev && files[i].ino == info->st_ino)
            return &files[i];
    CHECK(n_files < FILES_MOST, "too many files");
    files[n_files] = (struct file){.dev = info->st_dev, .ino = info->st_ino};
    return &files[n_files++];
}

static struct file *file_of_fd(int fd)
{
    struct stat info;

    CHECK(fstat(fd, &info) == 0, "fstat: %s", strerror(errno));
    return file_of(&info);
}

static uint32_t number_of(const void *bytes)
{
    const uint8_t *b = bytes;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* A file under a name: an inode that is new to us, or new under this name. */
static void learn(int fd, const char *name)
{
    struct stat info;
    struct file *file;
    uint8_t watermark[4];

    CHECK(fstat(fd, &info) == 0, "fstat: %s", strerror(errno));
    file = file_of(&info);
    if (S_ISDIR(info.st_mode)) {
        file->role = ROLE_DIRECTORY;
    } else if (file->role != role_of_name(name)) {
        file->role = role_of_name(name);
        file->watermark = 0;
        clean(file);
        if (file->role == ROLE_DATA && pread(fd, watermark, 4, WATERMARK_OFFSET) == 4)
            file->watermark = number_of(watermark);
        file->watermark_disk = file->watermark;
        if (file->watermark != 0)
            soil_all(file); /* whoever left it so may have synced nothing */
    }
}

/* Another process has used the files: forget what was known of them. */
static void forget_files(void)
{
    n_files = 0;
    memset(maps, 0, sizeof(maps));
    memset(&rules, 0, sizeof(rules));
}

/* ---- The table ------------------------------------------------------------------------------- */

static int seen_openat(int dirfd, const char *name, int flags, mode_t mode)
{
    struct stat info;
    bool is_new = (flags & O_CREAT) != 0 && fstatat(dirfd, name, &info, AT_SYMLINK_NOFOLLOW) != 0;
    struct file *file;
    int fd;

    if (recording)
        look();
    fd = lx_io_system.openat(dirfd, name, flags, mode);
    if (!recording || fd < 0)
        return fd;
    file = file_of_fd(fd);
    if (is_new) /* the number of an inode that is gone may come again */
        file->role = ROLE_OTHER;
    learn(fd, name);
    note(is_new ? "create" : "open", file->role);
    if (is_new && (file->role == ROLE_DATA || file->role == ROLE_LOST)) {
        soil_all(file);
        rules.directory_dirty = true;
    }
    return fd;
}

static bool is_zero(const void *bytes, size_t len)
{
    const uint8_t *b = bytes;

    for (size_t i = 0; i < len; i++)
        if (b[i] != 0)
            return false;
    return true;
}

static const char *name_of_store(const struct file *file, const void *bytes, size_t len, off_t off)
{
    if (off == WATERMARK_OFFSET && len == 4)
        return number_of(bytes) == 0 ? "store watermark 0 in" : "store watermark in";
    /* what a file that nobody sees yet is made of is all the same */
    return len == 1 && file->role == ROLE_DATA ? "store status in" : "store records in";
}

/* `len` bytes go to `off` of the data file, or of one that is to become it. */
static void note_store(struct file *file, const void *bytes, size_t len, off_t off)
{
    bool is_watermark = off == WATERMARK_OFFSET && len == 4;

    note(name_of_store(file, bytes, len, off), file->role);
    if (is_watermark) {
        if (file->role == ROLE_DATA)
            rule(number_of(bytes) != 0 ? is_on_disk(file) : !file->dirty,
                 "R3: a watermark over data that is not synced");
        file->watermark = number_of(bytes);
    } else {
        if (file->role == ROLE_DATA)
            rule(file->watermark != 0 && file->watermark_disk != 0,
                 "R2: a change of the log while there is no watermark on the disk");
        if (len == 1)
            file->dirty = true;
        else
            soil(file, (uint64_t)off, (uint64_t)off + len);
    }
}

static ssize_t seen_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    struct file *file;
    ssize_t done;

    if (recording) {
        look();
        file = file_of_fd(fd);
        if (file->role != ROLE_DATA && file->role != ROLE_COMPACT) {
            note("write", file->role);
            soil_all(file);
        } else if (off < WATERMARK_OFFSET) {
            note("write header of", file->role);
            soil_all(file);
        } else if (len == 1 || off == WATERMARK_OFFSET || !is_zero(buf, len)) {
            note_store(file, buf, len, off);
        }
    }
    done = lx_io_system.pwrite(fd, buf, len, off);
    atomic_fetch_add(&stores, 1);
    return done;
}

static int seen_ftruncate(int fd, off_t size)
{
    struct file *file, *lost = NULL;
    struct stat info;

    if (recording) {
        look();
        file = file_of_fd(fd);
        CHECK(fstat(fd, &info) == 0, "fstat: %s", strerror(errno));
        note(size < info.st_size ? "cut" : "lengthen", file->role);
        for (size_t i = 0; i < n_files; i++)
            if (files[i].role == ROLE_LOST)
                lost = &files[i];
        if (file->role == ROLE_DATA && size < info.st_size) {
            if (file->watermark == 0)
                rule(!file->dirty, "R6: a cut of data that is not synced");
            else
                rule(lost != NULL && !lost->dirty && !rules.directory_dirty,
                     "R6: a cut before what is lost is kept aside");
            soil_all(file);
        }
    }
    return lx_io_system.ftruncate(fd, size);
}

static int seen_fallocate(int fd, int mode, off_t off, off_t len)
{
    if (recording) {
        look();
        note("allocate", file_of_fd(fd)->role);
    }
    return lx_io_system.fallocate(fd, mode, off, len);
}

/* Called once, in the next sync of a -compact file. */
static void (*during_copy)(lxdb *db);
static lxdb *during_copy_arg;

static int seen_fdatasync(int fd)
{
    uint64_t before = atomic_load(&stores);
    struct file *file;

    if (recording) {
        look();
        file = file_of_fd(fd);
        note("sync", file->role);
        clean(file);
        if (file->role == ROLE_INDEX)
            rules.index_synced = true;
        if (file->role == ROLE_COMPACT && during_copy != NULL) {
            during_copy(during_copy_arg);
            during_copy = NULL;
        }
    }
    atomic_store(&stores_synced, before);
    atomic_fetch_add(&syncs, 1);
    return 0;
}

/* The mapping that `at` is in. */
static const struct mapping *mapping_at(const uint8_t *at)
{
    size_t i = 0;

    while (i < MAPS_MOST &&
           (maps[i].base == NULL || at < maps[i].base || at >= maps[i].base + maps[i].len))
        i++;
    CHECK(i < MAPS_MOST, "in no mapping");
    return &maps[i];
}

static int seen_msync(void *addr, size_t len, int fd)
{
    uint64_t before = atomic_load(&stores);

    if (recording) {
        const struct mapping *mapping = mapping_at(addr);
        struct file *file = mapping->file;
        uint64_t from = (uint64_t)((const uint8_t *)addr - mapping->base);

        look();
        CHECK(file == file_of_fd(fd) && from + len <= mapping->len, "msync of something else");
        note("sync records of", file->role);
        if (from <= file->from && file->to <= from + len)
            file->from = file->to = 0;
        if (from == 0)
            file->watermark_disk = file->watermark;
    }
    atomic_store(&stores_synced, before);
    atomic_fetch_add(&syncs, 1);
    return 0;
}

static int seen_fsync(int fd)
{
    if (recording) {
        look();
        note("sync", file_of_fd(fd)->role);
        if (file_of_fd(fd)->role == ROLE_DIRECTORY)
            rules.directory_dirty = false;
    }
    return 0;
}

static int seen_renameat(int dirfd, const char *from, const char *to)
{
    enum role role = role_of_name(to);
    struct file *moved;
    struct stat info;
    char line[64];

    if (recording) {
        look();
        (void)snprintf(line, sizeof(line), "rename %s to %s", role_names[role_of_name(from)],
                       role_names[role]);
        add_line(line);
        CHECK(fstatat(dirfd, from, &info, AT_SYMLINK_NOFOLLOW) == 0, "%s is not there", from);
        moved = file_of(&info);
        if (role == ROLE_DATA)
            rule(is_on_disk(moved) && moved->watermark_disk != 0,
                 "R4: a file that is not synced takes the name of the data file");
        if (fstatat(dirfd, to, &info, AT_SYMLINK_NOFOLLOW) == 0)
            file_of(&info)->role = ROLE_OLD;
        moved->role = role;
        rules.directory_dirty = true;
    }
    return lx_io_system.renameat(dirfd, from, to);
}

static int seen_unlinkat(int dirfd, const char *name)
{
    const struct file *data = data_file();
    struct stat info;

    if (recording && fstatat(dirfd, name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
        look();
        note("unlink", role_of_name(name));
        if (role_of_name(name) == ROLE_LOCK)
            rule(data == NULL || !data->dirty, "R7: the lock file goes before the last sync");
    }
    return lx_io_system.unlinkat(dirfd, name);
}

static void *seen_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    void *base = lx_io_system.mmap(addr, len, prot, flags, fd, off);
    size_t i = 0;

    if (recording && base != MAP_FAILED && fd >= 0) {
        /* what was mapped here before, another thread has unmapped */
        for (size_t j = 0; j < MAPS_MOST; j++)
            if (maps[j].base != NULL && maps[j].base < (uint8_t *)base + len &&
                (uint8_t *)base < maps[j].base + maps[j].len)
                maps[j].base = NULL;
        while (i < MAPS_MOST && maps[i].base != NULL)
            i++;
        CHECK(i < MAPS_MOST, "too many mappings");
        maps[i] = (struct mapping){base, len, file_of_fd(fd)};
    }
    return base;
}

static int seen_munmap(void *addr, size_t len)
{
    for (size_t i = 0; recording && i < MAPS_MOST; i++)
        if (maps[i].base == addr)
            maps[i].base = NULL;
    return lx_io_system.munmap(addr, len);
}

static void seen_store(void *to, const void *from, size_t len)
{
    if (recording) {
        const struct mapping *mapping = mapping_at(to);

        look();
        note_store(mapping->file, from, len, (const uint8_t *)to - mapping->base);
    }
    lx_io_system.store(to, from, len);
    atomic_fetch_add(&stores, 1);
}

static void install(void)
{
    static struct lx_io table;

    table = lx_io_system;
    table.openat = seen_openat;
    table.pwrite = seen_pwrite;
    table.ftruncate = seen_ftruncate;
    table.fallocate = seen_fallocate;
    table.fdatasync = seen_fdatasync;
    table.fsync = seen_fsync;
    table.msync = seen_msync;
    table.renameat = seen_renameat;
    table.unlinkat = seen_unlinkat;
    table.mmap = seen_mmap;
    table.munmap = seen_munmap;
    table.store = seen_store;
    lx_io = &table;
}

/* The linker's --wrap leads here: a watermark moves once a second at most. */
uint64_t __real_lx_now_coarse_ms(void);
uint64_t __wrap_lx_now_coarse_ms(void);

uint64_t __wrap_lx_now_coarse_ms(void)
{
    return stopped_clock != 0 ? stopped_clock : __real_lx_now_coarse_ms();
}

/* ---- Operations ------------------------------------------------------------------------------ */

static void record(const char *what)
{
    operation = what;
    order_len = 0;
    order[0] = '\0';
    rules.index_synced = false;
    seen = words_now();
    recording = true;
}

/* The operation has returned. `durable`: all that it did has to be on the disk. */
static void expect(bool durable, const char *wanted)
{
    const struct file *data = data_file();

    look();
    recording = false;
    rule(!rules.directory_dirty, "R5: it returned before the directory was synced");
    if (durable)
        rule(data != NULL && is_on_disk(data), "R1: it returned before the data was synced");
    harness_count("orders compared", 1);
    if (strcmp(order, wanted) == 0)
        return;
    faults++;
    (void)printf("FAIL %s: another order\n  wanted:\n%s  came:\n%s", operation, wanted, order);
}

static void use(const char *path)
{
    const char *slash = strrchr(path, '/');

    (void)snprintf(base_name, sizeof(base_name), "%s", slash == NULL ? path : slash + 1);
    base_path = path;
    forget_files();
    stopped_clock = __real_lx_now_coarse_ms();
    faults = 0;
}

static void no_faults(void)
{
    (void)fflush(stdout);
    CHECK(faults == 0, "%u orders or rules were broken, see above", faults);
}

static lxdb *recorded_open(const char *what, lxdb_options options, const char *wanted)
{
    lxdb *db;

    record(what);
    db = harness_open(base_path, options);
    expect(true, wanted);
    return db;
}

static void recorded_close(const char *what, lxdb *db, bool durable, const char *wanted)
{
    record(what);
    CHECK_OK(NULL, lxdb_close(db));
    expect(durable, wanted);
}

static void recorded_put(const char *what, lxdb *db, const char *key, bool durable,
                         const char *wanted)
{
    record(what);
    CHECK_OK(db, lxdb_write(db, key, strlen(key), "some value", 10));
    expect(durable, wanted);
}

static void recorded_delete(const char *what, lxdb *db, const char *key, bool durable,
                            const char *wanted)
{
    record(what);
    CHECK_OK(db, lxdb_delete(db, key, strlen(key)));
    expect(durable, wanted);
}

/* Two keys anew and one deleted. */
static void recorded_batch(const char *what, lxdb *db, const char *deleted, bool durable,
                           const char *wanted)
{
    lxdb_batch *batch = NULL;

    record(what);
    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    CHECK_OK(db, lxdb_batch_write(batch, "left", 4, "some value", 10));
    CHECK_OK(db, lxdb_batch_write(batch, "right", 5, "some value", 10));
    CHECK_OK(db, lxdb_batch_delete(batch, deleted, strlen(deleted)));
    CHECK_OK(db, lxdb_batch_commit(batch, NULL, NULL));
    expect(durable, wanted);
}

static void recorded_flush(const char *what, lxdb *db, const char *wanted)
{
    record(what);
    CHECK_OK(db, lxdb_flush(db));
    expect(true, wanted);
}

/* ---- Cases ----------------------------------------------------------------------------------- */

static const lxdb_options mode_none;
static const lxdb_options mode_full = {.sync = LXDB_SYNC_FULL};
static const lxdb_options mode_interval = {.sync = LXDB_SYNC_INTERVAL,
                                           .sync_interval_ms = 3600000u};
static const lxdb_options keeping = {.helpers = LXDB_HELPERS_KEEP};

static void mode_none_has_its_order(void)
{
    lxdb *db;

    harness_count_least("orders compared", 49); /* of all cases */
    harness_count_least("calls recorded", 200);
    harness_count_least("rules applied", 150);
    use(harness_path("none"));
    db = recorded_open("creation", mode_none,
                       "open directory\n"
                       "create data\n"
                       "create lock\n"
                       "open lock\n"
                       "allocate lock\n"
                       "write header of data\n"
                       "sync data\n"
                       "sync directory\n"
                       "create index\n"
                       "allocate index\n"
                       "= ready\n");
    recorded_put("first put of a session", db, "a", false,
                 "allocate data\n"
                 "store watermark in data\n"
                 "sync data\n"
                 "= session\n"
                 "store records in data\n"
                 "= tail\n");
    recorded_put("put", db, "b", false,
                 "store records in data\n"
                 "= tail\n");
    recorded_put("put over a key", db, "a", false,
                 "store records in data\n"
                 "= tail\n"
                 "store status in data\n");
    recorded_delete("delete", db, "a", false,
                    "store records in data\n"
                    "= tail\n"
                    "store status in data\n");
    recorded_batch("batch", db, "b", false,
                   "store records in data\n"
                   "= tail\n"
                   "store status in data\n");
    recorded_flush("flush", db,
                   "sync records of data\n"
                   "store watermark in data\n"
                   "= durable\n");
    recorded_flush("flush with nothing to do", db, "");
    recorded_put("put after a flush", db, "b", false,
                 "store records in data\n"
                 "= tail\n");
    recorded_flush("flush within a second", db,
                   "sync records of data\n"
                   "= durable\n");
    recorded_put("put again", db, "b", false,
                 "store records in data\n"
                 "= tail\n"
                 "store status in data\n");
    stopped_clock += 2000;
    recorded_flush("flush after a second", db,
                   "sync records of data\n"
                   "store watermark in data\n"
                   "= durable\n");
    recorded_close("clean close", db, true,
                   "sync data\n"
                   "store watermark 0 in data\n"
                   "cut data\n"
                   "sync data\n"
                   "= not ready\n"
                   "unlink index\n"
                   "unlink lock\n");
    no_faults();
}

static void mode_full_has_its_order(void)
{
    lxdb *first, *second;

    use(harness_path("full"));
    first = recorded_open("creation for mode full", mode_full,
                          "open directory\n"
                          "create data\n"
                          "create lock\n"
                          "open lock\n"
                          "allocate lock\n"
                          "write header of data\n"
                          "sync data\n"
                          "sync directory\n"
                          "create index\n"
                          "allocate index\n"
                          "= ready\n");
    recorded_put("first put of a session in mode full", first, "a", true,
                 "allocate data\n"
                 "store watermark in data\n"
                 "sync data\n"
                 "= session\n"
                 "store records in data\n"
                 "= tail\n"
                 "sync records of data\n"
                 "store watermark in data\n"
                 "= durable\n");
    recorded_put("put in mode full", first, "b", true,
                 "store records in data\n"
                 "= tail\n"
                 "sync records of data\n"
                 "= durable\n");
    recorded_put("put over a key in mode full", first, "a", true,
                 "store records in data\n"
                 "= tail\n"
                 "store status in data\n"
                 "sync records of data\n"
                 "= durable\n");
    recorded_delete("delete in mode full", first, "a", true,
                    "store records in data\n"
                    "= tail\n"
                    "store status in data\n"
                    "sync records of data\n"
                    "= durable\n");
    recorded_batch("batch in mode full", first, "b", true,
                   "store records in data\n"
                   "= tail\n"
                   "store status in data\n"
                   "sync records of data\n"
                   "= durable\n");
    stopped_clock += 2000;
    recorded_put("put in mode full after a second", first, "b", true,
                 "store records in data\n"
                 "= tail\n"
                 "sync records of data\n"
                 "store watermark in data\n"
                 "= durable\n");
    second = recorded_open("opening in use", mode_full,
                           "open directory\n"
                           "open data\n"
                           "open lock\n"
                           "open data\n"
                           "open index\n");
    recorded_put("put through the second handle", second, "b", true,
                 "store records in data\n"
                 "= tail\n"
                 "store status in data\n"
                 "sync records of data\n"
                 "= durable\n");
    recorded_close("close while others are there", first, true, "");
    recorded_close("last close", second, true,
                   "sync data\n"
                   "store watermark 0 in data\n"
                   "cut data\n"
                   "sync data\n"
                   "= not ready\n"
                   "unlink index\n"
                   "unlink lock\n");
    no_faults();
}

static void mode_interval_has_its_order(void)
{
    lxdb *db;

    use(harness_path("interval"));
    db = recorded_open("creation for mode interval", mode_interval,
                       "open directory\n"
                       "create data\n"
                       "create lock\n"
                       "open lock\n"
                       "allocate lock\n"
                       "write header of data\n"
                       "sync data\n"
                       "sync directory\n"
                       "create index\n"
                       "allocate index\n"
                       "= ready\n");
    recorded_put("first put of a session in mode interval", db, "a", false,
                 "allocate data\n"
                 "store watermark in data\n"
                 "sync data\n"
                 "= session\n"
                 "store records in data\n"
                 "= tail\n");
    recorded_put("put in mode interval", db, "b", false,
                 "store records in data\n"
                 "= tail\n");
    recorded_close("close in mode interval", db, true,
                   "sync records of data\n"
                   "store watermark in data\n"
                   "= durable\n"
                   "sync data\n"
                   "store watermark 0 in data\n"
                   "cut data\n"
                   "sync data\n"
                   "= not ready\n"
                   "unlink index\n"
                   "unlink lock\n");
    no_faults();
}

#define COPIED                                                                                     \
    "create compact\n"                                                                             \
    "allocate compact\n"                                                                           \
    "create compact-index\n"                                                                       \
    "allocate compact-index\n"                                                                     \
    "allocate compact\n"                                                                           \
    "write header of compact\n" /* with the records behind it */
#define SWITCHED                                                                                   \
    "= swap recorded\n"                                                                            \
    "open data\n"                                                                                  \
    "open compact\n"                                                                               \
    "rename compact to data\n"                                                                     \
    "open index\n"                                                                                 \
    "open compact-index\n"                                                                         \
    "rename compact-index to index\n"                                                              \
    "sync directory\n"                                                                             \
    "= generation\n"                                                                               \
    "open data\n"                                                                                  \
    "open index\n"

/* With more than is left for the writer lock. */
static void *replace_z(void *db)
{
    static const char large[200000];

    CHECK_OK(db, lxdb_write(db, "z", 1, large, sizeof large));
    return NULL;
}

/* Another thread's calls are not recorded. */
static void have_z_replaced(lxdb *db)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, replace_z, db) == 0, "no thread");
    CHECK(pthread_join(thread, NULL) == 0, "a thread is lost");
}

static void compaction_has_its_order(void)
{
    lxdb *db;

    use(harness_path("swap"));
    db = harness_open(base_path, mode_none);
    CHECK_OK(db, lxdb_write(db, "z", 1, "some value", 10));
    CHECK_OK(NULL, lxdb_close(db));
    db = recorded_open("opening a closed file", mode_none,
                       "open directory\n"
                       "open data\n"
                       "create lock\n"
                       "open lock\n"
                       "allocate lock\n"
                       "create index\n"
                       "allocate index\n"
                       "= ready\n");
    recorded_put("first put", db, "a", false,
                 "allocate data\n"
                 "store watermark in data\n"
                 "sync data\n"
                 "= session\n"
                 "store records in data\n"
                 "= tail\n");
    recorded_put("put over it", db, "a", false,
                 "store records in data\n"
                 "= tail\n"
                 "store status in data\n");
    record("compaction");
    CHECK_OK(db, lxdb_compact(db, NULL));
    expect(true, COPIED "sync compact\n"
                        "store watermark in compact\n"
                        "sync records of compact\n" SWITCHED);
    recorded_put("put after a compaction", db, "a", false,
                 "store records in data\n"
                 "= tail\n"
                 "store status in data\n");
    recorded_flush("flush after a compaction", db,
                   "sync records of data\n"
                   "store watermark in data\n"
                   "= durable\n");
    during_copy = have_z_replaced;
    during_copy_arg = db;
    record("compaction beside a put");
    CHECK_OK(db, lxdb_compact(db, NULL));
    expect(true, COPIED "sync compact\n"
                        "= tail\n"
                        "store records in compact\n" /* what was put meanwhile */
                        "store watermark in compact\n"
                        "sync records of compact\n"
                        "store records in compact\n" /* the status byte of what that replaced */
           SWITCHED);
    recorded_close("close after a compaction", db, true,
                   "sync data\n"
                   "store watermark 0 in data\n"
                   "cut data\n"
                   "sync data\n"
                   "= not ready\n"
                   "unlink index\n"
                   "unlink lock\n");
    no_faults();
}

static void kept_index_has_its_order(void)
{
    lxdb *db;

    use(harness_path("kept"));
    db = recorded_open("creation, to keep the index", keeping,
                       "open directory\n"
                       "create data\n"
                       "create lock\n"
                       "open lock\n"
                       "allocate lock\n"
                       "write header of data\n"
                       "sync data\n"
                       "sync directory\n"
                       "create index\n"
                       "allocate index\n"
                       "= ready\n");
    recorded_put("first put, before an index is kept", db, "a", false,
                 "allocate data\n"
                 "store watermark in data\n"
                 "sync data\n"
                 "= session\n"
                 "store records in data\n"
                 "= tail\n");
    recorded_close("close that keeps the index", db, true,
                   "sync data\n"
                   "store watermark 0 in data\n"
                   "cut data\n"
                   "sync data\n"
                   "= not ready\n"
                   "sync index\n"
                   "= index clean\n");
    db = recorded_open("opening with a kept index", keeping,
                       "open directory\n"
                       "open data\n"
                       "open lock\n"
                       "open index\n"
                       "= ready\n"
                       "= index not clean\n");
    recorded_put("first put beside a kept index", db, "b", false,
                 "allocate data\n"
                 "store watermark in data\n"
                 "sync data\n"
                 "= session\n"
                 "store records in data\n"
                 "= tail\n");
    recorded_close("close that keeps the index again", db, true,
                   "sync data\n"
                   "store watermark 0 in data\n"
                   "cut data\n"
                   "sync data\n"
                   "= not ready\n"
                   "sync index\n"
                   "= index clean\n");
    db = recorded_open("opening again with a kept index", keeping,
                       "open directory\n"
                       "open data\n"
                       "open lock\n"
                       "open index\n"
                       "= ready\n"
                       "= index not clean\n");
    recorded_close("close with nothing written", db, true,
                   "= not ready\n"
                   "sync index\n"
                   "= index clean\n");
    no_faults();
}

/* ---- After a kill ---------------------------------------------------------------------------- */

static void put_and_wait_to_be_killed(void *arg)
{
    lxdb *db = harness_open(base_path, mode_none);

    (void)arg;
    CHECK_OK(db, lxdb_write(db, "a", 1, "some value", 10));
    CHECK_OK(db, lxdb_write(db, "a", 1, "other value", 11));
    CHECK_OK(db, lxdb_write(db, "b", 1, "last value", 10));
    harness_progress();
    for (;;)
        (void)pause();
}

static void make_and_kill(void)
{
    int worker = harness_start("writer", put_and_wait_to_be_killed, NULL);

    harness_await_steps(worker, 1);
    harness_kill(worker);
    harness_count("kills", 1);
}

static void recovery_after_a_kill_has_its_order(void)
{
    lxdb *db;

    use(harness_path("killed"));
    make_and_kill();
    db = recorded_open("recovery after a kill", mode_none,
                       "open directory\n"
                       "open data\n"
                       "open lock\n"
                       "= not ready\n"
                       "open index\n"
                       "sync directory\n"
                       "unlink index\n"
                       "create index\n"
                       "allocate index\n"
                       "sync data\n"
                       "store watermark in data\n"
                       "= ready\n");
    recorded_put("first put after a recovery", db, "b", false,
                 "store records in data\n"
                 "= tail\n"
                 "store status in data\n");
    recorded_close("close after a recovery", db, true,
                   "sync data\n"
                   "store watermark 0 in data\n"
                   "cut data\n"
                   "sync data\n"
                   "= not ready\n"
                   "unlink index\n"
                   "unlink lock\n");
    no_faults();
}

/* As after a loss of power: the lock file is of no use, the last record is torn, and the one before
 * it lost the status byte that says it is dead. */
static void recovery_that_cuts_has_its_order(void)
{
    unsigned char *bytes;
    char helper[4200];
    void *image;
    size_t len, end;
    lxdb *db;

    use(harness_path("torn"));
    make_and_kill();
    (void)snprintf(helper, sizeof(helper), "%s-lock", base_path);
    CHECK(unlink(helper) == 0, "%s: %s", helper, strerror(errno));
    CHECK(harness_file_read(base_path, &image, &len), "no data file");
    bytes = image;
    end = len;
    while (end > HEADER_SIZE && bytes[end - 1] == 0)
        end--;
    CHECK(bytes[HEADER_SIZE] == 0, "the first record is to be dead");
    bytes[end - 1] ^= 1;
    bytes[HEADER_SIZE] = 1;
    harness_file_write(base_path, image, len);
    free(image);
    db = recorded_open("recovery that cuts", mode_none,
                       "open directory\n"
                       "open data\n"
                       "create lock\n"
                       "open lock\n"
                       "allocate lock\n"
                       "open index\n"
                       "sync directory\n"
                       "create lost\n"
                       "write lost\n"
                       "sync lost\n"
                       "sync directory\n"
                       "cut data\n"
                       "sync data\n"
                       "unlink index\n"
                       "create index\n"
                       "allocate index\n"
                       "store status in data\n"
                       "sync data\n"
                       "store watermark in data\n"
                       "= ready\n");
    recorded_put("first put after a cut", db, "b", false,
                 "allocate data\n"
                 "store records in data\n"
                 "= tail\n");
    recorded_close("close after a cut", db, true,
                   "sync data\n"
                   "store watermark 0 in data\n"
                   "cut data\n"
                   "sync data\n"
                   "= not ready\n"
                   "unlink index\n"
                   "unlink lock\n");
    no_faults();
}

/* ---- The interval ---------------------------------------------------------------------------- */

struct promise {
    lxdb *db;
    uint64_t stores;   /* when the commit had returned */
    uint64_t position; /* of its end */
};

static bool is_synced(void *arg)
{
    const struct promise *promise = arg;

    return atomic_load(&stores_synced) >= promise->stores;
}

static bool is_durable(void *arg)
{
    const struct promise *promise = arg;
    lxdb_stat_info info;

    CHECK_OK(promise->db, lxdb_stat(promise->db, &info));
    return info.durable >= promise->position;
}

/* Nobody calls the library between the commit and the sync of what it stored. */
static void interval_commit_is_synced_without_another_call(void)
{
    lxdb_options options = {.sync = LXDB_SYNC_INTERVAL, .sync_interval_ms = 20};
    struct promise promise;
    uint64_t before;

    harness_count_least("syncs that came by themselves", 10);
    base_path = harness_path("due");
    stopped_clock = 0;
    promise.db = harness_open(base_path, options);
    for (unsigned round = 0; harness_goes_on(round, 10); round++) {
        CHECK_OK(promise.db, lxdb_write(promise.db, "a", 1, "some value", 10));
        promise.stores = atomic_load(&stores);
        harness_until("a sync that nobody asked for", is_synced, &promise);
        CHECK_OK(promise.db, lxdb_position(promise.db, &promise.position));
        harness_until("the position to be durable", is_durable, &promise);
        before = atomic_load(&syncs);
        CHECK_OK(promise.db, lxdb_wait_durable(promise.db, promise.position, 0));
        CHECK(atomic_load(&syncs) == before, "waiting for what is durable has synced again");
        harness_count("syncs that came by themselves", 1);
    }
    CHECK_OK(NULL, lxdb_close(promise.db));
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(mode_none_has_its_order),
        HARNESS_CASE(mode_full_has_its_order),
        HARNESS_CASE(mode_interval_has_its_order),
        HARNESS_CASE(compaction_has_its_order),
        HARNESS_CASE(kept_index_has_its_order),
        HARNESS_CASE(recovery_after_a_kill_has_its_order),
        HARNESS_CASE(recovery_that_cuts_has_its_order),
        HARNESS_CASE(interval_commit_is_synced_without_another_call),
    };

    install();
    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
