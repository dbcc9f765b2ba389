/* SPDX-License-Identifier: MIT */
/*
 * Few records of the README's shape: what a call costs when everything lies in the caches.
 *
 * A row's operations last a millisecond or so; each is repeated until its sections have lasted long
 * enough together. What fills or empties the store is repeated by going through the whole cycle
 * again. After every section that changes anything all records are read and compared, unmeasured.
 */
#include "bench/common.h"
#include "bench/peers/bench.h"
#include "bench/workload.h"

#include <stdlib.h>

#define BATCH 1000

enum { CREATE, GET, MISS, SAME, OTHER, DELETE, BATCH_PUT, ITERATE, BATCH_DELETE, ROWS };

static const char *const rows[ROWS] = {
    [CREATE] = "create",
    [GET] = "get",
    [MISS] = "get miss",
    [SAME] = "update same size",
    [OTHER] = "update other size",
    [DELETE] = "delete",
    [BATCH_PUT] = "batch put",
    [ITERATE] = "iterate",
    [BATCH_DELETE] = "batch delete",
};

/* All records in several orders and versions. */
struct plan {
    struct visit fresh;    /* version 0 */
    struct visit again;    /* version 0, in another order */
    struct visit same[2];  /* versions 1 and 2 */
    struct visit other[2]; /* versions 10 and 3 */
    struct visit missing;
};

struct small {
    const struct engine *engine;
    const struct plan *plan;
    struct store store;
    uint64_t ns[ROWS];
    uint64_t operations[ROWS];
    uint64_t limit;
};

/* ---- The timed loops: each returns how many answers were wrong ------------------------------- */

typedef size_t timed_loop(const struct engine *engine, void *db, const struct visit *visit);

static size_t get_all(const struct engine *engine, void *db, const struct visit *visit)
{
    char buf[WORKLOAD_VALUE_MAX];
    size_t wrong = 0;

    for (size_t i = 0; i < visit->n; i++) {
        const struct pair *pair = &visit->pairs[i];
        size_t len = 0;

        wrong += engine->get(db, pair, buf, sizeof buf, &len) != ENGINE_OK;
        wrong += len != pair->value_len;
    }
    return wrong;
}

static size_t miss_all(const struct engine *engine, void *db, const struct visit *visit)
{
    return visit_count_found(visit, engine, db);
}

static size_t create_all(const struct engine *engine, void *db, const struct visit *visit)
{
    int (*create)(void *, const struct pair *) = engine->create != NULL ? engine->create
                                                                        : engine->put;
    size_t wrong = 0;

    for (size_t i = 0; i < visit->n; i++)
        wrong += create(db, &visit->pairs[i]) != ENGINE_OK;
    return wrong;
}

static size_t put_all(const struct engine *engine, void *db, const struct visit *visit)
{
    size_t wrong = 0;

    for (size_t i = 0; i < visit->n; i++)
        wrong += engine->put(db, &visit->pairs[i]) != ENGINE_OK;
    return wrong;
}

static size_t delete_all(const struct engine *engine, void *db, const struct visit *visit)
{
    size_t wrong = 0;

    for (size_t i = 0; i < visit->n; i++)
        wrong += engine->del(db, &visit->pairs[i]) != ENGINE_OK;
    return wrong;
}

static size_t batch_all(const struct engine *engine, void *db, const struct visit *visit)
{
    visit_store(visit, engine, db, BATCH);
    return 0;
}

static size_t batch_delete_all(const struct engine *engine, void *db, const struct visit *visit)
{
    for (size_t i = 0; i < visit->n; i += BATCH)
        engine->batch_del(db, visit->pairs + i, visit->n - i < BATCH ? visit->n - i : BATCH);
    return 0;
}

static size_t iterate_all(const struct engine *engine, void *db, const struct visit *visit)
{
    struct tour tour = {0};

    engine->tour(db, &tour);
    return tour.records != visit->n;
}

/* ---- Sections -------------------------------------------------------------------------------- */

static void fail_if_wrong(const struct small *small, const char *after, size_t wrong)
{
    if (wrong > 0)
        bench_fail(BENCH_WRONG, "%s: wrong data after %s: %zu of %zu", small->engine->name, after,
                   wrong, small->plan->fresh.n);
}

static void section(struct small *small, int row, timed_loop *loop, const struct visit *visit)
{
    uint64_t start = bench_now();
    size_t wrong = loop(small->engine, small->store.db, visit);

    small->ns[row] += bench_now() - start;
    small->operations[row] += visit->n;
    fail_if_wrong(small, rows[row], wrong);
}

static bool lasted(const struct small *small, int row)
{
    return small->ns[row] >= small->limit;
}

/* Exactly the records of the visit are stored. */
static void check_stored(const struct small *small, int after, const struct visit *visit)
{
    fail_if_wrong(small, rows[after], visit_count_wrong(visit, small->engine, small->store.db));
    fail_if_wrong(small, rows[after], store_count(&small->store) != visit->n);
}

static void check_empty(const struct small *small, int after)
{
    fail_if_wrong(small, rows[after],
                  visit_count_found(&small->plan->again, small->engine, small->store.db));
    fail_if_wrong(small, rows[after], store_count(&small->store) != 0);
}

/* Updates to one version and back, or to another, until that has lasted. */
static void update(struct small *small, int row, const struct visit visits[2])
{
    while (!lasted(small, row)) {
        section(small, row, put_all, &visits[0]);
        check_stored(small, row, &visits[0]);
        section(small, row, put_all, &visits[1]);
        check_stored(small, row, &visits[1]);
    }
}

static void iterate(struct small *small, const struct visit *stored)
{
    struct tour expected, seen = {0};

    while (!lasted(small, ITERATE))
        section(small, ITERATE, iterate_all, stored);
    visit_tour(stored, &expected);
    small->engine->tour(small->store.db, &seen);
    fail_if_wrong(small, rows[ITERATE], memcmp(&expected, &seen, sizeof seen) != 0);
}

static void cycle(struct small *small)
{
    const struct plan *plan = small->plan;

    section(small, CREATE, create_all, &plan->fresh);
    check_stored(small, CREATE, &plan->fresh);
    while (!lasted(small, GET))
        section(small, GET, get_all, &plan->again);
    while (!lasted(small, MISS))
        section(small, MISS, miss_all, &plan->missing);
    update(small, SAME, plan->same);
    update(small, OTHER, plan->other);
    section(small, DELETE, delete_all, &plan->again);
    check_empty(small, DELETE);
    section(small, BATCH_PUT, batch_all, &plan->same[0]);
    check_stored(small, BATCH_PUT, &plan->same[0]);
    iterate(small, &plan->same[0]);
    section(small, BATCH_DELETE, batch_delete_all, &plan->same[1]);
    check_empty(small, BATCH_DELETE);
}

/* The floors: of gets a table, of puts a log. There is nothing to delete. */
static void cycle_floor(struct small *small)
{
    const struct plan *plan = small->plan;

    batch_all(small->engine, small->store.db, &plan->fresh);
    check_stored(small, BATCH_PUT, &plan->fresh);
    while (!lasted(small, GET))
        section(small, GET, get_all, &plan->again);
    while (!lasted(small, MISS))
        section(small, MISS, miss_all, &plan->missing);
    iterate(small, &plan->fresh);
    for (size_t i = 0; i < 3; i++)
        while (!lasted(small, (int[]){CREATE, SAME, OTHER}[i]))
            section(small, (int[]){CREATE, SAME, OTHER}[i], put_all, &plan->other[0]);
}

static void measure(const struct job *job)
{
    struct small small = {
        .engine = job->engine,
        .plan = job->plan,
        .limit = job->bench->settings.section_ms * 1000000u,
    };
    struct engine_config config = {.records = small.plan->fresh.n};

    store_open(&small.store, small.engine, job->path, &config);
    if (small.engine->traits & ENGINE_FLOOR)
        cycle_floor(&small);
    else
        do
            cycle(&small);
        while (!lasted(&small, CREATE) || !lasted(&small, DELETE) || !lasted(&small, BATCH_PUT) ||
               !lasted(&small, BATCH_DELETE));
    store_close(&small.store);
    for (int row = 0; row < ROWS; row++)
        if (small.operations[row] > 0)
            job_result(job, "small", rows[row], "ns",
                       (double)small.ns[row] / (double)small.operations[row]);
}

static void fill(struct visit *visit, size_t n, unsigned version, uint64_t seed)
{
    visit_init(visit, n);
    visit_fill(visit, &shape_readme, version, seed);
}

void workload_small(struct bench *bench)
{
    size_t n = bench->settings.small;

    for (size_t round = 0; round < bench->settings.small_rounds; round++) {
        uint64_t seed = 100 * (round + 1);
        struct plan plan;

        fill(&plan.fresh, n, 0, seed);
        fill(&plan.again, n, 0, seed + 1);
        fill(&plan.same[0], n, 1, seed + 2);
        fill(&plan.same[1], n, 2, seed + 3);
        fill(&plan.other[0], n, 10, seed + 4);
        fill(&plan.other[1], n, 3, seed + 5);
        visit_init(&plan.missing, n);
        visit_fill_missing(&plan.missing, &shape_readme, seed + 6);
        bench_round(bench, round, NULL, (job_function *const[]){measure, NULL}, &plan);
        visit_free(&plan.fresh);
        visit_free(&plan.again);
        for (size_t i = 0; i < 2; i++) {
            visit_free(&plan.same[i]);
            visit_free(&plan.other[i]);
        }
        visit_free(&plan.missing);
    }
    printf("\nsmall: %zu records of the README's shape, one process, no syncs; ns per record, "
           "medians of %zu rounds\n",
           n, bench->settings.small_rounds);
    results_print(bench->results, "small");
}
