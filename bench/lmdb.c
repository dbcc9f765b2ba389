/* SPDX-License-Identifier: MIT */
/*
 * bench/lmdb: how fast lxdb is beside LMDB, how even its puts are, how quick it opens, and what
 * processes cost each other; each against what is aimed at. The numbers are this machine's, now: a
 * target that is missed is printed as missed and is no failure. Wrong data is one (exit status 1).
 */
#include "bench/common.h"
#include "bench/engine.h"
#include "bench/parts.h"

#include <getopt.h>
#include <lmdb.h>
#include <lxdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct part {
    const char *name;
    void (*run)(const struct settings *settings, struct report *report);
} parts[] = {
    {"get", part_get},   {"put", part_put},         {"load", part_load},
    {"open", part_open}, {"readers", part_readers},
};

#define PARTS (sizeof parts / sizeof parts[0])

/* What the command line asks for. */
struct job {
    struct settings settings;
    int wanted[PARTS];
};

static void print_help(FILE *to)
{
    fputs("usage: bench/lmdb [options]\n"
          "  --part LIST      of get,put,load,open,readers [all]\n"
          "  --rounds N       interleaved rounds, of which the median counts [5]\n"
          "  --small N        records of the README's shape [10000]\n"
          "  --large N        records of 16 byte keys and 100 byte values [1m]\n"
          "  --load N         records of the load, the same shape [10m]\n"
          "  --work-ms N      time that each reader works in a round [600]\n"
          "  --no-compaction  get and put with automatic compaction of lxdb off\n"
          "  --dir DIR        where the databases go, removed at the end [${TMPDIR:-/tmp}]\n"
          "Numbers may end in k (thousand) or m (million).\n",
          to);
}

static void choose_parts(struct job *job, char *list)
{
    memset(job->wanted, 0, sizeof job->wanted);
    for (char *name = strtok(list, ","); name != NULL; name = strtok(NULL, ",")) {
        size_t i = 0;

        while (i < PARTS && strcmp(parts[i].name, name) != 0)
            i++;
        if (i == PARTS)
            bench_fail(BENCH_USAGE, "there is no part \"%s\"", name);
        job->wanted[i] = 1;
    }
}

static int run_parts(const char *dir, void *arg)
{
    struct job *job = arg;
    struct report report = {0};
    double load[1] = {0};

    job->settings.dir = dir;
    getloadavg(load, 1);
    printf("lxdb %s beside %s (WRITEMAP|NOSYNC), sync none; %ld processors, load average %.2f\n",
           lxdb_version(), mdb_version(NULL, NULL, NULL), sysconf(_SC_NPROCESSORS_ONLN), load[0]);
    for (size_t i = 0; i < PARTS; i++) {
        if (job->wanted[i]) {
            parts[i].run(&job->settings, &report);
            fflush(stdout);
        }
    }
    report_print(&report);
    report_free(&report);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"part", required_argument, NULL, 'p'},  {"rounds", required_argument, NULL, 'r'},
        {"small", required_argument, NULL, 's'}, {"large", required_argument, NULL, 'l'},
        {"load", required_argument, NULL, 'L'},  {"work-ms", required_argument, NULL, 'w'},
        {"dir", required_argument, NULL, 'd'},   {"no-compaction", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    struct job job = {
        .settings =
            {.rounds = 5, .small = 10000, .large = 1000000, .load = 10000000, .work_ms = 600},
    };
    const char *parent = NULL;
    int option;

    for (size_t i = 0; i < PARTS; i++)
        job.wanted[i] = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            choose_parts(&job, optarg);
            break;
        case 'r':
            job.settings.rounds = bench_parse_count("--rounds", optarg, REPORT_ROUNDS_MAX);
            break;
        case 's':
            job.settings.small = bench_parse_count("--small", optarg, 1000000);
            break;
        case 'l':
            job.settings.large = bench_parse_count("--large", optarg, 20000000);
            break;
        case 'L':
            job.settings.load = bench_parse_count("--load", optarg, 100000000);
            break;
        case 'w':
            job.settings.work_ms = bench_parse_count("--work-ms", optarg, 60000);
            break;
        case 'd':
            parent = optarg;
            break;
        case 'n':
            job.settings.flags = ENGINE_NO_COMPACTION;
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
    return bench_run_in_scratch(parent, run_parts, &job);
}
