/* SPDX-License-Identifier: MIT */
/* What check.c searches with, for the report in explain.c. */
#ifndef LXDB_TESTS_LINEAR_SEARCH_H
#define LXDB_TESTS_LINEAR_SEARCH_H

#include "tests/linear/check.h"

#define SLOTS 24u /* operations under way, with killed ones that may still begin */
#define NOBODY UINT32_MAX

/* No padding: compared and hashed as bytes. */
struct configuration {
    struct state state;
    uint16_t read[SLOTS]; /* of a peek: the keys that it has read, as bits */
    uint32_t done;        /* slots whose operation has taken its steps, or cannot any more */
    uint32_t begun;       /* the slot whose commit is begun, or NOBODY */
};

_Static_assert(sizeof(struct configuration) ==
                   sizeof(struct state) + SLOTS * sizeof(uint16_t) + 2 * sizeof(uint32_t),
               "no padding");
_Static_assert(HISTORY_KEYS <= 16, "the keys that a peek has read fit");

/* A set of configurations, in the order in which they were added. */
struct set {
    struct configuration *all;
    uint32_t n, capacity;
    uint32_t *table; /* number + 1, by hash */
    uint32_t table_size;
};

/* An operation that committed before another one. */
struct edge {
    uint32_t later, earlier;
};

enum { STATUS_AHEAD = 0, STATUS_OVER = SLOTS + 1 }; /* else slot + 1 */

struct search {
    const struct history *history;
    struct scope scope;
    const bool *left_out;   /* operations that are not looked at; may be NULL */
    struct edge *edges;     /* by `later` */
    uint32_t *first_edge;   /* of each operation */
    bool contradiction;     /* an iteration has the keys of one batch in the wrong order */
    uint32_t contradicting; /* that iteration */
    uint8_t *status;        /* of each operation */
    struct task tasks[SLOTS];
    uint32_t numbers[SLOTS]; /* of their operations */
    uint32_t used;           /* slots */
    struct set now, seen;
    bool overflow;
    uint32_t most; /* configurations at once */
    /* the last time before `known_before` at which one configuration alone was possible */
    uint64_t known_before, known_at;
    struct configuration known;
    uint32_t known_numbers[SLOTS];
    uint32_t failed_at; /* the operation whose response nothing explains */
};

/* Who may have written a value. */
struct writer {
    uint64_t value;
    uint32_t key;
    uint32_t operation;
};

/* A search begins with zeros and history, scope, left_out, known_before. */
void search_start(struct search *search);
/* Through the events in order, up to the first response that nothing explains. */
enum verdict search_run(struct search *search, const struct event *events, uint32_t n);
void search_end(struct search *search);
/* All values that may have been written, sorted by key and value; to be freed. */
struct writer *search_writers(const struct search *search, uint32_t *ret_n);
/* Whether an operation that is under way has taken its steps. */
bool configuration_has_done(const struct configuration *configuration, uint32_t slot);

#endif
