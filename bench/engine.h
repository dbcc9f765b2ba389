/* SPDX-License-Identifier: MIT */
/*
 * One set of operations over all stores, so that the very same loop measures each. An operation
 * answers ENGINE_OK, or ENGINE_NO where "no" is an answer (a missing key, a key that exists); a
 * store that refuses an operation for any other reason ends the program (BENCH_BROKEN).
 *
 * An adapter is a `struct engine` in a file of bench/peers/. It copies values out, since that is
 * what a program does that goes on to use them, and it sees in each get what is committed then.
 */
#ifndef LXDB_BENCH_ENGINE_H
#define LXDB_BENCH_ENGINE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

enum { ENGINE_OK = 0, ENGINE_NO = 1 };

/* How a database is opened. */
enum {
    ENGINE_DURABLE = 1u << 0,       /* a change is on the disk when its call returns */
    ENGINE_READER = 1u << 1,        /* this process only reads */
    ENGINE_NO_COMPACTION = 1u << 2, /* lxdb: no compaction starts by itself */
    ENGINE_KEEP_INDEX = 1u << 3     /* lxdb: the index stays beside the file after a close */
};

struct engine_config {
    unsigned flags;
    size_t records; /* about so many will be stored: for tables that are sized beforehand */
};

/* What an engine is and can. */
enum {
    ENGINE_SHARED = 1u << 0,   /* several processes have a database open, and all may write */
    ENGINE_READERS = 1u << 1,  /* several processes may, if none of them writes */
    ENGINE_VOLATILE = 1u << 2, /* what it holds is gone when the last process has closed it */
    ENGINE_OURS = 1u << 3,     /* lxdb: no peer */
    ENGINE_FLOOR = 1u << 4     /* no store, but the least that any store must do: no peer */
};

struct pair {
    const void *key;
    size_t key_len;
    const void *value;
    size_t value_len;
};

/* What reading through all records saw. Keys and values have at least 8 bytes. */
struct tour {
    uint64_t records;
    uint64_t bytes;
    uint64_t sum; /* of the last 8 bytes of each key and each value: in any order the same */
};

static inline void tour_add(struct tour *tour, const void *key, size_t key_len, const void *value,
                            size_t value_len)
{
    uint64_t k, v;

    memcpy(&k, (const char *)key + key_len - sizeof k, sizeof k);
    memcpy(&v, (const char *)value + value_len - sizeof v, sizeof v);
    tour->records++;
    tour->bytes += key_len + value_len;
    tour->sum += k ^ v;
}

/* Operations that may be NULL say what then happens. */
struct engine {
    const char *name;
    const char *setting; /* how it is opened for the tables without syncs, and what that gives */
    const char *durable; /* the same for the table with them; NULL: it is left out of that */
    unsigned traits;

    /* Of the library that is in use, for people. */
    const char *(*version)(void);
    /* Why it cannot run here, or NULL if it can. NULL: it always can. */
    const char *(*missing)(void);
    /* Start what must run beside the database at `path` while processes open it; `path` is in a
     * folder that the engine has for itself. NULL: nothing must. */
    void *(*start)(const char *path, const struct engine_config *config);
    void (*stop)(void *server);
    /* Open or create the database at `path`. */
    void *(*open)(const char *path, const struct engine_config *config);

    /* Copy the value of pair->key to `buf` (as much as fits) and set *ret_len to its length. */
    int (*get)(void *db, const struct pair *pair, void *buf, size_t cap, size_t *ret_len);
    /* Look up `n` keys at once; returns how many values have not the length of pair->value_len.
     * NULL: that row is left out. */
    size_t (*get_many)(void *db, const struct pair *pairs, size_t n);
    /* Store a new key. NULL: it knows no such operation, and put is measured. */
    int (*create)(void *db, const struct pair *pair);
    /* Store a key, new or not. */
    int (*put)(void *db, const struct pair *pair);
    int (*del)(void *db, const struct pair *pair);
    /* Store or delete `n` keys, in one transaction if the engine has such. */
    int (*batch)(void *db, const struct pair *pairs, size_t n);
    int (*batch_del)(void *db, const struct pair *pairs, size_t n);
    /* Read all records. */
    void (*tour)(void *db, struct tour *tour);
    /* NULL: by a tour. */
    uint64_t (*count)(void *db);
    /* Give back the space of what was replaced or deleted. NULL: that row is left out. */
    void (*compact)(void *db);
    /* Commits and syncs so far, of all processes. NULL: they are not told. */
    void (*counters)(void *db, uint64_t *ret_commits, uint64_t *ret_syncs);
    /* The process that holds the memory. NULL: the calling one. */
    pid_t (*memory_of)(void *server);
    void (*close)(void *db);
};

#endif
