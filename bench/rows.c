/* SPDX-License-Identifier: MIT */
/*
 * The rows, and the database they work on. A result that is no answer (an operation that fails)
 * ends the program; an answer that is wrong fails the row's check.
 *
 * The log grows with every pass of a row. A database that has grown past FRESH_BYTES is left for a
 * fresh one before the next pass, so that no compaction starts by itself while a row is timed. A
 * fresh database is written to off the clock, since the first change of a session waits for a sync.
 */
#include "bench/rows.h"

#include "bench/common.h"

#include <cjson/cJSON.h>
#include <lxdb.h>
#include <lxdb_json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 24
#define VALUE_MAX 160
#define FRESH_BYTES (32u << 20)
/* How often a record is replaced before it is compacted. */
#define COMPACT_VERSIONS 8

/* How the value of a record is made; SAME has the size of FIRST for every record, OTHER has not. */
enum version { FIRST, SAME, OTHER, WRITTEN, TYPED, BATCHED };

struct text {
    char bytes[VALUE_MAX];
    size_t len;
};

struct record {
    char key[KEY_MAX];
    size_t key_len;
    struct text value;
    cJSON *tree; /* the value, for a row of trees; else NULL */
};

struct rows {
    const char *dir;
    unsigned databases; /* made so far */
    char *path;
    lxdb *db;
    lxdb *space; /* a namespace of it */
    size_t n;
    struct record *records; /* of one row: made before its clock starts */
    struct text *results;   /* what a row read */
    char **texts;           /* what a row got from the library */
    cJSON **trees;
    struct pair *pairs;
    size_t deleted; /* what a row's batch or clear said */
    lxdb_stat_info before;
};

/* ---- Records and calls ----------------------------------------------------------------------- */

static void make_value(struct text *value, size_t i, enum version version)
{
    static const char *const notes[] = {
        [FIRST] = "created",   [SAME] = "updated", [OTHER] = "updated with another size",
        [WRITTEN] = "written", [TYPED] = "typed",  [BATCHED] = "stored by a batch",
    };

    value->len = (size_t)snprintf(
        value->bytes, VALUE_MAX,
        "{\"id\": %zu, \"name\": \"item %zu\", \"score\": %zu.5, \"active\": %s, \"note\": \"%s\"}",
        i, i, i % 100, i % 2 != 0 ? "true" : "false", notes[version]);
}

static void name_record(struct record *record, const char *prefix, size_t i)
{
    record->key_len = (size_t)snprintf(record->key, KEY_MAX, "%s_%06zu", prefix, i);
}

/* Keys prefix_000000 and on, with values of a version. */
static void make_records(struct rows *rows, const char *prefix, enum version version)
{
    for (size_t i = 0; i < rows->n; i++) {
        name_record(&rows->records[i], prefix, i);
        make_value(&rows->records[i].value, i, version);
    }
}

static noreturn void fail_row(const char *what, int rc)
{
    bench_fail(BENCH_WRONG, "%s: %s: %s", what, lxdb_strerror(rc), lxdb_errmsg(NULL));
}

static void expect_ok(const char *what, int rc)
{
    if (rc != LXDB_OK)
        fail_row(what, rc);
}

typedef int store_call(lxdb *db, const struct record *record);

static int create(lxdb *db, const struct record *record)
{
    return lxdb_create(db, record->key, record->key_len, record->value.bytes, record->value.len);
}

static int update(lxdb *db, const struct record *record)
{
    return lxdb_update(db, record->key, record->key_len, record->value.bytes, record->value.len);
}

static int upsert(lxdb *db, const struct record *record)
{
    return lxdb_write(db, record->key, record->key_len, record->value.bytes, record->value.len);
}

static int delete (lxdb *db, const struct record *record)
{
    return lxdb_delete(db, record->key, record->key_len);
}

static int set_json(lxdb *db, const struct record *record)
{
    return lxdb_set_json(db, record->key, record->key_len, record->value.bytes, record->value.len);
}

static int set_tree(lxdb *db, const struct record *record)
{
    return lxdb_set(db, record->key, record->key_len, record->tree);
}

/* Call `store` with every record. */
static void store_all(struct rows *rows, lxdb *db, store_call *store, const char *what)
{
    for (size_t i = 0; i < rows->n; i++)
        expect_ok(what, store(db, &rows->records[i]));
}

typedef int batch_call(lxdb_batch *batch, const struct record *record);

static int batch_write(lxdb_batch *batch, const struct record *record)
{
    return lxdb_batch_write(batch, record->key, record->key_len, record->value.bytes,
                            record->value.len);
}

static int batch_create(lxdb_batch *batch, const struct record *record)
{
    return lxdb_batch_create(batch, record->key, record->key_len, record->value.bytes,
                             record->value.len);
}

static int batch_set_json(lxdb_batch *batch, const struct record *record)
{
    return lxdb_batch_set_json(batch, record->key, record->key_len, record->value.bytes,
                               record->value.len);
}

/* As a program does that has a tree: batches take text. */
static int batch_set_tree(lxdb_batch *batch, const struct record *record)
{
    char *text = cJSON_PrintUnformatted(record->tree);
    int rc = lxdb_batch_set_json(batch, record->key, record->key_len, text, strlen(text));

    cJSON_free(text);
    return rc;
}

static int batch_delete(lxdb_batch *batch, const struct record *record)
{
    return lxdb_batch_delete(batch, record->key, record->key_len);
}

/* Add every record to one batch and commit it; rows->deleted is how many keys it deleted. */
static void commit_all(struct rows *rows, lxdb *db, batch_call *add, const char *what)
{
    lxdb_batch *batch;

    expect_ok(what, lxdb_batch_begin(db, &batch));
    for (size_t i = 0; i < rows->n; i++)
        expect_ok(what, add(batch, &rows->records[i]));
    expect_ok(what, lxdb_batch_commit(batch, &rows->deleted, NULL));
}

/* Get every record as JSON text; the texts are for texts_equal(). */
static void get_texts(struct rows *rows, lxdb *db)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct record *record = &rows->records[i];

        expect_ok("get", lxdb_get_json(db, record->key, record->key_len, &rows->texts[i], NULL));
    }
}

/* Get every record as a tree; the trees are for trees_equal(). */
static void get_trees(struct rows *rows, lxdb *db)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct record *record = &rows->records[i];

        expect_ok("get", lxdb_get(db, record->key, record->key_len, &rows->trees[i]));
    }
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static bool raw_values_equal(struct rows *rows, lxdb *db)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct record *record = &rows->records[i];
        char buf[VALUE_MAX];
        size_t len;

        if (lxdb_read(db, record->key, record->key_len, buf, sizeof buf, &len) != LXDB_OK ||
            len != record->value.len || memcmp(buf, record->value.bytes, len) != 0)
            return false;
    }
    return true;
}

static bool json_values_equal(struct rows *rows, lxdb *db)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct record *record = &rows->records[i];
        char *text;
        size_t len;
        bool equal;

        if (lxdb_get_json(db, record->key, record->key_len, &text, &len) != LXDB_OK)
            return false;
        equal = len == record->value.len && memcmp(text, record->value.bytes, len) == 0;
        lxdb_free(text);
        if (!equal)
            return false;
    }
    return true;
}

/* Compare and free what get_texts() got. */
static bool texts_equal(struct rows *rows)
{
    size_t equal = 0;

    for (size_t i = 0; i < rows->n; i++) {
        equal += strcmp(rows->texts[i], rows->records[i].value.bytes) == 0;
        lxdb_free(rows->texts[i]);
        rows->texts[i] = NULL;
    }
    return equal == rows->n;
}

static bool all_gone(struct rows *rows, lxdb *db)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct record *record = &rows->records[i];

        if (lxdb_exists(db, record->key, record->key_len) != LXDB_NOTFOUND)
            return false;
    }
    return true;
}

static bool counts(lxdb *db, size_t wanted)
{
    uint64_t count;

    return lxdb_count(db, &count) == LXDB_OK && count == wanted;
}

/* Each type that is stored comes back as itself and as nothing else. */
static bool types_kept(lxdb *db)
{
    int64_t number = 0;
    double real = 0;
    char *text = NULL;
    void *bytes = NULL;
    size_t len = 0;
    int truth = 0;
    bool kept = lxdb_set_int(db, "type", 4, INT64_MIN) == LXDB_OK &&
                lxdb_get_int(db, "type", 4, &number) == LXDB_OK && number == INT64_MIN &&
                lxdb_get_str(db, "type", 4, &text, NULL) == LXDB_TYPE &&
                lxdb_set_double(db, "type", 4, 0.1) == LXDB_OK &&
                lxdb_get_double(db, "type", 4, &real) == LXDB_OK && real >= 0.1 && real <= 0.1 &&
                lxdb_get_int(db, "type", 4, &number) == LXDB_TYPE &&
                lxdb_set_bool(db, "type", 4, 1) == LXDB_OK &&
                lxdb_get_bool(db, "type", 4, &truth) == LXDB_OK && truth == 1 &&
                lxdb_set_str(db, "type", 4, "a \"b\"", 5) == LXDB_OK &&
                lxdb_get_str(db, "type", 4, &text, &len) == LXDB_OK && len == 5 &&
                memcmp(text, "a \"b\"", 5) == 0 &&
                lxdb_set_bytes(db, "type", 4, "\0x", 2) == LXDB_OK &&
                lxdb_get_int(db, "type", 4, &number) == LXDB_TYPE &&
                lxdb_get_bytes(db, "type", 4, &bytes, &len) == LXDB_OK && len == 2 &&
                memcmp(bytes, "\0x", 2) == 0 && lxdb_delete(db, "type", 4) == LXDB_OK;

    lxdb_free(text);
    lxdb_free(bytes);
    return kept;
}

/* Parse the records' values, for a row of trees. */
static void make_trees(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        struct record *record = &rows->records[i];

        record->tree = cJSON_ParseWithLength(record->value.bytes, record->value.len);
        if (record->tree == NULL)
            bench_fail(BENCH_BROKEN, "no memory for a tree");
    }
}

static void drop_trees(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        cJSON_Delete(rows->records[i].tree);
        rows->records[i].tree = NULL;
    }
}

/* Compare and free what get_trees() got. */
static bool trees_equal(struct rows *rows)
{
    size_t equal = 0;

    for (size_t i = 0; i < rows->n; i++) {
        equal += cJSON_Compare(rows->trees[i], rows->records[i].tree, true) != 0;
        cJSON_Delete(rows->trees[i]);
        rows->trees[i] = NULL;
    }
    return equal == rows->n;
}

/* ---- States to begin from -------------------------------------------------------------------- */

/* Leave the database for a fresh one, and begin a writing session on it. */
static void begin_afresh(struct rows *rows)
{
    if (rows->db != NULL) {
        expect_ok("close namespace", lxdb_close(rows->space));
        expect_ok("close", lxdb_close(rows->db));
        free(rows->path);
        bench_empty(rows->dir);
    }
    rows->path = bench_text("%s/rows-%u.lxdb", rows->dir, ++rows->databases);
    expect_ok("open", lxdb_open(rows->path, NULL, &rows->db));
    expect_ok("namespace", lxdb_namespace(rows->db, "agent", &rows->space));
    expect_ok("first write", lxdb_write(rows->db, "session", 7, "", 0));
    expect_ok("first delete", lxdb_delete(rows->db, "session", 7));
}

static void begin_empty(struct rows *rows)
{
    lxdb_stat_info stat;

    expect_ok("stat", lxdb_stat(rows->db, &stat));
    if (stat.live_bytes + stat.dead_bytes > FRESH_BYTES || rows->space == NULL)
        begin_afresh(rows);
    else
        expect_ok("clear", lxdb_clear(rows->db, NULL));
}

/* Nothing but the records of one prefix, which are left in rows->records. */
static void begin_with(struct rows *rows, const char *prefix, enum version version, batch_call *add)
{
    begin_empty(rows);
    make_records(rows, prefix, version);
    commit_all(rows, rows->db, add, "fill");
}

/* Typed records in the root and, in the namespace, others, which are left in rows->records. */
static void begin_with_space(struct rows *rows)
{
    begin_with(rows, "key", BATCHED, batch_set_json);
    make_records(rows, "item", TYPED);
    commit_all(rows, rows->space, batch_set_json, "fill namespace");
}

/* ---- The rows -------------------------------------------------------------------------------- */

static char *verified(const struct rows *rows, const char *more)
{
    return bench_text("all %zu values verified%s%s", rows->n, more[0] != '\0' ? ", " : "", more);
}

static void prepare_create(struct rows *rows)
{
    begin_empty(rows);
    make_records(rows, "key", FIRST);
}

static void run_create(struct rows *rows)
{
    store_all(rows, rows->db, create, "create");
}

static char *verify_create(struct rows *rows)
{
    const struct record *record = &rows->records[0];

    if (lxdb_create(rows->db, record->key, record->key_len, "other", 5) != LXDB_EXISTS ||
        !raw_values_equal(rows, rows->db) || !counts(rows->db, rows->n))
        return NULL;
    return verified(rows, "duplicate create blocked");
}

static void prepare_read(struct rows *rows)
{
    begin_with(rows, "key", FIRST, batch_write);
}

static void run_read(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct record *record = &rows->records[i];
        struct text *result = &rows->results[i];

        expect_ok("read", lxdb_read(rows->db, record->key, record->key_len, result->bytes,
                                    VALUE_MAX, &result->len));
    }
}

static char *verify_read(struct rows *rows)
{
    char buf[VALUE_MAX];
    size_t len;

    for (size_t i = 0; i < rows->n; i++) {
        const struct text *value = &rows->records[i].value, *result = &rows->results[i];

        if (result->len != value->len || memcmp(result->bytes, value->bytes, value->len) != 0)
            return NULL;
    }
    if (lxdb_read(rows->db, "missing", 7, buf, sizeof buf, &len) != LXDB_NOTFOUND)
        return NULL;
    return verified(rows, "missing key refused");
}

static void prepare_update_same(struct rows *rows)
{
    begin_with(rows, "key", FIRST, batch_write);
    make_records(rows, "key", SAME);
}

static void prepare_update_diff(struct rows *rows)
{
    begin_with(rows, "key", SAME, batch_write);
    make_records(rows, "key", OTHER);
}

static void run_update(struct rows *rows)
{
    store_all(rows, rows->db, update, "update");
}

static char *verify_update(struct rows *rows)
{
    if (lxdb_update(rows->db, "missing", 7, "x", 1) != LXDB_NOTFOUND ||
        !raw_values_equal(rows, rows->db) || !counts(rows->db, rows->n))
        return NULL;
    return verified(rows, "missing key refused");
}

static void prepare_write(struct rows *rows)
{
    begin_with(rows, "key", OTHER, batch_write);
    make_records(rows, "key", WRITTEN);
    for (size_t i = rows->n / 2; i < rows->n; i++)
        name_record(&rows->records[i], "new", i);
}

static void run_write(struct rows *rows)
{
    store_all(rows, rows->db, upsert, "write");
}

static char *verify_write(struct rows *rows)
{
    if (!raw_values_equal(rows, rows->db) || !counts(rows->db, 2 * rows->n - rows->n / 2))
        return NULL;
    return verified(rows, "half of the keys new");
}

static void prepare_delete(struct rows *rows)
{
    begin_with(rows, "key", WRITTEN, batch_write);
}

static void run_delete(struct rows *rows)
{
    store_all(rows, rows->db, delete, "delete");
}

static char *verify_delete(struct rows *rows)
{
    if (lxdb_delete(rows->db, rows->records[0].key, rows->records[0].key_len) != LXDB_NOTFOUND ||
        !all_gone(rows, rows->db) || !counts(rows->db, 0))
        return NULL;
    return bench_text("all %zu keys gone, second delete refused", rows->n);
}

static void prepare_typed_set(struct rows *rows)
{
    begin_empty(rows);
    make_records(rows, "key", TYPED);
}

static void run_typed_set(struct rows *rows)
{
    store_all(rows, rows->db, set_json, "typed set");
}

static char *verify_typed_set(struct rows *rows)
{
    if (lxdb_set_json(rows->db, "key_000000", 10, "{\"id\":", 6) != LXDB_JSON ||
        !json_values_equal(rows, rows->db) || !counts(rows->db, rows->n))
        return NULL;
    return verified(rows, "text that is not JSON refused");
}

static void prepare_typed_get(struct rows *rows)
{
    begin_with(rows, "key", TYPED, batch_set_json);
}

static void run_typed_get(struct rows *rows)
{
    get_texts(rows, rows->db);
}

static char *verify_typed_get(struct rows *rows)
{
    if (!texts_equal(rows) || !types_kept(rows->db))
        return NULL;
    return verified(rows, "value types kept");
}

static void prepare_batch_set(struct rows *rows)
{
    begin_with(rows, "key", TYPED, batch_set_json);
    make_records(rows, "key", BATCHED);
}

static void run_batch_set(struct rows *rows)
{
    commit_all(rows, rows->db, batch_set_json, "batch set");
}

static char *verify_batch_set(struct rows *rows)
{
    if (!json_values_equal(rows, rows->db) || !counts(rows->db, rows->n))
        return NULL;
    return verified(rows, "");
}

static void prepare_batch_create(struct rows *rows)
{
    begin_with(rows, "key", BATCHED, batch_set_json);
    make_records(rows, "new", BATCHED);
}

static void run_batch_create(struct rows *rows)
{
    commit_all(rows, rows->db, batch_create, "batch create");
}

/* A batch with one key that exists is refused as a whole, and says where. */
static bool duplicate_refused(struct rows *rows)
{
    const struct record *record = &rows->records[0];
    lxdb_batch *batch;
    size_t failed_at = 0;

    expect_ok("batch begin", lxdb_batch_begin(rows->db, &batch));
    expect_ok("batch create", lxdb_batch_create(batch, "fresh", 5, "x", 1));
    expect_ok("batch create", lxdb_batch_create(batch, record->key, record->key_len, "x", 1));
    return lxdb_batch_commit(batch, NULL, &failed_at) == LXDB_EXISTS && failed_at == 1 &&
           lxdb_exists(rows->db, "fresh", 5) == LXDB_NOTFOUND;
}

static char *verify_batch_create(struct rows *rows)
{
    if (!duplicate_refused(rows) || !raw_values_equal(rows, rows->db) ||
        !counts(rows->db, 2 * rows->n))
        return NULL;
    return verified(rows, "batch with a duplicate refused whole");
}

static void prepare_batch_delete(struct rows *rows)
{
    prepare_batch_create(rows);
    run_batch_create(rows);
}

static void run_batch_delete(struct rows *rows)
{
    commit_all(rows, rows->db, batch_delete, "batch delete");
}

static char *verify_batch_delete(struct rows *rows)
{
    if (rows->deleted != rows->n || !all_gone(rows, rows->db) || !counts(rows->db, rows->n))
        return NULL;
    return bench_text("all %zu keys gone, the others kept", rows->n);
}

static void prepare_ns_set(struct rows *rows)
{
    begin_with(rows, "key", BATCHED, batch_set_json);
    make_records(rows, "item", TYPED);
}

static void run_ns_set(struct rows *rows)
{
    store_all(rows, rows->space, set_json, "namespace set");
}

static char *verify_ns_set(struct rows *rows)
{
    if (!json_values_equal(rows, rows->space) || !all_gone(rows, rows->db) ||
        !counts(rows->space, rows->n))
        return NULL;
    return verified(rows, "root sees none of them");
}

static void run_ns_get(struct rows *rows)
{
    get_texts(rows, rows->space);
}

/* The first key of the namespace is none of the root. */
static bool missing_in_root(struct rows *rows)
{
    const struct record *record = &rows->records[0];
    char *text;

    return lxdb_get_json(rows->db, record->key, record->key_len, &text, NULL) == LXDB_NOTFOUND;
}

static char *verify_ns_get(struct rows *rows)
{
    return texts_equal(rows) && missing_in_root(rows) ? verified(rows, "missing in the root")
                                                      : NULL;
}

static void prepare_ns_batch_set(struct rows *rows)
{
    begin_with_space(rows);
    make_records(rows, "item", BATCHED);
}

static void run_ns_batch_set(struct rows *rows)
{
    commit_all(rows, rows->space, batch_set_json, "namespace batch set");
}

static char *verify_ns_batch_set(struct rows *rows)
{
    if (!json_values_equal(rows, rows->space) || !counts(rows->space, rows->n))
        return NULL;
    return verified(rows, "");
}

static void run_ns_batch_delete(struct rows *rows)
{
    commit_all(rows, rows->space, batch_delete, "namespace batch delete");
}

static char *verify_ns_batch_delete(struct rows *rows)
{
    if (rows->deleted != rows->n || !all_gone(rows, rows->space) || !counts(rows->space, 0))
        return NULL;
    return bench_text("all %zu keys gone", rows->n);
}

static void run_ns_clear(struct rows *rows)
{
    uint64_t deleted;

    expect_ok("clear", lxdb_clear(rows->space, &deleted));
    rows->deleted = (size_t)deleted;
}

static char *verify_ns_clear(struct rows *rows)
{
    if (rows->deleted != rows->n || !all_gone(rows, rows->space) || !counts(rows->space, 0) ||
        !counts(rows->db, rows->n))
        return NULL;
    return bench_text("all %zu keys gone, root untouched", rows->n);
}

static void prepare_compact(struct rows *rows)
{
    begin_afresh(rows);
    make_records(rows, "key", BATCHED);
    for (int i = 0; i <= COMPACT_VERSIONS; i++)
        commit_all(rows, rows->db, batch_set_json, "fill");
    expect_ok("stat", lxdb_stat(rows->db, &rows->before));
}

static void run_compact(struct rows *rows)
{
    expect_ok("compact", lxdb_compact(rows->db, NULL));
}

static char *verify_compact(struct rows *rows)
{
    lxdb_stat_info after;

    expect_ok("stat", lxdb_stat(rows->db, &after));
    if (rows->before.dead_bytes == 0 || after.dead_bytes >= rows->before.dead_bytes ||
        after.live_bytes != rows->before.live_bytes || !json_values_equal(rows, rows->db) ||
        !counts(rows->db, rows->n))
        return NULL;
    return bench_text("all %zu values verified, dead bytes %llu -> %llu", rows->n,
                      (unsigned long long)rows->before.dead_bytes,
                      (unsigned long long)after.dead_bytes);
}

static void prepare_reopen(struct rows *rows)
{
    begin_afresh(rows);
    make_records(rows, "key", BATCHED);
    commit_all(rows, rows->db, batch_set_json, "fill");
    expect_ok("close namespace", lxdb_close(rows->space));
    rows->space = NULL;
}

static void run_reopen(struct rows *rows)
{
    expect_ok("close", lxdb_close(rows->db));
    expect_ok("open", lxdb_open(rows->path, NULL, &rows->db));
}

static char *verify_reopen(struct rows *rows)
{
    if (!json_values_equal(rows, rows->db) || !counts(rows->db, rows->n))
        return NULL;
    return verified(rows, "closed and opened");
}

const struct row row_table[ROWS] = {
    {"create", ROW_PER_SECOND, 57640, FLOOR_PUT, prepare_create, run_create, verify_create},
    {"read", ROW_PER_SECOND, 50174, FLOOR_GET, prepare_read, run_read, verify_read},
    {"update_same", ROW_PER_SECOND, 36456, FLOOR_PUT, prepare_update_same, run_update,
     verify_update},
    {"update_diff", ROW_PER_SECOND, 16488, FLOOR_PUT, prepare_update_diff, run_update,
     verify_update},
    {"write", ROW_PER_SECOND, 20844, FLOOR_PUT, prepare_write, run_write, verify_write},
    {"delete", ROW_PER_SECOND, 33111, FLOOR_DELETE, prepare_delete, run_delete, verify_delete},
    {"typed_set", ROW_PER_SECOND, 17808, FLOOR_PUT, prepare_typed_set, run_typed_set,
     verify_typed_set},
    {"typed_get", ROW_PER_SECOND, 23358, FLOOR_GET, prepare_typed_get, run_typed_get,
     verify_typed_get},
    {"batch_set", ROW_PER_SECOND, 28972, FLOOR_PUT, prepare_batch_set, run_batch_set,
     verify_batch_set},
    {"batch_create", ROW_PER_SECOND, 32329, FLOOR_PUT, prepare_batch_create, run_batch_create,
     verify_batch_create},
    {"batch_delete", ROW_PER_SECOND, 41750, FLOOR_DELETE, prepare_batch_delete, run_batch_delete,
     verify_batch_delete},
    {"ns_set", ROW_PER_SECOND, 18932, FLOOR_PUT, prepare_ns_set, run_ns_set, verify_ns_set},
    {"ns_get", ROW_PER_SECOND, 21144, FLOOR_GET, begin_with_space, run_ns_get, verify_ns_get},
    {"ns_batch_set", ROW_PER_SECOND, 26658, FLOOR_PUT, prepare_ns_batch_set, run_ns_batch_set,
     verify_ns_batch_set},
    {"ns_batch_delete", ROW_PER_SECOND, 41818, FLOOR_DELETE, begin_with_space, run_ns_batch_delete,
     verify_ns_batch_delete},
    {"ns_clear", ROW_SECONDS, 0.1226, FLOOR_DELETE, begin_with_space, run_ns_clear,
     verify_ns_clear},
    {"compact", ROW_SECONDS, 1.2657, FLOOR_COPY, prepare_compact, run_compact, verify_compact},
    {"reopen", ROW_SECONDS, 0.2876, FLOOR_SCAN, prepare_reopen, run_reopen, verify_reopen},
};

/* ---- Typed rows from and to trees ------------------------------------------------------------ */

/* The values as cJSON prints them: what the rows of trees store. */
static void print_trees(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        struct record *record = &rows->records[i];
        char *text = cJSON_PrintUnformatted(record->tree);

        record->value.len = (size_t)snprintf(record->value.bytes, VALUE_MAX, "%s", text);
        cJSON_free(text);
    }
}

static void prepare_typed_set_tree(struct rows *rows)
{
    prepare_typed_set(rows);
    make_trees(rows);
    print_trees(rows);
}

static void run_typed_set_tree(struct rows *rows)
{
    store_all(rows, rows->db, set_tree, "typed set");
}

static void prepare_typed_get_tree(struct rows *rows)
{
    prepare_typed_get(rows);
    make_trees(rows);
}

static void run_typed_get_tree(struct rows *rows)
{
    get_trees(rows, rows->db);
}

static char *verify_typed_get_tree(struct rows *rows)
{
    return trees_equal(rows) && types_kept(rows->db) ? verified(rows, "value types kept") : NULL;
}

static void prepare_batch_set_tree(struct rows *rows)
{
    prepare_batch_set(rows);
    make_trees(rows);
    print_trees(rows);
}

static void run_batch_set_tree(struct rows *rows)
{
    commit_all(rows, rows->db, batch_set_tree, "batch set");
}

static void prepare_ns_set_tree(struct rows *rows)
{
    prepare_ns_set(rows);
    make_trees(rows);
    print_trees(rows);
}

static void run_ns_set_tree(struct rows *rows)
{
    store_all(rows, rows->space, set_tree, "namespace set");
}

static void prepare_ns_get_tree(struct rows *rows)
{
    begin_with_space(rows);
    make_trees(rows);
}

static void run_ns_get_tree(struct rows *rows)
{
    get_trees(rows, rows->space);
}

static char *verify_ns_get_tree(struct rows *rows)
{
    return trees_equal(rows) && missing_in_root(rows) ? verified(rows, "missing in the root")
                                                      : NULL;
}

static void prepare_ns_batch_set_tree(struct rows *rows)
{
    prepare_ns_batch_set(rows);
    make_trees(rows);
    print_trees(rows);
}

static void run_ns_batch_set_tree(struct rows *rows)
{
    commit_all(rows, rows->space, batch_set_tree, "namespace batch set");
}

const struct row row_trees[ROW_TREES] = {
    {"typed_set", ROW_PER_SECOND, 17808, FLOOR_PUT, prepare_typed_set_tree, run_typed_set_tree,
     verify_typed_set},
    {"typed_get", ROW_PER_SECOND, 23358, FLOOR_GET, prepare_typed_get_tree, run_typed_get_tree,
     verify_typed_get_tree},
    {"batch_set", ROW_PER_SECOND, 28972, FLOOR_PUT, prepare_batch_set_tree, run_batch_set_tree,
     verify_batch_set},
    {"ns_set", ROW_PER_SECOND, 18932, FLOOR_PUT, prepare_ns_set_tree, run_ns_set_tree,
     verify_ns_set},
    {"ns_get", ROW_PER_SECOND, 21144, FLOOR_GET, prepare_ns_get_tree, run_ns_get_tree,
     verify_ns_get_tree},
    {"ns_batch_set", ROW_PER_SECOND, 26658, FLOOR_PUT, prepare_ns_batch_set_tree,
     run_ns_batch_set_tree, verify_ns_batch_set},
};

/* ---- Running a row --------------------------------------------------------------------------- */

struct rows *rows_open(const char *dir, size_t n)
{
    struct rows *rows = bench_alloc(1, sizeof *rows);

    rows->dir = dir;
    rows->n = n;
    rows->records = bench_alloc(n, sizeof *rows->records);
    rows->results = bench_alloc(n, sizeof *rows->results);
    rows->texts = bench_alloc(n, sizeof *rows->texts);
    rows->trees = bench_alloc(n, sizeof *rows->trees);
    rows->pairs = bench_alloc(n, sizeof *rows->pairs);
    begin_afresh(rows);
    return rows;
}

void rows_close(struct rows *rows)
{
    expect_ok("close namespace", lxdb_close(rows->space));
    expect_ok("close", lxdb_close(rows->db));
    bench_empty(rows->dir);
    drop_trees(rows);
    free(rows->path);
    free(rows->records);
    free(rows->results);
    free(rows->texts);
    free(rows->trees);
    free(rows->pairs);
    free(rows);
}

void rows_prepare(struct rows *rows, const struct row *row)
{
    drop_trees(rows);
    rows->deleted = 0;
    row->prepare(rows);
}

double rows_run(struct rows *rows, const struct row *row)
{
    uint64_t start = bench_now();

    row->run(rows);
    return (double)(bench_now() - start) / 1e9;
}

char *rows_verify(struct rows *rows, const struct row *row)
{
    return row->verify(rows);
}

const struct pair *rows_pairs(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct record *record = &rows->records[i];

        rows->pairs[i] = (struct pair){record->key, record->key_len, record->value.bytes,
                                       record->value.len};
    }
    return rows->pairs;
}
