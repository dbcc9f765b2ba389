/* SPDX-License-Identifier: MIT */
/*
 * Whether a history is one that the machine of model.h can have produced.
 *
 * The search is the one of Wing and Gong with memoisation, in the form that Lowe calls just-in-time
 * linearization (Wing, Gong: Testing and verifying concurrent objects, 1993; Lowe: Testing for
 * linearizability, 2017), breadth first. It goes through invocations and responses in the order of
 * time with the set of all configurations that are possible so far: a state of the machine, and
 * which of the operations under way have taken their steps. Configurations are equal if both are,
 * so what is reached in many ways is looked at once. At a response every configuration takes steps,
 * in every way, until that operation has taken its own, and not further; if none is left, nothing
 * explains this response, and the history is illegal.
 *
 * Three things keep the set small, and none changes the verdict (tests/linear/plain.c does without
 * them, and agrees on random histories):
 *
 *   - a reader takes its step as soon as the state allows it: it changes nothing, so a way on that
 *     has it later has it now as well. A peek notes what it has read, and begins again when a batch
 *     that it may not see in part comes between: what it read before it could not keep
 *   - the order of last writes is not part of the state, so commits of different keys commute.
 *     Values are unique: an iteration that shows v before w says that the operation that wrote v
 *     committed before the one of w, and a commit waits for all that are known to come before it.
 *     (The one thing this misses: a sum that either of two killed increments may have made last)
 *   - a killed operation is forgotten once no configuration can begin it any more
 *
 * A history is first looked at key by key, then as a whole. Whoever is illegal in a part is illegal
 * as a whole; the part is for the report.
 */
#ifndef LXDB_TESTS_LINEAR_CHECK_H
#define LXDB_TESTS_LINEAR_CHECK_H

#include "tests/linear/model.h"

enum verdict {
    VERDICT_LEGAL,
    VERDICT_ILLEGAL,
    VERDICT_UNKNOWN /* there are too many possibilities */
};

const char *verdict_name(enum verdict verdict);

/* Within one scope. *ret_most (may be NULL): the most configurations there were at once. */
enum verdict check_scope(const struct history *history, struct scope scope, uint32_t *ret_most);
/* Each key, then the whole. */
enum verdict check_history(const struct history *history, uint32_t *ret_most);
/* Of an illegal history: the smallest scope and the shortest part of it that show the violation. */
void check_explain(const struct history *history, FILE *to);

#endif
