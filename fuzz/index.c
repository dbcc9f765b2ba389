/* SPDX-License-Identifier: MIT */
/*
 * Damage to the index and the lock file beside a good log. The log and its index are made once; for
 * each input they are copied, harmed and used. The input:
 *
 *     0   1  modulo 4, when and how (enum when); bit 2: the helper files are kept at the close;
 *            bit 3: the log is that of a crashed session, of which all was flushed
 *     1   1  n, modulo HARMS + 1
 *     2   8n harms: kind, place (2), how, value (4)
 *         3  each, to the end: operations: what, key (2)
 *
 * Before an opening, a harm that no checksum was made for after it changes no answer. In an index
 * that is in use, or that was sealed again over the damage, it may cost a miss or LXDB_CORRUPT, or
 * show an older version of a key that a change has missed, also one that was deleted since; never
 * what is not the key's, a crash, or a wait. Then the helper files go, and every key is as
 * acknowledged, or as a change that failed would have left it.
 *
 * That probes are bounded shows in that every input ends: nobody else changes the index, so nothing
 * that is looked at twice may differ.
 */
#include "base/byteorder.h"
#include "format/header.h"
#include "fuzz/driver.h"
#include "fuzz/scratch.h"
#include "lxdb.h"
#include "store/index.h"
#include "store/layout.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Nearly as many as a segment holds, so that some more split it. */
#define KEYS 1790u
#define MADE 1770u
#define HARMS 8u
#define STEPS 200u
#define FILE_MOST (UINT64_C(64) << 20)

const char fuzz_name[] = "index";

enum when {
    WHEN_SEALED,   /* sealed, then harmed */
    WHEN_RESEALED, /* harmed, then sealed */
    WHEN_IN_USE,
    WHEN_AWAY /* harmed, and not sealed for this file; the lock file too */
};

struct copy {
    uint8_t *bytes;
    size_t len;
};

/* Versions are 0 (not there) or growing numbers. */
struct key {
    uint32_t acked;
    uint32_t pending; /* of a change that failed: it may have taken effect; else as acked */
    uint32_t newest;  /* of the last change that was acknowledged, a removal too */
    bool removing;    /* pending is a removal */
};

static struct copy good_data, good_index;
static struct lx_index_seal good_seal;
static size_t good_segment, good_directory; /* in the index file */

static struct {
    struct key keys[KEYS];
    uint32_t version;
    bool lossy;   /* misses are allowed */
    bool doubled; /* some change has missed its key, or failed */
} run;

struct value {
    uint32_t number, version;
};

static size_t key_make(char key[16], unsigned number)
{
    return (size_t)snprintf(key, 16, "k%04u", number);
}

/* ---- the log and its index, once ------------------------------------------------------------- */

static lxdb *open_it(bool keep)
{
    lxdb_options options = {.size = sizeof options,
                            .flags = LXDB_ANYFS | LXDB_NOAUTOCOMPACT,
                            .helpers = keep ? LXDB_HELPERS_KEEP : LXDB_HELPERS_REMOVE};
    lxdb *db = NULL;
    int rc = lxdb_open(scratch_path, &options, &db);

    FUZZ_CHECK(rc == LXDB_OK, "opening: %d, %s", rc, lxdb_errmsg(NULL));
    return db;
}

static int write_version(lxdb *db, unsigned number, uint32_t version)
{
    struct value value = {number, version};
    char key[16];
    size_t len = key_make(key, number);

    return lxdb_write(db, key, len, &value, sizeof value);
}

static void make_good(void)
{
    lxdb *db;
    const struct lx_index_head *head;

    scratch_clear();
    db = open_it(true);
    for (unsigned i = 0; i < MADE; i++)
        FUZZ_CHECK(write_version(db, i, 1) == LXDB_OK, "%s", lxdb_errmsg(db));
    for (unsigned i = 0; i < MADE; i += 100) {
        char key[16];
        size_t len = key_make(key, i);

        FUZZ_CHECK(lxdb_delete(db, key, len) == LXDB_OK, "%s", lxdb_errmsg(db));
    }
    FUZZ_CHECK(lxdb_close(db) == LXDB_OK, "%s", lxdb_errmsg(NULL));
    good_data.bytes = scratch_read("", &good_data.len);
    good_index.bytes = scratch_read("-index", &good_index.len);
    FUZZ_CHECK(good_index.bytes != NULL, "the index is not kept");
    head = (const void *)good_index.bytes;
    good_seal = head->seal;
    good_directory = (size_t)(lx_directory_start(head->directory) * LX_SEGMENT_SIZE);
    good_segment =
        (size_t)(lx_entry_segment(*(uint64_t *)(void *)(good_index.bytes + good_directory)) *
                 LX_SEGMENT_SIZE);
}

void fuzz_start(void)
{
    const struct rlimit most = {FILE_MOST, FILE_MOST};

    /* room enough, unless damage asks for it */
    FUZZ_CHECK(setrlimit(RLIMIT_FSIZE, &most) == 0, "%s", strerror(errno));
    scratch_make();
    make_good();
}

void fuzz_end(void)
{
    free(good_data.bytes);
    free(good_index.bytes);
    scratch_remove();
}

/* ---- harm ------------------------------------------------------------------------------------ */

static uint64_t worse(unsigned how, uint32_t value, uint64_t word)
{
    switch (how % 10) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return UINT64_MAX;
    case 3:
        return word + 1;
    case 4:
        return word - 1;
    case 5:
        return value;
    case 6:
        return word ^ (uint64_t)value << 32;
    case 7:
        return word ^ value;
    case 8:
        return (uint64_t)value << (how / 10 % 33);
    default:
        return word ^ UINT64_C(1) << value % 64;
    }
}

/* A word of `size` bytes at `off` of a file in memory, if it is in there. */
static void hit(struct copy *file, size_t off, size_t size, unsigned how, uint32_t value)
{
    uint64_t word = 0;

    if (off + size > file->len)
        return;
    memcpy(&word, file->bytes + off, size);
    word = worse(how, value, word);
    memcpy(file->bytes + off, &word, size);
    fuzz_reached("words harmed");
}

/* A slot becomes a copy of another, or both change places. */
static void mix(struct copy *index, size_t a, size_t b, bool swap)
{
    uint64_t of_a, of_b;

    if (a + 8 > index->len || b + 8 > index->len)
        return;
    memcpy(&of_a, index->bytes + a, 8);
    memcpy(&of_b, index->bytes + b, 8);
    memcpy(index->bytes + a, &of_b, 8);
    if (swap)
        memcpy(index->bytes + b, &of_a, 8);
    fuzz_reached("slots mixed");
}

static size_t slot_at(unsigned number)
{
    return good_segment + offsetof(struct lx_segment, buckets) + 8 * (number % LX_SEGMENT_SLOTS);
}

/* Only what is mapped in use keeps its length. */
static void harm(const uint8_t bytes[8], struct copy *index, struct copy *lock, bool in_use)
{
    unsigned place = (unsigned)bytes[1] << 8 | bytes[2], how = bytes[3];
    uint32_t value = (uint32_t)bytes[4] << 24 | (uint32_t)bytes[5] << 16 | (uint32_t)bytes[6] << 8 |
                     bytes[7];

    switch (bytes[0] % 9) {
    case 0:
        hit(index, place % (sizeof(struct lx_index_head) / 8) * 8, 8, how, value);
        break;
    case 1:
        hit(index, good_directory + place % 4 * 8, 8, how, value);
        break;
    case 2:
        hit(index, good_segment + place % 8 * 4, 4, how, value);
        break;
    case 3:
        hit(index, good_segment + offsetof(struct lx_segment, homes) + place % LX_SEGMENT_SLOTS * 2,
            2, how, value);
        break;
    case 4:
        mix(index, slot_at(place), slot_at(value), how & 1);
        break;
    case 5:
        hit(index, place % (good_index.len / 8) * 8, 8, how, value);
        break;
    case 6:
        hit(lock, place % (LX_CONTROL_SIZE / 8) * 8, how & 1 ? 8 : 4, how, value);
        break;
    case 7:
        if (!in_use)
            (how & 1 ? lock : index)->len = place %
                                            ((how & 1 ? LX_CONTROL_SIZE : good_index.len) + 1);
        break;
    default:
        hit(index, slot_at(place), 8, how, value);
    }
}

static void harm_all(const uint8_t *harms, unsigned n, struct copy *index, struct copy *lock,
                     bool in_use)
{
    for (unsigned i = 0; i < n; i++)
        harm(harms + 8 * (size_t)i, index, lock, in_use);
}

/* The index file as a copy in a shared mapping. */
static struct copy map_index(void)
{
    char path[400];
    struct stat st;
    struct copy copy;
    int fd;

    snprintf(path, sizeof path, "%s-index", scratch_path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));
    copy.len = (size_t)st.st_size;
    copy.bytes = mmap(NULL, copy.len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    FUZZ_CHECK(copy.bytes != MAP_FAILED, "%s: %s", path, strerror(errno));
    close(fd);
    return copy;
}

/* Make the index that was put beside the data file one of this data file. What of `seal` was
 * harmed stays so. */
static void seal(struct lx_index_seal seal)
{
    lx_file_info info;
    char path[400];
    lx_index index;
    int fd = open(scratch_path, O_RDONLY | O_CLOEXEC);

    FUZZ_CHECK(fd >= 0 && lx_file_info_get(fd, scratch_path, &info) == LXDB_OK, "%s", scratch_path);
    close(fd);
    if (lx_file_id_equal(&seal.data, &good_seal.data))
        seal.data = info.id;
    if (seal.data_change_ns == good_seal.data_change_ns)
        seal.data_change_ns = info.change_ns;
    snprintf(path, sizeof path, "%s-index", scratch_path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (lx_index_open(fd, path, true, &index) != LXDB_OK) {
        close(fd);
        return;
    }
    if (lx_index_seal(&index, &seal) == LXDB_OK)
        fuzz_reached("indexes sealed");
    lx_index_close(&index);
}

static void unseal_entries(struct copy *index)
{
    uint64_t entry;

    if (good_directory + 8 > index->len)
        return;
    memcpy(&entry, index->bytes + good_directory, 8);
    entry &= ~LX_ENTRY_SEALED;
    memcpy(index->bytes + good_directory, &entry, 8);
}

static void prepare(enum when when, bool crashed, const uint8_t *harms, unsigned n)
{
    static uint8_t control[LX_CONTROL_SIZE];
    struct copy index = {malloc(good_index.len), good_index.len}, lock = {control, sizeof control};
    struct lx_index_seal with = good_seal;

    FUZZ_CHECK(index.bytes != NULL, "out of memory");
    memcpy(index.bytes, good_index.bytes, index.len);
    memset(control, 0, sizeof control);
    if (when == WHEN_RESEALED || when == WHEN_AWAY)
        harm_all(harms, n, &index, &lock, false);
    if (when == WHEN_RESEALED)
        unseal_entries(&index);
    if (when == WHEN_RESEALED && index.len >= sizeof(struct lx_index_head))
        memcpy(&with, index.bytes + offsetof(struct lx_index_head, seal), sizeof with);
    scratch_clear();
    lx_put32(good_data.bytes + LX_WATERMARK_OFFSET,
             crashed ? lx_watermark_encode(good_data.len) : 0);
    scratch_write("", good_data.bytes, good_data.len);
    scratch_write("-index", index.bytes, index.len);
    if (when == WHEN_AWAY)
        scratch_write("-lock", lock.bytes, lock.len);
    free(index.bytes);
    if (when == WHEN_SEALED || when == WHEN_RESEALED)
        seal(with);
    if (when == WHEN_SEALED) {
        struct copy mapped = map_index(), none = {NULL, 0};

        harm_all(harms, n, &mapped, &none, true);
        munmap(mapped.bytes, good_index.len);
    }
}

/* ---- what may be seen ------------------------------------------------------------------------ */

/* A code that damage may lead to: then nothing is known, but nothing is wrong. */
static bool excused(int rc)
{
    if (!run.lossy || (rc != LXDB_CORRUPT && rc != LXDB_NOSPACE))
        return false;
    fuzz_reached(rc == LXDB_CORRUPT ? "LXDB_CORRUPT answered" : "LXDB_NOSPACE answered");
    return true;
}

static bool is_right(const struct key *key, uint32_t version)
{
    return version == key->acked || (version == 0 ? key->removing : version == key->pending);
}

/* `version`, 0 for none, was seen of a key. */
static void judge(unsigned number, uint32_t version, bool older)
{
    const struct key *key = &run.keys[number];

    if (is_right(key, version))
        return;
    FUZZ_CHECK(run.lossy, "key %u has version %u, not %u", number, version, key->acked);
    fuzz_reached(version == 0 ? "misses" : "older versions");
    FUZZ_CHECK(version == 0 || (older && version < key->newest),
               "key %u has version %u, which is none of its own before %u", number, version,
               key->newest);
}

static void read_one(lxdb *db, unsigned number)
{
    struct value value = {0, 0};
    char key[16];
    size_t len, key_len = key_make(key, number);
    int rc = lxdb_read(db, key, key_len, &value, sizeof value, &len);

    if (excused(rc))
        return;
    FUZZ_CHECK(rc == LXDB_OK || rc == LXDB_NOTFOUND, "read: %d, %s", rc, lxdb_errmsg(db));
    FUZZ_CHECK(rc != LXDB_OK || (len == sizeof value && value.number == number),
               "key %u has another's value", number);
    judge(number, rc == LXDB_OK ? value.version : 0, run.doubled);
}

static void iterate(lxdb *db)
{
    const void *key, *value;
    size_t key_len, value_len;
    lxdb_iter *iter;
    int rc = lxdb_iter_open(db, NULL, 0, 0, &iter);

    if (excused(rc))
        return;
    FUZZ_CHECK(rc == LXDB_OK, "iter_open: %d, %s", rc, lxdb_errmsg(db));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK) {
        struct value seen;
        char name[16];

        FUZZ_CHECK(value_len == sizeof seen, "an iteration gives a value of %zu bytes", value_len);
        memcpy(&seen, value, sizeof seen);
        FUZZ_CHECK(seen.number < KEYS && key_make(name, seen.number) == key_len &&
                       memcmp(name, key, key_len) == 0,
                   "an iteration gives a value that is not the key's");
        judge(seen.number, seen.version, true);
    }
    lxdb_iter_close(iter);
    FUZZ_CHECK(rc == LXDB_NOTFOUND || excused(rc), "iter_next: %d, %s", rc, lxdb_errmsg(db));
}

/* ---- changes --------------------------------------------------------------------------------- */

/* A poison word cannot be told from one that was made by a failed sync. A compaction ends it. */
static bool poisoned(lxdb *db, int rc)
{
    lxdb_stat_info info;

    if (rc != LXDB_IO)
        return false;
    FUZZ_CHECK(lxdb_stat(db, &info) == LXDB_OK && info.sync_errno != 0,
               "refused without a failed sync: %s", lxdb_errmsg(db));
    rc = lxdb_compact(db, NULL);
    FUZZ_CHECK(rc == LXDB_OK || excused(rc), "compact: %d, %s", rc, lxdb_errmsg(db));
    fuzz_reached("poison words");
    return true;
}

static void change(lxdb *db, unsigned number, bool remove, bool expects)
{
    struct key *key = &run.keys[number];
    uint32_t version = ++run.version;
    struct value value = {number, version};
    char name[16];
    size_t len = key_make(name, number);
    bool was = key->acked != 0;
    int rc;

    if (remove)
        rc = lxdb_delete(db, name, len);
    else if (!expects)
        rc = lxdb_write(db, name, len, &value, sizeof value);
    else
        rc = was ? lxdb_update(db, name, len, &value, sizeof value)
                 : lxdb_create(db, name, len, &value, sizeof value);
    if (poisoned(db, rc))
        return;
    if (excused(rc)) {
        run.doubled = true;
        key->removing |= remove;
        if (!remove)
            key->pending = version;
        return;
    }
    if (rc == LXDB_NOTFOUND || rc == LXDB_EXISTS) {
        bool right = remove && rc == LXDB_NOTFOUND && !was;

        FUZZ_CHECK(right || run.lossy, "a change of key %u: %d, %s", number, rc, lxdb_errmsg(db));
        run.doubled |= !right;
        return;
    }
    FUZZ_CHECK(rc == LXDB_OK, "a change of key %u: %d, %s", number, rc, lxdb_errmsg(db));
    run.doubled |= run.lossy; /* it may have missed the version before */
    key->acked = key->pending = remove ? 0 : version;
    key->newest = version;
    key->removing = false;
    fuzz_reached("changes");
}

static void step(lxdb *db, unsigned what, unsigned number)
{
    int rc;

    switch (what % 8) {
    case 0:
    case 1:
        for (unsigned i = 0; i < 40; i++)
            read_one(db, (number + i * 7) % KEYS);
        break;
    case 2:
        change(db, number, true, true);
        break;
    case 3:
    case 4:
        for (unsigned i = 0; i < 1 + what / 32; i++)
            change(db, (number + i) % KEYS, false, true);
        break;
    case 5:
        iterate(db);
        break;
    case 6:
        if (what / 8 == 31) {
            rc = lxdb_compact(db, NULL);
            FUZZ_CHECK(rc == LXDB_OK || excused(rc), "compact: %d, %s", rc, lxdb_errmsg(db));
        }
        break;
    default:
        change(db, number, false, false);
    }
}

/* ---- an input -------------------------------------------------------------------------------- */

static void check_all(void)
{
    uint64_t count, there = 0;
    char path[400];
    lxdb *db;

    snprintf(path, sizeof path, "%s-index", scratch_path);
    (void)unlink(path);
    snprintf(path, sizeof path, "%s-lock", scratch_path);
    (void)unlink(path);
    run.lossy = false;
    db = open_it(false);
    for (unsigned i = 0; i < KEYS; i++) {
        struct value value = {0, 0};
        char key[16];
        size_t len, key_len = key_make(key, i);
        int rc = lxdb_read(db, key, key_len, &value, sizeof value, &len);

        FUZZ_CHECK(rc == LXDB_OK || rc == LXDB_NOTFOUND, "in the end: %d, %s", rc, lxdb_errmsg(db));
        FUZZ_CHECK(is_right(&run.keys[i], value.version),
                   "in the end, key %u has version %u, not %u", i, value.version,
                   run.keys[i].acked);
        there += rc == LXDB_OK;
    }
    FUZZ_CHECK(lxdb_count(db, &count) == LXDB_OK && count == there,
               "%llu keys are counted, %llu are there", (unsigned long long)count,
               (unsigned long long)there);
    FUZZ_CHECK(lxdb_close(db) == LXDB_OK, "%s", lxdb_errmsg(NULL));
}

int fuzz_one(uint8_t *data, size_t len)
{
    struct fuzz_input input = fuzz_input(data, len);
    unsigned first = fuzz_byte(&input), n = fuzz_byte(&input) % (HARMS + 1);
    enum when when = (enum when)(first % 4);
    const uint8_t *harms = input.at;
    lxdb *db;
    int rc;

    if (input.left < 8 * (size_t)n)
        return 1;
    input.at += 8 * (size_t)n;
    input.left -= 8 * (size_t)n;
    memset(&run, 0, sizeof run);
    run.version = 1;
    for (unsigned i = 0; i < MADE; i++)
        run.keys[i].acked = run.keys[i].pending = run.keys[i].newest = i % 100 != 0;
    prepare(when, first & 8, harms, n);
    run.lossy = when == WHEN_RESEALED;
    db = open_it(first & 4);
    if (when == WHEN_IN_USE) {
        struct copy mapped = map_index(), none = {NULL, 0};

        run.lossy = true;
        harm_all(harms, n, &mapped, &none, true);
        munmap(mapped.bytes, mapped.len);
    }
    for (unsigned i = 0; i < STEPS && input.left >= 3; i++) {
        unsigned what = fuzz_byte(&input);

        step(db, what, fuzz_short(&input) % KEYS);
    }
    for (unsigned i = 0; i < KEYS; i += 3)
        read_one(db, i);
    rc = lxdb_close(db);
    FUZZ_CHECK(rc == LXDB_OK || excused(rc) || rc == LXDB_IO, "close: %d, %s", rc,
               lxdb_errmsg(NULL));
    check_all();
    return 0;
}
