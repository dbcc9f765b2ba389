/* SPDX-License-Identifier: MIT */
/*
 * The ledger of one writer among many, who may die at any moment while the others go on. It owns
 * keys that nobody else changes. Each change is entered before the call (begun) and acknowledged
 * after it (acked), in memory that outlives the process; so once the writer is dead, each of its
 * keys is in one of two states, and what changes together is in the same one.
 *
 * A state is version << 1 | deleted, 0: never written. States only grow. So whoever reads beside
 * the writer can judge what it reads: not older than what was acknowledged when it began to read,
 * and not newer than what had been begun when it was done.
 *
 * What a writer does: create, write, update and delete single keys, and attempts of these that have
 * to be refused; change a group of keys in one batch; create keys that stay, one by one or many in
 * a batch, so that log and index grow; count in a key of its own, and in one that all writers
 * share.
 */
#ifndef LXDB_TESTS_CRASH_DIARY_H
#define LXDB_TESTS_CRASH_DIARY_H

#include "tests/concurrency/harness.h"

#define DIARY_KEYS 24u
#define DIARY_GROUP 60u /* so that publishing a batch takes long enough to be killed in */
#define DIARY_RUN 100u  /* new keys of one batch */

typedef struct diary_entry {
    _Atomic uint64_t acked;
    _Atomic uint64_t begun;
} diary_entry;

typedef struct diary {
    unsigned owner;                /* a part of its keys */
    unsigned new_most;             /* it creates no more keys than that */
    diary_entry keys[DIARY_KEYS];  /* states */
    diary_entry group;             /* state of DIARY_GROUP keys */
    diary_entry created;           /* so many new keys */
    diary_entry counter;           /* its own */
    diary_entry common;            /* what it added to the counter of all */
    _Atomic uint64_t common_doubt; /* additions of which a death left open whether they were made */
} diary;

void diary_clear(diary *book, unsigned owner, unsigned new_most);

/* By the owner: a random change, which takes the writer lock once at least. */
void diary_change(diary *book, lxdb *db, harness_rng *rng);

/* By anybody, while the owner is at work: look at something of it and judge it. A `free` look
 * takes no lock, whatever happened to the owner; others may have to wait for a batch that is being
 * published, and so for a dead owner's repair. */
void diary_look(const diary *book, lxdb *db, harness_rng *rng, bool free);

/* The owner does not write: everything is as acknowledged, or as begun. Of new keys, a sample of
 * those that are in no doubt, or all. */
void diary_check(const diary *book, lxdb *db, harness_rng *rng, bool all);

/* By who takes the place of a dead owner: check, put right what it left in the database, check
 * again, and acknowledge what turned out to have been made. */
void diary_settle(diary *book, lxdb *db, harness_rng *rng);

/* Nobody writes, and all diaries are settled: check everything, with an iteration and the counters
 * of the library. Settles the common counter. Gives the number of records. */
uint64_t diary_check_all(diary *diaries, size_t n, lxdb *db, harness_rng *rng);

/* The database is closed: not a complaint, and for who believes the status bytes alone, as version
 * 1 of the format does, as many records. */
void diary_check_closed(const char *path, uint64_t records);

#endif
