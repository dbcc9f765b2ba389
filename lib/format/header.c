/* SPDX-License-Identifier: MIT */
/* The ten bytes at the start of a data file. */
#include "format/header.h"

#include "base/byteorder.h"
#include "lxdb.h"

#define MANTISSA_MAX ((UINT32_C(1) << LX_WATERMARK_SHIFT_AT) - 1)
#define SHIFT_MAX 31u

static const uint8_t magic[4] = {'L', 'X', 'D', 'B'};

void lx_header_encode(uint8_t ret_header[LX_HEADER_SIZE], uint32_t watermark)
{
    memcpy(ret_header, magic, sizeof magic);
    lx_put16(ret_header + 4, LX_FORMAT_VERSION);
    lx_put32(ret_header + LX_WATERMARK_OFFSET, watermark);
}

static bool all_zeros(const uint8_t *data, uint64_t size)
{
    /* Equal to itself shifted by one byte and starting with zero: zeros throughout. */
    return size == 0 || (data[0] == 0 && memcmp(data, data + 1, (size_t)(size - 1)) == 0);
}

int lx_header_decode(const uint8_t *data, uint64_t size, bool *ret_blank, uint32_t *ret_watermark)
{
    if (all_zeros(data, size < LX_HEADER_SIZE ? size : LX_HEADER_SIZE)) {
        if (!all_zeros(data, size))
            return LXDB_NOTDB;
        *ret_blank = true;
        *ret_watermark = 0;
        return LXDB_OK;
    }
    if (size < LX_HEADER_SIZE || memcmp(data, magic, sizeof magic) != 0)
        return LXDB_NOTDB;
    if (lx_get16(data + 4) != LX_FORMAT_VERSION)
        return LXDB_VERSION;
    *ret_blank = false;
    *ret_watermark = lx_get32(data + LX_WATERMARK_OFFSET);
    return LXDB_OK;
}

uint32_t lx_watermark_encode(uint64_t boundary)
{
    unsigned shift = 0;

    while (shift < SHIFT_MAX && boundary >> shift > MANTISSA_MAX)
        shift++;
    boundary >>= shift;
    if (boundary > MANTISSA_MAX)
        boundary = MANTISSA_MAX; /* beyond 2^58 bytes: rounded down further, which is still true */
    return (uint32_t)shift << LX_WATERMARK_SHIFT_AT | (uint32_t)boundary;
}

uint64_t lx_watermark_value(uint32_t watermark)
{
    return (uint64_t)(watermark & MANTISSA_MAX) << (watermark >> LX_WATERMARK_SHIFT_AT);
}

bool lx_watermark_exact(uint32_t watermark)
{
    return watermark >> LX_WATERMARK_SHIFT_AT == 0;
}
