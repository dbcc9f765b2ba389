/* SPDX-License-Identifier: MIT */
/* store/log.h: finding records at offsets that cannot be trusted, storing, growing, covering. */
#include "store/log.h"

#include "format/header.h"
#include "sys/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

/* ---- A log for each test, and a disk that can be told what to do ----------------------------- */

static int second = -1; /* another descriptor of the file, as another process has it */
static lx_log log_;
static uint64_t tail; /* where put() goes on */
static struct lx_io fake;

static struct {
    int pwrites;
    int pwrite_err; /* 0: they work */
    int fallocates;
    uint64_t fallocate_most; /* a file of more bytes: no space */
    int fdatasyncs;
    int fdatasync_err; /* of msync too */
    uint64_t msync_from, msync_to;
} disk;

static ssize_t disk_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    disk.pwrites++;
    errno = disk.pwrite_err;
    return disk.pwrite_err != 0 ? -1 : lx_io_system.pwrite(fd, buf, len, off);
}

/* Sparse, so that a test may ask for a lot. */
static int disk_fallocate(int fd, int mode, off_t off, off_t len)
{
    struct stat st;

    (void)mode;
    disk.fallocates++;
    errno = ENOSPC;
    if ((uint64_t)off + (uint64_t)len > disk.fallocate_most || fstat(fd, &st) < 0)
        return -1;
    return st.st_size >= off + len ? 0 : ftruncate(fd, off + len);
}

static int disk_fdatasync(int fd)
{
    (void)fd;
    disk.fdatasyncs++;
    errno = disk.fdatasync_err;
    return disk.fdatasync_err != 0 ? -1 : 0;
}

static int disk_msync(void *addr, size_t len, int fd)
{
    assert_int_equal(fd, log_.fd);
    disk.msync_from = (uint64_t)((uint8_t *)addr - log_.map.base);
    disk.msync_to = disk.msync_from + len;
    errno = disk.fdatasync_err;
    return disk.fdatasync_err != 0 ? -1 : 0;
}

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    uint8_t header[LX_HEADER_SIZE];
    char path[4200], dir[4000];
    int fd;

    (void)state;
    snprintf(dir, sizeof dir, "%s/lxdb-log-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/x", dir);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    second = open(path, O_RDWR | O_CLOEXEC);
    (void)unlink(path); /* the descriptors are all that is used of it */
    (void)rmdir(dir);
    lx_header_encode(header, 0);
    tail = LX_HEADER_SIZE;
    if (fd < 0 || pwrite(fd, header, sizeof header, 0) != (ssize_t)sizeof header ||
        ftruncate(fd, (off_t)MIB) < 0 || lx_log_open(fd, "x", true, &log_) != LXDB_OK)
        return -1;
    log_.by_pwrite = false; /* whatever this file system asks for */
    memset(&disk, 0, sizeof disk);
    disk.fallocate_most = UINT64_MAX;
    fake = lx_io_system;
    fake.pwrite = disk_pwrite;
    fake.fallocate = disk_fallocate;
    fake.fdatasync = disk_fdatasync;
    fake.msync = disk_msync;
    lx_io = &fake;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lx_io = &lx_io_system;
    lx_log_close(&log_);
    return close(second);
}

/* Append bytes behind the log's back, as the page cache of another process would. */
static uint64_t append(const void *bytes, size_t len)
{
    uint64_t at = tail;

    assert_int_equal(pwrite(second, bytes, len, (off_t)at), len);
    tail += len;
    return at;
}

static uint64_t put_as(uint8_t status, const char *key, uint32_t key_len, const char *value)
{
    uint8_t record[300];
    uint32_t value_len = (uint32_t)strlen(value);

    assert_true(lx_record_size(key_len, value_len) <= sizeof record);
    lx_record_encode(record, status, key, key_len, value, value_len);
    return append(record, (size_t)lx_record_size(key_len, value_len));
}

static uint64_t put(const char *key, const char *value)
{
    return put_as(1, key, (uint32_t)strlen(key), value);
}

static uint64_t put_group(uint64_t own_offset, int64_t expiry_ms)
{
    uint8_t group[LX_GROUP_SIZE];

    lx_group_encode(group, own_offset, 1, 0, expiry_ms);
    return append(group, sizeof group);
}

static int match(uint64_t off, const char *key, lx_entry *ret_entry)
{
    return lx_log_match(&log_, off, key, strlen(key), ret_entry);
}

static void assert_corrupt_at(uint64_t off)
{
    lx_entry entry;

    assert_int_equal(match(off, "apple", &entry), LXDB_CORRUPT);
}

static uint64_t size_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_size;
}

static void assert_bytes(uint64_t off, uint64_t len, uint8_t value)
{
    for (uint64_t i = 0; i < len; i++)
        assert_int_equal(log_.map.base[off + i], value);
}

static void fill(uint64_t off, uint64_t len, uint8_t value)
{
    memset(log_.map.base + off, value, (size_t)len);
}

/* ---- Opening and reaching -------------------------------------------------------------------- */

static void open_log_knows_its_length_and_has_room_to_grow(void **state)
{
    (void)state;
    assert_int_equal(log_.length, MIB);
    assert_true(log_.map.size >= 256 * MIB);
}

static void open_of_bad_descriptor_is_io(void **state)
{
    lx_log other = {0};

    (void)state;
    assert_int_equal(lx_log_open(-1, "x", true, &other), LXDB_IO);
    assert_null(other.map.base);
}

static void open_of_empty_file_has_no_length_and_no_records(void **state)
{
    lx_log other;
    lx_entry entry;

    (void)state;
    assert_int_equal(ftruncate(second, 0), 0);
    assert_int_equal(lx_log_open(dup(second), "x", false, &other), LXDB_OK);
    assert_int_equal(other.length, 0);
    assert_int_equal(lx_log_match(&other, 0, "apple", 5, &entry), LXDB_CORRUPT);
    lx_log_close(&other);
}

static void close_of_a_zeroed_or_closed_log_does_nothing(void **state)
{
    lx_log none = {0}, other;

    (void)state;
    lx_log_close(&none);
    assert_int_equal(lx_log_open(dup(second), "x", false, &other), LXDB_OK);
    lx_log_close(&other);
    assert_int_equal(other.fd, -1);
    lx_log_close(&other);
}

static void reach_follows_a_file_that_grew(void **state)
{
    (void)state;
    assert_int_equal(lx_log_reach(&log_, MIB), LXDB_OK);
    assert_int_equal(ftruncate(second, 3 * (off_t)MIB), 0);
    assert_int_equal(log_.length, MIB);
    assert_int_equal(lx_log_reach(&log_, MIB + 1), LXDB_OK);
    assert_int_equal(log_.length, 3 * MIB);
}

static void reach_beyond_the_file_is_corrupt(void **state)
{
    (void)state;
    assert_int_equal(lx_log_reach(&log_, MIB + 1), LXDB_CORRUPT);
    assert_non_null(strstr(lxdb_errmsg(NULL), "shorter than its log"));
    assert_int_equal(lx_log_reach(&log_, UINT64_MAX), LXDB_CORRUPT);
    assert_int_equal(log_.length, MIB);
}

static void reach_beyond_the_mapping_is_again(void **state)
{
    uint64_t end = log_.map.size;

    (void)state;
    assert_int_equal(ftruncate(second, (off_t)end + 1), 0);
    assert_int_equal(lx_log_reach(&log_, end + 1), LX_AGAIN);
    assert_int_equal(log_.length, end);
    assert_int_equal(lx_log_reach(&log_, end), LXDB_OK);
}

static void reach_that_cannot_ask_for_the_size_is_io(void **state)
{
    lx_log blind = {.map = log_.map, .fd = -1, .name = "x"};

    (void)state;
    blind.length = 10;
    assert_int_equal(lx_log_reach(&blind, 10), LXDB_OK);
    assert_int_equal(lx_log_reach(&blind, 11), LXDB_IO);
}

/* ---- Matching -------------------------------------------------------------------------------- */

static void match_of_a_record_gives_all_of_it(void **state)
{
    uint64_t off = put("apple", "red");
    lx_entry entry;

    (void)state;
    assert_int_equal(match(off, "apple", &entry), LXDB_OK);
    assert_int_equal(entry.off, off);
    assert_int_equal(entry.record, off);
    assert_int_equal(entry.len, lx_record_size(5, 3));
    assert_int_equal(entry.key_len, 5);
    assert_memory_equal(entry.key, "apple", 5);
    assert_int_equal(entry.value_len, 3);
    assert_memory_equal(entry.value, "red", 3);
    assert_int_equal(entry.expiry_ms, 0);
}

static void match_of_another_key_is_not_found_and_leaves_the_output(void **state)
{
    uint64_t off = put("apple", "red");
    lx_entry entry = {.off = 99};

    (void)state;
    assert_int_equal(match(off, "maple", &entry), LXDB_NOTFOUND);
    assert_int_equal(match(off, "app", &entry), LXDB_NOTFOUND);
    assert_int_equal(match(off, "apple pie", &entry), LXDB_NOTFOUND);
    assert_int_equal(entry.off, 99);
}

/* Keys are compared in words that overlap: of every length, each byte counts. */
static void match_of_a_key_that_differs_anywhere_is_not_found(void **state)
{
    char key[40] = "every byte of a key is compared with it";
    lx_entry entry;

    (void)state;
    for (uint32_t len = 1; len <= sizeof key; len++) {
        uint64_t off = put_as(1, key, len, "value");

        assert_int_equal(lx_log_match(&log_, off, key, len, &entry), LXDB_OK);
        for (uint32_t i = 0; i < len; i++) {
            key[i] ^= 1;
            assert_int_equal(lx_log_match(&log_, off, key, len, &entry), LXDB_NOTFOUND);
            key[i] ^= 1;
        }
    }
}

static void match_of_a_record_that_was_just_killed_is_found(void **state)
{
    uint64_t off = put("apple", "red");
    lx_entry entry;

    (void)state;
    assert_int_equal(lx_log_set_status(&log_, off, 0), LXDB_OK);
    assert_int_equal(match(off, "apple", &entry), LXDB_OK);
    assert_int_equal(entry.record, off);
}

static void match_of_a_record_that_ends_with_the_file_is_found(void **state)
{
    uint64_t off;
    lx_entry entry = {0};

    (void)state;
    tail = MIB - lx_record_size(5, 0);
    off = put("apple", "");
    assert_int_equal(match(off, "apple", &entry), LXDB_OK);
    assert_int_equal(entry.off + entry.len, MIB);
    assert_int_equal(entry.value_len, 0);
}

static void match_at_or_over_the_end_is_corrupt(void **state)
{
    (void)state;
    assert_corrupt_at(MIB);
    assert_corrupt_at(MIB - 1);
    assert_corrupt_at(MIB - LX_RECORD_HEADER);
    assert_corrupt_at(MIB + 1);
    assert_corrupt_at(LX_SLOT_OFFSET_MASK);
}

static void entry_at_the_end_of_all_numbers_is_corrupt(void **state)
{
    lx_entry entry;

    (void)state;
    for (uint64_t off = UINT64_MAX; off > UINT64_MAX - 20; off--)
        assert_int_equal(lx_log_entry(&log_, off, &entry), LXDB_CORRUPT);
}

static void match_of_lengths_that_pass_the_end_is_corrupt(void **state)
{
    uint64_t off;

    (void)state;
    tail = MIB - lx_record_size(5, 3) + 1;
    off = put("apple", "red");                          /* the file grows by a byte, */
    assert_int_equal(ftruncate(second, (off_t)MIB), 0); /* and shrinks before it is looked at */
    assert_corrupt_at(off);
}

static void match_of_what_is_no_record_is_corrupt(void **state)
{
    uint64_t off = put("apple", "red");

    (void)state;
    assert_corrupt_at(tail); /* zeros: no key */
    log_.map.base[off] = 2;
    assert_corrupt_at(off);
    log_.map.base[off] = 0xff;
    assert_corrupt_at(off);
}

static void match_in_what_the_file_has_grown_by_is_found(void **state)
{
    uint64_t off;
    lx_entry entry;

    (void)state;
    tail = MIB - 5;
    off = put("apple", "red"); /* its header begins below the length known, */
    assert_int_equal(match(off, "apple", &entry), LXDB_OK);
    off = put("maple", "green"); /* and this one is all beyond it */
    assert_int_equal(match(off, "maple", &entry), LXDB_OK);
    assert_int_equal(match(off, "apple", &entry), LXDB_NOTFOUND);
}

static void match_beyond_the_mapping_is_again(void **state)
{
    lx_entry entry;
    uint64_t off;

    (void)state;
    tail = log_.map.size - 3;
    off = put("apple", "red");
    assert_int_equal(match(off, "apple", &entry), LX_AGAIN);
    off = put("maple", "red");
    assert_int_equal(match(off, "maple", &entry), LX_AGAIN);
}

static void match_at_a_group_gives_the_record_behind_it_and_its_expiry(void **state)
{
    uint64_t off = put_group(tail, 1234567890123), record = put("apple", "red");
    lx_entry entry;

    (void)state;
    assert_int_equal(match(off, "apple", &entry), LXDB_OK);
    assert_int_equal(entry.off, off);
    assert_int_equal(entry.record, record);
    assert_int_equal(entry.len, LX_GROUP_SIZE + lx_record_size(5, 3));
    assert_memory_equal(entry.key, "apple", 5);
    assert_memory_equal(entry.value, "red", 3);
    assert_true(entry.expiry_ms == 1234567890123);
    assert_int_equal(match(off, "maple", &entry), LXDB_NOTFOUND);
}

static void match_at_a_group_without_a_record_is_corrupt(void **state)
{
    uint64_t off = put_group(tail, 5);

    (void)state;
    assert_corrupt_at(off);
    tail = MIB - LX_GROUP_SIZE;
    off = put_group(tail, 5);
    assert_corrupt_at(off);
}

static void match_of_a_dead_put_that_looks_like_a_group_is_that_put(void **state)
{
    /* what a user may store under the key of control records, and then replace */
    uint8_t record[LX_GROUP_SIZE];
    uint64_t off;
    lx_entry entry;

    (void)state;
    lx_group_encode(record, tail, 1, 0, 5);
    lx_record_encode(record, 1, LX_CONTROL_KEY, LX_CONTROL_KEY_LEN,
                     record + LX_RECORD_HEADER + LX_CONTROL_KEY_LEN, LX_GROUP_VALUE);
    off = append(record, sizeof record);
    (void)put("apple", "red");
    assert_int_equal(lx_log_match(&log_, off, LX_CONTROL_KEY, LX_CONTROL_KEY_LEN, &entry), LXDB_OK);
    assert_int_equal(lx_log_set_status(&log_, off, 0), LXDB_OK);
    assert_int_equal(lx_log_match(&log_, off, LX_CONTROL_KEY, LX_CONTROL_KEY_LEN, &entry), LXDB_OK);
    assert_int_equal(entry.record, off);
    assert_int_equal(entry.value_len, LX_GROUP_VALUE);
    assert_int_equal(entry.expiry_ms, 0);
    assert_int_equal(match(off, "apple", &entry), LXDB_NOTFOUND);
}

static void match_of_a_group_from_another_place_is_no_group(void **state)
{
    uint64_t off = put_group(tail + 1, 5);
    lx_entry entry;

    (void)state;
    (void)put("apple", "red");
    assert_int_equal(match(off, "apple", &entry), LXDB_NOTFOUND);
}

static void match_of_five_byte_keys_that_are_dead_is_found(void **state)
{
    /* the length of the control key: the slow way */
    uint64_t off = put_as(0, "apple", 5, "red");
    lx_entry entry;

    (void)state;
    assert_int_equal(match(off, "apple", &entry), LXDB_OK);
    assert_int_equal(entry.record, off);
    assert_int_equal(match(off, "maple", &entry), LXDB_NOTFOUND);
}

static void prefetch_takes_any_offset(void **state)
{
    (void)state;
    lx_log_prefetch(&log_, 0);
    lx_log_prefetch(&log_, MIB);
    lx_log_prefetch(&log_, log_.map.size - 1);
    lx_log_prefetch(&log_, log_.map.size);
    lx_log_prefetch(&log_, UINT64_MAX);
    assert_int_equal(log_.length, MIB);
}

/* ---- Storing --------------------------------------------------------------------------------- */

static void store_reaches_the_file_by_mapping_and_by_pwrite(void **state)
{
    char seen[4] = "";

    (void)state;
    for (int by_pwrite = 0; by_pwrite < 2; by_pwrite++) {
        log_.by_pwrite = by_pwrite;
        assert_int_equal(lx_log_store(&log_, 100, by_pwrite ? "def" : "abc", 3), LXDB_OK);
        assert_int_equal(disk.pwrites, by_pwrite);
        assert_int_equal(pread(second, seen, 3, 100), 3);
        assert_string_equal(seen, by_pwrite ? "def" : "abc");
    }
}

static void store_by_pwrite_gives_the_failure_of_the_disk(void **state)
{
    (void)state;
    log_.by_pwrite = true;
    disk.pwrite_err = ENOSPC;
    assert_int_equal(lx_log_store(&log_, 100, "abc", 3), LXDB_NOSPACE);
    assert_int_equal(lx_log_store_zeros(&log_, 100, 3), LXDB_NOSPACE);
    assert_int_equal(lx_log_cover(&log_, 100, 200), LXDB_NOSPACE);
    disk.pwrite_err = EIO;
    assert_int_equal(lx_log_store(&log_, 100, "abc", 3), LXDB_IO);
    assert_int_equal(lx_log_set_status(&log_, 100, 0), LXDB_IO);
    assert_int_equal(lx_log_set_watermark(&log_, 5), LXDB_IO);
}

static void store_of_zeros_is_exact(void **state)
{
    const uint64_t from = 1001, len = 200001;

    (void)state;
    fill(0, MIB, 0x55);
    assert_int_equal(lx_log_store_zeros(&log_, from, len), LXDB_OK);
    assert_bytes(0, from, 0x55);
    assert_bytes(from, len, 0);
    assert_bytes(from + len, MIB - from - len, 0x55);
    assert_int_equal(lx_log_store_zeros(&log_, 0, 0), LXDB_OK);
    assert_bytes(0, 1, 0x55);
}

static void status_is_one_byte(void **state)
{
    (void)state;
    fill(0, 100, 0x55);
    assert_int_equal(lx_log_set_status(&log_, 50, 1), LXDB_OK);
    assert_bytes(0, 50, 0x55);
    assert_bytes(50, 1, 1);
    assert_bytes(51, 49, 0x55);
}

/* Page faults of 128 stores, each into a page of its own that was read before. */
static long faults_of_stores(bool readied)
{
    struct rusage before, after;

    memset(log_.map.base + MIB / 2, 1, MIB / 2);
    assert_int_equal(msync(log_.map.base, MIB, MS_SYNC), 0); /* clean pages fault again */
    for (uint64_t off = MIB / 2; readied && off < MIB; off += 4 * KIB)
        lx_log_ready_status(&log_, off);
    assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
    for (uint64_t off = MIB / 2; off < MIB; off += 4 * KIB)
        assert_int_equal(lx_log_set_status(&log_, off, 0), LXDB_OK);
    assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
    return after.ru_minflt - before.ru_minflt;
}

static void status_that_was_made_ready_is_set_without_a_page_fault(void **state)
{
    long faults = 128;

    (void)state;
    if (faults_of_stores(false) < 8)
        skip();                                 /* in memory, where no page becomes clean */
    for (int i = 0; i < 10 && faults >= 8; i++) /* somebody else may sync in between */
        faults = faults_of_stores(true);
    assert_in_range(faults, 0, 7);
}

static void status_that_is_made_ready_keeps_its_value(void **state)
{
    (void)state;
    fill(0, 100, 0x55);
    for (uint8_t status = 0; status < 2; status++) {
        assert_int_equal(lx_log_set_status(&log_, 50, status), LXDB_OK);
        lx_log_ready_status(&log_, 50);
        assert_bytes(0, 50, 0x55);
        assert_bytes(50, 1, status);
        assert_bytes(51, 49, 0x55);
    }
}

/* Where stores must not go through the mapping, not even this one. */
static void status_is_not_made_ready_by_mapping_where_stores_are_by_pwrite(void **state)
{
    (void)state;
    log_.by_pwrite = true;
    assert_int_equal(mprotect(log_.map.base, MIB, PROT_READ), 0); /* else a SIGSEGV */
    lx_log_ready_status(&log_, 50);
    assert_int_equal(disk.pwrites, 0);
}

static void watermark_is_the_last_four_bytes_of_the_header(void **state)
{
    uint32_t watermark;
    bool blank;

    (void)state;
    log_.map.base[LX_HEADER_SIZE] = 0x55;
    assert_int_equal(lx_log_set_watermark(&log_, 0x01020304), LXDB_OK);
    assert_int_equal(lx_header_decode(log_.map.base, MIB, &blank, &watermark), LXDB_OK);
    assert_int_equal(watermark, 0x01020304);
    assert_bytes(LX_HEADER_SIZE, 1, 0x55);
}

static void sync_is_one_fdatasync_or_its_failure(void **state)
{
    (void)state;
    assert_int_equal(lx_log_sync(&log_), LXDB_OK);
    assert_int_equal(disk.fdatasyncs, 1);
    disk.fdatasync_err = EIO;
    assert_int_equal(lx_log_sync(&log_), LXDB_IO);
    assert_int_equal(disk.fdatasyncs, 2);
}

static void sync_of_a_range_is_of_its_pages_or_its_failure(void **state)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    (void)state;
    assert_int_equal(lx_log_sync_range(&log_, 2 * page + 1, 3 * page + 1), LXDB_OK);
    assert_int_equal(disk.msync_from, 2 * page);
    assert_int_equal(disk.msync_to, 3 * page + 1);
    assert_int_equal(lx_log_sync_range(&log_, 2 * page - 1, 2 * page), LXDB_OK);
    assert_int_equal(disk.msync_from, page);
    assert_int_equal(disk.msync_to, 2 * page);
    assert_int_equal(lx_log_sync_range(&log_, 0, log_.map.size), LXDB_OK);
    assert_int_equal(disk.msync_to, log_.map.size);
    disk.fdatasync_err = EIO;
    assert_int_equal(lx_log_sync_range(&log_, 0, 1), LXDB_IO);
    assert_int_equal(disk.fdatasyncs, 0);
}

/* What another process has appended may lie past our mapping, where somebody else's may be. */
static void sync_of_a_range_that_is_not_mapped_is_of_the_whole_file(void **state)
{
    (void)state;
    assert_int_equal(lx_log_sync_range(&log_, 0, log_.map.size + 1), LXDB_OK);
    assert_int_equal(disk.fdatasyncs, 1);
    assert_int_equal(lx_log_sync_range(&log_, 100, 100), LXDB_OK);
    assert_int_equal(disk.fdatasyncs, 2);
    assert_int_equal(lx_log_sync_range(&log_, 101, 100), LXDB_OK);
    assert_int_equal(disk.fdatasyncs, 3);
    assert_int_equal(disk.msync_to, 0);
}

/* ---- Growing --------------------------------------------------------------------------------- */

static void grow_takes_a_quarter_between_256_kib_and_64_mib(void **state)
{
    static const struct {
        uint64_t allocated, grown;
    } cases[] = {{LX_HEADER_SIZE, 512 * KIB}, /* in whole chunks of 256 KiB */
                 {256 * KIB, 512 * KIB},
                 {MIB, MIB + 256 * KIB},
                 {4 * MIB, 5 * MIB},
                 {128 * MIB, 160 * MIB}};
    uint64_t grown = 0;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(lx_log_grow(&log_, cases[i].allocated, cases[i].allocated + 1, &grown),
                         LXDB_OK);
        assert_int_equal(grown, cases[i].grown);
        assert_true(log_.length >= grown);
    }
    assert_int_equal(ftruncate(second, (off_t)GIB), 0);
    assert_int_equal(lx_log_grow(&log_, GIB, GIB + 1, &grown), LX_AGAIN);
    assert_int_equal(grown, GIB + 64 * MIB);
}

static void grow_for_more_than_a_chunk_takes_what_is_needed_in_whole_chunks(void **state)
{
    uint64_t grown = 0;

    (void)state;
    assert_int_equal(lx_log_grow(&log_, MIB, 10 * MIB + 1, &grown), LXDB_OK);
    assert_int_equal(grown, 10 * MIB + 256 * KIB);
    assert_int_equal(size_of(second), grown);
}

static void grow_adds_zeros_and_keeps_what_is_there(void **state)
{
    uint64_t grown = 0;

    (void)state;
    fill(0, MIB, 0x55);
    assert_int_equal(lx_log_grow(&log_, MIB, MIB + 1, &grown), LXDB_OK);
    assert_bytes(0, MIB, 0x55);
    assert_bytes(MIB, grown - MIB, 0);
}

static void grow_on_a_disk_that_is_nearly_full_takes_what_is_needed(void **state)
{
    uint64_t grown = 0;

    (void)state;
    disk.fallocate_most = MIB + 100;
    assert_int_equal(lx_log_grow(&log_, MIB, MIB + 100, &grown), LXDB_OK);
    assert_int_equal(grown, MIB + 100);
    assert_int_equal(disk.fallocates, 2);
}

static void grow_on_a_full_disk_is_no_space_and_leaves_the_output(void **state)
{
    uint64_t grown = 99;

    (void)state;
    disk.fallocate_most = MIB + 99;
    assert_int_equal(lx_log_grow(&log_, MIB, MIB + 100, &grown), LXDB_NOSPACE);
    assert_int_equal(grown, 99);
    assert_int_equal(log_.length, MIB);
}

static void grow_past_what_a_slot_can_hold_is_no_space(void **state)
{
    uint64_t grown = 99;

    (void)state;
    assert_int_equal(lx_log_grow(&log_, MIB, LX_SLOT_OFFSET_MASK, &grown), LXDB_NOSPACE);
    assert_int_equal(lx_log_grow(&log_, MIB, UINT64_MAX, &grown), LXDB_NOSPACE);
    assert_int_equal(disk.fallocates, 0);
    assert_int_equal(grown, 99);
}

static void grow_beyond_the_mapping_is_again_and_tells_the_size(void **state)
{
    uint64_t grown = 0, end = log_.map.size;

    (void)state;
    assert_int_equal(ftruncate(second, (off_t)end), 0);
    assert_int_equal(lx_log_grow(&log_, end, end + 1, &grown), LX_AGAIN);
    assert_true(grown > end);
    assert_int_equal(size_of(second), grown);
}

/* ---- Touching -------------------------------------------------------------------------------- */

static void touch_leaves_zeros_the_bytes_before_and_the_size(void **state)
{
    uint64_t came;

    (void)state;
    fill(0, 1000, 0x55);
    came = lx_log_touch(&log_, 1000, 300 * KIB, MIB);
    assert_true(came >= 300 * KIB && came <= MIB);
    assert_true(disk.pwrites > 0);
    assert_bytes(0, 1000, 0x55);
    assert_bytes(1000, MIB - 1000, 0);
    assert_int_equal(size_of(second), MIB);
}

static void touch_does_not_pass_what_is_allocated(void **state)
{
    (void)state;
    assert_int_equal(ftruncate(second, 200000), 0);
    assert_true(lx_log_touch(&log_, 150000, 198000, 200000) == UINT64_MAX);
    assert_int_equal(size_of(second), 200000);
}

static void touch_of_nothing_writes_nothing(void **state)
{
    (void)state;
    assert_int_equal(lx_log_touch(&log_, 5000, 5000, MIB), 5000);
    assert_int_equal(disk.pwrites, 0);
}

static void touch_that_fails_is_not_tried_again(void **state)
{
    (void)state;
    disk.pwrite_err = EIO;
    assert_true(lx_log_touch(&log_, 1000, 300 * KIB, MIB) >= 300 * KIB);
    assert_int_equal(disk.pwrites, 1);
}

static void touch_where_stores_are_pwrites_does_nothing(void **state)
{
    (void)state;
    log_.by_pwrite = true;
    assert_true(lx_log_touch(&log_, 1000, 300 * KIB, MIB) == UINT64_MAX);
    assert_int_equal(disk.pwrites, 0);
}

/* ---- Covering -------------------------------------------------------------------------------- */

/* Whether a whole record, of any kind, is at `off`. */
static bool is_whole(uint64_t off, lx_record *ret_record)
{
    return lx_record_parse(log_.map.base, MIB, off, ret_record) &&
           lx_record_check(log_.map.base, ret_record);
}

static void assert_covered(uint64_t from, uint64_t to)
{
    lx_record record;

    assert_true(is_whole(from, &record));
    assert_int_equal(record.len, to - from);
    assert_int_equal(record.born, 0);
    assert_int_equal(lx_control_parse(&record).kind, LX_CONTROL_PAD);
    for (uint64_t off = from + 1; off < to; off++)
        assert_false(is_whole(off, &record));
}

/* What a dead writer left: whole records from `from` on, up to beyond `to`. */
static void leave_records(uint64_t from, uint64_t to)
{
    tail = from;
    while (tail < to)
        (void)put("apple", "1");
}

static void cover_of_any_length_is_one_pad_and_nothing_parses_inside(void **state)
{
    (void)state;
    for (int by_pwrite = 0; by_pwrite < 2; by_pwrite++) {
        log_.by_pwrite = by_pwrite;
        for (uint64_t len = LX_PAD_SIZE_MIN; len < 100; len++) {
            leave_records(500, 500 + len);
            assert_int_equal(lx_log_cover(&log_, 500, 500 + len), LXDB_OK);
            assert_covered(500, 500 + len);
        }
    }
}

static void cover_of_large_ranges_is_one_pad(void **state)
{
    static const uint64_t lengths[] = {4096 + 24, 4096 + 25, 4096 + 26, 8192, 100001};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        leave_records(500, 500 + lengths[i]);
        assert_int_equal(lx_log_cover(&log_, 500, 500 + lengths[i]), LXDB_OK);
        assert_covered(500, 500 + lengths[i]);
    }
}

static void cover_touches_nothing_else(void **state)
{
    (void)state;
    fill(0, MIB, 0x55);
    assert_int_equal(lx_log_cover(&log_, 500, 900), LXDB_OK);
    assert_bytes(0, 500, 0x55);
    assert_bytes(900, MIB - 900, 0x55);
}

static void cover_again_gives_the_same_bytes(void **state)
{
    uint8_t first[400];

    (void)state;
    fill(500, 400, 0x55);
    assert_int_equal(lx_log_cover(&log_, 500, 900), LXDB_OK);
    memcpy(first, log_.map.base + 500, sizeof first);
    assert_int_equal(lx_log_cover(&log_, 500, 900), LXDB_OK);
    assert_memory_equal(log_.map.base + 500, first, sizeof first);
}

/* Stores that are no zeros: two gigabytes of those need not be written to be seen. */
static void store_but_zeros(void *to, const void *from, size_t len)
{
    static const uint8_t zeros[65536];

    if (len > sizeof zeros || memcmp(from, zeros, len) != 0)
        memcpy(to, from, len);
}

static void cover_of_more_than_one_pad_can_hold_takes_several(void **state)
{
    static const uint64_t lengths[] = {2 * GIB, 2 * GIB + 1, 2 * GIB + LX_PAD_SIZE_MIN};
    static const unsigned pads[] = {1, 2, 2};
    const uint64_t from = 500;
    lx_log large;

    (void)state;
    fake.store = store_but_zeros;
    assert_int_equal(ftruncate(second, 3 * (off_t)GIB), 0);
    assert_int_equal(lx_log_open(dup(second), "x", true, &large), LXDB_OK);
    large.by_pwrite = false;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint64_t to = from + lengths[i], off = from;
        unsigned n = 0;
        lx_record record;

        assert_int_equal(lx_log_cover(&large, from, to), LXDB_OK);
        for (; off < to; off += record.len, n++) {
            assert_true(lx_record_parse(large.map.base, to, off, &record));
            record.born = 0;
            assert_int_equal(lx_control_parse(&record).kind, LX_CONTROL_PAD);
        }
        assert_int_equal(off, to);
        assert_int_equal(n, pads[i]);
    }
    lx_log_close(&large);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(open_log_knows_its_length_and_has_room_to_grow),
        UNIT(open_of_bad_descriptor_is_io),
        UNIT(open_of_empty_file_has_no_length_and_no_records),
        UNIT(close_of_a_zeroed_or_closed_log_does_nothing),
        UNIT(reach_follows_a_file_that_grew),
        UNIT(reach_beyond_the_file_is_corrupt),
        UNIT(reach_beyond_the_mapping_is_again),
        UNIT(reach_that_cannot_ask_for_the_size_is_io),
        UNIT(match_of_a_record_gives_all_of_it),
        UNIT(match_of_another_key_is_not_found_and_leaves_the_output),
        UNIT(match_of_a_key_that_differs_anywhere_is_not_found),
        UNIT(match_of_a_record_that_was_just_killed_is_found),
        UNIT(match_of_a_record_that_ends_with_the_file_is_found),
        UNIT(match_at_or_over_the_end_is_corrupt),
        UNIT(entry_at_the_end_of_all_numbers_is_corrupt),
        UNIT(match_of_lengths_that_pass_the_end_is_corrupt),
        UNIT(match_of_what_is_no_record_is_corrupt),
        UNIT(match_in_what_the_file_has_grown_by_is_found),
        UNIT(match_beyond_the_mapping_is_again),
        UNIT(match_at_a_group_gives_the_record_behind_it_and_its_expiry),
        UNIT(match_at_a_group_without_a_record_is_corrupt),
        UNIT(match_of_a_dead_put_that_looks_like_a_group_is_that_put),
        UNIT(match_of_a_group_from_another_place_is_no_group),
        UNIT(match_of_five_byte_keys_that_are_dead_is_found),
        UNIT(prefetch_takes_any_offset),
        UNIT(store_reaches_the_file_by_mapping_and_by_pwrite),
        UNIT(store_by_pwrite_gives_the_failure_of_the_disk),
        UNIT(store_of_zeros_is_exact),
        UNIT(status_is_one_byte),
        UNIT(status_that_was_made_ready_is_set_without_a_page_fault),
        UNIT(status_that_is_made_ready_keeps_its_value),
        UNIT(status_is_not_made_ready_by_mapping_where_stores_are_by_pwrite),
        UNIT(watermark_is_the_last_four_bytes_of_the_header),
        UNIT(sync_is_one_fdatasync_or_its_failure),
        UNIT(sync_of_a_range_is_of_its_pages_or_its_failure),
        UNIT(sync_of_a_range_that_is_not_mapped_is_of_the_whole_file),
        UNIT(grow_takes_a_quarter_between_256_kib_and_64_mib),
        UNIT(grow_for_more_than_a_chunk_takes_what_is_needed_in_whole_chunks),
        UNIT(grow_adds_zeros_and_keeps_what_is_there),
        UNIT(grow_on_a_disk_that_is_nearly_full_takes_what_is_needed),
        UNIT(grow_on_a_full_disk_is_no_space_and_leaves_the_output),
        UNIT(grow_past_what_a_slot_can_hold_is_no_space),
        UNIT(grow_beyond_the_mapping_is_again_and_tells_the_size),
        UNIT(touch_leaves_zeros_the_bytes_before_and_the_size),
        UNIT(touch_does_not_pass_what_is_allocated),
        UNIT(touch_of_nothing_writes_nothing),
        UNIT(touch_that_fails_is_not_tried_again),
        UNIT(touch_where_stores_are_pwrites_does_nothing),
        UNIT(cover_of_any_length_is_one_pad_and_nothing_parses_inside),
        UNIT(cover_of_large_ranges_is_one_pad),
        UNIT(cover_touches_nothing_else),
        UNIT(cover_again_gives_the_same_bytes),
        UNIT(cover_of_more_than_one_pad_can_hold_takes_several),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
