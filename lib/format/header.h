/* SPDX-License-Identifier: MIT */
/*
 * The first ten bytes of a data file, and the watermark in them.
 *
 *     0   4  magic "LXDB"
 *     4   2  version, big-endian, 1
 *     6   4  watermark, big-endian: shift << 27 | mantissa; 0 in a closed file
 *
 * A watermark stands for mantissa << shift. Offsets below 2^27 are exact (shift 0); larger ones are
 * rounded down, and the boundary meant is the first record end at or beyond the value, less than
 * 1 << shift away from it.
 */
#ifndef LX_FORMAT_HEADER_H
#define LX_FORMAT_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#define LX_HEADER_SIZE 10u
#define LX_WATERMARK_OFFSET 6u
#define LX_FORMAT_VERSION 1u
#define LX_WATERMARK_SHIFT_AT 27u /* the bit where the shift begins */

void lx_header_encode(uint8_t ret_header[LX_HEADER_SIZE], uint32_t watermark);

/* LXDB_OK, LXDB_NOTDB or LXDB_VERSION (without a sentence) for the `size` bytes at `data`, of which
 * the first min(size, 10) are looked at, and all of them only if those are zeros: a file of zeros
 * only (or of length zero) is an empty database, *ret_blank. */
int lx_header_decode(const uint8_t *data, uint64_t size, bool *ret_blank, uint32_t *ret_watermark);

uint32_t
lx_watermark_encode(uint64_t boundary); /* rounds down; never 0 for a boundary of 10 or more */
uint64_t lx_watermark_value(uint32_t watermark);
bool lx_watermark_exact(uint32_t watermark); /* shift 0 */

#endif
