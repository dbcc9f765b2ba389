/* SPDX-License-Identifier: MIT */
/* One client, and the calls that it makes and records. */
#ifndef LXDB_TESTS_LINEAR_CLIENT_H
#define LXDB_TESTS_LINEAR_CLIENT_H

#include "tests/linear/field.h"

struct client {
    struct field *field;
    struct seat *seat; /* NULL: the director */
    struct life *life;
    lxdb *db;
    harness_rng rng;
    uint64_t ended;               /* stamp of the end of its last call */
    uint64_t versions;            /* written so far */
    uint64_t known[HISTORY_KEYS]; /* the last value of each that it saw */
    lxdb_iter *iter;              /* opened, to be read later */
    struct operation *iterated;   /* its operation */
    bool reverse;                 /* it goes backwards */
    uint64_t read_at;             /* operations of this life, when it is to be read */
    enum { MOOD_MIXED, MOOD_READ, MOOD_GET, MOOD_BATCH, MOODS } mood;
    uint64_t mood_until;
};

/* Chance. */
uint64_t client_below(struct client *client, uint64_t n);
bool client_one_of(struct client *client, uint64_t n);

/* Whether its life has room for more records. */
bool client_has_room(const struct client *client);
/* Whether the key is of many records, which only batches change. */
bool client_has_wide(const struct client *client, uint32_t key);

/* Each of these is one operation, recorded; of this key, or this and others. */
void client_alter(struct client *client, uint32_t key);
void client_batch(struct client *client, uint32_t first);
void client_get(struct client *client, uint32_t key);
void client_exists(struct client *client, uint32_t key);
void client_peek(struct client *client, uint32_t first);
void client_count(struct client *client);
/* Open an iteration, to be read now or later. */
void client_iterate(struct client *client);
/* Read what was opened before, perhaps long ago. */
void client_iterate_read(struct client *client);

#endif
