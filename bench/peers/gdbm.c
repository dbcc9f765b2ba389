/* SPDX-License-Identifier: MIT */
/* GDBM behind the operations of engine.h. One process, or readers. */
#include "bench/common.h"
#include "bench/engine.h"

#include <gdbm.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct gdbm {
    GDBM_FILE file;
    bool durable;
};

static noreturn void refuse(const struct gdbm *gdbm, const char *operation)
{
    bench_fail(BENCH_BROKEN, "gdbm: %s: %s", operation,
               gdbm->file != NULL ? gdbm_db_strerror(gdbm->file) : gdbm_strerror(gdbm_errno));
}

static void check(const struct gdbm *gdbm, const char *operation, int rc)
{
    if (rc != 0)
        refuse(gdbm, operation);
}

static void *open_gdbm(const char *path, const struct engine_config *config)
{
    struct gdbm *gdbm = bench_alloc(1, sizeof *gdbm);
    int automatic = 1;

    gdbm->durable = (config->flags & ENGINE_DURABLE) != 0;
    gdbm->file = gdbm_open(path, 4096, config->flags & ENGINE_READER ? GDBM_READER : GDBM_WRCREAT,
                           0600, NULL);
    if (gdbm->file == NULL)
        refuse(gdbm, "open");
    check(gdbm, "set cache",
          gdbm_setopt(gdbm->file, GDBM_SETCACHEAUTO, &automatic, sizeof automatic));
    return gdbm;
}

static datum bytes(const void *data, size_t len)
{
    return (datum){.dptr = (char *)(uintptr_t)data, .dsize = (int)len};
}

static int get_gdbm(void *handle, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    const struct gdbm *gdbm = handle;
    datum value = gdbm_fetch(gdbm->file, bytes(pair->key, pair->key_len));
    size_t len = (size_t)value.dsize;

    if (value.dptr == NULL) {
        if (gdbm_errno != GDBM_ITEM_NOT_FOUND)
            refuse(gdbm, "fetch");
        return ENGINE_NO;
    }
    memcpy(buf, value.dptr, len < cap ? len : cap);
    *ret_len = len;
    free(value.dptr);
    return ENGINE_OK;
}

static void settle(const struct gdbm *gdbm)
{
    if (gdbm->durable)
        check(gdbm, "sync", gdbm_sync(gdbm->file));
}

static int store(const struct gdbm *gdbm, const struct pair *pair, int flag)
{
    int rc = gdbm_store(gdbm->file, bytes(pair->key, pair->key_len),
                        bytes(pair->value, pair->value_len), flag);

    if (rc < 0)
        refuse(gdbm, "store");
    return rc == 0 ? ENGINE_OK : ENGINE_NO;
}

static int remove_one(const struct gdbm *gdbm, const struct pair *pair)
{
    if (gdbm_delete(gdbm->file, bytes(pair->key, pair->key_len)) == 0)
        return ENGINE_OK;
    if (gdbm_errno != GDBM_ITEM_NOT_FOUND)
        refuse(gdbm, "delete");
    return ENGINE_NO;
}

static int create_gdbm(void *handle, const struct pair *pair)
{
    int rc = store(handle, pair, GDBM_INSERT);

    settle(handle);
    return rc;
}

static int put_gdbm(void *handle, const struct pair *pair)
{
    store(handle, pair, GDBM_REPLACE);
    settle(handle);
    return ENGINE_OK;
}

static int del_gdbm(void *handle, const struct pair *pair)
{
    int rc = remove_one(handle, pair);

    settle(handle);
    return rc;
}

static int batch_gdbm(void *handle, const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store(handle, &pairs[i], GDBM_REPLACE);
    settle(handle);
    return ENGINE_OK;
}

static int batch_del_gdbm(void *handle, const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        remove_one(handle, &pairs[i]);
    settle(handle);
    return ENGINE_OK;
}

static void tour_gdbm(void *handle, struct tour *tour)
{
    const struct gdbm *gdbm = handle;
    datum key = gdbm_firstkey(gdbm->file);

    while (key.dptr != NULL) {
        datum value = gdbm_fetch(gdbm->file, key);
        datum next = gdbm_nextkey(gdbm->file, key);

        if (value.dptr == NULL)
            refuse(gdbm, "fetch");
        tour_add(tour, key.dptr, (size_t)key.dsize, value.dptr, (size_t)value.dsize);
        free(value.dptr);
        free(key.dptr);
        key = next;
    }
    if (gdbm_errno != GDBM_ITEM_NOT_FOUND)
        refuse(gdbm, "next key");
}

static uint64_t count_gdbm(void *handle)
{
    const struct gdbm *gdbm = handle;
    gdbm_count_t count;

    check(gdbm, "count", gdbm_count(gdbm->file, &count));
    return count;
}

static void compact_gdbm(void *handle)
{
    const struct gdbm *gdbm = handle;

    check(gdbm, "reorganize", gdbm_reorganize(gdbm->file));
}

static void close_gdbm(void *handle)
{
    struct gdbm *gdbm = handle;

    if (gdbm_close(gdbm->file) != 0)
        bench_fail(BENCH_BROKEN, "gdbm: close: %s", gdbm_strerror(gdbm_errno));
    free(gdbm);
}

static const char *version_gdbm(void)
{
    static char text[32];

    snprintf(text, sizeof text, "%d.%d", GDBM_VERSION_MAJOR, GDBM_VERSION_MINOR);
    return text;
}

const struct engine engine_gdbm = {
    .name = "gdbm",
    .setting = "blocks of 4 KiB, mapped, a cache of buckets that grows by itself; one process "
               "writes, or several read; batches are not atomic; a kill in a write corrupts",
    .durable = "gdbm_sync() after each put",
    .traits = ENGINE_READERS,
    .version = version_gdbm,
    .open = open_gdbm,
    .get = get_gdbm,
    .create = create_gdbm,
    .put = put_gdbm,
    .del = del_gdbm,
    .batch = batch_gdbm,
    .batch_del = batch_del_gdbm,
    .tour = tour_gdbm,
    .count = count_gdbm,
    .compact = compact_gdbm,
    .close = close_gdbm,
};
