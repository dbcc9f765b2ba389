/* SPDX-License-Identifier: MIT */
/* See fix.h. */
#include "fuzz/fix.h"

#include "base/byteorder.h"
#include "format/header.h"
#include "format/record.h"
#include "fuzz/naive.h"

#include <stdbool.h>
#include <string.h>

#define GROUP_COUNT_AT 21u /* in the record */
#define GROUP_BYTES_AT 25u

/* Where the lengths at `at` lead; 0: nowhere in the file. */
static size_t end_of(const uint8_t *file, size_t size, size_t at)
{
    size_t len;

    if (at + LX_RECORD_OVERHEAD >= size || file[at] > 1 || lx_get16(file + at + 1) == 0)
        return 0;
    len = (size_t)lx_record_size(lx_get16(file + at + 1), lx_get32(file + at + 3));
    return len <= size - at ? at + len : 0;
}

static void seal(uint8_t *file, size_t at, size_t end)
{
    lx_put32(file + end - 4, naive_crc(file + at, end - at - 4));
}

static bool is_control(const uint8_t *file, size_t at, size_t end)
{
    return file[at] == 0 && end - at >= LX_PAD_SIZE_MIN &&
           lx_get16(file + at + 1) == LX_CONTROL_KEY_LEN &&
           memcmp(file + at + LX_RECORD_HEADER, LX_CONTROL_KEY, LX_CONTROL_KEY_LEN) == 0;
}

/* What as many records as the GROUP at `at` counts measure, as far as there are any. */
static void fit_group(uint8_t *file, size_t size, size_t at, size_t end)
{
    uint32_t count = lx_get32(file + at + GROUP_COUNT_AT);
    size_t off = end, next;

    for (; count > 0 && (next = end_of(file, size, off)) != 0; count--)
        off = next;
    lx_put64(file + at + GROUP_BYTES_AT, off - end);
}

static void put_right(uint8_t *file, size_t size, size_t at, size_t end, unsigned how)
{
    bool control = is_control(file, at, end);

    if (how == 2)
        file[at] = 1;
    else if (control)
        lx_put64(file + at + 13, at);
    if (how == 3 && control && end - at == LX_GROUP_SIZE)
        fit_group(file, size, at, end);
    seal(file, at, end);
    if (how == 2)
        file[at] = 0;
    else if (how == 3 && !control)
        file[end - 1] ^= 1;
}

size_t fix_crcs(uint8_t *file, size_t size, const uint8_t *mask, size_t mask_len, unsigned nth)
{
    size_t at = LX_HEADER_SIZE, boundary = 0;
    unsigned records = 0;

    while (at < size) {
        size_t end = end_of(file, size, at);
        unsigned how = 0;

        if (end == 0) {
            at++;
            continue;
        }
        if (records < 4 * mask_len)
            how = mask[records / 4] >> (6 - 2 * (records % 4)) & 3;
        records++;
        if (how != 1)
            put_right(file, size, at, end, how);
        at = how == 1 ? at + LX_RECORD_HEADER : end;
        if (records == nth)
            boundary = end;
    }
    return boundary;
}

void fix_watermark(uint8_t *file, size_t boundary, unsigned shift)
{
    lx_put32(file + LX_WATERMARK_OFFSET,
             (uint32_t)shift << LX_WATERMARK_SHIFT_AT | (uint32_t)(boundary >> shift));
}
