/* SPDX-License-Identifier: MIT */
/*
 * scan, with CRCs put right first (fix.h). The input:
 *
 *     0   1  watermark: 0 as it stands in the file; n: W is set to the end of the n-th record that
 *            the harness finds
 *     1   1  shift that this W is rounded with, modulo 8; 0: exact
 *     2   14 the mask
 *     16     the file
 */
#include "format/header.h"
#include "fuzz/driver.h"
#include "fuzz/fix.h"
#include "fuzz/naive.h"
#include "fuzz/scancheck.h"

#define MASK_AT 2u
#define FILE_AT 16u

const char fuzz_name[] = "scan_fixed";

void fuzz_start(void)
{
    naive_start();
}

int fuzz_one(uint8_t *data, size_t len)
{
    uint8_t *file = data + FILE_AT;
    size_t boundary;

    if (len < FILE_AT + LX_HEADER_SIZE || len > SCAN_MAX)
        return 1;
    boundary = fix_crcs(file, len - FILE_AT, data + MASK_AT, FILE_AT - MASK_AT, data[0]);
    if (boundary != 0)
        fix_watermark(file, boundary, data[1] % 8);
    scan_check(file, len - FILE_AT);
    return 0;
}
