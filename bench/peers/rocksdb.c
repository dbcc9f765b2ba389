/* SPDX-License-Identifier: MIT */
/*
 * RocksDB behind the operations of engine.h. One process writes, or several read; puts and deletes
 * do not look first.
 */
#include "bench/common.h"
#include "bench/engine.h"

#include <rocksdb/c.h>
#include <stdlib.h>

struct rocksdb {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    rocksdb_writebatch_t *batch;
};

static void check(const char *operation, const char *error)
{
    if (error != NULL)
        bench_fail(BENCH_BROKEN, "rocksdb: %s: %s", operation, error);
}

static void *open_rocksdb(const char *path, const struct engine_config *config)
{
    struct rocksdb *db = bench_alloc(1, sizeof *db);
    char *error = NULL;

    db->cache = rocksdb_cache_create_lru((size_t)512 << 20);
    db->table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(db->table, db->cache);
    rocksdb_block_based_options_set_filter_policy(db->table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_data_block_index_type(
        db->table, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
    db->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(db->options, 1);
    rocksdb_options_set_compression(db->options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(db->options, (size_t)64 << 20);
    rocksdb_options_set_allow_mmap_reads(db->options, 1);
    rocksdb_options_set_block_based_table_factory(db->options, db->table);
    db->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(db->read, 0);
    db->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(db->write, (config->flags & ENGINE_DURABLE) != 0);
    db->batch = rocksdb_writebatch_create();
    if (config->flags & ENGINE_READER)
        db->db = rocksdb_open_for_read_only(db->options, path, 0, &error);
    else
        db->db = rocksdb_open(db->options, path, &error);
    check("open", error);
    return db;
}

static int get_rocksdb(void *handle, const struct pair *pair, void *buf, size_t cap,
                       size_t *ret_len)
{
    struct rocksdb *db = handle;
    char *error = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned(db->db, db->read, pair->key, pair->key_len,
                                                        &error);
    const char *value;
    size_t len;

    check("get", error);
    if (slice == NULL)
        return ENGINE_NO;
    value = rocksdb_pinnableslice_value(slice, &len);
    memcpy(buf, value, len < cap ? len : cap);
    *ret_len = len;
    rocksdb_pinnableslice_destroy(slice);
    return ENGINE_OK;
}

static int put_rocksdb(void *handle, const struct pair *pair)
{
    struct rocksdb *db = handle;
    char *error = NULL;

    rocksdb_put(db->db, db->write, pair->key, pair->key_len, pair->value, pair->value_len, &error);
    check("put", error);
    return ENGINE_OK;
}

static int del_rocksdb(void *handle, const struct pair *pair)
{
    struct rocksdb *db = handle;
    char *error = NULL;

    rocksdb_delete(db->db, db->write, pair->key, pair->key_len, &error);
    check("delete", error);
    return ENGINE_OK;
}

static void write_batch(struct rocksdb *db)
{
    char *error = NULL;

    rocksdb_write(db->db, db->write, db->batch, &error);
    check("write", error);
    rocksdb_writebatch_clear(db->batch);
}

static int batch_rocksdb(void *handle, const struct pair *pairs, size_t n)
{
    struct rocksdb *db = handle;

    for (size_t i = 0; i < n; i++)
        rocksdb_writebatch_put(db->batch, pairs[i].key, pairs[i].key_len, pairs[i].value,
                               pairs[i].value_len);
    write_batch(db);
    return ENGINE_OK;
}

static int batch_del_rocksdb(void *handle, const struct pair *pairs, size_t n)
{
    struct rocksdb *db = handle;

    for (size_t i = 0; i < n; i++)
        rocksdb_writebatch_delete(db->batch, pairs[i].key, pairs[i].key_len);
    write_batch(db);
    return ENGINE_OK;
}

static void tour_rocksdb(void *handle, struct tour *tour)
{
    struct rocksdb *db = handle;
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(db->db, db->read);
    char *error = NULL;

    for (rocksdb_iter_seek_to_first(iterator); rocksdb_iter_valid(iterator);
         rocksdb_iter_next(iterator)) {
        size_t key_len, value_len;
        const char *key = rocksdb_iter_key(iterator, &key_len);
        const char *value = rocksdb_iter_value(iterator, &value_len);

        tour_add(tour, key, key_len, value, value_len);
    }
    rocksdb_iter_get_error(iterator, &error);
    check("iterate", error);
    rocksdb_iter_destroy(iterator);
}

static void compact_rocksdb(void *handle)
{
    struct rocksdb *db = handle;

    rocksdb_compact_range(db->db, NULL, 0, NULL, 0);
}

static void close_rocksdb(void *handle)
{
    struct rocksdb *db = handle;

    rocksdb_close(db->db);
    rocksdb_writebatch_destroy(db->batch);
    rocksdb_writeoptions_destroy(db->write);
    rocksdb_readoptions_destroy(db->read);
    rocksdb_options_destroy(db->options);
    rocksdb_block_based_options_destroy(db->table);
    rocksdb_cache_destroy(db->cache);
    free(db);
}

static const char *version_rocksdb(void)
{
    return BENCH_ROCKSDB;
}

const struct engine engine_rocksdb = {
    .name = "rocksdb",
    .setting = "64 MiB memtable, 512 MiB cache, Bloom filter of 10 bits, hash index in blocks, "
               "mapped reads, no compression, no checks of sums at reads; one process writes, or "
               "several read; creates and deletes do not look whether the key is there; a killed "
               "process loses nothing",
    .durable = "sync",
    .traits = ENGINE_READERS,
    .version = version_rocksdb,
    .open = open_rocksdb,
    .get = get_rocksdb,
    .put = put_rocksdb,
    .del = del_rocksdb,
    .batch = batch_rocksdb,
    .batch_del = batch_del_rocksdb,
    .tour = tour_rocksdb,
    .compact = compact_rocksdb,
    .close = close_rocksdb,
};
