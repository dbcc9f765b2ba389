/* SPDX-License-Identifier: MIT */
/*
 * lxdb beside LMDB, one process each. Both stores are open at once and every section runs on one
 * and at once on the other, so that whatever slows the machine down for a while slows both. Which
 * goes first alternates. A round's result is the time per operation over all its sections of a
 * kind, and the ratio of the two; of the rounds the medians count.
 */
#include "bench/common.h"
#include "bench/engine.h"
#include "bench/parts.h"
#include "bench/workload.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH 1000
/* A section is repeated until it took that long on both, or the clock and chance would count. */
#define SECTION_NS 50000000u

enum { OURS, THEIRS, ENGINES };

static const struct engine *const engines[ENGINES] = {&engine_lxdb, &engine_lmdb};

/* Both stores with the same content, and what is visited next. */
struct pairing {
    const struct shape *shape;
    void *db[ENGINES];
    struct visit visit;
    size_t turn; /* which engine goes first */
};

/* Time and operations of one kind in one round. */
struct tally {
    uint64_t ns[ENGINES];
    uint64_t operations[ENGINES];
};

/* One row of the result. */
struct row {
    const char *name;
    struct sample ns[ENGINES];
    struct sample ratio;
};

/* ---- The timed loops: each returns how many answers were wrong ------------------------------- */

typedef size_t timed_loop(const struct engine *engine, void *db, const struct visit *visit);

static size_t get_hits(const struct engine *engine, void *db, const struct visit *visit)
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

static size_t get_misses(const struct engine *engine, void *db, const struct visit *visit)
{
    return visit_count_found(visit, engine, db);
}

static size_t create_all(const struct engine *engine, void *db, const struct visit *visit)
{
    size_t wrong = 0;

    for (size_t i = 0; i < visit->n; i++)
        wrong += engine->create(db, &visit->pairs[i]) != ENGINE_OK;
    return wrong;
}

static size_t put_all(const struct engine *engine, void *db, const struct visit *visit)
{
    size_t wrong = 0;

    for (size_t i = 0; i < visit->n; i++)
        wrong += engine->put(db, &visit->pairs[i]) != ENGINE_OK;
    return wrong;
}

static size_t batch_all(const struct engine *engine, void *db, const struct visit *visit)
{
    visit_store(visit, engine, db, BATCH);
    return 0;
}

static size_t delete_all(const struct engine *engine, void *db, const struct visit *visit)
{
    size_t wrong = 0;

    for (size_t i = 0; i < visit->n; i++)
        wrong += engine->del(db, &visit->pairs[i]) != ENGINE_OK;
    return wrong;
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static void fail_if_wrong(const struct pairing *pairing, size_t engine, const char *what,
                          size_t wrong)
{
    if (wrong > 0)
        bench_fail(BENCH_WRONG, "%s, %s: wrong data after %s: %zu of %zu", engines[engine]->name,
                   pairing->shape->name, what, wrong, pairing->visit.n);
}

/* Run `loop` over the visit on both engines, one after the other. */
static void run_section(struct pairing *pairing, const char *name, timed_loop *loop,
                        struct tally *tally)
{
    size_t first = pairing->turn++ % ENGINES;

    for (size_t i = 0; i < ENGINES; i++) {
        size_t which = (first + i) % ENGINES;
        uint64_t start = bench_now();
        size_t wrong = loop(engines[which], pairing->db[which], &pairing->visit);

        tally->ns[which] += bench_now() - start;
        tally->operations[which] += pairing->visit.n;
        fail_if_wrong(pairing, which, name, wrong);
    }
}

static int lasted(const struct tally *tally)
{
    return tally->ns[OURS] >= SECTION_NS && tally->ns[THEIRS] >= SECTION_NS;
}

/* Both engines hold exactly the records of the visit. */
static void check_stored(const struct pairing *pairing, const char *after)
{
    for (size_t i = 0; i < ENGINES; i++) {
        uint64_t count = engines[i]->count(pairing->db[i]);

        fail_if_wrong(pairing, i, after,
                      visit_count_wrong(&pairing->visit, engines[i], pairing->db[i]));
        if (count != pairing->visit.n)
            bench_fail(BENCH_WRONG, "%s: %llu records after %s, not %zu", engines[i]->name,
                       (unsigned long long)count, after, pairing->visit.n);
    }
}

/* Neither engine holds anything. */
static void check_empty(const struct pairing *pairing, const char *after)
{
    for (size_t i = 0; i < ENGINES; i++) {
        fail_if_wrong(pairing, i, after,
                      visit_count_found(&pairing->visit, engines[i], pairing->db[i]));
        if (engines[i]->count(pairing->db[i]) != 0)
            bench_fail(BENCH_WRONG, "%s: records left after %s", engines[i]->name, after);
    }
}

static void open_both(struct pairing *pairing, const struct settings *settings)
{
    for (size_t i = 0; i < ENGINES; i++) {
        char *path = bench_text("%s/%s.db", settings->dir, engines[i]->name);

        pairing->db[i] = engines[i]->open(path, settings->flags);
        free(path);
    }
}

static void close_both(struct pairing *pairing, const struct settings *settings)
{
    for (size_t i = 0; i < ENGINES; i++)
        engines[i]->close(pairing->db[i]);
    bench_empty(settings->dir);
}

static void row_add(struct row *row, const struct tally *tally)
{
    double ns[ENGINES];

    for (size_t i = 0; i < ENGINES; i++) {
        ns[i] = (double)tally->ns[i] / (double)tally->operations[i];
        sample_add(&row->ns[i], ns[i]);
    }
    sample_add(&row->ratio, ns[OURS] / ns[THEIRS]);
}

static void print_heading(const struct shape *shape, size_t records,
                          const struct settings *settings)
{
    printf("\n%zu records, %s, medians of %zu rounds\n", records, shape->name, settings->rounds);
    printf("  %-12s %12s %12s   %-8s %s\n", "", "lxdb ns/op", "lmdb ns/op", "ratio", "min..max");
}

static void row_print(const struct row *row)
{
    printf("  %-12s %12.1f %12.1f   %-8.3f %.3f..%.3f\n", row->name, sample_median(&row->ns[OURS]),
           sample_median(&row->ns[THEIRS]), sample_median(&row->ratio), sample_min(&row->ratio),
           sample_max(&row->ratio));
}

static void row_report(struct report *report, const struct row *row, const struct shape *shape,
                       size_t records, double target)
{
    char *name = bench_text("%s, %zu records %s", row->name, records, shape->name);

    report_add(report, name, &row->ratio, "of lmdb", REPORT_AT_MOST, target);
    free(name);
}

/* ---- Gets ------------------------------------------------------------------------------------ */

static void get_shape(const struct settings *settings, struct report *report,
                      const struct shape *shape, size_t records)
{
    struct pairing pairing = {.shape = shape};
    struct row hit = {.name = "get"}, miss = {.name = "get miss"};

    print_heading(shape, records, settings);
    visit_init(&pairing.visit, records);
    open_both(&pairing, settings);
    visit_fill(&pairing.visit, shape, 0, 1);
    for (size_t i = 0; i < ENGINES; i++)
        visit_store(&pairing.visit, engines[i], pairing.db[i], BATCH);

    for (size_t round = 0; round < settings->rounds; round++) {
        struct tally hits = {0}, misses = {0};

        pairing.turn = round;
        visit_fill(&pairing.visit, shape, 0, 100 + round);
        check_stored(&pairing, "loading");
        do
            run_section(&pairing, hit.name, get_hits, &hits);
        while (!lasted(&hits));
        row_add(&hit, &hits);
        visit_fill_missing(&pairing.visit, shape, 200 + round);
        do
            run_section(&pairing, miss.name, get_misses, &misses);
        while (!lasted(&misses));
        row_add(&miss, &misses);
    }

    row_print(&hit);
    row_print(&miss);
    row_report(report, &hit, shape, records, 0.3);
    close_both(&pairing, settings);
    visit_free(&pairing.visit);
}

void part_get(const struct settings *settings, struct report *report)
{
    get_shape(settings, report, &shape_readme, settings->small);
    get_shape(settings, report, &shape_fixed, settings->large);
}

/* ---- Puts ------------------------------------------------------------------------------------ */

enum { CREATE, UPDATE, DELETE, BATCHED, PUT_ROWS };

/* Fill, change, empty and fill again, until every kind has been timed for long enough. */
static void put_round(struct pairing *pairing, size_t round, struct tally tally[PUT_ROWS])
{
    const struct shape *shape = pairing->shape;
    uint64_t seed = 1000 * (round + 1);

    pairing->turn = round;
    for (;;) {
        visit_fill(&pairing->visit, shape, 0, seed++);
        run_section(pairing, "create", create_all, &tally[CREATE]);
        check_stored(pairing, "create");
        visit_fill(&pairing->visit, shape, 1, seed++);
        run_section(pairing, "update", put_all, &tally[UPDATE]);
        check_stored(pairing, "update");
        visit_fill(&pairing->visit, shape, 1, seed++);
        run_section(pairing, "delete", delete_all, &tally[DELETE]);
        check_empty(pairing, "delete");
        visit_fill(&pairing->visit, shape, 2, seed++);
        run_section(pairing, "batch", batch_all, &tally[BATCHED]);
        check_stored(pairing, "batch");
        if (lasted(&tally[CREATE]) && lasted(&tally[UPDATE]) && lasted(&tally[DELETE]) &&
            lasted(&tally[BATCHED]))
            break;
        visit_fill(&pairing->visit, shape, 2, seed++);
        run_section(pairing, "delete", delete_all, &tally[DELETE]);
    }
}

static void put_shape(const struct settings *settings, struct report *report,
                      const struct shape *shape, size_t records)
{
    static const char *const names[PUT_ROWS] = {"create", "update", "delete", "batch of 1000"};
    struct pairing pairing = {.shape = shape};
    struct row rows[PUT_ROWS] = {0};

    print_heading(shape, records, settings);
    visit_init(&pairing.visit, records);
    for (size_t round = 0; round < settings->rounds; round++) {
        struct tally tally[PUT_ROWS] = {0};

        open_both(&pairing, settings);
        put_round(&pairing, round, tally);
        close_both(&pairing, settings);
        for (size_t i = 0; i < PUT_ROWS; i++)
            row_add(&rows[i], &tally[i]);
    }
    visit_free(&pairing.visit);

    for (size_t i = 0; i < PUT_ROWS; i++) {
        rows[i].name = names[i];
        row_print(&rows[i]);
    }
    row_report(report, &rows[CREATE], shape, records, 0.3);
    row_report(report, &rows[UPDATE], shape, records, 0.3);
    row_report(report, &rows[BATCHED], shape, records, 0.4);
}

void part_put(const struct settings *settings, struct report *report)
{
    put_shape(settings, report, &shape_readme, settings->small);
    put_shape(settings, report, &shape_fixed, settings->large);
}
