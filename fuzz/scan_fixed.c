/* SPDX-License-Identifier: MIT */
/*
 * scan, with the CRCs put right first, so that a record stays one whatever is changed in it.
 * This is done here, in the harness; the library checks every CRC as always. The input:
 *
 *     0   1  watermark: 0 as it stands in the file; n: W is set to the end of the n-th record that
 *            the harness finds
 *     1   1  shift that this W is rounded with, modulo 8; 0: exact
 *     2   14 mask: two bits for each record, the highest first; none left: 0
 *     16     the file
 *
 * What the two bits say of a record, found by its lengths:
 *
 *     0   put right: the CRC is made with the status that stands there; a born-dead record with the
 *         key of control records gets its own offset as well
 *     1   left as it is, and the next record is looked for in its key and value
 *     2   put right as a live record, then killed
 *     3   as 0, and a GROUP gets the bytes that its count of records has; others lose a bit
 */
#include "base/byteorder.h"
#include "format/header.h"
#include "format/record.h"
#include "fuzz/driver.h"
#include "fuzz/naive.h"
#include "fuzz/scancheck.h"

#include <string.h>

#define PREFIX 16u
#define MASK_AT 2u
#define GROUP_COUNT_AT 21u /* in the record */
#define GROUP_BYTES_AT 25u

const char fuzz_name[] = "scan_fixed";

void fuzz_start(void)
{
    naive_start();
}

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

int fuzz_one(uint8_t *data, size_t len)
{
    uint8_t *file = data + PREFIX;
    size_t size = len - PREFIX, at = LX_HEADER_SIZE, boundary = 0;
    unsigned records = 0;

    if (len < PREFIX + LX_HEADER_SIZE || len > SCAN_MAX)
        return 1;
    while (at < size) {
        size_t end = end_of(file, size, at);
        unsigned how = 0;

        if (end == 0) {
            at++;
            continue;
        }
        if (records < 4 * (PREFIX - MASK_AT))
            how = data[MASK_AT + records / 4] >> (6 - 2 * (records % 4)) & 3;
        records++;
        if (how != 1)
            put_right(file, size, at, end, how);
        at = how == 1 ? at + LX_RECORD_HEADER : end;
        if (records == data[0])
            boundary = end;
    }
    if (boundary != 0) {
        uint32_t shift = data[1] % 8;

        lx_put32(file + LX_WATERMARK_OFFSET,
                 shift << LX_WATERMARK_SHIFT_AT | (uint32_t)(boundary >> shift));
    }
    scan_check(file, size);
    return 0;
}
