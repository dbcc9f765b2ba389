/* SPDX-License-Identifier: MIT */
/*
 * The machine of model.h run without any cleverness, to check the checker with: a search through
 * every order of steps, and a source of small random histories.
 */
#ifndef LXDB_TESTS_LINEAR_PLAIN_H
#define LXDB_TESTS_LINEAR_PLAIN_H

#include "tests/concurrency/harness.h"
#include "tests/linear/model.h"

#define PLAIN_OPERATIONS 8u
#define PLAIN_NOBODY UINT32_MAX

struct machine {
    const struct history *history;
    struct task tasks[PLAIN_OPERATIONS];
    struct state state;
    uint64_t written[HISTORY_KEYS]; /* when a key was last written: commit and place in it */
    uint64_t commits;
    uint32_t read[PLAIN_OPERATIONS]; /* of peeks: keys, as bits */
    bool done[PLAIN_OPERATIONS];
    bool never[PLAIN_OPERATIONS]; /* cannot begin any more */
    uint32_t begun;               /* whose commit, or PLAIN_NOBODY */
};

/* The steps of a commit. False: not now. */
bool machine_begin(struct machine *machine, uint32_t number);
bool machine_publish(struct machine *machine, uint32_t key);
bool machine_conclude(struct machine *machine);

/* Whether some order of steps explains a history of at most PLAIN_OPERATIONS operations. */
bool plain_is_legal(const struct history *history);

/* What the machine answers clients that ask and die at random; for history_free(). */
void plain_make(harness_rng *rng, struct history *ret_history);
/* Change one thing that a client was told, or when. The result may be legal or not. */
void plain_spoil(harness_rng *rng, struct history *history);

#endif
