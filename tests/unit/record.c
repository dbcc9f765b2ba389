/* SPDX-License-Identifier: MIT */
/* Records and control records (format/record.h). */
#include "format/record.h"

#include "base/byteorder.h"
#include "base/crc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Key "k", value "old", live: the CRC was computed by zlib. */
static const uint8_t known[15] = "\x01\x00\x01\x00\x00\x00\x03kold\xd6\xe9\x7d\x4a";

static void record_encoded_has_the_documented_bytes(void **state)
{
    uint8_t out[sizeof known];

    (void)state;
    assert_int_equal(lx_record_size(1, 3), sizeof known);
    lx_record_encode(out, 1, "k", 1, "old", 3);
    assert_memory_equal(out, known, sizeof known);
}

static void record_parsed_gives_its_parts(void **state)
{
    lx_record record;

    (void)state;
    assert_true(lx_record_parse(known, sizeof known, 0, &record));
    assert_true(record.off == 0 && record.len == sizeof known);
    assert_int_equal(record.key_len, 1);
    assert_int_equal(record.value_len, 3);
    assert_ptr_equal(record.key, known + 7);
    assert_ptr_equal(record.value, known + 8);
    assert_int_equal(record.status, 1);
    assert_int_equal(record.crc, lx_get32(known + 11));
    assert_true(lx_record_check(known, &record));
    assert_int_equal(record.born, 1);
}

static void record_cut_anywhere_is_not_parsed(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof known; size++) {
        uint8_t *copy = malloc(size + 1); /* of its length, for the sanitizers */
        lx_record record;

        memcpy(copy, known, size);
        assert_false(lx_record_parse(copy, size, 0, &record));
        free(copy);
    }
}

static void record_parse_outside_of_the_data_reads_nothing(void **state)
{
    lx_record record;

    (void)state;
    assert_false(lx_record_parse(known, sizeof known, sizeof known, &record));
    assert_false(lx_record_parse(known, sizeof known, sizeof known + 1, &record));
    assert_false(lx_record_parse(known, sizeof known, UINT64_MAX, &record));
    assert_false(lx_record_parse(NULL, 0, 0, &record));
}

static void record_with_hostile_lengths_is_not_parsed(void **state)
{
    uint8_t bytes[64] = {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    lx_record record;

    (void)state;
    assert_false(lx_record_parse(bytes, sizeof bytes, 0, &record));
    /* The sum of the lengths passes 32 bits, and must not come out small. */
    lx_put16(bytes + 1, 1);
    for (uint32_t back = 1; back <= 64; back++) {
        lx_put32(bytes + 3, 0 - back);
        assert_false(lx_record_parse(bytes, sizeof bytes, 0, &record));
    }
}

static void record_with_empty_key_or_unknown_status_is_not_parsed(void **state)
{
    uint8_t bytes[sizeof known];
    lx_record record;

    (void)state;
    memcpy(bytes, known, sizeof bytes);
    lx_put16(bytes + 1, 0);
    assert_false(lx_record_parse(bytes, sizeof bytes, 0, &record));
    for (unsigned status = 2; status < 256; status++) {
        memcpy(bytes, known, sizeof bytes);
        bytes[0] = (uint8_t)status;
        assert_false(lx_record_parse(bytes, sizeof bytes, 0, &record));
    }
}

static void record_with_any_bit_flipped_behind_the_status_is_not_whole(void **state)
{
    (void)state;
    for (size_t bit = 8; bit < 8 * sizeof known; bit++) {
        uint8_t bytes[sizeof known];
        lx_record record;

        memcpy(bytes, known, sizeof bytes);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(lx_record_parse(bytes, sizeof bytes, 0, &record) &&
                     lx_record_check(bytes, &record));
    }
}

static void record_killed_with_its_old_crc_was_born_live(void **state)
{
    uint8_t bytes[sizeof known];
    lx_record record;

    (void)state;
    memcpy(bytes, known, sizeof bytes);
    bytes[0] = 0;
    assert_true(lx_record_parse(bytes, sizeof bytes, 0, &record));
    assert_true(lx_record_check(bytes, &record));
    assert_int_equal(record.status, 0);
    assert_int_equal(record.born, 1);
    assert_false(lx_record_is_marker(&record));
}

static void record_made_dead_was_born_dead(void **state)
{
    uint8_t bytes[sizeof known];
    lx_record record;

    (void)state;
    lx_record_encode(bytes, 0, "k", 1, "old", 3);
    assert_true(lx_record_parse(bytes, sizeof bytes, 0, &record));
    assert_true(lx_record_check(bytes, &record));
    assert_int_equal(record.born, 0);
    assert_false(lx_record_is_marker(&record)); /* it has a value */
}

static void record_made_dead_and_set_live_is_not_whole(void **state)
{
    uint8_t bytes[sizeof known];
    lx_record record;

    (void)state;
    lx_record_encode(bytes, 0, "k", 1, "old", 3);
    bytes[0] = 1;
    assert_true(lx_record_parse(bytes, sizeof bytes, 0, &record));
    assert_false(lx_record_check(bytes, &record));
}

static void record_killed_between_parse_and_check_is_whole(void **state)
{
    uint8_t bytes[sizeof known];
    lx_record record;

    (void)state;
    memcpy(bytes, known, sizeof bytes);
    assert_true(lx_record_parse(bytes, sizeof bytes, 0, &record));
    bytes[0] = 0;
    assert_true(lx_record_check(bytes, &record));
    assert_int_equal(record.born, 1);
}

static void record_born_dead_without_value_is_a_marker(void **state)
{
    uint8_t bytes[12];
    lx_record record;

    (void)state;
    lx_record_encode(bytes, 0, "k", 1, NULL, 0);
    assert_true(lx_record_parse(bytes, sizeof bytes, 0, &record));
    assert_true(lx_record_check(bytes, &record));
    assert_true(lx_record_is_marker(&record));
    lx_record_encode(bytes, 1, "k", 1, NULL, 0);
    bytes[0] = 0; /* an empty value, killed */
    assert_true(lx_record_parse(bytes, sizeof bytes, 0, &record));
    assert_true(lx_record_check(bytes, &record));
    assert_false(lx_record_is_marker(&record));
}

/* What is at `off` in `bytes`, which must be whole there. */
static lx_control control_at(const uint8_t *bytes, uint64_t size, uint64_t off)
{
    lx_record record;

    assert_true(lx_record_parse(bytes, size, off, &record));
    assert_true(lx_record_check(bytes, &record));
    return lx_control_parse(&record);
}

static void group_encoded_has_the_documented_bytes(void **state)
{
    static const uint8_t expected[41] = "\0\0\5\0\0\0\x1d\0lxdb"
                                        "G\0\0\0\0\0\0\3\x1b"
                                        "\0\0\0\2"
                                        "\0\0\0\0\0\0\0w"
                                        "\0\0\6\x99\xe9\x91\xa8\0";
    uint8_t group[LX_GROUP_SIZE];

    (void)state;
    lx_group_encode(group, 795, 2, 119, INT64_C(0x699e991a800));
    assert_memory_equal(group, expected, sizeof expected);
    assert_int_equal(lx_get32(group + 41), lx_crc32(0, group, 41));
}

static void group_at_its_own_offset_is_a_control_record(void **state)
{
    uint8_t bytes[100 + LX_GROUP_SIZE] = {0};
    lx_control control;

    (void)state;
    lx_group_encode(bytes + 100, 100, UINT32_MAX, UINT64_MAX, -5);
    control = control_at(bytes, sizeof bytes, 100);
    assert_int_equal(control.kind, LX_CONTROL_GROUP);
    assert_true(control.count == UINT32_MAX && control.bytes == UINT64_MAX);
    assert_true(control.expiry_ms == -5);
}

static void group_at_another_offset_is_an_ordinary_record(void **state)
{
    uint8_t bytes[101 + LX_GROUP_SIZE] = {0};

    (void)state;
    lx_group_encode(bytes + 101, 100, 1, 20, 0);
    assert_int_equal(control_at(bytes, sizeof bytes, 101).kind, LX_CONTROL_NONE);
}

static void pad_of_any_length_is_a_control_record(void **state)
{
    uint8_t bytes[64 + 300];

    (void)state;
    for (uint64_t len = LX_PAD_SIZE_MIN; len <= 300; len++) {
        memset(bytes, 0xaa, sizeof bytes);
        lx_pad_encode(bytes + 20, len, 20);
        assert_int_equal(control_at(bytes, sizeof bytes, 20).kind, LX_CONTROL_PAD);
        assert_int_equal(bytes[20 + len], 0xaa);
        assert_int_equal(bytes[19], 0xaa);
    }
}

/* A born-dead or live record with the control key and this value, at offset 0. */
static lx_control control_of(uint8_t status, const void *key, uint32_t key_len, const void *value,
                             uint32_t value_len)
{
    uint8_t bytes[100];

    lx_record_encode(bytes, status, key, key_len, value, value_len);
    return control_at(bytes, lx_record_size(key_len, value_len), 0);
}

static void control_key_in_anything_else_is_an_ordinary_record(void **state)
{
    static const uint8_t group[30] = "G";
    static const uint8_t pad[9] = "P";

    (void)state;
    assert_int_equal(control_of(0, "\0lxdb", 5, group, 29).kind, LX_CONTROL_GROUP);
    assert_int_equal(control_of(0, "\0lxdb", 5, pad, 9).kind, LX_CONTROL_PAD);
    assert_int_equal(control_of(1, "\0lxdb", 5, group, 29).kind, LX_CONTROL_NONE);
    assert_int_equal(control_of(0, "\0lxdB", 5, group, 29).kind, LX_CONTROL_NONE);
    assert_int_equal(control_of(0, "\0lxd", 4, group, 29).kind, LX_CONTROL_NONE);
    assert_int_equal(control_of(0, "\0lxdb", 5, group, 28).kind, LX_CONTROL_NONE);
    assert_int_equal(control_of(0, "\0lxdb", 5, group, 30).kind, LX_CONTROL_NONE);
    assert_int_equal(control_of(0, "\0lxdb", 5, pad, 8).kind, LX_CONTROL_NONE);
    assert_int_equal(control_of(0, "\0lxdb", 5, "", 0).kind, LX_CONTROL_NONE);
    assert_int_equal(control_of(0, "\0lxdb", 5, "X\0\0\0\0\0\0\0\0", 9).kind, LX_CONTROL_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_encoded_has_the_documented_bytes),
        cmocka_unit_test(record_parsed_gives_its_parts),
        cmocka_unit_test(record_cut_anywhere_is_not_parsed),
        cmocka_unit_test(record_parse_outside_of_the_data_reads_nothing),
        cmocka_unit_test(record_with_hostile_lengths_is_not_parsed),
        cmocka_unit_test(record_with_empty_key_or_unknown_status_is_not_parsed),
        cmocka_unit_test(record_with_any_bit_flipped_behind_the_status_is_not_whole),
        cmocka_unit_test(record_killed_with_its_old_crc_was_born_live),
        cmocka_unit_test(record_made_dead_was_born_dead),
        cmocka_unit_test(record_made_dead_and_set_live_is_not_whole),
        cmocka_unit_test(record_killed_between_parse_and_check_is_whole),
        cmocka_unit_test(record_born_dead_without_value_is_a_marker),
        cmocka_unit_test(group_encoded_has_the_documented_bytes),
        cmocka_unit_test(group_at_its_own_offset_is_a_control_record),
        cmocka_unit_test(group_at_another_offset_is_an_ordinary_record),
        cmocka_unit_test(pad_of_any_length_is_a_control_record),
        cmocka_unit_test(control_key_in_anything_else_is_an_ordinary_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
