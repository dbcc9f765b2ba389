/* SPDX-License-Identifier: MIT */
/*
 * The input is what `lxdb FILE import` reads, behind a byte of options. What it should have stored,
 * up to the first line that is wrong, and how it should end, says naive_lines.c. Then `export` has
 * to print exactly that, and what it printed is imported into another database, which must hold the
 * same.
 */
#include "fuzz/driver.h"
#include "fuzz/mirror.h"
#include "fuzz/naive_lines.h"
#include "fuzz/scratch.h"
#include "fuzz/tool.h"

#include <stdio.h>
#include <string.h>

const char fuzz_name[] = "import";

enum { OPTION_HEX = 1, OPTION_NAMESPACE = 2, OPTION_JSON = 4, OPTION_EXPORT_HEX = 8 };

static const char namespace[] = "n";

static void check_database(const char *path, const struct mirror *mirror)
{
    lxdb *db;

    FUZZ_CHECK(lxdb_open(path, NULL, &db) == LXDB_OK, "%s", lxdb_errmsg(NULL));
    mirror_check(mirror, db);
    FUZZ_CHECK(lxdb_close(db) == LXDB_OK, "%s", lxdb_errmsg(NULL));
}

static void check_printed(const struct tool_run *run, const void *wanted, size_t len)
{
    FUZZ_CHECK(run->out.len == len && (len == 0 || memcmp(run->out.data, wanted, len) == 0),
               "printed %.*s instead of %.*s", (int)run->out.len, (const char *)run->out.data,
               (int)len, (const char *)wanted);
}

/* Whether a record can be imported; what is stored then. */
static bool expect_record(struct mirror *mirror, const struct naive_record *record, uint8_t options)
{
    size_t name_len = options & OPTION_NAMESPACE ? sizeof namespace : 0;
    struct naive_bytes key = {0};

    if (record->op != NAIVE_NO_OP || !record->has_value || record->key.len == 0 ||
        record->key.len + name_len > 65535)
        return false;
    naive_add(&key, namespace, name_len); /* with its NUL */
    naive_add(&key, record->key.data, record->key.len);
    mirror_put(mirror, key.data, key.len, record->stored.data, record->stored.len);
    naive_free(&key);
    return true;
}

/* How many records should be imported; *ret_exit_code: how the tool should end. */
static unsigned expect_import(struct mirror *mirror, const uint8_t *at, size_t len, uint8_t options,
                              int *ret_exit_code)
{
    const uint8_t *end = at + len, *line;
    unsigned n = 0;

    *ret_exit_code = 0;
    while ((line = naive_line(&at, end, &len)) != NULL) {
        struct naive_record record;
        bool right = naive_parse(options & OPTION_HEX, line, len, &record) &&
                     expect_record(mirror, &record, options);

        naive_record_free(&record);
        if (!right) {
            *ret_exit_code = 2;
            fuzz_reached(options & OPTION_HEX ? "wrong lines of hex" : "wrong lines of NDJSON");
            break;
        }
        fuzz_reached(options & OPTION_HEX ? "lines of hex" : "lines of NDJSON");
        n++;
    }
    return n;
}

static void import(const char *path, uint8_t options, const uint8_t *input, size_t len,
                   unsigned wanted, int wanted_exit)
{
    const char *words[8] = {path, "import"};
    char text[64];
    size_t n = 2;

    if (options & OPTION_HEX)
        words[n++] = "--format=hex";
    if (options & OPTION_NAMESPACE) {
        words[n++] = "-n";
        words[n++] = namespace;
    }
    if (options & OPTION_JSON)
        words[n++] = "--json";
    if (options & OPTION_JSON)
        snprintf(text, sizeof text, "{\"imported\":%u}\n", wanted);
    else
        snprintf(text, sizeof text, "%-20s %u\n", "imported", wanted);
    struct tool_run run = tool_run(words, n, input, len);
    FUZZ_CHECK(run.exit_code == wanted_exit, "exit code %d instead of %d: %.*s", run.exit_code,
               wanted_exit, (int)run.err.len, (const char *)run.err.data);
    FUZZ_CHECK((run.err.len != 0) == (wanted_exit != 0), "a message, or none: %.*s",
               (int)run.err.len, (const char *)run.err.data);
    check_printed(&run, text, strlen(text));
    tool_free(&run);
}

static void check_export(const char *path, struct mirror *mirror, bool hex)
{
    const char *words[] = {path, "export", hex ? "--format=hex" : "--format=ndjson"};
    struct naive_bytes wanted = {0};
    char copy[sizeof scratch_path + 8];

    naive_export(&wanted, mirror, hex);
    struct tool_run run = tool_run(words, 3, NULL, 0);
    FUZZ_CHECK(run.exit_code == 0 && run.err.len == 0, "export: exit code %d", run.exit_code);
    check_printed(&run, wanted.data, wanted.len);
    snprintf(copy, sizeof copy, "%s-copy", scratch_path);
    import(copy, hex ? OPTION_HEX : 0, run.out.data, run.out.len, (unsigned)mirror->n, 0);
    check_database(copy, mirror);
    tool_free(&run);
    naive_free(&wanted);
}

void fuzz_start(void)
{
    scratch_make();
    scratch_make_cheap();
}

void fuzz_end(void)
{
    scratch_remove();
}

int fuzz_one(uint8_t *data, size_t len)
{
    struct mirror mirror = {0};
    int exit_code;

    if (len == 0)
        return 1;
    scratch_clear();
    unsigned n = expect_import(&mirror, data + 1, len - 1, data[0], &exit_code);
    import(scratch_path, data[0], data + 1, len - 1, n, exit_code);
    check_database(scratch_path, &mirror);
    check_export(scratch_path, &mirror, data[0] & OPTION_EXPORT_HEX);
    mirror_clear(&mirror);
    return 0;
}
