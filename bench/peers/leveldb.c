/* SPDX-License-Identifier: MIT */
/* LevelDB behind the operations of engine.h. One process; puts and deletes do not look first. */
#include "bench/common.h"
#include "bench/engine.h"

#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>

struct leveldb {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_readoptions_t *read;
    leveldb_writeoptions_t *write;
    leveldb_writebatch_t *batch;
};

static void check(const char *operation, const char *error)
{
    if (error != NULL)
        bench_fail(BENCH_BROKEN, "leveldb: %s: %s", operation, error);
}

static void *open_leveldb(const char *path, const struct engine_config *config)
{
    struct leveldb *db = bench_alloc(1, sizeof *db);
    char *error = NULL;

    db->cache = leveldb_cache_create_lru((size_t)512 << 20);
    db->filter = leveldb_filterpolicy_create_bloom(10);
    db->options = leveldb_options_create();
    leveldb_options_set_create_if_missing(db->options, 1);
    leveldb_options_set_compression(db->options, leveldb_no_compression);
    leveldb_options_set_write_buffer_size(db->options, (size_t)64 << 20);
    leveldb_options_set_cache(db->options, db->cache);
    leveldb_options_set_filter_policy(db->options, db->filter);
    db->read = leveldb_readoptions_create();
    db->write = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(db->write, (config->flags & ENGINE_DURABLE) != 0);
    db->batch = leveldb_writebatch_create();
    db->db = leveldb_open(db->options, path, &error);
    check("open", error);
    return db;
}

static int get_leveldb(void *handle, const struct pair *pair, void *buf, size_t cap,
                       size_t *ret_len)
{
    struct leveldb *db = handle;
    char *error = NULL;
    size_t len;
    char *value = leveldb_get(db->db, db->read, pair->key, pair->key_len, &len, &error);

    check("get", error);
    if (value == NULL)
        return ENGINE_NO;
    memcpy(buf, value, len < cap ? len : cap);
    *ret_len = len;
    leveldb_free(value);
    return ENGINE_OK;
}

static int put_leveldb(void *handle, const struct pair *pair)
{
    struct leveldb *db = handle;
    char *error = NULL;

    leveldb_put(db->db, db->write, pair->key, pair->key_len, pair->value, pair->value_len, &error);
    check("put", error);
    return ENGINE_OK;
}

static int del_leveldb(void *handle, const struct pair *pair)
{
    struct leveldb *db = handle;
    char *error = NULL;

    leveldb_delete(db->db, db->write, pair->key, pair->key_len, &error);
    check("delete", error);
    return ENGINE_OK;
}

static void write_batch(struct leveldb *db)
{
    char *error = NULL;

    leveldb_write(db->db, db->write, db->batch, &error);
    check("write", error);
    leveldb_writebatch_clear(db->batch);
}

static int batch_leveldb(void *handle, const struct pair *pairs, size_t n)
{
    struct leveldb *db = handle;

    for (size_t i = 0; i < n; i++)
        leveldb_writebatch_put(db->batch, pairs[i].key, pairs[i].key_len, pairs[i].value,
                               pairs[i].value_len);
    write_batch(db);
    return ENGINE_OK;
}

static int batch_del_leveldb(void *handle, const struct pair *pairs, size_t n)
{
    struct leveldb *db = handle;

    for (size_t i = 0; i < n; i++)
        leveldb_writebatch_delete(db->batch, pairs[i].key, pairs[i].key_len);
    write_batch(db);
    return ENGINE_OK;
}

static void tour_leveldb(void *handle, struct tour *tour)
{
    struct leveldb *db = handle;
    leveldb_iterator_t *iterator = leveldb_create_iterator(db->db, db->read);
    char *error = NULL;

    for (leveldb_iter_seek_to_first(iterator); leveldb_iter_valid(iterator);
         leveldb_iter_next(iterator)) {
        size_t key_len, value_len;
        const char *key = leveldb_iter_key(iterator, &key_len);
        const char *value = leveldb_iter_value(iterator, &value_len);

        tour_add(tour, key, key_len, value, value_len);
    }
    leveldb_iter_get_error(iterator, &error);
    check("iterate", error);
    leveldb_iter_destroy(iterator);
}

static void compact_leveldb(void *handle)
{
    struct leveldb *db = handle;

    leveldb_compact_range(db->db, NULL, 0, NULL, 0);
}

static void close_leveldb(void *handle)
{
    struct leveldb *db = handle;

    leveldb_close(db->db);
    leveldb_options_destroy(db->options);
    leveldb_cache_destroy(db->cache);
    leveldb_filterpolicy_destroy(db->filter);
    leveldb_readoptions_destroy(db->read);
    leveldb_writeoptions_destroy(db->write);
    leveldb_writebatch_destroy(db->batch);
    free(db);
}

static const char *version_leveldb(void)
{
    static char text[16];

    snprintf(text, sizeof text, "%d.%d", leveldb_major_version(), leveldb_minor_version());
    return text;
}

const struct engine engine_leveldb = {
    .name = "leveldb",
    .setting = "64 MiB memtable, 512 MiB cache, Bloom filter of 10 bits, no compression; one "
               "process; creates and deletes do not look whether the key is there; a killed "
               "process loses nothing",
    .durable = "sync",
    .version = version_leveldb,
    .open = open_leveldb,
    .get = get_leveldb,
    .put = put_leveldb,
    .del = del_leveldb,
    .batch = batch_leveldb,
    .batch_del = batch_del_leveldb,
    .tour = tour_leveldb,
    .compact = compact_leveldb,
    .close = close_leveldb,
};
