/* SPDX-License-Identifier: MIT */
/*
 * bench/cost: one operation, repeated, for a profiler that counts instructions.
 *
 * bench/cost.py runs it twice, with COUNT and with 0, and takes the difference: what the operations
 * cost, and nothing else. So both runs do the same before, with the same random numbers, which
 * decide what is where in the index; and the program ends without closing the database, since what
 * a close costs depends on what was done.
 */
#include "bench/common.h"
#include "bench/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define RECORDS 10000
/* Operations before those that count: what is done once, at the first use, is done then. */
#define WARM OP_BATCH

/* In place of the C library's, also for the shared library: the same numbers in every run. */
__attribute__((visibility("default"))) ssize_t getrandom(void *buf, size_t length, unsigned flags)
{
    static uint64_t calls;
    uint64_t bits;

    (void)flags;
    for (size_t at = 0; at < length; at += sizeof bits) {
        bits = bench_mix(++calls);
        memcpy((char *)buf + at, &bits, length - at < sizeof bits ? length - at : sizeof bits);
    }
    return (ssize_t)length;
}

int main(int argc, char **argv)
{
    struct op_store store;
    const struct op *op;
    char *end;
    unsigned long count;

    if (argc == 1) {
        for (size_t i = 0; i < ops_n; i++)
            puts(ops[i].name);
        return 0;
    }
    op = op_find(argv[1]);
    errno = 0;
    count = argc == 4 ? strtoul(argv[2], &end, 10) : 0;
    if (argc != 4 || op == NULL || errno != 0 || *end != '\0' || count > RECORDS - WARM) {
        fprintf(stderr,
                "usage: bench/cost OPERATION COUNT DIRECTORY, with COUNT up to %d\n"
                "       bench/cost, which prints the names of the operations\n",
                RECORDS - WARM);
        return BENCH_USAGE;
    }
    op_store_open(&store, argv[3], RECORDS);
    op_begin(op, &store);
    op->run(&store, WARM);
    op->run(&store, count);
    _exit(0);
}
