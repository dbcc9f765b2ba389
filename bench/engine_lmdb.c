/* SPDX-License-Identifier: MIT */
/*
 * LMDB behind the operations of engine.h, in its fastest configuration that still lets other
 * processes in: a writable map and no sync. A get renews the handle's read transaction and resets
 * it afterwards, so that it sees what is committed and pins no old pages, as a get of lxdb does;
 * the value is copied out, since its page may be reused from then on.
 */
#include "bench/engine.h"

#include "bench/common.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

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

static void *open_lmdb(const char *path, unsigned flags)
{
    struct lmdb *db = bench_alloc(1, sizeof *db);
    MDB_txn *txn;

    (void)flags;
    check("create environment", mdb_env_create(&db->env));
    check("set map size", mdb_env_set_mapsize(db->env, MAP_BYTES));
    check("open", mdb_env_open(db->env, path, MDB_NOSUBDIR | MDB_WRITEMAP | MDB_NOSYNC, 0600));
    txn = begin_write(db);
    check("open table", mdb_dbi_open(txn, NULL, 0, &db->table));
    check("commit", mdb_txn_commit(txn));
    check("begin reader", mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->reader));
    mdb_txn_reset(db->reader);
    return db;
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

const struct engine engine_lmdb = {
    .name = "lmdb",
    .open = open_lmdb,
    .get = get_lmdb,
    .create = create_lmdb,
    .put = put_lmdb,
    .batch = batch_lmdb,
    .del = del_lmdb,
    .count = count_lmdb,
    .close = close_lmdb,
};
