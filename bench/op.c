/* SPDX-License-Identifier: MIT */
/* The operations, and the store that they work on. Every result is looked at: a wrong one ends the
 * program, so what is measured is what was asked for. */
#include "bench/op.h"

#include "bench/common.h"

#include <stdlib.h>
#include <string.h>

#define SEED_PRESENT 1
#define SEED_MISSING 2

static void expect(int wanted, int rc, const char *what)
{
    if (rc != wanted)
        bench_fail(BENCH_WRONG, "%s: %s: %s", what, lxdb_strerror(rc), lxdb_errmsg(NULL));
}

/* The next pair of a visit, round and round. */
static const struct pair *next(struct op_store *store, const struct visit *visit)
{
    if (store->at == store->n)
        store->at = 0;
    return &visit->pairs[store->at++];
}

/* ---- Batches --------------------------------------------------------------------------------- */

static void add_put(lxdb_batch *batch, const struct pair *pair)
{
    expect(LXDB_OK, lxdb_batch_write(batch, pair->key, pair->key_len, pair->value, pair->value_len),
           "batch write");
}

static void add_delete(lxdb_batch *batch, const struct pair *pair)
{
    expect(LXDB_OK, lxdb_batch_delete(batch, pair->key, pair->key_len), "batch delete");
}

/* Apply `add` to all pairs of a visit, in batches. */
static void change_all(struct op_store *store, const struct visit *visit,
                       void (*add)(lxdb_batch *batch, const struct pair *pair))
{
    for (size_t i = 0; i < visit->n;) {
        size_t end = i + OP_BATCH;
        lxdb_batch *batch;

        expect(LXDB_OK, lxdb_batch_begin(store->db, &batch), "batch begin");
        for (; i < end; i++)
            add(batch, &visit->pairs[i]);
        expect(LXDB_OK, lxdb_batch_commit(batch, NULL, NULL), "batch commit");
    }
}

static void store_fresh(struct op_store *store)
{
    change_all(store, &store->fresh, add_put);
    store->at = 0;
}

static void remove_fresh(struct op_store *store)
{
    change_all(store, &store->fresh, add_delete);
    store->at = 0;
}

/* ---- Operations ------------------------------------------------------------------------------ */

static void get_hit(struct op_store *store, size_t count)
{
    char buf[WORKLOAD_VALUE_MAX];
    size_t len;

    for (size_t i = 0; i < count; i++) {
        const struct pair *pair = next(store, &store->present);

        expect(LXDB_OK, lxdb_read(store->db, pair->key, pair->key_len, buf, sizeof buf, &len),
               "read");
    }
}

static void get_miss(struct op_store *store, size_t count)
{
    char buf[WORKLOAD_VALUE_MAX];
    size_t len;

    for (size_t i = 0; i < count; i++) {
        const struct pair *pair = next(store, &store->missing);

        expect(LXDB_NOTFOUND, lxdb_read(store->db, pair->key, pair->key_len, buf, sizeof buf, &len),
               "read of a missing key");
    }
}

static void peek_many(struct op_store *store, size_t count)
{
    lxdb_item items[OP_PEEK_MANY];

    for (size_t done = 0; done < count;) {
        size_t n = count - done < OP_PEEK_MANY ? count - done : OP_PEEK_MANY;

        for (size_t i = 0; i < n; i++) {
            const struct pair *pair = next(store, &store->present);

            items[i] = (lxdb_item){.key = pair->key, .key_len = pair->key_len};
        }
        expect(LXDB_OK, lxdb_read_begin(store->db), "read section");
        expect(LXDB_OK, lxdb_peek_many(store->db, items, n), "peek many");
        for (size_t i = 0; i < n; i++)
            expect(LXDB_OK, items[i].rc, "peek");
        lxdb_read_end(store->db);
        done += n;
    }
}

static void put_create(struct op_store *store, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct pair *pair = next(store, &store->fresh);

        expect(LXDB_OK,
               lxdb_create(store->db, pair->key, pair->key_len, pair->value, pair->value_len),
               "create");
    }
}

static void put_same_size(struct op_store *store, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct pair *pair = next(store, &store->other);

        expect(LXDB_OK,
               lxdb_write(store->db, pair->key, pair->key_len, pair->value, pair->value_len),
               "write");
    }
}

static void delete_key(struct op_store *store, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct pair *pair = next(store, &store->fresh);

        expect(LXDB_OK, lxdb_delete(store->db, pair->key, pair->key_len), "delete");
    }
}

static void batch_put(struct op_store *store, size_t count)
{
    for (size_t done = 0; done < count;) {
        size_t n = count - done < OP_BATCH ? count - done : OP_BATCH;
        lxdb_batch *batch;

        expect(LXDB_OK, lxdb_batch_begin(store->db, &batch), "batch begin");
        for (size_t i = 0; i < n; i++)
            add_put(batch, next(store, &store->other));
        expect(LXDB_OK, lxdb_batch_commit(batch, NULL, NULL), "batch commit");
        done += n;
    }
}

static void iterate(struct op_store *store, size_t count)
{
    const void *key, *value;
    size_t key_len, value_len;

    for (size_t done = 0; done < count;) {
        int rc;

        if (store->iter == NULL)
            expect(LXDB_OK, lxdb_iter_open(store->db, NULL, 0, 0, &store->iter), "iterate");
        rc = lxdb_iter_next(store->iter, &key, &key_len, &value, &value_len);
        if (rc == LXDB_OK) {
            done++;
        } else {
            expect(LXDB_NOTFOUND, rc, "next record");
            lxdb_iter_close(store->iter);
            store->iter = NULL;
        }
    }
}

const struct op ops[] = {
    {.name = "get_hit", .run = get_hit},
    {.name = "get_miss", .run = get_miss},
    {.name = "peek_many", .run = peek_many},
    {.name = "put_create", .rewind = remove_fresh, .run = put_create},
    {.name = "put_same_size", .run = put_same_size},
    {.name = "delete", .rewind = store_fresh, .run = delete_key},
    {.name = "batch_put", .run = batch_put},
    {.name = "iterate", .run = iterate, .by_rounds = true},
};
const size_t ops_n = sizeof ops / sizeof ops[0];

const struct op *op_find(const char *name)
{
    for (size_t i = 0; i < ops_n; i++)
        if (strcmp(ops[i].name, name) == 0)
            return &ops[i];
    return NULL;
}

/* ---- The store ------------------------------------------------------------------------------- */

void op_store_open(struct op_store *store, const char *dir, size_t n)
{
    char *path = bench_text("%s/op.lxdb", dir);

    *store = (struct op_store){.n = n};
    visit_init(&store->present, n);
    visit_init(&store->other, n);
    visit_init(&store->fresh, n);
    visit_init(&store->missing, n);
    visit_fill(&store->present, &shape_fixed, 0, SEED_PRESENT);
    visit_fill(&store->other, &shape_fixed, 1, SEED_PRESENT);
    visit_fill_range(&store->fresh, &shape_fixed, 0, (uint32_t)n);
    visit_fill_missing(&store->missing, &shape_fixed, SEED_MISSING);
    expect(LXDB_OK, lxdb_open(path, NULL, &store->db), "open");
    free(path);
    change_all(store, &store->present, add_put);
}

void op_store_close(struct op_store *store)
{
    lxdb_iter_close(store->iter);
    expect(LXDB_OK, lxdb_close(store->db), "close");
    visit_free(&store->present);
    visit_free(&store->other);
    visit_free(&store->fresh);
    visit_free(&store->missing);
}

void op_begin(const struct op *op, struct op_store *store)
{
    store->at = 0;
    if (op->rewind != NULL)
        op->rewind(store);
}
