/* SPDX-License-Identifier: MIT */
/* Who makes a history: starts the clients, disturbs them, ends them. See director.c. */
#ifndef LXDB_TESTS_LINEAR_DIRECTOR_H
#define LXDB_TESTS_LINEAR_DIRECTOR_H

#include "tests/linear/field.h"

#define STREAMS_A_HISTORY 1000u /* of chance */

struct director {
    struct field *field;
    harness_rng rng;
    unsigned round;
    uint32_t lives; /* used so far */
    struct client_start starts[SEATS];
    struct seat *seat;    /* of the one that was given an order */
    uint32_t operations;  /* of its life, when last looked at */
    uint64_t others_goal; /* operations over when they have gone on enough */
};

/* Choose what this history is to be like. */
void director_set_up(struct director *director);
/* Make it, with at least so many operations. At the end everything is looked at once more, as by a
 * client. */
void director_run(struct director *director, uint32_t operations);

#endif
