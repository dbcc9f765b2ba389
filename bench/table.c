/* SPDX-License-Identifier: MIT */
/*
 * bench/table: the throughput table of lxcore 0.1.0, the Python original, with lxdb beside it.
 *
 * Each row times its operations and nothing else; then the row is verified, through the public
 * interface, and the check is printed with it. A check that fails makes the exit status 1. The
 * original's figures were published for its author's machine: the ratios say what to expect, not
 * what one machine does.
 */
#include "bench/common.h"

#include <errno.h>
#include <getopt.h>
#include <lxdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 24
#define VALUE_MAX 160

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
};

struct bench {
    char *path;
    lxdb *db;
    lxdb *space; /* a namespace of it */
    size_t n;
    struct record *records; /* of one row: made before its clock starts */
    struct text *results;   /* what a row read */
    char **texts;           /* what a row got from the library */
    uint64_t elapsed;       /* nanoseconds of the row's operations */
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
static void make_records(struct bench *bench, const char *prefix, enum version version)
{
    for (size_t i = 0; i < bench->n; i++) {
        name_record(&bench->records[i], prefix, i);
        make_value(&bench->records[i].value, i, version);
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

typedef int store_call(lxdb *db, const void *key, size_t key_len, const void *value,
                       size_t value_len);

/* Call `store` with every record, on the clock. */
static void time_store(struct bench *bench, lxdb *db, store_call *store, const char *what)
{
    uint64_t start = bench_now();

    for (size_t i = 0; i < bench->n; i++) {
        const struct record *record = &bench->records[i];

        expect_ok(what,
                  store(db, record->key, record->key_len, record->value.bytes, record->value.len));
    }
    bench->elapsed = bench_now() - start;
}

static int set_json(lxdb *db, const void *key, size_t key_len, const void *value, size_t value_len)
{
    return lxdb_set_json(db, key, key_len, value, value_len);
}

typedef int batch_call(lxdb_batch *batch, const void *key, size_t key_len, const void *value,
                       size_t value_len);

static int batch_set_json(lxdb_batch *batch, const void *key, size_t key_len, const void *value,
                          size_t value_len)
{
    return lxdb_batch_set_json(batch, key, key_len, value, value_len);
}

static int batch_delete(lxdb_batch *batch, const void *key, size_t key_len, const void *value,
                        size_t value_len)
{
    (void)value;
    (void)value_len;
    return lxdb_batch_delete(batch, key, key_len);
}

/* Add every record to one batch and commit it, on the clock. Returns how many keys it deleted. */
static size_t time_batch(struct bench *bench, lxdb *db, batch_call *add, const char *what)
{
    uint64_t start = bench_now();
    lxdb_batch *batch;
    size_t deleted;

    expect_ok(what, lxdb_batch_begin(db, &batch));
    for (size_t i = 0; i < bench->n; i++) {
        const struct record *record = &bench->records[i];

        expect_ok(what,
                  add(batch, record->key, record->key_len, record->value.bytes, record->value.len));
    }
    expect_ok(what, lxdb_batch_commit(batch, &deleted, NULL));
    bench->elapsed = bench_now() - start;
    return deleted;
}

/* Get every record as JSON text, on the clock; the texts are for texts_equal(). */
static void time_get_json(struct bench *bench, lxdb *db)
{
    uint64_t start = bench_now();

    for (size_t i = 0; i < bench->n; i++) {
        const struct record *record = &bench->records[i];

        expect_ok("get", lxdb_get_json(db, record->key, record->key_len, &bench->texts[i], NULL));
    }
    bench->elapsed = bench_now() - start;
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static bool raw_values_equal(struct bench *bench, lxdb *db)
{
    for (size_t i = 0; i < bench->n; i++) {
        const struct record *record = &bench->records[i];
        char buf[VALUE_MAX];
        size_t len;

        if (lxdb_read(db, record->key, record->key_len, buf, sizeof buf, &len) != LXDB_OK ||
            len != record->value.len || memcmp(buf, record->value.bytes, len) != 0)
            return false;
    }
    return true;
}

static bool json_values_equal(struct bench *bench, lxdb *db)
{
    for (size_t i = 0; i < bench->n; i++) {
        const struct record *record = &bench->records[i];
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

/* Compare and free what time_get_json() got. */
static bool texts_equal(struct bench *bench)
{
    size_t equal = 0;

    for (size_t i = 0; i < bench->n; i++) {
        equal += strcmp(bench->texts[i], bench->records[i].value.bytes) == 0;
        lxdb_free(bench->texts[i]);
        bench->texts[i] = NULL;
    }
    return equal == bench->n;
}

static bool all_gone(struct bench *bench, lxdb *db)
{
    for (size_t i = 0; i < bench->n; i++) {
        const struct record *record = &bench->records[i];

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

/* ---- The rows: each returns its check as text, or NULL if the check failed ------------------- */

static char *verified(const struct bench *bench, const char *more)
{
    return bench_text("all %zu values verified%s%s", bench->n, more[0] != '\0' ? ", " : "", more);
}

static char *row_create(struct bench *bench)
{
    const struct record *record = &bench->records[0];

    make_records(bench, "key", FIRST);
    time_store(bench, bench->db, lxdb_create, "create");
    if (lxdb_create(bench->db, record->key, record->key_len, "other", 5) != LXDB_EXISTS ||
        !raw_values_equal(bench, bench->db) || !counts(bench->db, bench->n))
        return NULL;
    return verified(bench, "duplicate create blocked");
}

static char *row_read(struct bench *bench)
{
    uint64_t start = bench_now();
    char buf[VALUE_MAX];
    size_t len;

    for (size_t i = 0; i < bench->n; i++) {
        const struct record *record = &bench->records[i];
        struct text *result = &bench->results[i];

        expect_ok("read", lxdb_read(bench->db, record->key, record->key_len, result->bytes,
                                    VALUE_MAX, &result->len));
    }
    bench->elapsed = bench_now() - start;

    for (size_t i = 0; i < bench->n; i++) {
        const struct text *value = &bench->records[i].value, *result = &bench->results[i];

        if (result->len != value->len || memcmp(result->bytes, value->bytes, value->len) != 0)
            return NULL;
    }
    if (lxdb_read(bench->db, "missing", 7, buf, sizeof buf, &len) != LXDB_NOTFOUND)
        return NULL;
    return verified(bench, "missing key refused");
}

static char *row_update(struct bench *bench, enum version version)
{
    make_records(bench, "key", version);
    time_store(bench, bench->db, lxdb_update, "update");
    if (lxdb_update(bench->db, "missing", 7, "x", 1) != LXDB_NOTFOUND ||
        !raw_values_equal(bench, bench->db) || !counts(bench->db, bench->n))
        return NULL;
    return verified(bench, "missing key refused");
}

static char *row_update_same(struct bench *bench)
{
    return row_update(bench, SAME);
}

static char *row_update_diff(struct bench *bench)
{
    return row_update(bench, OTHER);
}

static char *row_write(struct bench *bench)
{
    make_records(bench, "key", WRITTEN);
    for (size_t i = bench->n / 2; i < bench->n; i++)
        name_record(&bench->records[i], "new", i);
    time_store(bench, bench->db, lxdb_write, "write");
    if (!raw_values_equal(bench, bench->db) || !counts(bench->db, 2 * bench->n - bench->n / 2))
        return NULL;
    for (size_t i = bench->n / 2; i < bench->n; i++)
        expect_ok("delete",
                  lxdb_delete(bench->db, bench->records[i].key, bench->records[i].key_len));
    return verified(bench, "half of the keys new");
}

static char *row_delete(struct bench *bench)
{
    uint64_t start;

    make_records(bench, "key", WRITTEN);
    start = bench_now();
    for (size_t i = 0; i < bench->n; i++) {
        const struct record *record = &bench->records[i];

        expect_ok("delete", lxdb_delete(bench->db, record->key, record->key_len));
    }
    bench->elapsed = bench_now() - start;
    if (lxdb_delete(bench->db, bench->records[0].key, bench->records[0].key_len) != LXDB_NOTFOUND ||
        !all_gone(bench, bench->db) || !counts(bench->db, 0))
        return NULL;
    return bench_text("all %zu keys gone, second delete refused", bench->n);
}

static char *row_typed_set(struct bench *bench)
{
    make_records(bench, "key", TYPED);
    time_store(bench, bench->db, set_json, "typed set");
    if (lxdb_set_json(bench->db, "key_000000", 10, "{\"id\":", 6) != LXDB_JSON ||
        !json_values_equal(bench, bench->db) || !counts(bench->db, bench->n))
        return NULL;
    return verified(bench, "text that is not JSON refused");
}

static char *row_typed_get(struct bench *bench)
{
    time_get_json(bench, bench->db);
    if (!texts_equal(bench) || !types_kept(bench->db))
        return NULL;
    return verified(bench, "value types kept");
}

static char *row_batch_set(struct bench *bench)
{
    make_records(bench, "key", BATCHED);
    time_batch(bench, bench->db, batch_set_json, "batch set");
    if (!json_values_equal(bench, bench->db) || !counts(bench->db, bench->n))
        return NULL;
    return verified(bench, "");
}

/* A batch with one key that exists is refused as a whole, and says where. */
static bool duplicate_refused(struct bench *bench)
{
    const struct record *record = &bench->records[0];
    lxdb_batch *batch;
    size_t failed_at = 0;

    expect_ok("batch begin", lxdb_batch_begin(bench->db, &batch));
    expect_ok("batch create", lxdb_batch_create(batch, "fresh", 5, "x", 1));
    expect_ok("batch create", lxdb_batch_create(batch, record->key, record->key_len, "x", 1));
    return lxdb_batch_commit(batch, NULL, &failed_at) == LXDB_EXISTS && failed_at == 1 &&
           lxdb_exists(bench->db, "fresh", 5) == LXDB_NOTFOUND;
}

static char *row_batch_create(struct bench *bench)
{
    make_records(bench, "new", BATCHED);
    time_batch(bench, bench->db, lxdb_batch_create, "batch create");
    if (!duplicate_refused(bench) || !raw_values_equal(bench, bench->db) ||
        !counts(bench->db, 2 * bench->n))
        return NULL;
    return verified(bench, "batch with a duplicate refused whole");
}

static char *row_batch_delete(struct bench *bench)
{
    size_t deleted = time_batch(bench, bench->db, batch_delete, "batch delete");

    if (deleted != bench->n || !all_gone(bench, bench->db) || !counts(bench->db, bench->n))
        return NULL;
    return bench_text("all %zu keys gone, the others kept", bench->n);
}

static char *row_ns_set(struct bench *bench)
{
    make_records(bench, "item", TYPED);
    expect_ok("namespace", lxdb_namespace(bench->db, "agent", &bench->space));
    time_store(bench, bench->space, set_json, "namespace set");
    if (!json_values_equal(bench, bench->space) || !all_gone(bench, bench->db) ||
        !counts(bench->space, bench->n))
        return NULL;
    return verified(bench, "root sees none of them");
}

static char *row_ns_get(struct bench *bench)
{
    const struct record *record = &bench->records[0];
    char *text;

    time_get_json(bench, bench->space);
    if (!texts_equal(bench) ||
        lxdb_get_json(bench->db, record->key, record->key_len, &text, NULL) != LXDB_NOTFOUND)
        return NULL;
    return verified(bench, "missing in the root");
}

static char *row_ns_batch_set(struct bench *bench)
{
    make_records(bench, "item", BATCHED);
    time_batch(bench, bench->space, batch_set_json, "namespace batch set");
    if (!json_values_equal(bench, bench->space) || !counts(bench->space, bench->n))
        return NULL;
    return verified(bench, "");
}

static char *row_ns_batch_delete(struct bench *bench)
{
    size_t deleted = time_batch(bench, bench->space, batch_delete, "namespace batch delete");

    if (deleted != bench->n || !all_gone(bench, bench->space) || !counts(bench->space, 0))
        return NULL;
    return bench_text("all %zu keys gone", bench->n);
}

static char *row_ns_clear(struct bench *bench)
{
    uint64_t start, deleted;

    time_batch(bench, bench->space, batch_set_json, "namespace fill");
    start = bench_now();
    expect_ok("clear", lxdb_clear(bench->space, &deleted));
    bench->elapsed = bench_now() - start;
    if (deleted != bench->n || !all_gone(bench, bench->space) || !counts(bench->space, 0) ||
        !counts(bench->db, bench->n))
        return NULL;
    return bench_text("all %zu keys gone, root untouched", bench->n);
}

static char *row_compact(struct bench *bench)
{
    lxdb_stat_info before, after;
    uint64_t start;

    make_records(bench, "key", BATCHED);
    expect_ok("stat", lxdb_stat(bench->db, &before));
    start = bench_now();
    expect_ok("compact", lxdb_compact(bench->db, NULL));
    bench->elapsed = bench_now() - start;
    expect_ok("stat", lxdb_stat(bench->db, &after));
    if (before.dead_bytes == 0 || after.dead_bytes >= before.dead_bytes ||
        after.live_bytes != before.live_bytes || !json_values_equal(bench, bench->db) ||
        !counts(bench->db, bench->n))
        return NULL;
    return bench_text("all %zu values verified, dead bytes %llu -> %llu", bench->n,
                      (unsigned long long)before.dead_bytes, (unsigned long long)after.dead_bytes);
}

static char *row_reopen(struct bench *bench)
{
    uint64_t start = bench_now();

    expect_ok("close namespace", lxdb_close(bench->space));
    bench->space = NULL;
    expect_ok("close", lxdb_close(bench->db));
    bench->db = NULL;
    expect_ok("open", lxdb_open(bench->path, NULL, &bench->db));
    bench->elapsed = bench_now() - start;
    if (!json_values_equal(bench, bench->db) || !counts(bench->db, bench->n))
        return NULL;
    return verified(bench, "closed and opened");
}

/* ---- The table ------------------------------------------------------------------------------- */

enum unit { PER_SECOND, SECONDS };

static const struct row {
    const char *name;
    enum unit unit;
    double published; /* of lxcore 0.1.0 for 10,000 records, on its author's machine */
    char *(*run)(struct bench *bench);
} rows[] = {
    {"create", PER_SECOND, 57640, row_create},
    {"read", PER_SECOND, 50174, row_read},
    {"update_same", PER_SECOND, 36456, row_update_same},
    {"update_diff", PER_SECOND, 16488, row_update_diff},
    {"write", PER_SECOND, 20844, row_write},
    {"delete", PER_SECOND, 33111, row_delete},
    {"typed_set", PER_SECOND, 17808, row_typed_set},
    {"typed_get", PER_SECOND, 23358, row_typed_get},
    {"batch_set", PER_SECOND, 28972, row_batch_set},
    {"batch_create", PER_SECOND, 32329, row_batch_create},
    {"batch_delete", PER_SECOND, 41750, row_batch_delete},
    {"ns_set", PER_SECOND, 18932, row_ns_set},
    {"ns_get", PER_SECOND, 21144, row_ns_get},
    {"ns_batch_set", PER_SECOND, 26658, row_ns_batch_set},
    {"ns_batch_delete", PER_SECOND, 41818, row_ns_batch_delete},
    {"ns_clear", SECONDS, 0.1226, row_ns_clear},
    {"compact", SECONDS, 1.2657, row_compact},
    {"reopen", SECONDS, 0.2876, row_reopen},
};

#define ROWS (sizeof rows / sizeof rows[0])

struct result {
    double measured;
    double ratio; /* how many times faster than published */
    char *check;  /* NULL: it failed */
};

/* What the command line asks for. */
struct job {
    size_t records;
    const char *json;
};

static struct result run_row(const struct row *row, struct bench *bench)
{
    struct result result = {.check = row->run(bench)};
    double seconds = (double)bench->elapsed / 1e9;

    if (row->unit == SECONDS) {
        result.measured = seconds;
        result.ratio = row->published / seconds;
    } else {
        result.measured = (double)bench->n / seconds;
        result.ratio = result.measured / row->published;
    }
    return result;
}

static void print_row(const struct row *row, const struct result *result)
{
    int digits = row->unit == SECONDS ? 4 : 0;

    printf("%-16s %12.*f %14.*f %-6s %8.1fx  %s\n", row->name, digits, row->published, digits,
           result->measured, row->unit == SECONDS ? "s" : "ops/s", result->ratio,
           result->check != NULL ? result->check : "CHECK FAILED");
    fflush(stdout);
}

static void write_json(const char *path, size_t records, const struct result results[ROWS])
{
    FILE *file = fopen(path, "w");

    if (file == NULL)
        bench_fail(BENCH_BROKEN, "cannot write %s: %s", path, strerror(errno));
    fprintf(file, "{\"version\": \"%s\", \"records\": %zu, \"rows\": [", lxdb_version(), records);
    for (size_t i = 0; i < ROWS; i++)
        fprintf(file,
                "%s\n  {\"name\": \"%s\", \"unit\": \"%s\", \"published\": %g, \"measured\": %.9g, "
                "\"times_faster\": %.6g, \"ok\": %s, \"check\": \"%s\"}",
                i > 0 ? "," : "", rows[i].name, rows[i].unit == SECONDS ? "s" : "ops/s",
                rows[i].published, results[i].measured, results[i].ratio,
                results[i].check != NULL ? "true" : "false",
                results[i].check != NULL ? results[i].check : "failed");
    fputs("\n]}\n", file);
    if (fclose(file) != 0)
        bench_fail(BENCH_BROKEN, "cannot write %s: %s", path, strerror(errno));
}

static void bench_init(struct bench *bench, const char *dir, size_t n)
{
    *bench = (struct bench){
        .path = bench_text("%s/table.lxdb", dir),
        .n = n,
        .records = bench_alloc(n, sizeof(struct record)),
        .results = bench_alloc(n, sizeof(struct text)),
        .texts = bench_alloc(n, sizeof(char *)),
    };
    expect_ok("open", lxdb_open(bench->path, NULL, &bench->db));
}

static void bench_destroy(struct bench *bench)
{
    expect_ok("close", lxdb_close(bench->db));
    free(bench->path);
    free(bench->records);
    free(bench->results);
    free(bench->texts);
}

static int run_table(const char *dir, void *arg)
{
    const struct job *job = arg;
    struct result results[ROWS];
    struct bench bench;
    size_t failed = 0;

    bench_init(&bench, dir, job->records);
    printf("lxdb %s, %zu records, sync none, beside the published figures of lxcore 0.1.0\n"
           "(10000 records, Python, on its author's machine)\n\n%-16s %12s %14s %-6s %9s  %s\n",
           lxdb_version(), job->records, "row", "lxcore", "lxdb", "", "faster", "check");
    for (size_t i = 0; i < ROWS; i++) {
        results[i] = run_row(&rows[i], &bench);
        print_row(&rows[i], &results[i]);
        failed += results[i].check == NULL;
    }
    bench_destroy(&bench);
    printf("\n%zu of %zu rows verified\n", ROWS - failed, ROWS);
    if (job->json != NULL)
        write_json(job->json, job->records, results);
    for (size_t i = 0; i < ROWS; i++)
        free(results[i].check);
    return failed > 0 ? BENCH_WRONG : 0;
}

static void print_help(FILE *to)
{
    fputs("usage: bench/table [--records N] [--json FILE] [--dir DIR]\n"
          "  --records N  records of each row [10000]; may end in k or m\n"
          "  --json FILE  write the table as JSON, too\n"
          "  --dir DIR    where the database goes, removed at the end [${TMPDIR:-/tmp}]\n",
          to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"records", required_argument, NULL, 'r'},
        {"json", required_argument, NULL, 'j'},
        {"dir", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct job job = {.records = 10000};
    const char *parent = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            job.records = bench_parse_count("--records", optarg, 1000000);
            break;
        case 'j':
            job.json = optarg;
            break;
        case 'd':
            parent = optarg;
            break;
        case 'h':
            print_help(stdout);
            return 0;
        default:
            print_help(stderr);
            return BENCH_USAGE;
        }
    }
    if (optind != argc) {
        print_help(stderr);
        return BENCH_USAGE;
    }
    return bench_run_in_scratch(parent, run_table, &job);
}
