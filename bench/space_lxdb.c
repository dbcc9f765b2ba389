/* SPDX-License-Identifier: MIT */
/* lxdb, with sync none; what is held is an iterator. */
#include "bench/space_store.h"

#include "bench/common.h"

#include <lxdb.h>
#include <stdlib.h>
#include <string.h>

struct store {
    lxdb *db;
    lxdb_iter *iter;
};

static void check(const char *operation, int rc)
{
    if (rc != LXDB_OK)
        bench_fail(BENCH_BROKEN, "lxdb: %s: %s: %s", operation, lxdb_strerror(rc),
                   lxdb_errmsg(NULL));
}

/* The floor is scaled down with the data, which is small here, so that it does not hide what is to
 * be seen. */
static void *open_store(const char *path, uint64_t live, uint64_t most)
{
    lxdb_options options = {.size = sizeof options, .compact_floor = live};
    struct store *store = bench_alloc(1, sizeof *store);

    (void)most;
    check("open", lxdb_open(path, &options, &store->db));
    return store;
}

static int put(void *handle, uint64_t key, const void *value, size_t len)
{
    struct store *store = handle;
    int rc = lxdb_write(store->db, &key, sizeof key, value, len);

    if (rc == LXDB_BUSY || rc == LXDB_NOSPACE)
        return SPACE_REFUSED;
    check("write", rc);
    return SPACE_OK;
}

static uint64_t pass_of(const void *value, size_t len)
{
    uint64_t pass = 0;

    if (len < sizeof pass)
        bench_fail(BENCH_WRONG, "lxdb: a value of %zu bytes", len);
    memcpy(&pass, value, sizeof pass);
    return pass;
}

static uint64_t read_pass(void *handle, uint64_t key)
{
    struct store *store = handle;
    uint64_t pass;
    void *value;
    size_t len;

    check("read", lxdb_read_alloc(store->db, &key, sizeof key, &value, &len));
    pass = pass_of(value, len);
    lxdb_free(value);
    return pass;
}

static uint64_t look(void *handle)
{
    struct store *store = handle;
    const void *key, *value;
    size_t key_len, len;

    check("next", lxdb_iter_next(store->iter, &key, &key_len, &value, &len));
    return pass_of(value, len);
}

static void hold(void *handle)
{
    struct store *store = handle;

    check("iterate", lxdb_iter_open(store->db, NULL, 0, 0, &store->iter));
    (void)look(store);
}

static void release(void *handle)
{
    struct store *store = handle;

    lxdb_iter_close(store->iter);
}

static void close_store(void *handle)
{
    struct store *store = handle;

    check("close", lxdb_close(store->db));
    free(store);
}

const struct space_store space_lxdb = {
    .name = "lxdb",
    .setting = "an iterator is held; compact_floor as large as the live data",
    .open = open_store,
    .put = put,
    .read = read_pass,
    .hold = hold,
    .look = look,
    .release = release,
    .close = close_store,
};
