/* SPDX-License-Identifier: MIT */
/* WiredTiger behind the operations of engine.h: a B-tree with a log, cursors kept. One process. */
#include "bench/common.h"
#include "bench/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <wiredtiger.h>

#define TABLE "table:pairs"

struct wiredtiger {
    WT_CONNECTION *connection;
    WT_SESSION *session;
    WT_CURSOR *upsert; /* overwrites, and reads */
    WT_CURSOR *strict; /* says whether a key was there */
};

static void check(const char *operation, int rc)
{
    if (rc != 0)
        bench_fail(BENCH_BROKEN, "wiredtiger: %s: %s", operation, wiredtiger_strerror(rc));
}

static void *open_wiredtiger(const char *path, const struct engine_config *config)
{
    struct wiredtiger *db = bench_alloc(1, sizeof *db);
    char *settings = bench_text("create,cache_size=%zuM,log=(enabled,file_max=64MB),"
                                "transaction_sync=(enabled,method=%s)",
                                128 + config->records / 1000 * 2 / 3,
                                config->flags & ENGINE_DURABLE ? "fsync" : "none");

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        bench_fail(BENCH_BROKEN, "wiredtiger: %s: %s", path, strerror(errno));
    check("open", wiredtiger_open(path, NULL, settings, &db->connection));
    free(settings);
    check("open session", db->connection->open_session(db->connection, NULL, NULL, &db->session));
    check("create table", db->session->create(db->session, TABLE, "key_format=u,value_format=u"));
    check("open cursor", db->session->open_cursor(db->session, TABLE, NULL, NULL, &db->upsert));
    check("open cursor",
          db->session->open_cursor(db->session, TABLE, NULL, "overwrite=false", &db->strict));
    return db;
}

static void set_key(WT_CURSOR *cursor, const struct pair *pair)
{
    WT_ITEM key = {.data = pair->key, .size = pair->key_len};

    cursor->set_key(cursor, &key);
}

static void set_pair(WT_CURSOR *cursor, const struct pair *pair)
{
    WT_ITEM value = {.data = pair->value, .size = pair->value_len};

    set_key(cursor, pair);
    cursor->set_value(cursor, &value);
}

static int get_wiredtiger(void *handle, const struct pair *pair, void *buf, size_t cap,
                          size_t *ret_len)
{
    struct wiredtiger *db = handle;
    WT_CURSOR *cursor = db->upsert;
    WT_ITEM value;
    int rc;

    set_key(cursor, pair);
    rc = cursor->search(cursor);
    if (rc == WT_NOTFOUND)
        return ENGINE_NO;
    check("search", rc);
    check("get value", cursor->get_value(cursor, &value));
    memcpy(buf, value.data, value.size < cap ? value.size : cap);
    *ret_len = value.size;
    check("reset", cursor->reset(cursor));
    return ENGINE_OK;
}

static int create_wiredtiger(void *handle, const struct pair *pair)
{
    struct wiredtiger *db = handle;
    int rc;

    set_pair(db->strict, pair);
    rc = db->strict->insert(db->strict);
    if (rc == WT_DUPLICATE_KEY)
        return ENGINE_NO;
    check("insert", rc);
    return ENGINE_OK;
}

static int put_wiredtiger(void *handle, const struct pair *pair)
{
    struct wiredtiger *db = handle;

    set_pair(db->upsert, pair);
    check("insert", db->upsert->insert(db->upsert));
    return ENGINE_OK;
}

static int del_wiredtiger(void *handle, const struct pair *pair)
{
    struct wiredtiger *db = handle;
    int rc;

    set_key(db->strict, pair);
    rc = db->strict->remove(db->strict);
    if (rc == WT_NOTFOUND)
        return ENGINE_NO;
    check("remove", rc);
    check("reset", db->strict->reset(db->strict));
    return ENGINE_OK;
}

static int batch(struct wiredtiger *db, int (*one)(void *, const struct pair *),
                 const struct pair *pairs, size_t n)
{
    check("begin", db->session->begin_transaction(db->session, NULL));
    for (size_t i = 0; i < n; i++)
        one(db, &pairs[i]);
    check("commit", db->session->commit_transaction(db->session, NULL));
    return ENGINE_OK;
}

static int batch_wiredtiger(void *db, const struct pair *pairs, size_t n)
{
    return batch(db, put_wiredtiger, pairs, n);
}

static int batch_del_wiredtiger(void *db, const struct pair *pairs, size_t n)
{
    return batch(db, del_wiredtiger, pairs, n);
}

static void tour_wiredtiger(void *handle, struct tour *tour)
{
    struct wiredtiger *db = handle;
    WT_CURSOR *cursor = db->upsert;
    int rc;

    check("reset", cursor->reset(cursor));
    while ((rc = cursor->next(cursor)) == 0) {
        WT_ITEM key, value;

        check("get key", cursor->get_key(cursor, &key));
        check("get value", cursor->get_value(cursor, &value));
        tour_add(tour, key.data, key.size, value.data, value.size);
    }
    if (rc != WT_NOTFOUND)
        check("next", rc);
    check("reset", cursor->reset(cursor));
}

static void compact_wiredtiger(void *handle)
{
    struct wiredtiger *db = handle;

    check("compact", db->session->compact(db->session, TABLE, NULL));
}

static void close_wiredtiger(void *handle)
{
    struct wiredtiger *db = handle;

    check("close", db->connection->close(db->connection, NULL));
    free(db);
}

static const char *version_wiredtiger(void)
{
    static char text[32];
    int major, minor, patch;

    wiredtiger_version(&major, &minor, &patch);
    snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
    return text;
}

const struct engine engine_wiredtiger = {
    .name = "wiredtiger",
    .setting =
        "B-tree that fits into its cache, log written at each commit, in files of 64 MB that "
        "are allocated ahead; one process; a killed process loses nothing",
    .durable = "transaction_sync with fsync",
    .version = version_wiredtiger,
    .open = open_wiredtiger,
    .get = get_wiredtiger,
    .create = create_wiredtiger,
    .put = put_wiredtiger,
    .del = del_wiredtiger,
    .batch = batch_wiredtiger,
    .batch_del = batch_del_wiredtiger,
    .tour = tour_wiredtiger,
    .compact = compact_wiredtiger,
    .close = close_wiredtiger,
};
