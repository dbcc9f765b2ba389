/* SPDX-License-Identifier: MIT */
/* Operations and their order in time; see history.h. */
#include "tests/linear/history.h"

#include <stdlib.h>

static int by_invocation(const void *a, const void *b)
{
    uint64_t left = ((const struct operation *)a)->invoked;
    uint64_t right = ((const struct operation *)b)->invoked;

    return (left > right) - (left < right);
}

void history_sort(struct history *history)
{
    qsort(history->operations, history->n, sizeof(*history->operations), by_invocation);
}

static int by_time(const void *a, const void *b)
{
    uint64_t left = ((const struct event *)a)->at;
    uint64_t right = ((const struct event *)b)->at;

    return (left > right) - (left < right);
}

struct event *history_events(const struct history *history, uint32_t *ret_n)
{
    struct event *events = malloc((2 * (size_t)history->n + 1) * sizeof(*events));
    uint32_t n = 0;

    if (events == NULL)
        abort();
    for (uint32_t i = 0; i < history->n; i++) {
        const struct operation *operation = &history->operations[i];

        events[n++] = (struct event){operation->invoked, i, false};
        if (operation->responded != HISTORY_NEVER)
            events[n++] = (struct event){operation->responded, i, true};
    }
    qsort(events, n, sizeof(*events), by_time);
    *ret_n = n;
    return events;
}

bool operation_changes(const struct operation *operation)
{
    return operation->kind == OPERATION_ALTER || operation->kind == OPERATION_BATCH;
}

bool operation_tells_nothing(const struct operation *operation)
{
    if (operation->outcome == OUTCOME_BUSY)
        return true;
    if (operation->kind == OPERATION_ITERATE && !operation->has_seen)
        return true;
    return operation->outcome == OUTCOME_UNKNOWN && !operation_changes(operation);
}

uint32_t operation_keys(const struct history *history, const struct operation *operation)
{
    uint32_t keys = 0;

    if (operation->kind == OPERATION_ITERATE || operation->kind == OPERATION_COUNT)
        return (UINT32_C(1) << history->keys) - 1;
    for (uint32_t i = 0; i < operation->changes_n; i++)
        keys |= UINT32_C(1) << operation->changes[i].key;
    return keys;
}
