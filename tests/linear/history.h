/* SPDX-License-Identifier: MIT */
/*
 * A history: what clients asked of one database, what they were told, and when.
 *
 * Time is a count. Before a call a client takes a stamp from one shared counter by an atomic
 * fetch-and-add, after the call another one. The order of stamps is real-time order where it is
 * used as such: if the response of A has a smaller stamp than the invocation of B, A's
 * fetch-and-add comes before B's in the modification order of the counter, each is a
 * read-modify-write with acquire and release, so all of A happened before all of B. The converse
 * does not hold, and need not: a recorded interval is a little wider than the call, so two calls
 * that did not overlap may count as concurrent, which can hide a violation but never make one up.
 * No clock is read, so clocks of different cores need not agree. Each stamp is a full fence,
 * however: what a missing fence between two calls of one process would break is not seen here.
 *
 * A client writes what it asks before it takes the stamp of the invocation; the response counts
 * once what it was told is written, too. A killed process leaves a prefix of its stores in program
 * order, so an operation without a response is one of which nobody knows how far it came. Its death
 * has a stamp, too, taken by who reaped it: the kernel has ended every thread by then, and dropped
 * every lock.
 *
 * Keys are numbers below HISTORY_KEYS. A key of weight n stands for n records of the database that
 * are only changed together, by batches, and count as one here. A state of a key is a number: 0 for
 * a missing key, else the identity of its value. Values are unique, but for sums of increments,
 * which are as good as unique because they start from large random numbers.
 */
#ifndef LXDB_TESTS_LINEAR_HISTORY_H
#define LXDB_TESTS_LINEAR_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_KEYS 16u
#define HISTORY_CHANGES 6u         /* in an operation */
#define HISTORY_TORN UINT64_MAX    /* read: of a key's records, some as they were, some changed */
#define HISTORY_UNKNOWN UINT64_MAX /* a number that was not told */
#define HISTORY_NEVER UINT64_MAX   /* a stamp later than all others */

enum change_kind {
    CHANGE_WRITE,  /* also in a batch */
    CHANGE_CREATE, /* also in a batch; the key must be missing */
    CHANGE_REMOVE, /* in a batch; a missing key is fine */
    CHANGE_UPDATE, /* alone, as the following; the key must be there */
    CHANGE_DELETE, /* the key must be there */
    CHANGE_CAS,    /* the key must have `expected`, which may be 0: be missing */
    CHANGE_INCR    /* `value` is what to add */
};

struct change {
    enum change_kind kind;
    uint32_t key;
    uint64_t value;
    uint64_t expected;
};

enum operation_kind {
    OPERATION_ALTER, /* one change */
    OPERATION_BATCH,
    OPERATION_READ,
    OPERATION_EXISTS,
    OPERATION_PEEK,    /* many keys */
    OPERATION_ITERATE, /* all keys, in order of last write */
    OPERATION_COUNT
};

enum outcome {
    OUTCOME_UNKNOWN,  /* no response */
    OUTCOME_OK,       /* of a read or exists: the key is there */
    OUTCOME_NOTFOUND, /* the key is missing */
    OUTCOME_EXISTS,   /* a create found its key */
    OUTCOME_CONFLICT, /* a compare-and-set found another value */
    OUTCOME_BUSY      /* refused: no effect, no answer */
};

/* What a peek or an iteration saw, in the order of the keys asked for or of the iteration. */
struct seen {
    uint32_t key;
    uint64_t value;
};

struct operation {
    uint64_t invoked;
    uint64_t responded; /* HISTORY_NEVER: no response */
    uint64_t died;      /* without a response: when its process was dead, or HISTORY_NEVER */
    enum operation_kind kind;
    enum outcome outcome;
    uint32_t client;
    uint32_t changes_n;
    uint32_t seen_n;
    bool has_seen; /* an iteration whose client died may have been opened and not read */
    /* read: the value. incr: the sum. count. batch: how many keys it deleted, or, with
     * OUTCOME_EXISTS, the position of the create. */
    uint64_t result;
    struct change changes[HISTORY_CHANGES];
    const struct seen *seen;
};

struct history {
    uint32_t keys;
    uint32_t weights[HISTORY_KEYS];
    char names[HISTORY_KEYS][24];
    struct operation *operations; /* by invocation */
    uint32_t n;
};

/* One thing that happened: an operation began or ended. */
struct event {
    uint64_t at;
    uint32_t operation;
    bool ends;
};

/* Sort the operations by invocation. */
void history_sort(struct history *history);
/* All events in order, to be freed; *ret_n of them. */
struct event *history_events(const struct history *history, uint32_t *ret_n);

/* Whether it is one that changes something if it succeeds. */
bool operation_changes(const struct operation *operation);
/* Whether its outcome tells nothing: refused, or a reader that died. */
bool operation_tells_nothing(const struct operation *operation);
/* The keys that it names, as bits; of an iteration or a count all of the history. */
uint32_t operation_keys(const struct history *history, const struct operation *operation);

/* ---- The notation: see notation.c ------------------------------------------------------------ */

/* What was asked, what was told, and both with the times at which they were. */
void history_print_request(FILE *to, const struct history *history,
                           const struct operation *operation);
void history_print_response(FILE *to, const struct history *history,
                            const struct operation *operation);
void history_print_operation(FILE *to, const struct history *history, uint32_t number);
/* The whole history; history_read() reads it back. */
void history_print(FILE *to, const struct history *history);

/* Read the lines of a history, up to a line that is empty or the end. The memory is for
 * history_free(). False: *ret_fault, static storage, says what line is wrong. */
bool history_read(FILE *from, struct history *ret_history, const char **ret_fault);
void history_free(struct history *history);

#endif
