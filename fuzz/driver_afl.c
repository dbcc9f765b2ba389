/* SPDX-License-Identifier: MIT */
/*
 * A target under AFL++: persistent mode, inputs in shared memory, the fork server started after
 * fuzz_start(). Compiled by afl-clang-fast only, which defines the __AFL_ macros.
 *
 * The input is copied to a block of its own length, so that a sanitizer sees a read past its end.
 */
#include "fuzz/driver.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef __AFL_COMPILER
#error compile this with afl-clang-fast: see fuzz/local.mk
#endif

#define RUNS 20000u /* of one process, then a fresh one */

#pragma clang diagnostic ignored "-Wmissing-prototypes" /* what the macros below declare */
__AFL_FUZZ_INIT();

void fuzz_reached(const char *what)
{
    (void)what;
}

int main(void)
{
    const uint8_t *input;

    fuzz_start();
    __AFL_INIT();
    /* It waits stopped for the next input: it must not do so for ever when the fuzzer has ended. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    input = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(RUNS)) {
        size_t len = (size_t)__AFL_FUZZ_TESTCASE_LEN;
        uint8_t *data = malloc(len ? len : 1);

        if (data == NULL)
            abort();
        memcpy(data, input, len);
        (void)fuzz_one(data, len);
        free(data);
    }
    return 0; /* without fuzz_end(): the next process goes on with what fuzz_start() has made */
}
