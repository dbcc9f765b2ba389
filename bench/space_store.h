/* SPDX-License-Identifier: MIT */
/*
 * What the measurement of bounded space asks of a store: to put values, and to hold on to a state
 * of the past as its readers do. Keys are numbers, values begin with the number of the pass that
 * wrote them. What a store refuses for any reason that is not listed ends the program.
 */
#ifndef LXDB_BENCH_SPACE_STORE_H
#define LXDB_BENCH_SPACE_STORE_H

#include <stddef.h>
#include <stdint.h>

enum { SPACE_OK = 0, SPACE_REFUSED = 1 };

struct space_store {
    const char *name;
    const char *setting; /* what else is to be known of it */
    /* Open or create the database at `path`, which is to have `live` bytes of values and may take
     * `most` bytes of the disk. */
    void *(*open)(const char *path, uint64_t live, uint64_t most);
    /* Store a key, new or not, in a transaction of its own. SPACE_REFUSED: busy, or full. */
    int (*put)(void *db, uint64_t key, const void *value, size_t len);
    /* The pass that wrote the value that is stored now. */
    uint64_t (*read)(void *db, uint64_t key);
    /* Hold on to the state of this moment, and look at a value of it. */
    void (*hold)(void *db);
    /* The pass that wrote another value of the state that is held. */
    uint64_t (*look)(void *db);
    void (*release)(void *db);
    void (*close)(void *db);
};

extern const struct space_store space_lxdb;
extern const struct space_store space_lmdb;
extern const struct space_store space_sqlite;

#endif
