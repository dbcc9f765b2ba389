/* SPDX-License-Identifier: MIT */
/*
 * CRCs of any range of a piece of data, each at the same small cost whatever its length: prefix
 * CRCs are kept at every LX_CRC_BLOCK bytes, and the CRC of a range follows from those of two
 * prefixes.
 *
 * CRC(A then B) = CRC(A) * x^(8 * length of B) + CRC(B), over polynomials modulo the CRC's own. So
 * with P(n) the CRC of the first n bytes, the CRC of bytes [a, b) is P(b) + P(a) * x^(8 * (b - a)).
 */
#ifndef LX_FORMAT_CRCRANGE_H
#define LX_FORMAT_CRCRANGE_H

#include <stdint.h>

#define LX_CRC_BLOCK 256u

typedef struct lx_crc_range lx_crc_range;

/* Over data[lo, hi): reads it once, takes (hi - lo) / 64 bytes of memory. NULL: out of memory. */
lx_crc_range *lx_crc_range_new(const uint8_t *data, uint64_t lo, uint64_t hi);
void lx_crc_range_free(lx_crc_range *range); /* NULL is fine */

/* The CRC over what gave `before`, continued over data[from, to); lo <= from <= to <= hi and
 * to - from < 2^33. Reads less than 2 * LX_CRC_BLOCK bytes. */
uint32_t lx_crc_range_get(const lx_crc_range *range, uint32_t before, uint64_t from, uint64_t to);

#endif
