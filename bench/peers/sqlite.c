/* SPDX-License-Identifier: MIT */
/* SQLite behind the operations of engine.h: a write-ahead log, and statements prepared once. */
#include "bench/common.h"
#include "bench/engine.h"

#include <sqlite3.h>
#include <stdlib.h>

enum { GET, CREATE, PUT, DEL, ALL, COUNT, BEGIN, COMMIT, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [GET] = "SELECT value FROM pairs WHERE key = ?1",
    [CREATE] = "INSERT INTO pairs VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    [PUT] = "INSERT INTO pairs VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
    [DEL] = "DELETE FROM pairs WHERE key = ?1",
    [ALL] = "SELECT key, value FROM pairs",
    [COUNT] = "SELECT count(*) FROM pairs",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
};

struct sqlite {
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENTS];
};

static noreturn void refuse(struct sqlite *db, const char *operation)
{
    bench_fail(BENCH_BROKEN, "sqlite: %s: %s", operation, sqlite3_errmsg(db->db));
}

static void execute(struct sqlite *db, const char *text)
{
    if (sqlite3_exec(db->db, text, NULL, NULL, NULL) != SQLITE_OK)
        refuse(db, text);
}

static void *open_sqlite(const char *path, const struct engine_config *config)
{
    struct sqlite *db = bench_alloc(1, sizeof *db);

    if (sqlite3_open(path, &db->db) != SQLITE_OK)
        refuse(db, "open");
    sqlite3_busy_timeout(db->db, 60000);
    execute(db, "PRAGMA journal_mode = wal");
    execute(db, config->flags & ENGINE_DURABLE ? "PRAGMA synchronous = full"
                                               : "PRAGMA synchronous = off");
    execute(db, "PRAGMA cache_size = -262144");
    execute(db, "PRAGMA mmap_size = 4294967296");
    execute(db, "PRAGMA wal_autocheckpoint = 10000");
    execute(db, "CREATE TABLE IF NOT EXISTS pairs (key BLOB PRIMARY KEY, value BLOB NOT NULL) "
                "WITHOUT ROWID");
    for (int i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(db->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statement[i],
                               NULL) != SQLITE_OK)
            refuse(db, sql[i]);
    return db;
}

static sqlite3_stmt *bind_key(struct sqlite *db, int which, const struct pair *pair)
{
    sqlite3_bind_blob(db->statement[which], 1, pair->key, (int)pair->key_len, SQLITE_STATIC);
    return db->statement[which];
}

/* Run a statement without rows, and return how many records it changed. */
static int run(struct sqlite *db, int which, const struct pair *pair)
{
    sqlite3_stmt *statement = db->statement[which];

    if (pair != NULL)
        bind_key(db, which, pair);
    if (which == CREATE || which == PUT)
        sqlite3_bind_blob(statement, 2, pair->value, (int)pair->value_len, SQLITE_STATIC);
    if (sqlite3_step(statement) != SQLITE_DONE)
        refuse(db, sql[which]);
    sqlite3_reset(statement);
    return sqlite3_changes(db->db);
}

static int get_sqlite(void *handle, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    struct sqlite *db = handle;
    sqlite3_stmt *statement = bind_key(db, GET, pair);
    int rc = sqlite3_step(statement);

    if (rc == SQLITE_ROW) {
        const void *value = sqlite3_column_blob(statement, 0);
        size_t len = (size_t)sqlite3_column_bytes(statement, 0);

        memcpy(buf, value, len < cap ? len : cap);
        *ret_len = len;
    } else if (rc != SQLITE_DONE) {
        refuse(db, sql[GET]);
    }
    sqlite3_reset(statement);
    return rc == SQLITE_ROW ? ENGINE_OK : ENGINE_NO;
}

static int create_sqlite(void *db, const struct pair *pair)
{
    return run(db, CREATE, pair) == 1 ? ENGINE_OK : ENGINE_NO;
}

static int put_sqlite(void *db, const struct pair *pair)
{
    run(db, PUT, pair);
    return ENGINE_OK;
}

static int del_sqlite(void *db, const struct pair *pair)
{
    return run(db, DEL, pair) == 1 ? ENGINE_OK : ENGINE_NO;
}

static int batch(struct sqlite *db, int which, const struct pair *pairs, size_t n)
{
    run(db, BEGIN, NULL);
    for (size_t i = 0; i < n; i++)
        run(db, which, &pairs[i]);
    run(db, COMMIT, NULL);
    return ENGINE_OK;
}

static int batch_sqlite(void *db, const struct pair *pairs, size_t n)
{
    return batch(db, PUT, pairs, n);
}

static int batch_del_sqlite(void *db, const struct pair *pairs, size_t n)
{
    return batch(db, DEL, pairs, n);
}

static void tour_sqlite(void *handle, struct tour *tour)
{
    struct sqlite *db = handle;
    sqlite3_stmt *statement = db->statement[ALL];
    int rc;

    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const void *key = sqlite3_column_blob(statement, 0);
        const void *value = sqlite3_column_blob(statement, 1);

        tour_add(tour, key, (size_t)sqlite3_column_bytes(statement, 0), value,
                 (size_t)sqlite3_column_bytes(statement, 1));
    }
    if (rc != SQLITE_DONE)
        refuse(db, sql[ALL]);
    sqlite3_reset(statement);
}

static uint64_t count_sqlite(void *handle)
{
    struct sqlite *db = handle;
    sqlite3_stmt *statement = db->statement[COUNT];
    uint64_t count;

    if (sqlite3_step(statement) != SQLITE_ROW)
        refuse(db, sql[COUNT]);
    count = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return count;
}

static void compact_sqlite(void *db)
{
    execute(db, "VACUUM");
}

static void close_sqlite(void *handle)
{
    struct sqlite *db = handle;

    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(db->statement[i]);
    if (sqlite3_close(db->db) != SQLITE_OK)
        refuse(db, "close");
    free(db);
}

const struct engine engine_sqlite = {
    .name = "sqlite",
    .setting = "journal_mode WAL, synchronous OFF, WITHOUT ROWID, prepared statements, 256 MiB "
               "cache, mmap_size 4 GiB, checkpoint each 10,000 pages; a killed process loses "
               "nothing",
    .durable = "synchronous FULL",
    .traits = ENGINE_SHARED | ENGINE_READERS,
    .version = sqlite3_libversion,
    .open = open_sqlite,
    .get = get_sqlite,
    .create = create_sqlite,
    .put = put_sqlite,
    .del = del_sqlite,
    .batch = batch_sqlite,
    .batch_del = batch_del_sqlite,
    .tour = tour_sqlite,
    .count = count_sqlite,
    .compact = compact_sqlite,
    .close = close_sqlite,
};
