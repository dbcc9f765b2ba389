/* SPDX-License-Identifier: MIT */
/*
 * CRCs put right in the harness, so that a record stays one whatever the fuzzer changes in it. The
 * library checks every CRC as always.
 */
#ifndef LXDB_FUZZ_FIX_H
#define LXDB_FUZZ_FIX_H

#include <stddef.h>
#include <stdint.h>

/*
 * Goes through the records of a file, found by their lengths, and does with each what two bits of
 * the mask say, the highest first (none left: 0):
 *
 *     0   put right: the CRC is made with the status that stands there; a born-dead record with the
 *         key of control records gets its own offset as well
 *     1   left as it is, and the next record is looked for in its key and value
 *     2   put right as a live record, then killed
 *     3   as 0, and a GROUP gets the bytes that its count of records has; others lose a bit
 *
 * Returns the end of the `nth` record, counted from 1; 0 if there are not so many.
 */
size_t fix_crcs(uint8_t *file, size_t size, const uint8_t *mask, size_t mask_len, unsigned nth);
/* The watermark for `boundary`, rounded by `shift`. */
void fix_watermark(uint8_t *file, size_t boundary, unsigned shift);

#endif
