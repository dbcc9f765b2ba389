/* SPDX-License-Identifier: MIT */
/* CRCs of ranges from CRCs of prefixes. */
#include "format/crcrange.h"

#include "base/assert.h"
#include "base/crc.h"

#include <stdlib.h>

/* In the bit order of this CRC the top bit is the coefficient of x^0. */
#define POLYNOMIAL 0xedb88320u
#define ONE 0x80000000u
#define X_TO_8 0x00800000u

/* A count of bytes in digits: one multiplication for each that is not zero. */
#define DIGIT_BITS 11u
#define DIGITS 3u
#define DIGIT_VALUES (1u << DIGIT_BITS)

struct lx_crc_range {
    const uint8_t *data;
    uint64_t lo, hi;
    uint32_t shift[DIGITS][DIGIT_VALUES]; /* x^(8 * digit * DIGIT_VALUES^place) */
    uint32_t prefix[];                    /* the CRC of data[lo, lo + i * LX_CRC_BLOCK) */
};

static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (; a != 0; a <<= 1) {
        product ^= b & (0 - (a >> 31));
        b = b >> 1 ^ (POLYNOMIAL & (0 - (b & 1)));
    }
    return product;
}

static void fill_shifts(lx_crc_range *range)
{
    uint32_t step = X_TO_8;

    for (unsigned place = 0; place < DIGITS; place++) {
        uint32_t *shift = range->shift[place];

        shift[0] = ONE;
        for (unsigned digit = 1; digit < DIGIT_VALUES; digit++)
            shift[digit] = multiply(shift[digit - 1], step);
        step = multiply(shift[DIGIT_VALUES - 1], step);
    }
}

lx_crc_range *lx_crc_range_new(const uint8_t *data, uint64_t lo, uint64_t hi)
{
    uint64_t blocks = (hi - lo) / LX_CRC_BLOCK;
    lx_crc_range *range;

    if (blocks >= (SIZE_MAX - sizeof *range) / sizeof range->prefix[0])
        return NULL;
    range = malloc(sizeof *range + (size_t)(blocks + 1) * sizeof range->prefix[0]);
    if (range == NULL)
        return NULL;
    range->data = data;
    range->lo = lo;
    range->hi = hi;
    fill_shifts(range);
    range->prefix[0] = 0;
    for (uint64_t i = 0; i < blocks; i++)
        range->prefix[i + 1] = lx_crc32(range->prefix[i], data + lo + i * LX_CRC_BLOCK,
                                        LX_CRC_BLOCK);
    return range;
}

void lx_crc_range_free(lx_crc_range *range)
{
    free(range);
}

static uint32_t prefix_at(const lx_crc_range *range, uint64_t off)
{
    uint64_t block = (off - range->lo) / LX_CRC_BLOCK;
    uint64_t start = range->lo + block * LX_CRC_BLOCK;

    return lx_crc32(range->prefix[block], range->data + start, (size_t)(off - start));
}

uint32_t lx_crc_range_get(const lx_crc_range *range, uint32_t before, uint64_t from, uint64_t to)
{
    uint64_t len = to - from;
    uint32_t moved;

    lx_assert(range->lo <= from && from <= to && to <= range->hi);
    lx_assert(len >> (DIGITS * DIGIT_BITS) == 0);
    moved = prefix_at(range, from) ^ before;
    for (unsigned place = 0; len != 0; place++, len >>= DIGIT_BITS)
        if (len % DIGIT_VALUES != 0)
            moved = multiply(range->shift[place][len % DIGIT_VALUES], moved);
    return prefix_at(range, to) ^ moved;
}
