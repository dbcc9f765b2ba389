/* SPDX-License-Identifier: MIT */
/*
 * What the processes of the demo write down beside the database, in anonymous memory that they
 * share and that outlives each of them: what is about to be stored, and what was acknowledged. The
 * database is judged by it. An entry is made right after the call returned LXDB_OK, so that a
 * process killed between the two has done more than the ledger asks for, never less.
 *
 * Beside the records of the lists, writers keep in the namespace `shared`
 *
 *     tickets    a counter: each step of each writer draws the next number, with lxdb_incr()
 *     board/1..  eight keys that every writer replaces, in one batch, by its latest ticket
 *     last/1..   a key for each writer, replaced in the same batch by nobody else
 */
#ifndef LXDB_DEMO_LEDGER_H
#define LXDB_DEMO_LEDGER_H

#include "tests/demo/source.h"

#include <lxdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WRITERS 4
#define READERS 2
#define TICKETS_MAX (1u << 24)

#define SHARED_SPACE "shared"
#define TICKETS_KEY "tickets"
#define BOARD_PREFIX "board/"
#define BOARD_LINES 8
#define LAST_PREFIX "last/"
#define BOARD_KEY_MAX 16
#define BOARD_TEXT_MAX 64

/* The state of a record; it only grows. */
enum { ABSENT, ANNOUNCED, ACKNOWLEDGED };

/* The call that a writer is in, or has returned from without having begun another. */
enum call { NO_CALL, DRAW_TICKET, STORE_ONE, STORE_BATCH, POST_BOARD };

/* Each is written by its writer alone. */
struct writer_entry {
    _Alignas(64) _Atomic uint64_t steps; /* done; a restarted writer goes on from here */
    _Atomic int call;
    _Atomic uint64_t singles; /* acknowledged calls, and the records they stored */
    _Atomic uint64_t batches;
    _Atomic uint64_t records;
    _Atomic uint64_t tickets; /* drawn */
    /* Its last acknowledged board: the ticket, and when the call began and returned. */
    _Atomic uint64_t board_ticket;
    _Atomic uint64_t board_began;
    _Atomic uint64_t board_ended;
};

/* Each is written by its reader alone. */
struct reader_entry {
    _Alignas(64) _Atomic uint64_t reads; /* of one key; all right, or the reader ends the demo */
    _Atomic uint64_t boards;             /* read as a whole */
    _Atomic uint64_t iterations;
    _Atomic uint64_t iterated;    /* records seen by them */
    _Atomic uint64_t compactions; /* since the database was created */
    _Atomic uint64_t size_max;    /* of the data file, in bytes */
};

struct ledger {
    _Atomic uint64_t clock; /* numbers the beginnings and ends of calls of all processes */
    _Atomic bool enough;    /* writers end after the step they are in */
    _Atomic bool finished;  /* the writers are; readers end */
    /* Of the latest kill; times by demo_now(). */
    _Atomic unsigned victim;
    _Atomic uint64_t killed_at;  /* 0: nobody yet */
    _Atomic uint64_t went_on_at; /* first return of another writer's call begun after that, or 0 */
    struct writer_entry writers[WRITERS];
    struct reader_entry readers[READERS];
    _Atomic uint8_t *states;  /* of each record */
    _Atomic uint8_t *tickets; /* [t]: 1 + the writer to whom t was handed out */
};

/* Processes forked later share it, at the same address. */
struct ledger *ledger_new(const struct source *source);

void ledger_announce(struct ledger *ledger, size_t record);
void ledger_acknowledge(struct ledger *ledger, size_t record);
int ledger_state(const struct ledger *ledger, size_t record);
/* The ticket is this writer's; nobody else may have got it, ever. */
void ledger_ticket(struct ledger *ledger, uint64_t ticket, unsigned writer);

/* The key of a line of the board (from 0), NUL-terminated. */
void board_key(unsigned line, char key[BOARD_KEY_MAX]);
/* The key that a writer has for itself, NUL-terminated. */
void last_key(unsigned writer, char key[BOARD_KEY_MAX]);
/* What a writer stores in every line, and under its own key; the length. */
size_t board_text(unsigned writer, uint64_t ticket, char text[BOARD_TEXT_MAX]);
/* The ticket in a text that a writer may have stored, and the writer; ends the demo for any other
 * text. */
uint64_t board_check(const struct ledger *ledger, const void *text, size_t len,
                     unsigned *ret_writer);

#endif
