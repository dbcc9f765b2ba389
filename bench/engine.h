/* SPDX-License-Identifier: MIT */
/*
 * One set of operations over two stores, so that the very same loop measures both. An operation
 * answers ENGINE_OK, or ENGINE_NO where "no" is an answer (a missing key, a key that exists); a
 * store that refuses an operation for any other reason ends the program.
 */
#ifndef LXDB_BENCH_ENGINE_H
#define LXDB_BENCH_ENGINE_H

#include <stddef.h>
#include <stdint.h>

enum { ENGINE_OK = 0, ENGINE_NO = 1 };

enum {
    ENGINE_NO_COMPACTION = 1u << 0, /* lxdb: no compaction starts by itself */
    ENGINE_KEEP_INDEX = 1u << 1     /* lxdb: the index stays beside the file after a close */
};

struct pair {
    const void *key;
    size_t key_len;
    const void *value;
    size_t value_len;
};

struct engine {
    const char *name;
    /* Open or create the database at `path`. */
    void *(*open)(const char *path, unsigned flags);
    /* Copy the value of pair->key to `buf` (as much as fits) and set *ret_len to its length. */
    int (*get)(void *db, const struct pair *pair, void *buf, size_t cap, size_t *ret_len);
    /* Store a new key. */
    int (*create)(void *db, const struct pair *pair);
    /* Store a key, new or not. */
    int (*put)(void *db, const struct pair *pair);
    /* Store `n` keys, new or not, in one transaction. */
    int (*batch)(void *db, const struct pair *pairs, size_t n);
    int (*del)(void *db, const struct pair *pair);
    uint64_t (*count)(void *db);
    void (*close)(void *db);
};

extern const struct engine engine_lxdb;
extern const struct engine engine_lmdb;

#endif
