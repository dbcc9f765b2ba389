/* SPDX-License-Identifier: MIT */
/* base/byteorder.h: big-endian whatever the host is, at any address. */
#include "base/byteorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint8_t digits[] = {0xF1, 0x02, 0x83, 0x04, 0x95, 0x06, 0xA7, 0x08, 0xB9};

static void get_reads_most_significant_byte_first(void **state)
{
    (void)state;
    assert_int_equal(lx_get16(digits), 0xF102);
    assert_int_equal(lx_get32(digits), 0xF1028304);
    assert_true(lx_get64(digits) == 0xF10283049506A708);
}

static void get_at_odd_address_reads_from_there(void **state)
{
    (void)state;
    assert_int_equal(lx_get16(digits + 1), 0x0283);
    assert_int_equal(lx_get32(digits + 1), 0x02830495);
    assert_true(lx_get64(digits + 1) == 0x0283049506A708B9);
}

static void put_writes_most_significant_byte_first(void **state)
{
    uint8_t bytes[8];

    (void)state;
    lx_put16(bytes, 0xF102);
    assert_memory_equal(bytes, digits, 2);
    lx_put32(bytes, 0xF1028304);
    assert_memory_equal(bytes, digits, 4);
    lx_put64(bytes, 0xF10283049506A708);
    assert_memory_equal(bytes, digits, 8);
}

static void put_at_odd_address_touches_its_own_bytes_alone(void **state)
{
    uint8_t bytes[10];

    (void)state;
    memset(bytes, 0x55, sizeof bytes);
    lx_put64(bytes + 1, 0xF10283049506A708);
    assert_int_equal(bytes[0], 0x55);
    assert_memory_equal(bytes + 1, digits, 8);
    assert_int_equal(bytes[9], 0x55);

    memset(bytes, 0x55, sizeof bytes);
    lx_put32(bytes + 3, 0xF1028304);
    assert_int_equal(bytes[2], 0x55);
    assert_memory_equal(bytes + 3, digits, 4);
    assert_int_equal(bytes[7], 0x55);

    memset(bytes, 0x55, sizeof bytes);
    lx_put16(bytes + 1, 0xF102);
    assert_int_equal(bytes[0], 0x55);
    assert_memory_equal(bytes + 1, digits, 2);
    assert_int_equal(bytes[3], 0x55);
}

static void extremes_survive_put_and_get(void **state)
{
    uint8_t bytes[8];

    (void)state;
    lx_put16(bytes, UINT16_MAX);
    assert_int_equal(lx_get16(bytes), UINT16_MAX);
    lx_put32(bytes, UINT32_MAX);
    assert_int_equal(lx_get32(bytes), UINT32_MAX);
    lx_put64(bytes, UINT64_MAX);
    assert_true(lx_get64(bytes) == UINT64_MAX);
    lx_put64(bytes, 1);
    assert_true(lx_get64(bytes) == 1);
    lx_put64(bytes, 0);
    assert_true(lx_get64(bytes) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_reads_most_significant_byte_first),
        cmocka_unit_test(get_at_odd_address_reads_from_there),
        cmocka_unit_test(put_writes_most_significant_byte_first),
        cmocka_unit_test(put_at_odd_address_touches_its_own_bytes_alone),
        cmocka_unit_test(extremes_survive_put_and_get),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
