/* SPDX-License-Identifier: MIT */
/*
 * What a database must hold: for every key the version that was acknowledged last, and for every
 * process that may die the change that it had set out for and not yet seen acknowledged. A change
 * in doubt is in the database as a whole or not at all; everything else is as it was acknowledged.
 *
 * A ledger lies in memory that outlives the processes that write it. Processes take turns: at any
 * time one of them writes the database and the ledger. Versions grow with every change, so that the
 * order of an iteration, which is that of the last writes, is the order of the versions.
 */
#ifndef LXDB_TESTS_CRASH_LEDGER_H
#define LXDB_TESTS_CRASH_LEDGER_H

#include "lxdb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_KEYS 32768u
#define LEDGER_KEY_LEN 9u
#define LEDGER_DEAD 0u                   /* the version of a key that is not there */
#define LEDGER_LARGE (UINT32_C(1) << 24) /* a version with this bit has a value of 100 KiB */

/* Whose change is in doubt. */
enum { LEDGER_VICTIM, LEDGER_HEIR, LEDGER_CHECKER, LEDGER_ROLES };

struct ledger_change {
    uint32_t key;
    uint32_t version;
};

struct ledger_doubt {
    uint32_t n;
    struct ledger_change changes[LEDGER_KEYS];
};

typedef struct ledger {
    uint32_t versions[LEDGER_KEYS];
    uint32_t highest; /* no key at or beyond it was ever written */
    uint32_t last;    /* version given out last */
    bool unordered;   /* the order of last writes is not that of the versions */
    struct ledger_doubt doubts[LEDGER_ROLES];
} ledger;

/* What was read: a version for each key. */
typedef struct ledger_state {
    uint32_t versions[LEDGER_KEYS];
    uint64_t records;
    uint64_t bytes; /* of the records in the log */
} ledger_state;

void ledger_clear(ledger *book);
uint32_t ledger_next(ledger *book);

void ledger_key(uint32_t key, char ret_text[LEDGER_KEY_LEN + 1]);
size_t ledger_value_len(uint32_t key, uint32_t version);
/* Fill a buffer of ledger_value_len() bytes. */
void ledger_value(uint32_t key, uint32_t version, void *ret_value);

/* Changes, entered before the call and acknowledged after it. Those without _try fail the test when
 * the library gives a failure; those with it leave the change in doubt then. */
void ledger_put(ledger *book, int role, lxdb *db, uint32_t key, uint32_t size_bit);
void ledger_remove(ledger *book, int role, lxdb *db, uint32_t key);
void ledger_batch(ledger *book, int role, lxdb *db, const struct ledger_change *changes, size_t n);
void ledger_remove_all(ledger *book, int role, lxdb *db);
int ledger_try_put(ledger *book, int role, lxdb *db, uint32_t key, uint32_t size_bit);
int ledger_try_remove(ledger *book, int role, lxdb *db, uint32_t key);
/* Versions of puts are given out here: in `changes` any number but LEDGER_DEAD, or'ed with a size
 * bit, stands for one. A key comes once. */
int ledger_try_batch(ledger *book, int role, lxdb *db, const struct ledger_change *changes,
                     size_t n);
int ledger_try_remove_all(ledger *book, int role, lxdb *db);
/* A try whose failure means that nothing was changed. */
void ledger_withdraw(ledger *book, int role);

/* Read everything, through an iteration or key by key. They return the library's code. */
int ledger_read_iterating(const ledger *book, lxdb *db, ledger_state *ret_state);
int ledger_read_getting(const ledger *book, lxdb *db, ledger_state *ret_state);
/* Fails unless the state is the acknowledged one, with each change in doubt made or not made.
 * Gives a bit for each role whose change was made. */
unsigned ledger_compare(const ledger *book, const ledger_state *state);
/* The same, and what was in doubt is settled. */
unsigned ledger_settle(ledger *book, const ledger_state *state);

/* Everything that can be read agrees with each other and with the ledger: an iteration, single
 * reads, the counters. Nobody may be writing, or hold the writer lock. Settles what was in doubt,
 * and gives a bit for each role whose change was made. */
unsigned ledger_check(ledger *book, lxdb *db, const char *when);
/* The file is closed, and holds the same by the table of version 1 alone: status bytes are
 * believed, every byte belongs to a whole record. So many bytes are of dead ones. */
void ledger_check_closed(const ledger *book, const char *path, uint64_t dead_bytes);

#endif
