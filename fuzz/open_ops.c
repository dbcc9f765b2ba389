/* SPDX-License-Identifier: MIT */
/*
 * A damaged data file is opened and worked with. The input:
 *
 *     0   1  bit 0: CRCs are put right first (fix.h, all of them); bits 1-2: what becomes of the
 *            helper files at a close (LXDB_HELPERS_AUTO and its siblings); bit 3: full sync
 *     1   1  W is set to the end of this many records that the harness finds; 0: as it stands
 *     2   1  n, modulo 17
 *     3   2n operations: see run_op()
 *            the file
 *
 * First it is opened read-only: that gives the verdict and the records of the naive reader, and
 * changes no byte. What it shows is the model. lxdb_verify() agrees. Then it is opened for writing,
 * shows the same, and the operations do to it what they do to the model; also after closing and
 * opening again. What is left in the end is a closed file without damage.
 */
#include "base/byteorder.h"
#include "format/header.h"
#include "fuzz/driver.h"
#include "fuzz/fix.h"
#include "fuzz/naive.h"
#include "fuzz/scratch.h"
#include "lxdb.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX 6000u
#define OPS 16u
#define VALUE_MAX 64u
#define KEYS (FILE_MAX / 12 + OPS * 2 + 8)

const char fuzz_name[] = "open_ops";

struct entry {
    const uint8_t *key, *value;
    size_t key_len, value_len;
};

/* Keys and values stay in the input or in `made`. */
static struct {
    struct entry entries[KEYS];
    size_t n;
} model;

static uint8_t made[OPS * 4][VALUE_MAX];
static unsigned made_n;
static bool wrote;

void fuzz_start(void)
{
    naive_start();
    scratch_make();
}

void fuzz_end(void)
{
    scratch_remove();
}

/* ---- the model ------------------------------------------------------------------------------- */

static struct entry *find(const uint8_t *key, size_t key_len)
{
    for (size_t i = 0; i < model.n; i++)
        if (model.entries[i].key_len == key_len && memcmp(model.entries[i].key, key, key_len) == 0)
            return &model.entries[i];
    return NULL;
}

static void put(struct entry entry)
{
    struct entry *old = find(entry.key, entry.key_len);

    if (old == NULL) {
        FUZZ_CHECK(model.n < KEYS, "too many keys");
        old = &model.entries[model.n++];
    }
    *old = entry;
}

static void drop(const uint8_t *key, size_t key_len)
{
    struct entry *old = find(key, key_len);

    if (old != NULL)
        *old = model.entries[--model.n];
}

/* What the naive reader says is live, at any time. */
static void fill_model(const struct naive *naive, const uint8_t *file)
{
    model.n = 0;
    for (size_t i = 0; i < naive->n_records; i++) {
        const struct naive_record *record = &naive->records[i];
        const uint8_t *at = file + record->off;
        struct entry entry = {.key = at + 7, .key_len = lx_get16(at + 1)};

        entry.value = entry.key + entry.key_len;
        entry.value_len = lx_get32(at + 3);
        if (record->effect == '+')
            put(entry);
        else if (record->effect == '-')
            drop(entry.key, entry.key_len);
    }
}

/* Those of them whose time has passed. */
static void drop_expired(const struct naive *naive, const uint8_t *file)
{
    /* an expiry ends a put only as long as it is the newest of its key */
    for (size_t i = naive->n_records; i-- > 0;) {
        const struct naive_record *record = &naive->records[i];
        const uint8_t *key = file + record->off + 7;
        struct entry *entry = find(key, lx_get16(key - 6));

        if (record->effect == '+' && entry != NULL && entry->key == key && record->expiry != 0 &&
            record->expiry <= SCRATCH_NOW_MS) {
            fuzz_reached("puts whose time has passed");
            drop(key, entry->key_len);
        }
    }
}

/* ---- the database ---------------------------------------------------------------------------- */

static void check_shows(lxdb *db, const char *when)
{
    const void *key, *value;
    size_t key_len, value_len, n = 0;
    uint64_t count;
    lxdb_iter *iter;
    int rc = lxdb_iter_open(db, NULL, 0, 0, &iter);

    FUZZ_CHECK(rc == LXDB_OK, "%s: iter_open: %s", when, lxdb_errmsg(db));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK) {
        const struct entry *entry = find(key, key_len);

        FUZZ_CHECK(entry != NULL, "%s: a key of %zu bytes that is not there", when, key_len);
        FUZZ_CHECK(entry->value_len == value_len && memcmp(entry->value, value, value_len) == 0,
                   "%s: another value for a key of %zu bytes", when, key_len);
        n++;
    }
    FUZZ_CHECK(rc == LXDB_NOTFOUND && n == model.n,
               "%s: an iteration ends with %d after %zu of %zu", when, rc, n, model.n);
    lxdb_iter_close(iter);
    for (size_t i = 0; i < model.n; i++) {
        const struct entry *entry = &model.entries[i];
        static uint8_t buf[FILE_MAX];

        rc = lxdb_read(db, entry->key, entry->key_len, buf, sizeof buf, &value_len);
        FUZZ_CHECK(rc == LXDB_OK && value_len == entry->value_len &&
                       memcmp(buf, entry->value, value_len) == 0,
                   "%s: reading a key of %zu bytes: %d, %s", when, entry->key_len, rc,
                   lxdb_errmsg(db));
    }
    rc = lxdb_count(db, &count);
    FUZZ_CHECK(rc == LXDB_OK && count == model.n, "%s: %llu keys are counted, %zu are there", when,
               (unsigned long long)count, model.n);
}

static lxdb *open_it(uint8_t flags, uint32_t mode, int want, const char *when)
{
    lxdb_options options = {.size = sizeof options,
                            .flags = mode | LXDB_ANYFS | LXDB_NOAUTOCOMPACT,
                            .sync = flags & 8 ? LXDB_SYNC_FULL : LXDB_SYNC_NONE,
                            .helpers = (flags >> 1 & 3) % 3};
    lxdb *db = NULL;
    int rc = lxdb_open(scratch_path, &options, &db);

    FUZZ_CHECK(rc == want, "%s: opening gives %d and not %d: %s", when, rc, want,
               lxdb_errmsg(NULL));
    return db;
}

static void close_it(lxdb *db, const char *when)
{
    FUZZ_CHECK(lxdb_close(db) == LXDB_OK, "%s: closing: %s", when, lxdb_errmsg(NULL));
}

static void check_unchanged(const uint8_t *file, size_t len, const char *by)
{
    size_t now_len;
    uint8_t *now = scratch_read("", &now_len);

    FUZZ_CHECK(now != NULL && now_len == len && memcmp(now, file, len) == 0,
               "the file was changed by %s", by);
    free(now);
}

/* What lxdb_verify() says of the file is what the naive reader says. */
static void check_verify(const struct naive *naive, size_t live)
{
    lxdb_report report;
    int rc = lxdb_verify(scratch_path, &report, NULL);
    bool damage = naive->n_damaged != 0 || naive->bad_watermark ||
                  (!naive->crashed && naive->cut != 0);

    FUZZ_CHECK(rc == LXDB_OK || rc == LXDB_CORRUPT, "verify: %d, %s", rc, lxdb_errmsg(NULL));
    FUZZ_CHECK(!damage || rc == LXDB_CORRUPT, "verify sees no damage");
    FUZZ_CHECK(report.crashed == naive->crashed && report.bad_watermark == naive->bad_watermark &&
                   report.tail == naive->tail && report.bytes_cut == naive->cut,
               "verify: crashed %d, bad watermark %d, tail %llu, cut %llu", report.crashed,
               report.bad_watermark, (unsigned long long)report.tail,
               (unsigned long long)report.bytes_cut);
    FUZZ_CHECK(report.records_live == live, "verify counts %llu live records, naively %zu",
               (unsigned long long)report.records_live, live);
}

/* ---- operations ------------------------------------------------------------------------------ */

static const uint8_t *make_bytes(unsigned seed, size_t len)
{
    uint8_t *bytes = made[made_n++];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(seed + i * 7);
    return bytes;
}

/* A key: one of the model, or one of its own. */
static struct entry pick(unsigned number, unsigned len)
{
    struct entry entry;

    if (number < 48 && model.n != 0)
        entry = model.entries[number % model.n];
    else
        entry = (struct entry){.key = make_bytes(number, 3), .key_len = 3};
    entry.value_len = len % VALUE_MAX;
    entry.value = make_bytes(number * 3 + len, entry.value_len);
    return entry;
}

/* Two bytes: bits 0-1 of the first say what, the others which key; the second is a length. */
static void run_op(lxdb *db, unsigned what, unsigned len)
{
    struct entry entry = pick(what >> 2, len);
    bool there = find(entry.key, entry.key_len) != NULL;
    uint64_t n = 0;
    int rc;

    switch (what & 3) {
    case 0:
        rc = lxdb_write(db, entry.key, entry.key_len, entry.value, entry.value_len);
        FUZZ_CHECK(rc == LXDB_OK, "write: %d, %s", rc, lxdb_errmsg(db));
        break;
    case 1:
        rc = lxdb_delete(db, entry.key, entry.key_len);
        FUZZ_CHECK(rc == (there ? LXDB_OK : LXDB_NOTFOUND), "delete: %d, %s", rc, lxdb_errmsg(db));
        wrote |= there;
        /* the key may be one that the entry of the model points to */
        drop(entry.key, entry.key_len);
        return;
    case 2:
        rc = len & 1 ? lxdb_create(db, entry.key, entry.key_len, entry.value, entry.value_len)
                     : lxdb_update(db, entry.key, entry.key_len, entry.value, entry.value_len);
        FUZZ_CHECK(
            rc == (len & 1 ? (there ? LXDB_EXISTS : LXDB_OK) : (there ? LXDB_OK : LXDB_NOTFOUND)),
            "create or update: %d, %s", rc, lxdb_errmsg(db));
        if (rc != LXDB_OK)
            return;
        break;
    default:
        if (len & 1) {
            FUZZ_CHECK(lxdb_compact(db, NULL) == LXDB_OK, "compact: %s", lxdb_errmsg(db));
            wrote = true;
        } else if (len & 2) {
            FUZZ_CHECK(lxdb_clear(db, &n) == LXDB_OK && n == model.n, "clear: %s", lxdb_errmsg(db));
            wrote |= n != 0;
            model.n = 0;
        } else {
            FUZZ_CHECK(lxdb_flush(db) == LXDB_OK, "flush: %s", lxdb_errmsg(db));
        }
        return;
    }
    put(entry);
    wrote = true;
}

/* The closed file: whole records, and damage only if there was some and lengths step over it; live
 * by their status bytes what the model has. */
static void check_closed_file(bool was_damaged)
{
    size_t n = model.n, len;
    uint8_t *file = scratch_read("", &len);
    const struct naive *naive;

    FUZZ_CHECK(file != NULL && len <= NAIVE_MAX, "a closed file of %zu bytes", len);
    naive = naive_scan(file, len);
    FUZZ_CHECK(naive->word == NAIVE_READABLE && !naive->crashed && !naive->bad_watermark &&
                   (was_damaged || naive->n_damaged == 0) && !naive->unsteppable &&
                   naive->cut == 0 && naive->tail == len,
               "the file is not closed: crashed %d, %zu damaged ranges, the first at %zu, tail %zu "
               "of %zu",
               naive->crashed, naive->n_damaged, naive->n_damaged ? naive->damaged[0].off : 0,
               naive->tail, len);
    for (size_t i = 0; i < naive->n_records; i++) {
        const uint8_t *at = file + naive->records[i].off;
        const struct entry *entry = find(at + 7, lx_get16(at + 1));

        if (at[0] == 0 ||
            (naive->records[i].expiry != 0 && naive->records[i].expiry <= SCRATCH_NOW_MS))
            continue;
        FUZZ_CHECK(entry != NULL && entry->value_len == lx_get32(at + 3) &&
                       memcmp(entry->value, at + 7 + entry->key_len, entry->value_len) == 0,
                   "a reader of version 1 sees a record at %zu that is not live",
                   naive->records[i].off);
        n--;
    }
    FUZZ_CHECK(n == 0, "a reader of version 1 misses %zu records", n);
    free(file);
}

int fuzz_one(uint8_t *data, size_t len)
{
    struct fuzz_input input = fuzz_input(data, len);
    uint8_t flags = fuzz_byte(&input), nth = fuzz_byte(&input);
    unsigned n = fuzz_byte(&input) % (OPS + 1);
    const uint8_t *ops = input.at;
    const struct naive *naive;
    uint8_t *file;
    size_t size, live;
    lxdb *db;
    int want;
    bool damaged;

    if (input.left < 2 * n || input.left - 2 * n > FILE_MAX)
        return 1;
    file = data + (ops - data) + 2 * n;
    size = input.left - 2 * n;
    if (size >= LX_HEADER_SIZE && (flags & 1)) {
        size_t boundary = fix_crcs(file, size, NULL, 0, nth);

        if (boundary != 0)
            fix_watermark(file, boundary, 0);
    }
    made_n = 0;
    wrote = false;
    scratch_clear();
    scratch_write("", file, size);
    naive = naive_scan(file, size);
    want = naive->word == NAIVE_READABLE         ? LXDB_OK
           : naive->word == NAIVE_NOT_A_DATABASE ? LXDB_NOTDB
                                                 : LXDB_VERSION;
    db = open_it(flags, LXDB_RDONLY, want, "read-only");
    if (want != LXDB_OK) {
        (void)open_it(flags, 0, want, "refused");
        check_unchanged(file, size, "a refusal");
        fuzz_reached("files that are refused");
        return 0;
    }
    damaged = naive->n_damaged != 0;
    fill_model(naive, file);
    live = model.n;
    drop_expired(naive, file);
    check_shows(db, "read-only");
    close_it(db, "read-only");
    check_verify(naive, live); /* which does not look at clocks */
    check_unchanged(file, size, "reading");
    fuzz_reached(naive->crashed                        ? "crashed files"
                 : naive->n_damaged || naive->cut != 0 ? "damaged files"
                                                       : "closed files");
    if (naive->unsteppable)
        fuzz_reached("files that have to be compacted");
    db = open_it(flags, 0, LXDB_OK, "for writing");
    check_shows(db, "for writing");
    for (unsigned i = 0; i < n; i++)
        run_op(db, ops[2 * i], ops[2 * i + 1]);
    check_shows(db, "after operations");
    close_it(db, "after operations");
    db = open_it(flags, 0, LXDB_OK, "again");
    check_shows(db, "again");
    close_it(db, "again");
    if (wrote) {
        fuzz_reached("files that were written to");
        check_closed_file(damaged);
    }
    return 0;
}
