/* SPDX-License-Identifier: MIT */
/* LMDB, with a writable map and no sync; what is held is a read transaction. */
#include "bench/space_store.h"

#include "bench/common.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

struct store {
    MDB_env *env;
    MDB_dbi table;
    MDB_txn *reader;
};

static void check(const char *operation, int rc)
{
    if (rc != MDB_SUCCESS)
        bench_fail(BENCH_BROKEN, "lmdb: %s: %s", operation, mdb_strerror(rc));
}

static void *open_store(const char *path, uint64_t live, uint64_t most)
{
    struct store *store = bench_alloc(1, sizeof *store);
    MDB_txn *txn;

    (void)live;
    check("create environment", mdb_env_create(&store->env));
    check("set map size", mdb_env_set_mapsize(store->env, most));
    check("open", mdb_env_open(store->env, path, MDB_NOSUBDIR | MDB_WRITEMAP | MDB_NOSYNC, 0600));
    check("begin", mdb_txn_begin(store->env, NULL, 0, &txn));
    check("open table", mdb_dbi_open(txn, NULL, MDB_INTEGERKEY | MDB_CREATE, &store->table));
    check("commit", mdb_txn_commit(txn));
    return store;
}

static int put(void *handle, uint64_t key, const void *value, size_t len)
{
    struct store *store = handle;
    MDB_val k = {.mv_size = sizeof key, .mv_data = &key};
    MDB_val v = {.mv_size = len, .mv_data = (void *)(uintptr_t)value};
    MDB_txn *txn;
    int rc;

    check("begin", mdb_txn_begin(store->env, NULL, 0, &txn));
    rc = mdb_put(txn, store->table, &k, &v, 0);
    if (rc == MDB_SUCCESS)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    if (rc == MDB_MAP_FULL)
        return SPACE_REFUSED;
    check("put", rc);
    return SPACE_OK;
}

static uint64_t pass_in(MDB_txn *txn, MDB_dbi table, uint64_t key)
{
    MDB_val k = {.mv_size = sizeof key, .mv_data = &key};
    uint64_t pass = 0;
    MDB_val v;

    check("get", mdb_get(txn, table, &k, &v));
    if (v.mv_size < sizeof pass)
        bench_fail(BENCH_WRONG, "lmdb: a value of %zu bytes", v.mv_size);
    memcpy(&pass, v.mv_data, sizeof pass);
    return pass;
}

static uint64_t read_pass(void *handle, uint64_t key)
{
    struct store *store = handle;
    MDB_txn *txn;
    uint64_t pass;

    check("begin", mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn));
    pass = pass_in(txn, store->table, key);
    mdb_txn_abort(txn);
    return pass;
}

static uint64_t look(void *handle)
{
    struct store *store = handle;

    return pass_in(store->reader, store->table, 1);
}

static void hold(void *handle)
{
    struct store *store = handle;

    check("begin", mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->reader));
    (void)look(store);
}

static void release(void *handle)
{
    struct store *store = handle;

    mdb_txn_abort(store->reader);
}

static void close_store(void *handle)
{
    struct store *store = handle;

    mdb_env_close(store->env);
    free(store);
}

const struct space_store space_lmdb = {
    .name = "LMDB",
    .setting =
        "a read transaction is held; WRITEMAP|NOSYNC; a map that is large enough, else puts are "
        "refused (MDB_MAP_FULL)",
    .open = open_store,
    .put = put,
    .read = read_pass,
    .hold = hold,
    .look = look,
    .release = release,
    .close = close_store,
};
