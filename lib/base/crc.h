/* SPDX-License-Identifier: MIT */
/* CRC-32 with the zlib polynomial, by libdeflate. */
#ifndef LX_BASE_CRC_H
#define LX_BASE_CRC_H

#include <libdeflate.h>
#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 at the start) over `len` bytes. */
static inline uint32_t lx_crc32(uint32_t crc, const void *bytes, size_t len)
{
    return libdeflate_crc32(crc, bytes, len);
}

#endif
