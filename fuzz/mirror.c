/* SPDX-License-Identifier: MIT */
/* See mirror.h. */
#include "fuzz/mirror.h"

#include "fuzz/driver.h"

#include <stdlib.h>
#include <string.h>

static void *copy_of(const void *bytes, size_t len)
{
    void *copy = malloc(len ? len : 1);

    FUZZ_CHECK(copy != NULL, "no memory for the mirror");
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

static bool same(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

const struct mirror_record *mirror_find(const struct mirror *mirror, const void *key,
                                        size_t key_len)
{
    for (size_t i = 0; i < mirror->n; i++)
        if (same(mirror->records[i].key, mirror->records[i].key_len, key, key_len))
            return &mirror->records[i];
    return NULL;
}

void mirror_put(struct mirror *mirror, const void *key, size_t key_len, const void *value,
                size_t value_len)
{
    struct mirror_record record = {
        .key = copy_of(key, key_len),
        .key_len = key_len,
        .value = copy_of(value, value_len),
        .value_len = value_len,
    };

    (void)mirror_delete(mirror, record.key, key_len);
    if (mirror->n == mirror->cap) {
        mirror->cap = mirror->cap ? 2 * mirror->cap : 16;
        mirror->records = realloc(mirror->records, mirror->cap * sizeof *mirror->records);
        FUZZ_CHECK(mirror->records != NULL, "no memory for the mirror");
    }
    mirror->records[mirror->n++] = record;
}

bool mirror_delete(struct mirror *mirror, const void *key, size_t key_len)
{
    const struct mirror_record *found = mirror_find(mirror, key, key_len);

    if (found == NULL)
        return false;
    size_t i = (size_t)(found - mirror->records);
    free(mirror->records[i].key);
    free(mirror->records[i].value);
    mirror->n--;
    memmove(mirror->records + i, mirror->records + i + 1,
            (mirror->n - i) * sizeof *mirror->records);
    return true;
}

void mirror_clear(struct mirror *mirror)
{
    for (size_t i = 0; i < mirror->n; i++) {
        free(mirror->records[i].key);
        free(mirror->records[i].value);
    }
    free(mirror->records);
    *mirror = (struct mirror){0};
}

struct mirror mirror_copy(const struct mirror *mirror)
{
    struct mirror copy = {0};

    for (size_t i = 0; i < mirror->n; i++)
        mirror_put(&copy, mirror->records[i].key, mirror->records[i].key_len,
                   mirror->records[i].value, mirror->records[i].value_len);
    return copy;
}

bool mirror_has_prefix(const struct mirror_record *record, const void *prefix, size_t prefix_len)
{
    return record->key_len >= prefix_len &&
           (prefix_len == 0 || memcmp(record->key, prefix, prefix_len) == 0);
}

void mirror_check(const struct mirror *mirror, lxdb *db)
{
    const void *key, *value;
    size_t key_len, value_len;
    lxdb_iter *iter;
    uint64_t count;

    FUZZ_CHECK(lxdb_iter_open(db, NULL, 0, 0, &iter) == LXDB_OK, "%s", lxdb_errmsg(db));
    for (size_t i = 0; i < mirror->n; i++) {
        const struct mirror_record *record = &mirror->records[i];
        int rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len);

        FUZZ_CHECK(rc == LXDB_OK, "record %zu of %zu: %d", i, mirror->n, rc);
        FUZZ_CHECK(same(key, key_len, record->key, record->key_len), "record %zu: another key", i);
        FUZZ_CHECK(same(value, value_len, record->value, record->value_len),
                   "record %zu: another value", i);
    }
    FUZZ_CHECK(lxdb_iter_next(iter, &key, &key_len, &value, &value_len) == LXDB_NOTFOUND,
               "more than %zu records", mirror->n);
    lxdb_iter_close(iter);
    FUZZ_CHECK(lxdb_count(db, &count) == LXDB_OK && count == mirror->n, "counted otherwise");
    for (size_t i = 0; i < mirror->n; i++) {
        const struct mirror_record *record = &mirror->records[i];
        void *read;
        int rc = lxdb_read_alloc(db, record->key, record->key_len, &read, &value_len);

        FUZZ_CHECK(rc == LXDB_OK, "record %zu: read: %d", i, rc);
        FUZZ_CHECK(same(read, value_len, record->value, record->value_len),
                   "record %zu: reads otherwise", i);
        lxdb_free(read);
    }
}
