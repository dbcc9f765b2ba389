/* SPDX-License-Identifier: MIT */
/*
 * The commands that carry many records through stdin and stdout: batch import export.
 *
 * A line of NDJSON, or of hexadecimal text, is described in ndjson.h and at hex_line(). Every
 * message about the input names its line.
 */
#include "cli.h"
#include "hex.h"
#include "ndjson.h"
#include "output.h"
#include "value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Lines of stdin -------------------------------------------------------------------------- */

struct lines {
    char *text;
    size_t cap;
    size_t len; /* of the present line, without its line feed */
    uint64_t number;
};

/* The next line that is not blank. False at the end, or when reading failed: see lines_end(). */
static bool lines_next(struct lines *lines)
{
    for (;;) {
        ssize_t n = getline(&lines->text, &lines->cap, stdin);

        if (n < 0)
            return false;
        lines->number++;
        lines->len = (size_t)n;
        if (lines->text[lines->len - 1] == '\n')
            lines->len--;
        if (strspn(lines->text, " \t\r\n") < lines->len)
            return true;
    }
}

/* How the reading ended: an exit code. */
static int lines_end(const struct cli *cli)
{
    if (feof(stdin))
        return CLI_OK;
    return out_fail_about(cli, errno == ENOMEM ? LXDB_NOMEM : LXDB_IO, "cannot read stdin: %s",
                          strerror(errno));
}

static int line_fail(const struct cli *cli, const struct lines *lines, int rc)
{
    const char *sentence = rc == LXDB_NOMEM ? "out of memory" : lxdb_errmsg(cli->db);

    return out_fail_about(cli, rc, "line %" PRIu64 ": %s", lines->number, sentence);
}

/* ---- batch ----------------------------------------------------------------------------------- */

/* Why a record cannot be an operation, or NULL. */
static const char *operation_fault(const struct ndjson_record *record)
{
    if (record->op == NDJSON_OP_NONE)
        return "no op";
    if (record->op == NDJSON_OP_DELETE)
        return record->has_value ? "a value in a del" : NULL;
    return record->has_value ? NULL : "no value";
}

/* Add an operation to a batch. `stored` is scratch space. */
static int add_operation(lxdb_batch *batch, const struct ndjson_record *record,
                         struct buffer *stored)
{
    const char *key = record->key.data;
    size_t key_len = record->key.len;

    if (record->op == NDJSON_OP_DELETE)
        return lxdb_batch_delete(batch, key, key_len);
    if (record->op == NDJSON_OP_CREATE) {
        buffer_reset(stored);
        if (record->json != NULL)
            value_tag_json(stored, record->json, record->json_len);
        else
            buffer_add(stored, record->bytes.data, record->bytes.len);
        if (stored->failed)
            return LXDB_NOMEM;
        return lxdb_batch_create(batch, key, key_len, stored->data, stored->len);
    }
    if (record->json != NULL)
        return lxdb_batch_set_json(batch, key, key_len, record->json, record->json_len);
    return lxdb_batch_write(batch, key, key_len, record->bytes.data, record->bytes.len);
}

/* Say which line of the input the operation at `position` came from. */
static int batch_exists(const struct cli *cli, const struct buffer *line_numbers, size_t position)
{
    uint64_t number = 0;

    if (position < line_numbers->len / sizeof(number))
        memcpy(&number, line_numbers->data + position * sizeof(number), sizeof(number));
    return out_fail_about(
        cli, LXDB_EXISTS,
        "line %" PRIu64 ": the key to create is there already; nothing was changed", number);
}

int command_batch(struct cli *cli)
{
    struct ndjson_record record = {0};
    struct buffer line_numbers = {0};
    struct buffer stored = {0};
    struct lines lines = {0};
    struct out_fields fields;
    lxdb_batch *batch = NULL;
    uint64_t written = 0;
    size_t deleted = 0;
    size_t failed_at = 0;
    const char *why;
    int exit_code;
    int rc = lxdb_batch_begin(cli->db, &batch);

    if (rc != LXDB_OK)
        return out_fail(cli, rc);
    while (lines_next(&lines)) {
        why = NULL;
        if (ndjson_parse(&record, lines.text, lines.len, &why))
            why = operation_fault(&record);
        if (why != NULL) {
            exit_code = out_usage(cli, "line %" PRIu64 ": %s; nothing was changed", lines.number,
                                  why);
            goto out;
        }
        rc = add_operation(batch, &record, &stored);
        if (rc != LXDB_OK) {
            exit_code = line_fail(cli, &lines, rc);
            goto out;
        }
        if (record.op != NDJSON_OP_DELETE)
            written++;
        buffer_add(&line_numbers, &lines.number, sizeof(lines.number));
        if (line_numbers.failed) {
            exit_code = out_no_memory(cli);
            goto out;
        }
    }
    exit_code = lines_end(cli);
    if (exit_code != CLI_OK)
        goto out;
    rc = lxdb_batch_commit(batch, &deleted, &failed_at);
    batch = NULL;
    if (rc == LXDB_EXISTS) {
        exit_code = batch_exists(cli, &line_numbers, failed_at);
    } else if (rc != LXDB_OK) {
        exit_code = out_fail(cli, rc);
    } else {
        out_fields_begin(&fields, cli->json);
        out_field_number(&fields, "written", written);
        out_field_number(&fields, "deleted", deleted);
        out_fields_end(&fields);
    }
out:
    lxdb_batch_abort(batch);
    free(lines.text);
    buffer_free(&stored);
    buffer_free(&line_numbers);
    ndjson_free(&record);
    return exit_code;
}

/* ---- import ---------------------------------------------------------------------------------- */

/* A commit takes this much at most: large enough to be quick, small enough to keep others waiting
 * for a moment only. */
enum { IMPORT_RECORDS = 1000, IMPORT_BYTES = 1024 * 1024 };

struct import {
    struct cli *cli;
    lxdb_batch *batch;
    size_t batch_records;
    size_t batch_bytes;
    uint64_t imported; /* in commits that went well */
};

static int import_commit(struct import *import)
{
    lxdb_batch *batch = import->batch;
    int rc;

    if (batch == NULL)
        return LXDB_OK;
    import->batch = NULL;
    rc = lxdb_batch_commit(batch, NULL, NULL);
    if (rc == LXDB_OK || rc == LXDB_PENDING)
        import->imported += import->batch_records;
    import->batch_records = 0;
    import->batch_bytes = 0;
    return rc;
}

static int import_add(struct import *import, const struct ndjson_record *record)
{
    const char *key = record->key.data;
    size_t key_len = record->key.len;
    size_t value_len = record->json != NULL ? record->json_len : record->bytes.len;
    int rc = LXDB_OK;

    if (import->batch == NULL)
        rc = lxdb_batch_begin(import->cli->db, &import->batch);
    if (rc != LXDB_OK)
        return rc;
    if (record->json != NULL)
        rc = lxdb_batch_set_json(import->batch, key, key_len, record->json, record->json_len);
    else
        rc = lxdb_batch_write(import->batch, key, key_len, record->bytes.data, record->bytes.len);
    if (rc != LXDB_OK)
        return rc;
    import->batch_records++;
    import->batch_bytes += key_len + value_len;
    return LXDB_OK;
}

static bool ndjson_line(struct ndjson_record *record, const char *line, size_t len,
                        const char **ret_why)
{
    if (!ndjson_parse(record, line, len, ret_why))
        return false;
    if (record->op != NDJSON_OP_NONE)
        *ret_why = "an op, which is for the command batch";
    else if (!record->has_value)
        *ret_why = "no value";
    else
        return true;
    return false;
}

/* KEY, a tab, VALUE, both as hexadecimal text; the value as it is stored, with its tag byte. */
static bool hex_line(struct ndjson_record *record, const char *line, size_t len,
                     const char **ret_why)
{
    const char *tab = memchr(line, '\t', len);
    size_t key_len = tab != NULL ? (size_t)(tab - line) : 0;

    if (len > 0 && line[len - 1] == '\r')
        len--;
    record->json = NULL;
    buffer_reset(&record->key);
    buffer_reset(&record->bytes);
    if (tab == NULL)
        *ret_why = "no tab between key and value";
    else if (!hex_decode(&record->key, line, key_len) ||
             !hex_decode(&record->bytes, tab + 1, len - key_len - 1))
        *ret_why = "not pairs of hexadecimal digits";
    else if (record->key.failed || record->bytes.failed)
        *ret_why = "no memory for it";
    else
        return true;
    return false;
}

/* Read lines and commit them; the exit code of the first thing that went wrong, after its message.
 * What came before a bad line is committed. */
static int import_lines(struct import *import, struct lines *lines, struct ndjson_record *record,
                        struct out_bar *bar)
{
    struct cli *cli = import->cli;
    bool hex = cli->format == CLI_FORMAT_HEX;
    const char *why = NULL;
    int exit_code = CLI_OK;
    int rc;

    while (exit_code == CLI_OK && lines_next(lines)) {
        if (!(hex ? hex_line : ndjson_line)(record, lines->text, lines->len, &why)) {
            exit_code = out_usage(cli, "line %" PRIu64 ": %s", lines->number, why);
            break;
        }
        rc = import_add(import, record);
        if (rc != LXDB_OK) {
            exit_code = line_fail(cli, lines, rc);
            break;
        }
        if (import->batch_records == IMPORT_RECORDS || import->batch_bytes >= IMPORT_BYTES) {
            rc = import_commit(import);
            if (rc != LXDB_OK)
                exit_code = line_fail(cli, lines, rc);
            out_bar_show(bar, import->imported, 0);
        }
    }
    if (exit_code == CLI_OK)
        exit_code = lines_end(cli);
    rc = import_commit(import);
    if (rc != LXDB_OK)
        exit_code = line_fail(cli, lines, rc);
    return exit_code;
}

int command_import(struct cli *cli)
{
    struct ndjson_record record = {0};
    struct import import = {.cli = cli};
    struct lines lines = {0};
    struct out_fields fields;
    struct out_bar bar;
    int exit_code;

    out_bar_begin(&bar, "import");
    exit_code = import_lines(&import, &lines, &record, &bar);
    out_bar_end(&bar);
    /* Also after a failure: whoever repeats the rest needs the count. */
    out_fields_begin(&fields, cli->json);
    out_field_number(&fields, "imported", import.imported);
    out_fields_end(&fields);
    lxdb_batch_abort(import.batch);
    free(lines.text);
    ndjson_free(&record);
    return exit_code;
}

/* ---- export ---------------------------------------------------------------------------------- */

static int export_ndjson(struct cli *cli, lxdb_iter *iter)
{
    struct buffer line = {0};
    struct out_bar bar;
    uint64_t total = 0;
    uint64_t done = 0;
    int exit_code = CLI_OK;
    int rc;

    out_bar_begin(&bar, "export");
    if (bar.enabled)
        (void)lxdb_count(cli->db, &total);
    while (!out_failed()) {
        const void *key = NULL;
        const void *value = NULL;
        size_t key_len = 0;
        size_t value_len = 0;

        rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len);
        if (rc == LXDB_NOTFOUND)
            break;
        if (rc != LXDB_OK) {
            exit_code = out_fail(cli, rc);
            break;
        }
        ndjson_add_record(&line, key, key_len, value, value_len);
        out_buffer(&line);
        out_bar_show(&bar, ++done, total);
    }
    out_bar_end(&bar);
    buffer_free(&line);
    return exit_code;
}

/* A record that waits to be sorted: its key and value stand one behind the other in a buffer. */
struct sorted {
    size_t at;
    size_t key_len;
    size_t value_len;
    const char *bytes; /* set once the buffer has stopped growing */
};

static int compare_keys(const void *a, const void *b)
{
    const struct sorted *left = a;
    const struct sorted *right = b;
    bool left_is_shorter = left->key_len < right->key_len;
    int order = memcmp(left->bytes, right->bytes, left_is_shorter ? left->key_len : right->key_len);

    if (order != 0)
        return order;
    return (left->key_len > right->key_len) - left_is_shorter;
}

/* Sorted output needs all records in memory: what the iterator shows is good until its next
 * step. */
static int export_hex(struct cli *cli, lxdb_iter *iter)
{
    struct buffer entries = {0};
    struct buffer bytes = {0};
    struct buffer line = {0};
    struct sorted *sorted;
    size_t n;
    int exit_code = CLI_OK;
    int rc = LXDB_OK;

    while (!entries.failed && !bytes.failed) {
        struct sorted entry = {.at = bytes.len};
        const void *key = NULL;
        const void *value = NULL;

        rc = lxdb_iter_next(iter, &key, &entry.key_len, &value, &entry.value_len);
        if (rc != LXDB_OK)
            break;
        buffer_add(&bytes, key, entry.key_len);
        buffer_add(&bytes, value, entry.value_len);
        buffer_add(&entries, &entry, sizeof(entry));
    }
    if (entries.failed || bytes.failed) {
        exit_code = out_no_memory(cli);
        goto out;
    }
    if (rc != LXDB_NOTFOUND) {
        exit_code = out_fail(cli, rc);
        goto out;
    }
    sorted = (struct sorted *)(void *)entries.data;
    n = entries.len / sizeof(*sorted);
    for (size_t i = 0; i < n; i++)
        sorted[i].bytes = bytes.data + sorted[i].at;
    if (n > 1)
        qsort(sorted, n, sizeof(*sorted), compare_keys);
    for (size_t i = 0; i < n && !out_failed(); i++) {
        hex_encode(&line, sorted[i].bytes, sorted[i].key_len);
        buffer_add(&line, "\t", 1);
        hex_encode(&line, sorted[i].bytes + sorted[i].key_len, sorted[i].value_len);
        buffer_add(&line, "\n", 1);
        out_buffer(&line);
    }
out:
    buffer_free(&line);
    buffer_free(&bytes);
    buffer_free(&entries);
    return exit_code;
}

int command_export(struct cli *cli)
{
    lxdb_iter *iter = NULL;
    int exit_code;
    int rc = lxdb_iter_open(cli->db, NULL, 0, 0, &iter);

    if (rc != LXDB_OK)
        return out_fail(cli, rc);
    exit_code = cli->format == CLI_FORMAT_HEX ? export_hex(cli, iter) : export_ndjson(cli, iter);
    lxdb_iter_close(iter);
    return exit_code;
}
