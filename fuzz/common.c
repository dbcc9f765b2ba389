/* SPDX-License-Identifier: MIT */
/* What every target has: see driver.h. */
#include "fuzz/driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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
