/* SPDX-License-Identifier: MIT */
/* The hash database of Tkrzw behind the operations of engine.h. One process, or readers. */
#include "bench/common.h"
#include "bench/engine.h"

#include <stdbool.h>
#include <stdlib.h>
#include <tkrzw_langc.h>

struct tkrzw {
    TkrzwDBM *db;
    bool durable;
};

static noreturn void refuse(const char *operation)
{
    bench_fail(BENCH_BROKEN, "tkrzw: %s: %s", operation, tkrzw_get_last_status_message());
}

static void check(const char *operation, bool done)
{
    if (!done)
        refuse(operation);
}

/* An answer in the terms of engine.h, if `no` is the status that says no. */
static int answer(const char *operation, bool done, int32_t no)
{
    if (done)
        return ENGINE_OK;
    if (tkrzw_get_last_status_code() != no)
        refuse(operation);
    return ENGINE_NO;
}

static void *open_tkrzw(const char *path, const struct engine_config *config)
{
    struct tkrzw *tkrzw = bench_alloc(1, sizeof *tkrzw);
    char *settings = bench_text("dbm=HashDBM,file=MemoryMapParallelFile,num_buckets=%zu",
                                2 * config->records);

    tkrzw->durable = (config->flags & ENGINE_DURABLE) != 0;
    tkrzw->db = tkrzw_dbm_open(path, (config->flags & ENGINE_READER) == 0, settings);
    check("open", tkrzw->db != NULL);
    free(settings);
    return tkrzw;
}

static int32_t size_of(size_t len)
{
    return (int32_t)len;
}

struct copy {
    char *buf;
    size_t cap;
    size_t len;
    bool found;
};

static const char *copy_value(void *arg, const char *key, int32_t key_len, const char *value,
                              int32_t value_len, int32_t *ret_len)
{
    struct copy *copy = arg;

    (void)key;
    (void)key_len;
    (void)ret_len;
    if (value != NULL) {
        copy->found = true;
        copy->len = (size_t)value_len;
        memcpy(copy->buf, value, copy->len < copy->cap ? copy->len : copy->cap);
    }
    return TKRZW_REC_PROC_NOOP;
}

static int get_tkrzw(void *handle, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    const struct tkrzw *tkrzw = handle;
    struct copy copy = {.buf = buf, .cap = cap};

    check("process", tkrzw_dbm_process(tkrzw->db, pair->key, size_of(pair->key_len), copy_value,
                                       &copy, false));
    *ret_len = copy.len;
    return copy.found ? ENGINE_OK : ENGINE_NO;
}

static void settle(const struct tkrzw *tkrzw)
{
    if (tkrzw->durable)
        check("synchronize", tkrzw_dbm_synchronize(tkrzw->db, true, NULL, NULL, ""));
}

static int set(const struct tkrzw *tkrzw, const struct pair *pair, bool overwrite)
{
    int rc = answer("set",
                    tkrzw_dbm_set(tkrzw->db, pair->key, size_of(pair->key_len), pair->value,
                                  size_of(pair->value_len), overwrite),
                    TKRZW_STATUS_DUPLICATION_ERROR);

    settle(tkrzw);
    return rc;
}

static int create_tkrzw(void *tkrzw, const struct pair *pair)
{
    return set(tkrzw, pair, false);
}

static int put_tkrzw(void *tkrzw, const struct pair *pair)
{
    return set(tkrzw, pair, true);
}

static int del_tkrzw(void *handle, const struct pair *pair)
{
    const struct tkrzw *tkrzw = handle;
    int rc = answer("remove", tkrzw_dbm_remove(tkrzw->db, pair->key, size_of(pair->key_len)),
                    TKRZW_STATUS_NOT_FOUND_ERROR);

    settle(tkrzw);
    return rc;
}

static int batch_tkrzw(void *handle, const struct pair *pairs, size_t n)
{
    const struct tkrzw *tkrzw = handle;
    TkrzwKeyValuePair *records = bench_alloc(n, sizeof *records);

    for (size_t i = 0; i < n; i++)
        records[i] = (TkrzwKeyValuePair){.key_ptr = pairs[i].key,
                                         .key_size = size_of(pairs[i].key_len),
                                         .value_ptr = pairs[i].value,
                                         .value_size = size_of(pairs[i].value_len)};
    check("set multi", tkrzw_dbm_set_multi(tkrzw->db, records, (int32_t)n, true));
    settle(tkrzw);
    free(records);
    return ENGINE_OK;
}

static int batch_del_tkrzw(void *handle, const struct pair *pairs, size_t n)
{
    const struct tkrzw *tkrzw = handle;
    TkrzwStr *keys = bench_alloc(n, sizeof *keys);

    for (size_t i = 0; i < n; i++)
        keys[i] = (TkrzwStr){.ptr = pairs[i].key, .size = size_of(pairs[i].key_len)};
    check("remove multi", tkrzw_dbm_remove_multi(tkrzw->db, keys, (int32_t)n));
    settle(tkrzw);
    free(keys);
    return ENGINE_OK;
}

/* Called without a key before the first record and after the last one. */
static const char *visit(void *arg, const char *key, int32_t key_len, const char *value,
                         int32_t value_len, int32_t *ret_len)
{
    (void)ret_len;
    if (value != NULL)
        tour_add(arg, key, (size_t)key_len, value, (size_t)value_len);
    return TKRZW_REC_PROC_NOOP;
}

static void tour_tkrzw(void *handle, struct tour *tour)
{
    const struct tkrzw *tkrzw = handle;

    check("process each", tkrzw_dbm_process_each(tkrzw->db, visit, tour, false));
}

static uint64_t count_tkrzw(void *handle)
{
    const struct tkrzw *tkrzw = handle;

    return (uint64_t)tkrzw_dbm_count(tkrzw->db);
}

static void compact_tkrzw(void *handle)
{
    const struct tkrzw *tkrzw = handle;

    check("rebuild", tkrzw_dbm_rebuild(tkrzw->db, ""));
}

static void close_tkrzw(void *handle)
{
    struct tkrzw *tkrzw = handle;

    check("close", tkrzw_dbm_close(tkrzw->db));
    free(tkrzw);
}

static const char *version_tkrzw(void)
{
    return TKRZW_PACKAGE_VERSION;
}

const struct engine engine_tkrzw = {
    .name = "tkrzw",
    .setting = "HashDBM, MemoryMapParallelFile, updates in place, two buckets per expected record; "
               "one process writes, or several read; batches are not atomic; a kill in a write "
               "corrupts",
    .durable = "hard synchronisation after each put",
    .traits = ENGINE_READERS,
    .version = version_tkrzw,
    .open = open_tkrzw,
    .get = get_tkrzw,
    .create = create_tkrzw,
    .put = put_tkrzw,
    .del = del_tkrzw,
    .batch = batch_tkrzw,
    .batch_del = batch_del_tkrzw,
    .tour = tour_tkrzw,
    .count = count_tkrzw,
    .compact = compact_tkrzw,
    .close = close_tkrzw,
};
