/* SPDX-License-Identifier: MIT */
/* CRCs of ranges from CRCs of prefixes (format/crcrange.h). */
#include "format/crcrange.h"

#include "base/crc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t *noise(size_t size)
{
    uint8_t *bytes = malloc(size);
    uint64_t word = 88172645463325252u;

    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes[i] = (uint8_t)word;
    }
    return bytes;
}

static void crcrange_of_any_small_range_is_the_crc_of_its_bytes(void **state)
{
    enum { LO = 13, HI = 13 + 3 * LX_CRC_BLOCK + 5 };
    uint8_t *bytes = noise(HI);
    lx_crc_range *range = lx_crc_range_new(bytes, LO, HI);

    (void)state;
    assert_non_null(range);
    for (uint64_t from = LO; from <= HI; from += 7)
        for (uint64_t to = from; to <= HI; to++)
            assert_int_equal(lx_crc_range_get(range, 0, from, to),
                             lx_crc32(0, bytes + from, (size_t)(to - from)));
    lx_crc_range_free(range);
    free(bytes);
}

static void crcrange_continues_the_crc_before(void **state)
{
    enum { SIZE = 1000 };
    uint8_t *bytes = noise(SIZE);
    lx_crc_range *range = lx_crc_range_new(bytes, 0, SIZE);

    (void)state;
    assert_non_null(range);
    for (uint64_t from = 1; from < SIZE; from += 13)
        assert_int_equal(lx_crc_range_get(range, lx_crc32(0, "\1", 1), from, SIZE),
                         lx_crc32(lx_crc32(0, "\1", 1), bytes + from, (size_t)(SIZE - from)));
    lx_crc_range_free(range);
    free(bytes);
}

/* Lengths whose digits are zero, full and mixed in every place. */
static void crcrange_of_a_long_range_is_the_crc_of_its_bytes(void **state)
{
    static const uint32_t lengths[] = {2047,     2048,    2049,    4095,    65536,   (1u << 22) - 1,
                                       1u << 22, 4194305, 6291456, 8388607, 8388608, 8400000};
    const size_t size = 8400100;
    uint8_t *bytes = noise(size);
    lx_crc_range *range = lx_crc_range_new(bytes, 50, size);

    (void)state;
    assert_non_null(range);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        assert_int_equal(lx_crc_range_get(range, 0, 77, 77 + lengths[i]),
                         lx_crc32(0, bytes + 77, lengths[i]));
    lx_crc_range_free(range);
    free(bytes);
}

static void crcrange_of_no_data_is_the_crc_before(void **state)
{
    uint8_t byte = 1;
    lx_crc_range *range = lx_crc_range_new(&byte, 0, 0);

    (void)state;
    assert_non_null(range);
    assert_int_equal(lx_crc_range_get(range, 12345, 0, 0), 12345);
    lx_crc_range_free(range);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crcrange_of_any_small_range_is_the_crc_of_its_bytes),
        cmocka_unit_test(crcrange_continues_the_crc_before),
        cmocka_unit_test(crcrange_of_a_long_range_is_the_crc_of_its_bytes),
        cmocka_unit_test(crcrange_of_no_data_is_the_crc_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
