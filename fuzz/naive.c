/* SPDX-License-Identifier: MIT */
/* See naive.h. The numbers are those of the sections of docs/format.md. */
#include "fuzz/naive.h"

#include <string.h>

static struct naive result;
static const uint8_t *d;
static size_t size, w, shift, nonzero; /* `w` 0: as a closed file */
static size_t ends[NAIVE_MAX];         /* of the whole record at an offset; 0: none; 1: not known */
static uint8_t borns[NAIVE_MAX];

static uint64_t number(size_t at, unsigned bytes)
{
    uint64_t n = 0;

    while (bytes-- > 0)
        n = n << 8 | d[at++];
    return n;
}

static uint32_t table[256];

void naive_start(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
    }
}

static uint32_t crc_on(uint32_t crc, const uint8_t *bytes, size_t len)
{
    while (len-- > 0)
        crc = crc >> 8 ^ table[(crc ^ *bytes++) & 255];
    return crc;
}

uint32_t naive_crc(const uint8_t *bytes, size_t len)
{
    return ~crc_on(0xffffffff, bytes, len);
}

/* ---- 1, 2, 3: records ------------------------------------------------------------------------ */

/* The CRC of a head with this status and these lengths, and the bytes behind it up to `end`. */
static uint32_t crc_of(size_t at, uint8_t born, uint64_t k, uint64_t v, size_t end)
{
    const uint8_t head[] = {born,
                            (uint8_t)(k >> 8),
                            (uint8_t)k,
                            (uint8_t)(v >> 24),
                            (uint8_t)(v >> 16),
                            (uint8_t)(v >> 8),
                            (uint8_t)v};

    return ~crc_on(crc_on(0xffffffff, head, 7), d + at + 7, end - at - 7);
}

/* Where the lengths at `at` lead; 0 if there is no room for them, K is 0, or that is past `limit`.
 */
static size_t lengths(size_t at, size_t limit)
{
    uint64_t end;

    if (at + 12 > limit || number(at + 1, 2) == 0)
        return 0;
    end = at + 11 + number(at + 1, 2) + number(at + 3, 4);
    return end <= limit ? (size_t)end : 0;
}

static size_t whole(size_t at)
{
    if (at >= size)
        return 0;
    if (ends[at] == 1) {
        uint64_t k, v;
        size_t end = d[at] <= 1 ? lengths(at, size) : 0;

        ends[at] = 0;
        for (int born = 1; end != 0 && born >= d[at]; born--) {
            k = number(at + 1, 2);
            v = number(at + 3, 4);
            if (ends[at] == 0 && crc_of(at, (uint8_t)born, k, v, end - 4) == number(end - 4, 4)) {
                ends[at] = end;
                borns[at] = (uint8_t)born;
            }
        }
    }
    return ends[at];
}

static char kind(size_t at)
{
    static const uint8_t key[] = {0, 5, 'V', 'V', 'V', 'V', 0, 'l', 'x', 'd', 'b'};
    size_t v = whole(at) ? (size_t)number(at + 3, 4) : 0;

    if (v < 9 || borns[at] != 0 || memcmp(d + at + 1, key, 2) != 0 ||
        memcmp(d + at + 7, key + 6, 5) != 0 || number(at + 13, 8) != at)
        return 0;
    return d[at + 12] == 'P' || (d[at + 12] == 'G' && v == 29) ? (char)d[at + 12] : 0;
}

/* ---- 5.4: damage ----------------------------------------------------------------------------- */

static bool is_end(size_t at)
{
    if (w != 0)
        return shift == 0 && at == w;
    return (at >= nonzero && at <= nonzero + 4) || at == size;
}

/* In one of the places that a rounded W may stand for. */
static bool near_w(size_t at)
{
    return w != 0 && shift != 0 && at >= w && at - w < (size_t)1 << shift;
}

static size_t last_end(void)
{
    if (w == 0)
        return size;
    return shift == 0 ? w : size - w < (size_t)1 << shift ? size : w + ((size_t)1 << shift) - 1;
}

static bool leads_to_end(size_t at)
{
    while (at < last_end() && d[at] <= 1) {
        size_t end = lengths(at, last_end());

        if (end == 0 || is_end(end) || near_w(end))
            return end != 0 && (is_end(end) || whole(at) != 0);
        at = end;
    }
    return false;
}

static size_t by_chain(size_t at)
{
    while (++at < last_end())
        if (whole(at) && leads_to_end(at))
            return at;
    return 0;
}

static bool whole_if_ended(size_t at, size_t end)
{
    uint64_t k = number(at + 1, 2), v = number(at + 3, 4), both = end - at - 11;

    for (int born = 1; end >= at + 12 && born >= d[at]; born--) {
        uint64_t crc = number(end - 4, 4);

        if ((both >= k && k != 0 && crc_of(at, (uint8_t)born, k, both - k, end - 4) == crc) ||
            (both > v && both - v <= 65535 &&
             crc_of(at, (uint8_t)born, both - v, v, end - 4) == crc))
            return true;
    }
    return false;
}

static size_t by_own_lengths(size_t at)
{
    size_t end = lengths(at, last_end()), place;

    if (end == 0 || (!is_end(end) && !whole(end)))
        return 0;
    if (!is_end(end) && !near_w(end) && !leads_to_end(end)) {
        place = by_chain(at);
        if (place != 0 && (place < end || whole_if_ended(at, place)))
            return place;
    }
    for (place = at + 1; place < end; place++)
        for (size_t here = whole(place); here != 0; here = whole(here))
            if (here == end || (is_end(end) && is_end(here)))
                return place;
    return end;
}

/* Where to go on behind damage; 0: nowhere. */
static size_t behind(size_t at)
{
    size_t place = by_own_lengths(at);

    if (place == 0)
        place = by_chain(at);
    if (place != 0 || w == 0)
        return place;
    for (place = w; place < size && near_w(place); place++)
        if (whole(place))
            return place;
    return w;
}

/* ---- 5: the walk ----------------------------------------------------------------------------- */

static void add_record(size_t at)
{
    struct naive_record *record = &result.records[result.n_records++];
    bool value = number(at + 3, 4) != 0;

    *record = (struct naive_record){at, whole(at), kind(at), 0, at, 0};
    if (!borns[at])
        record->effect = value ? 0 : '-';
    else if (w != 0 || d[at] == 1)
        record->effect = '+';
    if (result.n_records > 1 && record[-1].kind == 'G' && record[-1].end == at &&
        number(record[-1].off + 21, 4) == 1 && number(record[-1].off + 25, 8) == record->end - at) {
        record->expiry = (int64_t)number(record[-1].off + 33, 8);
        record->slot = record->expiry != 0 ? record[-1].off : at;
    }
}

static void add_damage(size_t at, size_t end)
{
    result.damaged[result.n_damaged++] = (struct naive_range){at, end};
    while (at != end && lengths(at, end) != 0)
        at = lengths(at, end);
    result.unsteppable |= at != end;
}

/* 5.3: the end of a complete GROUP at `at` with all its records, or 0. */
static size_t group_end(size_t at)
{
    uint64_t count = number(at + 21, 4), bytes = number(at + 25, 8);
    size_t off = whole(at), end;
    bool one = false;

    if (bytes > size - off)
        return 0;
    end = off + (size_t)bytes;
    for (uint64_t one_bytes = 0; count > 0; count--) {
        if (off >= end || whole(off) == 0 || whole(off) > end)
            return 0;
        if (one && (kind(off) == 'G' || whole(off) - off != one_bytes))
            return 0;
        one = kind(off) == 'G';
        one_bytes = one ? number(off + 25, 8) : 0;
        if (one && (number(off + 21, 4) != 1 || one_bytes == 0))
            return 0;
        off = whole(off);
    }
    return off == end && !one ? end : 0;
}

/* False: W is not to be believed. */
static bool walk(void)
{
    size_t at = 10, next;

    result.n_records = result.n_damaged = 0;
    result.unsteppable = false;
    for (; w == 0 ? at < nonzero || whole(at) : at < w; at = next) {
        next = whole(at);
        if (next != 0 && w != 0 && shift == 0 && next > w)
            return false;
        if (next != 0) {
            add_record(at);
            continue;
        }
        next = behind(at);
        if (w == 0 && (next == 0 || next >= nonzero))
            break;
        add_damage(at, next);
    }
    while (w != 0 && whole(at)) {
        size_t end = kind(at) == 'G' ? group_end(at) : whole(at);

        for (; at < end; at = whole(at))
            add_record(at);
        if (end == 0)
            break;
    }
    result.tail = at;
    result.cut = nonzero > at ? nonzero - at : 0;
    return true;
}

const struct naive *naive_scan(const uint8_t *bytes, size_t length)
{
    memset(&result, 0, offsetof(struct naive, records));
    d = bytes;
    size = length;
    for (nonzero = size; nonzero > 0 && d[nonzero - 1] == 0;)
        nonzero--;
    result.tail = 10;
    result.blank = nonzero == 0;
    if (result.blank)
        return &result;
    if (size < 10 || memcmp(d, "LXDB", 4) != 0)
        result.word = NAIVE_NOT_A_DATABASE;
    else if (number(4, 2) != 1)
        result.word = NAIVE_UNSUPPORTED_VERSION;
    if (result.word != NAIVE_READABLE)
        return &result;
    for (size_t i = 0; i < size; i++)
        ends[i] = 1;
    shift = d[6] >> 3;
    w = (size_t)(number(6, 4) & 0x7ffffff) << shift;
    result.crashed = number(6, 4) != 0 && w >= 10 && w <= size && walk();
    if (!result.crashed) {
        result.bad_watermark = number(6, 4) != 0;
        w = 0;
        walk();
    }
    return &result;
}
