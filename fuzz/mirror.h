/* SPDX-License-Identifier: MIT */
/*
 * What a database should hold: its records in order of last write, the oldest first, in an array
 * that is searched from one end to the other. Keys are those that are stored, with the name of
 * their namespace.
 */
#ifndef LXDB_FUZZ_MIRROR_H
#define LXDB_FUZZ_MIRROR_H

#include <lxdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mirror_record {
    uint8_t *key;
    size_t key_len;
    uint8_t *value;
    size_t value_len;
};

struct mirror {
    struct mirror_record *records;
    size_t n;
    size_t cap;
};

/* NULL if there is none; good until the next change. */
const struct mirror_record *mirror_find(const struct mirror *mirror, const void *key,
                                        size_t key_len);
void mirror_put(struct mirror *mirror, const void *key, size_t key_len, const void *value,
                size_t value_len);
bool mirror_delete(struct mirror *mirror, const void *key, size_t key_len);
void mirror_clear(struct mirror *mirror);
struct mirror mirror_copy(const struct mirror *mirror);
/* Whether a record's key begins with these bytes. */
bool mirror_has_prefix(const struct mirror_record *record, const void *prefix, size_t prefix_len);

/* Every record of `db`, which is no namespace, is there, in this order, and no other; and each is
 * read by its key. */
void mirror_check(const struct mirror *mirror, lxdb *db);

#endif
