/* SPDX-License-Identifier: MIT */
/*
 * format/skip.h where its direct answers are used up: the same answers from tables, and what
 * becomes of them, and of the scan that asks, when there is no memory for a table or the caller
 * calls it off. The linker leads the allocations here (see local.mk).
 */
#include "format/skip.h"

#include "base/byteorder.h"
#include "format/header.h"
#include "format/scan.h"
#include "lxdb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1u << 20)

/* ---- Memory ---------------------------------------------------------------------------------- */

static unsigned let_through = UINT32_MAX; /* allocations until one is refused */

static bool refused(void)
{
    if (let_through == UINT32_MAX)
        return false;
    return let_through-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return refused() ? NULL : __real_realloc(memory, size);
}

/* ---- Data ------------------------------------------------------------------------------------ */

static uint8_t *data;
static uint64_t size; /* of what was put into it */
static lx_skip skip;

static int set_up(void **state)
{
    (void)state;
    let_through = UINT32_MAX;
    data = calloc(1, 16 * MIB);
    size = LX_HEADER_SIZE;
    return data == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    let_through = UINT32_MAX;
    lx_skip_free(&skip);
    free(data);
    return 0;
}

/* A record with this many bytes of value at the end; its offset. */
static uint64_t put(uint8_t status, uint32_t value_len)
{
    uint8_t *value = calloc(1, value_len + 1);
    uint64_t off = size;

    assert_non_null(value);
    memset(value, 'v', value_len);
    lx_record_encode(data + off, status, "key", 3, value, value_len);
    free(value);
    size += lx_record_size(3, value_len);
    return off;
}

/* Bytes that no record begins with. */
static void noise(uint64_t len)
{
    memset(data + size, 0xee, len);
    size += len;
}

static void begin(uint64_t credit, int (*stop)(void *arg, uint64_t done), void *arg)
{
    const lx_goal goal = {.first = size, .last = size, .other = size};

    lx_skip_init(&skip, data, size, credit);
    lx_skip_set_goal(&skip, &goal);
    skip.stop = stop;
    skip.arg = arg;
}

/* Asked for the n-th time (from 0), says to stop. */
static int stop_at(void *arg, uint64_t done)
{
    unsigned *n = arg;

    (void)done;
    return (*n)-- == 0;
}

/* ---- Answers from tables --------------------------------------------------------------------- */

static void large_records_are_checked_by_a_table_when_the_credit_is_spent(void **state)
{
    uint64_t live = put(1, 3000), killed = put(1, 3000), marker = put(0, 3000);
    uint64_t damaged = put(1, 3000), live_with_its_crc_of_death = put(0, 3000);
    lx_record record;

    (void)state;
    data[killed] = 0;
    data[damaged + 1000] ^= 4;
    data[live_with_its_crc_of_death] = 1;
    begin(0, NULL, NULL);
    assert_true(lx_skip_whole(&skip, live, &record));
    assert_int_equal(record.born, 1);
    assert_true(lx_skip_whole(&skip, killed, &record));
    assert_int_equal(record.born, 1);
    assert_true(lx_skip_whole(&skip, marker, &record));
    assert_int_equal(record.born, 0);
    assert_false(lx_skip_whole(&skip, damaged, &record));
    assert_false(lx_skip_whole(&skip, live_with_its_crc_of_death, &record));
    data[damaged] = 0;
    assert_false(lx_skip_whole(&skip, damaged, &record));
    assert_non_null(skip.crcs);
    assert_int_equal(skip.rc, LXDB_OK);
}

static void step_from_beyond_the_limit_leads_nowhere(void **state)
{
    uint64_t off = put(1, 10), end = 7;

    (void)state;
    begin(0, NULL, NULL);
    assert_true(lx_skip_step(&skip, off, size, &end));
    assert_int_equal(end, size);
    assert_false(lx_skip_step(&skip, size + 1, size, &end));
    assert_false(lx_skip_step(&skip, size, size, &end));
}

/* ---- No memory ------------------------------------------------------------------------------- */

static void table_of_crcs_without_memory_ends_the_skip(void **state)
{
    uint64_t off = put(1, 3000), small = put(1, 3);
    lx_record record;

    (void)state;
    begin(0, NULL, NULL);
    let_through = 0;
    assert_false(lx_skip_whole(&skip, off, &record));
    assert_int_equal(skip.rc, LXDB_NOMEM);
    assert_false(lx_skip_whole(&skip, small, &record)); /* whatever is asked now */
}

static void table_of_chains_without_memory_ends_the_skip(void **state)
{
    uint64_t off = size, next = 7;

    (void)state;
    noise(100);
    (void)put(1, 3);
    (void)put(1, 3);
    begin(0, NULL, NULL);
    let_through = 0;
    assert_false(lx_skip_damage(&skip, off, &next));
    assert_int_equal(skip.rc, LXDB_NOMEM);
    assert_int_equal(next, 7);
}

/* One by one, every allocation of a scan is refused; how many there are. */
static unsigned refuse_each(const uint8_t *bytes, uint64_t len, uint64_t credit)
{
    lx_scan scan;
    unsigned n;
    int rc;

    for (n = 0;; n++) {
        let_through = n;
        rc = lx_scan_plan_credit(bytes, len, credit, NULL, NULL, &scan);
        if (rc == LXDB_OK)
            break;
        let_through = UINT32_MAX;
        assert_int_equal(rc, LXDB_NOMEM);
    }
    let_through = UINT32_MAX;
    lx_scan_free(&scan);
    return n;
}

enum { ROTTEN = 40 };

/* Every other record is damaged, in a value. */
static void rotten_log(bool crashed)
{
    for (int i = 0; i < ROTTEN; i++) {
        data[put(1, 3000) + 1000] ^= 1;
        (void)put(1, 5);
    }
    lx_header_encode(data, crashed ? (uint32_t)size : 0);
}

/* With credit there is the list of damage alone, of 16, 32 and 64 ranges; without, also the tables
 * of CRCs and of chains. */
static void scan_of_a_closed_file_without_memory_gives_no_plan(void **state)
{
    (void)state;
    rotten_log(false);
    assert_int_equal(refuse_each(data, size, UINT64_MAX), 3);
    assert_int_equal(refuse_each(data, size, 0), 5);
}

static void scan_of_a_crashed_file_without_memory_gives_no_plan(void **state)
{
    (void)state;
    rotten_log(true);
    assert_int_equal(refuse_each(data, size, UINT64_MAX), 3);
    assert_int_equal(refuse_each(data, size, 0), 5);
}

/* ---- Called off ------------------------------------------------------------------------------ */

/* Every question whether to stop is answered with yes; how many there are. */
static unsigned stop_each(uint64_t from)
{
    unsigned n;

    for (n = 0;; n++) {
        unsigned left = n;
        uint64_t next = 7;
        bool found;

        begin(0, stop_at, &left);
        found = lx_skip_damage(&skip, from, &next);
        if (skip.rc == LXDB_OK) {
            assert_true(found);
            return n;
        }
        assert_int_equal(skip.rc, LXDB_BUSY);
        lx_skip_free(&skip);
    }
}

static void skip_over_much_damage_can_be_called_off(void **state)
{
    uint64_t off = size;

    (void)state;
    noise(3 * MIB);
    memcpy(data + off + 1, "\1\0\1\0\0\0\0", 7); /* a head that leads nowhere */
    (void)put(1, 3000);
    /* every MiB while the table of chains is filled down to the start, and on the way, and for the
     * table of CRCs */
    assert_int_equal(stop_each(off), 4 + 3 + 1);
}

/* Where one question coincides with a record that is whole: it is not believed any more. */
static void skip_called_off_at_a_whole_record_does_not_go_on_there(void **state)
{
    unsigned first = 0;
    uint64_t off = size, next = 7;

    (void)state;
    noise(MIB - size);
    (void)put(1, 3000);
    begin(1, stop_at, &first); /* the length is followed, and a table needed for the CRC */
    (void)lx_skip_damage(&skip, off, &next);
    assert_int_equal(skip.rc, LXDB_BUSY);
}

static int stop_plan_at(void *arg, uint64_t done)
{
    return done >= *(uint64_t *)arg;
}

/* A plan of what is in `data`, called off at each of the places where it asks. */
static unsigned call_off_each(void)
{
    lx_scan scan;
    unsigned n = 0;

    for (uint64_t at = 0; at < size; at += 4 * MIB, n++)
        assert_int_equal(lx_scan_plan(data, size, stop_plan_at, &at, &scan), LXDB_BUSY);
    return n;
}

static void plan_of_what_is_durable_can_be_called_off(void **state)
{
    (void)state;
    while (size < 10 * MIB)
        (void)put(1, MIB / 2);
    lx_header_encode(data, (uint32_t)size);
    assert_int_equal(call_off_each(), 3);
}

static void plan_of_what_is_not_durable_can_be_called_off(void **state)
{
    (void)state;
    while (size < 10 * MIB)
        (void)put(1, MIB / 2);
    lx_header_encode(data, LX_HEADER_SIZE);
    assert_int_equal(call_off_each(), 3);
}

static void plan_inside_a_group_can_be_called_off(void **state)
{
    (void)state;
    size += LX_GROUP_SIZE;
    for (int i = 0; i < 20; i++)
        (void)put(1, MIB / 2);
    lx_group_encode(data + LX_HEADER_SIZE, LX_HEADER_SIZE, 20,
                    size - LX_HEADER_SIZE - LX_GROUP_SIZE, 0);
    lx_header_encode(data, LX_HEADER_SIZE);
    assert_int_equal(call_off_each(), 3);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(large_records_are_checked_by_a_table_when_the_credit_is_spent),
        UNIT(step_from_beyond_the_limit_leads_nowhere),
        UNIT(table_of_crcs_without_memory_ends_the_skip),
        UNIT(table_of_chains_without_memory_ends_the_skip),
        UNIT(scan_of_a_closed_file_without_memory_gives_no_plan),
        UNIT(scan_of_a_crashed_file_without_memory_gives_no_plan),
        UNIT(skip_over_much_damage_can_be_called_off),
        UNIT(skip_called_off_at_a_whole_record_does_not_go_on_there),
        UNIT(plan_of_what_is_durable_can_be_called_off),
        UNIT(plan_of_what_is_not_durable_can_be_called_off),
        UNIT(plan_inside_a_group_can_be_called_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
