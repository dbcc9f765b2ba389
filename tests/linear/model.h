/* SPDX-License-Identifier: MIT */
/*
 * What is promised, as a machine whose steps the checkers put in an order.
 *
 * A commit is a change of one key, or a batch. Commits do not overlap: whoever publishes one holds
 * the writer lock. One goes through these steps, each at one instant between the invocation of its
 * operation and the response (a killed one's: any later instant, see below):
 *
 *     begin      its conditions hold (a create's key is missing, ...); what it changes is fixed:
 *                `changed`. Deleting a missing key in a batch changes nothing
 *     publish    one key of `changed` after the other, in any order, becomes what gets see; the
 *                first together with begin
 *     conclude   `count` becomes the number of records; the next commit may begin
 *
 * So between two steps of a batch, gets may see one key changed and another not, and nobody can
 * commit anything; and a count may lag behind a get until the commit has concluded. Nothing looser
 * is allowed. Readers take one step each, but for a peek:
 *
 *     get, exists, and what refuses a single change: the key as published
 *     iterate    all keys as published; with a batch that is begun, as if all of it were published.
 *                So an iteration may see a batch that a get does not yet see in full, and never the
 *                reverse
 *     peek       one step for each key, in any order, between the steps of others. But of a batch
 *                that changes two or more of its records, no step may lie between two of its steps;
 *                and none of its steps lies between those of the batch
 *     count      `count`
 *     a refused batch, one that changes nothing: all keys, while no commit is begun (it takes the
 *                lock)
 *
 * An operation whose process was killed may take its steps at any later time, or never begin. But
 * whoever takes the writer lock next sets right what the dead one left before anything else: it
 * cannot begin after a commit that was invoked after its death has begun, and what it has begun is
 * finished before the next commit begins.
 *
 * A scope is a set of keys; what is left of a legal history in a scope is legal there. A batch that
 * changes keys outside of the scope, too, may begin without publishing one inside.
 */
#ifndef LXDB_TESTS_LINEAR_MODEL_H
#define LXDB_TESTS_LINEAR_MODEL_H

#include "tests/linear/history.h"

struct scope {
    uint32_t keys; /* bits */
    bool whole;    /* all keys: what counts records is looked at, too */
};

struct scope scope_whole(const struct history *history);

/* No padding: states are compared and hashed as bytes. */
struct state {
    uint64_t values[HISTORY_KEYS]; /* as published */
    uint64_t count;
    uint32_t changed; /* by the commit that is begun: keys, as bits */
    uint32_t left;    /* those that it has not published yet */
};

enum task_kind {
    TASK_NOTHING, /* tells nothing in this scope */
    TASK_COMMIT,
    TASK_VALUE,   /* of the rest, the condition: the key has the value `expected` */
    TASK_PRESENT, /* the key is there */
    TASK_ABSENT,
    TASK_DIFFERS, /* the key has not the value `expected` */
    TASK_REFUSED, /* a batch that is refused because of change `refused` */
    TASK_ITERATE, /* the keys have the values `targets` */
    TASK_PEEK,    /* each key of `keys` has its value of `targets` */
    TASK_COUNT    /* `expected` records */
};

/* An operation, as it is to be seen in a scope. */
struct task {
    enum task_kind kind;
    const struct operation *operation;
    const struct history *history;
    struct scope scope;
    uint32_t key;
    uint32_t keys;
    uint32_t refused;
    bool outside; /* a batch: changes keys outside of the scope */
    uint64_t expected;
    uint64_t targets[HISTORY_KEYS];
};

void task_make(const struct history *history, uint32_t operation, struct scope scope,
               struct task *ret_task);

#define MODEL_NO_CHANGE UINT32_MAX

/* Make the changes of a task, in their order. The result is the place of the first whose condition
 * does not hold, or MODEL_NO_CHANGE; *ret_deleted is the number of records deleted up to there. */
uint32_t model_run(const struct task *task, uint64_t values[HISTORY_KEYS], uint64_t *ret_deleted);
/* Begin a commit, when none is begun, without publishing anything but an increment. False: not in
 * this state. With `changed` 0 then, it is over at once. */
bool model_begin(struct state *state, const struct task *task);
/* Publish one key of `left`. */
void model_publish(struct state *state, const struct task *task, uint32_t key);
/* With nothing left. */
void model_conclude(struct state *state, const struct history *history);

/* Whether a reader other than a peek may take its step; `begun` is the task of the commit that is
 * begun, or NULL. */
bool model_allows(const struct state *state, const struct task *begun, const struct task *reader);
/* Whether a commit that changes these keys must be seen whole or not at all by this peek. */
bool model_ties(const struct task *peek, uint32_t changed);

/* Records that the changes before this one are of. */
uint64_t operation_records_before(const struct history *history, const struct operation *operation,
                                  uint32_t place);
/* The place of a key among the changes of an operation, by its last change. */
uint32_t operation_place(const struct operation *operation, uint32_t key);

#endif
