/* SPDX-License-Identifier: MIT */
/*
 * Berkeley DB behind the operations of engine.h: a B-tree in an environment that processes share.
 * Without syncs it is the concurrent data store, which has no log; durable puts are transactions.
 */
#include "bench/common.h"
#include "bench/engine.h"

#include <db.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

/* For the bulk buffers: more than a batch of records takes. */
#define BULK_BYTES ((size_t)1 << 20)

struct berkeley {
    DB_ENV *env;
    DB *table;
    bool durable;
    void *bulk;
};

static void check(const char *operation, int rc)
{
    if (rc != 0)
        bench_fail(BENCH_BROKEN, "berkeley: %s: %s", operation, db_strerror(rc));
}

static void *open_berkeley(const char *path, const struct engine_config *config)
{
    struct berkeley *db = bench_alloc(1, sizeof *db);
    u_int32_t subsystems = DB_CREATE | DB_INIT_MPOOL;
    uint64_t cache = ((uint64_t)32 << 20) + config->records * 320;

    db->durable = (config->flags & ENGINE_DURABLE) != 0;
    db->bulk = bench_alloc(1, BULK_BYTES);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        bench_fail(BENCH_BROKEN, "berkeley: %s: %s", path, strerror(errno));
    check("create environment", db_env_create(&db->env, 0));
    check("set cache", db->env->set_cachesize(db->env, (u_int32_t)(cache >> 30),
                                              (u_int32_t)(cache & ((1u << 30) - 1)), 1));
    if (db->durable) {
        subsystems |= DB_INIT_TXN | DB_INIT_LOG | DB_INIT_LOCK;
        check("set deadlock detection", db->env->set_lk_detect(db->env, DB_LOCK_DEFAULT));
        check("set log", db->env->log_set_config(db->env, DB_LOG_AUTO_REMOVE, 1));
    } else {
        subsystems |= DB_INIT_CDB;
    }
    check("open environment", db->env->open(db->env, path, subsystems, 0600));
    check("create table", db_create(&db->table, db->env, 0));
    check("open table",
          db->table->open(db->table, NULL, "pairs", NULL, DB_BTREE,
                          DB_CREATE | (db->durable ? (u_int32_t)DB_AUTO_COMMIT : 0), 0600));
    return db;
}

static DBT bytes(const void *data, size_t len)
{
    return (DBT){.data = (void *)(uintptr_t)data, .size = (u_int32_t)len};
}

static int get_berkeley(void *handle, const struct pair *pair, void *buf, size_t cap,
                        size_t *ret_len)
{
    struct berkeley *db = handle;
    DBT key = bytes(pair->key, pair->key_len);
    DBT value = {.data = buf, .ulen = (u_int32_t)cap, .flags = DB_DBT_USERMEM};
    int rc = db->table->get(db->table, NULL, &key, &value, 0);

    if (rc == DB_NOTFOUND)
        return ENGINE_NO;
    check("get", rc);
    *ret_len = value.size;
    return ENGINE_OK;
}

/* Operations outside of a transaction of the caller's are chosen as the victims of a deadlock now
 * and then, and are to be repeated. */
static int put(struct berkeley *db, const struct pair *pair, u_int32_t flags)
{
    int rc;

    do {
        DBT key = bytes(pair->key, pair->key_len);
        DBT value = bytes(pair->value, pair->value_len);

        rc = db->table->put(db->table, NULL, &key, &value, flags);
    } while (rc == DB_LOCK_DEADLOCK);
    if (rc == DB_KEYEXIST)
        return ENGINE_NO;
    check("put", rc);
    return ENGINE_OK;
}

static int create_berkeley(void *db, const struct pair *pair)
{
    return put(db, pair, DB_NOOVERWRITE);
}

static int put_berkeley(void *db, const struct pair *pair)
{
    return put(db, pair, 0);
}

static int del_berkeley(void *handle, const struct pair *pair)
{
    struct berkeley *db = handle;
    int rc;

    do {
        DBT key = bytes(pair->key, pair->key_len);

        rc = db->table->del(db->table, NULL, &key, 0);
    } while (rc == DB_LOCK_DEADLOCK);
    if (rc == DB_NOTFOUND)
        return ENGINE_NO;
    check("delete", rc);
    return ENGINE_OK;
}

static DBT bulk_buffer(struct berkeley *db)
{
    return (DBT){.data = db->bulk, .ulen = BULK_BYTES, .flags = DB_DBT_USERMEM | DB_DBT_BULK};
}

static int batch_berkeley(void *handle, const struct pair *pairs, size_t n)
{
    struct berkeley *db = handle;
    DBT bulk = bulk_buffer(db);
    DBT none = {0};
    void *at;

    DB_MULTIPLE_WRITE_INIT(at, &bulk);
    for (size_t i = 0; i < n; i++) {
        DB_MULTIPLE_KEY_WRITE_NEXT(at, &bulk, pairs[i].key, pairs[i].key_len, pairs[i].value,
                                   pairs[i].value_len);
        if (at == NULL)
            bench_fail(BENCH_BROKEN, "berkeley: the bulk buffer is too small");
    }
    check("bulk put", db->table->put(db->table, NULL, &bulk, &none, DB_MULTIPLE_KEY));
    return ENGINE_OK;
}

static int batch_del_berkeley(void *handle, const struct pair *pairs, size_t n)
{
    struct berkeley *db = handle;
    DBT bulk = bulk_buffer(db);
    void *at;

    DB_MULTIPLE_WRITE_INIT(at, &bulk);
    for (size_t i = 0; i < n; i++) {
        DB_MULTIPLE_WRITE_NEXT(at, &bulk, pairs[i].key, pairs[i].key_len);
        if (at == NULL)
            bench_fail(BENCH_BROKEN, "berkeley: the bulk buffer is too small");
    }
    check("bulk delete", db->table->del(db->table, NULL, &bulk, DB_MULTIPLE));
    return ENGINE_OK;
}

static void tour_berkeley(void *handle, struct tour *tour)
{
    struct berkeley *db = handle;
    DBT key = {0};
    DBT bulk = {.data = db->bulk, .ulen = BULK_BYTES, .flags = DB_DBT_USERMEM};
    DBC *cursor;
    int rc;

    check("open cursor", db->table->cursor(db->table, NULL, &cursor, DB_CURSOR_BULK));
    while ((rc = cursor->get(cursor, &key, &bulk, DB_NEXT | DB_MULTIPLE_KEY)) == 0) {
        void *at, *k, *v;
        size_t k_len, v_len;

        DB_MULTIPLE_INIT(at, &bulk);
        for (;;) {
            DB_MULTIPLE_KEY_NEXT(at, &bulk, k, k_len, v, v_len);
            if (at == NULL)
                break;
            tour_add(tour, k, k_len, v, v_len);
        }
    }
    if (rc != DB_NOTFOUND)
        check("next", rc);
    check("close cursor", cursor->close(cursor));
}

static void compact_berkeley(void *handle)
{
    struct berkeley *db = handle;

    check("compact", db->table->compact(db->table, NULL, NULL, NULL, NULL, DB_FREE_SPACE, NULL));
}

static void close_berkeley(void *handle)
{
    struct berkeley *db = handle;

    check("close table", db->table->close(db->table, 0));
    check("close environment", db->env->close(db->env, 0));
    free(db->bulk);
    free(db);
}

static const char *version_berkeley(void)
{
    return db_version(NULL, NULL, NULL);
}

const struct engine engine_berkeley = {
    .name = "berkeley",
    .setting = "B-tree, concurrent data store (no log), a cache that holds all in shared memory; "
               "batches are not atomic; a kill in a write corrupts",
    .durable = "transactional store, DB_AUTO_COMMIT",
    .traits = ENGINE_SHARED | ENGINE_READERS,
    .version = version_berkeley,
    .open = open_berkeley,
    .get = get_berkeley,
    .create = create_berkeley,
    .put = put_berkeley,
    .del = del_berkeley,
    .batch = batch_berkeley,
    .batch_del = batch_del_berkeley,
    .tour = tour_berkeley,
    .compact = compact_berkeley,
    .close = close_berkeley,
};
