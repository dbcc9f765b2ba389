/* SPDX-License-Identifier: MIT */
/* The header and the watermark in it (format/header.h). */
#include "format/header.h"

#include "lxdb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int decode(const void *bytes, uint64_t size, bool *ret_blank, uint32_t *ret_watermark)
{
    *ret_blank = true;
    *ret_watermark = 77;
    return lx_header_decode(bytes, size, ret_blank, ret_watermark);
}

static void header_encoded_has_the_documented_bytes(void **state)
{
    uint8_t header[LX_HEADER_SIZE];

    (void)state;
    lx_header_encode(header, 0);
    assert_memory_equal(header, "LXDB\0\1\0\0\0\0", sizeof header);
    lx_header_encode(header, 0x12345678);
    assert_memory_equal(header, "LXDB\0\1\x12\x34\x56\x78", sizeof header);
}

static void header_of_version_1_gives_its_watermark(void **state)
{
    bool blank;
    uint32_t watermark;

    (void)state;
    assert_int_equal(decode("LXDB\0\1\0\0\x03\x1b", 10, &blank, &watermark), LXDB_OK);
    assert_false(blank);
    assert_int_equal(watermark, 795);
    assert_int_equal(decode("LXDB\0\1\0\0\0\0more", 14, &blank, &watermark), LXDB_OK);
    assert_int_equal(watermark, 0);
}

static void header_of_zeros_only_is_blank_at_any_length(void **state)
{
    static const uint8_t zeros[5000];
    bool blank;
    uint32_t watermark;

    (void)state;
    for (uint64_t size = 0; size <= sizeof zeros; size += size < 20 ? 1 : 83) {
        blank = false;
        assert_int_equal(lx_header_decode(zeros, size, &blank, &watermark), LXDB_OK);
        assert_true(blank);
        assert_int_equal(watermark, 0);
    }
}

static void header_of_zeros_before_anything_else_is_no_database(void **state)
{
    uint8_t bytes[5000];
    bool blank;
    uint32_t watermark;

    (void)state;
    for (size_t at = 0; at < sizeof bytes; at += at < 20 ? 1 : 83) {
        memset(bytes, 0, sizeof bytes);
        bytes[at] = 1;
        assert_int_equal(decode(bytes, sizeof bytes, &blank, &watermark), LXDB_NOTDB);
        assert_true(blank); /* outputs untouched */
        assert_int_equal(watermark, 77);
    }
}

static void header_cut_short_is_no_database(void **state)
{
    bool blank;
    uint32_t watermark;

    (void)state;
    for (uint64_t size = 1; size < LX_HEADER_SIZE; size++)
        assert_int_equal(decode("LXDB\0\1\0\0\0", size, &blank, &watermark), LXDB_NOTDB);
}

static void header_with_any_bit_of_the_magic_flipped_is_no_database(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        uint8_t header[LX_HEADER_SIZE];
        bool blank;
        uint32_t watermark;

        lx_header_encode(header, 0);
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(decode(header, sizeof header, &blank, &watermark), LXDB_NOTDB);
    }
}

static void header_with_any_bit_of_the_version_flipped_is_a_version_unknown(void **state)
{
    (void)state;
    for (unsigned bit = 32; bit < 48; bit++) {
        uint8_t header[LX_HEADER_SIZE];
        bool blank;
        uint32_t watermark;

        lx_header_encode(header, 0);
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(decode(header, sizeof header, &blank, &watermark), LXDB_VERSION);
    }
}

static void watermark_below_128_mib_is_exact(void **state)
{
    static const uint32_t boundaries[] = {10, 11, 795, 65536, (1u << 27) - 1};

    (void)state;
    for (size_t i = 0; i < sizeof boundaries / sizeof boundaries[0]; i++) {
        uint32_t watermark = lx_watermark_encode(boundaries[i]);

        assert_int_equal(watermark, boundaries[i]);
        assert_true(lx_watermark_exact(watermark));
        assert_true(lx_watermark_value(watermark) == boundaries[i]);
    }
}

static void watermark_of_128_mib_and_more_is_rounded_down_by_less_than_its_unit(void **state)
{
    (void)state;
    for (unsigned bits = 27; bits < 58; bits++) {
        for (int delta = -1; delta <= 3; delta++) {
            uint64_t boundary = (UINT64_C(3) << (bits - 1)) + (uint64_t)(int64_t)delta;
            uint32_t watermark = lx_watermark_encode(boundary);
            uint64_t value = lx_watermark_value(watermark);

            assert_false(lx_watermark_exact(watermark));
            assert_true(value <= boundary);
            assert_true(boundary - value < UINT64_C(1) << (watermark >> LX_WATERMARK_SHIFT_AT));
        }
    }
}

static void watermark_of_an_even_boundary_above_128_mib_has_the_documented_bits(void **state)
{
    (void)state;
    assert_int_equal(lx_watermark_encode(UINT64_C(1) << 27), 1u << 27 | 1u << 26);
    assert_int_equal(lx_watermark_encode((UINT64_C(1) << 28) - 1), 1u << 27 | ((1u << 27) - 1));
    assert_int_equal(lx_watermark_encode(UINT64_C(1) << 40), 14u << 27 | 1u << 26);
}

static void watermark_beyond_its_range_is_the_largest(void **state)
{
    (void)state;
    assert_int_equal(lx_watermark_encode((UINT64_C(1) << 58) - 1), UINT32_MAX);
    assert_int_equal(lx_watermark_encode(UINT64_C(1) << 58), UINT32_MAX);
    assert_int_equal(lx_watermark_encode(UINT64_MAX), UINT32_MAX);
    assert_true(lx_watermark_value(UINT32_MAX) == (UINT64_C(1) << 58) - (UINT64_C(1) << 31));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_encoded_has_the_documented_bytes),
        cmocka_unit_test(header_of_version_1_gives_its_watermark),
        cmocka_unit_test(header_of_zeros_only_is_blank_at_any_length),
        cmocka_unit_test(header_of_zeros_before_anything_else_is_no_database),
        cmocka_unit_test(header_cut_short_is_no_database),
        cmocka_unit_test(header_with_any_bit_of_the_magic_flipped_is_no_database),
        cmocka_unit_test(header_with_any_bit_of_the_version_flipped_is_a_version_unknown),
        cmocka_unit_test(watermark_below_128_mib_is_exact),
        cmocka_unit_test(watermark_of_128_mib_and_more_is_rounded_down_by_less_than_its_unit),
        cmocka_unit_test(watermark_of_an_even_boundary_above_128_mib_has_the_documented_bits),
        cmocka_unit_test(watermark_beyond_its_range_is_the_largest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
