/* SPDX-License-Identifier: MIT */
/* base/crc.h: the CRC-32 of the file format, against its published value and its definition. */
#include "base/crc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* One bit at a time: reflected, polynomial 0x04C11DB7, all ones before and after. */
static uint32_t crc_by_definition(const uint8_t *bytes, size_t len)
{
    uint32_t crc = 0xFFFFFFFF;

    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) ? 0xEDB88320 : 0);
    }
    return ~crc;
}

/* Bytes without a pattern that a CRC could be blind to. */
static void bytes_make(uint8_t *bytes, size_t len)
{
    uint32_t x = 12345;

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 24);
    }
}

static void crc_of_check_string_is_the_published_value(void **state)
{
    (void)state;
    assert_int_equal(lx_crc32(0, "123456789", 9), 0xCBF43926);
}

static void crc_of_nothing_is_what_it_was(void **state)
{
    (void)state;
    assert_int_equal(lx_crc32(0, "", 0), 0);
    assert_int_equal(lx_crc32(0xCBF43926, "", 0), 0xCBF43926);
}

static void crc_of_every_length_and_alignment_is_as_defined(void **state)
{
    uint8_t bytes[600];

    (void)state;
    bytes_make(bytes, sizeof bytes);
    for (size_t start = 0; start < 16; start++)
        for (size_t len = 0; start + len <= sizeof bytes; len += 1 + len / 32)
            assert_int_equal(lx_crc32(0, bytes + start, len),
                             crc_by_definition(bytes + start, len));
}

static void crc_in_two_parts_is_the_crc_of_the_whole(void **state)
{
    uint8_t bytes[300];

    (void)state;
    bytes_make(bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++)
        assert_int_equal(lx_crc32(lx_crc32(0, bytes, cut), bytes + cut, sizeof bytes - cut),
                         crc_by_definition(bytes, sizeof bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc_of_check_string_is_the_published_value),
        cmocka_unit_test(crc_of_nothing_is_what_it_was),
        cmocka_unit_test(crc_of_every_length_and_alignment_is_as_defined),
        cmocka_unit_test(crc_in_two_parts_is_the_crc_of_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
