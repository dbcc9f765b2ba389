/* SPDX-License-Identifier: MIT */
/*
 * Puts with an expiry, through what repairs and copies records. No public call makes one yet, so
 * they are made by hand: a GROUP of one and its put, in a file at rest or behind the log of one in
 * use, as a writer leaves them that died before it published.
 */
#include "tests/api/harness.h"

#include "format/scan.h"
#include "store/layout.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define FAR_AWAY_MS INT64_C(4102444800000) /* in the year 2100 */
#define PAST_MS INT64_C(1)

/* A put of key and value that ends at a time, as it stands at `off`; its size. */
static size_t encode_put(uint8_t *out, uint64_t off, const char *key, const char *value,
                         int64_t expiry_ms)
{
    uint32_t key_len = (uint32_t)strlen(key), value_len = (uint32_t)strlen(value);
    uint64_t size = lx_record_size(key_len, value_len);

    lx_group_encode(out, off, 1, size, expiry_ms);
    lx_record_encode(out + LX_GROUP_SIZE, 1, key, key_len, value, value_len);
    return LX_GROUP_SIZE + (size_t)size;
}

/* ---- Copying --------------------------------------------------------------------------------- */

static int note_expiry(void *arg, const lx_scan_event *event)
{
    int64_t *expiry_ms = arg;

    if (event->effect == LX_EFFECT_PUT && event->record.key_len == 3 &&
        memcmp(event->record.key, "key", 3) == 0)
        *expiry_ms = event->expiry_ms;
    return LXDB_OK;
}

static void check_expiry(const char *path, int64_t want)
{
    int64_t expiry_ms = -1;
    lx_scan scan = {0};
    size_t len;
    uint8_t *bytes = read_file(path, &len);

    assert_ok(lx_scan_plan(bytes, len, NULL, NULL, &scan));
    assert_ok(lx_scan_walk(&scan, LX_HEADER_SIZE, note_expiry, &expiry_ms));
    assert_true(expiry_ms == want);
    lx_scan_free(&scan);
    free(bytes);
}

/* A file at rest: a record that will be dead, so that the others move, and the put. */
static void make_file(struct fixture *fixture)
{
    uint8_t bytes[256];
    size_t at = LX_HEADER_SIZE;

    lx_header_encode(bytes, 0);
    lx_record_encode(bytes + at, 1, "other", 5, "12345678", 8);
    at += lx_record_size(5, 8);
    at += encode_put(bytes + at, at, "key", "value", FAR_AWAY_MS);
    write_file(fixture->path, bytes, at);
    fixture->db = open_database(fixture->path);
    check_value(fixture->db, "key", "value");
}

static void compaction_of_a_file_at_rest_keeps_the_expiry(void **state)
{
    struct fixture *fixture = *state;

    make_file(fixture);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_value(fixture->db, "key", "value");
    close_database(fixture);
    check_expiry(fixture->path, FAR_AWAY_MS);
}

static void compaction_in_a_session_keeps_the_expiry(void **state)
{
    struct fixture *fixture = *state;

    make_file(fixture);
    drop(fixture->db, "other");
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_value(fixture->db, "key", "value");
    close_database(fixture);
    check_expiry(fixture->path, FAR_AWAY_MS);
}

static void compaction_again_keeps_the_expiry(void **state)
{
    struct fixture *fixture = *state;

    make_file(fixture);
    drop(fixture->db, "other");
    for (int i = 0; i < 3; i++)
        assert_ok(lxdb_compact(fixture->db, NULL));
    close_database(fixture);
    check_expiry(fixture->path, FAR_AWAY_MS);
}

/* ---- Repairing ------------------------------------------------------------------------------- */

/* Leave behind the log what a writer leaves that died between the tail and the index. */
static void leave_committed_put(const struct fixture *fixture, int64_t expiry_ms)
{
    int lock_fd = open(in_directory(fixture, "test.lxdb-lock"), O_RDWR | O_CLOEXEC);
    int fd = open(fixture->path, O_RDWR | O_CLOEXEC);
    struct lx_control_file *file = mmap(NULL, LX_CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                                        lock_fd, 0);
    struct lx_control_block *block;
    uint8_t bytes[128];
    uint64_t tail;
    size_t len;

    assert_true(lock_fd >= 0 && fd >= 0 && file != MAP_FAILED);
    block = file->head.generation & 1 ? &file->block1 : &file->block0;
    tail = block->tail;
    len = encode_put(bytes, tail, "key", "value", expiry_ms);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)tail), len);
    file->lock.intent_end = tail + len;
    file->lock.intent_records = block->records + 1;
    file->lock.intent_bytes = block->bytes + len;
    file->lock.intent_expiring = block->expiring + 1;
    file->lock.dirty = LX_DIRTY_COMMIT;
    block->tail = tail + len;
    file->lock.word = (LX_BYTE_IDENTITY + 1) << 1; /* nobody has that identity */
    assert_int_equal(munmap(file, LX_CONTROL_SIZE), 0);
    close(fd);
    close(lock_fd);
}

static void replay_of_a_put_keeps_its_expiry(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->db, "other", "1");
    leave_committed_put(fixture, PAST_MS);
    put(fixture->db, "other", "2");
    check_missing(fixture->db, "key");
}

static void changes_of_an_expired_key_are_those_of_a_missing_one(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->db, "other", "1");
    leave_committed_put(fixture, PAST_MS);
    put(fixture->db, "other", "2");
    assert_code(lxdb_update(fixture->db, "key", 3, "new", 3), LXDB_NOTFOUND);
    assert_code(lxdb_delete(fixture->db, "key", 3), LXDB_NOTFOUND);
    check_missing(fixture->db, "key");
    assert_ok(lxdb_create(fixture->db, "key", 3, "new", 3));
    check_value(fixture->db, "key", "new");
    assert_code(lxdb_create(fixture->db, "key", 3, "newer", 5), LXDB_EXISTS);
    check_count(fixture->db, 2);
}

static void clear_does_not_count_what_has_expired(void **state)
{
    struct fixture *fixture = *state;
    uint64_t deleted = 0;

    put(fixture->db, "other", "1");
    leave_committed_put(fixture, PAST_MS);
    put(fixture->db, "another", "1");
    assert_ok(lxdb_clear(fixture->db, &deleted));
    assert_int_equal(deleted, 2);
    check_count(fixture->db, 0);
}

static void replay_of_a_put_that_has_not_expired_shows_it(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->db, "other", "1");
    leave_committed_put(fixture, FAR_AWAY_MS);
    put(fixture->db, "other", "2");
    check_value(fixture->db, "key", "value");
    close_database(fixture);
    check_expiry(fixture->path, FAR_AWAY_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(compaction_of_a_file_at_rest_keeps_the_expiry),
        test_in_directory(compaction_in_a_session_keeps_the_expiry),
        test_in_directory(compaction_again_keeps_the_expiry),
        test_in_database(replay_of_a_put_keeps_its_expiry),
        test_in_database(changes_of_an_expired_key_are_those_of_a_missing_one),
        test_in_database(clear_does_not_count_what_has_expired),
        test_in_database(replay_of_a_put_that_has_not_expired_shows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
