/* SPDX-License-Identifier: MIT */
/*
 * See source.h. The texts are cut out of the files by counting braces, so that not a byte of them
 * is ours; cJSON, which knows nothing of that, reads the whole file and has to find the same
 * records in it.
 */
#include "tests/demo/source.h"

#include "tests/demo/common.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct list all_lists[SOURCE_LISTS] = {
    {.name = "iso_639-2", .title = "languages, for libraries", .code = "alpha_3"},
    {.name = "iso_639-3", .title = "languages, all known", .code = "alpha_3"},
    {.name = "iso_639-5", .title = "families of languages", .code = "alpha_3"},
    {.name = "iso_3166-1", .title = "countries", .code = "alpha_2", .shared = true},
    {.name = "iso_3166-2", .title = "subdivisions of countries", .code = "code"},
    {.name = "iso_3166-3", .title = "countries of the past", .code = "alpha_4"},
    {.name = "iso_4217", .title = "currencies", .code = "alpha_3", .shared = true},
    {.name = "iso_15924", .title = "scripts", .code = "alpha_4", .shared = true},
};

/* ---- Cutting --------------------------------------------------------------------------------- */

/* The end of the JSON string that begins at `at` with its quote, or NULL. */
static const char *after_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '"')
            return at + 1;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

/*
 * The next object at depth 2, which is a record: { "639-3": [ {record}, {record} ] }. The depth
 * counts braces, and goes on from the end of the record before. NULL when there is none.
 */
static const char *next_record(const char *at, const char *end, size_t *depth, size_t *ret_len)
{
    const char *start = NULL;

    while (at != NULL && at < end) {
        if (*at == '"') {
            at = after_string(at, end);
            continue;
        }
        if (*at == '{' && ++*depth == 2)
            start = at;
        if (*at == '}' && (*depth)-- == 2) {
            *ret_len = (size_t)(at + 1 - start);
            return start;
        }
        at++;
    }
    return NULL;
}

static size_t count_records(const char *bytes, size_t size)
{
    const char *at = bytes;
    size_t depth = 0;
    size_t n = 0;
    size_t len;

    while ((at = next_record(at, bytes + size, &depth, &len)) != NULL) {
        at += len;
        n++;
    }
    return n;
}

/* ---- Loading --------------------------------------------------------------------------------- */

static char *read_file(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    size_t size = 0;
    size_t space = 0;

    if (file == NULL)
        demo_fail("cannot open %s: %s; it comes with the package iso-codes"
                  " (apt-get install iso-codes), or name another folder with ISO_CODES=",
                  path, strerror(errno));
    do {
        if (size == space) {
            space = space == 0 ? 65536 : 2 * space;
            bytes = realloc(bytes, space);
            if (bytes == NULL)
                demo_fail("out of memory");
        }
        size += fread(bytes + size, 1, space - size, file);
    } while (size == space);
    if (ferror(file))
        demo_fail("cannot read %s: %s", path, strerror(errno));
    fclose(file);
    *ret_size = size;
    return bytes;
}

/* The array in a list's file: the one member of its one object, which is *ret_tree. */
static const cJSON *parse_list(const struct list *list, size_t size, cJSON **ret_tree)
{
    cJSON *tree = cJSON_ParseWithLength(list->bytes, size);

    if (tree == NULL || !cJSON_IsObject(tree) || cJSON_GetArraySize(tree) != 1 ||
        !cJSON_IsArray(tree->child))
        demo_fail("%s.json is not an object with one array", list->name);
    *ret_tree = tree;
    return tree->child;
}

/* Check the cut against the parsed record, and take its key. */
static void fill_record(const struct list *list, struct record *record, const cJSON *parsed)
{
    cJSON *cut = cJSON_ParseWithLength(record->text, record->len);
    const char *key = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(parsed, list->code));

    if (cut == NULL || !cJSON_Compare(cut, parsed, true))
        demo_fail("%s.json was cut wrongly: %.*s", list->name, (int)record->len, record->text);
    if (key == NULL || *key == '\0')
        demo_fail("%s.json has a record without \"%s\"", list->name, list->code);
    cJSON_Delete(cut);
    record->key = strdup(key);
    if (record->key == NULL)
        demo_fail("out of memory");
    record->key_len = strlen(key);
}

static void load_list(struct source *source, unsigned number, const char *dir, size_t most)
{
    struct list *list = &source->lists[number];
    char path[4096];
    cJSON *tree;
    const cJSON *parsed;
    const char *at;
    size_t depth = 0;
    size_t size;
    size_t n;

    snprintf(path, sizeof path, "%s/%s.json", dir, list->name);
    list->bytes = read_file(path, &size);
    parsed = parse_list(list, size, &tree);
    n = count_records(list->bytes, size);
    if (n == 0 || n != (size_t)cJSON_GetArraySize(parsed))
        demo_fail("%s has %d records, but %zu were cut out of it", path, cJSON_GetArraySize(parsed),
                  n);
    list->first = source->n;
    list->n = most != 0 && n > most ? most : n;
    source->records = realloc(source->records, (source->n + list->n) * sizeof *source->records);
    if (source->records == NULL)
        demo_fail("out of memory");
    at = list->bytes;
    parsed = parsed->child;
    for (size_t i = 0; i < list->n; i++) {
        struct record *record = &source->records[source->n++];

        *record = (struct record){.list = number};
        record->text = next_record(at, list->bytes + size, &depth, &record->len);
        fill_record(list, record, parsed);
        source->bytes += record->len;
        at = record->text + record->len;
        parsed = parsed->next;
    }
    cJSON_Delete(tree);
}

/* Every second chunk is a batch. */
static void make_chunks(struct source *source)
{
    source->chunks = demo_alloc(source->n / SOURCE_CHUNK + SOURCE_LISTS, sizeof *source->chunks);
    for (unsigned number = 0; number < SOURCE_LISTS; number++) {
        const struct list *list = &source->lists[number];

        for (size_t done = 0; done < list->n; done += SOURCE_CHUNK) {
            unsigned c = (unsigned)source->n_chunks++;
            struct chunk *chunk = &source->chunks[c];

            *chunk = (struct chunk){.list = number, .first = list->first + done, .batch = c % 2};
            chunk->n = list->n - done < SOURCE_CHUNK ? list->n - done : SOURCE_CHUNK;
            for (size_t i = 0; i < chunk->n; i++)
                source->records[chunk->first + i].chunk = c;
        }
    }
}

/* ---- Finding --------------------------------------------------------------------------------- */

static int compare_keys(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_records(const void *a, const void *b, void *arg)
{
    const struct source *source = arg;
    const struct record *x = &source->records[*(const uint32_t *)a];
    const struct record *y = &source->records[*(const uint32_t *)b];

    if (x->list != y->list)
        return x->list < y->list ? -1 : 1;
    return compare_keys(x->key, x->key_len, y->key, y->key_len);
}

/* Sort each list's part of `sorted` by key; two records of one code would make one key. */
static void sort_records(struct source *source)
{
    source->sorted = demo_alloc(source->n, sizeof *source->sorted);
    for (uint32_t i = 0; i < source->n; i++)
        source->sorted[i] = i;
    qsort_r(source->sorted, source->n, sizeof *source->sorted, compare_records, source);
    for (size_t i = 1; i < source->n; i++) {
        if (compare_records(&source->sorted[i - 1], &source->sorted[i], source) == 0)
            demo_fail("the code %s is there twice", source->records[source->sorted[i]].key);
    }
}

int64_t source_find(const struct source *source, unsigned list, const void *key, size_t key_len)
{
    size_t low = source->lists[list].first;
    size_t high = low + source->lists[list].n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct record *record = &source->records[source->sorted[middle]];
        int order = compare_keys(key, key_len, record->key, record->key_len);

        if (order == 0)
            return source->sorted[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

bool source_equal(const struct record *record, const void *text, size_t len)
{
    return len == record->len && memcmp(text, record->text, len) == 0;
}

/* ---- All of it ------------------------------------------------------------------------------- */

void source_load(struct source *source, const char *dir, size_t most)
{
    *source = (struct source){0};
    memcpy(source->lists, all_lists, sizeof all_lists);
    for (unsigned i = 0; i < SOURCE_LISTS; i++)
        load_list(source, i, dir, most);
    make_chunks(source);
    sort_records(source);
}

void source_free(struct source *source)
{
    for (size_t i = 0; i < source->n; i++)
        free(source->records[i].key);
    for (unsigned i = 0; i < SOURCE_LISTS; i++)
        free(source->lists[i].bytes);
    free(source->records);
    free(source->chunks);
    free(source->sorted);
}
