/* SPDX-License-Identifier: MIT */
/*
 * Many records: what a call costs when the caches hold little of it; then what lies on the disk and
 * in memory, and how long it takes to open and to compact.
 *
 * A row goes through the records in random order until all are visited or its time is over. A
 * process of its own opens the database afterwards, as a program that starts does (the page cache
 * is warm, the process is not).
 */
#include "bench/common.h"
#include "bench/peers/bench.h"
#include "bench/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH 1000
/* Keys that are looked up at once. */
#define TOGETHER ((size_t)16)
/* Records between two looks at the clock. */
#define STRIDE ((size_t)256)
/* What lxdb's format puts around key and value: status, lengths, CRC. */
#define RECORD_BYTES ((size_t)11)

/* How long values are compared at a time. */
#define LOOK_NS 500000000u

/* Versions of values that are stored at some time. */
enum { LOADED, UPDATED, VERSIONS };

struct plan {
    struct visit loaded; /* in the order of loading */
    struct visit stored; /* the same in another order */
    struct visit updates;
    struct visit missing;
    struct tour *left; /* what the first process left stored; shared with the second */
};

struct large {
    const struct job *job;
    const struct engine *engine;
    const struct plan *plan;
    struct store store;
    size_t visited; /* by the row that ran last */
    bool *updated;  /* by place in plan->updates */
};

static void fail_if_wrong(const struct job *job, const char *after, size_t wrong)
{
    if (wrong > 0)
        bench_fail(BENCH_WRONG, "%s: wrong data after %s: %zu values", job->engine->name, after,
                   wrong);
}

/* Exactly what is expected is stored: a tour sees all of it, and as many values are compared byte
 * by byte as can be in half a second. */
static void check_all(const struct job *job, void *db, const char *after,
                      const struct tour *expected)
{
    const struct plan *plan = job->plan;
    struct tour seen = {0};

    job->engine->tour(db, &seen);
    fail_if_wrong(job, after, memcmp(&seen, expected, sizeof seen) != 0);
    fail_if_wrong(
        job, after,
        visit_count_strange(&plan->stored, &shape_fixed, VERSIONS, LOOK_NS, job->engine, db));
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* Works on `n` records from `from` on, and returns how many answers were wrong. */
typedef size_t stride_function(const struct large *large, size_t from, size_t n);

static size_t get_one(const struct large *large, const struct pair *pair)
{
    char buf[WORKLOAD_VALUE_MAX];
    size_t len = 0;

    if (large->engine->get(large->store.db, pair, buf, sizeof buf, &len) != ENGINE_OK)
        return 1;
    return len != pair->value_len;
}

static size_t get_hits(const struct large *large, size_t from, size_t n)
{
    size_t wrong = 0;

    for (size_t i = from; i < from + n; i++)
        wrong += get_one(large, &large->plan->stored.pairs[i]);
    return wrong;
}

static size_t get_misses(const struct large *large, size_t from, size_t n)
{
    char buf[WORKLOAD_VALUE_MAX];
    size_t found = 0;
    size_t len;

    for (size_t i = from; i < from + n; i++)
        found += large->engine->get(large->store.db, &large->plan->missing.pairs[i], buf,
                                    sizeof buf, &len) == ENGINE_OK;
    return found;
}

static size_t get_together(const struct large *large, size_t from, size_t n)
{
    size_t wrong = 0;

    for (size_t i = from; i < from + n; i += TOGETHER)
        wrong += large->engine->get_many(large->store.db, &large->plan->stored.pairs[i],
                                         from + n - i < TOGETHER ? from + n - i : TOGETHER);
    return wrong;
}

/* Of `of` operations one is a put. */
static size_t mix(const struct large *large, size_t from, size_t n, size_t of)
{
    size_t wrong = 0;

    for (size_t i = from; i < from + n; i++)
        if (i % of == 0)
            wrong += large->engine->put(large->store.db, &large->plan->updates.pairs[i]) !=
                     ENGINE_OK;
        else
            wrong += get_one(large, &large->plan->stored.pairs[i]);
    return wrong;
}

static size_t update(const struct large *large, size_t from, size_t n)
{
    return mix(large, from, n, 1);
}

static size_t mix_95(const struct large *large, size_t from, size_t n)
{
    return mix(large, from, n, 20);
}

static size_t mix_50(const struct large *large, size_t from, size_t n)
{
    return mix(large, from, n, 2);
}

/* Run a row for its time, or once through all records. */
static void run_row(struct large *large, const char *row, stride_function *stride)
{
    uint64_t limit = large->job->bench->settings.work_ms * 1000000u;
    size_t n = large->plan->stored.n;
    uint64_t start = bench_now();
    uint64_t now = start;
    size_t wrong = 0;
    size_t done = 0;

    while (done < n && now - start < limit) {
        size_t next = n - done < STRIDE ? n - done : STRIDE;

        wrong += stride(large, done, next);
        done += next;
        now = bench_now();
    }
    fail_if_wrong(large->job, row, wrong);
    job_result(large->job, "large", row, "ns", (double)(now - start) / (double)done);
    large->visited = done;
}

static void load(struct large *large)
{
    const struct visit *visit = &large->plan->loaded;
    struct tour expected;
    uint64_t start = bench_now();

    visit_store(visit, large->engine, large->store.db, BATCH);
    job_result(large->job, "large", "load", "ns", (double)(bench_now() - start) / (double)visit->n);
    visit_tour(visit, &expected);
    check_all(large->job, large->store.db, "load", &expected);
}

/* Run a row of which every so many operations are puts, and note which. */
static void run_puts(struct large *large, const char *row, stride_function *stride, size_t of)
{
    run_row(large, row, stride);
    for (size_t i = 0; i < large->visited; i += of)
        large->updated[i] = true;
}

/* What is stored after the updates. */
static void expect_left(const struct large *large, struct tour *ret_left)
{
    const struct plan *plan = large->plan;
    size_t n = plan->updates.n;
    bool *is_new = bench_alloc(n, sizeof *is_new); /* by id */

    *ret_left = (struct tour){0};
    for (size_t i = 0; i < n; i++) {
        const struct pair *pair = &plan->updates.pairs[i];

        if (large->updated[i]) {
            is_new[plan->updates.ids[i]] = true;
            tour_add(ret_left, pair->key, pair->key_len, pair->value, pair->value_len);
        }
    }
    for (size_t i = 0; i < n; i++) {
        const struct pair *pair = &plan->loaded.pairs[i];

        if (!is_new[plan->loaded.ids[i]])
            tour_add(ret_left, pair->key, pair->key_len, pair->value, pair->value_len);
    }
    free(is_new);
}

static void iterate(struct large *large)
{
    struct tour seen = {0};
    uint64_t start = bench_now();
    uint64_t ns;

    large->engine->tour(large->store.db, &seen);
    ns = bench_now() - start;
    fail_if_wrong(large->job, "iterate", seen.records != large->plan->stored.n);
    job_result(large->job, "large", "iterate", "ns", (double)ns / (double)seen.records);
}

/* ---- Disk and memory ------------------------------------------------------------------------- */

static uint64_t bytes_found; /* nftw() passes nothing on */

static int add_bytes(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)path;
    (void)where;
    if (type == FTW_F)
        bytes_found += (uint64_t)status->st_blocks * 512;
    return 0;
}

/* What the files in a folder take of the disk: holes take nothing. */
static uint64_t bytes_on_disk(const char *folder)
{
    bytes_found = 0;
    if (nftw(folder, add_bytes, 16, FTW_PHYS) != 0)
        bench_fail(BENCH_BROKEN, "cannot look through %s: %s", folder, strerror(errno));
    return bytes_found;
}

/* The proportional set size of a process, in bytes. */
static double memory_of(pid_t pid)
{
    char *path = bench_text("/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "r");
    unsigned long kib = 0;
    char line[256];

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Pss: %lu", &kib) == 1)
            break;
    if (file == NULL)
        bench_fail(BENCH_BROKEN, "cannot read %s: %s", path, strerror(errno));
    fclose(file);
    free(path);
    return (double)kib * 1024;
}

/* ---- The floors ------------------------------------------------------------------------------ */

/* A fresh file of the size of lxdb's live records, mapped. */
static char *map_file(const char *path, size_t size, int *ret_fd)
{
    char *map;

    *ret_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*ret_fd < 0 || posix_fallocate(*ret_fd, 0, (off_t)size) != 0)
        bench_fail(BENCH_BROKEN, "cannot make %s: %s", path, strerror(errno));
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
    if (map == MAP_FAILED)
        bench_fail(BENCH_BROKEN, "cannot map %s: %s", path, strerror(errno));
    return map;
}

static void measure_floors(const struct job *job, const struct plan *plan)
{
    size_t n = plan->loaded.n;
    size_t record = RECORD_BYTES + plan->loaded.pairs[0].key_len + plan->loaded.pairs[0].value_len;
    size_t size = n * record;
    char *from_path = bench_text("%s/from", job->folder);
    char *to_path = bench_text("%s/to", job->folder);
    int from_fd, to_fd;
    char *from = map_file(from_path, size, &from_fd);
    char *to = map_file(to_path, size, &to_fd);
    uint64_t start, copied;
    volatile uint32_t crc;

    for (size_t i = 0; i < n; i++)
        memcpy(from + i * record, plan->loaded.pairs[i].value, plan->loaded.pairs[i].value_len);
    start = bench_now();
    memcpy(to, from, size);
    copied = bench_now();
    job_result(job, "large", "compact", "ms", (double)(copied - start) / 1e6);
    if (fdatasync(to_fd) != 0)
        bench_fail(BENCH_BROKEN, "fdatasync: %s", strerror(errno));
    job_result(job, "large", "copy and sync", "ms", (double)(bench_now() - start) / 1e6);
    fail_if_wrong(job, "copying", memcmp(from, to, size) != 0);

    munmap(to, size);
    to = mmap(NULL, size, PROT_READ, MAP_SHARED, to_fd, 0);
    if (to == MAP_FAILED)
        bench_fail(BENCH_BROKEN, "cannot map %s: %s", to_path, strerror(errno));
    start = bench_now();
    crc = libdeflate_crc32(0, to, size);
    job_result(job, "large", "rebuild", "ns", (double)(bench_now() - start) / (double)n);
    fail_if_wrong(job, "copying", crc != libdeflate_crc32(0, from, size));

    munmap(from, size);
    munmap(to, size);
    close(from_fd);
    close(to_fd);
    free(from_path);
    free(to_path);
}

/* ---- The two processes ----------------------------------------------------------------------- */

static void compact(const struct large *large)
{
    uint64_t start = bench_now();

    large->engine->compact(large->store.db);
    job_result(large->job, "large", "compact", "ms", (double)(bench_now() - start) / 1e6);
    check_all(large->job, large->store.db, "a compaction", large->plan->left);
}

static void measure(const struct job *job)
{
    struct large large = {.job = job, .engine = job->engine, .plan = job->plan};
    struct engine_config config = {.flags = ENGINE_KEEP_INDEX, .records = large.plan->stored.n};

    large.updated = bench_alloc(large.plan->updates.n, sizeof *large.updated);
    store_open(&large.store, large.engine, job->path, &config);
    load(&large);
    run_row(&large, "get", get_hits);
    run_row(&large, "get miss", get_misses);
    if (large.engine->get_many != NULL)
        run_row(&large, "get 16 at once", get_together);
    if (large.engine->traits & ENGINE_FLOOR) {
        run_row(&large, "update", update);
        iterate(&large);
    } else {
        run_puts(&large, "update", update, 1);
        run_puts(&large, "95/5", mix_95, 20);
        run_puts(&large, "50/50", mix_50, 2);
        expect_left(&large, large.plan->left);
        check_all(job, large.store.db, "updates", large.plan->left);
        iterate(&large);
        if (large.engine->compact != NULL)
            compact(&large);
    }
    store_close(&large.store);
    if (large.engine->traits & ENGINE_FLOOR)
        measure_floors(job, large.plan);
    else
        job_result(job, "large", "disk", "MB", (double)bytes_on_disk(job->folder) / 1e6);
    free(large.updated);
}

/* Remove what lxdb keeps beside the file, and open it. */
static void rebuild(const struct job *job, const struct engine_config *config)
{
    static const char *const helpers[] = {"lock", "index"};
    size_t n = config->records;
    uint64_t start, ns;
    struct store store;

    for (size_t i = 0; i < 2; i++) {
        char *path = bench_text("%s-%s", job->path, helpers[i]);

        if (unlink(path) != 0 && errno != ENOENT)
            bench_fail(BENCH_BROKEN, "cannot remove %s: %s", path, strerror(errno));
        free(path);
    }
    start = bench_now();
    store_open(&store, job->engine, job->path, config);
    ns = bench_now() - start;
    job_result(job, "large", "rebuild", "ns", (double)ns / (double)n);
    fail_if_wrong(job, "a rebuild", store_count(&store) != n);
    store_close(&store);
}

static void measure_cold(const struct job *job)
{
    const struct plan *plan = job->plan;
    struct engine_config config = {.flags = ENGINE_KEEP_INDEX, .records = plan->stored.n};
    struct visit one = plan->stored;
    double before = memory_of(getpid());
    uint64_t start, opened;
    struct store store;

    if (job->engine->traits & (ENGINE_FLOOR | ENGINE_VOLATILE))
        return;
    one.n = 1;
    start = bench_now();
    store_open(&store, job->engine, job->path, &config);
    opened = bench_now();
    fail_if_wrong(job, "opening",
                  visit_count_strange(&one, &shape_fixed, VERSIONS, 0, job->engine, store.db));
    job_result(job, "large", "reopen", "ms", (double)(opened - start) / 1e6);
    job_result(job, "large", "and first get", "ms", (double)(bench_now() - start) / 1e6);
    check_all(job, store.db, "opening", plan->left);
    job_result(job, "large", "memory", "MB",
               (job->engine->memory_of != NULL ? memory_of(job->engine->memory_of(store.server))
                                               : memory_of(getpid()) - before) /
                   1e6);
    store_close(&store);
    if (job->engine->traits & ENGINE_OURS)
        rebuild(job, &config);
}

static struct tour *new_shared_tour(void)
{
    struct tour *tour = mmap(NULL, sizeof *tour, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                             -1, 0);

    if (tour == MAP_FAILED)
        bench_fail(BENCH_BROKEN, "no shared memory: %s", strerror(errno));
    return tour;
}

static bool is_large(const struct engine *engine)
{
    return strcmp(engine->name, "lxdb-json") != 0;
}

void workload_large(struct bench *bench)
{
    size_t n = bench->settings.large;

    for (size_t round = 0; round < bench->settings.rounds; round++) {
        uint64_t seed = 10000 + 100 * round;
        struct plan plan = {.left = new_shared_tour()};

        visit_init(&plan.loaded, n);
        visit_init(&plan.stored, n);
        visit_init(&plan.updates, n);
        visit_init(&plan.missing, n);
        visit_fill(&plan.loaded, &shape_fixed, LOADED, seed);
        visit_fill(&plan.stored, &shape_fixed, LOADED, seed + 1);
        visit_fill(&plan.updates, &shape_fixed, UPDATED, seed + 2);
        visit_fill_missing(&plan.missing, &shape_fixed, seed + 3);
        bench_round(bench, round, is_large, (job_function *const[]){measure, measure_cold, NULL},
                    &plan);
        visit_free(&plan.loaded);
        visit_free(&plan.stored);
        visit_free(&plan.updates);
        visit_free(&plan.missing);
        munmap(plan.left, sizeof *plan.left);
    }
    printf("\nlarge: %zu records %s, one process, no syncs; ns per record, medians of %zu rounds\n",
           n, shape_fixed.name, bench->settings.rounds);
    results_print(bench->results, "large");
}
