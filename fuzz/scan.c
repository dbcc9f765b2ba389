/* SPDX-License-Identifier: MIT */
/* The input is a data file. CRCs are those that stand in it. */
#include "fuzz/driver.h"
#include "fuzz/naive.h"
#include "fuzz/scancheck.h"

const char fuzz_name[] = "scan";

void fuzz_start(void)
{
    naive_start();
}

int fuzz_one(uint8_t *data, size_t len)
{
    if (len > SCAN_MAX)
        return 1;
    scan_check(data, len);
    return 0;
}
