/* SPDX-License-Identifier: MIT */
/* Upkeep: flush, position, wait_durable, compact, stat, verify. */
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static lxdb_stat_info stat_of(lxdb *db)
{
    lxdb_stat_info info;
    memset(&info, 0xff, sizeof info);
    assert_ok(lxdb_stat(db, &info));
    return info;
}

static uint64_t position_of(lxdb *db)
{
    uint64_t position = 0;
    assert_ok(lxdb_position(db, &position));
    return position;
}

/* The size of a record with that key and value. */
static uint64_t record_size(const char *key, const char *value)
{
    return 11 + strlen(key) + strlen(value);
}

/* ---- Durability ------------------------------------------------------------------------------ */

static void flush_makes_everything_durable(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 100);
    uint64_t position = position_of(fixture->db);
    uint64_t syncs = stat_of(fixture->db).syncs;
    assert_ok(lxdb_flush(fixture->db));
    lxdb_stat_info info = stat_of(fixture->db);
    assert_true(info.durable >= position);
    assert_true(info.syncs > syncs);
}

static void flush_of_an_empty_database_is_ok(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_flush(fixture->db));
    assert_ok(lxdb_flush(fixture->db));
}

static void position_grows_by_what_is_written(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "first", "value");
    uint64_t before = position_of(fixture->db);
    put(fixture->db, "key", "value");
    assert_int_equal(position_of(fixture->db) - before, record_size("key", "value"));
    lxdb *other = open_database(fixture->path);
    assert_int_equal(position_of(other), position_of(fixture->db));
    assert_ok(lxdb_close(other));
}

static void position_does_not_move_by_reading_or_refusals(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    uint64_t before = position_of(fixture->db);
    check_value(fixture->db, "key", "value");
    assert_code(lxdb_create(fixture->db, "key", 3, "v", 1), LXDB_EXISTS);
    assert_code(lxdb_update(fixture->db, "no", 2, "v", 1), LXDB_NOTFOUND);
    assert_code(lxdb_delete(fixture->db, "no", 2), LXDB_NOTFOUND);
    assert_code(lxdb_cas(fixture->db, "key", 3, "x", 1, "v", 1), LXDB_CONFLICT);
    assert_int_equal(position_of(fixture->db), before);
}

static void position_keeps_its_meaning_through_compaction(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 500; i++)
        put(fixture->db, "key", "value");
    uint64_t before = position_of(fixture->db);
    assert_ok(lxdb_compact(fixture->db, NULL));
    assert_true(position_of(fixture->db) >= before);
    assert_ok(lxdb_wait_durable(fixture->db, before, 10000));
    uint64_t after = position_of(fixture->db);
    put(fixture->db, "key", "value");
    assert_true(position_of(fixture->db) > after);
}

static void wait_durable_of_the_position_is_ok(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    uint64_t position = position_of(fixture->db);
    assert_ok(lxdb_wait_durable(fixture->db, position, 10000));
    assert_true(stat_of(fixture->db).durable >= position);
    assert_ok(lxdb_wait_durable(fixture->db, position, 0));
    assert_ok(lxdb_wait_durable(fixture->db, position, -1));
    assert_ok(lxdb_wait_durable(fixture->db, 0, 0));
}

static void wait_durable_past_the_end_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    uint64_t position = position_of(fixture->db);
    assert_code(lxdb_wait_durable(fixture->db, position + 1, 0), LXDB_INVALID);
    assert_code(lxdb_wait_durable(fixture->db, UINT64_MAX, -1), LXDB_INVALID);
}

static void sync_full_is_durable_when_it_returns(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .sync = LXDB_SYNC_FULL};
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    for (int i = 0; i < 5; i++) {
        put(fixture->db, "key", "value");
        assert_true(stat_of(fixture->db).durable >= position_of(fixture->db));
    }
}

static void upkeep_without_handle_or_place_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    uint64_t position;
    lxdb_stat_info info;
    assert_code(lxdb_flush(NULL), LXDB_INVALID);
    assert_code(lxdb_position(NULL, &position), LXDB_INVALID);
    assert_code(lxdb_position(fixture->db, NULL), LXDB_INVALID);
    assert_code(lxdb_wait_durable(NULL, 0, 0), LXDB_INVALID);
    assert_code(lxdb_compact(NULL, NULL), LXDB_INVALID);
    assert_code(lxdb_stat(NULL, &info), LXDB_INVALID);
    assert_code(lxdb_stat(fixture->db, NULL), LXDB_INVALID);
}

/* ---- Compaction ------------------------------------------------------------------------------ */

static void compact_shrinks_the_file_and_keeps_everything(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *big = noise(100000, 14);
    for (int i = 0; i < 100; i++)
        assert_ok(lxdb_write(fixture->db, "big", 3, big, 100000));
    drop(fixture->db, "big");
    fill(fixture->db, 1000);
    uint64_t before = file_size(fixture->path);
    assert_true(before > 10000000);
    assert_ok(lxdb_compact(fixture->db, NULL));
    assert_true(file_size(fixture->path) < 2000000);
    check_filled(fixture->db, 1000);
    lxdb_stat_info info = stat_of(fixture->db);
    assert_int_equal(info.records, 1000);
    assert_int_equal(info.compactions, 1);
    assert_true(info.dead_bytes < 1000);
    reopen(fixture);
    check_filled(fixture->db, 1000);
    free(big);
}

static void compact_of_an_empty_database_is_ok(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_count(fixture->db, 0);
    put(fixture->db, "key", "value");
    assert_ok(lxdb_clear(fixture->db, NULL));
    assert_ok(lxdb_compact(fixture->db, NULL));
    reopen(fixture);
    check_count(fixture->db, 0);
    close_database(fixture);
    assert_int_equal(file_size(fixture->path), 10);
}

static void compact_again_and_again_is_ok(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 300);
    for (int i = 0; i < 10; i++) {
        assert_ok(lxdb_compact(fixture->db, NULL));
        put(fixture->db, "key-7", "value of 7");
    }
    check_filled(fixture->db, 300);
    assert_int_equal(stat_of(fixture->db).compactions, 10);
}

static void compact_is_seen_by_other_handles(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other = open_database(fixture->path);
    fill(fixture->db, 300);
    check_filled(other, 300);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_filled(other, 300);
    put(other, "of the other", "value");
    check_value(fixture->db, "of the other", "value");
    assert_ok(lxdb_close(other));
}

static void compact_leaves_only_the_documented_files(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 300);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_files(fixture, "test.lxdb test.lxdb-index test.lxdb-lock");
    close_database(fixture);
    check_files(fixture, "test.lxdb");
}

static void compacted_file_is_header_and_plain_records(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "gone", "value");
    put(fixture->db, "a", "1");
    put(fixture->db, "b", "2");
    put(fixture->db, "a", "3");
    drop(fixture->db, "gone");
    assert_ok(lxdb_compact(fixture->db, NULL));
    close_database(fixture);
    assert_int_equal(file_size(fixture->path), 10 + record_size("a", "3") + record_size("b", "2"));
}

struct seen {
    unsigned calls;
    uint64_t last, total;
    int stop_at; /* which call is to end the work; 0 none */
};

static int watch(void *arg, uint64_t done, uint64_t total)
{
    struct seen *seen = arg;
    assert_true(done >= seen->last);
    assert_true(done <= total);
    seen->calls++;
    seen->last = done;
    seen->total = total;
    return seen->stop_at > 0 && seen->calls >= (unsigned)seen->stop_at;
}

static void fill_megabytes(lxdb *db, unsigned n)
{
    uint8_t *big = noise(1u << 20, 15);
    for (uint8_t i = 0; i < n; i++)
        assert_ok(lxdb_write(db, &i, 1, big, 1u << 20));
    free(big);
}

static void compact_reports_progress(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    lxdb_progress progress = {.report = watch, .arg = &seen};
    fill_megabytes(fixture->db, 16);
    assert_ok(lxdb_compact(fixture->db, &progress));
    assert_true(seen.calls > 0);
    assert_true(seen.total > 0);
}

static void compact_ended_by_progress_is_busy_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.stop_at = 1};
    lxdb_progress progress = {.report = watch, .arg = &seen};
    fill_megabytes(fixture->db, 16);
    put(fixture->db, "key", "value");
    assert_code(lxdb_compact(fixture->db, &progress), LXDB_BUSY);
    assert_int_equal(seen.calls, 1);
    check_count(fixture->db, 17);
    check_value(fixture->db, "key", "value");
    assert_int_equal(stat_of(fixture->db).compactions, 0);
    check_files(fixture, "test.lxdb test.lxdb-index test.lxdb-lock");
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_count(fixture->db, 17);
}

enum { REPLACED = 30000 };

static void put_numbered(lxdb *db, const char *value)
{
    char key[16];

    for (int i = 0; i < REPLACED; i++) {
        snprintf(key, sizeof key, "key%05d", i);
        put(db, key, value);
    }
}

struct replacing {
    lxdb *db;
    unsigned calls;
};

static int replace_all_late(void *arg, uint64_t done, uint64_t total)
{
    struct replacing *replacing = arg;

    (void)done;
    (void)total;
    if (++replacing->calls == 2)
        put_numbered(replacing->db, "new");
    return 0;
}

/* When a third is copied: too many to be killed at once. */
static void compact_beside_replacements_leaves_one_version_of_each(void **state)
{
    struct fixture *fixture = *state;
    struct replacing replacing = {fixture->db, 0};
    lxdb_progress progress = {.report = replace_all_late, .arg = &replacing};
    size_t record = record_size("key00000", "old"), live = 0, size;
    uint8_t *bytes;

    put_numbered(fixture->db, "old");
    assert_ok(lxdb_compact(fixture->db, &progress));
    assert_true(replacing.calls >= 2);
    check_count(fixture->db, REPLACED);
    check_value(fixture->db, "key00000", "new");
    check_value(fixture->db, "key29999", "new");
    close_database(fixture);
    bytes = read_file(fixture->path, &size);
    assert_int_equal((size - 10) % record, 0);
    assert_true(size / record > REPLACED + REPLACED / 3);
    for (size_t at = 10; at < size; at += record)
        live += bytes[at]; /* the status byte */
    free(bytes);
    assert_int_equal(live, REPLACED);
}

/* ---- Figures --------------------------------------------------------------------------------- */

static void stat_counts_records_and_their_bytes(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "a", "one");
    put(fixture->db, "bb", "");
    lxdb_stat_info info = stat_of(fixture->db);
    assert_int_equal(info.records, 2);
    assert_int_equal(info.live_bytes, record_size("a", "one") + record_size("bb", ""));
    assert_int_equal(info.position, position_of(fixture->db));
    assert_int_equal(info.data_size, file_size(fixture->path));
    assert_int_equal(info.index_size, file_size(in_directory(fixture, "test.lxdb-index")));
    assert_true(info.index_slots > info.index_used);
    assert_int_equal(info.index_used, 2);
    assert_int_equal(info.handles, 1);
    assert_int_equal(info.sync_errno, 0);
    assert_int_equal(info.compactions, 0);
    assert_int_equal(info.recoveries, 0);
    for (size_t i = 0; i < COUNT(info.reserved); i++)
        assert_int_equal(info.reserved[i], 0);
}

static void stat_moves_replaced_bytes_from_live_to_dead(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "old");
    lxdb_stat_info before = stat_of(fixture->db);
    put(fixture->db, "key", "newer");
    lxdb_stat_info after = stat_of(fixture->db);
    assert_int_equal(after.records, before.records);
    assert_int_equal(after.live_bytes, record_size("key", "newer"));
    assert_int_equal(after.dead_bytes - before.dead_bytes, record_size("key", "old"));
    assert_int_equal(after.commits - before.commits, 1);
}

static void stat_counts_deleted_records_and_markers_as_dead(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    lxdb_stat_info before = stat_of(fixture->db);
    drop(fixture->db, "key");
    lxdb_stat_info after = stat_of(fixture->db);
    assert_int_equal(after.records, 0);
    assert_int_equal(after.live_bytes, 0);
    assert_int_equal(after.dead_bytes - before.dead_bytes,
                     record_size("key", "value") + record_size("key", ""));
}

static void stat_survives_reopening(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 100);
    put(fixture->db, "key-5", "x");
    drop(fixture->db, "key-6");
    lxdb_stat_info before = stat_of(fixture->db);
    reopen(fixture);
    lxdb_stat_info after = stat_of(fixture->db);
    assert_int_equal(after.records, before.records);
    assert_int_equal(after.live_bytes, before.live_bytes);
    assert_int_equal(after.dead_bytes, before.dead_bytes);
    assert_int_equal(after.recoveries, 0);
}

static void stat_counts_handles(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other = open_database(fixture->path);
    assert_int_equal(stat_of(fixture->db).handles, 2);
    assert_ok(lxdb_close(other));
    assert_int_equal(stat_of(fixture->db).handles, 1);
}

static void stat_counts_generations(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    uint64_t before = stat_of(fixture->db).generation;
    assert_ok(lxdb_compact(fixture->db, NULL));
    assert_true(stat_of(fixture->db).generation > before);
}

static void stat_of_a_free_lock_names_nobody(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    lxdb_stat_info info = stat_of(fixture->db);
    assert_int_equal(info.lock_pid, 0);
    assert_int_equal(info.lock_age_ms, 0);
}

/* ---- Verify ---------------------------------------------------------------------------------- */

static void verify_of_a_clean_file_is_ok(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    fill(fixture->db, 100);
    put(fixture->db, "key-5", "new");
    drop(fixture->db, "key-6");
    close_database(fixture);
    memset(&report, 0xff, sizeof report);
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
    assert_int_equal(report.crashed, 0);
    assert_int_equal(report.watermark, 0);
    assert_int_equal(report.file_size, file_size(fixture->path));
    assert_int_equal(report.tail, file_size(fixture->path));
    assert_int_equal(report.records_live, 99);
    assert_int_equal(report.records_dead, 3); /* replaced, deleted, and the marker that says so */
    assert_int_equal(report.bytes_cut, 0);
    assert_int_equal(report.bytes_damaged, 0);
    assert_int_equal(report.dead_without_cause, 0);
    assert_int_equal(report.ranges_total, 0);
    check_files(fixture, "test.lxdb");
}

static void verify_of_an_empty_database_is_ok(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    close_database(fixture);
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
    assert_int_equal(report.records_live, 0);
    assert_int_equal(report.tail, 10);
}

static void verify_of_an_open_database_is_ok(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    fill(fixture->db, 100);
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
    assert_int_equal(report.records_live, 100);
    assert_int_equal(report.crashed, 0);
    put(fixture->db, "later", "value");
    check_count(fixture->db, 101);
}

/* A closed database of fill(100), the bit at `offset` flipped; the offset of record `n` is counted
 * by hand. */
static uint64_t record_offset(unsigned n)
{
    uint64_t offset = 10;
    char key[32], value[32];
    for (unsigned i = 0; i < n; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        snprintf(value, sizeof value, "value of %u", i);
        offset += record_size(key, value);
    }
    return offset;
}

static void damage(struct fixture *fixture, uint64_t offset)
{
    size_t len;
    uint8_t *file = read_file(fixture->path, &len);
    assert_true(offset < len);
    file[offset] ^= 0x10;
    write_file(fixture->path, file, len);
    free(file);
}

static void verify_of_a_damaged_value_names_its_record(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    size_t before_len, after_len;
    fill(fixture->db, 100);
    close_database(fixture);
    damage(fixture, record_offset(42) + 7 + 6 + 3); /* in the value */
    uint8_t *before = read_file(fixture->path, &before_len);
    assert_code(lxdb_verify(fixture->path, &report, NULL), LXDB_CORRUPT);
    assert_int_equal(report.records_live, 99);
    assert_int_equal(report.ranges_total, 1);
    assert_int_equal(report.ranges_listed, 1);
    assert_int_equal(report.ranges[0].kind, LXDB_RANGE_DAMAGED);
    assert_int_equal(report.ranges[0].offset, record_offset(42));
    assert_int_equal(report.ranges[0].length, record_offset(43) - record_offset(42));
    assert_int_equal(report.bytes_damaged, record_offset(43) - record_offset(42));
    uint8_t *after = read_file(fixture->path, &after_len);
    assert_int_equal(after_len, before_len);
    assert_memory_equal(after, before, before_len);
    free(before);
    free(after);
    check_files(fixture, "test.lxdb");
}

static void verify_of_a_damaged_length_names_its_record(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    fill(fixture->db, 100);
    close_database(fixture);
    damage(fixture, record_offset(42) + 4); /* in the value length */
    assert_code(lxdb_verify(fixture->path, &report, NULL), LXDB_CORRUPT);
    assert_int_equal(report.records_live, 99);
    assert_int_equal(report.ranges_total, 1);
    assert_int_equal(report.ranges[0].offset, record_offset(42));
    assert_int_equal(report.ranges[0].length, record_offset(43) - record_offset(42));
}

static void verify_lists_32_ranges_and_counts_all(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    fill(fixture->db, 100);
    close_database(fixture);
    for (unsigned n = 1; n < 100; n += 2)
        damage(fixture, record_offset(n) + 7 + 5);
    assert_code(lxdb_verify(fixture->path, &report, NULL), LXDB_CORRUPT);
    assert_int_equal(report.ranges_total, 50);
    assert_int_equal(report.ranges_listed, LXDB_REPORT_RANGES);
    for (unsigned i = 0; i < LXDB_REPORT_RANGES; i++)
        assert_int_equal(report.ranges[i].offset, record_offset(2 * i + 1));
    assert_int_equal(report.records_live, 50);
}

static void damaged_database_opens_with_all_that_is_intact(void **state)
{
    struct fixture *fixture = *state;
    char key[32];
    fill(fixture->db, 100);
    close_database(fixture);
    damage(fixture, record_offset(42) + 7 + 6 + 3);
    fixture->db = open_database(fixture->path);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        assert_code(lxdb_exists(fixture->db, key, strlen(key)), i == 42 ? LXDB_NOTFOUND : LXDB_OK);
    }
    put(fixture->db, "key-42", "value of 42");
    reopen(fixture);
    check_filled(fixture->db, 100);
}

static void compact_of_a_damaged_database_keeps_the_damage_aside(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    fill(fixture->db, 100);
    close_database(fixture);
    damage(fixture, record_offset(42) + 7 + 6 + 3);
    fixture->db = open_database(fixture->path);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_count(fixture->db, 99);
    assert_true(file_size(in_directory(fixture, "test.lxdb-lost")) >=
                record_offset(43) - record_offset(42));
    close_database(fixture);
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
}

/* A value changes on the disk under a session: what nobody has checked since it was written. */
static void compact_of_what_rots_in_a_session_keeps_the_damage_aside(void **state)
{
    struct fixture *fixture = *state;
    int fd = open(fixture->path, O_RDWR | O_CLOEXEC);
    lxdb_report report;
    fill(fixture->db, 100);
    assert_int_equal(pwrite(fd, "#", 1, (off_t)record_offset(42) + 7 + 6 + 3), 1);
    close(fd);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_count(fixture->db, 99);
    check_missing(fixture->db, "key-42");
    assert_true(file_size(in_directory(fixture, "test.lxdb-lost")) >=
                record_offset(43) - record_offset(42));
    close_database(fixture);
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
}

/* Programs that go by lengths alone could not read on behind it. */
static void first_write_into_a_file_with_a_broken_length_makes_it_whole(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    fill(fixture->db, 100);
    close_database(fixture);
    damage(fixture, record_offset(42) + 4);
    fixture->db = open_database(fixture->path);
    put(fixture->db, "key-1", "changed");
    check_count(fixture->db, 99);
    close_database(fixture);
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
    assert_int_equal(report.records_live, 99);
}

static void verify_of_what_is_no_database_says_so(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    assert_code(lxdb_verify(fixture->path, &report, NULL), LXDB_NOTFOUND);
    write_file(fixture->path, "SQLite format 3\0", 16);
    assert_code(lxdb_verify(fixture->path, &report, NULL), LXDB_NOTDB);
    write_file(fixture->path, "LXDB\0\x02\0\0\0\0", 10);
    assert_code(lxdb_verify(fixture->path, &report, NULL), LXDB_VERSION);
    assert_code(lxdb_verify(fixture->dir, &report, NULL), LXDB_UNSUPPORTED);
    assert_code(lxdb_verify(NULL, &report, NULL), LXDB_INVALID);
    assert_code(lxdb_verify(fixture->path, NULL, NULL), LXDB_INVALID);
}

static void verify_reports_progress_to_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    lxdb_progress progress = {.report = watch, .arg = &seen};
    lxdb_report report;
    fill_megabytes(fixture->db, 16);
    close_database(fixture);
    assert_ok(lxdb_verify(fixture->path, &report, &progress));
    assert_true(seen.calls > 0);
    assert_int_equal(seen.total, file_size(fixture->path));
}

static void verify_ended_by_progress_is_busy(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.stop_at = 1};
    lxdb_progress progress = {.report = watch, .arg = &seen};
    lxdb_report report;
    fill_megabytes(fixture->db, 16);
    close_database(fixture);
    assert_code(lxdb_verify(fixture->path, &report, &progress), LXDB_BUSY);
    assert_int_equal(seen.calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_database(flush_makes_everything_durable),
        test_in_database(flush_of_an_empty_database_is_ok),
        test_in_database(position_grows_by_what_is_written),
        test_in_database(position_does_not_move_by_reading_or_refusals),
        test_in_database(position_keeps_its_meaning_through_compaction),
        test_in_database(wait_durable_of_the_position_is_ok),
        test_in_database(wait_durable_past_the_end_is_invalid),
        test_in_directory(sync_full_is_durable_when_it_returns),
        test_in_database(upkeep_without_handle_or_place_is_invalid),
        test_in_database(compact_shrinks_the_file_and_keeps_everything),
        test_in_database(compact_of_an_empty_database_is_ok),
        test_in_database(compact_again_and_again_is_ok),
        test_in_database(compact_is_seen_by_other_handles),
        test_in_database(compact_leaves_only_the_documented_files),
        test_in_database(compacted_file_is_header_and_plain_records),
        test_in_database(compact_reports_progress),
        test_in_database(compact_ended_by_progress_is_busy_and_changes_nothing),
        test_in_database(compact_beside_replacements_leaves_one_version_of_each),
        test_in_database(stat_counts_records_and_their_bytes),
        test_in_database(stat_moves_replaced_bytes_from_live_to_dead),
        test_in_database(stat_counts_deleted_records_and_markers_as_dead),
        test_in_database(stat_survives_reopening),
        test_in_database(stat_counts_handles),
        test_in_database(stat_counts_generations),
        test_in_database(stat_of_a_free_lock_names_nobody),
        test_in_database(verify_of_a_clean_file_is_ok),
        test_in_database(verify_of_an_empty_database_is_ok),
        test_in_database(verify_of_an_open_database_is_ok),
        test_in_database(verify_of_a_damaged_value_names_its_record),
        test_in_database(verify_of_a_damaged_length_names_its_record),
        test_in_database(verify_lists_32_ranges_and_counts_all),
        test_in_database(damaged_database_opens_with_all_that_is_intact),
        test_in_database(compact_of_a_damaged_database_keeps_the_damage_aside),
        test_in_database(compact_of_what_rots_in_a_session_keeps_the_damage_aside),
        test_in_database(first_write_into_a_file_with_a_broken_length_makes_it_whole),
        test_in_directory(verify_of_what_is_no_database_says_so),
        test_in_database(verify_reports_progress_to_the_end),
        test_in_database(verify_ended_by_progress_is_busy),
    };
    return cmocka_run_group_tests_name("upkeep", tests, NULL, NULL);
}
