/* SPDX-License-Identifier: MIT */
/* lxdb behind the operations of engine.h; and its typed values, for what their check costs. */
#include "bench/common.h"
#include "bench/engine.h"

#include <lxdb.h>

/* Keys that are looked up at once at most. */
#define MANY_MAX 64

static noreturn void refuse(const char *operation, int rc)
{
    bench_fail(BENCH_BROKEN, "lxdb: %s: %s: %s", operation, lxdb_strerror(rc), lxdb_errmsg(NULL));
}

static void check(const char *operation, int rc)
{
    if (rc != LXDB_OK)
        refuse(operation, rc);
}

/* An answer in the terms of engine.h, if `no` is the code that says no. */
static int answer(const char *operation, int rc, int no)
{
    if (rc == no)
        return ENGINE_NO;
    check(operation, rc);
    return ENGINE_OK;
}

static void *open_lxdb(const char *path, const struct engine_config *config)
{
    lxdb_options options = {
        .size = sizeof options,
        .flags = config->flags & ENGINE_NO_COMPACTION ? LXDB_NOAUTOCOMPACT : 0,
        .sync = config->flags & ENGINE_DURABLE ? LXDB_SYNC_FULL : LXDB_SYNC_NONE,
        .helpers = config->flags & ENGINE_KEEP_INDEX ? LXDB_HELPERS_KEEP : LXDB_HELPERS_AUTO,
    };
    lxdb *db;

    check("open", lxdb_open(path, &options, &db));
    return db;
}

static int get_lxdb(void *db, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    int rc = lxdb_read(db, pair->key, pair->key_len, buf, cap, ret_len);

    return rc == LXDB_TOOBIG ? ENGINE_OK : answer("read", rc, LXDB_NOTFOUND);
}

static size_t get_many_lxdb(void *db, const struct pair *pairs, size_t n)
{
    lxdb_item items[MANY_MAX];
    char buf[256];
    size_t wrong = 0;

    if (n > MANY_MAX)
        bench_fail(BENCH_BROKEN, "more than %d keys at once", MANY_MAX);
    for (size_t i = 0; i < n; i++)
        items[i] = (lxdb_item){.key = pairs[i].key, .key_len = pairs[i].key_len};
    check("begin reading", lxdb_read_begin(db));
    check("peek many", lxdb_peek_many(db, items, n));
    for (size_t i = 0; i < n; i++) {
        if (items[i].rc == LXDB_OK && items[i].value_len == pairs[i].value_len)
            memcpy(buf, items[i].value, items[i].value_len);
        else
            wrong++;
    }
    __asm__ volatile("" : : "r"(buf) : "memory"); /* the copies are made */
    lxdb_read_end(db);
    return wrong;
}

static int create_lxdb(void *db, const struct pair *pair)
{
    return answer("create", lxdb_create(db, pair->key, pair->key_len, pair->value, pair->value_len),
                  LXDB_EXISTS);
}

static int put_lxdb(void *db, const struct pair *pair)
{
    check("write", lxdb_write(db, pair->key, pair->key_len, pair->value, pair->value_len));
    return ENGINE_OK;
}

static int del_lxdb(void *db, const struct pair *pair)
{
    return answer("delete", lxdb_delete(db, pair->key, pair->key_len), LXDB_NOTFOUND);
}

static int batch_lxdb(void *db, const struct pair *pairs, size_t n)
{
    lxdb_batch *batch;

    check("batch begin", lxdb_batch_begin(db, &batch));
    for (size_t i = 0; i < n; i++)
        check("batch write", lxdb_batch_write(batch, pairs[i].key, pairs[i].key_len, pairs[i].value,
                                              pairs[i].value_len));
    check("batch commit", lxdb_batch_commit(batch, NULL, NULL));
    return ENGINE_OK;
}

static int batch_del_lxdb(void *db, const struct pair *pairs, size_t n)
{
    lxdb_batch *batch;
    size_t deleted;

    check("batch begin", lxdb_batch_begin(db, &batch));
    for (size_t i = 0; i < n; i++)
        check("batch delete", lxdb_batch_delete(batch, pairs[i].key, pairs[i].key_len));
    check("batch commit", lxdb_batch_commit(batch, &deleted, NULL));
    return deleted == n ? ENGINE_OK : ENGINE_NO;
}

static void tour_lxdb(void *db, struct tour *tour)
{
    const void *key, *value;
    size_t key_len, value_len;
    lxdb_iter *iter;
    int rc;

    check("iterate", lxdb_iter_open(db, NULL, 0, 0, &iter));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK)
        tour_add(tour, key, key_len, value, value_len);
    if (rc != LXDB_NOTFOUND)
        refuse("next", rc);
    lxdb_iter_close(iter);
}

static uint64_t count_lxdb(void *db)
{
    uint64_t count;

    check("count", lxdb_count(db, &count));
    return count;
}

static void compact_lxdb(void *db)
{
    check("compact", lxdb_compact(db, NULL));
}

static void counters_lxdb(void *db, uint64_t *ret_commits, uint64_t *ret_syncs)
{
    lxdb_stat_info stat;

    check("stat", lxdb_stat(db, &stat));
    *ret_commits = stat.commits;
    *ret_syncs = stat.syncs;
}

static void close_lxdb(void *db)
{
    check("close", lxdb_close(db));
}

const struct engine engine_lxdb = {
    .name = "lxdb",
    .setting = "defaults: sync none, automatic compaction; a killed process loses nothing",
    .durable = "sync full",
    .traits = ENGINE_SHARED | ENGINE_READERS | ENGINE_OURS,
    .version = lxdb_version,
    .open = open_lxdb,
    .get = get_lxdb,
    .get_many = get_many_lxdb,
    .create = create_lxdb,
    .put = put_lxdb,
    .del = del_lxdb,
    .batch = batch_lxdb,
    .batch_del = batch_del_lxdb,
    .tour = tour_lxdb,
    .count = count_lxdb,
    .compact = compact_lxdb,
    .counters = counters_lxdb,
    .close = close_lxdb,
};

/* ---- Typed values: JSON, checked and stored as text ------------------------------------------ */

static int get_json(void *db, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    char *text;
    size_t len;
    int rc = answer("get json", lxdb_get_json(db, pair->key, pair->key_len, &text, &len),
                    LXDB_NOTFOUND);

    if (rc == ENGINE_OK) {
        memcpy(buf, text, len < cap ? len : cap);
        *ret_len = len;
        lxdb_free(text);
    }
    return rc;
}

static int put_json(void *db, const struct pair *pair)
{
    check("set json", lxdb_set_json(db, pair->key, pair->key_len, pair->value, pair->value_len));
    return ENGINE_OK;
}

static int batch_json(void *db, const struct pair *pairs, size_t n)
{
    lxdb_batch *batch;

    check("batch begin", lxdb_batch_begin(db, &batch));
    for (size_t i = 0; i < n; i++)
        check("batch set json", lxdb_batch_set_json(batch, pairs[i].key, pairs[i].key_len,
                                                    pairs[i].value, pairs[i].value_len));
    check("batch commit", lxdb_batch_commit(batch, NULL, NULL));
    return ENGINE_OK;
}

/* The tag before each value is none of the value. */
static void tour_json(void *db, struct tour *tour)
{
    uint64_t before = tour->records;

    tour_lxdb(db, tour);
    tour->bytes -= tour->records - before;
}

const struct engine engine_lxdb_json = {
    .name = "lxdb-json",
    .setting = "lxdb through lxdb_set_json() and lxdb_get_json(), which allocates; `small` alone",
    .traits = ENGINE_OURS,
    .version = lxdb_version,
    .open = open_lxdb,
    .get = get_json,
    .put = put_json,
    .del = del_lxdb,
    .batch = batch_json,
    .batch_del = batch_del_lxdb,
    .tour = tour_json,
    .count = count_lxdb,
    .close = close_lxdb,
};
