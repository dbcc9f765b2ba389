/* SPDX-License-Identifier: MIT */
/*
 * What the clients of one history and their director share, and how a client is disturbed.
 *
 * A client sits on a seat. When it is killed another process takes the seat, as a new client with a
 * new life, which is what it records: operations keep the stamps of history.h.
 *
 * A client is disturbed at two kinds of places: at the named steps of the library (built with
 * LX_STEPS, see base/assert.h) and its stores into the data file, and at any instruction of its
 * thread, by a timer's signal. There it
 * pauses, so that others get in between, or obeys the order of the director: to die by SIGKILL, or
 * to park until it is let go, in the middle of what it does. Its director stops a parked one with
 * SIGSTOP and goes on, or kills it while it is stopped.
 *
 * How long a pause lasts has no meaning: it ends after a few operations of the others or a few
 * naps, whatever comes first. No verdict depends on it.
 */
#ifndef LXDB_TESTS_LINEAR_FIELD_H
#define LXDB_TESTS_LINEAR_FIELD_H

#include "tests/concurrency/harness.h"
#include "tests/linear/history.h"

#define SEATS 4u
#define LIVES 32u /* in one history */
#define LIFE_OPERATIONS 8192u
#define LIFE_SEEN (LIFE_OPERATIONS * 4u)

enum order {
    ORDER_NONE,
    ORDER_DIE_AT_STEP,
    ORDER_DIE_ANYWHERE, /* inside a call */
    ORDER_PARK_AT_STEP,
    ORDER_PARK_ANYWHERE
};

struct life {
    uint32_t number;
    _Atomic uint32_t n; /* operations; the last may have no invocation yet */
    uint32_t seen_n;
    uint64_t died; /* stamp, or HISTORY_NEVER; by the director */
    struct operation operations[LIFE_OPERATIONS];
    struct seen seen[LIFE_SEEN];
};

struct seat {
    /* by the director */
    int worker;
    struct life *life;
    _Atomic int order;
    _Atomic bool may_go_on; /* the parked one */
    _Atomic bool compact;   /* asks for a compaction */
    /* by the client */
    _Atomic(const char *) obeyed; /* where it died or parked */
    _Atomic uint64_t closed;      /* the last order to close that it followed */
    _Atomic bool in_call;
    _Atomic bool may_wait; /* in a call that may wait for another process */
    _Atomic bool opened;
};

struct field {
    _Atomic uint64_t clock; /* see history.h */
    char pad[56];
    _Atomic uint64_t finished;   /* operations, of all */
    _Atomic uint64_t ceiling;    /* of `finished`: clients wait for leave to pass it */
    _Atomic uint64_t close;      /* counts the orders to close the database and wait */
    _Atomic uint64_t open;       /* ... that are over */
    _Atomic uint32_t publishing; /* whose batch is half published: number of its life, + 1 */
    _Atomic bool end;
    const char *path;
    lxdb_options options;
    uint32_t keys;
    uint32_t counters; /* keys with numbers, for increments; bits */
    uint32_t weights[HISTORY_KEYS];
    uint64_t ballast; /* records that nobody changes */
    uint64_t stream;  /* of chance: this history's, and so many more */
    struct seat seats[SEATS];
    struct life lives[LIVES];
};

static inline uint64_t field_stamp(struct field *field)
{
    return atomic_fetch_add_explicit(&field->clock, 1, memory_order_acq_rel) + 1;
}

/* ---- disturb.c ------------------------------------------------------------------------------- */

/* In this process no file is synced any more: a SIGKILL loses no page. */
void disturb_no_syncs(void);
/* From now on this process, which sits on this seat, is disturbed. */
void disturb_start(struct field *field, struct seat *seat, uint64_t stream);
/* Around a call. Perhaps it sets the timer. `may_wait`: the call may wait for another process. */
void disturb_call_begins(bool may_wait);
void disturb_call_ends(void);
/* The call is the commit of a batch of so many records, which others may find half published. 0: it
 * is over. */
void disturb_batch(uint32_t records);

/* ---- client.c -------------------------------------------------------------------------------- */

struct client_start {
    struct field *field;
    uint32_t seat;
};

/* A worker for harness_start(): operates until the end. */
void client_run(void *start);
/* By the director, before and after: records that nobody changes; a last look at everything. */
void client_preload(struct field *field);
void client_look(struct field *field, struct life *life);

#endif
