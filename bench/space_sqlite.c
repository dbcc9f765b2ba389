/* SPDX-License-Identifier: MIT */
/* SQLite, with a write-ahead log and automatic checkpoints; what is held is a read transaction. */
#include "bench/space_store.h"

#include "bench/common.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 10000 /* as lxdb has by default */

struct store {
    sqlite3 *db;
    sqlite3_stmt *insert, *select;
};

static void check(const struct store *store, const char *operation, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        bench_fail(BENCH_BROKEN, "sqlite: %s: %s", operation,
                   store->db != NULL ? sqlite3_errmsg(store->db) : sqlite3_errstr(rc));
}

static void run(const struct store *store, const char *text)
{
    check(store, text, sqlite3_exec(store->db, text, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(const struct store *store, const char *text)
{
    sqlite3_stmt *statement;

    check(store, text, sqlite3_prepare_v2(store->db, text, -1, &statement, NULL));
    return statement;
}

static void *open_store(const char *path, uint64_t live, uint64_t most)
{
    struct store *store = bench_alloc(1, sizeof *store);

    (void)live;
    (void)most;
    check(store, "open", sqlite3_open(path, &store->db));
    check(store, "busy timeout", sqlite3_busy_timeout(store->db, BUSY_MS));
    run(store, "PRAGMA journal_mode = WAL");
    run(store, "PRAGMA synchronous = NORMAL");
    run(store, "CREATE TABLE IF NOT EXISTS store (key INTEGER PRIMARY KEY, value BLOB)");
    store->insert = prepare(store, "INSERT OR REPLACE INTO store VALUES (?, ?)");
    store->select = prepare(store, "SELECT value FROM store WHERE key = ?");
    return store;
}

static int put(void *handle, uint64_t key, const void *value, size_t len)
{
    struct store *store = handle;
    int rc;

    check(store, "bind", sqlite3_bind_int64(store->insert, 1, (sqlite3_int64)key));
    check(store, "bind", sqlite3_bind_blob(store->insert, 2, value, (int)len, SQLITE_STATIC));
    rc = sqlite3_step(store->insert);
    (void)sqlite3_reset(store->insert);
    if (rc == SQLITE_BUSY || rc == SQLITE_FULL)
        return SPACE_REFUSED;
    check(store, "insert", rc);
    return SPACE_OK;
}

static uint64_t read_pass(void *handle, uint64_t key)
{
    struct store *store = handle;
    uint64_t pass = 0;
    int rc;

    check(store, "bind", sqlite3_bind_int64(store->select, 1, (sqlite3_int64)key));
    rc = sqlite3_step(store->select);
    check(store, "select", rc);
    if (rc != SQLITE_ROW || sqlite3_column_bytes(store->select, 0) < (int)sizeof pass)
        bench_fail(BENCH_WRONG, "sqlite: no value");
    memcpy(&pass, sqlite3_column_blob(store->select, 0), sizeof pass);
    (void)sqlite3_reset(store->select);
    return pass;
}

static uint64_t look(void *handle)
{
    return read_pass(handle, 1);
}

/* The transaction begins with its first read. */
static void hold(void *handle)
{
    run(handle, "BEGIN");
    (void)look(handle);
}

static void release(void *handle)
{
    run(handle, "COMMIT");
}

static void close_store(void *handle)
{
    struct store *store = handle;

    (void)sqlite3_finalize(store->insert);
    (void)sqlite3_finalize(store->select);
    check(store, "close", sqlite3_close(store->db));
    free(store);
}

const struct space_store space_sqlite = {
    .name = "SQLite",
    .setting = "a read transaction is held; WAL, synchronous NORMAL, automatic checkpoints",
    .open = open_store,
    .put = put,
    .read = read_pass,
    .hold = hold,
    .look = look,
    .release = release,
    .close = close_store,
};
