/* SPDX-License-Identifier: MIT */
/* What every target has: see driver.h. */
#include "fuzz/driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t random_state;

/* In place of the C library's: the library draws the seeds of its indexes, and these decide where
 * keys are and when segments are split. */
__attribute__((visibility("default"))) ssize_t getrandom(void *buf, size_t length, unsigned flags)
{
    (void)flags;
    for (size_t at = 0; at < length; at += sizeof random_state) {
        size_t left = length - at;
        uint64_t bits;

        random_state = random_state * UINT64_C(6364136223846793005) + 1;
        bits = random_state ^ random_state >> 32;
        memcpy((char *)buf + at, &bits, left < sizeof bits ? left : sizeof bits);
    }
    return (ssize_t)length;
}

int fuzz_run(uint8_t *data, size_t len)
{
    random_state = len;
    for (size_t i = 0; i < len; i++)
        random_state = (random_state ^ data[i]) * UINT64_C(0x100000001b3);
    return fuzz_one(data, len);
}

void __attribute__((weak)) fuzz_start(void)
{
}

void __attribute__((weak)) fuzz_end(void)
{
}

void fuzz_fail(const char *file, int line, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "%s: FAILED at %s:%d: ", fuzz_name, file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
