/* SPDX-License-Identifier: MIT */
/*
 * bench/table: the throughput table of lxcore 0.1.0, the Python original, with lxdb beside it.
 *
 * Each row is timed once, over its operations and nothing else, and verified; the check is printed
 * with it. A check that fails makes the exit status 1. The original's figures were published for
 * its author's machine: the ratios say what to expect, not what one machine does. For figures that
 * repeat, with a Python store on the same machine, see bench/readme.
 */
#include "bench/common.h"
#include "bench/rows.h"

#include <errno.h>
#include <getopt.h>
#include <lxdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct result {
    double measured;
    double ratio; /* how many times faster than published */
    char *check;  /* NULL: it failed */
};

static struct result run_row(const struct row *row, struct rows *rows, size_t records)
{
    struct result result;
    double seconds;

    rows_prepare(rows, row);
    seconds = rows_run(rows, row);
    result.check = rows_verify(rows, row);
    if (row->unit == ROW_SECONDS) {
        result.measured = seconds;
        result.ratio = row->published / seconds;
    } else {
        result.measured = (double)records / seconds;
        result.ratio = result.measured / row->published;
    }
    return result;
}

static void print_row(const struct row *row, const struct result *result)
{
    int digits = row->unit == ROW_SECONDS ? 4 : 0;

    printf("%-16s %12.*f %14.*f %-6s %8.1fx  %s\n", row->name, digits, row->published, digits,
           result->measured, row->unit == ROW_SECONDS ? "s" : "ops/s", result->ratio,
           result->check != NULL ? result->check : "CHECK FAILED");
    fflush(stdout);
}

static int run_table(const char *dir, void *arg)
{
    size_t records = *(const size_t *)arg;
    struct result results[ROWS];
    struct rows *rows = rows_open(dir, records);
    size_t failed = 0;

    printf("lxdb %s, %zu records, sync none, beside the published figures of lxcore 0.1.0\n"
           "(10000 records, Python, on its author's machine)\n\n%-16s %12s %14s %-6s %9s  %s\n",
           lxdb_version(), records, "row", "lxcore", "lxdb", "", "faster", "check");
    for (size_t i = 0; i < ROWS; i++) {
        results[i] = run_row(&row_table[i], rows, records);
        print_row(&row_table[i], &results[i]);
        failed += results[i].check == NULL;
    }
    rows_close(rows);
    printf("\n%zu of %zu rows verified\n", ROWS - failed, (size_t)ROWS);
    for (size_t i = 0; i < ROWS; i++)
        free(results[i].check);
    return failed > 0 ? BENCH_WRONG : 0;
}

static void print_help(FILE *to)
{
    fputs("usage: bench/table [--records N] [--dir DIR]\n"
          "  --records N  records of each row [10000]; may end in k or m\n"
          "  --dir DIR    where the database goes, removed at the end [${TMPDIR:-/tmp}]\n",
          to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"records", required_argument, NULL, 'r'},
        {"dir", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    size_t records = 10000;
    const char *parent = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            records = bench_parse_count("--records", optarg, 1000000);
            break;
        case 'd':
            parent = optarg;
            break;
        case 'h':
            print_help(stdout);
            return 0;
        default:
            print_help(stderr);
            return BENCH_USAGE;
        }
    }
    if (optind != argc) {
        print_help(stderr);
        return BENCH_USAGE;
    }
    return bench_run_in_scratch(parent, run_table, &records);
}
