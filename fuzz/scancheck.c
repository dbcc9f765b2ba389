/* SPDX-License-Identifier: MIT */
/* See scancheck.h. */
#include "fuzz/scancheck.h"

#include "base/byteorder.h"
#include "format/scan.h"
#include "fuzz/driver.h"
#include "fuzz/naive.h"
#include "lxdb.h"

#include <libdeflate.h>
#include <string.h>

/* Units of lx_scan.work for each byte; tests/unit/scan.c has files that come near it. */
#define WORK_PER_BYTE 8u
#define WORK_FLOOR 512u
/* Bytes given to CRC-32 for each byte of the file: what records of up to 512 bytes at every offset
 * would take, twice, and what the credit buys, which is a share of the size. */
#define CRC_BYTES_PER_BYTE 1100u
#define CRC_CALLS_PER_BYTE 8u

static struct {
    uint64_t calls, bytes;
} crcs;

uint32_t __real_libdeflate_crc32(uint32_t crc, const void *bytes, size_t len);
uint32_t __wrap_libdeflate_crc32(uint32_t crc, const void *bytes, size_t len);

uint32_t __wrap_libdeflate_crc32(uint32_t crc, const void *bytes, size_t len)
{
    crcs.calls++;
    crcs.bytes += len;
    return __real_libdeflate_crc32(crc, bytes, len);
}

static unsigned long long ull(uint64_t n)
{
    return (unsigned long long)n;
}

static int go_on(void *arg, uint64_t done)
{
    (void)arg;
    (void)done;
    return 0;
}

/* The plan of the bytes, in work that is linear in their number. */
static int plan(const uint8_t *data, size_t len, bool credit, lx_scan *ret_scan)
{
    int rc;

    crcs.calls = crcs.bytes = 0;
    rc = credit ? lx_scan_plan(data, len, NULL, NULL, ret_scan)
                : lx_scan_plan_credit(data, len, 0, go_on, NULL, ret_scan);
    if (rc != LXDB_OK)
        return rc;
    FUZZ_CHECK(ret_scan->work <= WORK_FLOOR + WORK_PER_BYTE * len,
               "%llu units of work for %zu bytes", ull(ret_scan->work), len);
    FUZZ_CHECK(crcs.calls <= WORK_FLOOR + CRC_CALLS_PER_BYTE * len, "%llu CRCs for %zu bytes",
               ull(crcs.calls), len);
    FUZZ_CHECK(crcs.bytes <= WORK_FLOOR + CRC_BYTES_PER_BYTE * len, "CRCs over %llu bytes of %zu",
               ull(crcs.bytes), len);
    return rc;
}

static int stop_at_once(void *arg, uint64_t done)
{
    (void)arg;
    (void)done;
    return 1;
}

/* One that is told to stop as soon as it asks: it stops, or had no reason to ask. */
static void check_stop(const uint8_t *data, size_t len)
{
    lx_scan scan = {0};
    int rc = lx_scan_plan_credit(data, len, 0, stop_at_once, NULL, &scan);

    FUZZ_CHECK(rc == LXDB_OK || rc == LXDB_BUSY, "told to stop, the plan ends with %d", rc);
    fuzz_reached(rc == LXDB_OK ? "plans that need not ask" : "plans that are stopped");
    lx_scan_free(&scan);
}

static void check_plan(const lx_scan *scan, const struct naive *naive)
{
    FUZZ_CHECK(scan->blank == naive->blank && scan->ordered == naive->crashed &&
                   scan->bad_watermark == naive->bad_watermark,
               "blank %d, crashed %d, bad watermark %d; naively %d, %d, %d", scan->blank,
               scan->ordered, scan->bad_watermark, naive->blank, naive->crashed,
               naive->bad_watermark);
    FUZZ_CHECK(scan->tail == naive->tail, "the tail is at %llu, naively at %zu", ull(scan->tail),
               naive->tail);
    FUZZ_CHECK(scan->records == naive->n_records, "%llu records, naively %zu", ull(scan->records),
               naive->n_records);
    FUZZ_CHECK(scan->cut_bytes == naive->cut, "%llu bytes are cut, naively %zu",
               ull(scan->cut_bytes), naive->cut);
    FUZZ_CHECK(scan->damaged_count == naive->n_damaged, "%zu damaged ranges, naively %zu",
               scan->damaged_count, naive->n_damaged);
    for (size_t i = 0; i < naive->n_damaged; i++)
        FUZZ_CHECK(scan->damaged[i].off == naive->damaged[i].off &&
                       scan->damaged[i].off + scan->damaged[i].len == naive->damaged[i].end,
                   "damage %zu is %llu+%llu, naively %zu to %zu", i, ull(scan->damaged[i].off),
                   ull(scan->damaged[i].len), naive->damaged[i].off, naive->damaged[i].end);
    FUZZ_CHECK(scan->unsteppable == naive->unsteppable, "unsteppable %d, naively %d",
               scan->unsteppable, naive->unsteppable);
}

struct walk {
    const struct naive *naive;
    size_t n;
};

static int check_event(void *arg, const lx_scan_event *event)
{
    static const char effects[] = {
        [LX_EFFECT_NONE] = 0, [LX_EFFECT_PUT] = '+', [LX_EFFECT_DELETE] = '-'};
    static const char kinds[] = {
        [LX_CONTROL_NONE] = 0, [LX_CONTROL_GROUP] = 'G', [LX_CONTROL_PAD] = 'P'};
    struct walk *walk = arg;
    const lx_record *record = &event->record;
    const struct naive_record *naive = &walk->naive->records[walk->n];

    FUZZ_CHECK(walk->n < walk->naive->n_records, "a record at %llu is too many", ull(record->off));
    FUZZ_CHECK(record->off == naive->off && record->off + record->len == naive->end,
               "record %zu is %llu+%llu, naively %zu to %zu", walk->n, ull(record->off),
               ull(record->len), naive->off, naive->end);
    FUZZ_CHECK(kinds[event->control.kind] == naive->kind, "kind of the record at %llu",
               ull(record->off));
    FUZZ_CHECK(effects[event->effect] == naive->effect, "effect %d of the record at %llu",
               (int)event->effect, ull(record->off));
    if (naive->effect == '+')
        FUZZ_CHECK(event->slot == naive->slot && event->expiry_ms == naive->expiry,
                   "slot and expiry of the record at %llu", ull(record->off));
    walk->n++;
    return LXDB_OK;
}

static void note_what_is_there(const struct naive *naive, const uint8_t *data)
{
    fuzz_reached(naive->blank ? "blank files"
                 : naive->crashed
                     ? data[6] >> 3 ? "crashed files, W rounded" : "crashed files, W exact"
                 : naive->bad_watermark ? "files with a bad watermark"
                                        : "closed files");
    if (naive->cut != 0)
        fuzz_reached(naive->crashed ? "cut tails of crashed files" : "cut tails of closed files");
    if (naive->unsteppable)
        fuzz_reached("ranges that lengths do not step over");
    for (size_t i = 0; i < naive->n_damaged; i++)
        fuzz_reached("damaged ranges");
    for (size_t i = 0; i < naive->n_records; i++) {
        const struct naive_record *record = &naive->records[i];
        size_t v = lx_get32(data + record->off + 3);

        fuzz_reached("whole records");
        if (record->kind != 0)
            fuzz_reached(record->kind == 'G' ? "GROUP records" : "PAD records");
        else if (record->effect == '-')
            fuzz_reached("delete markers");
        else if (data[record->off] == 0 && record->effect == '+')
            fuzz_reached("kills that are undone");
        else if (data[record->off] == 0)
            fuzz_reached(v == 0 ? "killed records without a value" : "killed records");
        if (record->effect == '+' && record->slot != record->off)
            fuzz_reached("puts with an expiry");
    }
}

static void compare(const uint8_t *data, size_t len, bool credit, const struct naive *naive)
{
    struct walk walk = {naive, 0};
    lx_scan scan = {0};
    int rc = plan(data, len, credit, &scan);

    FUZZ_CHECK(rc == (naive->word == NAIVE_READABLE         ? LXDB_OK
                      : naive->word == NAIVE_NOT_A_DATABASE ? LXDB_NOTDB
                                                            : LXDB_VERSION),
               "the verdict is %d, naively %d", rc, (int)naive->word);
    if (rc != LXDB_OK)
        return;
    check_plan(&scan, naive);
    if (!credit)
        check_stop(data, len);
    rc = lx_scan_walk(&scan, LX_HEADER_SIZE, check_event, &walk);
    FUZZ_CHECK(rc == LXDB_OK && walk.n == naive->n_records,
               "the walk ends with %d after %zu of %zu", rc, walk.n, naive->n_records);
    /* the same from the middle, but not from between a GROUP and its put */
    walk.n = naive->n_records / 2;
    if (walk.n != 0 && naive->records[walk.n - 1].kind == 0) {
        rc = lx_scan_walk(&scan, naive->records[walk.n].off, check_event, &walk);
        FUZZ_CHECK(rc == LXDB_OK && walk.n == naive->n_records,
                   "a walk from the middle ends with %d after %zu of %zu", rc, walk.n,
                   naive->n_records);
    }
    lx_scan_free(&scan);
}

void scan_check(const uint8_t *data, size_t len)
{
    const struct naive *naive;
    lx_scan scan = {0};

    if (len > NAIVE_MAX) {
        if (plan(data, len, true, &scan) == LXDB_OK)
            lx_scan_free(&scan);
        return;
    }
    naive = naive_scan(data, len);
    if (naive->word == NAIVE_READABLE)
        note_what_is_there(naive, data);
    else
        fuzz_reached("files that are refused");
    compare(data, len, true, naive);
    compare(data, len, false, naive);
}
