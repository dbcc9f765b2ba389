/* SPDX-License-Identifier: MIT */
/* Raw keys and values: create, write, update, delete, exists, read, read_alloc. */
#include "harness.h"

#include <stdio.h>

#define TOO_LONG ((size_t)UINT32_MAX + 1)

/* ---- One key --------------------------------------------------------------------------------- */

static void create_new_key_is_stored(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_create(fixture->db, "key", 3, "value", 5));
    check_value(fixture->db, "key", "value");
}

static void create_existing_key_is_exists(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "old");
    assert_code(lxdb_create(fixture->db, "key", 3, "new", 3), LXDB_EXISTS);
    check_value(fixture->db, "key", "old");
    check_count(fixture->db, 1);
}

static void create_deleted_key_is_stored(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "old");
    drop(fixture->db, "key");
    assert_ok(lxdb_create(fixture->db, "key", 3, "new", 3));
    check_value(fixture->db, "key", "new");
}

static void write_new_key_is_stored(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_write(fixture->db, "key", 3, "value", 5));
    check_value(fixture->db, "key", "value");
    check_count(fixture->db, 1);
}

static void write_existing_key_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    static const char *const values[] = {"same size", "size same", "longer than that", "short", ""};
    put(fixture->db, "key", "old value");
    for (size_t i = 0; i < COUNT(values); i++) {
        put(fixture->db, "key", values[i]);
        check_value(fixture->db, "key", values[i]);
        check_count(fixture->db, 1);
    }
}

static void update_existing_key_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "old");
    assert_ok(lxdb_update(fixture->db, "key", 3, "new", 3));
    check_value(fixture->db, "key", "new");
    assert_ok(lxdb_update(fixture->db, "key", 3, "longer", 6));
    check_value(fixture->db, "key", "longer");
    check_count(fixture->db, 1);
}

static void update_missing_key_is_notfound(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_update(fixture->db, "key", 3, "new", 3), LXDB_NOTFOUND);
    check_missing(fixture->db, "key");
    check_count(fixture->db, 0);
}

static void update_deleted_key_is_notfound(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "old");
    drop(fixture->db, "key");
    assert_code(lxdb_update(fixture->db, "key", 3, "new", 3), LXDB_NOTFOUND);
    check_missing(fixture->db, "key");
}

static void delete_existing_key_is_gone(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    put(fixture->db, "other", "stays");
    assert_ok(lxdb_delete(fixture->db, "key", 3));
    check_missing(fixture->db, "key");
    check_value(fixture->db, "other", "stays");
    check_count(fixture->db, 1);
}

static void delete_missing_key_is_notfound(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_delete(fixture->db, "key", 3), LXDB_NOTFOUND);
    put(fixture->db, "key", "value");
    drop(fixture->db, "key");
    assert_code(lxdb_delete(fixture->db, "key", 3), LXDB_NOTFOUND);
}

static void exists_tells_present_from_missing(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_exists(fixture->db, "key", 3), LXDB_NOTFOUND);
    put(fixture->db, "key", "");
    assert_ok(lxdb_exists(fixture->db, "key", 3));
    assert_code(lxdb_exists(fixture->db, "ke", 2), LXDB_NOTFOUND);
    assert_code(lxdb_exists(fixture->db, "key1", 4), LXDB_NOTFOUND);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void read_copies_the_value(void **state)
{
    struct fixture *fixture = *state;
    char buf[16] = "................";
    size_t len = 0;
    put(fixture->db, "key", "value");
    assert_ok(lxdb_read(fixture->db, "key", 3, buf, sizeof buf, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(buf, "value...........", 16);
}

static void read_into_exact_buffer_is_ok(void **state)
{
    struct fixture *fixture = *state;
    char buf[5];
    size_t len = 0;
    put(fixture->db, "key", "value");
    assert_ok(lxdb_read(fixture->db, "key", 3, buf, 5, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(buf, "value", 5);
}

static void read_into_small_buffer_is_toobig_and_filled(void **state)
{
    struct fixture *fixture = *state;
    char buf[8] = "........";
    size_t len = 0;
    put(fixture->db, "key", "a longer value");
    assert_code(lxdb_read(fixture->db, "key", 3, buf, 4, &len), LXDB_TOOBIG);
    assert_int_equal(len, 14);
    assert_memory_equal(buf, "a lo....", 8);
}

static void read_into_no_buffer_gives_the_length(void **state)
{
    struct fixture *fixture = *state;
    size_t len = 0;
    put(fixture->db, "key", "value");
    assert_code(lxdb_read(fixture->db, "key", 3, NULL, 0, &len), LXDB_TOOBIG);
    assert_int_equal(len, 5);
}

static void read_of_empty_value_into_no_buffer_is_ok(void **state)
{
    struct fixture *fixture = *state;
    size_t len = 77;
    put(fixture->db, "key", "");
    assert_ok(lxdb_read(fixture->db, "key", 3, NULL, 0, &len));
    assert_int_equal(len, 0);
}

static void read_without_place_for_the_length_is_ok(void **state)
{
    struct fixture *fixture = *state;
    char buf[8];
    put(fixture->db, "key", "value");
    assert_ok(lxdb_read(fixture->db, "key", 3, buf, sizeof buf, NULL));
    assert_memory_equal(buf, "value", 5);
}

static void read_missing_key_is_notfound_and_untouched(void **state)
{
    struct fixture *fixture = *state;
    char buf[4] = "....";
    size_t len = 77;
    assert_code(lxdb_read(fixture->db, "key", 3, buf, sizeof buf, &len), LXDB_NOTFOUND);
    assert_memory_equal(buf, "....", 4);
    assert_int_equal(len, 77);
}

static void read_alloc_missing_key_is_notfound_and_untouched(void **state)
{
    struct fixture *fixture = *state;
    void *value = fixture;
    size_t len = 77;
    assert_code(lxdb_read_alloc(fixture->db, "key", 3, &value, &len), LXDB_NOTFOUND);
    assert_ptr_equal(value, fixture);
    assert_int_equal(len, 77);
}

static void read_alloc_of_empty_value_is_ok(void **state)
{
    struct fixture *fixture = *state;
    void *value = NULL;
    size_t len = 77;
    put(fixture->db, "key", "");
    assert_ok(lxdb_read_alloc(fixture->db, "key", 3, &value, &len));
    assert_int_equal(len, 0);
    lxdb_free(value);
}

static void free_of_null_is_fine(void **state)
{
    (void)state;
    lxdb_free(NULL);
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

static void key_of_one_byte_works_for_every_byte(void **state)
{
    struct fixture *fixture = *state;
    for (int byte = 0; byte < 256; byte++) {
        uint8_t key = (uint8_t)byte;
        uint8_t value = (uint8_t)(255 - byte);
        assert_ok(lxdb_create(fixture->db, &key, 1, &value, 1));
    }
    check_count(fixture->db, 256);
    reopen(fixture);
    for (int byte = 0; byte < 256; byte++) {
        uint8_t key = (uint8_t)byte;
        uint8_t value = (uint8_t)(255 - byte);
        check_bytes(fixture->db, &key, 1, &value, 1);
    }
}

static void key_of_65535_bytes_works(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *key = noise(65535, 1);
    assert_ok(lxdb_create(fixture->db, key, 65535, "one", 3));
    key[65534] ^= 1; /* another key, by its last byte */
    assert_ok(lxdb_create(fixture->db, key, 65535, "two", 3));
    reopen(fixture);
    check_bytes(fixture->db, key, 65535, "two", 3);
    key[65534] ^= 1;
    check_bytes(fixture->db, key, 65535, "one", 3);
    assert_ok(lxdb_delete(fixture->db, key, 65535));
    assert_code(lxdb_exists(fixture->db, key, 65535), LXDB_NOTFOUND);
    free(key);
}

static void key_of_65536_bytes_is_toobig(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *key = noise(65536, 1);
    void *value;
    size_t len;
    assert_code(lxdb_create(fixture->db, key, 65536, "v", 1), LXDB_TOOBIG);
    assert_code(lxdb_write(fixture->db, key, 65536, "v", 1), LXDB_TOOBIG);
    assert_code(lxdb_update(fixture->db, key, 65536, "v", 1), LXDB_TOOBIG);
    assert_code(lxdb_delete(fixture->db, key, 65536), LXDB_TOOBIG);
    assert_code(lxdb_exists(fixture->db, key, 65536), LXDB_TOOBIG);
    assert_code(lxdb_read(fixture->db, key, 65536, NULL, 0, &len), LXDB_TOOBIG);
    assert_code(lxdb_read_alloc(fixture->db, key, 65536, &value, &len), LXDB_TOOBIG);
    check_count(fixture->db, 0);
    free(key);
}

static void key_of_no_bytes_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    void *value;
    size_t len;
    assert_code(lxdb_create(fixture->db, "", 0, "v", 1), LXDB_INVALID);
    assert_code(lxdb_write(fixture->db, "", 0, "v", 1), LXDB_INVALID);
    assert_code(lxdb_update(fixture->db, "", 0, "v", 1), LXDB_INVALID);
    assert_code(lxdb_delete(fixture->db, "", 0), LXDB_INVALID);
    assert_code(lxdb_exists(fixture->db, "", 0), LXDB_INVALID);
    assert_code(lxdb_read(fixture->db, "", 0, NULL, 0, &len), LXDB_INVALID);
    assert_code(lxdb_read_alloc(fixture->db, "", 0, &value, &len), LXDB_INVALID);
}

static void key_that_is_null_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    void *value;
    size_t len;
    assert_code(lxdb_create(fixture->db, NULL, 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_write(fixture->db, NULL, 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_update(fixture->db, NULL, 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_delete(fixture->db, NULL, 1), LXDB_INVALID);
    assert_code(lxdb_exists(fixture->db, NULL, 1), LXDB_INVALID);
    assert_code(lxdb_read(fixture->db, NULL, 1, NULL, 0, &len), LXDB_INVALID);
    assert_code(lxdb_read_alloc(fixture->db, NULL, 1, &value, &len), LXDB_INVALID);
}

static void keys_that_look_like_control_records_work(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_create(fixture->db, "\0lxdb", 5, "G", 1));
    assert_ok(lxdb_create(fixture->db, "LXDB", 4, "", 0));
    reopen(fixture);
    check_bytes(fixture->db, "\0lxdb", 5, "G", 1);
    check_bytes(fixture->db, "LXDB", 4, "", 0);
    assert_ok(lxdb_delete(fixture->db, "\0lxdb", 5));
    reopen(fixture);
    assert_code(lxdb_exists(fixture->db, "\0lxdb", 5), LXDB_NOTFOUND);
    check_count(fixture->db, 1);
}

static void value_that_is_null_and_empty_works(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_create(fixture->db, "a", 1, NULL, 0));
    assert_ok(lxdb_write(fixture->db, "b", 1, NULL, 0));
    assert_ok(lxdb_update(fixture->db, "a", 1, NULL, 0));
    reopen(fixture);
    check_value(fixture->db, "a", "");
    check_value(fixture->db, "b", "");
    check_count(fixture->db, 2);
}

static void value_that_is_null_and_not_empty_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_create(fixture->db, "a", 1, NULL, 1), LXDB_INVALID);
    assert_code(lxdb_write(fixture->db, "a", 1, NULL, 1), LXDB_INVALID);
    assert_code(lxdb_update(fixture->db, "a", 1, NULL, 1), LXDB_INVALID);
    check_count(fixture->db, 0);
}

static void value_past_32_bits_is_toobig_and_not_read(void **state)
{
    struct fixture *fixture = *state;
    const char *one_byte = "v";
    assert_code(lxdb_create(fixture->db, "a", 1, one_byte, TOO_LONG), LXDB_TOOBIG);
    assert_code(lxdb_write(fixture->db, "a", 1, one_byte, TOO_LONG), LXDB_TOOBIG);
    put(fixture->db, "a", "kept");
    assert_code(lxdb_update(fixture->db, "a", 1, one_byte, TOO_LONG), LXDB_TOOBIG);
    assert_code(lxdb_write(fixture->db, "a", 1, one_byte, SIZE_MAX), LXDB_TOOBIG);
    check_value(fixture->db, "a", "kept");
}

static void value_of_every_byte_is_kept(void **state)
{
    struct fixture *fixture = *state;
    uint8_t value[256];
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)i;
    assert_ok(lxdb_write(fixture->db, "bytes", 5, value, sizeof value));
    reopen(fixture);
    check_bytes(fixture->db, "bytes", 5, value, sizeof value);
}

static void value_of_five_megabytes_is_kept(void **state)
{
    struct fixture *fixture = *state;
    size_t len = 5u << 20;
    uint8_t *value = noise(len, 2);
    assert_ok(lxdb_write(fixture->db, "big", 3, value, len));
    put(fixture->db, "after", "it");
    check_bytes(fixture->db, "big", 3, value, len);
    reopen(fixture);
    check_bytes(fixture->db, "big", 3, value, len);
    check_value(fixture->db, "after", "it");
    free(value);
}

static void value_that_holds_a_record_is_no_record(void **state)
{
    struct fixture *fixture = *state;
    size_t len;
    put(fixture->db, "inner", "value");
    close_database(fixture);
    uint8_t *file = read_file(fixture->path, &len);
    fixture->db = open_database(fixture->path);
    drop(fixture->db, "inner");
    assert_ok(lxdb_write(fixture->db, "outer", 5, file, len));
    reopen(fixture);
    check_missing(fixture->db, "inner");
    check_bytes(fixture->db, "outer", 5, file, len);
    check_count(fixture->db, 1);
    free(file);
}

/* ---- Many ------------------------------------------------------------------------------------ */

static void thousands_of_keys_are_kept_through_reopening(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 20000);
    check_filled(fixture->db, 20000);
    reopen(fixture);
    check_filled(fixture->db, 20000);
}

static void deleted_half_stays_deleted_through_reopening(void **state)
{
    struct fixture *fixture = *state;
    char key[32];
    fill(fixture->db, 4000);
    for (unsigned i = 0; i < 4000; i += 2) {
        snprintf(key, sizeof key, "key-%u", i);
        drop(fixture->db, key);
    }
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < 4000; i++) {
            snprintf(key, sizeof key, "key-%u", i);
            assert_code(lxdb_exists(fixture->db, key, strlen(key)),
                        i % 2 ? LXDB_OK : LXDB_NOTFOUND);
        }
        check_count(fixture->db, 2000);
        reopen(fixture);
    }
}

static void key_written_and_deleted_often_has_its_last_state(void **state)
{
    struct fixture *fixture = *state;
    char value[32];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(value, sizeof value, "%u", i);
        put(fixture->db, "flip", value);
        check_value(fixture->db, "flip", value);
        drop(fixture->db, "flip");
        check_missing(fixture->db, "flip");
    }
    put(fixture->db, "flip", "last");
    reopen(fixture);
    check_value(fixture->db, "flip", "last");
    check_count(fixture->db, 1);
}

static void put_only_file_is_header_and_plain_records(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "a", "one");
    put(fixture->db, "bb", "");
    close_database(fixture);
    assert_int_equal(file_size(fixture->path), 10 + (11 + 1 + 3) + (11 + 2 + 0));
    size_t len;
    uint8_t *file = read_file(fixture->path, &len);
    assert_memory_equal(file,
                        "LXDB\0\x01\0\0\0\0\x01\0\x01\0\0\0\x03"
                        "aone",
                        10 + 11);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_database(create_new_key_is_stored),
        test_in_database(create_existing_key_is_exists),
        test_in_database(create_deleted_key_is_stored),
        test_in_database(write_new_key_is_stored),
        test_in_database(write_existing_key_is_replaced),
        test_in_database(update_existing_key_is_replaced),
        test_in_database(update_missing_key_is_notfound),
        test_in_database(update_deleted_key_is_notfound),
        test_in_database(delete_existing_key_is_gone),
        test_in_database(delete_missing_key_is_notfound),
        test_in_database(exists_tells_present_from_missing),
        test_in_database(read_copies_the_value),
        test_in_database(read_into_exact_buffer_is_ok),
        test_in_database(read_into_small_buffer_is_toobig_and_filled),
        test_in_database(read_into_no_buffer_gives_the_length),
        test_in_database(read_of_empty_value_into_no_buffer_is_ok),
        test_in_database(read_without_place_for_the_length_is_ok),
        test_in_database(read_missing_key_is_notfound_and_untouched),
        test_in_database(read_alloc_missing_key_is_notfound_and_untouched),
        test_in_database(read_alloc_of_empty_value_is_ok),
        cmocka_unit_test(free_of_null_is_fine),
        test_in_database(key_of_one_byte_works_for_every_byte),
        test_in_database(key_of_65535_bytes_works),
        test_in_database(key_of_65536_bytes_is_toobig),
        test_in_database(key_of_no_bytes_is_invalid),
        test_in_database(key_that_is_null_is_invalid),
        test_in_database(keys_that_look_like_control_records_work),
        test_in_database(value_that_is_null_and_empty_works),
        test_in_database(value_that_is_null_and_not_empty_is_invalid),
        test_in_database(value_past_32_bits_is_toobig_and_not_read),
        test_in_database(value_of_every_byte_is_kept),
        test_in_database(value_of_five_megabytes_is_kept),
        test_in_database(value_that_holds_a_record_is_no_record),
        test_in_database(thousands_of_keys_are_kept_through_reopening),
        test_in_database(deleted_half_stays_deleted_through_reopening),
        test_in_database(key_written_and_deleted_often_has_its_last_state),
        test_in_database(put_only_file_is_header_and_plain_records),
    };
    return cmocka_run_group_tests_name("raw", tests, NULL, NULL);
}
