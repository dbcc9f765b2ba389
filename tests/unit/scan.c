/* SPDX-License-Identifier: MIT */
/*
 * What a scan believes (format/scan.h): each rule by a small log whose outcome was worked out by
 * hand, every cut and every flipped bit of small logs, thousands of damaged logs against a slow
 * scanner written separately below, and the bound on work in files made to break it.
 */
#include "format/scan.h"

#include "base/byteorder.h"
#include "lxdb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Making logs ----------------------------------------------------------------------------- */

struct log {
    uint8_t bytes[8192];
    uint64_t size;
};

static void log_start(struct log *log, uint32_t watermark)
{
    memset(log, 0, sizeof *log);
    lx_header_encode(log->bytes, watermark);
    log->size = LX_HEADER_SIZE;
}

/* Append a record; returns its offset. */
static uint64_t add(struct log *log, uint8_t status, const char *key, const void *value,
                    uint32_t value_len)
{
    uint64_t off = log->size;

    log->size += lx_record_size(strlen(key), value_len);
    assert_true(log->size <= sizeof log->bytes);
    lx_record_encode(log->bytes + off, status, key, (uint32_t)strlen(key), value, value_len);
    return off;
}

static uint64_t put(struct log *log, const char *key, const char *value)
{
    return add(log, 1, key, value, (uint32_t)strlen(value));
}

static uint64_t marker(struct log *log, const char *key)
{
    return add(log, 0, key, "", 0);
}

static uint64_t group(struct log *log, uint32_t count, uint64_t bytes, int64_t expiry_ms)
{
    uint64_t off = log->size;

    log->size += LX_GROUP_SIZE;
    lx_group_encode(log->bytes + off, off, count, bytes, expiry_ms);
    return off;
}

static void zeros(struct log *log, uint64_t len)
{
    assert_true(len <= sizeof log->bytes - log->size);
    memset(log->bytes + log->size, 0, len);
    log->size += len;
}

static void set_watermark(struct log *log, uint32_t watermark)
{
    lx_put32(log->bytes + LX_WATERMARK_OFFSET, watermark);
}

/* ---- Looking at outcomes --------------------------------------------------------------------- */

/* The plan of exactly these bytes, which must be the same with every credit. */
static lx_scan plan_bytes(const uint8_t *bytes, uint64_t size)
{
    static const uint64_t credits[] = {0, 1, 7, UINT64_MAX};
    uint8_t *copy = malloc(size ? size : 1); /* of its length, for the sanitizers */
    lx_scan scan, other;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    assert_int_equal(lx_scan_plan(copy, size, NULL, NULL, &scan), LXDB_OK);
    for (size_t i = 0; i < sizeof credits / sizeof credits[0]; i++) {
        assert_int_equal(lx_scan_plan_credit(copy, size, credits[i], NULL, NULL, &other), LXDB_OK);
        assert_true(other.tail == scan.tail && other.records == scan.records);
        assert_true(other.damaged_count == scan.damaged_count);
        for (size_t j = 0; j < scan.damaged_count; j++) {
            assert_true(other.damaged[j].off == scan.damaged[j].off);
            assert_true(other.damaged[j].len == scan.damaged[j].len);
        }
        lx_scan_free(&other);
    }
    free(copy);
    scan.data = bytes;
    return scan;
}

/* What a walk says, in one line: "a=1 b=2@45 -a .": puts (with the slot if it is another offset,
 * and the expiry), deletes, and a dot for each record without effect. */
struct line {
    char text[4000];
    size_t len;
};

static int describe(void *arg, const lx_scan_event *event)
{
    struct line *line = arg;
    const lx_record *r = &event->record;
    size_t room = sizeof line->text - line->len;
    char *at = line->text + line->len;
    int n;

    if (event->effect == LX_EFFECT_NONE)
        n = snprintf(at, room, ". ");
    else if (event->effect == LX_EFFECT_DELETE)
        n = snprintf(at, room, "-%.*s ", (int)r->key_len, r->key);
    else if (event->slot == r->off)
        n = snprintf(at, room, "%.*s=%.*s ", (int)r->key_len, r->key, (int)r->value_len, r->value);
    else
        n = snprintf(at, room, "%.*s=%.*s@%llu!%lld ", (int)r->key_len, r->key, (int)r->value_len,
                     r->value, (unsigned long long)event->slot, (long long)event->expiry_ms);
    assert_true(n > 0 && (size_t)n < room);
    line->len += (size_t)n;
    return LXDB_OK;
}

static void assert_walk(const lx_scan *scan, const char *expected)
{
    struct line line = {.len = 0};

    assert_int_equal(lx_scan_walk(scan, LX_HEADER_SIZE, describe, &line), LXDB_OK);
    if (line.len > 0)
        line.text[--line.len] = 0;
    assert_string_equal(line.text, expected);
}

/* Plan and walk a log and free the plan: tail, what lies behind it, and the events. */
static void assert_log(const struct log *log, uint64_t tail, uint64_t cut, const char *events)
{
    lx_scan scan = plan_bytes(log->bytes, log->size);

    assert_int_equal(scan.tail, tail);
    assert_int_equal(scan.cut_bytes, cut);
    assert_walk(&scan, events);
    lx_scan_free(&scan);
}

static void assert_damage(const struct log *log, size_t count, uint64_t off, uint64_t len,
                          bool unsteppable)
{
    lx_scan scan = plan_bytes(log->bytes, log->size);

    assert_int_equal(scan.damaged_count, count);
    if (count > 0) {
        assert_int_equal(scan.damaged[0].off, off);
        assert_int_equal(scan.damaged[0].len, len);
    }
    if (count == 1)
        assert_int_equal(scan.damaged_bytes, len);
    assert_int_equal(scan.unsteppable, unsteppable);
    lx_scan_free(&scan);
}

/* ---- Closed files ---------------------------------------------------------------------------- */

static void closed_status_bytes_are_believed(void **state)
{
    struct log log;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    log.bytes[put(&log, "a", "2")] = 0;
    assert_log(&log, log.size, 0, "a=1 .");
}

static void closed_marker_deletes(void **state)
{
    struct log log;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    marker(&log, "a");
    put(&log, "b", "");
    assert_log(&log, log.size, 0, "a=1 -a b=");
}

static void closed_record_born_dead_with_a_value_does_nothing(void **state)
{
    struct log log;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    add(&log, 0, "a", "2", 1);
    assert_log(&log, log.size, 0, "a=1 .");
}

static void closed_padding_is_not_data(void **state)
{
    struct log log;
    uint64_t end;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    end = log.size;
    for (int i = 0; i < 20; i++) {
        zeros(&log, 1);
        assert_log(&log, end, 0, "a=1");
    }
    zeros(&log, 5000);
    assert_log(&log, end, 0, "a=1");
    assert_damage(&log, 0, 0, 0, false);
}

static void closed_damage_at_the_end_is_the_tail(void **state)
{
    struct log log;
    uint64_t off;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    off = put(&log, "b", "2222");
    log.bytes[off + 9] ^= 1;
    log.bytes[log.size - 1] |= 1; /* so that it is known where its last byte that is not zero is */
    assert_log(&log, off, log.size - off, "a=1");
    assert_damage(&log, 0, 0, 0, false);
}

static void closed_damaged_value_loses_only_its_record(void **state)
{
    struct log log;
    uint64_t off;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    off = put(&log, "b", "2222");
    put(&log, "c", "3");
    log.bytes[off + 9] ^= 1;
    assert_log(&log, log.size, 0, "a=1 c=3");
    assert_damage(&log, 1, off, 16, false);
}

static void closed_unknown_status_is_stepped_over_by_its_lengths(void **state)
{
    struct log log;
    uint64_t off, torn;

    (void)state;
    log_start(&log, 0);
    off = put(&log, "b", "2222");
    put(&log, "c", "3");
    torn = log.size;
    put(&log, "d", "4");
    log.size -= 2; /* no chain leads to the end, but the lengths of `b` lead to `c` */
    log.bytes[off] = 7;
    assert_log(&log, torn, log.size - torn, "c=3");
    assert_damage(&log, 1, off, 16, false);
}

static void closed_damaged_length_goes_on_at_the_first_record_that_leads_to_the_end(void **state)
{
    struct log log;
    uint64_t off;

    (void)state;
    log_start(&log, 0);
    off = put(&log, "b", "2222");
    put(&log, "c", "3");
    put(&log, "d", "4");
    log.bytes[off + 3] = 0x7f;
    assert_log(&log, log.size, 0, "c=3 d=4");
    assert_damage(&log, 1, off, 16, true);
}

static void closed_records_in_a_value_are_not_believed_behind_damage(void **state)
{
    struct log inner, log;
    uint64_t off;

    (void)state;
    log_start(&inner, 0);
    put(&inner, "x", "no");
    put(&inner, "y", "no");
    for (int padding = 0; padding < 2; padding++) {
        log_start(&log, 0);
        off = add(&log, 1, "blob", inner.bytes, (uint32_t)inner.size);
        put(&log, "z", "end");
        log.bytes[off + 4] = 0x20; /* its length leads nowhere */
        if (padding)
            zeros(&log, 3000);
        assert_log(&log, off + 15 + inner.size + 15, 0, "z=end");
        assert_damage(&log, 1, off, log.size - off - 15 - (padding ? 3000 : 0), true);
    }
}

/* In 32 bits this length would lead to a record inside the value. */
static void closed_length_that_passes_32_bits_leads_nowhere(void **state)
{
    uint8_t value[] = "...a record of 1234\xee";
    struct log log;
    uint64_t off;

    (void)state;
    lx_record_encode(value + 3, 1, "in", 2, "1", 1);
    log_start(&log, 0);
    off = add(&log, 1, "a", value, sizeof value);
    put(&log, "z", "end");
    lx_put32(log.bytes + off + 3, UINT32_MAX); /* 11 + 1 + UINT32_MAX is 11 in 32 bits */
    assert_log(&log, log.size, 0, "z=end");
    assert_damage(&log, 1, off, 12 + sizeof value, true);
    /* a sum that leads to `z` in 32 bits: nothing steps over it all the same */
    lx_put16(log.bytes + off + 1, 200);
    lx_put32(log.bytes + off + 3, (uint32_t)(12 + sizeof value) - 11 - 200);
    assert_log(&log, log.size, 0, "z=end");
    assert_damage(&log, 1, off, 12 + sizeof value, true);
}

static void closed_length_that_swallows_whole_records_gives_them_back(void **state)
{
    struct log log;
    uint64_t off;

    (void)state;
    log_start(&log, 0);
    off = put(&log, "a", "1111"); /* each record is 16 bytes */
    put(&log, "b", "2222");
    put(&log, "c", "3333");
    put(&log, "d", "4444");
    lx_put32(log.bytes + off + 3, 4 + 2 * 16); /* leads to `d`, over `b` and `c` */
    assert_log(&log, log.size, 0, "b=2222 c=3333 d=4444");
    assert_damage(&log, 1, off, 16, true);
    lx_put32(log.bytes + off + 3, 4 + 3 * 16); /* leads to the end, over all */
    assert_log(&log, log.size, 0, "b=2222 c=3333 d=4444");
}

#define GHOST 17u

/* A put with two whole records of another key in its value, behind `before` dots and before `after`
 * more. Returns where the first of them stands. */
static uint64_t put_holder(struct log *log, const char *key, size_t before, size_t after)
{
    size_t key_len = strlen(key), value_len = before + 2 * GHOST + after;
    uint8_t value[128];

    assert_true(value_len <= sizeof value);
    memset(value, '.', sizeof value);
    for (unsigned i = 0; i < 2; i++)
        lx_record_encode(value + before + i * GHOST, 1, "a", 1, "ghost", 5);
    lx_record_encode(log->bytes + log->size, 1, key, (uint32_t)key_len, value, (uint32_t)value_len);
    log->size += lx_record_size(key_len, value_len);
    return log->size - 4 - after - 2 * GHOST;
}

static void closed_length_that_leads_into_its_value_believes_nothing_there(void **state)
{
    struct log log;
    uint64_t off, ghost;
    char key[66] = "";

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    off = log.size;
    ghost = put_holder(&log, "h", 4, 26);
    put(&log, "b", "2");
    lx_put32(log.bytes + off + 3, 0); /* one bit of 64 */
    assert_int_equal(off + 12, ghost);
    assert_log(&log, log.size, 0, "a=1 b=2");
    assert_damage(&log, 1, off, 76, true);
    lx_put32(log.bytes + off + 3, GHOST);
    assert_log(&log, log.size, 0, "a=1 b=2");
    assert_damage(&log, 1, off, 76, true);

    log_start(&log, 0);
    put(&log, "a", "1");
    off = log.size;
    memset(key, 'k', 65);
    ghost = put_holder(&log, key, 4, 26);
    put(&log, "b", "2");
    log.bytes[off + 2] = 1; /* one bit of 65 */
    assert_int_equal(off + 76, ghost);
    assert_log(&log, log.size, 0, "a=1 b=2");
    assert_damage(&log, 1, off, 140, true);
}

static void closed_length_that_leads_into_a_later_value_believes_nothing_there(void **state)
{
    struct log log;
    uint64_t off, ghost;

    (void)state;
    log_start(&log, 0);
    off = put(&log, "a", "1");
    put(&log, "b", "2");
    ghost = put_holder(&log, "h", 2, 0);
    put(&log, "c", "3");
    for (unsigned i = 0; i < 2; i++) {
        lx_put32(log.bytes + off + 3, (uint32_t)(ghost + i * GHOST - off - 12));
        assert_log(&log, log.size, 0, "b=2 h=..\1 c=3");
        assert_damage(&log, 1, off, 13, true);
    }
}

static void closed_length_that_leads_nowhere_further_is_followed_if_nothing_else_is(void **state)
{
    struct log log;
    uint64_t first, second;

    (void)state;
    log_start(&log, 0);
    first = put(&log, "a", "1");
    put(&log, "b", "2");
    second = put(&log, "c", "3");
    put(&log, "d", "4");
    log.bytes[first + 8] ^= 1;
    log.bytes[second + 3] ^= 1; /* so that from `b` no lengths lead to the end */
    assert_log(&log, log.size, 0, "b=2 d=4");
    assert_damage(&log, 2, first, 13, true);
}

static void closed_second_damage_is_skipped_by_lengths_on_the_way(void **state)
{
    struct log log;
    uint64_t first, second;

    (void)state;
    log_start(&log, 0);
    first = put(&log, "a", "1111");
    put(&log, "b", "2222");
    second = put(&log, "c", "3333");
    put(&log, "d", "4444");
    log.bytes[first + 1] = 0xee;
    log.bytes[second + 9] ^= 0x40;
    assert_log(&log, log.size, 0, "b=2222 d=4444");
    assert_damage(&log, 2, first, 16, true);
}

static void closed_zeros_in_the_middle_are_damage(void **state)
{
    struct log log;
    uint64_t off;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    off = log.size;
    zeros(&log, 4096);
    put(&log, "b", "2");
    assert_log(&log, log.size, 0, "a=1 b=2");
    assert_damage(&log, 1, off, 4096, true);
}

static void closed_record_that_ends_in_zeros_is_reached_by_a_chain(void **state)
{
    struct log log;
    uint64_t off;
    char value[8];
    uint32_t tries = 0;

    (void)state;
    log_start(&log, 0);
    off = put(&log, "a", "1111");
    put(&log, "b", "2222");
    log.bytes[off + 3] = 0x7f;
    do { /* until the CRC ends with a zero byte */
        snprintf(value, sizeof value, "%u", tries++);
        log.size = off + 32;
        put(&log, "c", value);
    } while (log.bytes[log.size - 1] != 0);
    zeros(&log, 100);
    lx_scan scan = plan_bytes(log.bytes, log.size);
    assert_int_equal(scan.tail, log.size - 100);
    assert_int_equal(scan.records, 2);
    lx_scan_free(&scan);
}

static void closed_length_that_leads_to_another_end_loses_only_its_record(void **state)
{
    struct log log;
    uint64_t off;
    char value[8];
    uint32_t tries = 0;

    (void)state;
    log_start(&log, 0);
    off = put(&log, "a", "1");
    put(&log, "b", "2");
    do { /* until the data may end at the last byte, or before it */
        snprintf(value, sizeof value, "%u", tries++);
        log.size = off + 26;
        put(&log, "c", value);
    } while (log.bytes[log.size - 1] != 0);
    lx_put32(log.bytes + off + 3, (uint32_t)(log.size - 1 - off - 12));
    lx_scan scan = plan_bytes(log.bytes, log.size);
    assert_int_equal(scan.tail, log.size);
    assert_int_equal(scan.records, 2);
    assert_int_equal(scan.damaged_bytes, 13);
    lx_scan_free(&scan);
}

static void closed_control_records_do_nothing_but_carry_expiry(void **state)
{
    struct log log;
    uint64_t off;

    (void)state;
    log_start(&log, 0);
    group(&log, 2, 26, 0);
    put(&log, "a", "1");
    put(&log, "b", "2");
    lx_pad_encode(log.bytes + log.size, 30, log.size);
    log.size += 30;
    off = group(&log, 1, 13, 1234);
    put(&log, "c", "3");
    put(&log, "d", "4");
    assert_int_equal(off, 111);
    assert_log(&log, log.size, 0, ". a=1 b=2 . . c=3@111!1234 d=4");
}

/* ---- Expiry ---------------------------------------------------------------------------------- */

static void expiry_belongs_only_to_the_single_put_right_behind(void **state)
{
    struct log log;

    (void)state;
    log_start(&log, 0);
    group(&log, 2, 26, 99); /* a batch has no expiry */
    put(&log, "a", "1");
    put(&log, "b", "2");
    group(&log, 1, 14, 99); /* other bytes than its record */
    put(&log, "c", "3");
    group(&log, 1, 13, 0);
    put(&log, "d", "4");
    group(&log, 1, 13, 99);
    group(&log, 1, 13, -7);
    put(&log, "e", "5");
    assert_log(&log, log.size, 0, ". a=1 b=2 . c=3 . d=4 . . e=5@242!-7");
}

static void expiry_of_a_damaged_put_goes_to_no_other(void **state)
{
    struct log log;
    uint64_t off;

    (void)state;
    log_start(&log, 0);
    group(&log, 1, 13, 99);
    off = put(&log, "a", "1");
    put(&log, "b", "2");
    log.bytes[off + 8] ^= 1;
    assert_log(&log, log.size, 0, ". b=2");
}

/* ---- Crashed sessions ------------------------------------------------------------------------ */

static void crashed_order_decides_and_status_bytes_do_not(void **state)
{
    struct log log;
    uint64_t a, c;

    (void)state;
    log_start(&log, 0);
    a = put(&log, "a", "1");
    marker(&log, "b");
    add(&log, 0, "x", "value", 5);
    set_watermark(&log, (uint32_t)log.size);
    c = put(&log, "c", "3");
    marker(&log, "c");
    log.bytes[a] = 0;
    log.bytes[c] = 0;
    lx_scan scan = plan_bytes(log.bytes, log.size);
    assert_true(scan.ordered);
    lx_scan_free(&scan);
    assert_log(&log, log.size, 0, "a=1 -b . c=3 -c");
}

static void crashed_first_damage_at_or_beyond_the_watermark_is_the_tail(void **state)
{
    struct log log;
    uint64_t off;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    set_watermark(&log, (uint32_t)log.size);
    put(&log, "b", "2");
    off = put(&log, "c", "3333");
    put(&log, "d", "4");
    log.bytes[off + 9] ^= 1;
    assert_log(&log, off, log.size - off, "a=1 b=2");
    assert_damage(&log, 0, 0, 0, false);
}

static void crashed_damage_below_the_watermark_is_skipped_never_past_it(void **state)
{
    struct log log;
    uint64_t off, tail;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    off = put(&log, "b", "2222");
    set_watermark(&log, (uint32_t)log.size);
    tail = log.size;
    put(&log, "c", "3");
    lx_put32(log.bytes + off + 3, 4 + 13); /* leads past the watermark, to the end of `c` */
    assert_log(&log, log.size, 0, "a=1 c=3");
    assert_damage(&log, 1, off, 16, true);
    log.bytes[tail] = 9; /* nothing is whole at the watermark either */
    assert_log(&log, tail, log.size - tail, "a=1");
}

static void crashed_damage_up_to_the_watermark_may_be_zeros(void **state)
{
    struct log log;
    uint64_t off;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    off = log.size;
    zeros(&log, 200);
    set_watermark(&log, (uint32_t)log.size);
    assert_log(&log, log.size, 0, "a=1");
    assert_damage(&log, 1, off, 200, true);
}

static void crashed_damaged_record_before_the_watermark_leads_to_it(void **state)
{
    struct log inner, log;
    uint64_t off;

    (void)state;
    log_start(&inner, 0);
    put(&inner, "x", "no");
    log_start(&log, 0);
    put(&log, "a", "1");
    off = add(&log, 1, "blob", inner.bytes, (uint32_t)inner.size);
    set_watermark(&log, (uint32_t)log.size);
    log.bytes[off + 12] ^= 4;
    assert_log(&log, log.size, 0, "a=1");
    assert_damage(&log, 1, off, log.size - off, false);
}

static void crashed_watermark_inside_anything_closes_the_file(void **state)
{
    struct log log;

    (void)state;
    log_start(&log, 0);
    log.bytes[put(&log, "a", "1")] = 0;
    put(&log, "b", "2");
    for (uint32_t watermark = 1; watermark < 60; watermark++) {
        lx_scan scan;

        set_watermark(&log, watermark);
        scan = plan_bytes(log.bytes, log.size);
        if (watermark == 10 || watermark == 23 || watermark == 36) {
            assert_true(scan.ordered);
            assert_false(scan.bad_watermark);
            assert_walk(&scan, "a=1 b=2");
        } else {
            assert_false(scan.ordered);
            assert_true(scan.bad_watermark);
            assert_int_equal(scan.watermark, watermark);
            assert_walk(&scan, ". b=2");
        }
        lx_scan_free(&scan);
    }
}

static void crashed_watermark_of_a_shifted_nothing_closes_the_file(void **state)
{
    struct log log;
    lx_scan scan;

    (void)state;
    log_start(&log, 3u << LX_WATERMARK_SHIFT_AT);
    put(&log, "a", "1");
    scan = plan_bytes(log.bytes, log.size);
    assert_true(scan.bad_watermark);
    assert_walk(&scan, "a=1");
    lx_scan_free(&scan);
}

static uint32_t rounded(uint32_t shift, uint64_t boundary)
{
    return shift << LX_WATERMARK_SHIFT_AT | (uint32_t)(boundary >> shift);
}

static void crashed_rounded_watermark_is_the_first_record_end_at_or_beyond(void **state)
{
    struct log log;
    uint64_t b, c;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1111");
    b = put(&log, "b", "2222"); /* 26 .. 42 */
    c = put(&log, "c", "3333");
    put(&log, "d", "4444");
    for (uint32_t shift = 1; shift <= 4; shift++) {
        set_watermark(&log, rounded(shift, b));
        log.bytes[b + 9] ^= 1;
        assert_log(&log, b, log.size - b, "a=1111");
        set_watermark(&log, rounded(shift, c));
        assert_log(&log, log.size, 0, "a=1111 c=3333 d=4444");
        log.bytes[b + 9] ^= 1;
        log.bytes[c + 9] ^= 1;
        assert_log(&log, c, log.size - c, "a=1111 b=2222");
        log.bytes[c + 9] ^= 1;
    }
}

static void crashed_rounded_watermark_behind_a_broken_length_is_found(void **state)
{
    struct log log;
    uint64_t b, c;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1111");
    b = put(&log, "b", "2222"); /* 26 .. 42 */
    c = put(&log, "c", "3333");
    set_watermark(&log, rounded(3, c)); /* 40 .. 47: only 42 begins a record there */
    log.bytes[b + 1] = 0xff;
    assert_log(&log, log.size, 0, "a=1111 c=3333");
    assert_damage(&log, 1, b, 16, true);
    log.bytes[c + 9] ^= 1; /* nothing is whole there: the value itself is taken */
    assert_log(&log, 40, log.size - 40, "a=1111");
    assert_damage(&log, 1, b, 14, true);
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static void group_beyond_the_watermark_that_is_whole_is_kept(void **state)
{
    struct log log;

    (void)state;
    log_start(&log, 10);
    group(&log, 3, 13 + 12 + 14, 0);
    put(&log, "a", "1");
    marker(&log, "b");
    put(&log, "c", "33");
    put(&log, "d", "4");
    assert_log(&log, log.size, 0, ". a=1 -b c=33 d=4");
    lx_scan scan = plan_bytes(log.bytes, log.size);
    assert_int_equal(scan.records, 5);
    lx_scan_free(&scan);
}

static void group_beyond_the_watermark_cut_anywhere_is_the_tail(void **state)
{
    struct log log;
    uint64_t off, size;

    (void)state;
    log_start(&log, 0);
    put(&log, "z", "0");
    set_watermark(&log, (uint32_t)log.size);
    off = group(&log, 2, 26, 0);
    put(&log, "a", "1");
    put(&log, "b", "2");
    size = log.size;
    for (log.size = off; log.size < size; log.size++) {
        lx_scan scan = plan_bytes(log.bytes, log.size);

        assert_int_equal(scan.tail, off);
        assert_int_equal(scan.records, 1);
        assert_walk(&scan, "z=0");
        lx_scan_free(&scan);
    }
}

static void group_beyond_the_watermark_with_other_count_or_bytes_is_the_tail(void **state)
{
    static const struct {
        uint32_t count;
        uint64_t bytes;
    } wrong[] = {{1, 26}, {3, 26}, {2, 25},         {2, 27},          {0, 1},
                 {0, 26}, {2, 0},  {2, UINT64_MAX}, {UINT32_MAX, 26}, {1, 12}};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct log log;

        log_start(&log, 10);
        group(&log, wrong[i].count, wrong[i].bytes, 0);
        put(&log, "a", "1");
        put(&log, "b", "2");
        log.bytes[log.size++] = 1;
        assert_log(&log, 10, log.size - 10, "");
    }
}

static void group_of_nothing_is_complete(void **state)
{
    struct log log;

    (void)state;
    log_start(&log, 10);
    group(&log, 0, 0, 5);
    put(&log, "a", "1");
    assert_log(&log, log.size, 0, ". a=1");
}

static void group_may_hold_single_puts_with_expiry(void **state)
{
    struct log log;
    uint64_t off, inner;

    (void)state;
    log_start(&log, 10);
    off = group(&log, 3, 13 + 45 + 13, 0);
    put(&log, "a", "1");
    inner = group(&log, 1, 13, 8);
    put(&log, "b", "2");
    assert_int_equal(inner, 68);
    assert_log(&log, log.size, 0, ". a=1 . b=2@68!8");
    log.bytes[inner + 30] ^= 1;
    log.bytes[log.size++] = 1;
    assert_log(&log, off, log.size - off, "");
}

static void group_whose_inner_group_leaves_it_is_the_tail(void **state)
{
    struct log log;

    (void)state;
    log_start(&log, 10);
    group(&log, 2, 13 + 45, 0);
    put(&log, "a", "1");
    group(&log, 1, 13, 8);
    put(&log, "b", "2"); /* the inner one's, but outside the outer one */
    log.bytes[log.size++] = 1;
    assert_log(&log, 10, log.size - 10, "");
}

static void group_whose_inner_group_measures_another_record_is_the_tail(void **state)
{
    static const uint64_t wrong[] = {0, 12, 14}; /* the put has 13 bytes */

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct log log;

        log_start(&log, 10);
        group(&log, 3, LX_GROUP_SIZE + 26, 0);
        group(&log, 1, wrong[i], 99);
        put(&log, "a", "1");
        put(&log, "b", "2");
        assert_log(&log, 10, log.size - 10, "");
    }
}

static void group_with_a_group_right_behind_an_inner_group_is_the_tail(void **state)
{
    struct log log;

    (void)state;
    log_start(&log, 10);
    group(&log, 3, 2 * LX_GROUP_SIZE + 13, 0);
    group(&log, 1, LX_GROUP_SIZE, 99); /* of the next one, */
    group(&log, 1, 13, 99);            /* which is no put */
    put(&log, "a", "1");
    assert_log(&log, 10, log.size - 10, "");
}

static void group_with_a_group_of_several_inside_is_the_tail(void **state)
{
    struct log log;

    (void)state;
    log_start(&log, 10);
    group(&log, 3, 45 + 26, 0);
    group(&log, 2, 26, 0);
    put(&log, "a", "1");
    put(&log, "b", "2");
    log.bytes[log.size++] = 1;
    assert_log(&log, 10, log.size - 10, "");
}

static void group_below_the_watermark_groups_nothing(void **state)
{
    struct log log;
    uint64_t off;

    (void)state;
    log_start(&log, 0);
    group(&log, 2, 26, 0);
    put(&log, "a", "1");
    off = put(&log, "b", "2");
    group(&log, 1, 13, 77);
    put(&log, "c", "3");
    set_watermark(&log, (uint32_t)log.size);
    log.bytes[off + 8] ^= 1;
    assert_log(&log, log.size, 0, ". a=1 . c=3@81!77");
}

/* ---- Cuts and flips -------------------------------------------------------------------------- */

#define RECORDS 4u
static const char *const keys[RECORDS] = {"alpha", "be", "gamma", "d"};
static const char *const values[RECORDS] = {"one", "", "three and more", "4"};

/* Four puts; ends[i] is the end of record i - 1, ends[0] the end of the header. */
static void four_puts(struct log *log, uint64_t ends[RECORDS + 1])
{
    log_start(log, 0);
    ends[0] = log->size;
    for (unsigned i = 0; i < RECORDS; i++) {
        put(log, keys[i], values[i]);
        ends[i + 1] = log->size;
    }
}

/* The events of all but record `lost` (RECORDS: of all), of which `known` are there. */
static const char *events_without(unsigned lost, unsigned known)
{
    static char text[200];
    size_t len = 0;

    text[0] = 0;
    for (unsigned i = 0; i < known; i++)
        if (i != lost)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%s", len ? " " : "",
                                    keys[i], values[i]);
    return text;
}

static void closed_log_cut_at_any_byte_keeps_what_is_whole(void **state)
{
    struct log log;
    uint64_t ends[RECORDS + 1];

    (void)state;
    four_puts(&log, ends);
    for (uint64_t size = ends[0]; size <= ends[RECORDS]; size++) {
        unsigned whole = 0;
        uint64_t cut = size;

        while (whole < RECORDS && ends[whole + 1] <= size)
            whole++;
        while (cut > ends[whole] && log.bytes[cut - 1] == 0)
            cut--;
        log.size = size;
        assert_log(&log, ends[whole], cut - ends[whole], events_without(RECORDS, whole));
    }
}

static void crashed_log_cut_at_any_byte_keeps_what_is_whole(void **state)
{
    struct log log;
    uint64_t ends[RECORDS + 1];

    (void)state;
    four_puts(&log, ends);
    set_watermark(&log, (uint32_t)ends[2]);
    for (uint64_t size = ends[0]; size <= ends[RECORDS]; size++) {
        unsigned whole = 0;
        lx_scan scan;

        while (whole < RECORDS && ends[whole + 1] <= size)
            whole++;
        scan = plan_bytes(log.bytes, size);
        assert_int_equal(scan.tail, ends[whole]);
        assert_int_equal(scan.bad_watermark, size < ends[2]);
        assert_int_equal(scan.ordered, size >= ends[2]);
        assert_walk(&scan, events_without(RECORDS, whole));
        lx_scan_free(&scan);
    }
}

static void closed_log_with_any_bit_flipped_loses_exactly_that_record(void **state)
{
    struct log log;
    uint64_t ends[RECORDS + 1];
    unsigned flips = 0;

    (void)state;
    four_puts(&log, ends);
    for (unsigned i = 0; i < RECORDS; i++) {
        for (uint64_t bit = 8 * ends[i]; bit < 8 * ends[i + 1]; bit++, flips++) {
            lx_scan scan;

            log.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            scan = plan_bytes(log.bytes, log.size);
            if (bit == 8 * ends[i]) { /* a live record that says it is dead */
                assert_int_equal(scan.records, RECORDS);
                assert_int_equal(scan.damaged_count, 0);
                assert_int_equal(scan.tail, log.size);
            } else if (i == RECORDS - 1) {
                assert_walk(&scan, events_without(i, RECORDS));
                assert_int_equal(scan.damaged_count, 0);
                assert_int_equal(scan.tail, ends[i]);
                assert_int_equal(scan.cut_bytes, log.size - ends[i]);
            } else {
                assert_walk(&scan, events_without(i, RECORDS));
                assert_int_equal(scan.damaged_count, 1);
                assert_int_equal(scan.damaged[0].off, ends[i]);
                assert_int_equal(scan.damaged[0].len, ends[i + 1] - ends[i]);
                assert_int_equal(scan.tail, log.size);
            }
            lx_scan_free(&scan);
            log.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    assert_int_equal(flips, 8 * (19 + 13 + 30 + 13));
}

static void crashed_log_with_any_bit_flipped_loses_that_record_or_the_tail(void **state)
{
    struct log log;
    uint64_t ends[RECORDS + 1];

    (void)state;
    four_puts(&log, ends);
    set_watermark(&log, (uint32_t)ends[2]);
    for (unsigned i = 0; i < RECORDS; i++) {
        for (uint64_t bit = 8 * ends[i]; bit < 8 * ends[i + 1]; bit++) {
            log.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (bit == 8 * ends[i]) /* status bytes do not matter */
                assert_log(&log, log.size, 0, events_without(RECORDS, RECORDS));
            else if (i < 2)
                assert_log(&log, log.size, 0, events_without(i, RECORDS));
            else
                assert_log(&log, ends[i], log.size - ends[i], events_without(RECORDS, i));
            log.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void closed_log_with_any_bit_of_the_watermark_set_keeps_everything(void **state)
{
    struct log log;
    uint64_t ends[RECORDS + 1];

    (void)state;
    four_puts(&log, ends);
    for (unsigned bit = 0; bit < 32; bit++) {
        set_watermark(&log, UINT32_C(1) << bit);
        assert_log(&log, log.size, 0, events_without(RECORDS, RECORDS));
    }
}

/* ---- Plan and walk --------------------------------------------------------------------------- */

static void plan_of_a_blank_file_is_empty(void **state)
{
    static const uint8_t nothing[64];
    lx_scan scan;

    (void)state;
    for (uint64_t size = 0; size <= sizeof nothing; size++) {
        assert_int_equal(lx_scan_plan(nothing, size, NULL, NULL, &scan), LXDB_OK);
        assert_true(scan.blank);
        assert_int_equal(scan.tail, LX_HEADER_SIZE);
        assert_walk(&scan, "");
        lx_scan_free(&scan);
    }
}

static void plan_of_what_is_no_database_leaves_the_output_alone(void **state)
{
    lx_scan scan = {.tail = 4711};

    (void)state;
    assert_int_equal(lx_scan_plan((const uint8_t *)"{\"json\": 1}", 11, NULL, NULL, &scan),
                     LXDB_NOTDB);
    assert_int_equal(lx_scan_plan((const uint8_t *)"LXDB\0\2\0\0\0\0", 10, NULL, NULL, &scan),
                     LXDB_VERSION);
    assert_int_equal(scan.tail, 4711);
}

static void plan_of_a_log_in_use_takes_its_end_for_the_watermark(void **state)
{
    static const uint32_t headers[] = {0, 10, 3u << LX_WATERMARK_SHIFT_AT, UINT32_MAX};
    struct log log;
    uint64_t off, end;

    (void)state;
    log_start(&log, 0);
    log.bytes[put(&log, "a", "1")] = 0;
    off = put(&log, "b", "2222");
    put(&log, "c", "3");
    end = log.size;
    put(&log, "d", "not committed");
    log.bytes[off + 9] ^= 1;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        lx_scan scan;

        set_watermark(&log, headers[i]);
        assert_int_equal(lx_scan_plan_log(log.bytes, end, NULL, NULL, &scan), LXDB_OK);
        assert_true(scan.ordered);
        assert_int_equal(scan.tail, end);
        assert_int_equal(scan.damaged_count, 1);
        assert_int_equal(scan.damaged[0].off, off);
        assert_walk(&scan, "a=1 c=3");
        lx_scan_free(&scan);
    }
}

static int stop_at(void *arg, uint64_t done)
{
    return done >= *(uint64_t *)arg;
}

static void plan_stops_when_told_to(void **state)
{
    const uint32_t value_len = 3u << 20;
    const uint64_t size = LX_HEADER_SIZE + 4 * lx_record_size(1, value_len);
    uint8_t *bytes = calloc(size, 1);
    uint8_t *value = calloc(value_len, 1);
    uint64_t limit = 5u << 20, never = UINT64_MAX;
    lx_scan scan;

    (void)state;
    assert_non_null(bytes);
    assert_non_null(value);
    lx_header_encode(bytes, 0);
    for (uint64_t off = LX_HEADER_SIZE; off < size; off += lx_record_size(1, value_len))
        lx_record_encode(bytes + off, 1, "k", 1, value, value_len);
    assert_int_equal(lx_scan_plan(bytes, size, stop_at, &limit, &scan), LXDB_BUSY);
    assert_int_equal(lx_scan_plan(bytes, size, stop_at, &never, &scan), LXDB_OK);
    assert_int_equal(scan.records, 4);
    lx_scan_free(&scan);
    free(value);
    free(bytes);
}

static int refuse_second(void *arg, const lx_scan_event *event)
{
    (void)event;
    return ++*(int *)arg == 2 ? LXDB_EXISTS : LXDB_OK;
}

static void walk_ends_with_the_first_result_that_is_not_ok(void **state)
{
    struct log log;
    uint64_t ends[RECORDS + 1];
    int calls = 0;
    lx_scan scan;

    (void)state;
    four_puts(&log, ends);
    scan = plan_bytes(log.bytes, log.size);
    assert_int_equal(lx_scan_walk(&scan, LX_HEADER_SIZE, refuse_second, &calls), LXDB_EXISTS);
    assert_int_equal(calls, 2);
    lx_scan_free(&scan);
}

static void walk_from_the_middle_sees_the_rest(void **state)
{
    struct log log;
    uint64_t ends[RECORDS + 1];
    struct line line = {.len = 0};
    lx_scan scan;

    (void)state;
    four_puts(&log, ends);
    log.bytes[ends[0] + 9] ^= 1; /* a damaged range before, one behind */
    log.bytes[ends[2] + 9] ^= 1;
    scan = plan_bytes(log.bytes, log.size);
    assert_int_equal(lx_scan_walk(&scan, ends[1], describe, &line), LXDB_OK);
    assert_string_equal(line.text, "be= d=4 ");
    lx_scan_free(&scan);
}

static void walk_of_data_that_changed_is_corrupt(void **state)
{
    struct log log;
    uint64_t ends[RECORDS + 1];
    struct line line = {.len = 0};
    lx_scan scan;

    (void)state;
    four_puts(&log, ends);
    scan = plan_bytes(log.bytes, log.size);
    log.bytes[ends[1] + 1] = 0xff;
    assert_int_equal(lx_scan_walk(&scan, LX_HEADER_SIZE, describe, &line), LXDB_CORRUPT);
    lx_scan_free(&scan);
}

static void walk_of_a_kill_that_became_another_record_is_corrupt(void **state)
{
    struct log log;
    struct line line = {.len = 0};
    uint64_t off;
    lx_scan scan;

    (void)state;
    log_start(&log, 0);
    put(&log, "a", "1");
    off = put(&log, "b", "2");
    log.bytes[off] = 0;
    scan = plan_bytes(log.bytes, log.size);
    log.bytes[off + LX_RECORD_HEADER] = 'c';
    assert_int_equal(lx_scan_walk(&scan, LX_HEADER_SIZE, describe, &line), LXDB_CORRUPT);
    assert_string_equal(line.text, "a=1 ");
    lx_scan_free(&scan);
}

/* ---- A slow scanner, from the rules alone ---------------------------------------------------- */

struct slow {
    const uint8_t *d;
    uint64_t size;
    uint64_t first, last, other; /* where chains may end */
    bool loose;
    uint64_t tail, records;
    lx_scan_range damaged[512];
    size_t damaged_count;
};

static uint32_t slow_crc(uint8_t status, const uint8_t *rest, uint64_t len)
{
    uint32_t crc = ~UINT32_C(0);

    for (uint64_t i = 0; i <= len; i++) {
        crc ^= i == 0 ? status : rest[i - 1];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

static uint64_t slow_end(const struct slow *s, uint64_t off, uint64_t limit, bool any_status)
{
    if (off + 12 > limit || (!any_status && s->d[off] > 1))
        return 0;
    uint64_t key = (uint64_t)s->d[off + 1] << 8 | s->d[off + 2];
    uint64_t value = (uint64_t)s->d[off + 3] << 24 | (uint64_t)s->d[off + 4] << 16 |
                     (uint64_t)s->d[off + 5] << 8 | s->d[off + 6];
    return key == 0 || off + 11 + key + value > limit ? 0 : off + 11 + key + value;
}

/* The end of a whole record, or 0; `born` 1 or 0. */
static uint64_t slow_whole(const struct slow *s, uint64_t off, int *born)
{
    uint64_t end = slow_end(s, off, s->size, false);

    if (end == 0)
        return 0;
    uint32_t crc = (uint32_t)s->d[end - 4] << 24 | (uint32_t)s->d[end - 3] << 16 |
                   (uint32_t)s->d[end - 2] << 8 | s->d[end - 1];
    *born = slow_crc(1, s->d + off + 1, end - 5 - off) == crc;
    return *born || (s->d[off] == 0 && slow_crc(0, s->d + off + 1, end - 5 - off) == crc) ? end : 0;
}

static bool slow_goal(const struct slow *s, uint64_t end)
{
    return (end >= s->first && end <= s->last) || end == s->other;
}

static bool slow_leads(const struct slow *s, uint64_t off)
{
    uint64_t limit = s->last > s->other ? s->last : s->other, end;
    int born;

    for (; (end = slow_end(s, off, limit, false)) != 0; off = end)
        if (slow_goal(s, end))
            return !s->loose || slow_whole(s, off, &born) != 0;
    return false;
}

static bool slow_run(const struct slow *s, uint64_t off, uint64_t to)
{
    int born;

    while (off != 0 && off < to)
        off = slow_whole(s, off, &born);
    return off == to;
}

/* The first whole record behind `off` that leads to the goal; 0: there is none. */
static uint64_t slow_place(const struct slow *s, uint64_t off)
{
    uint64_t limit = s->last > s->other ? s->last : s->other;
    int born;

    for (uint64_t at = off + 1; at < limit; at++)
        if (slow_whole(s, at, &born) && slow_leads(s, at))
            return at;
    return 0;
}

/* Whether the record at `off` is whole once one of its lengths makes it end at `end`. */
static bool slow_ends(const struct slow *s, uint64_t off, uint64_t end)
{
    uint64_t both = end - off - 11;
    uint64_t key = (uint64_t)s->d[off + 1] << 8 | s->d[off + 2];
    uint64_t value = (uint64_t)lx_get32(s->d + off + 3);
    static uint8_t bytes[1 << 16];
    struct slow other = {.d = bytes, .size = end};
    int born;

    assert_true(end <= sizeof bytes);
    memcpy(bytes, s->d, (size_t)end);
    if (both >= key) {
        lx_put32(bytes + off + 3, (uint32_t)(both - key));
        if (slow_whole(&other, off, &born) == end)
            return true;
        lx_put32(bytes + off + 3, (uint32_t)value);
    }
    if (both < value || both - value > 65535)
        return false;
    lx_put16(bytes + off + 1, (uint16_t)(both - value));
    return slow_whole(&other, off, &born) == end;
}

/* Where to go on behind damage at `off`; 0: nowhere. */
static uint64_t slow_skip(const struct slow *s, uint64_t off)
{
    uint64_t limit = s->last > s->other ? s->last : s->other;
    uint64_t end = slow_end(s, off, limit, true);
    bool is_end = end != 0 && slow_goal(s, end) && !s->loose;
    uint64_t place;
    int born;

    if (!is_end && (end == 0 || !slow_whole(s, end, &born)))
        return slow_place(s, off);
    if (!slow_goal(s, end) && !slow_leads(s, end)) {
        place = slow_place(s, off);
        if (place != 0 && (place < end || slow_ends(s, off, place)))
            return place;
    }
    for (uint64_t at = off + 1; at < end; at++)
        for (uint64_t to = at + 1; to <= limit; to++)
            if ((to == end || (is_end && slow_goal(s, to))) && slow_run(s, at, to))
                return at;
    return end;
}

/* Records from `off` while they begin before `below`; damage is skipped to the goal at most. */
static uint64_t slow_go(struct slow *s, uint64_t off, uint64_t below, uint64_t nothing)
{
    int born;

    while (off < below) {
        uint64_t next = slow_whole(s, off, &born);

        s->records += next != 0;
        if (next == 0) {
            next = slow_skip(s, off);
            if (next == 0)
                next = nothing;
            if (next == 0 || (nothing == 0 && next >= below))
                break;
            s->damaged[s->damaged_count++] = (lx_scan_range){off, next - off};
        }
        off = next;
    }
    return off;
}

static bool slow_group(struct slow *s, uint64_t off, uint64_t *ret_end)
{
    uint64_t end = slow_end(s, off, s->size, false), at = end, inner_end = 0;
    uint32_t count = lx_get32(s->d + off + 21);
    uint64_t bytes = lx_get64(s->d + off + 25);
    int born;

    if (bytes > s->size - end)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t next = slow_whole(s, at, &born);

        if (next == 0 || next > end + bytes || (inner_end != 0 && next != inner_end))
            return false;
        bool is_group = !born && next - at == 45 && memcmp(s->d + at + 7, "\0lxdbG", 6) == 0 &&
                        lx_get64(s->d + at + 13) == at;
        if (is_group && (inner_end != 0 || lx_get32(s->d + at + 21) != 1))
            return false;
        inner_end = is_group ? next + lx_get64(s->d + at + 25) : 0;
        if (is_group && inner_end <= next)
            return false;
        at = next;
    }
    s->records += count;
    *ret_end = at;
    return at == end + bytes && inner_end == 0;
}

static uint64_t slow_unflushed(struct slow *s, uint64_t off)
{
    uint64_t next;
    int born;

    while ((next = slow_whole(s, off, &born)) != 0) {
        uint64_t records = s->records;

        s->records++;
        if (!born && next - off == 45 && memcmp(s->d + off + 7, "\0lxdbG", 6) == 0 &&
            lx_get64(s->d + off + 13) == off && !slow_group(s, off, &next)) {
            s->records = records;
            break;
        }
        off = next;
    }
    return off;
}

/* False: a bad watermark. */
static bool slow_crashed(struct slow *s, uint32_t watermark)
{
    uint64_t value = (uint64_t)(watermark & 0x7ffffff) << (watermark >> 27);
    uint64_t reach = value + (UINT64_C(1) << (watermark >> 27)) - 1;
    uint64_t forced = value;
    int born;

    if (value < 10 || value > s->size)
        return false;
    s->first = s->other = value;
    s->last = reach < s->size ? reach : s->size;
    s->loose = watermark >> 27 != 0;
    for (uint64_t at = s->last + 1; at-- > s->first;)
        if (slow_whole(s, at, &born))
            forced = at;
    s->tail = slow_go(s, 10, value, forced);
    if (!s->loose && s->tail > value)
        return false;
    s->tail = slow_unflushed(s, s->tail);
    return true;
}

static void slow_closed(struct slow *s)
{
    uint64_t nonzero = s->size;

    while (nonzero > 10 && s->d[nonzero - 1] == 0)
        nonzero--;
    *s = (struct slow){.d = s->d, .size = s->size, .first = nonzero, .other = s->size};
    s->last = nonzero + 4 < s->size ? nonzero + 4 : s->size;
    s->tail = slow_go(s, 10, nonzero, 0);
}

/* ---- Damaged logs against it ----------------------------------------------------------------- */

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % below;
}

static void add_something(struct log *log)
{
    static const char *const names[] = {"a", "b", "cc", "\1\1"};
    const char *key = names[draw(4)];
    uint8_t value[64];
    uint32_t len = (uint32_t)draw(4) * 4;
    uint64_t off = log->size, at;
    uint8_t born;

    memset(value, (int)draw(3), sizeof value);
    switch (draw(10)) {
    case 0:
        marker(log, key);
        break;
    case 1: /* a value that holds a whole record */
        born = (uint8_t)draw(2);
        at = draw(20);
        lx_record_encode(value + at, born, "in", 2, "side", (uint32_t)draw(5));
        add(log, 1, key, value, 24 + (uint32_t)draw(24));
        break;
    case 2:
        log->size += LX_PAD_SIZE_MIN + draw(20);
        lx_pad_encode(log->bytes + off, log->size - off, off);
        break;
    case 3:
        group(log, 1, lx_record_size(strlen(key), len), (int64_t)draw(3));
        add(log, 1, key, value, len);
        break;
    case 4:
        off = group(log, 2, draw(8) == 0 ? 40 : 2 * lx_record_size(strlen(key), len), 0);
        add(log, 1, key, value, len);
        add(log, 1, key, value, draw(8) == 0 ? 2 : len);
        break;
    case 5:
        add(log, (uint8_t)draw(2), key, value, len);
        log->bytes[off] = 0;
        break;
    default:
        add(log, 1, key, value, len);
    }
}

static void damage_somehow(struct log *log)
{
    uint64_t at = draw(log->size), len = 1 + draw(40);

    if (len > log->size - at)
        len = log->size - at;
    switch (draw(6)) {
    case 0:
        log->bytes[at] ^= (uint8_t)(1u << draw(8));
        break;
    case 1:
        log->bytes[at] = (uint8_t)draw(3);
        break;
    case 2:
        memset(log->bytes + at, (int)draw(2), len);
        break;
    case 3:
        memmove(log->bytes + at, log->bytes + draw(log->size - len + 1), len);
        break;
    case 4: /* bytes lost */
        memmove(log->bytes + at, log->bytes + at + len, log->size - at - len);
        log->size -= len;
        break;
    default: /* a small change of what may be a length */
        log->bytes[at] = (uint8_t)(log->bytes[at] + draw(5) * 4);
    }
}

static void random_log(struct log *log)
{
    uint64_t boundaries[32];
    unsigned records = 1 + (unsigned)draw(12);
    uint32_t shift;

    log_start(log, 0);
    for (unsigned i = 0; i < records; i++) {
        boundaries[i] = log->size;
        add_something(log);
    }
    if (draw(2) != 0)
        zeros(log, draw(60));
    for (uint64_t n = draw(4); n > 0; n--) {
        damage_somehow(log);
        if (log->size < LX_HEADER_SIZE)
            zeros(log, LX_HEADER_SIZE - log->size);
    }
    lx_header_encode(log->bytes, 0);
    switch (draw(5)) {
    case 0:
    case 1:
        break;
    case 2:
        set_watermark(log, (uint32_t)draw(log->size + 20));
        break;
    case 3:
        set_watermark(log, (uint32_t)boundaries[draw(records)]);
        break;
    default:
        shift = 1 + (uint32_t)draw(5);
        set_watermark(log, rounded(shift, boundaries[draw(records)]));
    }
}

static void scan_of_random_damage_agrees_with_the_slow_scanner(void **state)
{
    enum { LOGS = 30000 };
    unsigned crashed = 0, bad = 0, damaged = 0, cut = 0, unsteppable = 0;

    (void)state;
    print_message("seed %llx\n", (unsigned long long)seed);
    for (unsigned i = 0; i < LOGS; i++) {
        struct log log;
        struct slow slow = {.d = log.bytes};
        uint64_t before = seed;
        lx_scan scan;
        uint32_t watermark;
        bool ordered;

        random_log(&log);
        slow.size = log.size;
        watermark = lx_get32(log.bytes + LX_WATERMARK_OFFSET);
        ordered = watermark != 0 && slow_crashed(&slow, watermark);
        if (!ordered)
            slow_closed(&slow);
        scan = plan_bytes(log.bytes, log.size);

        bool same = scan.tail == slow.tail && scan.records == slow.records &&
                    scan.ordered == ordered && scan.bad_watermark == (watermark != 0 && !ordered) &&
                    scan.damaged_count == slow.damaged_count;
        for (size_t j = 0; same && j < slow.damaged_count; j++)
            same = scan.damaged[j].off == slow.damaged[j].off &&
                   scan.damaged[j].len == slow.damaged[j].len;
        if (!same)
            fail_msg("log %u, seed %llx: tail %llu, slowly %llu", i, (unsigned long long)before,
                     (unsigned long long)scan.tail, (unsigned long long)slow.tail);
        struct line line = {.len = 0};
        assert_int_equal(lx_scan_walk(&scan, LX_HEADER_SIZE, describe, &line), LXDB_OK);
        crashed += scan.ordered;
        bad += scan.bad_watermark;
        damaged += scan.damaged_count > 0;
        cut += scan.cut_bytes > 0;
        unsteppable += scan.unsteppable;
        lx_scan_free(&scan);
    }
    print_message("%d logs: %u crashed, %u bad watermarks, %u damaged, %u unsteppable, %u cut\n",
                  LOGS, crashed, bad, damaged, unsteppable, cut);
    assert_true(crashed > LOGS / 5 && bad > LOGS / 20 && damaged > LOGS / 10);
    assert_true(unsteppable > LOGS / 20 && cut > LOGS / 20);
}

/* ---- The bound on work ----------------------------------------------------------------------- */

#define HOSTILE_SMALL (UINT64_C(256) << 10) /* where work that is not linear ends in time */
#define HOSTILE_SIZE (UINT64_C(8) << 20)
#define WORK_PER_BYTE 8u

typedef void fill_function(uint8_t *data, uint64_t size);

static void fill_ones(uint8_t *data, uint64_t size)
{
    memset(data, 1, size);
}

/* Most offsets look like a header with moderate lengths. */
static void fill_threes(uint8_t *data, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        data[i] = i % 3 == 2;
}

/* Headers one behind the other, the lengths of each leading exactly to the end. */
static void fill_headers_to_the_end(uint8_t *data, uint64_t size)
{
    memset(data, 1, size);
    for (uint64_t off = 0; off + 12 <= size; off += 7) {
        data[off] = 1;
        lx_put16(data + off + 1, 1);
        lx_put32(data + off + 3, (uint32_t)(size - off - 12));
    }
}

/* A chain of the shortest records, none of them whole. */
static void fill_short_chain(uint8_t *data, uint64_t size)
{
    memset(data, 0xee, size);
    for (uint64_t off = size % 12; off + 12 <= size; off += 12) {
        data[off] = 0;
        lx_put16(data + off + 1, 1);
        lx_put32(data + off + 3, 0);
    }
}

/* Damaged headers that claim half of the rest, and a whole record behind each. */
static void fill_huge_claims(uint8_t *data, uint64_t size)
{
    memset(data, 0xee, size);
    for (uint64_t off = 0; off + 64 <= size; off += 32) {
        data[off] = 1;
        lx_put16(data + off + 1, 1);
        lx_put32(data + off + 3, (uint32_t)((size - off) / 2));
        lx_record_encode(data + off + 12, 1, "k", 1, "12345678", 8);
    }
}

/* Damaged headers that all lead to one large record, which is not whole either, and a whole record
 * behind each. */
static void fill_one_claim_of_many(uint8_t *data, uint64_t size)
{
    uint64_t last = size / 2 / 24 * 24;

    memset(data, 0xee, size);
    for (uint64_t off = 0; off < last; off += 24) {
        data[off] = 1;
        lx_put16(data + off + 1, 1);
        lx_put32(data + off + 3, (uint32_t)(last - off - 12));
        lx_record_encode(data + off + 12, 1, "k", 1, NULL, 0);
    }
    data[last] = 1;
    lx_put16(data + last + 1, 1);
    lx_put32(data + last + 3, (uint32_t)(size - last - 12));
}

/* A damaged record that leads to a whole one, and between them whole records that just miss it. */
static void fill_near_miss_inside(uint8_t *data, uint64_t size)
{
    uint64_t off = 12, last = size - 24;

    memset(data, 0xee, size);
    data[0] = 1;
    lx_put16(data + 1, 1);
    lx_put32(data + 3, (uint32_t)(last - 12));
    for (; off + 13 + 20 <= last; off += 13)
        lx_record_encode(data + off, 1, "k", 1, "1", 1);
    lx_record_encode(data + off, 1, "k", 1, data, (uint32_t)(last - off - 12));
    data[last - 1] ^= 1; /* the run breaks at its very end */
    lx_record_encode(data + last, 1, "k", 1, "123456789012", 12);
}

/* A value that is a database, behind a broken length. */
static void fill_embedded_database(uint8_t *data, uint64_t size)
{
    uint64_t off = 12, last = size - 40;

    memset(data, 0xee, size);
    data[0] = 1;
    lx_put16(data + 1, 1);
    lx_put32(data + 3, UINT32_MAX);
    for (; off + 13 <= last; off += 13)
        lx_record_encode(data + off, 1, "k", 1, "1", 1);
    lx_record_encode(data + size - 24, 1, "k", 1, "123456789012", 12);
}

/* Damaged records, each leading to a whole one, and from none of them lengths lead to the end; a
 * last record that nothing leads to. */
static void fill_astray(uint8_t *data, uint64_t size)
{
    uint64_t off = 0;

    memset(data, 0xee, size);
    for (; off + 13 + 20 + 40 <= size; off += 33) {
        data[off] = 1;
        lx_put16(data + off + 1, 1);
        lx_put32(data + off + 3, 1);
        lx_record_encode(data + off + 13, 1, "k", 1, "12345678", 8);
    }
    lx_record_encode(data + size - 24, 1, "k", 1, "123456789012", 12);
}

static void fill_zeros_then_one(uint8_t *data, uint64_t size)
{
    memset(data, 0, size);
    data[size - 1] = 1;
}

struct hostile {
    const char *name;
    fill_function *fill;
};

static void check_work(const struct hostile *file, uint8_t *data, uint64_t size)
{
    const uint32_t watermarks[] = {0, (uint32_t)size, rounded(5, size), 1000};

    file->fill(data + LX_HEADER_SIZE, size - LX_HEADER_SIZE);
    for (size_t i = 0; i < sizeof watermarks / sizeof watermarks[0]; i++) {
        lx_scan scan;

        lx_header_encode(data, watermarks[i]);
        assert_int_equal(lx_scan_plan(data, size, NULL, NULL, &scan), LXDB_OK);
        print_message("%-20s %8x: %9llu units, %8llu records\n", file->name, watermarks[i],
                      (unsigned long long)scan.work, (unsigned long long)scan.records);
        assert_true(scan.work <= WORK_PER_BYTE * size);
        lx_scan_free(&scan);
    }
}

static void scan_of_hostile_files_takes_linear_work(void **state)
{
    static const struct hostile files[] = {{"ones", fill_ones},
                                           {"threes", fill_threes},
                                           {"headers to the end", fill_headers_to_the_end},
                                           {"short chain", fill_short_chain},
                                           {"huge claims", fill_huge_claims},
                                           {"one claim of many", fill_one_claim_of_many},
                                           {"near miss inside", fill_near_miss_inside},
                                           {"embedded database", fill_embedded_database},
                                           {"astray", fill_astray},
                                           {"zeros, then one", fill_zeros_then_one}};
    const uint64_t sizes[] = {HOSTILE_SMALL, HOSTILE_SIZE};
    uint8_t *data = malloc(HOSTILE_SIZE);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t j = 0; j < sizeof files / sizeof files[0]; j++)
            check_work(&files[j], data, sizes[i]);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_status_bytes_are_believed),
        cmocka_unit_test(closed_marker_deletes),
        cmocka_unit_test(closed_record_born_dead_with_a_value_does_nothing),
        cmocka_unit_test(closed_padding_is_not_data),
        cmocka_unit_test(closed_damage_at_the_end_is_the_tail),
        cmocka_unit_test(closed_damaged_value_loses_only_its_record),
        cmocka_unit_test(closed_unknown_status_is_stepped_over_by_its_lengths),
        cmocka_unit_test(closed_damaged_length_goes_on_at_the_first_record_that_leads_to_the_end),
        cmocka_unit_test(closed_records_in_a_value_are_not_believed_behind_damage),
        cmocka_unit_test(closed_length_that_passes_32_bits_leads_nowhere),
        cmocka_unit_test(closed_length_that_swallows_whole_records_gives_them_back),
        cmocka_unit_test(closed_length_that_leads_into_its_value_believes_nothing_there),
        cmocka_unit_test(closed_length_that_leads_into_a_later_value_believes_nothing_there),
        cmocka_unit_test(closed_length_that_leads_nowhere_further_is_followed_if_nothing_else_is),
        cmocka_unit_test(closed_length_that_leads_to_another_end_loses_only_its_record),
        cmocka_unit_test(closed_second_damage_is_skipped_by_lengths_on_the_way),
        cmocka_unit_test(closed_zeros_in_the_middle_are_damage),
        cmocka_unit_test(closed_record_that_ends_in_zeros_is_reached_by_a_chain),
        cmocka_unit_test(closed_control_records_do_nothing_but_carry_expiry),
        cmocka_unit_test(expiry_belongs_only_to_the_single_put_right_behind),
        cmocka_unit_test(expiry_of_a_damaged_put_goes_to_no_other),
        cmocka_unit_test(crashed_order_decides_and_status_bytes_do_not),
        cmocka_unit_test(crashed_first_damage_at_or_beyond_the_watermark_is_the_tail),
        cmocka_unit_test(crashed_damage_below_the_watermark_is_skipped_never_past_it),
        cmocka_unit_test(crashed_damage_up_to_the_watermark_may_be_zeros),
        cmocka_unit_test(crashed_damaged_record_before_the_watermark_leads_to_it),
        cmocka_unit_test(crashed_watermark_inside_anything_closes_the_file),
        cmocka_unit_test(crashed_watermark_of_a_shifted_nothing_closes_the_file),
        cmocka_unit_test(crashed_rounded_watermark_is_the_first_record_end_at_or_beyond),
        cmocka_unit_test(crashed_rounded_watermark_behind_a_broken_length_is_found),
        cmocka_unit_test(group_beyond_the_watermark_that_is_whole_is_kept),
        cmocka_unit_test(group_beyond_the_watermark_cut_anywhere_is_the_tail),
        cmocka_unit_test(group_beyond_the_watermark_with_other_count_or_bytes_is_the_tail),
        cmocka_unit_test(group_of_nothing_is_complete),
        cmocka_unit_test(group_may_hold_single_puts_with_expiry),
        cmocka_unit_test(group_whose_inner_group_leaves_it_is_the_tail),
        cmocka_unit_test(group_whose_inner_group_measures_another_record_is_the_tail),
        cmocka_unit_test(group_with_a_group_right_behind_an_inner_group_is_the_tail),
        cmocka_unit_test(group_with_a_group_of_several_inside_is_the_tail),
        cmocka_unit_test(group_below_the_watermark_groups_nothing),
        cmocka_unit_test(closed_log_cut_at_any_byte_keeps_what_is_whole),
        cmocka_unit_test(crashed_log_cut_at_any_byte_keeps_what_is_whole),
        cmocka_unit_test(closed_log_with_any_bit_flipped_loses_exactly_that_record),
        cmocka_unit_test(crashed_log_with_any_bit_flipped_loses_that_record_or_the_tail),
        cmocka_unit_test(closed_log_with_any_bit_of_the_watermark_set_keeps_everything),
        cmocka_unit_test(plan_of_a_blank_file_is_empty),
        cmocka_unit_test(plan_of_what_is_no_database_leaves_the_output_alone),
        cmocka_unit_test(plan_of_a_log_in_use_takes_its_end_for_the_watermark),
        cmocka_unit_test(plan_stops_when_told_to),
        cmocka_unit_test(walk_ends_with_the_first_result_that_is_not_ok),
        cmocka_unit_test(walk_from_the_middle_sees_the_rest),
        cmocka_unit_test(walk_of_data_that_changed_is_corrupt),
        cmocka_unit_test(walk_of_a_kill_that_became_another_record_is_corrupt),
        cmocka_unit_test(scan_of_random_damage_agrees_with_the_slow_scanner),
        cmocka_unit_test(scan_of_hostile_files_takes_linear_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
