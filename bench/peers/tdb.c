/* SPDX-License-Identifier: MIT */
/*
 * TDB behind the operations of engine.h. Its mutexes need a database that the first opener clears,
 * so a process of its own holds it open from start to stop. The durable one has transactions
 * instead, and locks of fcntl().
 */
#include "bench/common.h"
#include "bench/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <tdb.h>
#include <unistd.h>

struct tdb {
    struct tdb_context *context;
    bool durable;
};

static void check(struct tdb_context *context, const char *operation, int rc)
{
    if (rc != 0)
        bench_fail(BENCH_BROKEN, "tdb: %s: %s", operation, tdb_errorstr(context));
}

static void *open_tdb(const char *path, const struct engine_config *config)
{
    struct tdb *db = bench_alloc(1, sizeof *db);
    int flags = TDB_INCOMPATIBLE_HASH;

    db->durable = (config->flags & ENGINE_DURABLE) != 0;
    if (!db->durable)
        flags |= TDB_NOSYNC | TDB_CLEAR_IF_FIRST | TDB_MUTEX_LOCKING;
    if (!db->durable && !tdb_runtime_check_for_robust_mutexes())
        bench_fail(BENCH_BROKEN, "tdb: no robust mutexes here");
    db->context = tdb_open_ex(path, (int)config->records | 1, flags, O_RDWR | O_CREAT, 0600, NULL,
                              NULL);
    if (db->context == NULL)
        bench_fail(BENCH_BROKEN, "tdb: open: %s", strerror(errno));
    return db;
}

static void close_tdb(void *handle)
{
    struct tdb *db = handle;

    if (tdb_close(db->context) != 0)
        bench_fail(BENCH_BROKEN, "tdb: close: %s", strerror(errno));
    free(db);
}

/* ---- The holder ------------------------------------------------------------------------------ */

struct holder {
    pid_t pid;
    int release;
};

static void *start_tdb(const char *path, const struct engine_config *config)
{
    struct holder *holder = bench_alloc(1, sizeof *holder);
    int ready[2], release[2];
    char byte = 0;

    if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(release, O_CLOEXEC) != 0 ||
        (holder->pid = fork()) < 0)
        bench_fail(BENCH_BROKEN, "cannot start a process: %s", strerror(errno));
    if (holder->pid == 0) {
        void *db;

        bench_follow_parent();
        close(ready[0]);
        close(release[1]);
        db = open_tdb(path, config);
        if (write(ready[1], &byte, 1) != 1 || read(release[0], &byte, 1) != 0)
            _exit(BENCH_BROKEN);
        close_tdb(db);
        _exit(0);
    }
    close(ready[1]);
    close(release[0]);
    if (read(ready[0], &byte, 1) != 1)
        bench_fail(BENCH_BROKEN, "tdb: the process that should hold the database open died");
    close(ready[0]);
    holder->release = release[1];
    return holder;
}

static void stop_tdb(void *server)
{
    struct holder *holder = server;

    close(holder->release);
    kill(holder->pid, SIGTERM); /* workers may have copies of the pipe */
    waitpid(holder->pid, NULL, 0);
    free(holder);
}

/* ---- Operations ------------------------------------------------------------------------------ */

static TDB_DATA bytes(const void *data, size_t len)
{
    return (TDB_DATA){.dptr = (unsigned char *)(uintptr_t)data, .dsize = len};
}

struct copy {
    void *buf;
    size_t cap;
    size_t len;
};

static int copy_value(TDB_DATA key, TDB_DATA value, void *arg)
{
    struct copy *copy = arg;

    (void)key;
    memcpy(copy->buf, value.dptr, value.dsize < copy->cap ? value.dsize : copy->cap);
    copy->len = value.dsize;
    return 0;
}

static int get_tdb(void *handle, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    struct tdb *db = handle;
    struct copy copy = {buf, cap, 0};

    if (tdb_parse_record(db->context, bytes(pair->key, pair->key_len), copy_value, &copy) != 0) {
        if (tdb_error(db->context) == TDB_ERR_NOEXIST)
            return ENGINE_NO;
        check(db->context, "parse record", -1);
    }
    *ret_len = copy.len;
    return ENGINE_OK;
}

static void begin(struct tdb *db)
{
    if (db->durable)
        check(db->context, "begin", tdb_transaction_start(db->context));
}

static void commit(struct tdb *db)
{
    if (db->durable)
        check(db->context, "commit", tdb_transaction_commit(db->context));
}

static int store_one(struct tdb *db, const struct pair *pair, int flag)
{
    if (tdb_store(db->context, bytes(pair->key, pair->key_len), bytes(pair->value, pair->value_len),
                  flag) == 0)
        return ENGINE_OK;
    if (tdb_error(db->context) != TDB_ERR_EXISTS)
        check(db->context, "store", -1);
    return ENGINE_NO;
}

static int delete_one(struct tdb *db, const struct pair *pair)
{
    if (tdb_delete(db->context, bytes(pair->key, pair->key_len)) == 0)
        return ENGINE_OK;
    if (tdb_error(db->context) != TDB_ERR_NOEXIST)
        check(db->context, "delete", -1);
    return ENGINE_NO;
}

static int create_tdb(void *db, const struct pair *pair)
{
    int rc;

    begin(db);
    rc = store_one(db, pair, TDB_INSERT);
    commit(db);
    return rc;
}

static int put_tdb(void *db, const struct pair *pair)
{
    begin(db);
    store_one(db, pair, TDB_REPLACE);
    commit(db);
    return ENGINE_OK;
}

static int del_tdb(void *db, const struct pair *pair)
{
    int rc;

    begin(db);
    rc = delete_one(db, pair);
    commit(db);
    return rc;
}

static int batch_tdb(void *db, const struct pair *pairs, size_t n)
{
    begin(db);
    for (size_t i = 0; i < n; i++)
        store_one(db, &pairs[i], TDB_REPLACE);
    commit(db);
    return ENGINE_OK;
}

static int batch_del_tdb(void *db, const struct pair *pairs, size_t n)
{
    begin(db);
    for (size_t i = 0; i < n; i++)
        delete_one(db, &pairs[i]);
    commit(db);
    return ENGINE_OK;
}

static int tour_one(struct tdb_context *context, TDB_DATA key, TDB_DATA value, void *arg)
{
    (void)context;
    tour_add(arg, key.dptr, key.dsize, value.dptr, value.dsize);
    return 0;
}

static void tour_tdb(void *handle, struct tour *tour)
{
    struct tdb *db = handle;

    if (tdb_traverse_read(db->context, tour_one, tour) < 0)
        check(db->context, "traverse", -1);
}

static void compact_tdb(void *handle)
{
    struct tdb *db = handle;

    check(db->context, "repack", tdb_repack(db->context));
}

static const char *version_tdb(void)
{
    return BENCH_TDB;
}

const struct engine engine_tdb = {
    .name = "tdb",
    .setting = "MUTEX_LOCKING, CLEAR_IF_FIRST (which those need: the first opener empties it), "
               "NOSYNC, INCOMPATIBLE_HASH, a chain per expected record; a kill in a write corrupts",
    .durable = "a transaction per put; locks of fcntl()",
    .traits = ENGINE_SHARED | ENGINE_READERS | ENGINE_VOLATILE,
    .version = version_tdb,
    .start = start_tdb,
    .stop = stop_tdb,
    .open = open_tdb,
    .get = get_tdb,
    .create = create_tdb,
    .put = put_tdb,
    .del = del_tdb,
    .batch = batch_tdb,
    .batch_del = batch_del_tdb,
    .tour = tour_tdb,
    .compact = compact_tdb,
    .close = close_tdb,
};
