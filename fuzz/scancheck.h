/* SPDX-License-Identifier: MIT */
/*
 * The library's scan of some bytes held against the naive reader's, for the targets `scan` and
 * `scan_fixed`: same verdict, same records with the same meaning, same damaged ranges, same tail;
 * the same again without any credit for short cuts, so that the tables for hostile files answer;
 * and work linear in the size.
 *
 * The work is counted twice. lx_scan.work is the library's own count of headers, look-ups and CRCs.
 * Beside it, the programs are linked so that every call of libdeflate_crc32() is counted, with the
 * bytes that it reads, behind the library's back: an engine that forgot to count would be seen.
 */
#ifndef LXDB_FUZZ_SCANCHECK_H
#define LXDB_FUZZ_SCANCHECK_H

#include <stddef.h>
#include <stdint.h>

#define SCAN_MAX 65536u /* longer inputs are not looked at */

/* Files beyond NAIVE_MAX are held to the bound on work alone. */
void scan_check(const uint8_t *data, size_t len);

#endif
