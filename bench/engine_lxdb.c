/* SPDX-License-Identifier: MIT */
/* lxdb behind the operations of engine.h, with the defaults of lxdb_open(): sync none. */
#include "bench/engine.h"

#include "bench/common.h"

#include <lxdb.h>

static noreturn void refuse(const char *operation, int rc)
{
    bench_fail(BENCH_BROKEN, "lxdb: %s: %s: %s", operation, lxdb_strerror(rc), lxdb_errmsg(NULL));
}

static void *open_lxdb(const char *path, unsigned flags)
{
    lxdb_options options = {
        .size = sizeof options,
        .flags = flags & ENGINE_NO_COMPACTION ? LXDB_NOAUTOCOMPACT : 0,
        .helpers = flags & ENGINE_KEEP_INDEX ? LXDB_HELPERS_KEEP : LXDB_HELPERS_AUTO,
    };
    lxdb *db;
    int rc = lxdb_open(path, &options, &db);

    if (rc != LXDB_OK)
        refuse("open", rc);
    return db;
}

static int get_lxdb(void *db, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    int rc = lxdb_read(db, pair->key, pair->key_len, buf, cap, ret_len);

    if (rc == LXDB_NOTFOUND)
        return ENGINE_NO;
    if (rc != LXDB_OK && rc != LXDB_TOOBIG)
        refuse("read", rc);
    return ENGINE_OK;
}

static int create_lxdb(void *db, const struct pair *pair)
{
    int rc = lxdb_create(db, pair->key, pair->key_len, pair->value, pair->value_len);

    if (rc == LXDB_EXISTS)
        return ENGINE_NO;
    if (rc != LXDB_OK)
        refuse("create", rc);
    return ENGINE_OK;
}

static int put_lxdb(void *db, const struct pair *pair)
{
    int rc = lxdb_write(db, pair->key, pair->key_len, pair->value, pair->value_len);

    if (rc != LXDB_OK)
        refuse("write", rc);
    return ENGINE_OK;
}

static int batch_lxdb(void *db, const struct pair *pairs, size_t n)
{
    lxdb_batch *batch;
    int rc = lxdb_batch_begin(db, &batch);

    if (rc != LXDB_OK)
        refuse("batch begin", rc);
    for (size_t i = 0; i < n; i++) {
        rc = lxdb_batch_write(batch, pairs[i].key, pairs[i].key_len, pairs[i].value,
                              pairs[i].value_len);
        if (rc != LXDB_OK)
            refuse("batch write", rc);
    }
    rc = lxdb_batch_commit(batch, NULL, NULL);
    if (rc != LXDB_OK)
        refuse("batch commit", rc);
    return ENGINE_OK;
}

static int del_lxdb(void *db, const struct pair *pair)
{
    int rc = lxdb_delete(db, pair->key, pair->key_len);

    if (rc == LXDB_NOTFOUND)
        return ENGINE_NO;
    if (rc != LXDB_OK)
        refuse("delete", rc);
    return ENGINE_OK;
}

static uint64_t count_lxdb(void *db)
{
    uint64_t count;
    int rc = lxdb_count(db, &count);

    if (rc != LXDB_OK)
        refuse("count", rc);
    return count;
}

static void close_lxdb(void *db)
{
    int rc = lxdb_close(db);

    if (rc != LXDB_OK)
        refuse("close", rc);
}

const struct engine engine_lxdb = {
    .name = "lxdb",
    .open = open_lxdb,
    .get = get_lxdb,
    .create = create_lxdb,
    .put = put_lxdb,
    .batch = batch_lxdb,
    .del = del_lxdb,
    .count = count_lxdb,
    .close = close_lxdb,
};
