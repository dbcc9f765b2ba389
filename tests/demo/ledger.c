/* SPDX-License-Identifier: MIT */
/* See ledger.h. */
#include "tests/demo/ledger.h"

#include "tests/demo/common.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Zeroed, and left to the end of the process. */
static void *share(size_t n, size_t size)
{
    void *memory = mmap(NULL, n * size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        demo_fail("no shared memory for the ledger");
    return memory;
}

struct ledger *ledger_new(const struct source *source)
{
    struct ledger *ledger = share(1, sizeof *ledger);

    ledger->states = share(source->n, sizeof *ledger->states);
    ledger->tickets = share(TICKETS_MAX + 1, sizeof *ledger->tickets);
    return ledger;
}

void ledger_announce(struct ledger *ledger, size_t record)
{
    uint8_t state = ABSENT;

    atomic_compare_exchange_strong(&ledger->states[record], &state, ANNOUNCED);
}

void ledger_acknowledge(struct ledger *ledger, size_t record)
{
    atomic_store(&ledger->states[record], ACKNOWLEDGED);
}

int ledger_state(const struct ledger *ledger, size_t record)
{
    return atomic_load(&ledger->states[record]);
}

void ledger_ticket(struct ledger *ledger, uint64_t ticket, unsigned writer)
{
    uint8_t owner;

    if (ticket == 0 || ticket > TICKETS_MAX)
        demo_fail("writer %u drew ticket %" PRIu64 ", of which there is none", writer + 1, ticket);
    owner = atomic_exchange(&ledger->tickets[ticket], (uint8_t)(writer + 1));
    if (owner != 0)
        demo_fail("an update was lost: ticket %" PRIu64 " went to writer %u and to writer %u",
                  ticket, owner, writer + 1);
}

void board_key(unsigned line, char key[BOARD_KEY_MAX])
{
    snprintf(key, BOARD_KEY_MAX, BOARD_PREFIX "%u", line + 1);
}

void last_key(unsigned writer, char key[BOARD_KEY_MAX])
{
    snprintf(key, BOARD_KEY_MAX, LAST_PREFIX "%u", writer + 1);
}

size_t board_text(unsigned writer, uint64_t ticket, char text[BOARD_TEXT_MAX])
{
    return (size_t)snprintf(text, BOARD_TEXT_MAX, "{\"writer\": %u, \"ticket\": %" PRIu64 "}",
                            writer + 1, ticket);
}

uint64_t board_check(const struct ledger *ledger, const void *text, size_t len,
                     unsigned *ret_writer)
{
    char copy[BOARD_TEXT_MAX] = "";
    char again[BOARD_TEXT_MAX];
    unsigned writer = 0;
    uint64_t ticket = 0;

    if (len < sizeof copy)
        memcpy(copy, text, len);
    if (sscanf(copy, "{\"writer\": %u, \"ticket\": %" SCNu64, &writer, &ticket) != 2 ||
        writer < 1 || writer > WRITERS || ticket < 1 || ticket > TICKETS_MAX ||
        board_text(writer - 1, ticket, again) != len || memcmp(again, text, len) != 0)
        demo_fail("the board holds what nobody wrote: %.*s", (int)len, (const char *)text);
    if (atomic_load(&ledger->tickets[ticket]) != writer)
        demo_fail("the board holds ticket %" PRIu64 " of writer %u, who never drew it", ticket,
                  writer);
    *ret_writer = writer - 1;
    return ticket;
}
