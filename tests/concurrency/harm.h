/* SPDX-License-Identifier: MIT */
/*
 * Damage to the helper files by one who knows what stands where: a word of a kind is chosen, and
 * gets another value of the sort that goes wrong in a way of its own. Words that no program looks
 * at are hit as well, by chance.
 */
#ifndef LXDB_TESTS_HARM_H
#define LXDB_TESTS_HARM_H

#include "harness.h"

/* One word (or, of homes and the like, less) of the index file in `bytes`, or of the lock file. A
 * single store: others may have it mapped. Returns what was hit, for counts. */
const char *harm_index_word(harness_rng *rng, void *bytes, size_t len);
const char *harm_lock_word(harness_rng *rng, void *bytes, size_t len);

#endif
