/* SPDX-License-Identifier: MIT */
/*
 * The proof at the end: a process that had no part in the work opens the database afresh and holds
 * all of it against the ledger.
 */
#ifndef LXDB_DEMO_PROOF_H
#define LXDB_DEMO_PROOF_H

#include "tests/demo/ledger.h"
#include "tests/demo/source.h"

struct proof_job {
    const struct source *source;
    const struct ledger *ledger;
    const char *path;        /* of the database, which nobody has open */
    const char *expected;    /* file to write: what a reader of the format has to find */
    unsigned killed_drawing; /* writers killed while they drew a ticket */
};

/* Prove, and say so line by line; what does not hold ends the demo. */
void proof_run(const struct proof_job *job);

#endif
