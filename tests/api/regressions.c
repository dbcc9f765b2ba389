/* SPDX-License-Identifier: MIT */
/*
 * Promises that were broken once, where the public interface and files made by hand suffice to
 * show it. Those that take a death or a stop at a named step are in tests/crash/regressions.c.
 */
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define HEADER_SIZE 10u
#define WATERMARK 6u /* its offset in the header, four bytes */
#define HOUR_MS 3600000u
#define SEGMENT 20480u /* unit of the index file */

/* ---- Files by hand --------------------------------------------------------------------------- */

static uint32_t crc32_of(const uint8_t *bytes, size_t len)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* A record with a key and a value shorter than 256 bytes; the end of it is returned. The CRC takes
 * the status byte as it was at birth. */
static uint8_t *add_record(uint8_t *at, uint8_t status, const char *key, const char *value)
{
    size_t key_len = strlen(key), value_len = strlen(value), len = 7 + key_len + value_len;
    uint32_t crc;

    memset(at, 0, 7);
    at[0] = 1;
    at[2] = (uint8_t)key_len;
    at[6] = (uint8_t)value_len;
    memcpy(at + 7, key, key_len);
    memcpy(at + 7 + key_len, value, value_len);
    crc = crc32_of(at, len);
    at[0] = status;
    for (int i = 0; i < 4; i++)
        at[len + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    return at + len + 4;
}

/* What a writer that knows no delete markers leaves: "deleted" is dead by its status byte alone. */
static void write_file_of_others(const char *path)
{
    uint8_t bytes[128] = {'L', 'X', 'D', 'B', 0, 1};
    uint8_t *end = add_record(bytes + HEADER_SIZE, 1, "alive", "1");

    end = add_record(end, 0, "deleted", "2");
    write_file(path, bytes, (size_t)(end - bytes));
}

static uint32_t watermark_of(const char *path)
{
    size_t len;
    uint8_t *bytes = read_file(path, &len);
    uint32_t mark;

    assert_true(len >= HEADER_SIZE);
    mark = (uint32_t)bytes[WATERMARK] << 24 | (uint32_t)bytes[WATERMARK + 1] << 16 |
           (uint32_t)bytes[WATERMARK + 2] << 8 | bytes[WATERMARK + 3];
    free(bytes);
    return mark;
}

static lxdb *open_keeping(const char *path)
{
    lxdb_options options = {
        .size = sizeof options, .helpers = LXDB_HELPERS_KEEP, .sync = LXDB_SYNC_FULL};
    lxdb *db = NULL;

    assert_ok(lxdb_open(path, &options, &db));
    return db;
}

/* ---- Watermark ------------------------------------------------------------------------------- */

static void flush_before_any_write_leaves_no_watermark(void **state)
{
    struct fixture *fixture = *state;

    write_file_of_others(fixture->path);
    fixture->db = open_database(fixture->path);
    assert_ok(lxdb_flush(fixture->db));
    assert_int_equal(watermark_of(fixture->path), 0);
}

static void wait_durable_before_any_write_leaves_no_watermark(void **state)
{
    struct fixture *fixture = *state;
    uint64_t position = 0;

    write_file_of_others(fixture->path);
    fixture->db = open_database(fixture->path);
    assert_ok(lxdb_position(fixture->db, &position));
    assert_ok(lxdb_wait_durable(fixture->db, position, 10000));
    assert_int_equal(watermark_of(fixture->path), 0);
}

static void flush_and_die(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_flush(db), LXDB_OK, "flush");
    die_now();
}

static void flush_before_any_write_brings_no_deleted_key_back(void **state)
{
    struct fixture *fixture = *state;

    write_file_of_others(fixture->path);
    run_child_killed(flush_and_die, fixture);
    fixture->db = open_database(fixture->path);
    check_missing(fixture->db, "deleted");
    check_value(fixture->db, "alive", "1");
}

static void last_writer_ends_its_session_beside_a_reader(void **state)
{
    struct fixture *fixture = *state;
    lxdb *reader;

    put(fixture->db, "key", "value");
    reader = open_with(fixture->path, LXDB_RDONLY);
    check_value(reader, "key", "value");
    assert_int_not_equal(watermark_of(fixture->path), 0);
    close_database(fixture);
    assert_int_equal(watermark_of(fixture->path), 0);
    check_value(reader, "key", "value");
    assert_ok(lxdb_close(reader));
}

/* ---- Interval mode --------------------------------------------------------------------------- */

static void close_in_interval_mode_syncs_what_it_wrote(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {
        .size = sizeof options, .sync = LXDB_SYNC_INTERVAL, .sync_interval_ms = HOUR_MS};
    lxdb *writer = NULL;
    lxdb_stat_info info;

    assert_ok(lxdb_open(fixture->path, &options, &writer));
    put(writer, "key", "value");
    assert_ok(lxdb_stat(fixture->db, &info));
    assert_true(info.durable < info.position);
    assert_ok(lxdb_close(writer));
    assert_ok(lxdb_stat(fixture->db, &info));
    assert_true(info.durable >= info.position);
}

/* ---- A kept index ---------------------------------------------------------------------------- */

static void kept_index_with_damaged_segments_is_made_anew(void **state)
{
    struct fixture *fixture = *state;
    const char *index = in_directory(fixture, "test.lxdb-index");
    uint8_t *bytes;
    size_t len;

    fixture->db = open_keeping(fixture->path);
    fill(fixture->db, 5000);
    close_database(fixture);
    bytes = read_file(index, &len);
    assert_true(len > 3 * SEGMENT);
    for (size_t at = 2 * SEGMENT; at + SEGMENT <= len; at += SEGMENT)
        memset(bytes + at + 64, 0, SEGMENT / 2); /* of its slots: they look empty */
    write_file(index, bytes, len);
    free(bytes);
    fixture->db = open_keeping(fixture->path);
    check_filled(fixture->db, 5000);
}

/* ---- Verify, receipts, compaction of what is damaged ----------------------------------------- */

/* The bytes of an open database: what a crash would leave now. */
static void copy_open(struct fixture *fixture, const char *to)
{
    copy_file(fixture->path, to);
    assert_true(watermark_of(to) != 0);
}

static void patch(const char *path, size_t off, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)off), len);
    assert_int_equal(close(fd), 0);
}

static int replace_meanwhile(void *arg, uint64_t done, uint64_t total)
{
    struct fixture *fixture = arg;

    (void)done;
    (void)total;
    put(fixture->db, "key", "new");
    drop(fixture->db, "other");
    put(fixture->db, "other", "again");
    return 0;
}

static void verify_beside_a_writer_takes_its_kills_for_no_damage(void **state)
{
    struct fixture *fixture = *state;
    const lxdb_progress progress = {replace_meanwhile, fixture};
    uint8_t *large = noise(6u << 20, 1);
    lxdb_report report;

    put(fixture->db, "key", "old");
    put(fixture->db, "other", "value");
    assert_ok(lxdb_write(fixture->db, "large", 5, large, 6u << 20));
    put(fixture->db, "last", "value");
    free(large);
    assert_ok(lxdb_verify(fixture->path, &report, &progress));
    check_value(fixture->db, "key", "new"); /* it was called */
    assert_int_equal(report.records_live, 4);
    assert_int_equal(report.dead_without_cause, 0);
}

static void receipt_counts_kills_without_a_cause_alone(void **state)
{
    struct fixture *fixture = *state;
    const char *crashed = in_directory(fixture, "crashed.lxdb");
    lxdb_report report;
    lxdb *db;

    put(fixture->db, "a", "1"); /* 13 bytes each */
    put(fixture->db, "b", "1");
    put(fixture->db, "c", "1");
    put(fixture->db, "a", "2");
    drop(fixture->db, "b");
    copy_open(fixture, crashed);
    db = open_with(crashed, LXDB_RDONLY);
    assert_ok(lxdb_recovery(db, &report));
    assert_int_equal(report.dead_without_cause, 0);
    assert_ok(lxdb_close(db));
    db = open_database(crashed);
    assert_ok(lxdb_recovery(db, &report));
    assert_int_equal(report.dead_without_cause, 0);
    assert_ok(lxdb_close(db));
    copy_open(fixture, crashed);
    patch(crashed, HEADER_SIZE + 2 * 13, "", 1); /* `c` */
    db = open_with(crashed, LXDB_RDONLY);
    assert_ok(lxdb_recovery(db, &report));
    assert_int_equal(report.dead_without_cause, 1);
    check_value(db, "c", "1");
    assert_ok(lxdb_close(db));
    db = open_database(crashed);
    assert_ok(lxdb_recovery(db, &report));
    assert_int_equal(report.dead_without_cause, 1);
    check_value(db, "c", "1");
    assert_ok(lxdb_close(db));
}

static void verify_of_a_closed_database_counts_kills_without_a_cause(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;

    put(fixture->db, "a", "1");
    put(fixture->db, "b", "1");
    put(fixture->db, "b", "2");
    close_database(fixture);
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
    assert_int_equal(report.dead_without_cause, 0);
    patch(fixture->path, HEADER_SIZE, "", 1);
    assert_ok(lxdb_verify(fixture->path, &report, NULL)); /* others delete so */
    assert_int_equal(report.dead_without_cause, 1);
    assert_int_equal(report.records_live, 1);
}

/* The length of the first record, which is dead, leads over `b` and `c` to `d`. */
static void put_behind_a_dead_length(const struct fixture *fixture)
{
    put(fixture->db, "a", "1"); /* 13 bytes each */
    put(fixture->db, "b", "2");
    put(fixture->db, "c", "3");
    put(fixture->db, "d", "4");
    put(fixture->db, "a", "5");
    patch(fixture->path, HEADER_SIZE + 6, "\x1b", 1);
}

static void compaction_behind_a_dead_length_that_leads_astray_keeps_everything(void **state)
{
    struct fixture *fixture = *state;

    put_behind_a_dead_length(fixture);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_keys(fixture->db, "", 0, "b c d a");
    check_value(fixture->db, "b", "2");
}

/* A key and a value as a GROUP of one record of 13 bytes has them, at the start of the log, with an
 * expiry that has passed. */
static void put_like_a_group(lxdb *db)
{
    uint8_t value[29] = {'G', [8] = HEADER_SIZE, [12] = 1, [20] = 13, [28] = 1};

    assert_ok(lxdb_write(db, "\0lxdb", 5, value, sizeof value));
}

static void record_like_a_group_gives_no_expiry(void **state)
{
    struct fixture *fixture = *state;

    put_like_a_group(fixture->db);
    put(fixture->db, "a", "1"); /* 13 bytes */
    assert_ok(lxdb_delete(fixture->db, "\0lxdb", 5));
    check_keys(fixture->db, "", 0, "a");
    check_value(fixture->db, "a", "1");
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_keys(fixture->db, "", 0, "a");
    check_value(fixture->db, "a", "1");
}

static void iteration_behind_a_dead_length_that_leads_astray_shows_everything(void **state)
{
    struct fixture *fixture = *state;

    put_behind_a_dead_length(fixture);
    check_keys(fixture->db, "", 0, "b c d a");
    patch(fixture->path, HEADER_SIZE + 6, "\x1c", 1); /* into `d` */
    check_keys(fixture->db, "", 0, "b c d a");
    patch(fixture->path, HEADER_SIZE + 3, "\xff", 1); /* beyond the end */
    check_keys(fixture->db, "", 0, "b c d a");
}

static void iteration_of_a_database_with_damage_shows_the_whole_records(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->db, "a", "1");
    put(fixture->db, "b", "2");
    put(fixture->db, "c", "3");
    close_database(fixture);
    patch(fixture->path, HEADER_SIZE + 13 + 8, "!", 1); /* the value of `b` */
    fixture->db = open_database(fixture->path);
    check_keys(fixture->db, "", 0, "a c");
    put(fixture->db, "d", "4");
    check_keys(fixture->db, "", 0, "a c d");
}

/* ---- An index that is damaged while it is in use --------------------------------------------- */

#define SLOT_OFFSET ((UINT64_C(1) << 48) - 1)

/* The slot that leads to `off`: lead it to `to`, or empty it (0). */
static void lead_slot(const struct fixture *fixture, uint64_t off, uint64_t to)
{
    const char *index = in_directory(fixture, "test.lxdb-index");
    size_t len, at;
    uint8_t *bytes = read_file(index, &len);
    uint64_t slot = 0;

    for (at = 2 * SEGMENT + 64; at < 3 * SEGMENT; at += sizeof slot) {
        memcpy(&slot, bytes + at, sizeof slot);
        if ((slot & SLOT_OFFSET) == off)
            break;
    }
    assert_true(at < 3 * SEGMENT);
    free(bytes);
    slot = to != 0 ? (slot & ~SLOT_OFFSET) | to : 0;
    patch(index, at, &slot, sizeof slot);
}

/* So much of the log dead that an iteration goes by the index. */
static void put_often(lxdb *db, const char *key)
{
    static const uint8_t value[1000];

    for (int i = 0; i < 200; i++)
        assert_ok(lxdb_write(db, key, strlen(key), value, sizeof value));
}

static void iteration_believes_no_record_that_a_slot_leads_to_by_damage(void **state)
{
    struct fixture *fixture = *state;
    uint8_t value[32];
    const void *key;
    size_t key_len;
    lxdb_iter *iter;
    int rc;

    put(fixture->db, "a", "1"); /* 13 bytes */
    assert_int_equal(add_record(value, 1, "ghost", "2") - value, 17);
    assert_ok(lxdb_write(fixture->db, "b", 1, value, 17));
    put_often(fixture->db, "c");
    lead_slot(fixture, HEADER_SIZE, HEADER_SIZE + 13 + 8);
    assert_ok(lxdb_iter_open(fixture->db, "", 0, 0, &iter));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, NULL, NULL)) == LXDB_OK)
        assert_int_equal(key_len, 1);
    assert_code(rc, LXDB_CORRUPT);
    lxdb_iter_close(iter);
    assert_code(lxdb_clear(fixture->db, NULL), LXDB_CORRUPT);
}

static void slot_that_leads_to_an_older_version_is_damage(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t first = HEADER_SIZE, second = HEADER_SIZE + 13, third = HEADER_SIZE + 26;

    put(fixture->db, "a", "1"); /* 13 bytes each */
    put(fixture->db, "a", "2");
    lead_slot(fixture, second, first);
    check_value(fixture->db, "a", "2");

    close_database(fixture);
    assert_int_equal(unlink(fixture->path), 0);
    fixture->db = open_with(fixture->path, 0);
    put(fixture->db, "a", "1");
    put(fixture->db, "a", "2");
    put(fixture->db, "a", "3");
    lead_slot(fixture, third, second);
    assert_ok(lxdb_cas(fixture->db, "a", 1, "3", 1, "4", 1)); /* decided under the lock */
    check_value(fixture->db, "a", "4");
    check_count(fixture->db, 1);
}

static void live_record_whose_status_byte_rots_while_it_is_read_is_restored(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->db, "a", "1");
    put(fixture->db, "b", "2");
    patch(fixture->path, HEADER_SIZE, "", 1);
    check_value(fixture->db, "a", "1");
    check_count(fixture->db, 2);
    reopen(fixture);
    check_value(fixture->db, "a", "1");
}

static void key_that_was_missed_once_and_deleted_stays_deleted(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->db, "a", "1");
    put(fixture->db, "b", "2");
    lead_slot(fixture, HEADER_SIZE, 0);
    put(fixture->db, "a", "3"); /* the first version is not found, and not killed */
    drop(fixture->db, "a");
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_missing(fixture->db, "a");
    reopen(fixture);
    check_missing(fixture->db, "a");
    check_value(fixture->db, "b", "2");
    check_count(fixture->db, 1);
}

static void compaction_counts_anew_what_was_counted_twice_for_a_miss(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->db, "a", "1");
    put(fixture->db, "b", "2");
    lead_slot(fixture, HEADER_SIZE, 0);
    put(fixture->db, "a", "3");
    check_count(fixture->db, 3);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_count(fixture->db, 2);
    check_keys(fixture->db, "", 0, "b a");
}

static void opening_beside_others_with_a_damaged_head_of_the_index_is_corrupt(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other = NULL;

    put(fixture->db, "a", "1");
    patch(in_directory(fixture, "test.lxdb-index"), 0, "", 1);
    assert_code(lxdb_open(fixture->path, NULL, &other), LXDB_CORRUPT);
    check_value(fixture->db, "a", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(flush_before_any_write_leaves_no_watermark),
        test_in_directory(wait_durable_before_any_write_leaves_no_watermark),
        test_in_directory(flush_before_any_write_brings_no_deleted_key_back),
        test_in_database(last_writer_ends_its_session_beside_a_reader),
        test_in_database(close_in_interval_mode_syncs_what_it_wrote),
        test_in_directory(kept_index_with_damaged_segments_is_made_anew),
        test_in_database(verify_beside_a_writer_takes_its_kills_for_no_damage),
        test_in_database(receipt_counts_kills_without_a_cause_alone),
        test_in_database(verify_of_a_closed_database_counts_kills_without_a_cause),
        test_in_database(compaction_behind_a_dead_length_that_leads_astray_keeps_everything),
        test_in_database(record_like_a_group_gives_no_expiry),
        test_in_database(iteration_behind_a_dead_length_that_leads_astray_shows_everything),
        test_in_database(iteration_of_a_database_with_damage_shows_the_whole_records),
        test_in_database(iteration_believes_no_record_that_a_slot_leads_to_by_damage),
        test_in_database(slot_that_leads_to_an_older_version_is_damage),
        test_in_database(live_record_whose_status_byte_rots_while_it_is_read_is_restored),
        test_in_database(key_that_was_missed_once_and_deleted_stays_deleted),
        test_in_database(compaction_counts_anew_what_was_counted_twice_for_a_miss),
        test_in_database(opening_beside_others_with_a_damaged_head_of_the_index_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
