/* SPDX-License-Identifier: MIT */
/* How long single calls of lxdb take: every put of a long load, and opening. */
#include "bench/common.h"
#include "bench/engine.h"
#include "bench/histogram.h"
#include "bench/parts.h"
#include "bench/workload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 1000
/* Records that are made at a time, outside of the timing. */
#define CHUNK ((size_t)1 << 16)
#define OPENINGS 11

static const struct engine *const engine = &engine_lxdb;

static double to_us(uint64_t ns)
{
    return (double)ns / 1e3;
}

/* ---- A put, while the database grows --------------------------------------------------------- */

struct load {
    struct histogram puts;
    uint64_t slowest; /* the put that took longest */
    uint64_t ns;      /* of all chunks */
    long preempted;   /* how often another process took the processor meanwhile */
};

static long count_preemptions(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

/* Put the records of a chunk, with one reading of the clock between neighbours. */
static void load_chunk(struct load *load, void *db, const struct visit *visit)
{
    long preempted = count_preemptions();
    uint64_t start = bench_now();
    uint64_t before = start;

    for (size_t i = 0; i < visit->n; i++) {
        uint64_t now;

        engine->put(db, &visit->pairs[i]);
        now = bench_now();
        if (now - before > load->puts.max)
            load->slowest = load->puts.total;
        histogram_add(&load->puts, now - before);
        before = now;
    }
    load->ns += before - start;
    load->preempted += count_preemptions() - preempted;
}

/* A sample of what was loaded is there, and nothing else. */
static void check_load(void *db, struct visit *visit, size_t records)
{
    uint64_t count = engine->count(db);
    size_t wrong;

    visit->n = CHUNK;
    visit_fill_sample(visit, &shape_fixed, 0, records, 7);
    wrong = visit_count_wrong(visit, engine, db);
    if (wrong > 0 || count != records)
        bench_fail(BENCH_WRONG, "%zu of %zu values wrong and %llu of %zu keys after the load",
                   wrong, visit->n, (unsigned long long)count, records);
}

static void print_load(const struct load *load, size_t records)
{
    static const double shares[] = {0.5, 0.99, 0.999, 0.9999};

    printf("\nA put while loading %zu records %s, no compaction: %.0f a second\n", records,
           shape_fixed.name, (double)records * 1e9 / (double)load->ns);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        printf("  p%-10g %12.2f us\n", shares[i] * 100,
               to_us(histogram_quantile(&load->puts, shares[i])));
    printf("  %-11s %12.2f us, put number %llu\n", "max", to_us(load->puts.max),
           (unsigned long long)load->slowest);
    printf("  over 100 us: %llu, over 1 ms: %llu, over 2 ms: %llu; preempted %ld times\n",
           (unsigned long long)histogram_above(&load->puts, 100000),
           (unsigned long long)histogram_above(&load->puts, 1000000),
           (unsigned long long)histogram_above(&load->puts, 2000000), load->preempted);
}

void part_load(const struct settings *settings, struct report *report)
{
    char *path = bench_text("%s/load.db", settings->dir);
    struct load *load = bench_alloc(1, sizeof *load);
    struct sample tail = {0};
    struct visit visit;
    void *db = engine->open(path, ENGINE_NO_COMPACTION);

    visit_init(&visit, CHUNK);
    for (size_t done = 0; done < settings->load; done += visit.n) {
        visit.n = settings->load - done < CHUNK ? settings->load - done : CHUNK;
        visit_fill_range(&visit, &shape_fixed, 0, (uint32_t)done);
        load_chunk(load, db, &visit);
    }
    check_load(db, &visit, settings->load);
    engine->close(db);
    bench_empty(settings->dir);

    print_load(load, settings->load);
    sample_add(&tail, (double)histogram_quantile(&load->puts, 0.9999) / 1e6);
    report_add(report, "p99.99 of a put while loading", &tail, "ms", REPORT_BELOW, 2);
    visit_free(&visit);
    free(load);
    free(path);
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* A process that has the database open until `release` is closed. */
struct holder {
    pid_t pid;
    int release;
};

static struct holder hold_open(const char *path)
{
    struct holder holder;
    int ready[2], release[2];
    char byte = 0;

    if (pipe(ready) != 0 || pipe(release) != 0)
        bench_fail(BENCH_BROKEN, "cannot make a pipe: %s", strerror(errno));
    fflush(stdout);
    holder.pid = fork();
    if (holder.pid < 0)
        bench_fail(BENCH_BROKEN, "cannot fork: %s", strerror(errno));
    if (holder.pid == 0) {
        void *db;

        bench_follow_parent();
        close(ready[0]);
        close(release[1]);
        db = engine->open(path, ENGINE_KEEP_INDEX);
        if (write(ready[1], &byte, 1) != 1 || read(release[0], &byte, 1) != 0)
            _exit(BENCH_BROKEN);
        engine->close(db);
        _exit(0);
    }
    close(ready[1]);
    close(release[0]);
    if (read(ready[0], &byte, 1) != 1)
        bench_fail(BENCH_BROKEN, "the process that should keep the database open died");
    close(ready[0]);
    holder.release = release[1];
    return holder;
}

static void let_go(struct holder holder)
{
    int status;

    close(holder.release);
    if (waitpid(holder.pid, &status, 0) != holder.pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        bench_fail(BENCH_BROKEN, "the process that kept the database open failed");
}

/* Open, read one value, close; again and again. The reads are timed apart: the first of a process
 * finds nothing mapped. */
static void time_openings(const char *path, size_t records, struct sample *opens,
                          struct sample *reads)
{
    struct visit visit;

    visit_init(&visit, 1);
    for (size_t i = 0; i < OPENINGS; i++) {
        uint64_t start, opened, read;
        size_t wrong;
        void *db;

        visit_fill_sample(&visit, &shape_fixed, 0, records, i);
        start = bench_now();
        db = engine->open(path, ENGINE_KEEP_INDEX);
        opened = bench_now();
        wrong = visit_count_wrong(&visit, engine, db);
        read = bench_now();
        if (wrong > 0 || engine->count(db) != records)
            bench_fail(BENCH_WRONG, "wrong data after opening a database of %zu records", records);
        engine->close(db);
        sample_add(opens, (double)(opened - start) / 1e6);
        sample_add(reads, (double)(read - opened) / 1e6);
    }
    visit_free(&visit);
}

static void print_openings(const char *when, const struct sample *opens, const struct sample *reads)
{
    printf("  %-28s %9.3f ms (%.3f..%.3f), first read %.3f ms (%.3f..%.3f)\n", when,
           sample_median(opens), sample_min(opens), sample_max(opens), sample_median(reads),
           sample_min(reads), sample_max(reads));
}

void part_open(const struct settings *settings, struct report *report)
{
    char *path = bench_text("%s/open.db", settings->dir);
    char *index = bench_text("%s-index", path);
    struct sample shared = {0}, shared_reads = {0}, kept = {0}, kept_reads = {0};
    struct holder holder;
    struct visit visit;
    void *db = engine->open(path, ENGINE_KEEP_INDEX);

    visit_init(&visit, settings->large);
    visit_fill(&visit, &shape_fixed, 0, 1);
    visit_store(&visit, engine, db, BATCH);
    visit_free(&visit);
    engine->close(db);
    if (access(index, F_OK) != 0)
        bench_fail(BENCH_BROKEN, "the close kept no index, so that there is nothing to measure");

    time_openings(path, settings->large, &kept, &kept_reads);
    holder = hold_open(path);
    time_openings(path, settings->large, &shared, &shared_reads);
    let_go(holder);

    printf("\nOpening a database of %zu records, medians of %d\n", settings->large, OPENINGS);
    print_openings("beside another process", &shared, &shared_reads);
    print_openings("alone, with a kept index", &kept, &kept_reads);
    report_add(report, "open beside another process", &shared, "ms", REPORT_BELOW, 5);
    report_add(report, "open with a kept index", &kept, "ms", REPORT_BELOW, 5);
    bench_empty(settings->dir);
    free(index);
    free(path);
}
