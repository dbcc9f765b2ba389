/* SPDX-License-Identifier: MIT */
/*
 * Every bit of a data file, flipped: what becomes of it is what handlog.c works out from the
 * lengths of the records, and nothing else.
 *
 * The stores are made through the public interface, by the operations of ten kinds, and are closed,
 * or as a crash leaves them: copied while they are open, with padding. What the interface has no
 * call for yet (expiry) and what only a death leaves (PAD) is written by hand, between two
 * sessions. A store is judged only if its file is, to the byte, what handlog.c says that it is.
 *
 * For each flip of each store:
 *
 *   verify    the report, every number of it, and its code; the file is not changed
 *   open      a handle that may write: the receipt, every key, count, and iteration in its order;
 *             once it is closed, the file to the byte, the -lost file, and no helper file
 *   read      one in READ_EVERY: the same of a read-only handle, which changes nothing
 *   write     one in WRITE_EVERY: opening, a write, closing; then the same keys are there
 *
 * Syncs do nothing, and files grow as holes: nobody cuts the power here, and the disk is not full.
 *
 * A run has ten stores of about STORE_BYTES bytes, all bits of them. LXDB_TEST_SCALE makes them
 * longer, up to STORE_BYTES_MAX; from there on, and with LXDB_TEST_SECONDS, it is twenty stores of
 * that length a round.
 */
#include "lxdb.h"
#include "sys/io.h"
#include "tests/concurrency/harness.h"
#include "tests/crash/handlog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STORE_BYTES 256u
#define STORE_BYTES_MAX (16u << 10)
#define ROUND_SCALE (STORE_BYTES_MAX / STORE_BYTES)
#define STRIDE 7919u
#define PADDING 37u
#define READ_EVERY 4u
#define WRITE_EVERY 8u
#define IMAGE_MAX (2 * STORE_BYTES_MAX)
#define VALUE_MAX 4096u
#define WHERE_MAX 400u
#define LONG_AGO_MS 1000
#define FAR_AWAY_MS INT64_C(4102444800000) /* 2100 */

/* ---- The disk -------------------------------------------------------------------------------- */

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

static int no_sync_of_range(void *addr, size_t len, int fd)
{
    (void)addr;
    (void)len;
    return no_sync(fd);
}

/* The size alone: blocks that nobody writes to are not worth their allocation. */
static int no_blocks(int fd, int mode, off_t off, off_t len)
{
    struct stat info;

    (void)mode;
    if (fstat(fd, &info) != 0)
        return -1;
    return info.st_size >= off + len ? 0 : ftruncate(fd, off + len);
}

static void disk_install(void)
{
    static struct lx_io table;

    table = lx_io_system;
    table.fdatasync = no_sync;
    table.fsync = no_sync;
    table.msync = no_sync_of_range;
    table.fallocate = no_blocks;
    lx_io = &table;
}

/* ---- Stores ---------------------------------------------------------------------------------- */

enum kind {
    KIND_PUTS,
    KIND_REPLACED,
    KIND_BATCHES,
    KIND_MARKERS,
    KIND_PADS,
    KIND_EXPIRIES,
    KIND_NAMESPACES,
    KIND_TYPED,
    KIND_RECORDS,
    KIND_COMPACTED,
    KINDS
};

static const char *const kind_names[KINDS] = {
    "puts",     "replaced",   "batches", "markers",           "pads",
    "expiries", "namespaces", "typed",   "values of records", "compacted",
};

struct store {
    struct hand_log log;
    enum kind kind;
    bool crashed;
    uint64_t bytes; /* about how long it is to be */
    const char *path;
    lxdb *db;
    harness_rng rng;
    uint8_t image[IMAGE_MAX];
    char label[200]; /* for reports */
};

struct key {
    char bytes[64];
    size_t len;
};

static struct key key_any(struct store *store)
{
    static const char *const names[] = {"", "team\0", "a\0"};
    static const size_t name_lens[] = {0, 5, 2};
    unsigned keys = 4 + (unsigned)(store->bytes / 128);
    unsigned name = store->kind == KIND_NAMESPACES ? (unsigned)harness_below(&store->rng, 3) : 0;
    struct key key = {.len = name_lens[name]};

    memcpy(key.bytes, names[name], key.len);
    key.len += (size_t)snprintf(key.bytes + key.len, sizeof(key.bytes) - key.len, "%" PRIx64,
                                harness_below(&store->rng, keys) * 37);
    return key;
}

/* Whole records of keys that are in the store, and of one that is not. */
static size_t value_of_records(struct store *store, uint8_t *value, size_t room)
{
    size_t len = harness_below(&store->rng, 4); /* something before them */

    for (size_t i = 0; i < len; i++)
        value[i] = (uint8_t)harness_random(&store->rng);
    for (uint64_t n = 1 + harness_below(&store->rng, 3); n > 0; n--) {
        struct key key = key_any(store);
        uint8_t ghost[16];
        uint32_t ghost_len = (uint32_t)harness_below(&store->rng, 8);

        memset(ghost, 'g', sizeof(ghost));
        if (harness_below(&store->rng, 3) == 0)
            key.bytes[0] = 'z';
        if (room - len < HAND_OVERHEAD + key.len + ghost_len)
            break;
        len += hand_live_record(value + len, key.bytes, (uint32_t)key.len, ghost, ghost_len);
    }
    return len;
}

static size_t value_any(struct store *store, uint8_t value[VALUE_MAX])
{
    bool is_long = store->bytes >= 4096 && harness_below(&store->rng, 64) == 0;
    size_t len = (size_t)harness_below(&store->rng, is_long               ? 1500
                                                    : store->bytes > 1000 ? 100
                                                                          : 14);

    if (store->kind == KIND_RECORDS && harness_below(&store->rng, 2) == 0)
        return value_of_records(store, value, store->bytes > 1000 ? 200 : 60);
    for (size_t i = 0; i < len; i++)
        value[i] = harness_below(&store->rng, 4) == 0 ? 0 : (uint8_t)harness_random(&store->rng);
    return len;
}

static void do_put(struct store *store)
{
    struct key key = key_any(store);
    uint8_t value[VALUE_MAX];
    size_t len = value_any(store, value);

    CHECK_OK(store->db, lxdb_write(store->db, key.bytes, key.len, value, len));
    hand_put(&store->log, key.bytes, key.len, value, len);
}

static void do_delete(struct store *store)
{
    struct key key = key_any(store);

    if (hand_find(&store->log, key.bytes, key.len) == NULL)
        return;
    CHECK_OK(store->db, lxdb_delete(store->db, key.bytes, key.len));
    hand_delete(&store->log, key.bytes, key.len);
}

static void do_typed(struct store *store)
{
    struct key key = key_any(store);
    char text[64], value[64];
    int64_t number = (int64_t)harness_random(&store->rng) >> harness_below(&store->rng, 60);
    size_t len;

    switch (harness_below(&store->rng, 3)) {
    case 0:
        CHECK_OK(store->db, lxdb_set_int(store->db, key.bytes, key.len, number));
        len = (size_t)snprintf(value, sizeof(value), "\1%" PRId64, number);
        break;
    case 1:
        len = (size_t)snprintf(text, sizeof(text), "t%" PRIx64, (uint64_t)number & 0xffff);
        CHECK_OK(store->db, lxdb_set_str(store->db, key.bytes, key.len, text, len));
        len = (size_t)snprintf(value, sizeof(value), "\1\"%s\"", text);
        break;
    default:
        len = (size_t)snprintf(value + 1, sizeof(value) - 1, "%" PRIx64, (uint64_t)number & 0xffff);
        CHECK_OK(store->db, lxdb_set_bytes(store->db, key.bytes, key.len, value + 1, len));
        value[0] = 0;
        len++;
        break;
    }
    hand_put(&store->log, key.bytes, key.len, value, len);
}

/* In a namespace, through its handle. */
static void do_in_namespace(struct store *store)
{
    struct key key = key_any(store);
    size_t name_len = strnlen(key.bytes, key.len) + 1;
    uint8_t value[VALUE_MAX];
    size_t len = value_any(store, value);
    lxdb *ns;

    if (name_len > key.len) {
        CHECK_OK(store->db, lxdb_write(store->db, key.bytes, key.len, value, len));
    } else {
        CHECK_OK(store->db, lxdb_namespace(store->db, key.bytes, &ns));
        CHECK_OK(ns, lxdb_write(ns, key.bytes + name_len, key.len - name_len, value, len));
        CHECK_OK(NULL, lxdb_close(ns));
    }
    hand_put(&store->log, key.bytes, key.len, value, len);
}

#define BATCH_MAX 4u

struct batch_change {
    struct key key;
    bool remove;
    uint8_t value[VALUE_MAX];
    size_t len;
};

static bool is_in(const struct batch_change *changes, uint32_t n, const struct key *key)
{
    for (uint32_t i = 0; i < n; i++)
        if (changes[i].key.len == key->len &&
            memcmp(changes[i].key.bytes, key->bytes, key->len) == 0)
            return true;
    return false;
}

static void do_batch(struct store *store)
{
    struct batch_change changes[BATCH_MAX];
    uint32_t n = 0, want = 2 + (uint32_t)harness_below(&store->rng, BATCH_MAX - 1);
    uint64_t bytes = 0;
    lxdb_batch *batch;

    CHECK_OK(store->db, lxdb_batch_begin(store->db, &batch));
    while (n < want) {
        struct batch_change *change = &changes[n];

        change->key = key_any(store);
        if (is_in(changes, n, &change->key))
            continue;
        change->remove = harness_below(&store->rng, 3) == 0 &&
                         hand_find(&store->log, change->key.bytes, change->key.len) != NULL;
        change->len = change->remove ? 0 : value_any(store, change->value);
        if (change->remove)
            CHECK_OK(store->db, lxdb_batch_delete(batch, change->key.bytes, change->key.len));
        else
            CHECK_OK(store->db, lxdb_batch_write(batch, change->key.bytes, change->key.len,
                                                 change->value, change->len));
        bytes += HAND_OVERHEAD + change->key.len + change->len;
        n++;
    }
    CHECK_OK(store->db, lxdb_batch_commit(batch, NULL, NULL));
    hand_batch(&store->log, n, bytes);
    for (uint32_t i = 0; i < n; i++) {
        const struct batch_change *change = &changes[i];

        if (change->remove)
            hand_delete(&store->log, change->key.bytes, change->key.len);
        else
            hand_put(&store->log, change->key.bytes, change->key.len, change->value, change->len);
    }
}

static void do_any(struct store *store)
{
    switch (store->kind) {
    case KIND_PUTS:
        do_put(store);
        break;
    case KIND_BATCHES:
        harness_below(&store->rng, 3) == 0 ? do_put(store) : do_batch(store);
        break;
    case KIND_MARKERS:
        harness_below(&store->rng, 2) == 0 ? do_put(store) : do_delete(store);
        break;
    case KIND_NAMESPACES:
        harness_below(&store->rng, 6) == 0 ? do_delete(store) : do_in_namespace(store);
        break;
    case KIND_TYPED:
        harness_below(&store->rng, 6) == 0 ? do_delete(store) : do_typed(store);
        break;
    default:
        harness_below(&store->rng, 6) == 0 ? do_delete(store) : do_put(store);
        break;
    }
}

static void do_until(struct store *store, uint64_t end)
{
    do
        do_any(store);
    while (store->log.end < end);
}

/* A put whose CRC ends with a zero, so that the data seems to end before the file does. */
static void put_ending_in_zero(struct store *store)
{
    uint8_t value[2], record[32];
    size_t len;

    for (unsigned try = 0;; try++) {
        CHECK(try < 65536, "no CRC ends with a zero");
        value[0] = (uint8_t)(try >> 8);
        value[1] = (uint8_t)try;
        len = hand_live_record(record, "zero", 4, value, sizeof(value));
        if (record[len - 1] == 0)
            break;
    }
    CHECK_OK(store->db, lxdb_write(store->db, "zero", 4, value, sizeof(value)));
    hand_put(&store->log, "zero", 4, value, sizeof(value));
}

/* What the interface does not write: at the end of the closed file. */
static void write_by_hand(struct store *store)
{
    uint8_t value[VALUE_MAX];
    size_t len = value_any(store, value);

    if (store->kind == KIND_PADS) {
        hand_pad(&store->log, HAND_PAD_MIN + harness_below(&store->rng, 20));
    } else if (store->kind == KIND_EXPIRIES) {
        hand_expiring(&store->log, HAND_OVERHEAD + 6 + len, FAR_AWAY_MS);
        hand_put(&store->log, "future", 6, value, len);
        hand_expiring(&store->log, HAND_OVERHEAD + 6 + len, FAR_AWAY_MS + 1);
        hand_put(&store->log, "future", 6, value, len); /* replaced before its time */
    }
    if (store->kind == KIND_EXPIRIES && !store->crashed) { /* a session would remove it */
        hand_expiring(&store->log, HAND_OVERHEAD + 4 + len, LONG_AGO_MS);
        hand_put(&store->log, "past", 4, value, len);
    }
    hand_encode(&store->log, store->image);
    harness_file_write(store->path, store->image, hand_size(&store->log));
}

static void session_open(struct store *store)
{
    store->db = harness_open(
        store->path, (lxdb_options){.helpers = LXDB_HELPERS_REMOVE, .flags = LXDB_NOAUTOCOMPACT});
}

static void session_close(struct store *store)
{
    CHECK_OK(NULL, lxdb_close(store->db));
    store->db = NULL;
}

/* The file is what the hand says. */
static void check_made(struct store *store, const void *bytes)
{
    uint8_t *mine = store->image;

    hand_encode(&store->log, mine);
    for (uint64_t i = 0; i < hand_size(&store->log); i++)
        CHECK(((const uint8_t *)bytes)[i] == mine[i], "%s: byte %" PRIu64 " is not as computed",
              store->label, i);
}

static void second_session(struct store *store)
{
    void *bytes;
    size_t len;

    session_open(store);
    store->log.watermark = store->log.end;
    do_any(store);
    if (store->kind == KIND_COMPACTED) {
        CHECK_OK(store->db, lxdb_compact(store->db, NULL));
        hand_compact(&store->log);
    }
    do_until(store, store->bytes);
    if (store->kind == KIND_PUTS)
        put_ending_in_zero(store);
    if (store->crashed) {
        store->log.padding = PADDING;
        CHECK(harness_file_read(store->path, &bytes, &len), "%s is gone", store->path);
        CHECK(len >= hand_size(&store->log), "%s: the file is too short", store->label);
        check_made(store, bytes);
        free(bytes);
    }
    session_close(store);
    if (!store->crashed) {
        store->log.watermark = 0;
        CHECK(harness_file_read(store->path, &bytes, &len), "%s is gone", store->path);
        CHECK(len == hand_size(&store->log), "%s: it is %zu bytes, not %" PRIu64, store->label, len,
              hand_size(&store->log));
        check_made(store, bytes);
        free(bytes);
    }
}

static void store_make(struct store *store)
{
    hand_start(&store->log);
    (void)snprintf(store->label, sizeof(store->label), "%s, %s", kind_names[store->kind],
                   store->crashed ? "crashed" : "closed");
    session_open(store);
    do_until(store, store->bytes / 2);
    session_close(store);
    write_by_hand(store);
    second_session(store);
    if (!store->crashed && store->kind == KIND_NAMESPACES)
        store->log.padding = PADDING; /* closed, but not by the last that had it open */
}

/* ---- What a flip comes to -------------------------------------------------------------------- */

/* Which flip it is, for reports; the supervisor reads it too, as the stage of this process. */
static char *where;

struct flip {
    struct store *store;
    uint64_t bit;
    const struct hand_verdict *verdict;
    int64_t now_ms;
    const char *where;
};

#define SAME(flip, what, got, want)                                                                \
    CHECK((uint64_t)(got) == (uint64_t)(want), "%s: %s is %" PRIu64 ", not %" PRIu64,              \
          (flip)->where, (what), (uint64_t)(got), (uint64_t)(want))

static void check_report(const struct flip *flip, const lxdb_report *report)
{
    const struct hand_verdict *verdict = flip->verdict;
    unsigned ranges = 0;

    SAME(flip, "crashed", report->crashed, verdict->crashed);
    SAME(flip, "bad_watermark", report->bad_watermark, verdict->bad_watermark);
    SAME(flip, "file_size", report->file_size, verdict->file_size);
    SAME(flip, "tail", report->tail, verdict->tail);
    SAME(flip, "watermark", report->watermark, verdict->watermark);
    SAME(flip, "records_live", report->records_live, verdict->live);
    SAME(flip, "records_dead", report->records_dead, verdict->dead);
    SAME(flip, "live_bytes", report->live_bytes, verdict->live_bytes);
    SAME(flip, "bytes_cut", report->bytes_cut, verdict->cut);
    SAME(flip, "bytes_damaged", report->bytes_damaged, verdict->damaged);
    SAME(flip, "dead_without_cause", report->dead_without_cause, verdict->without_cause);
    SAME(flip, "ranges_total", report->ranges_total, (verdict->damaged != 0) + (verdict->cut != 0));
    SAME(flip, "ranges_listed", report->ranges_listed, report->ranges_total);
    if (verdict->damaged != 0) {
        SAME(flip, "kind of the range", report->ranges[ranges].kind, LXDB_RANGE_DAMAGED);
        SAME(flip, "offset of the range", report->ranges[ranges].offset, verdict->damaged_at);
        SAME(flip, "length of the range", report->ranges[ranges].length, verdict->damaged);
        ranges++;
    }
    if (verdict->cut != 0) {
        SAME(flip, "kind of the cut", report->ranges[ranges].kind, LXDB_RANGE_CUT);
        SAME(flip, "offset of the cut", report->ranges[ranges].offset, verdict->tail);
        SAME(flip, "length of the cut", report->ranges[ranges].length, verdict->cut);
    }
}

static bool is_gone(const struct flip *flip, unsigned number)
{
    const struct hand_verdict *verdict = flip->verdict;

    return verdict->current[number] < 0 ||
           (verdict->expires_ms[number] != 0 && verdict->expires_ms[number] <= flip->now_ms);
}

static void check_key(const struct flip *flip, lxdb *db, const struct hand_record *record)
{
    uint8_t value[VALUE_MAX];
    size_t len = 0;

    if (is_gone(flip, record->key_number)) {
        CHECK_RC(db, LXDB_NOTFOUND, lxdb_exists(db, record->key, record->key_len));
        return;
    }
    record = &flip->store->log.records[flip->verdict->current[record->key_number]];
    CHECK_OK(db, lxdb_read(db, record->key, record->key_len, value, sizeof(value), &len));
    CHECK(len == record->value_len && memcmp(value, record->value, len) == 0,
          "%s: the key of the record at %" PRIu64 " has another value", flip->where, record->off);
}

static void check_state(const struct flip *flip, lxdb *db)
{
    const struct hand_log *log = &flip->store->log;
    const void *key, *value;
    size_t key_len, value_len;
    uint64_t expected = 0, count = UINT64_MAX;
    lxdb_iter *iter;

    CHECK_OK(db, lxdb_iter_open(db, NULL, 0, 0, &iter));
    for (unsigned i = 0; i < log->n; i++) {
        const struct hand_record *record = &log->records[i];

        if (record->key == NULL || is_gone(flip, record->key_number) ||
            flip->verdict->current[record->key_number] != (int)i)
            continue;
        CHECK_OK(db, lxdb_iter_next(iter, &key, &key_len, &value, &value_len));
        CHECK(key_len == record->key_len && memcmp(key, record->key, key_len) == 0 &&
                  value_len == record->value_len && memcmp(value, record->value, value_len) == 0,
              "%s: the iteration does not come to the record at %" PRIu64, flip->where,
              record->off);
        expected++;
    }
    CHECK_RC(db, LXDB_NOTFOUND, lxdb_iter_next(iter, &key, &key_len, &value, &value_len));
    lxdb_iter_close(iter);
    CHECK_OK(db, lxdb_count(db, &count));
    SAME(flip, "lxdb_count()", count, expected);
    for (unsigned i = 0; i < log->n; i++)
        if (log->records[i].key != NULL)
            check_key(flip, db, &log->records[i]);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static const char *beside(const struct flip *flip, const char *suffix)
{
    static char path[4200];

    (void)snprintf(path, sizeof(path), "%s%s", flip->store->path, suffix);
    return path;
}

static void check_file(const struct flip *flip, const uint8_t *want, uint64_t size)
{
    void *bytes;
    size_t len;

    CHECK(harness_file_read(flip->store->path, &bytes, &len), "%s: the file is gone", flip->where);
    SAME(flip, "size of the file", len, size);
    for (size_t i = 0; i < len; i++)
        CHECK(((uint8_t *)bytes)[i] == want[i], "%s: byte %zu is %#x, not %#x", flip->where, i,
              ((uint8_t *)bytes)[i], want[i]);
    free(bytes);
}

/* Like harness_file_write(), but never through an empty file: ext4 would have it on the disk before
 * that file is closed. */
static void write_file(const struct flip *flip, const uint8_t *bytes, uint64_t size)
{
    int fd = open(flip->store->path, O_WRONLY | O_CLOEXEC);

    CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0 &&
              pwrite(fd, bytes, (size_t)size, 0) == (ssize_t)size && close(fd) == 0,
          "%s: %s", flip->store->path, strerror(errno));
}

static void check_no_helpers(const struct flip *flip)
{
    CHECK(!harness_file_exists(beside(flip, "-lock")), "%s: a lock file is left", flip->where);
    CHECK(!harness_file_exists(beside(flip, "-index")), "%s: an index is left", flip->where);
}

/* What is cut, or goes with a compaction, is set aside: a head of 36 bytes, and the bytes. */
static void check_lost(const struct flip *flip, const uint8_t *flipped)
{
    const struct hand_verdict *verdict = flip->verdict;
    uint64_t at = verdict->rewritten ? verdict->damaged_at : verdict->tail;
    uint64_t aside = verdict->rewritten ? verdict->damaged : verdict->cut;
    void *bytes;
    size_t len;

    if (!harness_file_read(beside(flip, "-lost"), &bytes, &len)) {
        SAME(flip, "what is to be set aside", aside, 0);
        return;
    }
    SAME(flip, "size of the -lost file", len, 36 + aside);
    CHECK(memcmp(bytes, "LXDBLOST", 8) == 0 &&
              memcmp((char *)bytes + 36, flipped + at, (size_t)aside) == 0,
          "%s: what was set aside is not what was lost", flip->where);
    free(bytes);
    CHECK(unlink(beside(flip, "-lost")) == 0, "%s", strerror(errno));
}

static lxdb *open_flipped(const struct flip *flip, uint32_t flags)
{
    lxdb_options options = {.size = sizeof(options),
                            .flags = flags | LXDB_NOCREATE | LXDB_NOAUTOCOMPACT | LXDB_ANYFS,
                            .helpers = LXDB_HELPERS_REMOVE};
    const struct hand_verdict *verdict = flip->verdict;
    int want = verdict->not_a_database  ? LXDB_NOTDB
               : verdict->other_version ? LXDB_VERSION
                                        : LXDB_OK;
    lxdb *db = NULL;

    CHECK_RC(NULL, want, lxdb_open(flip->store->path, &options, &db));
    return db;
}

static void check_receipt(const struct flip *flip, lxdb *db)
{
    const struct hand_verdict *verdict = flip->verdict;
    bool told = verdict->crashed || verdict->bad_watermark || verdict->damaged || verdict->cut;
    lxdb_report report;

    CHECK_RC(db, told ? LXDB_OK : LXDB_NOTFOUND, lxdb_recovery(db, &report));
    if (told)
        check_report(flip, &report);
}

/* ---- One flip -------------------------------------------------------------------------------- */

static void verify(const struct flip *flip, const uint8_t *flipped)
{
    const struct hand_verdict *verdict = flip->verdict;
    lxdb_report report;
    bool bad = verdict->bad_watermark || verdict->damaged != 0 ||
               (verdict->crashed ? verdict->without_cause != 0 : verdict->cut != 0);
    int want = verdict->not_a_database  ? LXDB_NOTDB
               : verdict->other_version ? LXDB_VERSION
               : bad                    ? LXDB_CORRUPT
                                        : LXDB_OK;

    CHECK_RC(NULL, want, lxdb_verify(flip->store->path, &report, NULL));
    if (want == LXDB_OK || want == LXDB_CORRUPT)
        check_report(flip, &report);
    check_file(flip, flipped, hand_size(&flip->store->log));
}

static void read_it(const struct flip *flip, const uint8_t *flipped)
{
    lxdb *db = open_flipped(flip, LXDB_RDONLY);

    if (db == NULL)
        return;
    check_receipt(flip, db);
    check_state(flip, db);
    CHECK_OK(NULL, lxdb_close(db));
    check_file(flip, flipped, hand_size(&flip->store->log));
}

static void open_it(const struct flip *flip, const uint8_t *flipped)
{
    static uint8_t after[IMAGE_MAX];
    lxdb *db = open_flipped(flip, 0);
    uint64_t size;

    if (db != NULL) {
        check_receipt(flip, db);
        check_state(flip, db);
        CHECK_OK(NULL, lxdb_close(db));
    }
    memcpy(after, flipped, (size_t)hand_size(&flip->store->log));
    size = hand_after_open(&flip->store->log, flip->verdict, flip->now_ms, after);
    check_file(flip, after, size);
    check_lost(flip, flipped);
    check_no_helpers(flip);
}

static void write_to_it(const struct flip *flip)
{
    lxdb *db = open_flipped(flip, 0);

    CHECK_OK(db, lxdb_write(db, "probe", 5, "value", 5));
    CHECK_OK(db, lxdb_delete(db, "probe", 5));
    check_state(flip, db);
    CHECK_OK(NULL, lxdb_close(db));
    db = open_flipped(flip, LXDB_RDONLY);
    check_state(flip, db);
    CHECK_OK(NULL, lxdb_close(db));
    (void)unlink(beside(flip, "-lost"));
    check_no_helpers(flip);
}

static void tally(const struct hand_verdict *verdict)
{
    harness_count("flips", 1);
    harness_count("flips: no database, or another version",
                  verdict->not_a_database || verdict->other_version);
    harness_count("flips: a record lost, with its range", verdict->damaged != 0);
    harness_count("flips: the end cut", verdict->cut != 0);
    harness_count("flips: a bad watermark", verdict->bad_watermark);
    harness_count("flips: dead without cause", verdict->without_cause != 0 && !verdict->damaged);
}

static void flip_bit(struct store *store, uint64_t bit, int64_t now_ms)
{
    static struct hand_verdict verdict;
    static uint8_t flipped[IMAGE_MAX];
    uint64_t size = hand_size(&store->log);
    struct flip flip = {
        .store = store, .bit = bit, .verdict = &verdict, .now_ms = now_ms, .where = where};

    memcpy(flipped, store->image, (size_t)size);
    flipped[bit / 8] ^= (uint8_t)(1u << bit % 8);
    hand_judge(&store->log, bit, flipped, &verdict);
    (void)snprintf(where, WHERE_MAX, "%s: bit %" PRIu64 " of byte %" PRIu64, store->label, bit % 8,
                   bit / 8);
    harness_stage(where);
    write_file(&flip, flipped, size);
    verify(&flip, flipped);
    if (harness_below(&store->rng, READ_EVERY) == 0) {
        read_it(&flip, flipped);
        harness_count("flips: also read-only", 1);
    }
    open_it(&flip, flipped);
    tally(&verdict);
    if (harness_below(&store->rng, WRITE_EVERY) == 0 && !verdict.not_a_database &&
        !verdict.other_version) {
        write_file(&flip, flipped, size);
        write_to_it(&flip);
        harness_count("flips: and then a write", 1);
    }
}

/* ---- The case -------------------------------------------------------------------------------- */

static bool is_timed(void)
{
    return getenv("LXDB_TEST_SECONDS") != NULL;
}

static int64_t wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Also in a run that ends by time, the flips are of the whole store. */
static uint64_t nth_bit(uint64_t n, uint64_t bits)
{
    uint64_t stride = bits % STRIDE == 0 ? 1 : STRIDE; /* a prime */

    return n * stride % bits;
}

static void flip_all(enum kind kind, bool crashed, uint64_t bytes, unsigned number)
{
    static struct store store;
    int64_t now_ms = wall_ms();
    uint64_t bits;

    store.kind = kind;
    store.crashed = crashed;
    store.bytes = bytes;
    store.path = harness_path("flips");
    store.rng = harness_rng_make(number);
    store_make(&store);
    hand_encode(&store.log, store.image);
    bits = 8 * hand_size(&store.log);
    for (uint64_t n = 0; n < bits && (!is_timed() || harness_goes_on(0, 0)); n++) {
        if (n % 256 == 0)
            harness_phase("flips");
        flip_bit(&store, nth_bit(n, bits), now_ms);
    }
    harness_count("stores", 1);
    harness_count("records", store.log.n);
    CHECK(unlink(store.path) == 0, "%s", strerror(errno));
    hand_free(&store.log);
}

static void each_bit_flipped_costs_its_record_and_no_other(void)
{
    unsigned scale = harness_rounds(1);
    bool is_long = is_timed() || scale >= ROUND_SCALE;
    uint64_t bytes = is_long ? STORE_BYTES_MAX : (uint64_t)STORE_BYTES * scale;
    unsigned stores = is_long ? 2 * KINDS * (scale < ROUND_SCALE ? 1 : scale / ROUND_SCALE) : KINDS;

    for (unsigned i = 0; is_timed() ? harness_goes_on(i, 0) : i < stores; i++) {
        enum kind kind = (enum kind)(i % KINDS);
        /* a round of ten has some of either; one of twenty has each kind both ways */
        bool crashed = (kind % 2 != 0) != (i / KINDS % 2 != 0);

        flip_all(kind, crashed, bytes, i);
    }
    harness_count_least("flips", 1000);
    if (is_timed())
        return;
    harness_count_least("stores", KINDS);
    harness_count_least("records", 10 * KINDS);
    harness_count_least("flips", UINT64_C(8) * STORE_BYTES * KINDS);
    harness_count_least("flips: no database, or another version", UINT64_C(48) * KINDS);
    harness_count_least("flips: a record lost, with its range", 10000);
    harness_count_least("flips: the end cut", 3000);
    harness_count_least("flips: a bad watermark", 200);
    harness_count_least("flips: dead without cause", 40);
    harness_count_least("flips: also read-only", 3000);
    harness_count_least("flips: and then a write", 1500);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(each_bit_flipped_costs_its_record_and_no_other),
    };

    where = harness_shared(WHERE_MAX);
    disk_install();
    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
