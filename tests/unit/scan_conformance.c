/* SPDX-License-Identifier: MIT */
/*
 * Every file of tests/compat/conformance, planned and walked at this layer, gives the live records
 * that its .expect lists: "records: N", then KEYHEX<tab>VALUEHEX sorted by key bytes; or "error:
 * ...".
 */
#include "format/scan.h"

#include "lxdb.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define FILES 55 /* in the folder, each with its expectation */

static const char *folder(void)
{
    static char path[4096];
    const char *top = getenv("top_srcdir");

    snprintf(path, sizeof path, "%s/tests/compat/conformance", top != NULL ? top : ".");
    return path;
}

static uint8_t *read_file(const char *stem, const char *suffix, size_t *ret_size)
{
    char path[5000];
    FILE *file;
    uint8_t *bytes;
    long size;

    snprintf(path, sizeof path, "%s/%s%s", folder(), stem, suffix);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    bytes = malloc((size_t)size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
    bytes[size] = 0;
    fclose(file);
    *ret_size = (size_t)size;
    return bytes;
}

/* The newest state of each key; a map of a few dozen keys needs no more than a list. */
struct live {
    const uint8_t *key, *value;
    uint32_t key_len, value_len;
};
struct map {
    struct live live[4096];
    size_t count;
};

static int compare(const void *left, const void *right)
{
    const struct live *a = left, *b = right;
    size_t shorter = a->key_len < b->key_len ? a->key_len : b->key_len;
    int order = memcmp(a->key, b->key, shorter);

    return order != 0 ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static void map_remove(struct map *map, const lx_record *record)
{
    for (size_t i = 0; i < map->count; i++) {
        struct live *live = &map->live[i];

        if (live->key_len == record->key_len &&
            memcmp(live->key, record->key, record->key_len) == 0) {
            *live = map->live[--map->count];
            return;
        }
    }
}

static int apply(void *arg, const lx_scan_event *event)
{
    struct map *map = arg;
    const lx_record *record = &event->record;
    int64_t now_ms = (int64_t)time(NULL) * 1000;

    if (event->effect == LX_EFFECT_NONE)
        return LXDB_OK;
    map_remove(map, record);
    if (event->effect == LX_EFFECT_DELETE || (event->expiry_ms != 0 && event->expiry_ms <= now_ms))
        return LXDB_OK;
    assert_true(map->count < sizeof map->live / sizeof map->live[0]);
    map->live[map->count++] = (struct live){record->key, record->value, record->key_len,
                                            record->value_len};
    return LXDB_OK;
}

static void put_hex(FILE *out, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        fprintf(out, "%02x", bytes[i]);
}

/* What the .expect should say. */
static char *outcome_of(const uint8_t *data, size_t size)
{
    static struct map map;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    lx_scan scan;
    int rc = lx_scan_plan(data, size, NULL, NULL, &scan);

    assert_non_null(out);
    if (rc == LXDB_NOTDB) {
        fputs("error: not-a-database\n", out);
    } else if (rc == LXDB_VERSION) {
        fputs("error: unsupported-version\n", out);
    } else {
        assert_int_equal(rc, LXDB_OK);
        map.count = 0;
        assert_int_equal(lx_scan_walk(&scan, LX_HEADER_SIZE, apply, &map), LXDB_OK);
        lx_scan_free(&scan);
        if (map.count > 0)
            qsort(map.live, map.count, sizeof map.live[0], compare);
        fprintf(out, "records: %zu\n", map.count);
        for (size_t i = 0; i < map.count; i++) {
            put_hex(out, map.live[i].key, map.live[i].key_len);
            fputc('\t', out);
            put_hex(out, map.live[i].value, map.live[i].value_len);
            fputc('\n', out);
        }
    }
    fclose(out);
    return text;
}

static bool file_conforms(const char *stem)
{
    size_t size, expected_size;
    uint8_t *data = read_file(stem, ".lxdb", &size);
    uint8_t *expected = read_file(stem, ".expect", &expected_size);
    char *outcome = outcome_of(data, size);
    bool same = strcmp(outcome, (char *)expected) == 0;

    if (!same)
        print_error("%s: got %.200s\n", stem, outcome);
    free(outcome);
    free(expected);
    free(data);
    return same;
}

static void scan_of_every_conformance_file_gives_what_it_expects(void **state)
{
    DIR *dir = opendir(folder());
    unsigned files = 0, failed = 0;

    (void)state;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char *suffix = strstr(entry->d_name, ".lxdb");

        if (suffix == NULL)
            continue;
        *suffix = 0;
        files++;
        if (!file_conforms(entry->d_name))
            failed++;
    }
    closedir(dir);
    print_message("%u files, %u not as expected\n", files, failed);
    assert_int_equal(failed, 0);
    assert_int_equal(files, FILES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan_of_every_conformance_file_gives_what_it_expects),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
