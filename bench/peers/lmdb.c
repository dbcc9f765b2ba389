/* SPDX-License-Identifier: MIT */
/*
 * LMDB behind the operations of engine.h, with a writable map and without. A get renews the
 * handle's read transaction and resets it afterwards, so that it sees what is committed and pins no
 * old pages, as a get of lxdb does; the value is copied out, since its page may be reused from then
 * on.
 */
#include "bench/common.h"
#include "bench/engine.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reserved address space; the file is sparse. Four times what the largest measurement stores. */
#define MAP_BYTES ((size_t)16 << 30)

struct lmdb {
    MDB_env *env;
    MDB_txn *reader; /* reset between gets */
    MDB_dbi table;
};

static void check(const char *operation, int rc)
{
    if (rc != MDB_SUCCESS)
        bench_fail(BENCH_BROKEN, "lmdb: %s: %s", operation, mdb_strerror(rc));
}

static MDB_txn *begin_write(struct lmdb *db)
{
    MDB_txn *txn;

    check("begin", mdb_txn_begin(db->env, NULL, 0, &txn));
    return txn;
}

static void *open_env(const char *path, const struct engine_config *config, unsigned flags)
{
    struct lmdb *db = bench_alloc(1, sizeof *db);
    MDB_txn *txn;

    if ((config->flags & ENGINE_DURABLE) == 0)
        flags |= MDB_NOSYNC;
    check("create environment", mdb_env_create(&db->env));
    check("set map size", mdb_env_set_mapsize(db->env, MAP_BYTES));
    check("open", mdb_env_open(db->env, path, MDB_NOSUBDIR | flags, 0600));
    check("begin", mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn));
    check("open table", mdb_dbi_open(txn, NULL, 0, &db->table));
    check("commit", mdb_txn_commit(txn));
    check("begin reader", mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->reader));
    mdb_txn_reset(db->reader);
    return db;
}

static void *open_lmdb(const char *path, const struct engine_config *config)
{
    return open_env(path, config, 0);
}

static void *open_writemap(const char *path, const struct engine_config *config)
{
    return open_env(path, config, MDB_WRITEMAP);
}

static MDB_val bytes(const void *data, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)data};
}

static int get_lmdb(void *handle, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    struct lmdb *db = handle;
    MDB_val key = bytes(pair->key, pair->key_len);
    MDB_val value;
    int rc;

    check("renew", mdb_txn_renew(db->reader));
    rc = mdb_get(db->reader, db->table, &key, &value);
    if (rc == MDB_SUCCESS) {
        memcpy(buf, value.mv_data, value.mv_size < cap ? value.mv_size : cap);
        *ret_len = value.mv_size;
    }
    mdb_txn_reset(db->reader);
    if (rc == MDB_NOTFOUND)
        return ENGINE_NO;
    check("get", rc);
    return ENGINE_OK;
}

/* Store one pair in a transaction of its own. */
static int put_one(struct lmdb *db, const struct pair *pair, unsigned flags)
{
    MDB_val key = bytes(pair->key, pair->key_len);
    MDB_val value = bytes(pair->value, pair->value_len);
    MDB_txn *txn = begin_write(db);
    int rc = mdb_put(txn, db->table, &key, &value, flags);

    if (rc == MDB_KEYEXIST) {
        mdb_txn_abort(txn);
        return ENGINE_NO;
    }
    check("put", rc);
    check("commit", mdb_txn_commit(txn));
    return ENGINE_OK;
}

static int create_lmdb(void *db, const struct pair *pair)
{
    return put_one(db, pair, MDB_NOOVERWRITE);
}

static int put_lmdb(void *db, const struct pair *pair)
{
    return put_one(db, pair, 0);
}

static int batch_lmdb(void *handle, const struct pair *pairs, size_t n)
{
    struct lmdb *db = handle;
    MDB_txn *txn = begin_write(db);

    for (size_t i = 0; i < n; i++) {
        MDB_val key = bytes(pairs[i].key, pairs[i].key_len);
        MDB_val value = bytes(pairs[i].value, pairs[i].value_len);

        check("put", mdb_put(txn, db->table, &key, &value, 0));
    }
    check("commit", mdb_txn_commit(txn));
    return ENGINE_OK;
}

static int del_lmdb(void *handle, const struct pair *pair)
{
    struct lmdb *db = handle;
    MDB_val key = bytes(pair->key, pair->key_len);
    MDB_txn *txn = begin_write(db);
    int rc = mdb_del(txn, db->table, &key, NULL);

    if (rc == MDB_NOTFOUND) {
        mdb_txn_abort(txn);
        return ENGINE_NO;
    }
    check("delete", rc);
    check("commit", mdb_txn_commit(txn));
    return ENGINE_OK;
}

static int batch_del_lmdb(void *handle, const struct pair *pairs, size_t n)
{
    struct lmdb *db = handle;
    MDB_txn *txn = begin_write(db);

    for (size_t i = 0; i < n; i++) {
        MDB_val key = bytes(pairs[i].key, pairs[i].key_len);

        check("delete", mdb_del(txn, db->table, &key, NULL));
    }
    check("commit", mdb_txn_commit(txn));
    return ENGINE_OK;
}

static void tour_lmdb(void *handle, struct tour *tour)
{
    struct lmdb *db = handle;
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc;

    check("renew", mdb_txn_renew(db->reader));
    check("open cursor", mdb_cursor_open(db->reader, db->table, &cursor));
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS)
        tour_add(tour, key.mv_data, key.mv_size, value.mv_data, value.mv_size);
    if (rc != MDB_NOTFOUND)
        check("next", rc);
    mdb_cursor_close(cursor);
    mdb_txn_reset(db->reader);
}

/* A compact copy, as it is made before it replaces the original. */
static void compact_lmdb(void *handle)
{
    struct lmdb *db = handle;
    const char *path;
    char *copy;

    check("path", mdb_env_get_path(db->env, &path));
    copy = bench_text("%s-compact", path);
    check("copy", mdb_env_copy2(db->env, copy, MDB_CP_COMPACT));
    unlink(copy);
    free(copy);
}

static uint64_t count_lmdb(void *handle)
{
    struct lmdb *db = handle;
    MDB_stat stat;

    check("renew", mdb_txn_renew(db->reader));
    check("count", mdb_stat(db->reader, db->table, &stat));
    mdb_txn_reset(db->reader);
    return stat.ms_entries;
}

static void close_lmdb(void *handle)
{
    struct lmdb *db = handle;

    mdb_txn_abort(db->reader);
    mdb_env_close(db->env);
    free(db);
}

static const char *version_lmdb(void)
{
    return mdb_version(NULL, NULL, NULL);
}

#define OPERATIONS                                                                                 \
    .traits = ENGINE_SHARED | ENGINE_READERS, .version = version_lmdb, .get = get_lmdb,            \
    .create = create_lmdb, .put = put_lmdb, .del = del_lmdb, .batch = batch_lmdb,                  \
    .batch_del = batch_del_lmdb, .tour = tour_lmdb, .count = count_lmdb, .compact = compact_lmdb,  \
    .close = close_lmdb

const struct engine engine_lmdb = {
    .name = "lmdb",
    .setting = "NOSYNC; a read transaction that each get renews and resets; a killed process loses "
               "nothing",
    .durable = "defaults",
    .open = open_lmdb,
    OPERATIONS,
};

const struct engine engine_lmdb_writemap = {
    .name = "lmdb-writemap",
    .setting = "NOSYNC, WRITEMAP; else as lmdb",
    .durable = "WRITEMAP",
    .open = open_writemap,
    OPERATIONS,
};
